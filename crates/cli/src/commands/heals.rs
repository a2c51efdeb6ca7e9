//! `portcullis heals`: how often others' changes in the kernel were put right, by what they
//! changed.

use portcullis_server::control::message::{Answer, HealRow, Request};

use crate::commands::socket::Listing;
use crate::commands::table::Side;
use crate::failure::Failure;

/// Lists it.
pub(crate) fn run(listing: &Listing) -> Result<(), Failure> {
    let rows = |answer| match answer {
        Answer::Heals(rows) => Some(rows),
        _ => None,
    };
    let heading = [("CHANGED", Side::Left), ("TIMES", Side::Right)];
    let cells = |row: HealRow| [row.changed, row.times.to_string()];
    listing.run(Request::Heals {}, rows, heading, cells)
}
