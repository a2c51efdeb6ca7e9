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

use crate::netns;

/// What this machine lacks to enforce, and what to do about each.
pub fn lacks() -> Vec<(String, String)> {
    let mut lacks = Vec::new();
    if let Err(missing) = portcullis_agent::sys::probe() {
        lacks.extend(missing.iter().map(|one| (one.to_string(), one.help.to_owned())));
    }
    // Without eBPF, namespaces would not help; with it, they may still be forbidden.
    if lacks.is_empty()
        && let Err(missing) = netns::available()
    {
        lacks
            .push((missing, "run it as root on the host, or in a privileged container".to_owned()));
    }
    lacks
}

/// Whether this machine can enforce.
///
/// # Errors
/// Names all that is missing.
pub fn available() -> Result<(), String> {
    let lacks = lacks();
    if lacks.is_empty() {
        return Ok(());
    }
    Err(lacks.iter().map(|(what, _)| what.as_str()).collect::<Vec<_>>().join(", "))
}
