//! `lab demo`: finds the program, listens for signals, and turns what came of it into a status.

use portcullis_testkit::demo::{self, Options};
use portcullis_testkit::lab::product::PROGRAM;
use portcullis_testkit::wait;
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// As shells have it for a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// What can be said on the command line.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Leave it running at the end, and print how to talk to it
    #[arg(long)]
    keep: bool,
    /// The program `portcullis` [default: the one beside this program]
    #[arg(long, value_name = "FILE", env = PROGRAM)]
    program: Option<PathBuf>,
}

/// Shows the demo.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let beside = || std::env::current_exe().map(|own| own.with_file_name("portcullis"));
    let program = match arguments.program.clone().map_or_else(beside, Ok) {
        Ok(program) => program,
        Err(error) => return fail(&error.to_string()),
    };
    if let Err(error) = stop_on_signals() {
        return fail(&error.to_string());
    }
    match demo::run(&Options { program, keep: arguments.keep }) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(_) if wait::interrupted() => {
            eprintln!("interrupted; everything has been removed");
            ExitCode::from(INTERRUPTED)
        }
        Err(error) => fail(&error),
    }
}

fn fail(error: &str) -> ExitCode {
    eprintln!("the demo cannot go on: {error}");
    ExitCode::FAILURE
}

/// From now on Ctrl-C, SIGTERM and a closed terminal end all waits, so that what was made is
/// removed on the way out.
fn stop_on_signals() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut interrupt, mut terminate, mut hangup) = {
        let _inside = runtime.enter();
        let listen = |kind| signal(kind);
        (
            listen(SignalKind::interrupt())?,
            listen(SignalKind::terminate())?,
            listen(SignalKind::hangup())?,
        )
    };
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
        });
        wait::interrupt();
        // Further signals find the same way out already open.
        runtime.block_on(std::future::pending::<()>());
    })?;
    Ok(())
}
