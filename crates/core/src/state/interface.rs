//! Network interfaces: addresses out of their vSwitch, groups of their VPC, and who may be deleted.
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::command::{
    Context, CreateNetworkInterface, DescribeNetworkInterfaces, Edit, InterfaceStatus,
    ModifyNetworkInterfaceAttribute, NetworkInterfaceRow, Outcome, Written,
};
use crate::error::ApiError;
use crate::ids::{NetworkInterfaceId, SecurityGroupId, VpcId};
use crate::limits::{IPV6_ADDRESSES_MAX, SECONDARY_ADDRESSES_MAX};
use crate::net::{Mac, Prefix, address_bits};
use crate::records::{Change, ConnectionTracking, InterfaceRecord, Record, RecordKey, VSwitch};
use crate::state::account::sees;
use crate::state::describe::{Descending, in_sight, part};
use crate::state::group::capacity;
use crate::state::index::{Pool, shift};
use crate::state::spans::Spans;
use crate::state::vswitch::usable;
use crate::state::{Decision, State, draw};
use crate::world::{GroupType, Interface};

/// Unknown, or another account's.
pub(super) fn interface_not_found() -> ApiError {
    ApiError::not_found("InvalidEniId.NotFound", "The specified NetworkInterfaceId does not exist.")
        .at("NetworkInterfaceId")
}

/// The addresses of a new interface, chosen and checked.
struct Addresses {
    primary: Ipv4Addr,
    secondary: Vec<Ipv4Addr>,
    ipv6: Vec<Ipv6Addr>,
}

impl State {
    fn own_interface(
        &self,
        context: &Context<'_>,
        id: &NetworkInterfaceId,
    ) -> Option<&InterfaceRecord> {
        self.interfaces.get(id).filter(|record| sees(context, record.owner, &record.region))
    }

    pub(super) fn create_interface(
        &self,
        context: &mut Context<'_>,
        command: &CreateNetworkInterface,
    ) -> Result<Decision, ApiError> {
        let vswitch = self.own_vswitch(context, &command.vswitch).ok_or_else(|| {
            ApiError::not_found(
                "InvalidVSwitchId.NotFound",
                "The specified vSwitch does not exist.",
            )
            .at("VSwitchId")
        })?;
        let owned = self.index.interfaces.count(&(context.caller, vswitch.region.clone()));
        if owned >= context.settings.quotas.interfaces_per_region {
            return Err(ApiError::forbidden(
                "MaxEniCountExceeded",
                "The number of network interfaces in the region has reached its quota.",
            ));
        }
        let addresses = self.choose_addresses(vswitch, command)?;
        let count = 1 + addresses.secondary.len() + addresses.ipv6.len();
        let groups = self.check_groups(context, &vswitch.vpc, &command.groups, &[], count)?;
        let mac = self.choose_mac(context, command.mac)?;
        let record = InterfaceRecord {
            id: draw::id(context.dice, "eni-", |id| self.interfaces.contains_key(id))?,
            owner: context.caller,
            region: vswitch.region.clone(),
            vpc: vswitch.vpc.clone(),
            vswitch: vswitch.id.clone(),
            zone: vswitch.zone.clone(),
            name: command.name.clone(),
            description: command.description.clone(),
            mac,
            primary: addresses.primary,
            secondary: addresses.secondary,
            ipv6: addresses.ipv6,
            groups,
            source_dest_check: command.source_dest_check,
            delete_on_release: command.delete_on_release.unwrap_or(true),
            connection_tracking: command.connection_tracking,
            resource_group: command.resource_group.clone(),
            tags: command.tags.clone(),
            created_ms: context.now_ms,
        };
        let record = Box::new(record);
        let written = Written::NetworkInterface(record.clone());
        Ok(Decision::write(written, vec![Change::Put(Record::Interface(record))]))
    }

