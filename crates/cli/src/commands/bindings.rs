//! `portcullis bindings`: which interfaces are tied to which devices, and how they stand.

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

/// Lists them.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Answer::Bindings(rows) = arguments.place.ask(Request::Bindings {})? else {
        return Err(strange());
    };
    if arguments.print.json {
        return print_json(&rows);
    }
    let heading = [
        ("INTERFACE", Side::Left),
        ("DEVICE", Side::Left),
        ("STATE", Side::Left),
        ("DETAIL", Side::Left),
    ];
    let rows = rows.into_iter().map(|row| [row.interface, row.device, row.state, row.detail]);
    print!("{}", table(heading, rows));
    Ok(())
}
