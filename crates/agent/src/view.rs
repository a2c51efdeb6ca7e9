//! What an operator may ask of a running agent: bound interfaces, hits per rule, drops per reason.
//!
//! Puts names to the kernel's numbers; changes nothing.
use std::io;

use portcullis_core::ids::NetworkInterfaceId;
use portcullis_core::rule::Policy;
use portcullis_core::verdict::DecidingRule;

use crate::device::Devices;
use crate::event::Calendar;
use crate::hits::Total;
use crate::kernel::{Kernel, ReasonCount};
use crate::ledger::Place;
use crate::run::Agent;

/// The state of one bound interface on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindingState {
    /// The interface.
    pub interface: NetworkInterfaceId,
    /// The device's name now, or the one it was bound by if it is not there.
    pub device: String,
    /// The kernel's index of the device, if it is there.
    pub index: Option<u32>,
    /// Whether the interface still waits for its first policy.
    pub closed: bool,
}

/// What a rule has decided so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleHits {
    /// The rule.
    pub rule: DecidingRule,
    /// The packets that it decided on: those of flows that it let in, and those it refused.
    pub total: Total,
}

/// What was dropped or let through at an interface, for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceCount {
    /// The interface.
    pub interface: NetworkInterfaceId,
    /// Direction, verdict, reason, and how many.
    pub of: ReasonCount,
}

impl<K: Kernel> Agent<K> {
    /// The bound interfaces as they are now.
    pub fn bindings(&self, devices: &Devices) -> Vec<BindingState> {
        let state = |(name, place): (&str, &Place)| {
            let attachment = place.attachment.as_ref();
            let device = attachment.and_then(|attachment| devices.by_index(attachment.index));
            let used = self.installed().and_then(|installed| installed.slots.get(&place.slot));
            let name_now = device.map(|device| device.name.clone());
            Some(BindingState {
                interface: name.parse().ok()?,
                device: name_now.or_else(|| attachment.map(|a| a.device.clone()))?,
                index: device.map(|device| device.index),
                closed: used.is_none_or(|used| used.closed),
            })
        };
        self.ledger().places().filter_map(state).collect()
    }

    /// Every rule that some bound interface has, with its hits.
    pub fn hits(&self, calendar: Calendar) -> io::Result<Vec<RuleHits>> {
        let hits = |(number, rule): (u32, &DecidingRule)| {
            Ok(RuleHits { rule: rule.clone(), total: self.total(number, rule, calendar)? })
        };
        self.numbers().rules().filter(|(_, rule)| self.is_live(rule)).map(hits).collect()
    }

    /// What was counted at bound interfaces: drops only, or accepted packets too.
    pub fn counts(&self, with_accepted: bool) -> io::Result<Vec<InterfaceCount>> {
        let mut counts = Vec::new();
        for (name, place) in self.ledger().places() {
            let Ok(interface) = name.parse::<NetworkInterfaceId>() else { continue };
            for of in self.kernel().reasons(place.slot)? {
                if with_accepted || of.policy == Policy::Drop {
                    counts.push(InterfaceCount { interface: interface.clone(), of });
                }
            }
        }
        Ok(counts)
    }
}
