//! Prefix lists and port range lists that rules name: their entries decide what packets may do,
//! from the answer to the change on, and a list that is named cannot go.

use super::{PACE, PATIENCE, scenes};
use portcullis_testkit::lab::pulse::Pulse;
use portcullis_testkit::lab::scene::Scene;
use std::net::SocketAddr;
use std::time::Instant;

/// The ids of the resources that an answer lists as naming a list.
fn naming(scene: &Scene, action: &str, parameter: &str, list: &str) -> Vec<String> {
    let id = scene.estate.list(list).unwrap();
    let answer = scene.estate.client.call(action, &[(parameter, id)]).unwrap().body;
    let rows = match parameter {
        "PrefixListId" => &answer["PrefixListAssociations"]["PrefixListAssociation"],
        _ => &answer["PortRangeListAssociations"],
    };
    let rows = rows.as_array().unwrap_or_else(|| panic!("{answer}"));
    rows.iter().map(|row| row["ResourceId"].as_str().unwrap().to_owned()).collect()
}

/// The code with which a call is refused.
fn refused(scene: &Scene, action: &str, parameters: &[(&str, &str)]) -> String {
    scene.estate.client.call(action, parameters).unwrap_err()
}

#[test]
fn the_entries_of_a_prefix_list_decide_what_packets_may_do() {
    for mut scene in scenes() {
        scene.estate.create_prefix_list("partners", &["198.51.100.0/24"]).unwrap();
        scene.estate.create_prefix_list("six", &["2001:db8:51::/64"]).unwrap();
        scene
            .play(
                "group a
                 instance a in a
                 closed = a egress drop all to anywhere priority 100
                 shut = a egress drop all to anywhere6 priority 100
                 web = a egress accept tcp 80/80 to prefix:partners
                 in = a ingress accept udp 53/53 from prefix:partners
                 echo = a egress accept icmpv6 to prefix:six
                 a tcp outside:80 -> passes; a egress rule web
                 a tcp other:80 -> passes; a egress rule web
                 a tcp far:80 -> dropped; a egress rule closed
                 outside udp a:53 -> passes; a ingress rule in
                 far udp a:53 -> dropped; a ingress default
                 a ping outside6 -> passes; a egress rule echo
                 a ping far6 -> dropped; a egress rule shut",
            )
            .unwrap();
        let address = |name: &str| scene.estate.address(name).unwrap().to_string();
        let (outside, far, far6) = (address("outside"), address("far"), address("far6"));

        // One call: the block goes, a part of it and another come.
        let added = [format!("{outside}/32"), format!("{far}/32")];
        let added: Vec<&str> = added.iter().map(String::as_str).collect();
        scene.estate.modify_prefix_list("partners", &added, &["198.51.100.0/24"]).unwrap();
        scene.estate.modify_prefix_list("six", &[&format!("{far6}/128")], &[]).unwrap();
        scene
            .play(
                "a tcp outside:80 -> passes; a egress rule web
                 a tcp other:80 -> dropped; a egress rule closed
                 a tcp far:80 -> passes; a egress rule web
                 far udp a:53 -> passes; a ingress rule in
                 other udp a:53 -> dropped; a ingress default
                 a ping outside6 -> passes; a egress rule echo
                 a ping far6 -> passes; a egress rule echo",
            )
            .unwrap();

        // A list of no entries is nobody.
        scene.estate.modify_prefix_list("partners", &[], &added).unwrap();
        scene.estate.modify_prefix_list("six", &[], &["2001:db8:51::/64"]).unwrap();
        scene
            .play(
                "a tcp outside:80 -> dropped; a egress rule closed
                 outside udp a:53 -> dropped; a ingress default
                 a ping outside6 -> dropped; a egress rule shut
                 a ping far6 -> passes; a egress rule echo",
            )
            .unwrap();
        // What could not be carried out has changed nothing.
        let list = scene.estate.list("partners").unwrap();
        let wrong = [("PrefixListId", list), ("AddEntry.1.Cidr", "198.51.100.0/33")];
        let told = refused(&scene, "ModifyPrefixList", &wrong);
        assert!(told.contains("InvalidParameter"), "{told}");
        scene.play("a tcp outside:80 -> dropped; a egress rule closed").unwrap();
    }
}

#[test]
fn the_ranges_of_a_port_range_list_decide_what_packets_may_do() {
    for mut scene in scenes() {
        scene.estate.create_port_range_list("web", &["80/80", "8000/8010"]).unwrap();
        scene.estate.create_prefix_list("partners", &["198.51.100.0/24"]).unwrap();
        scene
            .play(
                "group a
                 instance a in a
                 closed = a egress drop all to anywhere priority 100
                 out = a egress accept tcp ports:web to anywhere
                 in = a ingress accept udp ports:web from prefix:partners
                 a tcp outside:80 -> passes; a egress rule out
                 a tcp outside:8010 -> passes; a egress rule out
                 a tcp outside:8011 -> dropped; a egress rule closed
                 outside udp a:8000 -> passes; a ingress rule in
                 outside udp a:443 -> dropped; a ingress default",
            )
            .unwrap();
        let removed = ["80/80", "8000/8010"];
        scene.estate.modify_port_range_list("web", &["443/443"], &removed).unwrap();
        scene
            .play(
                "a tcp outside:80 -> dropped; a egress rule closed
                 a tcp outside:8010 -> dropped; a egress rule closed
                 a tcp outside:443 -> passes; a egress rule out
                 outside udp a:8000 -> dropped; a ingress default
                 outside udp a:443 -> passes; a ingress rule in",
            )
            .unwrap();
    }
}

