//! Prefix lists and port range lists: made, changed, listed, and deleted when no rule names them.
//!
//! What both have in common is written once; where they lie and what the API calls them stands in
//! [`StoredList`].
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use crate::command::{
    AddedEntry, Context, CreateList, DescribeListAssociations, DescribeLists, Edit,
    ListAssociations, ListRow, ModifyList, Outcome, Page, Written,
};
use crate::error::ApiError;
use crate::ids::{PortRangeListId, PrefixListId, SecurityGroupId};
use crate::limits::ENTRIES_PER_CALL_MAX;
use crate::list::{List, ListEntry, ListKind, PortRanges, Prefixes};
use crate::multimap::Multimap;
use crate::net::{Family, Ports, Prefix};
use crate::records::{Change, Record, RecordKey};
use crate::settings::Quotas;
use crate::state::account::{region_of, sees};
use crate::state::describe::{Descending, in_sight, part};
use crate::state::index::{Counts, Index, Place};
use crate::state::{Decision, State, draw};
use crate::world::World;

/// What the API calls a kind of list, its parameters and its refusals.
pub(super) struct ListNames {
    id: &'static str,
    id_prefix: &'static str,
    not_found: &'static str,
    entry: &'static str,
    entry_malformed: &'static str,
    entry_duplicated: &'static str,
    max_entries_exceeded: &'static str,
    in_use: &'static str,
    /// Too many groups name it.
    pub(super) too_many_associations: &'static str,
}

/// A kind of list and where its lists lie.
pub(super) trait StoredList: ListKind {
    const NAMES: ListNames;

    fn lists(state: &State) -> &BTreeMap<Self::Id, List<Self>>;
    fn lists_mut(state: &mut State) -> &mut BTreeMap<Self::Id, List<Self>>;
    fn by_place(index: &Index) -> &Multimap<Place, Self::Id>;
    fn by_place_mut(index: &mut Index) -> &mut Multimap<Place, Self::Id>;
    /// The groups with rules that name a list.
    fn associations(index: &Index) -> &Counts<Self::Id, SecurityGroupId>;
    /// How many an account may have in a region, and how more of them are refused.
    fn quota(quotas: &Quotas) -> (usize, ApiError);
    /// Whether an entry fits the list.
    fn is_entry(scope: Self::Scope, value: Self::Value) -> bool;
    fn record(list: List<Self>) -> Record;
    fn key(id: Self::Id) -> RecordKey;
    fn written(id: Self::Id) -> Written;
    fn put_into(world: &mut World, list: &List<Self>);
    fn remove_from(world: &mut World, id: &Self::Id);
}

impl StoredList for Prefixes {
    const NAMES: ListNames = ListNames {
        id: "PrefixListId",
        id_prefix: "pl-",
        not_found: "InvalidPrefixListId.NotFound",
        entry: "Cidr",
        entry_malformed: "InvalidParameter.CidrMalformed",
        entry_duplicated: "InvalidParameter.CidrDuplicated",
        max_entries_exceeded: "InvalidParameter",
        in_use: "NotAllowed.AssociationExist",
        too_many_associations: "LimitExceed.PrefixListAssociationResource",
    };

    fn lists(state: &State) -> &BTreeMap<PrefixListId, List<Self>> {
        &state.prefix_lists
    }

    fn lists_mut(state: &mut State) -> &mut BTreeMap<PrefixListId, List<Self>> {
        &mut state.prefix_lists
    }

    fn by_place(index: &Index) -> &Multimap<Place, PrefixListId> {
        &index.prefix_lists
    }

    fn by_place_mut(index: &mut Index) -> &mut Multimap<Place, PrefixListId> {
        &mut index.prefix_lists
    }

    fn associations(index: &Index) -> &Counts<PrefixListId, SecurityGroupId> {
        &index.groups_of_prefix_list
    }

    fn quota(quotas: &Quotas) -> (usize, ApiError) {
        let error = ApiError::not_found(
            "LimitExceed.PrefixListPerRegion",
            "The number of prefix lists in the region has reached its quota.",
        );
        (quotas.prefix_lists_per_region, error)
    }

    fn is_entry(family: Family, prefix: Prefix) -> bool {
        prefix.family() == family
    }

    fn record(list: List<Self>) -> Record {
        Record::PrefixList(list)
    }

    fn key(id: PrefixListId) -> RecordKey {
        RecordKey::PrefixList(id)
    }

