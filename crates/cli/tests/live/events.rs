//! Flow logs, followers and hits: what is told of real packets, and what of it lasts.

use super::{PATIENCE, program, scene, scene_with};
use portcullis_testkit::lab::probe::{Attempt, Kind, bind_udp};
use portcullis_testkit::lab::pulse::Stream;
use portcullis_testkit::lab::scene::Scene;
use portcullis_testkit::lab::witness::{Counter, Counts};
use portcullis_testkit::netns::must_succeed;
use portcullis_testkit::wait::until;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Longer than a closed connection stays in the table.
const AGEING: Duration = Duration::from_secs(30);
/// More than the events that an interface may tell in two seconds.
const BURST: usize = 2500;
/// A flow log's disk without much room.
const DISK_BYTES: u64 = 1 << 16;
/// Most followers at once.
const FOLLOWERS_MAX: usize = 16;

const RULES: &str = "group a
     closed = a egress drop all to anywhere priority 100
     web = a egress accept tcp 80/80 to outside
     spare = a egress accept tcp 9/9 to outside
     instance a in a";

fn has(event: &Value, fields: &Value) -> bool {
    fields.as_object().unwrap().iter().all(|(field, value)| event[field] == *value)
}

fn logged(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn await_logged(file: &Path, patience: Duration, fields: &Value) -> Value {
    until(&format!("{fields} in the flow log"), patience, || {
        Ok(logged(file).into_iter().find(|event| has(event, fields)))
    })
    .unwrap_or_else(|error| panic!("{error}, there is {:#?}", logged(file)))
}

/// A running TCP stream from an instance to the outside.
fn stream(scene: &Scene, port: u16) -> Stream {
    let ((from, source), (to, destination)) =
        (scene.place("a").unwrap(), scene.place("outside").unwrap());
    let (source, destination) = (SocketAddr::new(source, 0), SocketAddr::new(destination, port));
    let mut flight = Attempt { kind: Kind::Tcp, source, destination }.launch(from, to).unwrap();
    until("the stream to open", PATIENCE, || Ok(flight.arrived()?.then_some(()))).unwrap();
    let (near, far) = flight.into_streams().unwrap();
    Stream::start(near, far).unwrap()
}

#[test]
fn the_flow_log_tells_a_flow_s_life_and_its_totals() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_string_lossy().into_owned();
    let Some(mut scene) = scene_with(&["--flow-log", &path]) else { return };
    let file = directory.path().join("flows.jsonl");
    scene.play(RULES).unwrap();
    let (interface, group) = (
        scene.estate.interface("a").unwrap().id.clone(),
        scene.estate.group("a").unwrap().to_owned(),
    );
    let [web, closed] = ["web", "closed"].map(|rule| scene.estate.rule(rule).unwrap().id.clone());
    let outside = scene.place("outside").unwrap().1.to_string();
    let of = |event: &str, rule: &str, port: u16| {
        json!({
            "event": event, "interface": interface, "direction": "egress", "protocol": 6,
            "remote_address": outside, "remote_port": port, "reason": "rule",
            "group": group, "rule": rule,
        })
    };
    scene.play("a tcp outside:81 -> dropped; a egress rule closed").unwrap();
    let deny = await_logged(&file, PATIENCE, &of("deny", &closed, 81));
    assert_eq!((&deny["egress_packets"], &deny["ingress_bytes"]), (&json!(1), &json!(0)));

    scene.play("a tcp outside:80 -> passes; a egress rule web").unwrap();
    let new = await_logged(&file, PATIENCE, &of("new", &web, 80));
    let begun = json!({
        "event": "end", "interface": interface, "local_port": new["local_port"],
        "remote_port": 80, "start": new["time"], "rule": web,
    });
    let end = await_logged(&file, AGEING, &begun);
    assert!(["closed", "reset"].contains(&end["cause"].as_str().unwrap()), "{end}");
    let judged = |direction: &str, reason: &str| {
        let (direction, reason) = (direction.to_owned(), reason.to_owned());
        Counter::Judged { interface: interface.clone(), direction, reason, accepted: true }
    };
    let counts = Counts::read(&scene.product).unwrap();
    let passed = |direction: &str| {
        counts.of(&judged(direction, "rule")) + counts.of(&judged(direction, "tracked"))
    };
    for direction in ["egress", "ingress"] {
        let packets = end[format!("{direction}_packets")].as_u64().unwrap();
        let bytes = end[format!("{direction}_bytes")].as_u64().unwrap();
        assert_eq!(packets, passed(direction), "{direction}: {end}, counted: {counts}");
        // Ethernet, IPv4 and TCP without options at least.
        assert!(bytes >= packets * 54, "{direction}: {end}");
    }

    let running = stream(&scene, 80);
    running.await_received(1, PATIENCE).unwrap();
    scene.play("revoke web").unwrap();
    let revoke = json!({"event": "revoke", "interface": interface, "rule": closed});
    let revoke = await_logged(&file, PATIENCE, &revoke);
    assert!(revoke["egress_bytes"].as_u64().unwrap() > 0, "{revoke}");
}

