//! The counts, read by whoever wants to see them while the agent does its own work.
//!
//! Reads only.
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::abi;
use super::call::Map;
use super::counters;
use super::datapath::processors;
use super::places::Places;
use super::words::Words;
use crate::kernel::{Count, ReasonCount};

/// A view of an instance's counts.
#[derive(Debug)]
pub struct CountTable {
    hits: Map,
    reasons: Map,
    slots: Words,
    places: Arc<Places>,
}

impl CountTable {
    pub(super) fn new(
        hits: OwnedFd,
        reasons: OwnedFd,
        slots: Words,
        places: Arc<Places>,
    ) -> io::Result<Self> {
        let processors = processors()?;
        let (hits, reasons) = (Map::new(hits, processors)?, Map::new(reasons, processors)?);
        Ok(Self { hits, reasons, slots, places })
    }

    /// What a rule counter holds.
    pub fn hits(&self, counter: u32) -> io::Result<Count> {
        Ok(counters::hits(&self.hits, counter)?.unwrap_or_default())
    }

    /// What was counted at a slot; what never happened is left out.
    pub fn reasons(&self, slot: u32) -> io::Result<Vec<ReasonCount>> {
        counters::reasons(&self.reasons, slot)
    }

    /// Flow entries of a slot, expired ones too.
    pub fn flow_count(&self, slot: u32) -> u64 {
        self.places.used(slot)
    }

    /// Events of a slot that the kernel left out.
    pub fn events_lost(&self, slot: u32) -> u64 {
        self.slot_field(slot, abi::SLOT_EVENTS_LOST)
    }

    fn slot_field(&self, slot: u32, field: usize) -> u64 {
        self.slots.load(slot as usize * abi::SLOT_WORDS + field).unwrap_or(0)
    }
}
