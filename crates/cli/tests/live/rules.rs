//! What single rules mean: peers, priorities, ports, protocols, defaults, both families.

use super::{check, scene};

/// The language of these tests, tested: what does not come true is told, line by line.
#[test]
fn a_wrong_expectation_fails() {
    let Some(mut scene) = scene() else { return };
    scene
        .play(
            "group a
             instance a in a
             web = a egress accept tcp 80/80 to outside
             closed = a egress drop tcp 1/65535 to outside priority 2",
        )
        .unwrap();
    for wrong in [
        "a tcp outside:80 -> dropped; a egress rule web",
        "a tcp outside:80 -> passes; a egress rule closed",
        "a tcp outside:80 -> passes; a egress default",
        "a tcp outside:81 -> passes; a egress rule web",
        "a tcp outside:81 -> passes; a egress default",
        "a udp outside:80 -> passes; a egress rule web",
        "a udp outside:80 -> dropped; a egress default",
        "a ping outside -> passes",
        "revoke nothing",
        "web = a egress accept tcp 80/80 to outside",
    ] {
        let told = scene.play(wrong).unwrap_err();
        assert!(told.starts_with(wrong), "{told}");
    }
}

#[test]
fn accepts_by_cidr() {
    check(
        "group a
         instance a in a
         closed = a egress drop all to anywhere priority 100
         web = a egress accept tcp 80/80 to 198.51.100.0/24
         a tcp outside:80 -> passes; a egress rule web
         a tcp other:80 -> passes; a egress rule web
         a udp outside:80 -> dropped; a egress rule closed
         a tcp far:80 -> dropped; a egress rule closed
         names = a ingress accept udp 53/53 from outside
         outside udp a:53 -> passes; a ingress rule names
         other udp a:53 -> dropped; a ingress default
         outside tcp a:53 -> dropped; a ingress default",
    );
}

#[test]
fn lower_numbers_go_first() {
    check(
        "group a
         instance a in a
         yes = a egress accept tcp 443/443 to anywhere priority 2
         no = a egress drop tcp 443/443 to outside priority 1
         a tcp outside:443 -> dropped; a egress rule no
         a tcp other:443 -> passes; a egress rule yes
         in = a ingress accept tcp 22/22 from outside priority 99
         not-in = a ingress drop tcp 22/22 from anywhere priority 100
         outside tcp a:22 -> passes; a ingress rule in
         other tcp a:22 -> dropped; a ingress rule not-in",
    );
}

#[test]
fn at_equal_priority_drop_goes_first() {
    check(
        "group a
         instance a in a
         yes = a egress accept tcp 443/443 to outside priority 5
         no = a egress drop tcp 443/443 to anywhere priority 5
         a tcp outside:443 -> dropped; a egress rule no
         revoke no
         a tcp outside:443 -> passes; a egress rule yes",
    );
}

#[test]
fn port_ranges_include_both_ends() {
    check(
        "group a
         instance a in a
         closed = a egress drop all to anywhere priority 100
         some = a egress accept tcp 1000/1010 to outside
         a tcp outside:999 -> dropped; a egress rule closed
         a tcp outside:1000 -> passes; a egress rule some
         a tcp outside:1010 -> passes; a egress rule some
         a tcp outside:1011 -> dropped; a egress rule closed
         all = a egress accept udp 1/65535 to outside
         a udp outside:1 -> passes; a egress rule all
         a udp outside:65535 -> passes; a egress rule all",
    );
}

#[test]
fn source_ports_narrow_a_rule() {
    check(
        "group a
         instance a in a
         closed = a egress drop all to anywhere priority 100
         out = a egress accept udp 53/53 to outside source-ports 4000/4001
         a udp outside:53 from 3999 -> dropped; a egress rule closed
         a udp outside:53 from 4000 -> passes; a egress rule out
         a udp outside:53 from 4001 -> passes; a egress rule out
         a udp outside:53 from 4002 -> dropped; a egress rule closed
         in = a ingress accept tcp 22/22 from outside source-ports 1/1023
         outside tcp a:22 from 1023 -> passes; a ingress rule in
         outside tcp a:22 from 1024 -> dropped; a ingress default",
    );
}

#[test]
fn the_own_side_narrows_a_rule() {
    check(
        "group a
         instance a in a
         instance b in a
         inner a drop
         closed = a egress drop all to anywhere priority 100
         low = a egress accept tcp 80/80 to outside local 10.77.1.10/32
         a tcp outside:80 -> passes; a egress rule low
         b tcp outside:80 -> dropped; b egress rule closed",
    );
}

#[test]
fn basic_groups_let_out_and_enterprise_groups_nothing() {
    check(
        "group basic
         group advanced enterprise
         instance a in basic
         instance b in advanced
         a tcp outside:80 -> passes; a egress default
         a ping outside -> passes; a egress default
         outside tcp a:80 -> dropped; a ingress default
         outside ping a -> dropped; a ingress default
         b tcp outside:80 -> dropped; b egress default
         outside udp b:80 -> dropped; b ingress default
         a udp b:80 -> dropped; a egress default; b ingress default
         b udp a:80 -> dropped; b egress default",
    );
}

#[test]
fn echo_is_a_protocol_of_its_own() {
    check(
        "group a
         instance a in a
         closed = a egress drop all to anywhere priority 100
         echo = a egress accept icmp to outside
         a ping outside -> passes; a egress rule echo
         a ping other -> dropped; a egress rule closed
         a tcp outside:80 -> dropped; a egress rule closed
         heard = a ingress accept icmp from outside
         outside ping a -> passes; a ingress rule heard
         far ping a -> dropped; a ingress default",
    );
}

#[test]
fn ipv6_has_rules_of_its_own() {
    check(
        "group a enterprise
         instance a in a
         v4 = a egress accept all to anywhere
         a tcp outside6:80 -> dropped; a egress default
         a ping outside6 -> dropped; a egress default
         web = a egress accept tcp 80/80 to 2001:db8:51::/64
         echo = a egress accept icmpv6 to anywhere6
         a tcp outside6:80 -> passes; a egress rule web
         a tcp far6:80 -> dropped; a egress default
         a udp outside6:80 -> dropped; a egress default
         a ping far6 -> passes; a egress rule echo
         in = a ingress accept udp 1000/1000 from outside6
         outside6 udp a6:1000 -> passes; a ingress rule in
         outside6 udp a6:1001 -> dropped; a ingress default
         outside udp a:1000 -> dropped; a ingress default",
    );
}
