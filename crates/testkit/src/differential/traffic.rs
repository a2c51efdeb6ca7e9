//! Random sequences, aimed: packets near the edges of rules, of flows that are under way, of the
//! baseline's table, and slightly wrong ones of every kind.
//!
//! What the verdicts should be is not known here.
use std::net::{IpAddr, Ipv4Addr};

use portcullis_core::flow::Flow;
use portcullis_core::net::{Family, protocol};
use portcullis_core::reference::Site;
use portcullis_core::rule::Direction;

use super::neighbours::Neighbours;
use super::sequence::{Sequence, Step, plain_site};
use super::subject::{Subject, VARIANTS};
use crate::packet_case::{Carried, Content, Draft, Header, Internet, OTHER_MAC};
use crate::random::Random;
use crate::random_world::FlowMaker;

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// Somebody on the way.
const ROUTER: [&str; 2] = ["10.9.9.9", "2001:db8:9::9"];

/// Makes sequences for one subject.
pub struct Traffic<'s> {
    random: Random,
    subject: &'s Subject,
    maker: FlowMaker<'s>,
    neighbours: Neighbours<'s>,
}

/// A flow under way, or one that should be.
#[derive(Debug, Clone)]
struct Talk {
    flow: Flow,
    identifier: u16,
    /// How far a TCP connection has come in its natural course.
    progress: usize,
}

/// The natural course of a connection: whether it goes in the first direction, and its flags.
const COURSE: [(bool, u8); 9] = [
    (true, SYN),
    (false, SYN | ACK),
    (true, ACK),
    (true, ACK),
    (false, ACK),
    (true, ACK),
    (true, FIN | ACK),
    (false, FIN | ACK),
    (true, ACK),
];

/// One sequence in the making.
struct Making {
    steps: Vec<Step>,
    talks: Vec<Talk>,
    /// The test of a quota: nothing else is changed, and no flow is named by more than its ends.
    only_quota: bool,
}

impl<'s> Traffic<'s> {
    /// The sequences of a seed.
    pub fn new(seed: u64, subject: &'s Subject) -> Self {
        let maker = FlowMaker::new(&subject.worlds[0]);
        Self { random: Random::new(seed), subject, maker, neighbours: Neighbours { subject } }
    }

    /// The next sequence, of about so many packets.
    pub fn sequence(&mut self, packets: usize) -> Sequence {
        let only_quota = self.random.chance(6);
        let site = self.site(only_quota);
        let mut making = Making { steps: Vec::new(), talks: Vec::new(), only_quota };
        if self.random.chance(8) && !only_quota {
            making.steps.push(Step::Closed);
        }
        if self.random.chance(25) {
            making.steps.push(Step::PickUp);
        }
        while making.steps.len() < packets {
            self.step(&mut making, &site);
        }
        Sequence { site, steps: making.steps }
    }

    fn site(&mut self, only_quota: bool) -> Site {
        let random = &mut self.random;
        let mut site = plain_site();
        if random.chance(30) {
            site.idle_established_s = random.one_of([30, 60, 80, 100, 200, 300, 500, 700]);
            site.idle_closed_s = random.one_of([3, 4, 8, 15]);
            site.idle_udp_s = random.one_of([10, 20, 60, 80, 100]);
        }
        site.keep_established = random.chance(10);
        site.any_link_local = random.chance(10);
        if random.chance(30) {
            site.dhcp4_servers = vec![Ipv4Addr::new(10, 0, 0, 2), Ipv4Addr::new(10, 0, 0, 7)];
        }
        if only_quota {
            site.quota = random.between(1, 4);
        }
        site
    }

    fn step(&mut self, making: &mut Making, site: &Site) {
        match self.random.below(100) {
            0..=4 => {
                let steps = self.random.one_of([1, 1, 2, 3, 5, 9, 13, 18, 26, 27, 28, 45, 54]);
                let long = self.random.one_of([90, 300, 826, 828]);
                let steps = if self.random.chance(8) { long } else { steps };
                making.steps.push(Step::Wait(steps));
            }
            5..=7 if !making.only_quota => {
                making.steps.push(Step::World(self.random.below(VARIANTS)));
            }
            8 if self.random.chance(20) && !making.only_quota => making.steps.push(Step::Closed),
            9..=15 => {
                let (direction, draft) = self.neighbours.draft(&mut self.random, site);
                self.push(making, direction, draft);
            }
            16..=24 => self.error(making),
            25..=34 => self.fragments(making),
            35..=36 => {
                let kind = self.random.one_of([0x8100, 0x88a8, 0x88cc, 0x0801, 0, 1500, 0x0806]);
                let bytes = vec![0; self.random.below(60)];
                let direction = self.direction();
                let body = crate::packet_case::Body::Frame(kind, bytes);
                self.push(making, direction, Draft::carrying(body));
            }
            _ => {
                let Some((direction, packet)) = self.talk_packet(making) else { return };
                self.push(making, direction, Draft::of(packet));
            }
        }
    }

