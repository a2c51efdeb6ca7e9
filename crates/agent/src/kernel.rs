//! The kernel as the agent sees it: words in a pool, slots, members and devices.
//!
//! A trait, so that planning, ordering and recovery are tested against a kernel of memory that
//! fails where it is told to; the real one is made of the pinned maps and links in [`crate::sys`].
//! Nothing here knows what a policy is.
use std::collections::BTreeMap;
use std::io;

use portcullis_compile::members::MemberKey;
use portcullis_core::net::Family;
use portcullis_core::rule::{Direction, Policy};
use portcullis_core::verdict::Reason;

use crate::audit::MembersPart;

/// In place of a slot: the device is gone or lacks one of our programs, or leads to no slot.
pub const TORN: u32 = u32::MAX;

/// A slot's word: what the program reads once for each packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SlotWord {
    /// Raised with every change, so that flows are judged again.
    pub generation: u32,
    /// Pool offset of the INTERFACE blob; 0: nothing passes.
    pub blob: u32,
}

impl SlotWord {
    /// As it stands in the kernel.
    pub fn to_word(self) -> u64 {
        (u64::from(self.generation) << 32) | u64::from(self.blob)
    }

    /// From the kernel.
    pub fn from_word(word: u64) -> Self {
        Self { generation: (word >> 32) as u32, blob: word as u32 }
    }
}

/// Packets that something happened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// Packets on the wire, so that a large segment counts as all that it is cut into.
    pub packets: u64,
    /// Bytes of their frames.
    pub bytes: u64,
    /// When the last one came, on the kernel's clock; 0: never.
    pub last_seen_ns: u64,
}

/// A count at a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReasonCount {
    /// Which way the packets went.
    pub direction: Direction,
    /// What became of them.
    pub policy: Policy,
    /// Why.
    pub reason: Reason,
    /// How many.
    pub count: Count,
}

/// What planning and execution need of a kernel. Every write is visible to packets when the call
/// returns, single words are never torn, and earlier calls are seen before later ones.
pub trait Kernel {
    /// Words of the policy pool.
    fn pool_words(&self) -> u32;
    /// Slots there are.
    fn slot_count(&self) -> u32;
    /// Rule counters there are.
    fn counter_count(&self) -> u32;
    /// Members there may be.
    fn member_limit(&self) -> u32;
    /// Now, on the clock by which flows age.
    fn now_ns(&self) -> u64;

    /// Writes words that no packet reads yet.
    fn write_pool(&mut self, offset: u32, words: &[u64]) -> io::Result<()>;
    /// Reads words; shorter than asked where the pool ends.
    fn read_pool(&self, offset: u32, count: u32) -> Vec<u64>;
    /// A slot's word; zero beyond the last slot.
    fn slot(&self, slot: u32) -> SlotWord;
    /// Sets a slot's word.
    fn set_slot(&mut self, slot: u32, word: SlotWord) -> io::Result<()>;
    /// Until when packets of running flows may begin entries at a slot; 0: no longer.
    fn set_pick_up_until(&mut self, slot: u32, until_ns: u64) -> io::Result<()>;

    /// All members with the pool offsets of their sets.
    fn members(&self) -> io::Result<BTreeMap<MemberKey, u32>>;
    /// The pool offset of a member's set.
    fn member(&self, key: MemberKey) -> io::Result<Option<u32>>;
    /// Holds a part of the members, at most so many, against who should be there.
    fn compare_members(
        &self,
        wanted: &BTreeMap<MemberKey, u32>,
        from: Option<u32>,
        most: u32,
    ) -> io::Result<MembersPart>;
    /// Adds or replaces a member.
    fn put_member(&mut self, key: MemberKey, set: u32) -> io::Result<()>;
    /// Removes a member.
    fn remove_member(&mut self, key: MemberKey) -> io::Result<()>;
    /// Says which prefix lengths members of a family have.
    fn set_member_lengths(&mut self, family: Family, lengths: &[u8]) -> io::Result<()>;
    /// Tells the program that memberships have changed, so that flows are judged again.
    fn raise_membership(&mut self) -> io::Result<()>;

    /// Whether the program's settings, prefix lengths and pick-up windows among them, are those
    /// that were told last.
    fn settings_agree(&self) -> bool;
    /// Tells them again, and that memberships have changed.
    fn restore_settings(&mut self) -> io::Result<()>;

    /// The slot of each device at which something of ours stands; [`TORN`] where it is not all.
    fn attached(&self) -> io::Result<BTreeMap<u32, u32>>;
    /// Of the devices at which not all of ours stands, those at which something does, with the
    /// slots that they were led to: nobody else's device has that.
    fn halved(&self) -> io::Result<BTreeMap<u32, u32>>;
    /// Leads a device to a slot and attaches the programs, whatever was there of ours. Led to no
    /// slot that there is, such as [`TORN`], nothing passes there.
    fn attach(&mut self, device: u32, slot: u32) -> io::Result<()>;
    /// Takes the programs off a device; one that is gone is no error.
    fn detach(&mut self, device: u32) -> io::Result<()>;
    /// Forgets all flows of an interface, and what was counted at its slot.
    fn forget(&mut self, handle: u64, slot: u32) -> io::Result<()>;
    /// What a rule counter holds.
    fn counter(&self, counter: u32) -> io::Result<Count>;
    /// What was counted at a slot, by direction, verdict and reason; what never happened is left
    /// out.
    fn reasons(&self, slot: u32) -> io::Result<Vec<ReasonCount>>;
    /// What time does by itself: removes flows that have idled out. Afterwards no flow names one
    /// of the `retired` rule counters, unless it is judged by a rule that has it.
    fn upkeep(&mut self, retired: &[u32]) -> io::Result<()>;
    /// Events of a slot that the kernel left out, ever.
    fn events_lost(&self, slot: u32) -> u64;
    /// Flow entries of a slot.
    fn flow_count(&self, slot: u32) -> u64;
    /// A name of the memory that rule counters stand in, which no other memory ever has.
    fn counters_name(&self) -> io::Result<String>;
    /// Sets rule counters to zero.
    fn zero_counters(&mut self, counters: &[u32]) -> io::Result<()>;
    /// Returns when no packet is being judged that could have seen what was there before the call.
    fn barrier(&self) -> io::Result<()>;
}