/// A socket of an instance whose datagrams are all dropped, each an event.
fn denied(scene: &Scene) -> UdpSocket {
    let ((from, source), (_, outside)) =
        (scene.place("a").unwrap(), scene.place("outside").unwrap());
    let socket = bind_udp(from, SocketAddr::new(source, 0)).unwrap();
    socket.connect(SocketAddr::new(outside, 4242)).unwrap();
    socket
}

fn burst(socket: &UdpSocket) {
    for _ in 0..BURST {
        socket.send(b"no").unwrap();
    }
}

/// Lines are as good after a kill in the middle of them as before it; what an interface tells in a
/// second is bounded, and what is beyond is counted.
#[test]
fn a_flood_is_told_in_part_and_every_line_survives_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_string_lossy().into_owned();
    let Some(mut scene) = scene_with(&["--flow-log", &path]) else { return };
    let file = directory.path().join("flows.jsonl");
    scene.play(RULES).unwrap();
    let interface = scene.estate.interface("a").unwrap().id.clone();
    let socket = denied(&scene);
    let lost = json!({"event": "lost", "interface": interface});
    until("lost events to be told", AGEING, || {
        burst(&socket);
        Ok(logged(&file).iter().any(|event| has(event, &lost)).then_some(()))
    })
    .unwrap();
    assert!(await_logged(&file, PATIENCE, &lost)["lost"].as_u64() > Some(0));

    burst(&socket);
    scene.product.kill().unwrap();
    // Whole lines; a cut one has no end and is taken away by the next program.
    let text = std::fs::read_to_string(&file).unwrap();
    let whole = text.rsplit_once('\n').unwrap().0;
    assert!(whole.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
    scene.product.resume().unwrap();
    // The flood may have used up what the interface may tell in this second.
    let denied = json!({"event": "deny", "remote_port": 81});
    until("events to be told again", AGEING, || {
        scene.play("a tcp outside:81 -> dropped; a egress rule closed")?;
        Ok(logged(&file).iter().any(|event| has(event, &denied)).then_some(()))
    })
    .unwrap();
}

/// A file system of its own, of a few pages.
struct Disk<'a>(&'a Path);

impl<'a> Disk<'a> {
    fn mount(at: &'a Path) -> Self {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={DISK_BYTES}"), "tmpfs"]).arg(at);
        must_succeed(&mut mount).unwrap();
        Self(at)
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        // Nothing is to be kept, and whoever has a file open may keep it a while.
        let _ = must_succeed(Command::new("umount").arg("--lazy").arg(self.0));
    }
}

