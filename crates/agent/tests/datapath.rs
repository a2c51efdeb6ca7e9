//! The program in the kernel by itself, attached to nothing. Needs root and a kernel that takes it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // All of this is test code.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use portcullis_agent::sys::{self, Datapath, EventKind, Sizes, Traffic};
use portcullis_compile::abi;
use portcullis_core::rule::{Direction, Policy};
use portcullis_core::verdict::Reason;
use portcullis_testkit::{capability, netns, packet};

/// Ceilings far from the kernel's own, so that any kernel takes the programs and loading them is
/// quick: the verifier goes through 1,000,000 instructions at most, a stack has 512 bytes.
const INSTRUCTIONS_MAX: u32 = 9_000;
const VERIFIED_INSTRUCTIONS_MAX: u32 = 21_000;
const STACK_BYTES_MAX: u32 = 480;

fn can_load() -> Result<(), String> {
    sys::probe()
        .map_err(|missing| missing.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
}

fn small() -> Sizes {
    Sizes {
        pool_words: 1 << 12,
        slots: 8,
        members: 64,
        flows: 64,
        fragments: 64,
        counters: 64,
        event_bytes: 1 << 16,
    }
}

#[test]
fn the_programs_are_small() {
    if !capability::need("kernel program", can_load) {
        return;
    }
    let datapath = Datapath::private(&small()).unwrap();
    for direction in [Direction::Egress, Direction::Ingress] {
        let size = datapath.program_size(direction).unwrap();
        println!("{direction:?}: {size:?}");
        for (measured, ceiling) in [
            (size.instructions, INSTRUCTIONS_MAX),
            (size.verified_instructions, VERIFIED_INSTRUCTIONS_MAX),
            (size.stack_bytes, STACK_BYTES_MAX),
        ] {
            assert!((1..=ceiling).contains(&measured), "{size:?} beyond {ceiling}");
        }
    }
}

/// A program that the kernel takes from nobody must not pass for a machine that lacks something.
#[test]
fn the_verifier_refuses_nothing() {
    for missing in sys::probe().err().into_iter().flatten().map(|missing| missing.to_string()) {
        let log = missing.split_once("Verifier output:").map_or("", |(_, log)| log);
        let refused = log.contains(char::is_alphanumeric);
        assert!(!refused, "the kernel refuses the program: {missing}");
    }
}

#[test]
fn words_and_members_are_read_back() {
    if !capability::need("kernel program", can_load) {
        return;
    }
    let datapath = Datapath::private(&small()).unwrap();
    datapath.write_pool(5, &[1, 2, 3]).unwrap();
    assert_eq!(datapath.read_pool(5, 3), [1, 2, 3]);
    assert_eq!(datapath.read_pool(4094, 9), [0, 0]);
    assert!(datapath.write_pool(4095, &[1, 2]).is_err());
    datapath.set_slot_word(7, 9 << 32 | 5).unwrap();
    assert_eq!((datapath.slot_word(7), datapath.slot_word(6)), (9 << 32 | 5, 0));
    assert!(datapath.set_slot_word(8, 1).is_err());
    let key = |text: &str| portcullis_compile::members::MemberKey {
        vpc: 3,
        prefix: text.parse::<portcullis_core::net::Cidr>().unwrap().prefix(),
    };
    let keys = [key("10.0.0.1"), key("10.0.1.0/28"), key("2001:db8::/80")];
    for (at, key) in keys.iter().enumerate() {
        datapath.put_member(key, at as u32 + 1).unwrap();
    }
    assert_eq!(
        datapath.members().unwrap(),
        BTreeMap::from([(keys[0], 1), (keys[1], 2), (keys[2], 3)])
    );
    datapath.remove_member(&keys[1]).unwrap();
    datapath.remove_member(&keys[1]).unwrap();
    assert_eq!(datapath.member(&keys[1]).unwrap(), None);
    assert_eq!(datapath.members().unwrap().len(), 2);
    datapath.barrier().unwrap();
}

#[test]
fn what_leads_nowhere_passes_nothing() {
    if !capability::need("kernel program", can_load) {
        return;
    }
    let datapath = Datapath::private(&small()).unwrap();
    let arp = [&[0xff; 12][..], &[8, 6], &[0; 28]].concat();
    for direction in [Direction::Egress, Direction::Ingress] {
        let verdict = datapath.test(direction, &arp).unwrap();
        assert_eq!((verdict.accepted, verdict.reason), (false, Reason::Closed));
        datapath.lead_tests_to(2).unwrap();
        let verdict = datapath.test(direction, &arp).unwrap();
        assert_eq!((verdict.accepted, verdict.reason), (false, Reason::Closed));
    }
    let counts = datapath.reasons(2).unwrap();
    assert_eq!(counts.iter().map(|c| c.count.packets).sum::<u64>(), 3);
}

/// A closed interface at slot 1 that owns 10.0.0.5, and a UDP packet that leaves it.
fn closed_interface(datapath: &Datapath) -> Vec<u8> {
    let mut words = vec![0; abi::INTERFACE_HEADER_WORDS as usize];
    words[abi::INTERFACE_HANDLE as usize] = 9;
    words[abi::INTERFACE_FLAGS as usize] = abi::FLAG_CLOSED | abi::FLAG_CHECK_ADDRESSES;
    words[abi::INTERFACE_OWN4 as usize] = abi::section(words.len() as u64, 1);
    words.extend([0x0a00_0005; 2]);
    datapath.write_pool(10, &words).unwrap();
    datapath.set_slot_word(1, 1 << 32 | 10).unwrap();
    datapath.lead_tests_to(1).unwrap();
    let (own, other) = (Ipv4Addr::new(10, 0, 0, 5), Ipv4Addr::new(10, 1, 0, 1));
    let datagram = packet::Udp::new(5000, 53).over(own, other, &[0; 100]);
    let ethernet = packet::Ethernet::new([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    ethernet.ipv4(&packet::Ipv4::new(own, other, 17).wrap(&datagram))
}

#[test]
fn what_is_dropped_is_counted_and_told_within_a_rate() {
    if !capability::need("kernel program", can_load) {
        return;
    }
    let datapath = Datapath::private(&small()).unwrap();
    let frame = closed_interface(&datapath);
    let mut events = datapath.events().unwrap();
    datapath.set_events_per_second(2).unwrap();
    // The whole of the test lies within one second of the program's clock.
    datapath.set_clock_offset_ns(1_000_000_000 - datapath.now_ns() % 1_000_000_000).unwrap();
    let started = datapath.now_ns();
    for _ in 0..4 {
        let verdict = datapath.test(Direction::Egress, &frame).unwrap();
        assert_eq!((verdict.accepted, verdict.reason), (false, Reason::Closed));
    }
    datapath.test_aggregate(Direction::Egress, &frame, 45).unwrap();
    let counts = datapath.reasons(1).unwrap();
    assert_eq!(counts.len(), 1, "{counts:?}");
    assert_eq!((counts[0].reason, counts[0].policy), (Reason::Closed, Policy::Drop));
    assert_eq!(counts[0].count.packets, 4 + 45);
    assert_eq!(counts[0].count.bytes, 5 * frame.len() as u64);
    assert!(counts[0].count.last_seen_ns >= started);
    for _ in 0..2 {
        let event = events.next_event().unwrap();
        assert_eq!((event.kind, event.reason), (EventKind::Deny, Reason::Closed));
        assert_eq!((event.slot, event.flow.handle, event.flow.protocol), (1, 9, 17));
        assert_eq!(event.flow.local.to_string(), "10.0.0.5");
        assert_eq!(event.flow.remote.to_string(), "10.1.0.1");
        assert_eq!((event.flow.local_port, event.flow.remote_port), (5000, 53));
        assert_eq!(event.flow.handle, 9);
        let bytes = frame.len() as u64;
        let traffic = Traffic { egress_packets: 1, egress_bytes: bytes, ..Traffic::default() };
        assert_eq!(event.traffic, traffic);
    }
    assert_eq!(events.next_event(), None);
    assert_eq!(datapath.events_lost(1), 3);
    datapath.set_clock_offset_ns(3_000_000_000).unwrap();
    datapath.test(Direction::Egress, &frame).unwrap();
    assert!(events.next_event().is_some());
    datapath.zero_reasons(1).unwrap();
    assert_eq!(datapath.reasons(1).unwrap(), []);
}

/// An interface at a slot that owns 10.0.0.5 and may do everything.
fn open_interface(datapath: &Datapath, slot: u32) {
    let first = 100 + slot * 200;
    let (mut table, at) = (vec![0; abi::TABLE_HEADER_WORDS as usize], first + 100);
    table[abi::TABLE_DEFAULT as usize] = 1;
    table[abi::TABLE_FORM as usize] = abi::FORM_CLASSES;
    datapath.write_pool(at, &table).unwrap();
    let mut words = vec![0; abi::INTERFACE_HEADER_WORDS as usize];
    words[abi::INTERFACE_HANDLE as usize] = u64::from(slot) + 1;
    words[abi::INTERFACE_FLAGS as usize] = abi::FLAG_CHECK_ADDRESSES;
    words[abi::INTERFACE_EGRESS as usize] = at.into();
    words[abi::INTERFACE_INGRESS as usize] = at.into();
    words[abi::INTERFACE_OWN4 as usize] = abi::section(words.len() as u64, 1);
    words[abi::INTERFACE_IDLE_UDP_S as usize] = 30;
    words[abi::INTERFACE_QUOTA as usize] = 16;
    words.extend([0x0a00_0005; 2]);
    datapath.write_pool(first, &words).unwrap();
    datapath.set_slot_word(slot, 1 << 32 | u64::from(first)).unwrap();
}

/// A datagram of its own, or the answer to it.
fn datagram(answer: bool, payload_bytes: usize) -> Vec<u8> {
    let (own, other) = (Ipv4Addr::new(10, 0, 0, 5), Ipv4Addr::new(10, 1, 0, 1));
    let ((from, source), (to, destination)) =
        if answer { ((other, 53), (own, 5000)) } else { ((own, 5000), (other, 53)) };
    let datagram = packet::Udp::new(source, destination).over(from, to, &vec![0; payload_bytes]);
    let ethernet = packet::Ethernet::new([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    ethernet.ipv4(&packet::Ipv4::new(from, to, 17).wrap(&datagram))
}

#[test]
fn every_packet_of_a_flow_is_counted_with_its_segments() {
    if !capability::need("kernel program", can_load) {
        return;
    }
    let datapath = Datapath::private(&small()).unwrap();
    open_interface(&datapath, 0);
    datapath.lead_tests_to(0).unwrap();
    let (question, answer) = (datagram(false, 100), datagram(true, 200));
    for (number, (direction, frame, segments)) in [
        (Direction::Egress, &question, 1),
        (Direction::Ingress, &answer, 1),
        (Direction::Egress, &question, 7),
        (Direction::Ingress, &answer, 45),
        (Direction::Egress, &question, 0),
    ]
    .into_iter()
    .enumerate()
    {
        let said = datapath.test_aggregate(direction, frame, segments).unwrap();
        let reason = if number == 0 { Reason::Default } else { Reason::Tracked };
        assert_eq!((said.accepted, said.reason), (true, reason), "{number}");
    }
    let flows = datapath.flows().unwrap();
    let traffic = Traffic {
        egress_packets: 1 + 7 + 1,
        egress_bytes: 3 * question.len() as u64,
        ingress_packets: 1 + 45,
        ingress_bytes: 2 * answer.len() as u64,
    };
    assert_eq!(flows.iter().map(|flow| flow.traffic).collect::<Vec<_>>(), [traffic]);
    let counts = datapath.reasons(0).unwrap();
    let tracked = |direction| {
        let found = counts.iter().find(|c| (c.direction, c.reason) == (direction, Reason::Tracked));
        found.map(|c| (c.policy, c.count.packets, c.count.bytes))
    };
    let (question, answer) = (question.len() as u64, answer.len() as u64);
    assert_eq!(tracked(Direction::Egress), Some((Policy::Accept, 8, 2 * question)));
    assert_eq!(tracked(Direction::Ingress), Some((Policy::Accept, 46, 2 * answer)));
}

/// Numbers of devices with one remainder stand in one bucket, which holds so many.
const DEVICES_PER_BUCKET: u32 = 8;
const DEVICE_BUCKETS: u32 = 1024;

#[test]
fn devices_of_high_numbers_lead_to_their_own_slots() {
    if !capability::need("kernel program", can_load)
        || !capability::need("namespaces", netns::available)
    {
        return;
    }
    let datapath = Datapath::private(&small()).unwrap();
    (0..3).for_each(|slot| open_interface(&datapath, slot));
    let namespace = netns::Namespace::new().unwrap();
    let high = 1_000_000 * DEVICE_BUCKETS + 5;
    let devices = [5, 5 + DEVICE_BUCKETS, high];
    for (number, device) in devices.iter().enumerate() {
        let name = format!("one{number}");
        let made = format!("link add {name} index {device} type veth peer name two{number}");
        namespace.ip(&made).unwrap();
    }
    let judge = |device| {
        let said =
            namespace.enter(|| datapath.test_at(device, Direction::Egress, &datagram(false, 9)));
        let said = said.unwrap().unwrap();
        (said.accepted, said.reason)
    };
    assert_eq!(devices.map(judge), [(false, Reason::Closed); 3]);
    for (slot, device) in (0..).zip(devices) {
        datapath.lead(device, slot).unwrap();
    }
    assert_eq!(devices.map(judge), [(true, Reason::Default); 3]);
    assert_eq!([0, 1, 2].map(|slot| datapath.flow_count(slot)), [1; 3]);
    // Led elsewhere and back, nobody else is concerned.
    datapath.lead(devices[1], u32::MAX).unwrap();
    assert_eq!(devices.map(judge).map(|(accepted, _)| accepted), [true, false, true]);
    datapath.lead(devices[1], 1).unwrap();
    assert_eq!(devices.map(judge), [(true, Reason::Tracked); 3]);
}

#[test]
fn a_bucket_of_devices_has_a_bound() {
    if !capability::need("kernel program", can_load) {
        return;
    }
    let datapath = Datapath::private(&small()).unwrap();
    for number in 1..=DEVICES_PER_BUCKET {
        datapath.lead(number * DEVICE_BUCKETS, 0).unwrap();
    }
    let refused = datapath.lead((DEVICES_PER_BUCKET + 1) * DEVICE_BUCKETS, 0).unwrap_err();
    assert!(refused.to_string().contains("has no place"), "{refused}");
    datapath.lead(DEVICE_BUCKETS, 1).unwrap();
    datapath.lead(DEVICE_BUCKETS + 1, 0).unwrap();
}
