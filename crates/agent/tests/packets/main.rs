//! Sequences of packets through the kernel program, written as tables in `cases/packets/*.case`.
//!
//! `cases/packets/README.md` has the language. Frames are run through the real program, the clock
//! is moved, not waited for.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // All of this is test code.

mod host;
mod wire;

use std::path::Path;

use host::Host;
use portcullis_agent::sys::{self, Hook};
use portcullis_testkit::packet_case::Script;
use portcullis_testkit::{capability, differential, netns};
use wire::Wire;

const HOOKS: [Hook; 2] = [Hook::Tcx, Hook::Clsact];
/// Names the beginning of the files that are run.
const ONLY: &str = "PORTCULLIS_TEST_CASE";

fn can_load() -> Result<(), String> {
    sys::probe()
        .map_err(|missing| missing.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
}

fn can_attach() -> Result<(), String> {
    let told = |missing: Vec<sys::Missing>| {
        missing.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    for hook in HOOKS {
        sys::usable_hook(Some(hook)).map_err(told)?;
    }
    netns::available()
}

/// The files of cases, by name; `PORTCULLIS_TEST_CASE` leaves those alone that begin so.
fn scripts() -> Vec<(String, Script)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../cases/packets");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "case"))
        .collect();
    files.sort();
    let only = std::env::var(ONLY).ok();
    let mut scripts = Vec::new();
    for file in &files {
        let name = file.file_name().unwrap().to_str().unwrap();
        if only.as_deref().is_some_and(|only| !name.starts_with(only)) {
            continue;
        }
        let text = std::fs::read_to_string(file).unwrap();
        let script = Script::parse(&text).unwrap_or_else(|e| panic!("{name}:{e}"));
        scripts.push((name.to_owned(), script));
    }
    scripts
}

/// Runs all cases of a file; answers the steps made.
fn run(name: &str, script: &Script, host: &mut Host<'_>, failures: &mut Vec<String>) -> usize {
    let mut steps = 0;
    for case in &script.cases {
        host.begin();
        for (line, step) in &case.steps {
            steps += 1;
            if let Err(difference) = host.take(step) {
                failures.push(format!("{name}:{line}: {}: {difference}", case.name));
                break;
            }
        }
    }
    steps
}

#[test]
fn packets_are_judged_as_the_cases_say() {
    if !capability::need("packet cases", can_load) {
        return;
    }
    let (mut failures, mut steps) = (Vec::new(), 0);
    for (name, script) in &scripts() {
        steps += run(name, script, &mut Host::new(script), &mut failures);
    }
    println!("{steps} steps");
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
    assert!(std::env::var(ONLY).is_ok() || steps > 300, "only {steps} steps were found");
}

/// The same through devices: by either hook, and what is let through comes out.
#[test]
fn frames_on_a_wire_are_judged_as_the_cases_say() {
    if !capability::need("packet cases", can_attach) {
        return;
    }
    let (mut failures, mut steps) = (Vec::new(), 0);
    for hook in HOOKS {
        let wire = Wire::new(&format!("wire-{hook}"));
        for (name, script) in &scripts() {
            let mut host = Host::live(script, &wire, hook);
            steps += run(&format!("{hook}: {name}"), script, &mut host, &mut failures);
        }
    }
    println!("{steps} steps");
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
    assert!(std::env::var(ONLY).is_ok() || steps > 600, "only {steps} steps were found");
}

#[test]
fn what_the_judges_agree_on_is_told_as_a_case() {
    if !capability::need("packet cases", can_load) {
        return;
    }
    let mut kernel = differential::Kernel::new().unwrap();
    let (mut failures, mut steps) = (Vec::new(), 0);
    for seed in 0..24 {
        let Some(text) = differential::example(&mut kernel, seed).unwrap() else { continue };
        let script = Script::parse(&text).unwrap_or_else(|e| panic!("{text}\n{e}"));
        let mut host = Host::new(&script);
        host.begin();
        for (line, step) in &script.cases[0].steps {
            steps += 1;
            if let Err(difference) = host.take(step) {
                let said = text.lines().nth(line - 1).unwrap();
                failures.push(format!("seed {seed}: {said}: {difference}\n{text}"));
                break;
            }
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
    assert!(steps > 1_000, "only {steps} steps were told");
}
