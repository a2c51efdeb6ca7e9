//! Runs as the server sees them: leases that are held, abandoned or absent, and a host whose
//! devices do as the test says.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use common::{Running, Setup, make_interface, until};
use portcullis_core::host::Report;
use portcullis_core::text::DeviceName;
use portcullis_server::control::client::{ClientError, ask};
use portcullis_server::control::message::{
    Answer, BindingRow, FlowList, HealRow, HitRow, Problem, ReasonRow, Request,
};
use portcullis_server::control::run::RunRow;
use portcullis_server::host::{AgentEnd, Filter, HostView, link};
use portcullis_server::lease::Lease;
use portcullis_server::metrics::Telemetry;
use portcullis_wire::flow_event::FlowEvent;
use tokio::sync::mpsc;

/// A host that keeps count of the devices that it was to remove.
#[derive(Default)]
struct Devices {
    asked: Mutex<Vec<String>>,
    stay: AtomicBool,
}

impl HostView for Devices {
    fn bindings(&self) -> Result<Vec<BindingRow>, String> {
        Ok(Vec::new())
    }

    fn hits(&self) -> Result<Vec<HitRow>, String> {
        Ok(Vec::new())
    }

    fn drops(&self) -> Result<Vec<ReasonRow>, String> {
        Ok(Vec::new())
    }

    fn passes(&self) -> Result<Vec<ReasonRow>, String> {
        Ok(Vec::new())
    }

    fn heals(&self) -> Result<Vec<HealRow>, String> {
        Ok(Vec::new())
    }

    fn flows(&self, _: Option<&str>) -> Result<FlowList, String> {
        Ok(FlowList { flows: Vec::new(), left_out: 0 })
    }

    fn telemetry(&self) -> Result<Telemetry, String> {
        Ok(Telemetry::default())
    }

    fn follow(&self, _: Filter) -> Result<mpsc::Receiver<FlowEvent>, Problem> {
        Ok(mpsc::channel(1).1)
    }

    fn remove_device(&self, device: &DeviceName) -> Result<(), String> {
        self.asked.lock().unwrap().push(device.to_string());
        match self.stay.load(Ordering::SeqCst) {
            true => Err("the device is busy".into()),
            false => Ok(()),
        }
    }
}

/// A server whose host does at once what it is told, and its host.
fn start(directory: &std::path::Path) -> (Running, Arc<Devices>) {
    let devices = Arc::new(Devices::default());
    let (link, AgentEnd { mut desired, report }) = link(devices.clone());
    let mut setup = Setup::new(directory);
    setup.link = Some(link);
    let server = setup.start().unwrap();
    server.block_on(async {
        tokio::spawn(async move {
            while desired.changed().await.is_ok() {
                let newest = desired.borrow_and_update().clone();
                if let Some(newest) = newest {
                    report.send_replace(Report { revision: newest.revision, ..Report::default() });
                }
            }
        });
    });
    (server, devices)
}

fn start_run(server: &Running, device: &str, group: &str) -> Result<RunRow, ClientError> {
    let request = Request::StartRun {
        device: device.into(),
        groups: vec![group.into()],
        vswitch: String::new(),
        address: String::new(),
        ipv6: String::new(),
        wait_timeout_ms: 2_000,
    };
    match ask(&server.directory, request)? {
        Answer::Run(row) => Ok(row),
        other => panic!("{other:?}"),
    }
}

fn end_run(server: &Running, device: &str) -> Result<Answer, ClientError> {
    ask(&server.directory, Request::EndRun { device: device.into(), wait_timeout_ms: 2_000 })
}

fn refused<T: std::fmt::Debug>(result: Result<T, ClientError>) -> String {
    match result {
        Err(ClientError::Refused(problem)) => problem.code,
        other => panic!("{other:?}"),
    }
}

