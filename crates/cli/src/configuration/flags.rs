//! What can be said on the command line of `portcullis serve`. What it means is not known here.

use std::path::PathBuf;

/// The flags of `portcullis serve`.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Flags {
    /// Read the configuration from this file [default: /etc/portcullis/portcullis.toml, if there]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Serve the API at this address; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<String>,
    /// Serve metrics for Prometheus at this address; port 0 takes a free one [default: nowhere]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) metrics: Option<String>,
    /// Keep state in this directory [default: /var/lib/portcullis]
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) data: Option<PathBuf>,
    /// Keep the key that secrets are sealed with in this file [default: seal.key in the data
    /// directory]
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// Answer TLS too, at the same port, with the certificate and chain of this PEM file
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The private key of that certificate, a PEM file
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Answer TLS alone; plain HTTP is refused
    #[arg(long)]
    pub(crate) tls_only: bool,
    /// A region to answer for; may be repeated [default: cn-hangzhou, cn-qingdao-env17-d01]
    #[arg(long, value_name = "ID")]
    pub(crate) region: Vec<String>,
    /// Serve the API alone and enforce nothing
    #[arg(long)]
    pub(crate) no_agent: bool,
    /// Pin programs and maps under this name; one server for each [default: host]
    #[arg(long, value_name = "NAME")]
    pub(crate) instance: Option<String>,
    /// Put programs at devices by `tcx` links or by `clsact` filters [default: tcx where the
    /// kernel has it]
    #[arg(long, value_name = "HOOK")]
    pub(crate) hook: Option<String>,
    /// Pick up flows that ran before an interface's first policy for so long; 0: never
    /// [default: 60]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) pick_up_seconds: Option<u64>,
    /// Look so often whether others changed what is enforced, and put it right [default: 1]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) check_seconds: Option<u64>,
    /// Let running flows go on with their first verdict when rules change
    #[arg(long)]
    pub(crate) keep_established: bool,
    /// Take any link-local IPv6 address for an interface's own
    #[arg(long)]
    pub(crate) any_link_local: bool,
    /// Log flow events as JSON lines into files of this directory
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) flow_log: Option<PathBuf>,
    /// Megabytes of one file of the flow log [default: 64]
    #[arg(long, value_name = "MEGABYTES")]
    pub(crate) flow_log_megabytes: Option<u64>,
    /// Older files of the flow log to keep [default: 8]
    #[arg(long, value_name = "COUNT")]
    pub(crate) flow_log_files: Option<u32>,
    /// An event to log: new, deny, revoke, recover or end; may be repeated [default: all]
    #[arg(long, value_name = "EVENT")]
    pub(crate) flow_log_event: Vec<String>,
    /// A DHCPv4 server that clients may ask directly; may be repeated
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) dhcp_server: Vec<String>,
}
