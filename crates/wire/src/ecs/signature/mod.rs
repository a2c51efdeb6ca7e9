//! Who calls: the family of a request's signature, and the evidence that verification leaves.
//!
//! [`verify`] alone makes an [`Authenticated`]. Keys are asked for through a closure, the time is
//! an argument, and whether a nonce was used before is the caller's memory: the evidence says
//! what to remember and until when.
use portcullis_core::ids::AccountId;
use portcullis_core::records::{AccessKey, AccessKeySecret};

use super::carrier::Call;
use super::refusal::{Refusal, code};

pub mod acs3;
mod claim;
mod gateway;
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
        let session = key.session.as_ref().map(|session| SigningSession {
            token: session.token.expose().to_owned(),
            expires_at_ms: session.expires_ms,
        });
        Self { account: key.account, secret: key.secret.clone(), active: key.active, session }
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
    /// Apsara Stack gateway: as RPC with `SignatureVersion=2.1`.
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
}

/// Verifies a call's signature at the time `now_ms` (Unix, milliseconds) with the keys of `lookup`.
pub fn verify(
    call: &Call<'_>,
    now_ms: u64,
    lookup: impl FnOnce(&str) -> Option<SigningKey>,
) -> Result<Authenticated, Refusal> {
    match SignatureFamily::of(call) {
        SignatureFamily::Rpc | SignatureFamily::Asapi => rpc::verify(call, now_ms, lookup),
        SignatureFamily::Acs3 => acs3::verify(call, now_ms, lookup),
        SignatureFamily::XCa => gateway::verify(call, now_ms, lookup),
        SignatureFamily::Bearer => Err(bearer_refused(call)),
    }
}

/// Names where the token was seen.
fn bearer_refused(call: &Call<'_>) -> Refusal {
    let header = call.request.header("x-acs-bearer-token").map(|_| "x-acs-bearer-token");
    let named = |name: &'static str| call.parameters.get(name).map(|_| name);
    let parameter = named("BearerToken").or(named("SignatureType"));
    let seen = header.or(parameter).unwrap_or_default();
    code::SIGNATURE_METHOD
        .refuse(format!("bearer tokens are recognised but not accepted; seen in `{seen}`"))
        .with_help("Sign with an access key.")
        .at(seen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecs::http::HttpRequest;

    #[test]
    fn every_family_is_recognised() {
        let get = |target: &str| HttpRequest::new("GET", target);
        for (request, family, code) in [
            (get("/?AccessKeyId=a"), SignatureFamily::Rpc, "IncompleteSignature"),
            (
                get("/").with_header("Authorization", "acs3-RSA-SHA256 Credential=a"),
                SignatureFamily::Acs3,
                "InvalidSignatureMethod",
            ),
            (
                get("/?SignatureVersion=2.1&AccessKeyId=a"),
                SignatureFamily::Asapi,
                "IncompleteSignature",
            ),
            (get("/").with_header("X-Ca-Key", "k"), SignatureFamily::XCa, "IncompleteSignature"),
        ] {
            let call = Call::read(&request).unwrap();
            assert_eq!(SignatureFamily::of(&call), family);
            assert_eq!(verify(&call, 0, |_| None).unwrap_err().code, code);
        }
    }

    #[test]
    fn a_bearer_is_told_where_its_token_was_seen() {
        let get = |target: &str| HttpRequest::new("GET", target);
        for (request, seen) in [
            (get("/?SignatureType=bearertoken"), "`SignatureType`"),
            (get("/?SignatureType=BEARERTOKEN&BearerToken=t"), "`BearerToken`"),
            (get("/").with_header("x-acs-bearer-token", "t"), "`x-acs-bearer-token`"),
        ] {
            let call = Call::read(&request).unwrap();
            let error = verify(&call, 0, |_| None).unwrap_err();
            assert_eq!(error.code, "InvalidSignatureMethod");
            assert!(error.message.ends_with(&format!("seen in {seen}")), "{error}");
            assert_eq!(format!("`{}`", error.place), seen);
        }
    }
}
