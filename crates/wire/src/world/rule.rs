//! One rule of a world file: the API's own names and no other, each taken at its word.
//!
//! Knows what a rule may say together with its group and the lists there are; not how it is judged.
use portcullis_core::ids::{PortRangeListId, PrefixListId, SecurityGroupId, SecurityGroupRuleId};
use portcullis_core::net::{Cidr, Family, Ports, Protocol};
use portcullis_core::rule::{Direction, Peer, Policy, PortMatch, Priority, Rule};
use portcullis_core::world::{Group, GroupType, World};

use super::error::{InputError, Place};
use super::lists::optional_cidr_of;
use super::node::Node;
use super::object::{Object, refused};

/// Every name that the API has for a field of a rule, in answers and in requests.
const RULE_FIELDS: [&str; 28] = [
    "CreateTime",
    "Description",
    "DestCidrIp",
    "DestGroupId",
    "DestGroupName",
    "DestGroupOwnerAccount",
    "DestGroupOwnerId",
    "DestPrefixListId",
    "DestPrefixListName",
    "Direction",
    "IpProtocol",
    "Ipv6DestCidrIp",
    "Ipv6SourceCidrIp",
    "NicType",
    "Policy",
    "PortRange",
    "PortRangeListId",
    "PortRangeListName",
    "Priority",
    "SecurityGroupRuleId",
    "SourceCidrIp",
    "SourceGroupId",
    "SourceGroupName",
    "SourceGroupOwnerAccount",
    "SourceGroupOwnerId",
    "SourcePortRange",
    "SourcePrefixListId",
    "SourcePrefixListName",
];

const DIRECTIONS: [(&str, Direction); 2] =
    [("egress", Direction::Egress), ("ingress", Direction::Ingress)];
const POLICIES: [(&str, Policy); 2] = [("Accept", Policy::Accept), ("Drop", Policy::Drop)];

/// Names of the fields of one end of a packet.
struct EndFields {
    cidr: &'static str,
    cidr_v6: &'static str,
    group: &'static str,
    prefix_list: &'static str,
}

const SOURCE: EndFields = EndFields {
    cidr: "SourceCidrIp",
    cidr_v6: "Ipv6SourceCidrIp",
    group: "SourceGroupId",
    prefix_list: "SourcePrefixListId",
};
const DESTINATION: EndFields = EndFields {
    cidr: "DestCidrIp",
    cidr_v6: "Ipv6DestCidrIp",
    group: "DestGroupId",
    prefix_list: "DestPrefixListId",
};

/// Reads one of a group's rules. The world must already have all groups and lists.
pub(super) fn read_rule(
    world: &World,
    group: &Group,
    node: &Node,
    place: &Place<'_>,
) -> Result<Rule, InputError> {
    let fields = Object::new(node, place)?;
    if let Some(name) = fields.names().find(|name| !RULE_FIELDS.contains(name)) {
        let message = format!("a rule has no field `{name}`");
        let help = "leave it out, or write the API's own name of the field";
        return Err(InputError::new("UnknownField", &fields.at(name), message, help));
    }
    let id: SecurityGroupRuleId = fields.required("SecurityGroupRuleId")?;
    let direction = fields.name("Direction", &DIRECTIONS)?;
    let direction = direction.ok_or_else(|| fields.missing("Direction"))?;
    let protocol: Protocol = fields.required("IpProtocol")?;
    let policy = fields.name("Policy", &POLICIES)?.ok_or_else(|| fields.missing("Policy"))?;
    let (peer_fields, local_fields) = match direction {
        Direction::Egress => (&DESTINATION, &SOURCE),
        Direction::Ingress => (&SOURCE, &DESTINATION),
    };
    let peer_cidr = cidr(&fields, peer_fields)?;
    let local = cidr(&fields, local_fields)?;
    check_families(&fields, peer_cidr, local, local_fields)?;
    check_local(&fields, direction, local_fields)?;
    Ok(Rule {
        id,
        direction,
        protocol,
        ports: ports(world, &fields, protocol)?,
        source_ports: source_ports(&fields, protocol)?,
        peer: peer(world, group, &fields, peer_fields, peer_cidr)?,
        local,
        policy,
        priority: priority(&fields)?,
    })
}

/// The CIDR of one end; it has one of the two families at most.
fn cidr(fields: &Object<'_>, end: &EndFields) -> Result<Option<Cidr>, InputError> {
    let v4 = optional_cidr_of(fields, end.cidr, Family::V4)?;
    let v6 = optional_cidr_of(fields, end.cidr_v6, Family::V6)?;
    match (v4, v6) {
        (Some(_), Some(_)) => Err(both_families(&fields.at(end.cidr_v6))),
        (v4, v6) => Ok(v4.or(v6)),
    }
}

fn check_families(
    fields: &Object<'_>,
    peer: Option<Cidr>,
    local: Option<Cidr>,
    local_fields: &EndFields,
) -> Result<(), InputError> {
    match (peer, local) {
        (Some(peer), Some(local)) if peer.family() != local.family() => {
            let key = match local.family() {
                Family::V4 => local_fields.cidr,
                Family::V6 => local_fields.cidr_v6,
            };
            Err(both_families(&fields.at(key)))
        }
        _ => Ok(()),
    }
}

fn both_families(place: &Place<'_>) -> InputError {
    let message = "the rule has CIDRs of both address families";
    let help = "write one rule for IPv4 and one for IPv6";
    InputError::new("MixedFamilies", place, message, help)
}

