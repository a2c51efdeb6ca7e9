//! `portcullis serve` and what talks to it, as processes: what they print, how they end, and what
//! is left of a server that was killed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use portcullis_testkit::client::{Answer, Client, Way};
use portcullis_testkit::lab::product::Product;
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_portcullis");

fn portcullis(arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).env("PORTCULLIS_CONFIG", "/dev/null");
    for name in ["DATA", "LISTEN", "REGION", "NO_AGENT", "ACCESS_KEY_ID", "ACCESS_KEY_SECRET"] {
        command.env_remove(format!("PORTCULLIS_{name}"));
    }
    command
}

fn run(arguments: &[&str]) -> Output {
    portcullis(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A server whose lines are read; killed when it is dropped.
struct Serving {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Serving {
    fn start(data: &Path) -> Serving {
        let data = data.to_str().unwrap();
        let mut child =
            portcullis(&["serve", "--no-agent", "--listen", "127.0.0.1:0", "--data", data])
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Serving { child, lines }
    }

    /// All lines up to the one that says it is ready.
    fn until_ready(&mut self) -> Vec<String> {
        let mut said = Vec::new();
        loop {
            let mut line = String::new();
            assert!(self.lines.read_line(&mut line).unwrap() > 0, "it ended after {said:?}");
            said.push(line.trim_end().to_owned());
            if line.starts_with("portcullis is ready") {
                return said;
            }
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_first_start_makes_a_key_and_shows_it_once() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let mut serving = Serving::start(&data);
    let said = serving.until_ready();
    let value = |line: &str, name: &str| line.strip_prefix(name).map(str::to_owned);
    let key_id = value(&said[1], "PORTCULLIS_ACCESS_KEY_ID=").unwrap();
    let key_secret = value(&said[2], "PORTCULLIS_ACCESS_KEY_SECRET=").unwrap();
    let ready = &said[3];
    assert!(ready.ends_with("; nothing is enforced on this host"), "{ready}");

    let credentials = data.join("credentials");
    let kept = std::fs::read_to_string(&credentials).unwrap();
    assert_eq!(kept, format!("{}\n{}\n", said[1], said[2]));
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&credentials), mode(&data)), (0o600, 0o700));
    for entry in std::fs::read_dir(data.join("store")).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }

    let address = ready.split("http://").nth(1).unwrap().split(';').next().unwrap();
    let client = Client {
        address: address.parse().unwrap(),
        key_id,
        key_secret,
        region: "cn-qingdao-env17-d01".into(),
        way: Way::RouteJson,
        namespace: None,
    };
    let regions = client.call("DescribeRegions", &[]).unwrap();
    assert_eq!(regions.list("/Regions/Region").unwrap().len(), 2);

    drop(serving);
    let said = Serving::start(&data).until_ready();
    assert_eq!(said.len(), 1, "{said:?}");
}

#[test]
fn a_key_is_never_made_or_given_in_vain() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let failing = ["serve", "--no-agent", "--listen", &address, "--data", data.to_str().unwrap()];
    let failed = run(&failing);
    assert_eq!(failed.status.code(), Some(1));
    assert!(text(&failed.stderr).contains("cannot listen at"), "{}", text(&failed.stderr));
    assert!(!data.join("credentials").exists());

    let said = Serving::start(&data).until_ready();
    assert!(said[1].starts_with("PORTCULLIS_ACCESS_KEY_ID="), "{said:?}");
    let with_key = |id: &str| {
        let mut command = portcullis(&failing);
        command.env("PORTCULLIS_ACCESS_KEY_ID", id);
        command.env("PORTCULLIS_ACCESS_KEY_SECRET", "a-secret-of-mine");
        text(&command.output().unwrap().stderr)
    };
    let own = said[1].trim_start_matches("PORTCULLIS_ACCESS_KEY_ID=");
    assert!(with_key("another").contains("is not used"), "{}", with_key("another"));
    assert!(!with_key(own).contains("is not used"), "{}", with_key(own));
}

#[test]
fn one_directory_has_one_server() {
    let product = Product::start(Path::new(PROGRAM), None, &["--no-agent"]).unwrap();
    let data = product.data();
    let second =
        run(&["serve", "--no-agent", "--listen", "127.0.0.1:0", "--data", data.to_str().unwrap()]);
    assert_eq!(second.status.code(), Some(1));
    let complaint = text(&second.stderr);
    assert!(complaint.contains("is in use by another process"), "{complaint}");
    assert!(complaint.contains("help: stop the other process"), "{complaint}");
    // The first is not disturbed.
    product.client(Way::Query).unwrap().call("DescribeRegions", &[]).unwrap();
}

