//! The subcommands, one file each: an `Arguments` and a `run` that takes it.

pub(crate) mod evaluate;
