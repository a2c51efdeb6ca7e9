//! The table as a whole: what it promises to decoders, help and clients.

use std::collections::BTreeSet;

use super::*;
use crate::ecs::http::HttpRequest;

#[test]
fn names_are_given_once_and_rows_are_complete() {
    let mut actions = BTreeSet::new();
    for action in all() {
        for product in action.products {
            assert!(actions.insert((action.name, *product)), "{} twice", action.name);
        }
        assert!(action.summary.ends_with('.') && !action.products.is_empty(), "{}", action.name);
        let mut names = BTreeSet::new();
        for row in action.parameters() {
            let place = format!("{}.{}", action.name, row.name);
            assert!(names.insert(row.name), "{place} twice");
            assert!(row.doc.ends_with('.'), "{place}: {}", row.doc);
            assert!(!row.limits.is_empty(), "{place} has no limits");
            assert!(!row.required || row.effect == Effect::Obeyed, "{place} is needed for nothing");
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
        "ModifySecurityGroupAttribute",
        "ModifySecurityGroupRule",
        "ModifySecurityGroupEgressRule",
        "DescribeSecurityGroupReferences",
        "AuthorizeSecurityGroup",
        "AuthorizeSecurityGroupEgress",
        "RevokeSecurityGroup",
        "RevokeSecurityGroupEgress",
        "CreateNetworkInterface",
        "DescribeNetworkInterfaces",
        "ModifyNetworkInterfaceAttribute",
        "DeleteNetworkInterface",
        "DescribeRegions",
        "CreatePrefixList",
        "ModifyPrefixList",
        "DeletePrefixList",
        "CreatePortRangeList",
        "ModifyPortRangeList",
        "DeletePortRangeList",
        "DescribePrefixLists",
        "DescribePrefixListAttributes",
        "DescribePrefixListAssociations",
        "DescribePortRangeLists",
        "DescribePortRangeListEntries",
        "DescribePortRangeListAssociations",
    ] {
        assert!(all().any(|action| action.name == name), "{name}");
    }
}

#[test]
fn writes_take_what_every_write_takes() {
    for action in all() {
        let write = action.parameter("ClientToken").is_some();
        let reads = ["Describe", "List", "Get"].iter().any(|start| action.name.starts_with(start));
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

#[test]
fn a_row_covers_its_name_and_what_lies_below() {
    let row = |name| shared::unsupported(name, Kind::Text, "No.");
    for (own, given, covers) in [
        ("Ipv4Prefix.N", "Ipv4Prefix.12", true),
        ("Ipv4Prefix.N", "Ipv4Prefix", true),
        ("Ipv4Prefix.N", "Ipv4Prefix.x", false),
        ("Ipv4Prefix.N", "Ipv4PrefixCount", false),
        ("DataDisk.N", "DataDisk.1.Size", true),
        ("DataDisk.N.Size", "DataDisk.1.Size", true),
        ("DataDisk.N.Size", "DataDisk.1.Category", false),
        ("DataDisk.N.Size", "DataDisk.1", false),
        ("CpuOptions.Core", "CpuOptions.Core", true),
        ("CpuOptions.Core", "CpuOptions.Numa", false),
        ("DataDisk.N.Size", "DataDisk..Size", false),
    ] {
        assert_eq!(row(own).covers(given), covers, "{own} {given}");
    }
}

#[test]
fn what_is_not_offered_is_refused_wherever_it_stands() {
    let refused = |query: &str| {
        let query = format!(
            "/?Action=CreateNetworkInterface&RegionId=r&VSwitchId=v&SecurityGroupId=g&{query}"
        );
        let request = HttpRequest::new("GET", &query);
        let call = Call::read(&request).unwrap();
        let decoded = crate::ecs::decode::decode(dispatch(&call).unwrap(), &call);
        decoded.err().map(|refusal| (refusal.code.into_owned(), refusal.place))
    };
    let unsupported = |place: &str| Some(("UnsupportedParameter".to_owned(), place.to_owned()));
    let config = "NetworkInterfaceTrafficConfig";
    let dotted = "NetworkInterfaceTrafficConfig.QueueNumber";
    assert_eq!(refused(&format!("{dotted}=2")), unsupported(dotted));
    assert_eq!(refused(&format!("{config}=[]")), unsupported(config));
    assert_eq!(refused(&format!("{dotted}=")), None);
}
