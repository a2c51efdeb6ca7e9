//! Packets as they are on the wire: forged, cut, wrong, or such as no network works without.

use super::{PATIENCE, check, scene};
use portcullis_testkit::lab::probe::{Attempt, Kind, bind_udp, pass_bytes};
use portcullis_testkit::lab::scene::Scene;
use portcullis_testkit::lab::topology::{
    BRIDGE, FAR, FAR_V6, INSTANCE_DEVICE, Instance, NARROW_MTU, OUTSIDE, OUTSIDE_V6,
};
use portcullis_testkit::lab::witness::{Counter, Counts};
use portcullis_testkit::netns::Link;
use portcullis_testkit::packet::{
    Arp, BROADCAST, Dhcp, DhcpAnswer, DhcpMessage, Ethernet, Flags, Icmp, Ipv4, Ipv6, Mac, Tcp,
    Udp, icmp, multicast_mac, neighbour_advertisement, neighbour_solicitation,
    router_advertisement, solicited_node,
};
use portcullis_testkit::wait::until;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

fn counter(scene: &Scene, direction: &str, reason: &str, accepted: bool) -> Counter {
    let interface = scene.estate.interface("a").unwrap().id.clone();
    let (direction, reason) = (direction.to_owned(), reason.to_owned());
    Counter::Judged { interface, direction, reason, accepted }
}

/// Sends one frame and waits until it has been counted under this reason.
fn judged(scene: &Scene, link: &Link, frame: &[u8], name: &str, expected: &Counter) {
    let before = Counts::read(&scene.product).unwrap();
    link.send(frame).unwrap();
    let mut counts = Counts::default();
    let counted = until(name, PATIENCE, || {
        counts = Counts::read(&scene.product)?.since(&before);
        Ok((counts.of(expected) > 0).then_some(()))
    });
    counted.unwrap_or_else(|error| panic!("{error}: {expected:?}, counted: {counts}"));
}

struct Wire {
    scene: Scene,
    /// Inside the instance.
    link: Link,
    gateway: Mac,
    mac: Mac,
    ipv4: Ipv4Addr,
    ipv6: Ipv6Addr,
}

fn wire(script: &str) -> Option<Wire> {
    let mut scene = scene()?;
    scene.play(script).unwrap();
    let gateway = Link::new(&scene.topology.host, BRIDGE).unwrap().mac();
    let Instance { namespace, mac, ipv4, ipv6, .. } = scene.instance("a").unwrap();
    let link = Link::new(namespace, INSTANCE_DEVICE).unwrap();
    let (mac, ipv4, ipv6) = (*mac, *ipv4, *ipv6);
    Some(Wire { scene, link, gateway, mac, ipv4, ipv6 })
}

fn datagram(source: impl Into<IpAddr>, destination: impl Into<IpAddr>) -> Vec<u8> {
    Udp::new(4000, 53).over(source, destination, b"datagram")
}

