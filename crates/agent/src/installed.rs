//! What the kernel holds, as far as the agent put it there: read back at start, kept in step with
//! every plan.
//!
//! Knows the layout of blobs well enough to follow their references, not what rules mean. A slot
//! whose words make no sense is taken for empty, which is closed.
use std::collections::{BTreeMap, BTreeSet};
use std::io;

use portcullis_compile::abi;
use portcullis_core::net::Family;

use crate::kernel::{Kernel, SlotWord};
use crate::membership::MemberSets;
use crate::pool::{Overlap, Pool, extent_length};

/// Longest blob that is believed when read back.
const BLOB_WORDS_MAX: u32 = portcullis_compile::budget::TABLE_WORDS_MAX as u32;

/// What stands behind a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SlotUse {
    /// Its word.
    pub word: SlotWord,
    /// Pool offsets of the egress and ingress tables; 0: none, as of a closed interface.
    pub tables: [u32; 2],
    /// Whether the interface has no policy yet.
    pub closed: bool,
    /// The interface's number.
    pub handle: u64,
}

/// All of it.
#[derive(Debug, Clone)]
pub struct Installed {
    /// The words, by place and content.
    pub pool: Pool,
    /// Slots that lead somewhere.
    pub slots: BTreeMap<u32, SlotUse>,
    /// Pool offset of each member's set.
    pub members: MemberSets,
    /// Slot of each device with our programs.
    pub attached: BTreeMap<u32, u32>,
    /// Slots that devices were led to at which only a part of ours was found.
    pub halved: BTreeMap<u32, u32>,
}

impl Installed {
    /// Reads what is there. Slots and members that cannot be followed are closed and removed, since
    /// their words may be overwritten once no packet is judged by them any more.
    pub fn read(kernel: &mut impl Kernel) -> io::Result<Self> {
        let mut installed = Self {
            pool: Pool::new(kernel.pool_words()),
            slots: BTreeMap::new(),
            members: MemberSets::default(),
            attached: kernel.attached()?,
            halved: kernel.halved()?,
        };
        for slot in 0..kernel.slot_count() {
            let word = kernel.slot(slot);
            if word.blob != 0 && installed.adopt_slot(kernel, slot, word).is_none() {
                tracing::warn!(slot, blob = word.blob, "a slot leads to no policy; it is closed");
                let generation = word.generation.wrapping_add(1);
                kernel.set_slot(slot, SlotWord { generation, blob: 0 })?;
            }
        }
        for (key, set) in kernel.members()? {
            if installed.adopt_blob(kernel, set).is_some() {
                installed.members.insert(key, set);
            } else {
                tracing::warn!(member = %key.prefix, set, "a member of no group is removed");
                kernel.remove_member(key)?;
            }
        }
        // Whoever is a member must be found, whatever somebody did to the lengths.
        let [v4, v6] = installed.members.lengths();
        kernel.set_member_lengths(Family::V4, &v4)?;
        kernel.set_member_lengths(Family::V6, &v6)?;
        Ok(installed)
    }

    /// Whether the device of this index is one that was led to this slot: all of ours stands there,
    /// or what others left of it.
    pub fn is_led_to(&self, index: u32, slot: u32) -> bool {
        [&self.attached, &self.halved].iter().any(|led| led.get(&index) == Some(&slot))
    }

    /// Whether the kernel still agrees about slots and devices.
    pub fn agrees_with(&self, kernel: &impl Kernel) -> io::Result<bool> {
        Ok(self.slots_agree(kernel) && self.attached == kernel.attached()?)
    }

    /// Whether the slots lead where they were led.
    pub fn slots_agree(&self, kernel: &impl Kernel) -> bool {
        self.slots.iter().all(|(slot, used)| kernel.slot(*slot) == used.word)
    }

    /// Gives up what stood behind a slot: its words are retired.
    pub fn leave(&mut self, used: SlotUse) {
        for offset in [used.word.blob, used.tables[0], used.tables[1]] {
            if offset != 0 {
                self.pool.leave(offset);
            }
        }
    }

    /// The numbers of the counters of all rules that are in force.
    pub fn rule_counters(&self) -> BTreeSet<u32> {
        let tables: BTreeSet<u32> = self.slots.values().flat_map(|used| used.tables).collect();
        let actions = tables.into_iter().filter_map(|table| {
            let words = self.pool.words(table)?;
            let section = words.get(abi::TABLE_ACTIONS as usize)?;
            let (offset, count) = ((section >> 32) as usize, *section as u32 as usize);
            words.get(offset..offset.checked_add(count)?)
        });
        actions.flatten().map(|action| *action as u32).collect()
    }

    fn adopt_slot(&mut self, kernel: &impl Kernel, slot: u32, word: SlotWord) -> Option<()> {
        let blob = self.adopt_blob(kernel, word.blob)?;
        let at = |index: u64| blob.get(index as usize).copied();
        let closed = at(abi::INTERFACE_FLAGS)? & abi::FLAG_CLOSED != 0;
        let mut tables = [0; 2];
        if !closed {
            for (table, index) in
                tables.iter_mut().zip([abi::INTERFACE_EGRESS, abi::INTERFACE_INGRESS])
            {
                *table = u32::try_from(at(index)?).ok()?;
                self.adopt_blob(kernel, *table)?;
            }
        }
        let handle = at(abi::INTERFACE_HANDLE)?;
        self.slots.insert(slot, SlotUse { word, tables, closed, handle });
        Some(())
    }

    fn adopt_blob(&mut self, kernel: &impl Kernel, offset: u32) -> Option<Vec<u64>> {
        let extent = *kernel.read_pool(offset.checked_sub(1)?, 1).first()?;
        let length = extent_length(extent).filter(|length| *length <= BLOB_WORDS_MAX)?;
        let words = kernel.read_pool(offset, length);
        if words.len() != length as usize {
            return None;
        }
        match self.pool.adopt(offset, words.clone()) {
            Ok(()) => Some(words),
            Err(Overlap { offset }) => {
                tracing::warn!(offset, "two blobs overlap in the pool");
                None
            }
        }
    }
}
