//! One command behind a fresh interface: its packets, how it ends, and what is left of it.

use super::{PATIENCE, scene, scenes};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use portcullis_server::limits::Limits;
use portcullis_testkit::lab::probe::listen_tcp;
use portcullis_testkit::lab::scene::Scene;
use portcullis_testkit::lab::topology::{OUTSIDE, OUTSIDE_V6};
use portcullis_testkit::lab::witness::{Counter, Counts};
use portcullis_testkit::wait::until;
use serde_json::json;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};

/// A command under way.
struct Run {
    child: Child,
    /// What it says, line by line; closed when nobody of it can say anything any more.
    said: Receiver<String>,
}

/// How a command ended, and what it said that nobody has heard yet.
#[derive(Debug)]
struct Ended {
    status: ExitStatus,
    said: String,
    complained: String,
}

impl Run {
    fn begin(scene: &Scene, group: &str, options: &[&str], command: &[&str]) -> Run {
        let group = scene.estate.group(group).unwrap();
        let mut arguments = vec!["run", "--security-group", group];
        arguments.extend(options);
        arguments.push("--");
        arguments.extend(command);
        Run::of(scene, &arguments)
    }

    fn of(scene: &Scene, arguments: &[&str]) -> Run {
        let mut child = scene.product.begin(arguments).unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (sender, said) = channel();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|l| sender.send(l)));
        Run { child, said }
    }

    fn python(scene: &Scene, group: &str, options: &[&str], program: &str) -> Run {
        Run::begin(scene, group, options, &["python3", "-c", program])
    }

    /// The next line that the command says.
    fn line(&mut self) -> String {
        match self.said.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => panic!("it says nothing"),
            Err(RecvTimeoutError::Disconnected) => panic!("no more of it: {}", self.complaint()),
        }
    }

    fn complaint(&mut self) -> String {
        let mut complaint = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
        complaint
    }

    /// A line for the command.
    fn tell(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    /// Waits until all of it has ended.
    fn end(mut self) -> Ended {
        drop(self.child.stdin.take());
        let mut said = String::new();
        loop {
            match self.said.recv_timeout(PATIENCE) {
                Ok(line) => said = said + &line + "\n",
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("something of it lives on"),
            }
        }
        let complained = self.complaint();
        Ended { status: self.child.wait().unwrap(), said, complained }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(scene: &Scene, group: &str, options: &[&str], command: &[&str]) -> Ended {
    Run::begin(scene, group, options, command).end()
}

/// The interfaces that are tied, with their devices.
fn bindings(scene: &Scene) -> Vec<(String, String)> {
    let answer = scene.product.ask(&json!({ "request": "bindings" })).unwrap();
    let rows = answer["bindings"].as_array().unwrap();
    let text = |row: &serde_json::Value, name: &str| row[name].as_str().unwrap().to_owned();
    rows.iter().map(|row| (text(row, "interface"), text(row, "device"))).collect()
}

/// The only run there is.
fn only(scene: &Scene) -> (String, String) {
    let [one] = &bindings(scene)[..] else { panic!("{:?}", bindings(scene)) };
    one.clone()
}

/// Whether the API, the host and the data directory know nothing of runs.
fn nothing_left(scene: &Scene) -> bool {
    let answer = scene.estate.client.call("DescribeNetworkInterfaces", &[]).unwrap();
    let interfaces = answer.body.to_string().contains("portcullis-run");
    let host = &scene.topology.host;
    let devices = host.enter(|| std::fs::read_to_string("/proc/thread-self/net/dev").unwrap());
    let devices = devices.unwrap().contains("pcr-");
    let leases = std::fs::read_dir(scene.product.data().join("runs")).unwrap().count();
    !interfaces && !devices && leases == 0 && bindings(scene).is_empty()
}

/// Who connects next.
fn accepted(listener: &TcpListener) -> TcpStream {
    until("a connection", PATIENCE, || Ok(listener.accept().ok())).unwrap().0
}

/// Once whatever was left is taken away.
fn until_nothing_left(scene: &Scene) {
    until("all to be taken away", PATIENCE, || Ok(nothing_left(scene).then_some(()))).unwrap();
}

fn default_drops(scene: &Scene, interface: &str, direction: &str) -> u64 {
    let (interface, direction) = (interface.to_owned(), direction.to_owned());
    let reason = "default".to_owned();
    let counter = Counter::Judged { interface, direction, reason, accepted: false };
    Counts::read(&scene.product).unwrap().of(&counter)
}

/// Two listeners outside: one that the rules of a script let commands reach, and one more.
fn listeners(scene: &Scene, address: IpAddr) -> [TcpListener; 2] {
    let listen = |port| listen_tcp(&scene.topology.outside, SocketAddr::new(address, port));
    [8000, 8001].map(|port| listen(port).unwrap())
}

/// A group that lets commands reach one port outside. The host's own addresses are taken.
fn prepare(scene: &mut Scene) {
    scene
        .play(
            "group ci enterprise
             web = ci egress accept tcp 8000/8000 to outside
             web6 = ci egress accept tcp 8000/8000 to outside6",
        )
        .unwrap();
    scene.estate.create_interface("host", 1, [2, 0, 0, 0, 0x77, 1], &["ci".to_owned()]).unwrap();
}

/// At each line of input connects to one port in vain and to another one, and ends with the number
/// that is said there.
const TWO_PORTS: &str = "
import socket, sys
target = sys.argv[1]
family = socket.AF_INET6 if ':' in target else socket.AF_INET
print('ready', flush=True)
for line in sys.stdin:
    denied = socket.socket(family)
    denied.setblocking(False)
    denied.connect_ex((target, 8001))
    allowed = socket.create_connection((target, 8000))
    word = allowed.recv(1)
    if word != b'0':
        sys.exit(int(word))
";

fn two_ports(scene: &Scene, options: &[&str], target: IpAddr) -> Run {
    let target = target.to_string();
    let mut run = Run::begin(scene, "ci", options, &["python3", "-c", TWO_PORTS, &target]);
    assert_eq!(run.line(), "ready");
    run
}

#[test]
fn a_command_is_held_to_its_rules_and_leaves_nothing() {
    for mut scene in scenes() {
        prepare(&mut scene);
        for (options, target) in
            [(&[][..], IpAddr::from(OUTSIDE)), (&["--ipv6"], IpAddr::from(OUTSIDE_V6))]
        {
            let [allowed, denied] = listeners(&scene, target);
            let mut running = two_ports(&scene, options, target);
            let (interface, device) = only(&scene);
            assert!(device.starts_with("pcr-"), "{device}");
            running.tell("go");
            let mut stream = accepted(&allowed);
            until("its other packet to be dropped", PATIENCE, || {
                Ok((default_drops(&scene, &interface, "egress") > 0).then_some(()))
            })
            .unwrap();
            assert!(denied.accept().is_err(), "it came through");
            let refused = scene.product.try_run(&["unbind", &interface]).unwrap();
            let complaint = String::from_utf8(refused.stderr).unwrap();
            assert!(complaint.contains("DeviceOfRun"), "{complaint}");

            stream.write_all(b"7").unwrap();
            let output = running.end();
            assert_eq!((output.status.code(), &*output.complained), (Some(7), ""));
            assert!(nothing_left(&scene));
        }
    }
}

#[test]
fn commands_are_members_of_their_groups() {
    let Some(mut scene) = scene() else { return };
    scene
        .play(
            "group server
             group client
             group other
             in = server ingress accept tcp 9000/9000 from group:client",
        )
        .unwrap();
    let program = "
import socket
listener = socket.create_server(('', 9000))
print('ready', flush=True)
print(listener.accept()[1][0], flush=True)
";
    let mut server = Run::python(&scene, "server", &["--address", "10.77.1.50"], program);
    assert_eq!(server.line(), "ready");
    let (interface, _) = only(&scene);
    let connect = "
import socket
print('connects', flush=True)
socket.create_connection(('10.77.1.50', 9000))
";
    let mut other = Run::python(&scene, "other", &["--address", "10.77.1.60"], connect);
    assert_eq!(other.line(), "connects");
    until("the stranger to be dropped", PATIENCE, || {
        Ok((default_drops(&scene, &interface, "ingress") > 0).then_some(()))
    })
    .unwrap();
    let client = Run::python(&scene, "client", &["--address", "10.77.1.61"], connect);
    assert!(client.end().status.success());
    let output = server.end();
    assert_eq!((output.status.code(), &*output.said), (Some(0), "10.77.1.61\n"));
    other.signal(Signal::SIGTERM);
    assert_eq!(other.end().status.signal(), Some(Signal::SIGTERM as i32));
    assert!(nothing_left(&scene));
}

#[test]
fn a_command_ends_as_it_would_alone() {
    let Some(mut scene) = scene() else { return };
    prepare(&mut scene);
    for (command, code, signal) in [
        (&["sh", "-c", "exit 3"][..], Some(3), None),
        (&["sh", "-c", "kill -TERM $$"], None, Some(15)),
        (&["sh", "-c", "kill -KILL $$"], None, Some(9)),
        // What it leaves running ends with it.
        (&["sh", "-c", "sleep 1000 & exit 4"], Some(4), None),
        (&["no-such-command"], Some(127), None),
        (&["/etc/passwd"], Some(126), None),
    ] {
        let output = run(&scene, "ci", &[], command);
        let status = output.status;
        assert_eq!((status.code(), status.signal()), (code, signal), "{command:?}: {output:?}");
        assert!(nothing_left(&scene), "{command:?}");
    }
    // Its own process namespace, and the host's input and output.
    let mut cat = Run::begin(&scene, "ci", &[], &["sh", "-c", "echo $$; exec cat"]);
    assert_eq!(cat.line(), "2");
    cat.tell("word");
    let output = cat.end();
    assert_eq!((output.status.code(), &*output.said), (Some(0), "word\n"));
}

#[test]
fn signals_reach_the_command_once() {
    let Some(mut scene) = scene() else { return };
    prepare(&mut scene);
    let program = "
import signal, sys
heard = {signal.SIGHUP, signal.SIGINT, signal.SIGUSR1, signal.SIGTERM}
signal.pthread_sigmask(signal.SIG_BLOCK, heard)
print('ready', flush=True)
while True:
    number = signal.sigwait(heard)
    print(int(number), flush=True)
    if number == signal.SIGTERM:
        sys.exit(9)
";
    let mut running = Run::python(&scene, "ci", &[], program);
    assert_eq!(running.line(), "ready");
    for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGUSR1] {
        running.signal(signal);
        assert_eq!(running.line(), (signal as i32).to_string());
    }
    running.signal(Signal::SIGTERM);
    let output = running.end();
    assert_eq!((output.status.code(), &*output.said), (Some(9), "15\n"));
    assert!(nothing_left(&scene));
}

#[test]
fn a_killed_run_takes_its_command_along() {
    let Some(mut scene) = scene() else { return };
    prepare(&mut scene);
    let program = "
import os, signal, sys, time
for number in (signal.SIGHUP, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
print('ready', flush=True)
time.sleep(1000)
";
    let mut running = Run::python(&scene, "ci", &[], program);
    assert_eq!([running.line(), running.line()], ["ready", "ready"]);
    running.signal(Signal::SIGKILL);
    // Whatever is left of it would hold the other end of its output.
    assert_eq!(running.end().status.signal(), Some(Signal::SIGKILL as i32));
    until_nothing_left(&scene);
}

/// What stands between the two is killed: the command goes too, and the run takes all away itself.
#[test]
fn a_killed_half_inside_ends_the_run() {
    let Some(mut scene) = scene() else { return };
    prepare(&mut scene);
    let running = two_ports(&scene, &[], OUTSIDE.into());
    let outer = running.child.id();
    let children = std::fs::read_to_string(format!("/proc/{outer}/task/{outer}/children")).unwrap();
    let inner: i32 = children.trim().parse().unwrap();
    kill(Pid::from_raw(inner), Signal::SIGKILL).unwrap();
    let ended = running.end();
    assert_eq!(ended.status.signal(), Some(Signal::SIGKILL as i32), "{ended:?}");
    assert!(nothing_left(&scene));
}

/// The rules hold while there is no server, the command goes on, and what is left at its end goes
/// when a server is there.
#[test]
fn a_killed_server_ends_no_run() {
    for is_back in [true, false] {
        let Some(mut scene) = scene() else { return };
        prepare(&mut scene);
        let [allowed, denied] = listeners(&scene, OUTSIDE.into());
        let mut running = two_ports(&scene, &[], OUTSIDE.into());
        let (interface, _) = only(&scene);
        scene.product.kill().unwrap();
        running.tell("go");
        let mut stream = accepted(&allowed);
        assert!(denied.accept().is_err(), "it came through");
        if is_back {
            scene.product.resume().unwrap();
            assert!(default_drops(&scene, &interface, "egress") > 0);
            stream.write_all(b"0").unwrap();
            running.tell("go");
            stream = accepted(&allowed);
        }
        stream.write_all(b"7").unwrap();
        let output = running.end();
        assert_eq!(output.status.code(), Some(7));
        assert_eq!(output.complained.contains("later"), !is_back, "{output:?}");
        if is_back {
            assert!(nothing_left(&scene));
        } else {
            scene.product.resume().unwrap();
            until_nothing_left(&scene);
        }
    }
}

#[test]
fn addresses_routes_and_name_servers_are_as_told() {
    let Some(mut scene) = scene() else { return };
    prepare(&mut scene);
    let own = std::fs::read("/etc/resolv.conf").ok();
    let options = [
        "--address=10.77.1.50",
        "--ipv6=2001:db8:77:1::50",
        "--route=198.51.100.0/24",
        "--route=2001:db8:51::/64",
        "--dns=192.0.2.53",
        "--dns=2001:db8::53",
    ];
    let look = "cat /etc/resolv.conf; ip -o address show scope global; ip route; ip -6 route";
    let output = run(&scene, "ci", &options, &["sh", "-c", look]);
    assert_eq!(output.complained, "");
    let said = output.said;
    for expected in [
        "nameserver 192.0.2.53\nnameserver 2001:db8::53\n",
        " eth0    inet 10.77.1.50/32 ",
        " eth0    inet6 2001:db8:77:1::50/128 ",
        "198.51.100.0/24 via 10.77.1.253 dev eth0",
        "10.77.1.253 dev eth0",
        "2001:db8:51::/64 via 2001:db8:77:1:ffff:ffff:ffff:fffd dev eth0",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    assert!(!said.contains("default"), "{said}");
    assert_eq!(std::fs::read("/etc/resolv.conf").ok(), own);
}

#[test]
fn many_at_once_have_each_their_own() {
    // More than the control socket has places for.
    const MANY: usize = Limits::CONTROL_CONNECTIONS_MAX + 8;
    let Some(mut scene) = scene() else { return };
    prepare(&mut scene);
    let look = "ip -o -4 address show scope global; exec cat";
    let command = ["sh", "-c", look];
    let mut running: Vec<Run> =
        (0..MANY).map(|_| Run::begin(&scene, "ci", &[], &command)).collect();
    let mut addresses: Vec<String> = running.iter_mut().map(Run::line).collect();
    addresses.sort();
    addresses.dedup();
    assert_eq!((addresses.len(), bindings(&scene).len()), (MANY, MANY), "{addresses:?}");
    let ended: Vec<Ended> = running.into_iter().map(Run::end).collect();
    assert!(ended.iter().all(|output| output.status.success()), "{ended:?}");
    assert!(nothing_left(&scene));
}

#[test]
fn what_cannot_run_says_why_and_leaves_nothing() {
    let Some(mut scene) = scene() else { return };
    scene.play("group ci enterprise").unwrap();
    let group = scene.estate.group("ci").unwrap();
    let dns = ["--dns=192.0.2.1"; 4];
    for (arguments, expected) in [
        (&["--security-group", "sg-none"][..], "InvalidSecurityGroupId.NotFound"),
        (&["--security-group", group, "--vswitch", "vsw-none"], "InvalidVSwitchId.NotFound"),
        (&["--security-group", group, "--address", "10.77.1.253"], "IpInvalid"),
        (&["--security-group", group, "--address", "10.77.1.1"], "HostAddress"),
        (&["--security-group", group, "--route", "2001:db8::/32"], "NoIpv6"),
        (&["--security-group", group, dns[0], dns[1], dns[2], dns[3]], "TooMany"),
        (&["--security-group", group, "--data", "/nowhere"], "LeaseFailed"),
    ] {
        let mut all = vec!["run"];
        all.extend(arguments);
        all.extend(["--", "echo", "it ran"]);
        let output = Run::of(&scene, &all).end();
        assert_eq!((output.status.code(), &*output.said), (Some(125), ""), "{output:?}");
        assert!(output.complained.contains(expected), "{expected}: {output:?}");
        assert!(nothing_left(&scene), "{expected}");
    }
}

#[test]
fn only_root_runs() {
    if !portcullis_testkit::capability::need("live", portcullis_testkit::lab::available) {
        return;
    }
    // Beside the program, whose folder others may not enter.
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("portcullis");
    std::fs::copy(super::program(), &copy).unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).unwrap();
    let output = std::process::Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&copy)
        .args(["run", "--config=/dev/null", "--security-group=sg-any", "--", "true"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(125), "{output:?}");
    assert!(String::from_utf8(output.stderr).unwrap().contains("error[NotRoot]"));
}
