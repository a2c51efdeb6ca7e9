//! Why a request was not carried out, in the terms of the wire: a public code with its HTTP status.
//!
//! Codes and statuses are the contract that clients branch on; every code that this crate raises by
//! itself stands in [`CODES`]. Which of them applies is decided elsewhere.
use std::borrow::Cow;
use std::fmt;

/// A refusal as a client sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The stable public code.
    pub code: Cow<'static, str>,
    /// What happened, with the client's own text in backticks.
    pub message: String,
    /// What to do next; may be empty.
    pub help: String,
    /// The parameter or header concerned; may be empty.
    pub place: String,
}

impl Refusal {
    /// The same refusal with advice.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = help.into();
        self
    }

    /// The same refusal naming the parameter or header concerned.
    #[must_use]
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.place = place.into();
        self
    }

    /// A required parameter is absent.
    pub fn missing(name: &str) -> Self {
        // A list and a scalar of one name are the same to a reader of the code.
        let bare = name.split('.').next().unwrap_or(name);
        Self {
            status: 400,
            code: Cow::Owned(format!("Missing{bare}")),
            message: format!("{bare} is mandatory for this action."),
            help: format!("Send `{name}`; an empty value counts as absent."),
            place: name.to_owned(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Refusal {}

/// One public code with its status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// The code.
    pub name: &'static str,
    /// The HTTP status that goes with it.
    pub status: u16,
}

impl Code {
    /// A refusal with this code.
    pub fn refuse(self, message: impl Into<String>) -> Refusal {
        Refusal {
            status: self.status,
            code: Cow::Borrowed(self.name),
            message: message.into(),
            help: String::new(),
            place: String::new(),
        }
    }
}

macro_rules! codes {
    ($($constant:ident $status:literal $name:literal;)*) => {
        /// The codes by name.
        pub mod code {
            use super::Code;
            $(
                #[doc = concat!("`", $name, "`, HTTP ", stringify!($status), ".")]
                pub const $constant: Code = Code { name: $name, status: $status };
            )*
        }

        /// Every code that this crate raises by itself, but for `Missing…` of required parameters.
        pub const CODES: &[Code] = &[$(code::$constant),*];
    };
}

codes! {
    UNSUPPORTED_HTTP_METHOD 403 "UnsupportedHTTPMethod";
    REQUEST_TOO_LARGE 413 "RequestTooLarge";
    CONTENT_TYPE 400 "InvalidParameter.ContentType";
    ENCODING 400 "InvalidParameter.Encoding";
    JSON 400 "InvalidParameter.Json";
    NESTING 400 "InvalidParameter.Nesting";
    TOO_MANY 400 "InvalidParameter.TooMany";
    TOO_LONG 400 "InvalidParameter.TooLong";
    LIST_INDEX 400 "InvalidParameter.ListIndex";
    CONFLICT 400 "InvalidParameter.Conflict";
    FORMAT 400 "InvalidParameter.Format";
    MISSING_ACCESS_KEY_ID 400 "MissingAccessKeyId";
    INCOMPLETE_SIGNATURE 400 "IncompleteSignature";
    SIGNATURE_METHOD 400 "InvalidSignatureMethod";
    SIGNATURE_VERSION 400 "InvalidSignatureVersion";
    TIMESTAMP_FORMAT 400 "InvalidTimeStamp.Format";
    TIMESTAMP_EXPIRED 400 "InvalidTimeStamp.Expired";
    SIGNATURE_MISMATCH 400 "SignatureDoesNotMatch";
    NONCE_USED 400 "SignatureNonceUsed";
    ACCESS_KEY_NOT_FOUND 404 "InvalidAccessKeyId.NotFound";
    ACCESS_KEY_INACTIVE 400 "InvalidAccessKeyId.Inactive";
    SECURITY_TOKEN 400 "InvalidSecurityToken.MismatchWithAccessKey";
    ACTION_NOT_FOUND 404 "InvalidAction.NotFound";
    MISSING_ACTION 400 "MissingAction";
    VERSION 400 "InvalidVersion";
}

#[cfg(test)]
mod tests {
    use super::{CODES, Refusal, code};

    #[test]
    fn a_refusal_has_four_fields() {
        let refusal = code::CONFLICT.refuse("`a` is not `b`").with_help("send one").at("RegionId");
        assert_eq!(refusal.to_string(), "InvalidParameter.Conflict: `a` is not `b`");
        assert_eq!((refusal.help.as_str(), refusal.place.as_str()), ("send one", "RegionId"));
        let missing = Refusal::missing("SecurityGroupIds.N");
        assert_eq!((missing.code.as_ref(), missing.status), ("MissingSecurityGroupIds", 400));
    }

    #[test]
    fn no_code_is_declared_twice() {
        let mut names: Vec<_> = CODES.iter().map(|code| code.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CODES.len());
    }
}
