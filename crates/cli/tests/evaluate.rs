//! The command `evaluate` as a user meets it: output, standard error and exit status.
#![allow(clippy::unwrap_used)] // All of this is test code.

use std::fs;
use std::process::{Command, Output};

const WORLD: &str = r#"{"SecurityGroups": [
 {"SecurityGroupId": "sg-a", "VpcId": "vpc-1", "Permissions": {"Permission": [
  {"SecurityGroupRuleId": "sgr-1", "Direction": "egress", "IpProtocol": "TCP",
   "PortRange": "443/443", "DestCidrIp": "10.1.0.0/16", "Policy": "Drop"}]}}],
 "NetworkInterfaces": [
 {"NetworkInterfaceId": "eni-a", "VpcId": "vpc-1", "MacAddress": "02:00:00:00:00:01",
  "PrivateIpSets": {"PrivateIpSet": [{"PrivateIpAddress": "10.0.0.5"}]},
  "SecurityGroupIds": {"SecurityGroupId": ["sg-a"]}}]}"#;

fn flow(source: &str, destination: &str, port: u16) -> String {
    let head = r#"{"NetworkInterfaceId":"eni-a","Direction":"egress","Protocol":"TCP","#;
    let ends = format!(r#""SourceIp":"{source}","DestIp":"{destination}","#);
    format!(r#"{head}{ends}"SourcePort":40000,"DestPort":{port}}}"#) + "\n"
}

/// Runs the command on a world and flows in a folder of their own.
fn evaluate(engine: &[&str], world: &str, flows: &[u8]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("world.json"), world).unwrap();
    fs::write(folder.path().join("flows.jsonl"), flows).unwrap();
    Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["evaluate", "--world", "world.json", "--flows", "flows.jsonl"])
        .args(engine)
        .current_dir(folder.path())
        .output()
        .unwrap()
}

fn texts(output: &Output) -> (Option<i32>, &str, &str) {
    let text = |bytes| str::from_utf8(bytes).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

const DROPPED: &str = concat!(
    r#"{"Verdict":"Drop","Reason":"rule","#,
    r#""SecurityGroupId":"sg-a","SecurityGroupRuleId":"sgr-1"}"#,
    "\n"
);
const ACCEPTED: &str = concat!(
    r#"{"Verdict":"Accept","Reason":"default","#,
    r#""SecurityGroupId":"","SecurityGroupRuleId":""}"#,
    "\n"
);
const SPOOFED: &str = concat!(
    r#"{"Verdict":"Drop","Reason":"spoofed","#,
    r#""SecurityGroupId":"","SecurityGroupRuleId":""}"#,
    "\n"
);

#[test]
fn every_flow_has_its_line_in_order_on_each_engine() {
    let flows = flow("10.0.0.5", "10.1.2.3", 443)
        + &flow("10.0.0.5", "10.1.2.3", 80)
        + "\n"
        + flow("10.0.0.6", "10.1.2.3", 443).trim_end();
    let expected = [DROPPED, ACCEPTED, SPOOFED].concat();
    for engine in [&[][..], &["--engine", "reference"], &["--engine", "compiled"]] {
        let output = evaluate(engine, WORLD, flows.as_bytes());
        assert_eq!(texts(&output), (Some(0), expected.as_str(), ""), "{engine:?}");
    }
}

#[test]
fn nothing_is_printed_after_the_place_of_an_error() {
    let good = flow("10.0.0.5", "10.1.2.3", 443);
    let bad = good.replace("\"DestPort\":443", "\"DestPort\":70000");
    let output = evaluate(&[], WORLD, format!("{good}{bad}{good}").as_bytes());
    let stderr = "error[MalformedField]: `70000` is not a port from 0 to 65535\n  \
                  at flows.jsonl: line 2: DestPort\n  help: write a port from 0 to 65535\n";
    assert_eq!(texts(&output), (Some(2), DROPPED, stderr));
}

#[test]
fn bad_worlds_and_files_are_bad_input() {
    let world = WORLD.replace("443/443", "443");
    let output = evaluate(&[], &world, flow("10.0.0.5", "10.1.2.3", 443).as_bytes());
    let (status, stdout, stderr) = texts(&output);
    assert_eq!((status, stdout), (Some(2), ""));
    let place = "at world.json: SecurityGroups[0].Permissions.Permission[0].PortRange\n";
    assert!(stderr.contains(place), "{stderr}");

    let output = evaluate(&["--engine", "magic"], WORLD, b"");
    assert_eq!(texts(&output).0, Some(2));
    let output = evaluate(&[], WORLD, b"\xff\n");
    assert!(texts(&output).2.contains("at flows.jsonl: line 1\n"), "{output:?}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    let command = command.args(["evaluate", "--world", "nowhere.json", "--flows", "-"]);
    let output = command.output().unwrap();
    let (status, _, stderr) = texts(&output);
    assert_eq!(status, Some(2));
    assert!(stderr.contains("at nowhere.json\n"), "{stderr}");
}

#[test]
fn a_policy_over_a_limit_is_named_and_not_cut() {
    let rule = |number: usize| {
        format!(
            r#"{{"SecurityGroupRuleId": "sgr-{number}", "Direction": "egress", "Policy": "Accept",
                "IpProtocol": "ALL", "PortRange": "-1/-1", "DestCidrIp": "10.0.0.1"}}"#
        )
    };
    let world_of = |count: usize| {
        let rules: Vec<String> = (0..count).map(rule).collect();
        let begin = WORLD.find("[\n  {\"SecurityGroupRuleId\"").unwrap();
        let end = WORLD.find("]}}],").unwrap();
        format!("{}[{}{}", &WORLD[..begin], rules.join(","), &WORLD[end..])
    };
    let flows = flow("10.0.0.5", "10.1.2.3", 443);
    let output = evaluate(&[], &world_of(1024), flows.as_bytes());
    assert_eq!(texts(&output), (Some(0), ACCEPTED, ""));
    let output = evaluate(&[], &world_of(1025), flows.as_bytes());
    let (status, stdout, stderr) = texts(&output);
    assert_eq!((status, stdout), (Some(2), ""));
    let message = "error[PolicyTooLarge]: the policy needs 1025 rules of one direction, \
                   at most 1024 are possible\n  at eni-a\n";
    assert!(stderr.starts_with(message), "{stderr}");
    let output = evaluate(&["--engine", "reference"], &world_of(1025), flows.as_bytes());
    assert_eq!(texts(&output), (Some(0), ACCEPTED, ""));
}
