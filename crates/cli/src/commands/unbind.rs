//! `portcullis unbind`: unties a network interface, and waits until its device is released.

use portcullis_server::control::message::{Answer, Request};

use crate::commands::socket::{Place, Print, print_changed, strange};
use crate::failure::Failure;
use portcullis_wire::ecs::limits::{WAIT_TIMEOUT_MS_DEFAULT, WAIT_TIMEOUT_MS_MAX};

/// What is untied.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The id of the network interface
    #[arg(value_name = "ENI")]
    interface: String,
    /// How long to wait until the device is released
    #[arg(long, value_name = "MILLISECONDS", default_value_t = WAIT_TIMEOUT_MS_DEFAULT,
          value_parser = clap::value_parser!(u64).range(..=WAIT_TIMEOUT_MS_MAX))]
    wait_timeout_ms: u64,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    print: Print,
}

/// Unties it.
pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let what = format!("{} is untied", arguments.interface);
    let request = Request::Unbind {
        interface: arguments.interface,
        wait_timeout_ms: arguments.wait_timeout_ms,
    };
    match arguments.place.ask(request)? {
        Answer::Changed(changed) => print_changed(&changed, &what, arguments.print),
        _ => Err(strange()),
    }
}
