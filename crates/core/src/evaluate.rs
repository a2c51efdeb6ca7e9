//! The reference evaluator: the specification of a verdict, read aloud.
//!
//! It walks the world's own nouns step by step and rule by rule. It knows nothing of resolution,
//! tables or the kernel, so that it can be the judge of all three; it is naive on purpose, and only
//! remembers the order of an interface's rules.
use alloc::collections::BTreeMap;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

use crate::flow::{DHCPV6_SERVERS, Flow, dhcp};
use crate::ids::{NetworkInterfaceId, SecurityGroupId};
use crate::net::{Family, protocol};
use crate::rule::{Direction, Peer, Policy, PortMatch, Rule};
use crate::verdict::{DecidingRule, Judge, JudgeError, Reason, Verdict};
use crate::world::{Group, GroupType, InnerAccess, Interface, World};

/// Judges one flow. Whoever judges many keeps an [`Evaluator`].
pub fn evaluate(world: &World, flow: &Flow) -> Result<Verdict, JudgeError> {
    Evaluator::new(world).judge(flow)
}

/// A rule and the group it stands in.
type Candidate<'w> = (&'w SecurityGroupId, &'w Rule);

/// Judges flows in one world.
#[derive(Debug)]
pub struct Evaluator<'w> {
    world: &'w World,
    /// Candidates of an interface and direction in the order of evaluation, put in order when first
    /// asked for.
    candidates: BTreeMap<(NetworkInterfaceId, Direction), Vec<Candidate<'w>>>,
}

impl<'w> Evaluator<'w> {
    /// A judge of flows in `world`.
    pub fn new(world: &'w World) -> Self {
        Self { world, candidates: BTreeMap::new() }
    }

    /// The rules of the direction of all the interface's groups: lower priority number first, then
    /// drop before accept, then by rule id.
    fn candidates(&mut self, groups: &[&'w Group], flow: &Flow) -> &[Candidate<'w>] {
        let key = (flow.interface().clone(), flow.direction());
        self.candidates.entry(key).or_insert_with(|| {
            let mut candidates = Vec::new();
            for group in groups {
                for rule in group.rules.values() {
                    if rule.direction == flow.direction() {
                        candidates.push((&group.id, &**rule));
                    }
                }
            }
            candidates.sort_by_key(|(_, rule)| {
                let drop_first = match rule.policy {
                    Policy::Drop => 0,
                    Policy::Accept => 1,
                };
                (rule.priority.number(), drop_first, rule.id.as_str())
            });
            candidates
        })
    }
}

impl Judge for Evaluator<'_> {
    fn judge(&mut self, flow: &Flow) -> Result<Verdict, JudgeError> {
        let world = self.world;
        let interface = world.interface(flow.interface()).ok_or_else(|| unknown_interface(flow))?;
        if let Some(policy) = baseline(interface, flow) {
            return Ok(Verdict::without_rule(policy, Reason::Baseline));
        }
        if is_spoofed(interface, flow) {
            return Ok(Verdict::without_rule(Policy::Drop, Reason::Spoofed));
        }
        self.judge_by_groups(interface, flow)
    }
}

impl Evaluator<'_> {
    /// Steps 8 to 10 alone: what the interface's groups say of a flow, whatever its packet bears.
    pub(crate) fn judge_by_groups(
        &mut self,
        interface: &Interface,
        flow: &Flow,
    ) -> Result<Verdict, JudgeError> {
        let world = self.world;
        let mut groups = Vec::new();
        for id in &interface.groups {
            groups.push(world.group(id).ok_or_else(|| missing_group(interface, id))?);
        }
        let owner = world.owner(&interface.vpc, flow.remote());
        if is_intra_group(interface, &groups, owner) {
            return Ok(Verdict::without_rule(Policy::Accept, Reason::IntraGroup));
        }
        let mut candidates = self.candidates(&groups, flow).iter();
        if let Some((group, rule)) = candidates.find(|(_, rule)| matches(world, rule, flow, owner))
        {
            let deciding = DecidingRule { group: (*group).clone(), rule: rule.id.clone() };
            return Ok(Verdict { policy: rule.policy, reason: Reason::Rule, rule: Some(deciding) });
        }
        Ok(Verdict::without_rule(default_policy(&groups, flow.direction()), Reason::Default))
    }
}

fn unknown_interface(flow: &Flow) -> JudgeError {
    JudgeError {
        code: "UnknownInterface",
        message: alloc::format!("there is no network interface `{}`", flow.interface()),
        help: "name an interface of the world the judge was made for",
        place: "NetworkInterfaceId".to_string(),
    }
}

fn missing_group(interface: &Interface, group: &SecurityGroupId) -> JudgeError {
    JudgeError {
        code: "MissingGroup",
        message: alloc::format!("its security group `{group}` does not exist"),
        help: "an interface is judged by all its groups or not at all; add the group",
        place: interface.id.to_string(),
    }
}

