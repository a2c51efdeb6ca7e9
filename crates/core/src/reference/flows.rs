//! What is remembered of flows and of first fragments: the key and the states of section 4.
//!
//! Knows when a flow is live and what a packet does to it; judges nothing.
use core::net::IpAddr;

use super::Site;
use super::parse::{ACK, Echo, FIN, Packet, Quoted, RST, Transport};
use crate::flow::{Flow, FlowPorts};
use crate::ids::NetworkInterfaceId;
use crate::net::protocol;
use crate::rule::{Direction, Policy};
use crate::verdict::DecidingRule;

pub(super) const SECOND_NS: u64 = 1_000_000_000;
/// How long the fragments after an accepted first one follow it.
pub(super) const FRAGMENT_S: u64 = 30;
const UNANSWERED_S: u64 = 30;
const OTHER_S: u64 = 30;

/// What a flow of the interface is known by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FlowKey {
    /// Final protocol.
    pub protocol: u8,
    /// The interface's side.
    pub local: IpAddr,
    /// Its port; the identifier of an echo; 0 without ports.
    pub local_port: u16,
    /// The other side.
    pub remote: IpAddr,
    /// Its port; 0 without ports.
    pub remote_port: u16,
    /// Of an echo: whether its requests leave or enter.
    pub asked: Option<Direction>,
}

impl FlowKey {
    /// The key of a packet's flow; `None` for ICMP that is no echo.
    pub(super) fn of(packet: &Packet<'_>, direction: Direction) -> Option<Self> {
        let (ports, echo) = match packet.transport {
            Transport::Tcp(ports, _) | Transport::Udp(ports) => (Some(ports), None),
            Transport::Icmp(..) => (None, Some(packet.echo()?)),
            Transport::Opaque => (None, None),
        };
        let ends = (packet.source, packet.destination);
        Some(Self::new(packet.protocol, ends, ports, echo, direction))
    }

    /// The key of a quoted packet's flow, which went in `direction`.
    pub(super) fn of_quoted(quoted: &Quoted, direction: Direction) -> Self {
        let ends = (quoted.source, quoted.destination);
        Self::new(quoted.protocol, ends, quoted.ports, quoted.echo, direction)
    }

    fn new(
        protocol: u8,
        (source, destination): (IpAddr, IpAddr),
        ports: Option<FlowPorts>,
        echo: Option<Echo>,
        direction: Direction,
    ) -> Self {
        let (source_port, destination_port) =
            ports.map_or((0, 0), |ports| (ports.source, ports.destination));
        let (local, local_port, remote, remote_port) = match direction {
            Direction::Egress => (source, source_port, destination, destination_port),
            Direction::Ingress => (destination, destination_port, source, source_port),
        };
        let mut key = Self { protocol, local, local_port, remote, remote_port, asked: None };
        if let Some(echo) = echo {
            (key.asked, key.local_port) = match echo {
                Echo::Request(identifier) => (Some(direction), identifier),
                Echo::Reply(identifier) => (Some(direction.reverse()), identifier),
            };
        }
        key
    }

    /// The first packet of a flow with these ends in a direction, as rules look at it.
    pub(super) fn first_packet(
        &self,
        interface: &NetworkInterfaceId,
        direction: Direction,
    ) -> Option<Flow> {
        let ports = |source, destination| {
            let has_ports = matches!(self.protocol, protocol::TCP | protocol::UDP);
            has_ports.then_some(FlowPorts { source, destination })
        };
        let (source, destination, ports) = match direction {
            Direction::Egress => {
                (self.local, self.remote, ports(self.local_port, self.remote_port))
            }
            Direction::Ingress => {
                (self.remote, self.local, ports(self.remote_port, self.local_port))
            }
        };
        Flow::new(interface.clone(), direction, self.protocol, source, destination, ports).ok()
    }
}

/// Whether something holds for the packets of a direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sides {
    egress: bool,
    ingress: bool,
}

