//! Passes that follow another and look at nothing but what is desired otherwise since: what they
//! leave in the kernel is what a cold pass leaves, whatever the sequence; a kill on the way leaves
//! the old or the new.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at its first surprise")]

mod memory;

use std::path::Path;
use std::sync::Arc;

use memory::{Memory, MemoryKernel, Shared, judge};
use portcullis_agent::device::{Device, Devices};
use portcullis_agent::ledger::LedgerFile;
use portcullis_agent::run::{Agent, Settings};
use portcullis_core::evaluate::Evaluator;
use portcullis_core::flow::Flow;
use portcullis_core::host::{BoundInterface, Desired, IdleTimes, Members, PolicyError};
use portcullis_core::ids::{NetworkInterfaceId, SecurityGroupId};
use portcullis_core::net::Prefix;
use portcullis_core::records::ConnectionTracking;
use portcullis_core::resolve::Resolver;
use portcullis_core::rule::Policy;
use portcullis_core::verdict::{Judge, Reason};
use portcullis_core::world::{Group, InnerAccess, Interface, World};
use portcullis_testkit::random::Random;
use portcullis_testkit::random_world::{WorldSize, random_flow, random_world};

const PROBES: usize = 30;
const STEPS: u64 = 12;

fn device_name(interface: &NetworkInterfaceId) -> String {
    format!("tap-{interface}")
}

/// The interfaces of even number, bound to devices of their own; the others are members elsewhere.
fn bound(world: &World) -> Vec<&Interface> {
    world.interfaces().step_by(2).collect()
}

fn devices(world: &World) -> Devices {
    let device = |(index, interface): (u32, &Interface)| Device {
        index,
        name: device_name(&interface.id),
        is_up: true,
    };
    (10..).zip(bound(world)).map(device).collect()
}

