//! `portcullis detach`: takes every program off every device of this host and forgets all that is
//! pinned.
//!
//! Works on the kernel alone, without a server; what it leaves behind is open.

use portcullis_agent::pinned::{INSTANCE_DEFAULT, detach_all};
use portcullis_agent::sys::Unreadable;

use crate::failure::Failure;

/// What to let go of.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Confirm that every device is to be open afterwards
    #[arg(long, required = true)]
    all: bool,
    /// The name under which programs and maps are pinned
    #[arg(long, value_name = "NAME", default_value = INSTANCE_DEFAULT)]
    instance: String,
}

/// Lets go.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let devices = detach_all(&arguments.instance).map_err(|error| {
        let help = "run as root, and stop `portcullis serve` first";
        let unreadable = error.get_ref().and_then(|cause| cause.downcast_ref::<Unreadable>());
        Failure::because("CannotDetach", &error, unreadable.map_or(help, Unreadable::help))
    })?;
    println!("detached from {devices} devices; nothing is pinned any more");
    Ok(())
}