#[test]
fn forged_packets_are_dropped_by_name() {
    let Some(wire) = wire("group a\ninstance a in a") else { return };
    let Wire { scene, link, gateway, mac, ipv4, ipv6 } = &wire;
    let (gateway, mac, ipv4, ipv6) = (*gateway, *mac, *ipv4, *ipv6);
    let other: Ipv4Addr = [10, 77, 1, 200].into();
    let other6: Ipv6Addr = "2001:db8:77:1::200".parse().unwrap();
    let own_link_local = portcullis_core::net::Mac(mac).link_local();
    let ethernet = Ethernet::new(mac, gateway);
    let forged = Ethernet::new([2, 0, 0, 0, 0, 1], gateway);
    let v4 = |source| Ipv4::new(source, OUTSIDE, 17).wrap(&datagram(source, OUTSIDE));
    let v6 = |source| Ipv6::new(source, OUTSIDE_V6, 17).wrap(&datagram(source, OUTSIDE_V6));
    let everybody = Ethernet::new(mac, BROADCAST);
    let solicit = |source, target| {
        let packet = neighbour_solicitation(source, target, Some(mac));
        Ethernet::new(mac, multicast_mac(solicited_node(target))).ipv6(&packet)
    };
    let advertise = |target, option| {
        let packet = neighbour_advertisement(ipv6, OUTSIDE_V6, target, Some(option));
        ethernet.ipv6(&packet)
    };
    let lying = Ipv4 { stated_length: Some(500), ..Ipv4::new(ipv4, OUTSIDE, 17) };
    let table = [
        ("own addresses", ethernet.ipv4(&v4(ipv4)), "default", true),
        ("a source that is another's", ethernet.ipv4(&v4(other)), "spoofed", false),
        ("a source in IPv6 that is another's", ethernet.ipv6(&v6(other6)), "spoofed", false),
        ("its own link-local source", ethernet.ipv6(&v6(own_link_local)), "spoofed", false),
        ("a link-layer source that is another's", forged.ipv4(&v4(ipv4)), "spoofed", false),
        (
            "a question by its own name",
            everybody.arp(&Arp::request(mac, ipv4, other)),
            "baseline",
            true,
        ),
        (
            "a question by another's name",
            everybody.arp(&Arp::request(mac, other, ipv4)),
            "baseline",
            false,
        ),
        (
            "another's address claimed",
            everybody.arp(&Arp::reply(mac, other, gateway, ipv4)),
            "baseline",
            false,
        ),
        ("a neighbour asked", solicit(ipv6, other6), "baseline", true),
        ("a neighbour asked by another's name", solicit(other6, ipv6), "baseline", false),
        ("its own address advertised", advertise(ipv6, mac), "baseline", true),
        ("another's address advertised", advertise(other6, mac), "baseline", false),
        ("its own at another's device", advertise(ipv6, gateway), "baseline", false),
        (
            "a router advertised",
            ethernet.ipv6(&router_advertisement(own_link_local, Some(mac))),
            "baseline",
            false,
        ),
        ("a tagged frame", ethernet.clone().vlan(5).ipv4(&v4(ipv4)), "unsupported", false),
        ("another ethertype", ethernet.frame(0x88b5, &[0; 46]), "unsupported", false),
        (
            "a length that lies",
            ethernet.ipv4(&lying.wrap(&datagram(ipv4, OUTSIDE))),
            "malformed",
            false,
        ),
        (
            "an answer that nobody asked for",
            ethernet.ipv4(
                &Ipv4::new(ipv4, OUTSIDE, 6)
                    .wrap(&Tcp::new(80, 4000, Flags::SYN_ACK).over(ipv4, OUTSIDE, b"")),
            ),
            "no-flow",
            false,
        ),
        (
            "an echo that nobody asked for",
            ethernet.ipv4(&Ipv4::new(ipv4, OUTSIDE, 1).wrap(&icmp(Icmp::echo_reply(7), b"answer"))),
            "no-flow",
            false,
        ),
    ];
    for (name, frame, reason, accepted) in table {
        judged(scene, link, &frame, name, &counter(scene, "egress", reason, accepted));
    }
}

#[test]
fn what_is_not_for_the_instance_does_not_reach_it() {
    let Some(wire) = wire("group a\ninstance a in a\nall = a ingress accept all from anywhere")
    else {
        return;
    };
    let Wire { scene, mac, ipv4, .. } = &wire;
    let bridge = Link::new(&scene.topology.host, BRIDGE).unwrap();
    let towards = Ethernet::new(bridge.mac(), *mac);
    let send = |destination| {
        towards.ipv4(&Ipv4::new(OUTSIDE, destination, 17).wrap(&datagram(OUTSIDE, destination)))
    };
    let other: Ipv4Addr = [10, 77, 1, 200].into();
    let spoofed = counter(scene, "ingress", "spoofed", false);
    judged(scene, &bridge, &send(other), "another's datagram", &spoofed);
    let rule = counter(scene, "ingress", "rule", true);
    judged(scene, &bridge, &send(*ipv4), "its own datagram", &rule);
}

