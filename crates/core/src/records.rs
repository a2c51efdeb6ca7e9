//! What is kept: one record per stored thing, and how a decision changes them.
//!
//! Knows what a thing consists of; knows neither its bytes (see the wire crate) nor who may change
//! it (see [`crate::state`]). Every record belongs to one account: it names its owner, or stands in
//! a group or on an interface that does.
mod account;
mod in_world;
mod instance;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::command::Written;
use crate::ids::{
    AccessKeyId, AccountId, InstanceId, NetworkInterfaceId, PortRangeListId, PrefixListId,
    RegionId, ResourceGroupId, RouteTableId, RouterId, SecurityGroupId, SecurityGroupRuleId,
    VSwitchId, VpcId, ZoneId,
};
use crate::list::{List, PortRanges, Prefixes};
use crate::net::{Cidr, Ipv4Prefix, Ipv6Prefix, Mac, Prefix};
use crate::rule::Rule;
use crate::text::{
    ClientToken, Description, DeviceName, Label, Name, NetworkDescription, RuleDescription, Tags,
};
use crate::world::{GroupType, InnerAccess};
pub use instance::{Instance, InstanceStatus};

pub use account::{AccessKey, AccessKeySecret, Account, KeySession, SecurityToken, VpcShare};

/// One stored thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// An account.
    Account(Account),
    /// An access key of an account.
    AccessKey(AccessKey),
    /// A VPC.
    Vpc(Vpc),
    /// A vSwitch.
    VSwitch(VSwitch),
    /// A security group without its rules.
    Group(GroupRecord),
    /// One rule of a group.
    Rule(Arc<RuleRecord>),
    /// A network interface.
    Interface(Box<InterfaceRecord>),
    /// That an interface is tied to a device of this host.
    Binding(Binding),
    /// The answer to a write, kept for its client token.
    Token(TokenRecord),
    /// An instance.
    Instance(Box<Instance>),
    /// A prefix list.
    PrefixList(PrefixListRecord),
    /// A port range list.
    PortRangeList(PortRangeListRecord),
    /// That a VPC is shared with an account.
    VpcShare(VpcShare),
}

/// What a record is found by. The order of the variants is an order in which records can be
/// absorbed one by one: what a record refers to goes ahead of it, but for lists. A rule is absorbed
/// whether or not its lists are there yet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordKey {
    /// Of [`Record::Account`].
    Account(AccountId),
    /// Of [`Record::AccessKey`].
    AccessKey(AccessKeyId),
    /// Of [`Record::Vpc`].
    Vpc(VpcId),
    /// Of [`Record::VSwitch`].
    VSwitch(VSwitchId),
    /// Of [`Record::Group`].
    Group(SecurityGroupId),
    /// Of [`Record::Rule`].
    Rule(SecurityGroupId, SecurityGroupRuleId),
    /// Of [`Record::Interface`].
    Interface(NetworkInterfaceId),
    /// Of [`Record::Binding`].
    Binding(NetworkInterfaceId),
    /// Of [`Record::Token`].
    Token(AccountId, ClientToken),
    /// Of [`Record::PrefixList`].
    PrefixList(PrefixListId),
    /// Of [`Record::PortRangeList`].
    PortRangeList(PortRangeListId),
    /// Of [`Record::Instance`].
    Instance(InstanceId),
    /// Of [`Record::VpcShare`].
    VpcShare(VpcId, AccountId),
}

impl Record {
    /// What it is found by.
    pub fn key(&self) -> RecordKey {
        match self {
            Self::Account(r) => RecordKey::Account(r.id),
            Self::AccessKey(r) => RecordKey::AccessKey(r.id.clone()),
            Self::Vpc(r) => RecordKey::Vpc(r.id.clone()),
            Self::VSwitch(r) => RecordKey::VSwitch(r.id.clone()),
            Self::Group(r) => RecordKey::Group(r.id.clone()),
            Self::Rule(r) => RecordKey::Rule(r.group.clone(), r.rule.id.clone()),
            Self::Interface(r) => RecordKey::Interface(r.id.clone()),
            Self::Binding(r) => RecordKey::Binding(r.interface.clone()),
            Self::Token(r) => RecordKey::Token(r.account, r.token.clone()),
            Self::Instance(r) => RecordKey::Instance(r.id.clone()),
            Self::PrefixList(r) => RecordKey::PrefixList(r.id.clone()),
            Self::PortRangeList(r) => RecordKey::PortRangeList(r.id.clone()),
            Self::VpcShare(r) => RecordKey::VpcShare(r.vpc.clone(), r.account),
        }
    }
}

/// A step from one state to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The record is now this, whether or not it existed.
    Put(Record),
    /// The record is gone.
    Delete(RecordKey),
}

impl Change {
    /// The record that changes.
    pub fn key(&self) -> RecordKey {
        match self {
            Self::Put(record) => record.key(),
            Self::Delete(key) => key.clone(),
        }
    }
}

