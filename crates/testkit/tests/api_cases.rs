//! Plays every case of `cases/api` against the server without sockets, and holds the cases
//! against what they must cover: each code that can be raised, each action, each parameter of the
//! Egress call.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use portcullis_testkit::exchange::in_process::InProcess;
use portcullis_testkit::exchange::language::{Case, Exchange, Step};
use portcullis_testkit::exchange::{is_runnable, read_folder, run};
use portcullis_wire::ecs::action::{self, Product};
use portcullis_wire::ecs::refusal::CODES;
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
        Step::Later(_) => None,
    })
}

#[test]
fn every_case_holds_in_each_of_its_ways() {
    let (mut played, mut failures) = (0, Vec::new());
    for case in &cases() {
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

/// Codes that no exchange can show, each with the reason.
const WITHOUT_CASE: &[(&str, &str)] = &[
    ("EntityAlreadyExists.Account", "administrative, no action of the API"),
    ("InvalidBinding.NotFound", "administrative, no action of the API"),
    ("InvalidOperation.DeviceInUse", "administrative, no action of the API"),
    ("InvalidOperation.InvalidEniState", "needs a bound interface, which no action makes"),
    ("MissingParameter.RegionId", "the table asks for the region before the state does"),
    ("InvalidParameter.ConnectionTrackingConfiguration", "the table asks for each value alone"),
    ("InvalidParam.PrefixListAddressFamilyMismatch", "no action makes a prefix list yet"),
    ("InvalidSecurityToken.Malformed", "needs a temporary key, which no action makes"),
    ("InvalidSecurityToken.Expired", "needs a temporary key, which no action makes"),
];

#[test]
fn every_code_that_can_be_raised_has_a_case() {
    let cases = cases();
    let shown: BTreeSet<&str> =
        cases.iter().flat_map(exchanges).filter_map(|step| step.code.as_deref()).collect();
    let mut raised: BTreeSet<String> = CODES.iter().map(|code| code.name.to_owned()).collect();
    raised.extend(codes_of_the_state());
    for action in action::all() {
        let is_whole = |name: &str| !name.contains(".N.");
        let required = action.parameters().filter(|own| own.required && is_whole(own.name));
        raised.extend(required.map(|parameter| parameter.missing().code.into_owned()));
    }
    let excused = |code: &str| WITHOUT_CASE.iter().any(|(own, _)| *own == code);
    let missing: Vec<_> =
        raised.iter().filter(|code| !shown.contains(code.as_str()) && !excused(code)).collect();
    assert!(missing.is_empty(), "codes without a case: {missing:?}");
    let idle: Vec<_> = WITHOUT_CASE.iter().filter(|(code, _)| !raised.contains(*code)).collect();
    assert!(idle.is_empty(), "excused, but never raised: {idle:?}");
}

/// The codes in the sources of the state machine: dotted texts that begin with a capital letter,
/// and the first text after a constructor of the error.
fn codes_of_the_state() -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    for folder in ["crates/core/src/state", "crates/core/src/command"] {
        for entry in std::fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().is_some_and(|name| name == "tests.rs") || path.is_dir() {
                continue;
            }
            let text = std::fs::read_to_string(path).unwrap();
            let text = text.split("#[cfg(test)]").next().unwrap();
            let quoted = text.split('"').skip(1).step_by(2);
            codes.extend(quoted.filter(|text| is_dotted_code(text)).map(str::to_owned));
            for start in ["ApiError::invalid(", "ApiError::forbidden(", "ApiError::not_found("] {
                let after = text.split(start).skip(1);
                let first = after.filter_map(|rest| rest.trim_start().strip_prefix('"'));
                codes.extend(first.filter_map(|rest| rest.split('"').next()).map(str::to_owned));
            }
        }
    }
    codes.retain(|code| !code.contains('{'));
    codes
}

fn is_dotted_code(text: &str) -> bool {
    let mut parts = text.split('.');
    let is_word = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_uppercase())
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    text.contains('.') && parts.all(is_word)
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
