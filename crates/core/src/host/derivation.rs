//! What a host should enforce, kept up with the changes of a state: what a change touches is worked
//! out anew, and nothing else is looked at.
//!
//! The other way to the value of [`desired`](super::desired), which begins with nothing: a test
//! holds the one against the other after every step of random histories. It has a world of its own,
//! so that whoever keeps a state never waits for it. Knows no revision and no lock.
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{BoundInterface, Desired, Members};
use crate::ids::{NetworkInterfaceId, PortRangeListId, PrefixListId, SecurityGroupId, VpcId};
use crate::multimap::Multimap;
use crate::net::Prefix;
use crate::records::{
    Change, ConnectionTracking, GroupRecord, InterfaceRecord, Record, RecordKey, RuleRecord,
};
use crate::resolve::GroupsPolicy;
use crate::rule::{Peer, PortMatch};
use crate::state::State;
use crate::text::DeviceName;
use crate::world::World;

/// Groups that interfaces are in together, sorted.
type Combination = Vec<SecurityGroupId>;

/// A desired state that follows the changes of the state it is of.
#[derive(Debug, Clone)]
pub struct Derivation {
    world: World,
    /// The devices of tied interfaces.
    devices: BTreeMap<NetworkInterfaceId, DeviceName>,
    /// The idle times that interfaces have of their own.
    tracking: BTreeMap<NetworkInterfaceId, ConnectionTracking>,
    interfaces: BTreeMap<NetworkInterfaceId, Arc<BoundInterface>>,
    /// The combinations of tied interfaces, and what each comes to.
    combinations: BTreeMap<Combination, Combined>,
    combination_of: BTreeMap<NetworkInterfaceId, Combination>,
    of_group: Multimap<SecurityGroupId, Combination>,
    of_prefix_list: Multimap<PrefixListId, Combination>,
    of_port_range_list: Multimap<PortRangeListId, Combination>,
    /// How many combinations refer to a group; none counts zero.
    referenced: BTreeMap<SecurityGroupId, usize>,
    members: BTreeMap<VpcId, Members>,
}

/// What interfaces of the same groups have in common.
#[derive(Debug, Clone, Default)]
struct Combined {
    tied: BTreeSet<NetworkInterfaceId>,
    /// Nothing where one of the groups is missing.
    policy: Option<GroupsPolicy>,
    referenced: Vec<SecurityGroupId>,
    prefix_lists: BTreeSet<PrefixListId>,
    port_range_lists: BTreeSet<PortRangeListId>,
}

impl Combined {
    fn new(world: &World, combination: &Combination) -> Self {
        let mut combined = Self::default();
        let Some(policy) = GroupsPolicy::new(world, combination) else { return combined };
        combined.referenced = policy.referenced_groups();
        for resolved in policy.all_rules() {
            if let Peer::PrefixList(list) = &resolved.rule.peer {
                combined.prefix_lists.insert(list.clone());
            }
            if let PortMatch::List(list) = &resolved.rule.ports {
                combined.port_range_lists.insert(list.clone());
            }
        }
        combined.policy = Some(policy);
        combined
    }
}

/// What changes have touched and is to be looked at again.
#[derive(Debug, Default)]
struct Touched {
    /// Groups with other rules, of another kind, new or gone.
    groups: BTreeSet<SecurityGroupId>,
    prefix_lists: BTreeSet<PrefixListId>,
    port_range_lists: BTreeSet<PortRangeListId>,
    interfaces: BTreeSet<NetworkInterfaceId>,
    /// Prefixes that interfaces have, had, or have in other groups than before.
    prefixes: BTreeSet<(VpcId, Prefix)>,
    /// Groups to which more or fewer combinations refer, and whether any did before.
    referenced: BTreeMap<SecurityGroupId, bool>,
}

