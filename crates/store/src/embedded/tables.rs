//! The layout of a store inside redb: one row for the head, the entries, and the history.
//!
//! | table | key | value |
//! |---|---|---|
//! | `head` | 0 | format, newest revision, oldest revision that can be watched from |
//! | `entries` | key | revision that last changed it, then its value |
//! | `history` | revision | the operations of that commit |
//!
//! redb keeps a checksum of every page in the page above it. A plain open trusts them; we ask for
//! all to be verified each time, so that damage is found before it is read. No type of redb leaves
//! this module, and the file refuses to know about watchers, witnesses and locks.

use std::collections::VecDeque;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::backends::FileBackend;
use redb::{
    Builder, Database, ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata,
    StorageBackend, TableDefinition, WriteTransaction,
};

use crate::contract::{Commit, Entry, Revision, Transaction};
use crate::embedded::directory::Directory;
use crate::embedded::record;
use crate::embedded::witness::FORMAT;
use crate::error::StoreError;
use crate::export::Export;
use crate::feed::HISTORY_PAGE_REVISIONS;
use crate::limits::Limits;
use crate::plan::{Plan, plan};

const HEAD: TableDefinition<'_, u8, (u32, u64, u64)> = TableDefinition::new("head");
const ENTRIES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("entries");
const HISTORY: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("history");

/// The only key of [`HEAD`].
const HEAD_KEY: u8 = 0;
/// Bytes of pages that redb keeps in memory. The server holds the state itself, so this need only
/// hold the upper levels of the trees and what is being written.
const CACHE_BYTES: usize = 64 * 1024 * 1024;
/// The history is shortened by so many revisions for each that is added, once it is too long: by
/// more than one, so that it gets there if the limit is lowered, by few, so that no commit is slow.
const TRIM_PER_COMMIT: u64 = 2;

/// The row of [`HEAD`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// The newest revision.
    pub(super) revision: Revision,
    /// The oldest revision that can be watched from.
    pub(super) oldest: Revision,
}

/// The tables of one store.
pub(super) struct Tables {
    database: Database,
    path: PathBuf,
    /// Declared after the database: the lock goes last.
    _directory: Option<Directory>,
}

impl Tables {
    /// Fills a new file and closes it.
    pub(super) fn create(file: File, path: &Path, export: &Export) -> Result<(), StoreError> {
        let backend = FileBackend::new(file).map_err(|error| failure("make", path, error))?;
        Tables::create_on(backend, path, export)
    }

    /// The same on any kind of storage.
    pub(super) fn create_on(
        backend: impl StorageBackend,
        path: &Path,
        export: &Export,
    ) -> Result<(), StoreError> {
        let made = builder().create_with_backend(backend);
        let database = made.map_err(|error| failure("make", path, error))?;
        let tables = Tables { database, path: path.to_path_buf(), _directory: None };
        tables.fill(export)?;
        tables.database.close().map_err(|error| failure("close", path, error))
    }

    /// Opens and verifies a file that [`Tables::create`] made.
    pub(super) fn open(
        file: File,
        path: &Path,
        directory: Option<Directory>,
    ) -> Result<Tables, StoreError> {
        let backend = FileBackend::new(file).map_err(|error| failure("open", path, error))?;
        Tables::open_on(backend, path, directory)
    }

    /// The same on any kind of storage.
    pub(super) fn open_on(
        backend: impl StorageBackend,
        path: &Path,
        directory: Option<Directory>,
    ) -> Result<Tables, StoreError> {
        let open = || builder().create_with_backend(backend);
        // The engine promises an error rather than a panic for a damaged file. Should it break the
        // promise, that is no reason to take the process down.
        let opened = catch_unwind(AssertUnwindSafe(open)).map_err(|_| {
            StoreError::corrupt(path.display().to_string(), "the engine panicked while opening it")
        })?;
        let database = opened.map_err(|error| failure("open", path, error))?;
        Ok(Tables { database, path: path.to_path_buf(), _directory: directory })
    }

    /// Writes the first state of a new store.
    fn fill(&self, export: &Export) -> Result<(), StoreError> {
        let transaction = self.begin_write()?;
        let filled = (|| -> Result<(), redb::Error> {
            transaction.open_table(HISTORY)?;
            let mut entries = transaction.open_table(ENTRIES)?;
            for (key, (modified, value)) in export.entries() {
                entries.insert(key.as_slice(), stored_value(*modified, value).as_slice())?;
            }
            let revision = export.revision();
            write_head(&transaction, Head { revision, oldest: revision })
        })();
        filled.map_err(|error| failure("fill", &self.path, error))?;
        transaction.commit().map_err(|error| failure("fill", &self.path, error))
    }

    /// The newest durable head.
    pub(super) fn head(&self) -> Result<Head, StoreError> {
        self.snapshot()?.head()
    }

