//! The first half of a pass: every bound interface has its slot and its device, closed until its
//! policy comes.
//!
//! Pure: decides which devices to take and which to let go. An interface keeps its device by index,
//! so a renaming changes nothing; a device that went away and came back under its name is taken
//! again.
use std::collections::{BTreeMap, BTreeSet};

use portcullis_compile::abi;
use portcullis_compile::interface::{InterfaceSettings, interface_blob};
use portcullis_compile::numbers::Numbers;
use portcullis_core::host::{BoundInterface, Desired};
use portcullis_core::ids::NetworkInterfaceId;

use crate::device::{Device, Devices};
use crate::installed::{Installed, SlotUse};
use crate::kernel::{SlotWord, TORN};
use crate::ledger::{Attachment, Ledger, Place};
use crate::pool::Write;

/// What to do about devices, in the order of the fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AttachPlan {
    /// Words of closed interfaces.
    pub writes: Vec<Write>,
    /// Slots to close.
    pub closed: Vec<(u32, SlotWord)>,
    /// Slots that somebody else had, with the handles whose flows to forget.
    pub inherited: Vec<(u32, u64)>,
    /// Devices to let go.
    pub detach: Vec<u32>,
    /// Devices to take, with their slots; [`TORN`]: nothing is to pass.
    pub attach: Vec<(u32, u32)>,
    /// Slots that are nobody's any more, with the handles whose flows to forget.
    pub left: Vec<(u32, u64)>,
    /// Interfaces that cannot have a place, and why.
    pub failed: BTreeMap<NetworkInterfaceId, String>,
    /// Interfaces whose device is not there.
    pub pending: BTreeMap<NetworkInterfaceId, String>,
}

/// The settings of a bound interface.
pub fn settings(bound: &BoundInterface, handle: u64, keep_established: bool) -> InterfaceSettings {
    InterfaceSettings {
        handle,
        keep_established,
        idle_established_s: bound.idle_times.tcp_established_s.into(),
        idle_closed_s: bound.idle_times.tcp_closed_s.into(),
        idle_udp_s: bound.idle_times.udp_s.into(),
        quota: bound.flows_max.into(),
    }
}

/// Decides; the ledger and what is installed are brought to how they will be when the plan has been
/// carried out.
pub fn decide(
    desired: &Desired,
    devices: &Devices,
    slots: u32,
    ledger: &mut Ledger,
    numbers: &mut Numbers,
    installed: &mut Installed,
) -> AttachPlan {
    let mut plan = AttachPlan::default();
    let mut claimed: BTreeMap<u32, NetworkInterfaceId> = BTreeMap::new();
    for bound in &desired.interfaces {
        let id = &bound.interface;
        let place = match ledger.take_place(id, slots) {
            Ok(place) => place,
            Err(full) => {
                plan.failed.insert(id.clone(), full.to_string());
                shut_out(bound, devices, installed, &mut claimed, &mut plan);
                continue;
            }
        };
        // Its device is taken all the same: a slot that leads nowhere passes nothing.
        if let Err(full) = close_if_new(bound, place, numbers, installed, &mut plan) {
            plan.failed.insert(id.clone(), full);
        }
        let Some(device) = device_of(bound, place, devices, installed) else {
            plan.pending.insert(id.clone(), format!("there is no device `{}`", bound.device));
            // Not listed, and yet our programs stand there: it is out of sight, not gone.
            claimed.extend(kept_index(bound, place, installed).map(|index| (index, id.clone())));
            continue;
        };
        if let Some(other) = claimed.get(&device.index) {
            plan.failed.insert(id.clone(), format!("device `{}` is bound to {other}", device.name));
            continue;
        }
        claimed.insert(device.index, id.clone());
        if place.attachment.as_ref().is_none_or(|a| a.index != device.index) {
            place.attachment = Some(Attachment {
                device: bound.device.to_string(),
                index: device.index,
                picked_up: false,
            });
        }
        if installed.attached.get(&device.index) != Some(&place.slot) {
            plan.attach.push((device.index, place.slot));
        }
    }
    let lost: Vec<u32> =
        installed.attached.keys().filter(|index| !claimed.contains_key(index)).copied().collect();
    plan.detach.extend(&lost);
    installed.attached.retain(|index, _| claimed.contains_key(index));
    installed.attached.extend(plan.attach.iter().copied());
    leave_unbound(desired, ledger, installed, &mut plan);
    plan
}

