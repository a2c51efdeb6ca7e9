//! The contract that every engine keeps: the [`Store`] trait and its nouns.
//!
//! A store is a numbered history of commits over ordered keys. It refuses to know what keys and
//! values mean. What holds for every engine:
//!
//! - Every successful transaction gets the next number; there are no gaps and no ties.
//! - A transaction happens whole or not at all, and one that is refused changes nothing.
//! - A commit that was answered with a revision is durable: it is there after any crash.
//! - A watcher sees every commit after its starting point once, in order, or is told that it
//!   cannot.

use std::fmt;

use crate::error::{CommitError, StoreError};
use crate::feed::Watch;
use crate::limits::Limits;

/// The number of a commit in the history of one store. Zero is the empty store before any commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(u64);

impl Revision {
    /// The state before the first commit.
    pub const ZERO: Revision = Revision(0);

    /// The revision with this number.
    pub const fn new(number: u64) -> Revision {
        Revision(number)
    }

    /// The number itself.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The revision that follows this one.
    pub const fn next(self) -> Revision {
        // 2^64 commits cannot be reached: at a million a second they last 580,000 years.
        Revision(self.0.saturating_add(1))
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// One change to one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Give the key this value, whether or not it exists.
    Put {
        /// The key, ordered bytewise among the others.
        key: Vec<u8>,
        /// The whole new value.
        value: Vec<u8>,
    },
    /// Remove the key. Removing an absent key is allowed and changes nothing.
    Delete {
        /// The key to remove.
        key: Vec<u8>,
    },
}

impl Operation {
    /// Give `key` the value `value`.
    pub fn put(key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Operation {
        Operation::Put { key: key.into(), value: value.into() }
    }

    /// Remove `key`.
    pub fn delete(key: impl Into<Vec<u8>>) -> Operation {
        Operation::Delete { key: key.into() }
    }

    /// The key that changes.
    pub fn key(&self) -> &[u8] {
        match self {
            Operation::Put { key, .. } | Operation::Delete { key } => key,
        }
    }

    /// The value the key has afterwards, if it has one.
    pub fn value(&self) -> Option<&[u8]> {
        match self {
            Operation::Put { value, .. } => Some(value),
            Operation::Delete { .. } => None,
        }
    }

    /// Bytes of its key and its value.
    pub fn bytes(&self) -> usize {
        self.key().len() + self.value().map_or(0, <[u8]>::len)
    }
}

/// Something that must hold for a transaction to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guard {
    /// The key exists and its last change is exactly this revision.
    ModifiedAt {
        /// The key that was read.
        key: Vec<u8>,
        /// The revision that last changed it when it was read.
        revision: Revision,
    },
    /// The key does not exist.
    Absent {
        /// The key that was looked for.
        key: Vec<u8>,
    },
    /// The newest revision of the whole store is exactly this one.
    StoreAt {
        /// The revision that was decided upon.
        revision: Revision,
    },
}

impl Guard {
    /// `key` exists and `revision` was its last change.
    pub fn modified_at(key: impl Into<Vec<u8>>, revision: Revision) -> Guard {
        Guard::ModifiedAt { key: key.into(), revision }
    }

    /// `key` does not exist.
    pub fn absent(key: impl Into<Vec<u8>>) -> Guard {
        Guard::Absent { key: key.into() }
    }

    /// Nothing at all was committed after `revision`.
    ///
    /// Transactions of one batch are judged one after the other, so the second of a batch that
    /// starts at revision 7 guards on revision 8.
    pub fn store_at(revision: Revision) -> Guard {
        Guard::StoreAt { revision }
    }

    /// The key that the guard looks at, if it looks at one.
    pub fn key(&self) -> Option<&[u8]> {
        match self {
            Guard::ModifiedAt { key, .. } | Guard::Absent { key } => Some(key),
            Guard::StoreAt { .. } => None,
        }
    }
}

impl fmt::Display for Guard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Guard::ModifiedAt { key, revision } => {
                write!(
                    formatter,
                    "`{}` was last changed by revision {revision}",
                    key.escape_ascii()
                )
            }
            Guard::Absent { key } => write!(formatter, "`{}` is absent", key.escape_ascii()),
            Guard::StoreAt { revision } => write!(formatter, "the store is at revision {revision}"),
        }
    }
}

/// Guards and the operations that happen together when all of them hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transaction {
    /// What must hold. Judged in order; the first that does not is named in the refusal.
    pub guards: Vec<Guard>,
    /// What happens, in order; at least one. Of several operations on one key the last stands.
    pub operations: Vec<Operation>,
}

impl Transaction {
    /// A transaction of these operations under these guards.
    pub fn new(guards: Vec<Guard>, operations: Vec<Operation>) -> Transaction {
        Transaction { guards, operations }
    }

    /// Bytes of all keys and values of its operations, which is what the bounds count.
    pub fn bytes(&self) -> usize {
        self.operations.iter().map(Operation::bytes).sum()
    }
}

/// One transaction that happened, as a watcher sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The number it was given.
    pub revision: Revision,
    /// What it did, in the order in which it was asked for.
    pub operations: Vec<Operation>,
}

/// A key with its value, as [`Store::load`] shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The key.
    pub key: &'a [u8],
    /// Its value.
    pub value: &'a [u8],
    /// The revision that last changed it: what [`Guard::ModifiedAt`] wants to hear.
    pub modified: Revision,
}

/// A numbered, durable history under ordered keys.
///
/// Every function may be called from any thread and blocks until it is done; an asynchronous
/// caller gives it a thread.
pub trait Store: Send + Sync {
    /// The bounds that this store keeps.
    fn limits(&self) -> &Limits;

    /// The newest revision that is durable.
    fn head(&self) -> Revision;

    /// Judges each transaction in turn, each after those before it, and makes all that pass
    /// durable together: they share one write to the disk, but each has its own revision or
    /// refusal, in the order given.
    ///
    /// # Errors
    /// See [`CommitError`]. After [`CommitError::Unknown`] the transaction may or may not have
    /// happened and the store takes no further commits until it has been opened again.
    fn commit_batch(&self, transactions: Vec<Transaction>) -> Vec<Result<Revision, CommitError>>;

    /// Performs one transaction; returns once it is durable.
    ///
    /// # Errors
    /// As for [`Store::commit_batch`].
    fn commit(
        &self,
        guards: &[Guard],
        operations: Vec<Operation>,
    ) -> Result<Revision, CommitError> {
        let transaction = Transaction { guards: guards.to_vec(), operations };
        self.commit_batch(vec![transaction])
            .pop()
            .unwrap_or(Err(CommitError::Unknown(StoreError::Stopped)))
    }

    /// Shows every entry of one moment in key order and returns the revision of that moment.
    /// [`Store::watch`] from there misses nothing.
    ///
    /// Whole-state checks come last, so after an error what was shown must be thrown away.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when what is stored is not what was committed.
    fn load(&self, visit: &mut dyn FnMut(Entry<'_>)) -> Result<Revision, StoreError>;

    /// All commits after `after`, in order, as they become durable.
    ///
    /// # Errors
    /// [`StoreError::Compacted`] when that part of the history is gone, [`StoreError::Future`]
    /// when `after` has not happened yet.
    fn watch(&self, after: Revision) -> Result<Watch, StoreError>;

    /// Forgets how the store came to `before`: afterwards nobody can watch from an earlier
    /// revision. The entries stay as they are. Compacting what is already gone does nothing.
    ///
    /// # Errors
    /// [`StoreError::Future`] when `before` has not happened yet.
    fn compact(&self, before: Revision) -> Result<(), StoreError>;
}
