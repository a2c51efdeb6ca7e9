//! Names that are drawn: request ids and the first access key.
//!
//! Ids of the model's own things are drawn by the model, with the dice of [`crate::clock`].

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Access key ids begin like the public service's: tools look for it.
const ACCESS_KEY_ID_PREFIX: &str = "LTAI";
const ACCESS_KEY_ID_LENGTH: usize = 24;
const ACCESS_KEY_SECRET_LENGTH: usize = 30;
/// Ids of temporary keys begin so.
const TEMPORARY_KEY_ID_PREFIX: &str = "STS.";
/// Letters and digits of a security token.
const SECURITY_TOKEN_LENGTH: usize = 64;

/// The system has no random numbers to give.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the system gives no random numbers: {0}")]
pub struct NoRandomness(#[from] getrandom::Error);

/// A new request id: a UUID of version 4 in upper case.
pub fn request_id() -> String {
    /// Stands in for chance when the system has none: an id must differ, not be secret.
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut bytes = [0; 16];
    if getrandom::fill(&mut bytes).is_err() {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        bytes[..8].copy_from_slice(&count.to_be_bytes());
    }
    portcullis_wire::ecs::render::request_id(bytes)
}

/// An access key as its owner gets it.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The public half.
    pub access_key_id: String,
    /// The secret half.
    pub access_key_secret: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Credentials({}, secret withheld)", self.access_key_id)
    }
}

impl Credentials {
    /// Draws a new key.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn draw() -> Result<Credentials, NoRandomness> {
        Credentials::draw_with(ACCESS_KEY_ID_PREFIX)
    }

    /// Draws a new temporary key.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn draw_temporary() -> Result<Credentials, NoRandomness> {
        Credentials::draw_with(TEMPORARY_KEY_ID_PREFIX)
    }

    fn draw_with(prefix: &str) -> Result<Credentials, NoRandomness> {
        let length = ACCESS_KEY_ID_LENGTH - prefix.len();
        Ok(Credentials {
            access_key_id: prefix.to_owned() + &alphanumeric(length)?,
            access_key_secret: alphanumeric(ACCESS_KEY_SECRET_LENGTH)?,
        })
    }
}

/// Draws the token of a temporary key.
pub(crate) fn security_token() -> Result<String, NoRandomness> {
    alphanumeric(SECURITY_TOKEN_LENGTH)
}

/// So many letters and digits, each as likely as any other.
fn alphanumeric(length: usize) -> Result<String, NoRandomness> {
    const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut text = String::with_capacity(length);
    while text.len() < length {
        let mut bytes = [0; 64];
        getrandom::fill(&mut bytes).map_err(NoRandomness)?;
        // Six bits each; the two numbers that name no letter are drawn again.
        let letters = bytes.iter().filter_map(|byte| ALPHABET.get(usize::from(byte & 0x3f)));
        text.extend(letters.take(length - text.len()).map(|letter| char::from(*letter)));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_differ() {
        assert_ne!(request_id(), request_id());
    }

    #[test]
    fn a_key_has_the_usual_shape() {
        let key = Credentials::draw().unwrap();
        assert_eq!((key.access_key_id.len(), key.access_key_secret.len()), (24, 30));
        assert!(key.access_key_id.starts_with("LTAI"));
        assert!(key.access_key_secret.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_ne!(key, Credentials::draw().unwrap());
        let temporary = Credentials::draw_temporary().unwrap();
        assert_eq!(temporary.access_key_id.len(), 24);
        assert!(temporary.access_key_id.starts_with("STS."));
        assert_eq!(security_token().unwrap().len(), 64);
        assert!(!format!("{key:?}").contains(&key.access_key_secret));
    }
}
