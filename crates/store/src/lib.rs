//! Numbered, durable history under ordered keys; engines and their one contract suite.
//!
//! This crate knows keys and bytes. What a key means, what a rule is, how a record is spelled,
//! and who asks are none of its business.
//!
//! Read in this order: [`contract`] (the [`Store`] trait and its nouns), [`error`], [`limits`],
//! [`Memory`] (the shortest engine), [`Watch`], [`Embedded`] (the engine on disk),
//! [`export`](export()).
//!
//! ```
//! use portcullis_store::{Guard, Limits, Memory, Operation, Store};
//!
//! let store = Memory::new(Limits::default());
//! let put = Operation::put("colour", "green");
//! let revision = store.commit(&[Guard::absent("colour")], vec![put])?;
//! assert_eq!(revision.number(), 1);
//! # Ok::<(), portcullis_store::CommitError>(())
//! ```

pub mod contract;
mod embedded;
pub mod error;
mod export;
mod feed;
pub mod limits;
mod memory;
mod plan;
mod queue;

pub use contract::{Commit, Entry, Guard, Operation, Revision, Store, Transaction};
pub use embedded::Embedded;
pub use error::{CommitError, Found, StoreError};
pub use export::{export, export_to_file};
pub use feed::Watch;
pub use limits::Limits;
pub use memory::Memory;
