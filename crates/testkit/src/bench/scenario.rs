//! What all contenders enforce: one interface, its rules, the members of the groups that the rules
//! name, and packets that are accepted or refused. Made from a seed, judged by the reference.
//!
//! Rules that name groups are asked first: only then can the policy be told as verdict maps at all.
//! Nothing here knows how any contender enforces it.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

use portcullis_core::evaluate::Evaluator;
use portcullis_core::flow::{Flow, FlowPorts};
use portcullis_core::ids::NetworkInterfaceId;
use portcullis_core::net::{Family, Mac, Ports, Prefix, Protocol, protocol};
use portcullis_core::resolve::{InterfacePolicy, interface_policy};
use portcullis_core::rule::{Direction, Peer, Policy, PortMatch, Priority, Rule};
use portcullis_core::verdict::Judge;
use portcullis_core::world::{Group, GroupType, InnerAccess, Interface, World};

use crate::random::Random;

/// The interface that is measured.
pub const INTERFACE: &str = "eni-bench";
/// The group whose rules it has.
pub const GROUP: &str = "sg-bench";
/// Its link-layer address.
pub const INSTANCE_MAC: [u8; 6] = [2, 0, 0, 0, 0x77, 5];
/// Its address.
pub const INSTANCE: Ipv4Addr = Ipv4Addr::new(172, 31, 0, 5);
/// The same in IPv6.
pub const INSTANCE_V6: Ipv6Addr = Ipv6Addr::new(0xfd99, 0, 0, 0, 0, 0, 0, 5);

/// Groups over which the members are spread.
pub const MEMBER_GROUPS: usize = 20;
/// Of a hundred rules, so many name a group.
const GROUP_RULES_PERCENT: usize = 20;
/// Ports that rules are about: what services listen at.
const SERVICE_PORTS: usize = 200;
/// Ports to which the packets are sent: so many sockets take them.
pub const SOCKETS: usize = 64;
/// Where services' ports begin.
const PORT_FIRST: usize = 1_024;
/// The network that all peers are in.
const NETWORK: u32 = 0x0a00_0000;
/// The half of it that members are in.
const MEMBERS: u32 = 0x0a80_0000;
/// Attempts at packets of one kind before giving up, for each that is wanted.
const ATTEMPTS: usize = 200;

/// How much there is to enforce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Rules of the interface's group.
    pub rules: usize,
    /// Members of the groups that the rules name.
    pub members: usize,
    /// Family of all peers.
    pub family: Family,
}

/// One packet's ends; its source is the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tuple {
    /// TCP or UDP.
    pub protocol: u8,
    /// The port at the interface.
    pub source_port: u16,
    /// The other end.
    pub destination: IpAddr,
    /// Its port.
    pub destination_port: u16,
}

/// A world and how to ask about it.
#[derive(Debug)]
pub struct Scenario {
    /// All of it, as a world file would say it.
    pub world: World,
    /// The interface's rules in the order in which they are asked.
    pub policy: InterfacePolicy,
    /// Its size.
    pub size: Size,
    /// The ports that sockets take packets at.
    pub ports: Vec<u16>,
    seed: u64,
}

