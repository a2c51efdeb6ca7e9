//! The agent's own work, without packets: compiling a policy, one member more or less in a large
//! group, and a host of many interfaces from nothing to all enforced, with what its maps take.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use aya::Ebpf;
use aya::maps::MapData;
use aya::programs::links::LinkOrder;
use aya::programs::tc::TcAttachOptions;
use aya::programs::{SchedClassifier, TcAttachType};
use portcullis_agent::sys::Instance;
use portcullis_compile::interface::direction_table;
use portcullis_compile::numbers::Numbers;
use portcullis_core::host::Desired;
use portcullis_core::net::{Family, Prefix};
use portcullis_core::rule::Direction;
use portcullis_core::world::{Group, World};

use super::linear;
use super::ours::{Ours, desired};
use super::scenario::{GROUP, INTERFACE, Scenario, Size, id, member, member_group, put_interface};
use super::session::Sample;
use super::stage::{HOST_DEVICE, Stage, thread_time};
use crate::netns::Namespace;

/// Members of the large group: as many as a group may have.
const LARGE_GROUP: usize = 65_536;
/// Interfaces of the large host, and the policies that they share.
const INTERFACES: usize = 1_000;
const POLICIES: usize = 20;
/// Bytes of a flow's key in the kernel: by it the flows and their places are told from other maps.
const FLOW_KEY: &str = "key_size:\t48";
const PLACE: &str = "value_size:\t48";

/// Milliseconds to compile the interface's rules.
///
/// # Errors
/// When they are too many.
pub fn compile(scenario: &Scenario) -> Result<Sample, String> {
    let began = thread_time()?;
    let table = direction_table(&scenario.policy, Direction::Egress, &mut Numbers::new());
    let took = thread_time()? - began;
    let words = table.map_err(|error| format!("{error:?}"))?;
    Ok(Sample::from([
        ("compile_ms", took.as_secs_f64() * 1e3),
        ("policy_kib", words.len() as f64 / 128.0),
    ]))
}

/// An interface whose rules name a group of very many members.
pub struct Membership {
    ours: Ours,
    stage: Stage,
    /// With one member less, and with all.
    wanted: [Arc<Desired>; 2],
    turn: usize,
}

impl Membership {
    /// Puts it in place.
    ///
    /// # Errors
    /// When it cannot be enforced.
    pub fn new(seed: u64, rules: usize) -> Result<Self, String> {
        let none = Size { rules, members: 0, family: Family::V4 };
        let mut scenario = Scenario::new(seed, none)?;
        let stage = Stage::new(&scenario)?;
        let bound = [(INTERFACE.to_owned(), HOST_DEVICE.to_owned())];
        let world = &mut scenario.world;
        for number in 0..LARGE_GROUP - 1 {
            put_member(world, number)?;
        }
        let fewer = desired(world, &bound, 1)?;
        // As a server tells it: what has not changed, both have in common.
        let mut more = fewer.clone();
        more.revision += 1;
        let members = more.members.values_mut().next().ok_or("nobody is a member")?;
        let groups = members.values().next().cloned().ok_or("nobody is a member")?;
        members.insert(Prefix::host(member(Family::V4, LARGE_GROUP - 1)), groups);
        let mut ours = Ours::new()?;
        stage.host.enter(|| ours.pass(&fewer))??;
        Ok(Self { ours, stage, wanted: [Arc::new(fewer), Arc::new(more)], turn: 0 })
    }

    /// Processor time of the pass that lets one member in, or out.
    ///
    /// # Errors
    /// When it is not enforced.
    pub fn change(&mut self) -> Result<Sample, String> {
        self.turn ^= 1;
        let Self { ours, stage, wanted, turn } = self;
        let wanted = wanted.get(*turn).ok_or("there are two states")?;
        let passed = stage.host.enter(|| {
            let (began, began_at) = (thread_time()?, Instant::now());
            let report = ours.agent().follow(wanted).ok_or("more differs than a member")?;
            let took = (thread_time()? - began, began_at.elapsed());
            if report.failed.is_empty() { Ok(took) } else { Err(format!("{report:?}")) }
        });
        let (work, whole) = passed??;
        Ok(Sample::from([
            ("agent_work_us", work.as_secs_f64() * 1e6),
            ("pass_us", whole.as_secs_f64() * 1e6),
        ]))
    }
}

fn put_member(world: &mut World, number: usize) -> Result<(), String> {
    let (name, address) = (format!("eni-m{number}"), member(Family::V4, number));
    put_interface(world, &name, None, &[address], &member_group(0))
}

