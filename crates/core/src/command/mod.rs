//! Every verb, with what it needs, and what its answer needs: the one list for all ways in.
//!
//! Values here are typed and say nothing false alone; whether they fit the state is decided by
//! [`crate::state`]. Texts, spellings and defaults of spelling are the wire's business.
mod outcome;
mod paging;
mod rule;

use alloc::vec::Vec;
use core::net::{Ipv4Addr, Ipv6Addr};

pub use outcome::{
    InterfaceStatus, NetworkInterfaceRow, Outcome, RuleRow, SecurityGroupAttribute,
    SecurityGroupRow, VSwitchRow, VpcRow, Written,
};
pub use paging::{Page, Paging};
pub use rule::{RuleFields, RuleSpec};

use crate::ids::{
    AccessKeyId, AccountId, NetworkInterfaceId, RegionId, ResourceGroupId, SecurityGroupId,
    SecurityGroupRuleId, VSwitchId, VpcId, ZoneId,
};
use crate::net::{Cidr, Mac};
use crate::records::{AccessKeySecret, ConnectionTracking};
use crate::rule::Direction;
use crate::settings::Settings;
use crate::text::{
    AccountName, ClientToken, Description, DeviceName, Label, Name, NetworkDescription, TagFilter,
    Tags,
};
use crate::world::{GroupType, InnerAccess};

/// Random bytes, an argument like every other.
pub trait Dice {
    /// Fills `bytes`.
    fn fill(&mut self, bytes: &mut [u8]);
}

/// The client token of a request, and what it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// `ClientToken`.
    pub token: ClientToken,
    /// Of the action and its own parameters.
    pub digest: [u8; 32],
}

/// All that a decision depends on beside the state and the command.
pub struct Context<'a> {
    /// On whose behalf. Administrative commands do not look at it.
    pub caller: AccountId,
    /// `RegionId`; `None` where an action may leave it out and did.
    pub region: Option<RegionId>,
    /// The time, in milliseconds since 1970.
    pub now_ms: u64,
    /// Where new ids come from.
    pub dice: &'a mut dyn Dice,
    /// What the operator has decided.
    pub settings: &'a Settings,
    /// The client token, where one was sent. Reads do not look at it.
    pub idempotency: Option<Idempotency>,
    /// `DryRun`: decide, and change nothing.
    pub dry_run: bool,
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// DescribeRegions.
    DescribeRegions,
    /// CreateVpc.
    CreateVpc(CreateVpc),
    /// DeleteVpc.
    DeleteVpc {
        /// `VpcId`.
        vpc: VpcId,
    },
    /// DescribeVpcs.
    DescribeVpcs(DescribeVpcs),
    /// CreateVSwitch.
    CreateVSwitch(CreateVSwitch),
    /// DeleteVSwitch.
    DeleteVSwitch {
        /// `VSwitchId`.
        vswitch: VSwitchId,
    },
    /// DescribeVSwitches.
    DescribeVSwitches(DescribeVSwitches),
    /// CreateSecurityGroup.
    CreateSecurityGroup(CreateSecurityGroup),
    /// DeleteSecurityGroup.
    DeleteSecurityGroup {
        /// `SecurityGroupId`.
        group: SecurityGroupId,
    },
    /// DescribeSecurityGroups.
    DescribeSecurityGroups(DescribeSecurityGroups),
    /// DescribeSecurityGroupAttribute.
    DescribeSecurityGroupAttribute(DescribeSecurityGroupAttribute),
    /// ModifySecurityGroupPolicy.
    ModifySecurityGroupPolicy {
        /// `SecurityGroupId`.
        group: SecurityGroupId,
        /// `InnerAccessPolicy`.
        inner_access: InnerAccess,
    },
    /// AuthorizeSecurityGroup and AuthorizeSecurityGroupEgress, all or nothing.
    Authorize(Authorize),
    /// RevokeSecurityGroup and RevokeSecurityGroupEgress, all or nothing.
    Revoke(Revoke),
    /// CreateNetworkInterface.
    CreateNetworkInterface(CreateNetworkInterface),
    /// DescribeNetworkInterfaces.
    DescribeNetworkInterfaces(DescribeNetworkInterfaces),
    /// ModifyNetworkInterfaceAttribute.
    ModifyNetworkInterfaceAttribute(ModifyNetworkInterfaceAttribute),
    /// DeleteNetworkInterface.
    DeleteNetworkInterface {
        /// `NetworkInterfaceId`.
        interface: NetworkInterfaceId,
    },
    /// Administrative: the root account and its access key; once.
    CreateRootAccount(CreateRootAccount),
    /// Administrative: tie an interface to a device of this host.
    BindInterface {
        /// The interface.
        interface: NetworkInterfaceId,
        /// The device.
        device: DeviceName,
    },
    /// Administrative: untie it.
    UnbindInterface {
        /// The interface.
        interface: NetworkInterfaceId,
    },
    /// Administrative: all bindings, by interface.
    DescribeBindings,
}