    fn choose_mac(&self, context: &mut Context<'_>, mac: Option<Mac>) -> Result<Mac, ApiError> {
        let Some(mac) = mac else {
            return draw::mac(context.dice, |mac| self.index.macs.contains_key(mac));
        };
        let Mac([first, ..]) = mac;
        let bad = |message: &'static str| {
            Err(ApiError::invalid("InvalidParam.MacAddress", message).at("MacAddress"))
        };
        if first & 1 == 1 || mac == Mac([0; 6]) {
            return bad("The specified MacAddress is not that of one device.");
        }
        if self.index.macs.contains_key(&mac) {
            return bad("The specified MacAddress is that of another network interface.");
        }
        Ok(mac)
    }

    fn choose_addresses(
        &self,
        vswitch: &VSwitch,
        command: &CreateNetworkInterface,
    ) -> Result<Addresses, ApiError> {
        let none = Pool::default();
        let pool = self.index.pools.get(&vswitch.id).unwrap_or(&none);
        let mut ipv4 = Choice::new(vswitch.cidr, &pool.ipv4, "PrivateIpAddress");
        let given = command.secondary.iter().filter(|address| command.primary != Some(**address));
        let mut secondary: Vec<Ipv4Addr> = given.copied().collect();
        if let Some(primary) = command.primary {
            ipv4.take(IpAddr::V4(primary), "PrimaryIpAddress")?;
        }
        for address in &secondary {
            ipv4.take(IpAddr::V4(*address), "PrivateIpAddress")?;
        }
        let primary = match command.primary {
            Some(primary) => primary,
            None => Ipv4Addr::from_bits(ipv4.lowest()? as u32),
        };
        for _ in 0..command.secondary_count {
            secondary.push(Ipv4Addr::from_bits(ipv4.lowest()? as u32));
        }
        at_most(secondary.len(), SECONDARY_ADDRESSES_MAX, "PrivateIpAddress")?;
        let mut ipv6 = command.ipv6.clone();
        if !ipv6.is_empty() || command.ipv6_count > 0 {
            let block = vswitch.ipv6_cidr.ok_or_else(|| {
                ApiError::invalid(
                    "InvalidVSwitch.Ipv6NotTurnOn",
                    "The specified vSwitch has no IPv6 block.",
                )
                .at("VSwitchId")
            })?;
            let mut choice = Choice::new(block, &pool.ipv6, "Ipv6Address");
            for address in &command.ipv6 {
                choice.take(IpAddr::V6(*address), "Ipv6Address")?;
            }
            for _ in 0..command.ipv6_count {
                ipv6.push(Ipv6Addr::from_bits(choice.lowest()?));
            }
            at_most(ipv6.len(), IPV6_ADDRESSES_MAX, "Ipv6Address")?;
        }
        Ok(Addresses { primary, secondary, ipv6 })
    }

    /// The groups, each once, if an interface of this VPC with so many addresses may be in all of
    /// them. `old` are those it is in.
    fn check_groups(
        &self,
        context: &Context<'_>,
        vpc: &VpcId,
        groups: &[SecurityGroupId],
        old: &[SecurityGroupId],
        address_count: usize,
    ) -> Result<Vec<SecurityGroupId>, ApiError> {
        let quotas = &context.settings.quotas;
        let mut unique: Vec<SecurityGroupId> = Vec::new();
        for group in groups {
            if !unique.contains(group) {
                unique.push(group.clone());
            }
        }
        if unique.is_empty() {
            return Err(ApiError::missing("SecurityGroupId"));
        }
        let refuse = |code: &'static str, message: &'static str| {
            Err(ApiError::forbidden(code, message).at("SecurityGroupId"))
        };
        if unique.len() > quotas.groups_per_interface() {
            let message = alloc::format!(
                "A network interface may be in at most {} security groups.",
                quotas.groups_per_interface()
            );
            return Err(ApiError::invalid("JoinedGroupLimitExceed", message).at("SecurityGroupId"));
        }
        let mut kind: Option<GroupType> = None;
        for id in &unique {
            let group = &self.own_group(context, id)?.record;
            match &group.vpc {
                None => {
                    let message = "The specified security group is not in a VPC.";
                    return refuse("InvalidSecurityGroupId.NotVpc", message);
                }
                Some(other) if other != vpc => {
                    let message = "The security group and the vSwitch are not in the same VPC.";
                    return refuse("InvalidOperation.VpcMismatch", message);
                }
                Some(_) => {}
            }
            if kind.is_some_and(|kind| kind != group.group_type) {
                let message = "Basic and enterprise security groups cannot be mixed.";
                return refuse("OperationDenied", message);
            }
            kind = Some(group.group_type);
            let more = match group.group_type {
                GroupType::Basic => address_count,
                GroupType::Enterprise => 1,
            };
            let used = self.used(group.group_type, id);
            if !old.contains(id) && used + more > capacity(quotas, group.group_type) {
                let message = "The specified security group has reached its quota of members.";
                return refuse("SecurityGroupInstanceLimitExceed", message);
            }
        }
        if unique.iter().any(|id| !old.contains(id))
            && self.rule_sum(&unique) > quotas.rules_per_interface
        {
            let message = "The rules of all these security groups exceed the interface's quota.";
            return refuse("AclLimitExceed", message);
        }
        Ok(unique)
    }

    pub(super) fn modify_interface(
        &self,
        context: &Context<'_>,
        command: &ModifyNetworkInterfaceAttribute,
    ) -> Result<Decision, ApiError> {
        let old =
            self.own_interface(context, &command.interface).ok_or_else(interface_not_found)?;
        let mut record = old.clone();
        if let Some(groups) = &command.groups {
            let count = old.address_count();
            record.groups = self.check_groups(context, &old.vpc, groups, &old.groups, count)?;
        }
        if let Some(name) = &command.name {
            record.name = Some(name.clone());
        }
        match &command.description {
            Edit::Keep => {}
            Edit::Clear => record.description = None,
            Edit::Set(description) => record.description = Some(description.clone()),
        }
        if command.source_dest_check.is_some() {
            record.source_dest_check = command.source_dest_check;
        }
        if let Some(delete_on_release) = command.delete_on_release {
            record.delete_on_release = delete_on_release;
        }
        record.connection_tracking = merged_tracking(old.connection_tracking, command)?;
        let changes = if record == *old {
            Vec::new()
        } else {
            vec![Change::Put(Record::Interface(Box::new(record)))]
        };
        Ok(Decision::done(changes))
    }

    pub(super) fn delete_interface(
        &self,
        context: &Context<'_>,
        id: &NetworkInterfaceId,
    ) -> Result<Decision, ApiError> {
        let record = self.own_interface(context, id).ok_or_else(interface_not_found)?;
        if let Some(binding) = self.bindings.get(id) {
            let message = alloc::format!(
                "The network interface is bound to `{}` and cannot be deleted.",
                binding.device
            );
            return Err(ApiError::forbidden("InvalidOperation.InvalidEniState", message)
                .at("NetworkInterfaceId")
                .help("Unbind it first."));
        }
        Ok(Decision::done(vec![Change::Delete(RecordKey::Interface(record.id.clone()))]))
    }

    pub(super) fn describe_interfaces(
        &self,
        context: &Context<'_>,
        command: &DescribeNetworkInterfaces,
    ) -> Result<Decision, ApiError> {
        let candidates: Vec<&NetworkInterfaceId> = if !command.interfaces.is_empty() {
            command.interfaces.iter().collect()
        } else if let Some(group) = &command.group {
            self.world.members(group).map(|member| &member.id).collect()
        } else if let Some(vswitch) = &command.vswitch {
            self.index.interfaces_of_vswitch.get(vswitch).collect()
        } else if let Some(vpc) = &command.vpc {
            let vswitches = self.index.vswitches_of_vpc.get(vpc);
            vswitches.flat_map(|id| self.index.interfaces_of_vswitch.get(id)).collect()
        } else {
            in_sight(&self.index.interfaces, context)
        };
        let keys = candidates
            .into_iter()
            .filter_map(|id| self.own_interface(context, id))
            .filter(|record| meets(command, record, self.status(&record.id)))
            .map(|record| Descending(record.id.clone()))
            .collect();
        let page = part(keys, &command.paging)?.rows(|key| {
            let interface = self.interfaces.get(&key.0)?.clone();
            Some(NetworkInterfaceRow { status: self.status(&key.0), interface })
        });
        Ok(Decision::read(Outcome::NetworkInterfaces(page)))
    }

    fn status(&self, id: &NetworkInterfaceId) -> InterfaceStatus {
        if self.bindings.contains_key(id) {
            InterfaceStatus::InUse
        } else {
            InterfaceStatus::Available
        }
    }

    pub(super) fn put_interface(&mut self, record: InterfaceRecord) {
        self.remove_interface(&record.id);
        let id = record.id.clone();
        self.world.put_interface(Interface {
            id: id.clone(),
            vpc: record.vpc.clone(),
            mac: Some(record.mac),
            addresses: record.addresses().map(Prefix::host).collect(),
            groups: record.groups.clone(),
            source_dest_check: record.source_dest_check,
        });
        self.index.interfaces.insert((record.owner, record.region.clone()), id.clone());
        self.index.interfaces_of_vswitch.insert(record.vswitch.clone(), id.clone());
        self.index.macs.insert(record.mac, id.clone());
        let pool = self.index.pools.entry(record.vswitch.clone()).or_default();
        for address in record.addresses() {
            match address {
                IpAddr::V4(_) => {
                    pool.ipv4.insert(address_bits(address));
                    pool.ipv4_count += 1;
                }
                IpAddr::V6(_) => pool.ipv6.insert(address_bits(address)),
            }
        }
        let combination = sorted(&record.groups);
        for group in &combination {
            self.index.combinations.add(group, &combination);
            shift(&mut self.index.addresses_of_group, group, record.address_count(), 0);
        }
        self.interfaces.insert(id, record);
    }

    pub(super) fn remove_interface(&mut self, id: &NetworkInterfaceId) {
        let Some(old) = self.interfaces.remove(id) else { return };
        self.world.remove_interface(id);
        self.index.interfaces.remove(&(old.owner, old.region.clone()), id);
        self.index.interfaces_of_vswitch.remove(&old.vswitch, id);
        self.index.macs.remove(&old.mac);
        if let Some(pool) = self.index.pools.get_mut(&old.vswitch) {
            for address in old.addresses() {
                match address {
                    IpAddr::V4(_) => {
                        pool.ipv4.remove(address_bits(address));
                        pool.ipv4_count = pool.ipv4_count.saturating_sub(1);
                    }
                    IpAddr::V6(_) => pool.ipv6.remove(address_bits(address)),
                }
            }
            if pool.ipv4.is_empty() && pool.ipv6.is_empty() {
                self.index.pools.remove(&old.vswitch);
            }
        }
        let combination = sorted(&old.groups);
        for group in &combination {
            self.index.combinations.subtract(group, &combination);
            shift(&mut self.index.addresses_of_group, group, 0, old.address_count());
        }
    }
}

