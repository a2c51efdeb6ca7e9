//! Recent commits in memory and the watchers that follow them.
//!
//! Watchers share one list and each keeps only its place in it, so a slow watcher costs no memory.
//! One that falls behind the list reads older commits from the engine's [`History`]; when they are
//! gone there too, it is cut. The feed refuses to know where an engine keeps its history.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::contract::{Commit, Revision};
use crate::error::StoreError;

/// Commits that a watcher reads from an engine's history at a time.
pub(crate) const HISTORY_PAGE_REVISIONS: usize = 256;

/// Counted for every commit and every operation beside its bytes, for the memory around them.
const OVERHEAD_BYTES: usize = 64;

/// Longer timeouts count as this one, so that no sum of times overflows.
const WAIT_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Where commits are found that are no longer in memory.
pub(crate) trait History: Send + Sync {
    /// At least one and at most [`HISTORY_PAGE_REVISIONS`] commits after `after`, in order. Only
    /// called for revisions which have happened and are not compacted as far as the feed knows.
    fn read(&self, after: Revision) -> Result<VecDeque<Arc<Commit>>, StoreError>;
}

/// The end of the history, shared by a store and its watchers.
pub(crate) struct Feed {
    recent: Mutex<Recent>,
    arrived: Condvar,
    /// Weak, so that a watcher that is left over does not keep a store open.
    history: Option<Weak<dyn History>>,
}

struct Recent {
    commits: VecDeque<Arc<Commit>>,
    bytes: usize,
    revisions_max: usize,
    bytes_max: usize,
    head: Revision,
    /// The oldest revision that can be watched from.
    oldest: Revision,
    /// Set once no further commit will come.
    stopped: bool,
}

impl Feed {
    /// A feed at `head` that can be watched from `oldest` on, holding at most so many revisions
    /// and bytes in memory.
    pub(crate) fn new(
        (oldest, head): (Revision, Revision),
        revisions_max: usize,
        bytes_max: usize,
        history: Option<Weak<dyn History>>,
    ) -> Arc<Feed> {
        let commits = VecDeque::new();
        let recent =
            Recent { commits, bytes: 0, revisions_max, bytes_max, head, oldest, stopped: false };
        Arc::new(Feed { recent: Mutex::new(recent), arrived: Condvar::new(), history })
    }

    /// The newest revision that watchers can see.
    pub(crate) fn head(&self) -> Revision {
        self.lock().head
    }

    /// Shows durable commits to the watchers.
    pub(crate) fn publish(&self, commits: &[Arc<Commit>]) {
        let mut recent = self.lock();
        for commit in commits {
            recent.head = commit.revision;
            recent.bytes += commit_bytes(commit);
            recent.commits.push_back(Arc::clone(commit));
        }
        recent.trim(self.history.is_none());
        drop(recent);
        self.arrived.notify_all();
    }

    /// Forgets everything up to `before`.
    pub(crate) fn compact(&self, before: Revision) -> Result<(), StoreError> {
        let mut recent = self.lock();
        if before > recent.head {
            return Err(StoreError::Future { requested: before, head: recent.head });
        }
        recent.oldest = recent.oldest.max(before);
        while recent.commits.front().is_some_and(|commit| commit.revision <= before) {
            recent.drop_front();
        }
        Ok(())
    }

    /// No further commit will come: watchers that have seen all are told so.
    pub(crate) fn stop(&self) {
        self.lock().stopped = true;
        self.arrived.notify_all();
    }

    /// A watcher of everything after `after`.
    pub(crate) fn watch(self: &Arc<Feed>, after: Revision) -> Result<Watch, StoreError> {
        let recent = self.lock();
        if after > recent.head {
            return Err(StoreError::Future { requested: after, head: recent.head });
        }
        if after < recent.oldest {
            return Err(StoreError::Compacted { requested: after, oldest: recent.oldest });
        }
        drop(recent);
        Ok(Watch { feed: Arc::clone(self), seen: after, page: VecDeque::new() })
    }

    fn lock(&self) -> MutexGuard<'_, Recent> {
        // Nothing in here can panic half-way through a change, so a poisoned lock is still sound.
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recent {
    /// Keeps the bounds. If there is no history behind the list, what is dropped is compacted.
    fn trim(&mut self, is_whole_history: bool) {
        while self.commits.len() > self.revisions_max || self.bytes > self.bytes_max {
            let Some(dropped) = self.drop_front() else {
                break;
            };
            if is_whole_history {
                self.oldest = self.oldest.max(dropped);
            }
        }
    }

    fn drop_front(&mut self) -> Option<Revision> {
        let commit = self.commits.pop_front()?;
        self.bytes -= commit_bytes(&commit);
        Some(commit.revision)
    }

    /// The commit that follows `seen`, if it is in memory.
    fn after(&self, seen: Revision) -> Option<&Arc<Commit>> {
        let first = self.commits.front()?.revision.number();
        let index = seen.next().number().checked_sub(first)?;
        self.commits.get(usize::try_from(index).ok()?)
    }
}

fn commit_bytes(commit: &Commit) -> usize {
    let operations = commit.operations.iter();
    OVERHEAD_BYTES + operations.map(|each| each.bytes() + OVERHEAD_BYTES).sum::<usize>()
}

/// A place in the history of a store that moves forward, one commit at a time.
pub struct Watch {
    feed: Arc<Feed>,
    seen: Revision,
    /// Older commits, read from the engine's history, all after `seen`.
    page: VecDeque<Arc<Commit>>,
}

impl Watch {
    /// The last commit that was returned, or the place where the watch began.
    pub fn seen(&self) -> Revision {
        self.seen
    }

    /// The next commit; waits for it up to `timeout` and then returns `None`.
    ///
    /// # Errors
    /// [`StoreError::Compacted`] when this watcher was too slow and is cut: it must load again.
    /// [`StoreError::Stopped`] when all commits have been seen and no more will come.
    pub fn next(&mut self, timeout: Duration) -> Result<Option<Arc<Commit>>, StoreError> {
        let deadline = Instant::now().checked_add(timeout.min(WAIT_MAX));
        if self.page.is_empty() {
            let mut recent = self.feed.lock();
            while recent.head <= self.seen {
                if recent.stopped {
                    return Err(StoreError::Stopped);
                }
                let now = Instant::now();
                let remaining = deadline.map_or(WAIT_MAX, |end| end.saturating_duration_since(now));
                if remaining.is_zero() {
                    return Ok(None);
                }
                let waited = self.feed.arrived.wait_timeout(recent, remaining);
                recent = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
            if let Some(commit) = recent.after(self.seen) {
                self.seen = commit.revision;
                return Ok(Some(Arc::clone(commit)));
            }
            if self.seen < recent.oldest {
                let oldest = recent.oldest;
                return Err(StoreError::Compacted { requested: self.seen, oldest });
            }
            let published = recent.head.number() - self.seen.number();
            drop(recent);
            if let Some(history) = &self.feed.history {
                let history = history.upgrade().ok_or(StoreError::Stopped)?;
                self.page = history.read(self.seen)?;
                // A commit may be on the disk and not yet acknowledged: that is shown later.
                self.page.truncate(usize::try_from(published).unwrap_or(usize::MAX));
            }
        }
        let Some(commit) = self.page.pop_front() else {
            return Err(StoreError::corrupt(
                format!("revision {}", self.seen.next()),
                "it is missing from the history",
            ));
        };
        self.seen = commit.revision;
        Ok(Some(commit))
    }
}
