//! Tags and resource groups: one table of kinds per product says how a resource is called.
use std::str::FromStr;

use portcullis_core::command::{
    Command, DescribeTags, ListTagResources, MoveResourceGroup, Paging, Resource, ResourceKind,
    TagPattern, TagResources, TagSearch, Untag, UntagResources,
};
use portcullis_core::limits::{
    PAGE_SIZE_MAX, RESOURCES_PER_TAG_CALL_MAX, TAG_PAGE_SIZE_DEFAULT, TAG_RESULTS_MAX,
    TAG_SEARCHES_MAX, TAGS_PER_RESOURCE_MAX,
};
use portcullis_core::text::{TagFilter, TagKey};

use super::shared::{
    self, NEXT_TOKEN, REGION, REGION_OPTIONAL, RESOURCE_GROUP_ID, TAG, TAG_KEY, TAG_VALUE, boolean,
    integer, max_results, row, text,
};
use super::{Action, Kind, Parameter, Product};
use crate::ecs::arguments::Arguments;
use crate::ecs::limits::LIST_INDEX_MAX;
use crate::ecs::refusal::{Code, Refusal, code};

/// How the kinds of a product are called in `ResourceType`.
type Kinds = [(&'static str, ResourceKind)];

const ECS_KINDS: &Kinds = &[
    ("securitygroup", ResourceKind::SecurityGroup),
    ("eni", ResourceKind::NetworkInterface),
    ("instance", ResourceKind::Instance),
    ("prefixlist", ResourceKind::PrefixList),
    ("portrangelist", ResourceKind::PortRangeList),
];
const VPC_KINDS: &Kinds = &[("VPC", ResourceKind::Vpc), ("VSWITCH", ResourceKind::VSwitch)];
/// What MoveResourceGroup moves; a vSwitch is where its VPC is.
const MOVED_KINDS: &Kinds = &[("VPC", ResourceKind::Vpc)];

/// The one spelling of a kind in answers.
pub(in crate::ecs) fn kind_name(kind: ResourceKind) -> &'static str {
    let mut all = ECS_KINDS.iter().chain(VPC_KINDS);
    all.find(|(_, own)| *own == kind).map_or("", |(name, _)| name)
}

const REGION_ID: Parameter = REGION.required_else(code::MISSING_REGION_ID);

const fn resource_type(limits: &'static str) -> Parameter {
    let doc = "The kind of the resources, in any case.";
    text("ResourceType", code::RESOURCE_TYPE, limits, doc)
        .required_else(code::MISSING_RESOURCE_TYPE)
}

const ECS_TYPE: Parameter =
    resource_type("securitygroup, eni, instance, prefixlist or portrangelist");
const VPC_TYPE: Parameter = resource_type("VPC or VSWITCH");
const MOVED_TYPE: Parameter = resource_type("VPC");

const OPTIONAL_TYPE: Parameter = text(
    "ResourceType",
    code::RESOURCE_TYPE,
    "securitygroup, eni, instance, prefixlist or portrangelist",
    "The kind of the resources, in any case; all kinds where it is left out. Beside `ResourceId` \
     it is needed.",
);

const RESOURCE_IDS: Parameter = row(
    "ResourceId.N",
    Kind::List,
    code::RESOURCE_ID,
    "the id of a resource of the kind",
    "The resources, 50 at most.",
);
const RESOURCE_ID: Parameter =
    text("ResourceId", code::RESOURCE_ID, "the id of a resource of the kind", "The resource.");

const NEW_TAGS: &[Parameter] = &[
    TAG.required_else(code::MISSING_TAGS)
        .documented("The tags, 20 at most; a key that is there gets the new value."),
    TAG_KEY.required(),
    TAG_VALUE,
];

const OLD_TAGS: &[Parameter] = &[
    row("TagKey.N", Kind::List, code::TAG_KEY, shared::TAG_KEY_LIMITS, "The keys, 20 at most."),
    boolean("All", "Whether all tags go; not looked at beside `TagKey.N`."),
];

const FOUND_TAGS: &[Parameter] = &[
    TAG.documented("Tags that a resource must have, all of them, 20 at most."),
    TAG_KEY,
    TAG_VALUE.documented("A tag's value; any where it is left out."),
];

const SOME_TAGS: &[Parameter] = &[
    TAG.documented("Only these tags, 20 at most."),
    TAG_KEY,
    TAG_VALUE.documented("A tag's value; any where it is left out."),
];

const TAG_PAGES: &[Parameter] = &[
    integer("PageNumber", "a page number from 1 on", "Which page; 1 by default."),
    integer("PageSize", "a number from 1 to 100", "Rows of a page; 50 by default."),
];

const PATTERN_LIMITS: &str = "`text`, `text*` or `*text*`";

const TAG_FILTERS: &[Parameter] = &[
    row(
        "TagFilter.N",
        Kind::Structures,
        code::JSON,
        "a list of tag filters",
        "Tags that a resource must have, all of them, 5 at most; not together with `Tag.N`.",
    ),
    text(
        "TagFilter.N.TagKey",
        code::TAG_KEY,
        PATTERN_LIMITS,
        "A key, the beginning of one, or a part of one.",
    ),
    row(
        "TagFilter.N.TagValues.N",
        Kind::List,
        code::TAG_VALUE,
        PATTERN_LIMITS,
        "Values, one of which the key must have, 5 at most; any where there are none.",
    ),
];

const MAX_RESULTS: Parameter =
    max_results("a number from 1 to 50", "Most tags of a part; 50 by default.");

const TAG_SUMMARY: &str = "Gives tags to resources, to all or to none.";
const UNTAG_SUMMARY: &str = "Takes tags from resources, from all or from none.";
const LIST_SUMMARY: &str =
    "Lists tags of resources, by their ids, by what tags they have, or both.";

pub(super) const ACTIONS: &[Action] = &[
    Action {
        name: "TagResources",
        products: &[Product::Ecs],
        summary: TAG_SUMMARY,
        write: true,
        parameters: &[&[REGION_ID, ECS_TYPE, RESOURCE_IDS.required()], NEW_TAGS],
        decode: |arguments| tag(arguments, ECS_KINDS),
    },
    Action {
        name: "UntagResources",
        products: &[Product::Ecs],
        summary: UNTAG_SUMMARY,
        write: true,
        parameters: &[&[REGION_ID, ECS_TYPE, RESOURCE_IDS.required()], OLD_TAGS],
        decode: |arguments| untag(arguments, ECS_KINDS),
    },
    Action {
        name: "ListTagResources",
        products: &[Product::Ecs],
        summary: LIST_SUMMARY,
        write: false,
        parameters: &[
            &[REGION_ID, ECS_TYPE, RESOURCE_IDS],
            FOUND_TAGS,
            TAG_FILTERS,
            &[NEXT_TOKEN, MAX_RESULTS],
        ],
        decode: |arguments| list(arguments, ECS_KINDS, true),
    },
    Action {
        name: "DescribeTags",
        products: &[Product::Ecs],
        summary: "Lists tags, each once, and how many resources have it.",
        write: false,
        parameters: &[&[REGION_ID, OPTIONAL_TYPE, RESOURCE_ID], SOME_TAGS, TAG_PAGES],
        decode: |arguments| describe(arguments, ECS_KINDS),
    },
    Action {
        name: "TagResources",
        products: &[Product::Vpc],
        summary: TAG_SUMMARY,
        write: true,
        parameters: &[&[REGION_ID, VPC_TYPE, RESOURCE_IDS.required()], NEW_TAGS],
        decode: |arguments| tag(arguments, VPC_KINDS),
    },
    Action {
        name: "UnTagResources",
        products: &[Product::Vpc],
        summary: UNTAG_SUMMARY,
        write: true,
        parameters: &[&[REGION_ID, VPC_TYPE, RESOURCE_IDS.required()], OLD_TAGS],
        decode: |arguments| untag(arguments, VPC_KINDS),
    },
    Action {
        name: "ListTagResources",
        products: &[Product::Vpc],
        summary: LIST_SUMMARY,
        write: false,
        parameters: &[&[REGION_ID, VPC_TYPE, RESOURCE_IDS], FOUND_TAGS, &[NEXT_TOKEN, MAX_RESULTS]],
        decode: |arguments| list(arguments, VPC_KINDS, false),
    },
    Action {
        name: "JoinResourceGroup",
        products: &[Product::Ecs],
        summary: "Moves a resource to another resource group.",
        write: true,
        parameters: &[&[
            REGION_OPTIONAL,
            ECS_TYPE,
            RESOURCE_ID.required(),
            RESOURCE_GROUP_ID.required(),
        ]],
        decode: |arguments| move_to(arguments, ECS_KINDS, "ResourceGroupId"),
    },
    Action {
        name: "MoveResourceGroup",
        products: &[Product::Vpc],
        summary: "Moves a resource to another resource group; its vSwitches go with a VPC.",
        write: true,
        parameters: &[&[
            REGION_ID,
            MOVED_TYPE,
            RESOURCE_ID.required(),
            Parameter { name: "NewResourceGroupId", ..RESOURCE_GROUP_ID }.required(),
        ]],
        decode: |arguments| move_to(arguments, MOVED_KINDS, "NewResourceGroupId"),
    },
];

fn kind(arguments: &Arguments<'_>, kinds: &Kinds) -> Result<ResourceKind, Refusal> {
    let kind = arguments.convert("ResourceType", |text| {
        kinds.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, kind)| *kind)
    })?;
    kind.ok_or_else(|| arguments.missing("ResourceType"))
}

