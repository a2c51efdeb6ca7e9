//! What a security group means: the nouns, the rules, the state machine and the reference
//! evaluator.
//!
//! This crate takes values and returns values. It knows no clock, dice, file, socket, byte format
//! or kernel; `no_std` lets the compiler refuse them. Reading order: [`ids`], [`net`], [`rule`],
//! [`world`], [`flow`], [`verdict`], [`evaluate`], [`reference`](mod@reference), [`resolve`]; then
//! [`text`], [`list`], [`records`], [`command`], [`state`], [`shared`], [`host`].
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod command;
pub mod error;
pub mod evaluate;
pub mod flow;
pub mod host;
pub mod ids;
pub mod limits;
pub mod list;
mod multimap;
pub mod net;
pub mod records;
pub mod reference;
pub mod resolve;
pub mod rule;
pub mod settings;
pub mod shared;
pub mod state;
pub mod text;
pub mod verdict;
pub mod world;
