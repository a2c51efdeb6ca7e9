//! Accounts and access keys over the control socket: what they are good for, that they last, and
//! that no secret of theirs lies open on the disk.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

mod common;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use common::store::FaultySource;
use common::{KEY_ID, KEY_SECRET, Running, Setup};
use portcullis_core::ids::AccountId;
use portcullis_core::records::{Account, Change, Record};
use portcullis_server::control::account::NewKey;
use portcullis_server::control::client::{ClientError, ask};
use portcullis_server::control::message::{Answer, Request};
use portcullis_server::key_file::KeyFileError;
use portcullis_server::server::StartError;
use portcullis_server::throttle::{Rate, ThrottleRule};
use portcullis_store::{Operation, Store};
use portcullis_testkit::client::Client;
use portcullis_wire::record;
use portcullis_wire::record::seal::{SEAL_KEY_BYTES, SealKey};

fn told(server: &Running, request: Request) -> Answer {
    ask(&server.directory, request).unwrap()
}

fn refused(server: &Running, request: Request) -> String {
    match ask(&server.directory, request).unwrap_err() {
        ClientError::Refused(problem) => problem.code,
        error => panic!("{error}"),
    }
}

fn account(server: &Running, name: &str) -> String {
    match told(server, Request::CreateAccount { name: name.into() }) {
        Answer::Account(row) => row.account,
        answer => panic!("{answer:?}"),
    }
}

fn key(server: &Running, request: Request) -> NewKey {
    match told(server, request) {
        Answer::NewKey(key) => key,
        answer => panic!("{answer:?}"),
    }
}

fn create_key(server: &Running, account: &str) -> NewKey {
    key(server, Request::CreateKey { account: account.into() })
}

fn statuses(server: &Running, account: &str) -> BTreeMap<String, String> {
    match told(server, Request::Keys { account: account.into() }) {
        Answer::Keys(rows) => rows.into_iter().map(|row| (row.access_key_id, row.status)).collect(),
        answer => panic!("{answer:?}"),
    }
}

/// What a call with this key comes to, the token in it where there is one.
fn outcome(server: &Running, key: &NewKey) -> String {
    with_token(server, key, &key.security_token)
}

fn with_token(server: &Running, key: &NewKey, token: &str) -> String {
    let client = Client {
        key_id: key.access_key_id.clone(),
        key_secret: key.access_key_secret.clone(),
        ..server.client()
    };
    let parameters: &[(&str, &str)] = match token {
        "" => &[],
        token => &[("SecurityToken", token)],
    };
    client.try_call("DescribeSecurityGroups", parameters).unwrap().text("/Code").unwrap_or_default()
}

#[test]
fn a_key_is_good_until_it_is_disabled_or_deleted_and_lasts_over_restarts() {
    let directory = tempfile::tempdir().unwrap();
    let server = Setup::new(directory.path()).start().unwrap();
    let number = account(&server, "web");
    let first = create_key(&server, "web");
    let second = create_key(&server, &number);
    assert_eq!((outcome(&server, &first), outcome(&server, &second)), Default::default());
    let group = server.call("CreateSecurityGroup", &[]).text("/SecurityGroupId").unwrap();
    let client = Client {
        key_id: first.access_key_id.clone(),
        key_secret: first.access_key_secret.clone(),
        ..server.client()
    };
    let own = client.call("CreateSecurityGroup", &[]).unwrap().text("/SecurityGroupId").unwrap();
    let answer = client.call("DescribeSecurityGroups", &[]).unwrap();
    assert_eq!(answer.text("/SecurityGroups/SecurityGroup/0/SecurityGroupId").unwrap(), own);
    assert_eq!(answer.body["TotalCount"], 1, "{group} is the root account's");

    told(&server, Request::DisableKey { key: first.access_key_id.clone() });
    assert_eq!(outcome(&server, &first), "InvalidAccessKeyId.Inactive");
    let rotate = |keep_old| {
        let old = second.access_key_id.clone();
        key(&server, Request::RotateKey { key: old, keep_old })
    };
    let third = rotate(true);
    assert_eq!((outcome(&server, &second), outcome(&server, &third)), Default::default());
    let fourth = rotate(false);
    assert_eq!(outcome(&server, &second), "InvalidAccessKeyId.Inactive");
    told(&server, Request::DeleteKey { key: third.access_key_id.clone() });
    assert_eq!(outcome(&server, &third), "InvalidAccessKeyId.NotFound");
    told(&server, Request::EnableKey { key: first.access_key_id.clone() });
    let before = statuses(&server, "web");
    server.stop();

    let server = Setup::new(directory.path()).start().unwrap();
    assert_eq!(statuses(&server, &number), before);
    let status = |key: &NewKey| before[&key.access_key_id].as_str();
    assert_eq!(
        [status(&first), status(&second), status(&fourth)],
        ["active", "disabled", "active"]
    );
    assert_eq!((outcome(&server, &first), outcome(&server, &fourth)), Default::default());
    assert_eq!(outcome(&server, &second), "InvalidAccessKeyId.Inactive");
}

