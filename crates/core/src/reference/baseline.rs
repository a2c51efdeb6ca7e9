//! Steps 2 and 3 of section 2: traffic without which no network works, and spoofed packets.
//!
//! The table of the section, row by row. Knows no rule and no flow.
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Site;
use super::parse::{Arp, Packet, Transport};
use crate::flow::{DHCPV6_SERVERS, FlowPorts, dhcp};
use crate::net::Mac;
use crate::rule::{Direction, Policy};
use crate::world::Interface;

/// Most options of an NDP message that are looked at.
pub const NDP_OPTIONS_MAX: usize = 16;

const ROUTER_SOLICITATION: u8 = 133;
const ROUTER_ADVERTISEMENT: u8 = 134;
const NEIGHBOUR_SOLICITATION: u8 = 135;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
const REDIRECT: u8 = 137;

/// Where a frame is judged: the interface, its host, and the frame's source and direction.
pub(super) struct Here<'a> {
    pub(super) site: &'a Site,
    pub(super) interface: &'a Interface,
    pub(super) direction: Direction,
    pub(super) source_mac: Mac,
}

impl Here<'_> {
    /// Where the MAC is not known, any is taken for it.
    fn is_own_mac(&self, mac: Mac) -> bool {
        self.interface.mac.is_none_or(|own| own == mac)
    }

    fn is_own_link_local(&self, address: Ipv6Addr) -> bool {
        let own = self.interface.mac.map(Mac::link_local);
        address.is_unicast_link_local() && (self.site.any_link_local || own == Some(address))
    }

    fn is_own(&self, address: impl Into<IpAddr>) -> bool {
        self.interface.owns(address.into())
    }

    /// One's own, or one's own link-local address.
    fn is_own_of_either(&self, address: Ipv6Addr) -> bool {
        self.is_own(address) || self.is_own_link_local(address)
    }

    /// The row of ARP.
    pub(super) fn arp(&self, message: &Arp) -> Policy {
        let sender = message.sender;
        let accepted = match self.direction {
            Direction::Ingress => true,
            Direction::Egress => {
                self.is_own_mac(self.source_mac)
                    && self.is_own_mac(message.sender_mac)
                    && (self.is_own(sender)
                        || (sender.is_unspecified() && self.is_own(message.target)))
            }
        };
        if accepted { Policy::Accept } else { Policy::Drop }
    }

    /// The other rows. `None`: go on.
    pub(super) fn baseline(&self, packet: &Packet<'_>) -> Option<Policy> {
        if packet.is_later_fragment() {
            return None;
        }
        match (packet.transport, packet.source, packet.destination) {
            (Transport::Icmp(kind, code, message), IpAddr::V6(source), IpAddr::V6(_)) => {
                let is_discovery = (ROUTER_SOLICITATION..=REDIRECT).contains(&kind);
                let is_listener = matches!(kind, 130..=132 | 143);
                // Neither is ever sent in fragments: they could hide what is looked at.
                let whole = packet.fragment.is_none();
                let accepted = if is_discovery {
                    whole
                        && packet.hop_limit == 255
                        && code == 0
                        && self.neighbour_discovery(kind, source, message)
                } else if is_listener {
                    whole && self.listener_discovery(source)
                } else {
                    return None;
                };
                Some(if accepted { Policy::Accept } else { Policy::Drop })
            }
            (Transport::Udp(ports), IpAddr::V4(source), IpAddr::V4(destination)) => {
                self.dhcp4(ports, source, destination)
            }
            (Transport::Udp(ports), IpAddr::V6(source), IpAddr::V6(destination)) => {
                self.dhcp6(ports, source, destination)
            }
            _ => None,
        }
    }

    fn neighbour_discovery(&self, kind: u8, source: Ipv6Addr, message: &[u8]) -> bool {
        if self.direction == Direction::Ingress {
            return matches!(
                kind,
                NEIGHBOUR_SOLICITATION | NEIGHBOUR_ADVERTISEMENT | ROUTER_ADVERTISEMENT | REDIRECT
            );
        }
        let target = || {
            let bytes: [u8; 16] = message.get(8..24)?.try_into().ok()?;
            Some(Ipv6Addr::from(bytes))
        };
        let (by_whom, options_at) = match kind {
            ROUTER_SOLICITATION => (source.is_unspecified() || self.is_own_of_either(source), 8),
            NEIGHBOUR_SOLICITATION => {
                let Some(target) = target() else { return false };
                let of_own = source.is_unspecified() && self.is_own_of_either(target);
                (of_own || self.is_own_of_either(source), 24)
            }
            NEIGHBOUR_ADVERTISEMENT => {
                let Some(target) = target() else { return false };
                (self.is_own_of_either(target), 24)
            }
            _ => return false,
        };
        let options = message.get(options_at..).unwrap_or_default();
        self.is_own_mac(self.source_mac) && by_whom && self.options_name_own_mac(options)
    }

    /// Whether the options are whole, and every link-layer address among them is the own MAC.
    fn options_name_own_mac(&self, mut options: &[u8]) -> bool {
        for _ in 0..NDP_OPTIONS_MAX {
            let &[kind, eights, a, b, c, d, e, f, ..] = options else {
                return options.is_empty();
            };
            let names_a_mac = kind == 1 || kind == 2;
            if names_a_mac && (eights != 1 || !self.is_own_mac(Mac([a, b, c, d, e, f]))) {
                return false;
            }
            options = match options.get(usize::from(eights) * 8..) {
                Some(rest) if eights > 0 => rest,
                _ => return false,
            };
        }
        options.is_empty()
    }

    fn listener_discovery(&self, source: Ipv6Addr) -> bool {
        match self.direction {
            Direction::Ingress => true,
            Direction::Egress => {
                self.is_own_mac(self.source_mac)
                    && (source.is_unspecified() || self.is_own_link_local(source))
            }
        }
    }

    fn dhcp4(&self, ports: FlowPorts, source: Ipv4Addr, destination: Ipv4Addr) -> Option<Policy> {
        let broadcast = destination == Ipv4Addr::BROADCAST;
        let accepted = match (self.direction, ports.source, ports.destination) {
            (Direction::Egress, dhcp::V4_SERVER, dhcp::V4_CLIENT) => return Some(Policy::Drop),
            (Direction::Egress, dhcp::V4_CLIENT, dhcp::V4_SERVER) => {
                self.is_own_mac(self.source_mac)
                    && (source.is_unspecified() || self.is_own(source))
                    && (broadcast || self.site.dhcp4_servers.contains(&destination))
            }
            (Direction::Ingress, dhcp::V4_SERVER, dhcp::V4_CLIENT) => {
                broadcast || self.is_own(destination)
            }
            _ => false,
        };
        accepted.then_some(Policy::Accept)
    }

    fn dhcp6(&self, ports: FlowPorts, source: Ipv6Addr, destination: Ipv6Addr) -> Option<Policy> {
        let accepted = match (self.direction, ports.source, ports.destination) {
            (Direction::Egress, dhcp::V6_SERVER, dhcp::V6_CLIENT) => return Some(Policy::Drop),
            (Direction::Egress, dhcp::V6_CLIENT, dhcp::V6_SERVER) => {
                self.is_own_mac(self.source_mac)
                    && self.is_own_link_local(source)
                    && destination == DHCPV6_SERVERS
            }
            (Direction::Ingress, dhcp::V6_SERVER, dhcp::V6_CLIENT) => {
                self.is_own_of_either(destination)
            }
            _ => false,
        };
        accepted.then_some(Policy::Accept)
    }

    /// Step 3.
    pub(super) fn is_spoofed(&self, packet: &Packet<'_>) -> bool {
        let checked = self.interface.checks_addresses();
        match self.direction {
            Direction::Egress => {
                let link_local =
                    matches!(packet.source, IpAddr::V6(a) if a.is_unicast_link_local());
                !self.is_own_mac(self.source_mac)
                    || link_local
                    || (checked && !self.is_own(packet.source))
            }
            Direction::Ingress => {
                let to = packet.destination;
                let to_many = to.is_multicast() || to == IpAddr::V4(Ipv4Addr::BROADCAST);
                checked && !self.is_own(to) && !to_many
            }
        }
    }
}
