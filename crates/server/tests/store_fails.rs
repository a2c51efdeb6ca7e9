//! A store that fails under the server: nothing acknowledged is lost, nothing refused is kept.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;

use common::store::{Fault, FaultySource, Plan};
use common::{Running, Setup, make_interface, until};
use portcullis_server::control::client::{ClientError, ask};
use portcullis_server::control::message::Request;

fn start(directory: &std::path::Path) -> (Running, Plan) {
    let source = FaultySource::new();
    let plan = source.plan.clone();
    let mut setup = Setup::new(directory);
    setup.source = Some(Box::new(source));
    (setup.start().unwrap(), plan)
}

fn group_count(server: &Running) -> u64 {
    server.call("DescribeSecurityGroups", &[]).body["TotalCount"].as_u64().unwrap()
}

#[test]
fn a_write_whose_outcome_was_unknown_is_answered_truly() {
    let directory = tempfile::tempdir().unwrap();
    let (server, plan) = start(directory.path());
    for (number, fault) in (1..).zip([Fault::UnknownButDone, Fault::UnknownAndLost]) {
        plan.batches(&[fault]);
        let answer = server.call("CreateSecurityGroup", &[]);
        let group = answer.text("/SecurityGroupId").unwrap();
        assert_eq!(answer.body["Revision"], 1 + number, "{fault:?}");
        server.call("DescribeSecurityGroupAttribute", &[("SecurityGroupId", &group)]);
        assert_eq!(group_count(&server), number, "{fault:?}");
    }
}

#[test]
fn a_store_that_stays_away_is_told_and_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let (server, plan) = start(directory.path());
    for (fault, expected) in [
        (Fault::UnknownButDone, (500, "InternalError")),
        (Fault::UnknownAndLost, (500, "InternalError")),
        (Fault::Refused, (503, "ServiceUnavailable")),
    ] {
        plan.batches(&[fault]);
        plan.fail_opens(2);
        let (status, code) = server.code("CreateSecurityGroup", &[]);
        assert_eq!((status, code.as_str()), expected, "{fault:?}");
        // Reads go on, but not of the store itself.
        group_count(&server);
        let path = directory.path().join("export").to_str().unwrap().to_owned();
        match ask(&server.directory, Request::Export { path }) {
            Err(ClientError::Refused(problem)) => assert_eq!(problem.code, "StoreFailed"),
            other => panic!("{other:?}"),
        }
        plan.fail_opens(1);
        let (status, code) = server.code("CreateSecurityGroup", &[]);
        assert_eq!((status, code.as_str()), (503, "ServiceUnavailable"), "{fault:?}");
        server.call("CreateSecurityGroup", &[]);
    }
    // Three that were told so, and the one whose outcome nobody could find out.
    assert_eq!(group_count(&server), 4);
}

#[test]
fn a_store_that_refuses_for_ever_does_not_hold_the_client() {
    let directory = tempfile::tempdir().unwrap();
    let (server, plan) = start(directory.path());
    plan.batches(&[Fault::Refused; 3]);
    let (status, code) = server.code("CreateSecurityGroup", &[]);
    assert_eq!((status, code.as_str()), (503, "ServiceUnavailable"));
    assert_eq!(group_count(&server), 0);
    server.call("CreateSecurityGroup", &[]);
    assert_eq!(group_count(&server), 1);
}

#[test]
fn a_store_that_opens_and_fails_at_every_write_does_not_hold_the_client() {
    let directory = tempfile::tempdir().unwrap();
    let (server, plan) = start(directory.path());
    for fault in [Fault::UnknownAndLost, Fault::Refused] {
        plan.batches(&[fault; 100]);
        let (status, code) = server.code("CreateSecurityGroup", &[]);
        assert_eq!((status, code.as_str()), (503, "ServiceUnavailable"), "{fault:?}");
        plan.forget();
    }
    assert_eq!(group_count(&server), 0);
    server.call("CreateSecurityGroup", &[]);
    assert_eq!(group_count(&server), 1);
}

