//! How what is secret lies in a record: encrypted, and bound to the record it stands in.
//!
//! XChaCha20-Poly1305 with a nonce that is a keyed digest of all that is sealed and of all that it
//! is bound to. So sealing needs no dice, the same record is always the same bytes, and a nonce
//! comes again only for the very same message. Knows bytes; where the key is kept is the server's
//! business.
use std::fmt;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::record::Problem;

/// Bytes of the key that all others are derived from.
pub const SEAL_KEY_BYTES: usize = 32;
/// Bytes by which a key is told from others.
const FINGERPRINT_BYTES: usize = 8;
const NONCE_BYTES: usize = 24;

/// What secrets are sealed with.
#[derive(Clone)]
pub struct SealKey {
    encryption: [u8; SEAL_KEY_BYTES],
    nonces: [u8; SEAL_KEY_BYTES],
    fingerprint: Fingerprint,
}

/// What tells one key from another, and nothing else about it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; FINGERPRINT_BYTES]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealKey({})", self.fingerprint)
    }
}

impl SealKey {
    /// The key that these bytes, drawn at random, are.
    pub fn new(bytes: &[u8; SEAL_KEY_BYTES]) -> Self {
        let derived = |purpose: &str| digest(bytes, &[purpose.as_bytes()]);
        let mut fingerprint = [0; FINGERPRINT_BYTES];
        for (own, byte) in fingerprint.iter_mut().zip(derived("portcullis fingerprint")) {
            *own = byte;
        }
        Self {
            encryption: derived("portcullis encryption"),
            nonces: derived("portcullis nonces"),
            fingerprint: Fingerprint(fingerprint),
        }
    }

    /// What tells it from other keys.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Seals `secret`, to be opened only beside the same `bound`.
    pub(super) fn seal(&self, bound: &[u8], secret: &[u8]) -> Vec<u8> {
        let length = (bound.len() as u64).to_be_bytes();
        let drawn = digest(&self.nonces, &[&length, bound, secret]);
        let mut nonce = XNonce::default();
        for (own, byte) in nonce.iter_mut().zip(drawn) {
            *own = byte;
        }
        let payload = Payload { msg: secret, aad: bound };
        let sealed = match self.cipher().encrypt(&nonce, payload) {
            Ok(sealed) => sealed,
            Err(_) => unreachable!("the cipher takes messages of a record's size"),
        };
        [&self.fingerprint.0[..], &nonce[..], &sealed[..]].concat()
    }

    /// What was sealed beside `bound`.
    pub(super) fn open(&self, bound: &[u8], sealed: &[u8]) -> Result<Vec<u8>, Problem> {
        let bad = Problem::BadSeal;
        let (fingerprint, rest) = sealed.split_first_chunk().ok_or_else(|| bad.clone())?;
        let fingerprint = Fingerprint(*fingerprint);
        if fingerprint != self.fingerprint {
            return Err(Problem::OtherKey { sealed: fingerprint, own: self.fingerprint });
        }
        let (nonce, message) =
            rest.split_first_chunk::<NONCE_BYTES>().ok_or_else(|| bad.clone())?;
        let payload = Payload { msg: message, aad: bound };
        self.cipher().decrypt(&XNonce::from(*nonce), payload).map_err(|_| bad)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&self.encryption.into())
    }
}

fn digest(key: &[u8; SEAL_KEY_BYTES], parts: &[&[u8]]) -> [u8; SEAL_KEY_BYTES] {
    // HMAC takes keys of any length; only the type of the constructor says otherwise.
    let mut mac = match <Hmac<Sha256> as KeyInit>::new_from_slice(key) {
        Ok(mac) => mac,
        Err(_) => unreachable!("HMAC takes keys of any length"),
    };
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_opened_with_its_key_beside_its_record_and_not_otherwise() {
        let key = SealKey::new(&[7; SEAL_KEY_BYTES]);
        let sealed = key.seal(b"record", b"the secret");
        assert_eq!(key.open(b"record", &sealed).unwrap(), b"the secret");
        assert_eq!(key.seal(b"record", b"the secret"), sealed);
        assert!(!sealed.windows(6).any(|part| part == b"secret"));
        assert_eq!(key.open(b"recorc", &sealed), Err(Problem::BadSeal));
        let other = SealKey::new(&[8; SEAL_KEY_BYTES]);
        let (sealed_with, own) = (key.fingerprint(), other.fingerprint());
        let expected = Problem::OtherKey { sealed: sealed_with, own };
        assert_eq!(other.open(b"record", &sealed), Err(expected));
        assert_ne!(sealed_with, own);
        for index in FINGERPRINT_BYTES..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[index] ^= 1;
            assert_eq!(key.open(b"record", &damaged), Err(Problem::BadSeal), "byte {index}");
        }
        for end in 0..sealed.len() {
            assert!(key.open(b"record", &sealed[..end]).is_err(), "{end} bytes");
        }
    }

    #[test]
    fn no_two_messages_share_a_nonce() {
        let key = SealKey::new(&[7; SEAL_KEY_BYTES]);
        let nonce = |bound: &[u8], secret: &[u8]| {
            key.seal(bound, secret)[FINGERPRINT_BYTES..][..NONCE_BYTES].to_vec()
        };
        // The border between the two parts counts.
        assert_ne!(nonce(b"ab", b"c"), nonce(b"a", b"bc"));
        assert_ne!(nonce(b"a", b"b"), nonce(b"a", b"c"));
    }

    #[test]
    fn nothing_shows_the_key() {
        let shown = format!("{:?}", SealKey::new(&[7; SEAL_KEY_BYTES]));
        assert_eq!(shown.len(), "SealKey()".len() + 2 * FINGERPRINT_BYTES);
    }
}
