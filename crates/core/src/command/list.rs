//! What is asked of prefix lists and port range lists, and the rows of the answers.
use alloc::vec::Vec;

use crate::command::{Edit, Page, Paging};
use crate::ids::{ResourceGroupId, SecurityGroupId};
use crate::list::{List, ListEntry, ListKind};
use crate::text::{Description, EntryDescription, ListName, TagFilter, Tags};

/// CreatePrefixList, CreatePortRangeList.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateList<K: ListKind> {
    /// `PrefixListName`, `PortRangeListName`.
    pub name: ListName,
    /// `Description`.
    pub description: Option<Description>,
    /// `AddressFamily` of a prefix list.
    pub scope: K::Scope,
    /// `MaxEntries`.
    pub max_entries: u16,
    /// `Entry.N`.
    pub entries: Vec<ListEntry<K::Value>>,
    /// `ResourceGroupId`.
    pub resource_group: Option<ResourceGroupId>,
    /// `Tag.N`.
    pub tags: Tags,
}

/// `AddEntry.N`: a new entry, or another description for one that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddedEntry<V> {
    /// `Cidr`, `PortRange`.
    pub value: V,
    /// `Description`.
    pub description: Edit<EntryDescription>,
}

/// ModifyPrefixList, ModifyPortRangeList: entries are removed, then added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModifyList<K: ListKind> {
    /// `PrefixListId`, `PortRangeListId`.
    pub list: K::Id,
    /// `PrefixListName`, `PortRangeListName`.
    pub name: Option<ListName>,
    /// `Description`.
    pub description: Edit<Description>,
    /// `AddEntry.N`.
    pub add: Vec<AddedEntry<K::Value>>,
    /// `RemoveEntry.N`.
    pub remove: Vec<K::Value>,
}

/// DescribePrefixLists, DescribePortRangeLists. Filters are joined by "and".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribeLists<K: ListKind> {
    /// `PrefixListId.N`, `PortRangeListId.N`; empty filters nothing.
    pub lists: Vec<K::Id>,
    /// `PrefixListName`, `PortRangeListName`, exactly.
    pub name: Option<ListName>,
    /// `AddressFamily` of prefix lists.
    pub scope: Option<K::Scope>,
    /// `ResourceGroupId`.
    pub resource_group: Option<ResourceGroupId>,
    /// `Tag.N`.
    pub tags: Vec<TagFilter>,
    /// Which part of the rows.
    pub paging: Paging,
}

/// DescribePrefixListAssociations, DescribePortRangeListAssociations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribeListAssociations<K: ListKind> {
    /// `PrefixListId`, `PortRangeListId`.
    pub list: K::Id,
    /// Which part of the rows.
    pub paging: Paging,
}

/// One list, and how many groups have rules that name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListRow<K: ListKind> {
    /// The list.
    pub list: List<K>,
    /// `AssociationCount`.
    pub association_count: usize,
}

/// The groups with rules that name a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListAssociations<K: ListKind> {
    /// The list.
    pub list: K::Id,
    /// The groups.
    pub groups: Page<SecurityGroupId>,
}
