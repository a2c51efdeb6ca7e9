//! Traffic that runs while rules change and while the program dies and comes back.

use super::{HOOKS, PACE, PATIENCE, scene_with, scenes};
use portcullis_testkit::lab::probe::{Attempt, Kind};
use portcullis_testkit::lab::pulse::{Pulse, Stream};
use portcullis_testkit::lab::scene::Scene;
use portcullis_testkit::lab::witness::{Counter, Counts};
use portcullis_testkit::wait::until;
use std::net::SocketAddr;

fn attempt(scene: &Scene, kind: Kind, from: &str, to: &str, port: u16) -> Attempt {
    Attempt {
        kind,
        source: SocketAddr::new(scene.place(from).unwrap().1, 0),
        destination: SocketAddr::new(scene.place(to).unwrap().1, port),
    }
}

/// A running TCP stream between two places.
fn stream(scene: &Scene, from: &str, to: &str, port: u16) -> Stream {
    let attempt = attempt(scene, Kind::Tcp, from, to, port);
    let (from, to) = (scene.place(from).unwrap().0, scene.place(to).unwrap().0);
    let mut flight = attempt.launch(from, to).unwrap();
    until("the stream to open", PATIENCE, || Ok(flight.arrived()?.then_some(()))).unwrap();
    let (near, far) = flight.into_streams().unwrap();
    let stream = Stream::start(near, far).unwrap();
    stream.await_received(10, PATIENCE).unwrap();
    stream
}

fn pulse(scene: &Scene, from: &str, to: &str, port: u16) -> Pulse {
    let (from, source) = scene.place(from).unwrap();
    let (to, destination) = scene.place(to).unwrap();
    let (source, destination) = (SocketAddr::new(source, port), SocketAddr::new(destination, port));
    Pulse::start((from, source), (to, destination), PACE).unwrap()
}

fn dropped(scene: &Scene, instance: &str, direction: &str, reason: &str) -> u64 {
    let interface = scene.estate.interface(instance).unwrap().id.clone();
    let (direction, reason) = (direction.to_owned(), reason.to_owned());
    let counter = Counter::Judged { interface, direction, reason, accepted: false };
    Counts::read(&scene.product).unwrap().of(&counter)
}

const ALLOWED: &str = "group a
     instance a in a
     closed = a egress drop all to anywhere priority 100
     web = a egress accept tcp 80/80 to outside
     steady = a egress accept udp 7000/7000 to outside
     names = a egress accept tcp 53/53 to outside";

#[test]
fn a_stream_halts_when_its_rule_is_revoked_and_goes_on_when_it_is_back() {
    for mut scene in scenes() {
        scene.play(ALLOWED).unwrap();
        let steady = pulse(&scene, "a", "outside", 7000);
        let unrelated = stream(&scene, "a", "outside", 53);
        let watched = stream(&scene, "a", "outside", 80);

        scene.play("revoke web").unwrap();
        // What had passed the device before may still be on its way to the reader.
        unrelated.await_received(20, PATIENCE).unwrap();
        let halted = watched.received().unwrap();
        let goal = dropped(&scene, "a", "egress", "blocked") + 2;
        until("the stream to try again", PATIENCE, || {
            Ok((dropped(&scene, "a", "egress", "blocked") >= goal).then_some(()))
        })
        .unwrap();
        unrelated.await_received(20, PATIENCE).unwrap();
        assert_eq!(watched.received().unwrap(), halted, "a revoked stream goes on");

        scene.play("web = a egress accept tcp 80/80 to outside").unwrap();
        watched.await_received(100, PATIENCE).unwrap();
        unrelated.await_received(20, PATIENCE).unwrap();
        let beats = steady.stop().unwrap();
        assert!(beats.len() > 100);
        assert!(beats.iter().all(|beat| beat.received.is_some()), "unrelated traffic lost packets");
    }
}

