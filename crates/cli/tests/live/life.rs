//! Devices that come, go and change their names, and interfaces that are bound and let go.

use super::{PACE, PATIENCE, scene, scenes};
use portcullis_testkit::lab::probe::{Attempt, Flight, Kind};
use portcullis_testkit::lab::product::pinned_instances;
use portcullis_testkit::lab::pulse::Pulse;
use portcullis_testkit::lab::scene::Scene;
use portcullis_testkit::lab::topology::OUTSIDE;
use portcullis_testkit::lab::witness::{Counter, Counts};
use portcullis_testkit::netns::TapGuest;
use portcullis_testkit::packet::{Arp, BROADCAST, Ethernet, Ipv4, Udp};
use portcullis_testkit::wait::until;
use serde_json::json;
use std::net::{IpAddr, SocketAddr};

/// The state and the device that the product shows for an instance's interface.
fn binding(scene: &Scene, name: &str) -> Option<(String, String)> {
    let id = &scene.estate.interface(name).unwrap().id;
    let answer = scene.product.ask(&json!({"request": "bindings"})).unwrap();
    let rows = answer["bindings"].as_array().unwrap();
    let row = rows.iter().find(|row| row["interface"] == **id)?;
    let text = |name: &str| row[name].as_str().unwrap().to_owned();
    Some((text("state"), text("device")))
}

fn await_state(scene: &Scene, name: &str, state: &str) {
    until(&format!("{name} to be {state}"), PATIENCE, || {
        Ok(binding(scene, name).filter(|(now, _)| now == state).map(|_| ()))
    })
    .unwrap();
}

fn fly(scene: &Scene, kind: Kind, from: &str, to: &str, port: u16) -> Flight {
    let (from, source) = scene.place(from).unwrap();
    let (to, destination) = scene.place(to).unwrap();
    let (source, destination) = (SocketAddr::new(source, 0), SocketAddr::new(destination, port));
    Attempt { kind, source, destination }.launch(from, to).unwrap()
}

fn arrives(scene: &Scene, kind: Kind, from: &str, to: &str, port: u16) {
    let mut flight = fly(scene, kind, from, to, port);
    let what = format!("{kind:?} from {from} to {to}:{port}");
    until(&what, PATIENCE, || Ok(flight.arrived()?.then_some(()))).unwrap();
}

const CLOSED: &str = "group a
     closed = a egress drop all to anywhere priority 100
     web = a egress accept tcp 80/80 to outside";

#[test]
fn binding_closes_at_once_and_unbinding_opens() {
    for mut scene in scenes() {
        scene.play(CLOSED).unwrap();
        scene.create_instance("a", &["a".to_owned()]).unwrap();
        arrives(&scene, Kind::Tcp, "outside", "a", 22);
        arrives(&scene, Kind::Udp, "a", "outside", 53);
        scene.bind("a").unwrap();
        scene
            .play(
                "outside tcp a:22 -> dropped; a ingress default
             a udp outside:53 -> dropped; a egress rule closed
             a tcp outside:80 -> passes; a egress rule web",
            )
            .unwrap();
        assert_eq!(binding(&scene, "a").unwrap(), ("enforced".to_owned(), "pc-a".to_owned()));
        let id = scene.estate.interface("a").unwrap().id.clone();
        scene.product.run(&["unbind", &id]).unwrap();
        assert_eq!(binding(&scene, "a"), None);
        arrives(&scene, Kind::Tcp, "outside", "a", 22);
        arrives(&scene, Kind::Udp, "a", "outside", 53);
    }
}

#[test]
fn a_bound_interface_cannot_be_deleted() {
    let Some(mut scene) = scene() else { return };
    scene.play("group a\ninstance a in a").unwrap();
    let id = scene.estate.interface("a").unwrap().id.clone();
    let client = &scene.estate.client;
    let delete = || client.try_call("DeleteNetworkInterface", &[("NetworkInterfaceId", &id)]);
    let refused = delete().unwrap();
    assert_eq!(refused.status, 403, "{}", refused.body);
    assert_eq!(refused.text("/Code").unwrap(), "InvalidOperation.InvalidEniState");
    scene.product.run(&["unbind", &id]).unwrap();
    assert_eq!(delete().unwrap().status, 200);
}

