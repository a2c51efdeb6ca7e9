//! The requests that were seen: each is executed once, whoever sends it again.
//!
//! A signed request names a time and a nonce. It is accepted within [`WINDOW_MS`] of its time, and
//! its nonce is remembered until then. Memory is bounded: when it is full, the requests with the
//! oldest times are forgotten and the *floor* rises above them, so that what is no longer
//! remembered is refused as too old. It knows neither signatures nor clocks; both are arguments.
//!
//! What was remembered is lost with the process. The nonces of writes are therefore committed
//! together with what the write did, under keys of their own ([`Nonce::key`]), and come back at
//! the start: a write is never executed twice, restarts included. A read may be.

use std::collections::{BTreeMap, HashSet};

use sha2::{Digest, Sha256};

/// How far a request's time may be from ours, either way.
pub const WINDOW_MS: u64 = portcullis_wire::ecs::limits::TIMESTAMP_WINDOW_MS;

/// Requests are remembered by the minute of their time.
const BUCKET_MS: u64 = 60 * 1000;

/// Where nonces stand among the keys of the store.
const KEY_PREFIX: &[u8] = b"server/nonce/";

/// One signed request: its time and what distinguishes it from all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nonce {
    /// The time that the request names, in milliseconds since 1970.
    pub time_ms: u64,
    digest: u128,
}

impl Nonce {
    /// The request that `access_key_id` signed with `nonce` at `time_ms`.
    pub fn new(access_key_id: &str, nonce: &str, time_ms: u64) -> Nonce {
        let mut hash = Sha256::new();
        hash.update((access_key_id.len() as u64).to_be_bytes());
        hash.update(access_key_id);
        hash.update(nonce);
        let digest =
            hash.finalize().iter().take(16).fold(0, |sum, byte| (sum << 8) | *byte as u128);
        Nonce { time_ms, digest }
    }

    /// The key under which a write's nonce is stored: ordered by time.
    pub fn key(&self) -> Vec<u8> {
        let mut key = KEY_PREFIX.to_vec();
        key.extend_from_slice(&self.time_ms.to_be_bytes());
        key.extend_from_slice(&self.digest.to_be_bytes());
        key
    }

    /// The nonce of a key of the store: `None` when the key is somebody else's, an error when it
    /// is damaged.
    pub fn from_key(key: &[u8]) -> Option<Result<Nonce, DamagedKey>> {
        let rest = key.strip_prefix(KEY_PREFIX)?;
        let Some((time, digest)) = rest.split_first_chunk::<8>() else {
            return Some(Err(DamagedKey));
        };
        let Ok(digest) = <[u8; 16]>::try_from(digest) else {
            return Some(Err(DamagedKey));
        };
        Some(Ok(Nonce { time_ms: u64::from_be_bytes(*time), digest: u128::from_be_bytes(digest) }))
    }

    /// Whether the window is past, so that the request is refused without being remembered.
    pub fn is_past(&self, now_ms: u64) -> bool {
        self.time_ms.saturating_add(WINDOW_MS) < now_ms
    }
}

/// A key with the prefix of nonces that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a stored nonce does not have its length")]
pub struct DamagedKey;

/// Why a request is not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replay {
    /// The time is outside the window, or older than what is remembered.
    Expired,
    /// The same request was seen before.
    Used,
    /// Every place is taken by requests of this very minute.
    Full,
}

/// The requests seen within the window.
#[derive(Debug)]
pub struct Nonces {
    maximum: usize,
    count: usize,
    /// Requests before this time are refused: what they were is forgotten.
    floor_ms: u64,
    buckets: BTreeMap<u64, HashSet<u128>>,
}

impl Nonces {
    /// Remembers at most `maximum` requests.
    pub fn new(maximum: usize) -> Nonces {
        Nonces { maximum, count: 0, floor_ms: 0, buckets: BTreeMap::new() }
    }

    /// How many requests are remembered.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Takes a request in, once.
    ///
    /// # Errors
    /// See [`Replay`].
    pub fn admit(&mut self, nonce: Nonce, now_ms: u64) -> Result<(), Replay> {
        self.forget_before(now_ms.saturating_sub(WINDOW_MS));
        let too_early = nonce.time_ms > now_ms.saturating_add(WINDOW_MS);
        if too_early || nonce.is_past(now_ms) || nonce.time_ms < self.floor_ms {
            return Err(Replay::Expired);
        }
        if self.buckets.values().any(|bucket| bucket.contains(&nonce.digest)) {
            return Err(Replay::Used);
        }
        while self.count >= self.maximum {
            let oldest = self.buckets.keys().next().copied().unwrap_or(u64::MAX);
            if oldest >= nonce.time_ms.min(now_ms) / BUCKET_MS {
                return Err(Replay::Full);
            }
            self.forget_before((oldest + 1) * BUCKET_MS);
        }
        self.remember(nonce);
        Ok(())
    }

