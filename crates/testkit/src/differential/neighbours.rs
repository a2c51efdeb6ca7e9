//! Random frames of the baseline's table and near it: ARP, NDP, MLD and DHCP, true and forged.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use portcullis_core::flow::DHCPV6_SERVERS;
use portcullis_core::net::{Family, Prefix};
use portcullis_core::reference::Site;
use portcullis_core::rule::Direction;

use super::subject::Subject;
use crate::packet::{Mac, solicited_node};
use crate::packet_case::{ArpDraft, Body, Carried, Content, Draft, Internet, OTHER_MAC};
use crate::random::Random;

/// Makes such frames for one subject.
pub(super) struct Neighbours<'s> {
    pub(super) subject: &'s Subject,
}

impl Neighbours<'_> {
    /// The next frame and its direction.
    pub(super) fn draft(&self, random: &mut Random, site: &Site) -> (Direction, Draft) {
        let direction = if random.chance(70) { Direction::Egress } else { Direction::Ingress };
        let body = match random.below(10) {
            0..=2 => Body::Arp(self.arp(random)),
            3..=6 => Body::Internet(self.discovery(random)),
            7 => Body::Internet(self.listener(random)),
            _ => Body::Internet(self.dhcp(random, site, direction)),
        };
        (direction, Draft::carrying(body))
    }

    /// An own address of a family; one that is next to it, now and then.
    fn own(&self, random: &mut Random, family: Family) -> u128 {
        let own: Vec<Prefix> = self.subject.interface(0).addresses.clone();
        let own: Vec<_> = own.into_iter().filter(|own| own.family() == family).collect();
        let (first, last) = random.pick(&own).map_or((77, 77), Prefix::range);
        if random.chance(10) {
            return random.one_of([first.saturating_sub(1), last.saturating_add(1)]);
        }
        random.one_of([first, last])
    }

    fn own4(&self, random: &mut Random) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.own(random, Family::V4) as u32)
    }

    fn own6(&self, random: &mut Random) -> Ipv6Addr {
        Ipv6Addr::from_bits(self.own(random, Family::V6))
    }

    fn link_local(&self) -> Ipv6Addr {
        self.subject.mac().link_local()
    }

    /// Whom a message may be from or about.
    fn somebody6(&self, random: &mut Random) -> Ipv6Addr {
        let strange = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 9);
        let far = Ipv6Addr::new(0xfe80, 0, 0, 1, 0, 0xff, 0xfe00, 1);
        let (own, unspecified) = (self.own6(random), Ipv6Addr::UNSPECIFIED);
        random.one_of([own, own, self.link_local(), self.link_local(), unspecified, strange, far])
    }

    fn arp(&self, random: &mut Random) -> ArpDraft {
        let other = Ipv4Addr::new(10, 0, 0, 2);
        let (sender, target) = (self.own4(random), self.own4(random));
        ArpDraft {
            reply: random.chance(50),
            sender: random.one_of([sender, sender, Ipv4Addr::UNSPECIFIED, other]),
            target: random.one_of([target, other, other]),
            sender_mac: random.chance(12).then_some(OTHER_MAC),
        }
    }

    fn options(&self, random: &mut Random) -> Vec<u8> {
        let option = |kind: u8, mac: Mac| [&[kind, 1][..], &mac].concat();
        let own = self.subject.mac().0;
        let mut bytes = Vec::new();
        for _ in 0..random.one_of([0, 1, 1, 1, 2, 3]) {
            bytes.extend(match random.below(10) {
                0 => option(1, OTHER_MAC),
                1 => option(2, OTHER_MAC),
                2 => vec![14, 1, 0, 0, 0, 0, 0, 0],
                3 => [&[5, 2][..], &[0; 14]].concat(),
                4 => random.one_of([[1, 0], [1, 2], [14, 0], [14, 9]]).to_vec(),
                5 => option(2, own),
                _ => option(1, own),
            });
        }
        if random.chance(3) {
            bytes = [14, 1, 0, 0, 0, 0, 0, 0].repeat(random.between(15, 18));
        }
        bytes
    }

    fn message(&self, random: &mut Random, source: Ipv6Addr, to: Ipv6Addr, kind: u8) -> Internet {
        let code = if random.chance(4) { 1 } else { 0 };
        let content = Content::Payload;
        let carried = Carried::Icmp { kind, code, content };
        Internet::new(IpAddr::V6(source), IpAddr::V6(to), carried)
    }

    fn discovery(&self, random: &mut Random) -> Internet {
        let kind = random.one_of([133, 134, 135, 135, 135, 136, 136, 137]);
        let (source, target) = (self.somebody6(random), self.somebody6(random));
        let own = self.own6(random);
        let nodes = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
        let destination = random.one_of([solicited_node(target), nodes, own]);
        let mut body = match kind {
            133 => Vec::new(),
            134 => vec![0; 8],
            135 | 136 => target.octets().to_vec(),
            _ => vec![0; 32],
        };
        body.extend(self.options(random));
        if random.chance(4) {
            body.truncate(random.below(20));
        }
        let mut packet = self.message(random, source, destination, kind);
        if let Carried::Icmp { content, .. } = &mut packet.carried {
            *content = Content::Bytes(body);
        }
        packet.hop = if random.chance(94) { 255 } else { random.one_of([1, 64, 254]) };
        packet.more = random.chance(3);
        packet
    }

    fn listener(&self, random: &mut Random) -> Internet {
        let kind = random.one_of([130, 131, 132, 143, 143]);
        let source = self.somebody6(random);
        let to = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);
        let mut packet = self.message(random, source, to, kind);
        (packet.hop, packet.payload) = (1, 16);
        packet
    }

    fn dhcp(&self, random: &mut Random, site: &Site, direction: Direction) -> Internet {
        let asks = (direction == Direction::Egress) == random.chance(85);
        let v4 = random.chance(50);
        let (client, server) = if v4 { (68, 67) } else { (546, 547) };
        let (from, to) = if asks { (client, server) } else { (server, client) };
        let carried = Carried::Udp { source: from, destination: to };
        if v4 {
            let (own, nobody, all) =
                (self.own4(random), Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST);
            let named = site.dhcp4_servers.first().copied().unwrap_or(all);
            let other = Ipv4Addr::new(10, 0, 0, 9);
            let local = random.one_of([own, own, nobody, all]);
            let remote = random.one_of([all, all, named, other]);
            let (source, destination) = match direction {
                Direction::Egress => (local, remote),
                Direction::Ingress => (other, local),
            };
            return Internet::new(source.into(), destination.into(), carried);
        }
        let (local, router) = (self.somebody6(random), Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1));
        let remote = random.one_of([DHCPV6_SERVERS, DHCPV6_SERVERS, router]);
        let (source, destination) = match direction {
            Direction::Egress => (local, remote),
            Direction::Ingress => (router, local),
        };
        Internet::new(source.into(), destination.into(), carried)
    }
}
