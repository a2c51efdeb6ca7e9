//! The rules of one direction as a TABLE blob, in the fastest form that they fit into.
//!
//! Knows resolved rules and what both forms have in common; not whose rules they are, nor who is in
//! a group that they name.
use alloc::collections::BTreeSet;
use alloc::vec;
use alloc::vec::Vec;

use portcullis_core::resolve::{ResolvedPeer, ResolvedRule};
use portcullis_core::rule::Policy;
use portcullis_core::verdict::DecidingRule;

use crate::abi::{self, section};
use crate::budget::{CompileError, Limit, check};
use crate::cells::class_table;
use crate::numbers::Numbers;
use crate::vectors::vectors;

/// Compiles rules, first to be asked first, to the words of a TABLE blob. Its size is the number of
/// words.
pub fn table(
    rules: &[ResolvedRule],
    default: Policy,
    numbers: &mut Numbers,
) -> Result<Vec<u64>, CompileError> {
    check(Limit::Rules, rules.len())?;
    let mut words = common(rules, default, numbers)?;
    match class_table(rules, numbers)? {
        Some(classes) => {
            put(&mut words, abi::TABLE_FORM, abi::FORM_CLASSES);
            classes.append(&mut words);
        }
        None => {
            put(&mut words, abi::TABLE_FORM, abi::FORM_VECTORS);
            vectors(rules, numbers)?.append(rules.len(), &mut words)?;
        }
    }
    check(Limit::TableWords, words.len())?;
    Ok(words)
}

/// The header and what stands right behind it in every form.
fn common(
    rules: &[ResolvedRule],
    default: Policy,
    numbers: &mut Numbers,
) -> Result<Vec<u64>, CompileError> {
    let mut words = vec![0; abi::TABLE_HEADER_WORDS as usize];
    let groups: BTreeSet<_> = rules.iter().filter_map(group_peer).collect();
    for (word, value) in [
        (abi::TABLE_RULES, rules.len() as u64),
        (abi::TABLE_DEFAULT, u64::from(default == Policy::Accept)),
        (abi::TABLE_GROUPS, groups.len() as u64),
    ] {
        put(&mut words, word, value);
    }
    put_section(&mut words, abi::TABLE_ACTIONS, rules.len());
    for resolved in rules {
        let (group, rule) = (resolved.group.clone(), resolved.rule.id.clone());
        let counter = u64::from(numbers.rule(&DecidingRule { group, rule })?);
        words.push(match resolved.rule.policy {
            Policy::Accept => abi::ACTION_ACCEPT | counter,
            Policy::Drop => counter,
        });
    }
    Ok(words)
}

/// The group that a rule names as its peer.
pub(crate) fn group_peer(
    resolved: &ResolvedRule,
) -> Option<&portcullis_core::ids::SecurityGroupId> {
    match &resolved.peer {
        ResolvedPeer::Group(group) => Some(group),
        ResolvedPeer::Prefixes(_) => None,
    }
}

/// Sets a word of the header.
pub(crate) fn put(words: &mut [u64], word: u64, value: u64) {
    if let Some(slot) = words.get_mut(word as usize) {
        *slot = value;
    }
}

/// A section that begins where the words end now.
pub(crate) fn put_section(words: &mut [u64], word: u64, count: usize) {
    let offset = words.len() as u64;
    put(words, word, section(offset, count as u64));
}
