//! The first packet of a flow as a frame: a SYN, an echo request, or the bare protocol; hop limit
//! 64.
//!
//! Knows just enough of headers for the kernel program to judge the frame. Checksums stay zero: the
//! program does not look at them, and no frame made here goes on a wire.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use portcullis_core::flow::Flow;
use portcullis_core::net::{Family, Mac, protocol};
use portcullis_core::rule::Direction;

const HOP_LIMIT: u8 = 64;
/// Whoever is on the other side of the interface.
const OTHER_MAC: Mac = Mac([2, 0, 0, 0, 0, 0xfe]);
/// The interface's, where the world names none.
const OWN_MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);
const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];
const ETHERTYPE_IPV6: [u8; 2] = [0x86, 0xdd];

/// The frame of the first packet of `flow` at an interface with this MAC.
pub(super) fn frame(flow: &Flow, mac: Option<Mac>) -> Vec<u8> {
    let own = mac.unwrap_or(OWN_MAC);
    let (source, destination) = match flow.direction() {
        Direction::Egress => (own, OTHER_MAC),
        Direction::Ingress => (OTHER_MAC, own),
    };
    let transport = transport(flow);
    let mut frame = [destination.0, source.0].concat();
    match (flow.source(), flow.destination()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            frame.extend(ETHERTYPE_IPV4);
            frame.extend(ipv4(flow.protocol(), from, to, transport.len()));
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            frame.extend(ETHERTYPE_IPV6);
            frame.extend(ipv6(flow.protocol(), from, to, transport.len()));
        }
        // A flow's addresses are of one family.
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {}
    }
    frame.extend(transport);
    frame
}

fn ipv4(protocol: u8, from: Ipv4Addr, to: Ipv4Addr, payload: usize) -> Vec<u8> {
    let total = (20 + payload) as u16;
    let mut header = vec![0x45, 0];
    header.extend(total.to_be_bytes());
    header.extend([0, 0, 0, 0, HOP_LIMIT, protocol, 0, 0]);
    header.extend(from.octets());
    header.extend(to.octets());
    header
}

fn ipv6(protocol: u8, from: Ipv6Addr, to: Ipv6Addr, payload: usize) -> Vec<u8> {
    let mut header = vec![0x60, 0, 0, 0];
    header.extend((payload as u16).to_be_bytes());
    header.extend([protocol, HOP_LIMIT]);
    header.extend(from.octets());
    header.extend(to.octets());
    header
}

fn transport(flow: &Flow) -> Vec<u8> {
    let ports = flow.ports().map_or([0; 4], |ports| {
        let ([a, b], [c, d]) = (ports.source.to_be_bytes(), ports.destination.to_be_bytes());
        [a, b, c, d]
    });
    match (flow.protocol(), flow.family()) {
        (protocol::TCP, _) => {
            const SYN: u8 = 2;
            [&ports[..], &[0; 8], &[0x50, SYN], &[0xff, 0xff, 0, 0, 0, 0]].concat()
        }
        (protocol::UDP, _) => [&ports[..], &[0, 8, 0, 0]].concat(),
        (protocol::ICMP, Family::V4) => vec![8, 0, 0, 0, 0, 1, 0, 1],
        (protocol::ICMPV6, Family::V6) => vec![128, 0, 0, 0, 0, 1, 0, 1],
        _ => Vec::new(),
    }
}