/// A list whose excess has a code of its own.
fn bounded<T: FromStr>(
    arguments: &Arguments<'_>,
    name: &'static str,
    most: usize,
    exceeded: Code,
) -> Result<Vec<T>, Refusal> {
    let items: Vec<T> = arguments.list(name, LIST_INDEX_MAX)?;
    if items.len() > most {
        let message = format!("`{name}` has {} values, {most} at most.", items.len());
        return Err(exceeded.refuse(message).with_help("Split the call.").at(name));
    }
    Ok(items)
}

fn resources(
    arguments: &Arguments<'_>,
    kinds: &Kinds,
) -> Result<(ResourceKind, Vec<Resource>), Refusal> {
    let kind = kind(arguments, kinds)?;
    let exceeded = code::RESOURCE_IDS_EXCEED;
    let ids: Vec<String> =
        bounded(arguments, "ResourceId.N", RESOURCES_PER_TAG_CALL_MAX, exceeded)?;
    let resource =
        |id: &String| kind.resource(id).ok_or_else(|| arguments.refuse("ResourceId.N", id));
    Ok((kind, ids.iter().map(resource).collect::<Result<_, _>>()?))
}

/// Resources of which there must be one.
fn some_resources(arguments: &Arguments<'_>, kinds: &Kinds) -> Result<Vec<Resource>, Refusal> {
    let (_, resources) = resources(arguments, kinds)?;
    if resources.is_empty() { Err(arguments.missing("ResourceId.N")) } else { Ok(resources) }
}

