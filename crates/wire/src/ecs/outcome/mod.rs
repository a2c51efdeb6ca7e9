//! The fields of each action's answer: what the records hold, in the names, types and casing that
//! clients of the public API compare exactly.
//!
//! One module per noun; here is what they share, and which of them an outcome is for.
use portcullis_core::command::{Absent, Outcome, Page, Paging, Written};
use portcullis_core::ids::RegionId;
use portcullis_core::text::Tags;

use super::answer::{Answer, Fields};
use super::decode::Decoded;
use super::render::Presentation;
use super::time;

mod account;
mod group;
mod instance;
mod interface;
mod list;
mod network;
mod rule;
mod service;
mod tag;

/// `fields`, and those of the outcome.
// tidy: long because it is one table, of every outcome to its fields
pub(super) fn fields(
    fields: Fields,
    presentation: &Presentation,
    decoded: &Decoded,
    outcome: &Outcome,
) -> Fields {
    match outcome {
        Outcome::Written(written) => self::written(fields, written),
        Outcome::Regions(regions) => {
            let rows = regions.iter().map(|region| network::region(presentation, region));
            fields.list("Regions", "Region", rows)
        }
        Outcome::Zones(zones) => fields.list("Zones", "Zone", zones.iter().map(service::zone)),
        Outcome::Endpoints(region, service, protocols) => {
            service::endpoints(fields, presentation, region, *service, *protocols)
        }
        Outcome::CallerIdentity(account) => service::caller(fields, *account),
        Outcome::Absent(kind, page) => {
            let fields = if *kind == Absent::Images { region_of(fields, decoded) } else { fields };
            let (name, item) = service::absent(*kind);
            self::page(fields, page).list(name, item, [])
        }
        Outcome::Vpc(row) => network::vpc_attribute(fields, row),
        Outcome::VSwitch(row) => network::vswitch(fields, row),
        Outcome::RouteTables(page) => {
            let rows = page.rows.iter().map(network::route_table);
            self::page(fields, page).list("RouteTables", "RouteTable", rows)
        }
        Outcome::RouteTableList(page) => {
            let rows = page.rows.iter().map(network::route_table_item);
            self::page(fields, page).list("RouterTableList", "RouterTableListType", rows)
        }
        Outcome::TagCounts(page) => {
            let rows = page.rows.iter().map(tag::counted);
            self::page(fields, page).list("Tags", "Tag", rows)
        }
        Outcome::Tags(kind, page) => {
            let rows = page.rows.iter().map(|row| tag::tag(*kind, row));
            self::page(fields, page).list("TagResources", "TagResource", rows)
        }
        Outcome::Vpcs(page) => {
            let rows = page.rows.iter().map(network::vpc);
            self::page(fields, page).list("Vpcs", "Vpc", rows)
        }
        Outcome::VSwitches(page) => {
            let rows = page.rows.iter().map(|row| network::vswitch(Fields::new(), row).into());
            self::page(fields, page).list("VSwitches", "VSwitch", rows)
        }
        Outcome::SecurityGroups(page) => {
            let rows = page.rows.iter().map(group::group);
            let fields = region_of(fields, decoded);
            self::page(fields, page).list("SecurityGroups", "SecurityGroup", rows)
        }
        Outcome::SecurityGroupAttribute(attribute) => group::group_attribute(fields, attribute),
        Outcome::SecurityGroupReferences(rows) => group::references(fields, rows),
        Outcome::NetworkInterfaces(page) => {
            let rows = page.rows.iter().map(interface::interface);
            let name = "NetworkInterfaceSets";
            self::page(fields, page).list(name, "NetworkInterfaceSet", rows)
        }
        Outcome::NetworkInterfaceAttribute(row, attribute) => {
            interface::attribute(fields, row, *attribute)
        }
        Outcome::Instances(page) => {
            let rows = page.rows.iter().map(instance::instance);
            self::page(fields, page).list("Instances", "Instance", rows)
        }
        Outcome::InstanceAttribute(row) => instance::attribute(fields, row),
        Outcome::Accounts(rows) => {
            fields.list("Accounts", "Account", rows.iter().map(account::account))
        }
        Outcome::AccessKeys(rows) => {
            fields.list("AccessKeys", "AccessKey", rows.iter().map(account::access_key))
        }
        Outcome::OwnedVpcs(rows) => fields.list("Vpcs", "Vpc", rows.iter().map(account::owned_vpc)),
        Outcome::PrefixLists(rows) => list::prefix_lists(fields, rows),
        Outcome::PrefixListAttributes(own) => list::prefix_list_attributes(fields, own),
        Outcome::PrefixListAssociations(rows) => list::prefix_list_associations(fields, rows),
        Outcome::PortRangeLists(rows) => list::port_range_lists(fields, rows),
        Outcome::PortRangeListEntries(own) => list::port_range_list_entries(fields, own),
        Outcome::PortRangeListAssociations(rows) => {
            list::port_range_list_associations(fields, rows)
        }
        Outcome::Bindings(bindings) => {
            fields.list("Bindings", "Binding", bindings.iter().map(interface::binding))
        }
    }
}

