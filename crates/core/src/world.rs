//! Groups, interfaces and lists as they are at one moment: everything a verdict depends on, and
//! nothing else.
//!
//! A [`World`] is a value. It keeps its indexes (members of a group, owner of an address) true
//! through every change, and leaves it to its maker (the state machine, a world file) to refuse
//! what may not be: see [`World::put_interface`].
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;

use crate::ids::{
    NetworkInterfaceId, PortRangeListId, PrefixListId, SecurityGroupId, SecurityGroupRuleId, VpcId,
};
use crate::net::{Cidr, Family, Mac, Ports, Prefix};
use crate::rule::Rule;

/// `SecurityGroupType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GroupType {
    /// `normal`: members reach each other unless told otherwise; egress is open by default.
    Basic,
    /// `enterprise`: isolated, closed by default both ways.
    Enterprise,
}

/// `InnerAccessPolicy` of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InnerAccess {
    /// Members of the (basic) group reach each other ahead of every rule.
    Accept,
    /// Rules decide between members too.
    Drop,
}

/// A security group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its id.
    pub id: SecurityGroupId,
    /// Its VPC; `None` is a classic group, which has no members here.
    pub vpc: Option<VpcId>,
    /// Basic or enterprise.
    pub group_type: GroupType,
    /// Whether members reach each other.
    pub inner_access: InnerAccess,
    /// Its rules of both directions.
    pub rules: BTreeMap<SecurityGroupRuleId, Arc<Rule>>,
}

/// A network interface: the unit of enforcement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its id.
    pub id: NetworkInterfaceId,
    /// Its VPC.
    pub vpc: VpcId,
    /// Its hardware address; `None` only in world files that leave it out (it has no link-local
    /// address then).
    pub mac: Option<Mac>,
    /// Its addresses and prefixes, of both families; an address is a prefix of all bits.
    pub addresses: Vec<Prefix>,
    /// 1 to 16 groups, all of one type and of its VPC, no two equal.
    pub groups: Vec<SecurityGroupId>,
    /// `SourceDestCheck` as set; unset counts as on.
    pub source_dest_check: Option<bool>,
}

impl Interface {
    /// Whether `address` is one of the interface's.
    pub fn owns(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|own| own.contains(address))
    }

    /// Whether addresses of its packets are held against its own.
    pub fn checks_addresses(&self) -> bool {
        self.source_dest_check.unwrap_or(true)
    }
}

/// A prefix list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrefixList {
    /// Its id.
    pub id: PrefixListId,
    /// Family of all its entries.
    pub family: Family,
    /// Its entries.
    pub entries: Vec<Cidr>,
}

/// A port range list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortRangeList {
    /// Its id.
    pub id: PortRangeListId,
    /// Its entries.
    pub entries: Vec<Ports>,
}

/// All that verdicts depend on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct World {
    groups: BTreeMap<SecurityGroupId, Group>,
    interfaces: BTreeMap<NetworkInterfaceId, Interface>,
    prefix_lists: BTreeMap<PrefixListId, PrefixList>,
    port_range_lists: BTreeMap<PortRangeListId, PortRangeList>,
    members: BTreeMap<SecurityGroupId, BTreeSet<NetworkInterfaceId>>,
    /// Owner of each prefix, keyed by VPC and prefix.
    owners: BTreeMap<(VpcId, Prefix), NetworkInterfaceId>,
    /// How many prefixes of each family and length exist in a VPC: the lengths to ask `owners` for.
    lengths: BTreeMap<(VpcId, Family, u8), usize>,
}

impl World {
    /// A world without anything.
    pub fn new() -> Self {
        Self::default()
    }

    /// The group of this id.
    pub fn group(&self, id: &SecurityGroupId) -> Option<&Group> {
        self.groups.get(id)
    }

