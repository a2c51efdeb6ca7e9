//! Plays every case of `cases/api` against the server without sockets, and holds the cases
//! against what they must cover: each code that can be raised, each action, each parameter of the
//! Egress call.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use portcullis_testkit::exchange::in_process::InProcess;
use portcullis_testkit::exchange::language::{Case, Exchange, Step};
use portcullis_testkit::exchange::{codes, is_runnable, read_folder, run};
use portcullis_wire::ecs::action::{self, Product};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn cases() -> Vec<Case> {
    read_folder(&root().join("cases/api")).unwrap()
}

fn exchanges(case: &Case) -> impl Iterator<Item = &Exchange> {
    case.steps.iter().filter_map(|step| match step {
        Step::Exchange(exchange) => Some(exchange.as_ref()),
        Step::Later(_) | Step::As(_) | Step::Share(_) => None,
    })
}

#[test]
fn every_case_holds_in_each_of_its_ways() {
    let (mut played, mut failures) = (0, Vec::new());
    // How often calls are allowed is decided by the real server, whose tests play these cases too.
    let reachable = |case: &&Case| !case.needs.iter().any(|need| need == "throttle");
    for case in cases().iter().filter(reachable) {
        for way in &case.ways {
            let mut server = InProcess::new().unwrap();
            assert!(is_runnable(case, &server), "{}: needs what nobody offers", case.place);
            played += 1;
            failures.extend(run(case, *way, &mut server).err());
        }
    }
    assert!(failures.is_empty(), "{} of {played}:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn no_two_cases_have_one_title() {
    let cases = cases();
    let titles: BTreeSet<&str> = cases.iter().map(|case| case.title.as_str()).collect();
    assert_eq!(titles.len(), cases.len());
}

/// Codes that no exchange can show, each with the test that does, or the reason why none can.
const WITHOUT_CASE: &[(&str, &str)] = &[
    ("DeleteConflict.AccessKey", "crates/core/tests/state/accounts.rs"),
    ("DeleteConflict.Account", "crates/core/tests/state/accounts.rs"),
    ("DependencyViolation.VpcShare", "crates/core/tests/state/accounts.rs"),
    ("EntityAlreadyExists.AccessKey", "crates/core/tests/state/accounts.rs"),
    ("EntityAlreadyExists.Account", "crates/core/tests/state/accounts.rs"),
    ("InvalidBinding.NotFound", "crates/core/tests/state/networks.rs"),
    ("InvalidOperation.DeviceInUse", "crates/core/tests/state/networks.rs"),
    ("InvalidParameter.ConnectionTrackingConfiguration", "crates/core/tests/state/networks.rs"),
    ("EntityNotExist.AccessKey", "crates/core/tests/state/accounts.rs"),
    ("EntityNotExist.Account", "crates/core/tests/state/accounts.rs"),
    ("EntityNotExist.VpcShare", "crates/core/tests/state/accounts.rs"),
    ("InvalidParameter.AccessKeyId", "crates/core/tests/state/accounts.rs"),
    ("InvalidParameter.Account", "crates/core/tests/state/accounts.rs"),
    ("InvalidParameter.AccountName", "crates/core/tests/state/accounts.rs"),
    ("InvalidParameter.DurationSeconds", "crates/core/tests/state/accounts.rs"),
    ("LimitExceeded.AccessKey", "crates/core/tests/state/accounts.rs"),
    ("LimitExceeded.Account", "crates/core/tests/state/accounts.rs"),
    ("LimitExceeded.TemporaryKey", "crates/core/tests/state/accounts.rs"),
    ("QuotaExceeded.VpcShare", "crates/core/tests/state/accounts.rs"),
    ("InvalidProtocol.NeedSsl", "crates/server/tests/tls.rs"),
    ("LimitExceeded.ChangeSize", "crates/server/src/writer.rs"),
    ("InternalError", "crates/server/tests/store_fails.rs"),
    ("InvalidParameter.Body", "a body that breaks off has nobody left to answer to"),
    ("MissingPermissions", "the wire misses the fields of the one flat rule before"),
    ("RequestTimeout", "crates/server/tests/bounds.rs"),
    ("ServiceUnavailable", "crates/server/tests/bounds.rs"),
];

#[test]
fn every_code_that_can_be_raised_has_a_case() {
    let cases = cases();
    let shown: BTreeSet<&str> =
        cases.iter().flat_map(exchanges).filter_map(|step| step.code.as_deref()).collect();
    let raised = codes::raised(&root()).unwrap();
    let excused = |code: &str| WITHOUT_CASE.iter().any(|(own, _)| *own == code);
    let missing: Vec<_> =
        raised.iter().filter(|code| !shown.contains(code.as_str()) && !excused(code)).collect();
    assert!(missing.is_empty(), "codes without a case: {missing:?}");
    let idle: Vec<_> = WITHOUT_CASE
        .iter()
        .filter(|(code, _)| !raised.contains(*code) || shown.contains(code))
        .collect();
    assert!(idle.is_empty(), "excused, but never raised or shown after all: {idle:?}");
    for (code, path) in WITHOUT_CASE.iter().filter(|(_, path)| path.starts_with("crates/")) {
        let text = std::fs::read_to_string(root().join(path)).unwrap();
        assert!(text.contains(code), "{path} does not show {code}");
    }
}

/// Codes that are put together at run time, where no source holds them whole: of keys within a list
/// that an item lacks.
const MADE_OF_PARTS: &[&str] = &["MissingIpProtocol", "MissingTagKey"];

#[test]
fn every_code_that_a_case_shows_is_found_in_the_sources() {
    let raised = codes::raised(&root()).unwrap();
    let cases = cases();
    let shown: BTreeSet<&str> =
        cases.iter().flat_map(exchanges).filter_map(|step| step.code.as_deref()).collect();
    let unknown: Vec<_> = shown
        .iter()
        .filter(|code| !raised.contains(**code) && !MADE_OF_PARTS.contains(*code))
        .collect();
    assert!(unknown.is_empty(), "not found, so others like them may be missed: {unknown:?}");
}

#[test]
fn every_action_has_an_accepted_and_a_refused_exchange() {
    let cases = cases();
    for action in action::all() {
        let names: Vec<String> =
            action.products.iter().map(|own| format!("{}.{}", own.name(), action.name)).collect();
        // An action of two tables is named with its product.
        let named = action::all().filter(|other| other.name == action.name).count() > 1
            && action.products != [Product::Ecs];
        let is_of_action = |step: &&Exchange| {
            names.contains(&step.action) || (!named && step.action == action.name)
        };
        let of_action = || cases.iter().flat_map(exchanges).filter(is_of_action);
        assert!(of_action().any(|step| step.status == 200), "{} accepted", names[0]);
        assert!(of_action().any(|step| step.status != 200), "{} refused", names[0]);
    }
}

/// The body parameters of the one call that the product starts from.
const EGRESS_PARAMETERS: [&str; 19] = [
    "Policy",
    "Description",
    "SourcePortRange",
    "Priority",
    "SecurityGroupId",
    "Ipv6SourceCidrIp",
    "NicType",
    "DestGroupId",
    "version",
    "PortRange",
    "DestGroupOwnerAccount",
    "regionId",
    "RegionId",
    "SourceCidrIp",
    "DestGroupOwnerId",
    "IpProtocol",
    "DestCidrIp",
    "Ipv6DestCidrIp",
    "ClientToken",
];

#[test]
fn every_parameter_of_the_egress_call_has_both_exchanges_in_its_own_case() {
    let cases = cases();
    for name in EGRESS_PARAMETERS {
        let start = format!("egress {name}:");
        let own = || cases.iter().filter(|case| case.title.starts_with(&start));
        let steps = || {
            own().flat_map(exchanges).filter(|step| {
                step.action == "AuthorizeSecurityGroupEgress"
                    && step.parameters.iter().any(|(own, _)| own == name)
            })
        };
        assert!(steps().any(|step| step.status == 200), "{name} accepted");
        assert!(steps().any(|step| step.status != 200), "{name} refused");
    }
}
