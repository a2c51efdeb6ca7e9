//! What is asked of security groups without their rules, and the rows of the answers.
use alloc::vec::Vec;

use crate::command::{Edit, Page, Paging, RuleRow};
use crate::ids::{AccountId, ResourceGroupId, SecurityGroupId, VpcId};
use crate::records::{GroupRecord, NicType};
use crate::rule::Direction;
use crate::text::{Description, Name, TagFilter, Tags};
use crate::world::GroupType;

/// CreateSecurityGroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateSecurityGroup {
    /// `VpcId`; `None` makes a classic group.
    pub vpc: Option<VpcId>,
    /// `SecurityGroupType`.
    pub group_type: GroupType,
    /// `SecurityGroupName`.
    pub name: Option<Name>,
    /// `Description`.
    pub description: Option<Description>,
    /// `ResourceGroupId`.
    pub resource_group: Option<ResourceGroupId>,
    /// `Tag.N`.
    pub tags: Tags,
}

/// DescribeSecurityGroups. Filters are joined by "and".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribeSecurityGroups {
    /// `SecurityGroupId` and `SecurityGroupIds`; `None` filters nothing, an empty list everything.
    pub groups: Option<Vec<SecurityGroupId>>,
    /// `VpcId`.
    pub vpc: Option<VpcId>,
    /// `SecurityGroupName`, exactly.
    pub name: Option<Name>,
    /// `SecurityGroupType`.
    pub group_type: Option<GroupType>,
    /// `NetworkType`: `Some(true)` is `vpc`, `Some(false)` is `classic`.
    pub in_vpc: Option<bool>,
    /// `ResourceGroupId`.
    pub resource_group: Option<ResourceGroupId>,
    /// `Tag.N`.
    pub tags: Vec<TagFilter>,
    /// Which part of the rows.
    pub paging: Paging,
}

/// DescribeSecurityGroupAttribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribeSecurityGroupAttribute {
    /// `SecurityGroupId`.
    pub group: SecurityGroupId,
    /// `Direction`; `None`: both.
    pub direction: Option<Direction>,
    /// `NicType`, where it is one of the API's; anything else is `None`. VPC groups do not look at
    /// it.
    pub nic_type: Option<NicType>,
    /// Which part of the rules; [`Paging::All`] unless `NextToken` or `MaxResults` was sent.
    pub paging: Paging,
}

/// ModifySecurityGroupAttribute; `None` and [`Edit::Keep`] change nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModifySecurityGroupAttribute {
    /// `SecurityGroupId`.
    pub group: SecurityGroupId,
    /// `SecurityGroupName`.
    pub name: Option<Name>,
    /// `Description`.
    pub description: Edit<Description>,
}

/// A group with the groups whose rules name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupReferences {
    /// The group.
    pub group: SecurityGroupId,
    /// The others, by id, each with its account.
    pub referencing: Vec<(SecurityGroupId, AccountId)>,
}

/// One group, without its rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityGroupRow {
    /// The group.
    pub group: GroupRecord,
    /// `EcsCount`: addresses of its members.
    pub address_count: usize,
    /// `AvailableInstanceAmount`: how many more it may have.
    pub available_amount: usize,
    /// `RuleCount`: its rules.
    pub rule_count: usize,
    /// `GroupToGroupRuleCount`: those whose peer is a group.
    pub group_rule_count: usize,
}

/// One group with its rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityGroupAttribute {
    /// The group.
    pub group: GroupRecord,
    /// Its rules, oldest first.
    pub rules: Page<RuleRow>,
}
