//! What the server does at its bounds: each is reached, and answered as documented.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

mod common;

use std::io::{Read, Write};

use common::store::{Fault, FaultySource};
use common::{Setup, read_all, until};
use portcullis_server::limits::Limits;

fn with_limits(change: impl FnOnce(&mut Limits)) -> (tempfile::TempDir, common::Running) {
    let directory = tempfile::tempdir().unwrap();
    let mut setup = Setup::new(directory.path());
    change(&mut setup.limits);
    let server = setup.start().unwrap();
    (directory, server)
}

fn post(length: usize) -> Vec<u8> {
    let head = format!(
        "POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: {length}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n\r\n"
    );
    [head.into_bytes(), vec![b'a'; length]].concat()
}

#[test]
fn a_body_has_a_size() {
    let (_directory, server) = with_limits(|limits| limits.body_bytes_max = 1000);
    let answer = server.exchange(&post(1000));
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    let answer = server.exchange(&post(1001));
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("<Code>RequestTooLarge</Code>"), "{answer}");
    let route = String::from_utf8(post(1001)).unwrap();
    let route =
        route.replacen("POST / ", "POST /apsara/route/Ecs/AuthorizeSecurityGroupEgress ", 1);
    let answer = server.exchange(route.as_bytes());
    assert!(answer.contains(r#""Code":"RequestTooLarge""#), "{answer}");
    assert!(answer.contains(r#""errorSample":{"resultCode":-1,"#), "{answer}");
    let head = "POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n";
    let chunks = format!("\r\n258\r\n{0}\r\n258\r\n{0}\r\n0\r\n\r\n", "a".repeat(0x258));
    let answer = server.exchange((head.to_owned() + &chunks).as_bytes());
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[test]
fn a_head_has_a_size() {
    let (_directory, server) = with_limits(|limits| {
        limits.head_bytes_max = 8192;
        limits.headers_max = 10;
    });
    let get = |headers: &str| format!("GET / HTTP/1.1\r\nConnection: close\r\n{headers}\r\n");
    let answer = server.exchange(get("Host: h\r\n").as_bytes());
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    let answer = server.exchange(get(&format!("Host: {}\r\n", "h".repeat(9000))).as_bytes());
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let answer = server.exchange(get(&"A: b\r\n".repeat(10)).as_bytes());
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    // Between the wire's own bound and that of the HTTP library the refusal is ours.
    let (_directory, server) = with_limits(|_| {});
    let target =
        |length| format!("GET /?{} HTTP/1.1\r\nConnection: close\r\n\r\n", "a".repeat(length));
    let answer = server.exchange(target(65_000).as_bytes());
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    let answer = server.exchange(target(65_510).as_bytes());
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    let answer = server.exchange(target(66_000).as_bytes());
    assert!(answer.starts_with("HTTP/1.1 414 "), "{answer}");
}

#[test]
fn a_body_that_is_none_is_told() {
    let (_directory, server) = with_limits(|_| ());
    let head = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    let answer = server.exchange((head.to_owned() + "no size\r\n").as_bytes());
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("<Code>InvalidParameter.Body</Code>"), "{answer}");
}

#[test]
fn a_slow_client_is_told_or_cut() {
    let (_directory, server) = with_limits(|limits| {
        limits.head_time_max_ms = 200;
        limits.body_time_max_ms = 200;
    });
    let answer = server.exchange(&post(10)[..post(10).len() - 1]);
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("<Code>RequestTimeout</Code>"), "{answer}");
    let mut stream = server.connect();
    stream.write_all(b"GET / HT").unwrap();
    assert!(!read_all(&mut stream).contains("HTTP/1.1 200"));
    // An idle connection is closed without a word.
    let mut stream = server.connect();
    assert_eq!(read_all(&mut stream), "");
}

#[test]
fn connections_are_counted() {
    let (_directory, server) = with_limits(|limits| limits.connections_max = 2);
    let occupy = || {
        let mut stream = server.connect();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
        // The answer proves that the connection has its place.
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        stream
    };
    let (first, _second) = (occupy(), occupy());
    let answer = read_all(&mut server.connect());
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains(r#""Code":"ServiceUnavailable""#), "{answer}");
    drop(first);
    until("the place is free", || {
        server.client().try_call("DescribeRegions", &[]).is_ok_and(|answer| answer.status == 200)
    });
}

#[test]
fn waiting_writes_are_counted() {
    let directory = tempfile::tempdir().unwrap();
    let source = FaultySource::new();
    let plan = source.plan.clone();
    plan.batches(&[Fault::None, Fault::Gate]);
    let mut setup = Setup::new(directory.path());
    setup.source = Some(Box::new(source));
    setup.limits.queue_max = 1;
    setup.limits.batch_max = 1;
    let server = setup.start().unwrap();
    std::thread::scope(|scope| {
        let write = || server.try_call("CreateSecurityGroup", &[]).status;
        let first = scope.spawn(write);
        plan.wait_for_gate();
        // One more fits into the queue; the next does not, whichever comes first.
        let others = [scope.spawn(write), scope.spawn(write)];
        until("a write is turned away", || others.iter().any(|other| other.is_finished()));
        assert_eq!(server.try_call("DescribeSecurityGroups", &[]).status, 200);
        plan.open_gate();
        assert_eq!(first.join().unwrap(), 200);
        let mut statuses = others.map(|other| other.join().unwrap());
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 503]);
    });
    let groups = server.call("DescribeSecurityGroups", &[]);
    assert_eq!(groups.body["TotalCount"], 2);
}

#[test]
fn stopping_finishes_what_is_in_flight() {
    let directory = tempfile::tempdir().unwrap();
    let source = FaultySource::new();
    let plan = source.plan.clone();
    plan.batches(&[Fault::None, Fault::Gate]);
    let mut setup = Setup::new(directory.path());
    setup.source = Some(Box::new(source));
    let mut server = setup.start().unwrap();
    let client = server.client();
    let write = std::thread::spawn(move || client.try_call("CreateSecurityGroup", &[]));
    plan.wait_for_gate();
    server.signal();
    let address = server.address;
    until("nobody is let in", || std::net::TcpStream::connect(address).is_err());
    plan.open_gate();
    assert_eq!(write.join().unwrap().unwrap().status, 200);
    let ended = server.stop();
    assert_eq!((ended.cut, ended.is_clean), (0, true));
    assert!(!directory.path().join("control.sock").exists());
}

#[test]
fn stopping_does_not_wait_for_ever() {
    let directory = tempfile::tempdir().unwrap();
    let source = FaultySource::new();
    let plan = source.plan.clone();
    plan.batches(&[Fault::None, Fault::Gate]);
    let mut setup = Setup::new(directory.path());
    setup.source = Some(Box::new(source));
    setup.limits.grace_time_max_ms = 100;
    let mut server = setup.start().unwrap();
    let client = server.client();
    let write = std::thread::spawn(move || client.try_call("CreateSecurityGroup", &[]));
    plan.wait_for_gate();
    server.signal();
    assert!(write.join().unwrap().is_err(), "the connection is cut");
    plan.open_gate();
    let ended = server.stop();
    assert_eq!((ended.cut, ended.is_clean), (1, true));
}
