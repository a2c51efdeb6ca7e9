//! Rows that several actions share, and how those rows are read.
use std::str::FromStr;

use portcullis_core::command::Paging;
use portcullis_core::limits::{
    IDS_PER_FILTER_MAX, MAX_RESULTS_DEFAULT, PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX,
    TAGS_PER_RESOURCE_MAX,
};
use portcullis_core::text::{Tag, TagFilter, TagKey, TagValue, Tags, TagsError};

use super::{Effect, Kind, Parameter};
use crate::ecs::arguments::Arguments;
use crate::ecs::json::Json;
use crate::ecs::limits::LIST_INDEX_MAX;
use crate::ecs::parameters::Parameters;
use crate::ecs::refusal::{Code, Refusal, code};

/// The limits of a parameter that takes any text.
pub const ANY_TEXT: &str = "any text";

pub(super) const fn row(
    name: &'static str,
    kind: Kind,
    refused: Code,
    limits: &'static str,
    doc: &'static str,
) -> Parameter {
    let effect = Effect::Obeyed;
    Parameter { name, kind, effect, required: false, absent: None, refused, limits, doc }
}

pub(super) const fn text(
    name: &'static str,
    refused: Code,
    limits: &'static str,
    doc: &'static str,
) -> Parameter {
    row(name, Kind::Text, refused, limits, doc)
}

pub(super) const fn integer(
    name: &'static str,
    limits: &'static str,
    doc: &'static str,
) -> Parameter {
    row(name, Kind::Integer, code::INVALID_PARAMETER, limits, doc)
}

pub(super) const fn boolean(name: &'static str, doc: &'static str) -> Parameter {
    row(name, Kind::Boolean, code::INVALID_PARAMETER, "true or false", doc)
}

/// A parameter of the public API that changes nothing here; `reason` says why that misleads nobody.
pub(super) const fn ignored(name: &'static str, kind: Kind, reason: &'static str) -> Parameter {
    let effect = Effect::Ignored;
    Parameter { effect, ..row(name, kind, code::INVALID_PARAMETER, ANY_TEXT, reason) }
}

/// A parameter of the public API that asks for what is not offered here: refused, never ignored,
/// with all that lies below it.
pub(super) const fn unsupported(name: &'static str, kind: Kind, reason: &'static str) -> Parameter {
    // To say no to what is not there asks for nothing.
    let harmless: &[&str] = match kind {
        Kind::Boolean => &["false"],
        Kind::Text | Kind::Integer | Kind::List | Kind::Structures | Kind::Structure => &[],
    };
    unsupported_unless(name, kind, harmless, reason)
}

/// The same, but for values that ask for nothing.
pub(super) const fn unsupported_unless(
    name: &'static str,
    kind: Kind,
    harmless: &'static [&'static str],
    reason: &'static str,
) -> Parameter {
    let limits = "supported here: leave it out";
    let effect = Effect::Refused(harmless);
    Parameter { effect, ..row(name, kind, code::UNSUPPORTED, limits, reason) }
}

const REGION_LIMITS: &str = "a region of this server: 1 to 100 letters, digits, `-`, `_`, `.`";

pub(super) const REGION: Parameter = text(
    "RegionId",
    code::REGION_NOT_FOUND,
    REGION_LIMITS,
    "The region. On `/apsara/route` it may be written `regionId`.",
)
.required();

pub(super) const REGION_OPTIONAL: Parameter = Parameter { required: false, ..REGION };

pub(super) const SECURITY_GROUP_ID: Parameter = text(
    "SecurityGroupId",
    code::SECURITY_GROUP_ID_MALFORMED,
    "a group's id: 1 to 100 letters, digits, `-`, `_`, `.`",
    "The group.",
);

pub(super) const RESOURCE_GROUP_ID: Parameter = text(
    "ResourceGroupId",
    code::RESOURCE_GROUP_NOT_FOUND,
    "a resource group's id: 1 to 100 letters, digits, `-`, `_`, `.`",
    "A resource group of the caller's own naming; kept and echoed.",
);

