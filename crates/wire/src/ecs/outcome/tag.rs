//! Fields of tags as ListTagResources lists them.
use portcullis_core::command::{ResourceKind, TagRow};

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
