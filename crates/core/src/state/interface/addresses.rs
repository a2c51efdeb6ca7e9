//! Addresses and prefixes that an interface gets and gives back while it lives.
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use super::choice::{self, Taken};
use super::membership::Entrance;
use super::{interface_not_found, vswitch_not_found};
use crate::command::{AssignAddresses, Context, UnassignAddresses, WantedAddresses, Written};
use crate::error::ApiError;
use crate::limits::{INTERFACE_PREFIXES_MAX, IPV6_ADDRESSES_MAX, SECONDARY_ADDRESSES_MAX};
use crate::records::{Change, InterfaceRecord, Record, VSwitch};
use crate::state::group::capacity;
use crate::state::index::Pool;
use crate::state::{Decision, State};
use crate::world::GroupType;

/// How many of each kind an interface has.
pub(super) struct Counts {
    pub(super) secondary: usize,
    pub(super) ipv4_prefixes: usize,
    pub(super) ipv6: usize,
    pub(super) ipv6_prefixes: usize,
}

impl Counts {
    fn of(record: &InterfaceRecord) -> Self {
        Self {
            secondary: record.secondary.len(),
            ipv4_prefixes: record.ipv4_prefixes.len(),
            ipv6: record.ipv6.len(),
            ipv6_prefixes: record.ipv6_prefixes.len(),
        }
    }

    /// All of them, the primary address too.
    pub(super) fn sum(&self) -> usize {
        1 + self.secondary + self.ipv4_prefixes + self.ipv6 + self.ipv6_prefixes
    }

    /// Whether an interface may have so many.
    pub(super) fn check(&self) -> Result<(), ApiError> {
        let checks = [
            (self.secondary, SECONDARY_ADDRESSES_MAX, "PrivateIpAddress", true),
            (self.ipv4_prefixes, INTERFACE_PREFIXES_MAX, "Ipv4Prefix", true),
            (self.ipv6, IPV6_ADDRESSES_MAX, "Ipv6Address", false),
            (self.ipv6_prefixes, INTERFACE_PREFIXES_MAX, "Ipv6Prefix", false),
        ];
        for (count, most, place, is_ipv4) in checks {
            if count > most {
                let message =
                    alloc::format!("A network interface may have at most {most} of {place}.");
                let error = if is_ipv4 {
                    ApiError::forbidden("InvalidOperation.Ipv4CountExceeded", message)
                } else {
                    ApiError::forbidden("InvalidOperation.Ipv6CountExceeded", message)
                };
                return Err(error.at(place));
            }
        }
        Ok(())
    }
}

impl State {
    pub(in crate::state) fn assign_ipv4(
        &self,
        context: &Context<'_>,
        command: &AssignAddresses,
    ) -> Result<Decision, ApiError> {
        let (old, vswitch, pool) = self.assignee(context, command, "PrivateIpAddress")?;
        let chosen = choice::more_ipv4(vswitch, pool, &command.addresses)?;
        let mut record = old.clone();
        record.secondary.extend(&chosen.secondary);
        record.ipv4_prefixes.extend(&chosen.prefixes);
        let written = Written::AssignedIpv4 {
            interface: record.id.clone(),
            addresses: chosen.secondary,
            prefixes: chosen.prefixes,
        };
        self.assigned(context, old, record, written)
    }

    pub(in crate::state) fn assign_ipv6(
        &self,
        context: &Context<'_>,
        command: &AssignAddresses,
    ) -> Result<Decision, ApiError> {
        let (old, vswitch, pool) = self.assignee(context, command, "Ipv6Address")?;
        let chosen = choice::ipv6(vswitch, pool, &mut Taken::default(), &command.addresses)?;
        let mut record = old.clone();
        record.ipv6.extend(&chosen.addresses);
        record.ipv6_prefixes.extend(&chosen.prefixes);
        let written = Written::AssignedIpv6 {
            interface: record.id.clone(),
            addresses: chosen.addresses,
            prefixes: chosen.prefixes,
        };
        self.assigned(context, old, record, written)
    }

