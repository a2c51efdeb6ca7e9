//! Fields of security groups.
use portcullis_core::command::{GroupReferences, Paging, SecurityGroupAttribute, SecurityGroupRow};
use portcullis_core::world::{GroupType, InnerAccess};

use super::{ecs_tags, rule, time};
use crate::ecs::answer::{Answer, Fields};

pub(super) fn group(row: &SecurityGroupRow) -> Answer {
    let group = &row.group;
    let fields = Fields::new()
        .text("SecurityGroupId", &group.id)
        .text_or_empty("SecurityGroupName", group.name.as_ref())
        .text_or_empty("Description", group.description.as_ref())
        .text("SecurityGroupType", group_type(group.group_type))
        .text_or_empty("VpcId", group.vpc.as_ref())
        .text("CreationTime", time::format(group.created_ms))
        .text_or_empty("ResourceGroupId", group.resource_group.as_ref())
        .flag("ServiceManaged", false)
        .number("EcsCount", row.address_count)
        .number("AvailableInstanceAmount", row.available_amount)
        .number("RuleCount", row.rule_count)
        .number("GroupToGroupRuleCount", row.group_rule_count);
    ecs_tags(fields, &group.tags).into()
}

fn group_type(group_type: GroupType) -> &'static str {
    match group_type {
        GroupType::Basic => "normal",
        GroupType::Enterprise => "enterprise",
    }
}

pub(super) fn group_attribute(fields: Fields, attribute: &SecurityGroupAttribute) -> Fields {
    let group = &attribute.group;
    let fields = fields
        .text("RegionId", &group.region)
        .text("SecurityGroupId", &group.id)
        .text_or_empty("SecurityGroupName", group.name.as_ref())
        .text_or_empty("Description", group.description.as_ref())
        .text_or_empty("VpcId", group.vpc.as_ref())
        .text(
            "InnerAccessPolicy",
            match group.inner_access {
                InnerAccess::Accept => "Accept",
                InnerAccess::Drop => "Drop",
            },
        );
    let fields = match &attribute.rules.paging {
        Paging::Token { .. } => fields.text_or_empty("NextToken", attribute.rules.next.as_ref()),
        Paging::All | Paging::Number { .. } => fields,
    };
    fields.list("SnapshotPolicyIds", "SnapshotPolicyId", []).list(
        "Permissions",
        "Permission",
        attribute.rules.rows.iter().map(rule::rule),
    )
}

pub(super) fn references(fields: Fields, rows: &[GroupReferences]) -> Fields {
    let row = |row: &GroupReferences| {
        let referencing = row.referencing.iter().map(|(group, owner)| {
            Fields::new().text("AliUid", owner).text("SecurityGroupId", group).into()
        });
        Fields::new()
            .text("SecurityGroupId", &row.group)
            .list("ReferencingSecurityGroups", "ReferencingSecurityGroup", referencing)
            .into()
    };
    fields.list("SecurityGroupReferences", "SecurityGroupReference", rows.iter().map(row))
}
