//! Carrying plans out on a kernel, in their order, and reading back what came of it.
//!
//! Decides nothing. An error of the kernel stops a plan where it is: every step leaves packets
//! judged by the old policy or by the new one, never by neither; the next pass begins by reading
//! what is there.
use std::collections::{BTreeMap, BTreeSet};
use std::io;

use portcullis_core::net::Family;

use crate::attach::AttachPlan;
use crate::installed::Installed;
use crate::kernel::{Kernel, SlotWord};
use crate::membership::{Lengths, MemberStep, with_lengths};
use crate::policy::PolicyPlan;
use crate::pool::Write;

/// Takes and lets go of devices. Answers the devices that could not be taken, and why: they concern
/// their interfaces alone.
pub fn carry_out_attach(
    plan: &AttachPlan,
    kernel: &mut impl Kernel,
) -> io::Result<BTreeMap<u32, io::Error>> {
    let mut refused = BTreeMap::new();
    write_all(&plan.writes, kernel)?;
    for (slot, word) in &plan.closed {
        kernel.set_pick_up_until(*slot, 0)?;
        kernel.set_slot(*slot, *word)?;
    }
    for (slot, handle) in &plan.inherited {
        kernel.forget(*handle, *slot)?;
    }
    for device in &plan.detach {
        kernel.detach(*device)?;
    }
    for (device, slot) in &plan.attach {
        if let Err(error) = kernel.attach(*device, *slot) {
            refused.insert(*device, error);
        }
    }
    for (slot, handle) in &plan.left {
        let generation = kernel.slot(*slot).generation.wrapping_add(1);
        kernel.set_slot(*slot, SlotWord { generation, blob: 0 })?;
        kernel.forget(*handle, *slot)?;
    }
    Ok(refused)
}

/// Puts policies and members in place. What was replaced may still judge a packet until the
/// kernel's barrier.
pub fn carry_out_policy(
    plan: &PolicyPlan,
    pick_up_ns: u64,
    kernel: &mut impl Kernel,
) -> io::Result<()> {
    write_all(&plan.writes, kernel)?;
    change_members(&plan.members_meanwhile, kernel)?;
    for slot in &plan.pick_ups {
        let until = if pick_up_ns == 0 { 0 } else { kernel.now_ns().saturating_add(pick_up_ns) };
        kernel.set_pick_up_until(*slot, until)?;
    }
    for (slot, word) in &plan.flips {
        kernel.set_slot(*slot, *word)?;
    }
    change_members(&plan.members, kernel)
}

/// Reads back what a plan wrote: the slots of these that do not lead where they should, with the
/// reason, or an error that concerns all.
pub fn read_back(
    plan: &PolicyPlan,
    slots: impl IntoIterator<Item = u32>,
    installed: &Installed,
    kernel: &impl Kernel,
) -> io::Result<BTreeMap<u32, String>> {
    let mut wrong = BTreeMap::new();
    for slot in slots {
        if installed.slots.get(&slot).is_some_and(|used| kernel.slot(slot) != used.word) {
            wrong.insert(slot, "the kernel's slot does not lead to the policy".to_string());
        }
    }
    let (mut seen, mut damaged) = (BTreeSet::new(), BTreeSet::new());
    let mut is_whole = |offset: u32| {
        if seen.insert(offset) {
            let words = installed.pool.words(offset).unwrap_or_default();
            if kernel.read_pool(offset, words.len() as u32) != words {
                damaged.insert(offset);
            }
        }
        !damaged.contains(&offset)
    };
    for (slot, _) in &plan.flips {
        let Some(used) = installed.slots.get(slot) else { continue };
        if ![used.word.blob, used.tables[0], used.tables[1]].into_iter().all(&mut is_whole) {
            wrong.insert(*slot, "the kernel's pool does not hold the policy".to_string());
        }
    }
    let steps = [&plan.members_meanwhile, &plan.members];
    let changed =
        steps.iter().flat_map(|step| step.puts.iter().map(|(key, _)| key).chain(&step.removes));
    for key in changed {
        let wanted = installed.members.sets().get(key).copied();
        if kernel.member(*key)? != wanted || !wanted.is_none_or(&mut is_whole) {
            return Err(io::Error::other(format!("member {} is not as it was put", key.prefix)));
        }
    }
    Ok(wrong)
}

fn write_all(writes: &[Write], kernel: &mut impl Kernel) -> io::Result<()> {
    writes.iter().try_for_each(|write| kernel.write_pool(write.offset, &write.words))
}

/// Lengths are told before members that need them, and forgotten after the last that did.
fn change_members(step: &MemberStep, kernel: &mut impl Kernel) -> io::Result<()> {
    if step.is_empty() {
        return Ok(());
    }
    let keys = step.puts.iter().map(|(key, _)| key).chain(&step.removes);
    set_lengths(&with_lengths(&step.lengths, keys), kernel)?;
    for (key, set) in &step.puts {
        kernel.put_member(*key, *set)?;
    }
    for key in &step.removes {
        kernel.remove_member(*key)?;
    }
    kernel.raise_membership()?;
    set_lengths(&step.lengths, kernel)
}

fn set_lengths(lengths: &Lengths, kernel: &mut impl Kernel) -> io::Result<()> {
    let [v4, v6] = lengths;
    kernel.set_member_lengths(Family::V4, v4)?;
    kernel.set_member_lengths(Family::V6, v6)
}
