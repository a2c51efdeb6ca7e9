//! `portcullis hits`: how often each rule decided on this host.

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
    let Answer::Hits(rows) = arguments.place.ask(Request::Hits {})? else {
        return Err(strange());
    };
    if arguments.print.json {
        return print_json(&rows);
    }
    let heading = [
        ("GROUP", Side::Left),
        ("RULE", Side::Left),
        ("PACKETS", Side::Right),
        ("BYTES", Side::Right),
    ];
    let rows = rows
        .into_iter()
        .map(|row| [row.group, row.rule, row.packets.to_string(), row.bytes.to_string()]);
    print!("{}", table(heading, rows));
    Ok(())
}
