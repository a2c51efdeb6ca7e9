//! What the product says it did with packets: counts before and after, and their difference.
//!
//! Reads `hits`, `drops` and `passes` as any operator can; knows nothing of what was sent.

use super::product::Product;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Display;

/// One counter of the product.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Counter {
    /// Packets that a rule decided, at all interfaces.
    Hit {
        /// The rule's id.
        rule: String,
    },
    /// Packets judged at an interface in a direction for a reason.
    Judged {
        /// The interface.
        interface: String,
        /// `egress` or `ingress`.
        direction: String,
        /// As verdicts name it.
        reason: String,
        /// Whether they were let through.
        accepted: bool,
    },
}

impl Counter {
    /// Packets were dropped for more than the upkeep of the network.
    pub fn is_verdict_to_drop(&self) -> bool {
        match self {
            Self::Judged { reason, accepted: false, .. } => reason != "baseline",
            Self::Judged { .. } | Self::Hit { .. } => false,
        }
    }
}

/// Counters with their values, those of zero left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<Counter, u64>);

impl Counts {
    /// As they stand now.
    ///
    /// # Errors
    /// When the product does not answer.
    pub fn read(product: &Product) -> Result<Self, String> {
        let mut counts = BTreeMap::new();
        for row in rows(product, "hits")? {
            let counter = Counter::Hit { rule: text(&row, "rule")? };
            *counts.entry(counter).or_insert(0) += packets(&row)?;
        }
        for (list, accepted) in [("drops", false), ("passes", true)] {
            for row in rows(product, list)? {
                let counter = Counter::Judged {
                    interface: text(&row, "interface")?,
                    direction: text(&row, "direction")?,
                    reason: text(&row, "reason")?,
                    accepted,
                };
                *counts.entry(counter).or_insert(0) += packets(&row)?;
            }
        }
        counts.retain(|_, count| *count > 0);
        Ok(Self(counts))
    }

    /// How much more there is now than there was before.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let grown = self.0.iter().filter_map(|(counter, count)| {
            let more = count.saturating_sub(before.of(counter));
            (more > 0).then(|| (counter.clone(), more))
        });
        Self(grown.collect())
    }

    /// One counter's value.
    pub fn of(&self, counter: &Counter) -> u64 {
        self.0.get(counter).copied().unwrap_or(0)
    }

    /// All that are not zero.
    pub fn iter(&self) -> impl Iterator<Item = (&Counter, u64)> {
        self.0.iter().map(|(counter, count)| (counter, *count))
    }
}

impl Display for Counts {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() {
            return formatter.write_str("nothing");
        }
        for (counter, count) in self.iter() {
            write!(formatter, "\n  {count} × {counter:?}")?;
        }
        Ok(())
    }
}

fn rows(product: &Product, what: &str) -> Result<Vec<Value>, String> {
    let mut answer = product.ask(&json!({ "request": what }))?;
    match answer.get_mut(what).map(Value::take) {
        Some(Value::Array(rows)) => Ok(rows),
        _ => Err(format!("no list of {what} in {answer}")),
    }
}

fn text(row: &Value, name: &str) -> Result<String, String> {
    let found = row.get(name).and_then(Value::as_str);
    found.map(str::to_owned).ok_or_else(|| format!("no {name} in {row}"))
}

fn packets(row: &Value) -> Result<u64, String> {
    row.get("packets").and_then(Value::as_u64).ok_or_else(|| format!("no packets in {row}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_grew_is_a_difference() {
        let hit = |rule: &str| Counter::Hit { rule: rule.to_owned() };
        let before = Counts([(hit("a"), 3), (hit("b"), 5)].into());
        let after = Counts([(hit("a"), 4), (hit("b"), 5), (hit("c"), 1)].into());
        assert_eq!(after.since(&before), Counts([(hit("a"), 1), (hit("c"), 1)].into()));
        assert_eq!(before.of(&hit("c")), 0);
    }
}
