//! The control socket and the seam to the host, with an agent that does what the test says.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

mod common;

use std::fs::Permissions;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use common::{PATIENCE, Running, Setup, make_interface, until};
use portcullis_core::host::{Desired, Report};
use portcullis_core::text::DeviceName;
use portcullis_server::control::client::{ClientError, ask, follow};
use portcullis_server::control::message::{
    Answer, BindingRow, Changed, FlowList, HealRow, HitRow, Problem, ReasonRow, Request,
};
use portcullis_server::host::{AgentEnd, Filter, HostView, link};
use portcullis_server::metrics::Telemetry;
use portcullis_testkit::client::Client;
use portcullis_wire::flow_event::{EventName, FlowEvent};
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// A host that says what it was told to say.
struct ToldView;

impl HostView for ToldView {
    fn bindings(&self) -> Result<Vec<BindingRow>, String> {
        let row = |text: &str| text.to_owned();
        let (interface, device, state) = (row("eni-told"), row("veth9"), row("enforced"));
        Ok(vec![BindingRow { interface, device, state, detail: String::new() }])
    }

    fn hits(&self) -> Result<Vec<HitRow>, String> {
        Ok(vec![HitRow {
            group: "sg-1".into(),
            rule: "sgr-1".into(),
            packets: 7,
            bytes: 420,
            last_hit: String::new(),
        }])
    }

    fn drops(&self) -> Result<Vec<ReasonRow>, String> {
        Err("the kernel is on holiday".into())
    }

    fn passes(&self) -> Result<Vec<ReasonRow>, String> {
        Err("the kernel is on holiday".into())
    }

    fn heals(&self) -> Result<Vec<HealRow>, String> {
        Ok(vec![HealRow { changed: "members".into(), times: 2 }])
    }

    fn remove_device(&self, _: &DeviceName) -> Result<(), String> {
        Ok(())
    }

    fn flows(&self, interface: Option<&str>) -> Result<FlowList, String> {
        Err(format!("no flow of {interface:?}"))
    }

    fn telemetry(&self) -> Result<Telemetry, String> {
        Err("nothing is measured here".to_owned())
    }

    fn follow(&self, filter: Filter) -> Result<mpsc::Receiver<FlowEvent>, Problem> {
        let Some(interface) = filter.interface else {
            return Err(Problem::new("TooManyFollowers", "no", "wait", ""));
        };
        let (told, heard) = mpsc::channel(4);
        for event in EventName::ALL {
            let event = FlowEvent::new("now".into(), event);
            // The last ones find no room, which is nobody's loss here.
            let _ = told.try_send(FlowEvent { interface: Some(interface.clone()), ..event });
        }
        Ok(heard)
    }
}

#[test]
fn a_follower_is_told_each_event_until_there_are_no_more() {
    let directory = tempfile::tempdir().unwrap();
    let (server, _end) = start(directory.path());
    let mut told = Vec::new();
    let request = |interface: &str| Request::Follow { interface: interface.into(), deny: false };
    follow(&server.directory, request("eni-1"), |event| {
        assert_eq!(event.interface.as_deref(), Some("eni-1"));
        told.push(event.event);
        Ok(())
    })
    .unwrap();
    assert_eq!(told, EventName::ALL[..4]);
    let refused = follow(&server.directory, request(""), |_| Ok(())).unwrap_err();
    assert_eq!(refused.to_string(), "TooManyFollowers: no");
}

#[test]
fn a_filter_lets_through_what_it_says_and_what_is_missing() {
    let event = |name, interface: Option<&str>| FlowEvent {
        interface: interface.map(str::to_owned),
        ..FlowEvent::new(String::new(), name)
    };
    let filter =
        |interface: Option<&str>, deny| Filter { interface: interface.map(str::to_owned), deny };
    use EventName::{Deny, Lost, New};
    for (filter, name, interface, expected) in [
        (filter(None, false), New, Some("a"), true),
        (filter(Some("a"), false), New, Some("a"), true),
        (filter(Some("a"), false), New, Some("b"), false),
        (filter(Some("a"), false), Lost, Some("b"), false),
        (filter(Some("a"), true), Lost, None, true),
        (filter(None, true), New, Some("a"), false),
        (filter(None, true), Deny, Some("a"), true),
    ] {
        assert_eq!(filter.wants(&event(name, interface)), expected, "{filter:?} {name:?}");
    }
}