impl Command {
    /// Whether it may change anything. Client tokens count for writes only.
    pub fn is_write(&self) -> bool {
        match self {
            Self::DescribeRegions
            | Self::DescribeVpcs(_)
            | Self::DescribeVSwitches(_)
            | Self::DescribeSecurityGroups(_)
            | Self::DescribeSecurityGroupAttribute(_)
            | Self::DescribeNetworkInterfaces(_)
            | Self::DescribeBindings => false,
            Self::CreateVpc(_)
            | Self::DeleteVpc { .. }
            | Self::CreateVSwitch(_)
            | Self::DeleteVSwitch { .. }
            | Self::CreateSecurityGroup(_)
            | Self::DeleteSecurityGroup { .. }
            | Self::ModifySecurityGroupPolicy { .. }
            | Self::Authorize(_)
            | Self::Revoke(_)
            | Self::CreateNetworkInterface(_)
            | Self::ModifyNetworkInterfaceAttribute(_)
            | Self::DeleteNetworkInterface { .. }
            | Self::CreateRootAccount(_)
            | Self::BindInterface { .. }
            | Self::UnbindInterface { .. } => true,
        }
    }
}

/// The IPv6 block that a new VPC asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum VpcIpv6 {
    /// None.
    #[default]
    Disabled,
    /// `EnableIpv6`: any free one.
    Assigned,
    /// `EnableIpv6` and `Ipv6CidrBlock`: this one.
    Given(Cidr),
}

/// CreateVpc.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CreateVpc {
    /// `CidrBlock`; `None`: 172.16.0.0/12.
    pub cidr: Option<Cidr>,
    /// `EnableIpv6`, `Ipv6CidrBlock`.
    pub ipv6: VpcIpv6,
    /// `VpcName`.
    pub name: Option<Label>,
    /// `Description`.
    pub description: Option<NetworkDescription>,
    /// `UserCidr`, a list in one text.
    pub user_cidrs: Vec<Cidr>,
    /// `ResourceGroupId`.
    pub resource_group: Option<ResourceGroupId>,
    /// `Tag.N`.
    pub tags: Tags,
}

/// DescribeVpcs. Filters are joined by "and"; an empty list or `None` filters nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribeVpcs {
    /// `VpcId`, a comma-separated list.
    pub vpcs: Vec<VpcId>,
    /// `VpcName`.
    pub name: Option<Label>,
    /// `IsDefault`; no VPC here is.
    pub is_default: Option<bool>,
    /// `ResourceGroupId`.
    pub resource_group: Option<ResourceGroupId>,
    /// `Tag.N`.
    pub tags: Vec<TagFilter>,
    /// Which part of the rows.
    pub paging: Paging,
}

/// CreateVSwitch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateVSwitch {
    /// `VpcId`.
    pub vpc: VpcId,
    /// `ZoneId`.
    pub zone: ZoneId,
    /// `CidrBlock`.
    pub cidr: Cidr,
    /// `Ipv6CidrBlock`: which /64 of the VPC's IPv6 block.
    pub ipv6_index: Option<u8>,
    /// `VSwitchName`.
    pub name: Option<Label>,
    /// `Description`.
    pub description: Option<NetworkDescription>,
    /// `Tag.N`.
    pub tags: Tags,
}

/// DescribeVSwitches. Filters are joined by "and".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribeVSwitches {
    /// `VpcId`.
    pub vpc: Option<VpcId>,
    /// `VSwitchId`, a comma-separated list.
    pub vswitches: Vec<VSwitchId>,
    /// `ZoneId`.
    pub zone: Option<ZoneId>,
    /// `VSwitchName`.
    pub name: Option<Label>,
    /// `IsDefault`; no vSwitch here is.
    pub is_default: Option<bool>,
    /// `Tag.N`.
    pub tags: Vec<TagFilter>,
    /// Which part of the rows.
    pub paging: Paging,
}

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
    pub nic_type: Option<crate::records::NicType>,
    /// Which part of the rules; [`Paging::All`] unless `NextToken` or `MaxResults` was sent.
    pub paging: Paging,
}

/// AuthorizeSecurityGroup and AuthorizeSecurityGroupEgress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorize {
    /// `SecurityGroupId`.
    pub group: SecurityGroupId,
    /// Which of the two actions; the direction of every rule.
    pub direction: Direction,
    /// The rules to add: the flat fields are a list of one.
    pub rules: Vec<RuleSpec>,
}

/// RevokeSecurityGroup and RevokeSecurityGroupEgress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoke {
    /// `SecurityGroupId`.
    pub group: SecurityGroupId,
    /// Which of the two actions.
    pub direction: Direction,
    /// Which rules.
    pub rules: RevokedRules,
}

