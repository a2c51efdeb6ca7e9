//! One frame of a case as a value: what its words say, and the bytes that they make.
//!
//! It judges nothing, and any part of it may be unlawful.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use portcullis_core::rule::Direction;

use crate::packet::{
    Arp, BROADCAST, Ethernet, Extension, Flags, Fragment, Icmp, Ipv4, Ipv6, Mac, Tcp, Udp, icmp,
    icmpv6,
};

/// The other end of the wire.
pub const OTHER_MAC: Mac = [2, 0, 0, 0, 0, 0xfe];
/// Bytes ahead of the IP header.
const ETHERNET_BYTES: usize = 14;

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// What the frame carries.
    pub body: Body,
    /// The frame's source, if not the one that its direction implies.
    pub mac: Option<Mac>,
    /// A VLAN tag.
    pub vlan: Option<u16>,
    /// The frame ends after so many bytes.
    pub cut: Option<usize>,
    /// So many zeros follow.
    pub pad: Option<usize>,
    /// Bytes written over, counted from the start of the IP header.
    pub pokes: Vec<(usize, Vec<u8>)>,
}

/// What a frame carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Any bytes under any ethertype.
    Frame(u16, Vec<u8>),
    /// An ARP message.
    Arp(ArpDraft),
    /// An IP packet.
    Internet(Internet),
}

/// An ARP message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArpDraft {
    /// A reply; else a request.
    pub reply: bool,
    /// Whose address it says it is from.
    pub sender: Ipv4Addr,
    /// The address asked for.
    pub target: Ipv4Addr,
    /// The sender's MAC in the message, if not the frame's.
    pub sender_mac: Option<Mac>,
}

/// An IP packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Internet {
    /// Who it is from.
    pub source: IpAddr,
    /// Whom it is for; of the same family.
    pub destination: IpAddr,
    /// What follows the IP header.
    pub carried: Carried,
    /// Bytes of payload, all zero.
    pub payload: usize,
    /// Hops left.
    pub hop: u8,
    /// Identification of fragments.
    pub id: u32,
    /// Where this fragment begins.
    pub offset: Option<u16>,
    /// More fragments follow.
    pub more: bool,
    /// The part of what IP carries that is sent.
    pub only: Option<(usize, usize)>,
    /// IPv4 options.
    pub options: Vec<u8>,
    /// IPv6 extension headers, ahead of the fragment header.
    pub extensions: Vec<Header>,
    /// An IPv6 destination options header after the fragment header.
    pub then_destination: bool,
    /// The length that the header states, where it lies.
    pub length: Option<u16>,
}

/// IPv6 extension headers by their names in cases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// Hop-by-hop options.
    Hop,
    /// A routing header.
    Routing,
    /// Destination options.
    Destination,
    /// Destination options of 32 bytes.
    Long,
    /// A fragment header of a whole packet.
    Atomic,
}

impl Header {
    /// All of them with their names.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Hop, "hop"),
        (Self::Routing, "routing"),
        (Self::Destination, "destination"),
        (Self::Long, "long"),
        (Self::Atomic, "atomic"),
    ];

    fn extension(self, id: u32) -> Extension {
        match self {
            Self::Hop => Extension::HopByHop(Vec::new()),
            Self::Routing => Extension::Routing(Vec::new()),
            Self::Destination => Extension::Destination(Vec::new()),
            Self::Long => Extension::Destination(vec![0; 30]),
            Self::Atomic => Extension::Fragment(Fragment::default(), id),
        }
    }
}

/// What follows the IP header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Carried {
    /// A TCP segment.
    Tcp {
        /// Source port.
        source: u16,
        /// Destination port.
        destination: u16,
        /// Its flags.
        flags: u8,
    },
    /// A UDP datagram.
    Udp {
        /// Source port.
        source: u16,
        /// Destination port.
        destination: u16,
    },
    /// An echo request or reply of the packet's family.
    Echo {
        /// A reply; else a request.
        reply: bool,
        /// Its identifier.
        identifier: u16,
    },
    /// Any other ICMP message of the packet's family.
    Icmp {
        /// Its type.
        kind: u8,
        /// Its code.
        code: u8,
        /// What follows its head.
        content: Content,
    },
    /// Any protocol over zeros.
    Ip(u8),
}

/// What follows the head of an ICMP message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// The packet's payload.
    Payload,
    /// These bytes.
    Bytes(Vec<u8>),
    /// A packet, or so many first bytes of it.
    Quoted(Box<Internet>, Option<usize>),
}

impl Draft {
    /// A frame around a packet.
    pub fn of(packet: Internet) -> Self {
        Self::carrying(Body::Internet(packet))
    }

    /// A frame that carries this.
    pub fn carrying(body: Body) -> Self {
        Self { body, mac: None, vlan: None, cut: None, pad: None, pokes: Vec::new() }
    }

