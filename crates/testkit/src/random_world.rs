//! Random worlds, and random flows aimed at the edges of their rules; the same for the same seed.
//!
//! Worlds are legal: a world file of them is read without an error. Addresses, ports and priorities
//! come from a small space, so that rules overlap and tie. What the verdicts should be is not known
//! here.
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use portcullis_core::flow::{DHCPV6_SERVERS, EXTENSION_HEADERS, Flow, FlowPorts, dhcp};
use portcullis_core::ids::{
    NetworkInterfaceId, PortRangeListId, PrefixListId, SecurityGroupId, VpcId,
};
use portcullis_core::net::{Cidr, Family, Mac, Ports, Prefix, Protocol, protocol};
use portcullis_core::rule::{Direction, Peer, Policy, PortMatch, Priority, Rule};
use portcullis_core::world::{
    Group, GroupType, InnerAccess, Interface, PortRangeList, PrefixList, World,
};

use crate::random::Random;

/// How much there is in a random world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorldSize {
    /// Groups, spread over the VPCs and both types.
    pub groups: usize,
    /// Rules, spread over the groups.
    pub rules: usize,
    /// Interfaces, spread over the VPCs.
    pub interfaces: usize,
    /// Prefix lists and port range lists, each.
    pub lists: usize,
    /// Most groups of an interface.
    pub groups_per_interface: usize,
}

impl WorldSize {
    /// Some dozens of things.
    pub const SMALL: Self =
        Self { groups: 6, rules: 30, interfaces: 8, lists: 3, groups_per_interface: 4 };

    /// As many rules as given, each asked at every interface of one type and VPC.
    pub fn with_rules(rules: usize) -> Self {
        Self { groups: 4, rules, interfaces: 64, lists: 8, groups_per_interface: 1 }
    }
}

/// VPCs of every random world; their addresses are the same.
const VPCS: [&str; 2] = ["vpc-1", "vpc-2"];

/// A legal world.
pub fn random_world(seed: u64, size: WorldSize) -> World {
    let mut random = Random::new(seed);
    let is_plain = random.chance(50);
    let mut maker = Maker { random, world: World::new(), is_plain };
    maker.lists(size.lists);
    maker.groups(size.groups);
    maker.interfaces(size.interfaces, size.groups_per_interface);
    maker.rules(size.rules);
    maker.world
}

struct Maker {
    random: Random,
    world: World,
    /// No rule asks for source ports or local addresses, so that all fit into class tables.
    is_plain: bool,
}

fn id<T: std::str::FromStr>(prefix: &str, number: usize) -> T
where
    T::Err: std::fmt::Debug,
{
    let mut text = String::from(prefix);
    let _ = write!(text, "-{number}");
    match text.parse() {
        Ok(id) => id,
        Err(error) => unreachable!("a made-up id is an id: {error:?}"),
    }
}

fn host(family: Family, host: u32) -> IpAddr {
    match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 | host)),
        Family::V6 => IpAddr::V6(Ipv6Addr::from_bits((0x2001_0db8 << 96) | u128::from(host))),
    }
}

impl Maker {
    fn family(&mut self) -> Family {
        if self.random.chance(60) { Family::V4 } else { Family::V6 }
    }

    /// A CIDR around the addresses that interfaces have, or of everything, or from elsewhere.
    fn cidr(&mut self, family: Family) -> Cidr {
        let address = match self.random.below(8) {
            0 => self.elsewhere(family),
            _ => host(family, self.random.below(0x200) as u32),
        };
        let bits = usize::from(family.bits());
        let length = match self.random.below(10) {
            0 => 0,
            1 => self.random.between(0, bits),
            2..=4 => bits,
            _ => self.random.between(bits - 10, bits),
        };
        let written = if length == bits && self.random.chance(50) {
            address.to_string()
        } else {
            format!("{address}/{length}")
        };
        match written.parse() {
            Ok(cidr) => cidr,
            Err(error) => unreachable!("an address with a length is a CIDR: {error}"),
        }
    }

