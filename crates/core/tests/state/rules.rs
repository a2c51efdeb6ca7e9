//! Rules: what the seed's parameters mean, what is refused, and that no rule stands twice.
use portcullis_core::command::{
    Authorize, Command, DescribeSecurityGroupAttribute, Outcome, Paging,
};
use portcullis_core::rule::Direction;

use super::harness::Harness;
use super::language::{check, run};

#[test]
fn defaults_are_filled_in_and_cidrs_are_echoed() {
    check(
        "
        vpc v
        group g vpc=v
        egress g dest=10.0.0.1/8 description=one
        egress g dest6=2001:DB8::1 proto=ICMPv6 ports=-1/-1 policy=drop priority=100
        egress g dest=1.2.3.4 source=10.0.0.0/16 source-ports=1024/65535 ports=443/443
        ingress g source=0.0.0.0/0 proto=all ports=-1/-1 nic=internet
        rules g direction=ingress => 1 [ingress ALL -1/-1 0.0.0.0/0 Accept 1 intranet]
        rules g direction=egress => 3 [egress ICMPV6 -1/-1 2001:db8::1 Drop 100 intranet; \
            egress TCP 443/443 1.2.3.4 Accept 1 intranet local=10.0.0.0/16 from=1024/65535; \
            egress TCP 80/80 10.0.0.1/8 Accept 1 intranet `one`]
        rules g nic=internet direction=ingress => 1 [ingress ALL -1/-1 0.0.0.0/0 Accept 1 intranet]
        ",
    );
}

#[test]
fn fields_must_fit_together() {
    check(
        "
        vpc v
        group g vpc=v
        group h vpc=v
        egress g => 400 MissingParameter.Dest DestCidrIp
        egress g source=10.0.0.0/8 => 400 MissingParameter.Dest DestCidrIp
        ingress g => 400 MissingParameter.Source SourceCidrIp
        ingress g dest=10.0.0.0/8 => 400 MissingParameter.Source SourceCidrIp
        egress g dest=10.0.0.0/8 dest6=::/0 => 400 InvalidParam.DestIp Ipv6DestCidrIp
        ingress g source=10.0.0.0/8 source6=::/0 => 400 InvalidParam.SourceIp Ipv6SourceCidrIp
        egress g dest=10.0.0.0/8 source=1.1.1.1 source6=::1 => \
            400 InvalidParam.SourceIp Ipv6SourceCidrIp
        egress g dest=::/0 => 400 InvalidDestCidrIp.Malformed DestCidrIp
        egress g dest6=10.0.0.0/8 => 400 InvalidParam.Ipv6DestCidrIp Ipv6DestCidrIp
        egress g dest=10.0.0.0/8 source=::1 => 400 InvalidSourceCidrIp.Malformed SourceCidrIp
        egress g dest=10.0.0.0/8 source6=1.1.1.1 => \
            400 InvalidParam.Ipv6SourceCidrIp Ipv6SourceCidrIp
        egress g dest=10.0.0.0/8 source6=::1 => \
            400 InvalidParam.Ipv4ProtocolConflictWithIpv6Address IpProtocol
        egress g dest6=::/0 source=1.1.1.1 => \
            400 InvalidParam.Ipv6ProtocolConflictWithIpv4Address IpProtocol
        egress g dest6=::/0 proto=ICMP ports=-1/-1 => \
            400 InvalidParam.Ipv4ProtocolConflictWithIpv6Address IpProtocol
        egress g dest=1.1.1.1 proto=ICMPv6 ports=-1/-1 => \
            400 InvalidParam.Ipv6ProtocolConflictWithIpv4Address IpProtocol
        egress g peer=h source6=::1 proto=ICMP ports=-1/-1 => \
            400 InvalidParam.Ipv4ProtocolConflictWithIpv6Address IpProtocol
        egress g dest=10.0.0.0/8 source=10.0.0.1/8 => 400 InvalidParamter.Conflict SourceCidrIp
        egress g dest=10.0.0.0/8 ports=none => 400 MissingPortRange PortRange
        egress g dest=10.0.0.0/8 ports=-1/-1 => 400 InvalidParam.PortRange PortRange
        egress g dest=10.0.0.0/8 ports=-1/-1 proto=UDP => 400 InvalidParam.PortRange PortRange
        egress g dest=10.0.0.0/8 proto=ICMP => 400 OperationDenied PortRange
        egress g dest=10.0.0.0/8 proto=ALL => 400 OperationDenied PortRange
        egress g dest=10.0.0.0/8 proto=GRE ports=-1/-1 source-ports=1/1 => \
            400 OperationDenied SourcePortRange
        egress g dest=10.0.0.0/8 proto=GRE ports=none port-list=prl-1 => \
            400 InvalidParam.ProtocolNotSupportPortRangeList PortRangeListId
        egress g dest=10.0.0.0/8 ports=none port-list=prl-1 => \
            404 InvalidPortRangeListId.NotFound PortRangeListId
        egress g dest=10.0.0.0/8 port-list=prl-1
        egress g dest=10.0.0.0/8 proto=GRE ports=-1/-1 source-ports=-1/-1
        egress g dest=10.0.0.0/8 proto=200 ports=-1/-1
        egress g list=pl-1 => 404 InvalidPrefixListId.NotFound DestPrefixListId
        ingress g list=pl-1 => 404 InvalidPrefixListId.NotFound SourcePrefixListId
        egress sg-none dest=1.1.1.1 => 404 InvalidSecurityGroupId.NotFound SecurityGroupId
        egress g dest=1.1.1.1 as=other => 404 InvalidSecurityGroupId.NotFound SecurityGroupId
        rules g => 3 [egress 200 -1/-1 10.0.0.0/8 Accept 1 intranet; \
            egress GRE -1/-1 10.0.0.0/8 Accept 1 intranet; \
            egress TCP 80/80 10.0.0.0/8 Accept 1 intranet]
        ",
    );
}

