//! Passes against a kernel of memory that can die before any of its writes.
//!
//! After every single write each probe flow is judged by what the kernel holds at that moment. It
//! must say what the old world says or what the new one says; and whoever takes over from a dead
//! agent must arrive at the new one.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at its first surprise")]

mod memory;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;

use memory::{Memory, MemoryKernel, Shared, judge};
use portcullis_agent::attach;
use portcullis_agent::audit::Kind;
use portcullis_agent::device::{Device, Devices};
use portcullis_agent::installed::Installed;
use portcullis_agent::kernel::{SlotWord, TORN};
use portcullis_agent::ledger::{Ledger, LedgerFile};
use portcullis_agent::membership::MemberSets;
use portcullis_agent::pool::Pool;
use portcullis_agent::run::{Agent, Settings};
use portcullis_compile::members::MemberKey;
use portcullis_compile::numbers::Numbers;
use portcullis_core::evaluate::Evaluator;
use portcullis_core::flow::Flow;
use portcullis_core::host::{BoundInterface, Desired, IdleTimes, PolicyError};
use portcullis_core::ids::NetworkInterfaceId;
use portcullis_core::net::{Cidr, Family};
use portcullis_core::records::ConnectionTracking;
use portcullis_core::resolve::{ResolvedPeer, ResolvedRule, Resolver, Rules};
use portcullis_core::rule::Policy;
use portcullis_core::verdict::{DecidingRule, Judge, Reason};
use portcullis_core::world::World;
use portcullis_testkit::random::Random;
use portcullis_testkit::random_world::{WorldSize, random_flow, random_world};

const PROBES: usize = 40;

fn device_name(interface: &NetworkInterfaceId) -> String {
    format!("tap-{interface}")
}

/// Every interface of the world, bound to a device of its own.
fn desired(world: &World, revision: u64) -> Desired {
    let mut resolver = Resolver::new(world);
    let interfaces = world.interfaces().map(|interface| {
        Arc::new(BoundInterface {
            interface: interface.id.clone(),
            device: device_name(&interface.id).parse().unwrap(),
            policy: resolver.policy(&interface.id).ok_or(PolicyError::Dangling),
            idle_times: IdleTimes::new(ConnectionTracking::DEFAULT),
            flows_max: 1000,
        })
    });
    Desired::new(revision, interfaces.collect(), world)
}

/// An interface of a desired state, to be changed.
fn change(desired: &mut Desired, at: usize) -> &mut BoundInterface {
    Arc::make_mut(&mut desired.interfaces[at])
}

fn devices(world: &World) -> Vec<Device> {
    let device = |(index, id): (u32, &NetworkInterfaceId)| Device {
        index,
        name: device_name(id),
        is_up: true,
    };
    (10..).zip(world.interfaces().map(|i| &i.id)).map(device).collect()
}

fn all(devices: Vec<Device>) -> Devices {
    devices.into_iter().collect()
}

fn agent(kernel: MemoryKernel, directory: &Path) -> io::Result<Agent<MemoryKernel>> {
    let file = LedgerFile::new(directory)?;
    Agent::new(
        kernel,
        file,
        Settings { boot_id: "boot".into(), pick_up_s: 60, keep_established: false, check_s: 1 },
    )
}

fn probes(seed: u64, world: &World) -> Vec<Flow> {
    let mut random = Random::new(seed);
    (0..PROBES).filter_map(|_| random_flow(&mut random, world)).collect()
}

/// What a world says of each flow, at the device that has its interface.
fn verdicts(world: &World, flows: &[Flow]) -> Vec<(u32, Flow, (Policy, Reason))> {
    let mut evaluator = Evaluator::new(world);
    let devices = all(devices(world));
    let mut verdict = |flow: &Flow| {
        let device = devices.by_name(&device_name(flow.interface())).unwrap().index;
        let verdict = evaluator.judge(flow).unwrap();
        (device, flow.clone(), (verdict.policy, verdict.reason))
    };
    flows.iter().map(&mut verdict).collect()
}

fn assert_in_force(memory: &Memory, world: &World, flows: &[Flow]) {
    for (device, flow, expected) in verdicts(world, flows) {
        assert_eq!(judge(memory, device, &flow), Some(expected), "{flow:?}");
    }
}