impl Derivation {
    /// Of a state as it is now: this once everything is looked at.
    pub fn new(state: &State) -> Self {
        let own =
            |id: &NetworkInterfaceId| Some((id.clone(), state.interface(id)?.connection_tracking?));
        let tied = state.bindings().map(|tie| (tie.interface.clone(), tie.device.clone()));
        let mut derivation = Self {
            world: state.world().clone(),
            devices: tied.collect(),
            tracking: state.world().interfaces().filter_map(|one| own(&one.id)).collect(),
            interfaces: BTreeMap::new(),
            combinations: BTreeMap::new(),
            combination_of: BTreeMap::new(),
            of_group: Multimap::default(),
            of_prefix_list: Multimap::default(),
            of_port_range_list: Multimap::default(),
            referenced: BTreeMap::new(),
            members: BTreeMap::new(),
        };
        let interfaces = derivation.devices.keys().cloned().collect();
        derivation.settle(Touched { interfaces, ..Touched::default() });
        derivation
    }

    /// Whether a change may touch what a host should enforce. Others need not be told.
    pub fn heeds(change: &Change) -> bool {
        match change.key() {
            RecordKey::Group(_)
            | RecordKey::Rule(..)
            | RecordKey::Interface(_)
            | RecordKey::Binding(_)
            | RecordKey::PrefixList(_)
            | RecordKey::PortRangeList(_) => true,
            RecordKey::Account(_)
            | RecordKey::AccessKey(_)
            | RecordKey::Vpc(_)
            | RecordKey::VSwitch(_)
            | RecordKey::Token(..)
            | RecordKey::Instance(_)
            | RecordKey::VpcShare(..) => false,
        }
    }

    /// Follows changes, in the order in which the state took them in: all that there were, but for
    /// those that it does not heed.
    pub fn follow(&mut self, changes: impl IntoIterator<Item = Change>) {
        let mut touched = Touched::default();
        for change in changes {
            match change {
                Change::Put(record) => self.put(record, &mut touched),
                Change::Delete(key) => self.delete(key, &mut touched),
            }
        }
        self.settle(touched);
    }

    /// What the host should enforce now. What has not changed since it was asked last is shared
    /// with that answer.
    pub fn desired(&self, revision: u64) -> Desired {
        let interfaces = self.interfaces.values().cloned().collect();
        Desired { revision, interfaces, members: self.members.clone() }
    }

    fn put(&mut self, record: Record, touched: &mut Touched) {
        match record {
            Record::Group(record) => self.put_group(&record, touched),
            Record::Rule(record) => self.put_rule(&record, touched),
            Record::Interface(record) => self.put_interface(&record, touched),
            Record::Binding(tie) => {
                touched.interfaces.insert(tie.interface.clone());
                self.devices.insert(tie.interface, tie.device);
            }
            Record::PrefixList(list) => {
                let list = list.in_world();
                if self.world.prefix_list(&list.id) != Some(&list) {
                    touched.prefix_lists.insert(list.id.clone());
                    self.world.put_prefix_list(list);
                }
            }
            Record::PortRangeList(list) => {
                let list = list.in_world();
                if self.world.port_range_list(&list.id) != Some(&list) {
                    touched.port_range_lists.insert(list.id.clone());
                    self.world.put_port_range_list(list);
                }
            }
            Record::Account(_)
            | Record::AccessKey(_)
            | Record::Vpc(_)
            | Record::VSwitch(_)
            | Record::Token(_)
            | Record::Instance(_)
            | Record::VpcShare(_) => {}
        }
    }

