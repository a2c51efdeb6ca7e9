//! Who is in which group, as the members map holds it: (VPC number, prefix) to a sorted set of
//! group numbers.
//!
//! Only groups that some compiled policy names are in it. It knows prefixes and numbers, not
//! interfaces: two interfaces of a VPC never hold one address, which whoever made the world has
//! seen to.
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::net::IpAddr;

use portcullis_core::ids::SecurityGroupId;
use portcullis_core::net::{Family, Prefix};
use portcullis_core::world::World;

use crate::budget::{CompileError, Limit, check};
use crate::numbers::Numbers;

/// Where a member's groups are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberKey {
    /// The VPC number.
    pub vpc: u32,
    /// An address or prefix of an interface; host bits are zero.
    pub prefix: Prefix,
}

/// Members with their groups' numbers, and the lengths of prefixes there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Members {
    entries: BTreeMap<MemberKey, Vec<u32>>,
    /// How many entries of each family and length.
    lengths: BTreeMap<(Family, u8), usize>,
}

impl Members {
    /// Nobody.
    pub fn new() -> Self {
        Self::default()
    }

    /// The members of a world in the groups that have a number: those that compiled policies name.
    pub fn of_world(world: &World, numbers: &mut Numbers) -> Result<Self, CompileError> {
        let mut members = Self::new();
        for interface in world.interfaces() {
            let groups = set(&interface.groups, numbers);
            let vpc = numbers.vpc(&interface.vpc)?;
            for prefix in &interface.addresses {
                members.put(MemberKey { vpc, prefix: *prefix }, groups.clone())?;
            }
        }
        Ok(members)
    }

    /// Says in which groups an address is now; none takes its entry away.
    pub fn put(&mut self, key: MemberKey, groups: BTreeSet<u32>) -> Result<(), CompileError> {
        check(Limit::Groups, groups.len())?;
        let length = (key.prefix.family(), key.prefix.length());
        if groups.is_empty() {
            if self.entries.remove(&key).is_some()
                && let Some(count) = self.lengths.get_mut(&length)
            {
                *count -= 1;
                if *count == 0 {
                    self.lengths.remove(&length);
                }
            }
        } else if self.entries.insert(key, groups.into_iter().collect()).is_none() {
            *self.lengths.entry(length).or_default() += 1;
        }
        Ok(())
    }

    /// All entries.
    pub fn entries(&self) -> impl Iterator<Item = (&MemberKey, &[u32])> {
        self.entries.iter().map(|(key, groups)| (key, groups.as_slice()))
    }

    /// The prefix lengths of a family that are in use, longest first: what a look-up tries in turn.
    pub fn lengths(&self, family: Family) -> impl Iterator<Item = u8> {
        self.lengths.range((family, 0)..=(family, family.bits())).rev().map(|((_, n), _)| *n)
    }

    /// The groups of an address, by the longest prefix that holds it.
    pub fn groups(&self, vpc: u32, address: IpAddr) -> &[u32] {
        self.lengths(Family::of(address))
            .find_map(|length| {
                let prefix = Prefix::new(address, length)?;
                self.entries.get(&MemberKey { vpc, prefix })
            })
            .map_or(&[], Vec::as_slice)
    }
}

/// The numbers of those groups that compiled policies name.
pub fn set<'a>(
    groups: impl IntoIterator<Item = &'a SecurityGroupId>,
    numbers: &Numbers,
) -> BTreeSet<u32> {
    groups.into_iter().filter_map(|group| numbers.group_if_named(group)).collect()
}

/// A member set as it stands in the pool: the count, then the numbers.
pub fn set_words(groups: &[u32]) -> Vec<u64> {
    let mut words = Vec::with_capacity(groups.len() + 1);
    words.push(groups.len() as u64);
    words.extend(groups.iter().map(|group| u64::from(*group)));
    words
}

#[cfg(test)]
mod tests {
    use portcullis_core::net::Cidr;

    use super::*;

    fn key(vpc: u32, cidr: &str) -> MemberKey {
        MemberKey { vpc, prefix: cidr.parse::<Cidr>().unwrap().prefix() }
    }

    #[test]
    fn lengths_follow_entries_and_the_longest_prefix_wins() {
        let mut members = Members::new();
        members.put(key(1, "10.0.0.0/28"), [3, 1].into()).unwrap();
        members.put(key(1, "10.0.0.1"), [2].into()).unwrap();
        members.put(key(2, "::1"), [7].into()).unwrap();
        assert_eq!(members.lengths(Family::V4).collect::<Vec<_>>(), [32, 28]);
        assert_eq!(members.groups(1, "10.0.0.1".parse().unwrap()), [2]);
        assert_eq!(members.groups(1, "10.0.0.2".parse().unwrap()), [1, 3]);
        assert_eq!(members.groups(2, "10.0.0.1".parse().unwrap()), [0; 0]);

        members.put(key(1, "10.0.0.1"), [].into()).unwrap();
        assert_eq!(members.lengths(Family::V4).collect::<Vec<_>>(), [28]);
        assert_eq!(members.groups(1, "10.0.0.1".parse().unwrap()), [1, 3]);
        assert_eq!(set_words(&[1, 3]), [2, 1, 3]);
    }

    #[test]
    fn an_address_is_in_sixteen_groups_at_most() {
        let mut members = Members::new();
        assert_eq!(members.put(key(1, "10.0.0.1"), (0..16).collect()), Ok(()));
        let error = members.put(key(1, "10.0.0.1"), (0..17).collect()).unwrap_err();
        assert_eq!((error.limit, error.allowed, error.needed), (Limit::Groups, 16, 17));
    }
}
