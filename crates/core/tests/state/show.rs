//! Answers as text in which ids have their names, so that scripts can say what they expect.
use portcullis_core::command::{
    AccessKeyRow, AccountRow, GroupReferences, InstanceResponse, InstanceRow, ListRow,
    NetworkInterfaceRow, Outcome, OwnedVpcRow, Page, VSwitchRow, VpcRow, Written,
};
use portcullis_core::error::{ApiError, ErrorClass};
use portcullis_core::list::{List, ListEntry, ListKind};
use portcullis_core::net::Prefix;
use portcullis_core::records::{Change, InstanceStatus, RuleRecord};
use portcullis_core::rule::{Peer, PortMatch};
use portcullis_core::state::Decision;

use super::harness::Harness;

/// The id that a write made.
pub(crate) fn made(written: &Written) -> Option<String> {
    match written {
        Written::Done => None,
        Written::Vpc { vpc, .. } => Some(vpc.to_string()),
        Written::VSwitch { vswitch } => Some(vswitch.to_string()),
        Written::SecurityGroup { group } => Some(group.to_string()),
        Written::NetworkInterface(interface) => Some(interface.id.to_string()),
        Written::Instances(instances) => instances.first().map(ToString::to_string),
        Written::Instance { instance } => Some(instance.to_string()),
        Written::AssignedIpv4 { .. } | Written::AssignedIpv6 { .. } | Written::Batch(_) => None,
        Written::Account { account } => Some(account.to_string()),
        Written::PrefixList { list } => Some(list.to_string()),
        Written::PortRangeList { list } => Some(list.to_string()),
    }
}

/// `403 Code Place`.
pub(crate) fn error(_: &Harness, error: &ApiError) -> String {
    let status = match error.class {
        ErrorClass::Invalid => 400,
        ErrorClass::Forbidden => 403,
        ErrorClass::NotFound => 404,
        ErrorClass::Conflict => 409,
        ErrorClass::Internal => 500,
        ErrorClass::Unavailable => 503,
    };
    assert!(!error.message.is_empty() && error.message.ends_with(['.', '?']), "{error:?}");
    format!("{status} {} {}", error.code, error.place).trim().to_string()
}

/// `ok +puts -deletes`, or the rows.
pub(crate) fn decision(harness: &Harness, decision: &Decision) -> String {
    match &decision.outcome {
        Outcome::Written(_) => {
            let puts = decision.changes.iter().filter(|c| matches!(c, Change::Put(_))).count();
            let deletes = decision.changes.len() - puts;
            let mut text = String::from("ok");
            if puts > 0 {
                text += &format!(" +{puts}");
            }
            if deletes > 0 {
                text += &format!(" -{deletes}");
            }
            text + &more(harness, decision)
        }
        outcome => read(harness, outcome),
    }
}

/// What a write answers beside that it is done.
fn more(harness: &Harness, decision: &Decision) -> String {
    match &decision.outcome {
        Outcome::Written(Written::AssignedIpv4 { addresses, prefixes, .. }) => {
            format!(" {addresses:?} {prefixes:?}")
        }
        Outcome::Written(Written::AssignedIpv6 { addresses, prefixes, .. }) => {
            format!(" {addresses:?} {prefixes:?}")
        }
        Outcome::Written(Written::Batch(responses)) => {
            let status = |status: Option<InstanceStatus>| status.map_or("-", InstanceStatus::name);
            let row = |response: &InstanceResponse| {
                let (from, to) = (status(response.previous), status(response.current));
                format!(" {}:{}:{from}>{to}", name(harness, &response.instance), response.code)
            };
            responses.iter().map(row).collect()
        }
        _ => String::new(),
    }
}

fn name(harness: &Harness, id: impl ToString) -> String {
    let id = id.to_string();
    harness.names.get(&id).cloned().unwrap_or(id)
}

fn names<T: ToString>(harness: &Harness, ids: &[T]) -> String {
    ids.iter().map(|id| name(harness, id.to_string())).collect::<Vec<_>>().join(",")
}

fn page<T>(page: &Page<T>, row: impl Fn(&T) -> String) -> String {
    // Ids are random, so the order of the rows is; what it must be is tested where it matters.
    let mut rows: Vec<String> = page.rows.iter().map(row).collect();
    rows.sort();
    let rows = rows.join("; ");
    let more = if page.next.is_some() { " more" } else { "" };
    format!("{} [{rows}]{more}", page.total)
}

