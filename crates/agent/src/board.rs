//! What the agent's thread pins up for others to read: they ask it nothing, so it waits for nobody.
//!
//! Pinned up anew with every tick. Counts are not on it; they are read from the kernel.
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portcullis_core::host::Desired;
use portcullis_core::ids::NetworkInterfaceId;
use portcullis_core::verdict::DecidingRule;

use crate::audit::Heals;
use crate::hits::Total;

/// Bounds of the durations that are told apart, in seconds.
pub const PASS_BOUNDS_S: [f64; 11] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];

/// The agent's passes since it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Passes {
    /// Those after which every interface had what it should.
    pub complete: u64,
    /// The others.
    pub incomplete: u64,
    /// How many took at most as long as each of [`PASS_BOUNDS_S`], and longer than the one before.
    within: [u64; PASS_BOUNDS_S.len()],
    /// How long all of them took together.
    pub together: Duration,
}

impl Passes {
    /// Counts one.
    pub fn count(&mut self, took: Duration, is_complete: bool) {
        if is_complete {
            self.complete += 1;
        } else {
            self.incomplete += 1;
        }
        let seconds = took.as_secs_f64();
        let bounds = PASS_BOUNDS_S.iter().zip(&mut self.within);
        if let Some((_, within)) = bounds.into_iter().find(|(bound, _)| seconds <= **bound) {
            *within += 1;
        }
        self.together += took;
    }

    /// Each bound with how many took at most so long.
    pub fn at_most(&self) -> Vec<(f64, u64)> {
        let mut sum = 0;
        let at_most = |(bound, within): (f64, u64)| {
            sum += within;
            (bound, sum)
        };
        PASS_BOUNDS_S.into_iter().zip(self.within).map(at_most).collect()
    }
}

/// What is pinned up.
#[derive(Debug, Clone, Default)]
pub struct Notice {
    /// What the agent was told to enforce last.
    pub desired: Option<Arc<Desired>>,
    /// The slots of interfaces, in the order of their ids.
    pub places: Vec<(NetworkInterfaceId, u32)>,
    /// What earlier counters held of each rule.
    pub hits_before: Arc<BTreeMap<DecidingRule, Total>>,
    /// How often others' changes were put right.
    pub heals: Heals,
    /// The passes.
    pub passes: Passes,
}

/// Where it is pinned up.
#[derive(Debug, Default)]
pub struct Board(Mutex<Arc<Notice>>);

impl Board {
    /// Replaces what is there.
    pub fn pin_up(&self, notice: Notice) {
        *self.notice() = Arc::new(notice);
    }

    /// What is there.
    pub fn read(&self) -> Arc<Notice> {
        self.notice().clone()
    }

    fn notice(&self) -> MutexGuard<'_, Arc<Notice>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_are_counted_at_their_bounds() {
        let mut passes = Passes::default();
        for (micros, is_complete) in
            [(500, true), (501, true), (5_000_000, false), (5_000_001, true)]
        {
            passes.count(Duration::from_micros(micros), is_complete);
        }
        let counts: Vec<u64> = passes.at_most().iter().map(|(_, count)| *count).collect();
        assert_eq!(counts, [1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3]);
        assert_eq!((passes.complete, passes.incomplete), (3, 1));
        assert_eq!(passes.together, Duration::from_micros(10_001_002));
    }
}
