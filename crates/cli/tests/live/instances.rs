//! Instances that are run by the API: their traffic follows their groups and their addresses.

use super::{PATIENCE, scene};
use portcullis_testkit::lab::probe::{Attempt, Kind};
use portcullis_testkit::lab::scene::Scene;
use portcullis_testkit::lab::topology::OUTSIDE;
use portcullis_testkit::lab::witness::{Counter, Counts};
use portcullis_testkit::wait::until;
use std::net::{Ipv4Addr, SocketAddr};

/// A scene with a bound instance `i` in group `a`, which is closed but for one port of `b`; its id.
fn with_instance() -> Option<(Scene, String)> {
    let mut scene = scene()?;
    scene
        .play(
            "group a
             group b
             closed = a egress drop all to anywhere priority 100
             web = b egress accept tcp 80/80 to outside",
        )
        .unwrap();
    let id = scene.run_instance("i", &["a".to_owned()]).unwrap();
    scene.bind("i").unwrap();
    Some((scene, id))
}

#[test]
fn traffic_follows_the_groups_of_an_instance() {
    let Some((mut scene, instance)) = with_instance() else { return };
    let [a, b] = ["a", "b"].map(|name| scene.estate.group(name).unwrap().to_owned());
    let write = |scene: &Scene, action: &str, parameters: &[(&str, &str)]| {
        scene.estate.write(action, parameters).unwrap();
    };
    scene.play("i tcp outside:80 -> dropped; i egress rule closed").unwrap();

    write(&scene, "JoinSecurityGroup", &[("SecurityGroupId", &b), ("InstanceId", &instance)]);
    scene
        .play(
            "i tcp outside:80 -> passes; i egress rule web
             i tcp outside:81 -> dropped; i egress rule closed",
        )
        .unwrap();
    write(&scene, "LeaveSecurityGroup", &[("SecurityGroupId", &b), ("InstanceId", &instance)]);
    scene.play("i tcp outside:80 -> dropped; i egress rule closed").unwrap();

    let modify = |scene: &Scene, group: &str| {
        let parameters = [("InstanceId", &*instance), ("SecurityGroupIds.1", group)];
        write(scene, "ModifyInstanceAttribute", &parameters);
    };
    modify(&scene, &b);
    scene
        .play(
            "i tcp outside:80 -> passes; i egress rule web
             i tcp outside:81 -> passes; i egress default",
        )
        .unwrap();
    modify(&scene, &a);
    scene.play("i tcp outside:80 -> dropped; i egress rule closed").unwrap();

    // Stopping it changes nothing at its device; deleting it would leave the device open.
    let client = &scene.estate.client;
    client.call("StopInstance", &[("InstanceId", &instance)]).unwrap();
    let refused = client.try_call("DeleteInstance", &[("InstanceId", &instance)]).unwrap();
    assert_eq!(refused.text("/Code").unwrap(), "InvalidOperation.InvalidEniState");
    scene.play("i tcp outside:80 -> dropped; i egress rule closed").unwrap();
}

/// Whether a datagram from this address of `i` arrives outside; else it was counted as spoofed.
fn passes(scene: &Scene, source: Ipv4Addr) -> bool {
    let (from, _) = scene.place("i").unwrap();
    let (to, _) = scene.place("outside").unwrap();
    let attempt = Attempt {
        kind: Kind::Udp,
        source: SocketAddr::new(source.into(), 0),
        destination: SocketAddr::new(OUTSIDE.into(), 53),
    };
    let spoofed = Counter::Judged {
        interface: scene.estate.interface("i").unwrap().id.clone(),
        direction: "egress".to_owned(),
        reason: "spoofed".to_owned(),
        accepted: false,
    };
    let before = Counts::read(&scene.product).unwrap();
    let mut flight = attempt.launch(from, to).unwrap();
    until("the datagram to arrive or to count as spoofed", PATIENCE, || {
        if flight.arrived()? {
            return Ok(Some(true));
        }
        let counts = Counts::read(&scene.product)?.since(&before);
        Ok((counts.of(&spoofed) > 0).then_some(false))
    })
    .unwrap()
}

#[test]
fn an_address_is_spoofed_until_it_is_assigned() {
    let Some((mut scene, instance)) = with_instance() else { return };
    let b = scene.estate.group("b").unwrap().to_owned();
    let parameters = [("InstanceId", &*instance), ("SecurityGroupIds.1", &*b)];
    scene.estate.write("ModifyInstanceAttribute", &parameters).unwrap();
    let (other, in_prefix) = (Ipv4Addr::new(10, 77, 1, 99), Ipv4Addr::new(10, 77, 1, 120));
    let (namespace, _) = scene.place("i").unwrap();
    // Its neighbours are asked for in the name of its own address, so that the datagram leaves.
    namespace.sysctl("net.ipv4.conf.all.arp_announce", "2").unwrap();
    for address in [other, in_prefix] {
        namespace.ip(&format!("addr add {address}/24 dev eth0")).unwrap();
        assert!(!passes(&scene, address), "{address}");
    }

    let interface = scene.estate.interface("i").unwrap().id.clone();
    let change = |action: &str, name: &str, value: &str| {
        let parameters = [("NetworkInterfaceId", &*interface), (name, value)];
        scene.estate.write(action, &parameters).unwrap();
    };
    change("AssignPrivateIpAddresses", "PrivateIpAddress.1", &other.to_string());
    assert!(passes(&scene, other) && !passes(&scene, in_prefix));
    change("AssignPrivateIpAddresses", "Ipv4Prefix.1", "10.77.1.112/28");
    assert!(passes(&scene, other) && passes(&scene, in_prefix));
    change("UnassignPrivateIpAddresses", "PrivateIpAddress.1", &other.to_string());
    change("UnassignPrivateIpAddresses", "Ipv4Prefix.1", "10.77.1.112/28");
    assert!(!passes(&scene, other) && !passes(&scene, in_prefix));
    scene.play("i udp outside:53 -> passes; i egress default").unwrap();
}