fn tag(arguments: &Arguments<'_>, kinds: &Kinds) -> Result<Command, Refusal> {
    let resources = some_resources(arguments, kinds)?;
    let tags = shared::tags(arguments)?;
    if tags.is_empty() {
        return Err(arguments.missing("Tag.N"));
    }
    Ok(Command::TagResources(TagResources { resources, tags }))
}

fn untag(arguments: &Arguments<'_>, kinds: &Kinds) -> Result<Command, Refusal> {
    let resources = some_resources(arguments, kinds)?;
    let keys: Vec<TagKey> =
        bounded(arguments, "TagKey.N", TAGS_PER_RESOURCE_MAX, code::TAGS_EXCEED)?;
    let all = arguments.boolean("All")?.unwrap_or(false);
    let untag = match (keys.is_empty(), all) {
        (false, _) => Untag::Keys(keys),
        (true, true) => Untag::All,
        (true, false) => {
            let help = "Send `TagKey.N`, or `All=true` for all tags.";
            return Err(arguments.missing("TagKey.N").with_help(help));
        }
    };
    Ok(Command::UntagResources(UntagResources { resources, untag }))
}

/// The tags of `Tag.N`, to the letter.
fn exact(arguments: &Arguments<'_>) -> Result<Vec<TagSearch>, Refusal> {
    let filters = shared::tag_filters(arguments)?;
    let search = |filter: TagFilter| TagSearch {
        key: TagPattern::Is(filter.key.to_string()),
        values: filter.value.map(|value| TagPattern::Is(value.to_string())).into_iter().collect(),
    };
    Ok(filters.into_iter().map(search).collect())
}

