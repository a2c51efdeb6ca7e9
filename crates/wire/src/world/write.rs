//! A [`World`] as a world file, flows and verdicts as lines: what [`read_world`](super::read_world)
//! and [`read_flow`](super::read_flow) read back as the same values.
use std::fmt::Display;

use portcullis_core::flow::Flow;
use portcullis_core::net::{Cidr, Family, Prefix};
use portcullis_core::rule::{Direction, Peer, PortMatch, Rule};
use portcullis_core::verdict::Verdict;
use portcullis_core::world::{
    Group, GroupType, InnerAccess, Interface, PortRangeList, PrefixList, World,
};
use serde_json::{Map, Value, json};

/// A world file.
pub fn write_world(world: &World) -> String {
    let file = json!({
        "SecurityGroups": world.groups().map(group).collect::<Vec<_>>(),
        "NetworkInterfaces": world.interfaces().map(interface).collect::<Vec<_>>(),
        "PrefixLists": world.prefix_lists().map(prefix_list).collect::<Vec<_>>(),
        "PortRangeLists": world.port_range_lists().map(port_range_list).collect::<Vec<_>>(),
    });
    format!("{file:#}\n")
}

fn group(group: &Group) -> Value {
    let group_type = match group.group_type {
        GroupType::Basic => "normal",
        GroupType::Enterprise => "enterprise",
    };
    let inner_access = match group.inner_access {
        InnerAccess::Accept => "Accept",
        InnerAccess::Drop => "Drop",
    };
    json!({
        "SecurityGroupId": group.id.as_str(),
        "VpcId": group.vpc.as_ref().map_or("", |vpc| vpc.as_str()),
        "SecurityGroupType": group_type,
        "InnerAccessPolicy": inner_access,
        "Permissions": {
            "Permission": group.rules.values().map(|r| rule(r)).collect::<Vec<_>>(),
        },
    })
}

fn rule(rule: &Rule) -> Value {
    let (peer_end, local_end) = match rule.direction {
        Direction::Egress => ("Dest", "Source"),
        Direction::Ingress => ("Source", "Dest"),
    };
    let mut fields = Map::new();
    let mut put = |key: &str, value: String| fields.insert(key.into(), value.into());
    put("SecurityGroupRuleId", rule.id.to_string());
    put("Direction", rule.direction.name().into());
    put("IpProtocol", rule.protocol.to_string());
    put("Policy", rule.policy.name().into());
    put("Priority", rule.priority.to_string());
    put("SourcePortRange", rule.source_ports.to_string());
    match &rule.ports {
        PortMatch::Ports(ports) => put("PortRange", ports.to_string()),
        PortMatch::List(list) => put("PortRangeListId", list.to_string()),
    };
    match &rule.peer {
        Peer::Cidr(cidr) => put(&cidr_key(peer_end, *cidr), cidr.to_string()),
        Peer::Group(group) => put(&format!("{peer_end}GroupId"), group.to_string()),
        Peer::PrefixList(list) => put(&format!("{peer_end}PrefixListId"), list.to_string()),
    };
    if let Some(local) = rule.local {
        put(&cidr_key(local_end, local), local.to_string());
    }
    Value::Object(fields)
}

fn cidr_key(end: &str, cidr: Cidr) -> String {
    match cidr.family() {
        Family::V4 => format!("{end}CidrIp"),
        Family::V6 => format!("Ipv6{end}CidrIp"),
    }
}

