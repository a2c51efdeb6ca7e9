//! How neighbours find each other: ARP messages and neighbour discovery packets, true or forged.

use super::{Icmp, Ipv6, Mac, icmpv6, solicited_node};
use std::net::{Ipv4Addr, Ipv6Addr};

/// An ARP message for IPv4 over Ethernet.
#[derive(Debug, Clone)]
pub struct Arp {
    /// 1 asks, 2 answers.
    pub operation: u16,
    /// The link-layer address it says it is from.
    pub sender_mac: Mac,
    /// The address it says it is from.
    pub sender: Ipv4Addr,
    /// The link-layer address asked or answered.
    pub target_mac: Mac,
    /// The address asked for or answered.
    pub target: Ipv4Addr,
}

impl Arp {
    /// Who has this address?
    pub fn request(sender_mac: Mac, sender: Ipv4Addr, target: Ipv4Addr) -> Self {
        Self { operation: 1, sender_mac, sender, target_mac: [0; 6], target }
    }

    /// I have this address.
    pub fn reply(sender_mac: Mac, sender: Ipv4Addr, target_mac: Mac, target: Ipv4Addr) -> Self {
        Self { operation: 2, sender_mac, sender, target_mac, target }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0, 1, 8, 0, 6, 4];
        bytes.extend_from_slice(&self.operation.to_be_bytes());
        bytes.extend_from_slice(&self.sender_mac);
        bytes.extend_from_slice(&self.sender.octets());
        bytes.extend_from_slice(&self.target_mac);
        bytes.extend_from_slice(&self.target.octets());
        bytes
    }
}

/// Who has this address? With the asker's link-layer address as option, unless it asks from `::`.
pub fn neighbour_solicitation(source: Ipv6Addr, target: Ipv6Addr, option: Option<Mac>) -> Vec<u8> {
    let destination = solicited_node(target);
    let mut body = target.octets().to_vec();
    body.extend(link_layer_option(1, option));
    discovery(source, destination, Icmp { kind: 135, code: 0, rest: [0; 4] }, &body)
}

/// I have this address: solicited, overriding.
pub fn neighbour_advertisement(
    source: Ipv6Addr,
    destination: Ipv6Addr,
    target: Ipv6Addr,
    option: Option<Mac>,
) -> Vec<u8> {
    let mut body = target.octets().to_vec();
    body.extend(link_layer_option(2, option));
    discovery(source, destination, Icmp { kind: 136, code: 0, rest: [0x60, 0, 0, 0] }, &body)
}

/// I am a router.
pub fn router_advertisement(source: Ipv6Addr, option: Option<Mac>) -> Vec<u8> {
    let all_nodes = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let mut body = vec![0; 8];
    body.extend(link_layer_option(1, option));
    discovery(source, all_nodes, Icmp { kind: 134, code: 0, rest: [64, 0, 0, 30] }, &body)
}

fn discovery(source: Ipv6Addr, destination: Ipv6Addr, head: Icmp, body: &[u8]) -> Vec<u8> {
    let message = icmpv6(source, destination, head, body);
    Ipv6 { hop_limit: 255, ..Ipv6::new(source, destination, 58) }.wrap(&message)
}

fn link_layer_option(kind: u8, mac: Option<Mac>) -> Vec<u8> {
    let Some(mac) = mac else { return Vec::new() };
    let mut bytes = vec![kind, 1];
    bytes.extend_from_slice(&mac);
    bytes
}
