//! Security groups without their rules.

use portcullis_core::command::{
    Command, CreateSecurityGroup, DescribeSecurityGroupAttribute, DescribeSecurityGroups,
    ModifySecurityGroupAttribute,
};
use portcullis_core::ids::SecurityGroupId;
use portcullis_core::limits::{
    LONG_RESULTS_DEFAULT, MAX_RESULTS_MAX, REFERENCED_GROUPS_PER_CALL_MAX, RULE_RESULTS_MAX,
};
use portcullis_core::records::NicType;
use portcullis_core::rule::{Direction, Policy};
use portcullis_core::world::{GroupType, InnerAccess};

use super::shared::{
    self, ANY_TEXT, NEXT_TOKEN, PAGES, REGION, RESOURCE_GROUP_ID, SECURITY_GROUP_ID, TAGS, boolean,
    ignored, max_results, one_of, row, text, unsupported,
};
use super::{Action, Kind, Parameter, Product};
use crate::ecs::arguments::Arguments;
use crate::ecs::refusal::{Refusal, code};

const NAME_LIMITS: &str = "2 to 128 letters, digits, `:`, `_`, `.`, `-` that begin with a letter";
const DESCRIPTION_LIMITS: &str =
    "2 to 256 printable characters that do not begin with http:// or https://";

const VPC_ID: Parameter = text(
    "VpcId",
    code::ECS_VPC_NOT_FOUND,
    "a VPC's id: 1 to 100 letters, digits, `-`, `_`, `.`",
    "The VPC; without one it is a classic group, which no interface may join.",
);
const NOT_MANAGED: &str = "No service but this one's users manages groups.";
const NAME: Parameter =
    text("SecurityGroupName", code::SECURITY_GROUP_NAME, NAME_LIMITS, "A name.");
const DESCRIPTION: Parameter =
    text("Description", code::GROUP_DESCRIPTION, DESCRIPTION_LIMITS, "A description.");
const TYPE: Parameter = text(
    "SecurityGroupType",
    code::INVALID_PARAMETER,
    "normal or enterprise",
    "`normal` (default): members reach each other, egress is open unless told otherwise. \
     `enterprise`: closed both ways unless told otherwise.",
);

pub(super) const ACTIONS: &[Action] = &[
    Action {
        name: "CreateSecurityGroup",
        products: &[Product::Ecs],
        summary: "Makes a security group.",
        write: true,
        parameters: &[
            &[
                REGION,
                VPC_ID,
                NAME,
                DESCRIPTION,
                TYPE,
                RESOURCE_GROUP_ID,
                unsupported("ServiceManaged", Kind::Boolean, NOT_MANAGED),
            ],
            TAGS,
        ],
        decode: create,
    },
    Action {
        name: "DeleteSecurityGroup",
        products: &[Product::Ecs],
        summary: "Deletes a group that has no members and that no other group's rule names.",
        write: true,
        parameters: &[&[REGION, SECURITY_GROUP_ID.required()]],
        decode: |arguments| {
            Ok(Command::DeleteSecurityGroup { group: arguments.required("SecurityGroupId")? })
        },
    },
    Action {
        name: "DescribeSecurityGroups",
        products: &[Product::Ecs],
        summary: "Lists groups; filters are joined by \"and\".",
        write: false,
        parameters: &[DESCRIBE, TAGS, PAGES],
        decode: describe,
    },
    Action {
        name: "DescribeSecurityGroupAttribute",
        products: &[Product::Ecs],
        summary: "Shows a group and its rules.",
        write: false,
        parameters: &[&[
            REGION,
            SECURITY_GROUP_ID.required(),
            text(
                "Direction",
                code::INVALID_PARAMETER,
                "egress, ingress or all",
                "Which rules; `all` by default.",
            ),
            text(
                "NicType",
                code::INVALID_PARAMETER,
                ANY_TEXT,
                "`internet` or `intranet` of a classic group's rules; VPC groups do not look \
                     at it.",
            ),
            ignored("Attribute", Kind::Text, "It concerns snapshots, of which there are none."),
            NEXT_TOKEN,
            max_results("a number from 1 to 1000", "Most rules of a part; all by default."),
        ]],
        decode: describe_attribute,
    },
    Action {
        name: "DescribeSecurityGroupReferences",
        products: &[Product::Ecs],
        summary: "Lists, for each group, the groups that have rules which name it.",
        write: false,
        parameters: &[&[
            REGION,
            row(
                "SecurityGroupId.N",
                Kind::List,
                code::SECURITY_GROUP_ID_MALFORMED,
                "a group's id: 1 to 100 letters, digits, `-`, `_`, `.`",
                "The groups, 10 at most.",
            )
            .required(),
        ]],
        decode: describe_references,
    },
    Action {
        name: "ModifySecurityGroupAttribute",
        products: &[Product::Ecs],
        summary: "Changes a group's name and description.",
        write: true,
        parameters: &[&[REGION, SECURITY_GROUP_ID.required(), NAME, DESCRIPTION]],
        decode: modify_attribute,
    },
    Action {
        name: "ModifySecurityGroupPolicy",
        products: &[Product::Ecs],
        summary: "Opens or closes a basic group to its own members.",
        write: true,
        parameters: &[&[
            REGION,
            SECURITY_GROUP_ID.required(),
            text(
                "InnerAccessPolicy",
                code::POLICY,
                "Accept or Drop",
                "`Accept`: members reach each other ahead of every rule. `Drop`: rules decide.",
            )
            .required(),
        ]],
        decode: modify_policy,
    },
];

