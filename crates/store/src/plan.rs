//! Decides a batch before anything is written: which transactions pass, their revisions, and what
//! each touched key becomes.
//!
//! It refuses to know the engine: what a key looks like now comes from a function.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::contract::{Commit, Guard, Operation, Revision, Transaction};
use crate::error::{CommitError, Found, StoreError};
use crate::limits::Limits;

/// A decided batch. The engine has nothing left to choose.
#[derive(Debug)]
pub(crate) struct Plan {
    /// One answer per transaction, in order; to be given only once the commits are durable.
    pub(crate) answers: Vec<Result<Revision, CommitError>>,
    /// The transactions that pass, in order.
    pub(crate) commits: Vec<Arc<Commit>>,
}

impl Plan {
    /// The newest revision after the batch that began at `head`.
    pub(crate) fn head(&self, head: Revision) -> Revision {
        self.commits.last().map_or(head, |commit| commit.revision)
    }

    /// What every touched key is afterwards: its last revision and its value, if it has one.
    pub(crate) fn outcome(&self) -> BTreeMap<&[u8], (Revision, Option<&[u8]>)> {
        let mut outcome = BTreeMap::new();
        for commit in &self.commits {
            for operation in &commit.operations {
                outcome.insert(operation.key(), (commit.revision, operation.value()));
            }
        }
        outcome
    }
}

/// The revision that last changed a key in the engine, if the key exists.
pub(crate) type Lookup<'a> = dyn FnMut(&[u8]) -> Result<Option<Revision>, StoreError> + 'a;

/// Decides the batch on top of revision `head`. Fails only if a lookup does.
pub(crate) fn plan(
    limits: &Limits,
    head: Revision,
    transactions: Vec<Transaction>,
    lookup: &mut Lookup<'_>,
) -> Result<Plan, StoreError> {
    let mut plan = Plan { answers: Vec::with_capacity(transactions.len()), commits: Vec::new() };
    let excess = exceeds(
        "transactions_per_batch_max",
        limits.transactions_per_batch_max,
        transactions.len(),
    );
    let bytes = transactions.iter().map(Transaction::bytes).sum();
    let excess = excess.and_then(|()| exceeds("batch_bytes_max", limits.batch_bytes_max, bytes));
    if let Err(error) = excess {
        plan.answers.resize_with(transactions.len(), || Err(error.clone()));
        return Ok(plan);
    }
    // What the transactions before this one in the batch have made of the keys they touched.
    let mut overlay: BTreeMap<Vec<u8>, Option<Revision>> = BTreeMap::new();
    for transaction in transactions {
        let now = plan.head(head);
        let judged = match within_limits(limits, &transaction) {
            Ok(()) => judge(&transaction.guards, now, &overlay, lookup)?,
            Err(error) => Err(error),
        };
        let answer = judged.map(|()| {
            let revision = now.next();
            for operation in &transaction.operations {
                let modified = operation.value().map(|_| revision);
                overlay.insert(operation.key().to_vec(), modified);
            }
            let operations = transaction.operations;
            plan.commits.push(Arc::new(Commit { revision, operations }));
            revision
        });
        plan.answers.push(answer);
    }
    Ok(plan)
}

/// The outer result is whether we could find out, the inner one whether all guards hold.
fn judge(
    guards: &[Guard],
    head: Revision,
    overlay: &BTreeMap<Vec<u8>, Option<Revision>>,
    lookup: &mut Lookup<'_>,
) -> Result<Result<(), CommitError>, StoreError> {
    for (position, guard) in guards.iter().enumerate() {
        let found = match guard.key() {
            None => Found::StoreAt(head),
            Some(key) => {
                let modified = match overlay.get(key) {
                    Some(modified) => *modified,
                    None => lookup(key)?,
                };
                modified.map_or(Found::Absent, Found::ModifiedAt)
            }
        };
        let wanted = match guard {
            Guard::ModifiedAt { revision, .. } => Found::ModifiedAt(*revision),
            Guard::Absent { .. } => Found::Absent,
            Guard::StoreAt { revision } => Found::StoreAt(*revision),
        };
        if found != wanted {
            return Ok(Err(CommitError::Conflict { position, guard: guard.clone(), found }));
        }
    }
    Ok(Ok(()))
}

fn within_limits(limits: &Limits, transaction: &Transaction) -> Result<(), CommitError> {
    let Transaction { guards, operations } = transaction;
    if operations.is_empty() {
        return Err(CommitError::Empty { what: "the list of operations" });
    }
    exceeds("guards_per_transaction_max", limits.guards_per_transaction_max, guards.len())?;
    exceeds(
        "operations_per_transaction_max",
        limits.operations_per_transaction_max,
        operations.len(),
    )?;
    let keys = guards.iter().filter_map(Guard::key).chain(operations.iter().map(Operation::key));
    for key in keys {
        if key.is_empty() {
            return Err(CommitError::Empty { what: "a key" });
        }
        exceeds("key_bytes_max", limits.key_bytes_max, key.len())?;
    }
    for operation in operations {
        let value_bytes = operation.value().map_or(0, <[u8]>::len);
        exceeds("value_bytes_max", limits.value_bytes_max, value_bytes)?;
    }
    let bytes = transaction.bytes();
    exceeds("transaction_bytes_max", limits.transaction_bytes_max, bytes)
}

fn exceeds(limit: &'static str, maximum: usize, actual: usize) -> Result<(), CommitError> {
    if actual > maximum { Err(CommitError::Limit { limit, maximum, actual }) } else { Ok(()) }
}
