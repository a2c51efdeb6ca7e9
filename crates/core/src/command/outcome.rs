//! What the answer to a command needs.
//!
//! Rows carry records and what is counted beside them; how they are spelled is the wire's business.
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::command::Page;
use crate::ids::{
    AccountId, ResourceGroupId, RouteTableId, RouterId, SecurityGroupId, VSwitchId, VpcId,
};
use crate::records::{Binding, GroupRecord, InterfaceRecord, RuleRecord, VSwitch, Vpc};
use crate::settings::Region;

/// The answer to a command that was carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Of a write.
    Written(Written),
    /// Of DescribeRegions.
    Regions(Vec<Region>),
    /// Of DescribeVpcs.
    Vpcs(Page<VpcRow>),
    /// Of DescribeVSwitches.
    VSwitches(Page<VSwitchRow>),
    /// Of DescribeSecurityGroups.
    SecurityGroups(Page<SecurityGroupRow>),
    /// Of DescribeSecurityGroupAttribute.
    SecurityGroupAttribute(Box<SecurityGroupAttribute>),
    /// Of DescribeNetworkInterfaces.
    NetworkInterfaces(Page<NetworkInterfaceRow>),
    /// Of DescribeBindings.
    Bindings(Vec<Binding>),
}

/// The answer to a write: what a client token remembers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// It is done; there is no more to say.
    Done,
    /// CreateVpc.
    Vpc {
        /// `VpcId`.
        vpc: VpcId,
        /// `VRouterId`.
        router: RouterId,
        /// `RouteTableId`.
        route_table: RouteTableId,
        /// `ResourceGroupId`.
        resource_group: Option<ResourceGroupId>,
    },
    /// CreateVSwitch.
    VSwitch {
        /// `VSwitchId`.
        vswitch: VSwitchId,
    },
    /// CreateSecurityGroup.
    SecurityGroup {
        /// `SecurityGroupId`.
        group: SecurityGroupId,
    },
    /// CreateNetworkInterface: the interface as it was made.
    NetworkInterface(Box<InterfaceRecord>),
    /// CreateRootAccount.
    Account {
        /// The account.
        account: AccountId,
    },
}

/// One VPC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VpcRow {
    /// The VPC.
    pub vpc: Vpc,
    /// Its vSwitches, by id.
    pub vswitches: Vec<VSwitchId>,
}

/// One vSwitch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VSwitchRow {
    /// The vSwitch.
    pub vswitch: VSwitch,
    /// `AvailableIpAddressCount`: IPv4 addresses that an interface may still get.
    pub available_addresses: u32,
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

/// One rule, with what its peer is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleRow {
    /// The rule.
    pub record: Arc<RuleRecord>,
    /// `SourceGroupName` or `DestGroupName`: of a peer group that the caller may see.
    pub peer_group_name: Option<crate::text::Name>,
}

/// `Status` of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InterfaceStatus {
    /// Free. Entered when it is made or unbound, left when it is bound.
    Available,
    /// Bound to a device. Entered when it is bound, left when it is unbound.
    InUse,
}

impl InterfaceStatus {
    /// The API's spelling.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Available => "Available",
            Self::InUse => "InUse",
        }
    }
}

/// One interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkInterfaceRow {
    /// The interface.
    pub interface: InterfaceRecord,
    /// Whether it is bound.
    pub status: InterfaceStatus,
}