#[test]
fn what_cannot_be_used_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("p.toml");
    std::fs::write(&file, "listen = 'nowhere'\n").unwrap();
    let output = run(&["serve", "--config", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    let complaint = text(&output.stderr);
    assert!(complaint.contains(&format!("{}:1:10", file.display())), "{complaint}");

    let data = directory.path().join("data");
    let data = data.to_str().unwrap();
    let output = portcullis(&["serve", "--no-agent", "--data", data])
        .env("PORTCULLIS_ACCESS_KEY_ID", "only-half")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("PORTCULLIS_ACCESS_KEY_SECRET"));

    let output = run(&["bindings", "--data", data]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("no server answers at"), "{}", text(&output.stderr));
}

/// A network interface, made by calls.
fn make_interface(client: &Client) -> String {
    let pick = |answer: Answer, name: &str| answer.text(name).unwrap();
    let vpc = pick(client.call("CreateVpc", &[("CidrBlock", "10.0.0.0/16")]).unwrap(), "/VpcId");
    let switch = [("VpcId", vpc.as_str()), ("ZoneId", "z-a"), ("CidrBlock", "10.0.0.0/24")];
    let switch = pick(client.call("CreateVSwitch", &switch).unwrap(), "/VSwitchId");
    let group = client.call("CreateSecurityGroup", &[("VpcId", &vpc)]).unwrap();
    let group = pick(group, "/SecurityGroupId");
    let interface = [("VSwitchId", switch.as_str()), ("SecurityGroupId", group.as_str())];
    pick(client.call("CreateNetworkInterface", &interface).unwrap(), "/NetworkInterfaceId")
}

#[test]
fn the_commands_for_administration_speak_to_people_and_programs() {
    let mut product = Product::start(Path::new(PROGRAM), None, &["--no-agent"]).unwrap();
    let interface = make_interface(&product.client(Way::Form).unwrap());
    let said = product.run(&["bind", &interface, "veth7"]).unwrap();
    assert!(said.contains("not enforced, the server runs without an agent"), "{said}");
    let said = product.run(&["bindings"]).unwrap();
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].starts_with("INTERFACE") && lines[0].contains("DEVICE"), "{said}");
    assert!(lines[1].starts_with(&interface) && lines[1].contains("veth7"), "{said}");
    let said = product.run(&["bindings", "--json"]).unwrap();
    let rows: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(rows[0]["device"], "veth7");
    for command in ["hits", "drops"] {
        let output = product.try_run(&[command]).unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains("nothing is enforced here"));
    }
    let output = product.try_run(&["bind", &interface, "veth8"]).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("InvalidOperation.InvalidEniState"));

    // Bindings outlive the process, however it ends.
    product.terminate().unwrap();
    product.resume().unwrap();
    product.kill().unwrap();
    product.resume().unwrap();
    assert!(product.run(&["bindings"]).unwrap().contains("veth7"));
    let said = product.run(&["unbind", &interface, "--json"]).unwrap();
    let changed: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(changed["enforcement"], "NotEnforced");
    let output = product.try_run(&["unbind", &interface]).unwrap();
    assert!(text(&output.stderr).contains("InvalidBinding.NotFound"));
    product.terminate().unwrap();
}