#[test]
fn a_cidr_goes_ahead_of_a_group_and_a_group_of_a_list() {
    check(
        "
        vpc v
        group g vpc=v
        group h vpc=v
        egress g dest=10.0.0.0/8 peer=sg-none owner=9 account=nobody list=pl-none
        egress g peer=h list=pl-none
        rules g => 2 [egress TCP 80/80 10.0.0.0/8 Accept 1 intranet; \
            egress TCP 80/80 h Accept 1 intranet]
        ",
    );
}

#[test]
fn a_peer_group_must_be_one_that_may_be_named() {
    let mut harness = Harness::new();
    let root = harness.root;
    harness.ids.insert("ROOT".into(), root.to_string());
    run(
        &mut harness,
        "
        vpc v
        vpc w
        group g vpc=v
        group h vpc=v
        group far vpc=w
        group advanced vpc=v type=enterprise
        group classic
        group foreign as=other
        egress g peer=g => 403 InvalidSecurityGroup.IsSame DestGroupId
        ingress g peer=g => 403 InvalidSecurityGroup.IsSame SourceGroupId
        egress g peer=sg-none => 404 InvalidDestGroupId.NotFound DestGroupId
        ingress g peer=sg-none => 404 InvalidSourceGroupId.NotFound SourceGroupId
        egress g peer=far => 400 InvalidDestGroupId.Mismatch DestGroupId
        ingress g peer=far => 400 InvalidSourceGroupId.Mismatch SourceGroupId
        egress g peer=classic => 400 InvalidDestGroupId.Mismatch DestGroupId
        egress g peer=advanced => 400 InvalidParam.DestGroupId DestGroupId
        egress advanced peer=g => 400 InvalidParam.DestGroupId DestGroupId
        ingress advanced peer=g => 400 InvalidParam.SourceGroupId SourceGroupId
        egress g peer=foreign => 404 InvalidDestGroupId.NotFound DestGroupId
        egress g peer=foreign owner=42 => 404 InvalidDestGroupId.NotFound DestGroupId
        egress g peer=h owner=42 => 404 InvalidDestGroupId.NotFound DestGroupId
        egress g peer=h owner=7 => 404 InvalidDestGroupId.NotFound DestGroupId
        egress g peer=h account=nobody => 404 InvalidDestGroupId.NotFound DestGroupId
        egress g peer=h owner=7 account=nobody => 404 InvalidDestGroupId.NotFound DestGroupId
        egress g peer=h owner=42 account=root => \
            400 InvalidParam.DestGroupOwner DestGroupOwnerAccount
        egress g peer=h owner=ROOT account=other@example.com => \
            400 InvalidParam.DestGroupOwner DestGroupOwnerAccount
        ingress g peer=h owner=ROOT account=nobody => \
            400 InvalidParam.SourceGroupOwner SourceGroupOwnerAccount
        egress g peer=h owner=ROOT account=root
        egress g peer=h account=root => ok
        egress g peer=h owner=ROOT => ok
        egress g peer=h => ok
        rules g => 1 [egress TCP 80/80 h Accept 1 intranet]
        ",
    );
}