fn sorted(groups: &[SecurityGroupId]) -> Vec<SecurityGroupId> {
    let mut sorted = groups.to_vec();
    sorted.sort_unstable();
    sorted
}

fn at_most(count: usize, most: usize, place: &'static str) -> Result<(), ApiError> {
    if count <= most {
        return Ok(());
    }
    let message = alloc::format!("A network interface may have at most {most} of {place}.");
    Err(ApiError::invalid("InvalidParameter", message).at(place))
}

/// Idle times as they are, with what the command sets; all of them unset stays unset.
fn merged_tracking(
    old: Option<ConnectionTracking>,
    command: &ModifyNetworkInterfaceAttribute,
) -> Result<Option<ConnectionTracking>, ApiError> {
    let (established, closed, udp) =
        (command.tcp_established_s, command.tcp_closed_s, command.udp_s);
    if established.is_none() && closed.is_none() && udp.is_none() {
        return Ok(old);
    }
    let base = old.unwrap_or(ConnectionTracking::DEFAULT);
    let merged = ConnectionTracking::new(
        established.unwrap_or(base.tcp_established_s()),
        closed.unwrap_or(base.tcp_closed_s()),
        udp.unwrap_or(base.udp_s()),
    );
    merged.map(Some).ok_or_else(|| {
        ApiError::invalid(
            "InvalidParameter.ConnectionTrackingConfiguration",
            "The specified ConnectionTrackingConfiguration is not valid.",
        )
        .at("ConnectionTrackingConfiguration")
        .help(
            "TcpEstablishedTimeout is 30, 60, 80, 100, 200, 300, 500, 700 or 910, \
             TcpClosedAndTimeWaitTimeout 3 to 15, UdpTimeout 10, 20, 30, 60, 80 or 100.",
        )
    })
}

