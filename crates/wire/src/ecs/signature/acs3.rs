//! ACS3-HMAC-SHA256: an `Authorization` header over the method, the path, the query, a hash of the
//! body, and those header fields that it lists.
//!
//! Which fields are listed is the client's choice, within one rule: whatever the server reads of
//! the head must be covered. Of the other algorithms only the names are known.
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use super::claim::{
    Claim, Places, SignedHeaders, cut, incomplete, mac, mismatch, no_such_method, required,
    timestamp,
};
use super::{Authenticated, SigningKey};
use crate::ecs::carrier::Call;
use crate::ecs::form::encode_pairs;
use crate::ecs::limits::STRING_TO_SIGN_SHOWN_MAX;
use crate::ecs::refusal::Refusal;

/// The one algorithm that is offered.
pub const ALGORITHM: &str = "ACS3-HMAC-SHA256";
const HELP: &str = "Use `ACS3-HMAC-SHA256`.";
const DATE: &str = "x-acs-date";
const NONCE: &str = "x-acs-signature-nonce";
const CONTENT_HASH: &str = "x-acs-content-sha256";
const TOKEN: &str = "x-acs-security-token";

const PLACES: Places =
    Places { access_key_id: "Authorization", timestamp: DATE, nonce: NONCE, token: TOKEN };

/// What of the head must be covered, beside what only matters where it is sent.
const ALWAYS_SIGNED: [&str; 4] = ["host", DATE, NONCE, CONTENT_HASH];
/// What must be covered where it is sent, because the server reads it.
const SIGNED_IF_SENT: [&str; 3] = ["x-acs-action", "x-acs-version", TOKEN];

pub(super) fn verify(
    call: &Call<'_>,
    now_ms: u64,
    lookup: impl FnOnce(&str) -> Option<SigningKey>,
) -> Result<Authenticated, Refusal> {
    let fields = Fields::read(call)?;
    let place = PLACES.access_key_id;
    let headers = SignedHeaders::read(call, place, fields.signed_headers, ';', &[])?;
    for name in ALWAYS_SIGNED {
        headers.required(place, name)?;
    }
    for name in SIGNED_IF_SENT {
        headers.optional(call, place, name)?;
    }
    if call.has_body() {
        // The hash covers the body's bytes; what they say is read as this field has it.
        headers.optional(call, place, "content-type")?;
    }
    let body_hash = hexadecimal(&Sha256::digest(&call.request.body));
    let canonical = canonical_request(call, &headers, fields.signed_headers, &body_hash)?;
    let text = format!("{ALGORITHM}\n{}", hexadecimal(&Sha256::digest(&canonical)));
    let claim = Claim {
        access_key_id: fields.access_key_id,
        nonce: headers.required(place, NONCE)?.into(),
        timestamp_ms: timestamp(DATE, headers.required(place, DATE)?)?,
        token: headers.optional(call, place, TOKEN)?,
        places: &PLACES,
    };
    claim.settle(now_ms, lookup, |secret| {
        let made: Hmac<Sha256> = mac(secret, text.as_bytes());
        if made.verify_slice(&fields.signature).is_ok() {
            return Ok(());
        }
        let is_of_body = headers.required(place, CONTENT_HASH)?.eq_ignore_ascii_case(&body_hash);
        let help = match is_of_body {
            true => {
                format!("Our canonical request was: {}", cut(&canonical, STRING_TO_SIGN_SHOWN_MAX))
            }
            false => format!("`{CONTENT_HASH}` is not the hash of the body, {body_hash}."),
        };
        Err(mismatch(place, &text).with_help(help))
    })
}

/// What the hash is of that is signed.
fn canonical_request(
    call: &Call<'_>,
    headers: &SignedHeaders<'_>,
    listed: &str,
    body_hash: &str,
) -> Result<String, Refusal> {
    let mut pairs = call.query_pairs()?;
    pairs.sort();
    let query = encode_pairs(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let mut lines = format!("{}\n{}\n{query}\n", call.request.method, call.request.path);
    for (name, value) in headers.iter() {
        lines.push_str(&format!("{}:{value}\n", name.to_ascii_lowercase()));
    }
    Ok(format!("{lines}\n{listed}\n{body_hash}"))
}

/// Lower-case hexadecimal.
fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `ACS3-HMAC-SHA256 Credential=…,SignedHeaders=…,Signature=…`, taken apart.
struct Fields<'a> {
    access_key_id: &'a str,
    signed_headers: &'a str,
    signature: Vec<u8>,
}

impl<'a> Fields<'a> {
    fn read(call: &'a Call<'_>) -> Result<Self, Refusal> {
        let place = PLACES.access_key_id;
        let text = required(place, call.request.header("authorization"))?;
        let (algorithm, fields) = text.split_once(' ').unwrap_or((text, ""));
        if algorithm != ALGORITHM {
            return Err(no_such_method(place, algorithm, HELP));
        }
        let field = |name: &str| {
            let mut all = fields.split(',').filter_map(|field| field.trim().split_once('='));
            let value = all.find(|(own, _)| *own == name).map(|(_, value)| value);
            value.filter(|value| !value.is_empty()).ok_or_else(|| {
                incomplete(place, format!("`{name}` is mandatory in `Authorization`."))
            })
        };
        let access_key_id = field("Credential")?;
        let signed_headers = field("SignedHeaders")?;
        let signature = bytes_of(field("Signature")?)
            .ok_or_else(|| incomplete(place, "`Signature` is not hexadecimal."))?;
        Ok(Self { access_key_id, signed_headers, signature })
    }
}

/// The bytes of a hexadecimal text.
fn bytes_of(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let (pairs, []) = digits.as_ref()?.as_chunks::<2>() else { return None };
    Some(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}
