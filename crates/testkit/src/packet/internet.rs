//! IPv4 and IPv6 headers, with options, extension headers and fragments. What they carry is opaque.

use super::{checksum, length16};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Where a piece stands in the packet it was cut from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fragment {
    /// In bytes; a multiple of eight.
    pub offset: u16,
    /// More pieces follow.
    pub more: bool,
    /// "Don't fragment", IPv4 only.
    pub keep_whole: bool,
}

impl Fragment {
    fn word(self, ipv6: bool) -> u16 {
        let eighths = self.offset / 8;
        if ipv6 {
            return (eighths << 3) | u16::from(self.more);
        }
        eighths | (u16::from(self.more) << 13) | (u16::from(self.keep_whole) << 14)
    }
}

/// An IPv4 header.
#[derive(Debug, Clone)]
pub struct Ipv4 {
    /// Who it says it is from.
    pub source: Ipv4Addr,
    /// Whom it is for.
    pub destination: Ipv4Addr,
    /// What it carries.
    pub protocol: u8,
    /// Hops left.
    pub time_to_live: u8,
    /// Common to all pieces of one packet.
    pub identification: u16,
    /// The place of this piece.
    pub fragment: Fragment,
    /// Options, padded with zeros to whole words.
    pub options: Vec<u8>,
    /// The length it states, when it shall lie.
    pub stated_length: Option<u16>,
}

impl Ipv4 {
    /// A plain header.
    pub fn new(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8) -> Self {
        Self {
            source,
            destination,
            protocol,
            time_to_live: 64,
            identification: 1,
            fragment: Fragment::default(),
            options: Vec::new(),
            stated_length: None,
        }
    }

    /// The packet: this header and what it carries.
    pub fn wrap(&self, payload: &[u8]) -> Vec<u8> {
        let mut options = self.options.clone();
        options.resize(options.len().next_multiple_of(4), 0);
        let header_length = 20 + options.len();
        let words = u8::try_from(header_length / 4).unwrap_or(15) & 15;
        let total = self.stated_length.unwrap_or(length16(header_length + payload.len()));
        let mut bytes = vec![0x40 | words, 0];
        bytes.extend_from_slice(&total.to_be_bytes());
        bytes.extend_from_slice(&self.identification.to_be_bytes());
        bytes.extend_from_slice(&self.fragment.word(false).to_be_bytes());
        bytes.extend_from_slice(&[self.time_to_live, self.protocol, 0, 0]);
        bytes.extend_from_slice(&self.source.octets());
        bytes.extend_from_slice(&self.destination.octets());
        bytes.extend_from_slice(&options);
        let sum = checksum(&[&bytes]).to_be_bytes();
        for (to, from) in bytes.iter_mut().skip(10).zip(sum) {
            *to = from;
        }
        bytes.extend_from_slice(payload);
        bytes
    }

    /// The packets into which a payload is cut, each carrying so many bytes (a multiple of eight).
    pub fn cut(&self, payload: &[u8], piece_bytes: usize) -> Vec<Vec<u8>> {
        pieces(payload, piece_bytes)
            .map(|(fragment, piece)| Self { fragment, ..self.clone() }.wrap(piece))
            .collect()
    }
}

/// A header between the IPv6 header and what the packet carries.
#[derive(Debug, Clone)]
pub enum Extension {
    /// For every node on the way: the bytes after its length, padded to whole eights.
    HopByHop(Vec<u8>),
    /// A route: the bytes after its length.
    Routing(Vec<u8>),
    /// A piece of a packet, with the identification common to all pieces.
    Fragment(Fragment, u32),
    /// For the destination: the bytes after its length.
    Destination(Vec<u8>),
}

impl Extension {
    fn number(&self) -> u8 {
        match self {
            Self::HopByHop(_) => 0,
            Self::Routing(_) => 43,
            Self::Fragment(..) => 44,
            Self::Destination(_) => 60,
        }
    }

    fn bytes(&self, next: u8) -> Vec<u8> {
        match self {
            Self::Fragment(fragment, identification) => {
                let mut bytes = vec![next, 0];
                bytes.extend_from_slice(&fragment.word(true).to_be_bytes());
                bytes.extend_from_slice(&identification.to_be_bytes());
                bytes
            }
            Self::HopByHop(content) | Self::Routing(content) | Self::Destination(content) => {
                let length = (content.len() + 2).next_multiple_of(8);
                let mut bytes = vec![next, u8::try_from(length / 8 - 1).unwrap_or(u8::MAX)];
                bytes.extend_from_slice(content);
                bytes.resize(length, 0);
                bytes
            }
        }
    }
}

/// An IPv6 header and its extensions.
#[derive(Debug, Clone)]
pub struct Ipv6 {
    /// Who it says it is from.
    pub source: Ipv6Addr,
    /// Whom it is for.
    pub destination: Ipv6Addr,
    /// What it carries after all extensions.
    pub protocol: u8,
    /// Hops left.
    pub hop_limit: u8,
    /// In the order in which they are sent.
    pub extensions: Vec<Extension>,
    /// The length it states, when it shall lie.
    pub stated_length: Option<u16>,
}

impl Ipv6 {
    /// A plain header.
    pub fn new(source: Ipv6Addr, destination: Ipv6Addr, protocol: u8) -> Self {
        Self {
            source,
            destination,
            protocol,
            hop_limit: 64,
            extensions: Vec::new(),
            stated_length: None,
        }
    }

    /// The packet: this header, its extensions, and what they carry.
    pub fn wrap(&self, payload: &[u8]) -> Vec<u8> {
        let numbers: Vec<u8> = self.extensions.iter().map(Extension::number).collect();
        let mut following = numbers.iter().skip(1).copied().chain([self.protocol]);
        let mut carried = Vec::new();
        for extension in &self.extensions {
            carried.extend(extension.bytes(following.next().unwrap_or(self.protocol)));
        }
        carried.extend_from_slice(payload);
        let first = numbers.first().copied().unwrap_or(self.protocol);
        let length = self.stated_length.unwrap_or(length16(carried.len()));
        let mut bytes = vec![0x60, 0, 0, 0];
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(&[first, self.hop_limit]);
        bytes.extend_from_slice(&self.source.octets());
        bytes.extend_from_slice(&self.destination.octets());
        bytes.extend(carried);
        bytes
    }

    /// The packets into which a payload is cut, each carrying so many bytes (a multiple of eight).
    pub fn cut(&self, payload: &[u8], piece_bytes: usize) -> Vec<Vec<u8>> {
        pieces(payload, piece_bytes)
            .map(|(fragment, piece)| {
                let mut header = self.clone();
                header.extensions.push(Extension::Fragment(fragment, 1));
                header.wrap(piece)
            })
            .collect()
    }
}

fn pieces(payload: &[u8], piece_bytes: usize) -> impl Iterator<Item = (Fragment, &[u8])> {
    let count = payload.chunks(piece_bytes).count();
    payload.chunks(piece_bytes).enumerate().map(move |(index, piece)| {
        let offset = length16(index * piece_bytes);
        (Fragment { offset, more: index + 1 < count, keep_whole: false }, piece)
    })
}
