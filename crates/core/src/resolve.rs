//! From the world to what one interface needs: its rules in the order of evaluation, lists filled
//! in, groups left as names.
//!
//! Group peers stay names because membership changes far more often than rules do; whoever enforces
//! looks members up. This is the form that is compiled, and it does not depend on anything but the
//! interface's own groups and lists.
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::ids::{NetworkInterfaceId, SecurityGroupId, VpcId};
use crate::net::{Mac, Ports, Prefix};
use crate::rule::{Direction, Peer, PortMatch, Rule};
use crate::world::{Group, GroupType, InnerAccess, Interface, World};

/// The remote side of a resolved rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResolvedPeer {
    /// Any of these prefixes (of one family; empty matches nothing).
    Prefixes(Vec<Prefix>),
    /// Any address of a member of the group now.
    Group(SecurityGroupId),
}

/// A rule with its lists filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedRule {
    /// The rule as it stands in its group.
    pub rule: Arc<Rule>,
    /// The group it stands in.
    pub group: SecurityGroupId,
    /// Its peer.
    pub peer: ResolvedPeer,
    /// Its destination ports: any of these (empty matches nothing).
    pub ports: Vec<Ports>,
}

/// Rules of one direction, first to be asked first; interfaces of the same groups share them.
pub type Rules = Arc<[ResolvedRule]>;

/// All that decides the verdicts at one interface, but for who is in which group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfacePolicy {
    /// The interface.
    pub interface: NetworkInterfaceId,
    /// Its VPC: in which members are looked up.
    pub vpc: VpcId,
    /// Its hardware address.
    pub mac: Option<Mac>,
    /// Its addresses and prefixes.
    pub addresses: Vec<Prefix>,
    /// Whether packets' addresses are held against its own.
    pub checks_addresses: bool,
    /// Type of its groups: decides the default.
    pub group_type: GroupType,
    /// Its basic groups with inner access: members of these reach it ahead of every rule. Sorted.
    pub intra_groups: Vec<SecurityGroupId>,
    /// Egress rules, first to be asked first.
    pub egress: Rules,
    /// Ingress rules, first to be asked first.
    pub ingress: Rules,
}

impl InterfacePolicy {
    /// The rules of a direction, first to be asked first.
    pub fn rules(&self, direction: Direction) -> &[ResolvedRule] {
        match direction {
            Direction::Egress => &self.egress,
            Direction::Ingress => &self.ingress,
        }
    }

    /// The rules of both directions.
    pub fn all_rules(&self) -> impl Iterator<Item = &ResolvedRule> {
        self.egress.iter().chain(self.ingress.iter())
    }

    /// The groups that rules name as peers or that open it to members: whose membership it depends
    /// on. Sorted, each once.
    pub fn referenced_groups(&self) -> Vec<SecurityGroupId> {
        referenced(self.all_rules(), &self.intra_groups)
    }
}

fn referenced<'r>(
    rules: impl Iterator<Item = &'r ResolvedRule>,
    intra_groups: &[SecurityGroupId],
) -> Vec<SecurityGroupId> {
    let peers = rules.filter_map(|rule| match &rule.peer {
        ResolvedPeer::Group(group) => Some(group),
        ResolvedPeer::Prefixes(_) => None,
    });
    let groups: BTreeSet<_> = peers.chain(intra_groups).collect();
    groups.into_iter().cloned().collect()
}

/// The policy of an interface; `None` if there is no such interface or one of its groups is
/// missing.
pub fn interface_policy(world: &World, id: &NetworkInterfaceId) -> Option<InterfacePolicy> {
    Resolver::new(world).policy(id)
}

/// Policies of one world: interfaces of the same groups share their rules.
#[derive(Debug)]
pub struct Resolver<'w> {
    world: &'w World,
    of_groups: BTreeMap<Vec<SecurityGroupId>, Option<GroupsPolicy>>,
}

impl<'w> Resolver<'w> {
    /// Nothing resolved yet.
    pub fn new(world: &'w World) -> Self {
        Self { world, of_groups: BTreeMap::new() }
    }

