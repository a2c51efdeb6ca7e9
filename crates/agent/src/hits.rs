//! What each rule has decided in all, beyond the life of the kernel's counters.
//!
//! A total is what earlier counters held and what the present ones do. A file says both, so that
//! nothing is lost while the counters live, and what came since the file was written when they do
//! not: after a reboot, or with another layout. Knows names, not numbers.
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use portcullis_core::verdict::DecidingRule;
use serde::{Deserialize, Serialize};

/// How often the file is written: at most so much is lost with the kernel's counters.
pub const SAVE_EVERY: Duration = Duration::from_secs(30);
/// The format of the file; one of another format is put aside unread.
const FORMAT: u32 = 1;
/// Name of the file in the agent's directory.
pub const FILE_NAME: &str = "hits.json";

/// Packets that a rule decided on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Total {
    /// Packets.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the last one came, in milliseconds of Unix time; 0: never.
    pub last_hit_unix_ms: u64,
}

impl Total {
    /// Both together.
    pub fn and(self, other: Self) -> Self {
        Self {
            packets: self.packets.saturating_add(other.packets),
            bytes: self.bytes.saturating_add(other.bytes),
            last_hit_unix_ms: self.last_hit_unix_ms.max(other.last_hit_unix_ms),
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Saved {
    format: u32,
    /// The counters that `counted` was read from.
    counters: String,
    rules: Vec<SavedRule>,
}

#[derive(Debug, Serialize, Deserialize)]
struct SavedRule {
    group: String,
    rule: String,
    before: Total,
    counted: Total,
}

/// What earlier counters held.
#[derive(Debug, Clone)]
pub struct Hits {
    path: PathBuf,
    counters: String,
    before: Arc<BTreeMap<DecidingRule, Total>>,
}

impl Hits {
    /// Takes over what the file of a directory says. `counters` names the present counters, `kept`
    /// says that numbers stand for the same rules as when the file was written, and `now` what the
    /// counters hold: others than those of the file have been filled from them, by an upgrade, if
    /// they hold as much.
    pub fn load(
        directory: &Path,
        counters: String,
        kept: bool,
        now: impl FnOnce() -> BTreeMap<DecidingRule, u64>,
    ) -> Self {
        let path = directory.join(FILE_NAME);
        let mut hits = Self { path, counters, before: Arc::default() };
        let saved = match read(&hits.path) {
            Ok(saved) => saved,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return hits,
            Err(error) => {
                // Counts are worth no refusal to enforce.
                tracing::warn!(path = %hits.path.display(), %error, "earlier hits are lost");
                return hits;
            }
        };
        let is_same = kept && saved.counters == hits.counters;
        let now = if kept && !is_same { now() } else { BTreeMap::new() };
        let mut before = BTreeMap::new();
        for of in saved.rules {
            let (Ok(group), Ok(rule)) = (of.group.parse(), of.rule.parse()) else { continue };
            let rule = DecidingRule { group, rule };
            let is_carried = now.get(&rule).is_some_and(|now| *now >= of.counted.packets);
            let is_counted = is_same || is_carried;
            let total = if is_counted { of.before } else { of.before.and(of.counted) };
            before.insert(rule, total);
        }
        hits.before = Arc::new(before);
        hits
    }

    /// What earlier counters held of a rule.
    pub fn before(&self, rule: &DecidingRule) -> Total {
        self.before.get(rule).copied().unwrap_or_default()
    }

    /// All that earlier counters held, as it is now.
    pub fn all_before(&self) -> Arc<BTreeMap<DecidingRule, Total>> {
        self.before.clone()
    }

    /// Forgets all rules but these.
    pub fn keep(&mut self, rules: &BTreeSet<DecidingRule>) {
        if !self.before.keys().all(|rule| rules.contains(rule)) {
            Arc::make_mut(&mut self.before).retain(|rule, _| rules.contains(rule));
        }
    }

    /// The file's new content and its writing, which may be done elsewhere.
    pub fn save(
        &self,
        counted: impl Iterator<Item = (DecidingRule, Total)>,
    ) -> impl FnOnce() -> io::Result<()> + Send + 'static {
        let rule = |(rule, counted): (DecidingRule, Total)| SavedRule {
            before: self.before(&rule),
            counted,
            group: rule.group.to_string(),
            rule: rule.rule.to_string(),
        };
        let rules = counted.map(rule).collect();
        let saved = Saved { format: FORMAT, counters: self.counters.clone(), rules };
        let path = self.path.clone();
        move || write(&path, &saved)
    }
}

fn read(path: &Path) -> io::Result<Saved> {
    let saved: Saved = serde_json::from_slice(&fs::read(path)?)?;
    match saved.format {
        FORMAT => Ok(saved),
        other => Err(io::Error::other(format!("it is of the unknown format {other}"))),
    }
}

/// Replaces the file; on return the new one is durable.
fn write(path: &Path, saved: &Saved) -> io::Result<()> {
    let beside = path.with_extension("json.new");
    let mut file = File::create(&beside)?;
    file.write_all(&serde_json::to_vec(saved)?)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn rule(name: &str) -> DecidingRule {
        DecidingRule { group: "sg-1".parse().unwrap(), rule: name.parse().unwrap() }
    }

    fn total(packets: u64) -> Total {
        Total { packets, bytes: packets * 100, last_hit_unix_ms: packets * 1000 }
    }

    #[test]
    fn totals_outlive_the_counters() {
        let directory = tempfile::tempdir().unwrap();
        let now = Cell::new(0);
        let load = |counters: &str, kept| {
            let holds = || BTreeMap::from([(rule("sgr-1"), now.get())]);
            Hits::load(directory.path(), counters.into(), kept, holds)
        };
        let counted = |packets| std::iter::once((rule("sgr-1"), total(packets)));
        let first = load("boot-1/7", true);
        assert_eq!(first.before(&rule("sgr-1")), Total::default());
        first.save(counted(5))().unwrap();
        // The counters still hold the five, unless they were zeroed or are others.
        for (counters, kept, before) in
            [("boot-1/7", true, 0), ("boot-1/7", false, 5), ("boot-1/8", true, 5)]
        {
            assert_eq!(load(counters, kept).before(&rule("sgr-1")), total(before), "{counters}");
        }
        // Others that were filled from them, by an upgrade.
        for (holds, before) in [(4, 5), (5, 0), (6, 0)] {
            now.set(holds);
            assert_eq!(load("boot-1/8", true).before(&rule("sgr-1")), total(before), "{holds}");
        }
        now.set(0);
        let second = load("boot-2/7", true);
        second.save(counted(2))().unwrap();
        let mut third = load("boot-3/1", true);
        let expected = Total { packets: 7, bytes: 700, last_hit_unix_ms: 5000 };
        assert_eq!(third.before(&rule("sgr-1")), expected);
        third.keep(&BTreeSet::from([rule("sgr-2")]));
        assert_eq!(third.before(&rule("sgr-1")), Total::default());
        for broken in ["{", r#"{"format":9,"counters":"","rules":[]}"#] {
            fs::write(directory.path().join(FILE_NAME), broken).unwrap();
            assert_eq!(load("boot-3/1", true).before(&rule("sgr-1")), Total::default());
        }
    }
}