/// A host of very many interfaces: how long until all are enforced, how long the kernel alone takes
/// to attach programs to their devices, and what the maps take.
///
/// # Errors
/// When one is not enforced.
pub fn cold(seed: u64, rules: usize, object: &Path) -> Result<Sample, String> {
    let namespace = Namespace::new()?;
    let pairs: Vec<String> = (0..INTERFACES / 2)
        .map(|pair| {
            let (one, other) = (2 * pair, 2 * pair + 1);
            format!("link add d{one} type veth peer name d{other}")
        })
        .collect();
    namespace.ip(&pairs.join("\n"))?;
    let (world, bound) = large_host(seed, rules)?;
    let wanted = desired(&world, &bound, 1)?;
    let attach_s = namespace.enter(|| attach_alone(object))??;
    let before = maps()?;
    let began = Instant::now();
    let mut ours = Ours::new()?;
    namespace.enter(|| ours.pass(&wanted))??;
    let all_s = began.elapsed().as_secs_f64();
    let _open = open_pinned(ours.instance())?;
    let made: Vec<MapCharge> = maps()?
        .into_iter()
        .filter(|(id, _)| !before.contains_key(id))
        .map(|(_, map)| map)
        .collect();
    let sum = |of_flows: bool| {
        made.iter().filter(|map| map.is_of_flows == of_flows).map(|map| map.bytes).sum::<f64>()
    };
    let (flows, others) = (sum(true), sum(false));
    let entries = made.iter().filter(|map| map.is_of_flows).map(|map| map.entries).sum();
    Ok(Sample::from([
        ("cold_s", all_s),
        ("attach_alone_s", attach_s),
        ("cold_beside_attach_s", all_s - attach_s),
        ("maps_mb", others / 1e6),
        ("flow_table_mb", flows / 1e6),
        ("flow_entries", entries),
    ]))
}

/// Interfaces that share a few policies, each of as many rules.
fn large_host(seed: u64, rules: usize) -> Result<(World, Vec<(String, String)>), String> {
    let none = Size { rules, members: 0, family: Family::V4 };
    let mut world = Scenario::new(seed, none)?.world;
    for policy in 0..POLICIES as u64 {
        let other = Scenario::new(seed + 1 + policy, none)?.world;
        let group = other.group(&id(GROUP)?).ok_or("no group")?;
        let id = id(&format!("sg-p{policy}"))?;
        world.put_group(Group { id, ..group.clone() });
    }
    let mut bound = Vec::new();
    for number in 0..INTERFACES {
        let name = format!("eni-d{number}");
        let address = IpAddr::V4(Ipv4Addr::from_bits(0xac20_0000 + number as u32));
        let [high, low] = (number as u16).to_be_bytes();
        let (mac, group) = ([2, 0, 0, 1, high, low], format!("sg-p{}", number % POLICIES));
        put_interface(&mut world, &name, Some(mac), &[address], &group)?;
        bound.push((name, format!("d{number}")));
    }
    Ok((world, bound))
}

/// Attaches programs that pass everything to all devices, both ways, and says how long it took.
fn attach_alone(object: &Path) -> Result<f64, String> {
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", object.display());
    let bytes = std::fs::read(object).map_err(|error| failed(&error))?;
    let mut ebpf = Ebpf::load(&bytes).map_err(|error| failed(&error))?;
    let [_, empty] = linear::PROGRAMS;
    let program = ebpf.program_mut(empty).ok_or("the object has no program")?;
    let program: &mut SchedClassifier = program.try_into().map_err(|e| failed(&e))?;
    program.load().map_err(|error| failed(&error))?;
    let began = Instant::now();
    for number in 0..INTERFACES {
        for hook in [TcAttachType::Ingress, TcAttachType::Egress] {
            let order = TcAttachOptions::TcxOrder(LinkOrder::default());
            program
                .attach_with_options(&format!("d{number}"), hook, order)
                .map_err(|error| failed(&error))?;
        }
    }
    Ok(began.elapsed().as_secs_f64())
}

/// Opens every map of an instance: the agent does not hold open what is mapped into its memory.
fn open_pinned(instance: &Instance) -> Result<Vec<MapData>, String> {
    let directory = instance.directory();
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", directory.display());
    let entries = std::fs::read_dir(directory).map_err(|error| failed(&error))?;
    let paths = entries.flatten().map(|entry| entry.path());
    let is_map = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("map_"))
    };
    let opened = paths.filter(is_map).map(MapData::from_pin);
    opened.collect::<Result<_, _>>().map_err(|error| failed(&error))
}

/// What the kernel charges for a map.
struct MapCharge {
    is_of_flows: bool,
    bytes: f64,
    entries: f64,
}

/// The maps that this process holds open, by the kernel's number for each.
fn maps() -> Result<BTreeMap<u64, MapCharge>, String> {
    let failed = |error: std::io::Error| format!("/proc/self/fdinfo: {error}");
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir("/proc/self/fdinfo").map_err(failed)?.flatten() {
        // One that has been closed meanwhile was no map.
        let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|value| value.trim().parse::<f64>().ok())
        };
        if let (Some(number), Some(bytes)) = (field("map_id:"), field("memlock:")) {
            let holds_flows = text.contains(FLOW_KEY);
            let is_of_flows = holds_flows || text.contains(PLACE);
            let entries = if holds_flows { field("max_entries:").unwrap_or_default() } else { 0.0 };
            found.insert(number as u64, MapCharge { is_of_flows, bytes, entries });
        }
    }
    Ok(found)
}