    /// The interface, and where its addresses come from.
    fn assignee(
        &self,
        context: &Context<'_>,
        command: &AssignAddresses,
        place: &'static str,
    ) -> Result<(&InterfaceRecord, &VSwitch, &Pool), ApiError> {
        if command.addresses == WantedAddresses::default() {
            return Err(nothing_named(place));
        }
        let record =
            self.own_interface(context, &command.interface).ok_or_else(interface_not_found)?;
        let vswitch = self.vswitches.get(&record.vswitch).ok_or_else(vswitch_not_found)?;
        let pool = self.index.pools.get(&record.vswitch).ok_or_else(vswitch_not_found)?;
        Ok((record, vswitch, pool))
    }

    /// Lets an interface have what was chosen, if it and its groups may.
    fn assigned(
        &self,
        context: &Context<'_>,
        old: &InterfaceRecord,
        record: InterfaceRecord,
        written: Written,
    ) -> Result<Decision, ApiError> {
        Counts::of(&record).check()?;
        let more = record.address_count() - old.address_count();
        let most = capacity(&context.settings.quotas, GroupType::Basic);
        let basic = |id: &&_| {
            self.groups.get(*id).is_some_and(|group| group.record.group_type == GroupType::Basic)
        };
        if record
            .groups
            .iter()
            .filter(basic)
            .any(|id| self.used(GroupType::Basic, id) + more > most)
        {
            return Err(Entrance::Interface.full().at("NetworkInterfaceId"));
        }
        Ok(Decision::write(written, vec![Change::Put(Record::Interface(Box::new(record)))]))
    }

    pub(in crate::state) fn unassign(
        &self,
        context: &Context<'_>,
        command: &UnassignAddresses,
    ) -> Result<Decision, ApiError> {
        let UnassignAddresses { interface: _, secondary, ipv4_prefixes, ipv6, ipv6_prefixes } =
            command;
        let has_prefixes = !ipv4_prefixes.is_empty() || !ipv6_prefixes.is_empty();
        if secondary.is_empty() && ipv6.is_empty() && !has_prefixes {
            return Err(nothing_named("PrivateIpAddress"));
        }
        let old =
            self.own_interface(context, &command.interface).ok_or_else(interface_not_found)?;
        if command.secondary.contains(&old.primary) {
            return Err(ApiError::invalid(
                "InvalidParameter",
                "The primary address of a network interface cannot be unassigned.",
            )
            .at("PrivateIpAddress"));
        }
        let mut record = old.clone();
        remove(&mut record.secondary, &command.secondary, "PrivateIpAddress")?;
        remove(&mut record.ipv4_prefixes, &command.ipv4_prefixes, "Ipv4Prefix")?;
        remove(&mut record.ipv6, &command.ipv6, "Ipv6Address")?;
        remove(&mut record.ipv6_prefixes, &command.ipv6_prefixes, "Ipv6Prefix")?;
        let changes = if record == *old {
            Vec::new()
        } else {
            vec![Change::Put(Record::Interface(Box::new(record)))]
        };
        Ok(Decision::done(changes))
    }
}

/// A call that would change nothing says more about its sender than about the interface.
fn nothing_named(place: &'static str) -> ApiError {
    ApiError::invalid("MissingParameter", "The call names no address and no prefix.").at(place)
}

/// Removes `gone`, all of which must be there; one that is named twice goes once.
fn remove<T: PartialEq + core::fmt::Display>(
    own: &mut Vec<T>,
    gone: &[T],
    place: &'static str,
) -> Result<(), ApiError> {
    if let Some(unknown) = gone.iter().find(|address| !own.contains(address)) {
        let message = alloc::format!("The network interface does not have `{unknown}`.");
        return Err(ApiError::forbidden("InvalidIp.IpUnassigned", message).at(place));
    }
    own.retain(|address| !gone.contains(address));
    Ok(())
}
