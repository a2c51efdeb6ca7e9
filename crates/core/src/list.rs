//! Lists that rules name instead of writing addresses or ports out: prefix lists and port range
//! lists.
//!
//! Both are the same thing but for what an entry is, so there is one [`List`] of two kinds. What a
//! request may do to one is decided by the state.
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use crate::ids::{AccountId, PortRangeListId, PrefixListId, RegionId, ResourceGroupId};
use crate::limits::{PORT_RANGE_LIST_ENTRIES_MAX, PREFIX_LIST_ENTRIES_MAX};
use crate::net::{Family, Ports, Prefix};
use crate::text::{Description, EntryDescription, ListName, Tags};

/// What a list is made of.
pub trait ListKind: fmt::Debug + Clone + PartialEq + Eq {
    /// What a list of the kind is found by.
    type Id: fmt::Debug + Clone + Ord + fmt::Display + FromStr;
    /// What an entry says.
    type Value: fmt::Debug + Copy + Ord + fmt::Display;
    /// What all entries of a list have in common.
    type Scope: fmt::Debug + Copy + Eq;
    /// Most entries that a list may be made for.
    const ENTRIES_MAX: u16;
}

/// Of a list of prefixes, all of one family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prefixes {}

/// Of a list of port ranges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortRanges {}

impl ListKind for Prefixes {
    type Id = PrefixListId;
    type Value = Prefix;
    type Scope = Family;
    const ENTRIES_MAX: u16 = PREFIX_LIST_ENTRIES_MAX;
}

impl ListKind for PortRanges {
    type Id = PortRangeListId;
    type Value = Ports;
    type Scope = ();
    const ENTRIES_MAX: u16 = PORT_RANGE_LIST_ENTRIES_MAX;
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListEntry<V> {
    /// What it says.
    pub value: V,
    /// Its description, if any.
    pub description: Option<EntryDescription>,
}

/// A prefix list or a port range list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List<K: ListKind> {
    /// Its id.
    pub id: K::Id,
    /// Its account.
    pub owner: AccountId,
    /// Its region.
    pub region: RegionId,
    /// Its name.
    pub name: ListName,
    /// Its description, if any.
    pub description: Option<Description>,
    /// What all entries have in common: `AddressFamily` of a prefix list.
    pub scope: K::Scope,
    /// `MaxEntries`: how many entries it may have, and what a rule that names it counts.
    pub max_entries: u16,
    /// Its entries in the order in which they were added, no value twice.
    pub entries: Vec<ListEntry<K::Value>>,
    /// Its resource group, if sent.
    pub resource_group: Option<ResourceGroupId>,
    /// Its tags.
    pub tags: Tags,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
}