    /// The frame's bytes, at an interface with this MAC.
    pub fn frame(&self, direction: Direction, own: Mac) -> Vec<u8> {
        let out = direction == Direction::Egress;
        let source = self.mac.unwrap_or(if out { own } else { OTHER_MAC });
        let destination = match (&self.body, out) {
            (Body::Arp(_), _) => BROADCAST,
            (_, true) => OTHER_MAC,
            (_, false) => own,
        };
        let mut ethernet = Ethernet::new(source, destination);
        if let Some(tag) = self.vlan {
            ethernet = ethernet.vlan(tag);
        }
        let mut frame = match &self.body {
            Body::Frame(kind, bytes) => ethernet.frame(*kind, bytes),
            Body::Arp(arp) => {
                let sender = arp.sender_mac.unwrap_or(source);
                ethernet.arp(&match arp.reply {
                    false => Arp::request(sender, arp.sender, arp.target),
                    true => Arp::reply(sender, arp.sender, OTHER_MAC, arp.target),
                })
            }
            Body::Internet(packet) => match packet.source {
                IpAddr::V4(_) => ethernet.ipv4(&packet.bytes()),
                IpAddr::V6(_) => ethernet.ipv6(&packet.bytes()),
            },
        };
        if let Some(bytes) = self.cut {
            frame.truncate(bytes);
        }
        if let Some(bytes) = self.pad {
            frame.resize(frame.len() + bytes, 0);
        }
        for (offset, bytes) in &self.pokes {
            let places = frame.iter_mut().skip(ETHERNET_BYTES + offset);
            for (to, from) in places.zip(bytes) {
                *to = *from;
            }
        }
        frame
    }
}

impl Internet {
    /// A plain packet.
    pub fn new(source: IpAddr, destination: IpAddr, carried: Carried) -> Self {
        Self {
            source,
            destination,
            carried,
            payload: 0,
            hop: 64,
            id: 1,
            offset: None,
            more: false,
            only: None,
            options: Vec::new(),
            extensions: Vec::new(),
            then_destination: false,
            length: None,
        }
    }

    /// The packet's bytes, from the IP header on.
    pub fn bytes(&self) -> Vec<u8> {
        let (protocol, mut carried) = self.transport();
        if let Some((first, last)) = self.only {
            carried.truncate(last);
            carried.drain(..first.min(carried.len()));
        }
        let fragment =
            Fragment { offset: self.offset.unwrap_or(0), more: self.more, ..Fragment::default() };
        match (self.source, self.destination) {
            (IpAddr::V4(from), IpAddr::V4(to)) => Ipv4 {
                time_to_live: self.hop,
                identification: self.id as u16,
                fragment,
                options: self.options.clone(),
                stated_length: self.length,
                ..Ipv4::new(from, to, protocol)
            }
            .wrap(&carried),
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                self.wrap_v6((from, to), protocol, fragment, &carried)
            }
            // Whoever makes a packet gives it addresses of one family.
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => Vec::new(),
        }
    }

    fn wrap_v6(
        &self,
        (from, to): (Ipv6Addr, Ipv6Addr),
        protocol: u8,
        fragment: Fragment,
        carried: &[u8],
    ) -> Vec<u8> {
        let mut extensions: Vec<_> =
            self.extensions.iter().map(|header| header.extension(self.id)).collect();
        if self.offset.is_some() || self.more {
            extensions.push(Extension::Fragment(fragment, self.id));
        }
        if self.then_destination {
            extensions.push(Extension::Destination(Vec::new()));
        }
        let header = Ipv6 {
            hop_limit: self.hop,
            extensions,
            stated_length: self.length,
            ..Ipv6::new(from, to, protocol)
        };
        header.wrap(carried)
    }

    fn transport(&self) -> (u8, Vec<u8>) {
        let payload = vec![0; self.payload];
        let (from, to) = (self.source, self.destination);
        match &self.carried {
            Carried::Tcp { source, destination, flags } => {
                (6, Tcp::new(*source, *destination, Flags(*flags)).over(from, to, &payload))
            }
            Carried::Udp { source, destination } => {
                (17, Udp::new(*source, *destination).over(from, to, &payload))
            }
            Carried::Echo { reply, identifier } => {
                let head = match (reply, from.is_ipv4()) {
                    (false, true) => Icmp::echo_request(*identifier),
                    (true, true) => Icmp::echo_reply(*identifier),
                    (false, false) => Icmp::echo_request_v6(*identifier),
                    (true, false) => Icmp::echo_reply_v6(*identifier),
                };
                self.icmp(head, &payload)
            }
            Carried::Icmp { kind, code, content } => {
                let head = Icmp { kind: *kind, code: *code, rest: [0; 4] };
                match content {
                    Content::Payload => self.icmp(head, &payload),
                    Content::Bytes(bytes) => self.icmp(head, bytes),
                    Content::Quoted(packet, quote) => {
                        let mut body = packet.bytes();
                        body.truncate(quote.unwrap_or(usize::MAX));
                        self.icmp(head, &body)
                    }
                }
            }
            Carried::Ip(protocol) => (*protocol, payload),
        }
    }

    fn icmp(&self, head: Icmp, body: &[u8]) -> (u8, Vec<u8>) {
        match (self.source, self.destination) {
            (IpAddr::V6(source), IpAddr::V6(to)) => (58, icmpv6(source, to, head, body)),
            _ => (1, icmp(head, body)),
        }
    }
}