#[test]
fn what_may_not_be_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let server = Setup::new(directory.path()).start().unwrap();
    account(&server, "web");
    let id = || KEY_ID.to_owned();
    for (request, code) in [
        (Request::CreateAccount { name: "web".into() }, "EntityAlreadyExists.Account"),
        (Request::CreateAccount { name: "a b".into() }, "MalformedName"),
        (Request::CreateKey { account: "none".into() }, "EntityNotExist.Account"),
        (Request::Keys { account: "none".into() }, "EntityNotExist.Account"),
        (Request::DeleteAccount { account: "root".into() }, "DeleteConflict.Account"),
        (Request::DisableKey { key: id() }, "DeleteConflict.AccessKey"),
        (Request::DeleteKey { key: id() }, "DeleteConflict.AccessKey"),
        (Request::DeleteKey { key: "none".into() }, "EntityNotExist.AccessKey"),
        (
            Request::CreateToken { account: "web".into(), life_s: 1 },
            "InvalidParameter.DurationSeconds",
        ),
        (
            Request::ShareVpc { vpc: "vpc-none".into(), account: "web".into() },
            "InvalidVpcID.NotFound",
        ),
    ] {
        assert_eq!(refused(&server, request.clone()), code, "{request:?}");
    }
    told(&server, Request::DeleteAccount { account: "web".into() });
    let Answer::Accounts(rows) = told(&server, Request::Accounts {}) else { panic!() };
    assert_eq!(rows.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["root"]);
}

#[test]
fn a_temporary_key_goes_with_its_token_and_ends() {
    let directory = tempfile::tempdir().unwrap();
    let server = Setup::new(directory.path()).start().unwrap();
    let token = |life_s| key(&server, Request::CreateToken { account: "root".into(), life_s });
    let (short, long) = (token(900), token(3600));
    assert!(short.access_key_id.starts_with("STS."), "{short:?}");
    assert_eq!((outcome(&server, &short), outcome(&server, &long)), Default::default());
    assert_eq!(with_token(&server, &short, ""), "InvalidSecurityToken.Malformed");
    let others = &long.security_token;
    assert_eq!(with_token(&server, &short, others), "InvalidSecurityToken.MismatchWithAccessKey");
    server.clock.later(901_000);
    let late = [("Timestamp", timestamp(&server))];
    let parameters = |token: &str| {
        let mut all: Vec<(String, String)> =
            late.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        all.push(("SecurityToken".to_owned(), token.to_owned()));
        all
    };
    let call = |key: &NewKey| {
        let client = Client {
            key_id: key.access_key_id.clone(),
            key_secret: key.access_key_secret.clone(),
            ..server.client()
        };
        let owned = parameters(&key.security_token);
        let all: Vec<(&str, &str)> =
            owned.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        client.try_call("DescribeRegions", &all).unwrap().text("/Code").unwrap_or_default()
    };
    assert_eq!((call(&short), call(&long)), ("InvalidSecurityToken.Expired".into(), "".into()));
    let listed = statuses(&server, "root");
    assert_eq!(listed[&short.access_key_id], "expired");
    // The next write takes it along.
    account(&server, "web");
    assert!(!statuses(&server, "root").contains_key(&short.access_key_id));
    assert_eq!(call(&short), "InvalidAccessKeyId.NotFound");
}