#[test]
fn a_full_disk_stops_the_flow_log_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_string_lossy().into_owned();
    if !portcullis_testkit::capability::need("live", portcullis_testkit::lab::available) {
        return;
    }
    let _disk = Disk::mount(directory.path());
    let (file, filler) = (directory.path().join("flows.jsonl"), directory.path().join("filler"));
    let Some(mut scene) = scene_with(&["--flow-log", &path]) else { return };
    scene.play(RULES).unwrap();
    // Two pages are left: some lines find room, one of them in part.
    std::fs::write(&filler, vec![0; DISK_BYTES as usize - (8 << 10)]).unwrap();
    let socket = denied(&scene);
    until("the disk to be full", AGEING, || {
        burst(&socket);
        Ok(scene.product.log().contains("the flow log cannot be written").then_some(()))
    })
    .unwrap();
    scene
        .play(
            "a tcp outside:80 -> passes; a egress rule web
             revoke web
             a tcp outside:80 -> dropped; a egress rule closed",
        )
        .unwrap();
    assert!(!logged(&file).is_empty());
    std::fs::remove_file(&filler).unwrap();
    let missing = until("missing lines to be told", AGEING, || {
        let told = logged(&file).into_iter();
        Ok(told.filter(|event| event["interface"].is_null()).find(|event| event["event"] == "lost"))
    });
    assert!(missing.unwrap()["lost"].as_u64() > Some(0));
}

/// `portcullis flows --follow --json`, and the lines that it prints.
struct Followed(Child, Receiver<Value>);

impl Followed {
    fn start(scene: &Scene, more: &[&str]) -> Self {
        let mut command = Command::new(program());
        command.args(["flows", "--follow", "--json", "--data"]).arg(scene.product.data());
        command.args(more).env("PORTCULLIS_CONFIG", "/dev/null").stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (told, heard) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let _ = told.send(serde_json::from_str(&line).unwrap());
            }
        });
        Self(child, heard)
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn followers_see_events_as_they_happen() {
    let Some(mut scene) = scene() else { return };
    scene.play(RULES).unwrap();
    let interface = scene.estate.interface("a").unwrap().id.clone();
    let all = Followed::start(&scene, &[]);
    let denied = Followed::start(&scene, &["--deny", "--interface", &interface]);
    // They follow from some moment on: packets go until each has been told of one.
    scene.quiet = false;
    let mut seen: [Vec<Value>; 2] = Default::default();
    until("both to be told", AGEING, || {
        scene.play("a tcp outside:80 -> passes; a egress rule web")?;
        scene.play("a tcp outside:81 -> dropped; a egress rule closed")?;
        seen[0].extend(all.1.try_iter());
        seen[1].extend(denied.1.try_iter());
        let of = |seen: &[Value], event: &str| seen.iter().any(|told| told["event"] == event);
        let told = of(&seen[0], "new") && of(&seen[0], "deny") && of(&seen[1], "deny");
        Ok(told.then_some(()))
    })
    .unwrap();
    assert!(seen[1].iter().all(|told| told["event"] == "deny" && told["interface"] == *interface));

    let running = stream(&scene, 80);
    running.await_received(1, PATIENCE).unwrap();
    let web = scene.estate.rule("web").unwrap().id.clone();
    let table = scene.product.run(&["flows", "--interface", &interface]).unwrap();
    let row = table.lines().find(|line| line.contains(&web) && line.contains(" live "));
    assert!(row.is_some(), "no row of {web} in\n{table}");
    let other = scene.product.run(&["flows", "--interface", "eni-other"]).unwrap();
    assert_eq!(other.lines().count(), 1, "{other}");
}

