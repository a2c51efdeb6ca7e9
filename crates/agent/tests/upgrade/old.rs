//! An agent of layout 2, as it left things: its program from its own object, its maps pinned and
//! filled, its programs at the device by either hook.
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use aya::maps::{Array, HashMap, MapData};
use aya::programs::links::{FdLink, LinkOrder};
use aya::programs::tc::TcAttachOptions;
use aya::programs::{SchedClassifier, TcAttachType};
use aya::{Ebpf, EbpfLoader, include_bytes_aligned};
use portcullis_agent::sys::{Hook, Instance};
use portcullis_agent::traffic_control::{Side, TrafficControl};
use portcullis_compile::members::MemberKey;

use crate::memory::Memory;

static OBJECT: &[u8] = include_bytes_aligned!("../fixtures/layout-2.bpf.o");
const MAPS: [&str; 12] = [
    "pool",
    "config",
    "slots",
    "devices",
    "members",
    "flows",
    "places",
    "fragments",
    "hits",
    "retired",
    "reasons",
    "events",
];
const PROGRAMS: [&str; 2] = ["pc_egress", "pc_ingress"];
const SLOT_WORDS: usize = 16;
/// Words of its settings: bit n for the length 32 - n of members.
const CONFIG_MEMBER_LENGTHS4: u32 = 16;
const WHOLE_ADDRESSES: u64 = 1;

/// The directory of an instance in a layout.
pub(crate) fn directory(instance: &Instance, layout: u32) -> PathBuf {
    let root = instance.directory().ancestors().nth(2).unwrap();
    root.join(format!("v{layout}")).join(instance.name())
}

fn member_key(key: &MemberKey) -> [u8; 32] {
    let IpAddr::V4(address) = key.prefix.address() else { panic!("IPv4 only") };
    let words = [u64::from(key.vpc), 0, u64::from(address.to_bits())].map(u64::to_ne_bytes);
    let halves = [4u32, key.prefix.length().into()].map(u32::to_ne_bytes);
    [words.concat(), halves.concat()].concat().try_into().unwrap()
}

fn map<T: TryFrom<aya::maps::Map>>(object: &mut Ebpf, name: &str) -> T
where
    T::Error: std::fmt::Debug,
{
    T::try_from(object.take_map(name).unwrap()).unwrap()
}

/// Pins what `memory` holds and attaches, in the calling thread's namespace.
pub(crate) fn enforce(instance: &Instance, memory: &Memory, hook: Hook) {
    let directory = directory(instance, 2);
    std::fs::create_dir_all(&directory).unwrap();
    let mut loader = EbpfLoader::new();
    for name in MAPS {
        loader.map_pin_path(name, directory.join(format!("map_{name}")));
    }
    for (name, entries) in [
        ("pool", memory.pool.len() as u32),
        ("slots", 32),
        ("devices", 64),
        ("members", 64),
        ("flows", 4096),
        ("places", 4096),
        ("hits", 256),
        ("retired", 4),
        ("reasons", 32 * 64),
    ] {
        loader.map_max_entries(name, entries);
    }
    let mut object = loader.load(OBJECT).unwrap();
    for name in PROGRAMS {
        program(&mut object, name).load().unwrap();
    }
    fill(&mut object, memory);
    for device in memory.attached.keys() {
        attach(&mut object, instance, &directory, hook, *device);
    }
}

fn program<'a>(object: &'a mut Ebpf, name: &str) -> &'a mut SchedClassifier {
    object.program_mut(name).unwrap().try_into().unwrap()
}

fn fill(object: &mut Ebpf, memory: &Memory) {
    let mut pool: Array<MapData, u64> = map(object, "pool");
    for (at, word) in (0..).zip(&memory.pool).filter(|(_, word)| **word != 0) {
        pool.set(at, *word, 0).unwrap();
    }
    let mut config: Array<MapData, u64> = map(object, "config");
    assert_eq!(memory.lengths.values().flatten().copied().collect::<Vec<_>>(), [32]);
    config.set(CONFIG_MEMBER_LENGTHS4, WHOLE_ADDRESSES, 0).unwrap();
    let mut members: HashMap<MapData, [u8; 32], u64> = map(object, "members");
    for (key, set) in &memory.members {
        members.insert(member_key(key), u64::from(*set), 0).unwrap();
    }
    let mut slots: Array<MapData, [u64; SLOT_WORDS]> = map(object, "slots");
    for (slot, word) in &memory.slots {
        let mut words = [0; SLOT_WORDS];
        words[0] = *word;
        slots.set(*slot, words, 0).unwrap();
    }
    let mut devices: HashMap<MapData, u32, u32> = map(object, "devices");
    let led: &BTreeMap<u32, u32> = &memory.attached;
    led.iter().for_each(|(device, slot)| devices.insert(device, slot, 0).unwrap());
}

fn attach(object: &mut Ebpf, instance: &Instance, directory: &Path, hook: Hook, device: u32) {
    let mut traffic = TrafficControl::open().unwrap();
    if hook == Hook::Clsact {
        assert!(traffic.make_clsact(device).unwrap());
        std::fs::create_dir(directory.join(format!("qdisc_{device}"))).unwrap();
    }
    for (name, at, side) in [
        ("pc_egress", TcAttachType::Ingress, Side::Ingress),
        ("pc_ingress", TcAttachType::Egress, Side::Egress),
    ] {
        let program = program(object, name);
        if hook == Hook::Clsact {
            let program = program.fd().unwrap().as_fd();
            let name = format!("portcullis/{}/{name}", instance.name());
            traffic.put(device, side, None, program, &name).unwrap();
            continue;
        }
        let options = TcAttachOptions::TcxOrder(LinkOrder::last());
        let link = program.attach_with_options(crate::DEVICE, at, options).unwrap();
        let link: FdLink = program.take_link(link).unwrap().try_into().unwrap();
        // The link lives by its pin from here on.
        link.pin(directory.join(format!("link_{device}_{name}"))).unwrap();
    }
}