/// While the program is away, what was allowed goes on, what was not does not, and the next
/// connection is judged like the last one.
fn survives(mut scene: Scene, leave: fn(&mut Scene), come_back: impl Fn(&mut Scene)) {
    scene.play(ALLOWED).unwrap();
    scene.quiet = false;
    let allowed = pulse(&scene, "a", "outside", 7000);
    let denied = pulse(&scene, "a", "outside", 7001);
    let running = stream(&scene, "a", "outside", 80);
    allowed.await_received(50, PATIENCE).unwrap();

    leave(&mut scene);
    allowed.await_received(100, PATIENCE).unwrap();
    running.await_received(50, PATIENCE).unwrap();
    let (a, outside) = (scene.place("a").unwrap().0, scene.place("outside").unwrap().0);
    let mut closed = attempt(&scene, Kind::Tcp, "a", "outside", 81).launch(a, outside).unwrap();
    let fresh = stream(&scene, "a", "outside", 53);
    fresh.await_received(50, PATIENCE).unwrap();
    assert!(!closed.arrived().unwrap(), "open while the program was away");

    come_back(&mut scene);
    allowed.await_received(50, PATIENCE).unwrap();
    fresh.await_received(50, PATIENCE).unwrap();
    running.await_received(50, PATIENCE).unwrap();
    assert!(!closed.arrived().unwrap(), "open after the program came back");
    drop(closed);
    scene
        .play(
            "a tcp outside:81 -> dropped; a egress rule closed
             more = a egress accept tcp 81/81 to outside
             a tcp outside:81 -> passes; a egress rule more",
        )
        .unwrap();
    let beats = allowed.stop().unwrap();
    assert!(beats.iter().all(|beat| beat.received.is_some()), "allowed traffic lost packets");
    let beats = denied.stop().unwrap();
    assert!(beats.len() > 200);
    assert!(beats.iter().all(|beat| beat.received.is_none()), "denied traffic got through");
}

fn resume(scene: &mut Scene) {
    scene.product.resume().unwrap();
}

#[test]
fn a_killed_program_leaves_enforcement_in_place() {
    for scene in scenes() {
        survives(scene, |scene| scene.product.kill().unwrap(), resume);
    }
}

#[test]
fn a_terminated_program_leaves_enforcement_in_place() {
    for scene in scenes() {
        survives(scene, |scene| scene.product.terminate().unwrap(), resume);
    }
}

/// A change of the hook is a change of how the program stands there, and of nothing else.
#[test]
fn devices_are_moved_to_another_hook_under_traffic() {
    for (scene, other) in scenes().zip(HOOKS.iter().rev()) {
        let come_back = |scene: &mut Scene| {
            scene.product.set_flags(&["--pick-up-seconds", "0", "--hook", other]);
            resume(scene);
        };
        survives(scene, |scene| scene.product.kill().unwrap(), come_back);
    }
}

/// A stream that ran before its device was bound is picked up where the rules accept it, for a
/// while; without that it is a flow that never began.
#[test]
fn a_running_stream_is_picked_up_when_its_device_is_bound() {
    for (seconds, picked_up) in [("60", true), ("0", false)] {
        let flags = ["--pick-up-seconds", seconds];
        let Some(mut scene) = scene_with(&flags) else { return };
        scene.play("group a\nweb = a egress accept tcp 80/80 to outside").unwrap();
        scene.create_instance("a", &["a".to_owned()]).unwrap();
        let running = stream(&scene, "a", "outside", 80);
        scene.bind("a").unwrap();
        if picked_up {
            running.await_received(100, PATIENCE).unwrap();
            continue;
        }
        let no_flow = |more: u64| {
            let goal = dropped(&scene, "a", "egress", "no-flow") + more;
            until("its packets to be dropped", PATIENCE, || {
                Ok((dropped(&scene, "a", "egress", "no-flow") >= goal).then_some(()))
            })
            .unwrap();
        };
        no_flow(2);
        let halted = running.received().unwrap();
        no_flow(1);
        assert_eq!(running.received().unwrap(), halted);
    }
}
