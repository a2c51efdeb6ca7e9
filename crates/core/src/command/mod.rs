//! Every verb, with what it needs, and what its answer needs: the one list for all ways in.
//!
//! Values here are typed and say nothing false alone; whether they fit the state is decided by
//! [`crate::state`]. Texts, spellings and defaults of spelling are the wire's business.
mod absent;
mod account;
mod group;
mod instance;
mod interface;
mod list;
mod network;
mod outcome;
mod paging;
mod rule;
mod run;
mod service;
mod tag;

pub use absent::{Absent, DescribeAbsent};
pub use account::{
    AccessKeyRow, AccountRow, CreateAccessKey, CreateRootAccount, NewSession, OwnedVpcRow,
    RotateAccessKey,
};
pub use group::{
    CreateSecurityGroup, DescribeSecurityGroupAttribute, DescribeSecurityGroups, GroupReferences,
    ModifySecurityGroupAttribute, SecurityGroupAttribute, SecurityGroupRow,
};
pub use instance::{
    BatchMode, DeleteInstances, DescribeInstances, FurtherInterface, InstanceBatch,
    InstanceFilters, InstanceResponse, InstanceRow, ModifyInstanceAttribute, NewInstance,
    RunInstances,
};
pub use interface::{
    AssignAddresses, CreateNetworkInterface, DescribeNetworkInterfaces, InterfaceAttribute,
    InterfaceStatus, Joiner, ModifyNetworkInterfaceAttribute, NetworkInterfaceRow,
    UnassignAddresses, WantedAddresses,
};
pub use list::{
    AddedEntry, CreateList, DescribeListAssociations, DescribeLists, ListAssociations, ListRow,
    ModifyList,
};
pub use network::{
    CreateVSwitch, CreateVpc, DescribeRouteTables, DescribeVSwitches, DescribeVpcs,
    ModifyVSwitchAttribute, ModifyVpcAttribute, RouteTableRow, VSwitchIpv6, VSwitchRow, VpcIpv6,
    VpcRow,
};
pub use outcome::{Outcome, Written};
pub use paging::{Page, Paging};
pub use rule::{
    Authorize, ModifiedRule, ModifyRule, Revoke, RevokedRules, RuleFields, RuleRow, RuleSpec,
};
pub use run::{NoRunDevice, RunDevice, RunIpv6, StartRun};
pub use service::{DescribeEndpoints, Service};
pub use tag::{
    DescribeTags, ListTagResources, MoveResourceGroup, Resource, ResourceKind, TagCountRow,
    TagPattern, TagPatternError, TagResources, TagRow, TagSearch, Untag, UntagResources,
};

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::ids::{
    AccessKeyId, AccountId, InstanceId, NetworkInterfaceId, PortRangeListId, PrefixListId,
    RegionId, SecurityGroupId, VSwitchId, VpcId,
};
use crate::list::{PortRanges, Prefixes};
use crate::settings::Settings;
use crate::text::{AccountName, ClientToken, DeviceName};
use crate::world::InnerAccess;

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
    /// DescribeZones.
    DescribeZones,
    /// DescribeEndpoints.
    DescribeEndpoints(DescribeEndpoints),
    /// GetCallerIdentity.
    GetCallerIdentity,
    /// DescribeDisks and its like.
    DescribeAbsent(DescribeAbsent),
    /// CreateVpc.
    CreateVpc(CreateVpc),
    /// DeleteVpc.
    DeleteVpc {
        /// `VpcId`.
        vpc: VpcId,
    },
    /// DescribeVpcs.
    DescribeVpcs(DescribeVpcs),
    /// DescribeVpcAttribute.
    DescribeVpcAttribute {
        /// `VpcId`.
        vpc: VpcId,
    },
    /// ModifyVpcAttribute.
    ModifyVpcAttribute(ModifyVpcAttribute),
    /// DescribeRouteTables.
    DescribeRouteTables(DescribeRouteTables),
    /// DescribeRouteTableList.
    DescribeRouteTableList(DescribeRouteTables),
    /// CreateVSwitch.
    CreateVSwitch(CreateVSwitch),
    /// DeleteVSwitch.
    DeleteVSwitch {
        /// `VSwitchId`.
        vswitch: VSwitchId,
    },
    /// DescribeVSwitches.
    DescribeVSwitches(DescribeVSwitches),
    /// DescribeVSwitchAttributes.
    DescribeVSwitchAttributes {
        /// `VSwitchId`.
        vswitch: VSwitchId,
    },
    /// ModifyVSwitchAttribute.
    ModifyVSwitchAttribute(ModifyVSwitchAttribute),
    /// TagResources.
    TagResources(TagResources),
    /// UntagResources, UnTagResources.
    UntagResources(UntagResources),
    /// ListTagResources.
    ListTagResources(ListTagResources),
    /// DescribeTags.
    DescribeTags(DescribeTags),
    /// JoinResourceGroup, MoveResourceGroup.
    MoveResourceGroup(MoveResourceGroup),
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
    /// DescribeSecurityGroupReferences: each group once.
    DescribeSecurityGroupReferences {
        /// `SecurityGroupId.N`.
        groups: Vec<SecurityGroupId>,
    },
    /// ModifySecurityGroupAttribute.
    ModifySecurityGroupAttribute(ModifySecurityGroupAttribute),
    /// ModifySecurityGroupPolicy.
    ModifySecurityGroupPolicy {
        /// `SecurityGroupId`.
        group: SecurityGroupId,
        /// `InnerAccessPolicy`.
        inner_access: InnerAccess,
    },
    /// AuthorizeSecurityGroup and AuthorizeSecurityGroupEgress, all or nothing.
    Authorize(Authorize),
    /// ModifySecurityGroupRule and ModifySecurityGroupEgressRule.
    ModifyRule(ModifyRule),
    /// RevokeSecurityGroup and RevokeSecurityGroupEgress, all or nothing.
    Revoke(Revoke),
    /// CreatePrefixList.
    CreatePrefixList(CreateList<Prefixes>),
    /// ModifyPrefixList.
    ModifyPrefixList(ModifyList<Prefixes>),
    /// DeletePrefixList.
    DeletePrefixList {
        /// `PrefixListId`.
        list: PrefixListId,
    },
    /// DescribePrefixLists.
    DescribePrefixLists(DescribeLists<Prefixes>),
    /// DescribePrefixListAttributes.
    DescribePrefixListAttributes {
        /// `PrefixListId`.
        list: PrefixListId,
    },
    /// DescribePrefixListAssociations.
    DescribePrefixListAssociations(DescribeListAssociations<Prefixes>),
    /// CreatePortRangeList.
    CreatePortRangeList(CreateList<PortRanges>),
    /// ModifyPortRangeList.
    ModifyPortRangeList(ModifyList<PortRanges>),
    /// DeletePortRangeList.
    DeletePortRangeList {
        /// `PortRangeListId`.
        list: PortRangeListId,
    },
    /// DescribePortRangeLists.
    DescribePortRangeLists(DescribeLists<PortRanges>),
    /// DescribePortRangeListEntries.
    DescribePortRangeListEntries {
        /// `PortRangeListId`.
        list: PortRangeListId,
    },
    /// DescribePortRangeListAssociations.
    DescribePortRangeListAssociations(DescribeListAssociations<PortRanges>),
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
    /// DescribeNetworkInterfaceAttribute.
    DescribeNetworkInterfaceAttribute {
        /// `NetworkInterfaceId`.
        interface: NetworkInterfaceId,
        /// `Attribute`.
        attribute: InterfaceAttribute,
    },
    /// AssignPrivateIpAddresses.
    AssignPrivateIpAddresses(AssignAddresses),
    /// AssignIpv6Addresses.
    AssignIpv6Addresses(AssignAddresses),
    /// UnassignPrivateIpAddresses and UnassignIpv6Addresses.
    UnassignAddresses(UnassignAddresses),
    /// AttachNetworkInterface.
    AttachNetworkInterface {
        /// `NetworkInterfaceId`.
        interface: NetworkInterfaceId,
        /// `InstanceId`.
        instance: InstanceId,
    },
    /// DetachNetworkInterface.
    DetachNetworkInterface {
        /// `NetworkInterfaceId`.
        interface: NetworkInterfaceId,
        /// `InstanceId`.
        instance: InstanceId,
    },
    /// RunInstances.
    RunInstances(Box<RunInstances>),
    /// CreateInstance.
    CreateInstance(Box<NewInstance>),
    /// StartInstance and StartInstances.
    StartInstances(InstanceBatch),
    /// StopInstance and StopInstances.
    StopInstances(InstanceBatch),
    /// DeleteInstance and DeleteInstances.
    DeleteInstances(DeleteInstances),
    /// DescribeInstances.
    DescribeInstances(Box<DescribeInstances>),
    /// DescribeInstanceAttribute.
    DescribeInstanceAttribute {
        /// `InstanceId`.
        instance: InstanceId,
    },
    /// ModifyInstanceAttribute.
    ModifyInstanceAttribute(ModifyInstanceAttribute),
    /// JoinSecurityGroup.
    JoinSecurityGroup {
        /// `SecurityGroupId`.
        group: SecurityGroupId,
        /// Who joins.
        joiner: Joiner,
    },
    /// LeaveSecurityGroup.
    LeaveSecurityGroup {
        /// `SecurityGroupId`.
        group: SecurityGroupId,
        /// Who leaves.
        joiner: Joiner,
    },
    /// Administrative: the root account and its access key; once.
    CreateRootAccount(CreateRootAccount),
    /// Administrative: a new account.
    CreateAccount {
        /// Its name.
        name: AccountName,
    },
    /// Administrative: an account that owns nothing goes.
    DeleteAccount {
        /// The account.
        account: AccountId,
    },
    /// Administrative: all accounts, by number.
    DescribeAccounts,
    /// Administrative: a new access key, permanent or temporary.
    CreateAccessKey(CreateAccessKey),
    /// Administrative: a new access key in the place of another.
    RotateAccessKey(RotateAccessKey),
    /// Administrative: an access key may be used from now on, or no longer.
    SetAccessKeyActive {
        /// The key.
        access_key: AccessKeyId,
        /// Whether it may be used.
        active: bool,
    },
    /// Administrative: an access key goes.
    DeleteAccessKey {
        /// The key.
        access_key: AccessKeyId,
    },
    /// Administrative: the access keys, by account and id.
    DescribeAccessKeys {
        /// Only of this account.
        account: Option<AccountId>,
    },
    /// Administrative: another account may use a VPC too.
    ShareVpc {
        /// The VPC.
        vpc: VpcId,
        /// Who may use it.
        account: AccountId,
    },
    /// Administrative: it may no longer.
    UnshareVpc {
        /// The VPC.
        vpc: VpcId,
        /// Who may no longer use it.
        account: AccountId,
    },
    /// Administrative: the VPCs of all accounts, by id, and with whom they are shared.
    DescribeOwnedVpcs,
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
    /// Administrative: make an interface and tie it to the device of a run.
    StartRun(StartRun),
    /// Administrative: untie and delete it.
    EndRun {
        /// The device.
        device: RunDevice,
    },
}