    fn written(list: PrefixListId) -> Written {
        Written::PrefixList { list }
    }

    fn put_into(world: &mut World, list: &List<Self>) {
        world.put_prefix_list(list.in_world());
    }

    fn remove_from(world: &mut World, id: &PrefixListId) {
        world.remove_prefix_list(id);
    }
}

impl StoredList for PortRanges {
    const NAMES: ListNames = ListNames {
        id: "PortRangeListId",
        id_prefix: "prl-",
        not_found: "InvalidPortRangeListId.NotFound",
        entry: "PortRange",
        entry_malformed: "InvalidParameter.PortRange",
        entry_duplicated: "InvalidParameter.PortRangeDuplicated",
        max_entries_exceeded: "InvalidOperation.MaxEntriesCountExceed",
        in_use: "InvalidPortRangeListId.AssociationExist",
        too_many_associations: "LimitExceed.PortRangeListAssociationResource",
    };

    fn lists(state: &State) -> &BTreeMap<PortRangeListId, List<Self>> {
        &state.port_range_lists
    }

    fn lists_mut(state: &mut State) -> &mut BTreeMap<PortRangeListId, List<Self>> {
        &mut state.port_range_lists
    }

    fn by_place(index: &Index) -> &Multimap<Place, PortRangeListId> {
        &index.port_range_lists
    }

    fn by_place_mut(index: &mut Index) -> &mut Multimap<Place, PortRangeListId> {
        &mut index.port_range_lists
    }

    fn associations(index: &Index) -> &Counts<PortRangeListId, SecurityGroupId> {
        &index.groups_of_port_range_list
    }

    fn quota(quotas: &Quotas) -> (usize, ApiError) {
        let error = ApiError::invalid(
            "InvalidOperation.MaxCountExceed",
            "The number of port range lists in the region has reached its quota.",
        );
        (quotas.port_range_lists_per_region, error)
    }

    /// `-1/-1` would be every packet, of protocols without ports too.
    fn is_entry((): (), ports: Ports) -> bool {
        ports != Ports::Any
    }

    fn record(list: List<Self>) -> Record {
        Record::PortRangeList(list)
    }

    fn key(id: PortRangeListId) -> RecordKey {
        RecordKey::PortRangeList(id)
    }

    fn written(list: PortRangeListId) -> Written {
        Written::PortRangeList { list }
    }

    fn put_into(world: &mut World, list: &List<Self>) {
        world.put_port_range_list(list.in_world());
    }

    fn remove_from(world: &mut World, id: &PortRangeListId) {
        world.remove_port_range_list(id);
    }
}

/// So many entries in one call, each fit for the list and none twice.
fn check_entries<K: StoredList>(
    scope: K::Scope,
    values: &[K::Value],
    list: &'static str,
) -> Result<(), ApiError> {
    let names = &K::NAMES;
    if values.len() > ENTRIES_PER_CALL_MAX {
        let message = alloc::format!(
            "A call may name at most {ENTRIES_PER_CALL_MAX} entries to add and as many to remove."
        );
        return Err(ApiError::invalid("LimitExceed.Entry", message).at(list));
    }
    let refuse = |code: &'static str, message: alloc::string::String| {
        Err(ApiError::invalid(code, message).at(alloc::format!("{list}.N.{}", names.entry)))
    };
    if let Some(value) = values.iter().find(|value| !K::is_entry(scope, **value)) {
        let message = alloc::format!("The {} `{value}` cannot be in this list.", names.entry);
        return refuse(names.entry_malformed, message);
    }
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let twice = sorted.iter().zip(sorted.iter().skip(1)).find(|(one, next)| one == next);
    match twice {
        None => Ok(()),
        Some((value, _)) => {
            let message = alloc::format!("The {} `{value}` is given twice.", names.entry);
            refuse(names.entry_duplicated, message)
        }
    }
}

fn check_size(count: usize, max_entries: u16, place: &'static str) -> Result<(), ApiError> {
    if count <= usize::from(max_entries) {
        return Ok(());
    }
    let message =
        alloc::format!("The list would have {count} entries; its MaxEntries is {max_entries}.");
    Err(ApiError::invalid("LimitExceed.MaxEntries", message).at(place))
}

