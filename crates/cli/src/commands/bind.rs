//! `portcullis bind`: ties a network interface to a device of this host. The device is closed at
//! once and opens as its policy says when that is loaded; this command waits for it.

use portcullis_server::control::message::{Answer, Request};
use portcullis_wire::ecs::limits::{WAIT_TIMEOUT_MS_DEFAULT, WAIT_TIMEOUT_MS_MAX};

use crate::commands::socket::{Place, Print, print_changed, strange};
use crate::failure::Failure;

/// What is tied to what.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The id of the network interface
    #[arg(value_name = "ENI")]
    interface: String,
    /// The name of the device, on the host's side
    #[arg(value_name = "IFNAME")]
    device: String,
    /// How long to wait until the policy is in force
    #[arg(long, value_name = "MILLISECONDS", default_value_t = WAIT_TIMEOUT_MS_DEFAULT,
          value_parser = clap::value_parser!(u64).range(..=WAIT_TIMEOUT_MS_MAX))]
    wait_timeout_ms: u64,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    print: Print,
}

/// Ties them.
pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let what = format!("{} is tied to {}", arguments.interface, arguments.device);
    let request = Request::Bind {
        interface: arguments.interface,
        device: arguments.device,
        wait_timeout_ms: arguments.wait_timeout_ms,
    };
    match arguments.place.ask(request)? {
        Answer::Changed(changed) => print_changed(&changed, &what, arguments.print),
        _ => Err(strange()),
    }
}
