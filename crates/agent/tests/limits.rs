//! The host's own limits in a real kernel: what is at one is enforced, packet by packet, and what
//! is one past it is refused by the limit's name while all else stays. Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // All of this is test code.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use portcullis_agent::device::Devices;
use portcullis_agent::ledger::{LedgerFile, boot_id};
use portcullis_agent::run::{Agent, Settings};
use portcullis_agent::sys::{self, Datapath, Hook, Instance, Sizes, TestVerdict};
use portcullis_compile::abi;
use portcullis_core::host::{BoundInterface, Desired, IdleTimes};
use portcullis_core::ids::{NetworkInterfaceId, SecurityGroupId};
use portcullis_core::net::{Cidr, Mac, Ports, Prefix, Protocol};
use portcullis_core::records::ConnectionTracking;
use portcullis_core::resolve::{InterfacePolicy, ResolvedPeer, ResolvedRule};
use portcullis_core::rule::{Direction, Peer, Policy, PortMatch, Priority, Rule};
use portcullis_core::verdict::Reason;
use portcullis_core::world::GroupType;
use portcullis_testkit::{capability, packet};

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const OWN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);
/// Entries that a prefix list may have.
const LIST_ENTRIES: u32 = 200;
/// Rules of an interface and direction that a host is to carry with lists of that length.
const RULES_WITH_LISTS: u32 = 1000;
/// Addresses that a group may have by quota.
const GROUP_ADDRESSES: u32 = 65_536;

fn can_load() -> Result<(), String> {
    sys::probe()
        .map_err(|missing| missing.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
}

/// An agent of an instance without devices: policies are loaded and packets are run past them.
struct Host {
    instance: Instance,
    agent: Option<Agent<Datapath>>,
    _ledger: tempfile::TempDir,
}

impl Host {
    fn new(name: &str) -> Self {
        let name = format!("test-{}-limits-{name}", std::process::id());
        let instance = Instance::new(&name).unwrap();
        let ledger = tempfile::tempdir().unwrap();
        let datapath = Datapath::open(&instance, &Sizes::default(), Hook::Tcx).unwrap();
        let boot_id = boot_id().unwrap();
        let settings = Settings { boot_id, pick_up_s: 0, keep_established: false, check_s: 1 };
        let file = LedgerFile::new(ledger.path()).unwrap();
        let agent = Some(Agent::new(datapath, file, settings).unwrap());
        Self { instance, agent, _ledger: ledger }
    }

    /// What the agent says of what is desired: the interfaces that failed, and why.
    fn pass(&mut self, desired: &Desired) -> BTreeMap<NetworkInterfaceId, String> {
        let report = self.agent.as_mut().unwrap().pass(desired, &Devices::default());
        // There are no devices: an interface waits for its own, unless it has no place here at all.
        let waits = |b: &BoundInterface| report.pending.contains_key(&b.interface);
        let fails = |b: &BoundInterface| report.failed.contains_key(&b.interface);
        assert!(desired.interfaces.iter().all(|bound| waits(bound) || fails(bound)));
        report.failed
    }

    /// The kernel's word on a first UDP packet of an interface.
    fn first(
        &self,
        interface: &NetworkInterfaceId,
        direction: Direction,
        remote: Ipv4Addr,
        port: u16,
    ) -> TestVerdict {
        let agent = self.agent.as_ref().unwrap();
        agent.kernel().lead_tests_to(agent.ledger().place(interface).unwrap().slot).unwrap();
        let other = [2, 0, 0, 0, 0, 2];
        let (from, to, macs) = match direction {
            Direction::Egress => (OWN, remote, [MAC, other]),
            Direction::Ingress => (remote, OWN, [other, MAC]),
        };
        let datagram = packet::Udp::new(4000, port).over(from, to, &[0; 8]);
        let packet = packet::Ipv4::new(from, to, 17).wrap(&datagram);
        let frame = packet::Ethernet::new(macs[0], macs[1]).ipv4(&packet);
        agent.kernel().test(direction, &frame).unwrap()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        drop(self.agent.take());
        if let Err(error) = self.instance.detach_all() {
            eprintln!("{}: {error}", self.instance.name());
        }
    }
}

fn eni(number: u32) -> NetworkInterfaceId {
    format!("eni-{number:05}").parse().unwrap()
}

fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x6400_0000 + number)
}