fn start(directory: &std::path::Path) -> (Running, AgentEnd) {
    let (link, end) = link(Arc::new(ToldView));
    let mut setup = Setup::new(directory);
    setup.link = Some(link);
    (setup.start().unwrap(), end)
}

/// What an agent answers to each desired state, until the server is gone.
fn serve_host(
    server: &Running,
    end: AgentEnd,
    answer: impl Fn(&Desired) -> Option<Report> + Send + 'static,
) {
    let AgentEnd { mut desired, report } = end;
    server.block_on(async {
        tokio::spawn(async move {
            while desired.changed().await.is_ok() {
                let newest = desired.borrow_and_update().clone();
                if let Some(next) = newest.as_deref().and_then(&answer) {
                    report.send_replace(next);
                }
            }
        });
    });
}

fn done(desired: &Desired) -> Option<Report> {
    Some(Report { revision: desired.revision, ..Report::default() })
}

fn bind(server: &Running, interface: &str, device: &str) -> Result<Changed, ClientError> {
    let request = Request::Bind {
        interface: interface.into(),
        device: device.into(),
        wait_timeout_ms: 2_000,
    };
    match ask(&server.directory, request)? {
        Answer::Changed(changed) => Ok(changed),
        other => panic!("{other:?}"),
    }
}