/// Datagrams larger than a packet, both ways, in both families, by the port in their first piece.
#[test]
fn fragments_follow_their_first() {
    let Some(mut scene) = scene() else { return };
    scene
        .play(
            "group a enterprise
             instance a in a
             out = a egress accept udp 5000/5000 to anywhere
             out6 = a egress accept udp 5000/5000 to anywhere6",
        )
        .unwrap();
    let large: Vec<u8> = (0..=u8::MAX).cycle().take(5000).collect();
    for place in ["outside", "outside6"] {
        let (outside, destination) = scene.place(place).unwrap();
        let own = if destination.is_ipv4() { "a" } else { "a6" };
        let (a, source) = scene.place(own).unwrap();
        let server = bind_udp(outside, SocketAddr::new(destination, 5000)).unwrap();
        let client = bind_udp(a, SocketAddr::new(source, 4000)).unwrap();
        for socket in [&server, &client] {
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
        }
        client.send_to(&large, server.local_addr().unwrap()).unwrap();
        let mut buffer = vec![0; 6000];
        let (length, from) = server.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..length], from), (&large[..], client.local_addr().unwrap()));
        server.send_to(&large, from).unwrap();
        let length = client.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], &large[..]);
        let before = Counts::read(&scene.product).unwrap();
        client.send_to(&large, SocketAddr::new(destination, 5001)).unwrap();
        let orphan = counter(&scene, "egress", "fragment-orphan", false);
        until("the pieces of another port to be dropped", PATIENCE, || {
            let counts = Counts::read(&scene.product)?.since(&before);
            let first = counts.of(&counter(&scene, "egress", "default", false));
            Ok((first == 1 && counts.of(&orphan) == 3).then_some(()))
        })
        .unwrap();
    }
}

#[test]
fn a_piece_without_its_first_is_an_orphan() {
    let Some(wire) = wire("group a\ninstance a in a") else { return };
    let Wire { scene, link, gateway, mac, ipv4, .. } = &wire;
    let pieces = Ipv4 { identification: 7, ..Ipv4::new(*ipv4, OUTSIDE, 17) }
        .cut(&Udp::new(4000, 53).over(*ipv4, OUTSIDE, &[1; 200]), 80);
    let ethernet = Ethernet::new(*mac, *gateway);
    let frame = |index: usize| ethernet.ipv4(&pieces[index]);
    let orphan = counter(scene, "egress", "fragment-orphan", false);
    judged(scene, link, &frame(1), "an early piece", &orphan);
    let first = counter(scene, "egress", "default", true);
    judged(scene, link, &frame(0), "the first piece", &first);
    let tracked = counter(scene, "egress", "tracked", true);
    judged(scene, link, &frame(1), "a later piece", &tracked);
    judged(scene, link, &frame(2), "the last piece", &tracked);
}

/// The errors of a hop that nobody has a rule for are let in where they quote what is running.
#[test]
fn path_mtu_errors_come_through() {
    let Some(mut scene) = scene() else { return };
    scene
        .play(
            "group a enterprise
             instance a in a
             out = a egress accept tcp 8000/8000 to far
             out6 = a egress accept tcp 8000/8000 to far6",
        )
        .unwrap();
    for far in [IpAddr::from(FAR), IpAddr::from(FAR_V6)] {
        let a = scene.instance("a").unwrap();
        let attempt = Attempt {
            kind: Kind::Tcp,
            source: SocketAddr::new(a.address_like(far), 0),
            destination: SocketAddr::new(far, 8000),
        };
        let mut flight = attempt.launch(&a.namespace, &scene.topology.far).unwrap();
        until("the handshake", PATIENCE, || Ok(flight.arrived()?.then_some(()))).unwrap();
        let (mut near_end, mut far_end) = flight.into_streams().unwrap();
        let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(200_000).collect();
        pass_bytes(&mut near_end, &mut far_end, &bytes, PATIENCE).unwrap();
        let learned = a.namespace.enter(|| {
            let mut command = std::process::Command::new("ip");
            command.args(["route", "get", &far.to_string()]).output().unwrap()
        });
        let learned = String::from_utf8(learned.unwrap().stdout).unwrap();
        assert!(learned.contains(&format!("mtu {NARROW_MTU}")), "{learned}");
    }
}

