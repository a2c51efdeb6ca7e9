//! Resolved rules to first-match tables and the kernel image, with an interpreter of the image in
//! user space.
//!
//! Pure: takes an [`InterfacePolicy`](portcullis_core::resolve::InterfacePolicy), gives words. It
//! never touches a kernel and knows nothing of accounts. Reading order: [`abi`], [`numbers`],
//! [`table`] and its two forms, `cells` and `vectors`, [`interface`], [`members`], [`interpret`],
//! [`image`]; [`budget`] says how large each may become.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod abi;
pub mod budget;
mod cells;
mod classes;
pub mod image;
pub mod interface;
pub mod interpret;
pub mod members;
pub mod numbers;
mod port_tree;
pub mod table;
mod vectors;