    fn elsewhere(&mut self, family: Family) -> IpAddr {
        match family {
            Family::V4 => IpAddr::V4(self.random.one_of([
                Ipv4Addr::UNSPECIFIED,
                Ipv4Addr::BROADCAST,
                Ipv4Addr::new(224, 0, 0, 251),
                Ipv4Addr::new(192, 0, 2, 7),
                Ipv4Addr::new(127, 0, 0, 1),
            ])),
            Family::V6 => IpAddr::V6(self.random.one_of([
                Ipv6Addr::UNSPECIFIED,
                Ipv6Addr::from_bits(u128::MAX),
                DHCPV6_SERVERS,
                Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 9),
                Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0x0a00, 1),
            ])),
        }
    }

    fn ports(&mut self) -> Ports {
        let first = self.random.one_of([1, 22, 53, 67, 80, 443, 546, 8000, 65535]);
        let last = match self.random.below(4) {
            0 => first,
            1 => u16::MAX,
            _ => first.saturating_add(self.random.below(100) as u16),
        };
        Ports::range(first, last).unwrap_or(Ports::Any)
    }

    fn lists(&mut self, count: usize) {
        for number in 0..count {
            let family = self.family();
            let entries = (0..self.random.below(6)).map(|_| self.cidr(family)).collect();
            self.world.put_prefix_list(PrefixList { id: id("pl", number), family, entries });
            let mut entries = Vec::new();
            for _ in 0..self.random.below(5) {
                let any = self.random.chance(2);
                entries.push(if any { Ports::Any } else { self.ports() });
            }
            self.world.put_port_range_list(PortRangeList { id: id("prl", number), entries });
        }
    }

    fn groups(&mut self, count: usize) {
        for number in 0..count {
            // The first ones make sure that each VPC has a basic group.
            let basic = number < VPCS.len() || self.random.chance(60);
            let group_type = if basic { GroupType::Basic } else { GroupType::Enterprise };
            let inner_access =
                if self.random.chance(50) { InnerAccess::Accept } else { InnerAccess::Drop };
            let classic = number >= VPCS.len() && self.random.chance(4);
            let vpc = (!classic).then(|| vpc(number));
            let rules = std::collections::BTreeMap::new();
            let id = id("sg", number);
            self.world.put_group(Group { id, vpc, group_type, inner_access, rules });
        }
    }

    fn interfaces(&mut self, count: usize, groups_max: usize) {
        for number in 0..count {
            let vpc = vpc(self.random.below(VPCS.len()));
            let group_type = match self.random.chance(70) {
                true => GroupType::Basic,
                false => GroupType::Enterprise,
            };
            let mut candidates = self.group_ids(&vpc, group_type);
            if candidates.is_empty() {
                candidates = self.group_ids(&vpc, GroupType::Basic);
            }
            let mut groups = BTreeSet::new();
            for _ in 0..self.random.between(1, groups_max) {
                groups.extend(self.random.pick(&candidates).cloned());
            }
            let random = &mut self.random;
            let mac = (!random.chance(10)).then_some(Mac([
                2,
                0,
                0,
                0,
                (number >> 8) as u8,
                number as u8,
            ]));
            let source_dest_check = random.one_of([None, None, Some(true), Some(false)]);
            let addresses = self.addresses(number as u32);
            self.world.put_interface(Interface {
                id: id("eni", number),
                vpc,
                mac,
                addresses,
                groups: groups.into_iter().collect(),
                source_dest_check,
            });
        }
    }

    /// Addresses that no interface of another number has in the same VPC.
    fn addresses(&mut self, number: u32) -> Vec<Prefix> {
        let mut addresses = vec![Prefix::host(host(Family::V4, number + 1))];
        if self.random.chance(20) {
            addresses.push(Prefix::host(host(Family::V4, 0x1000 + number)));
        }
        if self.random.chance(20) {
            addresses.extend(Prefix::new(host(Family::V4, 0x10000 + 16 * number), 28));
        }
        if self.random.chance(60) {
            addresses.push(Prefix::host(host(Family::V6, number + 1)));
        }
        if self.random.chance(10) {
            addresses.extend(Prefix::new(host(Family::V6, 0x10000 + 16 * number), 124));
        }
        if self.random.chance(3) {
            let own = Ipv6Addr::from_bits((0xfe80 << 112) | u128::from(number + 1));
            addresses.push(Prefix::host(IpAddr::V6(own)));
        }
        // The order in which world files have them.
        addresses.sort_by_key(|p| (p.length() != p.family().bits(), p.family()));
        addresses
    }

    fn group_ids(&self, vpc: &VpcId, group_type: GroupType) -> Vec<SecurityGroupId> {
        let fits = |g: &&Group| g.vpc.as_ref() == Some(vpc) && g.group_type == group_type;
        self.world.groups().filter(fits).map(|g| g.id.clone()).collect()
    }

    fn rules(&mut self, count: usize) {
        let groups: Vec<Group> = self.world.groups().cloned().collect();
        for number in 0..count {
            let Some(group) = self.random.pick(&groups) else { return };
            let rule = self.rule(number, group);
            self.world.put_rule(&group.id, Arc::new(rule));
        }
    }

    fn rule(&mut self, number: usize, group: &Group) -> Rule {
        let protocol = match self.random.below(10) {
            0..=1 => Protocol::All,
            2..=4 => Protocol::TCP,
            5..=6 => Protocol::UDP,
            7 => Protocol::ICMP,
            8 => Protocol::ICMPV6,
            _ => Protocol::Number(self.random.one_of([0, 2, 43, 47, 50, 132, 255])),
        };
        let (mut ports, mut source_ports) = (PortMatch::Ports(Ports::Any), Ports::Any);
        if protocol.has_ports() {
            ports = match self.random.below(10) {
                0..=1 => ports,
                2..=3 => self.port_list().map_or(ports, PortMatch::List),
                _ => PortMatch::Ports(self.ports()),
            };
            if !self.is_plain && self.random.chance(25) {
                source_ports = self.ports();
            }
        }
        let family = self.family();
        let peer = self.peer(group, family);
        let local_family = match peer {
            Peer::Cidr(_) => family,
            Peer::Group(_) | Peer::PrefixList(_) => self.family(),
        };
        let has_local = !self.is_plain && self.random.chance(25);
        let local = has_local.then(|| self.cidr(local_family));
        let priority = self.random.one_of([1, 1, 1, 2, 2, 50, 100]);
        // A letter ahead of the number: the order of ids is not that of making.
        let prefix = self.random.one_of(["sgr-a", "sgr-b", "sgr-c"]);
        Rule {
            id: id(prefix, number),
            direction: self.random.one_of([Direction::Egress, Direction::Ingress]),
            protocol,
            ports,
            source_ports,
            peer,
            local,
            policy: self.random.one_of([Policy::Accept, Policy::Drop]),
            priority: Priority::new(priority).unwrap_or(Priority::DEFAULT),
        }
    }

    fn port_list(&mut self) -> Option<PortRangeListId> {
        let lists = (0..).map(|n| id("prl", n));
        let lists: Vec<_> = lists.take_while(|l| self.world.port_range_list(l).is_some()).collect();
        self.random.pick(&lists).cloned()
    }

    fn prefix_list(&mut self) -> Option<PrefixListId> {
        let lists = (0..).map(|n| id("pl", n));
        let lists: Vec<_> = lists.take_while(|l| self.world.prefix_list(l).is_some()).collect();
        self.random.pick(&lists).cloned()
    }

    fn peer(&mut self, group: &Group, family: Family) -> Peer {
        let peer = match (self.random.below(10), &group.vpc, group.group_type) {
            (0..=2, Some(vpc), GroupType::Basic) => {
                let groups = self.group_ids(vpc, GroupType::Basic);
                self.random.pick(&groups).cloned().map(Peer::Group)
            }
            (3..=4, ..) => self.prefix_list().map(Peer::PrefixList),
            _ => None,
        };
        peer.unwrap_or_else(|| Peer::Cidr(self.cidr(family)))
    }
}