fn host(number: u32) -> Prefix {
    Prefix::host(IpAddr::V4(address(number)))
}

/// Accepts UDP with these peers at one port.
fn rule(number: u32, direction: Direction, peer: ResolvedPeer, port: u16) -> ResolvedRule {
    let rule = Rule {
        id: format!("sgr-{number}").parse().unwrap(),
        direction,
        protocol: Protocol::UDP,
        ports: PortMatch::Ports(Ports::Any),
        source_ports: Ports::Any,
        peer: Peer::Cidr(Cidr::from(host(0))),
        local: None,
        policy: Policy::Accept,
        priority: Priority::DEFAULT,
    };
    ResolvedRule {
        rule: Arc::new(rule),
        group: "sg-a".parse().unwrap(),
        peer,
        ports: vec![Ports::range(port, port).unwrap()],
    }
}

fn bound(number: u32, rules: Vec<ResolvedRule>) -> BoundInterface {
    let (egress, ingress): (Vec<_>, Vec<_>) =
        rules.into_iter().partition(|rule| rule.rule.direction == Direction::Egress);
    let policy = InterfacePolicy {
        interface: eni(number),
        vpc: "vpc-1".parse().unwrap(),
        mac: Some(Mac(MAC)),
        addresses: vec![Prefix::host(IpAddr::V4(OWN))],
        checks_addresses: true,
        group_type: GroupType::Enterprise,
        intra_groups: Vec::new(),
        egress: egress.into(),
        ingress: ingress.into(),
    };
    BoundInterface {
        interface: eni(number),
        device: format!("none{number}").parse().unwrap(),
        policy: Ok(policy),
        idle_times: IdleTimes::new(ConnectionTracking::DEFAULT),
        flows_max: 100,
    }
}

fn desired(interfaces: Vec<BoundInterface>) -> Desired {
    let interfaces = interfaces.into_iter().map(Arc::new).collect();
    Desired { revision: 1, interfaces, members: BTreeMap::new() }
}

fn only(failed: BTreeMap<NetworkInterfaceId, String>) -> (NetworkInterfaceId, String) {
    assert_eq!(failed.len(), 1, "{failed:?}");
    failed.into_iter().next().unwrap()
}

#[test]
fn rules_of_a_direction() {
    if !capability::need("kernel program", can_load) {
        return;
    }
    let mut kept = Host::new("rules");
    let most = abi::RULES_MAX as u32;
    let rules = |direction, count: u32| {
        let one = move |n| rule(n, direction, ResolvedPeer::Prefixes(vec![host(n)]), n as u16 + 1);
        (0..count).map(one).collect::<Vec<_>>()
    };
    let both = |count| [rules(Direction::Egress, most), rules(Direction::Ingress, count)].concat();
    assert_eq!(kept.pass(&desired(vec![bound(0, both(most))])), BTreeMap::new());
    let refused = "the policy needs 1025 rules of one direction, at most 1024 are possible";
    for past in [false, true] {
        for direction in [Direction::Egress, Direction::Ingress] {
            for (n, port) in [(0, 1), (most - 1, most as u16)] {
                let verdict = kept.first(&eni(0), direction, address(n), port);
                assert!(verdict.accepted, "{direction:?} {n}: {verdict:?}");
                let verdict = kept.first(&eni(0), direction, address(n), port + 1);
                assert_eq!(verdict.reason, Reason::Default);
            }
        }
        if !past {
            // One past it, what was in force stays.
            let failed = kept.pass(&desired(vec![bound(0, both(most + 1))]));
            let (_, why) = only(failed);
            assert!(why.starts_with(refused), "{why}");
        }
    }
}

#[test]
fn rules_that_name_full_prefix_lists() {
    if !capability::need("kernel program", can_load) {
        return;
    }
    let mut kept = Host::new("lists");
    let list = |n: u32| (0..LIST_ENTRIES).map(|m| host((n * LIST_ENTRIES + m) * 2)).collect();
    let one = |n| rule(n, Direction::Egress, ResolvedPeer::Prefixes(list(n)), n as u16 + 1);
    let rules: Vec<_> = (0..RULES_WITH_LISTS).map(one).collect();
    assert_eq!(kept.pass(&desired(vec![bound(0, rules)])), BTreeMap::new());
    for rule in [0, 1, RULES_WITH_LISTS - 1] {
        for entry in [0, LIST_ENTRIES - 1] {
            let peer = (rule * LIST_ENTRIES + entry) * 2;
            let first =
                |peer, port| kept.first(&eni(0), Direction::Egress, address(peer), port as u16);
            assert_eq!(first(peer, rule + 1).reason, Reason::Rule, "{rule} {entry}");
            assert_eq!(first(peer + 1, rule + 1).reason, Reason::Default, "{rule} {entry}");
            assert_eq!(first(peer, rule + 2).reason, Reason::Default, "{rule} {entry}");
        }
    }
}

