//! A large state: what a decision costs must not grow with what it is not about.
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_core::command::{
    Authorize, Command, DescribeSecurityGroupAttribute, Paging, RuleFields, RuleSpec,
};
use portcullis_core::host::{Derivation, desired};
use portcullis_core::ids::SecurityGroupId;
use portcullis_core::net::{Mac, Ports, Protocol};
use portcullis_core::records::{
    Binding, Change, GroupRecord, InterfaceRecord, NicType, Record, RuleRecord,
};
use portcullis_core::rule::{Direction, Peer, Policy, PortMatch, Priority, Rule};
use portcullis_core::text::Tags;
use portcullis_core::world::{GroupType, InnerAccess};

use super::harness::Harness;

const RULES_PER_GROUP: usize = 500;

fn group_id(number: usize) -> SecurityGroupId {
    format!("sg-{number:020}").parse().unwrap()
}

/// Groups full of rules, straight from records as at a start.
fn fill(harness: &mut Harness, groups: usize) {
    for number in 0..groups {
        let id = group_id(number);
        harness.absorb(Change::Put(Record::Group(GroupRecord {
            id: id.clone(),
            owner: harness.root,
            region: "cn-hangzhou".parse().unwrap(),
            vpc: Some("vpc-1".parse().unwrap()),
            group_type: GroupType::Basic,
            inner_access: InnerAccess::Accept,
            name: None,
            description: None,
            resource_group: None,
            tags: Tags::default(),
            created_ms: 0,
        })));
        for rule in 0..RULES_PER_GROUP {
            let rule = Rule {
                id: format!("sgr-{:020}", number * RULES_PER_GROUP + rule).parse().unwrap(),
                direction: Direction::Egress,
                protocol: Protocol::TCP,
                ports: PortMatch::Ports("443/443".parse().unwrap()),
                source_ports: Ports::Any,
                peer: Peer::Cidr(format!("10.{}.{}.0/24", rule / 250, rule % 250).parse().unwrap()),
                local: None,
                policy: Policy::Accept,
                priority: Priority::DEFAULT,
            };
            harness.absorb(Change::Put(Record::Rule(Arc::new(RuleRecord {
                group: id.clone(),
                rule: Arc::new(rule),
                nic_type: NicType::Intranet,
                peer_owner: None,
                description: None,
                created_ms: 0,
            }))));
        }
    }
}

/// The quickest of several tries, so that a busy machine does not count.
fn quickest(harness: &mut Harness, command: &Command) -> Duration {
    let sender = harness.sender();
    let try_once = |harness: &mut Harness| {
        let started = Instant::now();
        harness.decide(&sender, command).unwrap();
        started.elapsed()
    };
    (0..20).map(|_| try_once(harness)).min().unwrap()
}

/// A thousand times the state and the same two decisions: with a look at every rule they would take
/// a thousand times as long.
#[test]
fn a_decision_looks_at_its_own_group_only() {
    let spec = RuleSpec::new(
        Direction::Egress,
        RuleFields {
            dest_cidr: Some("192.0.2.0/24".parse().unwrap()),
            ports: Some("443/443".parse().unwrap()),
            ..RuleFields::of_protocol(Protocol::TCP)
        },
    );
    let authorize = Command::Authorize(Authorize {
        group: group_id(0),
        direction: Direction::Egress,
        rules: vec![spec.unwrap()],
    });
    let describe = Command::DescribeSecurityGroupAttribute(DescribeSecurityGroupAttribute {
        group: group_id(0),
        direction: None,
        nic_type: None,
        paging: Paging::All,
    });
    let (mut small, mut large) = (Harness::new(), Harness::new());
    fill(&mut small, 1);
    fill(&mut large, 200);
    for command in [authorize, describe] {
        let (alone, among_many) = (quickest(&mut small, &command), quickest(&mut large, &command));
        let bound = alone * 20 + Duration::from_micros(500);
        assert!(among_many < bound, "{alone:?} alone, {among_many:?} among 200 groups");
        println!("{alone:?} alone, {among_many:?} among 200 groups");
    }
}

fn mac(number: u32) -> Mac {
    let [a, b, c, d] = number.to_be_bytes();
    Mac([2, 0, a, b, c, d])
}

/// An interface with an address of its own, and as many more as asked for.
fn interface(harness: &Harness, number: u32, more: u32) -> Record {
    let address = |number: u32| std::net::Ipv4Addr::from_bits((10 << 24) + number);
    Record::Interface(Box::new(InterfaceRecord {
        id: format!("eni-{number:020}").parse().unwrap(),
        owner: harness.root,
        region: "cn-hangzhou".parse().unwrap(),
        vpc: "vpc-1".parse().unwrap(),
        vswitch: "vsw-1".parse().unwrap(),
        zone: "cn-hangzhou-a".parse().unwrap(),
        name: None,
        description: None,
        mac: mac(number),
        primary: address(number),
        secondary: (1..=more).map(|one| address((1 << 23) + number + one)).collect(),
        ipv6: Vec::new(),
        ipv4_prefixes: Vec::new(),
        ipv6_prefixes: Vec::new(),
        groups: vec![group_id(number as usize % 20)],
        source_dest_check: None,
        delete_on_release: false,
        connection_tracking: None,
        queue_number: None,
        attachment: None,
        resource_group: None,
        tags: Tags::default(),
        created_ms: 0,
    }))
}

/// A thousand times the members and fifty times the tied interfaces: a member that has one more
/// address is one entry more.
#[test]
fn a_host_s_state_follows_a_member_whatever_there_is_beside_it() {
    let follow = |members: u32, tied: u32| {
        let mut harness = Harness::new();
        fill(&mut harness, 20);
        for number in 0..members {
            let change = Change::Put(interface(&harness, number, 0));
            harness.absorb(change);
        }
        for number in 0..tied {
            harness.absorb(Change::Put(Record::Binding(Binding {
                interface: format!("eni-{number:020}").parse().unwrap(),
                device: format!("veth{number}").parse().unwrap(),
                created_ms: 0,
            })));
        }
        let mut derivation = Derivation::new(&harness.state);
        assert_eq!(derivation.desired(0), desired(&harness.state, 0));
        let mut try_once = |more: u32| {
            let change = Change::Put(interface(&harness, members - 1, more));
            let started = Instant::now();
            derivation.follow([change]);
            let after = derivation.desired(0);
            let took = started.elapsed();
            assert_eq!(
                after.members.values().map(|of| of.len()).sum::<usize>() as u32,
                members + more
            );
            took
        };
        let took = (0..20).map(|one| try_once(one % 2)).min().unwrap();
        let started = Instant::now();
        desired(&harness.state, 0);
        println!("{members} members: {took:?}, and {:?} from nothing", started.elapsed());
        took
    };
    let (few, many) = (follow(64, 20), follow(65_536, 1_000));
    assert!(many < few * 20 + Duration::from_micros(500), "{few:?}, {many:?} among many");
}
