//! What the action tables say of a parameter is what comes of it: one that is obeyed has a case,
//! one without effect changes no command, one that is not offered is refused.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

use portcullis_testkit::client::escape;
use portcullis_testkit::exchange::language::{Case, Exchange, Step};
use portcullis_testkit::exchange::read_folder;
use portcullis_wire::ecs::action::{self, Action, Effect, Kind, Parameter, Product, SUBJECTS};
use portcullis_wire::ecs::carrier::Call;
use portcullis_wire::ecs::decode::{Decoded, decode};
use portcullis_wire::ecs::http::HttpRequest;
use portcullis_wire::ecs::refusal::Refusal;
use std::collections::BTreeMap;
use std::path::Path;

/// What every action of its kind takes, which a case of any one shows.
const COMMON: [&str; 5] = ["RegionId", "ClientToken", "DryRun", "WaitUntilEnforced", "WaitTimeout"];

fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../cases/api");
    read_folder(&folder).unwrap()
}

/// The exchanges of an action, named alone or with its product.
fn of_action<'a>(cases: &'a [Case], action: &Action) -> Vec<&'a Exchange> {
    let names: Vec<String> =
        action.products.iter().map(|own| format!("{}.{}", own.name(), action.name)).collect();
    // Of two tables with one name, that of Ecs is meant where no product is named.
    let twice = action::all().filter(|other| other.name == action.name).count() > 1;
    let alone = !twice || action.products.contains(&Product::Ecs);
    let steps = cases.iter().flat_map(|case| &case.steps);
    let exchanges = steps.filter_map(|step| match step {
        Step::Exchange(exchange) => Some(exchange.as_ref()),
        Step::Later(_) | Step::As(_) | Step::Share(_) | Step::Tell(_) => None,
    });
    exchanges
        .filter(|own| names.contains(&own.action) || (alone && own.action == action.name))
        .collect()
}

/// Whether a name in a call is that of a row; numbers count as `N`, a list may come as one text.
fn is_row(row: &str, name: &str) -> bool {
    let mut given = name.split('.');
    row.split('.').all(|own| match (own, given.next()) {
        ("N", Some(number)) => number.bytes().all(|byte| byte.is_ascii_digit()),
        ("N", None) => true,
        (own, given) => given.is_some_and(|given| own.eq_ignore_ascii_case(given)),
    })
}

/// Whether an exchange sends a parameter, by itself or in a JSON text.
fn is_sent(row: &Parameter, exchange: &Exchange) -> bool {
    let mut names = exchange.parameters.iter().map(|(name, _)| name.as_str());
    let last = row.name.rsplit('.').find(|part| *part != "N").unwrap_or(row.name);
    let quoted = format!("\"{last}\"");
    let values = exchange.parameters.iter().map(|(_, value)| value);
    let mut texts = exchange.json.iter().chain(&exchange.body).chain(values);
    names.any(|name| is_row(row.name, name))
        || texts.any(|text| text.contains(&quoted))
        || exchange.query.iter().any(|query| query.contains(&format!("{last}=")))
}

/// The name of a row in a call: of a list, the first.
fn first(row: &str) -> String {
    let parts = row.split('.').map(|part| if part == "N" { "1" } else { part });
    parts.collect::<Vec<_>>().join(".")
}

#[test]
fn every_obeyed_parameter_has_a_case() {
    let cases = cases();
    let mut without = Vec::new();
    for subject in SUBJECTS {
        let of_subject: Vec<_> =
            subject.actions.iter().map(|action| (action, of_action(&cases, action))).collect();
        for action in subject.actions {
            let obeyed = action.parameters().filter(|row| row.effect == Effect::Obeyed);
            for row in obeyed.filter(|row| !COMMON.contains(&row.name)) {
                // Actions of one subject share rows, down to every word; one case is enough.
                let has_case = of_subject.iter().any(|(other, exchanges)| {
                    other.parameter(row.name) == Some(row)
                        && exchanges.iter().any(|exchange| is_sent(row, exchange))
                });
                if !has_case {
                    without.push(format!("{} {}", action.name, row.name));
                }
            }
        }
    }
    assert!(without.is_empty(), "{} without a case: {without:#?}", without.len());
}

fn decoded(action: &'static Action, pairs: &[(String, String)]) -> Result<Decoded, Refusal> {
    let mut target = format!("/?Action={}&RegionId=cn-hangzhou", action.name);
    for (name, value) in pairs.iter().filter(|(name, _)| name != "RegionId") {
        target += &format!("&{name}={}", escape(value));
    }
    let request = HttpRequest::new("GET", &target);
    decode(action, &Call::read(&request)?)
}

/// A value with some id for whatever an earlier step kept.
fn without_names(value: &str) -> String {
    let mut pieces = value.split('$');
    let mut filled = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        filled += "id-1";
        filled += piece.trim_start_matches(|c: char| c.is_ascii_alphanumeric());
    }
    filled
}

