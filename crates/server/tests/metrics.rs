//! The metrics of a server without an agent: what is served, to whom, and what the page says.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

mod common;

use std::collections::BTreeSet;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;

use common::{PATIENCE, Running, Setup, read_all, until};
use portcullis_server::metrics::CONNECTIONS_MAX;
use portcullis_server::metrics::table::{FAMILIES, Kind};
use portcullis_testkit::exposition::Exposition;

fn connect(server: &Running) -> TcpStream {
    let stream = TcpStream::connect(server.metrics).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// The status, the head and the body.
fn ask(server: &Running, method: &str, path: &str, body: &str) -> (String, String, String) {
    let mut stream = connect(server);
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\nConnection: close\r\n"
    );
    stream.write_all(format!("{head}\r\n{body}").as_bytes()).unwrap();
    let answer = read_all(&mut stream);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap();
    (status.to_owned(), head.to_lowercase(), body.to_owned())
}

fn page(server: &Running) -> Exposition {
    let (status, head, body) = ask(server, "GET", "/metrics", "");
    assert_eq!(status, "200");
    assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    let page = Exposition::read(&body).unwrap();
    for (name, family) in &page.families {
        let known = FAMILIES.iter().find(|family| family.name == name);
        let known = known.unwrap_or_else(|| panic!("{name} is not in the table"));
        assert_eq!((family.kind.as_str(), family.help.as_str()), (known.kind.name(), known.help));
        for sample in family.samples.iter().filter(|_| known.kind != Kind::Histogram) {
            let labels: Vec<&str> = sample.labels.iter().map(|(label, _)| label.as_str()).collect();
            assert_eq!(labels, known.labels, "{name}");
        }
    }
    page
}

#[test]
fn the_page_counts_calls_and_nobody_makes_series() {
    let directory = tempfile::tempdir().unwrap();
    let server = Setup::new(directory.path()).start().unwrap();
    let calls = "portcullis_api_requests_total";
    assert!(!page(&server).families.contains_key(calls), "nobody has called");
    server.call("CreateVpc", &[("CidrBlock", "10.0.0.0/16")]);
    server.try_call("CreateVpc", &[("CidrBlock", "no")]);
    for name in ["Nothing", "Nought"] {
        server.try_call(name, &[]);
    }
    server.exchange(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let page = page(&server);
    assert_eq!(page.value(calls, &[("action", "CreateVpc"), ("code", "OK")]), Ok(1.0));
    let of = |action: &str| {
        let samples = page.families[calls].samples.iter();
        let of = samples.filter(|sample| sample.labels[0].1 == action);
        of.map(|sample| sample.value).sum::<f64>()
    };
    assert_eq!((of("CreateVpc"), of("unknown")), (2.0, 3.0));
    let revision = server.call("DescribeVpcs", &[]);
    assert_eq!(revision.status, 200);
    assert!(page.value("portcullis_store_revision", &[]).unwrap() >= 2.0);
    for (name, value) in [("portcullis_bindings", 0.0), ("portcullis_enforcing", 0.0)] {
        assert_eq!(page.value(name, &[]), Ok(value), "{name}");
    }
    assert_eq!(page.value("portcullis_build_info", &[("version", "test")]), Ok(1.0));
    assert!(!page.families.contains_key("portcullis_interfaces"), "there is no agent");
}

#[test]
fn only_the_page_is_served() {
    let directory = tempfile::tempdir().unwrap();
    let server = Setup::new(directory.path()).start().unwrap();
    for (method, path, body, status) in [
        ("GET", "/metrics?x=1", "", "200"),
        ("HEAD", "/metrics", "", "200"),
        ("POST", "/metrics", "", "405"),
        ("POST", "/metrics", "x", "413"),
        ("GET", "/", "", "404"),
        ("GET", "/metrics/", "", "404"),
    ] {
        assert_eq!(ask(&server, method, path, body).0, status, "{method} {path}");
    }
}

#[test]
fn connections_are_bounded_and_given_again() {
    let directory = tempfile::tempdir().unwrap();
    let server = Setup::new(directory.path()).start().unwrap();
    let idle: Vec<_> = (0..CONNECTIONS_MAX).map(|_| connect(&server)).collect();
    assert_eq!(ask(&server, "GET", "/metrics", "").0, "503");
    drop(idle);
    until("there is room again", || ask(&server, "GET", "/metrics", "").0 == "200");
}

#[test]
fn names_are_good_ones() {
    let names: BTreeSet<&str> = FAMILIES.iter().map(|family| family.name).collect();
    assert_eq!(names.len(), FAMILIES.len());
    for family in FAMILIES {
        let is_total = family.name.ends_with("_total");
        assert_eq!(family.kind == Kind::Counter, is_total, "{}", family.name);
        assert!(family.name.starts_with("portcullis_") && !family.help.ends_with('.'));
    }
}

/// The reference has the table's rows, no others, in its order.
#[test]
fn the_reference_is_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/metrics.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let is_row = |line: &&str| line.starts_with("| `portcullis_");
    let rows: Vec<String> = FAMILIES
        .iter()
        .map(|family| {
            let labels: Vec<String> = family.labels.iter().map(|l| format!("`{l}`")).collect();
            let (name, kind) = (family.name, family.kind.name());
            format!("| `{name}` | {kind} | {} | {} |", labels.join(", "), family.help)
        })
        .collect();
    if std::env::var_os("PORTCULLIS_BLESS").is_some() {
        let (before, _) = page.split_once("|---|---|---|---|\n").unwrap();
        let behind: Vec<&str> =
            page.lines().skip_while(|l| !is_row(l)).skip_while(is_row).collect();
        let (rows, behind) = (rows.join("\n"), behind.join("\n"));
        std::fs::write(&path, format!("{before}|---|---|---|---|\n{rows}\n{behind}\n")).unwrap();
        return;
    }
    let explained: Vec<&str> = page.lines().filter(is_row).collect();
    assert_eq!(
        explained, rows,
        "PORTCULLIS_BLESS=1 cargo test -p portcullis-server --test metrics"
    );
}
