//! The store that the writer has open at the moment, for whoever reads all of it.
//!
//! It keeps no store open: that is the writer's alone, who closes and opens it again after a fault.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use portcullis_store::Store;

/// The way to the open store.
pub(crate) struct OpenStore(Mutex<Weak<dyn Store>>);

impl OpenStore {
    /// The way to this one.
    pub(crate) fn of(store: &Arc<dyn Store>) -> OpenStore {
        OpenStore(Mutex::new(Arc::downgrade(store)))
    }

    /// Another one was opened in its place.
    pub(crate) fn replace(&self, store: &Arc<dyn Store>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(store);
    }

    /// The store; nothing while it is out of order or closed. Whoever keeps it keeps it open, so
    /// that a writer whose store failed has to wait.
    pub(crate) fn get(&self) -> Option<Arc<dyn Store>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).upgrade()
    }
}