    fn delete(&mut self, key: RecordKey, touched: &mut Touched) {
        match key {
            RecordKey::Group(id) => {
                self.world.remove_group(&id);
                touched.groups.insert(id);
            }
            RecordKey::Rule(group, id) => {
                self.world.remove_rule(&group, &id);
                touched.groups.insert(group);
            }
            RecordKey::Interface(id) => {
                if let Some(old) = self.world.remove_interface(&id) {
                    let own = old.addresses.into_iter().map(|prefix| (old.vpc.clone(), prefix));
                    touched.prefixes.extend(own);
                }
                self.tracking.remove(&id);
                touched.interfaces.insert(id);
            }
            RecordKey::Binding(id) => {
                self.devices.remove(&id);
                touched.interfaces.insert(id);
            }
            RecordKey::PrefixList(id) => {
                self.world.remove_prefix_list(&id);
                touched.prefix_lists.insert(id);
            }
            RecordKey::PortRangeList(id) => {
                self.world.remove_port_range_list(&id);
                touched.port_range_lists.insert(id);
            }
            RecordKey::Account(_)
            | RecordKey::AccessKey(_)
            | RecordKey::Vpc(_)
            | RecordKey::VSwitch(_)
            | RecordKey::Token(..)
            | RecordKey::Instance(_)
            | RecordKey::VpcShare(..) => {}
        }
    }

    /// A new name is no other policy.
    fn put_group(&mut self, record: &GroupRecord, touched: &mut Touched) {
        let old = self.world.remove_group(&record.id);
        let kind = |vpc: &Option<VpcId>, kind, access| (vpc.clone(), kind, access);
        let before = old.as_ref().map(|old| kind(&old.vpc, old.group_type, old.inner_access));
        let after = kind(&record.vpc, record.group_type, record.inner_access);
        if before != Some(after) {
            touched.groups.insert(record.id.clone());
        }
        self.world.put_group(record.in_world(old.map(|old| old.rules).unwrap_or_default()));
    }

    /// A new description is no other rule.
    fn put_rule(&mut self, record: &RuleRecord, touched: &mut Touched) {
        let group = self.world.group(&record.group);
        if group.and_then(|group| group.rules.get(&record.rule.id)) == Some(&record.rule) {
            return;
        }
        self.world.put_rule(&record.group, Arc::clone(&record.rule));
        touched.groups.insert(record.group.clone());
    }

    /// A new name or another attachment is no other interface.
    fn put_interface(&mut self, record: &InterfaceRecord, touched: &mut Touched) {
        let id = &record.id;
        let before = match record.connection_tracking {
            Some(tracking) => self.tracking.insert(id.clone(), tracking),
            None => self.tracking.remove(id),
        };
        if before != record.connection_tracking {
            touched.interfaces.insert(id.clone());
        }
        let after = record.in_world();
        let before = self.world.interface(id);
        if before == Some(&after) {
            return;
        }
        for one in before.into_iter().chain([&after]) {
            let own = one.addresses.iter().map(|prefix| (one.vpc.clone(), *prefix));
            touched.prefixes.extend(own);
        }
        touched.interfaces.insert(id.clone());
        self.world.put_interface(after);
    }

    /// Works out anew what was touched: combinations first, then interfaces, then members.
    fn settle(&mut self, mut touched: Touched) {
        let of_groups = touched.groups.iter().flat_map(|id| self.of_group.get(id));
        let of_lists = touched.prefix_lists.iter().flat_map(|id| self.of_prefix_list.get(id));
        let of_ports =
            touched.port_range_lists.iter().flat_map(|id| self.of_port_range_list.get(id));
        let stale: BTreeSet<_> = of_groups.chain(of_lists).chain(of_ports).cloned().collect();
        for combination in stale {
            let tied = self.forget(&combination, &mut touched);
            touched.interfaces.extend(tied.iter().cloned());
            self.learn(combination, tied, &mut touched);
        }
        for id in core::mem::take(&mut touched.interfaces) {
            self.place(&id, &mut touched);
        }
        for (group, was_referenced) in &touched.referenced {
            if self.referenced.contains_key(group) != *was_referenced {
                for member in self.world.members(group) {
                    let own = member.addresses.iter().map(|prefix| (member.vpc.clone(), *prefix));
                    touched.prefixes.extend(own);
                }
            }
        }
        for (vpc, prefix) in touched.prefixes {
            self.set_member(vpc, prefix);
        }
    }

