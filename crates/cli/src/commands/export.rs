//! `portcullis export`: writes all that a running server keeps to one file.

use std::path::PathBuf;

use portcullis_server::control::message::{Answer, Request};

use crate::commands::socket::{Place, Print, print_json, strange};
use crate::failure::{Failure, STATUS_BAD_INPUT};

/// Writes all that the running server keeps, as of one revision, to a file.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The file to write; one that is there is replaced once the new one is whole
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    print: Print,
}

/// Has it written.
pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { file, place, print } = arguments;
    // The server's working directory is another.
    let shown = file.display().to_string();
    let path = std::path::absolute(&file)
        .map_err(|error| Failure::of_file(STATUS_BAD_INPUT, &shown, &error))?;
    let path = path.into_os_string().into_string().map_err(|_| {
        let mut failure = Failure::new("BadPath", "the path is not UTF-8", "choose another one");
        failure.status = STATUS_BAD_INPUT;
        failure.place = shown;
        failure
    })?;
    let Answer::Exported(exported) = place.ask(Request::Export { path })? else {
        return Err(strange());
    };
    if print.json {
        return print_json(&exported);
    }
    println!("revision {} is in {}", exported.revision, exported.path);
    println!("secrets in it are sealed: keep the key file too, and elsewhere");
    Ok(())
}
