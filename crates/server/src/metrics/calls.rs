//! How often each action was called, and what came of it.
//!
//! Labels are taken from what the program knows: a name that no action has is counted as
//! [`UNKNOWN`], so that nobody who calls can make series.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What stands for an action that there is not.
pub(crate) const UNKNOWN: &str = "unknown";
/// What stands for the code of a call that was carried out.
pub(crate) const OK: &str = "OK";
/// Most pairs of action and code; the rest is counted under [`OTHER`] for each action. There are
/// about a hundred actions, and each has a few codes of its own.
pub(crate) const PAIRS_MAX: usize = 4096;
/// What stands for codes that found no room.
pub(crate) const OTHER: &str = "other";

/// The counts.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    of: BTreeMap<&'static str, BTreeMap<String, u64>>,
    pairs: usize,
}

impl Calls {
    /// Counts one call.
    pub(crate) fn count(&self, action: &'static str, code: &str) {
        let mut counts = self.counts();
        let is_full = counts.pairs >= PAIRS_MAX;
        let codes = counts.of.entry(action).or_default();
        if let Some(count) = codes.get_mut(code) {
            *count += 1;
            return;
        }
        let code = if is_full { OTHER } else { code };
        *codes.entry(code.to_owned()).or_default() += 1;
        if !is_full {
            counts.pairs += 1;
        }
    }

    /// All counts: action, code, how often.
    pub(crate) fn all(&self) -> Vec<(&'static str, String, u64)> {
        let counts = self.counts();
        let pairs = counts.of.iter().flat_map(|(action, codes)| {
            codes.iter().map(|(code, count)| (*action, code.clone(), *count))
        });
        pairs.collect()
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        // Nothing in there panics half-way.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_counted_and_bounded() {
        let calls = Calls::default();
        for number in 0..PAIRS_MAX {
            calls.count("A", &format!("Code{number}"));
        }
        assert_eq!(calls.all().len(), PAIRS_MAX);
        for (action, code) in [("A", "Code7"), ("A", "new"), ("A", "newer"), ("B", OK)] {
            calls.count(action, code);
        }
        let all = calls.all();
        let of = |action, code: &str| {
            let is_it = |pair: &&(&str, String, u64)| pair.0 == action && pair.1 == code;
            all.iter().find(is_it).map(|(_, _, count)| *count)
        };
        assert_eq!(of("A", "Code7"), Some(2));
        assert_eq!((of("A", OTHER), of("A", "new"), of("B", OTHER)), (Some(2), None, Some(1)));
    }
}
