//! The product as it is, in namespaces, with real sockets: rules set by signed calls, flows sent,
//! and what the kernel did with each. Every test owns its world and waits for levels.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of tests may stop at the first surprise, as a test does"
)]

mod demo;
mod events;
mod groups;
mod heal;
mod instances;
mod life;
mod lists;
mod metrics;
mod rules;
mod run;
mod running;
mod ways;
mod wire;

use portcullis_testkit::capability::need;
use portcullis_testkit::client::Way;
use portcullis_testkit::lab;
use portcullis_testkit::lab::scene::Scene;
use std::path::Path;
use std::time::Duration;

/// How long anything may take that should happen at once.
const PATIENCE: Duration = Duration::from_secs(10);
/// How the program may stand at devices.
const HOOKS: [&str; 2] = ["tcx", "clsact"];
/// Between two packets of steady traffic.
const PACE: Duration = Duration::from_millis(1);

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_portcullis"))
}

/// A scene, unless this machine cannot enforce.
fn scene() -> Option<Scene> {
    need("live", lab::available).then(|| Scene::new(program(), Way::Route).unwrap())
}

/// A scene for each hook, unless this machine cannot enforce.
fn scenes() -> impl Iterator<Item = Scene> {
    let hooks = if need("live", lab::available) { &HOOKS[..] } else { &[] };
    hooks.iter().map(|hook| {
        let flags = ["--pick-up-seconds", "0", "--hook", hook];
        Scene::with_flags(program(), Way::Route, &flags).unwrap()
    })
}

/// The same, of a program with other flags.
fn scene_with(flags: &[&str]) -> Option<Scene> {
    let start = || Scene::with_flags(program(), Way::Route, flags).unwrap();
    need("live", lab::available).then(start)
}

/// Plays a script in a scene of its own, with each hook.
fn check(script: &str) {
    for mut scene in scenes() {
        scene.play(script).unwrap();
    }
}