/// By number the total is told, by token the next token, which is empty on the last part.
fn page<T>(fields: Fields, page: &Page<T>) -> Fields {
    match &page.paging {
        Paging::All => fields,
        Paging::Number { page: number, size } => fields
            .number("TotalCount", page.total)
            .number("PageNumber", *number)
            .number("PageSize", *size),
        Paging::Token { .. } => fields.text_or_empty("NextToken", page.next.as_ref()),
    }
}

fn region_of(fields: Fields, decoded: &Decoded) -> Fields {
    fields.text_or_empty("RegionId", decoded.region.as_ref().map(RegionId::as_str))
}

fn written(fields: Fields, written: &Written) -> Fields {
    match written {
        Written::Done => fields,
        Written::Vpc { vpc, router, route_table, resource_group } => fields
            .text("VpcId", vpc)
            .text("VRouterId", router)
            .text("RouteTableId", route_table)
            .text_or_empty("ResourceGroupId", resource_group.as_ref()),
        Written::VSwitch { vswitch } => fields.text("VSwitchId", vswitch),
        Written::SecurityGroup { group } => fields.text("SecurityGroupId", group),
        Written::PrefixList { list } => fields.text("PrefixListId", list),
        Written::PortRangeList { list } => fields.text("PortRangeListId", list),
        Written::NetworkInterface(record) => {
            interface::interface_fields(fields, record).text("Status", "Available")
        }
        Written::AssignedIpv4 { interface, addresses, prefixes } => {
            let assigned = interface::assigned_ipv4(interface, addresses, prefixes);
            fields.with("AssignedPrivateIpAddressesSet", assigned)
        }
        Written::AssignedIpv6 { interface, addresses, prefixes } => fields
            .text("NetworkInterfaceId", interface)
            .list("Ipv6Sets", "Ipv6Address", addresses.iter().map(Answer::of))
            .list("Ipv6PrefixSets", "Ipv6Prefix", prefixes.iter().map(Answer::of)),
        Written::Instances(instances) => {
            fields.list("InstanceIdSets", "InstanceIdSet", instances.iter().map(Answer::of))
        }
        Written::Instance { instance } => fields.text("InstanceId", instance),
        Written::Batch(responses) => {
            let rows = responses.iter().map(instance::response);
            fields.list("InstanceResponses", "InstanceResponse", rows)
        }
        Written::Account { account } => fields.text("AccountId", account),
    }
}

/// Tags of groups, interfaces and lists.
fn ecs_tags(fields: Fields, tags: &Tags) -> Fields {
    fields.list("Tags", "Tag", self::tags(tags))
}

fn tags(tags: &Tags) -> impl Iterator<Item = Answer> + '_ {
    tags.iter().map(|tag| {
        Fields::new().text("TagKey", tag.key.as_str()).text("TagValue", tag.value.as_str()).into()
    })
}
