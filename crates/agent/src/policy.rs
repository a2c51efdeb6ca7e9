//! The second half of a pass: every bound interface has the policy of the desired revision, and
//! members are who they are now.
//!
//! Pure: compiles, compares with what is installed, and emits only the difference. What cannot be
//! compiled or placed fails alone and keeps its last good policy. Members of groups that a policy
//! newly refers to come ahead of the policy; those that only its forerunner referred to go after
//! it. Members have the first choice of the pool's free space, since a policy that finds none fails
//! alone and they would fail everyone who refers to them.
use std::collections::{BTreeMap, BTreeSet};

use portcullis_compile::interface::compile;
use portcullis_compile::members::{MemberKey, set_words};
use portcullis_compile::numbers::Numbers;
use portcullis_core::host::{BoundInterface, Desired};
use portcullis_core::ids::NetworkInterfaceId;
use portcullis_core::net::Family;
use portcullis_core::verdict::DecidingRule;

use crate::attach::settings;
use crate::device::Devices;
use crate::installed::{Installed, SlotUse};
use crate::kernel::SlotWord;
use crate::ledger::{Full, Ledger, Place};
use crate::pool::{PoolFull, Write};

/// Prefix lengths of members, IPv4 and IPv6, longest first.
pub type Lengths = [Vec<u8>; 2];

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

/// What to change, in the order of the fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyPlan {
    /// New words.
    pub writes: Vec<Write>,
    /// Members, so that they serve the old policies and the new ones.
    pub members_meanwhile: MemberStep,
    /// Slots whose running flows may be picked up.
    pub pick_ups: Vec<u32>,
    /// Slots to lead to their new policies.
    pub flips: Vec<(u32, SlotWord)>,
    /// Members, so that they serve the new policies alone.
    pub members: MemberStep,
    /// Interfaces that keep what they had, and why.
    pub failed: BTreeMap<NetworkInterfaceId, String>,
}

impl PolicyPlan {
    /// Whether any packet will be judged by something else than before.
    pub fn changes_verdicts(&self) -> bool {
        !(self.flips.is_empty() && self.members_meanwhile.is_empty() && self.members.is_empty())
    }
}

/// What is known and remembered, to be changed by a decision.
pub struct Books<'a> {
    /// Places of interfaces.
    pub ledger: &'a mut Ledger,
    /// Numbers of groups, VPCs and rules.
    pub numbers: &'a mut Numbers,
    /// What the kernel holds.
    pub installed: &'a mut Installed,
    /// How many rule counters the kernel has.
    pub counters: u32,
    /// How many members the kernel has room for.
    pub member_limit: u32,
    /// Whether flows keep their first verdict when rules change.
    pub keep_established: bool,
}

/// Decides; the books are brought to how they will be when the plan has been carried out.
pub fn decide(desired: &Desired, devices: &Devices, books: &mut Books<'_>) -> PolicyPlan {
    let (mut plan, mut first_policies) = (PolicyPlan::default(), Vec::new());
    name_groups(desired, books.numbers);
    let members = members_meanwhile(desired, books, &mut plan);
    for bound in &desired.interfaces {
        // An interface without a place was refused one in the first half.
        let Some(place) = books.ledger.place(&bound.interface).cloned() else { continue };
        let decided = match &members {
            // A policy without the members that it refers to could let through what its rules drop.
            Err(why) if refers_to_groups(bound) => Err(why.clone()),
            _ => decide_interface(bound, &place, books, &mut plan),
        };
        match decided {
            Ok(true) => first_policies.push(bound),
            Ok(false) => {}
            Err(why) => {
                plan.failed.insert(bound.interface.clone(), why);
            }
        }
    }
    // What keeps its last good policy may need the members of that.
    if plan.failed.is_empty() {
        match members_afterwards(desired, books, &mut plan.writes) {
            Ok(step) => plan.members = step,
            Err(why) => tracing::warn!(why, "members whom no policy asks for stay for now"),
        }
    }
    for bound in first_policies {
        pick_up(bound, devices, books.ledger, &mut plan);
    }
    plan
}

/// Every group that a policy refers to has its number before members are looked at. What finds none
/// is refused where its policy is compiled.
fn name_groups(desired: &Desired, numbers: &mut Numbers) {
    let policies = desired.interfaces.iter().filter_map(|bound| bound.policy.as_ref().ok());
    for group in policies.flat_map(|policy| policy.referenced_groups()) {
        if numbers.group(&group).is_err() {
            return;
        }
    }
}

fn refers_to_groups(bound: &BoundInterface) -> bool {
    bound.policy.as_ref().is_ok_and(|policy| !policy.referenced_groups().is_empty())
}

/// True if the interface had no policy before.
fn decide_interface(
    bound: &BoundInterface,
    place: &Place,
    books: &mut Books<'_>,
    plan: &mut PolicyPlan,
) -> Result<bool, String> {
    let policy = bound.policy.as_ref().map_err(ToString::to_string)?;
    let compiled =
        compile(policy, &settings(bound, place.handle, books.keep_established), books.numbers)
            .map_err(|error| format!("{error}; {}", error.help()))?;
    for rule in policy.egress.iter().chain(&policy.ingress) {
        let name = DecidingRule { group: rule.group.clone(), rule: rule.rule.id.clone() };
        let number = books.numbers.rule(&name).map_err(|error| error.to_string())?;
        if number >= books.counters {
            return Err(format!("this host has room for {} rules with counters", books.counters));
        }
    }
    let mut taken = Vec::new();
    let placed = place_words(&compiled, books.installed, plan, &mut taken);
    let (blob, tables) = placed.map_err(|full| {
        taken.iter().for_each(|offset| books.installed.pool.leave(*offset));
        full.to_string()
    })?;
    let before = books.installed.slots.get(&place.slot).copied().unwrap_or_default();
    if before.word.blob == blob {
        // The very same words: nothing changes, and nobody holds them twice.
        taken.iter().for_each(|offset| books.installed.pool.leave(*offset));
        return Ok(false);
    }
    let word = SlotWord { generation: before.word.generation.wrapping_add(1), blob };
    plan.flips.push((place.slot, word));
    books.installed.leave(before);
    let used = SlotUse { word, tables, closed: false, handle: place.handle };
    books.installed.slots.insert(place.slot, used);
    Ok(before.closed || before.handle != place.handle)
}

