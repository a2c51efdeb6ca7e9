//! X-Ca, the API gateway's scheme: HMAC-SHA256 over the method, five header fields, those that
//! `X-Ca-Signature-Headers` lists, and the path with the parameters of query and form.
//!
//! A body that is no form is covered by `Content-MD5` alone, which it must have. The scheme has no
//! field for a temporary key's token: it travels as the parameter `SecurityToken`, which is signed
//! wherever it stands.
use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use md5::{Digest, Md5};
use sha2::Sha256;

use super::claim::{
    Claim, Places, SignedHeaders, incomplete, mac, mismatch, no_such_method, required,
};
use super::{Authenticated, SigningKey};
use crate::ecs::carrier::Call;
use crate::ecs::refusal::{Refusal, code};

const KEY: &str = "X-Ca-Key";
const TIMESTAMP: &str = "X-Ca-Timestamp";
const NONCE: &str = "X-Ca-Nonce";
const SIGNATURE: &str = "X-Ca-Signature";
const SIGNED: &str = "X-Ca-Signature-Headers";
const METHOD: &str = "X-Ca-Signature-Method";
const CONTENT_MD5: &str = "Content-MD5";

/// The one method that is offered.
const HMAC_SHA256: &str = "HmacSHA256";

const PLACES: Places =
    Places { access_key_id: KEY, timestamp: TIMESTAMP, nonce: NONCE, token: "SecurityToken" };

/// Signed in lines of their own, so that listing them says nothing.
const NEVER_LISTED: [&str; 6] = ["Accept", CONTENT_MD5, "Content-Type", "Date", SIGNATURE, SIGNED];
/// What must be listed where it is sent, because the server reads it.
const SIGNED_IF_SENT: [&str; 2] = ["x-acs-action", "x-acs-version"];

pub(super) fn verify(
    call: &Call<'_>,
    now_ms: u64,
    lookup: impl FnOnce(&str) -> Option<SigningKey>,
) -> Result<Authenticated, Refusal> {
    let header = |name| call.request.header(name);
    if let Some(method) = header(METHOD).filter(|method| !method.is_empty())
        && !method.eq_ignore_ascii_case(HMAC_SHA256)
    {
        return Err(no_such_method(METHOD, method, "Use `HmacSHA256`."));
    }
    let signature = required(SIGNATURE, header(SIGNATURE))?;
    let signature = STANDARD
        .decode(signature)
        .map_err(|_| incomplete(SIGNATURE, format!("`{SIGNATURE}` is not base64.")))?;
    let listed = required(SIGNED, header(SIGNED))?;
    let headers = SignedHeaders::read(call, SIGNED, listed, ',', &NEVER_LISTED)?;
    for name in SIGNED_IF_SENT {
        headers.optional(call, SIGNED, name)?;
    }
    let time = headers.required(SIGNED, TIMESTAMP)?;
    check_body(call)?;
    // A nonce that is not signed could be another one each time.
    let listed_nonce = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(NONCE));
    let nonce = match listed_nonce.map(|(_, nonce)| nonce).filter(|nonce| !nonce.is_empty()) {
        Some(nonce) => format!("{time} {nonce}"),
        None => format!("{time} {}", STANDARD.encode(&signature)),
    };
    let claim = Claim {
        access_key_id: headers.required(SIGNED, KEY)?,
        nonce: nonce.into(),
        timestamp_ms: milliseconds(time)?,
        token: call.parameters.get(PLACES.token),
        places: &PLACES,
    };
    let text = string_to_sign(call, &headers)?;
    claim.settle(now_ms, lookup, |secret| {
        let made: Hmac<Sha256> = mac(secret, text.as_bytes());
        made.verify_slice(&signature).map_err(|_| mismatch(SIGNATURE, &text))
    })
}

/// Milliseconds since 1970, in digits only.
fn milliseconds(text: &str) -> Result<u64, Refusal> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits).ok_or_else(|| {
        code::TIMESTAMP_FORMAT
            .refuse("Specified time stamp or date value is not well formatted.")
            .with_help("Write it in milliseconds since 1970.")
            .at(TIMESTAMP)
    })
}

/// A body that is no form is signed by its hash only.
fn check_body(call: &Call<'_>) -> Result<(), Refusal> {
    if !call.has_json_body() {
        return Ok(());
    }
    let hash = required(CONTENT_MD5, call.request.header(CONTENT_MD5))?;
    let own = STANDARD.encode(Md5::digest(&call.request.body));
    if hash == own {
        return Ok(());
    }
    let message = format!("`{CONTENT_MD5}` is not the hash of the body, {own}.");
    Err(incomplete(CONTENT_MD5, message))
}

/// The text that is signed.
fn string_to_sign(call: &Call<'_>, headers: &SignedHeaders<'_>) -> Result<String, Refusal> {
    let request = call.request;
    let mut text = format!("{}\n", request.method);
    for name in ["Accept", CONTENT_MD5, "Content-Type", "Date"] {
        text.push_str(request.header(name).unwrap_or_default());
        text.push('\n');
    }
    let mut listed: Vec<(&str, &str)> = headers.iter().collect();
    listed.sort_unstable();
    for (name, value) in listed {
        text.push_str(&format!("{name}:{value}\n"));
    }
    text.push_str(&request.path);
    let pairs: BTreeMap<String, String> =
        call.query_pairs()?.into_iter().chain(call.form_pairs()?).collect();
    for (number, (name, value)) in pairs.iter().enumerate() {
        text.push(if number == 0 { '?' } else { '&' });
        text.push_str(name);
        if !value.is_empty() {
            text.push('=');
            text.push_str(value);
        }
    }
    Ok(text)
}
