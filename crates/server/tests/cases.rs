//! Plays every recorded exchange of `cases/api` over HTTP, each against a server of its own.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

mod common;

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use common::store::FaultySource;
use common::{PATIENCE, Running, Setup};
use portcullis_core::ids::AccountId;
use portcullis_core::records::{
    AccessKey, AccessKeySecret, Account, Change, KeySession, Record, SecurityToken,
};
use portcullis_core::settings::{Quotas, Settings};
use portcullis_server::clock::Clock;
use portcullis_server::control::client::ask;
use portcullis_server::control::message::{Request, VERSION};
use portcullis_server::throttle::{Rate, ThrottleRule};
use portcullis_store::{Operation, Store};
use portcullis_testkit::exchange::in_process::{SECURITY_TOKEN, SESSION_LIFE_MS};
use portcullis_testkit::exchange::language::{self, Case, Share, Step, Throttled};
use portcullis_testkit::exchange::request::{Key, Request as Call};
use portcullis_testkit::exchange::{Reply, Server, Watched, is_runnable, read_folder, run, send};
use portcullis_wire::record;
use portcullis_wire::record::seal::{SEAL_KEY_BYTES, SealKey};
use serde_json::{Map, Value};

/// Access keys by the names that cases use: id, secret, account, whether it is active.
const KEYS: [(&str, &str, &str, u64, bool); 4] = [
    ("root", "rootkey", "rootsecret", 1_000_000_000_000_001, true),
    ("other", "otherkey", "othersecret", 1234, true),
    ("old", "oldkey", "oldsecret", 1_000_000_000_000_001, false),
    ("temporary", "temporarykey", "temporarysecret", 1_000_000_000_000_001, true),
];

/// What the store holds before the server starts.
fn records(now_ms: u64) -> Vec<Record> {
    let account = |id, name: &str, root| {
        let (id, name) = (AccountId(id), name.parse().unwrap());
        Record::Account(Account { id, name, root, created_ms: 0 })
    };
    let accounts = [account(KEYS[0].3, "root", true), account(1234, "other@example.com", false)];
    let session = || KeySession {
        token: SecurityToken::new(SECURITY_TOKEN),
        expires_ms: now_ms + SESSION_LIFE_MS,
    };
    let keys = KEYS.map(|(name, id, secret, account, active)| {
        Record::AccessKey(AccessKey {
            id: id.parse().unwrap(),
            secret: AccessKeySecret::new(secret.as_bytes()),
            account: AccountId(account),
            active,
            created_ms: 0,
            session: (name == "temporary").then(session),
        })
    });
    accounts.into_iter().chain(keys).collect()
}

fn throttle_rule(own: &Throttled) -> ThrottleRule {
    let rate = Rate::new(own.calls_per_minute, own.burst).unwrap();
    ThrottleRule { account: None, action: own.action.clone(), rate }
}

fn quotas(case: &Case) -> Quotas {
    let mut quotas = Quotas::default();
    for (name, number) in &case.quotas {
        quotas.set(name, *number).unwrap();
    }
    quotas
}

/// A server over HTTP, as cases see it.
struct OverHttp {
    server: Running,
    _directory: tempfile::TempDir,
}

impl OverHttp {
    fn new(case: &Case) -> OverHttp {
        let directory = tempfile::tempdir().unwrap();
        let source = FaultySource::new();
        // The key file of the setup, so that the server opens what is sealed here.
        let seal = SealKey::new(&[0xab; SEAL_KEY_BYTES]);
        std::fs::set_permissions(&directory, Permissions::from_mode(0o700)).unwrap();
        let key_file = directory.path().join("seal.key");
        std::fs::write(&key_file, format!("portcullis-seal-key-1 {}\n", "ab".repeat(32))).unwrap();
        std::fs::set_permissions(&key_file, Permissions::from_mode(0o600)).unwrap();
        let mut setup = Setup::new(directory.path());
        let puts = records(setup.clock.now_ms()).into_iter().map(|record| {
            let (key, value) = record::encode(&Change::Put(record), &seal);
            Operation::put(key, value.unwrap())
        });
        source.memory.commit(&[], puts.collect()).unwrap();
        setup.source = Some(Box::new(source));
        let regions = ["cn-hangzhou", "cn-qingdao-env17-d01"];
        let mut settings = Settings::new(regions.map(|region| region.parse().unwrap()));
        settings.quotas = quotas(case);
        setup.settings = settings;
        setup.throttle = case.throttle.iter().map(throttle_rule).collect();
        OverHttp { server: setup.start().unwrap(), _directory: directory }
    }

