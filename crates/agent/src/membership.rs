//! Members of groups: who is there, who should be, and the steps from one to the other.
//!
//! Pure. Knows the members' sets in the pool and the lengths of their prefixes; not what rules ask
//! for them.
use std::collections::{BTreeMap, BTreeSet};

use portcullis_compile::members::{MemberKey, set, set_words};
use portcullis_core::host::Desired;
use portcullis_core::ids::{SecurityGroupId, VpcId};
use portcullis_core::net::{Family, Prefix};

use crate::ledger::Full;
use crate::policy::Books;
use crate::pool::Write;

/// Prefix lengths of members, IPv4 and IPv6, longest first.
pub type Lengths = [Vec<u8>; 2];

/// Where each member's set stands, and the lengths of prefixes there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemberSets {
    sets: BTreeMap<MemberKey, u32>,
    /// How many members have a prefix of this family and length.
    counts: BTreeMap<(Family, u8), usize>,
}

impl MemberSets {
    /// All members with the pool offsets of their sets.
    pub fn sets(&self) -> &BTreeMap<MemberKey, u32> {
        &self.sets
    }

    /// Leads a member to a set. Answers the one that it was led to.
    pub fn insert(&mut self, key: MemberKey, set: u32) -> Option<u32> {
        let before = self.sets.insert(key, set);
        if before.is_none() {
            *self.counts.entry(length_of(&key)).or_default() += 1;
        }
        before
    }

    /// Takes a member out. Answers the set that it was led to.
    pub fn remove(&mut self, key: &MemberKey) -> Option<u32> {
        let before = self.sets.remove(key)?;
        if let Some(count) = self.counts.get_mut(&length_of(key)) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&length_of(key));
            }
        }
        Some(before)
    }

    /// The lengths of prefixes there are.
    pub fn lengths(&self) -> Lengths {
        [Family::V4, Family::V6].map(|family| {
            let of_family = self.counts.range((family, 0)..=(family, family.bits())).rev();
            of_family.map(|((_, length), _)| *length).collect()
        })
    }
}

fn length_of(key: &MemberKey) -> (Family, u8) {
    (key.prefix.family(), key.prefix.length())
}

/// The lengths of these members' prefixes.
pub(crate) fn lengths<'a>(keys: impl Iterator<Item = &'a MemberKey>) -> Lengths {
    with_lengths(&Lengths::default(), keys)
}

/// These lengths and those of more members.
pub(crate) fn with_lengths<'a>(
    lengths: &Lengths,
    keys: impl Iterator<Item = &'a MemberKey>,
) -> Lengths {
    let [mut v4, mut v6] = lengths.clone().map(BTreeSet::from_iter);
    for key in keys {
        match key.prefix.family() {
            Family::V4 => v4.insert(key.prefix.length()),
            Family::V6 => v6.insert(key.prefix.length()),
        };
    }
    [v4, v6].map(|of_family| of_family.into_iter().rev().collect())
}

/// A change of members, one address at a time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemberStep {
    /// Members to add or to lead to another set.
    pub puts: Vec<(MemberKey, u32)>,
    /// Members to remove.
    pub removes: Vec<MemberKey>,
    /// Prefix lengths afterwards.
    pub lengths: Lengths,
}

impl MemberStep {
    /// Whether everyone is there as they should be.
    pub fn is_empty(&self) -> bool {
        self.puts.is_empty() && self.removes.is_empty()
    }
}

/// Members that a pass looks at.
#[derive(Debug, Clone)]
pub enum MembersInScope<'d> {
    /// Everyone.
    All,
    /// Those of whom something else is desired than before: what it is now.
    Changed(Vec<(&'d VpcId, Prefix, &'d [SecurityGroupId])>),
}

/// The members of whom two desired states say different things.
pub(crate) fn changed<'d>(before: &'d Desired, after: &'d Desired) -> MembersInScope<'d> {
    let mut changed = Vec::new();
    let nobody = Default::default();
    // Another VPC's members come or go with its first and last policy.
    let vpcs: BTreeSet<&VpcId> = before.members.keys().chain(after.members.keys()).collect();
    for vpc in vpcs {
        match (before.members.get(vpc), after.members.get(vpc)) {
            (Some(before), Some(after)) => before.differences(after, |prefix, _, now| {
                changed.push((vpc, *prefix, now.map_or(&[][..], |groups| groups)));
            }),
            (None, Some(after)) => {
                changed.extend(after.iter().map(|(prefix, groups)| (vpc, *prefix, &**groups)));
            }
            (before, None) => {
                let gone = before.unwrap_or(&nobody).iter();
                changed.extend(gone.map(|(prefix, _)| (vpc, *prefix, &[][..])));
            }
        }
    }
    MembersInScope::Changed(changed)
}

/// Who should be in which groups; in none: gone.
pub(crate) type Wanted = BTreeMap<MemberKey, BTreeSet<u32>>;

