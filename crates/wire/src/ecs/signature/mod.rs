//! Who calls: the family of a request's signature, and the evidence that verification leaves.
//!
//! [`verify`] alone makes an [`Authenticated`]. Keys are asked for through a closure, the time is
//! an argument, and whether a nonce was used before is the caller's memory: the evidence says
//! what to remember and until when.
use portcullis_core::ids::AccountId;
use portcullis_core::records::{AccessKey, AccessKeySecret};

use super::carrier::Call;
use super::refusal::{Refusal, code};

mod claim;
pub mod rpc;

/// A key of the account table, as verification needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningKey {
    /// Whose key it is.
    pub account: AccountId,
    /// The shared secret.
    pub secret: AccessKeySecret,
    /// False where the key is disabled.
    pub active: bool,
    /// What a temporary key goes with; nothing of a permanent one.
    pub session: Option<SigningSession>,
}

/// The token that requests of a temporary key must carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningSession {
    /// The token's text.
    pub token: String,
    /// From when on it is of no use, in milliseconds of Unix time.
    pub expires_at_ms: u64,
}

impl From<&AccessKey> for SigningKey {
    fn from(key: &AccessKey) -> Self {
        Self { account: key.account, secret: key.secret.clone(), active: key.active, session: None }
    }
}

/// That a request was signed by the holder of a key, in time. Only [`verify`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authenticated {
    access_key_id: String,
    account: AccountId,
    nonce: String,
    timestamp_ms: u64,
    expires_at_ms: u64,
}

impl Authenticated {
    /// The key that signed.
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// The account of that key.
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// What must not come again before [`Self::expires_at_ms`]: `SignatureNonceUsed` if it does.
    pub fn nonce_key(&self) -> (&str, &str) {
        (&self.access_key_id, &self.nonce)
    }

    /// The request's own time, in milliseconds of Unix time.
    pub fn timestamp_ms(&self) -> u64 {
        self.timestamp_ms
    }

    /// When the time stamp alone refuses the request, so that the nonce may be forgotten.
    pub fn expires_at_ms(&self) -> u64 {
        self.expires_at_ms
    }
}

/// How a request is signed. One scheme per variant; a new one is a new arm in [`verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignatureFamily {
    /// RPC 1.0: `AccessKeyId` and `Signature` among the parameters.
    Rpc,
    /// `Authorization: ACS3-…`.
    Acs3,
    /// Apsara Stack gateway: `SignatureVersion=2.1`.
    Asapi,
    /// API gateway: `X-Ca-Key` and `X-Ca-Signature` headers.
    XCa,
    /// `x-acs-bearer-token` or `BearerToken`.
    Bearer,
}

impl SignatureFamily {
    /// The family that a call shows.
    pub fn of(call: &Call<'_>) -> Self {
        let header = |name| call.request.header(name).is_some_and(|value| !value.is_empty());
        let authorization = call.request.header("authorization").unwrap_or_default();
        let parameter = |name| call.parameters.get(name);
        if authorization.get(.."ACS3-".len()).is_some_and(|s| s.eq_ignore_ascii_case("ACS3-")) {
            Self::Acs3
        } else if header("x-acs-bearer-token")
            || parameter("BearerToken").is_some()
            || parameter("SignatureType").is_some_and(|t| t.eq_ignore_ascii_case("BEARERTOKEN"))
        {
            Self::Bearer
        } else if parameter("SignatureVersion") == Some("2.1") {
            Self::Asapi
        } else if parameter("AccessKeyId").is_none() && header("x-ca-key") {
            Self::XCa
        } else {
            Self::Rpc
        }
    }

    /// The scheme's name and the header fields by which it is known.
    fn description(&self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Rpc => ("RPC 1.0", &[]),
            Self::Acs3 => ("ACS3", &["authorization", "x-acs-date", "x-acs-signature-nonce"]),
            Self::Asapi => ("ASAPI 2.1", &["x-ascm-sign-version", "x-acs-caller-sdk-source"]),
            Self::XCa => ("X-Ca", &["x-ca-key", "x-ca-signature", "x-ca-timestamp"]),
            Self::Bearer => ("bearer token", &["x-acs-bearer-token"]),
        }
    }
}

/// Verifies a call's signature at the time `now_ms` (Unix, milliseconds) with the keys of `lookup`.
pub fn verify(
    call: &Call<'_>,
    now_ms: u64,
    lookup: impl FnOnce(&str) -> Option<SigningKey>,
) -> Result<Authenticated, Refusal> {
    let family = SignatureFamily::of(call);
    match family {
        SignatureFamily::Rpc => rpc::verify(call, now_ms, lookup),
        SignatureFamily::Acs3
        | SignatureFamily::Asapi
        | SignatureFamily::XCa
        | SignatureFamily::Bearer => Err(unsupported(call, &family)),
    }
}

/// Names the scheme and which of its header fields were seen.
fn unsupported(call: &Call<'_>, family: &SignatureFamily) -> Refusal {
    let (scheme, names) = family.description();
    let seen: Vec<&str> =
        names.iter().copied().filter(|name| call.request.header(name).is_some()).collect();
    let seen = if seen.is_empty() { "none".to_owned() } else { format!("`{}`", seen.join("`, `")) };
    let message = format!(
        "the signature scheme {scheme} is recognised but not accepted; headers seen: {seen}"
    );
    code::SIGNATURE_METHOD
        .refuse(message)
        .with_help("Sign with SignatureVersion=1.0 and SignatureMethod=HMAC-SHA1.")
        .at("SignatureMethod")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecs::http::HttpRequest;

    #[test]
    fn every_family_is_recognised_and_the_later_ones_say_what_was_seen() {
        let get = |target: &str| HttpRequest::new("GET", target);
        let acs3 = "ACS3-HMAC-SHA256 Credential=a,SignedHeaders=host,Signature=0";
        for (request, family, seen) in [
            (get("/?AccessKeyId=a&Signature=b"), SignatureFamily::Rpc, ""),
            (
                get("/").with_header("Authorization", acs3).with_header("x-acs-date", "d"),
                SignatureFamily::Acs3,
                "`authorization`, `x-acs-date`",
            ),
            (get("/?SignatureVersion=2.1&AccessKeyId=a"), SignatureFamily::Asapi, "none"),
            (get("/").with_header("X-Ca-Key", "k"), SignatureFamily::XCa, "`x-ca-key`"),
            (get("/?SignatureType=bearertoken"), SignatureFamily::Bearer, "none"),
            (
                get("/").with_header("x-acs-bearer-token", "t"),
                SignatureFamily::Bearer,
                "`x-acs-bearer-token`",
            ),
        ] {
            let call = Call::read(&request).unwrap();
            assert_eq!(SignatureFamily::of(&call), family);
            if family != SignatureFamily::Rpc {
                let error = verify(&call, 0, |_| None).unwrap_err();
                assert_eq!(error.code, "InvalidSignatureMethod");
                assert!(error.message.ends_with(&format!("headers seen: {seen}")), "{error}");
            }
        }
    }
}
