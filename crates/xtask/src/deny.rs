//! `./x deny`: licences, bans and sources of all dependencies, judged by cargo-deny with the rules
//! in `deny.toml`. Advisories are looked at only where a copy of their database is at hand.

use crate::{Outcome, run};
use std::path::PathBuf;

/// The version that `deny.toml` was written for.
const VERSION: &str = "0.20.2";
/// The name that cargo-deny gives its copy of the RustSec database.
const ADVISORIES: &str = "advisory-dbs/advisory-db-3157b0e258782691";

/// Installs cargo-deny when it is absent, then runs it.
pub(crate) fn run(arguments: &[String]) -> Outcome<()> {
    if !arguments.is_empty() {
        return Err("takes no arguments".to_owned());
    }
    if !installed() {
        run::headline("installing cargo-deny: about five minutes, once");
        let package = format!("cargo-deny@{VERSION}");
        let arguments = ["install", "--locked", "--quiet", &package];
        let mut command = run::cargo(&arguments);
        // Built beside ours, so that a clean of the project is not a clean of the tool.
        command.env("CARGO_TARGET_DIR", run::target_directory()?.join("cargo-deny"));
        run::must_succeed(command)?;
    }
    // Also the dependencies of other targets, which a build leaves out; fails on a stale lock file.
    run::must_succeed(run::cargo(&["fetch", "--locked"]))?;
    let mut command = run::cargo(&["deny", "--offline", "check", "licenses", "bans", "sources"]);
    if advisories_at_hand() {
        command.arg("advisories");
    } else {
        eprintln!("advisories: not looked at, there is no copy of their database on this machine");
    }
    run::must_succeed(command)
}

fn installed() -> bool {
    let probe = run::cargo(&["deny", "--version"]).output();
    probe.is_ok_and(|output| output.status.success())
}

fn advisories_at_hand() -> bool {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home =
        home.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")));
    home.is_some_and(|home| home.join(ADVISORIES).is_dir())
}
