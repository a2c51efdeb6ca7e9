//! Resolved rules to first-match tables and the kernel image, with an interpreter of the image in user space.
//!
//! Pure: takes an [`InterfacePolicy`](portcullis_core::resolve::InterfacePolicy), gives words. It never touches a kernel and
//! knows nothing of accounts or of who is in which group.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;
