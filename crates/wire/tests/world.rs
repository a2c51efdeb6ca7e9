//! What a world file and a flow line may leave out or write differently, and what they mean then.
#![allow(clippy::unwrap_used)] // All of this is test code.

use portcullis_core::rule::{Direction, Peer, Policy, PortMatch, Rule};
use portcullis_core::world::{GroupType, InnerAccess, World};
use portcullis_wire::world::{flow_line, read_flow, read_world, write_world};

/// A world of one group with these rules, and an interface in it.
fn world(rules: &str) -> World {
    let text = r#"{
        "SecurityGroups": [
            {"SecurityGroupId": "sg-a", "VpcId": "vpc-1",
             "SecurityGroupName": "unknown keys here are ignored",
             "Permissions": {"Permission": [RULES]}}],
        "NetworkInterfaces": [
            {"NetworkInterfaceId": "eni-a", "VpcId": "vpc-1", "Status": "InUse",
             "PrivateIpSets": {"PrivateIpSet": [{"PrivateIpAddress": "10.0.0.5", "Primary": true}]},
             "SecurityGroupIds": {"SecurityGroupId": ["sg-a"]}}],
        "PrefixLists": [{"PrefixListId": "pl-1", "AddressFamily": "ipv6"}],
        "PortRangeLists": [{"PortRangeListId": "prl-1", "Entries": [{"PortRange": "80/90"}]}],
        "RequestId": "unknown keys here are ignored too"
    }"#;
    read_world(&text.replace("RULES", rules)).unwrap()
}

/// The one rule of such a world.
fn rule(fields: &str) -> Rule {
    let head = r#"{"SecurityGroupRuleId": "sgr-1", "Direction": "egress", "Policy": "Accept",
        "IpProtocol": "TCP", "#;
    let world = world(&format!("{head}{fields}}}"));
    let group = world.group(&"sg-a".parse().unwrap()).unwrap();
    Rule::clone(group.rules.values().next().unwrap())
}

const EMPTY: &str = r#""Priority": "", "SourcePortRange": "", "SourceCidrIp": "", "#;

#[test]
fn what_is_absent_empty_or_null_has_its_default() {
    for unset in ["", EMPTY, r#""Priority": null, "#] {
        let rule = rule(&format!(r#"{unset}"PortRange": "80/80", "DestCidrIp": "10.0.0.0/8""#));
        assert_eq!((rule.priority.number(), rule.local), (1, None));
        assert_eq!(rule.source_ports.to_string(), "-1/-1");
    }
    let world = read_world(
        r#"{"SecurityGroups": [{"SecurityGroupId": "sg-a"},
            {"SecurityGroupId": "sg-b", "SecurityGroupType": "ENTERPRISE", "VpcId": "vpc-1"}],
            "NetworkInterfaces": [{"NetworkInterfaceId": "eni-a", "VpcId": "vpc-1",
            "MacAddress": "", "SecurityGroupIds": {"SecurityGroupId": ["sg-b"]}}]}"#,
    )
    .unwrap();
    let groups: Vec<_> =
        world.groups().map(|g| (g.vpc.is_some(), g.group_type, g.inner_access)).collect();
    assert_eq!(
        groups,
        [
            (false, GroupType::Basic, InnerAccess::Accept),
            (true, GroupType::Enterprise, InnerAccess::Drop)
        ]
    );
    let interface = world.interfaces().next().unwrap();
    assert_eq!((interface.mac, interface.checks_addresses()), (None, true));
    assert_eq!(read_world("{}").unwrap(), World::new());
}

#[test]
fn names_are_taken_in_any_case_and_numbers_in_strings() {
    let world = world(
        r#"{"SecurityGroupRuleId": "sgr-1", "Direction": "INGRESS", "IpProtocol": "icmpv6",
            "PortRange": "-1/-1", "Ipv6SourceCidrIp": "2001:DB8::/32", "Policy": "drop",
            "Priority": "100", "NicType": "<nil>", "Description": "",
            "CreateTime": "2024-01-01T00:00:00Z",
            "SourceGroupOwnerId": 7}"#,
    );
    let group = world.group(&"sg-a".parse().unwrap()).unwrap();
    let rule = group.rules.values().next().unwrap();
    assert_eq!((rule.direction, rule.policy), (Direction::Ingress, Policy::Drop));
    assert_eq!((rule.protocol.to_string().as_str(), rule.priority.number()), ("ICMPV6", 100));
    assert_eq!(rule.peer, Peer::Cidr("2001:db8::/32".parse().unwrap()));
}