    /// All groups by id.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.values()
    }

    /// The interface of this id.
    pub fn interface(&self, id: &NetworkInterfaceId) -> Option<&Interface> {
        self.interfaces.get(id)
    }

    /// All interfaces by id.
    pub fn interfaces(&self) -> impl Iterator<Item = &Interface> {
        self.interfaces.values()
    }

    /// The prefix list of this id.
    pub fn prefix_list(&self, id: &PrefixListId) -> Option<&PrefixList> {
        self.prefix_lists.get(id)
    }

    /// The port range list of this id.
    pub fn port_range_list(&self, id: &PortRangeListId) -> Option<&PortRangeList> {
        self.port_range_lists.get(id)
    }

    /// All prefix lists by id.
    pub fn prefix_lists(&self) -> impl Iterator<Item = &PrefixList> {
        self.prefix_lists.values()
    }

    /// All port range lists by id.
    pub fn port_range_lists(&self) -> impl Iterator<Item = &PortRangeList> {
        self.port_range_lists.values()
    }

    /// The interfaces in a group now, by id.
    pub fn members(&self, group: &SecurityGroupId) -> impl Iterator<Item = &Interface> {
        self.members.get(group).into_iter().flatten().filter_map(|id| self.interfaces.get(id))
    }

    /// How many interfaces are in a group now.
    pub fn member_count(&self, group: &SecurityGroupId) -> usize {
        self.members.get(group).map_or(0, BTreeSet::len)
    }

    /// The interface whose address (or prefix) this is in the VPC; the longest prefix, if several
    /// hold it.
    pub fn owner(&self, vpc: &VpcId, address: IpAddr) -> Option<&Interface> {
        let family = Family::of(address);
        let from = (vpc.clone(), family, 0);
        let to = (vpc.clone(), family, family.bits());
        self.lengths.range(from..=to).rev().find_map(|((_, _, length), _)| {
            let prefix = Prefix::new(address, *length)?;
            let id = self.owners.get(&(vpc.clone(), prefix))?;
            self.interfaces.get(id)
        })
    }

    /// The interface that has this very prefix (or address) in the VPC.
    pub(crate) fn holder(&self, vpc: &VpcId, prefix: Prefix) -> Option<&Interface> {
        self.interfaces.get(self.owners.get(&(vpc.clone(), prefix))?)
    }

    /// Adds or replaces a group, its rules included.
    pub fn put_group(&mut self, group: Group) {
        self.groups.insert(group.id.clone(), group);
    }

    /// Removes a group and its rules.
    pub fn remove_group(&mut self, id: &SecurityGroupId) -> Option<Group> {
        self.groups.remove(id)
    }

    /// Adds or replaces a rule; without its group nothing happens and the answer is false.
    pub fn put_rule(&mut self, group: &SecurityGroupId, rule: Arc<Rule>) -> bool {
        self.groups.get_mut(group).map(|g| g.rules.insert(rule.id.clone(), rule)).is_some()
    }

    /// Removes a rule.
    pub fn remove_rule(
        &mut self,
        group: &SecurityGroupId,
        rule: &SecurityGroupRuleId,
    ) -> Option<Arc<Rule>> {
        self.groups.get_mut(group)?.rules.remove(rule)
    }

    /// Adds or replaces an interface. That its groups exist and fit and that no other interface of
    /// the VPC has one of its addresses is the caller's to check first.
    pub fn put_interface(&mut self, interface: Interface) {
        self.remove_interface(&interface.id);
        for group in &interface.groups {
            self.members.entry(group.clone()).or_default().insert(interface.id.clone());
        }
        for prefix in &interface.addresses {
            let key = (interface.vpc.clone(), *prefix);
            if self.owners.insert(key, interface.id.clone()).is_none() {
                let length = (interface.vpc.clone(), prefix.family(), prefix.length());
                *self.lengths.entry(length).or_default() += 1;
            }
        }
        self.interfaces.insert(interface.id.clone(), interface);
    }

    /// Removes an interface; it leaves its groups and its addresses are free.
    pub fn remove_interface(&mut self, id: &NetworkInterfaceId) -> Option<Interface> {
        let interface = self.interfaces.remove(id)?;
        for group in &interface.groups {
            if let Some(members) = self.members.get_mut(group) {
                members.remove(id);
                if members.is_empty() {
                    self.members.remove(group);
                }
            }
        }
        for prefix in &interface.addresses {
            if self.owners.remove(&(interface.vpc.clone(), *prefix)).is_some() {
                let length = (interface.vpc.clone(), prefix.family(), prefix.length());
                if let Some(count) = self.lengths.get_mut(&length) {
                    *count -= 1;
                    if *count == 0 {
                        self.lengths.remove(&length);
                    }
                }
            }
        }
        Some(interface)
    }

    /// Adds or replaces a prefix list.
    pub fn put_prefix_list(&mut self, list: PrefixList) {
        self.prefix_lists.insert(list.id.clone(), list);
    }

    /// Removes a prefix list.
    pub fn remove_prefix_list(&mut self, id: &PrefixListId) -> Option<PrefixList> {
        self.prefix_lists.remove(id)
    }

    /// Adds or replaces a port range list.
    pub fn put_port_range_list(&mut self, list: PortRangeList) {
        self.port_range_lists.insert(list.id.clone(), list);
    }

    /// Removes a port range list.
    pub fn remove_port_range_list(&mut self, id: &PortRangeListId) -> Option<PortRangeList> {
        self.port_range_lists.remove(id)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec;

    use super::*;

    fn interface(id: &str, addresses: &[&str], groups: &[&str]) -> Interface {
        Interface {
            id: id.parse().unwrap(),
            vpc: "vpc-1".parse().unwrap(),
            mac: None,
            addresses: addresses.iter().map(|a| a.parse::<Cidr>().unwrap().prefix()).collect(),
            groups: groups.iter().map(|g| g.parse().unwrap()).collect(),
            source_dest_check: None,
        }
    }

    fn owner(world: &World, vpc: &str, address: &str) -> Option<alloc::string::String> {
        world.owner(&vpc.parse().unwrap(), address.parse().unwrap()).map(|i| i.id.to_string())
    }

    #[test]
    fn indexes_follow_every_change() {
        let mut world = World::new();
        world.put_interface(interface("eni-a", &["10.0.0.1", "10.1.0.0/28"], &["sg-1", "sg-2"]));
        world.put_interface(interface("eni-b", &["10.0.0.2", "2001:db8::2"], &["sg-1"]));
        assert_eq!(owner(&world, "vpc-1", "10.1.0.15"), Some("eni-a".into()));
        assert_eq!(owner(&world, "vpc-2", "10.0.0.1"), None);
        assert_eq!(owner(&world, "vpc-1", "2001:db8::2"), Some("eni-b".into()));
        assert_eq!(world.member_count(&"sg-1".parse().unwrap()), 2);

        world.put_interface(interface("eni-a", &["10.0.0.3"], &["sg-2"]));
        assert_eq!(owner(&world, "vpc-1", "10.1.0.15"), None);
        assert_eq!(owner(&world, "vpc-1", "10.0.0.3"), Some("eni-a".into()));
        assert_eq!(world.member_count(&"sg-1".parse().unwrap()), 1);

        world.remove_interface(&"eni-a".parse().unwrap());
        world.remove_interface(&"eni-b".parse().unwrap());
        assert_eq!(world, World::new());
        assert_eq!(vec![0; 0], world.interfaces().map(|_| 0).collect::<Vec<_>>());
    }
}
