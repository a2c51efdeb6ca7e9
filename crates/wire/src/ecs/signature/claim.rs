//! What every family's signature claims, and what is asked of it: that it is of now, that its key
//! exists and made it, that the key may be used, and that a temporary key comes with its token.
//!
//! How a family spells these fields, and what exactly it signs, is the family's own business.
use std::borrow::Cow;

use hmac::{Hmac, KeyInit, Mac};
use portcullis_core::records::AccessKeySecret;
use sha2::Sha256;

use super::{Authenticated, SigningKey};
use crate::ecs::carrier::Call;
use crate::ecs::limits::{
    ACCESS_KEY_ID_BYTES_MAX, NONCE_BYTES_MAX, SIGNED_HEADERS_MAX, STRING_TO_SIGN_SHOWN_MAX,
    TIMESTAMP_WINDOW_MS,
};
use crate::ecs::refusal::{Refusal, code, shown};
use crate::ecs::time;

/// The fields of a signature, whichever family's.
pub(super) struct Claim<'a> {
    pub(super) access_key_id: &'a str,
    /// What distinguishes the request from all others of its key and time.
    pub(super) nonce: Cow<'a, str>,
    pub(super) timestamp_ms: u64,
    /// The token that a temporary key goes with.
    pub(super) token: Option<&'a str>,
    pub(super) places: &'static Places,
}

/// How a family calls these fields.
pub(super) struct Places {
    pub(super) access_key_id: &'static str,
    pub(super) timestamp: &'static str,
    pub(super) nonce: &'static str,
    pub(super) token: &'static str,
}

impl Claim<'_> {
    /// Settles the claim. `matches` compares the signature with one made with the secret; it comes
    /// after time and key, and before anything that only the holder of the secret may know.
    pub(super) fn settle(
        self,
        now_ms: u64,
        lookup: impl FnOnce(&str) -> Option<SigningKey>,
        matches: impl FnOnce(&[u8]) -> Result<(), Refusal>,
    ) -> Result<Authenticated, Refusal> {
        bounded(self.places.access_key_id, self.access_key_id, ACCESS_KEY_ID_BYTES_MAX)?;
        bounded(self.places.nonce, &self.nonce, NONCE_BYTES_MAX)?;
        if self.timestamp_ms.abs_diff(now_ms) > TIMESTAMP_WINDOW_MS {
            return Err(code::TIMESTAMP_EXPIRED
                .refuse("Specified time stamp or date value is expired.")
                .with_help(format!("The server's clock is at {}.", time::format(now_ms)))
                .at(self.places.timestamp));
        }
        let key = lookup(self.access_key_id).ok_or_else(|| {
            let refusal = code::ACCESS_KEY_NOT_FOUND.refuse("Specified access key is not found.");
            refusal.at(self.places.access_key_id)
        })?;
        matches(key.secret.expose())?;
        if !key.active {
            let refusal = code::ACCESS_KEY_INACTIVE.refuse("Specified access key is disabled.");
            return Err(refusal.at(self.places.access_key_id));
        }
        self.check_token(&key, now_ms)?;
        Ok(Authenticated {
            access_key_id: self.access_key_id.to_owned(),
            account: key.account,
            nonce: self.nonce.into_owned(),
            timestamp_ms: self.timestamp_ms,
            expires_at_ms: self.timestamp_ms.saturating_add(TIMESTAMP_WINDOW_MS + 1),
        })
    }

    fn check_token(&self, key: &SigningKey, now_ms: u64) -> Result<(), Refusal> {
        let place = self.places.token;
        match (&key.session, self.token) {
            (None, None) => Ok(()),
            (None, Some(_)) => {
                let message = format!("a permanent access key goes without `{place}`");
                Err(code::TOKEN_MISMATCH.refuse(message).at(place))
            }
            (Some(_), None) => {
                let message = format!("a temporary access key goes with its token in `{place}`");
                Err(code::TOKEN_MALFORMED.refuse(message).at(place))
            }
            (Some(session), Some(token)) if !is_same(&key.secret, &session.token, token) => {
                let message = format!("the token in `{place}` is not that of the access key");
                Err(code::TOKEN_MISMATCH.refuse(message).at(place))
            }
            (Some(session), Some(_)) if session.expires_at_ms <= now_ms => {
                let expired_at = time::format(session.expires_at_ms);
                Err(code::TOKEN_EXPIRED
                    .refuse(format!("the token expired at {expired_at}"))
                    .with_help("Have a new one made.")
                    .at(place))
            }
            (Some(_), Some(_)) => Ok(()),
        }
    }
}

/// Whether two texts are the same, in a time that does not tell where they differ.
fn is_same(secret: &AccessKeySecret, own: &str, given: &str) -> bool {
    let own = mac::<Hmac<Sha256>>(secret.expose(), own.as_bytes()).finalize().into_bytes();
    mac::<Hmac<Sha256>>(secret.expose(), given.as_bytes()).verify_slice(&own).is_ok()
}

