//! The laboratory: a host with instances and a world outside, all in namespaces of our own.
//!
//! ```text
//!   instance ── veth ──┐
//!   instance ── veth ──┤ bridge  host  uplink ──── outside ── narrow ── far
//!   instance ── tap  ──┘
//! ```
//! The product runs inside `host` and is attached to the host's ends of the instances' devices.
//! [`topology`] knows devices only, [`probe`] real sockets, and neither knows the product.

pub mod estate;
pub mod language;
pub mod probe;
pub mod product;
pub mod pulse;
pub mod scene;
pub mod topology;
pub mod watch;
pub mod witness;
