//! How many rules there may be. A rule that names a list counts with the list's `MaxEntries`,
//! whatever is in it now, because every entry is a rule to whoever enforces it.
use alloc::collections::{BTreeMap, BTreeSet};

use crate::command::Context;
use crate::error::ApiError;
use crate::ids::{PortRangeListId, PrefixListId, SecurityGroupId};
use crate::list::{PortRanges, Prefixes};
use crate::rule::{Peer, PortMatch};
use crate::state::index::Index;
use crate::state::list::StoredList;
use crate::state::{GroupEntry, State};

/// The lists that one rule names.
pub(super) type RuleLists = (Option<PrefixListId>, Option<PortRangeListId>);

/// The lists that a rule of this peer and these ports names.
fn lists_of(peer: &Peer, ports: &PortMatch) -> RuleLists {
    let prefix_list = match peer {
        Peer::PrefixList(list) => Some(list.clone()),
        Peer::Cidr(_) | Peer::Group(_) => None,
    };
    let port_range_list = match ports {
        PortMatch::List(list) => Some(list.clone()),
        PortMatch::Ports(_) => None,
    };
    (prefix_list, port_range_list)
}

impl Index {
    /// Takes note of the lists of a rule that is now in the group.
    pub(super) fn add_lists(&mut self, group: &SecurityGroupId, peer: &Peer, ports: &PortMatch) {
        let lists = lists_of(peer, ports);
        if let (None, None) = lists {
            return;
        }
        if let Some(list) = &lists.0 {
            self.groups_of_prefix_list.add(list, group);
        }
        if let Some(list) = &lists.1 {
            self.groups_of_port_range_list.add(list, group);
        }
        self.lists_of_group.add(group, &lists);
    }

    /// Forgets those of a rule that has left it.
    pub(super) fn subtract_lists(
        &mut self,
        group: &SecurityGroupId,
        peer: &Peer,
        ports: &PortMatch,
    ) {
        let lists = lists_of(peer, ports);
        if let Some(list) = &lists.0 {
            self.groups_of_prefix_list.subtract(list, group);
        }
        if let Some(list) = &lists.1 {
            self.groups_of_port_range_list.subtract(list, group);
        }
        self.lists_of_group.subtract(group, &lists);
    }
}

impl State {
    /// How many rules a rule of this peer and these ports counts.
    pub(super) fn places(&self, peer: &Peer, ports: &PortMatch) -> usize {
        self.places_of(&lists_of(peer, ports))
    }

    fn places_of(&self, lists: &RuleLists) -> usize {
        let prefixes = lists.0.as_ref().and_then(|list| self.prefix_lists.get(list));
        let ranges = lists.1.as_ref().and_then(|list| self.port_range_lists.get(list));
        prefixes.map_or(1, |list| usize::from(list.max_entries))
            * ranges.map_or(1, |list| usize::from(list.max_entries))
    }

    /// How many rules the rules of a group count.
    fn group_places(&self, group: &GroupEntry) -> usize {
        let lists = self.index.lists_of_group.counted(&group.record.id);
        // The rule itself is one of its places.
        let more = lists.map(|(lists, count)| count * (self.places_of(lists) - 1));
        group.rules.len() + more.sum::<usize>()
    }

    /// How many rules all the rules of these groups count.
    pub(super) fn rule_sum(&self, groups: &[SecurityGroupId]) -> usize {
        let entries = groups.iter().filter_map(|id| self.groups.get(id));
        entries.map(|entry| self.group_places(entry)).sum()
    }

    /// Whether the group may have rules that count `more`, once those that count `fewer` are gone.
    pub(super) fn check_rule_quota(
        &self,
        context: &Context<'_>,
        group: &GroupEntry,
        more: usize,
        fewer: usize,
    ) -> Result<(), ApiError> {
        let exceeded = |what: &str, quota: usize| {
            let message = alloc::format!("The limit of {quota} rules of {what} would be exceeded.");
            Err(ApiError::forbidden("AuthorizationLimitExceed", message)
                .at("SecurityGroupId")
                .help("A rule that names a list counts with the list's MaxEntries."))
        };
        if more <= fewer {
            return Ok(());
        }
        let quotas = &context.settings.quotas;
        if self.group_places(group) + more - fewer > quotas.rules_per_group {
            return exceeded("one security group", quotas.rules_per_group);
        }
        let id = &group.record.id;
        // Each group is counted once, in however many combinations it stands.
        let mut known: BTreeMap<&SecurityGroupId, usize> = BTreeMap::new();
        let mut places_of_group = |id| {
            let count = || self.groups.get(id).map_or(0, |entry| self.group_places(entry));
            *known.entry(id).or_insert_with(count)
        };
        let combinations = self.index.combinations.get(id);
        let mut sums =
            combinations.map(|groups| groups.iter().map(&mut places_of_group).sum::<usize>());
        if sums.any(|sum| sum + more - fewer > quotas.rules_per_interface) {
            return exceeded("all security groups of one interface", quotas.rules_per_interface);
        }
        Ok(())
    }

    /// Whether the group may name all the lists that these rules name.
    pub(super) fn check_associations<'a>(
        &self,
        context: &Context<'_>,
        group: &SecurityGroupId,
        rules: impl Iterator<Item = (&'a Peer, &'a PortMatch)>,
    ) -> Result<(), ApiError> {
        let lists: BTreeSet<RuleLists> = rules.map(|(peer, ports)| lists_of(peer, ports)).collect();
        for (prefix_list, port_range_list) in lists {
            if let Some(list) = prefix_list {
                self.check_association::<Prefixes>(context, group, &list)?;
            }
            if let Some(list) = port_range_list {
                self.check_association::<PortRanges>(context, group, &list)?;
            }
        }
        Ok(())
    }

    fn check_association<K: StoredList>(
        &self,
        context: &Context<'_>,
        group: &SecurityGroupId,
        list: &K::Id,
    ) -> Result<(), ApiError> {
        let (associations, quota) =
            (K::associations(&self.index), context.settings.quotas.associations_per_list);
        if associations.contains(list, group) || associations.count(list) < quota {
            return Ok(());
        }
        let message = alloc::format!(
            "The number of resources associated with the list `{list}` has reached its quota."
        );
        Err(ApiError::forbidden(K::NAMES.too_many_associations, message).at("SecurityGroupId"))
    }
}