/// The entries without those removed and with those added. What is removed need not be there.
fn edited<K: ListKind>(
    old: &[ListEntry<K::Value>],
    remove: &[K::Value],
    add: &[AddedEntry<K::Value>],
) -> Vec<ListEntry<K::Value>> {
    let kept = old.iter().filter(|entry| !remove.contains(&entry.value));
    let mut entries: Vec<ListEntry<K::Value>> = kept.cloned().collect();
    for added in add {
        let there = entries.iter_mut().find(|entry| entry.value == added.value);
        match (there, &added.description) {
            (Some(_), Edit::Keep) => {}
            (Some(entry), Edit::Clear) => entry.description = None,
            (Some(entry), Edit::Set(text)) => entry.description = Some(text.clone()),
            (None, edit) => {
                let description = match edit {
                    Edit::Keep | Edit::Clear => None,
                    Edit::Set(text) => Some(text.clone()),
                };
                entries.push(ListEntry { value: added.value, description });
            }
        }
    }
    entries
}

impl State {
    /// The list, if the caller may see it.
    pub(super) fn own_list<K: StoredList>(
        &self,
        context: &Context<'_>,
        id: &K::Id,
    ) -> Result<&List<K>, ApiError> {
        let found = K::lists(self).get(id);
        found.filter(|list| sees(context, list.owner, &list.region)).ok_or_else(|| {
            let message = alloc::format!("The specified {} does not exist.", K::NAMES.id);
            ApiError::not_found(K::NAMES.not_found, message).at(K::NAMES.id)
        })
    }

    pub(super) fn create_list<K: StoredList>(
        &self,
        context: &mut Context<'_>,
        command: &CreateList<K>,
    ) -> Result<Decision, ApiError> {
        let region = region_of(context)?;
        if !(1..=K::ENTRIES_MAX).contains(&command.max_entries) {
            let message = alloc::format!("MaxEntries is from 1 to {}.", K::ENTRIES_MAX);
            return Err(ApiError::invalid(K::NAMES.max_entries_exceeded, message).at("MaxEntries"));
        }
        let values: Vec<_> = command.entries.iter().map(|entry| entry.value).collect();
        check_entries::<K>(command.scope, &values, "Entry")?;
        check_size(values.len(), command.max_entries, "Entry")?;
        let (quota, exceeded) = K::quota(&context.settings.quotas);
        if K::by_place(&self.index).count(&(context.caller, region.clone())) >= quota {
            return Err(exceeded);
        }
        let taken = |id: &K::Id| K::lists(self).contains_key(id);
        let list = List::<K> {
            id: draw::id(context.dice, K::NAMES.id_prefix, taken)?,
            owner: context.caller,
            region,
            name: command.name.clone(),
            description: command.description.clone(),
            scope: command.scope,
            max_entries: command.max_entries,
            entries: command.entries.clone(),
            resource_group: command.resource_group.clone(),
            tags: command.tags.clone(),
            created_ms: context.now_ms,
        };
        let written = K::written(list.id.clone());
        Ok(Decision::write(written, vec![Change::Put(K::record(list))]))
    }

    pub(super) fn modify_list<K: StoredList>(
        &self,
        context: &Context<'_>,
        command: &ModifyList<K>,
    ) -> Result<Decision, ApiError> {
        let old = self.own_list::<K>(context, &command.list)?;
        let added: Vec<_> = command.add.iter().map(|entry| entry.value).collect();
        check_entries::<K>(old.scope, &command.remove, "RemoveEntry")?;
        check_entries::<K>(old.scope, &added, "AddEntry")?;
        let mut list = old.clone();
        list.entries = edited::<K>(&old.entries, &command.remove, &command.add);
        check_size(list.entries.len(), old.max_entries, "AddEntry")?;
        if let Some(name) = &command.name {
            list.name = name.clone();
        }
        match &command.description {
            Edit::Keep => {}
            Edit::Clear => list.description = None,
            Edit::Set(text) => list.description = Some(text.clone()),
        }
        let changes = if list == *old { vec![] } else { vec![Change::Put(K::record(list))] };
        Ok(Decision::done(changes))
    }

    pub(super) fn delete_list<K: StoredList>(
        &self,
        context: &Context<'_>,
        id: &K::Id,
    ) -> Result<Decision, ApiError> {
        self.own_list::<K>(context, id)?;
        if let Some(group) = K::associations(&self.index).get(id).next() {
            let message = alloc::format!(
                "The specified list has associated resources, the security group `{group}` first."
            );
            return Err(ApiError::invalid(K::NAMES.in_use, message)
                .at(K::NAMES.id)
                .help("Revoke the rules that name the list first."));
        }
        Ok(Decision::done(vec![Change::Delete(K::key(id.clone()))]))
    }