#[test]
fn a_device_that_vanishes_comes_back_closed_or_enforced() {
    for mut scene in scenes() {
        scene.play(CLOSED).unwrap();
        scene.play("instance a in a").unwrap();
        scene.play("a tcp outside:80 -> passes; a egress rule web").unwrap();
        for _ in 0..3 {
            scene.topology.host.ip("link del pc-a").unwrap();
            await_state(&scene, "a", "absent");
            let instance = scene.instance("a").unwrap();
            scene.topology.plug(instance).unwrap();
            scene.topology.address(instance).unwrap();
            await_state(&scene, "a", "enforced");
            scene
                .play(
                    "a tcp outside:80 -> passes; a egress rule web
                 a tcp outside:81 -> dropped; a egress rule closed
                 outside tcp a:22 -> dropped; a ingress default",
                )
                .unwrap();
        }
    }
}

#[test]
fn a_device_that_was_made_anew_while_the_program_was_away_is_found() {
    for mut scene in scenes() {
        scene.play(CLOSED).unwrap();
        scene.play("instance a in a\ninstance b in a\ninner a drop").unwrap();
        scene.product.kill().unwrap();
        scene.topology.host.ip("link del pc-a").unwrap();
        let instance = scene.instance("a").unwrap();
        scene.topology.plug(instance).unwrap();
        scene.topology.address(instance).unwrap();
        scene.product.resume().unwrap();
        await_state(&scene, "a", "enforced");
        scene
            .play(
                "a tcp outside:80 -> passes; a egress rule web
             a tcp outside:81 -> dropped; a egress rule closed
             b tcp outside:81 -> dropped; b egress rule closed
             outside tcp a:22 -> dropped; a ingress default",
            )
            .unwrap();
    }
}

#[test]
fn the_configuration_file_binds() {
    let Some(mut scene) = scene() else { return };
    scene.play(CLOSED).unwrap();
    scene.create_instance("a", &["a".to_owned()]).unwrap();
    arrives(&scene, Kind::Udp, "a", "outside", 53);
    let id = scene.estate.interface("a").unwrap().id.clone();
    let file = scene.product.data().with_file_name("portcullis.toml");
    let text = format!("[[bind]]\ninterface = '{id}'\ndevice = 'pc-a'\n");
    std::fs::write(&file, text).unwrap();
    scene.product.terminate().unwrap();
    scene.product.add_flags(&["--config", &file.to_string_lossy()]);
    scene.product.resume().unwrap();
    await_state(&scene, "a", "enforced");
    scene
        .play(
            "a tcp outside:80 -> passes; a egress rule web
             a udp outside:53 -> dropped; a egress rule closed",
        )
        .unwrap();
}

/// What the kernel counts, as an operator reads it.
#[test]
fn the_tables_for_people_name_what_happened() {
    let Some(mut scene) = scene() else { return };
    scene.play(CLOSED).unwrap();
    scene
        .play(
            "instance a in a
             a tcp outside:80 -> passes; a egress rule web
             a tcp outside:81 -> dropped; a egress rule closed",
        )
        .unwrap();
    let interface = scene.estate.interface("a").unwrap().id.clone();
    let (web, closed) =
        (&scene.estate.rule("web").unwrap().id, &scene.estate.rule("closed").unwrap().id);
    let has = |command: &str, words: &[&str]| {
        let table = scene.product.run(&[command]).unwrap();
        let found = table.lines().any(|line| words.iter().all(|word| line.contains(word)));
        assert!(found, "{words:?} not in\n{table}");
    };
    has("bindings", &[&interface, "pc-a", "enforced"]);
    has("hits", &[web]);
    has("hits", &[closed]);
    has("drops", &[&interface, "egress", "rule"]);
    has("passes", &[&interface, "egress", "rule"]);
    has("passes", &[&interface, "ingress", "tracked"]);
}