/// How many interfaces are tied.
fn tied(server: &Running) -> usize {
    match ask(&server.directory, Request::Status {}).unwrap() {
        Answer::Status(status) => status.bindings,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_run_has_an_interface_until_it_ends() {
    let directory = tempfile::tempdir().unwrap();
    let (server, devices) = start(directory.path());
    let (other, group) = make_interface(&server);
    let lease = Lease::take(&server.directory).unwrap();
    let device = lease.device().as_str();
    let row = start_run(&server, device, &group).unwrap();
    assert_eq!((row.changed.enforcement.as_str(), row.ipv6.as_str()), ("Enforced", ""));
    assert_ne!(row.interface, other);
    assert_eq!(row.address.rsplit_once('.').unwrap().0, row.gateway.rsplit_once('.').unwrap().0);
    assert!(row.gateway.ends_with(".253"), "{row:?}");
    assert_eq!(refused(start_run(&server, device, &group)), "InvalidOperation.DeviceInUse");
    assert_eq!(refused(start_run(&server, "veth0", &group)), "MalformedName");
    let unbind = Request::Unbind { interface: row.interface.clone(), wait_timeout_ms: 0 };
    assert_eq!(refused(ask(&server.directory, unbind)), "InvalidOperation.DeviceOfRun");

    let Answer::Changed(changed) = end_run(&server, device).unwrap() else { panic!() };
    assert_eq!((changed.enforcement.as_str(), tied(&server)), ("Enforced", 0));
    assert_eq!(refused(end_run(&server, device)), "InvalidRun.NotFound");
    assert!(devices.asked.lock().unwrap().is_empty(), "taken for abandoned");
    lease.release().unwrap();
}

#[test]
fn an_abandoned_run_is_taken_away_and_a_held_one_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let (server, devices) = start(directory.path());
    let (_, group) = make_interface(&server);
    let held = Lease::take(&server.directory).unwrap();
    let left = Lease::take(&server.directory).unwrap();
    let unused = Lease::take(&server.directory).unwrap();
    let names = [&left, &unused].map(|lease| lease.device().to_string());
    for device in [held.device(), left.device()] {
        start_run(&server, device.as_str(), &group).unwrap();
    }
    assert_eq!(tied(&server), 2);
    drop((left, unused));
    let leases = || std::fs::read_dir(server.directory.runs()).unwrap().count();
    until("the abandoned ones to go", || tied(&server) == 1 && leases() == 1);
    let asked = devices.asked.lock().unwrap().clone();
    assert!(names.iter().all(|name| asked.contains(name)), "{asked:?}");
    assert!(!asked.contains(&held.device().to_string()), "{asked:?}");
}

/// Its rules hold it as long as its device is there.
#[test]
fn a_device_that_stays_keeps_its_binding() {
    let directory = tempfile::tempdir().unwrap();
    let (server, devices) = start(directory.path());
    devices.stay.store(true, Ordering::SeqCst);
    let (_, group) = make_interface(&server);
    let lease = Lease::take(&server.directory).unwrap();
    start_run(&server, lease.device().as_str(), &group).unwrap();
    drop(lease);
    until("two attempts", || devices.asked.lock().unwrap().len() >= 2);
    assert_eq!(tied(&server), 1);
    devices.stay.store(false, Ordering::SeqCst);
    until("the run to go", || tied(&server) == 0);
}

#[test]
fn what_is_left_goes_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let (server, _) = start(directory.path());
    let (_, group) = make_interface(&server);
    let lease = Lease::take(&server.directory).unwrap();
    start_run(&server, lease.device().as_str(), &group).unwrap();
    server.stop();
    // The lease itself may be gone too: nobody holds it.
    lease.release().unwrap();
    let (server, _) = start(directory.path());
    until("the run to go", || tied(&server) == 0);
}

#[test]
fn nothing_runs_where_nothing_is_enforced() {
    let directory = tempfile::tempdir().unwrap();
    let server = Setup::new(directory.path()).start().unwrap();
    let (_, group) = make_interface(&server);
    let lease = Lease::take(&server.directory).unwrap();
    assert_eq!(refused(start_run(&server, lease.device().as_str(), &group)), "NotEnforced");
    assert_eq!(tied(&server), 0);
}
