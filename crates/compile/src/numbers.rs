//! Numbers for groups, VPCs and rules: what words hold in place of names.
//!
//! One value serves a host. A number is handed out in order of first asking, stays with its name and is never given to
//! another, so tables compiled at different times agree. It does not know what is compiled.
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use portcullis_core::ids::{SecurityGroupId, VpcId};
use portcullis_core::verdict::DecidingRule;

use crate::budget::{CompileError, Limit, check};

/// Names of one kind; a name's number is its position.
#[derive(Debug, Clone)]
struct Names<T> {
    by_number: Vec<T>,
    by_name: BTreeMap<T, u32>,
}

// Derived, it would ask for a default name.
impl<T> Default for Names<T> {
    fn default() -> Self {
        Self { by_number: Vec::new(), by_name: BTreeMap::new() }
    }
}

impl<T: Clone + Ord> Names<T> {
    fn number(&mut self, name: &T) -> Result<u32, CompileError> {
        if let Some(number) = self.by_name.get(name) {
            return Ok(*number);
        }
        check(Limit::Numbers, self.by_number.len() + 1)?;
        let number = self.by_number.len() as u32;
        self.by_number.push(name.clone());
        self.by_name.insert(name.clone(), number);
        Ok(number)
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

    /// The numbers that another process had given: names in the order of their numbers, as [`Numbers::groups`],
    /// [`Numbers::vpcs`] and [`Numbers::rules`] list them.
    pub fn restore(
        groups: impl IntoIterator<Item = SecurityGroupId>,
        vpcs: impl IntoIterator<Item = VpcId>,
        rules: impl IntoIterator<Item = DecidingRule>,
    ) -> Result<Self, CompileError> {
        let mut numbers = Self::new();
        for group in groups {
            numbers.group(&group)?;
        }
        for vpc in vpcs {
            numbers.vpc(&vpc)?;
        }
        for rule in rules {
            numbers.rule(&rule)?;
        }
        Ok(numbers)
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
        self.rules.by_number.get(number as usize)
    }

    /// All groups in the order of their numbers.
    pub fn groups(&self) -> &[SecurityGroupId] {
        &self.groups.by_number
    }

    /// All VPCs in the order of their numbers.
    pub fn vpcs(&self) -> &[VpcId] {
        &self.vpcs.by_number
    }

    /// All rules in the order of their counter numbers.
    pub fn rules(&self) -> &[DecidingRule] {
        &self.rules.by_number
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

        let groups = numbers.groups().to_vec();
        let again = Numbers::restore(groups, numbers.vpcs().to_vec(), numbers.rules().to_vec());
        let mut again = again.unwrap();
        assert_eq!((again.group(&b), again.rule(&rule)), (Ok(1), Ok(0)));
    }
}