impl Sides {
    pub(super) fn has(self, direction: Direction) -> bool {
        match direction {
            Direction::Egress => self.egress,
            Direction::Ingress => self.ingress,
        }
    }

    fn set(&mut self, direction: Direction) {
        match direction {
            Direction::Egress => self.egress = true,
            Direction::Ingress => self.ingress = true,
        }
    }

    fn both(self) -> bool {
        self.egress && self.ingress
    }

    fn any(self) -> bool {
        self.egress || self.ingress
    }
}

/// A flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// The first packet, in the first direction: what is judged again.
    pub(super) first: Flow,
    /// The rule that let it begin.
    pub(super) rule: Option<DecidingRule>,
    began_with_syn: bool,
    /// Sides that have sent anything, an ACK since the SYN or the last RST, a FIN.
    pub(super) sent: Sides,
    acknowledged: Sides,
    finished: Sides,
    /// A RST came, and it is not established again since.
    reset: bool,
    /// When its last packet was accepted.
    seen_ns: u64,
}

impl Entry {
    pub(super) fn begin(first: Flow, rule: Option<DecidingRule>, packet: &Packet<'_>) -> Self {
        Self {
            first,
            rule,
            began_with_syn: packet.is_syn(),
            sent: Sides::default(),
            acknowledged: Sides::default(),
            finished: Sides::default(),
            reset: false,
            seen_ns: 0,
        }
    }

    /// An accepted packet.
    pub(super) fn accept(&mut self, packet: &Packet<'_>, direction: Direction, now_ns: u64) {
        self.seen_ns = now_ns;
        self.sent.set(direction);
        let Transport::Tcp(_, flags) = packet.transport else { return };
        if flags & FIN != 0 {
            self.finished.set(direction);
        }
        if flags & RST != 0 {
            self.acknowledged = Sides::default();
            self.reset = true;
        } else if flags & ACK != 0 {
            self.acknowledged.set(direction);
            self.reset &= !self.is_established();
        }
    }

    fn is_established(&self) -> bool {
        self.acknowledged.both()
    }

    fn is_closed(&self) -> bool {
        self.finished.both()
    }

    pub(super) fn is_live(&self, site: &Site, now_ns: u64) -> bool {
        let idle_s = match self.first.protocol() {
            protocol::TCP if self.is_closed() || self.reset => site.idle_closed_s,
            protocol::TCP if self.is_established() => site.idle_established_s,
            protocol::TCP => UNANSWERED_S,
            protocol::UDP => site.idle_udp_s,
            _ => OTHER_S,
        };
        now_ns - self.seen_ns < idle_s * SECOND_NS
    }

    /// Whether a SYN without ACK belongs to this flow: in the first direction of an established one
    /// that neither side has closed, or against an unanswered SYN.
    pub(super) fn takes_syn(&self, direction: Direction) -> bool {
        let in_first_direction = direction == self.first.direction();
        if self.is_established() {
            in_first_direction && !self.finished.any()
        } else {
            let is_unanswered = !self.reset && !self.is_closed();
            !in_first_direction && self.began_with_syn && is_unanswered
        }
    }

    /// Whether it loses its place to a new flow when there is no other.
    pub(super) fn gives_way(&self, verdict: Policy) -> bool {
        if verdict == Policy::Drop {
            return true;
        }
        match self.first.protocol() {
            protocol::TCP => self.is_closed() || !self.is_established(),
            _ => !self.sent.both(),
        }
    }
}

/// Which datagram a fragment is of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FragmentKey {
    pub(super) direction: Direction,
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) protocol: u8,
    pub(super) identification: u32,
}

/// An accepted first fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FirstFragment {
    pub(super) accepted_ns: u64,
    pub(super) header_end: usize,
    /// What its verdict stands and falls with; `None` if with no rule.
    pub(super) judged_by: Option<Flow>,
}

impl FirstFragment {
    pub(super) fn is_live(&self, now_ns: u64) -> bool {
        now_ns - self.accepted_ns < FRAGMENT_S * SECOND_NS
    }
}