/// The parameters of a call that is read as a command, from the cases.
fn sound_call(cases: &[Case], action: &'static Action) -> Vec<(String, String)> {
    sound_call_with(cases, action, "")
}

/// The same, of a call with a parameter whose name begins so.
fn sound_call_with(cases: &[Case], action: &'static Action, start: &str) -> Vec<(String, String)> {
    let sound = of_action(cases, action).into_iter().find_map(|exchange| {
        let filled =
            exchange.parameters.iter().map(|(name, value)| (name.clone(), without_names(value)));
        let pairs: Vec<_> = filled.collect();
        let has_start = start.is_empty() || pairs.iter().any(|(name, _)| name.starts_with(start));
        (has_start && decoded(action, &pairs).is_ok()).then_some(pairs)
    });
    sound.unwrap_or_else(|| panic!("no case of {} with {start} is read as a command", action.name))
}

/// A value of a parameter that comes to nothing; what it says does not matter.
fn any_value(kind: Kind) -> &'static str {
    match kind {
        Kind::Boolean => "true",
        Kind::Integer => "7",
        Kind::Text | Kind::List | Kind::Structures | Kind::Structure => "whatever",
    }
}

#[test]
fn what_has_no_effect_changes_no_command() {
    let cases = cases();
    for action in action::all() {
        let rows = action.parameters().filter(|row| row.effect == Effect::Ignored);
        let mut rows = rows.peekable();
        if rows.peek().is_none() {
            continue;
        }
        let mut samples: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
        for row in rows {
            // Whatever stands in a list that is obeyed makes an item of it, so that item must be
            // there already.
            let item = row.name.rsplit_once(".N.").map(|(list, _)| list).filter(|list| {
                let list = action.parameter(&format!("{list}.N"));
                list.is_some_and(|list| list.effect == Effect::Obeyed)
            });
            let start = item.map_or_else(String::new, |list| format!("{}.1.", first(list)));
            let sample = || sound_call_with(&cases, action, &start);
            let pairs = samples.entry(start.clone()).or_insert_with(sample);
            let name = first(row.name);
            pairs.retain(|(own, _)| *own != name);
            pairs.push((name, any_value(row.kind).to_owned()));
        }
        for (start, pairs) in samples {
            let before = decoded(action, &sound_call_with(&cases, action, &start)).unwrap();
            let after = decoded(action, &pairs).unwrap_or_else(|refusal| panic!("{refusal}"));
            assert_eq!(before.command, after.command, "{} {start}", action.name);
        }
    }
}

#[test]
fn what_is_not_offered_is_refused_by_its_name() {
    let cases = cases();
    for action in action::all() {
        for row in action.parameters() {
            let Effect::Refused(harmless) = row.effect else { continue };
            let name = first(row.name);
            let mut pairs = sound_call(&cases, action);
            pairs.retain(|(own, _)| *own != name);
            for value in harmless {
                let with = [pairs.clone(), vec![(name.clone(), (*value).to_owned())]].concat();
                assert!(decoded(action, &with).is_ok(), "{} {name}={value}", action.name);
            }
            pairs.push((name.clone(), any_value(row.kind).to_owned()));
            let refusal = decoded(action, &pairs).err();
            let told = refusal.map(|refusal| (refusal.code, refusal.place));
            let expected = (row.refused.name.into(), name);
            assert_eq!(told, Some(expected), "{} {}", action.name, row.name);
        }
    }
}

/// Parameters that the one peer or the ports that a sound call names overrule, and one of which
/// clients send whatever stands in their own tables.
const OVERRULED: &[&str] = &[
    "NicType",
    "PortRangeListId",
    "DestGroupId",
    "DestGroupOwnerId",
    "DestGroupOwnerAccount",
    "DestPrefixListId",
    "SourceGroupId",
    "SourceGroupOwnerId",
    "SourceGroupOwnerAccount",
    "SourcePrefixListId",
];

/// A value that fits nowhere but where any text does.
const MISFIT: &str = "\u{1} no value \u{2}";

#[test]
fn what_is_obeyed_is_read() {
    let cases = cases();
    let mut unread = Vec::new();
    for action in action::all() {
        let pairs = sound_call(&cases, action);
        let before = decoded(action, &pairs).unwrap();
        for row in action.parameters().filter(|row| row.effect == Effect::Obeyed) {
            // Of a list of objects, as the one JSON text that it may come as.
            let name = match row.kind {
                Kind::Structures => first(row.name.trim_end_matches(".N")),
                _ => first(row.name),
            };
            let mut pairs = pairs.clone();
            pairs.retain(|(own, _)| *own != name);
            pairs.push((name, MISFIT.to_owned()));
            let is_read = decoded(action, &pairs).map_or(true, |after| after != before);
            if !is_read && row.name != "RegionId" && !OVERRULED.contains(&row.name) {
                unread.push(format!("{} {}", action.name, row.name));
            }
        }
    }
    assert!(unread.is_empty(), "{unread:#?}");
}
