//! Prefix lists and port range lists. The two have the same actions; the tables below differ in
//! names, codes and in what an entry is.
use portcullis_core::command::{
    AddedEntry, Command, CreateList, DescribeListAssociations, DescribeLists, ModifyList, Paging,
};
use portcullis_core::limits::{IDS_PER_FILTER_MAX, MAX_RESULTS_DEFAULT, MAX_RESULTS_MAX};
use portcullis_core::list::{ListEntry, ListKind, PortRanges, Prefixes};
use portcullis_core::net::{Cidr, Family, Ports, Prefix};

use super::shared::{
    self, NEXT_TOKEN, REGION, RESOURCE_GROUP_ID, TAGS, integer, max_results, row, text,
};
use super::{Action, Kind, Parameter, Product};
use crate::ecs::arguments::Arguments;
use crate::ecs::limits::LIST_INDEX_MAX;
use crate::ecs::refusal::{Code, Refusal, code};

const NAME_LIMITS: &str = "2 to 128 letters, digits, `:`, `_`, `.`, `-` that begin with a letter \
                           and not with com.aliyun or com.alibabacloud";
const DESCRIPTION: Parameter = text(
    "Description",
    code::DESCRIPTION,
    "2 to 256 printable characters that do not begin with http:// or https://",
    "A description.",
);
const ENTRY_DESCRIPTION_LIMITS: &str =
    "2 to 32 printable characters that do not begin with http:// or https://";
const CIDR_LIMITS: &str = "a CIDR block of the list's family without host bits";
const PORTS_LIMITS: &str = "a port range: `first/last` from 1 to 65535";
const MAX_ENTRIES_DOC: &str =
    "How many entries the list may have, for ever. A rule that names the list counts as so many.";
const MAX_RESULTS: Parameter =
    max_results("a number from 1 to 100", "Most rows of a part; 10 by default.");

const PREFIX_LIST_ID: Parameter = text(
    "PrefixListId",
    code::PREFIX_LIST_NOT_FOUND,
    "a prefix list's id: 1 to 100 letters, digits, `-`, `_`, `.`",
    "The prefix list.",
)
.required();
const PREFIX_LIST_NAME: Parameter =
    text("PrefixListName", code::PREFIX_LIST_NAME, NAME_LIMITS, "A name.");
const ADDRESS_FAMILY: Parameter =
    text("AddressFamily", code::ADDRESS_FAMILY, "IPv4 or IPv6", "The family of all entries.");

const PORT_RANGE_LIST_ID: Parameter = text(
    "PortRangeListId",
    code::PORT_RANGE_LIST_NOT_FOUND,
    "a port range list's id: 1 to 100 letters, digits, `-`, `_`, `.`",
    "The port range list.",
)
.required();
const PORT_RANGE_LIST_NAME: Parameter =
    text("PortRangeListName", code::PORT_RANGE_LIST_NAME, NAME_LIMITS, "A name.");

const fn entries(name: &'static str, doc: &'static str) -> Parameter {
    row(name, Kind::Structures, code::JSON, "a list of entries", doc)
}

/// What an entry is nothing without.
const fn needed(
    name: &'static str,
    refused: Code,
    limits: &'static str,
    doc: &'static str,
) -> Parameter {
    let absent = Some(code::MISSING_PARAMETER);
    Parameter { absent, ..text(name, refused, limits, doc) }.required()
}

const fn cidr(name: &'static str) -> Parameter {
    needed(name, code::ENTRY_CIDR, CIDR_LIMITS, "A CIDR block; an address stands for itself.")
}

const fn ports(name: &'static str) -> Parameter {
    needed(name, code::ENTRY_PORT_RANGE, PORTS_LIMITS, "A range of ports, both ends included.")
}

const fn entry_description(name: &'static str) -> Parameter {
    text(name, code::DESCRIPTION, ENTRY_DESCRIPTION_LIMITS, "The entry's description.")
}

const ENTRY_DOC: &str = "Entries, 200 at most in a call.";
const ADD_DOC: &str =
    "Entries to add, 200 at most. One that is there already gets the description that is sent.";
