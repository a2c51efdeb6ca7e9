//! What must hold for long: policies swapped under load, an agent killed at any instant, floods at
//! a full table. The real agent and the real kernel program, at a device in a namespace.
//!
//! Packets are run through the program in the kernel, not sent, so that the verdict on each is
//! known and nothing is lost on the way.
mod deaths;
mod floods;
mod ground;
mod swaps;

pub use deaths::{Deaths, deaths, enforce};
pub use floods::{Flood, flood};
pub use swaps::{Swaps, swaps};