#[test]
fn interfaces_of_a_host() {
    if !capability::need("kernel program", can_load) {
        return;
    }
    let mut kept = Host::new("interfaces");
    let most = Sizes::default().slots;
    let peers = |n| ResolvedPeer::Prefixes(vec![host(n)]);
    let one = |n: u32| bound(n, vec![rule(n, Direction::Egress, peers(n), 53)]);
    let mut all: Vec<_> = (0..most).map(one).collect();
    assert_eq!(kept.pass(&desired(all.clone())), BTreeMap::new());
    all.push(one(most));
    let (refused, why) = only(kept.pass(&desired(all)));
    assert_eq!(refused, eni(most));
    assert_eq!(why, format!("this host has room for {most} bound interfaces"));
    for n in [0, most / 2, most - 1] {
        for (peer, expected) in [(n, Reason::Rule), (n + 1, Reason::Default)] {
            let verdict = kept.first(&eni(n), Direction::Egress, address(peer), 53);
            assert_eq!(verdict.reason, expected, "{n}");
        }
    }
}

#[test]
fn members_of_a_group_and_of_a_host() {
    if !capability::need("kernel program", can_load) {
        return;
    }
    let mut kept = Host::new("members");
    let (most, large) = (Sizes::default().members, GROUP_ADDRESSES);
    let group = |name: &str| name.parse::<SecurityGroupId>().unwrap();
    let peer = |name: &str| ResolvedPeer::Group(group(name));
    let rules = vec![
        rule(1, Direction::Egress, peer("sg-large"), 1),
        rule(2, Direction::Egress, peer("sg-rest"), 2),
    ];
    let mut wanted = desired(vec![bound(0, rules)]);
    let members = wanted.members.entry("vpc-1".parse().unwrap()).or_default();
    for n in 0..most {
        let of = group(if n < large { "sg-large" } else { "sg-rest" });
        members.insert(host(n), [of].into());
    }
    assert_eq!(kept.pass(&wanted), BTreeMap::new());
    for past in [false, true] {
        for (n, port) in [(0, 1), (large - 1, 1), (large, 2), (most - 1, 2)] {
            let first = |port| kept.first(&eni(0), Direction::Egress, address(n), port);
            assert!(first(port).accepted, "{n}");
            assert_eq!(first(3 - port).reason, Reason::Default, "{n}");
        }
        let nobody = kept.first(&eni(0), Direction::Egress, address(most), 2);
        assert_eq!(nobody.reason, Reason::Default);
        if !past {
            let members = wanted.members.values_mut().next().unwrap();
            members.insert(host(most), [group("sg-rest")].into());
            let (_, why) = only(kept.pass(&wanted));
            assert_eq!(why, format!("this host has room for {most} member addresses"));
        }
    }
}

#[test]
fn rules_of_a_host_with_counters() {
    if !capability::need("kernel program", can_load) {
        return;
    }
    let mut kept = Host::new("counters");
    let (most, each) = (Sizes::default().counters, abi::RULES_MAX as u32);
    let one = |n: u32| rule(n, Direction::Egress, ResolvedPeer::Prefixes(vec![host(n)]), 53);
    let with_rules = |n: u32, count| bound(n, (n * each..n * each + count).map(one).collect());
    let mut all: Vec<_> = (0..most / each).map(|n| with_rules(n, each)).collect();
    assert_eq!(kept.pass(&desired(all.clone())), BTreeMap::new());
    let last = kept.first(&eni(most / each - 1), Direction::Egress, address(most - 1), 53);
    assert_eq!((last.reason, last.counter), (Reason::Rule, Some(most - 1)));
    all.push(with_rules(most / each, 1));
    let (refused, why) = only(kept.pass(&desired(all)));
    assert_eq!(refused, eni(most / each));
    assert_eq!(why, format!("this host has room for {most} rules with counters"));
}
