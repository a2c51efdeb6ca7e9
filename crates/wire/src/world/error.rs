//! Where in an input something is, and what is wrong there.
//!
//! A place is a chain on the stack; it becomes text only when an error names it.
use std::fmt;

/// A place in an input, as the steps that lead to it.
#[derive(Debug, Clone, Copy)]
pub enum Place<'a> {
    /// The whole input.
    Root,
    /// A line of an input of lines, counted from 1.
    Line(usize),
    /// A member of an object.
    Key(&'a Place<'a>, &'a str),
    /// An element of a list, counted from 0.
    Index(&'a Place<'a>, usize),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("top level"),
            Self::Line(line) => write!(f, "line {line}"),
            Self::Key(Place::Root, key) => f.write_str(key),
            Self::Key(parent @ Place::Line(_), key) => write!(f, "{parent}: {key}"),
            Self::Key(parent, key) => write!(f, "{parent}.{key}"),
            Self::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// Why an input is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputError {
    /// Stable name of the failure.
    pub code: &'static str,
    /// What is wrong; the user's text stands in backticks.
    pub message: String,
    /// What to do about it.
    pub help: String,
    /// Where it is.
    pub place: String,
}

impl InputError {
    /// An error at a place.
    pub(crate) fn new(
        code: &'static str,
        place: &Place<'_>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self { code, message: message.into(), help: help.into(), place: place.to_string() }
    }

    /// A value that is not what its field takes.
    pub(crate) fn malformed(place: &Place<'_>, given: &str, expected: &str) -> Self {
        let help = format!("write {expected}");
        Self::new("MalformedField", place, format!("`{given}` is not {expected}"), help)
    }
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

impl std::error::Error for InputError {}
