//! Fields of prefix lists and port range lists. The answers about port range lists hold flat
//! arrays, those about prefix lists objects of one array, as the API has them.
use portcullis_core::command::{ListAssociations, ListRow, Page};
use portcullis_core::list::{List, ListKind, PortRanges, Prefixes};
use portcullis_core::net::Family;

use super::{ecs_tags, page, tags, time};
use crate::ecs::answer::{Answer, Fields};

fn family(family: Family) -> &'static str {
    match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    }
}

/// What both kinds say of a list, behind its id and name.
fn list<K: ListKind>(fields: Fields, list: &List<K>) -> Fields {
    fields
        .number("MaxEntries", list.max_entries)
        .text_or_empty("Description", list.description.as_ref())
        .text("CreationTime", time::format(list.created_ms))
}

fn entries<K: ListKind>(name: &'static str, list: &List<K>) -> Vec<Answer> {
    let entry = |entry: &portcullis_core::list::ListEntry<K::Value>| {
        let fields = Fields::new().text(name, entry.value);
        fields.text_or_empty("Description", entry.description.as_ref()).into()
    };
    list.entries.iter().map(entry).collect()
}

fn prefix_list(fields: Fields, prefixes: &List<Prefixes>) -> Fields {
    let fields = fields
        .text("PrefixListId", &prefixes.id)
        .text("PrefixListName", &prefixes.name)
        .text("AddressFamily", family(prefixes.scope));
    list(fields, prefixes)
}

pub(super) fn prefix_lists(fields: Fields, rows: &Page<ListRow<Prefixes>>) -> Fields {
    let row = |row: &ListRow<Prefixes>| {
        let fields = prefix_list(Fields::new(), &row.list)
            .number("AssociationCount", row.association_count)
            .text_or_empty("ResourceGroupId", row.list.resource_group.as_ref());
        ecs_tags(fields, &row.list.tags).into()
    };
    page(fields, rows).list("PrefixLists", "PrefixList", rows.rows.iter().map(row))
}

pub(super) fn prefix_list_attributes(fields: Fields, list: &List<Prefixes>) -> Fields {
    prefix_list(fields, list).list("Entries", "Entry", entries("Cidr", list))
}

pub(super) fn prefix_list_associations(
    fields: Fields,
    associations: &ListAssociations<Prefixes>,
) -> Fields {
    let groups = &associations.groups;
    let rows = groups.rows.iter().map(|group| {
        Fields::new().text("ResourceId", group).text("ResourceType", "securitygroup").into()
    });
    page(fields, groups).text("PrefixListId", &associations.list).list(
        "PrefixListAssociations",
        "PrefixListAssociation",
        rows,
    )
}

pub(super) fn port_range_lists(fields: Fields, rows: &Page<ListRow<PortRanges>>) -> Fields {
    let row = |row: &ListRow<PortRanges>| {
        let fields = Fields::new()
            .text("PortRangeListId", &row.list.id)
            .text("PortRangeListName", &row.list.name);
        list(fields, &row.list)
            .number("AssociationCount", row.association_count)
            .text_or_empty("ResourceGroupId", row.list.resource_group.as_ref())
            .with("Tags", Answer::List(tags(&row.list.tags).collect()))
            .into()
    };
    page(fields, rows).with("PortRangeLists", Answer::List(rows.rows.iter().map(row).collect()))
}

pub(super) fn port_range_list_entries(fields: Fields, list: &List<PortRanges>) -> Fields {
    fields.with("Entries", Answer::List(entries("PortRange", list)))
}

pub(super) fn port_range_list_associations(
    fields: Fields,
    associations: &ListAssociations<PortRanges>,
) -> Fields {
    let groups = &associations.groups;
    let rows = groups.rows.iter().map(|group| {
        Fields::new().text("ResourceId", group).text("ResourceType", "SecurityGroup").into()
    });
    page(fields, groups).with("PortRangeListAssociations", Answer::List(rows.collect()))
}
