//! A frame taken apart as the rules look at it: step 1 of section 2, `malformed` and `unsupported`.
//!
//! Knows headers and their lengths, and no interface, rule or state. Checksums are not looked at.
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::flow::{EXTENSION_HEADERS, FlowPorts};
use crate::net::{Mac, protocol};
use crate::verdict::Reason;

/// Most IPv6 extension headers that are walked.
pub const EXTENSION_HEADERS_MAX: usize = 8;
/// No datagram reassembles to more bytes.
const DATAGRAM_BYTES_MAX: usize = 65_535;
/// The header of a later fragment's datagram: what TCP needs at least.
const TCP_HEADER_BYTES: usize = 20;
const FRAGMENT_HEADER: u8 = 44;

pub(super) const FIN: u8 = 1;
pub(super) const SYN: u8 = 2;
pub(super) const RST: u8 = 4;
pub(super) const ACK: u8 = 16;

/// A frame that is neither malformed nor unsupported.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    pub(super) source_mac: Mac,
    pub(super) content: Content<'a>,
}

#[derive(Debug)]
pub(super) enum Content<'a> {
    Arp(Arp),
    Ip(Packet<'a>),
}

/// An ARP message for IPv4 over Ethernet.
#[derive(Debug)]
pub(super) struct Arp {
    pub(super) sender_mac: Mac,
    pub(super) sender: Ipv4Addr,
    pub(super) target: Ipv4Addr,
}

/// An IP packet, or a fragment of one.
#[derive(Debug)]
pub(super) struct Packet<'a> {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) hop_limit: u8,
    /// The final protocol; of a later fragment, what its header says.
    pub(super) protocol: u8,
    /// Set if there is a fragment header, or an IPv4 header that says the same.
    pub(super) fragment: Option<Fragment>,
    pub(super) transport: Transport<'a>,
}

/// Which fragment of which datagram.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fragment {
    pub(super) identification: u32,
    pub(super) protocol: u8,
    pub(super) offset: usize,
    pub(super) more: bool,
    /// Of a first fragment: where the transport header ends in the datagram's payload.
    pub(super) header_end: usize,
}

impl Fragment {
    pub(super) fn is_later(&self) -> bool {
        self.offset > 0
    }

    pub(super) fn is_first(&self) -> bool {
        self.offset == 0 && self.more
    }
}

/// What the final header says.
#[derive(Debug, Clone, Copy)]
pub(super) enum Transport<'a> {
    Tcp(FlowPorts, u8),
    Udp(FlowPorts),
    /// ICMP in IPv4, ICMPv6 in IPv6: type, code, and the whole message.
    Icmp(u8, u8, &'a [u8]),
    /// A protocol without ports, or a later fragment.
    Opaque,
}

/// Whether an ICMP message is an echo request, a reply, or neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Echo {
    Request(u16),
    Reply(u16),
}

impl Packet<'_> {
    pub(super) fn is_later_fragment(&self) -> bool {
        self.fragment.is_some_and(|fragment| fragment.is_later())
    }

    pub(super) fn echo(&self) -> Option<Echo> {
        match self.transport {
            Transport::Icmp(kind, _, message) => echo(self.source, kind, message),
            Transport::Tcp(..) | Transport::Udp(_) | Transport::Opaque => None,
        }
    }

    /// A SYN without ACK.
    pub(super) fn is_syn(&self) -> bool {
        matches!(self.transport, Transport::Tcp(_, flags) if flags & (SYN | ACK) == SYN)
    }
}

fn echo(source: IpAddr, kind: u8, message: &[u8]) -> Option<Echo> {
    let identifier = number16(message, 4)?;
    match (source, kind) {
        (IpAddr::V4(_), 8) | (IpAddr::V6(_), 128) => Some(Echo::Request(identifier)),
        (IpAddr::V4(_), 0) | (IpAddr::V6(_), 129) => Some(Echo::Reply(identifier)),
        _ => None,
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

fn byte(bytes: &[u8], at: usize) -> Option<u8> {
    bytes.get(at).copied()
}

fn number16(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_be_bytes)
}

/// Takes a frame apart, or says why it is dropped.
pub(super) fn frame(bytes: &[u8]) -> Result<Frame<'_>, Reason> {
    let ethertype = number16(bytes, 12).ok_or(Reason::Malformed)?;
    let source_mac = Mac(array(bytes, 6).ok_or(Reason::Malformed)?);
    let payload = bytes.get(14..).unwrap_or_default();
    let content = match ethertype {
        0x0806 => arp(payload).map(Content::Arp),
        0x0800 => ipv4(payload).map(Content::Ip),
        0x86dd => ipv6(payload).map(Content::Ip),
        _ => return Err(Reason::Unsupported),
    };
    Ok(Frame { source_mac, content: content.ok_or(Reason::Malformed)? })
}

