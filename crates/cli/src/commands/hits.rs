//! `portcullis hits`: how often each rule decided on this host.

use portcullis_server::control::message::{Answer, HitRow, Request};

use crate::commands::socket::Listing;
use crate::commands::table::Side;
use crate::failure::Failure;

/// Lists how often each rule decided on this host.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    listing: Listing,
    /// List the rules that never decided anything
    #[arg(long)]
    unused: bool,
}

/// Lists them.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let rows = |answer| match answer {
        Answer::Hits(rows) => {
            let is_wanted = |row: &HitRow| !arguments.unused || row.packets == 0;
            Some(rows.into_iter().filter(is_wanted).collect())
        }
        _ => None,
    };
    let heading = [
        ("GROUP", Side::Left),
        ("RULE", Side::Left),
        ("PACKETS", Side::Right),
        ("BYTES", Side::Right),
        ("LAST HIT", Side::Left),
    ];
    let cells = |row: HitRow| {
        let (packets, bytes) = (row.packets.to_string(), row.bytes.to_string());
        [row.group, row.rule, packets, bytes, row.last_hit]
    };
    arguments.listing.run(Request::Hits {}, rows, heading, cells)
}
