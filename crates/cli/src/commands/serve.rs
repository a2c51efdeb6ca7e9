//! `portcullis serve`: the API, the store and the agent of this host in one process.
//!
//! It puts the parts together and says how they stand; it decides nothing.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;

use portcullis_core::settings::{Protocols, Settings};
use portcullis_server::clock::SystemClock;
use portcullis_server::directory::DataDirectory;
use portcullis_server::identity::Credentials;
use portcullis_server::limits::Limits;
use portcullis_server::server::{Ended, Options, Server, served_by};
use portcullis_server::source::EmbeddedSource;
use portcullis_server::tls::Certificate;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::configuration::{Configuration, ConfigurationError, Flags, TlsFiles, variable_text};
use crate::enforcement;
use crate::failure::Failure;

/// Names the first access key.
pub(crate) const KEY_ID_VARIABLE: &str = "PORTCULLIS_ACCESS_KEY_ID";
/// Its secret.
pub(crate) const KEY_SECRET_VARIABLE: &str = "PORTCULLIS_ACCESS_KEY_SECRET";
/// What is logged, in the language of `tracing_subscriber::EnvFilter`.
const LOG_VARIABLE: &str = "PORTCULLIS_LOG";
const LOG_DEFAULT: &str = "info";

/// What can be said on the command line; the rest comes from the environment and the file.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    flags: Flags,
}

/// Serves until it is told to stop.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    start_log()?;
    let environment = |name: &str| std::env::var_os(name);
    let configuration =
        Configuration::read(&arguments.flags, &environment).map_err(Failure::of_configuration)?;
    let credentials = first_key(&environment)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::because("CannotStart", &error, "check the limits on threads"))?;
    let ended = runtime.block_on(serve(configuration, credentials))?;
    if ended.cut > 0 {
        tracing::warn!(connections = ended.cut, "cut what did not finish in time");
    }
    if ended.is_clean {
        return Ok(());
    }
    Err(Failure::new(
        "Internal",
        "the writer ended early",
        "this is a fault of the program; see the log",
    ))
}

async fn serve(
    configuration: Configuration,
    credentials: Option<Credentials>,
) -> Result<Ended, Failure> {
    // Before anything is ready, so that a signal that comes early is not lost.
    let cannot = |error: std::io::Error| {
        Failure::because("CannotStart", &error, "check the limits on signals")
    };
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
    let mut hang_up = signal(SignalKind::hangup()).map_err(cannot)?;
    let tls_only = configuration.tls.as_ref().is_some_and(|tls| tls.only);
    let certificate = configuration.tls.clone().map(read_certificate).transpose()?;
    let protocols = served_by(certificate.is_some(), tls_only);
    let directory = DataDirectory::prepare(&configuration.data)
        .map_err(|error| Failure::because("CannotStart", &error, error.help()))?;
    let credentials_path = directory.credentials();
    let (link, seam) = match configuration.no_agent {
        true => (None, None),
        false => {
            enforcement::prepare(&configuration).map(|(link, seam)| (Some(link), Some(seam)))?
        }
    };
    let options = Options {
        listen: configuration.listen,
        metrics: configuration.metrics,
        source: Box::new(EmbeddedSource { directory: directory.store() }),
        key_file: configuration.key_file.unwrap_or_else(|| directory.key_file()),
        directory,
        settings: Settings { quotas: configuration.quotas, ..Settings::new(configuration.regions) },
        throttle: configuration.throttle,
        credentials,
        binds: configuration.binds.into_iter().map(|bind| (bind.interface, bind.device)).collect(),
        link,
        certificate: certificate.clone(),
        tls_only,
        limits: Limits::default(),
        clock: Arc::new(SystemClock),
        program_version: env!("CARGO_PKG_VERSION"),
    };
    let server = Server::start(options)
        .await
        .map_err(|error| Failure::because("CannotStart", &error, error.help()))?;
    let enforcement = seam.map(enforcement::start).transpose()?;
    announce(&server, &credentials_path, protocols);
    let stop = async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = hang_up.recv() => read_again(certificate.as_deref()),
            }
        }
        tracing::info!("stopping; what the kernel enforces stays in place");
    };
    let ended = server.run(stop).await;
    if let Some(enforcement) = enforcement {
        // Joins a thread that waits for the kernel at worst.
        tokio::task::block_in_place(|| enforcement.stop());
    }
    Ok(ended)
}