    fn direction(&mut self) -> Direction {
        self.random.one_of([Direction::Egress, Direction::Ingress])
    }

    /// Adds a frame, now and then slightly wrong.
    fn push(&mut self, making: &mut Making, direction: Direction, mut draft: Draft) {
        if self.random.chance(10) {
            self.spoil(direction, &mut draft);
        }
        making.steps.push(Step::Frame(direction, Box::new(draft)));
    }

    fn spoil(&mut self, direction: Direction, draft: &mut Draft) {
        let random = &mut self.random;
        match random.below(9) {
            0 | 1 => draft.mac = Some(OTHER_MAC),
            2 => draft.vlan = Some(random.below(3) as u16),
            3 => {
                let length = draft.frame(direction, self.subject.mac().0).len();
                draft.cut = Some(random.between(14, length.max(15)));
            }
            4 => draft.pad = Some(random.between(1, 40)),
            5 | 6 => {
                let length = draft.frame(direction, self.subject.mac().0).len() - 14;
                let at = random.below(length.max(1));
                let at = if random.chance(60) { at.min(random.below(80)) } else { at };
                let byte = random.one_of([0, 1, 2, 6, 8, 0x0f, 17, 44, 60, 0x40, 0x50, 0xff]);
                draft.pokes.push((at, vec![byte]));
            }
            _ => {
                if let crate::packet_case::Body::Internet(packet) = &mut draft.body {
                    spoil_header(random, packet);
                }
            }
        }
    }

    /// A packet of a flow, most often one under way.
    fn talk_packet(&mut self, making: &mut Making) -> Option<(Direction, Internet)> {
        let at = self.talk(making)?;
        let talk = &mut making.talks[at];
        let first = talk.flow.direction();
        let random = &mut self.random;
        let is_tcp = talk.flow.protocol() == protocol::TCP;
        if is_tcp && random.chance(70) {
            let (forth, flags) = COURSE[talk.progress % COURSE.len()];
            talk.progress += 1;
            let direction = if forth { first } else { first.reverse() };
            return Some((direction, packet_of(random, talk, direction, Some(flags))));
        }
        let direction = if random.chance(55) { first } else { first.reverse() };
        Some((direction, packet_of(random, talk, direction, None)))
    }

    fn talk(&mut self, making: &mut Making) -> Option<usize> {
        if making.talks.is_empty() || self.random.chance(22) {
            let flow = self.maker.flow_at(&mut self.random, &self.subject.interface)?;
            let identifier = self.random.below(3) as u16;
            let is_echo = matches!(flow.protocol(), protocol::ICMP | protocol::ICMPV6);
            if making.only_quota && is_echo {
                return None;
            }
            making.talks.push(Talk { flow, identifier, progress: 0 });
            return Some(making.talks.len() - 1);
        }
        Some(self.random.below(making.talks.len()))
    }

    /// An ICMP error, most often about a packet that went.
    fn error(&mut self, making: &mut Making) {
        let Some(at) = self.talk(making) else { return };
        let talk = making.talks[at].clone();
        let random = &mut self.random;
        let quoted_direction =
            random.one_of([talk.flow.direction(), talk.flow.direction().reverse()]);
        let mut quoted = packet_of(random, &talk, quoted_direction, None);
        if random.chance(15) {
            spoil_header(random, &mut quoted);
        }
        if random.chance(10) {
            cut_into_fragment(random, &mut quoted);
        }
        let v4 = quoted.source.is_ipv4();
        let quote =
            random.chance(25).then(|| random.one_of([0, 19, 20, 27, 28, 39, 40, 47, 48, 60]));
        let kind = if v4 {
            random.one_of([3, 3, 3, 11, 12, 4, 5, 13])
        } else {
            random.one_of([1, 2, 2, 3, 4, 5, 127, 144])
        };
        let router = ROUTER[usize::from(!v4)].parse().unwrap_or(quoted.destination);
        let source = if random.chance(50) { router } else { quoted.destination };
        let destination = if random.chance(90) { quoted.source } else { talk.flow.local() };
        let mut code = 0;
        if random.chance(30) {
            code = random.below(16) as u8;
        }
        let content = Content::Quoted(Box::new(quoted), quote);
        let mut packet = Internet::new(source, destination, Carried::Icmp { kind, code, content });
        let direction = quoted_direction.reverse();
        if random.chance(12) {
            packet.id = random.between(1, 3) as u32;
            (packet.more, packet.only) = (true, Some((0, 64)));
            let mut later = packet.clone();
            (later.more, later.offset, later.only) = (false, Some(64), Some((64, 200)));
            self.push(making, direction, Draft::of(packet));
            self.meanwhile(making);
            packet = later;
        }
        self.push(making, direction, Draft::of(packet));
    }

