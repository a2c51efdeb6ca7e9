//! Groups as peers, membership that changes under traffic, and what members owe each other.

use super::{PACE, PATIENCE, check, scenes};
use portcullis_testkit::lab::pulse::Pulse;
use std::net::SocketAddr;
use std::time::Instant;

#[test]
fn a_group_is_its_members() {
    check(
        "group a
         group b
         group c
         instance a in a
         instance b in b
         instance c in c
         closed = a egress drop all to anywhere priority 100
         to-b = a egress accept tcp 5432/5432 to group:b
         from-a = b ingress accept tcp 5432/5432 from group:a
         a tcp b:5432 -> passes; a egress rule to-b; b ingress rule from-a
         a tcp b:5433 -> dropped; a egress rule closed
         a tcp c:5432 -> dropped; a egress rule closed
         c tcp b:5432 -> dropped; c egress default; b ingress default
         b tcp a:5432 -> dropped; b egress default; a ingress default
         a tcp b6:5432 -> passes; a egress rule to-b; b ingress rule from-a",
    );
}

#[test]
fn members_reach_each_other_whatever_the_rules_say() {
    check(
        "group a
         instance a in a
         instance b in a
         closed = a egress drop all to anywhere
         shut = a ingress drop all from anywhere
         a tcp b:80 -> passes; a egress intra-group; b ingress intra-group
         b ping a -> passes; b egress intra-group; a ingress intra-group
         a tcp outside:80 -> dropped; a egress rule closed
         inner a drop
         a tcp b:80 -> dropped; a egress rule closed
         inner a accept
         a udp b:80 -> passes; a egress intra-group; b ingress intra-group",
    );
}

#[test]
fn joining_and_leaving_take_effect_under_traffic() {
    for mut scene in scenes() {
        scene
            .play(
                "group a
             group b
             group allowed
             instance a in a
             instance b in b
             closed = a egress drop all to anywhere priority 100
             out = a egress accept udp 1/65535 to group:allowed
             in = b ingress accept udp 7000/7000 from group:a",
            )
            .unwrap();
        let address = |name: &str, port| {
            let (namespace, address) = scene.place(name).unwrap();
            (namespace, SocketAddr::new(address, port))
        };
        let watched = Pulse::start(address("a", 4000), address("b", 7000), PACE).unwrap();
        let unrelated = Pulse::start(address("b", 4001), address("outside", 7001), PACE).unwrap();
        watched.await_sent(30, PATIENCE).unwrap();
        assert_eq!(watched.received(), 0);
        let mut shut = Vec::new();
        for _ in 0..3 {
            scene.play("b joins allowed").unwrap();
            watched.await_received(30, PATIENCE).unwrap();
            scene.play("b leaves allowed").unwrap();
            let from = Instant::now();
            watched.await_sent(30, PATIENCE).unwrap();
            shut.push((from, Instant::now()));
        }
        let beats = watched.stop().unwrap();
        for (from, to) in shut {
            let through = beats.iter().filter(|beat| beat.received.is_some() && beat.sent > from);
            let through = through.filter(|beat| beat.sent < to).count();
            assert_eq!(through, 0, "after the group was left");
        }
        let beats = unrelated.stop().unwrap();
        assert!(beats.len() > 100);
        assert!(beats.iter().all(|beat| beat.received.is_some()), "unrelated traffic lost packets");
    }
}
