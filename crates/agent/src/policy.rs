//! The second half of a pass: every bound interface has the policy of the desired revision, and
//! members are who they are now.
//!
//! Pure: compiles, compares with what is installed, and emits only the difference. A pass looks at
//! everything, or at what differs from the state that the one before it had brought about. What
//! cannot be compiled or placed fails alone and keeps its last good policy. Members of groups that
//! a policy newly refers to come ahead of the policy; those that only its forerunner referred to go
//! after it. Members have the first choice of the pool's free space, since a policy that finds none
//! fails alone and they would fail everyone who refers to them.
use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis_compile::interface::interface_blob;
use portcullis_compile::numbers::Numbers;
use portcullis_core::host::{BoundInterface, Desired};
use portcullis_core::ids::NetworkInterfaceId;
use portcullis_core::rule::Direction;

use crate::attach::settings;
use crate::device::Devices;
use crate::installed::{Installed, SlotUse};
use crate::kernel::SlotWord;
use crate::ledger::{Ledger, Place};
use crate::membership::{self, MemberStep, MembersInScope};
use crate::pool::Write;
use crate::tables::Tables;

/// What a pass looks at. Everything else is taken to be as it was left.
#[derive(Debug, Clone)]
pub struct Scope<'d> {
    /// What should be.
    pub desired: &'d Desired,
    /// Interfaces whose policies may be others than those that are in place.
    pub interfaces: Vec<&'d BoundInterface>,
    /// Members who may be in other groups.
    pub members: MembersInScope<'d>,
}

impl<'d> Scope<'d> {
    /// Everything.
    pub fn all(desired: &'d Desired) -> Self {
        let interfaces = desired.interfaces.iter().map(Arc::as_ref).collect();
        Self { desired, interfaces, members: MembersInScope::All }
    }

    /// What differs from a state that is in place, if the same interfaces are bound to the same
    /// devices in both.
    pub fn difference(before: &'d Desired, desired: &'d Desired) -> Option<Self> {
        if before.interfaces.len() != desired.interfaces.len() {
            return None;
        }
        let mut interfaces = Vec::new();
        for (before, after) in before.interfaces.iter().zip(&desired.interfaces) {
            if Arc::ptr_eq(before, after) {
                continue;
            }
            if (&before.interface, &before.device) != (&after.interface, &after.device) {
                return None;
            }
            if before != after {
                interfaces.push(after.as_ref());
            }
        }
        let members = membership::changed(before, desired);
        Some(Self { desired, interfaces, members })
    }

    /// Whether it is everything.
    pub fn is_all(&self) -> bool {
        matches!(self.members, MembersInScope::All)
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
    /// Whether something was noted about devices in the ledger.
    pub notes_devices: bool,
}

impl PolicyPlan {
    /// Whether somebody joins or leaves a group.
    pub fn changes_members(&self) -> bool {
        !(self.members_meanwhile.is_empty() && self.members.is_empty())
    }