/// The server's time as a call writes it.
fn timestamp(server: &Running) -> String {
    use portcullis_server::clock::Clock;
    portcullis_wire::ecs::time::format(server.clock.now_ms())
}

/// Every file below a directory with what it holds.
fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.is_file() {
            found.insert(path.display().to_string(), std::fs::read(&path).unwrap());
        }
    }
    found
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}

#[test]
fn no_secret_lies_open_in_the_data_directory() {
    let directory = tempfile::tempdir().unwrap();
    let server = Setup::new(directory.path()).start().unwrap();
    account(&server, "web");
    let kept = create_key(&server, "web");
    let deleted = create_key(&server, "web");
    told(&server, Request::DeleteKey { key: deleted.access_key_id.clone() });
    let rotated =
        key(&server, Request::RotateKey { key: kept.access_key_id.clone(), keep_old: false });
    let temporary = key(&server, Request::CreateToken { account: "web".into(), life_s: 900 });
    server.stop();
    let own = ["credentials", "seal.key"].map(|name| directory.path().join(name));
    let mut files = files(directory.path());
    for path in &own {
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        files.remove(&path.display().to_string()).unwrap();
    }
    // Ids lie there as they are, so a secret would be found.
    assert!(files.values().any(|bytes| holds(bytes, &kept.access_key_id)));
    let secrets = [&kept, &deleted, &rotated, &temporary].map(|key| &key.access_key_secret);
    let mut secrets: Vec<&str> = secrets.iter().map(|secret| secret.as_str()).collect();
    secrets.extend([KEY_SECRET, &temporary.security_token]);
    for (path, bytes) in &files {
        for secret in &secrets {
            assert!(!holds(bytes, secret), "{path} holds a secret");
        }
    }
}

fn start_error(setup: Setup) -> KeyFileError {
    match setup.start().err().unwrap() {
        StartError::KeyFile(error) => error,
        error => panic!("{error}"),
    }
}

#[test]
fn a_lost_or_wrong_key_file_stops_the_start_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let elsewhere = directory.path().join("a.key");
    let setup = |key_file: &Path| {
        let mut setup = Setup::new(&data);
        setup.key_file = Some(key_file.to_owned());
        setup
    };
    setup(&elsewhere).start().unwrap().stop();
    assert!(elsewhere.exists() && !data.join("seal.key").exists());
    let before = || {
        let mut files = files(directory.path());
        // The engine writes its own files as it opens and closes.
        files.retain(|path, _| !path.contains("/store/"));
        files
    };
    let untouched = before();
    let error = start_error(Setup::new(&data));
    assert!(matches!(&error, KeyFileError::Lost { path, .. } if path.ends_with("seal.key")));
    assert!(error.help().contains("--key-file"));
    assert_eq!(before(), untouched);

    let other = directory.path().join("b.key");
    std::fs::write(&other, format!("portcullis-seal-key-1 {}\n", "01".repeat(32))).unwrap();
    std::fs::set_permissions(&other, std::fs::Permissions::from_mode(0o600)).unwrap();
    let untouched = before();
    let error = start_error(setup(&other));
    assert!(matches!(error, KeyFileError::Other { .. }), "{error}");
    std::fs::set_permissions(&other, std::fs::Permissions::from_mode(0o644)).unwrap();
    let error = start_error(setup(&other));
    assert!(matches!(error, KeyFileError::Open { mode: 0o644, .. }), "{error}");
    assert_eq!(before(), untouched);

    let server = setup(&elsewhere).start().unwrap();
    server.call("DescribeRegions", &[]);
}