    fn exchange(&self, request: &Call) -> std::io::Result<Vec<u8>> {
        let mut bytes = format!("{} {} HTTP/1.1\r\n", request.method, request.target).into_bytes();
        let has =
            |name: &str| request.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
        for (name, value) in &request.headers {
            bytes.extend(format!("{name}: {value}\r\n").into_bytes());
        }
        if !has("host") {
            bytes.extend(format!("Host: {}\r\n", self.server.address).into_bytes());
        }
        if !has("content-length") && request.method != "GET" {
            bytes.extend(format!("Content-Length: {}\r\n", request.body.len()).into_bytes());
        }
        bytes.extend(b"Connection: close\r\n\r\n");
        bytes.extend(&request.body);
        let mut stream = TcpStream::connect(self.server.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(&bytes)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer)
    }
}

impl Server for OverHttp {
    fn send(&mut self, request: &Call) -> Result<Reply, String> {
        let answer = self.exchange(request).map_err(|error| error.to_string())?;
        let text = String::from_utf8(answer).map_err(|error| error.to_string())?;
        let (head, body) = text.split_once("\r\n\r\n").ok_or("no end of the head")?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let headers: Vec<(String, String)> = head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let content_type = headers.iter().find(|(name, _)| name == "content-type");
        Ok(Reply {
            status: status.ok_or_else(|| format!("no status in {head}"))?,
            content_type: content_type.map(|(_, value)| value.clone()).unwrap_or_default(),
            headers,
            body: body.into(),
        })
    }

    fn now_ms(&self) -> u64 {
        self.server.clock.now_ms()
    }

    fn key(&self, name: &str) -> Option<Key> {
        let key = KEYS.iter().find(|(own, ..)| *own == name)?;
        Some(Key { id: key.1.to_owned(), secret: key.2.to_owned() })
    }

    fn share(&mut self, share: &Share) -> Result<(), String> {
        let key = KEYS.iter().find(|(own, ..)| *own == share.key).ok_or("no such key")?;
        let (vpc, account) = (share.vpc.clone(), key.3.to_string());
        let request = match share.shared {
            true => Request::ShareVpc { vpc, account },
            false => Request::UnshareVpc { vpc, account },
        };
        let told = ask(&self.server.directory, request);
        told.map(drop).map_err(|error| error.to_string())
    }

    fn tell(&mut self, mut question: Map<String, Value>) -> Result<Value, String> {
        question.insert("version".to_owned(), VERSION.into());
        let line = Value::Object(question).to_string() + "\n";
        let converse = || {
            let mut stream = UnixStream::connect(self.server.directory.control_socket())?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(line.as_bytes())?;
            let mut reply = String::new();
            BufReader::new(stream).read_line(&mut reply)?;
            Ok(serde_json::from_str(&reply)?)
        };
        converse().map_err(|error: std::io::Error| error.to_string())
    }

    fn offers(&self, need: &str) -> bool {
        matches!(need, "clock" | "quotas" | "accounts" | "operator" | "tokens" | "throttle")
    }

    fn later(&mut self, milliseconds: u64) {
        self.server.clock.later(milliseconds);
    }

    fn set_quota(&mut self, _name: &str, _number: usize) -> Result<(), String> {
        // The server was started with the quotas of the case.
        Ok(())
    }

    fn throttle(&mut self, _rules: &[Throttled]) -> Result<(), String> {
        // And with its rates.
        Ok(())
    }
}

/// What a case cannot say, which signs every call anew: the same bytes twice.
#[test]
fn an_x_ca_request_without_a_nonce_is_good_for_one_call_too() {
    let text = "case replay\nby x-ca\ndo DescribeRegions\n  -X-Ca-Nonce\n=> 200\n";
    let cases = language::read("replay", text, &mut Vec::new()).unwrap();
    let mut server = OverHttp::new(&cases[0]);
    let Step::Exchange(exchange) = &cases[0].steps[0] else { panic!() };
    let call = Watched { exchange, kept: &BTreeMap::new(), way: cases[0].ways[0], key: "root" };
    let (request, first) = send(&call, "never sent".into(), &mut server).unwrap();
    assert!(!request.headers.iter().any(|(name, _)| name == "X-Ca-Nonce"));
    assert_eq!(first.status, 200);
    let again = server.send(&request).unwrap();
    let said = String::from_utf8(again.body).unwrap();
    assert_eq!(again.status, 400, "{said}");
    assert!(said.contains("SignatureNonceUsed"), "{said}");
}

#[test]
fn every_case_holds_over_http() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../cases/api");
    let cases = read_folder(&folder).unwrap();
    let (mut played, mut failures) = (0, Vec::new());
    // What is beyond the HTTP library's own bound on a target never arrives; `bounds.rs` shows it.
    let reachable = |case: &&Case| !case.needs.iter().any(|need| need == "long-targets");
    for case in cases.iter().filter(reachable) {
        for way in &case.ways {
            let mut server = OverHttp::new(case);
            assert!(is_runnable(case, &server), "{}: needs what is not offered", case.place);
            played += 1;
            failures.extend(run(case, *way, &mut server).err());
        }
    }
    assert!(failures.is_empty(), "{} of {played}:\n{}", failures.len(), failures.join("\n"));
    assert!(played > 100, "only {played} cases were played");
}
