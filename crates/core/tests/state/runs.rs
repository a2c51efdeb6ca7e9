//! Runs: an interface and its binding that come and go together.
use portcullis_core::command::{Command, Outcome, RunDevice, RunIpv6, StartRun, Written};
use portcullis_core::error::ApiError;
use portcullis_core::ids::VSwitchId;
use portcullis_core::limits::RUNS_PER_HOST_MAX;
use portcullis_core::records::InterfaceRecord;

use super::harness::{Harness, OTHER};
use super::language::run;

const PLACE: &str = "
    vpc v cidr=10.0.0.0/8 ipv6=any
    vswitch s vpc=v cidr=10.0.0.0/16 ipv6=1
    group g vpc=v
    group h vpc=v
";

fn device(number: u64) -> RunDevice {
    RunDevice::drawn(number.to_le_bytes()).unwrap()
}

fn wanted(harness: &Harness, number: u64, groups: &[&str]) -> StartRun {
    let id = |name: &&str| harness.ids.get(*name).map_or(*name, |id| id).parse().unwrap();
    StartRun {
        device: device(number),
        groups: groups.iter().map(id).collect(),
        vswitch: None,
        primary: None,
        ipv6: RunIpv6::None,
    }
}

fn start(harness: &mut Harness, wanted: StartRun) -> Result<InterfaceRecord, ApiError> {
    let mut sender = harness.sender();
    // Whoever asks, and from wherever: it is the group's owner that counts.
    (sender.caller, sender.region) = (OTHER, None);
    let decision = harness.send(&sender, &Command::StartRun(wanted))?;
    let Outcome::Written(Written::NetworkInterface(record)) = decision.outcome else { panic!() };
    Ok(*record)
}

fn end(harness: &mut Harness, number: u64) -> Result<(), ApiError> {
    let command = Command::EndRun { device: device(number) };
    harness.send(&harness.sender(), &command).map(|_| ())
}

#[test]
fn an_interface_comes_with_its_binding_and_goes_with_it() {
    let mut harness = Harness::new();
    run(&mut harness, PLACE);
    let before = harness.state.clone();
    let first = wanted(&harness, 1, &["g", "h"]);
    let record = start(&mut harness, StartRun { ipv6: RunIpv6::Any, ..first.clone() }).unwrap();
    assert_eq!((record.owner, record.groups.len(), record.ipv6.len()), (harness.root, 2, 1));
    assert_eq!(harness.state.binding(&record.id).unwrap().device, *device(1).device());
    let gateways = harness.state.gateways(&record.vswitch).unwrap();
    assert_eq!(gateways.ipv4.to_string(), "10.0.255.253");
    assert!(gateways.ipv6.unwrap().to_string().ends_with("01:ffff:ffff:ffff:fffd"));
    let again = start(&mut harness, first).unwrap_err();
    assert_eq!(again.code, "InvalidOperation.DeviceInUse");

    harness.ids.insert("r".into(), record.id.to_string());
    harness.names.insert(record.id.to_string(), "r".into());
    run(&mut harness, "unbind r => 403 InvalidOperation.DeviceOfRun NetworkInterfaceId");
    run(&mut harness, "delete-eni r => 403 InvalidOperation.InvalidEniState NetworkInterfaceId");
    end(&mut harness, 1).unwrap();
    assert_eq!(harness.state, before);
    assert_eq!(end(&mut harness, 1).unwrap_err().code, "InvalidRun.NotFound");
}

#[test]
fn the_name_of_a_run_s_device_is_nobody_else_s() {
    let mut harness = Harness::new();
    run(&mut harness, PLACE);
    run(&mut harness, "eni a vswitch=s groups=g");
    let line = format!("bind a {} => 403 InvalidOperation.DeviceOfRun Device", device(7));
    run(&mut harness, &line);
    // Close, and free for all.
    run(&mut harness, "bind a pcr-tap");
    assert_eq!(harness.state.runs().count(), 0);
}

#[test]
fn a_vswitch_is_named_where_there_are_several() {
    let mut harness = Harness::new();
    run(&mut harness, "vpc v cidr=10.0.0.0/8\ngroup g vpc=v");
    let asked = wanted(&harness, 1, &["g"]);
    let none = start(&mut harness, asked.clone()).unwrap_err();
    assert_eq!(none.code, "InvalidVSwitchId.NotFound");
    run(&mut harness, "vswitch s vpc=v cidr=10.0.0.0/24\nvswitch t vpc=v cidr=10.0.1.0/24");
    let several = start(&mut harness, asked.clone()).unwrap_err();
    assert_eq!(several.code, "InvalidVSwitchId.Ambiguous");
    assert!(several.help.contains(&harness.ids["t"]), "{several}");
    let vswitch: VSwitchId = harness.ids["t"].parse().unwrap();
    let record = start(&mut harness, StartRun { vswitch: Some(vswitch), ..asked }).unwrap();
    assert_eq!(record.primary.to_string(), "10.0.1.1");
}

#[test]
fn what_no_interface_may_be_no_run_may_be() {
    let mut harness = Harness::new();
    run(&mut harness, PLACE);
    run(&mut harness, "vpc w cidr=10.0.0.0/8\ngroup x vpc=w\ngroup e vpc=v type=enterprise");
    for (groups, code) in [
        (&[][..], "MissingSecurityGroupId"),
        (&["sg-none"], "InvalidSecurityGroupId.NotFound"),
        (&["g", "sg-none"], "InvalidSecurityGroupId.NotFound"),
        (&["g", "x"], "InvalidOperation.VpcMismatch"),
        (&["g", "e"], "OperationDenied"),
    ] {
        let asked = wanted(&harness, 1, groups);
        assert_eq!(start(&mut harness, asked).unwrap_err().code, code, "{groups:?}");
    }
    assert_eq!(harness.state.runs().count(), 0);
}

#[test]
fn a_host_has_so_many_runs_and_no_more() {
    let mut harness = Harness::new();
    run(&mut harness, PLACE);
    for number in 0..RUNS_PER_HOST_MAX as u64 {
        let asked = wanted(&harness, number, &["g"]);
        let decision = harness.decide(&harness.sender(), &Command::StartRun(asked)).unwrap();
        decision.changes.into_iter().for_each(|change| harness.absorb(change));
    }
    let beyond = wanted(&harness, RUNS_PER_HOST_MAX as u64, &["g"]);
    assert_eq!(start(&mut harness, beyond.clone()).unwrap_err().code, "TooManyRuns");
    end(&mut harness, 5).unwrap();
    start(&mut harness, beyond).unwrap();
}