fn read(harness: &Harness, outcome: &Outcome) -> String {
    let named = |id: &dyn ToString| name(harness, id.to_string());
    match outcome {
        Outcome::Written(_) => unreachable!("a write is not read"),
        Outcome::Regions(regions) => {
            regions.iter().map(|region| region.id.to_string()).collect::<Vec<_>>().join(" ")
        }
        Outcome::Zones(zones) => {
            zones.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        }
        Outcome::Endpoints(region, service, _) => {
            format!("{region} {}", service.map_or("none", |service| service.name()))
        }
        Outcome::CallerIdentity(account) => {
            (if *account == harness.root { "root" } else { "other" }).to_string()
        }
        Outcome::Absent(_, rows) => page(rows, |_| String::new()),
        Outcome::Vpc(row) => vpc(harness, row),
        Outcome::VSwitch(row) => vswitch(harness, row),
        Outcome::RouteTables(rows) | Outcome::RouteTableList(rows) => page(rows, |row| {
            let routes = if row.with_routes { row.vswitches.len() } else { 0 };
            format!("{} routes={routes}", named(&row.vpc.id))
        }),
        Outcome::TagCounts(rows) => page(rows, |row| {
            let counts = row.counts.iter().map(|(_, count)| count.to_string());
            let counts = counts.collect::<Vec<_>>().join("/");
            format!("{}:{} {counts}", row.tag.key, row.tag.value)
        }),
        Outcome::Tags(_, rows) => page(rows, |row| {
            format!("{} {}:{}", named(&row.resource.id()), row.tag.key, row.tag.value)
        }),
        Outcome::Vpcs(rows) => page(rows, |row| vpc(harness, row)),
        Outcome::VSwitches(rows) => page(rows, |row| vswitch(harness, row)),
        Outcome::SecurityGroups(rows) => page(rows, |row| {
            let counts =
                [row.address_count, row.available_amount, row.rule_count, row.group_rule_count];
            format!("{} {counts:?}", named(&row.group.id))
        }),
        Outcome::SecurityGroupAttribute(group) => page(&group.rules, |row| {
            let names = [&row.prefix_list_name, &row.port_range_list_name];
            let names = names.into_iter().flatten().map(|name| format!(" ({name})"));
            rule(harness, &row.record) + &names.collect::<String>()
        }),
        Outcome::SecurityGroupReferences(rows) => {
            let row = |row: &GroupReferences| {
                let others: Vec<_> = row.referencing.iter().map(|other| named(&other.0)).collect();
                format!("{} <- {}", named(&row.group), others.join(","))
            };
            rows.iter().map(row).collect::<Vec<_>>().join("; ")
        }
        Outcome::Accounts(rows) => {
            let row = |row: &AccountRow| {
                let keys = [row.access_keys, row.temporary_keys];
                format!("{} {keys:?}", named(&row.account.name))
            };
            rows.iter().map(row).collect::<Vec<_>>().join("; ")
        }
        Outcome::AccessKeys(rows) => {
            let row = |row: &AccessKeyRow| {
                let ends = row.expires_ms.map_or(String::new(), |ms| format!(" ends={ms}"));
                let disabled = if row.active { "" } else { " disabled" };
                format!("{} of {}{disabled}{ends}", row.id, row.account.name)
            };
            rows.iter().map(row).collect::<Vec<_>>().join("; ")
        }
        Outcome::OwnedVpcs(rows) => {
            let row = |row: &OwnedVpcRow| {
                let shares: Vec<String> =
                    row.shares.iter().map(|(_, account)| account.name.to_string()).collect();
                let (vpc, owner) = (named(&row.vpc.id), &row.owner.name);
                format!("{vpc} of {owner} {}", shares.join(",")).trim().to_string()
            };
            rows.iter().map(row).collect::<Vec<_>>().join("; ")
        }
        Outcome::NetworkInterfaces(rows) => page(rows, |row| interface(harness, row)),
        Outcome::NetworkInterfaceAttribute(row, _) => interface(harness, row),
        Outcome::Instances(rows) => page(rows, |row| instance(harness, row)),
        Outcome::InstanceAttribute(row) => instance(harness, row),
        Outcome::PrefixLists(rows) => page(rows, |row| list_row(harness, row)),
        Outcome::PortRangeLists(rows) => page(rows, |row| list_row(harness, row)),
        Outcome::PrefixListAttributes(list) => entries(list),
        Outcome::PortRangeListEntries(list) => entries(list),
        Outcome::PrefixListAssociations(rows) => page(&rows.groups, |group| named(group)),
        Outcome::PortRangeListAssociations(rows) => page(&rows.groups, |group| named(group)),
        Outcome::Bindings(bindings) => {
            let row = |b: &portcullis_core::records::Binding| {
                format!("{} {}", named(&b.interface), b.device)
            };
            bindings.iter().map(row).collect::<Vec<_>>().join("; ")
        }
    }
}

