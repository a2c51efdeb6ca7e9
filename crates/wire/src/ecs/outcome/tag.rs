//! Fields of tags as ListTagResources and DescribeTags list them.
use portcullis_core::command::{ResourceKind, TagCountRow, TagRow};

use crate::ecs::action::kind_name;
use crate::ecs::answer::{Answer, Fields};

pub(super) fn tag(kind: ResourceKind, row: &TagRow) -> Answer {
    Fields::new()
        .text("ResourceId", row.resource.id())
        .text("ResourceType", kind_name(kind))
        .text("TagKey", row.tag.key.as_str())
        .text("TagValue", row.tag.value.as_str())
        .into()
}

pub(super) fn counted(row: &TagCountRow) -> Answer {
    let named = |(kind, count): &(ResourceKind, usize)| {
        let (_, name) = COUNT_NAMES.iter().find(|(own, _)| own == kind)?;
        Some((*name, *count))
    };
    let counts = row.counts.iter().filter_map(named);
    let counts = counts.fold(Fields::new(), |fields, (name, count)| fields.number(name, count));
    Fields::new()
        .text("TagKey", row.tag.key.as_str())
        .text("TagValue", row.tag.value.as_str())
        .with("ResourceTypeCount", Answer::Fields(counts))
        .into()
}

/// How kinds are called in `ResourceTypeCount`; others are not counted there.
const COUNT_NAMES: &[(ResourceKind, &str)] = &[
    (ResourceKind::SecurityGroup, "Securitygroup"),
    (ResourceKind::NetworkInterface, "Eni"),
    (ResourceKind::Instance, "Instance"),
];