    /// Everything as it is now; later commits do not change it.
    pub(super) fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let transaction = self.database.begin_read();
        let transaction = transaction.map_err(|error| failure("read", &self.path, error))?;
        Ok(Snapshot { transaction, path: self.path.clone() })
    }

    /// Decides the transactions on top of what is stored, without writing anything.
    pub(super) fn prepare(
        &self,
        limits: &Limits,
        transactions: Vec<Transaction>,
    ) -> Result<Prepared<'_>, StoreError> {
        let transaction = self.begin_write()?;
        let head = self.read_head(&transaction)?;
        let plan = {
            let entries = transaction.open_table(ENTRIES);
            let entries = entries.map_err(|error| failure("read", &self.path, error))?;
            plan(limits, head.revision, transactions, &mut |key| {
                let found = entries.get(key).map_err(|error| failure("read", &self.path, error))?;
                let Some(stored) = found else { return Ok(None) };
                let (modified, _) = split_stored(stored.value(), key, head.revision)?;
                Ok(Some(modified))
            })?
        };
        let history_max = limits.history_revisions_max;
        Ok(Prepared { tables: self, transaction, head, plan, history_max })
    }

    /// Forgets the history up to `before`.
    pub(super) fn compact(&self, before: Revision) -> Result<(), StoreError> {
        let transaction = self.begin_write()?;
        let head = self.read_head(&transaction)?;
        if before <= head.oldest {
            return transaction.abort().map_err(|error| failure("read", &self.path, error));
        }
        let compacted = forget(&transaction, before)
            .and_then(|()| write_head(&transaction, Head { oldest: before, ..head }));
        compacted.map_err(|error| failure("compact", &self.path, error))?;
        transaction.commit().map_err(|error| failure("compact", &self.path, error))
    }

    fn begin_write(&self) -> Result<WriteTransaction, StoreError> {
        self.database.begin_write().map_err(|error| failure("write", &self.path, error))
    }

    fn read_head(&self, transaction: &WriteTransaction) -> Result<Head, StoreError> {
        let read = (|| -> Result<_, redb::Error> {
            Ok(transaction.open_table(HEAD)?.get(HEAD_KEY)?.map(|row| row.value()))
        })();
        checked_head(read.map_err(|error| failure("read", &self.path, error))?, &self.path)
    }
}

/// A decided group of transactions that nothing else can come before.
pub(super) struct Prepared<'a> {
    tables: &'a Tables,
    transaction: WriteTransaction,
    head: Head,
    plan: Plan,
    history_max: usize,
}

impl Prepared<'_> {
    /// Makes the group durable. Returns the decision, the head afterwards, and whether it worked.
    pub(super) fn write(self) -> (Plan, Head, Result<(), StoreError>) {
        let Prepared { tables, transaction, head, plan, history_max } = self;
        let fail = |error: redb::Error| failure("write", &tables.path, error);
        if plan.commits.is_empty() {
            let aborted = transaction.abort();
            return (plan, head, aborted.map_err(|error| fail(error.into())));
        }
        let revision = plan.head(head.revision);
        let head = Head { revision, oldest: shortened(head.oldest, revision, &plan, history_max) };
        let applied = apply(&transaction, &plan).and_then(|()| {
            forget(&transaction, head.oldest)?;
            write_head(&transaction, head)
        });
        let written = applied.and_then(|()| Ok(transaction.commit()?));
        (plan, head, written.map_err(fail))
    }
}

/// Where the history begins after a group that ends at `revision`.
fn shortened(oldest: Revision, revision: Revision, plan: &Plan, history_max: usize) -> Revision {
    let history_max = u64::try_from(history_max).unwrap_or(u64::MAX);
    let wanted = revision.number().saturating_sub(history_max);
    let added = u64::try_from(plan.commits.len()).unwrap_or(u64::MAX);
    let reachable = oldest.number().saturating_add(added.saturating_mul(TRIM_PER_COMMIT));
    oldest.max(Revision::new(wanted.min(reachable)))
}

fn apply(transaction: &WriteTransaction, plan: &Plan) -> Result<(), redb::Error> {
    let mut entries = transaction.open_table(ENTRIES)?;
    for (key, (modified, value)) in plan.outcome() {
        match value {
            Some(value) => entries.insert(key, stored_value(modified, value).as_slice())?,
            None => entries.remove(key)?,
        };
    }
    let mut history = transaction.open_table(HISTORY)?;
    for commit in &plan.commits {
        let bytes = record::encode(&commit.operations);
        history.insert(commit.revision.number(), bytes.as_slice())?;
    }
    Ok(())
}

/// Drops the history up to `oldest`.
fn forget(transaction: &WriteTransaction, oldest: Revision) -> Result<(), redb::Error> {
    let mut history = transaction.open_table(HISTORY)?;
    let first = history.first()?.map(|(revision, _)| revision.value());
    if first.is_some_and(|first| first <= oldest.number()) {
        history.retain_in(..=oldest.number(), |_, _| false)?;
    }
    Ok(())
}

fn write_head(transaction: &WriteTransaction, head: Head) -> Result<(), redb::Error> {
    let row = (FORMAT, head.revision.number(), head.oldest.number());
    transaction.open_table(HEAD)?.insert(HEAD_KEY, row)?;
    Ok(())
}

