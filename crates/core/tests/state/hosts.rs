//! What a host should enforce follows from the state alone.
use std::sync::Arc;

use portcullis_core::host::{IdleTimes, PolicyError, concerned, desired};
use portcullis_core::limits::FLOWS_PER_INTERFACE_DEFAULT;
use portcullis_core::records::{Change, Record, RecordKey};
use portcullis_core::world::InnerAccess;

use super::harness::Harness;
use super::language::run;

#[test]
fn bound_interfaces_and_the_members_they_refer_to() {
    let mut harness = Harness::new();
    run(
        &mut harness,
        "
        vpc v cidr=10.0.0.0/16
        vswitch s vpc=v cidr=10.0.0.0/24
        group g vpc=v
        group h vpc=v
        group k vpc=v
        policy g drop
        egress g peer=h
        eni a vswitch=s groups=g
        eni b vswitch=s groups=h,k secondary=10.0.0.9
        eni c vswitch=s groups=k
        bind a veth0
        modify-eni a udp=60
        ",
    );
    let id = |name: &str| harness.ids[name].clone();
    let now = desired(&harness.state, 17);
    assert_eq!(now.revision, 17);
    let [bound] = &now.interfaces[..] else { panic!("{now:?}") };
    assert_eq!((bound.interface.to_string(), bound.device.as_str()), (id("a"), "veth0"));
    assert_eq!(bound.flows_max, FLOWS_PER_INTERFACE_DEFAULT);
    let times = IdleTimes {
        tcp_established_s: 910,
        tcp_unanswered_s: 30,
        tcp_closed_s: 3,
        udp_s: 60,
        other_s: 30,
    };
    assert_eq!(bound.idle_times, times);
    assert_eq!(bound.policy.as_ref().unwrap().egress.len(), 1);
    let members: Vec<_> = now
        .members
        .iter()
        .flat_map(|(vpc, members)| members.iter().map(move |member| (vpc, member)))
        .map(|(vpc, (prefix, groups))| format!("{vpc} {prefix} {groups:?}"))
        .collect();
    // Neither k, which nothing refers to, nor g, whose members are apart.
    let (vpc, h) = (id("v"), id("h"));
    let expected = ["10.0.0.2/32", "10.0.0.9/32"].map(|prefix| format!("{vpc} {prefix} [{h}]"));
    assert_eq!(members, expected);

    run(&mut harness, "policy g accept");
    let now = desired(&harness.state, 18);
    assert_eq!(now.members.values().map(|members| members.len()).sum::<usize>(), 3);

    run(&mut harness, "unbind a => ok -1");
    let now = desired(&harness.state, 19);
    assert!(now.interfaces.is_empty() && now.members.is_empty());
}

#[test]
fn an_interface_that_is_gone_has_no_policy_and_opens_nothing() {
    let mut harness = Harness::new();
    run(
        &mut harness,
        "
        vpc v cidr=10.0.0.0/16
        vswitch s vpc=v cidr=10.0.0.0/24
        group g vpc=v
        eni a vswitch=s groups=g
        bind a veth0
        ",
    );
    let group = harness.ids["g"].parse().unwrap();
    harness.absorb(Change::Delete(RecordKey::Group(group)));
    let now = desired(&harness.state, 1);
    assert_eq!(now.interfaces[0].policy, Err(PolicyError::Dangling));
}

