//! The rules of one group by id, as a sorted list: a group has at most a thousand or so, and a
//! million rules in all are to stay small. Knows nothing of what a rule says.
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::ids::SecurityGroupRuleId;
use crate::records::RuleRecord;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct RuleTable(Vec<Arc<RuleRecord>>);

impl RuleTable {
    fn place(&self, id: &SecurityGroupRuleId) -> Result<usize, usize> {
        self.0.binary_search_by(|record| record.rule.id.cmp(id))
    }

    pub(super) fn get(&self, id: &SecurityGroupRuleId) -> Option<&Arc<RuleRecord>> {
        self.0.get(self.place(id).ok()?)
    }

    pub(super) fn contains(&self, id: &SecurityGroupRuleId) -> bool {
        self.place(id).is_ok()
    }

    /// Adds a rule, or puts it in the place of the one with its id.
    pub(super) fn insert(&mut self, record: Arc<RuleRecord>) {
        match self.place(&record.rule.id) {
            Ok(index) => {
                if let Some(old) = self.0.get_mut(index) {
                    *old = record;
                }
            }
            Err(index) => self.0.insert(index, record),
        }
    }

    pub(super) fn remove(&mut self, id: &SecurityGroupRuleId) -> Option<Arc<RuleRecord>> {
        self.place(id).ok().map(|index| self.0.remove(index))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// In the order of their ids.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<RuleRecord>> {
        self.0.iter()
    }
}
