//! Packets from nothing: frames, Internet headers, transports, neighbours, DHCP, as bytes.
//!
//! Every field has a lawful value by default and can be set to an unlawful one, because half the
//! packets worth sending are wrong. Nothing here sends, receives or judges.
//!
//! ```
//! use portcullis_testkit::packet::{Ethernet, Ipv4, Udp};
//! # use std::net::Ipv4Addr;
//! let (client, server) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
//! let datagram = Udp::new(4000, 53).over(client, server, b"question");
//! let packet = Ipv4::new(client, server, 17).wrap(&datagram);
//! let frame = Ethernet::new([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]).ipv4(&packet);
//! assert_eq!(frame.len(), 14 + 20 + 8 + 8);
//! ```

mod dhcp;
mod internet;
mod neighbour;
mod transport;

pub use dhcp::{Dhcp, DhcpAnswer, DhcpMessage};
pub use internet::{Extension, Fragment, Ipv4, Ipv6};
pub use neighbour::{Arp, neighbour_advertisement, neighbour_solicitation, router_advertisement};
pub use transport::{Flags, Icmp, Tcp, Udp, icmp, icmpv6};

use std::net::Ipv6Addr;

/// A link-layer address.
pub type Mac = [u8; 6];

/// To everybody on the link.
pub const BROADCAST: Mac = [0xff; 6];

/// What follows an Ethernet header: IPv4.
pub const ETHERTYPE_IPV4: u16 = 0x0800;
/// What follows an Ethernet header: ARP.
pub const ETHERTYPE_ARP: u16 = 0x0806;
/// What follows an Ethernet header: a VLAN tag.
pub const ETHERTYPE_VLAN: u16 = 0x8100;
/// What follows an Ethernet header: IPv6.
pub const ETHERTYPE_IPV6: u16 = 0x86dd;

/// The head of a frame.
#[derive(Debug, Clone)]
pub struct Ethernet {
    source: Mac,
    destination: Mac,
    tags: Vec<u16>,
}

impl Ethernet {
    /// From one link-layer address to another, untagged.
    pub fn new(source: Mac, destination: Mac) -> Self {
        Self { source, destination, tags: Vec::new() }
    }

    /// With one more VLAN tag, inside those already there.
    #[must_use]
    pub fn vlan(mut self, identifier: u16) -> Self {
        self.tags.push(identifier);
        self
    }

    /// A frame of any kind.
    pub fn frame(&self, ethertype: u16, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(14 + 4 * self.tags.len() + payload.len());
        bytes.extend_from_slice(&self.destination);
        bytes.extend_from_slice(&self.source);
        for tag in &self.tags {
            bytes.extend_from_slice(&ETHERTYPE_VLAN.to_be_bytes());
            bytes.extend_from_slice(&tag.to_be_bytes());
        }
        bytes.extend_from_slice(&ethertype.to_be_bytes());
        bytes.extend_from_slice(payload);
        bytes
    }

    /// A frame that carries an IPv4 packet.
    pub fn ipv4(&self, packet: &[u8]) -> Vec<u8> {
        self.frame(ETHERTYPE_IPV4, packet)
    }

    /// A frame that carries an IPv6 packet.
    pub fn ipv6(&self, packet: &[u8]) -> Vec<u8> {
        self.frame(ETHERTYPE_IPV6, packet)
    }

    /// A frame that carries an ARP message.
    pub fn arp(&self, message: &Arp) -> Vec<u8> {
        self.frame(ETHERTYPE_ARP, &message.bytes())
    }
}

/// The link-layer address to which a multicast group maps.
pub fn multicast_mac(group: Ipv6Addr) -> Mac {
    let [.., a, b, c, d] = group.octets();
    [0x33, 0x33, a, b, c, d]
}

/// The group that a solicitation for this address is sent to.
pub fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    let low = u16::from_be_bytes([b, c]);
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), low)
}