/// The same groups and members with other rules.
fn with_other_rules(world: &World, seed: u64) -> World {
    let other = random_world(seed, WorldSize::SMALL);
    let mut new = world.clone();
    for group in world.groups() {
        let donor = other
            .group(&group.id)
            .filter(|donor| donor.vpc == group.vpc && donor.group_type == group.group_type);
        if let Some(donor) = donor {
            let (rules, inner_access) = (donor.rules.clone(), donor.inner_access);
            new.put_group(portcullis_core::world::Group { rules, inner_access, ..group.clone() });
        }
    }
    new
}

#[test]
fn a_kill_before_any_write_leaves_old_or_new_and_the_heir_arrives() {
    for seed in 0..4 {
        let old = random_world(seed, WorldSize::SMALL);
        let new = with_other_rules(&old, seed + 1_000_000);
        let flows = probes(seed, &old);
        assert_ne!(desired(&old, 1), desired(&new, 1));
        let mut dies_at = 0;
        while !survives(dies_at, &old, &new, &flows) {
            dies_at += 1;
        }
        assert!(dies_at > 10, "a change of rules takes more writes than {dies_at}");
    }
}

/// From `old` to `new` with a kill before write `dies_at`; false if there was one.
fn survives(dies_at: usize, old: &World, new: &World, flows: &[Flow]) -> bool {
    let directory = tempfile::tempdir().unwrap();
    let memory = Shared::default();
    let mut first = agent(MemoryKernel::new(&memory), directory.path()).unwrap();
    let report = first.pass(&desired(old, 1), &all(devices(old)));
    assert_eq!((report.revision, report.failed.len(), report.pending.len()), (1, 0, 0));
    assert_in_force(&memory.borrow(), old, flows);
    drop(first);

    let (before, after) = (verdicts(old, flows), verdicts(new, flows));
    let kernel = MemoryKernel::dying(
        &memory,
        dies_at,
        Box::new(move |memory| {
            for (old, new) in before.iter().zip(&after) {
                let now = judge(memory, old.0, &old.1);
                assert!(now == Some(old.2) || now == Some(new.2), "{:?}: {now:?}", old.1);
            }
        }),
    );
    let report = agent(kernel, directory.path())
        .map(|mut second| second.pass(&desired(new, 2), &all(devices(new))));
    let survived = report.is_ok_and(|report| report.failed.is_empty());

    let mut heir = agent(MemoryKernel::new(&memory), directory.path()).unwrap();
    let report = heir.pass(&desired(new, 2), &all(devices(new)));
    assert_eq!((report.revision, report.failed.len()), (2, 0), "{report:?}");
    assert_in_force(&memory.borrow(), new, flows);
    survived
}

#[test]
fn the_same_again_writes_nothing() {
    let world = random_world(7, WorldSize::SMALL);
    let directory = tempfile::tempdir().unwrap();
    let memory = Shared::default();
    let mut first = agent(MemoryKernel::new(&memory), directory.path()).unwrap();
    first.pass(&desired(&world, 1), &all(devices(&world)));
    let writes = memory.borrow().writes;
    first.pass(&desired(&world, 2), &all(devices(&world)));
    assert_eq!(memory.borrow().writes, writes);
    drop(first);
    let membership = memory.borrow().membership;
    // Nor does an heir, but that it has flows judged again, and tells the members' prefix lengths.
    let mut heir = agent(MemoryKernel::new(&memory), directory.path()).unwrap();
    let report = heir.pass(&desired(&world, 3), &all(devices(&world)));
    assert_eq!((report.revision, memory.borrow().writes), (3, 3));
    assert_eq!(memory.borrow().membership, membership + 1);
}

