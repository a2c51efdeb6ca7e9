//! What one interface's slot points to: the INTERFACE blob, and both its tables.
//!
//! Blobs are made without knowing where they will stand in the pool; whoever places the tables says
//! where they went.
use alloc::vec;
use alloc::vec::Vec;

use portcullis_core::limits::FLOWS_PER_INTERFACE_DEFAULT;
use portcullis_core::net::{Family, Prefix};
use portcullis_core::resolve::InterfacePolicy;
use portcullis_core::rule::{Direction, Policy};
use portcullis_core::world::GroupType;

use crate::abi;
use crate::budget::{CompileError, Limit, check};
use crate::classes::disjoint;
use crate::numbers::Numbers;
use crate::table::{put, put_section, table};

/// Idle time of established TCP flows unless configured.
pub const IDLE_ESTABLISHED_S: u64 = 910;
/// Idle time of closed and reset TCP flows unless configured.
pub const IDLE_CLOSED_S: u64 = 3;
/// Idle time of UDP flows unless configured.
pub const IDLE_UDP_S: u64 = 30;
/// What an interface's blob holds beside its policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InterfaceSettings {
    /// A number that no other interface ever had on this host; part of every flow key.
    pub handle: u64,
    /// Flows keep their first verdict when rules change.
    pub keep_established: bool,
    /// Idle time of established TCP flows.
    pub idle_established_s: u64,
    /// Idle time of closed and reset TCP flows.
    pub idle_closed_s: u64,
    /// Idle time of UDP flows.
    pub idle_udp_s: u64,
    /// Most flow entries.
    pub quota: u64,
}

impl InterfaceSettings {
    /// The settings of an interface for which nothing is configured.
    pub const fn new(handle: u64) -> Self {
        Self {
            handle,
            keep_established: false,
            idle_established_s: IDLE_ESTABLISHED_S,
            idle_closed_s: IDLE_CLOSED_S,
            idle_udp_s: IDLE_UDP_S,
            quota: FLOWS_PER_INTERFACE_DEFAULT as u64,
        }
    }
}

/// An INTERFACE blob that lacks only the places of its tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceBlob {
    words: Vec<u64>,
}

impl InterfaceBlob {
    /// The words, once the tables stand at these pool offsets.
    pub fn words(&self, egress: u64, ingress: u64) -> Vec<u64> {
        let mut words = self.words.clone();
        put(&mut words, abi::INTERFACE_EGRESS, egress);
        put(&mut words, abi::INTERFACE_INGRESS, ingress);
        words
    }

    /// Its size in words.
    pub fn word_count(&self) -> usize {
        self.words.len()
    }
}

/// A policy in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompiledInterface {
    /// The interface's own blob.
    pub interface: InterfaceBlob,
    /// TABLE blob of its egress rules.
    pub egress: Vec<u64>,
    /// TABLE blob of its ingress rules.
    pub ingress: Vec<u64>,
}

impl CompiledInterface {
    /// Words that it takes in the pool, if it shares no table with another.
    pub fn word_count(&self) -> usize {
        self.interface.word_count() + self.egress.len() + self.ingress.len()
    }
}

/// Compiles a policy whole, or says which limit it breaks.
pub fn compile(
    policy: &InterfacePolicy,
    settings: &InterfaceSettings,
    numbers: &mut Numbers,
) -> Result<CompiledInterface, CompileError> {
    Ok(CompiledInterface {
        interface: interface_blob(policy, settings, numbers)?,
        egress: direction_table(policy, Direction::Egress, numbers)?,
        ingress: direction_table(policy, Direction::Ingress, numbers)?,
    })
}

/// The TABLE blob of one direction.
pub fn direction_table(
    policy: &InterfacePolicy,
    direction: Direction,
    numbers: &mut Numbers,
) -> Result<Vec<u64>, CompileError> {
    table(policy.rules(direction), default_policy(policy.group_type, direction), numbers)
}

/// What happens to a packet that no rule matches.
pub fn default_policy(group_type: GroupType, direction: Direction) -> Policy {
    match (group_type, direction) {
        (GroupType::Basic, Direction::Egress) => Policy::Accept,
        (GroupType::Basic, Direction::Ingress)
        | (GroupType::Enterprise, Direction::Egress | Direction::Ingress) => Policy::Drop,
    }
}

/// The interface's own blob, without its tables.
pub fn interface_blob(
    policy: &InterfacePolicy,
    settings: &InterfaceSettings,
    numbers: &mut Numbers,
) -> Result<InterfaceBlob, CompileError> {
    let flag = |condition: bool, flag: u64| if condition { flag } else { 0 };
    let flags = flag(policy.checks_addresses, abi::FLAG_CHECK_ADDRESSES)
        | flag(policy.mac.is_some(), abi::FLAG_MAC)
        | flag(settings.keep_established, abi::FLAG_KEEP_ESTABLISHED);
    let mac = policy
        .mac
        .map_or(0, |mac| mac.0.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte)));
    let mut words = vec![0; abi::INTERFACE_HEADER_WORDS as usize];
    for (word, value) in [
        (abi::INTERFACE_HANDLE, settings.handle),
        (abi::INTERFACE_FLAGS, flags),
        (abi::INTERFACE_MAC, mac),
        (abi::INTERFACE_VPC, u64::from(numbers.vpc(&policy.vpc)?)),
        (abi::INTERFACE_IDLE_ESTABLISHED_S, settings.idle_established_s),
        (abi::INTERFACE_IDLE_CLOSED_S, settings.idle_closed_s),
        (abi::INTERFACE_IDLE_UDP_S, settings.idle_udp_s),
        (abi::INTERFACE_QUOTA, settings.quota),
    ] {
        put(&mut words, word, value);
    }
    for (word, family) in [(abi::INTERFACE_OWN4, Family::V4), (abi::INTERFACE_OWN6, Family::V6)] {
        let ranges = own_ranges(&policy.addresses, family);
        check(Limit::OwnRanges, ranges.len())?;
        put_section(&mut words, word, ranges.len());
        for end in ranges.iter().flat_map(|(first, last)| [first, last]) {
            if family == Family::V6 {
                words.push((end >> 64) as u64);
            }
            words.push(*end as u64);
        }
    }
    let mut intra = Vec::new();
    for group in &policy.intra_groups {
        intra.push(u64::from(numbers.group(group)?));
    }
    check(Limit::Groups, intra.len())?;
    intra.sort_unstable();
    put_section(&mut words, abi::INTERFACE_INTRA, intra.len());
    words.extend(intra);
    Ok(InterfaceBlob { words })
}

/// The interface's addresses of a family as ranges, neighbours joined.
fn own_ranges(addresses: &[Prefix], family: Family) -> Vec<(u128, u128)> {
    disjoint(addresses.iter().filter(|p| p.family() == family).map(Prefix::range).collect())
}
