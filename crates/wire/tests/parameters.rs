//! Holds the action tables against a list of what the public API has: no parameter of an action is
//! forgotten, and none is of another type.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use portcullis_wire::ecs::action::{self, Action, Kind};

/// How many parameters the list has.
const PUBLISHED: usize = 950;
/// Actions that it does not have: of other SDKs, or offered under no version any more.
const UNLISTED: [&str; 7] = [
    "DescribeBandwidthPackages",
    "DescribeEipAddresses",
    "DescribeEndpoints",
    "DescribeNatGateways",
    "DescribeNetworkAcls",
    "DescribeTags",
    "GetCallerIdentity",
];

/// One line of the list.
struct Published {
    product: String,
    action: String,
    parameter: String,
    kind: String,
    required: bool,
}

fn published() -> Vec<Published> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../cases/api/parameters.tsv");
    let text = std::fs::read_to_string(path).unwrap();
    let rows = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let row = |line: &str| {
        let mut cells = line.split('\t').map(str::to_owned);
        let mut next = || cells.next().unwrap_or_default();
        Published {
            product: next(),
            action: next(),
            parameter: next(),
            kind: next(),
            required: next() == "required",
        }
    };
    rows.map(row).collect()
}

fn table(published: &Published) -> Option<&'static Action> {
    action::all().find(|action| {
        let mut products = action.products.iter();
        action.name == published.action
            && products.any(|product| product.name().eq_ignore_ascii_case(&published.product))
    })
}

/// The name in the tables: numbers count as `N`, a list that is named as one text is what it lists,
/// and `Tag.N.key` and `Tag.N.value` are an older spelling that is understood wherever tags are.
fn own_name(name: &str) -> String {
    let parts = name.split('.').map(|part| match part {
        number if number.bytes().all(|byte| byte.is_ascii_digit()) => "N",
        part => part,
    });
    let name = parts.collect::<Vec<_>>().join(".");
    match name.as_str() {
        "Permissions" => "Permissions.N".to_owned(),
        "Tag.N.key" => "Tag.N.Key".to_owned(),
        "Tag.N.value" => "Tag.N.Value".to_owned(),
        _ => name,
    }
}

#[test]
fn no_published_parameter_is_forgotten() {
    let mut forgotten: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let published = published();
    for row in &published {
        let has_row = |action: &Action| action.parameter(&own_name(&row.parameter)).is_some();
        if !table(row).is_some_and(has_row) {
            forgotten.entry(&row.action).or_default().push(&row.parameter);
        }
    }
    assert!(forgotten.is_empty(), "{forgotten:#?}");
    // No line of the list goes by itself.
    assert_eq!(published.len(), PUBLISHED);
}

#[test]
fn every_action_is_listed_or_known_not_to_be() {
    let published = published();
    let is_listed = |action: &Action| {
        let own = |row: &Published| table(row).is_some_and(|of| std::ptr::eq(of, action));
        published.iter().any(own)
    };
    let unlisted: BTreeSet<&str> =
        action::all().filter(|action| !is_listed(action)).map(|action| action.name).collect();
    assert_eq!(unlisted, UNLISTED.into());
}

#[test]
fn types_and_needs_are_the_published_ones() {
    let mut wrong = Vec::new();
    for row in &published() {
        let Some(action) = table(row) else { continue };
        let Some(own) = action.parameter(&own_name(&row.parameter)) else { continue };
        let fits = match row.kind.as_str() {
            "String" => own.kind == Kind::Text,
            "Integer" | "Long" => own.kind == Kind::Integer,
            "Boolean" => own.kind == Kind::Boolean,
            "Struct" => own.kind == Kind::Structure,
            "RepeatList" | "Array" => matches!(own.kind, Kind::List | Kind::Structures),
            _ => true,
        };
        // An empty value is as good as none.
        let needed = row.required && own.name != "Tag.N.Value";
        if !fits || (needed && !own.required) {
            wrong.push(format!(
                "{} {} {}{}",
                row.action,
                row.parameter,
                row.kind,
                if row.required { " required" } else { "" }
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