#[test]
fn a_list_changes_under_traffic_and_what_it_does_not_say_goes_on() {
    for mut scene in scenes() {
        scene.estate.create_prefix_list("partners", &["203.0.113.0/24"]).unwrap();
        scene
            .play(
                "group a
                 instance a in a
                 closed = a egress drop all to anywhere priority 100
                 steady = a egress accept udp 7001/7001 to outside
                 out = a egress accept udp 7000/7000 to prefix:partners",
            )
            .unwrap();
        let address = |name: &str, port| {
            let (namespace, address) = scene.place(name).unwrap();
            (namespace, SocketAddr::new(address, port))
        };
        let start = |from, to| Pulse::start(address("a", from), address("outside", to), PACE);
        let (watched, unrelated) = (start(4000, 7000).unwrap(), start(4001, 7001).unwrap());
        watched.await_sent(30, PATIENCE).unwrap();
        assert_eq!(watched.received(), 0);
        let block = ["198.51.100.0/24"];
        let mut shut = Vec::new();
        for _ in 0..3 {
            scene.estate.modify_prefix_list("partners", &block, &[]).unwrap();
            watched.await_received(30, PATIENCE).unwrap();
            scene.estate.modify_prefix_list("partners", &[], &block).unwrap();
            let from = Instant::now();
            watched.await_sent(30, PATIENCE).unwrap();
            shut.push((from, Instant::now()));
        }
        let beats = watched.stop().unwrap();
        for (from, to) in shut {
            let through = beats.iter().filter(|beat| beat.received.is_some() && beat.sent > from);
            let through = through.filter(|beat| beat.sent < to).count();
            assert_eq!(through, 0, "after the entry was removed");
        }
        let beats = unrelated.stop().unwrap();
        assert!(beats.len() > 100);
        assert!(beats.iter().all(|beat| beat.received.is_some()), "unrelated traffic lost packets");
    }
}

#[test]
fn a_list_that_rules_name_stays_and_says_who_names_it() {
    let prefix = ("DescribePrefixListAssociations", "PrefixListId");
    let ports = ("DescribePortRangeListAssociations", "PortRangeListId");
    for mut scene in scenes() {
        scene.estate.create_prefix_list("partners", &["198.51.100.0/24"]).unwrap();
        scene.estate.create_port_range_list("web", &["80/80"]).unwrap();
        let none: [String; 0] = [];
        assert_eq!(naming(&scene, prefix.0, prefix.1, "partners"), none);
        scene
            .play(
                "group a
                 group b
                 instance a in a
                 closed = a egress drop all to anywhere priority 100
                 out = a egress accept tcp ports:web to prefix:partners
                 more = b egress accept udp 53/53 to prefix:partners
                 a tcp outside:80 -> passes; a egress rule out",
            )
            .unwrap();
        let group = |name: &str| scene.estate.group(name).unwrap().to_owned();
        let mut both = [group("a"), group("b")];
        both.sort();
        let mut named = naming(&scene, prefix.0, prefix.1, "partners");
        named.sort();
        assert_eq!(named, both);
        assert_eq!(naming(&scene, ports.0, ports.1, "web"), [group("a")]);
        let id = |name: &str| scene.estate.list(name).unwrap().to_owned();
        let (partners, web) = (id("partners"), id("web"));
        let deletions =
            [("DeletePrefixList", prefix.1, &partners), ("DeletePortRangeList", ports.1, &web)];
        for (action, parameter, list) in deletions {
            let told = refused(&scene, action, &[(parameter, list)]);
            assert!(told.contains(".AssociationExist\""), "{action}: {told}");
        }
        scene
            .play(
                "a tcp outside:80 -> passes; a egress rule out
                 revoke out
                 a tcp outside:80 -> dropped; a egress rule closed
                 revoke more",
            )
            .unwrap();
        assert_eq!(naming(&scene, prefix.0, prefix.1, "partners"), none);
        assert_eq!(naming(&scene, ports.0, ports.1, "web"), none);
        for (action, parameter, list) in deletions {
            scene.estate.client.call(action, &[(parameter, list)]).unwrap();
            let told = refused(&scene, action, &[(parameter, list)]);
            assert!(told.contains("NotFound"), "{action}: {told}");
        }
        scene.play("a tcp outside:80 -> dropped; a egress rule closed").unwrap();
    }
}
