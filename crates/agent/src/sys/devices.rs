//! Which slot each device leads to: the `devices` map's words, mapped into memory.
//!
//! Knows where a device's word may stand, and refuses to know what stands at the device. A packet
//! sees the word before a change or the one after it.
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::os::fd::BorrowedFd;

use super::abi::{DEVICE_BUCKETS, DEVICES_PER_BUCKET};
use super::words::Words;

/// Slots by device.
#[derive(Debug)]
pub(super) struct DeviceTable {
    words: Words,
}

/// The device and the slot of a word; `None` of a free place.
fn device_and_slot(word: u64) -> Option<(u32, u32)> {
    (word != 0).then_some(((word >> 32) as u32, (word as u32).wrapping_sub(1)))
}

/// The word that leads a device to a slot. One that there is not is told as none at all.
fn word(device: u32, slot: u32) -> u64 {
    (u64::from(device) << 32) | u64::from(slot.wrapping_add(1))
}

/// Where a device's word may stand.
fn bucket(device: u32) -> Range<usize> {
    let first = device as usize % DEVICE_BUCKETS * DEVICES_PER_BUCKET;
    first..first + DEVICES_PER_BUCKET
}

impl DeviceTable {
    /// The table of a map.
    pub(super) fn map(map: BorrowedFd<'_>) -> io::Result<Self> {
        Ok(Self { words: Words::map(map, DEVICE_BUCKETS * DEVICES_PER_BUCKET)? })
    }

    /// All devices as packets find them.
    pub(super) fn all(&self) -> BTreeMap<u32, u32> {
        let mut found = BTreeMap::new();
        for at in 0..DEVICE_BUCKETS * DEVICES_PER_BUCKET {
            let entry = self.words.load(at).and_then(device_and_slot);
            if let Some((device, slot)) = entry.filter(|(device, _)| bucket(*device).contains(&at))
            {
                found.entry(device).or_insert(slot);
            }
        }
        found
    }

    /// Leads a device to a slot, wherever it led before.
    pub(super) fn lead(&self, device: u32, slot: u32) -> io::Result<()> {
        let stands = |at: &usize, wanted: Option<u32>| {
            self.words.load(*at).and_then(device_and_slot).map(|(device, _)| device) == wanted
        };
        let place = bucket(device).find(|at| stands(at, Some(device)));
        let place = place.or_else(|| bucket(device).find(|at| stands(at, None)));
        let place = place.ok_or_else(|| {
            let message = format!(
                "device {device} has no place: {DEVICES_PER_BUCKET} others have a number that \
                 leaves the same remainder by {DEVICE_BUCKETS}"
            );
            io::Error::new(io::ErrorKind::StorageFull, message)
        })?;
        self.words.store(place, word(device, slot))
    }

    /// Leads a device nowhere.
    pub(super) fn forget(&self, device: u32) -> io::Result<()> {
        for at in bucket(device) {
            let entry = self.words.load(at).and_then(device_and_slot);
            if entry.is_some_and(|(other, _)| other == device) {
                self.words.store(at, 0)?;
            }
        }
        Ok(())
    }
}