#[test]
fn a_settled_host_is_left_alone_until_something_differs() {
    let world = random_world(7, WorldSize::SMALL);
    let there = devices(&world);
    let directory = tempfile::tempdir().unwrap();
    let memory = Shared::default();
    let mut agent = agent(MemoryKernel::new(&memory), directory.path()).unwrap();
    assert!(!agent.is_settled(&all(there.clone())), "nothing was done yet");
    agent.pass(&desired(&world, 1), &all(there.clone()));
    assert!(agent.is_settled(&all(there.clone())));
    // News that change nothing wait for nobody, and news that do wait for packets under way.
    let barriers = memory.borrow().barriers;
    agent.pass(&desired(&world, 2), &all(there.clone()));
    assert_eq!(memory.borrow().barriers, barriers);
    agent.pass(&desired(&with_other_rules(&world, 1), 3), &all(there.clone()));
    assert_eq!(memory.borrow().barriers, barriers + 1);

    assert!(!agent.is_settled(&all(there[1..].to_vec())), "a device is gone");
    let (slot, word) = memory.borrow().slots.iter().map(|(s, w)| (*s, *w)).next().unwrap();
    memory.borrow_mut().slots.insert(slot, 0);
    assert!(!agent.is_settled(&all(there.clone())), "a slot was emptied");
    memory.borrow_mut().slots.insert(slot, word);
    memory.borrow_mut().attached.remove(&there[0].index);
    assert!(!agent.is_settled(&all(there.clone())), "a program was taken off");
    agent.pass(&desired(&with_other_rules(&world, 1), 3), &all(there.clone()));
    assert!(agent.is_settled(&all(there.clone())));

    memory.borrow_mut().refuses = Some(there[0].index);
    memory.borrow_mut().attached.remove(&there[0].index);
    agent.pass(&desired(&world, 4), &all(there.clone()));
    assert!(!agent.is_settled(&all(there.clone())), "what failed is tried again");
}

/// What others changed in the kernel is found, counted by its kind, and put right by one pass.
#[test]
fn what_others_changed_is_found_and_put_right() {
    type Change = fn(&mut Memory);
    let changes: [(Kind, Change); 8] = [
        (Kind::Devices, |memory| {
            memory.attached.pop_first();
        }),
        (Kind::Slots, |memory| memory.slots.values_mut().for_each(|word| *word = 0)),
        (Kind::Members, |memory| memory.members.clear()),
        (Kind::Members, |memory| {
            memory.members.pop_first();
        }),
        (Kind::Members, |memory| {
            let set = *memory.members.values().next().unwrap();
            let prefix = "192.0.2.1".parse::<Cidr>().unwrap().prefix();
            memory.members.insert(MemberKey { vpc: 99, prefix }, set);
        }),
        (Kind::Policies, |memory| memory.pool.iter_mut().for_each(|word| *word ^= 1)),
        (Kind::Policies, |memory| memory.pool.fill(0)),
        (Kind::Settings, |memory| memory.lengths.clear()),
    ];
    let world = random_world(11, WorldSize::SMALL);
    let (there, flows) = (all(devices(&world)), probes(11, &world));
    for (kind, change) in changes {
        let directory = tempfile::tempdir().unwrap();
        let memory = Shared::default();
        let mut agent = agent(MemoryKernel::new(&memory), directory.path()).unwrap();
        agent.pass(&desired(&world, 1), &there);
        assert!(!memory.borrow().members.is_empty());
        assert!(agent.is_settled(&there) && agent.audit(), "{kind:?}");
        change(&mut memory.borrow_mut());
        assert!(!(agent.is_settled(&there) && agent.audit()), "{kind:?} is not seen");
        let report = agent.pass(&desired(&world, 1), &there);
        assert_eq!(report.failed, BTreeMap::new(), "{kind:?}");
        assert_in_force(&memory.borrow(), &world, &flows);
        assert!(agent.is_settled(&there) && agent.audit(), "{kind:?}");
        for other in Kind::ALL {
            assert_eq!(agent.heals().of(other), u64::from(other == kind), "{other:?} at {kind:?}");
        }
    }
}

#[test]
fn without_its_ledger_an_agent_begins_closed_and_arrives() {
    let world = random_world(8, WorldSize::SMALL);
    let flows = probes(8, &world);
    let memory = Shared::default();
    for _ in 0..2 {
        let directory = tempfile::tempdir().unwrap();
        let mut agent = agent(MemoryKernel::new(&memory), directory.path()).unwrap();
        for (device, flow, _) in verdicts(&world, &flows) {
            assert_eq!(judge(&memory.borrow(), device, &flow), None);
        }
        agent.pass(&desired(&world, 1), &all(devices(&world)));
        assert_in_force(&memory.borrow(), &world, &flows);
    }
}

