//! Places of flows: reserves and quotas at and one past, who gives way first, what a sweep mends.
//! Needs root and a kernel that takes the program.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // All of this is test code.

use std::net::{IpAddr, Ipv4Addr};

use aya::maps::{HashMap, Map, MapData};
use portcullis_agent::sys::{self, Datapath, Hook, Instance, Sizes};
use portcullis_compile::interface::{InterfaceSettings, compile};
use portcullis_compile::numbers::Numbers;
use portcullis_core::limits::FLOWS_PER_INTERFACE_RESERVED;
use portcullis_core::net::{Mac, Prefix};
use portcullis_core::resolve::InterfacePolicy;
use portcullis_core::rule::Direction;
use portcullis_core::verdict::Reason;
use portcullis_core::world::GroupType;
use portcullis_testkit::capability;
use portcullis_testkit::packet::Flags;
use portcullis_testkit::packet_case::{Carried, Draft, Internet};

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const OWN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);
const PEER: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);
const RESERVE: u16 = FLOWS_PER_INTERFACE_RESERVED as u16;
const SECOND_NS: u64 = 1_000_000_000;

fn can_load() -> Result<(), String> {
    sys::probe()
        .map_err(|missing| missing.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
}

fn sizes(slots: u32, shared: u32) -> Sizes {
    Sizes {
        pool_words: 1 << 14,
        slots,
        members: 64,
        flows: shared,
        fragments: 64,
        counters: 64,
        event_bytes: 1 << 16,
    }
}

/// Interfaces that let everything out, each with a quota.
struct Host {
    datapath: Datapath,
    free: u32,
    clock_ns: u64,
}

impl Host {
    fn new(datapath: Datapath, quotas: &[u64]) -> Self {
        datapath.set_events_per_second(0).unwrap();
        let mut host = Self { datapath, free: 1, clock_ns: 0 };
        for (slot, quota) in quotas.iter().enumerate() {
            host.allow(slot as u32, *quota);
        }
        host
    }

    fn private(slots: u32, shared: u32, quotas: &[u64]) -> Self {
        Self::new(Datapath::private(&sizes(slots, shared)).unwrap(), quotas)
    }

    fn write(&mut self, words: &[u64]) -> u64 {
        let offset = self.free;
        self.free += words.len() as u32;
        self.datapath.write_pool(offset, words).unwrap();
        offset.into()
    }

    /// Puts an interface with this quota into force at a slot.
    fn allow(&mut self, slot: u32, quota: u64) {
        let policy = InterfacePolicy {
            interface: "eni-a".parse().unwrap(),
            vpc: "vpc-1".parse().unwrap(),
            mac: Some(Mac(MAC)),
            addresses: vec![Prefix::host(IpAddr::V4(OWN))],
            checks_addresses: true,
            group_type: GroupType::Basic,
            intra_groups: Vec::new(),
            egress: [].into(),
            ingress: [].into(),
        };
        let mut settings = InterfaceSettings::new(u64::from(slot) + 1);
        settings.quota = quota;
        let compiled = compile(&policy, &settings, &mut Numbers::new()).unwrap();
        let (egress, ingress) = (self.write(&compiled.egress), self.write(&compiled.ingress));
        let blob = self.write(&compiled.interface.words(egress, ingress));
        self.datapath.set_slot_word(slot, (1 << 32) | blob).unwrap();
    }

    fn wait_s(&mut self, seconds: u64) {
        self.clock_ns += seconds * SECOND_NS;
        self.datapath.set_clock_offset_ns(self.clock_ns).unwrap();
    }

    /// A packet between the interface's port and port 80 of the peer; without flags a datagram.
    fn packet(&self, slot: u32, port: u16, out: bool, flags: Option<Flags>) -> Reason {
        let (source, destination) = if out { (port, 80) } else { (80, port) };
        let carried = match flags {
            Some(flags) => Carried::Tcp { source, destination, flags: flags.0 },
            None => Carried::Udp { source, destination },
        };
        let (direction, from, to) = match out {
            true => (Direction::Egress, OWN, PEER),
            false => (Direction::Ingress, PEER, OWN),
        };
        let frame = Draft::of(Internet::new(from.into(), to.into(), carried)).frame(direction, MAC);
        self.datapath.lead_tests_to(slot).unwrap();
        self.datapath.test(direction, &frame).unwrap().reason
    }

    fn syn(&self, slot: u32, port: u16) -> Reason {
        self.packet(slot, port, true, Some(Flags::SYN))
    }

    /// Begins a connection and establishes it; says whether there was room.
    fn establish(&self, slot: u32, port: u16) -> bool {
        match self.syn(slot, port) {
            Reason::FlowTableFull => return false,
            began => assert_eq!(began, Reason::Default, "{slot} {port}"),
        }
        for (out, flags) in [(false, Flags::SYN_ACK), (true, Flags::ACK)] {
            assert_eq!(self.packet(slot, port, out, Some(flags)), Reason::Tracked);
        }
        true
    }

    /// How many connections can be established, from this port on.
    fn fill(&self, slot: u32, first: u16) -> u16 {
        (0..=u16::MAX - first).find(|number| !self.establish(slot, first + number)).unwrap()
    }

    fn is_tracked(&self, slot: u32, port: u16) -> bool {
        match self.packet(slot, port, false, Some(Flags::ACK)) {
            Reason::Tracked => true,
            Reason::NoFlow => false,
            other => panic!("{slot} {port}: {}", other.name()),
        }
    }
}

#[test]
fn a_quota_ends_exactly_where_it_says() {
    if !capability::need("kernel program", can_load) {
        return;
    }
    for quota in [1, 63, 64, 65, 255, 256, 257, 512, 700] {
        let host = Host::private(2, 1024, &[quota]);
        assert_eq!(u64::from(host.fill(0, 1)), quota);
        assert_eq!(host.datapath.flow_count(0), quota);
        assert!((1..=quota as u16).all(|port| host.is_tracked(0, port)));
    }
}

#[test]
fn what_is_shared_ends_and_a_reserve_is_everybodys_own() {
    if !capability::need("kernel program", can_load) {
        return;
    }
    let hungry = 4;
    let quotas: Vec<u64> = (0..hungry).map(|_| 1024).chain([1024]).collect();
    let host = Host::private(hungry + 1, 512, &quotas);
    let got: Vec<u16> = (0..hungry).map(|slot| host.fill(slot, 1)).collect();
    // Two blocks are shared: the first to come has them.
    assert_eq!(got, [3 * RESERVE, RESERVE, RESERVE, RESERVE]);
    assert_eq!(host.fill(hungry, 1), RESERVE);
    assert!((1..=RESERVE).all(|port| host.is_tracked(hungry, port)));
    assert!((1..=3 * RESERVE).all(|port| host.is_tracked(0, port)));
}

#[test]
fn a_block_without_flows_goes_back_at_the_sweep() {
    if !capability::need("kernel program", can_load) {
        return;
    }
    let mut host = Host::private(2, 256, &[1024, 1024]);
    assert_eq!((host.fill(0, 1), host.fill(1, 1)), (2 * RESERVE, RESERVE));
    host.datapath.forget_flows(0).unwrap();
    assert_eq!(host.datapath.flow_count(0), 0);
    host.wait_s(1);
    assert_eq!(host.fill(1, 1000), RESERVE);
    assert_eq!(host.fill(0, 1), RESERVE);
    // Those that idle out go at the sweep too, and their block with them.
    host.wait_s(910);
    assert_eq!(host.datapath.sweep().unwrap(), 3 * u32::from(RESERVE));
    assert_eq!(host.fill(0, 1), 2 * RESERVE);
}

#[test]
fn a_quota_may_change_while_flows_run() {
    if !capability::need("kernel program", can_load) {
        return;
    }
    let mut host = Host::private(1, 1024, &[100]);
    assert_eq!(host.fill(0, 1), 100);
    host.allow(0, 300);
    host.wait_s(1);
    assert_eq!(host.fill(0, 1000), 200);
    host.allow(0, 50);
    host.wait_s(1);
    assert_eq!(host.fill(0, 2000), 0);
    assert!((1..=100).all(|port| host.is_tracked(0, port)));
}

#[test]
fn the_longest_unanswered_goes_first_and_what_has_expired_before_it() {
    if !capability::need("kernel program", can_load) {
        return;
    }
    let quota = 300;
    let mut host = Host::private(1, 1024, &[u64::from(quota)]);
    // A datagram that is answered does not give way, but idles out after 30 s.
    assert_eq!(host.packet(0, 9, true, None), Reason::Default);
    assert_eq!(host.packet(0, 9, false, None), Reason::Tracked);
    host.wait_s(5);
    for port in 1..quota {
        assert_eq!(host.syn(0, port), Reason::Default);
    }
    // The table is full: each new one takes the place of the oldest.
    for number in 0..2 * quota {
        assert_eq!(host.syn(0, 1000 + number), Reason::Default);
        assert_eq!(host.datapath.flow_count(0), u64::from(quota));
    }
    let kept =
        |host: &Host, port| host.packet(0, port, false, Some(Flags::SYN_ACK)) == Reason::Tracked;
    let (last, gone) = (1000 + 2 * quota - 1, 1000 + quota);
    assert!(kept(&host, last) && !kept(&host, gone));
    host.wait_s(26);
    // The datagram's flow has expired, the unanswered ones have not.
    assert_eq!(host.syn(0, 5000), Reason::Default);
    assert!(kept(&host, gone + 2));
}

#[test]
fn a_full_table_without_one_that_gives_way_opens_when_one_does() {
    if !capability::need("kernel program", can_load) {
        return;
    }
    let host = Host::private(1, 1024, &[300]);
    assert_eq!(host.fill(0, 1), 300);
    assert_eq!(host.packet(0, 77, true, Some(Flags::RST)), Reason::Tracked);
    assert!(host.establish(0, 1000));
    assert!(!host.is_tracked(0, 77) && !host.establish(0, 1001));
    assert!((1..=300).filter(|port| *port != 77).all(|port| host.is_tracked(0, port)));
}

struct Pinned(Instance);

impl Drop for Pinned {
    fn drop(&mut self) {
        self.0.detach_all().unwrap();
    }
}

type Flows = HashMap<MapData, [u8; 48], [u8; 88]>;

/// The pinned flows, for meddling with them.
fn flows(instance: &Instance) -> Flows {
    let map = MapData::from_pin(instance.directory().join("map_flows")).unwrap();
    Map::HashMap(map).try_into().unwrap()
}

#[test]
fn a_sweep_mends_what_meddling_has_left() {
    if !capability::need("kernel program", can_load) {
        return;
    }
    let name = format!("test-{}-places", std::process::id());
    let pinned = Pinned(Instance::new(&name).unwrap());
    let datapath = Datapath::open(&pinned.0, &sizes(2, 256), Hook::Tcx).unwrap();
    let host = Host::new(datapath, &[5]);
    assert_eq!(host.fill(0, 1), 5);
    let mut flows = flows(&pinned.0);
    let keys: Vec<[u8; 48]> = flows.keys().map(Result::unwrap).collect();
    // A place without a flow: one sweep doubts it, the next frees it.
    flows.remove(&keys[0]).unwrap();
    for (sweeps, used) in [(1, 5), (2, 4), (3, 4)] {
        host.datapath.sweep().unwrap();
        assert_eq!(host.datapath.flow_count(0), used, "after {sweeps}");
    }
    // A flow without a place: it finds one if there is one.
    let mut value = flows.get(&keys[1], 0).unwrap();
    value[44..48].fill(0xff);
    flows.insert(keys[1], value, 0).unwrap();
    for _ in 0..3 {
        host.datapath.sweep().unwrap();
    }
    assert_eq!(host.datapath.flow_count(0), 4);
    assert_ne!(flows.get(&keys[1], 0).unwrap()[44..48], [0xff; 4]);
    assert!(host.establish(0, 100) && !host.establish(0, 101));
    // An agent that is killed and comes back finds the places as they are.
    drop(host);
    let datapath = Datapath::open(&pinned.0, &sizes(2, 256), Hook::Tcx).unwrap();
    assert_eq!((datapath.flow_count(0), datapath.sweep().unwrap()), (5, 0));
}
