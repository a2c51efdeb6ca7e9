//! The engine for one machine: a directory with one redb file.
//!
//! It puts together the parts: [`directory`] (lock, creation, what may be missing), [`tables`]
//! (the layout inside redb), [`record`] (the spelling of a commit) and [`witness`] (what was
//! acknowledged, kept outside redb). It refuses to trust the engine alone: a file that has lost an
//! acknowledged commit is refused.

mod directory;
#[cfg(test)]
mod disk_tests;
mod record;
mod tables;
mod witness;

use std::collections::VecDeque;
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::contract::{Commit, Entry, Revision, Store, Transaction};
use crate::error::{CommitError, StoreError};
use crate::export::Export;
use crate::feed::{Feed, History, Watch};
use crate::limits::Limits;
use crate::queue::{Answers, Queue};
use directory::Directory;
use tables::Tables;
use witness::Witness;

/// A [`Store`] in a directory of one machine, durable across crashes.
///
/// Threads that commit at the same time share one write to the disk. Only one process may have
/// the directory open; the lock ends with the process, however it ends.
pub struct Embedded {
    limits: Limits,
    tables: Arc<Tables>,
    feed: Arc<Feed>,
    queue: Queue,
    /// Held from decision to publication, so that what is read is what was published.
    writer: Mutex<Writer>,
}

struct Writer {
    witness: Option<Witness>,
    has_stopped: bool,
}

impl Embedded {
    /// Opens the store in `directory`, or makes an empty one if there is none. Every byte in use
    /// is verified, which takes about a second for a million records.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when it is open elsewhere, [`StoreError::Corrupt`] when it is
    /// damaged or has lost something acknowledged, [`StoreError::UnknownFormat`] when another
    /// version of the format wrote it, [`StoreError::Io`] otherwise.
    pub fn open(directory: &Path, limits: Limits) -> Result<Embedded, StoreError> {
        let directory = Directory::lock(directory)?;
        let witness = match directory.find()? {
            Some(witness) => witness,
            None => directory.create(&Export::empty())?,
        };
        Embedded::with_directory(directory, witness, limits)
    }

    /// Makes a store in `directory` from what [`export`](crate::export) wrote. Its history begins
    /// at the revision of the export.
    ///
    /// # Errors
    /// [`StoreError::NotEmpty`] when there is a store already, [`StoreError::Corrupt`] when the
    /// export is damaged, and as for [`Embedded::open`].
    pub fn restore(
        directory: &Path,
        limits: Limits,
        source: &mut dyn Read,
    ) -> Result<Embedded, StoreError> {
        let directory = Directory::lock(directory)?;
        if directory.find()?.is_some() {
            return Err(StoreError::NotEmpty { directory: directory.path().to_path_buf() });
        }
        let export = Export::read(source)?;
        let witness = directory.create(&export)?;
        Embedded::with_directory(directory, witness, limits)
    }

    fn with_directory(
        directory: Directory,
        witness: Witness,
        limits: Limits,
    ) -> Result<Embedded, StoreError> {
        let (file, path) = (directory.open_store()?, directory.store_path());
        let tables = Tables::open(file, &path, Some(directory))?;
        let head = tables.head()?.revision;
        let acknowledged = witness.acknowledged();
        if head < acknowledged {
            let place = path.display().to_string();
            let detail =
                format!("it ends at revision {head}, but revision {acknowledged} was acknowledged");
            return Err(StoreError::corrupt(place, detail));
        }
        Embedded::with_tables(tables, Some(witness), limits)
    }

    /// The store on these tables. Tests leave out the files around them.
    fn with_tables(
        tables: Tables,
        mut witness: Option<Witness>,
        limits: Limits,
    ) -> Result<Embedded, StoreError> {
        let head = tables.head()?;
        if let Some(witness) = &mut witness {
            // Whatever is found is shown from now on, so it must never be lost again.
            witness.acknowledge(head.revision)?;
            witness.sync()?;
        }
        let tables = Arc::new(tables);
        let history: Weak<Tables> = Arc::downgrade(&tables);
        let feed = Feed::new(
            (head.oldest, head.revision),
            limits.history_revisions_max,
            limits.watch_bytes_max,
            Some(history),
        );
        let writer = Mutex::new(Writer { witness, has_stopped: false });
        Ok(Embedded { limits, tables, feed, queue: Queue::default(), writer })
    }

