//! A large state: what a decision costs must not grow with what it is not about.
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_core::command::{
    Authorize, Command, DescribeSecurityGroupAttribute, Paging, RuleFields, RuleSpec,
};
use portcullis_core::ids::SecurityGroupId;
use portcullis_core::net::{Ports, Protocol};
use portcullis_core::records::{Change, GroupRecord, NicType, Record, RuleRecord};
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
        harness.state.absorb(Change::Put(Record::Group(GroupRecord {
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
            harness.state.absorb(Change::Put(Record::Rule(Arc::new(RuleRecord {
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
