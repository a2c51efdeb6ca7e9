//! `./x bench`: the frame that all suites share.

use crate::Outcome;

/// Runs one suite.
pub(crate) fn run(_arguments: &[String]) -> Outcome<()> {
    Err("there is no suite yet".to_owned())
}