fn interface(interface: &Interface) -> Value {
    let of = |family: Family, alone: bool, key: &str| -> Vec<Value> {
        let is_alone = |p: &Prefix| p.length() == family.bits();
        let fits = |p: &&Prefix| p.family() == family && is_alone(p) == alone;
        let text = |p: &Prefix| if alone { p.address().to_string() } else { p.to_string() };
        interface.addresses.iter().filter(fits).map(|p| json!({ (key): text(p) })).collect()
    };
    let groups: Vec<&str> = interface.groups.iter().map(|id| id.as_str()).collect();
    let mut fields = json!({
        "NetworkInterfaceId": interface.id.as_str(),
        "VpcId": interface.vpc.as_str(),
        "MacAddress": interface.mac.map_or(String::new(), |mac| mac.to_string()),
        "PrivateIpSets": { "PrivateIpSet": of(Family::V4, true, "PrivateIpAddress") },
        "Ipv6Sets": { "Ipv6Set": of(Family::V6, true, "Ipv6Address") },
        "Ipv4PrefixSets": { "Ipv4PrefixSet": of(Family::V4, false, "Ipv4Prefix") },
        "Ipv6PrefixSets": { "Ipv6PrefixSet": of(Family::V6, false, "Ipv6Prefix") },
        "SecurityGroupIds": { "SecurityGroupId": groups },
    });
    if let (Some(check), Value::Object(fields)) = (interface.source_dest_check, &mut fields) {
        fields.insert("SourceDestCheck".into(), check.into());
    }
    fields
}

fn prefix_list(list: &PrefixList) -> Value {
    let entry = |cidr: &Cidr| json!({ "Cidr": cidr.to_string() });
    let family = match list.family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    };
    json!({
        "PrefixListId": list.id.as_str(),
        "AddressFamily": family,
        "Entries": { "Entry": list.entries.iter().map(entry).collect::<Vec<_>>() },
    })
}

fn port_range_list(list: &PortRangeList) -> Value {
    let entries: Vec<Value> =
        list.entries.iter().map(|ports| json!({ "PortRange": ports.to_string() })).collect();
    json!({ "PortRangeListId": list.id.as_str(), "Entries": entries })
}

/// A line of `flows.jsonl`, without its end. No text in it needs escaping: ids and addresses have
/// no such characters.
pub fn flow_line(flow: &Flow) -> String {
    let ports = flow.ports();
    let mut line = String::from("{");
    let mut put = |key: &str, value: &dyn Display, quote: &str| {
        let comma = if line.len() > 1 { "," } else { "" };
        line += &format!("{comma}\"{key}\":{quote}{value}{quote}");
    };
    put("NetworkInterfaceId", flow.interface(), "\"");
    put("Direction", &flow.direction().name(), "\"");
    put("Protocol", &flow.protocol(), "");
    put("SourceIp", &flow.source(), "\"");
    if let Some(ports) = ports {
        put("SourcePort", &ports.source, "");
    }
    put("DestIp", &flow.destination(), "\"");
    if let Some(ports) = ports {
        put("DestPort", &ports.destination, "");
    }
    line + "}"
}

/// The line that tells a verdict, without its end.
pub fn verdict_line(verdict: &Verdict) -> String {
    let (group, rule) =
        verdict.rule.as_ref().map_or(("", ""), |r| (r.group.as_str(), r.rule.as_str()));
    let (policy, reason) = (verdict.policy.name(), verdict.reason.name());
    let rule = format!(r#""SecurityGroupId":"{group}","SecurityGroupRuleId":"{rule}""#);
    format!(r#"{{"Verdict":"{policy}","Reason":"{reason}",{rule}}}"#)
}

#[cfg(test)]
mod tests {
    use portcullis_core::rule::Policy;
    use portcullis_core::verdict::{DecidingRule, Reason};

    use super::*;

    #[test]
    fn a_verdict_names_its_rule_or_nothing() {
        let by_default = Verdict::without_rule(Policy::Drop, Reason::Default);
        assert_eq!(
            verdict_line(&by_default),
            r#"{"Verdict":"Drop","Reason":"default","SecurityGroupId":"","SecurityGroupRuleId":""}"#
        );
        let rule = DecidingRule { group: "sg-a".parse().unwrap(), rule: "sgr-1".parse().unwrap() };
        let by_rule = Verdict { policy: Policy::Accept, reason: Reason::Rule, rule: Some(rule) };
        let line = verdict_line(&by_rule);
        assert!(
            line.starts_with(r#"{"Verdict":"Accept","Reason":"rule","SecurityGroupId":"sg-a","#)
        );
        assert!(line.ends_with(r#","SecurityGroupRuleId":"sgr-1"}"#));
    }
}