#[test]
fn an_interface_that_cannot_be_compiled_keeps_its_last_policy_and_fails_alone() {
    let world = random_world(10, WorldSize::SMALL);
    let flows = probes(10, &world);
    let directory = tempfile::tempdir().unwrap();
    let memory = Shared::default();
    let mut agent = agent(MemoryKernel::new(&memory), directory.path()).unwrap();
    agent.pass(&desired(&world, 1), &all(devices(&world)));

    let mut broken = desired(&world, 2);
    change(&mut broken, 0).policy = Err(PolicyError::Dangling);
    let report = agent.pass(&broken, &all(devices(&world)));
    let failed: Vec<_> = report.failed.into_keys().collect();
    assert_eq!(failed, [broken.interfaces[0].interface.clone()]);
    assert_in_force(&memory.borrow(), &world, &flows);
}

#[test]
fn a_new_interface_without_a_policy_is_closed() {
    let world = random_world(11, WorldSize::SMALL);
    let directory = tempfile::tempdir().unwrap();
    let memory = Shared::default();
    let mut agent = agent(MemoryKernel::new(&memory), directory.path()).unwrap();
    let mut broken = desired(&world, 1);
    for at in 0..broken.interfaces.len() {
        change(&mut broken, at).policy = Err(PolicyError::Dangling);
    }
    let report = agent.pass(&broken, &all(devices(&world)));
    assert_eq!(report.failed.len(), broken.interfaces.len());
    assert_eq!(memory.borrow().attached.len(), broken.interfaces.len());
    for (device, flow, _) in verdicts(&world, &probes(11, &world)) {
        assert_eq!(judge(&memory.borrow(), device, &flow), None);
    }
    assert!(agent.bindings(&all(devices(&world))).iter().all(|binding| binding.closed));
}

#[test]
fn an_unbound_interface_leaves_nothing() {
    let world = random_world(12, WorldSize::SMALL);
    let directory = tempfile::tempdir().unwrap();
    let memory = Shared::default();
    let mut agent = agent(MemoryKernel::new(&memory), directory.path()).unwrap();
    agent.pass(&desired(&world, 1), &all(devices(&world)));
    let nothing = Desired { revision: 2, interfaces: Vec::new(), members: BTreeMap::new() };
    let report = agent.pass(&nothing, &all(devices(&world)));
    assert_eq!((report.failed.len(), report.pending.len()), (0, 0));
    // Numbers of rules go after the last flow that could name them.
    agent.upkeep().unwrap();
    let memory = memory.borrow();
    assert!(memory.attached.is_empty() && memory.members.is_empty());
    assert!(memory.slots.values().all(|word| *word as u32 == 0));
    assert_eq!(agent.installed().unwrap().pool.used(), 0);
    assert_eq!(agent.numbers().rules().count(), 0);
}

#[test]
fn a_device_that_cannot_be_filtered_fails_its_interface_alone_and_is_tried_again() {
    let world = random_world(13, WorldSize::SMALL);
    let there = devices(&world);
    let directory = tempfile::tempdir().unwrap();
    let memory = Shared::default();
    let mut agent = agent(MemoryKernel::new(&memory), directory.path()).unwrap();
    memory.borrow_mut().refuses = Some(there[0].index);
    let report = agent.pass(&desired(&world, 1), &all(there.clone()));
    let failed: Vec<_> = report.failed.keys().map(device_name).collect();
    assert_eq!(failed, [there[0].name.clone()]);
    assert_eq!(memory.borrow().attached.len(), there.len() - 1);
    memory.borrow_mut().refuses = None;
    assert_eq!(agent.pass(&desired(&world, 1), &all(there.clone())).failed.len(), 0);
    assert_eq!(memory.borrow().attached.len(), there.len());
}

