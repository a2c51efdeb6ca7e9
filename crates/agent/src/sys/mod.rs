//! The kernel: the only place of `unsafe`, and the only one that calls bpf(2).
//!
//! [`Datapath`] is the program with its maps, pinned under a name of the instance's own so that it
//! outlives the process, or private to it. It knows words, slots, members, devices and counts; what
//! policies mean, and in which order they are changed, is for its callers. [`probe()`] says what a
//! machine lacks.
//!
//! Stores into pool, slots and settings go into memory that is shared with the kernel: they take
//! effect when the call returns, a word is never torn, and earlier stores are seen before later
//! ones. [`Datapath::barrier`] returns when no packet is being judged any more that could have seen
//! what was there before.
#![allow(unsafe_code, reason = "the kernel is called and its memory is shared")]

pub mod abi;
pub mod bpffs;
mod call;
mod clsact;
mod count_table;
mod counters;
mod datapath;
mod devices;
mod events;
mod flow_table;
mod fork;
mod hooks;
mod instance;
mod kernel;
mod links;
mod object;
mod places;
mod probe;
mod size;
mod told;
mod upgrade;
mod words;

use portcullis_core::limits::FLOWS_SHARED;

pub use abi::{EndCause, Event, EventKind, FlowEntry, FlowKey, Traffic};
pub use count_table::CountTable;
pub use datapath::{Datapath, TestVerdict};
pub use events::Events;
pub use flow_table::FlowTable;
pub use fork::fork_alone;
pub use hooks::Hook;
pub use instance::Instance;
pub use probe::{Missing, probe, usable_hook};
pub use size::ProgramSize;
pub use upgrade::Unreadable;

/// How large the maps are made. A pinned map keeps the size it was made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Words of the policy pool.
    pub pool_words: u32,
    /// Interfaces.
    pub slots: u32,
    /// Prefixes of group members.
    pub members: u32,
    /// Flows of all interfaces beyond what each has in reserve; rounded up to whole blocks.
    pub flows: u32,
    /// Datagrams in fragments under way.
    pub fragments: u32,
    /// Rule counters.
    pub counters: u32,
    /// Bytes of the event ring: a power of two, whole pages.
    pub event_bytes: u32,
}

/// What the kernel keeps for each entry of a hash beside key and value, rounded up.
const HASH_ENTRY_BYTES: u64 = 64;
/// What it keeps for each that there may be in a hash that is allocated as a whole, and for each of
/// its buckets, whose number is a power of two.
const ELEMENT_BYTES: u64 = 48;
const BUCKET_BYTES: u64 = 16;

impl Sizes {
    /// Kernel memory for policy, members and counts when all of it is in use, on a machine of so
    /// many processors: everything but flows, fragments and the event ring.
    pub fn policy_bytes(&self, processors: u64) -> u64 {
        let [pool, slots, members, counters] =
            [self.pool_words, self.slots, self.members, self.counters].map(u64::from);
        let count = abi::COUNT_BYTES as u64 * processors;
        let member = abi::MEMBER_KEY_BYTES as u64 + 8 + HASH_ENTRY_BYTES;
        pool * 8
            + slots * (abi::SLOT_WORDS as u64 * 8 + 2 * abi::REASON_STRIDE as u64 * count)
            + members * member
            + counters * count
    }
}

impl Sizes {
    /// Flows that there is room for: the reserve of each slot, and what is shared.
    pub fn places(&self) -> u32 {
        let blocks = self.slots.saturating_add(self.flows.div_ceil(abi::BLOCK_PLACES));
        blocks.saturating_mul(abi::BLOCK_PLACES)
    }

    /// Kernel memory for flows, however many there are: it is allocated as a whole.
    pub fn flow_bytes(&self) -> u64 {
        let places = u64::from(self.places());
        let entry = (abi::FLOW_KEY_BYTES + abi::FLOW_BYTES) as u64 + ELEMENT_BYTES;
        let place = abi::FLOW_KEY_BYTES as u64;
        let words = places / u64::from(abi::WORD_PLACES) * abi::PLACE_WORD_WORDS as u64;
        let slot_blocks = u64::from(self.slots) * u64::from(abi::SLOT_BLOCKS);
        places * (entry + place)
            + places.next_power_of_two() * BUCKET_BYTES
            + (words + slot_blocks) * 8
    }
}

impl Default for Sizes {
    /// Enough for a host of about a thousand interfaces.
    fn default() -> Self {
        Self {
            pool_words: 1 << 22,
            slots: 1024,
            members: 1 << 17,
            flows: FLOWS_SHARED,
            fragments: 1 << 14,
            counters: 1 << 16,
            event_bytes: 1 << 20,
        }
    }
}

/// An error's text without the verifier's log behind it.
fn short(error: &std::io::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_string()
}