fn group_type(text: &str) -> Option<GroupType> {
    one_of(text, &[("normal", GroupType::Basic), ("enterprise", GroupType::Enterprise)])
}

fn create(arguments: &Arguments<'_>) -> Result<Command, Refusal> {
    Ok(Command::CreateSecurityGroup(CreateSecurityGroup {
        vpc: arguments.parse("VpcId")?,
        group_type: arguments.convert("SecurityGroupType", group_type)?.unwrap_or(GroupType::Basic),
        name: arguments.parse("SecurityGroupName")?,
        description: arguments.parse("Description")?,
        resource_group: arguments.parse("ResourceGroupId")?,
        tags: shared::tags(arguments)?,
    }))
}

const DESCRIBE: &[Parameter] = &[
    REGION,
    SECURITY_GROUP_ID.documented("This group."),
    text(
        "SecurityGroupIds",
        code::SECURITY_GROUP_ID_MALFORMED,
        "a JSON list of at most 100 group ids",
        "These groups, a JSON list in one text.",
    ),
    VPC_ID.documented("Groups of this VPC."),
    NAME.documented("Groups of exactly this name."),
    TYPE.documented("Groups of this type."),
    text("NetworkType", code::INVALID_PARAMETER, "vpc or classic", "Groups of this network."),
    RESOURCE_GROUP_ID.documented("Groups of this resource group."),
    boolean("ServiceManaged", "Groups that a cloud service manages, of which there are none."),
    ignored("IsQueryEcsCount", Kind::Boolean, "The counts are always valid here."),
    ignored("FuzzyQuery", Kind::Boolean, "`SecurityGroupName` is always compared exactly."),
    NEXT_TOKEN,
    max_results("a number from 1 to 100", "Most rows of a part; 10 beside `NextToken`."),
];

fn describe(arguments: &Arguments<'_>) -> Result<Command, Refusal> {
    let one: Option<SecurityGroupId> = arguments.parse("SecurityGroupId")?;
    let many = shared::json_list(arguments, "SecurityGroupIds")?;
    let groups = match (one, many) {
        (Some(one), Some(many)) => Some(many.into_iter().filter(|id| *id == one).collect()),
        (Some(one), None) => Some(vec![one]),
        (None, many) => many,
    };
    let managed = arguments.boolean("ServiceManaged")?.unwrap_or(false);
    let groups = if managed { Some(Vec::new()) } else { groups };
    let networks = [("vpc", true), ("classic", false)];
    Ok(Command::DescribeSecurityGroups(DescribeSecurityGroups {
        groups,
        vpc: arguments.parse("VpcId")?,
        name: arguments.parse("SecurityGroupName")?,
        group_type: arguments.convert("SecurityGroupType", group_type)?,
        in_vpc: arguments.convert("NetworkType", |text| one_of(text, &networks))?,
        resource_group: arguments.parse("ResourceGroupId")?,
        tags: shared::tag_filters(arguments)?,
        paging: shared::pages_or_tokens(arguments, MAX_RESULTS_MAX)?,
    }))
}

fn describe_attribute(arguments: &Arguments<'_>) -> Result<Command, Refusal> {
    let direction = arguments.convert("Direction", |text| match text.parse::<Direction>() {
        Ok(direction) => Some(Some(direction)),
        Err(_) => text.eq_ignore_ascii_case("all").then_some(None),
    })?;
    // Clients send whatever stands in their own tables here, `<nil>` among it.
    let nic_type = arguments.text("NicType").and_then(nic_type);
    let paging = shared::tokens(arguments, 1, LONG_RESULTS_DEFAULT, RULE_RESULTS_MAX)?;
    Ok(Command::DescribeSecurityGroupAttribute(DescribeSecurityGroupAttribute {
        group: arguments.required("SecurityGroupId")?,
        direction: direction.flatten(),
        nic_type,
        paging: paging.unwrap_or(portcullis_core::command::Paging::All),
    }))
}

/// `NicType`, in any case.
pub(super) fn nic_type(text: &str) -> Option<NicType> {
    one_of(text, &[("internet", NicType::Internet), ("intranet", NicType::Intranet)])
}

fn describe_references(arguments: &Arguments<'_>) -> Result<Command, Refusal> {
    let name = "SecurityGroupId.N";
    let groups: Vec<_> = arguments.list(name, REFERENCED_GROUPS_PER_CALL_MAX)?;
    if groups.is_empty() {
        return Err(arguments.missing(name));
    }
    Ok(Command::DescribeSecurityGroupReferences { groups })
}

fn modify_attribute(arguments: &Arguments<'_>) -> Result<Command, Refusal> {
    Ok(Command::ModifySecurityGroupAttribute(ModifySecurityGroupAttribute {
        group: arguments.required("SecurityGroupId")?,
        name: arguments.parse("SecurityGroupName")?,
        description: arguments.edit("Description")?,
    }))
}

fn modify_policy(arguments: &Arguments<'_>) -> Result<Command, Refusal> {
    let policy = arguments.convert("InnerAccessPolicy", |text| text.parse::<Policy>().ok())?;
    Ok(Command::ModifySecurityGroupPolicy {
        group: arguments.required("SecurityGroupId")?,
        inner_access: match policy.ok_or_else(|| Refusal::missing("InnerAccessPolicy"))? {
            Policy::Accept => InnerAccess::Accept,
            Policy::Drop => InnerAccess::Drop,
        },
    })
}
