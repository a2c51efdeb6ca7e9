//! New interfaces of one command: each is chosen beside those that the command makes with it.
use alloc::collections::{BTreeMap, BTreeSet};

use super::addresses::Counts;
use super::choice::{self, Taken};
use super::membership::{Entrance, Entry, Joined};
use super::vswitch_not_found;
use crate::command::{Context, CreateNetworkInterface};
use crate::error::ApiError;
use crate::ids::{NetworkInterfaceId, VSwitchId};
use crate::net::Mac;
use crate::records::{InterfaceRecord, VSwitch};
use crate::state::index::{Place, Pool};
use crate::state::{State, draw};

/// What the interfaces that were made so far take up.
pub(in crate::state) struct Draft<'a> {
    state: &'a State,
    taken: BTreeMap<VSwitchId, Taken>,
    joined: Joined,
    macs: BTreeSet<Mac>,
    ids: BTreeSet<NetworkInterfaceId>,
    made: BTreeMap<Place, usize>,
}

impl<'a> Draft<'a> {
    pub(in crate::state) fn new(state: &'a State) -> Self {
        Self {
            state,
            taken: BTreeMap::new(),
            joined: Joined::default(),
            macs: BTreeSet::new(),
            ids: BTreeSet::new(),
            made: BTreeMap::new(),
        }
    }

    /// One more.
    pub(in crate::state) fn interface(
        &mut self,
        context: &mut Context<'_>,
        command: &CreateNetworkInterface,
        entrance: Entrance,
    ) -> Result<InterfaceRecord, ApiError> {
        let state = self.state;
        let vswitch = state.own_vswitch(context, &command.vswitch).ok_or_else(vswitch_not_found)?;
        self.count(context, vswitch)?;
        let none = Pool::default();
        let pool = state.index.pools.get(&vswitch.id).unwrap_or(&none);
        let taken = self.taken.entry(vswitch.id.clone()).or_default();
        let (primary, ipv4) =
            choice::new_ipv4(vswitch, pool, taken, command.primary, &command.addresses)?;
        let ipv6 = choice::ipv6(vswitch, pool, taken, &command.addresses)?;
        let counts = Counts {
            secondary: ipv4.secondary.len(),
            ipv4_prefixes: ipv4.prefixes.len(),
            ipv6: ipv6.addresses.len(),
            ipv6_prefixes: ipv6.prefixes.len(),
        };
        counts.check()?;
        let entry = Entry {
            vpc: &vswitch.vpc,
            groups: &command.groups,
            old: &[],
            address_count: counts.sum(),
            entrance,
        };
        let groups = state.check_groups(context, &entry, &self.joined)?;
        let mac = self.mac(context, command.mac)?;
        let is_taken =
            |id: &NetworkInterfaceId| state.interfaces.contains_key(id) || self.ids.contains(id);
        let record = InterfaceRecord {
            id: draw::id(context.dice, "eni-", is_taken)?,
            owner: context.caller,
            region: vswitch.region.clone(),
            vpc: vswitch.vpc.clone(),
            vswitch: vswitch.id.clone(),
            zone: vswitch.zone.clone(),
            name: command.name.clone(),
            description: command.description.clone(),
            mac,
            primary,
            secondary: ipv4.secondary,
            ipv6: ipv6.addresses,
            ipv4_prefixes: ipv4.prefixes,
            ipv6_prefixes: ipv6.prefixes,
            groups,
            source_dest_check: command.source_dest_check,
            delete_on_release: command.delete_on_release.unwrap_or(true),
            connection_tracking: command.connection_tracking,
            queue_number: command.queue_number,
            attachment: None,
            resource_group: command.resource_group.clone(),
            tags: command.tags.clone(),
            created_ms: context.now_ms,
        };
        self.joined.add(&record);
        self.ids.insert(record.id.clone());
        Ok(record)
    }

    /// Counts one more, if the account may have it there.
    fn count(&mut self, context: &Context<'_>, vswitch: &VSwitch) -> Result<(), ApiError> {
        let place = (context.caller, vswitch.region.clone());
        let owned = self.state.index.interfaces.count(&place);
        let made = self.made.entry(place).or_default();
        if owned + *made >= context.settings.quotas.interfaces_per_region {
            return Err(ApiError::forbidden(
                "MaxEniCountExceeded",
                "The number of network interfaces in the region has reached its quota.",
            ));
        }
        *made += 1;
        Ok(())
    }

    fn mac(&mut self, context: &mut Context<'_>, mac: Option<Mac>) -> Result<Mac, ApiError> {
        let (state, macs) = (self.state, &mut self.macs);
        let is_taken = |mac: &Mac| state.index.macs.contains_key(mac) || macs.contains(mac);
        let Some(mac) = mac else {
            let mac = draw::mac(context.dice, is_taken)?;
            macs.insert(mac);
            return Ok(mac);
        };
        let Mac([first, ..]) = mac;
        let bad = |message: &'static str| {
            Err(ApiError::invalid("InvalidParam.MacAddress", message).at("MacAddress"))
        };
        if first & 1 == 1 || mac == Mac([0; 6]) {
            return bad("The specified MacAddress is not that of one device.");
        }
        if is_taken(&mac) {
            return bad("The specified MacAddress is that of another network interface.");
        }
        macs.insert(mac);
        Ok(mac)
    }
}
