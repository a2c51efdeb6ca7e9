//! What the answer to a command needs.
//!
//! Rows carry records and what is counted beside them; how they are spelled is the wire's business.
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, Ipv6Addr};

use crate::command::{
    Absent, AccessKeyRow, AccountRow, GroupReferences, InstanceResponse, InstanceRow,
    InterfaceAttribute, ListAssociations, ListRow, NetworkInterfaceRow, OwnedVpcRow, Page,
    ResourceKind, RouteTableRow, SecurityGroupAttribute, SecurityGroupRow, Service, TagCountRow,
    TagRow, VSwitchRow, VpcRow,
};
use crate::ids::{
    AccountId, InstanceId, NetworkInterfaceId, PortRangeListId, PrefixListId, RegionId,
    ResourceGroupId, RouteTableId, RouterId, SecurityGroupId, VSwitchId, VpcId, ZoneId,
};
use crate::list::{PortRanges, Prefixes};
use crate::net::{Ipv4Prefix, Ipv6Prefix};
use crate::records::{Binding, InterfaceRecord, PortRangeListRecord, PrefixListRecord};
use crate::settings::{Protocols, Region};

/// The answer to a command that was carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Of a write.
    Written(Written),
    /// Of DescribeRegions.
    Regions(Vec<Region>),
    /// Of DescribeZones.
    Zones(Vec<ZoneId>),
    /// Of DescribeEndpoints: the service, if it is here, and what it is served by.
    Endpoints(RegionId, Option<Service>, Protocols),
    /// Of GetCallerIdentity.
    CallerIdentity(AccountId),
    /// Of DescribeDisks and its like.
    Absent(Absent, Page<core::convert::Infallible>),
    /// Of DescribeVpcAttribute.
    Vpc(Box<VpcRow>),
    /// Of DescribeVSwitchAttributes.
    VSwitch(Box<VSwitchRow>),
    /// Of DescribeRouteTables.
    RouteTables(Page<RouteTableRow>),
    /// Of DescribeRouteTableList.
    RouteTableList(Page<RouteTableRow>),
    /// Of DescribeTags.
    TagCounts(Page<TagCountRow>),
    /// Of ListTagResources.
    Tags(ResourceKind, Page<TagRow>),
    /// Of DescribeVpcs.
    Vpcs(Page<VpcRow>),
    /// Of DescribeVSwitches.
    VSwitches(Page<VSwitchRow>),
    /// Of DescribeSecurityGroups.
    SecurityGroups(Page<SecurityGroupRow>),
    /// Of DescribeSecurityGroupAttribute.
    SecurityGroupAttribute(Box<SecurityGroupAttribute>),
    /// Of DescribeSecurityGroupReferences.
    SecurityGroupReferences(Vec<GroupReferences>),
    /// Of DescribeNetworkInterfaces.
    NetworkInterfaces(Page<NetworkInterfaceRow>),
    /// Of DescribeNetworkInterfaceAttribute.
    NetworkInterfaceAttribute(Box<NetworkInterfaceRow>, InterfaceAttribute),
    /// Of DescribeInstances.
    Instances(Page<InstanceRow>),
    /// Of DescribeInstanceAttribute.
    InstanceAttribute(Box<InstanceRow>),
    /// Of DescribePrefixLists.
    PrefixLists(Page<ListRow<Prefixes>>),
    /// Of DescribePrefixListAttributes.
    PrefixListAttributes(Box<PrefixListRecord>),
    /// Of DescribePrefixListAssociations.
    PrefixListAssociations(ListAssociations<Prefixes>),
    /// Of DescribePortRangeLists.
    PortRangeLists(Page<ListRow<PortRanges>>),
    /// Of DescribePortRangeListEntries.
    PortRangeListEntries(Box<PortRangeListRecord>),
    /// Of DescribePortRangeListAssociations.
    PortRangeListAssociations(ListAssociations<PortRanges>),
    /// Of DescribeAccounts.
    Accounts(Vec<AccountRow>),
    /// Of DescribeAccessKeys.
    AccessKeys(Vec<AccessKeyRow>),
    /// Of DescribeOwnedVpcs.
    OwnedVpcs(Vec<OwnedVpcRow>),
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
    /// CreatePrefixList.
    PrefixList {
        /// `PrefixListId`.
        list: PrefixListId,
    },
    /// CreatePortRangeList.
    PortRangeList {
        /// `PortRangeListId`.
        list: PortRangeListId,
    },
    /// CreateNetworkInterface: the interface as it was made.
    NetworkInterface(Box<InterfaceRecord>),
    /// AssignPrivateIpAddresses: what was assigned.
    AssignedIpv4 {
        /// `NetworkInterfaceId`.
        interface: NetworkInterfaceId,
        /// `PrivateIpSet`.
        addresses: Vec<Ipv4Addr>,
        /// `Ipv4PrefixSet`.
        prefixes: Vec<Ipv4Prefix>,
    },
    /// AssignIpv6Addresses: what was assigned.
    AssignedIpv6 {
        /// `NetworkInterfaceId`.
        interface: NetworkInterfaceId,
        /// `Ipv6Sets`.
        addresses: Vec<Ipv6Addr>,
        /// `Ipv6PrefixSets`.
        prefixes: Vec<Ipv6Prefix>,
    },
    /// RunInstances.
    Instances(Vec<InstanceId>),
    /// CreateInstance.
    Instance {
        /// `InstanceId`.
        instance: InstanceId,
    },
    /// StartInstances, StopInstances, DeleteInstances: how it went with each.
    Batch(Vec<InstanceResponse>),
    /// CreateRootAccount, CreateAccount.
    Account {
        /// The account.
        account: AccountId,
    },
}

impl Written {
    /// Bytes of its texts and lists, which is what answers differ by in size.
    pub(crate) fn text_bytes(&self) -> usize {
        let ids = |ids: &[&str]| ids.iter().map(|id| id.len()).sum();
        match self {
            Self::Done | Self::Account { .. } => 0,
            Self::Vpc { vpc, router, route_table, resource_group } => {
                let group = resource_group.as_ref().map_or("", |group| group.as_str());
                ids(&[vpc.as_str(), router.as_str(), route_table.as_str(), group])
            }
            Self::VSwitch { vswitch } => vswitch.as_str().len(),
            Self::SecurityGroup { group } => group.as_str().len(),
            Self::PrefixList { list } => list.as_str().len(),
            Self::PortRangeList { list } => list.as_str().len(),
            Self::NetworkInterface(record) => record.text_bytes(),
            Self::AssignedIpv4 { interface, addresses, prefixes } => {
                interface.as_str().len() + size_of_val(&**addresses) + size_of_val(&**prefixes)
            }
            Self::AssignedIpv6 { interface, addresses, prefixes } => {
                interface.as_str().len() + size_of_val(&**addresses) + size_of_val(&**prefixes)
            }
            Self::Instances(instances) => {
                instances.iter().map(|id| size_of::<InstanceId>() + id.as_str().len()).sum()
            }
            Self::Instance { instance } => instance.as_str().len(),
            Self::Batch(responses) => responses
                .iter()
                .map(|one| {
                    let texts = ids(&[one.instance.as_str(), &one.code, &one.message]);
                    size_of::<InstanceResponse>() + texts
                })
                .sum(),
        }
    }
}
