//! Addresses, prefixes and groups that an interface gets and gives back while it lives.
use portcullis_core::host::concerned;
use portcullis_core::net::Cidr;
use portcullis_core::records::{Change, Record};

use super::harness::Harness;
use super::language::{check, run};

#[test]
fn addresses_come_and_go() {
    check(
        "
        vpc v cidr=10.0.0.0/16 ipv6=fd00::/56
        vswitch s vpc=v cidr=10.0.0.0/29 ipv6=1
        vswitch plain vpc=v cidr=10.0.1.0/24
        group g vpc=v
        eni a vswitch=s groups=g
        assign a secondary=10.0.0.3 => ok +1 [10.0.0.3] []
        assign a more=1 => ok +1 [10.0.0.2] []
        assign6 a ipv6=fd00:0:0:1::9 more-ipv6=1 => ok +1 [fd00:0:0:1::9, fd00:0:0:1::1] []
        enis => 1 [a 10.0.0.1,10.0.0.3,10.0.0.2,fd00:0:0:1::9,fd00:0:0:1::1 g Available]
        assign a more=2 => 403 InvalidVSwitchId.IpNotEnough PrivateIpAddress
        assign a secondary=10.0.0.1 => 403 InvalidIp.IpRepeated PrivateIpAddress
        assign a secondary=10.0.0.4,10.0.0.4 => \
            400 InvalidPrivateIpAddress.Duplicated PrivateIpAddress
        assign a secondary=10.0.0.7 => 403 InvalidVSwitchId.IpInvalid PrivateIpAddress
        assign6 a ipv6=fd00:0:0:1::9 => 403 InvalidIp.IpRepeated Ipv6Address
        assign6 a ipv6=fd00:0:0:2::9 => 403 InvalidIp.Address Ipv6Address
        assign6 a more-ipv6=8 => ok +1 [fd00:0:0:1::2, fd00:0:0:1::3, fd00:0:0:1::4, \
            fd00:0:0:1::5, fd00:0:0:1::6, fd00:0:0:1::7, fd00:0:0:1::8, fd00:0:0:1::a] []
        assign6 a more-ipv6=1 => 403 InvalidOperation.Ipv6CountExceeded Ipv6Address
        eni b vswitch=plain groups=g more=49
        assign b more=1 => 403 InvalidOperation.Ipv4CountExceeded PrivateIpAddress
        assign6 b more-ipv6=1 => 403 InvalidVSwitch.Ipv6NotTurnOn VSwitchId
        assign a => 400 MissingParameter PrivateIpAddress
        assign6 a => 400 MissingParameter Ipv6Address
        unassign a => 400 MissingParameter PrivateIpAddress
        assign eni-none more=1 => 404 InvalidEniId.NotFound NetworkInterfaceId
        assign a more=1 as=other => 404 InvalidEniId.NotFound NetworkInterfaceId
        unassign a secondary=10.0.0.3,10.0.0.3
        unassign a secondary=10.0.0.3 => 403 InvalidIp.IpUnassigned PrivateIpAddress
        unassign a secondary=10.0.0.1 => 400 InvalidParameter PrivateIpAddress
        unassign a ipv6=fd00:0:0:1::9,fd00:0:0:1::1
        unassign a ipv6=fd00:0:0:1::9 => 403 InvalidIp.IpUnassigned Ipv6Address
        unassign eni-none ipv6=fd00:0:0:1::9 => 404 InvalidEniId.NotFound NetworkInterfaceId
        eni c vswitch=s groups=g primary=10.0.0.3
        assign a more=1 token=once => ok +2 [10.0.0.4] []
        assign a more=1 token=once => ok [10.0.0.4] []
        vswitches ids=s => 1 [s 10.0.0.0/29 fd00:0:0:1::/64 free=0]
        ",
    );
}

