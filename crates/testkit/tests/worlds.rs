//! A world's indexes after any changes are those of a world made anew, and its resolution leaves
//! out no rule.
#![allow(clippy::unwrap_used, clippy::panic)] // All of this is test code.

use std::collections::BTreeSet;

use portcullis_core::net::Prefix;
use portcullis_core::resolve::{ResolvedPeer, interface_policy};
use portcullis_core::rule::{Direction, Peer, Policy};
use portcullis_core::world::{Interface, World};
use portcullis_testkit::random::Random;
use portcullis_testkit::random_world::{WorldSize, random_world};

/// Puts everything of a world but its interfaces into a new one, then these interfaces.
fn rebuilt(world: &World, interfaces: &[Interface]) -> World {
    let mut anew = World::new();
    world.groups().for_each(|group| anew.put_group(group.clone()));
    world.prefix_lists().for_each(|list| anew.put_prefix_list(list.clone()));
    world.port_range_lists().for_each(|list| anew.put_port_range_list(list.clone()));
    interfaces.iter().for_each(|interface| anew.put_interface(interface.clone()));
    anew
}

/// Whose address it is, by looking at everybody.
fn owner_by_search<'w>(world: &'w World, at: &Interface, prefix: Prefix) -> Option<&'w Interface> {
    let mut owners = world.interfaces().filter(|i| i.vpc == at.vpc && i.owns(prefix.address()));
    let owner = owners.next();
    assert!(owners.next().is_none(), "an address of two");
    owner
}

#[test]
fn indexes_depend_on_where_a_world_is_and_not_on_how_it_came_there() {
    for seed in 0..100 {
        let whole = random_world(seed, WorldSize { interfaces: 20, ..WorldSize::SMALL });
        let all: Vec<Interface> = whole.interfaces().cloned().collect();
        let mut random = Random::new(seed);
        let mut world = whole.clone();
        for _ in 0..60 {
            let interface = random.pick(&all).unwrap();
            match random.below(3) {
                0 => drop(world.remove_interface(&interface.id)),
                1 => world.put_interface(interface.clone()),
                _ => {
                    // The same interface with half of its addresses and one of its groups.
                    let mut less = interface.clone();
                    less.addresses.truncate(less.addresses.len().div_ceil(2));
                    less.groups.truncate(1);
                    world.put_interface(less);
                }
            }
        }
        let now: Vec<Interface> = world.interfaces().cloned().collect();
        assert_eq!(world, rebuilt(&world, &now), "seed {seed}");
        for interface in &all {
            for prefix in &interface.addresses {
                let found = world.owner(&interface.vpc, prefix.address());
                let expected = owner_by_search(&world, interface, *prefix);
                assert_eq!(found, expected, "seed {seed}: {prefix}");
            }
        }
        for group in world.groups() {
            let members: BTreeSet<_> = world.members(&group.id).map(|i| i.id.clone()).collect();
            let in_it = world.interfaces().filter(|i| i.groups.contains(&group.id));
            let expected: BTreeSet<_> = in_it.map(|i| i.id.clone()).collect();
            assert_eq!((world.member_count(&group.id), &members), (expected.len(), &expected));
        }
    }
}

#[test]
fn resolution_has_every_rule_once_in_order_with_its_lists_filled_in() {
    for seed in 0..200 {
        let world = random_world(seed, WorldSize::SMALL);
        for interface in world.interfaces() {
            let policy = interface_policy(&world, &interface.id).unwrap();
            let groups = interface.groups.iter().map(|id| world.group(id).unwrap());
            let expected: BTreeSet<_> = groups.flat_map(|g| g.rules.keys().cloned()).collect();
            let resolved = || policy.all_rules();
            let found: BTreeSet<_> = resolved().map(|r| r.rule.id.clone()).collect();
            assert_eq!((resolved().count(), &found), (expected.len(), &expected), "seed {seed}");
            for direction in [Direction::Egress, Direction::Ingress] {
                let rules = policy.rules(direction);
                assert!(rules.iter().all(|r| r.rule.direction == direction));
                for (first, second) in rules.iter().zip(rules.iter().skip(1)) {
                    let key = |r: &portcullis_core::rule::Rule| {
                        let is_accept = r.policy == Policy::Accept;
                        (r.priority.number(), is_accept, r.id.to_string())
                    };
                    assert!(key(&first.rule) < key(&second.rule), "seed {seed}");
                }
            }
            for rule in resolved() {
                let expected = match &rule.rule.peer {
                    Peer::Cidr(cidr) => ResolvedPeer::Prefixes(vec![cidr.prefix()]),
                    Peer::Group(group) => ResolvedPeer::Group(group.clone()),
                    Peer::PrefixList(list) => {
                        let list = world.prefix_list(list).unwrap();
                        ResolvedPeer::Prefixes(list.entries.iter().map(|c| c.prefix()).collect())
                    }
                };
                assert_eq!(rule.peer, expected);
                assert!(world.group(&rule.group).unwrap().rules.contains_key(&rule.rule.id));
            }
            let named = policy.referenced_groups();
            let peers = resolved().filter_map(|r| match &r.rule.peer {
                Peer::Group(group) => Some(group),
                Peer::Cidr(_) | Peer::PrefixList(_) => None,
            });
            assert!(peers.chain(&policy.intra_groups).all(|group| named.contains(group)));
        }
    }
}
