//! From the API's call to the kernel's verdict: what stands in a list decides at a bound device.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at its first surprise")]

mod memory;

use memory::{MemoryKernel, Shared, judge};
use portcullis_agent::device::{Device, Devices};
use portcullis_agent::ledger::LedgerFile;
use portcullis_agent::run::{Agent, Settings};
use portcullis_core::evaluate::evaluate;
use portcullis_core::flow::{Flow, FlowPorts};
use portcullis_core::host::{concerned, desired};
use portcullis_core::net::protocol;
use portcullis_core::records::{Binding, Change, Record};
use portcullis_core::rule::{Direction, Policy};
use portcullis_core::state::State;
use portcullis_testkit::exchange::in_process::InProcess;
use portcullis_testkit::exchange::language::read;
use portcullis_testkit::exchange::run;

const DEVICE: &str = "veth0";

/// Plays the steps of a case, however they are indented here.
fn play(server: &mut InProcess, steps: &str) {
    let mut text = String::from("case steps\n");
    for line in steps.lines().map(str::trim) {
        let is_head = line.starts_with("do ") || line.starts_with("=>");
        text += &format!("{}{line}\n", if is_head { "" } else { "  " });
    }
    let cases = read("steps", &text, &mut Vec::new()).unwrap();
    let [case] = &cases[..] else { unreachable!("one case was written") };
    run(case, case.ways[0], server).unwrap();
}

/// The server's state with its one interface bound.
fn bound(server: &InProcess) -> State {
    let mut state = server.state().clone();
    let interface = state.world().interfaces().next().unwrap().id.clone();
    let device = DEVICE.parse().unwrap();
    let binding = Binding { interface, device, created_ms: 0 };
    state.absorb(Change::Put(Record::Binding(binding)));
    state
}

#[test]
fn entries_decide_at_a_bound_device() {
    let mut server = InProcess::new().unwrap();
    play(
        &mut server,
        "do CreateVpc
           CidrBlock 10.0.0.0/16
         => 200
           VpcId as vpc
         do CreateVSwitch
           VpcId $vpc
           ZoneId cn-hangzhou-a
           CidrBlock 10.0.1.0/24
         => 200
           VSwitchId as vswitch
         do CreateSecurityGroup
           VpcId $vpc
           SecurityGroupType enterprise
         => 200
           SecurityGroupId as group
         do CreatePrefixList
           PrefixListName office
           AddressFamily IPv4
           MaxEntries 5
           Entry.1.Cidr 192.0.2.0/24
         => 200
           PrefixListId as prefixes
         do CreatePortRangeList
           PortRangeListName web
           MaxEntries 5
           Entry.1.PortRange 443/443
         => 200
           PortRangeListId as ports
         do AuthorizeSecurityGroupEgress
           SecurityGroupId $group
           IpProtocol TCP
           PortRangeListId $ports
           DestPrefixListId $prefixes
         => 200
         do CreateNetworkInterface
           VSwitchId $vswitch
           SecurityGroupId $group
         => 200",
    );
    let state = bound(&server);
    let interface = state.world().interfaces().next().unwrap().clone();
    let flow = |remote: &str, port| {
        let ports = Some(FlowPorts { source: 40_000, destination: port });
        let (own, remote) = (interface.addresses[0].address(), remote.parse().unwrap());
        let id = interface.id.clone();
        Flow::new(id, Direction::Egress, protocol::TCP, own, remote, ports).unwrap()
    };
    let flows = [flow("192.0.2.7", 443), flow("198.51.100.7", 443), flow("198.51.100.7", 80)];

    let directory = tempfile::tempdir().unwrap();
    let memory = Shared::default();
    let file = LedgerFile::new(directory.path()).unwrap();
    let settings =
        Settings { boot_id: "boot".into(), pick_up_s: 60, keep_established: false, check_s: 1 };
    let mut agent = Agent::new(MemoryKernel::new(&memory), file, settings).unwrap();
    let device = Device { index: 10, name: DEVICE.into(), is_up: true };
    let devices: Devices = [device].into_iter().collect();

    let group = interface.groups[0].clone();
    let rules = state.world().group(&group).unwrap().rules.len();
    assert_eq!(rules, 1);
    let prefixes = state.prefix_lists().next().unwrap().id.clone();
    let ports = state.port_range_lists().next().unwrap().id.clone();
    let steps = [
        (String::new(), [Policy::Accept, Policy::Drop, Policy::Drop]),
        (
            format!(
                "do ModifyPrefixList
                   PrefixListId {prefixes}
                   AddEntry.1.Cidr 198.51.100.0/24
                   RemoveEntry.1.Cidr 192.0.2.0/24
                 => 200"
            ),
            [Policy::Drop, Policy::Accept, Policy::Drop],
        ),
        (
            format!(
                "do ModifyPortRangeList
                   PortRangeListId {ports}
                   AddEntry.1.PortRange 80/90
                 => 200"
            ),
            [Policy::Drop, Policy::Accept, Policy::Accept],
        ),
        (
            format!(
                "do ModifyPrefixList
                   PrefixListId {prefixes}
                   RemoveEntry.1.Cidr 198.51.100.0/24
                 => 200"
            ),
            [Policy::Drop; 3],
        ),
    ];
    for (revision, (step, expected)) in (1..).zip(steps) {
        let before = bound(&server);
        if !step.is_empty() {
            play(&mut server, &step);
        }
        let state = bound(&server);
        let lists = state.prefix_lists().cloned().map(Record::PrefixList);
        let lists = lists.chain(state.port_range_lists().cloned().map(Record::PortRangeList));
        let changes: Vec<Change> = lists.map(Change::Put).collect();
        let is_concerned = concerned(&before, &changes).contains(&interface.id);
        assert_eq!(is_concerned, !step.is_empty(), "{step}");
        let report = agent.pass(&desired(&state, revision), &devices);
        assert_eq!((report.revision, report.failed.len()), (revision, 0), "{step}");
        for (flow, policy) in flows.iter().zip(expected) {
            let verdict = evaluate(state.world(), flow).unwrap();
            assert_eq!(verdict.policy, policy, "the reference, {flow:?} after {step}");
            let in_kernel = judge(&memory.borrow(), 10, flow);
            assert_eq!(in_kernel, Some((policy, verdict.reason)), "{flow:?} after {step}");
        }
    }
}
