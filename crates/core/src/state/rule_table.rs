//! The rules of one group by id, as a sorted list: a group has at most a thousand or so, and a
//! million rules in all are to stay small. Each has the fingerprint of its content beside it, so
//! that a rule is found by what it says without comparing it with every other. Knows nothing of
//! what a rule says.
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::ids::SecurityGroupRuleId;
use crate::records::RuleRecord;
use crate::state::content::Content;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct RuleTable(Vec<Row>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    fingerprint: u64,
    record: Arc<RuleRecord>,
}

impl RuleTable {
    fn place(&self, id: &SecurityGroupRuleId) -> Result<usize, usize> {
        self.0.binary_search_by(|row| row.record.rule.id.cmp(id))
    }

    pub(super) fn get(&self, id: &SecurityGroupRuleId) -> Option<&Arc<RuleRecord>> {
        self.0.get(self.place(id).ok()?).map(|row| &row.record)
    }

    pub(super) fn contains(&self, id: &SecurityGroupRuleId) -> bool {
        self.place(id).is_ok()
    }

    /// The rule of this content.
    pub(super) fn alike(&self, content: &Content<'_>) -> Option<&Arc<RuleRecord>> {
        let fingerprint = content.fingerprint();
        let alike = self.0.iter().filter(|row| row.fingerprint == fingerprint);
        alike.map(|row| &row.record).find(|record| Content::of_record(record) == *content)
    }

    /// Adds a rule, or puts it in the place of the one with its id.
    pub(super) fn insert(&mut self, record: Arc<RuleRecord>) {
        let fingerprint = Content::of_record(&record).fingerprint();
        let place = self.place(&record.rule.id);
        let row = Row { fingerprint, record };
        match place {
            Ok(index) => {
                if let Some(old) = self.0.get_mut(index) {
                    *old = row;
                }
            }
            Err(index) => self.0.insert(index, row),
        }
    }

    pub(super) fn remove(&mut self, id: &SecurityGroupRuleId) -> Option<Arc<RuleRecord>> {
        self.place(id).ok().map(|index| self.0.remove(index).record)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// In the order of their ids.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<RuleRecord>> {
        self.0.iter().map(|row| &row.record)
    }
}
