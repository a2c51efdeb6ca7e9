//! A request is executed once, whoever sends it again and whenever; restarts included.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

mod common;

use common::{Running, Setup, make_interface};
use portcullis_server::nonces::WINDOW_MS;
use portcullis_testkit::client::Way;
use serde_json::Value;

fn timestamp(offset_ms: i64) -> String {
    let time = jiff::Timestamp::now() + jiff::SignedDuration::from_millis(offset_ms);
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn code(server: &Running, action: &str, parameters: &[(&str, &str)]) -> String {
    server.code(action, parameters).1
}

#[test]
fn a_nonce_is_used_once() {
    let directory = tempfile::tempdir().unwrap();
    let server = Setup::new(directory.path()).start().unwrap();
    let now = timestamp(0);
    for (number, way) in Way::ALL.into_iter().enumerate() {
        let nonce = format!("nonce-{number}");
        let signed = [("SignatureNonce", nonce.as_str()), ("Timestamp", now.as_str())];
        let mut client = server.client();
        client.way = way;
        client.call("DescribeRegions", &signed).unwrap();
        let again = client.try_call("DescribeRegions", &signed).unwrap();
        assert_eq!(again.status, 400);
        assert_eq!(again.text("/Code").unwrap(), "SignatureNonceUsed");
    }
    // A request that was refused for its content has used its nonce too.
    let signed = [("SignatureNonce", "n"), ("Timestamp", now.as_str()), ("VpcId", "vpc-none")];
    assert_eq!(code(&server, "CreateSecurityGroup", &signed), "InvalidVpcId.NotFound");
    assert_eq!(code(&server, "CreateSecurityGroup", &signed), "SignatureNonceUsed");
    // One whose signature is wrong has not: nobody can use up another's nonces.
    let signed = [("SignatureNonce", "m"), ("Timestamp", now.as_str())];
    let mut thief = server.client();
    thief.key_secret = "guessed".into();
    let answer = thief.try_call("DescribeRegions", &signed).unwrap();
    assert_eq!(answer.text("/Code").unwrap(), "SignatureDoesNotMatch");
    server.call("DescribeRegions", &signed);
}

#[test]
fn a_request_has_its_time() {
    let directory = tempfile::tempdir().unwrap();
    let server = Setup::new(directory.path()).start().unwrap();
    let window_ms = WINDOW_MS as i64;
    for (offset_ms, expected) in [
        (-window_ms + 5_000, ""),
        (window_ms - 5_000, ""),
        (-window_ms - 5_000, "InvalidTimeStamp.Expired"),
        (window_ms + 5_000, "InvalidTimeStamp.Expired"),
    ] {
        let found = code(&server, "DescribeRegions", &[("Timestamp", &timestamp(offset_ms))]);
        assert_eq!(found, expected, "{offset_ms}");
    }
}

#[test]
fn a_full_memory_narrows_the_window() {
    let directory = tempfile::tempdir().unwrap();
    let mut setup = Setup::new(directory.path());
    setup.limits.nonces_max = 3;
    let server = setup.start().unwrap();
    let old = timestamp(-5 * 60_000);
    server.call("DescribeRegions", &[("Timestamp", &old)]);
    for _ in 0..3 {
        server.call("DescribeRegions", &[]);
    }
    assert_eq!(
        code(&server, "DescribeRegions", &[("Timestamp", &old)]),
        "InvalidTimeStamp.Expired"
    );
}

#[test]
fn a_write_is_not_replayed_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let server = Setup::new(directory.path()).start().unwrap();
    let now = timestamp(0);
    let create = [("SignatureNonce", "create"), ("Timestamp", now.as_str())];
    let group = server.call("CreateSecurityGroup", &create).text("/SecurityGroupId").unwrap();
    let rule = [
        ("SecurityGroupId", group.as_str()),
        ("IpProtocol", "tcp"),
        ("PortRange", "80/80"),
        ("DestCidrIp", "10.0.0.0/8"),
    ];
    let action = "AuthorizeSecurityGroupEgress";
    server.call(action, &rule);
    // The same rule again changes nothing, but would after a revocation.
    let mut idle = rule.to_vec();
    idle.extend([("SignatureNonce", "idle"), ("Timestamp", now.as_str())]);
    server.call(action, &idle);
    server.call("RevokeSecurityGroupEgress", &rule);
    server.stop();

    let server = Setup::new(directory.path()).start().unwrap();
    assert_eq!(code(&server, "CreateSecurityGroup", &create), "SignatureNonceUsed");
    assert_eq!(code(&server, action, &idle), "SignatureNonceUsed");
    let attribute = [("SecurityGroupId", group.as_str())];
    let attribute = server.call("DescribeSecurityGroupAttribute", &attribute);
    assert!(attribute.list("/Permissions/Permission").unwrap().is_empty());
    // Once the window is past the time alone refuses it, and the nonce is forgotten.
    server.clock.later(WINDOW_MS + 60_000);
    assert_eq!(code(&server, "CreateSecurityGroup", &create), "InvalidTimeStamp.Expired");
}

#[test]
fn a_client_token_outlives_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let server = Setup::new(directory.path()).start().unwrap();
    let token = [("ClientToken", "t-1"), ("SecurityGroupName", "first")];
    let group = server.call("CreateSecurityGroup", &token).text("/SecurityGroupId").unwrap();
    server.stop();
    let server = Setup::new(directory.path()).start().unwrap();
    let again = server.call("CreateSecurityGroup", &token).text("/SecurityGroupId").unwrap();
    assert_eq!(again, group);
    let other = [("ClientToken", "t-1"), ("SecurityGroupName", "second")];
    assert_eq!(code(&server, "CreateSecurityGroup", &other), "IdempotentParameterMismatch");
    assert_eq!(server.call("DescribeSecurityGroups", &[]).body["TotalCount"], 1);
}

/// All that can be seen, without the ids of the requests.
fn view(server: &Running, group: &str) -> Vec<Value> {
    let reads: [(&str, &[(&str, &str)]); 5] = [
        ("DescribeRegions", &[]),
        ("DescribeVSwitches", &[]),
        ("DescribeSecurityGroups", &[]),
        ("DescribeSecurityGroupAttribute", &[("SecurityGroupId", group)]),
        ("DescribeNetworkInterfaces", &[]),
    ];
    let see = |(action, parameters): (&str, &[(&str, &str)])| {
        let mut body = server.call(action, parameters).body;
        body.as_object_mut().unwrap().remove("RequestId").unwrap();
        // The endpoint is the address, which differs from start to start.
        let text = body.to_string().replace(&server.address.to_string(), "");
        serde_json::from_str(&text).unwrap()
    };
    reads.into_iter().map(see).collect()
}

#[test]
fn a_restart_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let server = Setup::new(directory.path()).start().unwrap();
    let (_, group) = make_interface(&server);
    for port in ["1/1", "2/2", "3/65535"] {
        let rule = [
            ("SecurityGroupId", group.as_str()),
            ("IpProtocol", "udp"),
            ("PortRange", port),
            ("Ipv6DestCidrIp", "2001:db8::/32"),
            ("Policy", "drop"),
            ("Description", "déjà vu"),
        ];
        server.call("AuthorizeSecurityGroupEgress", &rule);
    }
    let before = view(&server, &group);
    assert_eq!(before[3]["Permissions"]["Permission"].as_array().unwrap().len(), 3);
    let ended = server.stop();
    assert_eq!((ended.cut, ended.is_clean), (0, true));
    let server = Setup::new(directory.path()).start().unwrap();
    assert_eq!(view(&server, &group), before);
}
