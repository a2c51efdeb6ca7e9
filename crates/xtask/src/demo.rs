//! `./x demo`: builds the two programs it needs and hands over to the laboratory, which does the
//! rest; it knows nothing of namespaces or rules.

use crate::{Outcome, run};
use std::os::unix::process::CommandExt;

/// Builds, then becomes the laboratory's demo.
pub(crate) fn run(arguments: &[String]) -> Outcome<()> {
    let packages = ["build", "-p", "portcullis", "-p", "portcullis-testkit", "--bins"];
    run::must_succeed(run::cargo(&packages))?;
    let programs = run::target_directory()?.join("debug");
    let lab = programs.join("lab");
    let mut command = run::command(&lab.to_string_lossy(), &["demo"]);
    command.args(arguments).env("PORTCULLIS_BIN", programs.join("portcullis"));
    let error = command.exec();
    Err(format!("cannot start `{}`: {error}", lab.display()))
}