/// Says how the server stands, and once what the first access key is.
fn announce(server: &Server, credentials_path: &Path, protocols: Protocols) {
    let mut lines = String::new();
    if let Some(key) = server.drawn_key() {
        lines += &format!(
            "the first access key, also kept in {}:\nPORTCULLIS_ACCESS_KEY_ID={}\n\
             PORTCULLIS_ACCESS_KEY_SECRET={}\n",
            credentials_path.display(),
            key.access_key_id,
            key.access_key_secret
        );
    }
    let stands = match server.enforces() {
        true => "enforcing on this host",
        false => "nothing is enforced on this host",
    };
    let (scheme, too) = match protocols {
        Protocols::Http => ("http", ""),
        Protocols::HttpAndHttps => ("http", "; https too"),
        Protocols::Https => ("https", ""),
    };
    lines += &format!("portcullis is ready at {scheme}://{}{too}; {stands}\n", server.address());
    if let Some(metrics) = server.metrics() {
        lines += &format!("metrics are at http://{metrics}/metrics\n");
    }
    // Nobody may be reading; the server serves all the same.
    let mut output = std::io::stdout().lock();
    let _ = output.write_all(lines.as_bytes()).and_then(|()| output.flush());
}

fn read_certificate(files: TlsFiles) -> Result<Arc<Certificate>, Failure> {
    Certificate::read(files.certificate, files.key)
        .map(Arc::new)
        .map_err(|error| Failure::because("CannotStart", &error, error.help()))
}

/// What a hang-up asks for: the certificate as it is now.
fn read_again(certificate: Option<&Certificate>) {
    let Some(certificate) = certificate else {
        tracing::info!("told to read files again; there is no certificate to read");
        return;
    };
    match certificate.read_again() {
        Ok(()) => tracing::info!("the certificate is read again"),
        Err(error) => {
            tracing::error!(%error, help = error.help(), "the old certificate stays in use");
        }
    }
}

/// Logs go to the standard error.
fn start_log() -> Result<(), Failure> {
    let filter = std::env::var(LOG_VARIABLE).ok().filter(|text| !text.is_empty());
    let filter = EnvFilter::try_new(filter.as_deref().unwrap_or(LOG_DEFAULT)).map_err(|error| {
        Failure::of_configuration(ConfigurationError {
            place: LOG_VARIABLE.to_owned(),
            message: error.to_string(),
            help: "write a level like `info`, or `portcullis_server=debug,info`",
        })
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    Ok(())
}

/// The access key that the environment gives for a first start.
fn first_key(
    environment: &dyn Fn(&str) -> Option<std::ffi::OsString>,
) -> Result<Option<Credentials>, Failure> {
    let read = |name| variable_text(environment, name).map_err(Failure::of_configuration);
    match (read(KEY_ID_VARIABLE)?, read(KEY_SECRET_VARIABLE)?) {
        (None, None) => Ok(None),
        (Some(access_key_id), Some(access_key_secret)) => {
            Ok(Some(Credentials { access_key_id, access_key_secret }))
        }
        (Some(_), None) => Err(half(KEY_ID_VARIABLE, KEY_SECRET_VARIABLE)),
        (None, Some(_)) => Err(half(KEY_SECRET_VARIABLE, KEY_ID_VARIABLE)),
    }
}

pub(crate) fn half(set: &str, unset: &str) -> Failure {
    Failure::of_configuration(ConfigurationError {
        place: unset.to_owned(),
        message: format!("{set} is set and {unset} is not"),
        help: "set both, or neither",
    })
}
