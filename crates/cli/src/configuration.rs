//! What the operator decides, from four layers: flags, then the environment, then the TOML file,
//! then the defaults. The first that says something wins, value by value.
//!
//! Everything is parsed here, once, into types that cannot be wrong, and every error names its
//! layer and its place. What the values are for is not known here.

mod allowance;
mod file;
mod flags;
mod flow_log;
mod host;
mod layers;
mod serving;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use portcullis_agent::flow_log::FlowLogSettings;
use portcullis_agent::pinned::Switches;
use portcullis_agent::sys::Hook;
use portcullis_core::ids::{NetworkInterfaceId, RegionId};
use portcullis_core::settings::Quotas;
use portcullis_core::text::DeviceName;
use portcullis_server::throttle::ThrottleRule;

pub(crate) use flags::Flags;
pub(crate) use layers::variable_text;

use file::File;
use layers::{Environment, Placed, first, present, switch, variable};

/// Where the API is served unless told otherwise: reachable from this machine only.
const LISTEN_DEFAULT: &str = "127.0.0.1:8080";
/// Where state is kept unless told otherwise.
const DATA_DEFAULT: &str = "/var/lib/portcullis";

/// A network interface and the device it is tied to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bind {
    /// The interface.
    pub(crate) interface: NetworkInterfaceId,
    /// The name of the device.
    pub(crate) device: DeviceName,
}

/// How TLS is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    /// The certificate with its chain.
    pub(crate) certificate: PathBuf,
    /// Its private key.
    pub(crate) key: PathBuf,
    /// Whether plain HTTP is refused.
    pub(crate) only: bool,
}

/// All that the operator decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Configuration {
    /// Where to serve the API.
    pub(crate) listen: SocketAddr,
    /// Where to serve the metrics, if anywhere.
    pub(crate) metrics: Option<SocketAddr>,
    /// Where to keep state.
    pub(crate) data: PathBuf,
    /// Where to keep the key that secrets are sealed with, unless in the data directory.
    pub(crate) key_file: Option<PathBuf>,
    /// The files of the certificate and its key, where TLS is answered.
    pub(crate) tls: Option<TlsFiles>,
    /// The regions to answer for; at least one, none twice.
    pub(crate) regions: Vec<RegionId>,
    /// How much accounts may have.
    pub(crate) quotas: Quotas,
    /// How often they may call.
    pub(crate) throttle: Vec<ThrottleRule>,
    /// Whether to serve the API alone.
    pub(crate) no_agent: bool,
    /// The name under which the agent pins its programs and maps.
    pub(crate) instance: String,
    /// How it puts them at devices; the best that the kernel has, unless said.
    pub(crate) hook: Option<Hook>,
    /// What the agent does where rules leave it open.
    pub(crate) switches: Switches,
    /// What is logged of flows, and where.
    pub(crate) flow_log: Option<FlowLogSettings>,
    /// What to tie at the start.
    pub(crate) binds: Vec<Bind>,
}

impl Configuration {
    /// Where a client of this host finds the server.
    pub(crate) fn reachable(&self) -> SocketAddr {
        let loopback = match self.listen.ip() {
            IpAddr::V4(own) if own.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(own) if own.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            own => own,
        };
        SocketAddr::new(loopback, self.listen.port())
    }
}

/// What is wrong with the configuration, and where.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ConfigurationError {
    /// The flag, the variable, or the file with line and column.
    pub(crate) place: String,
    /// What is wrong.
    pub(crate) message: String,
    /// What to do next.
    pub(crate) help: &'static str,
}

impl fmt::Display for ConfigurationError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.place, self.message)
    }
}

impl std::error::Error for ConfigurationError {}

impl Configuration {
    /// Reads all layers.
    pub(crate) fn read(
        flags: &Flags,
        environment: Environment<'_>,
    ) -> Result<Configuration, ConfigurationError> {
        let file = File::read(flags, environment)?;
        let variable = |name: &str| variable(environment, name);
        let listen = first([
            flags.listen.clone().map(|text| Placed { text, place: "--listen".into() }),
            variable("PORTCULLIS_LISTEN")?,
            file.keys.listen.as_ref().map(|value| file.placed(value)),
            Some(Placed { text: LISTEN_DEFAULT.into(), place: "default".into() }),
        ]);
        let data = flags
            .data
            .clone()
            .or_else(|| present(environment, "PORTCULLIS_DATA").map(PathBuf::from))
            .or_else(|| file.keys.data.clone())
            .unwrap_or_else(|| PathBuf::from(DATA_DEFAULT));
        let key_file = flags.key_file.clone();
        let key_file = key_file
            .or_else(|| present(environment, "PORTCULLIS_KEY_FILE").map(PathBuf::from))
            .or_else(|| file.keys.key_file.clone());
        Ok(Configuration {
            instance: host::instance(flags, environment, &file)?,
            hook: host::hook(flags, environment, &file)?,
            switches: host::switches(flags, environment, &file)?,
            listen: listen.parse("write an address and a port, for example 127.0.0.1:8080")?,
            metrics: serving::metrics(flags, variable("PORTCULLIS_METRICS")?, &file)?,
            data,
            key_file,
            tls: serving::tls(flags, environment, &file)?,
            regions: serving::regions(flags, variable("PORTCULLIS_REGION")?, &file)?,
            no_agent: switch(flags.no_agent, variable("PORTCULLIS_NO_AGENT")?, file.keys.no_agent)?,
            quotas: allowance::quotas(&file)?,
            throttle: allowance::throttle(&file)?,
            flow_log: flow_log::read(flags, environment, &file)?,
            binds: host::binds(&file)?,
        })
    }
}
