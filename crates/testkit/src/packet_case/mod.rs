//! The language of `cases/packets/*.case`: sequences of packets as text, read and written.
//!
//! It knows frames and the names of steps, and runs nothing. `cases/packets/README.md` has the
//! language.
mod draft;
mod language;
mod print;

pub use draft::{ArpDraft, Body, Carried, Content, Draft, Header, Internet, OTHER_MAC};
pub use language::{Case, Script, Step};