#[test]
fn a_prefix_is_taken_as_a_whole() {
    check(
        "
        vpc v cidr=10.0.0.0/16 ipv6=fd00::/56
        vswitch s vpc=v cidr=10.0.0.0/26 ipv6=1
        group g vpc=v
        eni a vswitch=s groups=g prefixes=10.0.0.32/28 more-prefixes6=1
        enis => 1 [a 10.0.0.1,10.0.0.32/28,fd00:0:0:1:1::/80 g Available]
        vswitches => 1 [s 10.0.0.0/26 fd00:0:0:1::/64 free=43]
        groups ids=g => 1 [g [3, 5997, 0, 0]]
        eni b vswitch=s groups=g primary=10.0.0.40 => 403 InvalidIp.IpRepeated PrimaryIpAddress
        eni b vswitch=s groups=g ipv6=fd00:0:0:1:1::7 => 403 InvalidIp.IpRepeated Ipv6Address
        eni b vswitch=s groups=g prefixes=10.0.0.16/28 primary=10.0.0.17 => \
            400 InvalidPrivateIpAddress.Duplicated Ipv4Prefix
        eni b vswitch=s groups=g prefixes=10.0.0.0/28 => 403 InvalidVSwitchId.IpInvalid Ipv4Prefix
        eni b vswitch=s groups=g prefixes=10.0.0.48/28 => 403 InvalidVSwitchId.IpInvalid Ipv4Prefix
        eni b vswitch=s groups=g prefixes6=fd00:0:0:1::/80 => 403 InvalidIp.Address Ipv6Prefix
        assign a more-prefixes=1 => ok +1 [] [10.0.0.16/28]
        assign a more-prefixes=1 => 403 InvalidVSwitchId.IpNotEnough Ipv4Prefix
        assign6 a prefixes6=fd00:0:0:1:1::/80 => 403 InvalidIp.IpRepeated Ipv6Prefix
        assign6 a prefixes6=fd00:0:0:1:7::/80 more-prefixes6=1 => \
            ok +1 [] [fd00:0:0:1:7::/80, fd00:0:0:1:2::/80]
        assign6 a more-prefixes6=8 => 403 InvalidOperation.Ipv6CountExceeded Ipv6Prefix
        eni b vswitch=s groups=g more=27 => 403 InvalidVSwitchId.IpNotEnough PrivateIpAddress
        unassign a prefixes=10.0.0.32/28 prefixes6=fd00:0:0:1:1::/80
        unassign a prefixes=10.0.0.32/28 => 403 InvalidIp.IpUnassigned Ipv4Prefix
        unassign a prefixes6=fd00:0:0:1:1::/80 => 403 InvalidIp.IpUnassigned Ipv6Prefix
        eni b vswitch=s groups=g primary=10.0.0.40
        delete-eni a => ok -1
        eni c vswitch=s groups=g more=15
        eni d vswitch=s groups=g prefixes=10.0.0.16/28 => 403 InvalidIp.IpRepeated Ipv4Prefix
        delete-eni c => ok -1
        eni d vswitch=s groups=g prefixes=10.0.0.16/28
        ",
    );
}

#[test]
fn an_interface_has_ten_prefixes_of_a_family_at_most() {
    check(
        "
        vpc v cidr=10.0.0.0/16
        vswitch s vpc=v cidr=10.0.0.0/20
        group g vpc=v
        eni a vswitch=s groups=g more-prefixes=11 => \
            403 InvalidOperation.Ipv4CountExceeded Ipv4Prefix
        eni a vswitch=s groups=g more-prefixes=10
        assign a more-prefixes=1 => 403 InvalidOperation.Ipv4CountExceeded Ipv4Prefix
        ",
    );
}

#[test]
fn addresses_and_prefixes_count_for_basic_groups() {
    let mut harness = Harness::new();
    harness.settings.quotas.addresses_per_basic_group = 3;
    run(
        &mut harness,
        "
        vpc v cidr=10.0.0.0/16
        vswitch s vpc=v cidr=10.0.0.0/24
        group g vpc=v
        group e vpc=v type=enterprise
        eni a vswitch=s groups=g
        assign a more=1 more-prefixes=1 => ok +1 [10.0.0.2] [10.0.0.16/28]
        assign a more=1 => 403 SecurityGroupInstanceLimitExceed NetworkInterfaceId
        eni b vswitch=s groups=e
        assign b more=9 => ok +1 [10.0.0.4, 10.0.0.5, 10.0.0.6, 10.0.0.7, 10.0.0.8, 10.0.0.9, \
            10.0.0.10, 10.0.0.11, 10.0.0.12] []
        unassign a prefixes=10.0.0.16/28
        assign a more=1 => ok +1 [10.0.0.13] []
        ",
    );
}