/// Nothing passes at the device of an interface that finds no place: it would be open.
fn shut_out(
    bound: &BoundInterface,
    devices: &Devices,
    installed: &Installed,
    claimed: &mut BTreeMap<u32, NetworkInterfaceId>,
    plan: &mut AttachPlan,
) {
    let Some(device) = devices.by_name(bound.device.as_str()) else { return };
    if claimed.contains_key(&device.index) {
        return;
    }
    claimed.insert(device.index, bound.interface.clone());
    if installed.attached.get(&device.index) != Some(&TORN) {
        plan.attach.push((device.index, TORN));
    }
}

/// An interface without anything behind its slot passes the baseline only.
fn close_if_new(
    bound: &BoundInterface,
    place: &Place,
    numbers: &mut Numbers,
    installed: &mut Installed,
    plan: &mut AttachPlan,
) -> Result<(), String> {
    let used = installed.slots.get(&place.slot).copied().unwrap_or_default();
    if used.handle == place.handle {
        return Ok(());
    }
    let taken = installed.pool.take(&closed_words(bound, place.handle, numbers));
    let blob = taken.as_ref().map_or(0, |(blob, _)| *blob);
    let word = SlotWord { generation: used.word.generation.wrapping_add(1), blob };
    plan.closed.push((place.slot, word));
    if installed.slots.remove(&place.slot).is_some() {
        plan.inherited.push((place.slot, used.handle));
        installed.leave(used);
    }
    let (_, write) = taken.map_err(|full| full.to_string())?;
    plan.writes.extend(write);
    let used = SlotUse { word, tables: [0; 2], closed: true, handle: place.handle };
    installed.slots.insert(place.slot, used);
    Ok(())
}

/// What cannot be compiled is closed without knowing its own addresses.
fn closed_words(bound: &BoundInterface, handle: u64, numbers: &mut Numbers) -> Vec<u64> {
    // A closed interface has no flows to keep.
    let settings = settings(bound, handle, false);
    let policy = bound.policy.as_ref().ok();
    let blob = policy.and_then(|policy| interface_blob(policy, &settings, numbers).ok());
    let nothing = || vec![0; abi::INTERFACE_HEADER_WORDS as usize];
    let mut words = blob.map_or_else(nothing, |blob| blob.words(0, 0));
    for (index, value) in
        [(abi::INTERFACE_HANDLE, handle), (abi::INTERFACE_FLAGS, abi::FLAG_CLOSED)]
    {
        if let Some(word) = words.get_mut(index as usize) {
            *word |= value;
        }
    }
    words
}

/// The device that an interface has, or that its binding names.
fn device_of<'d>(
    bound: &BoundInterface,
    place: &Place,
    devices: &'d Devices,
    installed: &Installed,
) -> Option<&'d Device> {
    let name = bound.device.as_str();
    let held = place.attachment.as_ref().filter(|a| a.device == name).and_then(|attachment| {
        let device = devices.by_index(attachment.index)?;
        let is_ours = installed.is_led_to(attachment.index, place.slot);
        // Without a program of ours there an index proves nothing: another device may have it now.
        (is_ours || device.name == name).then_some(device)
    });
    held.or_else(|| devices.by_name(name))
}

/// The device to which our programs are attached for this binding.
fn kept_index(bound: &BoundInterface, place: &Place, installed: &Installed) -> Option<u32> {
    let attachment = place.attachment.as_ref().filter(|a| a.device == bound.device.as_str())?;
    installed.is_led_to(attachment.index, place.slot).then_some(attachment.index)
}

fn leave_unbound(
    desired: &Desired,
    ledger: &mut Ledger,
    installed: &mut Installed,
    plan: &mut AttachPlan,
) {
    let wanted: BTreeSet<&str> = desired.interfaces.iter().map(|b| b.interface.as_str()).collect();
    let unbound: Vec<String> = ledger
        .places()
        .filter(|(name, _)| !wanted.contains(name))
        .map(|(name, _)| name.to_string())
        .collect();
    for name in unbound {
        if let Some(place) = ledger.leave_place(&name) {
            plan.left.push((place.slot, place.handle));
            if let Some(used) = installed.slots.remove(&place.slot) {
                installed.leave(used);
            }
        }
    }
    // An agent that died after it had forgotten a place, and before the kernel had.
    let owned: BTreeSet<u32> = ledger.places().map(|(_, place)| place.slot).collect();
    let orphans: Vec<u32> =
        installed.slots.keys().filter(|slot| !owned.contains(slot)).copied().collect();
    for slot in orphans {
        if let Some(used) = installed.slots.remove(&slot) {
            plan.left.push((slot, used.handle));
            installed.leave(used);
        }
    }
}
