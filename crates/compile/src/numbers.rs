//! Numbers for groups, VPCs and rules: what words hold in place of names.
//!
//! One value serves a host. A number stays with its name, so tables compiled at different times
//! agree; only a rule's number is given to another, after its owner has taken it back. It does not
//! know what is compiled.
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use portcullis_core::ids::{SecurityGroupId, VpcId};
use portcullis_core::verdict::DecidingRule;

use crate::budget::{CompileError, Limit, check};

/// Names of one kind; a name's number is its position.
#[derive(Debug, Clone)]
struct Names<T> {
    by_number: Vec<Option<T>>,
    by_name: BTreeMap<T, u32>,
    /// Numbers that were handed back.
    free: BTreeSet<u32>,
    /// How often a number was given or taken back.
    changes: u64,
}

// Derived, it would ask for a default name.
impl<T> Default for Names<T> {
    fn default() -> Self {
        Self { by_number: Vec::new(), by_name: BTreeMap::new(), free: BTreeSet::new(), changes: 0 }
    }
}

impl<T: Clone + Ord> Names<T> {
    fn number(&mut self, name: &T) -> Result<u32, CompileError> {
        if let Some(number) = self.by_name.get(name) {
            return Ok(*number);
        }
        let number = match self.free.pop_first() {
            Some(number) => number,
            None => {
                check(Limit::Numbers, self.by_number.len() + 1)?;
                self.by_number.push(None);
                self.by_number.len() as u32 - 1
            }
        };
        self.assign(number, name);
        Ok(number)
    }

    fn assign(&mut self, number: u32, name: &T) {
        if let Some(place) = self.by_number.get_mut(number as usize) {
            *place = Some(name.clone());
            self.by_name.insert(name.clone(), number);
            self.changes += 1;
        }
    }

    /// Names at the numbers they had; numbers that are left out are free.
    fn restore(names: impl IntoIterator<Item = (u32, T)>) -> Result<Self, CompileError> {
        let mut restored = Self::default();
        for (number, name) in names {
            check(Limit::Numbers, number as usize + 1)?;
            while restored.by_number.len() <= number as usize {
                restored.free.insert(restored.by_number.len() as u32);
                restored.by_number.push(None);
            }
            restored.free.remove(&number);
            restored.assign(number, &name);
        }
        Ok(restored)
    }

    fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) -> Vec<u32> {
        let mut freed = Vec::new();
        for (number, place) in self.by_number.iter_mut().enumerate() {
            if let Some(name) = place.take_if(|name| !keep(name)) {
                self.by_name.remove(&name);
                self.free.insert(number as u32);
                self.changes += 1;
                freed.push(number as u32);
            }
        }
        freed
    }

    fn all(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..).zip(&self.by_number).filter_map(|(number, name)| Some((number, name.as_ref()?)))
    }
}

/// The numbers of one host.
#[derive(Debug, Clone, Default)]
pub struct Numbers {
    groups: Names<SecurityGroupId>,
    vpcs: Names<VpcId>,
    rules: Names<DecidingRule>,
}

impl Numbers {
    /// No number given yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The numbers that another process had given, as [`Numbers::groups`], [`Numbers::vpcs`] and
    /// [`Numbers::rules`] list them.
    pub fn restore(
        groups: impl IntoIterator<Item = (u32, SecurityGroupId)>,
        vpcs: impl IntoIterator<Item = (u32, VpcId)>,
        rules: impl IntoIterator<Item = (u32, DecidingRule)>,
    ) -> Result<Self, CompileError> {
        Ok(Self {
            groups: Names::restore(groups)?,
            vpcs: Names::restore(vpcs)?,
            rules: Names::restore(rules)?,
        })
    }

    /// The number of a group.
    pub fn group(&mut self, id: &SecurityGroupId) -> Result<u32, CompileError> {
        self.groups.number(id)
    }

    /// The number of a group that has one: one that some compiled policy names.
    pub fn group_if_named(&self, id: &SecurityGroupId) -> Option<u32> {
        self.groups.by_name.get(id).copied()
    }

    /// The number of a VPC.
    pub fn vpc(&mut self, id: &VpcId) -> Result<u32, CompileError> {
        self.vpcs.number(id)
    }

    /// The number of a rule's counter.
    pub fn rule(&mut self, rule: &DecidingRule) -> Result<u32, CompileError> {
        self.rules.number(rule)
    }

    /// The rule whose counter has this number.
    pub fn rule_name(&self, number: u32) -> Option<&DecidingRule> {
        self.rules.by_number.get(number as usize)?.as_ref()
    }

    /// Takes the numbers of rules back that `keep` does not want, and answers them: they may be
    /// given again.
    pub fn retain_rules(&mut self, keep: impl FnMut(&DecidingRule) -> bool) -> Vec<u32> {
        self.rules.retain(keep)
    }

    /// How often a number was given or taken back: as long as it stays, so do all numbers.
    pub fn changes(&self) -> u64 {
        self.groups.changes + self.vpcs.changes + self.rules.changes
    }

    /// How many rules have a number.
    pub fn rule_count(&self) -> usize {
        self.rules.by_name.len()
    }

    /// All groups with their numbers, in order.
    pub fn groups(&self) -> impl Iterator<Item = (u32, &SecurityGroupId)> {
        self.groups.all()
    }

    /// All VPCs with their numbers, in order.
    pub fn vpcs(&self) -> impl Iterator<Item = (u32, &VpcId)> {
        self.vpcs.all()
    }

    /// All rules with their counter numbers, in order.
    pub fn rules(&self) -> impl Iterator<Item = (u32, &DecidingRule)> {
        self.rules.all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_stays_with_its_name() {
        let [a, b]: [SecurityGroupId; 2] = ["sg-a", "sg-b"].map(|id| id.parse().unwrap());
        let mut numbers = Numbers::new();
        assert_eq!(numbers.group_if_named(&a), None);
        assert_eq!((numbers.group(&a), numbers.group(&b)), (Ok(0), Ok(1)));
        assert_eq!((numbers.group(&a), numbers.group_if_named(&b)), (Ok(0), Some(1)));
        let rule = DecidingRule { group: a.clone(), rule: "sgr-1".parse().unwrap() };
        assert_eq!(numbers.rule(&rule), Ok(0));
        assert_eq!(numbers.rule_name(0), Some(&rule));
        assert_eq!(numbers.rule_name(1), None);

        let other = DecidingRule { rule: "sgr-2".parse().unwrap(), ..rule.clone() };
        assert_eq!(numbers.rule(&other), Ok(1));
        assert_eq!(numbers.retain_rules(|name| *name == other), [0]);
        assert_eq!((numbers.rule_name(0), numbers.rule_name(1)), (None, Some(&other)));

        let mut again = Numbers::restore(
            numbers.groups().map(|(n, id)| (n, id.clone())),
            numbers.vpcs().map(|(n, id)| (n, id.clone())),
            numbers.rules().map(|(n, id)| (n, id.clone())),
        )
        .unwrap();
        assert_eq!((again.group(&b), again.rule(&other), again.rule(&rule)), (Ok(1), Ok(1), Ok(0)));
    }
}
