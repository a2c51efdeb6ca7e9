//! Kernel events in words: numbers become the names that they stood for when the event happened.
//!
//! Pure: names and clocks are given. Names are learned before the kernel hears of their numbers,
//! and forgotten after the last event that can bear them has been read.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use portcullis_core::ids::NetworkInterfaceId;
use portcullis_core::net::protocol;
use portcullis_core::verdict::DecidingRule;
use portcullis_wire::flow_event::{EventName, FlowEvent, time_text};

use crate::sys::{Event, EventKind};

/// What the kernel's numbers stand for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    interfaces: BTreeMap<u64, NetworkInterfaceId>,
    rules: BTreeMap<u32, DecidingRule>,
}

impl Names {
    /// Adds the names of these handles and counters.
    pub fn learn(
        &mut self,
        interfaces: impl IntoIterator<Item = (u64, NetworkInterfaceId)>,
        rules: impl IntoIterator<Item = (u32, DecidingRule)>,
    ) {
        self.interfaces.extend(interfaces);
        self.rules.extend(rules);
    }

    /// Whether these are all that are known.
    pub fn are_all(&self, handle: impl Fn(u64) -> bool, counter: impl Fn(u32) -> bool) -> bool {
        self.interfaces.keys().all(|number| handle(*number))
            && self.rules.keys().all(|number| counter(*number))
    }

    /// Forgets all but these.
    pub fn keep(&mut self, handle: impl Fn(u64) -> bool, counter: impl Fn(u32) -> bool) {
        self.interfaces.retain(|number, _| handle(*number));
        self.rules.retain(|number, _| counter(*number));
    }

    /// The handles of this interface, or of all.
    pub fn handles(&self, interface: Option<&str>) -> BTreeSet<u64> {
        let is_wanted = |id: &NetworkInterfaceId| interface.is_none_or(|of| of == id.as_str());
        let handles = self.interfaces.iter().filter(|(_, id)| is_wanted(id));
        handles.map(|(handle, _)| *handle).collect()
    }

    /// The interface with this handle.
    pub fn interface(&self, handle: u64) -> Option<&NetworkInterfaceId> {
        self.interfaces.get(&handle)
    }

    /// All rules with their counters.
    pub fn rules(&self) -> impl Iterator<Item = (u32, &DecidingRule)> {
        self.rules.iter().map(|(number, rule)| (*number, rule))
    }

    /// The rule with this counter.
    pub fn rule(&self, counter: u32) -> Option<&DecidingRule> {
        self.rules.get(&counter)
    }
}

/// A calendar that is wrong by more than this is made anew: somebody has set a clock.
const CALENDAR_DRIFT_MAX_MS: u64 = 10;

/// From the kernel's clock to the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calendar {
    /// A moment on the kernel's clock.
    pub kernel_ns: u64,
    /// The same moment, in milliseconds of Unix time.
    pub unix_ms: u64,
}

impl Calendar {
    /// The time of a moment on the kernel's clock, in milliseconds of Unix time.
    pub fn unix_ms(self, kernel_ns: u64) -> u64 {
        let ahead_ms = (kernel_ns.wrapping_sub(self.kernel_ns) as i64) / 1_000_000;
        self.unix_ms.saturating_add_signed(ahead_ms)
    }

    /// The same as text.
    pub fn text(self, kernel_ns: u64) -> String {
        time_text(self.unix_ms(kernel_ns))
    }
}

/// A calendar that stays the same for as long as it is right, so that a moment has one time.
#[derive(Debug, Default)]
pub struct Almanac(Mutex<Option<Calendar>>);

impl Almanac {
    /// The calendar, by which it is this time now on both clocks.
    pub fn calendar(&self, kernel_ns: u64, unix_ms: u64) -> Calendar {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_right =
            |kept: &Calendar| kept.unix_ms(kernel_ns).abs_diff(unix_ms) <= CALENDAR_DRIFT_MAX_MS;
        let calendar = kept.filter(is_right).unwrap_or(Calendar { kernel_ns, unix_ms });
        *kept = Some(calendar);
        calendar
    }
}

/// The word for a kind.
pub fn name(kind: EventKind) -> EventName {
    match kind {
        EventKind::New => EventName::New,
        EventKind::Deny => EventName::Deny,
        EventKind::Revoke => EventName::Revoke,
        EventKind::Recover => EventName::Recover,
        EventKind::End => EventName::End,
    }
}

/// The event in words.
pub fn in_words(event: &Event, names: &Names, calendar: Calendar) -> FlowEvent {
    let mut told = FlowEvent::new(calendar.text(event.now_ns), name(event.kind));
    told.interface = names.interface(event.flow.handle).map(ToString::to_string);
    told.direction = Some(event.direction.name().to_owned());
    if !event.flow.remote.is_unspecified() || !event.flow.local.is_unspecified() {
        let key = &event.flow;
        told.protocol = Some(key.protocol);
        told.local_address = Some(key.local);
        told.remote_address = Some(key.remote);
        let has_ports = matches!(key.protocol, protocol::TCP | protocol::UDP);
        let is_echo = matches!(key.protocol, protocol::ICMP | protocol::ICMPV6);
        told.local_port = (has_ports || is_echo).then_some(key.local_port);
        told.remote_port = has_ports.then_some(key.remote_port);
    }
    told.reason = Some(event.reason.name().to_owned());
    if let Some(rule) = event.counter.and_then(|counter| names.rule(counter)) {
        told.group = Some(rule.group.to_string());
        told.rule = Some(rule.rule.to_string());
    }
    told.cause = (event.kind == EventKind::End).then(|| event.cause.name().to_owned());
    told.egress_packets = Some(event.traffic.egress_packets);
    told.egress_bytes = Some(event.traffic.egress_bytes);
    told.ingress_packets = Some(event.traffic.ingress_packets);
    told.ingress_bytes = Some(event.traffic.ingress_bytes);
    if event.began_ns != 0 {
        told.start = Some(calendar.text(event.began_ns));
        told.end = Some(calendar.text(event.seen_ns));
    }
    told
}

/// Events of an interface, or of whatever comes, that nobody was told of.
pub fn lost(time: String, interface: Option<&str>, count: u64) -> FlowEvent {
    FlowEvent {
        interface: interface.map(str::to_owned),
        lost: Some(count),
        ..FlowEvent::new(time, EventName::Lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calendar_goes_both_ways() {
        let calendar = Calendar { kernel_ns: 5_000_000_000, unix_ms: 1_000_000 };
        for (kernel_ns, expected) in
            [(5_000_000_000, 1_000_000), (5_001_999_999, 1_000_001), (4_000_000_000, 999_000)]
        {
            assert_eq!(calendar.unix_ms(kernel_ns), expected);
        }
    }

    #[test]
    fn a_moment_has_one_time_until_a_clock_is_set() {
        let almanac = Almanac::default();
        let first = almanac.calendar(1_000_900_000, 5000);
        let drift = CALENDAR_DRIFT_MAX_MS;
        for (kernel_ns, unix_ms, is_same) in [
            (2_000_000_000, 6000, true),
            (2_000_900_000, 6000 + drift, true),
            (2_000_900_000, 6001 + drift, false),
        ] {
            assert_eq!(almanac.calendar(kernel_ns, unix_ms) == first, is_same, "{unix_ms}");
        }
    }
}
