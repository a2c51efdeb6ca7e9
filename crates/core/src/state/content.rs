//! What makes a rule what it is: everything but its id, its description, its peer's owner and its
//! time. Two rules of one group never have the same content.
//!
//! CIDRs are compared as written (`10.0.0.1` and `10.0.0.1/32` are two rules), because clients look
//! for what they wrote.
use core::hash::{Hash, Hasher};

use crate::command::RuleSpec;
use crate::net::{Cidr, Ports, Protocol};
use crate::records::{NicType, RuleRecord};
use crate::rule::{Direction, Peer, Policy, PortMatch, Priority};

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Content<'a> {
    direction: Direction,
    protocol: Protocol,
    ports: &'a PortMatch,
    source_ports: &'a Ports,
    peer: &'a Peer,
    local: Option<Cidr>,
    policy: Policy,
    priority: Priority,
    nic_type: NicType,
}

impl<'a> Content<'a> {
    /// The content that a rule would have.
    pub(super) fn of_spec(spec: &'a RuleSpec, nic_type: NicType) -> Self {
        Self {
            direction: spec.direction,
            protocol: spec.protocol,
            ports: &spec.ports,
            source_ports: &spec.source_ports,
            peer: &spec.peer,
            local: spec.local,
            policy: spec.policy,
            priority: spec.priority,
            nic_type,
        }
    }

    pub(super) fn of_record(record: &'a RuleRecord) -> Self {
        let rule = &record.rule;
        Self {
            direction: rule.direction,
            protocol: rule.protocol,
            ports: &rule.ports,
            source_ports: &rule.source_ports,
            peer: &rule.peer,
            local: rule.local,
            policy: rule.policy,
            priority: rule.priority,
            nic_type: record.nic_type,
        }
    }

    /// The same for equal contents, and nearly always different for others. It stays within one
    /// process, and no order comes from it.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hasher = Fnv(Fnv::OFFSET);
        self.hash(&mut hasher);
        hasher.finish()
    }
}

/// FNV-1a: short, and good for short keys. Whoever makes contents collide on purpose finds that
/// they are compared in full.
struct Fnv(u64);

impl Fnv {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(Self::PRIME);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