    /// Takes in what an earlier process committed. Nothing is refused here; beyond the maximum
    /// the oldest are forgotten, and the floor rises.
    pub fn restore(&mut self, nonce: Nonce, now_ms: u64) {
        if nonce.is_past(now_ms) || nonce.time_ms < self.floor_ms {
            return;
        }
        self.remember(nonce);
        while self.count > self.maximum {
            let oldest = self.buckets.keys().next().copied().unwrap_or(u64::MAX);
            self.forget_before(oldest.saturating_add(1).saturating_mul(BUCKET_MS));
        }
    }

    fn remember(&mut self, nonce: Nonce) {
        let bucket = self.buckets.entry(nonce.time_ms / BUCKET_MS).or_default();
        if bucket.insert(nonce.digest) {
            self.count += 1;
        }
    }

    /// Forgets whole minutes that lie before `time_ms`, and remembers that it did.
    fn forget_before(&mut self, time_ms: u64) {
        while let Some(entry) = self.buckets.first_entry() {
            let end_ms = (entry.key() + 1) * BUCKET_MS;
            if end_ms > time_ms {
                break;
            }
            self.count -= entry.remove().len();
            self.floor_ms = self.floor_ms.max(end_ms);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_800_000_000_000;

    fn nonce(name: &str, offset_ms: i64) -> Nonce {
        Nonce::new("key", name, NOW_MS.checked_add_signed(offset_ms).unwrap())
    }

    #[test]
    fn a_request_is_admitted_once_within_its_window() {
        let mut nonces = Nonces::new(100);
        let window = WINDOW_MS as i64;
        for (name, offset_ms, expected) in [
            ("a", 0, Ok(())),
            ("a", 0, Err(Replay::Used)),
            ("a", 5 * 60_000, Err(Replay::Used)),
            ("late", -window, Ok(())),
            ("late", -window, Err(Replay::Used)),
            ("later", -window - 1, Err(Replay::Expired)),
            ("early", window, Ok(())),
            ("earlier", window + 1, Err(Replay::Expired)),
        ] {
            assert_eq!(nonces.admit(nonce(name, offset_ms), NOW_MS), expected, "{name}");
        }
        assert!(nonces.admit(Nonce::new("other key", "a", NOW_MS), NOW_MS).is_ok());
    }

    #[test]
    fn what_is_past_is_forgotten_and_stays_refused() {
        let mut nonces = Nonces::new(100);
        nonces.admit(nonce("a", 0), NOW_MS).unwrap();
        let later_ms = NOW_MS + 2 * WINDOW_MS + 2 * BUCKET_MS;
        nonces.admit(Nonce::new("key", "b", later_ms), later_ms).unwrap();
        assert_eq!(nonces.count(), 1);
        assert_eq!(nonces.admit(nonce("a", 0), later_ms), Err(Replay::Expired));
        // A clock that is set back opens nothing.
        assert_eq!(nonces.admit(nonce("a", 0), NOW_MS), Err(Replay::Expired));
    }

    #[test]
    fn a_full_memory_narrows_the_window() {
        let mut nonces = Nonces::new(2);
        nonces.admit(nonce("old", -5 * 60_000), NOW_MS).unwrap();
        nonces.admit(nonce("a", 0), NOW_MS).unwrap();
        nonces.admit(nonce("b", 0), NOW_MS).unwrap();
        assert_eq!(nonces.count(), 2);
        assert_eq!(nonces.admit(nonce("old", -5 * 60_000), NOW_MS), Err(Replay::Expired));
        assert_eq!(nonces.admit(nonce("c", 0), NOW_MS), Err(Replay::Full));
        assert_eq!(nonces.admit(nonce("a", 0), NOW_MS), Err(Replay::Used));
    }

    #[test]
    fn stored_nonces_come_back() {
        let written = nonce("a", -1000);
        let read = Nonce::from_key(&written.key()).unwrap().unwrap();
        assert_eq!(read, written);
        let mut nonces = Nonces::new(2);
        nonces.restore(read, NOW_MS);
        assert_eq!(nonces.admit(written, NOW_MS), Err(Replay::Used));
        assert_eq!(Nonce::from_key(b"group/sg-1"), None);
        assert_eq!(Nonce::from_key(b"server/nonce/short"), Some(Err(DamagedKey)));
        for (name, offset_ms) in [("b", -120_000), ("c", -60_000)] {
            nonces.restore(nonce(name, offset_ms), NOW_MS);
        }
        assert_eq!(nonces.count(), 2);
        assert_eq!(nonces.admit(nonce("b", -120_000), NOW_MS), Err(Replay::Expired));
    }

    #[test]
    fn keys_and_nonces_do_not_run_into_each_other() {
        assert_ne!(Nonce::new("ab", "c", NOW_MS), Nonce::new("a", "bc", NOW_MS));
    }
}