fn vpc(number: usize) -> VpcId {
    match VPCS[number % VPCS.len()].parse() {
        Ok(id) => id,
        Err(error) => unreachable!("{error}"),
    }
}

/// A flow at one of the world's interfaces; `None` if it has none. For many flows keep a
/// [`FlowMaker`].
pub fn random_flow(random: &mut Random, world: &World) -> Option<Flow> {
    FlowMaker::new(world).flow(random)
}

/// Makes flows in one world.
#[derive(Debug)]
pub struct FlowMaker<'w> {
    world: &'w World,
    /// Interfaces with the rules that are asked there.
    interfaces: Vec<(&'w Interface, Vec<&'w Rule>)>,
    /// Every address or prefix of every interface.
    addresses: Vec<Prefix>,
}

/// What a flow is aimed at, before it is made to fit together.
struct Aim {
    protocol: u8,
    family: Family,
    local: IpAddr,
    remote: IpAddr,
    source_port: u16,
    destination_port: u16,
}

impl<'w> FlowMaker<'w> {
    /// A maker of flows in `world`.
    pub fn new(world: &'w World) -> Self {
        let rules_of = |interface: &Interface| -> Vec<&'w Rule> {
            let groups = interface.groups.iter().filter_map(|id| world.group(id));
            groups.flat_map(|group| group.rules.values().map(|rule| &**rule)).collect()
        };
        let interfaces = world.interfaces().map(|i| (i, rules_of(i))).collect();
        let addresses = world.interfaces().flat_map(|i| i.addresses.iter().copied()).collect();
        Self { world, interfaces, addresses }
    }

    /// The next flow; `None` if the world has no interface.
    pub fn flow(&self, random: &mut Random) -> Option<Flow> {
        let (interface, rules) = random.pick(&self.interfaces)?;
        self.flow_of(random, interface, rules)
    }

    /// The next flow at an interface; `None` if there is no such interface.
    pub fn flow_at(&self, random: &mut Random, interface: &NetworkInterfaceId) -> Option<Flow> {
        let (interface, rules) = self.interfaces.iter().find(|(i, _)| i.id == *interface)?;
        self.flow_of(random, interface, rules)
    }

    fn flow_of(
        &self,
        random: &mut Random,
        interface: &Interface,
        rules: &[&'w Rule],
    ) -> Option<Flow> {
        let mut direction = random.one_of([Direction::Egress, Direction::Ingress]);
        let mut aim = self.aim(random, interface);
        if random.chance(4) {
            direction = self.aim_at_baseline(random, interface, &mut aim);
        } else if random.chance(80)
            && let Some(rule) = random.pick(rules)
        {
            direction = rule.direction;
            self.aim_at_rule(random, interface, rule, &mut aim);
        }
        let (source, destination) = match direction {
            Direction::Egress => (aim.local, aim.remote),
            Direction::Ingress => (aim.remote, aim.local),
        };
        let ports = matches!(aim.protocol, protocol::TCP | protocol::UDP)
            .then_some(FlowPorts { source: aim.source_port, destination: aim.destination_port });
        let flow = |protocol, ports| {
            let id = interface.id.clone();
            Flow::new(id, direction, protocol, source, destination, ports)
        };
        // What does not fit together becomes an echo request.
        flow(aim.protocol, ports).or_else(|_| flow(protocol::ICMPV6, None)).ok()
    }

    fn aim(&self, random: &mut Random, interface: &Interface) -> Aim {
        let own = random.pick(&interface.addresses).copied();
        let own =
            own.filter(|_| random.chance(92)).or_else(|| random.pick(&self.addresses).copied());
        let local = own.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |own| edge(random, own, 5));
        let family = Family::of(local);
        Aim {
            protocol: random.one_of([6, 6, 6, 17, 17, 1, 58, 47, 0, 2, 43, 255]),
            family,
            local,
            remote: self.remote(random, family),
            source_port: random.one_of([0, 1, 53, 1024, 40000, 65535]),
            destination_port: random.one_of([0, 1, 22, 53, 80, 443, 8080, 65535]),
        }
    }

    /// An address of somebody, near to somebody's, or from elsewhere.
    fn remote(&self, random: &mut Random, family: Family) -> IpAddr {
        let of_family = |p: &&Prefix| p.family() == family;
        let somebody = random.pick(&self.addresses).filter(of_family).copied();
        match somebody.filter(|_| random.chance(60)) {
            Some(prefix) => edge(random, prefix, 15),
            None => host(family, random.below(0x200) as u32),
        }
    }

    fn aim_at_rule(&self, random: &mut Random, interface: &Interface, rule: &Rule, aim: &mut Aim) {
        if random.chance(90) {
            aim.protocol = match rule.protocol {
                Protocol::All => aim.protocol,
                Protocol::Number(number) => number,
            };
        }
        let remote = match &rule.peer {
            Peer::Cidr(cidr) => Some(cidr.prefix()),
            Peer::PrefixList(list) => self
                .world
                .prefix_list(list)
                .and_then(|list| random.pick(&list.entries))
                .map(Cidr::prefix),
            Peer::Group(group) => {
                let members: Vec<_> = self.world.members(group).take(8).collect();
                random.pick(&members).and_then(|m| random.pick(&m.addresses)).copied()
            }
        };
        if let Some(remote) = remote.filter(|_| random.chance(90)) {
            aim.remote = edge(random, remote, 20);
        }
        aim.set_family(random, interface, Family::of(aim.remote));
        if let Some(local) = rule.local.filter(|l| l.family() == aim.family)
            && random.chance(30)
        {
            aim.local = edge(random, local.prefix(), 20);
        }
        let ports = match &rule.ports {
            PortMatch::Ports(ports) => Some(*ports),
            PortMatch::List(list) => self
                .world
                .port_range_list(list)
                .and_then(|list| random.pick(&list.entries))
                .copied(),
        };
        aim.destination_port = port_edge(random, ports, aim.destination_port);
        aim.source_port = port_edge(random, Some(rule.source_ports), aim.source_port);
    }

    /// DHCP and what is nearly DHCP. Answers the direction.
    fn aim_at_baseline(
        &self,
        random: &mut Random,
        interface: &Interface,
        aim: &mut Aim,
    ) -> Direction {
        let direction = random.one_of([Direction::Egress, Direction::Ingress]);
        let family = random.one_of([Family::V4, Family::V6]);
        aim.set_family(random, interface, family);
        aim.protocol = if random.chance(95) { protocol::UDP } else { protocol::TCP };
        let (client, server) = match family {
            Family::V4 => (dhcp::V4_CLIENT, dhcp::V4_SERVER),
            Family::V6 => (dhcp::V6_CLIENT, dhcp::V6_SERVER),
        };
        let asks = (direction == Direction::Egress) == random.chance(85);
        (aim.source_port, aim.destination_port) =
            if asks { (client, server) } else { (server, client) };
        let link_local = interface.mac.map(|mac| IpAddr::V6(mac.link_local()));
        match family {
            Family::V4 => {
                let broadcast = IpAddr::V4(Ipv4Addr::BROADCAST);
                let nobody = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
                let local = if asks { nobody } else { broadcast };
                aim.local = random.one_of([aim.local, local, local]);
                aim.remote = random.one_of([aim.remote, broadcast, broadcast]);
            }
            Family::V6 => {
                let local = link_local.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
                aim.local = random.one_of([aim.local, local, local]);
                let servers = IpAddr::V6(DHCPV6_SERVERS);
                aim.remote = random.one_of([aim.remote, servers, servers]);
            }
        }
        direction
    }
}