#[test]
fn a_server_whose_writer_has_died_ends() {
    let directory = tempfile::tempdir().unwrap();
    let (server, plan) = start(directory.path());
    plan.batches(&[Fault::Panic]);
    assert_eq!(server.code("CreateSecurityGroup", &[]).0, 503);
    assert!(!server.ended().is_clean);
}

#[test]
fn a_configured_binding_is_tried_again_when_the_store_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let source = FaultySource::new();
    let again = source.again();
    let mut setup = Setup::new(directory.path());
    setup.source = Some(Box::new(source));
    let server = setup.start().unwrap();
    let (interface, _) = make_interface(&server);
    server.stop();
    again.plan.batches(&[Fault::Refused; 3]);
    let mut setup = Setup::new(directory.path());
    setup.source = Some(Box::new(again));
    setup.binds = vec![(interface.parse().unwrap(), "veth1".parse().unwrap())];
    let server = setup.start().unwrap();
    until("the interface is tied", || {
        let delete = [("NetworkInterfaceId", interface.as_str()), ("DryRun", "true")];
        server.code("DeleteNetworkInterface", &delete).1 == "InvalidOperation.InvalidEniState"
    });
}

#[test]
fn what_does_not_fit_is_refused_alone() {
    let directory = tempfile::tempdir().unwrap();
    let (server, plan) = start(directory.path());
    plan.batches(&[Fault::TooLarge]);
    let refused = (403, "LimitExceeded.ChangeSize".to_owned());
    assert_eq!(server.code("CreateSecurityGroup", &[]), refused);
    assert_eq!(group_count(&server), 0);
    server.call("CreateSecurityGroup", &[]);
    assert_eq!(group_count(&server), 1);
}

#[test]
fn many_writers_over_a_failing_store() {
    const WRITERS: usize = 8;
    const WRITES: usize = 25;
    let directory = tempfile::tempdir().unwrap();
    let (server, plan) = start(directory.path());
    let faults = [Fault::None, Fault::UnknownButDone, Fault::None, Fault::TooLarge, Fault::Refused];
    let lost = [Fault::None, Fault::UnknownAndLost, Fault::None, Fault::UnknownButDone];
    for _ in 0..5 {
        plan.batches(&faults);
        plan.batches(&lost);
    }
    let server = Arc::new(server);
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let client = server.client();
            std::thread::spawn(move || {
                let names = (0..WRITES).map(|write| format!("w{writer}-{write}"));
                let write = |name: String| {
                    let answer =
                        client.try_call("CreateSecurityGroup", &[("SecurityGroupName", &name)]);
                    (name, answer.unwrap())
                };
                names.map(write).collect::<Vec<_>>()
            })
        })
        .collect();
    let mut acknowledged = BTreeSet::new();
    let mut revisions = BTreeSet::new();
    for writer in writers {
        for (name, answer) in writer.join().unwrap() {
            match answer.status {
                200 => {
                    acknowledged.insert(name);
                    assert!(revisions.insert(answer.body["Revision"].as_u64().unwrap()));
                }
                status => assert!(matches!(status, 403 | 503), "{name}: {}", answer.body),
            }
        }
    }
    let mut found = BTreeSet::new();
    for page in 1.. {
        let page = page.to_string();
        let answer = [("PageSize", "50"), ("PageNumber", page.as_str())];
        let answer = server.call("DescribeSecurityGroups", &answer);
        let rows = answer.list("/SecurityGroups/SecurityGroup").unwrap();
        if rows.is_empty() {
            break;
        }
        for row in rows {
            let name = row["SecurityGroupName"].as_str().unwrap().to_owned();
            assert!(found.insert(name), "{row} is there twice");
        }
    }
    assert_eq!(found, acknowledged);
    assert!(acknowledged.len() > WRITERS * WRITES / 2, "only {} succeeded", acknowledged.len());
}