fn refused(result: Result<Changed, ClientError>) -> String {
    match result {
        Err(ClientError::Refused(problem)) => problem.code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn binding_waits_for_the_host() {
    let directory = tempfile::tempdir().unwrap();
    let (server, end) = start(directory.path());
    serve_host(&server, end, done);
    let (interface, group) = make_interface(&server);
    let changed = bind(&server, &interface, "veth1").unwrap();
    assert_eq!((changed.enforcement.as_str(), changed.detail.as_str()), ("Enforced", ""));
    assert_eq!(refused(bind(&server, &interface, "veth2")), "InvalidOperation.InvalidEniState");
    assert_eq!(refused(bind(&server, "eni-none", "veth2")), "InvalidEniId.NotFound");
    assert_eq!(refused(bind(&server, "eni none", "veth2")), "MalformedName");
    assert_eq!(refused(bind(&server, &interface, "a/b")), "MalformedName");
    let delete = [("NetworkInterfaceId", interface.as_str())];
    let code = server.code("DeleteNetworkInterface", &delete);
    assert_eq!(code, (403, "InvalidOperation.InvalidEniState".to_owned()));

    let policy = [
        ("SecurityGroupId", group.as_str()),
        ("InnerAccessPolicy", "Drop"),
        ("WaitUntilEnforced", "true"),
    ];
    let answer = server.call("ModifySecurityGroupPolicy", &policy);
    assert_eq!(answer.text("/EnforcementStatus").unwrap(), "Enforced");

    let unbind = Request::Unbind { interface: interface.clone(), wait_timeout_ms: 2_000 };
    let Answer::Changed(changed) = ask(&server.directory, unbind).unwrap() else { panic!() };
    assert_eq!(changed.enforcement, "Enforced");
    let answer = server.call("DeleteNetworkInterface", &[delete[0], ("WaitUntilEnforced", "true")]);
    assert_eq!(answer.text("/EnforcementStatus").unwrap(), "NotEnforced");
}

#[test]
fn a_write_says_how_far_it_has_come() {
    let directory = tempfile::tempdir().unwrap();
    let (server, end) = start(directory.path());
    let (interface, group) = make_interface(&server);
    let named = interface.clone();
    // Drop fails, Accept waits for a device, and everything else is not answered at all.
    serve_host(&server, end, move |desired| {
        let id: portcullis_core::ids::NetworkInterfaceId = named.parse().unwrap();
        let policy = desired.interfaces.first()?.policy.as_ref().ok()?;
        let mut report = Report { revision: desired.revision, ..Report::default() };
        match policy.intra_groups.is_empty() {
            true => report.failed.insert(id, "too large".into()),
            false => report.pending.insert(id, "the device is absent".into()),
        };
        Some(report)
    });
    let changed = bind(&server, &interface, "veth1");
    let changed = changed.unwrap();
    assert_eq!(changed.enforcement, "Pending");
    assert_eq!(changed.detail, "the device is absent");
    for (policy, status, reason) in
        [("Drop", "Failed", "too large"), ("Accept", "Pending", "the device is absent")]
    {
        let parameters = [
            ("SecurityGroupId", group.as_str()),
            ("InnerAccessPolicy", policy),
            ("WaitUntilEnforced", "true"),
            ("WaitTimeout", "300"),
        ];
        let answer = server.call("ModifySecurityGroupPolicy", &parameters);
        assert_eq!(answer.text("/EnforcementStatus").unwrap(), status);
        let details = answer.list("/EnforcementDetails/EnforcementDetail").unwrap();
        let expected = json!({"NetworkInterfaceId": interface, "Reason": reason});
        assert_eq!(details, [expected]);
    }
}

#[test]
fn a_failure_elsewhere_is_no_failure_of_this_write() {
    let directory = tempfile::tempdir().unwrap();
    let (server, end) = start(directory.path());
    let (broken, broken_group) = make_interface(&server);
    let (absent, absent_group) = make_interface(&server);
    let (sound, sound_group) = make_interface(&server);
    let reasons = [(broken.clone(), "too large"), (absent.clone(), "the device is absent")];
    serve_host(&server, end, move |desired| {
        let mut report = Report { revision: desired.revision, ..Report::default() };
        let [(broken, why), (absent, what)] = &reasons;
        report.failed.insert(broken.parse().unwrap(), (*why).into());
        report.pending.insert(absent.parse().unwrap(), (*what).into());
        Some(report)
    });
    for (interface, device, status) in
        [(&broken, "veth1", "Failed"), (&absent, "veth2", "Pending"), (&sound, "veth3", "Enforced")]
    {
        assert_eq!(bind(&server, interface, device).unwrap().enforcement, status);
    }
    let modify = |group: &str| {
        let parameters = [
            ("SecurityGroupId", group),
            ("InnerAccessPolicy", "Drop"),
            ("WaitUntilEnforced", "true"),
            ("WaitTimeout", "300"),
        ];
        let answer = server.call("ModifySecurityGroupPolicy", &parameters);
        let details = answer.list("/EnforcementDetails/EnforcementDetail").unwrap_or_default();
        (answer.text("/EnforcementStatus").unwrap().to_owned(), details.to_vec())
    };
    let named = |id: &str, why: &str| json!({"NetworkInterfaceId": id, "Reason": why});
    assert_eq!(modify(&sound_group), ("Enforced".into(), vec![]));
    assert_eq!(modify(&broken_group), ("Failed".into(), vec![named(&broken, "too large")]));
    let waits_for_device = vec![named(&absent, "the device is absent")];
    assert_eq!(modify(&absent_group), ("Pending".into(), waits_for_device));
    // The same again changes nothing, so it cannot say whom it concerns: all that are tied.
    assert_eq!(modify(&sound_group).0, "Failed");
}

/// A client of a new account.
fn client_of(server: &Running, account: &str) -> Client {
    ask(&server.directory, Request::CreateAccount { name: account.into() }).unwrap();
    let key = ask(&server.directory, Request::CreateKey { account: account.into() }).unwrap();
    let Answer::NewKey(key) = key else { panic!("{key:?}") };
    let (key_id, key_secret) = (key.access_key_id, key.access_key_secret);
    Client { key_id, key_secret, ..server.client() }
}

#[test]
fn nothing_of_another_account_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let (server, end) = start(directory.path());
    let (foreign, _) = make_interface(&server);
    let (own, _) = make_interface(&server);
    let other = client_of(&server, "web");
    let group = other.call("CreateSecurityGroup", &[]).unwrap().text("/SecurityGroupId").unwrap();
    let enforcement = |client: &Client, wait_ms: &str, name: &str| {
        let parameters = [
            ("SecurityGroupId", group.as_str()),
            ("SecurityGroupName", name),
            ("WaitUntilEnforced", "true"),
            ("WaitTimeout", wait_ms),
        ];
        let answer = client.call("ModifySecurityGroupAttribute", &parameters).unwrap();
        let details = answer.list("/EnforcementDetails/EnforcementDetail").unwrap_or_default();
        (answer.text("/EnforcementStatus").unwrap(), details.len())
    };
    for interface in [&foreign, &own] {
        let bind = Request::Bind {
            interface: interface.clone(),
            device: format!("d-{}", &interface[interface.len() - 8..]),
            wait_timeout_ms: 0,
        };
        ask(&server.directory, bind).unwrap();
    }
    // The host says nothing yet: two interfaces are waited for, and none of them is this account's.
    let nowhere = ("NotEnforced".to_owned(), 0);
    assert_eq!(enforcement(&other, "0", "one"), nowhere);
    assert_eq!(enforcement(&other, "0", "one"), nowhere, "what changes nothing");
    // It says that one of them failed.
    serve_host(&server, end, move |desired| {
        let mut report = Report { revision: desired.revision, ..Report::default() };
        report.failed.insert(foreign.parse().unwrap(), "too large".into());
        Some(report)
    });
    assert_eq!(enforcement(&other, "2000", "one"), nowhere, "what changes nothing");
    assert_eq!(enforcement(&other, "2000", "two"), nowhere);
}

#[test]
fn neighbours_in_a_shared_vpc_are_waited_for_and_not_named() {
    let directory = tempfile::tempdir().unwrap();
    let (server, end) = start(directory.path());
    let (interface, group) = make_interface(&server);
    let shown = server.call("DescribeSecurityGroupAttribute", &[("SecurityGroupId", &group)]);
    let vpc = shown.text("/VpcId").unwrap();
    let other = client_of(&server, "web");
    let share = Request::ShareVpc { vpc: vpc.clone(), account: "web".into() };
    ask(&server.directory, share).unwrap();
    let made = |action: &str, parameters: &[(&str, &str)], pointer: &str| {
        other.call(action, parameters).unwrap().text(pointer).unwrap()
    };
    let switch = [("VpcId", vpc.as_str()), ("ZoneId", "z-a"), ("CidrBlock", "10.0.1.0/24")];
    let switch = made("CreateVSwitch", &switch, "/VSwitchId");
    let peer = made("CreateSecurityGroup", &[("VpcId", vpc.as_str())], "/SecurityGroupId");
    // The interface's group lets in the other account's, so its members are the interface's matter.
    let root = shown.text("/SecurityGroupId").unwrap();
    let owner = ask(&server.directory, Request::Accounts {}).unwrap();
    let Answer::Accounts(rows) = owner else { panic!("{owner:?}") };
    let owner = rows.iter().find(|row| row.name == "web").unwrap().account.clone();
    let rule = [
        ("SecurityGroupId", root.as_str()),
        ("IpProtocol", "TCP"),
        ("PortRange", "22/22"),
        ("SourceGroupId", peer.as_str()),
        ("SourceGroupOwnerId", owner.as_str()),
    ];
    server.call("AuthorizeSecurityGroup", &rule);
    let named = interface.clone();
    serve_host(&server, end, move |desired| {
        let mut report = Report { revision: desired.revision, ..Report::default() };
        report.failed.insert(named.parse().unwrap(), "too large".into());
        Some(report)
    });
    assert_eq!(bind(&server, &interface, "veth1").unwrap().enforcement, "Failed");
    let member = [
        ("VSwitchId", switch.as_str()),
        ("SecurityGroupId", peer.as_str()),
        ("WaitUntilEnforced", "true"),
    ];
    let answer = other.call("CreateNetworkInterface", &member).unwrap();
    assert_eq!(answer.text("/EnforcementStatus").unwrap(), "Failed");
    assert_eq!(answer.list("/EnforcementDetails/EnforcementDetail").unwrap_or_default().len(), 0);
    let text = answer.body.to_string();
    assert!(!text.contains(&interface) && !text.contains("too large"), "{text}");
}

#[test]
fn a_host_that_is_lost_is_said_to_be() {
    let directory = tempfile::tempdir().unwrap();
    let (server, end) = start(directory.path());
    let (interface, group) = make_interface(&server);
    drop(end);
    assert_eq!(bind(&server, &interface, "veth1").unwrap().enforcement, "Unknown");
    let policy = [
        ("SecurityGroupId", group.as_str()),
        ("InnerAccessPolicy", "Drop"),
        ("WaitUntilEnforced", "true"),
    ];
    let answer = server.call("ModifySecurityGroupPolicy", &policy);
    assert_eq!(answer.text("/EnforcementStatus").unwrap(), "Unknown");
    let details = answer.list("/EnforcementDetails/EnforcementDetail").unwrap();
    assert_eq!(details, [json!({"NetworkInterfaceId": interface, "Reason": ""})]);
}

#[test]
fn a_silent_host_is_waited_for_and_named() {
    let directory = tempfile::tempdir().unwrap();
    let (server, end) = start(directory.path());
    let (interface, _) = make_interface(&server);
    // Nothing is bound: there is nothing to wait for.
    let wait = [("WaitUntilEnforced", "true"), ("WaitTimeout", "100")];
    let answer = server.call("CreateSecurityGroup", &wait);
    assert_eq!(answer.text("/EnforcementStatus").unwrap(), "NotEnforced");
    let request = Request::Bind {
        interface: interface.clone(),
        device: "veth1".into(),
        wait_timeout_ms: 100,
    };
    let Answer::Changed(changed) = ask(&server.directory, request).unwrap() else { panic!() };
    assert_eq!(changed.enforcement, "Pending");
    let answer = server.call("CreateSecurityGroup", &wait);
    assert_eq!(answer.text("/EnforcementStatus").unwrap(), "Pending");
    let details = answer.list("/EnforcementDetails/EnforcementDetail").unwrap();
    assert_eq!(details, [json!({"NetworkInterfaceId": interface, "Reason": ""})]);
    // The newest desired state is there whenever the host looks.
    let newest = end.desired.borrow().clone().unwrap();
    assert_eq!(newest.interfaces.len(), 1);
    // A stopping server does not hold its clients until their timeout.
    let long = [("WaitUntilEnforced", "true"), ("WaitTimeout", "60000")];
    let client = server.client();
    let waiting = std::thread::spawn(move || client.call("CreateSecurityGroup", &long));
    until("the group is there", || {
        server.call("DescribeSecurityGroups", &[]).body["TotalCount"] == 4
    });
    let mut server = server;
    server.signal();
    let answer = waiting.join().unwrap().unwrap();
    assert_eq!(answer.text("/EnforcementStatus").unwrap(), "Pending");
    assert_eq!(server.stop().cut, 0);
}

#[test]
fn the_host_answers_for_itself() {
    let directory = tempfile::tempdir().unwrap();
    let (server, _end) = start(directory.path());
    let answer = ask(&server.directory, Request::Bindings {}).unwrap();
    assert_eq!(answer, Answer::Bindings(ToldView.bindings().unwrap()));
    let answer = ask(&server.directory, Request::Hits {}).unwrap();
    assert_eq!(answer, Answer::Hits(ToldView.hits().unwrap()));
    let error = ask(&server.directory, Request::Drops {}).unwrap_err();
    let ClientError::Refused(problem) = error else { panic!("{error}") };
    assert_eq!(
        (problem.code.as_str(), problem.message.as_str()),
        ("HostFailed", "the kernel is on holiday")
    );
    let Answer::Status(status) = ask(&server.directory, Request::Status {}).unwrap() else {
        panic!()
    };
    assert_eq!(status.listen, server.address.to_string());
    assert_eq!((status.enforcing, status.bindings, status.revision), (true, 0, 1));
}

#[test]
fn without_an_agent_nothing_is_enforced_and_said_so() {
    let directory = tempfile::tempdir().unwrap();
    let server = Setup::new(directory.path()).start().unwrap();
    let (interface, _) = make_interface(&server);
    let changed = bind(&server, &interface, "veth1").unwrap();
    assert_eq!(changed.enforcement, "NotEnforced");
    let Answer::Bindings(rows) = ask(&server.directory, Request::Bindings {}).unwrap() else {
        panic!()
    };
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].device.as_str(), rows[0].state.as_str()), ("veth1", "not-enforced"));
    for request in [Request::Hits {}, Request::Drops {}] {
        let error = ask(&server.directory, request).unwrap_err();
        let ClientError::Refused(problem) = error else { panic!("{error}") };
        assert_eq!(problem.code, "NotEnforced");
    }
    let directory = server.directory.clone();
    server.stop();
    let error = ask(&directory, Request::Status {}).unwrap_err();
    assert!(matches!(error, ClientError::NoServer { .. }), "{error}");
}