impl Aim {
    /// Moves both addresses to a family.
    fn set_family(&mut self, random: &mut Random, interface: &Interface, family: Family) {
        self.family = family;
        if Family::of(self.remote) != family {
            self.remote = host(family, random.below(0x200) as u32);
        }
        if Family::of(self.local) != family {
            let own: Vec<_> =
                interface.addresses.iter().filter(|p| p.family() == family).copied().collect();
            self.local = match random.pick(&own) {
                Some(own) => edge(random, *own, 5),
                None => host(family, random.below(0x40) as u32),
            };
        }
        if family == Family::V6 && EXTENSION_HEADERS.contains(&self.protocol) {
            self.protocol = protocol::TCP;
        }
    }
}

/// First, last or some address of a prefix; in `outside` of 100 cases its neighbour before or
/// after.
fn edge(random: &mut Random, prefix: Prefix, outside: usize) -> IpAddr {
    let (first, last) = prefix.range();
    let bits = if random.chance(outside) {
        random.one_of([first.saturating_sub(1), last.saturating_add(1)])
    } else {
        let inside = first + (last - first).min(u128::from(random.number() >> 32));
        random.one_of([first, last, inside])
    };
    match prefix.family() {
        Family::V4 => IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(bits).unwrap_or(u32::MAX))),
        Family::V6 => IpAddr::V6(Ipv6Addr::from_bits(bits)),
    }
}

