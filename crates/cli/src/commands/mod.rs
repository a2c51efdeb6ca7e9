//! The subcommands, one file each: an `Arguments` and a `run` that takes it.

pub(crate) mod account;
pub(crate) mod api;
pub(crate) mod bind;
pub(crate) mod bindings;
pub(crate) mod detach;
pub(crate) mod drops;
pub(crate) mod evaluate;
pub(crate) mod export;
pub(crate) mod flows;
pub(crate) mod heals;
pub(crate) mod hits;
pub(crate) mod key;
pub(crate) mod passes;
pub(crate) mod restore;
pub(crate) mod run;
pub(crate) mod serve;
pub(crate) mod sign;
pub(crate) mod socket;
mod table;
pub(crate) mod unbind;
pub(crate) mod vpc;