#[test]
fn errors_that_quote_nothing_are_judged_by_rules() {
    let Some(wire) = wire("group a\ninstance a in a") else { return };
    let Wire { scene, mac, ipv4, .. } = &wire;
    let bridge = Link::new(&scene.topology.host, BRIDGE).unwrap();
    let quoted = Ipv4::new(*ipv4, OUTSIDE, 17).wrap(&datagram(*ipv4, OUTSIDE));
    let unreachable = Icmp { kind: 3, code: 1, rest: [0; 4] };
    let error = Ipv4::new(FAR, *ipv4, 1).wrap(&icmp(unreachable, &quoted));
    let frame = Ethernet::new(bridge.mac(), *mac).ipv4(&error);
    let default = counter(scene, "ingress", "default", false);
    judged(scene, &bridge, &frame, "an error that quotes nothing", &default);
}

#[test]
fn neighbours_are_found_whatever_the_rules_say() {
    let Some(mut scene) = scene() else { return };
    scene
        .play(
            "group a enterprise
             instance a in a
             echo = a egress accept icmp to outside
             echo6 = a egress accept icmpv6 to outside6
             in6 = a ingress accept udp 53/53 from outside6",
        )
        .unwrap();
    for _ in 0..2 {
        for namespace in [&scene.instance("a").unwrap().namespace, &*scene.topology.host] {
            namespace.ip("neigh flush all").unwrap();
        }
        scene
            .play(
                "a ping outside -> passes; a egress rule echo
                 a ping outside6 -> passes; a egress rule echo6
                 outside6 udp a6:53 -> passes; a ingress rule in6",
            )
            .unwrap();
    }
}

/// A lease from its first broadcast to its acknowledgement, with nothing accepted by rules.
#[test]
fn an_instance_gets_its_address_by_dhcp() {
    let Some(wire) = wire("group a enterprise\ninstance a in a") else { return };
    let Wire { scene, link, mac, ipv4, .. } = &wire;
    let everybody = Ethernet::new(*mac, BROADCAST);
    let (nobody, broadcast) = (Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST);
    let server = bind_udp(&scene.topology.host, SocketAddr::from((nobody, 67))).unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    let bridge = Link::new(&scene.topology.host, BRIDGE).unwrap();
    let gateway: Ipv4Addr = [10, 77, 1, 1].into();
    let steps = [
        (DhcpMessage::Discover, DhcpMessage::Offer),
        (DhcpMessage::Request, DhcpMessage::Acknowledge),
    ];
    for (asked, answered) in steps {
        let question = Dhcp { message: asked, ..Dhcp::discover(*mac, 99) }.bytes();
        let packet = Udp::new(68, 67).over(nobody, broadcast, &question);
        link.send(&everybody.ipv4(&Ipv4::new(nobody, broadcast, 17).wrap(&packet))).unwrap();
        let mut buffer = [0; 600];
        let length = server.recv(&mut buffer).unwrap();
        let heard = DhcpAnswer::read(&buffer[..length]).unwrap();
        assert_eq!((heard.message, heard.client), (asked, *mac));

        let answer = Dhcp { message: answered, your_address: *ipv4, ..Dhcp::offer(*mac, 99) };
        let packet = Udp::new(67, 68).over(gateway, *ipv4, &answer.bytes());
        let towards = Ethernet::new(bridge.mac(), *mac);
        bridge.send(&towards.ipv4(&Ipv4::new(gateway, *ipv4, 17).wrap(&packet))).unwrap();
        let got = link
            .receive("the server's answer", PATIENCE, |frame| {
                (frame.get(23) == Some(&17) && frame.get(36..38) == Some(&[0, 68]))
                    .then(|| DhcpAnswer::read(frame.get(42..)?))
                    .flatten()
            })
            .unwrap();
        assert_eq!((got.message, got.your_address), (answered, *ipv4));
    }
    // An instance that plays the server itself is not heard.
    let offer = Dhcp { your_address: *ipv4, ..Dhcp::offer([2; 6], 5) }.bytes();
    let packet = Udp::new(67, 68).over(*ipv4, broadcast, &offer);
    let frame = everybody.ipv4(&Ipv4::new(*ipv4, broadcast, 17).wrap(&packet));
    let forged = counter(scene, "egress", "baseline", false);
    judged(scene, link, &frame, "a server's message", &forged);
}

#[test]
fn a_stream_of_one_family_says_nothing_of_the_other() {
    check(
        "group a enterprise
         instance a in a
         web = a egress accept tcp 80/80 to outside
         a tcp outside:80 -> passes; a egress rule web
         a tcp outside6:80 -> dropped; a egress default",
    );
}
