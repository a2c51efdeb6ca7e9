//! `portcullis passes`: what was let through at each tied interface, by reason.

use portcullis_server::control::message::{Answer, Request};

use crate::commands::socket::{Place, Print, print_json, strange};
use crate::commands::table::{Side, table};
use crate::failure::Failure;

/// Where to ask and how to print.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    print: Print,
}

/// Lists it.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Answer::Passes(rows) = arguments.place.ask(Request::Passes {})? else {
        return Err(strange());
    };
    if arguments.print.json {
        return print_json(&rows);
    }
    let heading = [
        ("INTERFACE", Side::Left),
        ("DIRECTION", Side::Left),
        ("REASON", Side::Left),
        ("PACKETS", Side::Right),
    ];
    let rows = rows
        .into_iter()
        .map(|row| [row.interface, row.direction, row.reason, row.packets.to_string()]);
    print!("{}", table(heading, rows));
    Ok(())
}