const REMOVE_DOC: &str = "Entries to remove, 200 at most, before others are added. \
                          One that is not there is no error.";

const ADD_CIDR: &str = "AddEntry.N.Cidr";
const ADD_PORTS: &str = "AddEntry.N.PortRange";

pub(super) const ACTIONS: &[Action] = &[
    Action {
        name: "CreatePrefixList",
        products: &[Product::Ecs],
        summary: "Makes a prefix list, which rules may name as their peer.",
        write: true,
        parameters: &[
            &[
                REGION,
                PREFIX_LIST_NAME.required(),
                ADDRESS_FAMILY.required(),
                Parameter { refused: code::INVALID_PARAMETER, ..MAX_ENTRIES }.required(),
                DESCRIPTION,
                RESOURCE_GROUP_ID,
                entries("Entry.N", ENTRY_DOC),
                cidr("Entry.N.Cidr"),
                entry_description("Entry.N.Description"),
            ],
            TAGS,
        ],
        decode: |arguments| create(arguments).map(Command::CreatePrefixList),
    },
    Action {
        name: "ModifyPrefixList",
        products: &[Product::Ecs],
        summary: "Changes a prefix list's name, description and entries; rules that name it \
                  follow.",
        write: true,
        parameters: &[&[
            REGION,
            PREFIX_LIST_ID,
            PREFIX_LIST_NAME,
            DESCRIPTION,
            entries("AddEntry.N", ADD_DOC),
            cidr(ADD_CIDR),
            entry_description("AddEntry.N.Description"),
            entries("RemoveEntry.N", REMOVE_DOC),
            cidr("RemoveEntry.N.Cidr"),
        ]],
        decode: |arguments| modify(arguments).map(Command::ModifyPrefixList),
    },
    Action {
        name: "DeletePrefixList",
        products: &[Product::Ecs],
        summary: "Deletes a prefix list that no rule names.",
        write: true,
        parameters: &[&[REGION, PREFIX_LIST_ID]],
        decode: |arguments| {
            Ok(Command::DeletePrefixList { list: arguments.required("PrefixListId")? })
        },
    },
    Action {
        name: "DescribePrefixLists",
        products: &[Product::Ecs],
        summary: "Lists prefix lists; filters are joined by \"and\".",
        write: false,
        parameters: &[
            &[
                REGION,
                ids("PrefixListId.N", code::PREFIX_LIST_NOT_FOUND),
                PREFIX_LIST_NAME.documented("Lists of exactly this name."),
                ADDRESS_FAMILY.documented("Lists of this family."),
                RESOURCE_GROUP_ID.documented("Lists of this resource group."),
                NEXT_TOKEN,
                MAX_RESULTS,
            ],
            TAGS,
        ],
        decode: |arguments| describe(arguments).map(Command::DescribePrefixLists),
    },
    Action {
        name: "DescribePrefixListAttributes",
        products: &[Product::Ecs],
        summary: "Shows a prefix list with its entries.",
        write: false,
        parameters: &[&[REGION, PREFIX_LIST_ID]],
        decode: |arguments| {
            Ok(Command::DescribePrefixListAttributes { list: arguments.required("PrefixListId")? })
        },
    },
    Action {
        name: "DescribePrefixListAssociations",
        products: &[Product::Ecs],
        summary: "Lists the groups that have rules which name a prefix list.",
        write: false,
        parameters: &[&[REGION, PREFIX_LIST_ID, NEXT_TOKEN, MAX_RESULTS]],
        decode: |arguments| associations(arguments).map(Command::DescribePrefixListAssociations),
    },
    Action {
        name: "CreatePortRangeList",
        products: &[Product::Ecs],
        summary: "Makes a port range list, which rules may name instead of a port range.",
        write: true,
        parameters: &[
            &[
                REGION,
                PORT_RANGE_LIST_NAME.required(),
                Parameter {
                    refused: code::PORT_RANGE_LIST_MAX_ENTRIES,
                    limits: "a number from 1 to 2000",
                    ..MAX_ENTRIES
                }
                .required(),
                DESCRIPTION,
                RESOURCE_GROUP_ID,
                entries("Entry.N", ENTRY_DOC),
                ports("Entry.N.PortRange"),
                entry_description("Entry.N.Description"),
            ],
            TAGS,
        ],
        decode: |arguments| create(arguments).map(Command::CreatePortRangeList),
    },
    Action {
        name: "ModifyPortRangeList",
        products: &[Product::Ecs],
        summary: "Changes a port range list's name, description and entries; rules that name it \
                  follow.",
        write: true,
        parameters: &[&[
            REGION,
            PORT_RANGE_LIST_ID,
            PORT_RANGE_LIST_NAME,
            DESCRIPTION,
            entries("AddEntry.N", ADD_DOC),
            ports(ADD_PORTS),
            entry_description("AddEntry.N.Description"),
            entries("RemoveEntry.N", REMOVE_DOC),
            ports("RemoveEntry.N.PortRange"),
        ]],
        decode: |arguments| modify(arguments).map(Command::ModifyPortRangeList),
    },
    Action {
        name: "DeletePortRangeList",
        products: &[Product::Ecs],
        summary: "Deletes a port range list that no rule names.",
        write: true,
        parameters: &[&[REGION, PORT_RANGE_LIST_ID]],
        decode: |arguments| {
            Ok(Command::DeletePortRangeList { list: arguments.required("PortRangeListId")? })
        },
    },
    Action {
        name: "DescribePortRangeLists",
        products: &[Product::Ecs],
        summary: "Lists port range lists; filters are joined by \"and\".",
        write: false,
        parameters: &[
            &[
                REGION,
                ids("PortRangeListId.N", code::PORT_RANGE_LIST_NOT_FOUND),
                PORT_RANGE_LIST_NAME.documented("Lists of exactly this name."),
                RESOURCE_GROUP_ID.documented("Lists of this resource group."),
                NEXT_TOKEN,
                MAX_RESULTS,
            ],
            TAGS,
        ],
        decode: |arguments| describe(arguments).map(Command::DescribePortRangeLists),
    },
    Action {
        name: "DescribePortRangeListEntries",
        products: &[Product::Ecs],
        summary: "Shows the entries of a port range list.",
        write: false,
        parameters: &[&[REGION, PORT_RANGE_LIST_ID]],
        decode: |arguments| {
            let list = arguments.required("PortRangeListId")?;
            Ok(Command::DescribePortRangeListEntries { list })
        },
    },
    Action {
        name: "DescribePortRangeListAssociations",
        products: &[Product::Ecs],
        summary: "Lists the groups that have rules which name a port range list.",
        write: false,
        parameters: &[&[REGION, PORT_RANGE_LIST_ID, NEXT_TOKEN, MAX_RESULTS]],
        decode: |arguments| associations(arguments).map(Command::DescribePortRangeListAssociations),
    },
];

