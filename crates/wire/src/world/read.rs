//! `world.json` to a [`World`], whole or not at all.
//!
//! Lists and groups are read before rules, rules before interfaces, so that every reference is
//! looked up where it stands.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use portcullis_core::ids::{NetworkInterfaceId, SecurityGroupId, SecurityGroupRuleId, VpcId};
use portcullis_core::limits::GROUPS_PER_INTERFACE_MAX;
use portcullis_core::net::{Family, Prefix};
use portcullis_core::world::{Group, GroupType, InnerAccess, Interface, World};

use super::error::{InputError, Place};
use super::lists::{cidr_of, read_port_range_list, read_prefix_list};
use super::node::Node;
use super::object::{Object, wrong_kind};
use super::rule::{dangling, read_rule};

const GROUP_TYPES: [(&str, GroupType); 2] =
    [("normal", GroupType::Basic), ("enterprise", GroupType::Enterprise)];
const INNER_ACCESS: [(&str, InnerAccess); 2] =
    [("Accept", InnerAccess::Accept), ("Drop", InnerAccess::Drop)];

/// The type of a group that names none.
const GROUP_TYPE_DEFAULT: GroupType = GroupType::Basic;

/// The inner access of a group that names none.
const fn inner_access_default(group_type: GroupType) -> InnerAccess {
    match group_type {
        GroupType::Basic => InnerAccess::Accept,
        GroupType::Enterprise => InnerAccess::Drop,
    }
}

/// Reads a world file.
pub fn read_world(text: &str) -> Result<World, InputError> {
    let node = Node::parse(text, &Place::Root)?;
    let file = Object::new(&node, &Place::Root)?;
    let mut world = World::new();
    file.each("PrefixLists", |node, place| read_prefix_list(&mut world, node, place))?;
    file.each("PortRangeLists", |node, place| read_port_range_list(&mut world, node, place))?;
    file.each("SecurityGroups", |node, place| read_group(&mut world, node, place))?;
    let mut rules = BTreeSet::new();
    file.each("SecurityGroups", |node, place| read_rules(&mut world, &mut rules, node, place))?;
    let mut addresses = Addresses::default();
    file.each("NetworkInterfaces", |node, place| {
        read_interface(&mut world, &mut addresses, node, place)
    })?;
    Ok(world)
}

/// The error of an id that another thing has.
pub(super) fn repeated(place: &Place<'_>, id: &str) -> InputError {
    let message = format!("the id `{id}` is there twice");
    InputError::new("RepeatedId", place, message, "give each its own id")
}

fn read_group(world: &mut World, node: &Node, place: &Place<'_>) -> Result<(), InputError> {
    let fields = Object::new(node, place)?;
    let id = fields.required("SecurityGroupId")?;
    if world.group(&id).is_some() {
        return Err(repeated(&fields.at("SecurityGroupId"), id.as_str()));
    }
    let group_type = fields.name("SecurityGroupType", &GROUP_TYPES)?;
    let group_type = group_type.unwrap_or(GROUP_TYPE_DEFAULT);
    let inner_access = fields.name("InnerAccessPolicy", &INNER_ACCESS)?;
    world.put_group(Group {
        id,
        vpc: fields.parse("VpcId")?,
        group_type,
        inner_access: inner_access.unwrap_or(inner_access_default(group_type)),
        rules: BTreeMap::new(),
    });
    Ok(())
}

fn read_rules(
    world: &mut World,
    seen: &mut BTreeSet<SecurityGroupRuleId>,
    node: &Node,
    place: &Place<'_>,
) -> Result<(), InputError> {
    let fields = Object::new(node, place)?;
    let id: SecurityGroupId = fields.required("SecurityGroupId")?;
    let mut rules = Vec::new();
    let group = world.group(&id).ok_or_else(|| fields.missing("SecurityGroupId"))?;
    fields.each_in("Permissions", "Permission", |node, place| {
        let rule = read_rule(world, group, node, place)?;
        if !seen.insert(rule.id.clone()) {
            return Err(repeated(&Place::Key(place, "SecurityGroupRuleId"), rule.id.as_str()));
        }
        rules.push(rule);
        Ok(())
    })?;
    for rule in rules {
        world.put_rule(&id, Arc::new(rule));
    }
    Ok(())
}