const DRY_RUN: Parameter = boolean("DryRun", "Only check: success is the error `DryRunOperation`.");

/// What every read takes.
pub(super) const READ: &[Parameter] = &[DRY_RUN];

/// What every write takes.
pub(super) const WRITE: &[Parameter] = &[
    text(
        "ClientToken",
        code::CLIENT_TOKEN,
        "1 to 64 printable ASCII characters",
        "Makes the call repeatable for 24 hours: same token and parameters, same answer.",
    ),
    DRY_RUN,
    boolean("WaitUntilEnforced", "Answer only when the change is in force, or the wait is over."),
    integer(
        "WaitTimeout",
        "a number of milliseconds from 0 to 60000",
        "How long `WaitUntilEnforced` waits, in milliseconds; 10000 by default.",
    ),
];

pub(super) const TAG_KEY_LIMITS: &str =
    "1 to 128 characters that do not begin with aliyun or acs: and hold no http:// or https://";

pub(super) const TAG: Parameter =
    row("Tag.N", Kind::Structures, code::JSON, "a list of tags", "Tags, 20 at most.");
pub(super) const TAG_KEY: Parameter =
    text("Tag.N.Key", code::TAG_KEY, TAG_KEY_LIMITS, "A tag's key.");
pub(super) const TAG_VALUE: Parameter = text(
    "Tag.N.Value",
    code::TAG_VALUE,
    "0 to 128 characters without http:// or https://",
    "A tag's value.",
);

pub(super) const TAGS: &[Parameter] = &[TAG, TAG_KEY, TAG_VALUE];

/// Paging by number.
pub(super) const PAGES: &[Parameter] = &[
    integer("PageNumber", "a page number from 1 on", "Which page; 1 by default."),
    integer("PageSize", "a number from 1 to 100", "Rows of a page; 10 by default."),
];

/// Paging by token, with [`max_results`].
pub(super) const NEXT_TOKEN: Parameter =
    text("NextToken", code::INVALID_PARAMETER, ANY_TEXT, "Where the last part ended.");

/// The other parameter of paging by token, with the action's own bounds.
pub(super) const fn max_results(limits: &'static str, doc: &'static str) -> Parameter {
    integer("MaxResults", limits, doc)
}

/// The value of one of these names, in any case.
pub(super) fn one_of<T: Copy>(text: &str, names: &[(&str, T)]) -> Option<T> {
    names.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, value)| *value)
}

/// `Tag.N`, which no call may have more of than a resource may.
fn tag_structures(arguments: &Arguments<'_>) -> Result<Vec<(usize, Parameters)>, Refusal> {
    let tags = arguments.structures("Tag.N", LIST_INDEX_MAX)?;
    if tags.len() > TAGS_PER_RESOURCE_MAX {
        let message = format!("{} tags, {TAGS_PER_RESOURCE_MAX} at most", tags.len());
        return Err(code::TAGS_EXCEED.refuse(message).at("Tag.N"));
    }
    Ok(tags)
}

/// The tags of a new thing.
pub(super) fn tags(arguments: &Arguments<'_>) -> Result<Tags, Refusal> {
    let mut tags = Vec::new();
    for (number, parameters) in tag_structures(arguments)? {
        let (key, value) = key_and_value(&arguments.inner("Tag.N", number, &parameters))?;
        // A value left out is an empty one.
        let value = match value {
            Some(value) => value,
            None => parsed::<TagValue>("").ok_or_else(|| Refusal::missing("Tag.N.Value"))?,
        };
        tags.push(Tag { key, value });
    }
    Tags::new(tags).map_err(|error| match error {
        TagsError::TooMany => {
            let message = format!("more than {TAGS_PER_RESOURCE_MAX} tags");
            code::TAGS_EXCEED.refuse(message).at("Tag.N")
        }
        TagsError::Duplicate(key) => code::TAG_DUPLICATE
            .refuse(format!("the tag key `{key}` is given twice"))
            .at("Tag.N.Key"),
    })
}