#[test]
fn a_device_that_is_renamed_stays_enforced() {
    for mut scene in scenes() {
        scene.play(CLOSED).unwrap();
        scene.play("instance a in a").unwrap();
        scene.quiet = false;
        let denied = {
            let (a, source) = scene.place("a").unwrap();
            let (outside, destination) = scene.place("outside").unwrap();
            let (source, destination) =
                (SocketAddr::new(source, 0), SocketAddr::new(destination, 7));
            Pulse::start((a, source), (outside, destination), PACE).unwrap()
        };
        denied.await_sent(50, PATIENCE).unwrap();
        scene
            .topology
            .host
            .ip("link set pc-a down\nlink set pc-a name pc-other\nlink set pc-other up")
            .unwrap();
        until("the new name to be seen", PATIENCE, || {
            Ok(binding(&scene, "a").filter(|(_, device)| device == "pc-other").map(|_| ()))
        })
        .unwrap();
        scene
            .play(
                "a tcp outside:80 -> passes; a egress rule web
             a tcp outside:81 -> dropped; a egress rule closed
             more = a egress accept tcp 81/81 to outside
             a tcp outside:81 -> passes; a egress rule more",
            )
            .unwrap();
        denied.await_sent(50, PATIENCE).unwrap();
        let beats = denied.stop().unwrap();
        assert!(beats.iter().all(|beat| beat.received.is_none()), "open while it was renamed");
    }
}

/// A tap is a device like any other: its guest is held to the rules, until everything is let go.
#[test]
fn detaching_frees_veth_and_tap() {
    for mut scene in scenes() {
        scene.play(CLOSED).unwrap();
        scene.play("instance a in a").unwrap();
        let mac = [2, 0, 0, 0, 0x77, 99];
        scene.estate.create_interface("guest", 99, mac, &["a".to_owned()]).unwrap();
        let interface = scene.estate.interface("guest").unwrap().clone();
        let mut guest = TapGuest::new(&scene.topology.host, "pc-tap").unwrap();
        scene.topology.host.ip("link set pc-tap master bridge addrgenmode none up").unwrap();
        scene.product.run(&["bind", &interface.id, "pc-tap"]).unwrap();

        let gateway = {
            let asked = Arp::request(mac, interface.ipv4, [10, 77, 1, 1].into());
            guest.send(&Ethernet::new(mac, BROADCAST).arp(&asked)).unwrap();
            until("the gateway's answer", PATIENCE, || {
                let frame = guest.receive(PACE);
                Ok(frame.filter(|frame| frame.get(20..22) == Some(&[0, 2])))
            })
            .unwrap()[6..12]
                .try_into()
                .unwrap()
        };
        let outside = (&scene.topology.outside, SocketAddr::new(IpAddr::from(OUTSIDE), 53));
        let listener = portcullis_testkit::lab::probe::bind_udp(outside.0, outside.1).unwrap();
        listener.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut send = |text: &[u8]| {
            let datagram = Udp::new(4000, 53).over(interface.ipv4, OUTSIDE, text);
            let packet = Ipv4::new(interface.ipv4, OUTSIDE, 17).wrap(&datagram);
            guest.send(&Ethernet::new(mac, gateway).ipv4(&packet)).unwrap();
        };
        let counter = Counter::Judged {
            interface: interface.id.clone(),
            direction: "egress".to_owned(),
            reason: "rule".to_owned(),
            accepted: false,
        };
        send(b"bound");
        until("the guest's datagram to be dropped", PATIENCE, || {
            Ok((Counts::read(&scene.product)?.of(&counter) == 1).then_some(()))
        })
        .unwrap();

        scene.product.terminate().unwrap();
        scene.product.detach_all().unwrap();
        send(b"free");
        let mut buffer = [0; 16];
        let length = listener.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"free", "what was dropped came after all");
        arrives(&scene, Kind::Tcp, "outside", "a", 22);
        arrives(&scene, Kind::Udp, "a", "outside", 5353);
        let pinned = pinned_instances();
        assert!(!pinned.iter().any(|name| name == scene.product.instance()), "pins are left");
    }
}