#[test]
fn accounts_and_keys_outlive_a_killed_server() {
    let mut product = Product::start(Path::new(PROGRAM), None, &["--no-agent"]).unwrap();
    let made = product.run(&["account", "create", "web", "--json"]).unwrap();
    let account: Value = serde_json::from_str(&made).unwrap();
    let number = account["account"].as_str().unwrap().to_owned();
    let made = product.run(&["key", "create", &number]).unwrap();
    let value = |name: &str| {
        let line = made.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().trim_start_matches('=').to_owned()
    };
    let mut rounds = Vec::new();
    for _ in 0..3 {
        let made = product.run(&["key", "token", "web", "--json"]).unwrap();
        let token: Value = serde_json::from_str(&made).unwrap();
        rounds.push(token["access_key_id"].as_str().unwrap().to_owned());
        product.kill().unwrap();
        product.resume().unwrap();
        let client = Client {
            key_id: value("PORTCULLIS_ACCESS_KEY_ID"),
            key_secret: value("PORTCULLIS_ACCESS_KEY_SECRET"),
            ..product.client(Way::Form).unwrap()
        };
        client.call("DescribeSecurityGroups", &[]).unwrap();
        let client = Client {
            key_id: token["access_key_id"].as_str().unwrap().to_owned(),
            key_secret: token["access_key_secret"].as_str().unwrap().to_owned(),
            ..client
        };
        let carried = [("SecurityToken", token["security_token"].as_str().unwrap())];
        client.call("DescribeSecurityGroups", &carried).unwrap();
    }
    let said = product.run(&["key", "list", "web"]).unwrap();
    assert!(rounds.iter().all(|id| said.contains(id)), "{said}");
    let output = product.try_run(&["account", "delete", "web"]).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stderr);
    assert!(told.contains(&value("PORTCULLIS_ACCESS_KEY_ID")), "{told}");
    product.terminate().unwrap();
}

/// What one writer knows about its group of this round, kept outside the server.
#[derive(Default)]
struct Ledger {
    group: Option<String>,
    acknowledged: BTreeSet<u16>,
    refused: BTreeSet<u16>,
    /// No answer came: it may have happened.
    unknown: Option<u16>,
    revisions: Vec<u64>,
}

const WRITERS: usize = 4;
const ROUNDS: u64 = 10;
/// Below the quota of a group.
const PORTS: u16 = 900;

fn rule<'a>(group: &'a str, range: &'a str, token: &'a str) -> [(&'a str, &'a str); 5] {
    [
        ("SecurityGroupId", group),
        ("IpProtocol", "tcp"),
        ("PortRange", range),
        ("DestCidrIp", "192.0.2.0/24"),
        ("ClientToken", token),
    ]
}

fn token(group: &str, port: u16) -> String {
    format!("{group}-{port}")
}

/// Adds rules one by one until the server is gone. Every seventh is one that must be refused.
fn write(client: &Client, stop: &AtomicBool) -> Ledger {
    let mut ledger = Ledger::default();
    let Ok(group) = client.call("CreateSecurityGroup", &[]) else { return ledger };
    let group = group.text("/SecurityGroupId").unwrap();
    ledger.group = Some(group.clone());
    for port in 1..=PORTS {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let (is_sound, token) = (port % 7 != 0, token(&group, port));
        let range = if is_sound { format!("{port}/{port}") } else { format!("{port}/0") };
        match client.try_call("AuthorizeSecurityGroupEgress", &rule(&group, &range, &token)) {
            Ok(answer) if answer.status == 200 => {
                ledger.acknowledged.insert(port);
                ledger.revisions.push(answer.body["Revision"].as_u64().unwrap());
            }
            Ok(answer) => {
                assert!(!is_sound, "{}", answer.body);
                ledger.refused.insert(port);
            }
            Err(_) => {
                ledger.unknown = Some(port).filter(|_| is_sound);
                break;
            }
        }
    }
    ledger
}

/// The first ports of a group's rules; no rule twice.
fn ports(client: &Client, group: &str) -> BTreeSet<u16> {
    let answer = client.call("DescribeSecurityGroupAttribute", &[("SecurityGroupId", group)]);
    let mut ports = BTreeSet::new();
    for row in answer.unwrap().list("/Permissions/Permission").unwrap() {
        let port = row["PortRange"].as_str().unwrap().split('/').next().unwrap();
        assert!(ports.insert(port.parse().unwrap()), "{row} is there twice");
    }
    ports
}

fn check(client: &Client, ledger: &Ledger) {
    let Some(group) = &ledger.group else { return };
    let mut found = ports(client, group);
    // What was under way is repeated with its token: it has happened once, whether before or now.
    if let Some(port) = ledger.unknown {
        let range = format!("{port}/{port}");
        let token = token(group, port);
        client.call("AuthorizeSecurityGroupEgress", &rule(group, &range, &token)).unwrap();
        assert!(ports(client, group).contains(&port));
        found.remove(&port);
    }
    assert_eq!(found, ledger.acknowledged, "in {group}");
    assert!(found.is_disjoint(&ledger.refused));
    assert!(ledger.revisions.is_sorted_by(|a, b| a < b), "{:?}", ledger.revisions);
}

