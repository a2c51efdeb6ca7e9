//! `portcullis account`: who may own things on this server.

use portcullis_server::control::account::AccountRow;
use portcullis_server::control::message::{Answer, Request};

use crate::commands::socket::{Listing, Place, Print, print_json, print_kept, strange};
use crate::commands::table::Side;
use crate::failure::Failure;

/// Makes, lists and deletes accounts.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Makes an account; `portcullis key create` makes its access keys.
    Create {
        /// Its name, by which rules may call it
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        print: Print,
    },
    /// Lists the accounts.
    List(Listing),
    /// Deletes an account that owns nothing.
    Delete {
        /// Its number or name
        #[arg(value_name = "ACCOUNT")]
        account: String,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        print: Print,
    },
}

/// Does what is asked for.
pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.verb {
        Verb::Create { name, place, print } => match place.ask(Request::CreateAccount { name })? {
            Answer::Account(row) if print.json => print_json(&row),
            Answer::Account(row) => {
                println!("account {} is {}", row.name, row.account);
                Ok(())
            }
            _ => Err(strange()),
        },
        Verb::List(listing) => list(&listing),
        Verb::Delete { account, place, print } => {
            let done = format!("account {account} is deleted");
            print_kept(&place.ask(Request::DeleteAccount { account })?, &done, print)
        }
    }
}

fn list(listing: &Listing) -> Result<(), Failure> {
    let rows = |answer| match answer {
        Answer::Accounts(rows) => Some(rows),
        _ => None,
    };
    let heading = [
        ("ACCOUNT", Side::Left),
        ("NAME", Side::Left),
        ("KEYS", Side::Right),
        ("TEMPORARY", Side::Right),
        ("CREATED", Side::Left),
    ];
    let cells = |row: AccountRow| {
        let (keys, temporary) = (row.access_keys.to_string(), row.temporary_keys.to_string());
        [row.account, row.name, keys, temporary, row.created]
    };
    listing.run(Request::Accounts {}, rows, heading, cells)
}