#[test]
fn the_configuration_ties_interfaces_when_they_exist() {
    let directory = tempfile::tempdir().unwrap();
    let server = Setup::new(directory.path()).start().unwrap();
    let (interface, _) = make_interface(&server);
    server.stop();
    let mut setup = Setup::new(directory.path());
    setup.binds = vec![
        (interface.parse().unwrap(), "veth1".parse().unwrap()),
        ("eni-absent".parse().unwrap(), "veth2".parse().unwrap()),
    ];
    let server = setup.start().unwrap();
    until("the interface is tied", || {
        let answer = ask(&server.directory, Request::Bindings {}).unwrap();
        let Answer::Bindings(rows) = answer else { panic!("{answer:?}") };
        rows.iter().map(|row| &row.interface).eq([&interface])
    });
}

fn converse(server: &Running) -> (UnixStream, BufReader<UnixStream>) {
    let stream = UnixStream::connect(server.directory.control_socket()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    (stream.try_clone().unwrap(), BufReader::new(stream))
}

fn reply(reader: &mut impl BufRead) -> Value {
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: `{line}`"))
}

#[test]
fn the_socket_keeps_its_bounds() {
    let directory = tempfile::tempdir().unwrap();
    let mut setup = Setup::new(directory.path());
    setup.limits.control_line_bytes_max = 100;
    setup.limits.control_connections_max = 1;
    let server = setup.start().unwrap();
    let socket = server.directory.control_socket();
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);

    let (mut writer, mut reader) = converse(&server);
    // One conversation holds many questions, good and bad.
    writer.write_all(b"{\"version\":1,\"request\":\"status\"}\nnonsense\n").unwrap();
    assert_eq!(reply(&mut reader)["answer"]["status"]["enforcing"], false);
    assert_eq!(reply(&mut reader)["error"]["code"], "MalformedQuestion");
    let (_other, mut other_reader) = converse(&server);
    assert_eq!(reply(&mut other_reader)["error"]["code"], "TooManyConnections");
    writer.write_all(&[b' '; 101]).unwrap();
    assert_eq!(reply(&mut reader)["error"]["code"], "QuestionTooLong");
    let mut rest = String::new();
    reader.read_line(&mut rest).unwrap_or_default();
    assert_eq!(rest, "", "the conversation is over");
    // Whoever comes now waits for the place.
    assert!(ask(&server.directory, Request::Status {}).is_ok());
}

#[test]
fn a_crash_leaves_no_socket_in_the_way() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(&directory, Permissions::from_mode(0o700)).unwrap();
    let path = directory.path().join("control.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let server = Setup::new(directory.path()).start().unwrap();
    assert!(ask(&server.directory, Request::Status {}).is_ok());
}