#[test]
fn a_change_concerns_those_whose_verdicts_it_may_change() {
    let mut harness = Harness::new();
    run(
        &mut harness,
        "
        vpc v cidr=10.0.0.0/16
        vswitch s vpc=v cidr=10.0.0.0/24
        group g vpc=v
        group h vpc=v
        group k vpc=v
        egress g peer=h
        eni a vswitch=s groups=g
        eni b vswitch=s groups=h
        eni c vswitch=s groups=k
        eni d vswitch=s groups=k
        bind a veth0
        bind b veth1
        bind c veth2
        pl p family=4
        prl w
        prl unused
        egress g list=p
        ingress k source=1.1.1.1 ports=none port-list=w
        ",
    );
    let changed = |harness: &Harness, key: RecordKey| {
        let changes = [Change::Delete(key)];
        let ids = concerned(&harness.state, &changes);
        let mut names: Vec<_> = ids.iter().map(|id| harness.names[id.as_str()].clone()).collect();
        names.sort_unstable();
        names.join(" ")
    };
    let group = |harness: &Harness, name: &str| harness.ids[name].parse().unwrap();
    let eni = |harness: &Harness, name: &str| harness.ids[name].parse().unwrap();
    for (name, expected) in [("g", "a"), ("h", "b"), ("k", "c")] {
        let id = group(&harness, name);
        assert_eq!(changed(&harness, RecordKey::Group(id)), expected, "group {name}");
    }
    // b is in h, which a rule of g names: a looks its members up. d is not tied and c shares k.
    for (name, expected) in [("a", "a"), ("b", "a b"), ("c", "c"), ("d", "c")] {
        let id = eni(&harness, name);
        assert_eq!(changed(&harness, RecordKey::Interface(id)), expected, "interface {name}");
    }
    let id = eni(&harness, "a");
    assert_eq!(changed(&harness, RecordKey::Binding(id)), "a");
    let vpc = harness.ids["v"].parse().unwrap();
    assert_eq!(changed(&harness, RecordKey::Vpc(vpc)), "");
    let list = harness.ids["p"].parse().unwrap();
    assert_eq!(changed(&harness, RecordKey::PrefixList(list)), "a");
    for (name, expected) in [("w", "c"), ("unused", "")] {
        let list = harness.ids[name].parse().unwrap();
        assert_eq!(changed(&harness, RecordKey::PortRangeList(list)), expected, "{name}");
    }
    // A new name is no other verdict.
    let put = |harness: &Harness, record: Record| {
        let ids = concerned(&harness.state, &[Change::Put(record)]);
        ids.iter().map(|id| harness.names[id.as_str()].clone()).collect::<Vec<_>>().join(" ")
    };
    let mut record = harness.state.group(&group(&harness, "g")).unwrap().clone();
    record.name = Some("new".parse().unwrap());
    assert_eq!(put(&harness, Record::Group(record.clone())), "");
    record.inner_access = InnerAccess::Drop;
    assert_eq!(put(&harness, Record::Group(record)), "a");
    let list = harness.ids["w"].parse().unwrap();
    let mut record = harness.state.port_range_list(&list).unwrap().clone();
    record.max_entries += 1;
    assert_eq!(put(&harness, Record::PortRangeList(record)), "");
    let list = harness.ids["p"].parse().unwrap();
    let mut record = harness.state.prefix_list(&list).unwrap().clone();
    record.max_entries += 1;
    assert_eq!(put(&harness, Record::PrefixList(record)), "");
    // The harness finds for each step that nobody else is concerned.
    run(&mut harness, "modify-pl p add=192.0.2.0/24\nmodify-prl w add=80/80");
}

#[test]
fn what_a_change_does_not_touch_is_shared_with_what_was_desired_before() {
    let mut harness = Harness::new();
    run(
        &mut harness,
        "
        vpc v cidr=10.0.0.0/16
        vswitch s vpc=v cidr=10.0.0.0/24
        group g vpc=v
        group h vpc=v
        eni a vswitch=s groups=g
        eni b vswitch=s groups=g
        eni c vswitch=s groups=h
        bind a veth0
        bind b veth1
        bind c veth2
        pl p family=4
        pl unused family=4
        egress g list=p
        ingress h source=1.1.1.1
        ",
    );
    let order: Vec<_> =
        harness.followed().interfaces.iter().map(|bound| bound.interface.to_string()).collect();
    let anew = |harness: &mut Harness, script: &str| {
        let before = harness.followed();
        run(harness, script);
        let after = harness.followed();
        let both = before.interfaces.iter().zip(&after.interfaces);
        let anew = order.iter().zip(both).filter(|(_, (old, new))| !Arc::ptr_eq(old, new));
        let mut names: Vec<_> = anew.map(|(id, _)| harness.names[id].clone()).collect();
        names.sort_unstable();
        names.join(" ")
    };
    let cases = [
        ("modify-group g name=other", ""),
        ("modify-pl unused add=192.0.2.0/24", ""),
        ("group k vpc=v", ""),
        ("eni d vswitch=s groups=g", ""),
        ("ingress k source=1.1.1.1", ""),
        ("modify-pl p add=192.0.2.0/24", "a b"),
        ("ingress h source=1.1.1.2", "c"),
        ("policy g drop", "a b"),
        ("modify-eni a udp=60", "a"),
        ("modify-eni c groups=h,k", "c"),
        ("ingress k source=1.1.1.2", "c"),
    ];
    for (script, expected) in cases {
        assert_eq!(anew(&mut harness, script), expected, "{script}");
    }
    // Interfaces of the same groups have the same rules, and not only equal ones.
    let shared = |one: usize, other: usize| {
        let now = harness.followed();
        let [one, other] = [one, other].map(|at| now.interfaces[at].policy.as_ref().unwrap());
        Arc::ptr_eq(&one.egress, &other.egress) && Arc::ptr_eq(&one.ingress, &other.ingress)
    };
    let at = |name: &str| order.iter().position(|id| harness.names[id] == name).unwrap();
    assert!(shared(at("a"), at("b")));
    assert!(!shared(at("a"), at("c")));
}