#[test]
fn devices_vanish_return_and_are_renamed() {
    let world = random_world(9, WorldSize::SMALL);
    let there = devices(&world);
    let directory = tempfile::tempdir().unwrap();
    let memory = Shared::default();
    let mut agent = agent(MemoryKernel::new(&memory), directory.path()).unwrap();
    let mut pass = |devices: Vec<Device>| {
        let report = agent.pass(&desired(&world, 1), &all(devices));
        (report.failed.len(), report.pending.len())
    };
    assert_eq!(pass(there.clone()), (0, 0));
    let attached = memory.borrow().attached.clone();
    let picked_up = |memory: &Memory| memory.pick_ups.values().filter(|until| **until > 0).count();
    assert_eq!(picked_up(&memory.borrow()), there.len());

    // Renamed: the index is still ours.
    let mut renamed = there.clone();
    renamed[0].name = "elsewhere".into();
    assert_eq!(pass(renamed.clone()), (0, 0));
    assert_eq!(memory.borrow().attached, attached);

    // Another device takes the old name meanwhile: it is not ours.
    renamed.push(Device { index: 99, name: there[0].name.clone(), is_up: true });
    assert_eq!(pass(renamed), (0, 0));
    assert!(!memory.borrow().attached.contains_key(&99));

    // Out of sight: as long as our programs stand there, they stay.
    assert_eq!(pass(there[1..].to_vec()), (0, 1));
    assert_eq!(memory.borrow().attached, attached);

    // Vanished: the kernel drops our programs with the device, but not what was kept of it.
    memory.borrow_mut().attached.insert(there[0].index, TORN);
    assert_eq!(pass(there[1..].to_vec()), (0, 1));
    assert!(!memory.borrow().attached.contains_key(&there[0].index));

    // Back under its name with another index.
    let mut back = there.clone();
    back[0].index = 200;
    assert_eq!(pass(back), (0, 0));
    assert_eq!(memory.borrow().attached.get(&200), attached.get(&there[0].index));
}

#[test]
fn a_device_that_is_half_taken_is_taken_whole() {
    let world = random_world(14, WorldSize::SMALL);
    let there = devices(&world);
    let directory = tempfile::tempdir().unwrap();
    let memory = Shared::default();
    let mut agent = agent(MemoryKernel::new(&memory), directory.path()).unwrap();
    agent.pass(&desired(&world, 1), &all(there.clone()));
    let attached = memory.borrow().attached.clone();
    memory.borrow_mut().attached.insert(there[0].index, TORN);
    agent.pass(&desired(&world, 1), &all(there.clone()));
    assert_eq!(memory.borrow().attached, attached);
}

/// By the index alone it could be anybody's; by what is left of ours it is the interface's.
#[test]
fn a_renamed_device_that_is_half_taken_is_taken_whole() {
    let world = random_world(14, WorldSize::SMALL);
    let mut there = devices(&world);
    let directory = tempfile::tempdir().unwrap();
    let memory = Shared::default();
    let mut agent = agent(MemoryKernel::new(&memory), directory.path()).unwrap();
    agent.pass(&desired(&world, 1), &all(there.clone()));
    let (attached, index) = (memory.borrow().attached.clone(), there[0].index);
    there[0].name = "elsewhere".into();
    memory.borrow_mut().attached.insert(index, TORN);
    memory.borrow_mut().halved.insert(index, attached[&index]);
    let report = agent.pass(&desired(&world, 1), &all(there.clone()));
    assert_eq!((report.failed.len(), report.pending.len()), (0, 0));
    assert_eq!(memory.borrow().attached, attached);

    // Nothing of ours is left, or what was led to another slot: another device may have the index.
    for led_to in [None, Some(attached[&index] + 1)] {
        memory.borrow_mut().attached.insert(index, TORN);
        memory.borrow_mut().halved.extend(led_to.map(|slot| (index, slot)));
        let report = agent.pass(&desired(&world, 1), &all(there.clone()));
        assert_eq!(report.pending.len(), 1);
        assert!(!memory.borrow().attached.contains_key(&index));
        memory.borrow_mut().attached = attached.clone();
    }
}

#[test]
fn a_new_interface_that_cannot_be_compiled_is_closed() {
    let world = random_world(15, WorldSize::SMALL);
    let flows = probes(15, &world);
    let directory = tempfile::tempdir().unwrap();
    let memory = Shared::default();
    let mut agent = agent(MemoryKernel::new(&memory), directory.path()).unwrap();
    let mut large = desired(&world, 1);
    let own = (0..200).step_by(2).map(|n| format!("192.0.2.{n}").parse::<Cidr>().unwrap().prefix());
    change(&mut large, 0).policy.as_mut().unwrap().addresses = own.collect();
    let report = agent.pass(&large, &all(devices(&world)));
    let failed: Vec<_> = report.failed.into_keys().collect();
    assert_eq!(failed, [large.interfaces[0].interface.clone()]);
    assert_eq!(memory.borrow().attached.len(), large.interfaces.len());
    let device = devices(&world)[0].index;
    for (of, flow, verdict) in verdicts(&world, &flows) {
        let expected = (of != device).then_some(verdict);
        assert_eq!(judge(&memory.borrow(), of, &flow), expected);
    }
}