fn desired(world: &World, revision: u64) -> Desired {
    let mut resolver = Resolver::new(world);
    let interfaces = bound(world).into_iter().map(|interface| {
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

/// The same with all that has not changed in common with an earlier one, as a server tells it that
/// works out differences alone.
fn in_common(before: &Desired, mut now: Desired) -> Desired {
    for (before, after) in before.interfaces.iter().zip(&mut now.interfaces) {
        if before == after {
            *after = Arc::clone(before);
        }
    }
    for (vpc, now) in &mut now.members {
        let mut members = before.members.get(vpc).cloned().unwrap_or_default();
        let mut changes: Vec<(Prefix, Option<Arc<[SecurityGroupId]>>)> = Vec::new();
        members.differences(now, |prefix, _, after| changes.push((*prefix, after.cloned())));
        for (prefix, groups) in changes {
            match groups {
                Some(groups) => members.insert(prefix, groups),
                None => members.remove(&prefix),
            };
        }
        *now = members;
    }
    now
}

fn agent(kernel: MemoryKernel, directory: &Path) -> Agent<MemoryKernel> {
    let settings =
        Settings { boot_id: "boot".into(), pick_up_s: 60, keep_established: false, check_s: 1 };
    Agent::new(kernel, LedgerFile::new(directory).unwrap(), settings).unwrap()
}

/// Some group has other rules, or is open to its members or not.
fn change_rules(random: &mut Random, world: &mut World) {
    let groups: Vec<Group> = world.groups().cloned().collect();
    let donors = random_world(random.below(1 << 30) as u64, WorldSize::SMALL);
    let Some(group) = random.pick(&groups) else { return };
    let alike = |donor: &&Group| donor.vpc == group.vpc && donor.group_type == group.group_type;
    let Some(donor) = donors.group(&group.id).filter(alike) else { return };
    let (rules, inner_access) = (donor.rules.clone(), donor.inner_access);
    world.put_group(Group { rules, inner_access, ..group.clone() });
}

/// Some interface is in other groups of its kind.
fn change_membership(random: &mut Random, world: &mut World) {
    let interfaces: Vec<Interface> = world.interfaces().cloned().collect();
    let Some(interface) = random.pick(&interfaces) else { return };
    let kind = world.group(&interface.groups[0]).map(|group| group.group_type);
    let alike = |group: &&Group| {
        group.vpc.as_ref() == Some(&interface.vpc) && Some(group.group_type) == kind
    };
    let mut groups: Vec<_> = world.groups().filter(alike).map(|group| group.id.clone()).collect();
    groups.retain(|_| random.chance(50));
    if !groups.is_empty() {
        world.put_interface(Interface { groups, ..interface.clone() });
    }
}

fn probes(random: &mut Random, world: &World) -> Vec<Flow> {
    let is_bound = |flow: &Flow| bound(world).iter().any(|i| i.id == *flow.interface());
    (0..PROBES * 4).filter_map(|_| random_flow(random, world)).filter(is_bound).collect()
}

fn verdict(world: &World, flow: &Flow) -> (u32, (Policy, Reason)) {
    let device = devices(world).by_name(&device_name(flow.interface())).unwrap().index;
    let verdict = Evaluator::new(world).judge(flow).unwrap();
    (device, (verdict.policy, verdict.reason))
}

fn assert_in_force(memory: &Memory, world: &World, flows: &[Flow]) {
    for flow in flows {
        let (device, expected) = verdict(world, flow);
        assert_eq!(judge(memory, device, flow), Some(expected), "{flow:?}");
    }
}

#[test]
fn a_sequence_of_differences_leaves_what_a_cold_pass_leaves() {
    for seed in 0..40 {
        let mut random = Random::new(seed);
        let mut world = random_world(seed, WorldSize::SMALL);
        let there = devices(&world);
        let directory = tempfile::tempdir().unwrap();
        let memory = Shared::default();
        let mut agent = self::agent(MemoryKernel::new(&memory), directory.path());
        let mut last = Arc::new(desired(&world, 0));
        assert!(agent.follow(&last).is_none(), "nothing to follow");
        assert!(agent.pass(&last, &there).failed.is_empty());
        for revision in 1..=STEPS {
            for _ in 0..random.between(1, 3) {
                if random.chance(60) {
                    change_membership(&mut random, &mut world);
                } else {
                    change_rules(&mut random, &mut world);
                }
            }
            let next = desired(&world, revision);
            let shares = random.chance(80);
            last = Arc::new(if shares { in_common(&last, next) } else { next });
            let report = agent.follow(&last).expect("the same interfaces at the same devices");
            assert_eq!((report.revision, report.failed.len()), (revision, 0), "{report:?}");
            assert_in_force(&memory.borrow(), &world, &probes(&mut random, &world));
            assert!(agent.is_settled(&there) && agent.audit(), "step {revision} of {seed}");
        }
        // Whoever begins cold finds nothing to change.
        let used = agent.installed().unwrap().pool.used();
        drop(agent);
        let before = left(&memory.borrow());
        let mut heir = self::agent(MemoryKernel::new(&memory), directory.path());
        assert!(heir.pass(&last, &there).failed.is_empty());
        assert_eq!(left(&memory.borrow()), before, "seed {seed}");
        assert_eq!(heir.installed().unwrap().pool.used(), used, "seed {seed}");
    }
}

/// What decides, but for the words of the pool: slots name them by place.
fn left(memory: &Memory) -> impl PartialEq + std::fmt::Debug + use<> {
    (memory.slots.clone(), memory.members.clone(), memory.lengths.clone(), memory.attached.clone())
}

#[test]
fn one_member_more_is_one_write_whoever_else_there_is() {
    let world = random_world(3, WorldSize::SMALL);
    let directory = tempfile::tempdir().unwrap();
    let memory = Shared::default();
    let mut agent = agent(MemoryKernel::new(&memory), directory.path());
    let mut next = desired(&world, 1);
    agent.pass(&next, &devices(&world));
    let (writes, barriers) = (memory.borrow().writes, memory.borrow().barriers);
    let members: &mut Members = next.members.values_mut().find(|all| !all.is_empty()).unwrap();
    let groups = members.values().next().unwrap().clone();
    members.insert(Prefix::host("192.0.2.77".parse().unwrap()), groups);
    next.revision = 2;
    assert!(agent.follow(&Arc::new(next)).unwrap().failed.is_empty());
    // The member, the number of the members' state, and both families' lengths before and after.
    assert_eq!(memory.borrow().writes - writes, 1 + 1 + 4);
    assert_eq!(memory.borrow().barriers - barriers, 1);
}

#[test]
fn what_a_difference_does_not_cover_is_left_to_a_whole_pass() {
    type Change = fn(&mut Desired);
    let changes: [(&str, Change); 4] = [
        ("an interface is gone", |desired| drop(desired.interfaces.pop())),
        ("an interface comes", |desired| {
            let mut more = (*desired.interfaces[0]).clone();
            more.interface = "eni-more".parse().unwrap();
            desired.interfaces.push(Arc::new(more));
        }),
        ("another device", |desired| {
            Arc::make_mut(&mut desired.interfaces[0]).device = "elsewhere".parse().unwrap();
        }),
        ("another interface at the device", |desired| {
            Arc::make_mut(&mut desired.interfaces[0]).interface = "eni-another".parse().unwrap();
        }),
    ];
    let world = random_world(4, WorldSize::SMALL);
    for (what, change) in changes {
        let directory = tempfile::tempdir().unwrap();
        let memory = Shared::default();
        let mut agent = agent(MemoryKernel::new(&memory), directory.path());
        agent.pass(&desired(&world, 1), &devices(&world));
        let writes = memory.borrow().writes;
        let mut next = desired(&world, 2);
        change(&mut next);
        assert_eq!(agent.follow(&Arc::new(next)), None, "{what}");
        assert_eq!(memory.borrow().writes, writes, "{what}");
        assert!(agent.follow(&Arc::new(desired(&world, 3))).is_some(), "{what}: as it was");
    }
}

/// A policy that fails is left to the next look, which looks at everything.
#[test]
fn after_a_failure_nothing_is_followed() {
    let world = random_world(5, WorldSize::SMALL);
    let directory = tempfile::tempdir().unwrap();
    let memory = Shared::default();
    let mut agent = agent(MemoryKernel::new(&memory), directory.path());
    agent.pass(&desired(&world, 1), &devices(&world));
    let mut broken = desired(&world, 2);
    Arc::make_mut(&mut broken.interfaces[0]).policy = Err(PolicyError::Dangling);
    let report = agent.follow(&Arc::new(broken.clone())).unwrap();
    assert_eq!(report.failed.keys().collect::<Vec<_>>(), [&broken.interfaces[0].interface]);
    assert!(!agent.is_settled(&devices(&world)));
    assert_eq!(agent.follow(&Arc::new(desired(&world, 3))), None);
    assert!(agent.pass(&desired(&world, 3), &devices(&world)).failed.is_empty());
    assert!(agent.follow(&Arc::new(desired(&world, 4))).is_some());
}

/// The old rules with members as they are, and others.
fn other_rules(seed: u64, world: &World) -> World {
    let (mut random, mut new) = (Random::new(seed), world.clone());
    (0..20).for_each(|_| change_rules(&mut random, &mut new));
    // Whoever is let in by membership alone stays so: else a flow may be judged by neither.
    for group in world.groups() {
        let rules = new.group(&group.id).unwrap().rules.clone();
        let inner_access = InnerAccess::Drop;
        new.put_group(Group { rules, inner_access, ..group.clone() });
    }
    new
}

#[test]
fn a_kill_on_the_way_leaves_old_or_new_and_the_next_pass_arrives() {
    for seed in 0..3 {
        let old = other_rules(seed, &random_world(seed, WorldSize::SMALL));
        let new = other_rules(seed + 100, &old);
        assert_ne!(desired(&old, 1), desired(&new, 1));
        let flows = probes(&mut Random::new(seed), &old);
        let mut dies_at = 0;
        while !survives(dies_at, &old, &new, &flows) {
            dies_at += 1;
        }
        assert!(dies_at > 10, "a change of rules takes more writes than {dies_at}");
    }
}

/// From `old` to `new` with a kill before a write; false if there was one.
fn survives(dies_at: usize, old: &World, new: &World, flows: &[Flow]) -> bool {
    let directory = tempfile::tempdir().unwrap();
    let memory = Shared::default();
    agent(MemoryKernel::new(&memory), directory.path()).pass(&desired(old, 1), &devices(old));
    let both = |flow: &Flow| (flow.clone(), verdict(old, flow), verdict(new, flow).1);
    let both: Vec<_> = flows.iter().map(both).collect();
    let watcher = move |memory: &Memory| {
        for (flow, (device, before), after) in &both {
            let now = judge(memory, *device, flow);
            assert!(now == Some(*before) || now == Some(*after), "{flow:?}: {now:?}");
        }
    };
    let kernel = MemoryKernel::dying(&memory, dies_at, Box::new(watcher));
    let mut second = agent(kernel, directory.path());
    second.pass(&desired(old, 1), &devices(old));
    let report = second.follow(&Arc::new(desired(new, 2)));
    let survived = report.is_some_and(|report| report.failed.is_empty());
    drop(second);
    let mut heir = agent(MemoryKernel::new(&memory), directory.path());
    assert!(heir.pass(&desired(new, 2), &devices(new)).failed.is_empty());
    assert_in_force(&memory.borrow(), new, flows);
    survived
}