/// The interface's own side is named by CIDR only. Leaving a group or list there aside would widen
/// the rule.
fn check_local(
    fields: &Object<'_>,
    direction: Direction,
    local: &EndFields,
) -> Result<(), InputError> {
    for key in [local.group, local.prefix_list] {
        if fields.get(key).is_some() {
            let message = format!("an {} rule has no field `{key}`", direction.name());
            let help = "name the peer on the other side, or correct the direction";
            return Err(InputError::new("MisplacedField", &fields.at(key), message, help));
        }
    }
    Ok(())
}

/// The one peer: CIDR ahead of group ahead of prefix list.
fn peer(
    world: &World,
    group: &Group,
    fields: &Object<'_>,
    end: &EndFields,
    cidr: Option<Cidr>,
) -> Result<Peer, InputError> {
    let peer_group: Option<SecurityGroupId> = fields.parse(end.group)?;
    let list: Option<PrefixListId> = fields.parse(end.prefix_list)?;
    match (cidr, peer_group, list) {
        (Some(cidr), ..) => Ok(Peer::Cidr(cidr)),
        (None, Some(peer), _) => {
            check_peer_group(world, group, &peer, &fields.at(end.group))?;
            Ok(Peer::Group(peer))
        }
        (None, None, Some(list)) => {
            if world.prefix_list(&list).is_none() {
                return Err(dangling(&fields.at(end.prefix_list), "prefix list", list.as_str()));
            }
            Ok(Peer::PrefixList(list))
        }
        (None, None, None) => {
            let EndFields { cidr, cidr_v6, group, prefix_list } = end;
            let help = format!("set one of {cidr}, {cidr_v6}, {group}, {prefix_list}");
            Err(InputError::new("MissingPeer", fields.place(), "the rule has no peer", help))
        }
    }
}

fn check_peer_group(
    world: &World,
    group: &Group,
    peer: &SecurityGroupId,
    place: &Place<'_>,
) -> Result<(), InputError> {
    let Some(peer) = world.group(peer) else {
        return Err(dangling(place, "security group", peer.as_str()));
    };
    for (side, of) in [("has a group as its peer", group), ("is a peer", peer)] {
        if of.group_type == GroupType::Enterprise {
            let message = format!("`{}` is an enterprise group and {side}", of.id);
            let help = "name the peer by CIDR or prefix list; peers by group are for basic groups";
            return Err(InputError::new("EnterpriseGroupPeer", place, message, help));
        }
    }
    if peer.vpc != group.vpc {
        let message = format!("`{}` is a group of another VPC", peer.id);
        let help = "name a group of the rule's own VPC, or a CIDR";
        return Err(InputError::new("OtherVpc", place, message, help));
    }
    Ok(())
}

/// The error of a reference to what is not in the world.
pub(super) fn dangling(place: &Place<'_>, kind: &str, id: &str) -> InputError {
    let message = format!("there is no {kind} `{id}`");
    InputError::new("DanglingReference", place, message, format!("add the {kind} to the world"))
}

/// The destination ports: `PortRange` ahead of a port range list.
fn ports(world: &World, fields: &Object<'_>, protocol: Protocol) -> Result<PortMatch, InputError> {
    let ports: Option<Ports> = fields.parse("PortRange")?;
    let list: Option<PortRangeListId> = fields.parse("PortRangeListId")?;
    match (ports, list) {
        (Some(ports), _) => {
            check_protocol(fields, "PortRange", protocol, ports != Ports::Any)?;
            Ok(PortMatch::Ports(ports))
        }
        (None, Some(list)) => {
            check_protocol(fields, "PortRangeListId", protocol, true)?;
            if world.port_range_list(&list).is_none() {
                let place = fields.at("PortRangeListId");
                return Err(dangling(&place, "port range list", list.as_str()));
            }
            Ok(PortMatch::List(list))
        }
        (None, None) => Err(InputError::new(
            "MissingField",
            &fields.at("PortRange"),
            "neither PortRange nor PortRangeListId is set",
            "add `PortRange`; `-1/-1` means any port",
        )),
    }
}

fn source_ports(fields: &Object<'_>, protocol: Protocol) -> Result<Ports, InputError> {
    // Not set means that the source port is not looked at.
    let ports = fields.parse("SourcePortRange")?.unwrap_or(Ports::Any);
    check_protocol(fields, "SourcePortRange", protocol, ports != Ports::Any)?;
    Ok(ports)
}

fn check_protocol(
    fields: &Object<'_>,
    key: &str,
    protocol: Protocol,
    names_ports: bool,
) -> Result<(), InputError> {
    if !names_ports || protocol.has_ports() {
        return Ok(());
    }
    let message = format!("the rule names ports, and protocol {protocol} has none");
    let help = "write `-1/-1`, or TCP or UDP as the protocol";
    Err(InputError::new("PortsWithoutProtocol", &fields.at(key), message, help))
}

fn priority(fields: &Object<'_>) -> Result<Priority, InputError> {
    let Some(text) = fields.text("Priority")? else { return Ok(Priority::DEFAULT) };
    let is_numeral = text.bytes().all(|b| b.is_ascii_digit());
    let number = text.parse().ok().filter(|_| is_numeral);
    number.and_then(Priority::new).ok_or_else(|| {
        let error = format!("`{text}` is not a priority from 1 to 100");
        refused(&fields.at("Priority"), &error)
    })
}