#[test]
fn nothing_passes_at_the_device_of_an_interface_that_finds_no_place() {
    let world = random_world(16, WorldSize::SMALL);
    let (desired, devices) = (desired(&world, 1), all(devices(&world)));
    let plan = |slots: u32, pool_words: u32| {
        let mut installed = Installed {
            pool: Pool::new(pool_words),
            slots: BTreeMap::new(),
            members: MemberSets::default(),
            attached: BTreeMap::new(),
            halved: BTreeMap::new(),
        };
        let mut ledger = Ledger::new("boot", 1);
        let numbers = &mut Numbers::new();
        let plan = attach::decide(&desired, &devices, slots, &mut ledger, numbers, &mut installed);
        assert_eq!(plan.failed.len(), desired.interfaces.len());
        assert_eq!(plan.attach.len(), desired.interfaces.len());
        plan
    };
    let no_slots = plan(0, 1 << 16);
    assert!(no_slots.attach.iter().all(|(_, slot)| *slot == TORN));
    let no_words = plan(32, 4);
    let slots: Vec<u32> = no_words.attach.iter().map(|(_, slot)| *slot).collect();
    let nowhere = SlotWord { generation: 1, blob: 0 };
    assert_eq!(no_words.closed, slots.iter().map(|slot| (*slot, nowhere)).collect::<Vec<_>>());
}

/// The interfaces whose policies are in force in a pool of so many words, after the passes that
/// space which is freed on the way takes.
fn in_force(world: &World, pool_words: u32, flows: &[Flow]) -> BTreeSet<u32> {
    let directory = tempfile::tempdir().unwrap();
    let memory = Shared::default();
    memory.borrow_mut().pool = vec![0; pool_words as usize];
    let mut agent = agent(MemoryKernel::new(&memory), directory.path()).unwrap();
    let there = devices(world);
    let mut failed = BTreeSet::new();
    for _ in 0..3 {
        let report = agent.pass(&desired(world, 1), &all(there.clone()));
        assert!(report.failed.values().all(|why| why.contains("the policy pool of")), "{report:?}");
        failed = report.failed.keys().map(device_name).collect();
    }
    let works = there.iter().filter(|device| !failed.contains(&device.name));
    let works: BTreeSet<u32> = works.map(|device| device.index).collect();
    for (device, flow, verdict) in verdicts(world, flows) {
        let expected = works.contains(&device).then_some(verdict);
        assert_eq!(judge(&memory.borrow(), device, &flow), expected, "{flow:?}");
    }
    works
}

#[test]
fn what_does_not_fit_into_the_pool_fails_alone() {
    let world = random_world(19, WorldSize::SMALL);
    let flows = probes(19, &world);
    let every = devices(&world).len();
    let (mut least, mut enough) = (0, 1 << 18);
    while enough - least > 1 {
        let middle = (least + enough) / 2;
        let works = middle > 64 && in_force(&world, middle, &flows).len() == every;
        if works { enough = middle } else { least = middle }
    }
    let mut seen = BTreeSet::new();
    for eighth in 1..8 {
        seen.insert(in_force(&world, enough * eighth / 8, &flows).len());
    }
    let one_less = in_force(&world, enough - 1, &flows).len();
    println!("{enough} words for {every} interfaces; with less {seen:?} work, one less {one_less}");
    assert!(one_less > 0 && one_less < every);
    assert!(seen.iter().any(|works| *works > 0 && *works < every));
}

