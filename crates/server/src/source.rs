//! Where the state comes from at the start, and again after the store has failed.
//!
//! Keys are told apart here: the server's own nonces, and the records of the model. Anything that
//! is neither, or does not decode, refuses the start; nothing is skipped.

use std::path::PathBuf;

use portcullis_core::records::Change;
use portcullis_core::state::State;
use portcullis_store::{Embedded, Limits, Store, StoreError};
use portcullis_wire::record;

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
}

impl LoadError {
    /// What to do next.
    pub fn help(&self) -> &'static str {
        match self {
            LoadError::Store(error) => error.help(),
            LoadError::Record { .. } => {
                "use the version of the program that wrote it, or restore the newest export"
            }
        }
    }
}

/// An open store and what it holds.
pub(crate) struct Opened {
    pub(crate) store: Box<dyn Store>,
    pub(crate) state: State,
    pub(crate) revision: u64,
    /// The nonces of writes, oldest first.
    pub(crate) nonces: Vec<Nonce>,
}

/// Opens the store and reads all of it.
pub(crate) fn load(source: &mut dyn Source) -> Result<Opened, LoadError> {
    let store = source.open()?;
    let mut state = State::new();
    let mut nonces = Vec::new();
    let mut refused = None;
    let revision = store.load(&mut |entry| {
        if refused.is_some() {
            return;
        }
        if let Err(detail) = take(entry.key, entry.value, &mut state, &mut nonces) {
            let key = entry.key.escape_ascii().to_string();
            refused = Some(LoadError::Record { key, detail });
        }
    })?;
    match refused {
        Some(error) => Err(error),
        None => Ok(Opened { store, state, revision: revision.number(), nonces }),
    }
}

/// Takes one entry in, or says what is wrong with it.
fn take(
    key: &[u8],
    value: &[u8],
    state: &mut State,
    nonces: &mut Vec<Nonce>,
) -> Result<(), String> {
    match Nonce::from_key(key) {
        Some(nonce) => nonces.push(nonce.map_err(|error| error.to_string())?),
        None => {
            let record = record::decode(key, value).map_err(|error| error.to_string())?;
            state.absorb(Change::Put(record));
        }
    }
    Ok(())
}