fn meets(
    command: &DescribeNetworkInterfaces,
    record: &InterfaceRecord,
    status: InterfaceStatus,
) -> bool {
    let has_ipv4 =
        |address: &Ipv4Addr| record.primary == *address || record.secondary.contains(address);
    command.group.as_ref().is_none_or(|group| record.groups.contains(group))
        && command.vswitch.as_ref().is_none_or(|vswitch| record.vswitch == *vswitch)
        && command.vpc.as_ref().is_none_or(|vpc| record.vpc == *vpc)
        && command.primary.is_none_or(|primary| record.primary == primary)
        && (command.private_addresses.is_empty() || command.private_addresses.iter().any(has_ipv4))
        && (command.ipv6_addresses.is_empty()
            || command.ipv6_addresses.iter().any(|address| record.ipv6.contains(address)))
        && command.name.as_ref().is_none_or(|name| record.name.as_ref() == Some(name))
        && command.status.is_none_or(|wanted| wanted == Some(status))
        && command.secondary_type != Some(false)
        && !command.of_instance
        && (command.resource_group.is_none() || record.resource_group == command.resource_group)
        && record.tags.meet(&command.tags)
}

/// Addresses of one family that an interface takes out of a block, one after another.
struct Choice<'a> {
    block: Prefix,
    used: &'a Spans,
    taken: BTreeSet<u128>,
    place: &'static str,
}

