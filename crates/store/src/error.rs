//! What can go wrong, each with a stable code, a message, help and, where there is one, a place.
//!
//! It refuses to know which requests or rules are concerned: a caller wraps these with its own
//! context.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::contract::{Guard, Revision};

/// The underlying error of an engine or the operating system, kept as the source of ours.
pub type Cause = Arc<dyn std::error::Error + Send + Sync>;

/// Why a transaction did not happen, or why nobody knows whether it did.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CommitError {
    /// A guard did not hold. Nothing changed.
    #[error("guard {position} does not hold: {guard}, but {found}")]
    Conflict {
        /// Position of the guard in its transaction, from zero.
        position: usize,
        /// The guard.
        guard: Guard,
        /// What was found instead.
        found: Found,
    },
    /// A bound of [`Limits`](crate::Limits) is exceeded. Nothing changed.
    #[error("{limit} is at most {maximum}, got {actual}")]
    Limit {
        /// The name of the field in [`Limits`](crate::Limits).
        limit: &'static str,
        /// Its value.
        maximum: usize,
        /// What the transaction asked for.
        actual: usize,
    },
    /// A transaction without operations, or an empty key. Nothing changed.
    #[error("{what} is empty")]
    Empty {
        /// What is empty.
        what: &'static str,
    },
    /// The store had already stopped, or could not read what it needed to judge the transaction.
    /// Nothing changed.
    #[error("the store did not take the transaction")]
    Refused(#[source] StoreError),
    /// Writing failed half-way: the transaction may or may not be found after the store has been
    /// opened again.
    #[error("the outcome of the transaction is unknown")]
    Unknown(#[source] StoreError),
}

/// What a guard found instead of what it wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Found {
    /// The key does not exist.
    #[error("it is absent")]
    Absent,
    /// The key exists and this revision changed it last.
    #[error("revision {0} changed it")]
    ModifiedAt(Revision),
    /// The store is at this revision.
    #[error("it is at revision {0}")]
    StoreAt(Revision),
}

impl CommitError {
    /// A stable name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            CommitError::Conflict { .. } => "Conflict",
            CommitError::Limit { .. } => "LimitExceeded",
            CommitError::Empty { .. } => "Empty",
            CommitError::Refused(_) => "Refused",
            CommitError::Unknown(_) => "OutcomeUnknown",
        }
    }

    /// What to do next.
    pub fn help(&self) -> &'static str {
        match self {
            CommitError::Conflict { .. } => {
                "read the newest state, decide again and commit with new guards"
            }
            CommitError::Limit { .. } => "split the transaction or make its records smaller",
            CommitError::Empty { .. } => "leave the transaction out: there is nothing to commit",
            CommitError::Refused(source) => source.help(),
            CommitError::Unknown(_) => {
                "open the store again and look whether the transaction is there"
            }
        }
    }
}

/// Why a store cannot be opened, read, watched or written.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process, or another part of this one, has the directory open.
    #[error("`{}` is in use by another process", directory.display())]
    Locked {
        /// The directory of the store.
        directory: PathBuf,
    },
    /// What is stored is not what was committed.
    #[error("the store is damaged at {place}: {detail}")]
    Corrupt {
        /// The file, or the record in it.
        place: String,
        /// What is wrong there.
        detail: String,
    },
    /// The files were written by another version of the format.
    #[error("`{place}` has format {found}, this program reads format {supported}")]
    UnknownFormat {
        /// The file.
        place: String,
        /// The version found there.
        found: u32,
        /// The version that this program can read.
        supported: u32,
    },
    /// The operating system or the engine refused an operation.
    #[error("cannot {action} `{place}`")]
    Io {
        /// What was attempted.
        action: &'static str,
        /// The file or directory.
        place: String,
        /// Why it failed.
        #[source]
        source: Cause,
    },
    /// An earlier write failed, so the store takes no more commits.
    #[error("the store has stopped after a failed write")]
    Stopped,
    /// The history from there on is no longer complete.
    #[error("revision {requested} is compacted, the oldest to watch from is {oldest}")]
    Compacted {
        /// The revision asked for.
        requested: Revision,
        /// The oldest revision that can be watched from.
        oldest: Revision,
    },
    /// The revision has not happened.
    #[error("revision {requested} has not happened, the newest is {head}")]
    Future {
        /// The revision asked for.
        requested: Revision,
        /// The newest revision.
        head: Revision,
    },
    /// The place to restore to already holds something.
    #[error("`{}` is not empty", directory.display())]
    NotEmpty {
        /// The directory.
        directory: PathBuf,
    },
}

impl StoreError {
    /// A stable name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            StoreError::Locked { .. } => "Locked",
            StoreError::Corrupt { .. } => "Corrupt",
            StoreError::UnknownFormat { .. } => "UnknownFormat",
            StoreError::Io { .. } => "Io",
            StoreError::Stopped => "Stopped",
            StoreError::Compacted { .. } => "Compacted",
            StoreError::Future { .. } => "Future",
            StoreError::NotEmpty { .. } => "NotEmpty",
        }
    }

    /// What to do next.
    pub fn help(&self) -> &'static str {
        match self {
            StoreError::Locked { .. } => "stop the other process or choose another directory",
            StoreError::Corrupt { .. } => {
                "keep a copy of the directory, check the disk, then `portcullis restore` the \
                 newest export into another"
            }
            StoreError::UnknownFormat { .. } => "use the version of the program that wrote it",
            StoreError::Io { .. } => {
                "check the disk's space, health and permissions, then try again"
            }
            StoreError::Stopped => "check the disk, then open the store again",
            StoreError::Compacted { .. } => "load the whole state and watch from its revision",
            StoreError::Future { .. } => {
                "use a revision that this store has returned; it may have been restored since"
            }
            StoreError::NotEmpty { .. } => "choose a directory that is empty or does not exist",
        }
    }

    /// Something in `place` is not what it must be.
    pub(crate) fn corrupt(place: impl Into<String>, detail: impl Into<String>) -> StoreError {
        StoreError::Corrupt { place: place.into(), detail: detail.into() }
    }

    /// Doing `action` at `place` failed because of `source`.
    pub(crate) fn io<E>(action: &'static str, place: &Path, source: E) -> StoreError
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        StoreError::Io { action, place: place.display().to_string(), source: Arc::new(source) }
    }
}
