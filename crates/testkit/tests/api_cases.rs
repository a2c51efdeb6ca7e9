//! Plays every case of `cases/api` against the server without sockets, and holds the cases
//! against what they must cover: each code that can be raised, each action, each parameter of the
//! Egress call.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use portcullis_testkit::exchange::in_process::InProcess;
use portcullis_testkit::exchange::language::{Case, Exchange, Step};
use portcullis_testkit::exchange::operator::Outcome;
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
        Step::Later(_) | Step::As(_) | Step::Share(_) | Step::Tell(_) => None,
    })
}

#[test]
fn every_case_holds_in_each_of_its_ways() {
    let (mut played, mut failures) = (0, Vec::new());
    // How often calls are allowed, and what the operator says, is the real server's, whose tests
    // play these cases too.
    let elsewhere = |need: &String| ["throttle", "operator"].contains(&need.as_str());
    let reachable = |case: &&Case| !case.needs.iter().any(elsewhere);
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

/// Codes that no case can show, each with the test that raises it: its file and its name.
const WITHOUT_CASE: &[(&str, &str, &str)] = &[
    // Keys are drawn.
    (
        "EntityAlreadyExists.AccessKey",
        "crates/core/tests/state/accounts.rs",
        "keys_are_made_rotated_disabled_and_deleted",
    ),
    // The wire refuses the values before.
    (
        "InvalidParameter.ConnectionTrackingConfiguration",
        "crates/core/tests/state/networks.rs",
        "an_interface_is_changed_only_by_what_is_sent",
    ),
    // The wire misses the fields of the one flat rule before.
    ("MissingPermissions", "crates/core/tests/state/rules.rs", "a_call_has_at_least_one_rule"),
    // A long way by one call each.
    ("LimitExceeded.Account", "crates/core/tests/state/accounts.rs", "accounts_have_an_end"),
    // Depends on what the server was started with.
    (
        "InvalidProtocol.NeedSsl",
        "crates/server/tests/tls.rs",
        "where_tls_alone_is_answered_plain_http_is_refused",
    ),
    // A store, a host, or a system that fails.
    (
        "InternalError",
        "crates/server/tests/store_fails.rs",
        "a_store_that_stays_away_is_told_and_comes_back",
    ),
    (
        "LimitExceeded.ChangeSize",
        "crates/server/tests/store_fails.rs",
        "what_does_not_fit_is_refused_alone",
    ),
    (
        "StoreFailed",
        "crates/server/tests/store_fails.rs",
        "a_store_that_stays_away_is_told_and_comes_back",
    ),
    ("HostFailed", "crates/server/tests/control.rs", "the_host_answers_for_itself"),
    ("NoRandomness", "crates/server/src/control/account.rs", "a_system_without_chance_is_named"),
    // A client that keeps no promise, or too many of them.
    ("InvalidParameter.Body", "crates/server/tests/bounds.rs", "a_body_that_is_none_is_told"),
    ("RequestTimeout", "crates/server/tests/bounds.rs", "a_slow_client_is_told_or_cut"),
    ("ServiceUnavailable", "crates/server/tests/bounds.rs", "connections_are_counted"),
    ("TooManyConnections", "crates/server/tests/control.rs", "the_socket_keeps_its_bounds"),
    // Of runs, which the API does not know.
    (
        "InvalidOperation.DeviceOfRun",
        "crates/core/tests/state/runs.rs",
        "an_interface_comes_with_its_binding_and_goes_with_it",
    ),
    (
        "InvalidRun.NotFound",
        "crates/core/tests/state/runs.rs",
        "an_interface_comes_with_its_binding_and_goes_with_it",
    ),
    (
        "InvalidVSwitchId.Ambiguous",
        "crates/core/tests/state/runs.rs",
        "a_vswitch_is_named_where_there_are_several",
    ),
    ("TooManyRuns", "crates/core/tests/state/runs.rs", "a_host_has_so_many_runs_and_no_more"),
    ("QuestionTooLong", "crates/server/tests/control.rs", "the_socket_keeps_its_bounds"),
    ("UnknownVersion", "crates/server/src/control/message.rs", "what_is_not_understood_is_refused"),
];

/// What a case shows: codes of exchanges, and of what the operator is told.
fn shown<'a>(cases: &'a [Case]) -> BTreeSet<&'a str> {
    let steps = cases.iter().flat_map(|case| &case.steps);
    let code = |step: &'a Step| match step {
        Step::Exchange(exchange) => exchange.code.as_deref(),
        Step::Tell(told) => told.outcome.as_ref().and_then(Outcome::code),
        Step::Later(_) | Step::As(_) | Step::Share(_) => None,
    };
    steps.filter_map(code).collect()
}

/// The test of this name, from its first line to the brace that closes it.
fn body<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let start = text.find(&format!("fn {name}()"))?;
    let line = text[..start].rfind('\n')? + 1;
    let (before, own) = (&text[..line], &text[line..]);
    let end = format!("\n{}}}\n", " ".repeat(start - line));
    before.trim_end().ends_with("#[test]").then(|| own.split(&end).next()).flatten()
}

#[test]
fn every_code_that_can_be_raised_has_a_case() {
    let cases = cases();
    let shown = shown(&cases);
    let raised = codes::raised(&root()).unwrap();
    let excused = |code: &str| WITHOUT_CASE.iter().any(|(own, ..)| *own == code);
    let missing: Vec<_> =
        raised.iter().filter(|code| !shown.contains(code.as_str()) && !excused(code)).collect();
    assert!(missing.is_empty(), "codes without a case: {missing:?}");
    let idle: Vec<_> = WITHOUT_CASE
        .iter()
        .filter(|(code, ..)| !raised.contains(*code) || shown.contains(code))
        .collect();
    assert!(idle.is_empty(), "excused, but never raised or shown after all: {idle:?}");
    for (code, path, name) in WITHOUT_CASE {
        let text = std::fs::read_to_string(root().join(path)).unwrap();
        let test = body(&text, name).unwrap_or_else(|| panic!("{path} has no test {name}"));
        assert!(test.contains(code), "{path}: {name} does not show {code}");
    }
}

/// Codes that are put together at run time, where no source holds them whole: of keys within a list
/// that an item lacks.
const MADE_OF_PARTS: &[&str] = &["MissingIpProtocol", "MissingTagKey"];

#[test]
fn every_code_that_a_case_shows_is_found_in_the_sources() {
    let raised = codes::raised(&root()).unwrap();
    let cases = cases();
    let shown = shown(&cases);
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
