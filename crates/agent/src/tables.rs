//! Which tables stand in the pool for which rules: interfaces of the same groups share theirs, and
//! nothing is compiled twice while it stands there.
//!
//! Knows rules by where they stand in memory, never by what they say: whoever resolves policies
//! shares them. What is no longer in the pool is compiled again.
use std::collections::HashMap;
use std::sync::Arc;

use portcullis_compile::interface::{default_policy, direction_table};
use portcullis_compile::numbers::Numbers;
use portcullis_core::resolve::{InterfacePolicy, Rules};
use portcullis_core::rule::{Direction, Policy};
use portcullis_core::verdict::DecidingRule;

use crate::pool::{Pool, Write};

/// A table in the pool.
#[derive(Debug, Clone)]
struct Table {
    /// Held, so that no other rules come to stand where these do.
    rules: Rules,
    /// Where it stands and what its words are, or why there is none.
    placed: Result<(u32, Arc<[u64]>), String>,
}

/// The tables of rules that were compiled.
#[derive(Debug, Clone, Default)]
pub struct Tables {
    by_rules: HashMap<(usize, Policy), Table>,
}

impl Tables {
    /// Forgets what is not in the pool any more, and what had failed: it is tried again.
    pub fn retain_those_in(&mut self, pool: &Pool) {
        self.by_rules.retain(|_, table| {
            let there = |(offset, words): &(u32, Arc<[u64]>)| {
                pool.shared_words(*offset).is_some_and(|found| Arc::ptr_eq(&found, words))
            };
            table.placed.as_ref().is_ok_and(there)
        });
    }

    /// One more user of the table of a policy's direction: where it stands, and what must be
    /// written if it is new.
    pub fn take(
        &mut self,
        policy: &InterfacePolicy,
        direction: Direction,
        counters: u32,
        numbers: &mut Numbers,
        pool: &mut Pool,
    ) -> Result<(u32, Option<Write>), String> {
        let rules = match direction {
            Direction::Egress => &policy.egress,
            Direction::Ingress => &policy.ingress,
        };
        let key = (rules.as_ptr() as usize, default_policy(policy.group_type, direction));
        match self.by_rules.get(&key).filter(|table| Arc::ptr_eq(&table.rules, rules)) {
            Some(Table { placed: Err(why), .. }) => return Err(why.clone()),
            Some(Table { placed: Ok((offset, words)), .. }) if pool.take_again(*offset, words) => {
                return Ok((*offset, None));
            }
            _ => {}
        }
        let taken = compiled(policy, direction, counters, numbers)
            .and_then(|words| pool.take(&words).map_err(|full| full.to_string()));
        let placed = taken.as_ref().map_err(String::clone).map(|(offset, _)| {
            let words = pool.shared_words(*offset).unwrap_or_else(|| Arc::new([]));
            (*offset, words)
        });
        self.by_rules.insert(key, Table { rules: rules.clone(), placed });
        taken
    }
}

/// The words of a table whose rules all have a counter.
fn compiled(
    policy: &InterfacePolicy,
    direction: Direction,
    counters: u32,
    numbers: &mut Numbers,
) -> Result<Vec<u64>, String> {
    let words = direction_table(policy, direction, numbers)
        .map_err(|error| format!("{error}; {}", error.help()))?;
    for rule in policy.rules(direction) {
        let name = DecidingRule { group: rule.group.clone(), rule: rule.rule.id.clone() };
        let number = numbers.rule(&name).map_err(|error| error.to_string())?;
        if number >= counters {
            return Err(format!("this host has room for {counters} rules with counters"));
        }
    }
    Ok(words)
}
