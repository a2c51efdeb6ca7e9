//! `portcullis key`: access keys, permanent and temporary. A secret is printed when it is made, as
//! lines that a shell can read, and never again.

use portcullis_core::limits::KEY_SESSION_LIFE_DEFAULT_S;
use portcullis_server::control::account::{KeyRow, NewKey};
use portcullis_server::control::message::{Answer, Request};

use crate::commands::serve::{KEY_ID_VARIABLE, KEY_SECRET_VARIABLE};
use crate::commands::sign::SECURITY_TOKEN_VARIABLE;
use crate::commands::socket::{Listing, Place, Print, print_json, print_kept, strange};
use crate::commands::table::Side;
use crate::failure::Failure;

/// Makes, lists, rotates, disables and deletes access keys.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Makes an access key and prints its secret, this once.
    Create {
        /// The number or name of its account
        #[arg(value_name = "ACCOUNT")]
        account: String,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        print: Print,
    },
    /// Lists access keys, without their secrets.
    List {
        /// Only those of this account, by number or name
        #[arg(value_name = "ACCOUNT", default_value = "", hide_default_value = true)]
        account: String,
        #[command(flatten)]
        listing: Listing,
    },
    /// Lets an access key be used no longer.
    Disable(OfKey),
    /// Lets a disabled access key be used again.
    Enable(OfKey),
    /// Deletes an access key.
    Delete(OfKey),
    /// Makes a new access key in the place of another, which is disabled in the same step.
    Rotate {
        /// Leave the old key as it is; disable it when everybody has the new one
        #[arg(long)]
        keep_old: bool,
        #[command(flatten)]
        of: OfKey,
    },
    /// Makes a temporary access key: id, secret and the token that goes with every request.
    Token {
        /// The number or name of its account
        #[arg(value_name = "ACCOUNT")]
        account: String,
        /// How long it is good for, from 900 to 43200
        #[arg(long, value_name = "SECONDS", default_value_t = KEY_SESSION_LIFE_DEFAULT_S)]
        seconds: u64,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        print: Print,
    },
}

#[derive(Debug, clap::Args)]
struct OfKey {
    /// The id of the access key
    #[arg(value_name = "KEY")]
    key: String,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    print: Print,
}

impl OfKey {
    fn change(self, request: impl FnOnce(String) -> Request, what: &str) -> Result<(), Failure> {
        let done = format!("access key {} is {what}", self.key);
        print_kept(&self.place.ask(request(self.key))?, &done, self.print)
    }
}

/// Does what is asked for.
pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.verb {
        Verb::Create { account, place, print } => {
            print_new(place.ask(Request::CreateKey { account })?, print)
        }
        Verb::List { account, listing } => list(account, &listing),
        Verb::Disable(of) => of.change(|key| Request::DisableKey { key }, "disabled"),
        Verb::Enable(of) => of.change(|key| Request::EnableKey { key }, "enabled"),
        Verb::Delete(of) => of.change(|key| Request::DeleteKey { key }, "deleted"),
        Verb::Rotate { keep_old, of } => {
            print_new(of.place.ask(Request::RotateKey { key: of.key, keep_old })?, of.print)
        }
        Verb::Token { account, seconds, place, print } => {
            print_new(place.ask(Request::CreateToken { account, life_s: seconds })?, print)
        }
    }
}

fn print_new(answer: Answer, print: Print) -> Result<(), Failure> {
    let Answer::NewKey(key) = answer else { return Err(strange()) };
    if print.json {
        return print_json(&key);
    }
    let NewKey { access_key_id, access_key_secret, security_token, expires } = key;
    println!("{KEY_ID_VARIABLE}={access_key_id}\n{KEY_SECRET_VARIABLE}={access_key_secret}");
    if !security_token.is_empty() {
        println!("{SECURITY_TOKEN_VARIABLE}={security_token}\n# good until {expires}");
    }
    Ok(())
}

fn list(account: String, listing: &Listing) -> Result<(), Failure> {
    let rows = |answer| match answer {
        Answer::Keys(rows) => Some(rows),
        _ => None,
    };
    let heading = [
        ("KEY", Side::Left),
        ("ACCOUNT", Side::Left),
        ("NAME", Side::Left),
        ("STATUS", Side::Left),
        ("CREATED", Side::Left),
        ("EXPIRES", Side::Left),
    ];
    let cells = |row: KeyRow| {
        [row.access_key_id, row.account, row.account_name, row.status, row.created, row.expires]
    };
    listing.run(Request::Keys { account }, rows, heading, cells)
}