const MAX_ENTRIES: Parameter = integer("MaxEntries", "a number from 1 to 200", MAX_ENTRIES_DOC);

const fn ids(name: &'static str, refused: Code) -> Parameter {
    let limits = "a list's id: 1 to 100 letters, digits, `-`, `_`, `.`";
    row(name, Kind::List, refused, limits, "These lists, 100 at most.")
}

/// A kind of list as parameters write it.
trait Written: ListKind {
    const ID: &'static str;
    const IDS: &'static str;
    const NAME: &'static str;
    /// The key of an entry's value.
    const VALUE: &'static str;

    fn value(text: &str) -> Option<Self::Value>;
    fn scope(arguments: &Arguments<'_>) -> Result<Option<Self::Scope>, Refusal>;
}

impl Written for Prefixes {
    const ID: &'static str = "PrefixListId";
    const IDS: &'static str = "PrefixListId.N";
    const NAME: &'static str = "PrefixListName";
    const VALUE: &'static str = "Cidr";

    fn value(text: &str) -> Option<Prefix> {
        text.parse::<Cidr>().ok()?.exact()
    }

    fn scope(arguments: &Arguments<'_>) -> Result<Option<Family>, Refusal> {
        let families = [("IPv4", Family::V4), ("IPv6", Family::V6)];
        arguments.convert("AddressFamily", |text| shared::one_of(text, &families))
    }
}

impl Written for PortRanges {
    const ID: &'static str = "PortRangeListId";
    const IDS: &'static str = "PortRangeListId.N";
    const NAME: &'static str = "PortRangeListName";
    const VALUE: &'static str = "PortRange";