#[test]
fn nothing_acknowledged_is_lost_when_the_server_is_killed() {
    let mut product = Product::start(Path::new(PROGRAM), None, &["--no-agent"]).unwrap();
    let mut total = 0;
    let mut seen: BTreeMap<String, BTreeSet<u16>> = BTreeMap::new();
    for round in 0..ROUNDS {
        let client = product.client(Way::Route).unwrap();
        let stop = AtomicBool::new(false);
        let ledgers: Vec<Ledger> = std::thread::scope(|scope| {
            let writers: Vec<_> =
                (0..WRITERS).map(|_| scope.spawn(|| write(&client, &stop))).collect();
            // A different moment each round, from the first writes on.
            let moment = Instant::now() + Duration::from_millis(20 + round * 37 % 250);
            while Instant::now() < moment {
                std::thread::yield_now();
            }
            product.kill().unwrap();
            stop.store(true, Ordering::SeqCst);
            writers.into_iter().map(|writer| writer.join().unwrap()).collect()
        });
        product.resume().unwrap();
        let client = product.client(Way::Query).unwrap();
        for ledger in &ledgers {
            check(&client, ledger);
            total += ledger.acknowledged.len();
            if let Some(group) = &ledger.group {
                seen.insert(group.clone(), ports(&client, group));
            }
        }
    }
    // What was there after one crash is there after all of them.
    let client = product.client(Way::Query).unwrap();
    for (group, before) in &seen {
        assert_eq!(ports(&client, group), *before, "{group}");
    }
    assert!(total > 100, "only {total} writes were acknowledged");
    product.terminate().unwrap();
}

/// What `portcullis` printed, which must have succeeded.
fn done(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn an_export_is_one_moment_and_makes_the_same_server_elsewhere() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (old, new, export) = (path("old"), path("new"), path("export"));
    let mut server = Serving::start(Path::new(&old));
    server.until_ready();
    done(&["account", "create", "web", "--data", &old]);
    done(&["key", "create", "web", "--data", &old]);
    let accounts = done(&["account", "list", "--json", "--data", &old]);
    let keys = done(&["key", "list", "--json", "--data", &old]);
    let said = done(&["export", &export, "--data", &old]);
    assert!(said.starts_with("revision ") && said.contains(&export), "{said}");
    assert_eq!(std::fs::metadata(&export).unwrap().permissions().mode() & 0o777, 0o600);
    done(&["account", "create", "later", "--data", &old]);

    let refused = run(&["restore", &export, "--data", &old]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("in use by another process"));
    drop(server);
    let refused = text(&run(&["restore", &export, "--data", &old]).stderr);
    assert!(refused.contains("is not empty"), "{refused}");

    let said = done(&["restore", &export, "--data", &new]);
    assert!(said.starts_with("revision "), "{said}");
    std::fs::copy(path("old/seal.key"), path("new/seal.key")).unwrap();
    let mut server = Serving::start(Path::new(&new));
    server.until_ready();
    assert_eq!(done(&["account", "list", "--json", "--data", &new]), accounts);
    assert_eq!(done(&["key", "list", "--json", "--data", &new]), keys);
}

#[test]
fn an_export_that_is_not_whole_restores_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (old, new, export) = (path("old"), path("new"), path("export"));
    let mut server = Serving::start(Path::new(&old));
    server.until_ready();
    done(&["export", &export, "--data", &old]);
    let whole = std::fs::read(&export).unwrap();
    let refused = |name: &str, bytes: &[u8]| {
        std::fs::write(path(name), bytes).unwrap();
        let output = run(&["restore", &path(name), "--data", &new]);
        assert_eq!(output.status.code(), Some(1), "{name}");
        text(&output.stderr)
    };
    assert!(refused("cut", &whole[..whole.len() - 1]).contains("cut off"));
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    assert!(refused("flipped", &flipped).contains("error[CannotRestore]"));
    let mut longer = whole.clone();
    longer.push(0);
    assert!(refused("longer", &longer).contains("something follows its end"));
    assert!(refused("other", b"{}").contains("error[CannotRestore]"));
    let missing = run(&["restore", &path("missing"), "--data", &path("nowhere")]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(!Path::new(&path("nowhere")).exists());
    // What is refused leaves the place free for what is whole.
    done(&["restore", &export, "--data", &new]);

    let refused = run(&["export", &path("no/such/folder"), "--data", &old]);
    assert!(text(&refused.stderr).contains("ExportFailed"), "{}", text(&refused.stderr));
}
