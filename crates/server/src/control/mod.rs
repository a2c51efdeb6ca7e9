//! The socket for administration, `control.sock` in the data directory: what needs the host and
//! not an account.
//!
//! Only the owner of the directory reaches it; there is no other authentication.

pub mod account;
pub mod client;
pub mod message;
pub mod run;
pub(crate) mod server;
