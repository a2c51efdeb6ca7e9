//! What others do to the kernel behind the product's back, and how it is put right, under traffic.

use super::{PACE, PATIENCE, scenes};
use portcullis_agent::sys::Instance;
use portcullis_testkit::capability::need;
use portcullis_testkit::lab::probe::{Attempt, Kind};
use portcullis_testkit::lab::pulse::{Pulse, Stream};
use portcullis_testkit::lab::scene::Scene;
use portcullis_testkit::netns::must_succeed;
use portcullis_testkit::wait::until;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

/// A host with traffic that is accepted because of who a member is, and traffic that is dropped.
const SCRIPT: &str = "group a
     group b
     instance a in a
     instance b in b
     closed = a egress drop all to anywhere priority 100
     steady = a egress accept udp 7000/7000 to group:b
     web = a egress accept tcp 80/80 to outside
     in = b ingress accept udp 7000/7000 from group:a";

fn pin(scene: &Scene, name: &str) -> PathBuf {
    Instance::new(scene.product.instance()).unwrap().directory().join(name)
}

fn bpftool(scene: &Scene, map: &str, words: &[String]) -> String {
    let mut command = Command::new("bpftool");
    command.args(["-j", "map", &words[0], "pinned"]).arg(pin(scene, map)).args(&words[1..]);
    must_succeed(&mut command).unwrap()
}

fn text(bytes: &Value) -> Vec<String> {
    bytes.as_array().unwrap().iter().map(|byte| byte.as_str().unwrap().to_owned()).collect()
}

/// The keys and values of a map.
fn entries(scene: &Scene, map: &str) -> Vec<(Vec<String>, Vec<String>)> {
    let dump: Value = serde_json::from_str(&bpftool(scene, map, &["dump".to_owned()])).unwrap();
    let dump = dump.as_array().unwrap().iter();
    dump.map(|entry| (text(&entry["key"]), text(&entry["value"]))).collect()
}

fn empty(scene: &Scene, map: &str) {
    let all = entries(scene, map);
    assert!(!all.is_empty());
    for (key, _) in all {
        bpftool(scene, map, &[&["delete".to_owned(), "key".to_owned()][..], &key].concat());
    }
}

fn set(scene: &Scene, map: &str, key: u32, value: &[String]) {
    let key: Vec<String> = key.to_ne_bytes().iter().map(u8::to_string).collect();
    let words = ["update", "key"].map(str::to_owned);
    bpftool(scene, map, &[&words[..], &key, &["value".to_owned()], value].concat());
}

/// Eight bytes as `bpftool` takes them.
fn word_zero() -> Vec<String> {
    vec!["0".to_owned(); 8]
}

fn bytes(value: &[String]) -> Vec<u8> {
    value.iter().map(|byte| u8::from_str_radix(&byte[2..], 16).unwrap()).collect()
}

/// The slots that lead somewhere, with their values.
fn slots(scene: &Scene) -> Vec<(u32, Vec<String>)> {
    let used = |(key, value): (Vec<String>, Vec<String>)| {
        let slot = u32::from_ne_bytes(bytes(&key).try_into().unwrap());
        (bytes(&value)[..8] != [0; 8]).then_some((slot, value))
    };
    entries(scene, "map_slots").into_iter().filter_map(used).collect()
}

/// Leads every device nowhere.
fn mislead(scene: &Scene) {
    let led: Vec<u32> = entries(scene, "map_devices")
        .into_iter()
        .filter(|(_, value)| bytes(value).iter().any(|byte| *byte != 0))
        .map(|(key, _)| u32::from_ne_bytes(bytes(&key).try_into().unwrap()))
        .collect();
    assert!(!led.is_empty());
    for bucket in led {
        set(scene, "map_devices", bucket, &vec!["0".to_owned(); 64]);
    }
}

fn close_slots(scene: &Scene) {
    for (slot, mut value) in slots(scene) {
        value[..8].fill("0".to_owned());
        set(scene, "map_slots", slot, &value);
    }
}

fn forget_policies(scene: &Scene) {
    for (_, value) in slots(scene) {
        let blob = u32::from_ne_bytes(bytes(&value)[..4].try_into().unwrap());
        (blob - 1..blob + 8).for_each(|at| set(scene, "map_pool", at, &word_zero()));
    }
}

