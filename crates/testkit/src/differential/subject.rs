//! Who is judged: one interface in several states of its world, between which a sequence changes.
//!
//! Every state is a legal world; what the interface itself is (addresses, MAC, check) is the same
//! in all of them, so that a case can say it once.
use std::collections::BTreeSet;
use std::sync::Arc;

use portcullis_core::ids::{NetworkInterfaceId, SecurityGroupId};
use portcullis_core::net::{Mac, Ports};
use portcullis_core::rule::{Direction, Policy, Priority, Rule};
use portcullis_core::world::{GroupType, InnerAccess, Interface, World};

use crate::random::Random;
use crate::random_world::{WorldSize, random_world};

/// States of the world that a subject knows.
pub(super) const VARIANTS: usize = 4;
/// The MAC in frames where the world names none.
const SOME_MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);

/// One interface and the states of its world.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The interface.
    pub interface: NetworkInterfaceId,
    /// The states.
    pub worlds: Vec<World>,
}

impl Subject {
    /// The subject of a seed.
    pub fn random(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let size = match random.below(200) {
            0 => WorldSize::with_rules(300),
            _ => WorldSize {
                groups: random.between(2, 10),
                rules: random.below(60),
                interfaces: random.between(2, 12),
                lists: random.below(4),
                groups_per_interface: if random.chance(4) { 16 } else { 3 },
            },
        };
        let world = random_world(random.number(), size);
        let ids: Vec<_> = world.interfaces().map(|interface| interface.id.clone()).collect();
        let Some(interface) = random.pick(&ids).cloned() else {
            unreachable!("a world of at least two interfaces has one")
        };
        let mut worlds = vec![world];
        while worlds.len() < VARIANTS {
            let from = random.below(worlds.len());
            let mut world = worlds[from].clone();
            for _ in 0..random.between(1, 4) {
                change(&mut random, &mut world, &interface, worlds.len());
            }
            worlds.push(world);
        }
        Self { interface, worlds }
    }

    /// The interface in a state of the world.
    pub fn interface(&self, world: usize) -> &Interface {
        match self.worlds.get(world).and_then(|world| world.interface(&self.interface)) {
            Some(interface) => interface,
            None => unreachable!("the interface is in every state of its world"),
        }
    }

    /// The MAC that frames of the interface bear.
    pub fn mac(&self) -> Mac {
        self.interface(0).mac.unwrap_or(SOME_MAC)
    }
}

/// One change that somebody may make: of a rule, a list, a group or a membership.
fn change(random: &mut Random, world: &mut World, own: &NetworkInterfaceId, round: usize) {
    let Some(interface) = world.interface(own).cloned() else { return };
    let Some(group) = random.pick(&interface.groups).cloned() else { return };
    let others: Vec<_> = world.interfaces().filter(|other| other.id != *own).cloned().collect();
    let rules: Vec<Arc<Rule>> =
        world.group(&group).iter().flat_map(|group| group.rules.values().cloned()).collect();
    match (random.below(10), random.pick(&rules).cloned(), random.pick(&others).cloned()) {
        (0, Some(rule), _) => drop(world.remove_rule(&group, &rule.id)),
        (1, Some(rule), _) => {
            let mut copy = Rule::clone(&rule);
            let Ok(id) = format!("sgr-d{round}{}", random.below(1000)).parse() else { return };
            copy.id = id;
            copy.direction = random.one_of([Direction::Egress, Direction::Ingress]);
            copy.priority = Priority::new(random.one_of([1, 3, 100])).unwrap_or(copy.priority);
            world.put_rule(&group, Arc::new(copy));
        }
        (2..=4, Some(rule), _) => {
            let mut flipped = Rule::clone(&rule);
            flipped.policy = match rule.policy {
                Policy::Accept => Policy::Drop,
                Policy::Drop => Policy::Accept,
            };
            world.put_rule(&group, Arc::new(flipped));
        }
        (5, ..) => toggle_inner_access(world, &group),
        (6, ..) => change_lists(random, world),
        (7, _, Some(other)) => drop(world.remove_interface(&other.id)),
        (8, _, Some(other)) => regroup(random, world, other),
        (9, ..) => regroup(random, world, interface),
        _ => {}
    }
}

fn toggle_inner_access(world: &mut World, group: &SecurityGroupId) {
    let Some(mut group) = world.group(group).cloned() else { return };
    if group.group_type == GroupType::Basic {
        group.inner_access = match group.inner_access {
            InnerAccess::Accept => InnerAccess::Drop,
            InnerAccess::Drop => InnerAccess::Accept,
        };
        world.put_group(group);
    }
}

fn change_lists(random: &mut Random, world: &mut World) {
    let prefixes: Vec<_> = world.prefix_lists().cloned().collect();
    if let Some(mut list) = random.pick(&prefixes).cloned() {
        let gone = random.below(list.entries.len() + 1);
        if gone < list.entries.len() {
            list.entries.remove(gone);
        }
        world.put_prefix_list(list);
    }
    let ports: Vec<_> = world.port_range_lists().cloned().collect();
    if let Some(mut list) = random.pick(&ports).cloned() {
        list.entries.extend(Ports::range(80, 443));
        world.put_port_range_list(list);
    }
}

/// Puts an interface into other groups of its type and VPC.
fn regroup(random: &mut Random, world: &mut World, mut interface: Interface) {
    let group_type = interface.groups.first().and_then(|id| world.group(id)).map(|g| g.group_type);
    let fits: Vec<_> = world
        .groups()
        .filter(|g| Some(g.group_type) == group_type && g.vpc.as_ref() == Some(&interface.vpc))
        .map(|group| group.id.clone())
        .collect();
    let mut groups = BTreeSet::new();
    for _ in 0..random.between(1, 3) {
        groups.extend(random.pick(&fits).cloned());
    }
    if !groups.is_empty() {
        interface.groups = groups.into_iter().collect();
        world.put_interface(interface);
    }
}