fn port_edge(random: &mut Random, ports: Option<Ports>, otherwise: u16) -> u16 {
    match ports {
        Some(Ports::Range { first, last }) if random.chance(90) => {
            let inside = random.between(first.into(), last.into()) as u16;
            let (before, after) = (first.saturating_sub(1), last.saturating_add(1));
            random.one_of([first, last, inside, inside, before, after])
        }
        _ => otherwise,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_makes_one_world_and_one_sequence_of_flows() {
        let worlds = [1, 1, 2].map(|seed| random_world(seed, WorldSize::SMALL));
        assert!(worlds[0] == worlds[1] && worlds[1] != worlds[2]);
        let flows = |seed| {
            let mut random = Random::new(seed);
            let maker = FlowMaker::new(&worlds[0]);
            (0..50).map(|_| maker.flow(&mut random)).collect::<Vec<_>>()
        };
        assert!(flows(1) == flows(1) && flows(1) != flows(2));
        assert_eq!(random_flow(&mut Random::new(1), &World::new()), None);
    }

    #[test]
    fn no_address_is_twice_in_a_vpc() {
        let size = WorldSize { interfaces: 200, ..WorldSize::SMALL };
        let world = random_world(7, size);
        for interface in world.interfaces() {
            for prefix in &interface.addresses {
                let owner = world.owner(&interface.vpc, prefix.address()).unwrap();
                assert_eq!(owner.id, interface.id);
            }
        }
    }
}