/// A keyed digest of a text, to be finished or compared.
pub(super) fn mac<M: Mac + KeyInit>(secret: &[u8], text: &[u8]) -> M {
    // HMAC takes keys of any length; only the type of the constructor says otherwise.
    let mut mac = match M::new_from_slice(secret) {
        Ok(mac) => mac,
        Err(_) => unreachable!("HMAC takes keys of any length"),
    };
    mac.update(text);
    mac
}

/// A signature's field that is absent or cannot be read.
pub(super) fn incomplete(place: &str, message: impl Into<String>) -> Refusal {
    code::INCOMPLETE_SIGNATURE.refuse(message).at(place)
}

/// A signature's field that must be there.
pub(super) fn required<'a>(place: &str, value: Option<&'a str>) -> Result<&'a str, Refusal> {
    let value = value.filter(|value| !value.is_empty());
    value.ok_or_else(|| incomplete(place, format!("`{place}` is mandatory.")))
}

fn bounded(place: &str, value: &str, most: usize) -> Result<(), Refusal> {
    if value.len() <= most {
        return Ok(());
    }
    Err(incomplete(place, format!("`{place}` has {} bytes, {most} at most.", value.len())))
}

/// A time as ISO 8601 in UTC.
pub(super) fn timestamp(place: &str, text: &str) -> Result<u64, Refusal> {
    time::parse(text).ok_or_else(|| {
        code::TIMESTAMP_FORMAT
            .refuse("Specified time stamp or date value is not well formatted.")
            .with_help("Write it as `2026-01-31T08:00:00Z`, in UTC.")
            .at(place)
    })
}

/// A method or algorithm that is known or unknown, but not offered.
pub(super) fn no_such_method(place: &str, method: &str, help: &str) -> Refusal {
    let message = format!("the signature method `{}` is not supported", shown(method));
    code::SIGNATURE_METHOD.refuse(message).with_help(help).at(place)
}

/// Clients compare what follows the first colon with their own string.
pub(super) fn mismatch(place: &str, string_to_sign: &str) -> Refusal {
    let message = "Specified signature is not matched with our calculation. \
                   server string to sign is:";
    let text = cut(string_to_sign, STRING_TO_SIGN_SHOWN_MAX);
    code::SIGNATURE_MISMATCH.refuse(format!("{message}{text}")).at(place)
}

/// At most so many bytes of a text.
pub(super) fn cut(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most)).unwrap_or(text)
}

/// The header fields that a signature says it covers, with their values, in the order listed.
pub(super) struct SignedHeaders<'a>(Vec<(&'a str, &'a str)>);

impl<'a> SignedHeaders<'a> {
    /// Looks up each name of a list. One that is absent, ambiguous or listed twice is refused.
    pub(super) fn read(
        call: &'a Call<'_>,
        place: &str,
        list: &'a str,
        separator: char,
        skipped: &[&str],
    ) -> Result<Self, Refusal> {
        let mut headers: Vec<(&str, &str)> = Vec::new();
        for name in list.split(separator).map(str::trim).filter(|name| !name.is_empty()) {
            if skipped.iter().any(|own| own.eq_ignore_ascii_case(name)) {
                continue;
            }
            if headers.len() == SIGNED_HEADERS_MAX {
                let message = format!("more than {SIGNED_HEADERS_MAX} headers are signed");
                return Err(incomplete(place, message));
            }
            let twice = headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
            let mut values = call.request.header_values(name);
            match (twice, values.next(), values.next()) {
                (false, Some(value), None) => headers.push((name, value)),
                (true, ..) => {
                    let message = format!("the header `{}` is listed twice", shown(name));
                    return Err(incomplete(place, message));
                }
                (false, None, _) => {
                    let message = format!("the signed header `{}` is absent", shown(name));
                    return Err(incomplete(place, message));
                }
                (false, Some(_), Some(_)) => {
                    let message = format!("the signed header `{}` is sent twice", shown(name));
                    return Err(incomplete(place, message));
                }
            }
        }
        Ok(Self(headers))
    }

    /// Name and value of each.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.iter().copied()
    }

    /// The value of a header that must be covered.
    pub(super) fn required(&self, place: &str, name: &str) -> Result<&'a str, Refusal> {
        let found = self.0.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
        let value = found.map(|(_, value)| *value).filter(|value| !value.is_empty());
        value.ok_or_else(|| incomplete(place, format!("the header `{name}` must be signed")))
    }

    /// The value of a header that must be covered where it is sent.
    pub(super) fn optional(
        &self,
        call: &Call<'_>,
        place: &str,
        name: &str,
    ) -> Result<Option<&'a str>, Refusal> {
        match call.request.header(name) {
            None | Some("") => Ok(None),
            Some(_) => self.required(place, name).map(Some),
        }
    }
}