#[test]
fn a_group_of_another_account_in_the_same_vpc_is_named_with_its_owner() {
    let mut harness = Harness::new();
    run(&mut harness, "vpc v\nshare v other\ngroup g vpc=v name=own\ngroup h vpc=v name=peer");
    run(&mut harness, "group sg-shared vpc=v as=other");
    run(
        &mut harness,
        "
        egress g peer=sg-shared => 404 InvalidDestGroupId.NotFound DestGroupId
        egress g peer=sg-shared owner=42
        egress g peer=sg-shared account=42 => ok
        ingress g peer=sg-shared account=other@example.com owner=42
        rules g => 2 [egress TCP 80/80 sg-shared Accept 1 intranet of=42/; \
            ingress TCP 80/80 sg-shared Accept 1 intranet of=42/other@example.com]
        groups => 2 [g [0, 6000, 2, 2]; h [0, 6000, 0, 0]]
        delete-group sg-shared => 404 InvalidSecurityGroupId.NotFound SecurityGroupId
        ",
    );
}

#[test]
fn a_classic_group_has_two_networks_and_no_ipv6() {
    check(
        "
        group c
        group d
        egress c dest=1.1.1.1
        egress c dest=1.1.1.1 nic=internet => ok
        egress c dest=1.1.1.1 nic=intranet
        rules c nic=intranet => 1 [egress TCP 80/80 1.1.1.1 Accept 1 intranet]
        rules c => 2 [egress TCP 80/80 1.1.1.1 Accept 1 internet; \
            egress TCP 80/80 1.1.1.1 Accept 1 intranet]
        egress c peer=d => 403 InvalidDestGroupId.Mismatch NicType
        ingress c peer=d nic=internet => 403 InvalidSourceGroupId.Mismatch NicType
        egress c peer=d nic=intranet
        egress c dest6=::1 => 400 InvalidParam.Ipv6DestCidrIp Ipv6DestCidrIp
        ingress c source6=::1 => 400 InvalidParam.Ipv6SourceCidrIp Ipv6SourceCidrIp
        egress c peer=d nic=intranet source6=::1 => \
            400 InvalidParam.Ipv6SourceCidrIp Ipv6SourceCidrIp
        egress c list=pl-1 => 400 NotSupported.ClassicNetworkPrefixList DestPrefixListId
        revoke-egress c dest=1.1.1.1 => ok -1
        rules c nic=internet => 0 []
        ",
    );
}

#[test]
fn a_rule_stands_once_and_a_call_happens_whole() {
    check(
        "
        vpc v
        group g vpc=v
        egress g dest=1.1.1.1
        egress g dest=1.1.1.1 description=other => ok
        egress g dest=1.1.1.1/32
        egress g dest=1.1.1.1 priority=2
        egress g dest=1.1.1.1 policy=drop
        ingress g source=1.1.1.1
        egress g dest=1.1.1.1 source=2.2.2.2
        egress g dest=1.1.1.1 source-ports=1/2
        egress g dest=1.1.1.1 source-ports=-1/-1 => ok
        egress g dest=3.3.3.3 | dest=1.1.1.1 => ok +1
        egress g dest=4.4.4.4 | dest=4.4.4.4 => 400 InvalidParam.DuplicatePermissions Permissions
        egress g dest=4.4.4.4 | peer=g => 403 InvalidSecurityGroup.IsSame DestGroupId
        egress g dest=4.4.4.4 | dest6=4.4.4.4 => 400 InvalidParam.Ipv6DestCidrIp Ipv6DestCidrIp
        rules g direction=egress => 7 [egress TCP 80/80 1.1.1.1 Accept 1 intranet; \
            egress TCP 80/80 1.1.1.1 Accept 1 intranet from=1/2; \
            egress TCP 80/80 1.1.1.1 Accept 1 intranet local=2.2.2.2; \
            egress TCP 80/80 1.1.1.1 Accept 2 intranet; egress TCP 80/80 1.1.1.1 Drop 1 intranet; \
            egress TCP 80/80 1.1.1.1/32 Accept 1 intranet; \
            egress TCP 80/80 3.3.3.3 Accept 1 intranet]
        revoke-egress g dest=1.1.1.1 description=ignored => ok -1
        revoke-egress g dest=1.1.1.1 => ok
        revoke-egress g dest=1.1.1.1 priority=2 | dest=9.9.9.9 | dest=1.1.1.1/32 | dest=1.1.1.1/32 \
            => ok -2
        revoke-ingress g source=9.9.9.9 => ok
        revoke-egress g peer=sg-none => ok
        revoke-egress g => 400 MissingParameter.Dest DestCidrIp
        revoke-egress sg-none dest=1.1.1.1 => 404 InvalidSecurityGroupId.NotFound SecurityGroupId
        ",
    );
}