    /// A datagram in fragments, or some of them.
    fn fragments(&mut self, making: &mut Making) {
        let Some((direction, mut whole)) = self.talk_packet(making) else { return };
        whole.id = self.random.between(1, 3) as u32;
        whole.payload = self.random.one_of([40, 64, 100]);
        if whole.source.is_ipv6() && self.random.chance(25) {
            whole.then_destination = true;
        }
        let at = self.random.one_of([8, 16, 24, 24, 32, 40]);
        let mut first = whole.clone();
        (first.more, first.only) = (true, Some((0, at)));
        if self.random.chance(10) {
            first.only = Some((0, self.random.one_of([0, 4, 8, 12, 20])));
        }
        let mut later = whole;
        later.offset = Some(if self.random.chance(85) {
            at as u16
        } else {
            self.random.one_of([8, 16, 24, 48, 65_528])
        });
        later.only = Some((at, self.random.one_of([at + 4, at + 16, 200])));
        later.more = self.random.chance(30);
        if self.random.chance(85) {
            self.push(making, direction, Draft::of(first));
            self.meanwhile(making);
        }
        self.push(making, direction, Draft::of(later));
    }

    /// Something may happen between two fragments.
    fn meanwhile(&mut self, making: &mut Making) {
        match self.random.below(10) {
            0 if !making.only_quota => {
                making.steps.push(Step::World(self.random.below(VARIANTS)));
            }
            1 => making.steps.push(Step::Wait(self.random.one_of([1, 26, 27, 28]))),
            _ => {}
        }
    }
}

/// A packet of the flow in a direction.
fn packet_of(
    random: &mut Random,
    talk: &Talk,
    direction: Direction,
    flags: Option<u8>,
) -> Internet {
    let flow = &talk.flow;
    let forth = direction == flow.direction();
    let ports = flow.ports().map_or((0, 0), |ports| (ports.source, ports.destination));
    let (source, destination, ports) = if forth {
        (flow.source(), flow.destination(), ports)
    } else {
        (flow.destination(), flow.source(), (ports.1, ports.0))
    };
    let is_echo = matches!(
        (flow.protocol(), flow.family()),
        (protocol::ICMP, Family::V4) | (protocol::ICMPV6, Family::V6)
    );
    let (source_port, destination_port) = ports;
    let carried = match flow.protocol() {
        protocol::TCP => {
            let any =
                random.one_of([SYN, SYN, SYN | ACK, ACK, ACK, RST, RST | ACK, FIN | ACK, FIN]);
            let odd = random.one_of([0, SYN | FIN, SYN | RST, FIN | RST | ACK, SYN | RST | ACK]);
            let any = if random.chance(12) { odd } else { any };
            let flags = flags.unwrap_or(any);
            Carried::Tcp { source: source_port, destination: destination_port, flags }
        }
        protocol::UDP => Carried::Udp { source: source_port, destination: destination_port },
        _ if is_echo && random.chance(88) => {
            let reply = forth == random.chance(12);
            Carried::Echo { reply, identifier: talk.identifier }
        }
        _ if is_echo => {
            let kind = match flow.family() {
                Family::V4 => random.one_of([3, 5, 11, 12, 13, 30]),
                Family::V6 => random.one_of([1, 2, 3, 4, 100, 138, 144]),
            };
            Carried::Icmp { kind, code: 0, content: Content::Payload }
        }
        other => Carried::Ip(other),
    };
    let mut packet = Internet::new(source, destination, carried);
    packet.payload = random.one_of([0, 0, 8, 24]);
    packet
}

fn cut_into_fragment(random: &mut Random, packet: &mut Internet) {
    if random.chance(50) {
        packet.more = true;
    } else {
        packet.offset = Some(random.one_of([8, 24, 64]));
    }
}

/// Headers that are seldom seen, or never should be.
fn spoil_header(random: &mut Random, packet: &mut Internet) {
    match (random.below(4), packet.source) {
        (0, _) => packet.length = Some(random.one_of([0, 19, 20, 27, 28, 39, 40, 47, 60, 2000])),
        (1, _) => packet.hop = random.one_of([0, 1, 254, 255]),
        (_, IpAddr::V4(_)) => {
            let options: [&[u8]; 8] = [
                &[1, 1, 1, 1],
                &[0, 9, 9, 9],
                &[7, 4, 0, 0],
                &[7, 3, 0, 1],
                &[7, 5, 0, 0],
                &[7, 1, 0, 0],
                &[1, 1, 1, 7],
                &[
                    68, 40, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                    0, 0,
                ],
            ];
            packet.options = random.one_of(options).to_vec();
            if random.chance(10) {
                packet.options = vec![1; 40];
            }
        }
        (_, IpAddr::V6(_)) => {
            let count = random.one_of([1, 1, 2, 3, 7, 8, 9]);
            let named = Header::ALL.map(|(header, _)| header);
            packet.extensions = (0..count)
                .map(|_| if count > 3 { Header::Destination } else { random.one_of(named) })
                .collect();
        }
    }
}
