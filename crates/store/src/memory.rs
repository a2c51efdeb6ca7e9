//! The engine that keeps everything in memory: for tests, and for a server that may forget.
//!
//! It refuses to touch a disk; its commits are durable only as long as the process lives.

use std::io::Read;
use std::sync::{Arc, PoisonError, RwLock};

use crate::contract::{Entry, Revision, Store, Transaction};
use crate::error::{CommitError, StoreError};
use crate::export::{Entries, Export};
use crate::feed::{Feed, Watch};
use crate::limits::Limits;
use crate::plan::plan;

/// A [`Store`] in memory.
pub struct Memory {
    limits: Limits,
    /// Held from decision to publication, so that watchers see commits in order.
    state: RwLock<State>,
    feed: Arc<Feed>,
}

struct State {
    head: Revision,
    entries: Entries,
}

impl Memory {
    /// An empty store with these bounds.
    pub fn new(limits: Limits) -> Memory {
        Memory::with_export(limits, Export::empty())
    }

    /// A store with what [`export`](crate::export) wrote. Its history begins at the revision of
    /// the export.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when the export is damaged, [`StoreError::UnknownFormat`] when
    /// another version wrote it, [`StoreError::Io`] when `source` fails.
    pub fn restore(limits: Limits, source: &mut dyn Read) -> Result<Memory, StoreError> {
        Ok(Memory::with_export(limits, Export::read(source)?))
    }

    fn with_export(limits: Limits, export: Export) -> Memory {
        let (head, entries) = (export.revision(), export.into_entries());
        let (revisions_max, bytes_max) = (limits.history_revisions_max, limits.watch_bytes_max);
        let feed = Feed::new((head, head), revisions_max, bytes_max, None);
        let state = RwLock::new(State { head, entries });
        Memory { limits, state, feed }
    }
}

impl Store for Memory {
    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn head(&self) -> Revision {
        self.feed.head()
    }

    fn commit_batch(&self, transactions: Vec<Transaction>) -> Vec<Result<Revision, CommitError>> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let count = transactions.len();
        let entries = &state.entries;
        let mut lookup = |key: &[u8]| Ok(entries.get(key).map(|(modified, _)| *modified));
        let plan = match plan(&self.limits, state.head, transactions, &mut lookup) {
            Ok(plan) => plan,
            Err(error) => return vec![Err(CommitError::Refused(error)); count],
        };
        for (key, (revision, value)) in plan.outcome() {
            match value {
                Some(value) => state.entries.insert(key.to_vec(), (revision, value.to_vec())),
                None => state.entries.remove(key),
            };
        }
        state.head = plan.head(state.head);
        // Still under the lock, so that the revision of a load is one that can be watched from.
        self.feed.publish(&plan.commits);
        plan.answers
    }

    fn load(&self, visit: &mut dyn FnMut(Entry<'_>)) -> Result<Revision, StoreError> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        for (key, (modified, value)) in &state.entries {
            visit(Entry { key, value, modified: *modified });
        }
        Ok(state.head)
    }

    fn watch(&self, after: Revision) -> Result<Watch, StoreError> {
        self.feed.watch(after)
    }

    fn compact(&self, before: Revision) -> Result<(), StoreError> {
        self.feed.compact(before)
    }
}
