//! What every family's signature claims, and what is asked of it: that it is of now, that its key
//! exists and made it, that the key may be used, and that a temporary key comes with its token.
//!
//! How a family spells these fields, and what exactly it signs, is the family's own business.
use hmac::{Hmac, KeyInit, Mac};
use portcullis_core::records::AccessKeySecret;
use sha2::Sha256;

use super::{Authenticated, SigningKey};
use crate::ecs::limits::TIMESTAMP_WINDOW_MS;
use crate::ecs::refusal::{Refusal, code};
use crate::ecs::time;

/// The fields of a signature, whichever family's.
pub(super) struct Claim<'a> {
    pub(super) access_key_id: &'a str,
    /// What distinguishes the request from all others of its key and time.
    pub(super) nonce: &'a str,
    pub(super) timestamp_ms: u64,
    /// The token that a temporary key goes with.
    pub(super) token: Option<&'a str>,
    pub(super) places: &'static Places,
}

/// How a family calls these fields.
pub(super) struct Places {
    pub(super) access_key_id: &'static str,
    pub(super) timestamp: &'static str,
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
            nonce: self.nonce.to_owned(),
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