/// A moment of the store.
pub(super) struct Snapshot {
    transaction: ReadTransaction,
    path: PathBuf,
}

impl Snapshot {
    fn head(&self) -> Result<Head, StoreError> {
        let read = (|| -> Result<_, redb::Error> {
            Ok(self.transaction.open_table(HEAD)?.get(HEAD_KEY)?.map(|row| row.value()))
        })();
        checked_head(read.map_err(|error| failure("read", &self.path, error))?, &self.path)
    }

    /// Shows every entry; returns the revision of the moment.
    pub(super) fn load(&self, visit: &mut dyn FnMut(Entry<'_>)) -> Result<Revision, StoreError> {
        let fail = |error: redb::Error| failure("read", &self.path, error);
        let head = self.head()?;
        let entries = self.transaction.open_table(ENTRIES).map_err(|error| fail(error.into()))?;
        let mut shown = 0;
        for entry in entries.range::<&[u8]>(..).map_err(|error| fail(error.into()))? {
            let (key, stored) = entry.map_err(|error| fail(error.into()))?;
            let key = key.value();
            let (modified, value) = split_stored(stored.value(), key, head.revision)?;
            visit(Entry { key, value, modified });
            shown += 1;
        }
        let count = entries.len().map_err(|error| fail(error.into()))?;
        if shown != count {
            let detail = format!("it counts {count} entries but holds {shown}");
            return Err(StoreError::corrupt(self.path.display().to_string(), detail));
        }
        Ok(head.revision)
    }

    /// The next commits after `after`.
    pub(super) fn history(&self, after: Revision) -> Result<VecDeque<Arc<Commit>>, StoreError> {
        let fail = |error: redb::Error| failure("read", &self.path, error);
        let head = self.head()?;
        if after < head.oldest {
            return Err(StoreError::Compacted { requested: after, oldest: head.oldest });
        }
        let history = self.transaction.open_table(HISTORY).map_err(|error| fail(error.into()))?;
        let rows = history.range(after.next().number()..).map_err(|error| fail(error.into()))?;
        let mut commits = VecDeque::new();
        let mut expected = after;
        for row in rows.take(HISTORY_PAGE_REVISIONS) {
            let (number, bytes) = row.map_err(|error| fail(error.into()))?;
            expected = expected.next();
            let place = || format!("revision {expected}");
            if number.value() != expected.number() {
                return Err(StoreError::corrupt(place(), "it is missing from the history"));
            }
            let operations = record::decode(bytes.value());
            let operations = operations.map_err(|what| StoreError::corrupt(place(), what))?;
            commits.push_back(Arc::new(Commit { revision: expected, operations }));
        }
        Ok(commits)
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
    builder
}

fn stored_value(modified: Revision, value: &[u8]) -> Vec<u8> {
    [modified.number().to_le_bytes().as_slice(), value].concat()
}

/// The revision and the value in a stored value that must not be newer than `head`.
fn split_stored<'a>(
    stored: &'a [u8],
    key: &[u8],
    head: Revision,
) -> Result<(Revision, &'a [u8]), StoreError> {
    let split = stored.split_first_chunk::<8>();
    let split = split.map(|(bytes, value)| (Revision::new(u64::from_le_bytes(*bytes)), value));
    split.filter(|(modified, _)| *modified <= head).ok_or_else(|| {
        StoreError::corrupt(format!("key `{}`", key.escape_ascii()), "its revision is impossible")
    })
}

fn checked_head(row: Option<(u32, u64, u64)>, path: &Path) -> Result<Head, StoreError> {
    let place = path.display().to_string();
    let Some((format, revision, oldest)) = row else {
        return Err(StoreError::corrupt(place, "it has no head"));
    };
    if format != FORMAT {
        return Err(StoreError::UnknownFormat { place, found: format, supported: FORMAT });
    }
    if oldest > revision {
        return Err(StoreError::corrupt(place, "its history ends before it begins"));
    }
    Ok(Head { revision: Revision::new(revision), oldest: Revision::new(oldest) })
}

/// Our word for an error of the engine.
fn failure(action: &'static str, path: &Path, error: impl Into<redb::Error>) -> StoreError {
    let place = || path.display().to_string();
    match error.into() {
        redb::Error::Corrupted(detail) => StoreError::corrupt(place(), detail),
        redb::Error::Io(error) if is_damage(&error) => {
            StoreError::corrupt(place(), error.to_string())
        }
        // Our tables are made with the store, so one that is missing or different is damage.
        error @ (redb::Error::TableDoesNotExist(_) | redb::Error::TableTypeMismatch { .. }) => {
            StoreError::corrupt(place(), error.to_string())
        }
        redb::Error::UpgradeRequired(found) => {
            StoreError::UnknownFormat { place: place(), found: u32::from(found), supported: FORMAT }
        }
        redb::Error::DatabaseAlreadyOpen => StoreError::Locked { directory: path.to_path_buf() },
        error => StoreError::io(action, path, error),
    }
}

/// What the engine reports for a file that is cut off or is none of its own.
fn is_damage(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof)
}