/// Who in scope should be in which groups. Members of other groups than those that the desired
/// policies refer to stay in them where they are to be `kept`: an old policy may.
pub(crate) fn wanted(
    desired: &Desired,
    scope: &MembersInScope<'_>,
    books: &mut Books<'_>,
    are_kept: bool,
) -> Result<Wanted, String> {
    let mut wanted = Wanted::new();
    let mut want = |vpc: &VpcId, prefix: Prefix, groups: &[SecurityGroupId]| {
        let vpc = books.numbers.vpc(vpc).map_err(|error| error.to_string())?;
        wanted.insert(MemberKey { vpc, prefix }, set(groups, books.numbers));
        Ok::<_, String>(())
    };
    match scope {
        MembersInScope::All => {
            for (vpc, members) in &desired.members {
                for (prefix, groups) in members.iter() {
                    want(vpc, *prefix, groups)?;
                }
            }
            for key in books.installed.members.sets().keys() {
                wanted.entry(*key).or_default();
            }
        }
        MembersInScope::Changed(changed) => {
            changed.iter().try_for_each(|(vpc, prefix, groups)| want(vpc, *prefix, groups))?;
        }
    }
    if are_kept {
        let referenced = desired.referenced_groups();
        let numbers = referenced.iter().filter_map(|group| books.numbers.group_if_named(group));
        let referenced: BTreeSet<u32> = numbers.collect();
        for (key, groups) in &mut wanted {
            let set = books.installed.members.sets().get(key);
            let words = set.and_then(|set| books.installed.pool.words(*set)).unwrap_or_default();
            let there = words.iter().skip(1).map(|group| *group as u32);
            groups.extend(there.filter(|group| !referenced.contains(group)));
        }
    }
    Ok(wanted)
}

/// From the members that are there to those that are wanted. The books are unchanged by an error.
pub(crate) fn step(
    wanted: &Wanted,
    books: &mut Books<'_>,
    writes: &mut Vec<Write>,
) -> Result<MemberStep, String> {
    let installed = &mut *books.installed;
    let sets = installed.members.sets();
    let is_there = |key: &MemberKey| sets.contains_key(key);
    let more = wanted.iter().filter(|(key, groups)| !groups.is_empty() && !is_there(key)).count();
    let fewer = wanted.iter().filter(|(key, groups)| groups.is_empty() && is_there(key)).count();
    if sets.len() + more - fewer > books.member_limit as usize {
        return Err(Full { of: "member addresses", limit: books.member_limit }.to_string());
    }
    let written = writes.len();
    let mut taken = Vec::with_capacity(wanted.len());
    for groups in wanted.values() {
        if groups.is_empty() {
            taken.push(None);
            continue;
        }
        let words = set_words(&groups.iter().copied().collect::<Vec<_>>());
        match installed.pool.take(&words) {
            Ok((set, write)) => {
                taken.push(Some(set));
                writes.extend(write);
            }
            Err(full) => {
                taken.iter().flatten().for_each(|set| installed.pool.leave(*set));
                writes.truncate(written);
                return Err(format!("members of groups: {full}"));
            }
        }
    }
    let mut step = MemberStep::default();
    for (key, set) in wanted.keys().zip(taken) {
        let before = match set {
            Some(set) => installed.members.insert(*key, set),
            None => installed.members.remove(key),
        };
        if let Some(before) = before {
            installed.pool.leave(before);
        }
        match set {
            Some(set) if before != Some(set) => step.puts.push((*key, set)),
            None if before.is_some() => step.removes.push(*key),
            _ => {}
        }
    }
    step.lengths = installed.members.lengths();
    Ok(step)
}

#[cfg(test)]
mod tests {
    use portcullis_core::net::Cidr;

    use super::*;

    #[test]
    fn lengths_are_those_of_the_members_that_are_there() {
        let key = |cidr: &str| MemberKey { vpc: 1, prefix: cidr.parse::<Cidr>().unwrap().prefix() };
        let mut members = MemberSets::default();
        for (cidr, set) in [("10.0.0.1", 5), ("10.0.0.2", 5), ("10.0.1.0/24", 6), ("::1", 7)] {
            assert_eq!(members.insert(key(cidr), set), None);
        }
        assert_eq!(members.insert(key("10.0.0.1"), 6), Some(5));
        assert_eq!(members.lengths(), [vec![32, 24], vec![128]]);
        assert_eq!(members.remove(&key("10.0.0.1")), Some(6));
        assert_eq!(members.remove(&key("10.0.0.1")), None);
        assert_eq!(members.lengths(), [vec![32, 24], vec![128]]);
        assert_eq!(members.remove(&key("10.0.0.2")), Some(5));
        assert_eq!(members.remove(&key("::1")), Some(7));
        assert_eq!(members.lengths(), [vec![24], vec![]]);
        let more = [key("10.0.0.0/8"), key("::/0")];
        assert_eq!(with_lengths(&members.lengths(), more.iter()), [vec![24, 8], vec![0]]);
    }
}