#[test]
fn members_beyond_the_host_s_limit_fail_those_alone_who_refer_to_groups() {
    let world = random_world(17, WorldSize::SMALL);
    let flows = probes(17, &world);
    let directory = tempfile::tempdir().unwrap();
    let memory = Shared::default();
    let mut agent = agent(MemoryKernel::new(&memory), directory.path()).unwrap();
    let mut wanted = desired(&world, 1);
    assert!(agent.pass(&wanted, &all(devices(&world))).failed.is_empty());
    let there = memory.borrow().members.len() as u32;
    memory.borrow_mut().member_limit = Some(there);
    assert!(agent.pass(&wanted, &all(devices(&world))).failed.is_empty());

    // One past it. A policy that refers to no group goes on being changed.
    let (_, members) = wanted.members.iter_mut().find(|(_, members)| !members.is_empty()).unwrap();
    let groups = members.values().next().unwrap().clone();
    members.insert("203.0.113.77".parse::<Cidr>().unwrap().prefix(), groups);
    let alone = change(&mut wanted, 0).policy.as_mut().unwrap();
    alone.intra_groups.clear();
    let of_groups = |r: &ResolvedRule| matches!(r.peer, ResolvedPeer::Group(_));
    for rules in [&mut alone.egress, &mut alone.ingress] {
        *rules = rules.iter().filter(|rule| !of_groups(rule)).cloned().collect::<Rules>();
    }
    let report = agent.pass(&wanted, &all(devices(&world)));
    assert!(!report.failed.is_empty() && report.failed.len() < wanted.interfaces.len());
    for (interface, why) in &report.failed {
        assert_ne!(interface, &wanted.interfaces[0].interface);
        assert_eq!(*why, format!("this host has room for {there} member addresses"));
    }
    assert_eq!(memory.borrow().members.len() as u32, there);
    let changed = devices(&world)[0].index;
    for (device, flow, verdict) in verdicts(&world, &flows).into_iter().filter(|v| v.0 != changed) {
        assert_eq!(judge(&memory.borrow(), device, &flow), Some(verdict), "{flow:?}");
    }

    memory.borrow_mut().member_limit = Some(there + 1);
    assert!(agent.pass(&wanted, &all(devices(&world))).failed.is_empty());
    assert_eq!(memory.borrow().members.len() as u32, there + 1);
}

#[test]
fn members_may_have_prefixes_of_every_length() {
    let world = random_world(17, WorldSize::SMALL);
    let directory = tempfile::tempdir().unwrap();
    let memory = Shared::default();
    let mut agent = agent(MemoryKernel::new(&memory), directory.path()).unwrap();
    let mut wide = desired(&world, 1);
    let group = wide
        .interfaces
        .iter()
        .find_map(|bound| bound.policy.as_ref().unwrap().referenced_groups().into_iter().next())
        .unwrap();
    let vpc = world.group(&group).unwrap().vpc.clone().unwrap();
    let members = wide.members.entry(vpc).or_default();
    for length in 0..=32 {
        let prefix = format!("192.0.2.1/{length}").parse::<Cidr>().unwrap().prefix();
        members.insert(prefix, [group.clone()].into());
    }
    for length in 0..=128 {
        let prefix = format!("2001:db9::1/{length}").parse::<Cidr>().unwrap().prefix();
        members.insert(prefix, [group.clone()].into());
    }
    let report = agent.pass(&wide, &all(devices(&world)));
    assert_eq!(report.failed, BTreeMap::new());
    let lengths = |family| memory.borrow().lengths.get(&family).map(Vec::len);
    assert_eq!([Family::V4, Family::V6].map(lengths), [Some(33), Some(129)]);
}

#[test]
fn a_refused_device_fails_the_interface_that_has_it_now() {
    let world = random_world(18, WorldSize::SMALL);
    let there = devices(&world);
    let directory = tempfile::tempdir().unwrap();
    let memory = Shared::default();
    let mut agent = agent(MemoryKernel::new(&memory), directory.path()).unwrap();
    agent.pass(&desired(&world, 1), &all(there.clone()));
    let mut moved = desired(&world, 2);
    change(&mut moved, 0).device = "elsewhere".parse().unwrap();
    change(&mut moved, 1).device = there[0].name.parse().unwrap();
    memory.borrow_mut().refuses = Some(there[0].index);
    let report = agent.pass(&moved, &all(there));
    let failed: Vec<_> = report.failed.into_keys().collect();
    assert_eq!(failed, [moved.interfaces[1].interface.clone()]);
}

