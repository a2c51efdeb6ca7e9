//! `portcullis restore`: makes the store of a new server from what `portcullis export` wrote.

use std::fs::File;
use std::path::PathBuf;

use portcullis_server::directory::DataDirectory;
use portcullis_store::{Embedded, Limits, Store};

use crate::configuration::{Configuration, Flags};
use crate::failure::{Failure, STATUS_BAD_INPUT};

/// Makes the store of a server that has none yet from an export. No server may run there.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// What `portcullis export` wrote
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The data directory of the new server [default: as `serve` finds it]
    #[arg(long, value_name = "DIRECTORY")]
    data: Option<PathBuf>,
    /// Read the configuration from this file [default: /etc/portcullis/portcullis.toml, if there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Makes it.
pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { file, data, config } = arguments;
    let flags = Flags { data, config, ..Flags::default() };
    let configuration = Configuration::read(&flags, &|name| std::env::var_os(name))
        .map_err(Failure::of_configuration)?;
    // Before anything is made: a wrong name must leave nothing behind.
    let shown = file.display().to_string();
    let mut export =
        File::open(&file).map_err(|error| Failure::of_file(STATUS_BAD_INPUT, &shown, &error))?;
    let directory = DataDirectory::prepare(configuration.data)
        .map_err(|error| Failure::because("CannotRestore", &error, error.help()))?;
    let store = Embedded::restore(&directory.store(), Limits::default(), &mut export)
        .map_err(|error| Failure::because("CannotRestore", &error, error.help()))?;
    let (revision, place) = (store.head(), directory.store().display().to_string());
    println!("revision {revision} is in {place}");
    println!("put the key file that sealed its secrets back before the server is started");
    Ok(())
}