    fn value(text: &str) -> Option<Ports> {
        text.parse().ok().filter(|ports| *ports != Ports::Any)
    }

    fn scope(_: &Arguments<'_>) -> Result<Option<()>, Refusal> {
        Ok(Some(()))
    }
}

/// The value of an entry, which must be there.
fn value<K: Written>(entry: &Arguments<'_>) -> Result<K::Value, Refusal> {
    let value = entry.convert(K::VALUE, K::value)?;
    value.ok_or_else(|| entry.missing(K::VALUE))
}

fn create<K: Written>(arguments: &Arguments<'_>) -> Result<CreateList<K>, Refusal> {
    let mut entries = Vec::new();
    for (number, parameters) in arguments.structures("Entry.N", LIST_INDEX_MAX)? {
        let entry = arguments.inner("Entry.N", number, &parameters);
        entries.push(ListEntry {
            value: value::<K>(&entry)?,
            description: entry.parse("Description")?,
        });
    }
    let max_entries = arguments.integer("MaxEntries", 0..=u16::MAX)?;
    Ok(CreateList {
        name: arguments.required(K::NAME)?,
        description: arguments.parse("Description")?,
        scope: K::scope(arguments)?.ok_or_else(|| Refusal::missing("AddressFamily"))?,
        max_entries: max_entries.ok_or_else(|| Refusal::missing("MaxEntries"))?,
        entries,
        resource_group: arguments.parse("ResourceGroupId")?,
        tags: shared::tags(arguments)?,
    })
}

fn modify<K: Written>(arguments: &Arguments<'_>) -> Result<ModifyList<K>, Refusal> {
    let mut add = Vec::new();
    for (number, parameters) in arguments.structures("AddEntry.N", LIST_INDEX_MAX)? {
        let entry = arguments.inner("AddEntry.N", number, &parameters);
        let description = entry.edit("Description")?;
        add.push(AddedEntry { value: value::<K>(&entry)?, description });
    }
    let mut remove = Vec::new();
    for (number, parameters) in arguments.structures("RemoveEntry.N", LIST_INDEX_MAX)? {
        remove.push(value::<K>(&arguments.inner("RemoveEntry.N", number, &parameters))?);
    }
    Ok(ModifyList {
        list: id::<K>(arguments)?,
        name: arguments.parse(K::NAME)?,
        description: arguments.edit("Description")?,
        add,
        remove,
    })
}

fn id<K: Written>(arguments: &Arguments<'_>) -> Result<K::Id, Refusal> {
    arguments.required(K::ID)
}

fn describe<K: Written>(arguments: &Arguments<'_>) -> Result<DescribeLists<K>, Refusal> {
    Ok(DescribeLists {
        lists: arguments.list(K::IDS, IDS_PER_FILTER_MAX)?,
        name: arguments.parse(K::NAME)?,
        scope: K::scope(arguments)?,
        resource_group: arguments.parse("ResourceGroupId")?,
        tags: shared::tag_filters(arguments)?,
        paging: paging(arguments)?,
    })
}

fn associations<K: Written>(
    arguments: &Arguments<'_>,
) -> Result<DescribeListAssociations<K>, Refusal> {
    Ok(DescribeListAssociations { list: id::<K>(arguments)?, paging: paging(arguments)? })
}

/// Lists page by token only.
fn paging(arguments: &Arguments<'_>) -> Result<Paging, Refusal> {
    let paging = shared::tokens(arguments, 1, MAX_RESULTS_DEFAULT, MAX_RESULTS_MAX)?;
    Ok(paging.unwrap_or(Paging::Token { after: None, max_results: MAX_RESULTS_DEFAULT }))
}