    /// Writes one group of transactions. If that fails half-way the store stops.
    fn write(&self, transactions: Vec<Transaction>) -> Answers {
        let count = transactions.len();
        let mut writer = self.lock();
        if writer.has_stopped {
            // Also for the case that a panic did not get as far as telling the watchers.
            self.feed.stop();
            return vec![Err(CommitError::Refused(StoreError::Stopped)); count];
        }
        // Until the end is reached, assume that it will not be: a panic must not leave a store
        // that goes on.
        writer.has_stopped = true;
        let prepared = match self.tables.prepare(&self.limits, transactions) {
            Ok(prepared) => prepared,
            Err(error) => {
                self.feed.stop();
                return vec![Err(CommitError::Refused(error)); count];
            }
        };
        let (plan, head, written) = prepared.write();
        let acknowledged = written.and_then(|()| match &mut writer.witness {
            Some(witness) if !plan.commits.is_empty() => witness.acknowledge(head.revision),
            _ => Ok(()),
        });
        if let Err(error) = acknowledged {
            self.feed.stop();
            return plan.answers.into_iter().map(|answer| unknown(answer, &error)).collect();
        }
        self.feed.publish(&plan.commits);
        // Both are facts by now: `oldest` is never beyond the head.
        let _ = self.feed.compact(head.oldest);
        writer.has_stopped = false;
        plan.answers
    }

    fn lock(&self) -> MutexGuard<'_, Writer> {
        // A panic leaves `has_stopped` set, so the lock itself need not remember it.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The answer to a transaction whose group could not be written.
fn unknown(
    answer: Result<Revision, CommitError>,
    error: &StoreError,
) -> Result<Revision, CommitError> {
    match answer {
        Ok(_) => Err(CommitError::Unknown(error.clone())),
        // It may have lost against a transaction that did not happen in the end.
        Err(CommitError::Conflict { .. }) => Err(CommitError::Refused(StoreError::Stopped)),
        Err(refused) => Err(refused),
    }
}

impl Store for Embedded {
    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn head(&self) -> Revision {
        self.feed.head()
    }

    fn commit_batch(&self, transactions: Vec<Transaction>) -> Vec<Result<Revision, CommitError>> {
        self.queue.submit(&self.limits, transactions, &|group| self.write(group))
    }

    fn load(&self, visit: &mut dyn FnMut(Entry<'_>)) -> Result<Revision, StoreError> {
        let writer = self.lock();
        if writer.has_stopped {
            return Err(StoreError::Stopped);
        }
        // Taken between two commits, so that its revision is one that can be watched from.
        let snapshot = self.tables.snapshot()?;
        drop(writer);
        snapshot.load(visit)
    }

    fn watch(&self, after: Revision) -> Result<Watch, StoreError> {
        self.feed.watch(after)
    }

    fn compact(&self, before: Revision) -> Result<(), StoreError> {
        let mut writer = self.lock();
        if writer.has_stopped {
            return Err(StoreError::Stopped);
        }
        let head = self.feed.head();
        if before > head {
            return Err(StoreError::Future { requested: before, head });
        }
        writer.has_stopped = true;
        let compacted = self.tables.compact(before);
        if compacted.is_err() {
            self.feed.stop();
            return compacted;
        }
        writer.has_stopped = false;
        self.feed.compact(before)
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.feed.stop();
        if let Some(witness) = &mut self.lock().witness {
            // It is an extra check for the next start; failing here loses nothing.
            let _ = witness.sync();
        }
    }
}

impl History for Tables {
    fn read(&self, after: Revision) -> Result<VecDeque<Arc<Commit>>, StoreError> {
        self.snapshot()?.history(after)
    }
}
