//! How a command ends when it does not succeed: what happened, what to do next, an exit status.
//!
//! It knows no command; each brings its own words.

use std::process::ExitCode;

/// A command that did not succeed.
#[derive(Debug)]
pub(crate) struct Failure {
    /// 2 when the input is to blame, 1 otherwise.
    status: u8,
    message: String,
    help: String,
}

impl Failure {
    /// Something did not work.
    pub(crate) fn new(message: impl Into<String>, help: impl Into<String>) -> Failure {
        Failure { status: 1, message: message.into(), help: help.into() }
    }

    /// What was given cannot be used.
    pub(crate) fn bad_input(message: impl Into<String>, help: impl Into<String>) -> Failure {
        Failure { status: 2, message: message.into(), help: help.into() }
    }

    /// Something did not work, for the reasons that `error` and its sources name.
    pub(crate) fn because(error: &dyn std::error::Error, help: impl Into<String>) -> Failure {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message = format!("{message}: {cause}");
            source = cause.source();
        }
        Failure::new(message, help)
    }

    /// Says it on the standard error and gives the exit status.
    pub(crate) fn report(self) -> ExitCode {
        eprintln!("error: {}", self.message);
        if !self.help.is_empty() {
            eprintln!("help: {}", self.help);
        }
        ExitCode::from(self.status)
    }
}