#[test]
fn one_peer_and_one_port_field_go_ahead_of_the_others() {
    let ahead = |fields: &str| rule(&format!(r#""PortRange": "80/80", {fields}"#)).peer;
    let cidr = r#""DestCidrIp": "10.0.0.1", "#;
    // What is gone ahead of is not looked up.
    let others = r#""DestGroupId": "sg-z", "DestPrefixListId": "pl-9""#;
    assert_eq!(ahead(&format!("{cidr}{others}")), Peer::Cidr("10.0.0.1".parse().unwrap()));
    let group = r#""DestGroupId": "sg-a", "DestPrefixListId": "pl-9""#;
    assert_eq!(ahead(group), Peer::Group("sg-a".parse().unwrap()));
    assert_eq!(ahead(r#""DestPrefixListId": "pl-1""#), Peer::PrefixList("pl-1".parse().unwrap()));

    let ports = |fields: &str| rule(&format!(r#""DestCidrIp": "10.0.0.1", {fields}"#)).ports;
    assert_eq!(
        ports(r#""PortRange": "-1/-1", "PortRangeListId": "prl-9""#),
        PortMatch::Ports("-1/-1".parse().unwrap())
    );
    assert_eq!(
        ports(r#""PortRange": "", "PortRangeListId": "prl-1""#),
        PortMatch::List("prl-1".parse().unwrap())
    );
}

#[test]
fn an_address_may_lie_in_a_prefix_of_its_own_interface() {
    let interface = |id: &str, addresses: &str| {
        format!(
            r#"{{"NetworkInterfaceId": "{id}", "VpcId": "vpc-1", {addresses},
                "SecurityGroupIds": {{"SecurityGroupId": ["sg-a"]}}}}"#
        )
    };
    let text = format!(
        r#"{{"SecurityGroups": [{{"SecurityGroupId": "sg-a", "VpcId": "vpc-1"}}],
            "NetworkInterfaces": [{}, {}]}}"#,
        interface(
            "eni-a",
            r#""PrivateIpSets": {"PrivateIpSet": [{"PrivateIpAddress": "10.0.0.5"}]},
               "Ipv4PrefixSets": {"Ipv4PrefixSet": [{"Ipv4Prefix": "10.0.0.0/28"}]}"#
        ),
        interface(
            "eni-b",
            r#""Ipv6PrefixSets": {"Ipv6PrefixSet": [{"Ipv6Prefix": "2001:db8::/80"}]}"#
        ),
    );
    let world = read_world(&text).unwrap();
    let counts: Vec<_> = world.interfaces().map(|i| i.addresses.len()).collect();
    assert_eq!(counts, [2, 1]);
    assert_eq!(read_world(&write_world(&world)).unwrap(), world);
}

#[test]
fn a_flow_line_may_name_its_protocol_and_comes_back_in_its_own_form() {
    let world = world("");
    let line = r#"{"Comment": "", "NetworkInterfaceId": "eni-a", "Direction": "Egress",
        "Protocol": "tcp", "SourceIp": "10.0.0.5", "SourcePort": "40000",
        "DestIp": "10.1.2.3", "DestPort": 443}"#;
    let flow = read_flow(&world, 1, line).unwrap();
    let own_form = concat!(
        r#"{"NetworkInterfaceId":"eni-a","Direction":"egress","Protocol":6,"#,
        r#""SourceIp":"10.0.0.5","SourcePort":40000,"DestIp":"10.1.2.3","DestPort":443}"#
    );
    assert_eq!(flow_line(&flow), own_form);
    assert_eq!(read_flow(&world, 1, &flow_line(&flow)), Ok(flow));
    let echo = concat!(
        r#"{"NetworkInterfaceId":"eni-a","Direction":"ingress","Protocol":58,"#,
        r#""SourceIp":"::1","DestIp":"ff02::1"}"#
    );
    assert_eq!(flow_line(&read_flow(&world, 1, echo).unwrap()), echo);
}