#[test]
fn the_addresses_of_a_prefix_are_the_interface_s_own() {
    let mut harness = Harness::new();
    let script = "
        vpc v cidr=10.0.0.0/16
        vswitch s vpc=v cidr=10.0.0.0/24
        group g vpc=v
        eni a vswitch=s groups=g
        assign a prefixes=10.0.0.32/28 => ok +1 [] [10.0.0.32/28]
        ";
    run(&mut harness, script);
    let vpc = harness.ids["v"].parse().unwrap();
    let owner = |harness: &Harness, address: &str| {
        let owner = harness.state.world().owner(&vpc, address.parse().unwrap());
        owner.map(|owner| harness.names[owner.id.as_str()].clone())
    };
    assert_eq!(owner(&harness, "10.0.0.47").as_deref(), Some("a"));
    assert_eq!(owner(&harness, "10.0.0.48"), None);
    let prefix = "10.0.0.32/28".parse::<Cidr>().unwrap().prefix();
    let interface = harness.ids["a"].parse().unwrap();
    assert!(harness.state.world().interface(&interface).unwrap().addresses.contains(&prefix));
    run(&mut harness, "unassign a prefixes=10.0.0.32/28");
    assert_eq!(owner(&harness, "10.0.0.47"), None);
}

#[test]
fn joining_and_leaving() {
    let mut harness = Harness::new();
    harness.settings.quotas.groups_per_interface = 2;
    harness.settings.quotas.addresses_per_basic_group = 3;
    harness.settings.quotas.rules_per_interface = 1;
    run(
        &mut harness,
        "
        vpc v cidr=10.0.0.0/16
        vpc w cidr=10.0.0.0/16
        vswitch s vpc=v cidr=10.0.0.0/24
        group g vpc=v
        group h vpc=v
        group k vpc=v
        group full vpc=v
        group long vpc=v
        group far vpc=w
        group e vpc=v type=enterprise
        group classic
        egress long dest=10.0.0.1 | dest=10.0.0.2 => ok +2
        eni o vswitch=s groups=full more=1
        eni a vswitch=s groups=g more=1
        join a g => 403 InvalidInstanceId.AlreadyExists SecurityGroupId
        join a far => 403 InvalidOperation.VpcMismatch SecurityGroupId
        join a classic => 403 InvalidSecurityGroupId.NotVpc SecurityGroupId
        join a e => 403 OperationDenied SecurityGroupId
        join a full => 403 SecurityGroupInstanceLimitExceeded SecurityGroupId
        join a long => 403 AclLimitExceed SecurityGroupId
        join a sg-none => 404 InvalidSecurityGroupId.NotFound SecurityGroupId
        join eni-none h => 404 InvalidEniId.NotFound NetworkInterfaceId
        join i-none h => 404 InvalidInstanceId.NotFound InstanceId
        join a h as=other => 404 InvalidSecurityGroupId.NotFound SecurityGroupId
        join a h
        join a k => 400 InstanceSecurityGroupLimitExceeded SecurityGroupId
        enis ids=a => 1 [a 10.0.0.3,10.0.0.4 g,h Available]
        leave a k => 403 InstanceNotInSecurityGroup SecurityGroupId
        leave a g
        leave a h => 403 InstanceLastSecurityGroup SecurityGroupId
        leave a sg-none => 404 InvalidSecurityGroupId.NotFound SecurityGroupId
        leave eni-none h => 404 InvalidEniId.NotFound NetworkInterfaceId
        enis ids=a => 1 [a 10.0.0.3,10.0.0.4 h Available]
        ",
    );
}

#[test]
fn only_what_verdicts_depend_on_concerns_anybody() {
    let mut harness = Harness::new();
    let script = "
        vpc v cidr=10.0.0.0/16
        vswitch s vpc=v cidr=10.0.0.0/24
        group g vpc=v
        eni a vswitch=s groups=g
        eni b vswitch=s groups=g
        bind a veth0
        ";
    run(&mut harness, script);
    let id = harness.ids["b"].parse().unwrap();
    let record = harness.state.interface(&id).unwrap().clone();
    let count = |change: &dyn Fn(&mut portcullis_core::records::InterfaceRecord)| {
        let mut record = record.clone();
        change(&mut record);
        concerned(&harness.state, &[Change::Put(Record::Interface(Box::new(record)))]).len()
    };
    assert_eq!(count(&|record| record.name = Some("other".parse().unwrap())), 0);
    assert_eq!(count(&|record| record.queue_number = Some(4)), 0);
    assert_eq!(count(&|record| record.secondary.push("10.0.0.9".parse().unwrap())), 1);
    let prefix = "10.0.0.16/28";
    assert_eq!(count(&|record| record.ipv4_prefixes.push(prefix.parse().unwrap())), 1);
}
