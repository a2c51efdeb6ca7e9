//! What a refused request is told: a stable code, who is to blame, what happened, what to do next,
//! and where.
//!
//! Knows the classes of refusal and nothing of HTTP: the rim turns a class into a status. The codes
//! are the public API's own; each is written where the refusal is decided.
use alloc::borrow::Cow;
use core::fmt;

/// Who is to blame, and whether to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorClass {
    /// The request is wrong in itself (400).
    Invalid,
    /// The request is right and not allowed now (403).
    Forbidden,
    /// What it names does not exist, or is not the caller's to see (404).
    NotFound,
    /// It contradicts something that goes on (409).
    Conflict,
    /// Our fault (500).
    Internal,
    /// Try again later (503).
    Unavailable,
}

/// A refusal. Whoever makes one has changed nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// The public API's code, e.g. `InvalidSecurityGroupId.NotFound`.
    pub code: Cow<'static, str>,
    /// Who is to blame.
    pub class: ErrorClass,
    /// What happened.
    pub message: Cow<'static, str>,
    /// What to do next; may be empty.
    pub help: Cow<'static, str>,
    /// The parameter it is about; may be empty.
    pub place: Cow<'static, str>,
}

impl ApiError {
    /// A refusal of the given class; say more with [`ApiError::at`] and [`ApiError::help`].
    pub fn new(
        class: ErrorClass,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            code: code.into(),
            class,
            message: message.into(),
            help: Cow::Borrowed(""),
            place: Cow::Borrowed(""),
        }
    }

    /// The request is wrong in itself.
    pub fn invalid(
        code: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::new(ErrorClass::Invalid, code, message)
    }

    /// The request is right and not allowed now.
    pub fn forbidden(
        code: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::new(ErrorClass::Forbidden, code, message)
    }

    /// What it names does not exist for the caller.
    pub fn not_found(
        code: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::new(ErrorClass::NotFound, code, message)
    }

    /// A required parameter is absent: `Missing<Name>`.
    pub fn missing(name: &'static str) -> Self {
        Self::invalid(
            alloc::format!("Missing{name}"),
            alloc::format!("{name} is mandatory for this action."),
        )
        .at(name)
    }

    /// With the parameter it is about.
    #[must_use]
    pub fn at(mut self, place: impl Into<Cow<'static, str>>) -> Self {
        self.place = place.into();
        self
    }

    /// With what to do next.
    #[must_use]
    pub fn help(mut self, help: impl Into<Cow<'static, str>>) -> Self {
        self.help = help.into();
        self
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)?;
        if !self.place.is_empty() {
            write!(f, " (at {})", self.place)?;
        }
        if !self.help.is_empty() {
            write!(f, " {}", self.help)?;
        }
        Ok(())
    }
}

impl core::error::Error for ApiError {}