    pub(super) fn describe_lists<K: StoredList>(
        &self,
        context: &Context<'_>,
        command: &DescribeLists<K>,
    ) -> Result<Page<ListRow<K>>, ApiError> {
        let candidates: Vec<&K::Id> = if command.lists.is_empty() {
            in_sight(K::by_place(&self.index), context)
        } else {
            command.lists.iter().collect()
        };
        let keys = candidates
            .into_iter()
            .filter_map(|id| self.own_list::<K>(context, id).ok())
            .filter(|list| {
                command.name.as_ref().is_none_or(|name| list.name == *name)
                    && command.scope.is_none_or(|scope| list.scope == scope)
                    && (command.resource_group.is_none()
                        || list.resource_group == command.resource_group)
                    && list.tags.meet(&command.tags)
            })
            .map(|list| Descending(list.id.clone()))
            .collect();
        let row = |Descending(id)| {
            let association_count = K::associations(&self.index).count(&id);
            Some(ListRow { list: K::lists(self).get(&id)?.clone(), association_count })
        };
        Ok(part(keys, &command.paging)?.rows(row))
    }

    pub(super) fn describe_list_associations<K: StoredList>(
        &self,
        context: &Context<'_>,
        command: &DescribeListAssociations<K>,
    ) -> Result<ListAssociations<K>, ApiError> {
        self.own_list::<K>(context, &command.list)?;
        let keys = K::associations(&self.index).get(&command.list).cloned().collect();
        let groups = part(keys, &command.paging)?;
        Ok(ListAssociations { list: command.list.clone(), groups })
    }

    pub(super) fn describe_prefix_list(
        &self,
        context: &Context<'_>,
        id: &PrefixListId,
    ) -> Result<Decision, ApiError> {
        let list = self.own_list::<Prefixes>(context, id)?.clone();
        Ok(Decision::read(Outcome::PrefixListAttributes(Box::new(list))))
    }

    pub(super) fn describe_port_range_list(
        &self,
        context: &Context<'_>,
        id: &PortRangeListId,
    ) -> Result<Decision, ApiError> {
        let list = self.own_list::<PortRanges>(context, id)?.clone();
        Ok(Decision::read(Outcome::PortRangeListEntries(Box::new(list))))
    }

    pub(super) fn put_list<K: StoredList>(&mut self, list: List<K>) {
        self.remove_list::<K>(&list.id);
        K::put_into(&mut self.world, &list);
        let place = (list.owner, list.region.clone());
        K::by_place_mut(&mut self.index).insert(place, list.id.clone());
        K::lists_mut(self).insert(list.id.clone(), list);
    }

    pub(super) fn remove_list<K: StoredList>(&mut self, id: &K::Id) {
        K::remove_from(&mut self.world, id);
        if let Some(old) = K::lists_mut(self).remove(id) {
            K::by_place_mut(&mut self.index).remove(&(old.owner, old.region), id);
        }
    }

    /// All prefix lists by id.
    pub fn prefix_lists(&self) -> impl Iterator<Item = &List<Prefixes>> {
        self.prefix_lists.values()
    }

    /// All port range lists by id.
    pub fn port_range_lists(&self) -> impl Iterator<Item = &List<PortRanges>> {
        self.port_range_lists.values()
    }

    /// The prefix list of this id.
    pub fn prefix_list(&self, id: &PrefixListId) -> Option<&List<Prefixes>> {
        self.prefix_lists.get(id)
    }

    /// The port range list of this id.
    pub fn port_range_list(&self, id: &PortRangeListId) -> Option<&List<PortRanges>> {
        self.port_range_lists.get(id)
    }

    /// The groups with a rule that names the prefix list, in order.
    pub fn groups_naming_prefix_list(
        &self,
        list: &PrefixListId,
    ) -> impl Iterator<Item = &SecurityGroupId> {
        self.index.groups_of_prefix_list.get(list)
    }

    /// The groups with a rule that names the port range list, in order.
    pub fn groups_naming_port_range_list(
        &self,
        list: &PortRangeListId,
    ) -> impl Iterator<Item = &SecurityGroupId> {
        self.index.groups_of_port_range_list.get(list)
    }
}
