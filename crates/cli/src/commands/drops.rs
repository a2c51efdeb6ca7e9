//! `portcullis drops`: what was dropped at each tied interface, by reason.

use portcullis_server::control::message::{Answer, ReasonRow, Request};

use crate::commands::socket::Listing;
use crate::commands::table::Side;
use crate::failure::Failure;

/// Lists it.
pub(crate) fn run(listing: &Listing) -> Result<(), Failure> {
    let rows = |answer| match answer {
        Answer::Drops(rows) => Some(rows),
        _ => None,
    };
    let heading = [
        ("INTERFACE", Side::Left),
        ("DIRECTION", Side::Left),
        ("REASON", Side::Left),
        ("PACKETS", Side::Right),
    ];
    let cells =
        |row: ReasonRow| [row.interface, row.direction, row.reason, row.packets.to_string()];
    listing.run(Request::Drops {}, rows, heading, cells)
}