    /// Puts an interface into its combination, and its policy together.
    fn place(&mut self, id: &NetworkInterfaceId, touched: &mut Touched) {
        let Some(device) = self.devices.get(id).cloned() else {
            self.join(id, None, touched);
            self.interfaces.remove(id);
            return;
        };
        let combination = self.world.interface(id).map(|interface| {
            let mut groups = interface.groups.clone();
            groups.sort();
            groups
        });
        self.join(id, combination.as_ref(), touched);
        let combined = combination.and_then(|combination| self.combinations.get(&combination));
        let policy = combined.and_then(|combined| combined.policy.as_ref());
        let policy = policy.zip(self.world.interface(id)).map(|(policy, at)| policy.at(at));
        let tracking = self.tracking.get(id).copied();
        let bound = BoundInterface::new(id, &device, policy, tracking);
        self.interfaces.insert(id.clone(), Arc::new(bound));
    }

    /// Leads an interface from the combination that it is in, if any, to another.
    fn join(
        &mut self,
        id: &NetworkInterfaceId,
        combination: Option<&Combination>,
        touched: &mut Touched,
    ) {
        if self.combination_of.get(id) == combination {
            return;
        }
        if let Some(old) = self.combination_of.remove(id)
            && let Some(combined) = self.combinations.get_mut(&old)
        {
            combined.tied.remove(id);
            if combined.tied.is_empty() {
                self.forget(&old, touched);
            }
        }
        let Some(combination) = combination else { return };
        self.combination_of.insert(id.clone(), combination.clone());
        match self.combinations.get_mut(combination) {
            Some(combined) => {
                combined.tied.insert(id.clone());
            }
            None => self.learn(combination.clone(), BTreeSet::from([id.clone()]), touched),
        }
    }

    /// Resolves a combination that is not there.
    fn learn(
        &mut self,
        combination: Combination,
        tied: BTreeSet<NetworkInterfaceId>,
        touched: &mut Touched,
    ) {
        let combined = Combined { tied, ..Combined::new(&self.world, &combination) };
        for group in &combination {
            self.of_group.insert(group.clone(), combination.clone());
        }
        for list in &combined.prefix_lists {
            self.of_prefix_list.insert(list.clone(), combination.clone());
        }
        for list in &combined.port_range_lists {
            self.of_port_range_list.insert(list.clone(), combination.clone());
        }
        for group in &combined.referenced {
            let count = self.referenced.entry(group.clone()).or_default();
            touched.referenced.entry(group.clone()).or_insert(*count > 0);
            *count += 1;
        }
        self.combinations.insert(combination, combined);
    }

    /// Takes a combination out. Answers the interfaces that are in it.
    fn forget(
        &mut self,
        combination: &Combination,
        touched: &mut Touched,
    ) -> BTreeSet<NetworkInterfaceId> {
        let combined = self.combinations.remove(combination).unwrap_or_default();
        for group in combination {
            self.of_group.remove(group, combination);
        }
        for list in &combined.prefix_lists {
            self.of_prefix_list.remove(list, combination);
        }
        for list in &combined.port_range_lists {
            self.of_port_range_list.remove(list, combination);
        }
        for group in combined.referenced {
            let Some(count) = self.referenced.get_mut(&group) else { continue };
            *count -= 1;
            if *count == 0 {
                self.referenced.remove(&group);
            }
            touched.referenced.entry(group).or_insert(true);
        }
        combined.tied
    }

    /// Says of one prefix which of the groups referred to its holder is in.
    fn set_member(&mut self, vpc: VpcId, prefix: Prefix) {
        let holder = self.world.holder(&vpc, prefix);
        let groups = holder.into_iter().flat_map(|holder| &holder.groups);
        let mut groups: Vec<_> =
            groups.filter(|group| self.referenced.contains_key(*group)).cloned().collect();
        groups.sort();
        let members = self.members.entry(vpc.clone()).or_default();
        let before = members.get(&prefix).map_or(&[][..], |groups| groups);
        if before != groups {
            if groups.is_empty() {
                members.remove(&prefix);
            } else {
                members.insert(prefix, groups.into());
            }
        }
        if members.is_empty() {
            self.members.remove(&vpc);
        }
    }
}
