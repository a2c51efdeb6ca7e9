//! What the state looks up without looking through everything. Derived from the records alone, and
//! following every change.
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::ids::{
    AccessKeyId, AccountId, InstanceId, NetworkInterfaceId, PortRangeListId, PrefixListId,
    RegionId, RouteTableId, RouterId, SecurityGroupId, VSwitchId, VpcId,
};
use crate::multimap::Multimap;
use crate::net::{Mac, Prefix};
use crate::state::rule_quota::RuleLists;
use crate::state::spans::Spans;
use crate::state::token::TokenSum;
use crate::text::{AccountName, ClientToken, DeviceName};

/// Whose, and where.
pub(super) type Place = (AccountId, RegionId);

/// The addresses in use in one vSwitch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Pool {
    pub(super) ipv4: Spans,
    pub(super) ipv6: Spans,
    pub(super) ipv4_count: u32,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Index {
    pub(super) vpcs: Multimap<Place, VpcId>,
    pub(super) vswitches: Multimap<Place, VSwitchId>,
    pub(super) groups: Multimap<Place, SecurityGroupId>,
    pub(super) interfaces: Multimap<Place, NetworkInterfaceId>,
    pub(super) instances: Multimap<Place, InstanceId>,
    pub(super) prefix_lists: Multimap<Place, PrefixListId>,
    pub(super) port_range_lists: Multimap<Place, PortRangeListId>,
    pub(super) vpcs_by_router: Multimap<RouterId, VpcId>,
    pub(super) vpcs_by_route_table: Multimap<RouteTableId, VpcId>,
    pub(super) vpcs_by_ipv6_block: Multimap<Prefix, VpcId>,
    pub(super) vswitches_of_vpc: Multimap<VpcId, VSwitchId>,
    pub(super) groups_of_vpc: Multimap<VpcId, SecurityGroupId>,
    pub(super) interfaces_of_vswitch: Multimap<VSwitchId, NetworkInterfaceId>,
    pub(super) interfaces_of_instance: Multimap<InstanceId, NetworkInterfaceId>,
    pub(super) pools: BTreeMap<VSwitchId, Pool>,
    pub(super) macs: BTreeMap<Mac, NetworkInterfaceId>,
    pub(super) devices: BTreeMap<DeviceName, NetworkInterfaceId>,
    /// Rules by the group they name: the groups they stand in, and how many in each.
    pub(super) references: Counts<SecurityGroupId, SecurityGroupId>,
    /// Rules by the prefix list they name: the groups they stand in, and how many in each.
    pub(super) groups_of_prefix_list: Counts<PrefixListId, SecurityGroupId>,
    /// The same by port range list.
    pub(super) groups_of_port_range_list: Counts<PortRangeListId, SecurityGroupId>,
    /// The rules of a group that name lists: which, and how many of each.
    pub(super) lists_of_group: Counts<SecurityGroupId, RuleLists>,
    /// The combinations of groups that interfaces have, by each of the groups: the rules of an
    /// interface are counted once per combination and not once per interface.
    pub(super) combinations: Counts<SecurityGroupId, Vec<SecurityGroupId>>,
    /// Addresses of all members of a group.
    pub(super) addresses_of_group: BTreeMap<SecurityGroupId, usize>,
    /// Rules of a group whose peer is a group.
    pub(super) group_rules_of_group: BTreeMap<SecurityGroupId, usize>,
    pub(super) account_names: BTreeMap<AccountName, AccountId>,
    pub(super) keys_of_account: Multimap<AccountId, AccessKeyId>,
    /// Temporary keys by when they expire.
    pub(super) key_expiry: BTreeSet<(u64, AccessKeyId)>,
    /// The accounts that a VPC is shared with.
    pub(super) shares_of_vpc: Multimap<VpcId, AccountId>,
    /// The VPCs that are shared with an account.
    pub(super) shared_vpcs: Multimap<AccountId, VpcId>,
    /// Client tokens by when they expire.
    pub(super) token_expiry: BTreeSet<(u64, AccountId, ClientToken)>,
    /// How many client tokens an account has, and what they take.
    pub(super) tokens_of_account: BTreeMap<AccountId, TokenSum>,
}

/// How often each value stands under a key; none counts zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Counts<K, V>(BTreeMap<K, BTreeMap<V, usize>>);

impl<K, V> Default for Counts<K, V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord + Clone, V: Ord + Clone> Counts<K, V> {
    pub(super) fn add(&mut self, key: &K, value: &V) {
        *self.0.entry(key.clone()).or_default().entry(value.clone()).or_default() += 1;
    }

    pub(super) fn subtract(&mut self, key: &K, value: &V) {
        let Some(values) = self.0.get_mut(key) else { return };
        if let Some(count) = values.get_mut(value) {
            *count -= 1;
            if *count == 0 {
                values.remove(value);
            }
        }
        if values.is_empty() {
            self.0.remove(key);
        }
    }

    /// The values under a key in their order.
    pub(super) fn get(&self, key: &K) -> impl Iterator<Item = &V> {
        self.0.get(key).into_iter().flat_map(BTreeMap::keys)
    }

    /// The values under a key, each with how often it stands there.
    pub(super) fn counted(&self, key: &K) -> impl Iterator<Item = (&V, usize)> {
        self.0.get(key).into_iter().flatten().map(|(value, count)| (value, *count))
    }

    /// Whether the value stands under the key.
    pub(super) fn contains(&self, key: &K, value: &V) -> bool {
        self.0.get(key).is_some_and(|values| values.contains_key(value))
    }

    /// How many different values stand under a key.
    pub(super) fn count(&self, key: &K) -> usize {
        self.0.get(key).map_or(0, BTreeMap::len)
    }
}

/// Adds to a count, or takes from it; a count of zero is not kept.
pub(super) fn shift<K: Ord + Clone>(
    counts: &mut BTreeMap<K, usize>,
    key: &K,
    more: usize,
    fewer: usize,
) {
    let count = counts.get(key).copied().unwrap_or(0).saturating_add(more).saturating_sub(fewer);
    if count == 0 {
        counts.remove(key);
    } else {
        counts.insert(key.clone(), count);
    }
}
