//! What the commands that talk to a running server have in common: finding it, and answers that are
//! not what was asked for. It knows no question.

use std::io;
use std::path::PathBuf;

use portcullis_server::control::client::{self, ClientError};
use portcullis_server::control::message::{Answer, Changed, Request};
use portcullis_server::directory::DataDirectory;
use portcullis_wire::flow_event::FlowEvent;
use serde::Serialize;

use crate::commands::table::{Side, table};
use crate::configuration::{Configuration, Flags};
use crate::failure::Failure;

/// Where the server is.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Place {
    /// The data directory of the running server [default: as `serve` finds it]
    #[arg(long, value_name = "DIRECTORY")]
    data: Option<PathBuf>,
    /// Read the configuration from this file [default: /etc/portcullis/portcullis.toml, if there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// How to print.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Print {
    /// Print JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

impl Place {
    /// Asks the server.
    pub(crate) fn ask(&self, request: Request) -> Result<Answer, Failure> {
        ask_at(&self.directory()?, request)
    }

    /// Has the server tell events until it ends, or `hear` wants no more.
    pub(crate) fn follow(
        &self,
        request: Request,
        hear: impl FnMut(FlowEvent) -> io::Result<()>,
    ) -> Result<(), Failure> {
        client::follow(&self.directory()?, request, hear).map_err(no_answer)
    }

    /// The data directory of the server.
    pub(crate) fn directory(&self) -> Result<DataDirectory, Failure> {
        let flags =
            Flags { data: self.data.clone(), config: self.config.clone(), ..Flags::default() };
        let configuration = Configuration::read(&flags, &|name| std::env::var_os(name))
            .map_err(Failure::of_configuration)?;
        Ok(DataDirectory::at(configuration.data))
    }
}

/// Asks the server of a data directory.
pub(crate) fn ask_at(directory: &DataDirectory, request: Request) -> Result<Answer, Failure> {
    client::ask(directory, request).map_err(no_answer)
}

fn no_answer(error: ClientError) -> Failure {
    let help = error.help();
    match error {
        ClientError::Refused(_) => Failure::new("Refused", error.to_string(), help),
        ClientError::NoServer { .. } | ClientError::Broken { .. } => {
            Failure::because("NoAnswer", &error, help)
        }
    }
}

/// The arguments of a command that lists something.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Listing {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) print: Print,
}

impl Listing {
    /// Asks, and prints the rows that `rows_of` finds in the answer, each as its `cells`.
    pub(crate) fn run<R: Serialize, const N: usize>(
        &self,
        request: Request,
        rows_of: impl FnOnce(Answer) -> Option<Vec<R>>,
        heading: [(&str, Side); N],
        cells: impl Fn(R) -> [String; N],
    ) -> Result<(), Failure> {
        let rows = rows_of(self.place.ask(request)?).ok_or_else(strange)?;
        if self.print.json {
            return print_json(&rows);
        }
        print!("{}", table(heading, rows.into_iter().map(cells)));
        Ok(())
    }
}

/// The server answered another question than was asked.
pub(crate) fn strange() -> Failure {
    Failure::new(
        "NoAnswer",
        "the server's answer does not fit the question",
        "use the `portcullis` program of the server's own version",
    )
}

/// Prints as JSON, for programs.
pub(crate) fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::because("Internal", &error, "this is a fault of the program"))?;
    println!("{text}");
    Ok(())
}

/// Prints that a change is kept which nothing has to be waited for.
pub(crate) fn print_kept(answer: &Answer, done: &str, print: Print) -> Result<(), Failure> {
    let Answer::Kept(kept) = answer else { return Err(strange()) };
    if print.json {
        return print_json(kept);
    }
    println!("{done}");
    Ok(())
}

/// Prints what became of a change. A change that failed to come into force is a failure, though it
/// is durable.
pub(crate) fn print_changed(changed: &Changed, what: &str, print: Print) -> Result<(), Failure> {
    let state = &changed.enforcement;
    if print.json {
        print_json(changed)?;
    } else {
        println!("{what} at revision {}: {}", changed.revision, sentence(state));
    }
    if state == "Enforced" || state == "NotEnforced" {
        return Ok(());
    }
    let help = "the change is kept and will come into force when its cause is gone; \
                `portcullis bindings` shows how it stands";
    Err(Failure::new("NotInForce", format!("{state}: {}", changed.detail), help))
}

fn sentence(enforcement: &str) -> &'static str {
    match enforcement {
        "Enforced" => "in force",
        "NotEnforced" => "not enforced, the server runs without an agent",
        "Failed" => "not in force",
        _ => "not yet in force",
    }
}