/// A VPC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vpc {
    /// Its id.
    pub id: VpcId,
    /// Its account.
    pub owner: AccountId,
    /// Its region.
    pub region: RegionId,
    /// Its name, if any.
    pub name: Option<Label>,
    /// Its description, if any.
    pub description: Option<NetworkDescription>,
    /// Its IPv4 block.
    pub cidr: Prefix,
    /// Its IPv6 block, a /56, if it has one.
    pub ipv6_cidr: Option<Prefix>,
    /// `UserCidr`, as sent.
    pub user_cidrs: Vec<Cidr>,
    /// Its router.
    pub router: RouterId,
    /// Its system route table.
    pub route_table: RouteTableId,
    /// Its resource group, if sent.
    pub resource_group: Option<ResourceGroupId>,
    /// Its tags.
    pub tags: Tags,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
}

/// A vSwitch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VSwitch {
    /// Its id.
    pub id: VSwitchId,
    /// Its account.
    pub owner: AccountId,
    /// Its region, the VPC's.
    pub region: RegionId,
    /// Its VPC.
    pub vpc: VpcId,
    /// Its zone.
    pub zone: ZoneId,
    /// Its name, if any.
    pub name: Option<Label>,
    /// Its description, if any.
    pub description: Option<NetworkDescription>,
    /// Its IPv4 block, inside the VPC's.
    pub cidr: Prefix,
    /// Its IPv6 block, a /64 inside the VPC's, if it has one.
    pub ipv6_cidr: Option<Prefix>,
    /// Its tags.
    pub tags: Tags,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
}

/// A security group without its rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRecord {
    /// Its id.
    pub id: SecurityGroupId,
    /// Its account.
    pub owner: AccountId,
    /// Its region.
    pub region: RegionId,
    /// Its VPC; `None` is a classic group.
    pub vpc: Option<VpcId>,
    /// Basic or enterprise.
    pub group_type: GroupType,
    /// Whether members reach each other.
    pub inner_access: InnerAccess,
    /// Its name, if any.
    pub name: Option<Name>,
    /// Its description, if any.
    pub description: Option<Description>,
    /// Its resource group, if sent.
    pub resource_group: Option<ResourceGroupId>,
    /// Its tags.
    pub tags: Tags,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
}

/// A prefix list with its entries.
pub type PrefixListRecord = List<Prefixes>;

/// A port range list with its entries.
pub type PortRangeListRecord = List<PortRanges>;

/// `NicType` of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NicType {
    /// `internet`: of classic groups only.
    Internet,
    /// `intranet`: the one type of VPC groups.
    Intranet,
}

impl NicType {
    /// The API's spelling.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Internet => "internet",
            Self::Intranet => "intranet",
        }
    }
}

/// The account that a rule's peer group belongs to, where it is not the rule's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerOwner {
    /// The account.
    pub account: AccountId,
    /// How the request called it by name, which answers echo; `None`: it did not.
    pub text: Option<String>,
}

/// A rule in its group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleRecord {
    /// The group it stands in.
    pub group: SecurityGroupId,
    /// What it matches and says.
    pub rule: Arc<Rule>,
    /// The network it is for.
    pub nic_type: NicType,
    /// Set where its peer is a group of another account.
    pub peer_owner: Option<Box<PeerOwner>>,
    /// Its description, if any.
    pub description: Option<RuleDescription>,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
}

/// Idle times of an interface's flows, each one of the values that the API allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionTracking {
    tcp_established_s: u16,
    tcp_closed_s: u16,
    udp_s: u16,
}

impl ConnectionTracking {
    /// What `TcpEstablishedTimeout` may be.
    pub const TCP_ESTABLISHED_S: [u16; 9] = [30, 60, 80, 100, 200, 300, 500, 700, 910];
    /// What `TcpClosedAndTimeWaitTimeout` may be.
    pub const TCP_CLOSED_S: core::ops::RangeInclusive<u16> = 3..=15;
    /// What `UdpTimeout` may be.
    pub const UDP_S: [u16; 6] = [10, 20, 30, 60, 80, 100];
    /// What holds where nothing is set.
    pub const DEFAULT: Self = Self { tcp_established_s: 910, tcp_closed_s: 3, udp_s: 30 };

    /// These times in seconds; `None` unless each is allowed.
    pub fn new(tcp_established_s: u16, tcp_closed_s: u16, udp_s: u16) -> Option<Self> {
        let allowed = Self::TCP_ESTABLISHED_S.contains(&tcp_established_s)
            && Self::TCP_CLOSED_S.contains(&tcp_closed_s)
            && Self::UDP_S.contains(&udp_s);
        allowed.then_some(Self { tcp_established_s, tcp_closed_s, udp_s })
    }

    /// `TcpEstablishedTimeout`.
    pub fn tcp_established_s(self) -> u16 {
        self.tcp_established_s
    }

    /// `TcpClosedAndTimeWaitTimeout`.
    pub fn tcp_closed_s(self) -> u16 {
        self.tcp_closed_s
    }

    /// `UdpTimeout`.
    pub fn udp_s(self) -> u16 {
        self.udp_s
    }
}

