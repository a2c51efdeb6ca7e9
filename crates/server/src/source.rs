//! Where the state comes from at the start, and again after the store has failed.
//!
//! Keys are told apart here: the server's own nonces, and the records of the model. Anything that
//! is neither, or does not decode, refuses the start; nothing is skipped.

use std::path::PathBuf;
use std::sync::Arc;

use portcullis_core::records::{Change, Record};
use portcullis_core::state::State;
use portcullis_store::{
    CommitError, Embedded, Guard, Limits, Operation, Revision, Store, StoreError, Transaction,
};
use portcullis_wire::record::seal::{Fingerprint, SealKey};
use portcullis_wire::record::{self, Problem};

use crate::nonces::Nonce;

/// Opens the store, as often as need be. There is at most one open store at a time.
pub trait Source: Send + 'static {
    /// Opens the store.
    ///
    /// # Errors
    /// What the engine says.
    fn open(&mut self) -> Result<Box<dyn Store>, StoreError>;
}

/// The embedded engine in a directory.
#[derive(Clone, Debug)]
pub struct EmbeddedSource {
    /// The directory of the store's files.
    pub directory: PathBuf,
}

impl Source for EmbeddedSource {
    fn open(&mut self) -> Result<Box<dyn Store>, StoreError> {
        Ok(Box::new(Embedded::open(&self.directory, Limits::default())?))
    }
}

/// Why there is no state.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The engine cannot be opened or read.
    #[error("the store cannot be opened")]
    Store(#[from] StoreError),
    /// Something in it is not what this program writes.
    #[error("the store holds something unreadable at `{key}`: {detail}")]
    Record {
        /// The key, made printable.
        key: String,
        /// What is wrong.
        detail: String,
    },
    /// It holds secrets that are sealed with another key.
    #[error("the store's secrets are sealed with the key {sealed}, not with {own}")]
    OtherKey {
        /// The key they are sealed with.
        sealed: Fingerprint,
        /// The key at hand.
        own: Fingerprint,
    },
    /// Records of a layout of before could not be written in today's.
    #[error("cannot write records of an earlier version again")]
    Renew(#[source] CommitError),
}

impl LoadError {
    /// What to do next.
    pub fn help(&self) -> &'static str {
        match self {
            LoadError::Store(error) => error.help(),
            LoadError::OtherKey { .. } => "name the right key file with --key-file",
            LoadError::Renew(_) => "see the log for what the store says",
            LoadError::Record { .. } => "use the version of the program that wrote it",
        }
    }
}

/// An open store and what it holds.
pub(crate) struct Opened {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) state: State,
    pub(crate) revision: u64,
    /// The nonces of writes, oldest first.
    pub(crate) nonces: Vec<Nonce>,
    /// Records that are stored in a layout of before.
    pub(crate) outdated: Vec<Record>,
}

impl Opened {
    /// Writes outdated records in today's layout, and forgets how they looked.
    pub(crate) fn renew(&mut self, seal: &SealKey) -> Result<(), LoadError> {
        let outdated = std::mem::take(&mut self.outdated);
        let operations = outdated.iter().filter_map(|record| {
            let (key, value) = record::encode(&Change::Put(record.clone()), seal);
            Some(Operation::put(key, value?))
        });
        for operations in portions(operations, &self.store.limits().clone()) {
            let guard = Guard::store_at(Revision::new(self.revision));
            let transaction = Transaction::new(vec![guard], operations);
            let mut done = self.store.commit_batch(vec![transaction]).into_iter();
            let done = done.next().unwrap_or(Err(CommitError::Unknown(StoreError::Stopped)));
            self.revision = done.map_err(LoadError::Renew)?.number();
        }
        if !outdated.is_empty() {
            tracing::info!(records = outdated.len(), "records of an earlier version are renewed");
            self.store.compact(Revision::new(self.revision))?;
        }
        Ok(())
    }
}

/// The operations in order, as many together as one transaction may have.
fn portions(
    operations: impl Iterator<Item = Operation>,
    limits: &Limits,
) -> impl Iterator<Item = Vec<Operation>> {
    let mut operations = operations.peekable();
    let (count_max, bytes_max) =
        (limits.operations_per_transaction_max, limits.transaction_bytes_max);
    std::iter::from_fn(move || {
        // One that is too large for any transaction stands alone, for the store to refuse.
        let first = operations.next()?;
        let mut bytes = first.bytes();
        let mut portion = vec![first];
        while portion.len() < count_max
            && let Some(next) = operations.next_if(|next| bytes + next.bytes() <= bytes_max)
        {
            bytes += next.bytes();
            portion.push(next);
        }
        Some(portion)
    })
}

/// Opens the store and reads all of it.
pub(crate) fn load(source: &mut dyn Source, seal: &SealKey) -> Result<Opened, LoadError> {
    let store: Arc<dyn Store> = Arc::from(source.open()?);
    let mut taken = Taken { seal, state: State::new(), nonces: Vec::new(), outdated: Vec::new() };
    let mut refused = None;
    let revision = store.load(&mut |entry| {
        if refused.is_some() {
            return;
        }
        refused = taken.take(entry.key, entry.value).err();
    })?;
    match refused {
        Some(error) => Err(error),
        None => {
            let Taken { state, nonces, outdated, .. } = taken;
            Ok(Opened { store, state, revision: revision.number(), nonces, outdated })
        }
    }
}

/// What was read so far.
struct Taken<'a> {
    seal: &'a SealKey,
    state: State,
    nonces: Vec<Nonce>,
    outdated: Vec<Record>,
}

impl Taken<'_> {
    /// Takes one entry in, or says what is wrong with it.
    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), LoadError> {
        let unreadable = |detail: String| {
            let key = key.escape_ascii().to_string();
            LoadError::Record { key, detail }
        };
        if let Some(nonce) = Nonce::from_key(key) {
            self.nonces.push(nonce.map_err(|error| unreadable(error.to_string()))?);
            return Ok(());
        }
        let record =
            record::decode(key, value, self.seal).map_err(|error| match error.problem {
                Problem::OtherKey { sealed, own } => LoadError::OtherKey { sealed, own },
                _ => unreadable(error.to_string()),
            })?;
        if record::is_outdated(key, value) {
            self.outdated.push(record.clone());
        }
        self.state.absorb(Change::Put(record));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portions_keep_both_bounds_and_the_order() {
        let limits = Limits {
            operations_per_transaction_max: 3,
            transaction_bytes_max: 10,
            ..Limits::default()
        };
        for (bytes, expected) in [
            (vec![], "[]"),
            (vec![2, 2, 2], "[[2, 2, 2]]"),
            (vec![2, 2, 2, 2], "[[2, 2, 2], [2]]"),
            (vec![5, 5, 1], "[[5, 5], [1]]"),
            (vec![5, 6, 4, 1], "[[5], [6, 4], [1]]"),
            (vec![99, 1, 99], "[[99], [1], [99]]"),
        ] {
            let operations = bytes.iter().map(|bytes| Operation::put("k", vec![0; bytes - 1]));
            let portions: Vec<Vec<usize>> = portions(operations, &limits)
                .map(|portion| portion.iter().map(Operation::bytes).collect())
                .collect();
            assert_eq!(format!("{portions:?}"), expected);
        }
    }
}
