//! The state that answers come from: what is durable, and nothing that is not.
//!
//! Many read, the writer alone changes it. It knows no command.

use std::sync::{PoisonError, RwLock};

use portcullis_core::records::Change;
use portcullis_core::state::State;
use tokio::sync::watch;

/// The durable state, shared.
pub(crate) struct Published {
    snapshot: RwLock<Snapshot>,
    revisions: watch::Sender<u64>,
}

struct Snapshot {
    state: State,
    revision: u64,
}

impl Published {
    pub(crate) fn new(state: State, revision: u64) -> Published {
        let (revisions, _) = watch::channel(revision);
        Published { snapshot: RwLock::new(Snapshot { state, revision }), revisions }
    }

    /// Looks at one moment. Keep it short: the writer waits.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&State, u64) -> T) -> T {
        // A lock is poisoned when the writer panicked; the server is then on its way down.
        let snapshot = self.snapshot.read().unwrap_or_else(PoisonError::into_inner);
        look(&snapshot.state, snapshot.revision)
    }

    /// Shows what has become durable.
    pub(crate) fn absorb(&self, changes: impl IntoIterator<Item = Change>, revision: u64) {
        self.write(|snapshot| {
            for change in changes {
                snapshot.state.absorb(change);
            }
            snapshot.revision = revision;
        });
    }

    /// Shows a state that was read back from the store.
    pub(crate) fn replace(&self, state: State, revision: u64) {
        self.write(|snapshot| *snapshot = Snapshot { state, revision });
    }

    fn write(&self, change: impl FnOnce(&mut Snapshot)) {
        let mut snapshot = self.snapshot.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut snapshot);
        let revision = snapshot.revision;
        drop(snapshot);
        self.revisions.send_replace(revision);
    }

    /// The newest revision, as it moves on.
    pub(crate) fn revisions(&self) -> watch::Receiver<u64> {
        self.revisions.subscribe()
    }
}
