//! TCP, UDP, ICMP and ICMPv6 with their checksums. Connections are the sender's affair.

use super::{checksum, length16};
use std::net::{IpAddr, Ipv6Addr};

/// What is summed besides a segment.
pub(super) fn pseudo_header(
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    length: usize,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    for address in [source, destination] {
        match address {
            IpAddr::V4(address) => bytes.extend_from_slice(&address.octets()),
            IpAddr::V6(address) => bytes.extend_from_slice(&address.octets()),
        }
    }
    bytes.extend_from_slice(&u32::from(length16(length)).to_be_bytes());
    bytes.extend_from_slice(&[0, 0, 0, protocol]);
    bytes
}

/// Writes the checksum at its place in a segment that holds zeros there.
fn seal(segment: &mut [u8], place: usize, pseudo: &[u8]) {
    let sum = checksum(&[pseudo, segment]);
    // Zero means "no checksum" in UDP; its other spelling is the same sum.
    let sum = if sum == 0 { u16::MAX } else { sum };
    for (to, from) in segment.iter_mut().skip(place).zip(sum.to_be_bytes()) {
        *to = from;
    }
}

/// TCP's flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flags(pub u8);

impl Flags {
    /// No more data.
    pub const FIN: Self = Self(1);
    /// The beginning.
    pub const SYN: Self = Self(2);
    /// The abrupt end.
    pub const RST: Self = Self(4);
    /// An answer.
    pub const ACK: Self = Self(16);
    /// The answer to a beginning.
    pub const SYN_ACK: Self = Self(18);
}

/// A TCP header.
#[derive(Debug, Clone)]
pub struct Tcp {
    /// The sender's port.
    pub source_port: u16,
    /// The receiver's port.
    pub destination_port: u16,
    /// What it does.
    pub flags: Flags,
    /// The number of its first byte.
    pub sequence: u32,
    /// The number of the next byte awaited.
    pub acknowledgement: u32,
}

impl Tcp {
    /// A segment without options.
    pub fn new(source_port: u16, destination_port: u16, flags: Flags) -> Self {
        Self { source_port, destination_port, flags, sequence: 1, acknowledgement: 0 }
    }

    /// The segment, summed for these ends.
    pub fn over(
        &self,
        source: impl Into<IpAddr>,
        destination: impl Into<IpAddr>,
        payload: &[u8],
    ) -> Vec<u8> {
        let (source, destination) = (source.into(), destination.into());
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&self.source_port.to_be_bytes());
        bytes.extend_from_slice(&self.destination_port.to_be_bytes());
        bytes.extend_from_slice(&self.sequence.to_be_bytes());
        bytes.extend_from_slice(&self.acknowledgement.to_be_bytes());
        bytes.extend_from_slice(&[0x50, self.flags.0, 0xff, 0xff, 0, 0, 0, 0]);
        bytes.extend_from_slice(payload);
        let pseudo = pseudo_header(source, destination, 6, bytes.len());
        seal(&mut bytes, 16, &pseudo);
        bytes
    }
}

/// A UDP header.
#[derive(Debug, Clone)]
pub struct Udp {
    /// The sender's port.
    pub source_port: u16,
    /// The receiver's port.
    pub destination_port: u16,
}

impl Udp {
    /// A datagram's head.
    pub fn new(source_port: u16, destination_port: u16) -> Self {
        Self { source_port, destination_port }
    }

    /// The datagram, summed for these ends.
    pub fn over(
        &self,
        source: impl Into<IpAddr>,
        destination: impl Into<IpAddr>,
        payload: &[u8],
    ) -> Vec<u8> {
        let (source, destination) = (source.into(), destination.into());
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&self.source_port.to_be_bytes());
        bytes.extend_from_slice(&self.destination_port.to_be_bytes());
        bytes.extend_from_slice(&length16(8 + payload.len()).to_be_bytes());
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(payload);
        let pseudo = pseudo_header(source, destination, 17, bytes.len());
        seal(&mut bytes, 6, &pseudo);
        bytes
    }
}

/// The head of an ICMP or ICMPv6 message.
#[derive(Debug, Clone, Copy)]
pub struct Icmp {
    /// What kind of message.
    pub kind: u8,
    /// Its subtype.
    pub code: u8,
    /// The four bytes after the checksum: identifier and sequence, an MTU, or nothing.
    pub rest: [u8; 4],
}

impl Icmp {
    /// A question whether somebody is there.
    pub fn echo_request(identifier: u16) -> Self {
        Self::echo(8, identifier)
    }

    /// The answer to it.
    pub fn echo_reply(identifier: u16) -> Self {
        Self::echo(0, identifier)
    }

    /// The question in IPv6.
    pub fn echo_request_v6(identifier: u16) -> Self {
        Self::echo(128, identifier)
    }

    /// The answer in IPv6.
    pub fn echo_reply_v6(identifier: u16) -> Self {
        Self::echo(129, identifier)
    }

    fn echo(kind: u8, identifier: u16) -> Self {
        let [high, low] = identifier.to_be_bytes();
        Self { kind, code: 0, rest: [high, low, 0, 1] }
    }
}

/// An ICMP message.
pub fn icmp(head: Icmp, payload: &[u8]) -> Vec<u8> {
    let mut bytes = head_bytes(head, payload);
    seal(&mut bytes, 2, &[]);
    bytes
}

/// An ICMPv6 message, summed for these ends.
pub fn icmpv6(source: Ipv6Addr, destination: Ipv6Addr, head: Icmp, payload: &[u8]) -> Vec<u8> {
    let mut bytes = head_bytes(head, payload);
    let pseudo = pseudo_header(source.into(), destination.into(), 58, bytes.len());
    seal(&mut bytes, 2, &pseudo);
    bytes
}

fn head_bytes(head: Icmp, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![head.kind, head.code, 0, 0];
    bytes.extend_from_slice(&head.rest);
    bytes.extend_from_slice(payload);
    bytes
}
