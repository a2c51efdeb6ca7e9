//! A failure as the terminal shows it, and the exit status it means.
//!
//! What failed says so itself with code, message, help and place; nothing is decided here.
use std::process::ExitCode;

use portcullis_core::verdict::JudgeError;
use portcullis_wire::world::InputError;

use crate::configuration::ConfigurationError;

/// Exit status of what was given wrong.
pub(crate) const STATUS_BAD_INPUT: u8 = 2;
/// Exit status of what could not be done.
pub(crate) const STATUS_FAILED: u8 = 1;

/// Why a subcommand ends badly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Exit status of the program.
    pub(crate) status: u8,
    /// Stable name of the failure.
    pub(crate) code: &'static str,
    /// What happened.
    pub(crate) message: String,
    /// What to do next.
    pub(crate) help: String,
    /// Where; empty if nowhere in particular.
    pub(crate) place: String,
}

impl Failure {
    /// Writes the failure to standard error.
    pub(crate) fn report(&self) -> ExitCode {
        let Self { status, code, message, help, place } = self;
        eprintln!("error[{code}]: {message}");
        if !place.is_empty() {
            eprintln!("  at {place}");
        }
        if !help.is_empty() {
            eprintln!("  help: {help}");
        }
        ExitCode::from(*status)
    }

    /// Something did not work.
    pub(crate) fn new(
        code: &'static str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        let (message, help) = (message.into(), help.into());
        Self { status: STATUS_FAILED, code, message, help, place: String::new() }
    }

    /// Something did not work, for the reasons that `error` and its sources name.
    pub(crate) fn because(
        code: &'static str,
        error: &dyn std::error::Error,
        help: impl Into<String>,
    ) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message = format!("{message}: {cause}");
            source = cause.source();
        }
        Self::new(code, message, help)
    }

    /// An error in an input, which has a name.
    pub(crate) fn in_input(input: &str, error: InputError) -> Self {
        let InputError { code, message, help, place } = error;
        let place = format!("{input}: {place}");
        Self { status: STATUS_BAD_INPUT, code, message, help, place }
    }

    /// A configuration that cannot be used.
    pub(crate) fn of_configuration(error: ConfigurationError) -> Self {
        let ConfigurationError { place, message, help } = error;
        let (code, help) = ("BadConfiguration", help.into());
        Self { status: STATUS_BAD_INPUT, code, message, help, place }
    }

    /// A judge that could not judge.
    pub(crate) fn of_judge(status: u8, error: JudgeError) -> Self {
        let JudgeError { code, message, help, place } = error;
        Self { status, code, message, help: help.into(), place }
    }

    /// A file that could not be read or written.
    pub(crate) fn of_file(status: u8, path: &str, error: &std::io::Error) -> Self {
        Self {
            status,
            code: "FileFailed",
            message: error.to_string(),
            help: "check that the file is there and may be used".into(),
            place: path.into(),
        }
    }
}
