//! The table as a whole: what it promises to decoders, help and clients.

use std::collections::BTreeSet;

use super::*;
use crate::ecs::http::HttpRequest;

#[test]
fn names_are_given_once_and_rows_are_complete() {
    let mut actions = BTreeSet::new();
    for action in all() {
        assert!(actions.insert(action.name), "{} twice", action.name);
        assert!(action.summary.ends_with('.') && !action.products.is_empty(), "{}", action.name);
        let mut names = BTreeSet::new();
        for row in action.parameters() {
            let place = format!("{}.{}", action.name, row.name);
            assert!(names.insert(row.name), "{place} twice");
            assert!(row.doc.ends_with('.'), "{place}: {}", row.doc);
            assert!(!row.limits.is_empty(), "{place} has no limits");
            // A key below a list stands with its list.
            if let Some((list, _)) = row.name.split_once(".N.") {
                assert!(action.parameter(&format!("{list}.N")).is_some(), "{place}");
            }
        }
    }
}

#[test]
fn every_action_of_the_contract_is_there() {
    for name in [
        "CreateVpc",
        "DeleteVpc",
        "DescribeVpcs",
        "CreateVSwitch",
        "DeleteVSwitch",
        "DescribeVSwitches",
        "CreateSecurityGroup",
        "DeleteSecurityGroup",
        "DescribeSecurityGroups",
        "DescribeSecurityGroupAttribute",
        "ModifySecurityGroupPolicy",
        "AuthorizeSecurityGroup",
        "AuthorizeSecurityGroupEgress",
        "RevokeSecurityGroup",
        "RevokeSecurityGroupEgress",
        "CreateNetworkInterface",
        "DescribeNetworkInterfaces",
        "ModifyNetworkInterfaceAttribute",
        "DeleteNetworkInterface",
        "DescribeRegions",
    ] {
        assert!(all().any(|action| action.name == name), "{name}");
    }
}

#[test]
fn writes_take_what_every_write_takes() {
    for action in all() {
        let write = action.parameter("ClientToken").is_some();
        let reads = ["Describe"].iter().any(|start| action.name.starts_with(start));
        assert_eq!((write, reads), (action.write, !action.write), "{}", action.name);
    }
}

#[test]
fn the_product_is_found_by_segment_name_and_version() {
    for (target, product) in [
        ("/", Ok(Product::Ecs)),
        ("/?Version=2016-04-28", Ok(Product::Vpc)),
        ("/?Version=2016-01-01", Ok(Product::Ecs)),
        ("/?Version=2015-04-01", Ok(Product::Sts)),
        ("/?Version=2015-06-12", Ok(Product::Location)),
        ("/?Version=2014-05-27", Err("InvalidVersion")),
        ("/?Product=vpc", Ok(Product::Vpc)),
        ("/?Product=vpc&Version=2014-05-26", Err("InvalidVersion")),
        ("/?Product=ram", Err("InvalidAction.NotFound")),
        ("/apsara/route/VPC/X?version=2016-01-01", Ok(Product::Vpc)),
        ("/apsara/route/Vpc/X?Product=Ecs", Ok(Product::Vpc)),
        ("/apsara/route/Ecs/X?Version=2016-04-28", Err("InvalidVersion")),
    ] {
        let request = HttpRequest::new("GET", target);
        let found = Product::of(&Call::read(&request).unwrap());
        let found = found.map_err(|refusal| refusal.code.into_owned());
        assert_eq!(found, product.map_err(str::to_owned), "{target}");
    }
}
