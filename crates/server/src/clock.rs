//! The outside world's time and chance, as arguments.
//!
//! A test can stand in for both. Request ids and access keys are drawn in [`crate::identity`].

use std::time::{SystemTime, UNIX_EPOCH};

use portcullis_core::command::Dice;

/// Where the time comes from.
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970.
    fn now_ms(&self) -> u64;
}

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

/// The system's random numbers, for the ids that the model draws.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemDice;

impl Dice for SystemDice {
    fn fill(&mut self, bytes: &mut [u8]) {
        // Without random numbers the bytes stay as they are; ids drawn from them collide, and the
        // model refuses what it cannot name.
        if let Err(error) = getrandom::fill(bytes) {
            tracing::error!(%error, "the system gives no random numbers");
        }
    }
}