    /// The policy of an interface; `None` if there is no such interface or one of its groups is
    /// missing.
    pub fn policy(&mut self, id: &NetworkInterfaceId) -> Option<InterfacePolicy> {
        let interface = self.world.interface(id)?;
        let mut sorted = interface.groups.clone();
        sorted.sort();
        let resolve = |groups: &Vec<_>| GroupsPolicy::new(self.world, groups);
        let of_groups = self.of_groups.entry(sorted).or_insert_with_key(resolve);
        of_groups.as_ref().map(|policy| policy.at(interface))
    }
}

/// What interfaces of the same groups have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupsPolicy {
    group_type: GroupType,
    intra_groups: Vec<SecurityGroupId>,
    egress: Rules,
    ingress: Rules,
}

impl GroupsPolicy {
    /// Of these groups; `None` if there are none or one of them is missing.
    pub(crate) fn new(world: &World, groups: &[SecurityGroupId]) -> Option<Self> {
        let groups: Vec<&Group> = groups.iter().map(|id| world.group(id)).collect::<Option<_>>()?;
        let first = groups.first()?;
        let mut intra_groups: Vec<_> = groups
            .iter()
            .filter(|g| g.group_type == GroupType::Basic && g.inner_access == InnerAccess::Accept)
            .map(|g| g.id.clone())
            .collect();
        intra_groups.sort();
        Some(Self {
            group_type: first.group_type,
            intra_groups,
            egress: rules(world, &groups, Direction::Egress),
            ingress: rules(world, &groups, Direction::Ingress),
        })
    }

    /// As the policy of one of the interfaces.
    pub(crate) fn at(&self, interface: &Interface) -> InterfacePolicy {
        InterfacePolicy {
            interface: interface.id.clone(),
            vpc: interface.vpc.clone(),
            mac: interface.mac,
            addresses: interface.addresses.clone(),
            checks_addresses: interface.checks_addresses(),
            group_type: self.group_type,
            intra_groups: self.intra_groups.clone(),
            egress: self.egress.clone(),
            ingress: self.ingress.clone(),
        }
    }

    /// The rules of both directions.
    pub(crate) fn all_rules(&self) -> impl Iterator<Item = &ResolvedRule> {
        self.egress.iter().chain(self.ingress.iter())
    }

    /// The groups whose membership it depends on. Sorted, each once.
    pub(crate) fn referenced_groups(&self) -> Vec<SecurityGroupId> {
        referenced(self.all_rules(), &self.intra_groups)
    }
}

/// The rules of groups in a direction, first to be asked first.
fn rules(world: &World, groups: &[&Group], direction: Direction) -> Rules {
    let of_groups = groups.iter().flat_map(|g| g.rules.values().map(|rule| (&g.id, rule)));
    let mut rules: Vec<ResolvedRule> = of_groups
        .filter(|(_, rule)| rule.direction == direction)
        .map(|(group, rule)| resolve_rule(world, group, rule))
        .collect();
    rules.sort_by(|a, b| evaluation_order(&a.rule).cmp(&evaluation_order(&b.rule)));
    rules.into()
}

/// Lower priority number first, then drop before accept, then the rule id in byte order.
pub fn evaluation_order(rule: &Rule) -> impl Ord + '_ {
    (rule.priority, rule.policy, rule.id.as_str())
}

/// A dangling list resolves to no entry: it matches nothing, and its maker has refused it long
/// before.
fn resolve_rule(world: &World, group: &SecurityGroupId, rule: &Arc<Rule>) -> ResolvedRule {
    let peer = match &rule.peer {
        Peer::Cidr(cidr) => ResolvedPeer::Prefixes(alloc::vec![cidr.prefix()]),
        Peer::Group(peer) => ResolvedPeer::Group(peer.clone()),
        Peer::PrefixList(list) => ResolvedPeer::Prefixes(
            world
                .prefix_list(list)
                .into_iter()
                .flat_map(|l| &l.entries)
                .map(|c| c.prefix())
                .collect(),
        ),
    };
    let ports = match &rule.ports {
        PortMatch::Ports(ports) => alloc::vec![*ports],
        PortMatch::List(list) => world
            .port_range_list(list)
            .into_iter()
            .flat_map(|l| l.entries.iter().copied())
            .collect(),
    };
    ResolvedRule { rule: rule.clone(), group: group.clone(), peer, ports }
}
