//! `./x differential` and `./x endurance`: builds the laboratory for speed and hands over to it; it
//! knows nothing of packets or verdicts.

use crate::{Outcome, run};
use std::os::unix::process::CommandExt;

/// Builds, then becomes the laboratory's run of the judges.
pub(crate) fn run(arguments: &[String]) -> Outcome<()> {
    hand_over("differential", arguments)
}

/// Builds, then becomes the laboratory's swaps, deaths and floods.
pub(crate) fn endurance(arguments: &[String]) -> Outcome<()> {
    hand_over("endurance", arguments)
}

fn hand_over(command: &str, arguments: &[String]) -> Outcome<()> {
    let build = ["build", "--release", "-p", "portcullis-testkit", "--bin", "lab"];
    run::must_succeed(run::cargo(&build))?;
    let lab = run::target_directory()?.join("release").join("lab");
    let error = run::command(&lab.to_string_lossy(), &[command]).args(arguments).exec();
    Err(format!("cannot start `{}`: {error}", lab.display()))
}
