//! What the program counted: packets per rule and per reason, flows, losses.
//!
//! Reads only; per-processor values are summed here.
use std::io;

use portcullis_core::rule::{Direction, Policy};
use portcullis_core::verdict::Reason;

use super::abi::{self, FlowEntry};
use super::call::Map;
use super::{Datapath, flow_table};
use crate::kernel::{Count, ReasonCount};

/// What stands under a counter's number.
pub(super) fn hits(map: &Map, counter: u32) -> io::Result<Option<Count>> {
    let value = map.get(&counter.to_ne_bytes())?;
    Ok(value.map(|bytes| abi::count_sum(&bytes)))
}

/// What stands under a slot's number.
pub(super) fn reasons(map: &Map, slot: u32) -> io::Result<Vec<ReasonCount>> {
    let mut found = Vec::new();
    for direction in [Direction::Egress, Direction::Ingress] {
        let row = slot as usize * 2 + abi::direction_number(direction);
        for (number, reason) in Reason::ALL.into_iter().enumerate() {
            for policy in [Policy::Drop, Policy::Accept] {
                let accepted = policy == Policy::Accept;
                let index = row * abi::REASON_STRIDE + number * 2 + usize::from(accepted);
                let value = map.get(&(index as u32).to_ne_bytes())?;
                let count = value.map(|bytes| abi::count_sum(&bytes)).unwrap_or_default();
                if count.packets > 0 {
                    found.push(ReasonCount { direction, policy, reason, count });
                }
            }
        }
    }
    Ok(found)
}

impl Datapath {
    /// What was counted under a rule counter's number; `None` if there is no such counter.
    pub fn hits(&self, counter: u32) -> io::Result<Option<Count>> {
        hits(&self.maps().hits, counter)
    }

    /// Everything that a slot's packets were counted under; what never occurred is left out.
    pub fn reasons(&self, slot: u32) -> io::Result<Vec<ReasonCount>> {
        reasons(&self.maps().reasons, slot)
    }

    /// Sets rule counters to zero.
    pub fn zero_counters(&self, counters: &[u32]) -> io::Result<()> {
        counters.iter().try_for_each(|counter| self.maps().hits.zero(&counter.to_ne_bytes()))
    }

    /// Sets all that was counted for a slot to zero, so that its next interface starts anew.
    pub fn zero_reasons(&self, slot: u32) -> io::Result<()> {
        let first = slot * 2 * abi::REASON_STRIDE as u32;
        (first..first + 2 * abi::REASON_STRIDE as u32)
            .try_for_each(|index| self.maps().reasons.zero(&index.to_ne_bytes()))
    }

    /// All flow entries, expired ones too.
    pub fn flows(&self) -> io::Result<Vec<FlowEntry>> {
        flow_table::entries(&self.maps().flows)
    }

    /// The number of the map that rule counters stand in; no other map of this boot has it.
    pub fn counters_id(&self) -> io::Result<u32> {
        self.maps().hits.id()
    }

    /// Events of a slot that were left out, for its rate or because the ring was full.
    pub fn events_lost(&self, slot: u32) -> u64 {
        self.slot_field(slot, abi::SLOT_EVENTS_LOST)
    }

    /// Lets a slot's next interface start without losses.
    pub fn zero_events_lost(&self, slot: u32) -> io::Result<()> {
        self.clear_slot_field(slot, abi::SLOT_EVENTS_LOST)
    }

    /// Flow entries of a slot, expired ones too.
    pub fn flow_count(&self, slot: u32) -> u64 {
        self.places().used(slot)
    }
}