fn arp(bytes: &[u8]) -> Option<Arp> {
    const IPV4_OVER_ETHERNET: [u8; 6] = [0, 1, 8, 0, 6, 4];
    if array(bytes, 0)? != IPV4_OVER_ETHERNET {
        return None;
    }
    Some(Arp {
        sender_mac: Mac(array(bytes, 8)?),
        sender: Ipv4Addr::from(array::<4>(bytes, 14)?),
        target: Ipv4Addr::from(array::<4>(bytes, 24)?),
    })
}

fn ipv4(bytes: &[u8]) -> Option<Packet<'_>> {
    let version_and_length = byte(bytes, 0)?;
    let header_bytes = usize::from(version_and_length & 15) * 4;
    let total = usize::from(number16(bytes, 2)?);
    if version_and_length >> 4 != 4 || header_bytes < 20 || total < header_bytes {
        return None;
    }
    let payload = bytes.get(..total)?.get(header_bytes..)?;
    if !options_are_whole(bytes.get(20..header_bytes)?) {
        return None;
    }
    let (flags, protocol) = (number16(bytes, 6)?, byte(bytes, 9)?);
    let fragment = Fragment {
        identification: u32::from(number16(bytes, 4)?),
        protocol,
        offset: usize::from(flags & 0x1fff) * 8,
        more: flags & 0x2000 != 0,
        header_end: 0,
    };
    let is_fragment = fragment.is_later() || fragment.is_first();
    let packet = Packet {
        source: Ipv4Addr::from(array::<4>(bytes, 12)?).into(),
        destination: Ipv4Addr::from(array::<4>(bytes, 16)?).into(),
        hop_limit: byte(bytes, 8)?,
        protocol,
        fragment: is_fragment.then_some(fragment),
        transport: Transport::Opaque,
    };
    with_transport(packet, payload, payload.len(), 0)
}

/// IPv4 options: an end, a filler, or a kind with its length.
fn options_are_whole(mut options: &[u8]) -> bool {
    loop {
        options = match options {
            [] | [0, ..] => return true,
            [1, rest @ ..] => rest,
            [_, length, ..] if *length >= 2 => match options.get(usize::from(*length)..) {
                Some(rest) => rest,
                None => return false,
            },
            _ => return false,
        };
    }
}

fn ipv6(bytes: &[u8]) -> Option<Packet<'_>> {
    let payload_bytes = usize::from(number16(bytes, 4)?);
    if byte(bytes, 0)? >> 4 != 6 {
        return None;
    }
    let payload = bytes.get(40..)?.get(..payload_bytes)?;
    let walked = walk(byte(bytes, 6)?, payload)?;
    let packet = Packet {
        source: Ipv6Addr::from(array::<16>(bytes, 8)?).into(),
        destination: Ipv6Addr::from(array::<16>(bytes, 24)?).into(),
        hop_limit: byte(bytes, 7)?,
        protocol: walked.protocol,
        fragment: walked.fragment,
        transport: Transport::Opaque,
    };
    let rest = payload.get(walked.bytes..)?;
    let after_fragment_header = walked.bytes - walked.fragment_header_end;
    with_transport(packet, rest, rest.len() + after_fragment_header, after_fragment_header)
}

/// A chain of IPv6 headers up to the final one, or to a later fragment.
struct Walked {
    protocol: u8,
    fragment: Option<Fragment>,
    /// Bytes of the chain.
    bytes: usize,
    /// Bytes of the chain up to the fragment header and with it.
    fragment_header_end: usize,
}

fn walk(first: u8, payload: &[u8]) -> Option<Walked> {
    let mut walked = Walked { protocol: first, fragment: None, bytes: 0, fragment_header_end: 0 };
    let mut headers = 0;
    while EXTENSION_HEADERS.contains(&walked.protocol) {
        headers += 1;
        let header: [u8; 8] = array(payload, walked.bytes)?;
        if headers > EXTENSION_HEADERS_MAX {
            return None;
        }
        let is_fragment = walked.protocol == FRAGMENT_HEADER;
        // The second word of a fragment header is no length.
        walked.bytes += if is_fragment { 8 } else { (usize::from(header[1]) + 1) * 8 };
        if walked.bytes > payload.len() {
            return None;
        }
        walked.protocol = header[0];
        if is_fragment {
            // A datagram that is cut has one fragment header.
            if walked.fragment.is_some() {
                return None;
            }
            let place = number16(&header, 2)?;
            let fragment = Fragment {
                identification: array(&header, 4).map(u32::from_be_bytes)?,
                protocol: header[0],
                offset: usize::from(place & 0xfff8),
                more: place & 1 != 0,
                header_end: 0,
            };
            walked.fragment = Some(fragment);
            walked.fragment_header_end = walked.bytes;
            if fragment.is_later() {
                break;
            }
        }
    }
    if walked.fragment.is_none() {
        walked.fragment_header_end = walked.bytes;
    }
    Some(walked)
}