/// The Internet checksum over several runs of bytes, each of even length but the last.
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0u64;
    for part in parts {
        for pair in part.chunks(2) {
            let high = pair.first().copied().unwrap_or(0);
            let low = pair.get(1).copied().unwrap_or(0);
            sum += u64::from(u16::from_be_bytes([high, low]));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    #[allow(clippy::cast_possible_truncation, reason = "folded to 16 bits above")]
    let folded = sum as u16;
    !folded
}

/// A length that a header states in 16 bits; what does not fit is stated as the largest.
fn length16(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    #[test]
    fn the_checksum_is_that_of_rfc_1071() {
        let words = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(checksum(&[&words]), !0xddf2);
        assert_eq!(checksum(&[&words[..4], &words[4..]]), !0xddf2);
        assert_eq!(checksum(&[&[0x01]]), !0x0100);
    }

    #[test]
    fn a_known_ipv4_header_gets_its_known_checksum() {
        let packet = Ipv4 {
            identification: 0,
            fragment: Fragment { more: false, offset: 0, keep_whole: true },
            ..Ipv4::new([192, 168, 0, 1].into(), [192, 168, 0, 199].into(), 17)
        }
        .wrap(&[0; 95]);
        assert_eq!(&packet[..4], &[0x45, 0, 0, 115]);
        assert_eq!(&packet[10..12], &[0xb8, 0x61]);
    }

    #[test]
    fn a_transport_checksum_sums_to_zero_with_its_pseudo_header() {
        let ends: [(IpAddr, IpAddr); 2] = [
            ([10, 0, 0, 1].into(), [10, 0, 0, 2].into()),
            ("2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap()),
        ];
        for (source, destination) in ends {
            for payload in [&b"odd"[..], b"even"] {
                let segment = Tcp::new(1, 2, Flags::SYN).over(source, destination, payload);
                let pseudo = transport::pseudo_header(source, destination, 6, segment.len());
                assert_eq!(checksum(&[&pseudo, &segment]), 0);
                let datagram = Udp::new(1, 2).over(source, destination, payload);
                let pseudo = transport::pseudo_header(source, destination, 17, datagram.len());
                assert_eq!(checksum(&[&pseudo, &datagram]), 0);
            }
        }
    }

    #[test]
    fn tags_stand_between_addresses_and_type() {
        let frame = Ethernet::new([1; 6], [2; 6]).vlan(5).vlan(6).ipv4(&[0x45]);
        assert_eq!(frame[..12], [2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1]);
        assert_eq!(frame[12..], [0x81, 0, 0, 5, 0x81, 0, 0, 6, 8, 0, 0x45]);
    }

    #[test]
    fn options_and_extension_headers_are_counted() {
        let packet = Ipv4 {
            options: vec![7, 7, 4, 0, 0, 0, 0],
            ..Ipv4::new([10, 0, 0, 1].into(), [10, 0, 0, 2].into(), 17)
        }
        .wrap(b"x");
        assert_eq!(packet[0], 0x47, "padded to eight bytes of options");
        assert_eq!(packet.len(), 29);
        let packet = Ipv6 {
            extensions: vec![Extension::HopByHop(vec![1, 4]), Extension::Routing(vec![0; 20])],
            ..Ipv6::new("2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap(), 17)
        }
        .wrap(b"x");
        assert_eq!((packet[6], packet[40], packet[48]), (0, 43, 17));
        assert_eq!((packet[41], packet[49]), (0, 2));
        assert_eq!(packet.len(), 40 + 8 + 24 + 1);
        assert_eq!(packet[5], 33);
    }

    #[test]
    fn a_packet_is_cut_where_asked() {
        let whole: Vec<u8> = (0..=99).collect();
        let pieces = Ipv4::new([10, 0, 0, 1].into(), [10, 0, 0, 2].into(), 17).cut(&whole, 40);
        assert_eq!(pieces.len(), 3);
        assert_eq!((pieces[0].len(), pieces[2].len()), (60, 40));
        assert_eq!((pieces[0][6], pieces[1][6], pieces[2][6]), (0x20, 0x20, 0));
        assert_eq!((pieces[1][7], pieces[2][7]), (5, 10));
        let (from, to) = ("2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap());
        let pieces = Ipv6::new(from, to, 17).cut(&whole, 64);
        assert_eq!(pieces.len(), 2);
        assert_eq!((pieces[0][6], pieces[0][40]), (44, 17));
        assert_eq!((&pieces[0][42..44], &pieces[1][42..44]), (&[0, 1][..], &[0, 64][..]));
    }

    #[test]
    fn neighbours_are_asked_on_their_group() {
        let target: Ipv6Addr = "2001:db8::a:bcde".parse().unwrap();
        assert_eq!(solicited_node(target), "ff02::1:ff0a:bcde".parse::<Ipv6Addr>().unwrap());
        assert_eq!(multicast_mac(solicited_node(target)), [0x33, 0x33, 0xff, 0x0a, 0xbc, 0xde]);
        let source = "2001:db8::1".parse().unwrap();
        let packet = neighbour_solicitation(source, target, Some([2, 0, 0, 0, 0, 1]));
        assert_eq!((packet[7], packet[40]), (255, 135));
        assert_eq!(packet[64..], [1, 1, 2, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn dhcp_messages_are_read_back() {
        let mac = [2, 0, 0, 0, 0, 9];
        let offer = Dhcp { your_address: [10, 0, 0, 9].into(), ..Dhcp::offer(mac, 7) };
        let read = DhcpAnswer::read(&offer.bytes()).unwrap();
        assert_eq!(read.message, DhcpMessage::Offer);
        assert_eq!(read.your_address, std::net::Ipv4Addr::new(10, 0, 0, 9));
        assert_eq!((read.transaction, read.client), (7, mac));
        assert!(DhcpAnswer::read(&offer.bytes()[..200]).is_none());
    }
}
