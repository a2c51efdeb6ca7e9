//! The flow table, read by whoever wants to see it while the agent does its own work.
//!
//! Reads only. Entries come and go meanwhile: each is one that was there.
use std::io;
use std::os::fd::OwnedFd;

use super::abi::{self, FlowEntry};
use super::call::Map;
use super::datapath::{monotonic_ns, processors};
use super::words::Words;

/// A view of an instance's flows.
#[derive(Debug)]
pub struct FlowTable {
    flows: Map,
    config: Words,
}

/// All entries of a table.
pub(super) fn entries(flows: &Map) -> io::Result<Vec<FlowEntry>> {
    let all = flows.all()?;
    Ok(all.iter().map(|(key, value)| FlowEntry::from_bytes(key, value)).collect())
}

impl FlowTable {
    pub(super) fn new(flows: OwnedFd, config: Words) -> io::Result<Self> {
        Ok(Self { flows: Map::new(flows, processors()?)?, config })
    }

    /// All entries, expired ones too.
    pub fn all(&self) -> io::Result<Vec<FlowEntry>> {
        entries(&self.flows)
    }

    /// How many there may be.
    pub fn entries_max(&self) -> u32 {
        self.flows.entries
    }

    /// Now, on the clock by which flows age.
    pub fn now_ns(&self) -> u64 {
        monotonic_ns().wrapping_add(self.config.load(abi::CONFIG_CLOCK_OFFSET_NS).unwrap_or(0))
    }
}