/// `bytes`: from the transport header on. `fragment_bytes`: how much of the datagram's payload the
/// fragment carries, `headers` of which are ahead of the transport header.
fn with_transport<'a>(
    mut packet: Packet<'a>,
    bytes: &'a [u8],
    fragment_bytes: usize,
    headers: usize,
) -> Option<Packet<'a>> {
    if let Some(fragment) = packet.fragment
        && (fragment.is_first() || fragment.is_later())
        && fragment.offset + fragment_bytes > DATAGRAM_BYTES_MAX
    {
        return None;
    }
    if let Some(fragment) = packet.fragment.filter(|fragment| fragment.is_later()) {
        let in_header = fragment.protocol == protocol::TCP && fragment.offset < TCP_HEADER_BYTES;
        return (!in_header).then_some(packet);
    }
    let is_whole = packet.fragment.is_none_or(|fragment| !fragment.is_first());
    let header_bytes;
    (packet.transport, header_bytes) = transport(&packet, bytes, is_whole)?;
    if let Some(fragment) = &mut packet.fragment {
        fragment.header_end = headers + header_bytes;
    }
    Some(packet)
}

/// The final header and its length.
fn transport<'a>(
    packet: &Packet<'_>,
    bytes: &'a [u8],
    is_whole: bool,
) -> Option<(Transport<'a>, usize)> {
    let ports =
        || Some(FlowPorts { source: number16(bytes, 0)?, destination: number16(bytes, 2)? });
    Some(match (packet.protocol, packet.source) {
        (protocol::TCP, _) => {
            let size = usize::from(byte(bytes, 12)? >> 4) * 4;
            if bytes.len() < TCP_HEADER_BYTES || size < TCP_HEADER_BYTES || size > bytes.len() {
                return None;
            }
            (Transport::Tcp(ports()?, byte(bytes, 13)?), size)
        }
        (protocol::UDP, _) => {
            let length = usize::from(number16(bytes, 4)?);
            if bytes.len() < 8 || length < 8 || (is_whole && length > bytes.len()) {
                return None;
            }
            (Transport::Udp(ports()?), 8)
        }
        (protocol::ICMP, IpAddr::V4(_)) | (protocol::ICMPV6, IpAddr::V6(_)) => {
            if bytes.len() < 8 {
                return None;
            }
            (Transport::Icmp(byte(bytes, 0)?, byte(bytes, 1)?, bytes), 8)
        }
        _ => (Transport::Opaque, 0),
    })
}

/// What tells the flow of a packet that an ICMP error quotes.
#[derive(Debug)]
pub(super) struct Quoted {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) protocol: u8,
    pub(super) ports: Option<FlowPorts>,
    pub(super) echo: Option<Echo>,
}

/// The packet that an ICMP error of `packet`'s family quotes; it may be cut off after what tells
/// its flow. `None` if it cannot be told.
pub(super) fn quoted(packet: &Packet<'_>, message: &[u8]) -> Option<Quoted> {
    let bytes = message.get(8..)?;
    let (source, destination, protocol, is_later, rest) = match packet.source {
        IpAddr::V4(_) => {
            let (first, header) = (byte(bytes, 0)?, bytes.get(..20)?);
            if first >> 4 != 4 || first & 15 < 5 {
                return None;
            }
            let source = IpAddr::V4(Ipv4Addr::from(array::<4>(header, 12)?));
            let destination = IpAddr::V4(Ipv4Addr::from(array::<4>(header, 16)?));
            let is_later = number16(header, 6)? & 0x1fff != 0;
            let rest = bytes.get(usize::from(first & 15) * 4..).unwrap_or_default();
            (source, destination, byte(header, 9)?, is_later, rest)
        }
        IpAddr::V6(_) => {
            let (header, payload) = (bytes.get(..40)?, bytes.get(40..)?);
            if byte(header, 0)? >> 4 != 6 {
                return None;
            }
            let source = IpAddr::V6(Ipv6Addr::from(array::<16>(header, 8)?));
            let destination = IpAddr::V6(Ipv6Addr::from(array::<16>(header, 24)?));
            let walked = walk(byte(header, 6)?, payload)?;
            let is_later = walked.fragment.is_some_and(|fragment| fragment.is_later());
            // The chain goes on in another fragment.
            if EXTENSION_HEADERS.contains(&walked.protocol) {
                return None;
            }
            (source, destination, walked.protocol, is_later, payload.get(walked.bytes..)?)
        }
    };
    let head = || if is_later { None } else { rest.get(..8) };
    let (mut ports, mut asked) = (None, None);
    match (protocol, source) {
        (protocol::TCP | protocol::UDP, _) => {
            let head = head()?;
            let pair = (number16(head, 0)?, number16(head, 2)?);
            ports = Some(FlowPorts { source: pair.0, destination: pair.1 });
        }
        (protocol::ICMP, IpAddr::V4(_)) | (protocol::ICMPV6, IpAddr::V6(_)) => {
            let head = head()?;
            // Only echoes have flows.
            asked = Some(echo(source, byte(head, 0)?, head)?);
        }
        _ => {}
    }
    Some(Quoted { source, destination, protocol, ports, echo: asked })
}
