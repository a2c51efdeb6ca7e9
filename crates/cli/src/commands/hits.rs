//! `portcullis hits`: how often each rule decided on this host.

use portcullis_server::control::message::{Answer, HitRow, Request};

use crate::commands::socket::Listing;
use crate::commands::table::Side;
use crate::failure::Failure;

/// Lists them.
pub(crate) fn run(listing: &Listing) -> Result<(), Failure> {
    let rows = |answer| match answer {
        Answer::Hits(rows) => Some(rows),
        _ => None,
    };
    let heading = [
        ("GROUP", Side::Left),
        ("RULE", Side::Left),
        ("PACKETS", Side::Right),
        ("BYTES", Side::Right),
    ];
    let cells = |row: HitRow| [row.group, row.rule, row.packets.to_string(), row.bytes.to_string()];
    listing.run(Request::Hits {}, rows, heading, cells)
}
