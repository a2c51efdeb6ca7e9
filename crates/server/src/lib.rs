//! The API server: listener, authentication, commit loop, and the socket for administration.
//!
//! It decides nothing about security groups: requests become commands in `portcullis_wire`,
//! commands are judged in `portcullis_core`, and what was decided is kept by `portcullis_store`. It
//! refuses to know the kernel: what a host should do and what it did cross one seam, [`host`].

mod api;
pub mod clock;
pub mod control;
pub mod directory;
pub mod host;
pub mod identity;
pub mod key_file;
pub mod lease;
pub mod limits;
mod listen;
pub mod metrics;
pub mod nonces;
mod open_store;
mod published;
mod refusal;
mod runs;
pub mod server;
pub mod source;
mod stall;
pub mod throttle;
pub mod tls;
mod writer;