fn describe(arguments: &Arguments<'_>, kinds: &Kinds) -> Result<Command, Refusal> {
    let id = arguments.text("ResourceId");
    let asked = match (arguments.text("ResourceType"), id) {
        (None, None) => None,
        (None, Some(_)) => {
            let message = "ResourceType is mandatory beside ResourceId.";
            return Err(code::MISSING_RESOURCE_TYPE.refuse(message).at("ResourceType"));
        }
        (Some(_), _) => Some(kind(arguments, kinds)?),
    };
    let resource = match (asked, id) {
        (Some(kind), Some(id)) => {
            Some(kind.resource(id).ok_or_else(|| arguments.refuse("ResourceId", id))?)
        }
        _ => None,
    };
    let kinds = match asked {
        Some(kind) => vec![kind],
        None => kinds.iter().map(|(_, kind)| *kind).collect(),
    };
    let paging = Paging::Number {
        page: arguments.integer("PageNumber", 1..=u32::MAX)?.unwrap_or(1),
        size: arguments.integer("PageSize", 1..=PAGE_SIZE_MAX)?.unwrap_or(TAG_PAGE_SIZE_DEFAULT),
    };
    let searches = exact(arguments)?;
    Ok(Command::DescribeTags(DescribeTags { kinds, resource, searches, paging }))
}

fn list(arguments: &Arguments<'_>, kinds: &Kinds, with_patterns: bool) -> Result<Command, Refusal> {
    let (kind, resources) = resources(arguments, kinds)?;
    let mut searches = exact(arguments)?;
    if with_patterns {
        let patterns = patterns(arguments)?;
        if !patterns.is_empty() && !searches.is_empty() {
            let message = "`Tag.N` and `TagFilter.N` stand together.";
            let help = "Send one of the two.";
            return Err(code::CONFLICT.refuse(message).with_help(help).at("TagFilter.N"));
        }
        searches.extend(patterns);
    }
    if resources.is_empty() && searches.is_empty() {
        let message = "ResourceId.N or Tag.N is mandatory for this action.";
        let help = "Say whose tags, or which.";
        return Err(code::MISSING_PARAMETER.refuse(message).with_help(help).at("ResourceId.N"));
    }
    let paging = shared::tokens(arguments, 1, TAG_RESULTS_MAX, TAG_RESULTS_MAX)?;
    let paging = paging.unwrap_or(Paging::Token { after: None, max_results: TAG_RESULTS_MAX });
    Ok(Command::ListTagResources(ListTagResources { kind, resources, searches, paging }))
}

fn patterns(arguments: &Arguments<'_>) -> Result<Vec<TagSearch>, Refusal> {
    let mut searches = Vec::new();
    for (number, parameters) in arguments.structures("TagFilter.N", TAG_SEARCHES_MAX)? {
        let inner = arguments.inner("TagFilter.N", number, &parameters);
        searches.push(TagSearch {
            key: inner.required("TagKey")?,
            values: inner.list("TagValues.N", TAG_SEARCHES_MAX)?,
        });
    }
    Ok(searches)
}

fn move_to(
    arguments: &Arguments<'_>,
    kinds: &Kinds,
    resource_group: &'static str,
) -> Result<Command, Refusal> {
    let kind = kind(arguments, kinds)?;
    let id: String = arguments.required("ResourceId")?;
    let resource = kind.resource(&id).ok_or_else(|| arguments.refuse("ResourceId", &id))?;
    let resource_group = arguments.required(resource_group)?;
    Ok(Command::MoveResourceGroup(MoveResourceGroup { resource, resource_group }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_name_and_every_name_is_told() {
        for kind in ResourceKind::ALL {
            assert!(!kind_name(*kind).is_empty(), "{kind:?}");
        }
        for (kinds, row) in
            [(ECS_KINDS, ECS_TYPE), (VPC_KINDS, VPC_TYPE), (MOVED_KINDS, MOVED_TYPE)]
        {
            for (name, kind) in kinds {
                assert!(row.limits.contains(name), "{kind:?}");
                assert_eq!(kind_name(*kind), *name);
            }
        }
    }
}
