//! From the world to what one interface needs: its rules in the order of evaluation, lists filled
//! in, groups left as names.
//!
//! Group peers stay names because membership changes far more often than rules do; whoever enforces
//! looks members up. This is the form that is compiled, and it does not depend on anything but the
//! interface's own groups and lists.
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::ids::{NetworkInterfaceId, SecurityGroupId, VpcId};
use crate::net::{Mac, Ports, Prefix};
use crate::rule::{Direction, Peer, PortMatch, Rule};
use crate::world::{Group, GroupType, InnerAccess, World};

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
        let peers = self.all_rules().filter_map(|r| match &r.peer {
            ResolvedPeer::Group(group) => Some(group.clone()),
            ResolvedPeer::Prefixes(_) => None,
        });
        let mut groups: Vec<_> = peers.chain(self.intra_groups.iter().cloned()).collect();
        groups.sort();
        groups.dedup();
        groups
    }
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
    rules: BTreeMap<Vec<SecurityGroupId>, [Rules; 2]>,
}

impl<'w> Resolver<'w> {
    /// Nothing resolved yet.
    pub fn new(world: &'w World) -> Self {
        Self { world, rules: BTreeMap::new() }
    }

    /// The policy of an interface; `None` if there is no such interface or one of its groups is
    /// missing.
    pub fn policy(&mut self, id: &NetworkInterfaceId) -> Option<InterfacePolicy> {
        let interface = self.world.interface(id)?;
        let groups = interface.groups.iter().map(|group| self.world.group(group));
        let groups: Vec<&Group> = groups.collect::<Option<_>>()?;
        let first = groups.first()?;
        let mut intra_groups: Vec<_> = groups
            .iter()
            .filter(|g| g.group_type == GroupType::Basic && g.inner_access == InnerAccess::Accept)
            .map(|g| g.id.clone())
            .collect();
        intra_groups.sort();
        let mut sorted = interface.groups.clone();
        sorted.sort();
        let [egress, ingress] = self.rules.entry(sorted).or_insert_with(|| {
            [Direction::Egress, Direction::Ingress].map(|way| rules(self.world, &groups, way))
        });
        Some(InterfacePolicy {
            interface: interface.id.clone(),
            vpc: interface.vpc.clone(),
            mac: interface.mac,
            addresses: interface.addresses.clone(),
            checks_addresses: interface.checks_addresses(),
            group_type: first.group_type,
            intra_groups,
            egress: egress.clone(),
            ingress: ingress.clone(),
        })
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