#[test]
fn followers_are_bounded() {
    let Some(scene) = scene() else { return };
    let follow = || {
        let mut stream = UnixStream::connect(scene.product.data().join("control.sock")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let question = json!({"version": 1, "request": "follow", "interface": "", "deny": false});
        stream.write_all(format!("{question}\n").as_bytes()).unwrap();
        let mut line = String::new();
        BufReader::new(stream.try_clone().unwrap()).read_line(&mut line).unwrap();
        (stream, serde_json::from_str::<Value>(&line).unwrap())
    };
    let mut followers: Vec<_> = (0..FOLLOWERS_MAX).map(|_| follow()).collect();
    assert!(followers.iter().all(|(_, said)| said["answer"]["following"].is_object()));
    let (_, refused) = follow();
    assert_eq!(refused["error"]["code"], "TooManyFollowers", "{refused}");
    followers.pop();
    until("the place to be free", PATIENCE, || {
        Ok(follow().1["answer"]["following"].is_object().then_some(()))
    })
    .unwrap();
}

/// Milliseconds of the day.
fn of_day_ms(row: &Value) -> i64 {
    let time = row["last_hit"].as_str().unwrap().split(['T', 'Z']).nth(1).unwrap();
    let parts: Vec<i64> = time.split([':', '.']).map(|part| part.parse().unwrap()).collect();
    ((parts[0] * 60 + parts[1]) * 60 + parts[2]) * 1000 + parts[3]
}

/// Nothing was hit between them. A time is worked out from two clocks, so it may be a little off.
fn is_same(row: &Value, counted: &Value) -> bool {
    let apart_ms = (of_day_ms(row) - of_day_ms(counted)).rem_euclid(24 * 3_600_000);
    let is_close = !(10..24 * 3_600_000 - 10).contains(&apart_ms);
    is_close && row["packets"] == counted["packets"] && row["bytes"] == counted["bytes"]
}

#[test]
fn hits_outlive_the_program_and_the_kernel_s_counters() {
    let Some(mut scene) = scene() else { return };
    scene.play(RULES).unwrap();
    let id = |scene: &Scene, rule: &str| scene.estate.rule(rule).unwrap().id.clone();
    let row = |scene: &Scene, rule: &str| {
        let answer = scene.product.ask(&json!({"request": "hits"})).unwrap();
        let rows = answer["hits"].as_array().unwrap();
        rows.iter().find(|row| row["rule"] == rule).cloned()
    };
    let closed = id(&scene, "closed");
    scene.play("a tcp outside:81 -> dropped; a egress rule closed").unwrap();
    let counted = row(&scene, &closed).unwrap();
    assert!(counted["packets"].as_u64() > Some(0) && counted["bytes"].as_u64() > Some(0));
    assert!(counted["last_hit"].as_str().unwrap().ends_with('Z'), "{counted}");
    let unused = scene.product.run(&["hits", "--unused"]).unwrap();
    assert!(unused.contains(&id(&scene, "spare")) && !unused.contains(&closed), "{unused}");

    // All of it: packets, bytes and the time of the last one.
    let is_back = |scene: &Scene, counted: &Value| {
        until("the hits to be back", PATIENCE, || {
            let now = row(scene, counted["rule"].as_str().unwrap());
            Ok(now.filter(|row| is_same(row, counted)).map(|_| ()))
        })
        .unwrap_or_else(|error| panic!("{error}: {counted}, now {:?}", row(scene, &closed)));
    };
    // Other rules, before it and behind it, with another policy for each.
    scene
        .play(
            "first = a egress accept tcp 7/7 to outside
             last = a egress accept tcp 11/11 to outside priority 99
             revoke first",
        )
        .unwrap();
    is_back(&scene, &counted);
    scene.product.kill().unwrap();
    scene.product.resume().unwrap();
    is_back(&scene, &counted);
    // As after a reboot: nothing of the kernel's is left.
    scene.product.terminate().unwrap();
    scene.product.detach_all().unwrap();
    scene.product.resume().unwrap();
    is_back(&scene, &counted);
    scene.play("a tcp outside:81 -> dropped; a egress rule closed").unwrap();
    let again = row(&scene, &closed).unwrap();
    for field in ["packets", "bytes"] {
        assert!(again[field].as_u64() > counted[field].as_u64(), "{field}: {again} of {counted}");
    }
    assert!(again["last_hit"].as_str() > counted["last_hit"].as_str(), "{again} of {counted}");

    // A rule that goes takes its hits along, and leaves nothing to the one that gets its counter.
    scene.play("revoke closed\nfresh = a egress drop all to anywhere priority 99").unwrap();
    until("the deleted rule to be gone", PATIENCE, || {
        Ok(row(&scene, &closed).is_none().then_some(()))
    })
    .unwrap();
    scene.play("revoke spare\nlater = a egress drop udp 7/7 to outside").unwrap();
    assert_eq!(row(&scene, &id(&scene, "later")).unwrap()["packets"], 0);
}