#[test]
fn records_of_before_are_sealed_by_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let source = FaultySource::new();
    let memory = std::sync::Arc::clone(&source.memory);
    let root = Account {
        id: AccountId(1_000_000_000_000_001),
        name: "root".parse().unwrap(),
        root: true,
        created_ms: 0,
    };
    let seal = SealKey::new(&[0; SEAL_KEY_BYTES]);
    let (key, value) = record::encode(&Change::Put(Record::Account(root)), &seal);
    // An access key as versions before wrote it: secret, account, active, time.
    let plain_key = [&[2][..], KEY_ID.as_bytes()].concat();
    let account = [0x81, 0x80, 0x9a, 0xa6, 0xea, 0xaf, 0xe3, 0x01];
    let secret = [&[1, KEY_SECRET.len() as u8][..], KEY_SECRET.as_bytes()].concat();
    let plain = [&secret[..], &account, &[1, 0]].concat();
    let puts = vec![Operation::put(key, value.unwrap()), Operation::put(plain_key.clone(), plain)];
    memory.commit(&[], puts).unwrap();

    let stored = || {
        let mut found = None;
        memory
            .load(&mut |entry| {
                if entry.key == plain_key {
                    found = Some(entry.value.to_vec());
                }
            })
            .unwrap();
        found.unwrap()
    };
    assert!(holds(&stored(), KEY_SECRET) && record::is_outdated(&plain_key, &stored()));
    let mut setup = Setup::new(directory.path());
    setup.source = Some(Box::new(FaultySource { memory: memory.clone(), plan: source.plan }));
    let server = setup.start().unwrap();
    assert!(!holds(&stored(), KEY_SECRET) && !record::is_outdated(&plain_key, &stored()));
    server.call("DescribeSecurityGroups", &[]);
    server.stop();
    let revision = memory.head();
    let mut setup = Setup::new(directory.path());
    let plan = Default::default();
    setup.source = Some(Box::new(FaultySource { memory: memory.clone(), plan }));
    setup.start().unwrap().call("DescribeSecurityGroups", &[]);
    assert_eq!(memory.head(), revision, "nothing is written again");
}

#[test]
fn who_calls_too_often_is_told_when_to_come_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut setup = Setup::new(directory.path());
    let rate = Rate::new(60, 2).unwrap();
    let action = Some("DescribeRegions".to_owned());
    setup.throttle = vec![ThrottleRule { account: Some("root".into()), action, rate }];
    let server = setup.start().unwrap();
    account(&server, "web");
    let web = create_key(&server, "web");
    let code = || server.code("DescribeRegions", &[("Timestamp", timestamp(&server).as_str())]);
    assert_eq!((code(), code()), ((200, String::new()), (200, String::new())));
    let (status, code_of_third) = code();
    assert_eq!((status, code_of_third.as_str()), (400, "Throttling.User"));
    let answer = server.exchange(&server.client().request("DescribeRegions", &[]));
    let header = answer.lines().find_map(|line| line.strip_prefix("x-acs-retry-after: "));
    let wait_ms: u64 = header.unwrap_or_else(|| panic!("{answer}")).parse().unwrap();
    assert!((1..=1000).contains(&wait_ms), "{wait_ms}");
    // Other accounts and actions have their own.
    assert_eq!(outcome(&server, &web), "");
    server.call("DescribeSecurityGroups", &[]);
    // This clock may have been ahead of the system's, having shown no millisecond twice.
    server.clock.later(wait_ms + 500);
    assert_eq!(code(), (200, String::new()));
    assert_eq!(code().1, "Throttling.User");
}