/// An id of the scenario.
pub fn id<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}` is no id"))
}

/// The name of a group of members.
pub fn member_group(number: usize) -> String {
    format!("sg-m{number}")
}

/// The address that stands for a number in a family.
pub fn address(family: Family, number: u32) -> IpAddr {
    match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::from_bits(number)),
        Family::V6 => IpAddr::V6(Ipv6Addr::from_bits((0xfd00 << 112) | u128::from(number))),
    }
}

/// The interface's own address in a family.
pub fn own(family: Family) -> IpAddr {
    match family {
        Family::V4 => INSTANCE.into(),
        Family::V6 => INSTANCE_V6.into(),
    }
}

/// The address of a member.
pub fn member(family: Family, number: usize) -> IpAddr {
    address(family, MEMBERS + number as u32)
}

impl Scenario {
    /// The scenario of a seed.
    ///
    /// # Errors
    /// When the size makes no world.
    pub fn new(seed: u64, size: Size) -> Result<Self, String> {
        let mut random = Random::new(seed);
        let ports = service_ports(&mut random);
        let mut world = World::new();
        for number in 0..MEMBER_GROUPS {
            put_group(&mut world, &member_group(number))?;
        }
        put_group(&mut world, GROUP)?;
        for number in 0..size.rules {
            let rule = rule(&mut random, number, size, &ports)?;
            world.put_rule(&id(GROUP)?, Arc::new(rule));
        }
        for number in 0..size.members {
            let address = member(size.family, number);
            let group = member_group(number % MEMBER_GROUPS);
            put_interface(&mut world, &format!("eni-m{number}"), None, &[address], &group)?;
        }
        let own = [INSTANCE.into(), INSTANCE_V6.into()];
        put_interface(&mut world, INTERFACE, Some(INSTANCE_MAC), &own, GROUP)?;
        let policy = interface_policy(&world, &id(INTERFACE)?).ok_or("the interface dangles")?;
        let ports = ports.iter().copied().step_by(SERVICE_PORTS / SOCKETS).take(SOCKETS).collect();
        Ok(Self { world, policy, size, ports, seed })
    }

    /// So many packets that the reference accepts, or drops, each once.
    ///
    /// # Errors
    /// When there are hardly any.
    pub fn tuples(&self, kind: u8, wanted: Policy, count: usize) -> Result<Vec<Tuple>, String> {
        let mut random = Random::new(!self.seed ^ u64::from(kind));
        let mut evaluator = Evaluator::new(&self.world);
        let mut found = BTreeSet::new();
        for _ in 0..count * ATTEMPTS {
            if found.len() == count {
                break;
            }
            let Some(tuple) = self.aim(&mut random, kind) else { continue };
            let verdict = evaluator.judge(&flow(&tuple)?);
            if verdict.map_err(|error| error.message)?.policy == wanted {
                found.insert(tuple);
            }
        }
        if found.len() < count {
            return Err(format!("only {} of {count} packets are {}", found.len(), wanted.name()));
        }
        // Neighbours in order would be neighbours in caches.
        let mut tuples: Vec<Tuple> = found.into_iter().collect();
        for index in (1..tuples.len()).rev() {
            tuples.swap(index, random.below(index + 1));
        }
        Ok(tuples)
    }

    /// How many rules the reference asks until one decides, on average: what a list costs.
    ///
    /// # Errors
    /// When a packet cannot be judged.
    pub fn mean_depth(&self, tuples: &[Tuple]) -> Result<f64, String> {
        let mut evaluator = Evaluator::new(&self.world);
        let mut sum = 0;
        for tuple in tuples {
            let verdict = evaluator.judge(&flow(tuple)?).map_err(|error| error.message)?;
            let decided = verdict.rule.and_then(|decided| {
                self.policy.egress.iter().position(|rule| rule.rule.id == decided.rule)
            });
            sum += decided.map_or(self.policy.egress.len(), |position| position + 1);
        }
        Ok(sum as f64 / tuples.len().max(1) as f64)
    }

    /// Most packets are aimed at a rule, so that many rules decide.
    fn aim(&self, random: &mut Random, kind: u8) -> Option<Tuple> {
        let destination_port = *random.pick(&self.ports)?;
        let source_port = random.between(10_000, 60_000) as u16;
        let rule = random.pick(&self.policy.egress).filter(|_| random.chance(70));
        let family = self.size.family;
        let number = match rule.map(|rule| &rule.rule.peer) {
            Some(Peer::Cidr(cidr)) => {
                let (low, high) = cidr.prefix().range();
                let span = (high - low).min(u128::from(u32::MAX >> 8)) as usize;
                (low as u32).wrapping_add(random.between(0, span) as u32) & 0x00ff_ffff | NETWORK
            }
            Some(Peer::Group(group)) => {
                let group: usize = group.as_str().strip_prefix("sg-m")?.parse().ok()?;
                let row = random.below(self.size.members / MEMBER_GROUPS);
                MEMBERS + (row * MEMBER_GROUPS + group) as u32
            }
            Some(Peer::PrefixList(_)) | None => NETWORK | random.below(1 << 24) as u32,
        };
        let destination = address(family, number);
        Some(Tuple { protocol: kind, source_port, destination, destination_port })
    }
}

/// The flow that a packet begins.
pub fn flow(tuple: &Tuple) -> Result<Flow, String> {
    let ports = FlowPorts { source: tuple.source_port, destination: tuple.destination_port };
    let source = own(Family::of(tuple.destination));
    let interface: NetworkInterfaceId = id(INTERFACE)?;
    let (kind, to) = (tuple.protocol, tuple.destination);
    Flow::new(interface, Direction::Egress, kind, source, to, Some(ports))
        .map_err(|error| format!("{tuple:?}: {error:?}"))
}

fn service_ports(random: &mut Random) -> Vec<u16> {
    let mut ports = BTreeSet::new();
    while ports.len() < SERVICE_PORTS {
        ports.insert(random.between(PORT_FIRST, 9_999) as u16);
    }
    ports.into_iter().collect()
}

fn put_group(world: &mut World, name: &str) -> Result<(), String> {
    world.put_group(Group {
        id: id(name)?,
        vpc: Some(id("vpc-bench")?),
        group_type: GroupType::Basic,
        inner_access: InnerAccess::Drop,
        rules: std::collections::BTreeMap::new(),
    });
    Ok(())
}

/// Puts an interface of one group into the world.
pub fn put_interface(
    world: &mut World,
    name: &str,
    mac: Option<[u8; 6]>,
    addresses: &[IpAddr],
    group: &str,
) -> Result<(), String> {
    world.put_interface(Interface {
        id: id(name)?,
        vpc: id("vpc-bench")?,
        mac: mac.map(Mac),
        addresses: addresses.iter().map(|address| Prefix::host(*address)).collect(),
        groups: vec![id(group)?],
        source_dest_check: None,
    });
    Ok(())
}

/// The last rule refuses everything else; those before it are a mix as operators write them.
fn rule(random: &mut Random, number: usize, size: Size, ports: &[u16]) -> Result<Rule, String> {
    let is_last = number + 1 == size.rules;
    let names_group = !is_last && number % 100 < GROUP_RULES_PERCENT;
    let (protocol, matched) = match random.below(100) {
        _ if is_last => (Protocol::All, Ports::Any),
        0..45 => (Protocol::Number(protocol::TCP), some_ports(random, ports)),
        45..85 => (Protocol::Number(protocol::UDP), some_ports(random, ports)),
        85..90 => (Protocol::Number(icmp_of(size.family)), Ports::Any),
        _ => (Protocol::All, Ports::Any),
    };
    // Rules for everything are about few: else the first of them would be the whole policy.
    let length = match protocol {
        Protocol::All => random.between(24, 32),
        Protocol::Number(_) => random.between(10, 32),
    };
    let peer = match (is_last, names_group) {
        (true, _) => Peer::Cidr(cidr(size.family, 0, 0)?),
        (_, true) => Peer::Group(id(&member_group(random.below(MEMBER_GROUPS)))?),
        (_, false) => {
            Peer::Cidr(cidr(size.family, NETWORK | random.below(1 << 24) as u32, length)?)
        }
    };
    // A group that may be reached by everything would hide the other rules that name it.
    let protocol_of_group = Protocol::Number(protocol::UDP);
    let (protocol, matched) = match (names_group, protocol) {
        (true, Protocol::All) => (protocol_of_group, some_ports(random, ports)),
        _ => (protocol, matched),
    };
    let is_drop = is_last || random.chance(25);
    let priority = match (is_last, names_group) {
        (true, _) => 100,
        (_, true) => 1,
        (_, false) => random.between(2, 99) as u8,
    };
    Ok(Rule {
        id: id(&format!("sgr-{number:05}"))?,
        direction: Direction::Egress,
        protocol,
        ports: PortMatch::Ports(matched),
        source_ports: Ports::Any,
        peer,
        local: None,
        policy: if is_drop { Policy::Drop } else { Policy::Accept },
        priority: Priority::new(priority).ok_or("a priority beyond 100")?,
    })
}

fn icmp_of(family: Family) -> u8 {
    match family {
        Family::V4 => protocol::ICMP,
        Family::V6 => protocol::ICMPV6,
    }
}

/// One service, a range of them, or all.
fn some_ports(random: &mut Random, services: &[u16]) -> Ports {
    let first = services.get(random.below(services.len())).copied().unwrap_or(1);
    let last = match random.below(10) {
        0 => return Ports::Any,
        1..=3 => first.saturating_add(random.below(400) as u16),
        _ => first,
    };
    Ports::range(first, last).unwrap_or(Ports::Any)
}

fn cidr(family: Family, number: u32, length: usize) -> Result<portcullis_core::net::Cidr, String> {
    let more = if length == 0 || family == Family::V4 { 0 } else { 96 };
    let text = match length {
        0 if family == Family::V6 => "::/0".to_owned(),
        length => format!("{}/{}", address(family, number), length + more),
    };
    text.parse().map_err(|error| format!("{text}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { rules: 100, members: 400, family: Family::V4 };

    #[test]
    fn a_seed_makes_one_scenario_and_its_packets() {
        let (one, other) = (Scenario::new(1, SIZE).unwrap(), Scenario::new(1, SIZE).unwrap());
        assert_eq!(one.world, other.world);
        assert_ne!(one.world, Scenario::new(2, SIZE).unwrap().world);
        assert_eq!(one.policy.egress.len(), 100);
        let accepted = one.tuples(protocol::UDP, Policy::Accept, 300).unwrap();
        assert_eq!(accepted, other.tuples(protocol::UDP, Policy::Accept, 300).unwrap());
        let mut evaluator = Evaluator::new(&one.world);
        for tuple in &accepted {
            assert_eq!(evaluator.judge(&flow(tuple).unwrap()).unwrap().policy, Policy::Accept);
            assert!(one.ports.contains(&tuple.destination_port));
        }
        let depth = one.mean_depth(&accepted).unwrap();
        assert!((2.0..100.0).contains(&depth), "{depth}");
    }

    #[test]
    fn many_rules_decide_and_groups_go_first() {
        let scenario = Scenario::new(3, SIZE).unwrap();
        let mut evaluator = Evaluator::new(&scenario.world);
        let mut deciding = BTreeSet::new();
        for wanted in [Policy::Accept, Policy::Drop] {
            for tuple in scenario.tuples(protocol::UDP, wanted, 300).unwrap() {
                let verdict = evaluator.judge(&flow(&tuple).unwrap()).unwrap();
                deciding.insert(verdict.rule.unwrap().rule);
            }
        }
        assert!(deciding.len() > 20, "{}", deciding.len());
        let is_group = |peer: &Peer| matches!(peer, Peer::Group(_));
        let kinds: Vec<bool> =
            scenario.policy.egress.iter().map(|rule| is_group(&rule.rule.peer)).collect();
        assert!(kinds.is_sorted_by(|before, after| before >= after), "groups first");
        assert_eq!(kinds.iter().filter(|group| **group).count(), 20);
    }

    #[test]
    fn both_families_are_made_alike() {
        for family in [Family::V4, Family::V6] {
            let scenario = Scenario::new(1, Size { family, ..SIZE }).unwrap();
            let tuples = scenario.tuples(protocol::TCP, Policy::Accept, 50).unwrap();
            assert!(tuples.iter().all(|tuple| Family::of(tuple.destination) == family));
        }
    }
}