fn take_off(scene: &Scene) {
    if scene.product.log().contains("hook=tcx") {
        let folder = pin(scene, "").read_dir().unwrap().flatten();
        let links = folder.filter(|pin| pin.file_name().to_str().unwrap().starts_with("link_"));
        for link in links {
            let mut command = Command::new("bpftool");
            must_succeed(command.args(["link", "detach", "pinned"]).arg(link.path())).unwrap();
        }
        return;
    }
    for device in ["pc-a", "pc-b"] {
        let mut command = Command::new("tc");
        command.args(["-n", scene.topology.host.name(), "qdisc", "del", "dev", device, "clsact"]);
        must_succeed(&mut command).unwrap();
    }
}

fn heals(scene: &Scene, kind: &str) -> u64 {
    let answer = scene.product.ask(&json!({"request": "heals"})).unwrap();
    let rows = answer["heals"].as_array().unwrap();
    rows.iter().find(|row| row["changed"] == kind).unwrap()["times"].as_u64().unwrap()
}

fn pulse(scene: &Scene, from: &str, to: &str, port: u16) -> Pulse {
    let ((from, source), (to, destination)) =
        (scene.place(from).unwrap(), scene.place(to).unwrap());
    let (source, destination) = (SocketAddr::new(source, port), SocketAddr::new(destination, port));
    Pulse::start((from, source), (to, destination), PACE).unwrap()
}

fn stream(scene: &Scene) -> Stream {
    let ((a, source), (outside, destination)) =
        (scene.place("a").unwrap(), scene.place("outside").unwrap());
    let (source, destination) = (SocketAddr::new(source, 0), SocketAddr::new(destination, 80));
    let attempt = Attempt { kind: Kind::Tcp, source, destination };
    let mut flight = attempt.launch(a, outside).unwrap();
    until("the stream to open", PATIENCE, || Ok(flight.arrived()?.then_some(()))).unwrap();
    let (near, far) = flight.into_streams().unwrap();
    Stream::start(near, far).unwrap()
}

/// Damages what is enforced, and insists that it is found, counted and right again, with nothing
/// through that should not be but while no program of ours stands there.
fn is_healed(kind: &str, damage: fn(&Scene)) {
    let has_bpftool = || must_succeed(Command::new("bpftool").arg("version")).map(drop);
    if !need("bpftool", has_bpftool) {
        return;
    }
    for mut scene in scenes() {
        scene.play(SCRIPT).unwrap();
        let allowed = pulse(&scene, "a", "b", 7000);
        let denied = pulse(&scene, "a", "outside", 7001);
        let running = stream(&scene);
        allowed.await_received(50, PATIENCE).unwrap();
        running.await_received(10, PATIENCE).unwrap();

        // All of it is there before the product can look: what it finds, it finds at once.
        let damaged = Instant::now();
        scene.product.pause_while(|| damage(&scene)).unwrap();
        until("it to be put right", PATIENCE, || Ok((heals(&scene, kind) > 0).then_some(())))
            .unwrap();
        let healed = Instant::now();
        allowed.await_received(50, PATIENCE).unwrap();
        running.await_received(50, PATIENCE).unwrap();
        denied.await_sent(50, PATIENCE).unwrap();

        let through: Vec<_> =
            denied.stop().unwrap().into_iter().filter(|beat| beat.received.is_some()).collect();
        let last = through.last().map(|beat| beat.sent.duration_since(damaged));
        println!("{kind}: right after {:?}, last packet through {last:?}", healed - damaged);
        assert!(kind == "devices" || through.is_empty(), "{kind}: denied traffic got through");
        assert!(through.iter().all(|beat| beat.sent < healed), "{kind}: open after it was healed");
        let allowed = allowed.stop().unwrap();
        let mut later = allowed.iter().filter(|beat| beat.sent > healed);
        assert!(later.all(|beat| beat.received.is_some()), "{kind}: allowed traffic lost packets");
    }
}

#[test]
fn a_program_that_was_taken_off_is_put_back() {
    is_healed("devices", take_off);
}

#[test]
fn devices_that_lead_nowhere_are_led_again() {
    is_healed("devices", mislead);
}

#[test]
fn slots_that_were_emptied_lead_to_their_policies_again() {
    is_healed("slots", close_slots);
}

#[test]
fn members_that_were_removed_are_members_again() {
    is_healed("members", |scene| empty(scene, "map_members"));
}

#[test]
fn policies_that_were_overwritten_are_written_again() {
    is_healed("policies", forget_policies);
}

#[test]
fn settings_that_were_overwritten_are_told_again() {
    is_healed("settings", |scene| {
        // Prefix lengths of IPv4 members: nobody is a member without them.
        (16..20).for_each(|word| set(scene, "map_config", word, &word_zero()));
    });
}
