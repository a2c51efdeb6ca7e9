//! `portcullis bindings`: which interfaces are tied to which devices, and how they stand.

use portcullis_server::control::message::{Answer, BindingRow, Request};

use crate::commands::socket::Listing;
use crate::commands::table::Side;
use crate::failure::Failure;

/// Lists them.
pub(crate) fn run(listing: &Listing) -> Result<(), Failure> {
    let rows = |answer| match answer {
        Answer::Bindings(rows) => Some(rows),
        _ => None,
    };
    let heading = [
        ("INTERFACE", Side::Left),
        ("DEVICE", Side::Left),
        ("STATE", Side::Left),
        ("DETAIL", Side::Left),
    ];
    let cells = |row: BindingRow| [row.interface, row.device, row.state, row.detail];
    listing.run(Request::Bindings {}, rows, heading, cells)
}
