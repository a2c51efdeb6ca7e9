//! `portcullis vpc`: which VPCs there are, whose, and who else may use them.

use portcullis_server::control::account::VpcRow;
use portcullis_server::control::message::{Answer, Request};
use serde::Serialize;

use crate::commands::socket::{Listing, Place, Print, print_kept};
use crate::commands::table::Side;
use crate::failure::Failure;

/// Shares VPCs among accounts.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Lets an account use a VPC of another one.
    Share(Pair),
    /// Lets it use the VPC no longer; refused while it has anything there.
    Unshare(Pair),
    /// Lists with whom VPCs are shared.
    Shares(Listing),
    /// Lists the VPCs of all accounts.
    List(Listing),
}

#[derive(Debug, clap::Args)]
struct Pair {
    /// The id of the VPC
    #[arg(value_name = "VPC")]
    vpc: String,
    /// The number or name of the account
    #[arg(value_name = "ACCOUNT")]
    account: String,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    print: Print,
}

/// Does what is asked for.
pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.verb {
        Verb::Share(Pair { vpc, account, place, print }) => {
            let done = format!("{vpc} is shared with {account}");
            print_kept(&place.ask(Request::ShareVpc { vpc, account })?, &done, print)
        }
        Verb::Unshare(Pair { vpc, account, place, print }) => {
            let done = format!("{vpc} is no longer shared with {account}");
            print_kept(&place.ask(Request::UnshareVpc { vpc, account })?, &done, print)
        }
        Verb::Shares(listing) => shares(&listing),
        Verb::List(listing) => list(&listing),
    }
}

fn vpcs(answer: Answer) -> Option<Vec<VpcRow>> {
    match answer {
        Answer::Vpcs(rows) => Some(rows),
        _ => None,
    }
}

/// One share, for people and programs.
#[derive(Serialize)]
struct Share {
    vpc: String,
    owner: String,
    owner_name: String,
    account: String,
    account_name: String,
    since: String,
}

fn shares(listing: &Listing) -> Result<(), Failure> {
    let rows = |answer| {
        let shares = vpcs(answer)?.into_iter().flat_map(|row| {
            let VpcRow { vpc, account: owner, account_name: owner_name, shared_with, .. } = row;
            shared_with.into_iter().map(move |share| Share {
                vpc: vpc.clone(),
                owner: owner.clone(),
                owner_name: owner_name.clone(),
                account: share.account,
                account_name: share.account_name,
                since: share.since,
            })
        });
        Some(shares.collect())
    };
    let heading = [
        ("VPC", Side::Left),
        ("OWNER", Side::Left),
        ("SHARED WITH", Side::Left),
        ("NAME", Side::Left),
        ("SINCE", Side::Left),
    ];
    let cells = |row: Share| [row.vpc, row.owner_name, row.account, row.account_name, row.since];
    listing.run(Request::Vpcs {}, rows, heading, cells)
}

fn list(listing: &Listing) -> Result<(), Failure> {
    let heading = [
        ("VPC", Side::Left),
        ("ACCOUNT", Side::Left),
        ("OWNER", Side::Left),
        ("REGION", Side::Left),
        ("CIDR", Side::Left),
        ("SHARES", Side::Right),
        ("NAME", Side::Left),
    ];
    let cells = |row: VpcRow| {
        let shares = row.shared_with.len().to_string();
        [row.vpc, row.account, row.account_name, row.region, row.cidr, shares, row.name]
    };
    listing.run(Request::Vpcs {}, vpcs, heading, cells)
}