impl Command {
    /// Whether it may change anything. Client tokens count for writes only.
    // tidy: long because it is one table
    pub fn is_write(&self) -> bool {
        match self {
            Self::DescribeRegions
            | Self::DescribeZones
            | Self::DescribeEndpoints(_)
            | Self::GetCallerIdentity
            | Self::DescribeAbsent(_)
            | Self::DescribeVpcs(_)
            | Self::DescribeVpcAttribute { .. }
            | Self::DescribeRouteTables(_)
            | Self::DescribeRouteTableList(_)
            | Self::DescribeVSwitches(_)
            | Self::DescribeVSwitchAttributes { .. }
            | Self::ListTagResources(_)
            | Self::DescribeTags(_)
            | Self::DescribeSecurityGroups(_)
            | Self::DescribeSecurityGroupAttribute(_)
            | Self::DescribeSecurityGroupReferences { .. }
            | Self::DescribeNetworkInterfaces(_)
            | Self::DescribeNetworkInterfaceAttribute { .. }
            | Self::DescribeInstances(_)
            | Self::DescribeInstanceAttribute { .. }
            | Self::DescribePrefixLists(_)
            | Self::DescribePrefixListAttributes { .. }
            | Self::DescribePrefixListAssociations(_)
            | Self::DescribePortRangeLists(_)
            | Self::DescribePortRangeListEntries { .. }
            | Self::DescribePortRangeListAssociations(_)
            | Self::DescribeAccounts
            | Self::DescribeAccessKeys { .. }
            | Self::DescribeOwnedVpcs
            | Self::DescribeBindings => false,
            Self::CreateVpc(_)
            | Self::DeleteVpc { .. }
            | Self::ModifyVpcAttribute(_)
            | Self::CreateVSwitch(_)
            | Self::DeleteVSwitch { .. }
            | Self::ModifyVSwitchAttribute(_)
            | Self::TagResources(_)
            | Self::UntagResources(_)
            | Self::MoveResourceGroup(_)
            | Self::CreateSecurityGroup(_)
            | Self::DeleteSecurityGroup { .. }
            | Self::ModifySecurityGroupAttribute(_)
            | Self::ModifySecurityGroupPolicy { .. }
            | Self::ModifyRule(_)
            | Self::Authorize(_)
            | Self::Revoke(_)
            | Self::CreatePrefixList(_)
            | Self::ModifyPrefixList(_)
            | Self::DeletePrefixList { .. }
            | Self::CreatePortRangeList(_)
            | Self::ModifyPortRangeList(_)
            | Self::DeletePortRangeList { .. }
            | Self::CreateNetworkInterface(_)
            | Self::ModifyNetworkInterfaceAttribute(_)
            | Self::DeleteNetworkInterface { .. }
            | Self::AssignPrivateIpAddresses(_)
            | Self::AssignIpv6Addresses(_)
            | Self::UnassignAddresses(_)
            | Self::AttachNetworkInterface { .. }
            | Self::DetachNetworkInterface { .. }
            | Self::RunInstances(_)
            | Self::CreateInstance(_)
            | Self::StartInstances(_)
            | Self::StopInstances(_)
            | Self::DeleteInstances(_)
            | Self::ModifyInstanceAttribute(_)
            | Self::JoinSecurityGroup { .. }
            | Self::LeaveSecurityGroup { .. }
            | Self::CreateRootAccount(_)
            | Self::CreateAccount { .. }
            | Self::DeleteAccount { .. }
            | Self::CreateAccessKey(_)
            | Self::RotateAccessKey(_)
            | Self::SetAccessKeyActive { .. }
            | Self::DeleteAccessKey { .. }
            | Self::ShareVpc { .. }
            | Self::UnshareVpc { .. }
            | Self::BindInterface { .. }
            | Self::UnbindInterface { .. }
            | Self::StartRun(_)
            | Self::EndRun { .. } => true,
        }
    }
}

impl Command {
    /// Whether it is about several instances at once: a dry run of it succeeds by another code.
    pub(crate) fn is_batch(&self) -> bool {
        if let Self::StartInstances(batch)
        | Self::StopInstances(batch)
        | Self::DeleteInstances(DeleteInstances { batch, .. }) = self
        {
            batch.mode != BatchMode::Single
        } else {
            false
        }
    }
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