/// What an interface is to its instance: `Type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InterfaceRole {
    /// Made with the instance; never detached.
    Primary,
    /// Any other, and every interface that is not attached.
    Secondary,
}

impl InterfaceRole {
    /// The API's spelling.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Primary => "Primary",
            Self::Secondary => "Secondary",
        }
    }
}

/// That an interface is attached to an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// The instance.
    pub instance: InstanceId,
    /// What the interface is to it.
    pub role: InterfaceRole,
    /// Since when, in milliseconds since 1970.
    pub attached_ms: u64,
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceRecord {
    /// Its id.
    pub id: NetworkInterfaceId,
    /// Its account.
    pub owner: AccountId,
    /// Its region.
    pub region: RegionId,
    /// Its VPC.
    pub vpc: VpcId,
    /// Its vSwitch.
    pub vswitch: VSwitchId,
    /// Its zone, the vSwitch's.
    pub zone: ZoneId,
    /// Its name, if any.
    pub name: Option<Name>,
    /// Its description, if any.
    pub description: Option<Description>,
    /// Its hardware address.
    pub mac: Mac,
    /// Its primary address.
    pub primary: Ipv4Addr,
    /// Its other IPv4 addresses, in the order given.
    pub secondary: Vec<Ipv4Addr>,
    /// Its IPv6 addresses, in the order given.
    pub ipv6: Vec<Ipv6Addr>,
    /// Its IPv4 prefixes, in the order given.
    pub ipv4_prefixes: Vec<Ipv4Prefix>,
    /// Its IPv6 prefixes, in the order given.
    pub ipv6_prefixes: Vec<Ipv6Prefix>,
    /// Its groups, in the order given.
    pub groups: Vec<SecurityGroupId>,
    /// `SourceDestCheck` as set; unset counts as on and is left out of answers.
    pub source_dest_check: Option<bool>,
    /// `DeleteOnRelease`.
    pub delete_on_release: bool,
    /// Its idle times, if set.
    pub connection_tracking: Option<ConnectionTracking>,
    /// `QueueNumber`, if set; kept and echoed.
    pub queue_number: Option<u16>,
    /// What it is attached to, if to anything.
    pub attachment: Option<Attachment>,
    /// Its resource group, if sent.
    pub resource_group: Option<ResourceGroupId>,
    /// Its tags.
    pub tags: Tags,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
}

impl InterfaceRecord {
    /// All its addresses, the primary one first.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        core::iter::once(IpAddr::V4(self.primary))
            .chain(self.secondary.iter().copied().map(IpAddr::V4))
            .chain(self.ipv6.iter().copied().map(IpAddr::V6))
    }

    /// All that is its own: its addresses and its prefixes.
    pub fn prefixes(&self) -> impl Iterator<Item = Prefix> {
        self.addresses()
            .map(Prefix::host)
            .chain(self.ipv4_prefixes.iter().map(|own| own.prefix()))
            .chain(self.ipv6_prefixes.iter().map(|own| own.prefix()))
    }

    /// How many of its own it has, as quotas count: a prefix is one.
    pub fn address_count(&self) -> usize {
        let addresses = 1 + self.secondary.len() + self.ipv6.len();
        addresses + self.ipv4_prefixes.len() + self.ipv6_prefixes.len()
    }

    /// Bytes of the record with its texts and lists.
    pub(crate) fn text_bytes(&self) -> usize {
        let name = self.name.as_ref().map_or(0, |name| name.as_str().len());
        let description = self.description.as_ref().map_or(0, |text| text.as_str().len());
        let groups: usize =
            self.groups.iter().map(|group| size_of_val(group) + group.as_str().len()).sum();
        let tags = self.tags.iter();
        let tags: usize = tags
            .map(|tag| size_of_val(tag) + tag.key.as_str().len() + tag.value.as_str().len())
            .sum();
        let addresses = size_of_val(&*self.secondary) + size_of_val(&*self.ipv6);
        let prefixes = size_of_val(&*self.ipv4_prefixes) + size_of_val(&*self.ipv6_prefixes);
        size_of::<Self>() + name + description + groups + tags + addresses + prefixes
    }

    /// `Type`.
    pub fn role(&self) -> InterfaceRole {
        self.attachment.as_ref().map_or(InterfaceRole::Secondary, |attachment| attachment.role)
    }

    /// The instance it is attached to.
    pub fn instance(&self) -> Option<&InstanceId> {
        self.attachment.as_ref().map(|attachment| &attachment.instance)
    }
}

/// That an interface is tied to a device of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The interface.
    pub interface: NetworkInterfaceId,
    /// The host's device.
    pub device: DeviceName,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
}

/// The answer to a write, kept for its client token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRecord {
    /// The account that sent it.
    pub account: AccountId,
    /// The token.
    pub token: ClientToken,
    /// Of the action and its parameters.
    pub digest: [u8; 32],
    /// What was answered.
    pub written: Written,
    /// Until when it is remembered, in milliseconds since 1970.
    pub expires_ms: u64,
}