    /// Whether any packet will be judged by something else than before.
    pub fn changes_verdicts(&self) -> bool {
        !self.flips.is_empty() || self.changes_members()
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
    /// Tables that stand in it.
    pub tables: &'a mut Tables,
    /// How many rule counters the kernel has.
    pub counters: u32,
    /// How many members the kernel has room for.
    pub member_limit: u32,
    /// Whether flows keep their first verdict when rules change.
    pub keep_established: bool,
}

/// Decides; the books are brought to how they will be when the plan has been carried out.
pub fn decide(scope: &Scope<'_>, devices: &Devices, books: &mut Books<'_>) -> PolicyPlan {
    let (mut plan, mut first_policies) = (PolicyPlan::default(), Vec::new());
    name_groups(scope, books.numbers);
    let members = members_meanwhile(scope, books, &mut plan);
    if let Err(why) = &members {
        // A policy without the members that it refers to could let through what its rules drop.
        let of_groups = scope.desired.interfaces.iter().filter(|bound| refers_to_groups(bound));
        plan.failed.extend(of_groups.map(|bound| (bound.interface.clone(), why.clone())));
    }
    for bound in &scope.interfaces {
        // An interface without a place was refused one in the first half.
        let Some(place) = books.ledger.place(&bound.interface).cloned() else { continue };
        if members.is_err() && refers_to_groups(bound) {
            continue;
        }
        match decide_interface(bound, &place, books, &mut plan) {
            Ok(true) => first_policies.push(*bound),
            Ok(false) => {}
            Err(why) => {
                plan.failed.insert(bound.interface.clone(), why);
            }
        }
    }
    books.tables.retain_those_in(&books.installed.pool);
    // What keeps its last good policy may need the members of that.
    if plan.failed.is_empty() {
        match members_afterwards(scope, books, &mut plan.writes) {
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
fn name_groups(scope: &Scope<'_>, numbers: &mut Numbers) {
    if scope.interfaces.is_empty() {
        return;
    }
    for group in scope.desired.referenced_groups() {
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
    let mut taken = Vec::new();
    let (blob, tables) = place_words(bound, place, books, plan, &mut taken).inspect_err(|_| {
        taken.iter().for_each(|offset| books.installed.pool.leave(*offset));
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

/// Where an interface's own words and its tables stand.
fn place_words(
    bound: &BoundInterface,
    place: &Place,
    books: &mut Books<'_>,
    plan: &mut PolicyPlan,
    taken: &mut Vec<u32>,
) -> Result<(u32, [u32; 2]), String> {
    let policy = bound.policy.as_ref().map_err(ToString::to_string)?;
    let settings = settings(bound, place.handle, books.keep_established);
    let own = interface_blob(policy, &settings, books.numbers)
        .map_err(|error| format!("{error}; {}", error.help()))?;
    let pool = &mut books.installed.pool;
    let mut tables = [0; 2];
    for (table, direction) in tables.iter_mut().zip([Direction::Egress, Direction::Ingress]) {
        let (offset, write) =
            books.tables.take(policy, direction, books.counters, books.numbers, pool)?;
        taken.push(offset);
        plan.writes.extend(write);
        *table = offset;
    }
    let [egress, ingress] = tables;
    let words = own.words(egress.into(), ingress.into());
    let (blob, write) = pool.take(&words).map_err(|full| full.to_string())?;
    taken.push(blob);
    plan.writes.extend(write);
    Ok((blob, tables))
}

/// A device that was running before its interface's first policy has flows whose beginning nobody
/// saw. Once.
fn pick_up(bound: &BoundInterface, devices: &Devices, ledger: &mut Ledger, plan: &mut PolicyPlan) {
    let Some(place) = ledger.place_mut(&bound.interface) else { return };
    let Some(attachment) = place.attachment.as_mut().filter(|a| !a.picked_up) else { return };
    attachment.picked_up = true;
    plan.notes_devices = true;
    if devices.by_index(attachment.index).is_some_and(|device| device.is_up) {
        plan.pick_ups.push(place.slot);
    }
}

/// Everyone whom the old policies or the new ones may ask for.
fn members_meanwhile(
    scope: &Scope<'_>,
    books: &mut Books<'_>,
    plan: &mut PolicyPlan,
) -> Result<(), String> {
    // Where no policy changes, none asks for others than before.
    let are_kept = !scope.interfaces.is_empty();
    let wanted = membership::wanted(scope.desired, &scope.members, books, are_kept)?;
    plan.members_meanwhile = membership::step(&wanted, books, &mut plan.writes)?;
    Ok(())
}

/// Those whom the new policies ask for, after the flips.
fn members_afterwards(
    scope: &Scope<'_>,
    books: &mut Books<'_>,
    writes: &mut Vec<Write>,
) -> Result<MemberStep, String> {
    let wanted = membership::wanted(scope.desired, &scope.members, books, false)?;
    membership::step(&wanted, books, writes)
}