fn rule_ids(harness: &mut Harness, group: &str, paging: Paging) -> (Vec<String>, Option<String>) {
    let command = Command::DescribeSecurityGroupAttribute(DescribeSecurityGroupAttribute {
        group: harness.ids[group].parse().unwrap(),
        direction: None,
        nic_type: None,
        paging,
    });
    match harness.send(&harness.sender(), &command).unwrap().outcome {
        Outcome::SecurityGroupAttribute(group) => {
            let ids = group.rules.rows.iter().map(|row| row.record.rule.id.to_string());
            (ids.collect(), group.rules.next)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn rules_are_revoked_by_id_all_or_none() {
    let mut harness = Harness::new();
    run(
        &mut harness,
        "
        vpc v
        group g vpc=v
        egress g dest=1.1.1.1
        egress g dest=2.2.2.2 later=1
        ingress g source=3.3.3.3 later=1
        ",
    );
    let (ids, _) = rule_ids(&mut harness, "g", Paging::All);
    for (name, id) in ["one", "two", "three"].iter().zip(&ids) {
        assert!(id.len() == 24 && id.starts_with("sgr-"), "{id}");
        harness.ids.insert(name.to_string(), id.clone());
    }
    run(
        &mut harness,
        "
        revoke-egress g rules=one,sgr-none => \
            400 InvalidSecurityGroupRule.RuleNotExist SecurityGroupRuleId
        revoke-egress g rules=three => 400 InvalidSecurityGroupRule.RuleNotExist SecurityGroupRuleId
        revoke-egress g rules=two,two => ok -1
        revoke-egress g rules=two => 400 InvalidSecurityGroupRule.RuleNotExist SecurityGroupRuleId
        revoke-ingress g rules=three => ok -1
        rules g => 1 [egress TCP 80/80 1.1.1.1 Accept 1 intranet]
        ",
    );
}

#[test]
fn rules_are_listed_oldest_first_in_parts() {
    let mut harness = Harness::new();
    run(&mut harness, "vpc v\ngroup g vpc=v");
    for last in 1..=5 {
        run(&mut harness, &format!("egress g dest=1.1.1.{last} later=1"));
    }
    let (all, none) = rule_ids(&mut harness, "g", Paging::All);
    assert_eq!((all.len(), none), (5, None));
    let created = |id: &String| {
        let group = harness.ids["g"].parse().unwrap();
        harness.state.rule(&group, &id.parse().unwrap()).unwrap().created_ms
    };
    assert!(all.iter().map(created).is_sorted());
    let token = |after, max_results| Paging::Token { after, max_results };
    let (first, next) = rule_ids(&mut harness, "g", token(None, 4));
    let (second, end) = rule_ids(&mut harness, "g", token(next, 4));
    assert_eq!(([first, second].concat(), end), (all.clone(), None));
    let (exact, end) = rule_ids(&mut harness, "g", token(None, 5));
    assert_eq!((exact, end), (all, None));
    run(&mut harness, "rules g max=5 after=x => 400 InvalidParameter.NextToken NextToken");
}

#[test]
fn a_call_has_at_most_a_hundred_rules() {
    let mut harness = Harness::new();
    run(&mut harness, "vpc v\ngroup g vpc=v");
    let call = |verb: &str, count: usize, answer: &str| {
        let rules: Vec<_> = (0..count).map(|n| format!("dest=1.1.1.{n}")).collect();
        format!("{verb} g {} => {answer}", rules.join(" | "))
    };
    run(&mut harness, &call("egress", 101, "400 InvalidParam.Permissions Permissions"));
    run(&mut harness, &call("egress", 100, "ok +100"));
    run(&mut harness, &call("revoke-egress", 101, "400 InvalidParam.Permissions Permissions"));
    run(&mut harness, &call("revoke-egress", 100, "ok -100"));
}

#[test]
fn a_call_has_at_least_one_rule() {
    let mut harness = Harness::new();
    run(&mut harness, "vpc v\ngroup g vpc=v");
    let group = harness.ids["g"].parse().unwrap();
    let command = Authorize { group, direction: Direction::Egress, rules: Vec::new() };
    let refused = harness.send(&harness.sender(), &Command::Authorize(command)).unwrap_err();
    assert_eq!(
        (refused.code.as_ref(), refused.place.as_ref()),
        ("MissingPermissions", "Permissions")
    );
}

/// The ids of a group's rules, in order, become the names `r0`, `r1` …
fn name_rules(harness: &mut Harness, group: &str) {
    let group = harness.ids[group].parse().unwrap();
    let rules = harness.state.world().group(&group).unwrap().rules.keys();
    let ids: Vec<String> = rules.map(ToString::to_string).collect();
    for (number, id) in ids.into_iter().enumerate() {
        harness.names.insert(id.clone(), format!("r{number}"));
        harness.ids.insert(format!("r{number}"), id);
    }
}

#[test]
fn a_rule_named_by_its_content_gets_another_description_only() {
    check(
        "
        vpc v
        group g vpc=v
        egress g dest=10.0.0.0/8 description=one
        modify-egress g dest=10.0.0.0/8 description=two => ok +1
        modify-egress g dest=10.0.0.0/8 description=two => ok
        modify-egress g dest=10.0.0.0/8 => ok
        rules g => 1 [egress TCP 80/80 10.0.0.0/8 Accept 1 intranet `two`]
        modify-egress g dest=10.0.0.0/8 description= => ok +1
        modify-egress g dest=10.0.0.0/8 description= => ok
        rules g => 1 [egress TCP 80/80 10.0.0.0/8 Accept 1 intranet]
        modify-egress g dest=10.0.0.0/8 priority=2 description=x => 404 SecurityGroupRule.NotFound
        modify-ingress g source=10.0.0.0/8 description=x => 404 SecurityGroupRule.NotFound
        modify-egress g description=x => 400 MissingParameter.Dest DestCidrIp
        modify-egress sg-none dest=1.1.1.1 => 404 InvalidSecurityGroupId.NotFound SecurityGroupId
        ",
    );
}

#[test]
fn a_rule_named_by_its_id_changes_in_place() {
    let mut harness = Harness::new();
    run(
        &mut harness,
        "
        vpc v
        group g vpc=v
        group h vpc=v
        egress g dest=10.0.0.0/8 source=10.9.0.0/16 source-ports=1024/65535 description=one
        ",
    );
    name_rules(&mut harness, "g");
    run(
        &mut harness,
        "
        modify-egress g rule=r0 => ok
        modify-egress g rule=r0 ports=443/443 priority=7 policy=drop => ok +1
        modify-egress g rule=r0 dest=192.0.2.1 description=two => ok +1
        modify-egress g rule=r0 nic=internet => ok
        rules g => 1 [egress TCP 443/443 192.0.2.1 Drop 7 intranet local=10.9.0.0/16 \
            from=1024/65535 `two`]
        modify-egress g rule=r0 proto=ICMP => 400 OperationDenied PortRange
        modify-egress g rule=r0 proto=UDP ports=53/53 source-ports=-1/-1 description= => ok +1
        rules g => 1 [egress UDP 53/53 192.0.2.1 Drop 7 intranet local=10.9.0.0/16]
        modify-egress g rule=r0 dest6=::1 => \
            400 InvalidOperation.ModifySgRuleEntityType Ipv6DestCidrIp
        modify-egress g rule=r0 peer=h => 400 InvalidOperation.ModifySgRuleEntityType DestGroupId
        modify-egress g rule=r0 list=pl-1 => \
            400 InvalidOperation.ModifySgRuleEntityType DestPrefixListId
        modify-egress g rule=r0 source6=::1 => \
            400 InvalidOperation.ModifySgRuleEntityType Ipv6SourceCidrIp
        modify-egress g rule=r0 dest=192.0.2.1 peer=h => ok
        modify-egress g rule=r0 port-list=prl-1 => \
            400 InvalidOperation.ModifyPortRangeType PortRangeListId
        modify-egress g rule=sgr-none ports=1/1 => \
            404 InvalidSecurityGroupRuleId.NotFound SecurityGroupRuleId
        modify-ingress g rule=r0 ports=1/1 => \
            404 InvalidSecurityGroupRuleId.NotFound SecurityGroupRuleId
        modify-egress h rule=r0 ports=1/1 => \
            404 InvalidSecurityGroupRuleId.NotFound SecurityGroupRuleId
        egress g dest=192.0.2.2 proto=UDP ports=53/53 source=10.9.0.0/16 priority=7 policy=drop
        modify-egress g rule=r0 dest=192.0.2.2 => 400 InvalidOperation.RuleDuplicate
        modify-egress g rule=r0 dest=10.9.0.0/16 => 400 InvalidParamter.Conflict SourceCidrIp
        modify-egress g rule=r0 dest=192.0.2.3 as=other => \
            404 InvalidSecurityGroupId.NotFound SecurityGroupId
        ",
    );
}

#[test]
fn groups_and_lists_give_way_to_others_of_their_kind() {
    let mut harness = Harness::new();
    harness.settings.quotas.rules_per_group = 12;
    run(
        &mut harness,
        "
        vpc v
        group g vpc=v
        group h vpc=v
        group k vpc=v
        ingress g peer=h
        ",
    );
    name_rules(&mut harness, "g");
    run(
        &mut harness,
        "
        modify-ingress g rule=r0 peer=k
        references of=h,k,h => h <- ; k <- g
        modify-ingress g rule=r0 peer=g => 403 InvalidSecurityGroup.IsSame SourceGroupId
        modify-ingress g rule=r0 peer=sg-none => 404 InvalidSourceGroupId.NotFound SourceGroupId
        modify-ingress g rule=r0 source=1.1.1.1 => \
            400 InvalidOperation.ModifySgRuleEntityType SourceCidrIp
        delete-group h => ok -1
        delete-group k => 403 DependencyViolation SecurityGroupId
        references of=sg-none => 404 InvalidSecurityGroupId.NotFound SecurityGroupId
        references of=g as=other => 404 InvalidSecurityGroupId.NotFound SecurityGroupId
        revoke-ingress g peer=k => ok -1
        pl a family=4 max=2
        pl b family=4 max=6
        pl six family=6
        prl w max=2
        prl x max=3
        egress g list=a ports=none port-list=w
        ",
    );
    name_rules(&mut harness, "g");
    run(
        &mut harness,
        "
        modify-egress g rule=r0 list=six => \
            400 InvalidOperation.ModifySgRuleEntityType DestPrefixListId
        modify-egress g rule=r0 ports=1/1 => 400 InvalidOperation.ModifyPortRangeType PortRange
        modify-egress g rule=r0 list=pl-none => 404 InvalidPrefixListId.NotFound DestPrefixListId
        modify-egress g rule=r0 list=b
        modify-egress g rule=r0 port-list=x => 403 AuthorizationLimitExceed SecurityGroupId
        modify-egress g rule=r0 list=a port-list=x
        pl-groups a => 1 [g]
        pl-groups b => 0 []
        prl-groups w => 0 []
        ",
    );
}

#[test]
fn the_network_of_a_classic_rule_stays() {
    let mut harness = Harness::new();
    run(&mut harness, "group c\negress c dest=1.1.1.1");
    name_rules(&mut harness, "c");
    run(
        &mut harness,
        "
        modify-egress c rule=r0 nic=intranet => 400 InvalidOperation.ModifyNicType NicType
        modify-egress c rule=r0 nic=internet ports=81/81
        rules c => 1 [egress TCP 81/81 1.1.1.1 Accept 1 internet]
        ",
    );
}

#[test]
fn another_account_s_peer_stays_its_own_through_changes() {
    let mut harness = Harness::new();
    run(
        &mut harness,
        "
        vpc v
        share v other
        group g vpc=v
        group h vpc=v
        group theirs vpc=v as=other
        egress g peer=theirs account=other@example.com
        ",
    );
    name_rules(&mut harness, "g");
    run(
        &mut harness,
        "
        modify-egress g rule=r0 ports=81/81
        modify-egress g rule=r0 peer=theirs priority=2
        rules g => 1 [egress TCP 81/81 theirs Accept 2 intranet of=42/other@example.com]
        modify-egress g rule=r0 peer=theirs owner=42
        rules g => 1 [egress TCP 81/81 theirs Accept 2 intranet of=42/]
        modify-egress g rule=r0 peer=h
        rules g => 1 [egress TCP 81/81 h Accept 2 intranet]
        modify-egress g rule=r0 peer=theirs => 404 InvalidDestGroupId.NotFound DestGroupId
        ",
    );
}