fn place_words(
    compiled: &portcullis_compile::interface::CompiledInterface,
    installed: &mut Installed,
    plan: &mut PolicyPlan,
    taken: &mut Vec<u32>,
) -> Result<(u32, [u32; 2]), PoolFull> {
    let mut take = |words: &[u64]| {
        let (offset, write) = installed.pool.take(words)?;
        taken.push(offset);
        plan.writes.extend(write);
        Ok(offset)
    };
    let egress = take(&compiled.egress)?;
    let ingress = take(&compiled.ingress)?;
    let blob = take(&compiled.interface.words(egress.into(), ingress.into()))?;
    Ok((blob, [egress, ingress]))
}

/// A device that was running before its interface's first policy has flows whose beginning nobody
/// saw. Once.
fn pick_up(bound: &BoundInterface, devices: &Devices, ledger: &mut Ledger, plan: &mut PolicyPlan) {
    let Some(place) = ledger.place_mut(&bound.interface) else { return };
    let Some(attachment) = place.attachment.as_mut().filter(|a| !a.picked_up) else { return };
    attachment.picked_up = true;
    if devices.by_index(attachment.index).is_some_and(|device| device.is_up) {
        plan.pick_ups.push(place.slot);
    }
}

/// Everyone whom the old policies or the new ones may ask for.
fn members_meanwhile(
    desired: &Desired,
    books: &mut Books<'_>,
    plan: &mut PolicyPlan,
) -> Result<(), String> {
    let wanted = wanted_members(desired, books, true)?;
    plan.members_meanwhile = member_step(&wanted, books, &mut plan.writes)?;
    Ok(())
}

/// Those whom the new policies ask for, after the flips.
fn members_afterwards(
    desired: &Desired,
    books: &mut Books<'_>,
    writes: &mut Vec<Write>,
) -> Result<MemberStep, String> {
    let wanted = wanted_members(desired, books, false)?;
    member_step(&wanted, books, writes)
}

/// From the members that are there to those that are wanted. The books are unchanged by an error.
fn member_step(
    wanted: &BTreeMap<MemberKey, BTreeSet<u32>>,
    books: &mut Books<'_>,
    writes: &mut Vec<Write>,
) -> Result<MemberStep, String> {
    if wanted.len() > books.member_limit as usize {
        return Err(Full { of: "member addresses", limit: books.member_limit }.to_string());
    }
    let Installed { pool, members, .. } = books.installed;
    let written = writes.len();
    let mut sets = Vec::with_capacity(wanted.len());
    for groups in wanted.values() {
        let words = set_words(&groups.iter().copied().collect::<Vec<_>>());
        match pool.take(&words) {
            Ok((set, write)) => {
                sets.push(set);
                writes.extend(write);
            }
            Err(full) => {
                sets.iter().for_each(|set| pool.leave(*set));
                writes.truncate(written);
                return Err(format!("members of groups: {full}"));
            }
        }
    }
    let mut step = MemberStep { lengths: lengths(wanted.keys()), ..MemberStep::default() };
    for (key, set) in wanted.keys().zip(sets) {
        let before = members.insert(*key, set);
        if let Some(before) = before {
            pool.leave(before);
        }
        if before != Some(set) {
            step.puts.push((*key, set));
        }
    }
    let gone = members.keys().filter(|key| !wanted.contains_key(key)).copied();
    step.removes = gone.collect();
    for key in &step.removes {
        if let Some(set) = members.remove(key) {
            pool.leave(set);
        }
    }
    Ok(step)
}

/// Who should be in which groups. With `keep_unknown`, members of groups that no policy of the
/// desired revision refers to stay in them: an old policy may.
fn wanted_members(
    desired: &Desired,
    books: &mut Books<'_>,
    keep_unknown: bool,
) -> Result<BTreeMap<MemberKey, BTreeSet<u32>>, String> {
    let mut wanted: BTreeMap<MemberKey, BTreeSet<u32>> = BTreeMap::new();
    for (vpc, members) in &desired.members {
        let vpc = books.numbers.vpc(vpc).map_err(|error| error.to_string())?;
        for (prefix, groups) in members {
            let groups = portcullis_compile::members::set(groups, books.numbers);
            if !groups.is_empty() {
                wanted.insert(MemberKey { vpc, prefix: *prefix }, groups);
            }
        }
    }
    if keep_unknown {
        let referenced: BTreeSet<u32> = desired
            .interfaces
            .iter()
            .filter_map(|bound| bound.policy.as_ref().ok())
            .flat_map(|policy| policy.referenced_groups())
            .filter_map(|group| books.numbers.group_if_named(&group))
            .collect();
        for (key, set) in &books.installed.members {
            let kept = books.installed.pool.words(*set).unwrap_or_default().iter().skip(1);
            let kept: Vec<u32> =
                kept.map(|group| *group as u32).filter(|g| !referenced.contains(g)).collect();
            if !kept.is_empty() {
                wanted.entry(*key).or_default().extend(kept);
            }
        }
    }
    Ok(wanted)
}

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