/// The tags that rows must have.
pub(super) fn tag_filters(arguments: &Arguments<'_>) -> Result<Vec<TagFilter>, Refusal> {
    let mut filters = Vec::new();
    for (number, parameters) in tag_structures(arguments)? {
        let (key, value) = key_and_value(&arguments.inner("Tag.N", number, &parameters))?;
        filters.push(TagFilter { key, value });
    }
    Ok(filters)
}

/// The lower-case `key` and `value` are an older spelling.
fn key_and_value(inner: &Arguments<'_>) -> Result<(TagKey, Option<TagValue>), Refusal> {
    let either = |upper: &'static str, lower: &str| {
        inner.text(upper).or_else(|| inner.parameters().get(lower))
    };
    let Some(key) = either("Key", "key") else {
        let place = inner.place("Key");
        return Err(code::TAG_KEY.refuse(format!("`{place}` is mandatory for a tag.")).at(place));
    };
    let key = parsed(key).ok_or_else(|| inner.refuse("Key", key))?;
    let value = either("Value", "value")
        .map(|value| parsed(value).ok_or_else(|| inner.refuse("Value", value)))
        .transpose()?;
    Ok((key, value))
}

fn parsed<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

/// `PageNumber` and `PageSize`.
pub(super) fn pages(arguments: &Arguments<'_>) -> Result<Paging, Refusal> {
    Ok(Paging::Number {
        page: arguments.integer("PageNumber", 1..=u32::MAX)?.unwrap_or(1),
        size: arguments.integer("PageSize", 1..=PAGE_SIZE_MAX)?.unwrap_or(PAGE_SIZE_DEFAULT),
    })
}

/// `NextToken` and `MaxResults`; nothing where neither is sent.
pub(super) fn tokens(
    arguments: &Arguments<'_>,
    least: u32,
    default: u32,
    most: u32,
) -> Result<Option<Paging>, Refusal> {
    let after = arguments.text("NextToken").map(str::to_owned);
    let max_results = arguments.integer("MaxResults", least..=most)?;
    if after.is_none() && max_results.is_none() {
        return Ok(None);
    }
    Ok(Some(Paging::Token { after, max_results: max_results.unwrap_or(default) }))
}

/// Pages by token where one of its parameters is sent, else by number.
pub(super) fn pages_or_tokens(arguments: &Arguments<'_>, most: u32) -> Result<Paging, Refusal> {
    match tokens(arguments, 1, MAX_RESULTS_DEFAULT.min(most), most)? {
        Some(paging) => Ok(paging),
        None => pages(arguments),
    }
}

/// A comma-separated list of at most `most` values in one text.
pub(super) fn comma_list<T: FromStr>(
    arguments: &Arguments<'_>,
    name: &'static str,
    most: usize,
) -> Result<Vec<T>, Refusal> {
    let items = arguments.convert(name, |text| {
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        items.map(|item| item.parse().ok()).collect::<Option<Vec<T>>>()
    })?;
    let items = items.unwrap_or_default();
    if items.len() > most {
        let message = format!("`{name}` has {} values, {most} at most", items.len());
        return Err(code::TOO_MANY.refuse(message).at(name));
    }
    Ok(items)
}

/// Values of a JSON list in one text.
pub(super) fn json_list<T: FromStr>(
    arguments: &Arguments<'_>,
    name: &'static str,
) -> Result<Option<Vec<T>>, Refusal> {
    arguments.convert(name, |text| {
        let Ok(Json::List(items)) = Json::read(text.as_bytes(), name) else { return None };
        if items.len() > IDS_PER_FILTER_MAX {
            return None;
        }
        let values = items.into_iter().map(|item| match item {
            Json::Text(text) => text.parse().ok(),
            Json::Null | Json::List(_) | Json::Object(_) => None,
        });
        values.collect()
    })
}