fn read_interface(
    world: &mut World,
    addresses: &mut Addresses,
    node: &Node,
    place: &Place<'_>,
) -> Result<(), InputError> {
    let fields = Object::new(node, place)?;
    let id: NetworkInterfaceId = fields.required("NetworkInterfaceId")?;
    if world.interface(&id).is_some() {
        return Err(repeated(&fields.at("NetworkInterfaceId"), id.as_str()));
    }
    let vpc: VpcId = fields.required("VpcId")?;
    let mut own = Vec::new();
    for (outer, inner, key, family) in [
        ("PrivateIpSets", "PrivateIpSet", "PrivateIpAddress", Family::V4),
        ("Ipv6Sets", "Ipv6Set", "Ipv6Address", Family::V6),
        ("Ipv4PrefixSets", "Ipv4PrefixSet", "Ipv4Prefix", Family::V4),
        ("Ipv6PrefixSets", "Ipv6PrefixSet", "Ipv6Prefix", Family::V6),
    ] {
        let is_address = key.ends_with("Address");
        fields.each_in(outer, inner, |node, place| {
            let object = Object::new(node, place)?;
            let prefix = cidr_of(&object, key, family)?.prefix();
            let place = object.at(key);
            if is_address && prefix.length() != family.bits() {
                return Err(InputError::malformed(&place, &prefix.to_string(), "one address"));
            }
            addresses.claim(&vpc, prefix, &id, &place)?;
            own.push(prefix);
            Ok(())
        })?;
    }
    let groups = read_interface_groups(world, &fields, &vpc)?;
    world.put_interface(Interface {
        id,
        vpc,
        mac: fields.parse("MacAddress")?,
        addresses: own,
        groups,
        source_dest_check: fields.boolean("SourceDestCheck")?,
    });
    Ok(())
}

fn read_interface_groups(
    world: &World,
    fields: &Object<'_>,
    vpc: &VpcId,
) -> Result<Vec<SecurityGroupId>, InputError> {
    let mut ids: Vec<SecurityGroupId> = Vec::new();
    let mut first_type = None;
    fields.each_in("SecurityGroupIds", "SecurityGroupId", |node, place| {
        let Node::Text(text) = node else { return Err(wrong_kind(place, node, "a string")) };
        let id: SecurityGroupId =
            text.parse().map_err(|error| super::object::refused(place, &error))?;
        let group = world.group(&id);
        let group = group.ok_or_else(|| dangling(place, "security group", id.as_str()))?;
        if ids.contains(&id) {
            return Err(repeated(place, id.as_str()));
        }
        if group.vpc.as_ref() != Some(vpc) {
            let message = format!("`{id}` is a group of another VPC than `{vpc}`");
            let help = "an interface joins groups of its own VPC only";
            return Err(InputError::new("OtherVpc", place, message, help));
        }
        if *first_type.get_or_insert(group.group_type) != group.group_type {
            let message = format!("`{id}` is of another type than the groups before it");
            let help = "the groups of an interface are all normal or all enterprise";
            return Err(InputError::new("MixedGroupTypes", place, message, help));
        }
        if ids.len() == GROUPS_PER_INTERFACE_MAX {
            let message =
                format!("the interface is in more than {GROUPS_PER_INTERFACE_MAX} groups");
            let help = "take it out of some groups";
            return Err(InputError::new("TooManyGroups", place, message, help));
        }
        ids.push(id);
        Ok(())
    })?;
    if ids.is_empty() {
        let message = "the interface is in no security group";
        let help = "add `SecurityGroupIds` with at least one group";
        return Err(InputError::new("NoGroup", &fields.at("SecurityGroupIds"), message, help));
    }
    Ok(ids)
}

/// Whose addresses are whose, as far as read. No two interfaces of a VPC share one; within an
/// interface no entry stands twice, though an address may lie in a prefix of its own.
#[derive(Default)]
struct Addresses {
    prefixes: BTreeSet<(VpcId, Prefix)>,
    /// Outermost prefixes by VPC, family and first address: last address and owner.
    outermost: BTreeMap<(VpcId, Family, u128), (u128, NetworkInterfaceId)>,
}

impl Addresses {
    fn claim(
        &mut self,
        vpc: &VpcId,
        prefix: Prefix,
        id: &NetworkInterfaceId,
        place: &Place<'_>,
    ) -> Result<(), InputError> {
        let (first, last) = prefix.range();
        let key = |address| (vpc.clone(), prefix.family(), address);
        let around = self.outermost.range(key(0)..=key(first)).next_back();
        let around = around.filter(|(_, (end, _))| *end >= first).map(|(_, (_, owner))| owner);
        let mut inside = self.outermost.range(key(first)..=key(last)).map(|(_, (_, owner))| owner);
        let other = around.filter(|owner| *owner != id).or(inside.find(|owner| *owner != id));
        let is_repeated = !self.prefixes.insert((vpc.clone(), prefix));
        if is_repeated || other.is_some() {
            let owner = other.unwrap_or(id);
            let message =
                format!("`{}` is already an address of `{owner}` in `{vpc}`", shown(prefix));
            let help = "an address belongs to one interface of a VPC, once";
            return Err(InputError::new("RepeatedAddress", place, message, help));
        }
        if around.is_none() {
            let nested: Vec<_> =
                self.outermost.range(key(first)..=key(last)).map(|(at, _)| at.clone()).collect();
            for at in nested {
                self.outermost.remove(&at);
            }
            self.outermost.insert(key(first), (last, id.clone()));
        }
        Ok(())
    }
}

/// An address alone without its length.
fn shown(prefix: Prefix) -> String {
    if prefix.length() == prefix.family().bits() {
        prefix.address().to_string()
    } else {
        prefix.to_string()
    }
}
