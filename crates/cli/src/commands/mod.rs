//! The commands of `portcullis`, one file each. A command parses its arguments once, does one thing
//! and fails with words for people; none of them knows another.

mod bind;
mod bindings;
mod drops;
mod hits;
mod serve;
mod socket;
mod table;
mod unbind;

use crate::failure::Failure;

/// What the program can do.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Serve the API, and enforce it on this host
    Serve(serve::Arguments),
    /// Tie a network interface to a device of this host
    Bind(bind::Arguments),
    /// Untie a network interface from its device
    Unbind(unbind::Arguments),
    /// List which interfaces are tied to which devices, and how they stand
    Bindings(bindings::Arguments),
    /// List how often each rule decided
    Hits(hits::Arguments),
    /// List what was dropped, by reason
    Drops(drops::Arguments),
}

impl Command {
    /// Does it.
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self {
            Command::Serve(arguments) => serve::run(&arguments),
            Command::Bind(arguments) => bind::run(arguments),
            Command::Unbind(arguments) => unbind::run(arguments),
            Command::Bindings(arguments) => bindings::run(&arguments),
            Command::Hits(arguments) => hits::run(&arguments),
            Command::Drops(arguments) => drops::run(&arguments),
        }
    }
}