/// How a request names the rules that it revokes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RevokedRules {
    /// Rules of this content; one that is not there is no error.
    Content(Vec<RuleSpec>),
    /// `SecurityGroupRuleId.N`; each must be there.
    Ids(Vec<SecurityGroupRuleId>),
}

/// CreateNetworkInterface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateNetworkInterface {
    /// `VSwitchId`.
    pub vswitch: VSwitchId,
    /// `SecurityGroupId` or `SecurityGroupIds.N`.
    pub groups: Vec<SecurityGroupId>,
    /// `PrimaryIpAddress`; `None`: the lowest free one.
    pub primary: Option<Ipv4Addr>,
    /// `PrivateIpAddress.N`. One that equals the primary address is not another address.
    pub secondary: Vec<Ipv4Addr>,
    /// `SecondaryPrivateIpAddressCount`: how many more, chosen here.
    pub secondary_count: u8,
    /// `Ipv6Address.N`.
    pub ipv6: Vec<Ipv6Addr>,
    /// `Ipv6AddressCount`: how many more, chosen here.
    pub ipv6_count: u8,
    /// `MacAddress`; `None`: chosen here.
    pub mac: Option<Mac>,
    /// `NetworkInterfaceName`.
    pub name: Option<Name>,
    /// `Description`.
    pub description: Option<Description>,
    /// `SourceDestCheck`.
    pub source_dest_check: Option<bool>,
    /// `DeleteOnRelease`; `None`: true.
    pub delete_on_release: Option<bool>,
    /// `ConnectionTrackingConfiguration`, what it leaves out filled with the defaults.
    pub connection_tracking: Option<ConnectionTracking>,
    /// `ResourceGroupId`.
    pub resource_group: Option<ResourceGroupId>,
    /// `Tag.N`.
    pub tags: Tags,
}

/// DescribeNetworkInterfaces. Filters are joined by "and", the values of one filter by "or".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribeNetworkInterfaces {
    /// `NetworkInterfaceId.N`.
    pub interfaces: Vec<NetworkInterfaceId>,
    /// `SecurityGroupId`.
    pub group: Option<SecurityGroupId>,
    /// `VSwitchId`.
    pub vswitch: Option<VSwitchId>,
    /// `VpcId`.
    pub vpc: Option<VpcId>,
    /// `PrimaryIpAddress`.
    pub primary: Option<Ipv4Addr>,
    /// `PrivateIpAddress.N`: any IPv4 address of the interface.
    pub private_addresses: Vec<Ipv4Addr>,
    /// `Ipv6Address.N`.
    pub ipv6_addresses: Vec<Ipv6Addr>,
    /// `NetworkInterfaceName`.
    pub name: Option<Name>,
    /// `Status`; `Some(None)` is a status that no interface here is in.
    pub status: Option<Option<InterfaceStatus>>,
    /// `Type`: whether `Secondary`, the only one here, was asked for.
    pub secondary_type: Option<bool>,
    /// `InstanceId`; nothing here is attached to an instance.
    pub of_instance: bool,
    /// `ResourceGroupId`.
    pub resource_group: Option<ResourceGroupId>,
    /// `Tag.N`.
    pub tags: Vec<TagFilter>,
    /// Which part of the rows.
    pub paging: Paging,
}

/// What becomes of a text that a Modify action may set or clear.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Edit<T> {
    /// Absent: it stays.
    #[default]
    Keep,
    /// Present and empty: it goes.
    Clear,
    /// Present: it is now this.
    Set(T),
}

/// ModifyNetworkInterfaceAttribute; `None` and [`Edit::Keep`] change nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModifyNetworkInterfaceAttribute {
    /// `NetworkInterfaceId`.
    pub interface: NetworkInterfaceId,
    /// `SecurityGroupId.N`: all its groups from now on.
    pub groups: Option<Vec<SecurityGroupId>>,
    /// `NetworkInterfaceName`.
    pub name: Option<Name>,
    /// `Description`.
    pub description: Edit<Description>,
    /// `SourceDestCheck`.
    pub source_dest_check: Option<bool>,
    /// `DeleteOnRelease`.
    pub delete_on_release: Option<bool>,
    /// `ConnectionTrackingConfiguration.TcpEstablishedTimeout`.
    pub tcp_established_s: Option<u16>,
    /// `ConnectionTrackingConfiguration.TcpClosedAndTimeWaitTimeout`.
    pub tcp_closed_s: Option<u16>,
    /// `ConnectionTrackingConfiguration.UdpTimeout`.
    pub udp_s: Option<u16>,
}

/// The first account and its access key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateRootAccount {
    /// The account's name.
    pub name: AccountName,
    /// The key's id.
    pub access_key: AccessKeyId,
    /// What it signs with.
    pub secret: AccessKeySecret,
}