impl<'a> Choice<'a> {
    fn new(block: Prefix, used: &'a Spans, place: &'static str) -> Self {
        Self { block, used, taken: BTreeSet::new(), place }
    }

    /// This very address.
    fn take(&mut self, address: IpAddr, place: &'static str) -> Result<(), ApiError> {
        let number = address_bits(address);
        let (first, last) = usable(self.block);
        if !self.block.contains(address) || !(first..=last).contains(&number) {
            let message = alloc::format!("The specified address `{address}` cannot be used.");
            let help = alloc::format!(
                "It must lie in {}, and not be one of the block's reserved addresses.",
                self.block
            );
            return Err(ApiError::invalid("InvalidIp.Address", message).at(place).help(help));
        }
        if !self.taken.insert(number) {
            let message = alloc::format!("The address `{address}` is given twice.");
            return Err(ApiError::invalid("InvalidPrivateIpAddress.Duplicated", message).at(place));
        }
        if self.used.contains(number) {
            let message = alloc::format!("The specified address `{address}` is in use.");
            return Err(ApiError::forbidden("InvalidIp.IpRepeated", message).at(place));
        }
        Ok(())
    }

    /// The lowest that is free.
    fn lowest(&mut self) -> Result<u128, ApiError> {
        let (mut from, to) = usable(self.block);
        loop {
            let free = self.used.lowest_free(from, to).ok_or_else(|| {
                ApiError::forbidden(
                    "InvalidVSwitchId.IpNotEnough",
                    "The specified vSwitch does not have enough free addresses.",
                )
                .at(self.place)
            })?;
            if self.taken.insert(free) {
                return Ok(free);
            }
            from = free + 1;
        }
    }
}