#[test]
fn a_kill_while_an_interface_is_let_go_leaves_nothing_to_the_heir() {
    let world = random_world(19, WorldSize::SMALL);
    let nothing = Desired { revision: 2, interfaces: Vec::new(), members: BTreeMap::new() };
    for dies_at in 0.. {
        let directory = tempfile::tempdir().unwrap();
        let memory = Shared::default();
        let mut first = agent(MemoryKernel::new(&memory), directory.path()).unwrap();
        first.pass(&desired(&world, 1), &all(devices(&world)));
        drop(first);
        let dying = MemoryKernel::dying(&memory, dies_at, Box::new(|_| ()));
        let mut second = agent(dying, directory.path()).unwrap();
        second.pass(&nothing, &all(devices(&world)));
        let survived = second.installed().is_some();
        drop(second);
        let mut heir = agent(MemoryKernel::new(&memory), directory.path()).unwrap();
        heir.pass(&nothing, &all(devices(&world)));
        assert!(memory.borrow().slots.values().all(|word| *word as u32 == 0), "{dies_at}");
        assert!(memory.borrow().attached.is_empty() && memory.borrow().members.is_empty());
        assert_eq!(heir.installed().unwrap().pool.used(), 0, "{dies_at}");
        if survived {
            assert!(dies_at > 5, "{dies_at}");
            return;
        }
    }
}

#[test]
fn a_slot_whose_words_make_no_sense_is_closed_before_they_are_overwritten() {
    let world = random_world(20, WorldSize::SMALL);
    let directory = tempfile::tempdir().unwrap();
    let memory = Shared::default();
    let mut first = agent(MemoryKernel::new(&memory), directory.path()).unwrap();
    first.pass(&desired(&world, 1), &all(devices(&world)));
    drop(first);
    let slot = memory.borrow().attached[&devices(&world)[0].index];
    let word = memory.borrow().slots[&slot];
    let stray = *memory.borrow().members.keys().next().unwrap();
    {
        let mut memory = memory.borrow_mut();
        let set = memory.members[&stray];
        memory.pool[word as u32 as usize - 1] = 0;
        memory.pool[set as usize - 1] = 0;
    }
    let pool = memory.borrow().pool.clone();
    let watcher = move |memory: &Memory| {
        assert!(memory.slots[&slot] != word || memory.pool == pool);
    };
    let mut without_members = desired(&world, 2);
    without_members.members.clear();
    let kernel = MemoryKernel::dying(&memory, usize::MAX, Box::new(watcher));
    let mut heir = agent(kernel, directory.path()).unwrap();
    let report = heir.pass(&without_members, &all(devices(&world)));
    assert_eq!(report.failed.len(), 0);
    assert!(!memory.borrow().members.contains_key(&stray));
    assert_ne!(memory.borrow().slots[&slot], word);
}

#[test]
fn an_interface_that_fails_keeps_nobody_s_rule_counters_but_its_own() {
    let old = random_world(21, WorldSize::SMALL);
    let new = with_other_rules(&old, 1_000_021);
    let directory = tempfile::tempdir().unwrap();
    let memory = Shared::default();
    let mut agent = agent(MemoryKernel::new(&memory), directory.path()).unwrap();
    let mut live = BTreeSet::new();
    agent.pass(&desired(&old, 1), &all(devices(&old)));
    live.extend(rules(&desired(&old, 1).interfaces[..1]));
    let mut broken = desired(&new, 2);
    change(&mut broken, 0).policy = Err(PolicyError::Dangling);
    let report = agent.pass(&broken, &all(devices(&old)));
    assert_eq!(report.failed.len(), 1);
    live.extend(rules(&broken.interfaces));
    agent.upkeep().unwrap();
    let numbered: BTreeSet<_> = agent.numbers().rules().map(|(_, rule)| rule.clone()).collect();
    assert_eq!(numbered, live);
    assert!(rules(&desired(&old, 1).interfaces).any(|rule| !live.contains(&rule)));
}

fn rules(interfaces: &[Arc<BoundInterface>]) -> impl Iterator<Item = DecidingRule> {
    interfaces
        .iter()
        .filter_map(|bound| bound.policy.as_ref().ok())
        .flat_map(|policy| policy.all_rules())
        .map(|rule| DecidingRule { group: rule.group.clone(), rule: rule.rule.id.clone() })
}