/// Traffic without which no network works, as far as the first packets of flows go: DHCP. `None`:
/// go on.
fn baseline(interface: &Interface, flow: &Flow) -> Option<Policy> {
    if flow.protocol() != protocol::UDP {
        return None;
    }
    let ports = flow.ports()?;
    let (source, destination) = (flow.source(), flow.destination());
    let broadcast = IpAddr::V4(Ipv4Addr::BROADCAST);
    let accept = |condition: bool| condition.then_some(Policy::Accept);
    match (flow.family(), flow.direction(), ports.source, ports.destination) {
        (Family::V4, Direction::Egress, dhcp::V4_CLIENT, dhcp::V4_SERVER) => {
            accept((source.is_unspecified() || interface.owns(source)) && destination == broadcast)
        }
        (Family::V4, Direction::Ingress, dhcp::V4_SERVER, dhcp::V4_CLIENT) => {
            accept(interface.owns(destination) || destination == broadcast)
        }
        (Family::V6, Direction::Egress, dhcp::V6_CLIENT, dhcp::V6_SERVER) => accept(
            is_own_link_local(interface, source) && destination == IpAddr::V6(DHCPV6_SERVERS),
        ),
        (Family::V6, Direction::Ingress, dhcp::V6_SERVER, dhcp::V6_CLIENT) => {
            accept(interface.owns(destination) || is_own_link_local(interface, destination))
        }
        // An instance that plays the DHCP server.
        (Family::V4, Direction::Egress, dhcp::V4_SERVER, dhcp::V4_CLIENT)
        | (Family::V6, Direction::Egress, dhcp::V6_SERVER, dhcp::V6_CLIENT) => Some(Policy::Drop),
        _ => None,
    }
}

/// `fe80::/64` with the EUI-64 of the interface's MAC; nothing if the MAC is not known.
fn is_own_link_local(interface: &Interface, address: IpAddr) -> bool {
    interface.mac.is_some_and(|mac| address == IpAddr::V6(mac.link_local()))
}

fn is_link_local_v6(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// Whether the interface's side of the packet is not the interface's.
fn is_spoofed(interface: &Interface, flow: &Flow) -> bool {
    match flow.direction() {
        Direction::Egress => {
            is_link_local_v6(flow.source())
                || (interface.checks_addresses() && !interface.owns(flow.source()))
        }
        Direction::Ingress => {
            let destination = flow.destination();
            interface.checks_addresses()
                && !interface.owns(destination)
                && !destination.is_multicast()
                && destination != IpAddr::V4(Ipv4Addr::BROADCAST)
        }
    }
}

/// Whether the remote address belongs to another interface that shares a basic group with inner
/// access with this one.
fn is_intra_group(interface: &Interface, groups: &[&Group], owner: Option<&Interface>) -> bool {
    let Some(other) = owner.filter(|other| other.id != interface.id) else {
        return false;
    };
    groups.iter().any(|group| {
        group.group_type == GroupType::Basic
            && group.inner_access == InnerAccess::Accept
            && other.groups.contains(&group.id)
    })
}

/// Whether every field of the rule matches. `owner` is whose address the remote one is.
fn matches(world: &World, rule: &Rule, flow: &Flow, owner: Option<&Interface>) -> bool {
    let ports = flow.ports();
    rule.protocol.matches(flow.family(), flow.protocol())
        && rule.source_ports.contains(ports.map(|p| p.source))
        && port_matches(world, &rule.ports, ports.map(|p| p.destination))
        && rule.local.is_none_or(|local| local.prefix().contains(flow.local()))
        && peer_matches(world, &rule.peer, flow.remote(), owner)
}

fn port_matches(world: &World, ports: &PortMatch, port: Option<u16>) -> bool {
    match ports {
        PortMatch::Ports(ports) => ports.contains(port),
        PortMatch::List(list) => world
            .port_range_list(list)
            .is_some_and(|list| list.entries.iter().any(|ports| ports.contains(port))),
    }
}

fn peer_matches(world: &World, peer: &Peer, remote: IpAddr, owner: Option<&Interface>) -> bool {
    match peer {
        Peer::Cidr(cidr) => cidr.prefix().contains(remote),
        // The interface's own addresses count, so the owner may be the interface itself.
        Peer::Group(group) => owner.is_some_and(|owner| owner.groups.contains(group)),
        Peer::PrefixList(list) => world
            .prefix_list(list)
            .is_some_and(|list| list.entries.iter().any(|cidr| cidr.prefix().contains(remote))),
    }
}

/// Basic groups let out and not in, enterprise groups neither. All groups of an interface are of
/// one type.
fn default_policy(groups: &[&Group], direction: Direction) -> Policy {
    let basic = groups.iter().any(|group| group.group_type == GroupType::Basic);
    match direction {
        Direction::Egress if basic => Policy::Accept,
        Direction::Egress | Direction::Ingress => Policy::Drop,
    }
}