fn vpc(harness: &Harness, row: &VpcRow) -> String {
    let ipv6 = row.vpc.ipv6_cidr.map_or(String::new(), |prefix| format!(" {prefix}"));
    let vpc = name(harness, &row.vpc.id);
    let group = row.vpc.resource_group.as_ref();
    let group = group.map_or(String::new(), |group| format!(" in={group}"));
    let vswitches = names(harness, &row.vswitches);
    format!("{vpc} {}{ipv6}{group} {vswitches}", row.vpc.cidr).trim().to_string()
}

fn vswitch(harness: &Harness, row: &VSwitchRow) -> String {
    let vswitch = &row.vswitch;
    let ipv6 = vswitch.ipv6_cidr.map_or(String::new(), |prefix| format!(" {prefix}"));
    let free = row.available_addresses;
    let group = row.resource_group.as_ref();
    let group = group.map_or(String::new(), |group| format!(" in={group}"));
    format!("{} {}{ipv6} free={free}{group}", name(harness, &vswitch.id), vswitch.cidr)
}

fn list_row<K: ListKind>(harness: &Harness, row: &ListRow<K>) -> String {
    let list = &row.list;
    format!(
        "{} {} {:?} {}/{} in {}",
        name(harness, &list.id),
        list.name,
        list.scope,
        list.entries.len(),
        list.max_entries,
        row.association_count
    )
}

fn entries<K: ListKind>(list: &List<K>) -> String {
    let entry = |entry: &ListEntry<K::Value>| match &entry.description {
        None => entry.value.to_string(),
        Some(text) => format!("{} `{text}`", entry.value),
    };
    list.entries.iter().map(entry).collect::<Vec<_>>().join("; ")
}

fn interface(harness: &Harness, row: &NetworkInterfaceRow) -> String {
    let interface = &row.interface;
    let own: Vec<_> = interface.prefixes().map(cidr).collect();
    let instance = interface.attachment.as_ref().map_or(String::new(), |attachment| {
        format!(" {} of {}", attachment.role.name(), name(harness, &attachment.instance))
    });
    format!(
        "{} {} {} {}{instance}",
        name(harness, &interface.id),
        own.join(","),
        names(harness, &interface.groups),
        row.status.name()
    )
}

/// An address without its length.
fn cidr(prefix: Prefix) -> String {
    match prefix == Prefix::host(prefix.address()) {
        true => prefix.address().to_string(),
        false => prefix.to_string(),
    }
}

fn instance(harness: &Harness, row: &InstanceRow) -> String {
    let further: Vec<_> = row.further.iter().map(|own| own.primary.to_string()).collect();
    let further =
        if further.is_empty() { String::new() } else { format!("+{}", further.join("+")) };
    format!(
        "{} {} {}{further} {}",
        name(harness, &row.instance.id),
        row.instance.status.name(),
        row.primary.primary,
        names(harness, &row.primary.groups)
    )
}

fn rule(harness: &Harness, record: &RuleRecord) -> String {
    let rule = &record.rule;
    let ports = match &rule.ports {
        PortMatch::Ports(ports) => ports.to_string(),
        PortMatch::List(list) => name(harness, list),
    };
    let peer = match &rule.peer {
        Peer::Cidr(cidr) => cidr.to_string(),
        Peer::Group(group) => name(harness, group),
        Peer::PrefixList(list) => name(harness, list),
    };
    let local = rule.local.map_or(String::new(), |cidr| format!(" local={cidr}"));
    let source = match rule.source_ports {
        portcullis_core::net::Ports::Any => String::new(),
        ports => format!(" from={ports}"),
    };
    let text = record.description.as_ref().map_or(String::new(), |d| format!(" `{d}`"));
    let owner = record.peer_owner.as_ref().map_or(String::new(), |owner| {
        format!(" of={}/{}", owner.account, owner.text.as_deref().unwrap_or(""))
    });
    format!(
        "{} {} {ports} {peer} {} {} {}{local}{source}{owner}{text}",
        rule.direction.name(),
        rule.protocol,
        rule.policy.name(),
        rule.priority,
        record.nic_type.name()
    )
}
