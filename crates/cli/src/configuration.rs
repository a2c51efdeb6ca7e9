//! What the operator decides, from four layers: flags, then the environment, then the TOML file,
//! then the defaults. The first that says something wins, value by value.
//!
//! Everything is parsed here, once, into types that cannot be wrong, and every error names its
//! layer and its place. What the values are for is not known here.

mod allowance;

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use portcullis_agent::pinned::{INSTANCE_DEFAULT, Switches};
use portcullis_agent::run::PICK_UP_S_DEFAULT;
use portcullis_core::ids::{NetworkInterfaceId, RegionId};
use portcullis_core::settings::Quotas;
use portcullis_core::text::DeviceName;
use portcullis_server::throttle::ThrottleRule;
use serde::Deserialize;
use toml::Spanned;

use allowance::{QuotaKeys, ThrottleKeys};

/// Where the API is served unless told otherwise: reachable from this machine only.
const LISTEN_DEFAULT: &str = "127.0.0.1:8080";
/// Where state is kept unless told otherwise.
const DATA_DEFAULT: &str = "/var/lib/portcullis";
/// The file that is read when none is named; it may be absent.
const FILE_DEFAULT: &str = "/etc/portcullis/portcullis.toml";
/// The regions that exist unless told otherwise.
const REGIONS_DEFAULT: [&str; 2] = ["cn-hangzhou", "cn-qingdao-env17-d01"];
/// Bytes of the configuration file.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The flags of `portcullis serve`.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Flags {
    /// Read the configuration from this file [default: /etc/portcullis/portcullis.toml, if there]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Serve the API at this address; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<String>,
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
    /// A region to answer for; may be repeated [default: cn-hangzhou, cn-qingdao-env17-d01]
    #[arg(long, value_name = "ID")]
    pub(crate) region: Vec<String>,
    /// Serve the API alone and enforce nothing
    #[arg(long)]
    pub(crate) no_agent: bool,
    /// Pin programs and maps under this name; one server for each [default: host]
    #[arg(long, value_name = "NAME")]
    pub(crate) instance: Option<String>,
    /// Pick up flows that ran before an interface's first policy for so long; 0: never
    /// [default: 60]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) pick_up_seconds: Option<u64>,
    /// Let running flows go on with their first verdict when rules change
    #[arg(long)]
    pub(crate) keep_established: bool,
    /// Take any link-local IPv6 address for an interface's own
    #[arg(long)]
    pub(crate) any_link_local: bool,
    /// A DHCPv4 server that clients may ask directly; may be repeated
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) dhcp_server: Vec<String>,
}

/// A network interface and the device it is tied to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bind {
    /// The interface.
    pub(crate) interface: NetworkInterfaceId,
    /// The name of the device.
    pub(crate) device: DeviceName,
}

/// The PEM files that TLS needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    /// The certificate with its chain.
    pub(crate) certificate: PathBuf,
    /// Its private key.
    pub(crate) key: PathBuf,
}

/// All that the operator decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Configuration {
    /// Where to serve the API.
    pub(crate) listen: SocketAddr,
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
    /// What the agent does where rules leave it open.
    pub(crate) switches: Switches,
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

/// The environment, as a function from a variable's name to its value.
pub(crate) type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// The keys of the TOML file: the names of the flags, and what has no flag.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct FileKeys {
    listen: Option<Spanned<String>>,
    data: Option<PathBuf>,
    key_file: Option<PathBuf>,
    tls_cert: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    region: Option<Spanned<Vec<Spanned<String>>>>,
    no_agent: Option<bool>,
    instance: Option<Spanned<String>>,
    pick_up_seconds: Option<u64>,
    keep_established: Option<bool>,
    any_link_local: Option<bool>,
    #[serde(default)]
    dhcp_server: Vec<Spanned<String>>,
    #[serde(default)]
    quotas: QuotaKeys,
    #[serde(default)]
    throttle: Vec<ThrottleKeys>,
    #[serde(default)]
    bind: Vec<BindKeys>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct BindKeys {
    interface: Spanned<String>,
    device: Spanned<String>,
}

/// A value as text, with where it stands.
struct Placed {
    text: String,
    place: String,
}

impl Placed {
    fn parse<T: FromStr>(&self, help: &'static str) -> Result<T, ConfigurationError>
    where
        T::Err: fmt::Display,
    {
        self.text.parse().map_err(|error: T::Err| ConfigurationError {
            place: self.place.clone(),
            message: format!("`{}`: {error}", self.text),
            help,
        })
    }
}

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
        let instance = first([
            flags.instance.clone().map(|text| Placed { text, place: "--instance".into() }),
            variable("PORTCULLIS_INSTANCE")?,
            file.keys.instance.as_ref().map(|value| file.placed(value)),
            Some(Placed { text: INSTANCE_DEFAULT.into(), place: "default".into() }),
        ]);
        let pick_up_s = match (flags.pick_up_seconds, variable("PORTCULLIS_PICK_UP_SECONDS")?) {
            (Some(seconds), _) => seconds,
            (None, Some(text)) => text.parse("write a number of seconds")?,
            (None, None) => file.keys.pick_up_seconds.unwrap_or(PICK_UP_S_DEFAULT),
        };
        Ok(Configuration {
            instance: instance.text,
            switches: Switches {
                pick_up_s,
                keep_established: switch(
                    flags.keep_established,
                    variable("PORTCULLIS_KEEP_ESTABLISHED")?,
                    file.keys.keep_established,
                )?,
                any_link_local: switch(
                    flags.any_link_local,
                    variable("PORTCULLIS_ANY_LINK_LOCAL")?,
                    file.keys.any_link_local,
                )?,
                dhcp_servers: dhcp_servers(flags, variable("PORTCULLIS_DHCP_SERVER")?, &file)?,
            },
            listen: listen.parse("write an address and a port, for example 127.0.0.1:8080")?,
            data,
            key_file,
            tls: tls(flags, environment, &file)?,
            regions: regions(flags, variable("PORTCULLIS_REGION")?, &file)?,
            no_agent: switch(flags.no_agent, variable("PORTCULLIS_NO_AGENT")?, file.keys.no_agent)?,
            quotas: allowance::quotas(&file)?,
            throttle: allowance::throttle(&file)?,
            binds: binds(&file)?,
        })
    }
}

/// Both files of TLS, each from its first layer, or neither.
fn tls(
    flags: &Flags,
    environment: Environment<'_>,
    file: &File,
) -> Result<Option<TlsFiles>, ConfigurationError> {
    let path = |flag: &Option<PathBuf>, variable, key: &Option<PathBuf>| {
        let variable = present(environment, variable).map(PathBuf::from);
        flag.clone().or(variable).or_else(|| key.clone())
    };
    let certificate = path(&flags.tls_cert, "PORTCULLIS_TLS_CERT", &file.keys.tls_cert);
    let key = path(&flags.tls_key, "PORTCULLIS_TLS_KEY", &file.keys.tls_key);
    let half = |place: &str, other: &str| ConfigurationError {
        place: place.to_owned(),
        message: format!("it is not set and {other} is"),
        help: "set both, or neither",
    };
    match (certificate, key) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => Ok(Some(TlsFiles { certificate, key })),
        (Some(_), None) => Err(half("--tls-key", "--tls-cert")),
        (None, Some(_)) => Err(half("--tls-cert", "--tls-key")),
    }
}

/// The first layer that says something. The last always does.
fn first<const N: usize>(layers: [Option<Placed>; N]) -> Placed {
    let none = Placed { text: String::new(), place: String::new() };
    layers.into_iter().flatten().next().unwrap_or(none)
}

/// A variable that is set to something.
fn present(environment: Environment<'_>, name: &str) -> Option<OsString> {
    environment(name).filter(|value| !value.is_empty())
}

/// A variable's text.
pub(crate) fn variable_text(
    environment: Environment<'_>,
    name: &str,
) -> Result<Option<String>, ConfigurationError> {
    let Some(value) = present(environment, name) else { return Ok(None) };
    value.into_string().map(Some).map_err(|_| ConfigurationError {
        place: name.to_owned(),
        message: "the value is not UTF-8".to_owned(),
        help: "set it to plain text",
    })
}

fn variable(
    environment: Environment<'_>,
    name: &str,
) -> Result<Option<Placed>, ConfigurationError> {
    let text = variable_text(environment, name)?;
    Ok(text.map(|text| Placed { text, place: name.to_owned() }))
}

fn regions(
    flags: &Flags,
    variable: Option<Placed>,
    file: &File,
) -> Result<Vec<RegionId>, ConfigurationError> {
    let placed: Vec<Placed> = if !flags.region.is_empty() {
        let place = || "--region".to_owned();
        flags.region.iter().map(|text| Placed { text: text.clone(), place: place() }).collect()
    } else if let Some(list) = variable {
        let place = &list.place;
        let texts = list.text.split(',').map(|text| text.trim().to_owned());
        texts.map(|text| Placed { text, place: place.clone() }).collect()
    } else if let Some(list) = &file.keys.region {
        if list.get_ref().is_empty() {
            return Err(file.error(list.span().start, "no region is named"));
        }
        list.get_ref().iter().map(|value| file.placed(value)).collect()
    } else {
        let place = || "default".to_owned();
        REGIONS_DEFAULT.iter().map(|id| Placed { text: (*id).into(), place: place() }).collect()
    };
    let mut regions: Vec<RegionId> = Vec::with_capacity(placed.len());
    for region in &placed {
        let id = region.parse("name regions like cn-hangzhou")?;
        if regions.contains(&id) {
            return Err(ConfigurationError {
                place: region.place.clone(),
                message: format!("region `{id}` is named twice"),
                help: "name every region once",
            });
        }
        regions.push(id);
    }
    Ok(regions)
}

/// Something that is on or off, and off unless a layer says otherwise.
fn switch(
    flag: bool,
    variable: Option<Placed>,
    in_file: Option<bool>,
) -> Result<bool, ConfigurationError> {
    match variable {
        _ if flag => Ok(true),
        Some(value) => value.parse("write `true` or `false`"),
        None => Ok(in_file.unwrap_or(false)),
    }
}

fn dhcp_servers(
    flags: &Flags,
    variable: Option<Placed>,
    file: &File,
) -> Result<Vec<Ipv4Addr>, ConfigurationError> {
    let placed: Vec<Placed> = if !flags.dhcp_server.is_empty() {
        let place = || "--dhcp-server".to_owned();
        let texts = flags.dhcp_server.iter();
        texts.map(|text| Placed { text: text.clone(), place: place() }).collect()
    } else if let Some(list) = variable {
        let texts = list.text.split(',').map(|text| text.trim().to_owned());
        texts.map(|text| Placed { text, place: list.place.clone() }).collect()
    } else {
        file.keys.dhcp_server.iter().map(|value| file.placed(value)).collect()
    };
    placed.iter().map(|server| server.parse("write an IPv4 address")).collect()
}

fn binds(file: &File) -> Result<Vec<Bind>, ConfigurationError> {
    let mut binds: Vec<Bind> = Vec::with_capacity(file.keys.bind.len());
    for keys in &file.keys.bind {
        let interface: NetworkInterfaceId =
            file.placed(&keys.interface).parse("write the id of a network interface")?;
        let device: DeviceName =
            file.placed(&keys.device).parse("write the name of a device of this host")?;
        if binds.iter().any(|bind| bind.interface == interface) {
            let message = format!("interface `{interface}` is tied twice");
            return Err(file.error(keys.interface.span().start, message));
        }
        if binds.iter().any(|bind| bind.device == device) {
            let message = format!("device `{device}` is tied twice");
            return Err(file.error(keys.device.span().start, message));
        }
        binds.push(Bind { interface, device });
    }
    Ok(binds)
}

/// The TOML file with its text, for places.
struct File {
    path: PathBuf,
    text: String,
    keys: FileKeys,
}

impl File {
    fn read(flags: &Flags, environment: Environment<'_>) -> Result<File, ConfigurationError> {
        let named = flags
            .config
            .clone()
            .or_else(|| present(environment, "PORTCULLIS_CONFIG").map(PathBuf::from));
        let path = named.clone().unwrap_or_else(|| PathBuf::from(FILE_DEFAULT));
        let text = match read_text(&path) {
            Ok(text) => text,
            Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotFound => {
                String::new()
            }
            Err(error) => {
                return Err(ConfigurationError {
                    place: path.display().to_string(),
                    message: format!("cannot read the file: {error}"),
                    help: "check the path and its permissions",
                });
            }
        };
        File::parse(path, text)
    }

    fn parse(path: PathBuf, text: String) -> Result<File, ConfigurationError> {
        let parsed = toml::from_str(&text);
        let mut file = File { path, text, keys: FileKeys::default() };
        file.keys = parsed.map_err(|error: toml::de::Error| {
            file.error(error.span().map_or(0, |span| span.start), error.message().trim())
        })?;
        Ok(file)
    }

    fn placed(&self, value: &Spanned<String>) -> Placed {
        Placed { text: value.get_ref().clone(), place: self.place(value.span().start) }
    }

    /// The file with the line and the column of a byte.
    fn place(&self, offset: usize) -> String {
        let before = self.text.get(..offset).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |rest| rest.chars().count()) + 1;
        format!("{}:{line}:{column}", self.path.display())
    }

    fn error(&self, offset: usize, message: impl Into<String>) -> ConfigurationError {
        ConfigurationError {
            place: self.place(offset),
            message: message.into(),
            help: "the guide lists what the file may say",
        }
    }
}

/// The text of a file that is not absurdly large.
fn read_text(path: &Path) -> io::Result<String> {
    use io::Read;
    let mut text = String::new();
    let read = std::fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if read as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other(format!("it is larger than {FILE_BYTES_MAX} bytes")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use portcullis_core::settings::Quota;

    use super::*;

    /// The configuration of a file, variables and flags, or the error's text.
    fn read(file: &str, variables: &[(&str, &str)], flags: Flags) -> Result<Configuration, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("p.toml");
        std::fs::write(&path, file).unwrap();
        let environment = |name: &str| {
            let found = variables.iter().find(|(own, _)| *own == name);
            found.map(|(_, value)| OsString::from(value))
        };
        let flags = Flags { config: Some(path), ..flags };
        Configuration::read(&flags, &environment)
            .map_err(|error| error.to_string().replace(&directory.path().display().to_string(), ""))
    }

    fn ids(texts: &[&str]) -> Vec<RegionId> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn defaults_come_last() {
        let expected = Configuration {
            listen: "127.0.0.1:8080".parse().unwrap(),
            data: "/var/lib/portcullis".into(),
            key_file: None,
            tls: None,
            regions: ids(&["cn-hangzhou", "cn-qingdao-env17-d01"]),
            quotas: Quotas::default(),
            throttle: vec![],
            no_agent: false,
            instance: "host".into(),
            switches: Switches::default(),
            binds: vec![],
        };
        assert_eq!(read("", &[], Flags::default()), Ok(expected.clone()));
        let empty = [("PORTCULLIS_LISTEN", ""), ("PORTCULLIS_REGION", "")];
        assert_eq!(read("", &empty, Flags::default()), Ok(expected));
    }

    #[test]
    fn a_higher_layer_wins_value_by_value() {
        let file = "listen = '0.0.0.0:1'\ndata = '/f'\nkey-file = '/f.key'\n\
                    region = ['r-f']\nno-agent = true\n\
                    instance = 'f'\npick-up-seconds = 1\n\
                    keep-established = true\nany-link-local = true\n\
                    dhcp-server = ['10.0.0.1']\n\
                    [[bind]]\ninterface = 'eni-1'\ndevice = 'veth1'\n";
        let from_file = read(file, &[], Flags::default()).unwrap();
        assert_eq!(from_file.listen, "0.0.0.0:1".parse().unwrap());
        assert_eq!(from_file.data, PathBuf::from("/f"));
        assert_eq!(from_file.key_file, Some(PathBuf::from("/f.key")));
        assert_eq!(from_file.regions, ids(&["r-f"]));
        assert!(from_file.no_agent);
        assert_eq!((from_file.instance.as_str(), from_file.switches.pick_up_s), ("f", 1));
        let bind = Bind { interface: "eni-1".parse().unwrap(), device: "veth1".parse().unwrap() };
        assert_eq!(from_file.binds, [bind]);

        let of_file = &from_file.switches;
        assert!(of_file.keep_established && of_file.any_link_local);
        assert_eq!(of_file.dhcp_servers, ["10.0.0.1".parse::<Ipv4Addr>().unwrap()]);

        let variables = [
            ("PORTCULLIS_LISTEN", "0.0.0.0:2"),
            ("PORTCULLIS_DATA", "/e"),
            ("PORTCULLIS_KEY_FILE", "/e.key"),
            ("PORTCULLIS_REGION", "r-e, r-g"),
            ("PORTCULLIS_NO_AGENT", "false"),
            ("PORTCULLIS_INSTANCE", "e"),
            ("PORTCULLIS_PICK_UP_SECONDS", "2"),
            ("PORTCULLIS_KEEP_ESTABLISHED", "false"),
            ("PORTCULLIS_ANY_LINK_LOCAL", "false"),
            ("PORTCULLIS_DHCP_SERVER", "10.0.0.2, 10.0.0.9"),
        ];
        let from_environment = read(file, &variables, Flags::default()).unwrap();
        assert_eq!(from_environment.listen, "0.0.0.0:2".parse().unwrap());
        assert_eq!(from_environment.data, PathBuf::from("/e"));
        assert_eq!(from_environment.key_file, Some(PathBuf::from("/e.key")));
        assert_eq!(from_environment.regions, ids(&["r-e", "r-g"]));
        assert!(!from_environment.no_agent);
        assert_eq!(
            (from_environment.instance.as_str(), from_environment.switches.pick_up_s),
            ("e", 2)
        );

        let of_environment = &from_environment.switches;
        assert!(!of_environment.keep_established && !of_environment.any_link_local);
        assert_eq!(of_environment.dhcp_servers.len(), 2);

        let flags = Flags {
            listen: Some("[::1]:3".into()),
            data: Some("/a".into()),
            key_file: Some("/a.key".into()),
            region: vec!["r-a".into()],
            no_agent: true,
            instance: Some("a".into()),
            pick_up_seconds: Some(0),
            dhcp_server: vec!["10.0.0.3".into()],
            config: None,
            ..Flags::default()
        };
        let from_flags = read(file, &variables, flags).unwrap();
        assert_eq!(from_flags.listen, "[::1]:3".parse().unwrap());
        assert_eq!(from_flags.data, PathBuf::from("/a"));
        assert_eq!(from_flags.key_file, Some(PathBuf::from("/a.key")));
        assert_eq!(from_flags.regions, ids(&["r-a"]));
        assert!(from_flags.no_agent);
        assert_eq!((from_flags.instance.as_str(), from_flags.switches.pick_up_s), ("a", 0));
        assert_eq!(from_flags.switches.dhcp_servers, ["10.0.0.3".parse::<Ipv4Addr>().unwrap()]);
        assert_eq!(from_flags.binds, from_environment.binds);
    }

    #[test]
    fn tls_has_both_files_or_neither() {
        let files = |certificate: &str, key: &str| {
            Some(TlsFiles { certificate: certificate.into(), key: key.into() })
        };
        let file = "tls-cert = '/f/c'\ntls-key = '/f/k'";
        assert_eq!(read(file, &[], Flags::default()).unwrap().tls, files("/f/c", "/f/k"));
        let variables = [("PORTCULLIS_TLS_CERT", "/e/c"), ("PORTCULLIS_TLS_KEY", "/e/k")];
        assert_eq!(read(file, &variables, Flags::default()).unwrap().tls, files("/e/c", "/e/k"));
        let flags = Flags { tls_cert: Some("/a/c".into()), ..Flags::default() };
        assert_eq!(read(file, &[], flags.clone()).unwrap().tls, files("/a/c", "/f/k"));
        let error = read("", &[], flags).unwrap_err();
        assert!(error.starts_with("--tls-key: "), "{error}");
        let error = read("tls-key = '/f/k'", &[], Flags::default()).unwrap_err();
        assert!(error.starts_with("--tls-cert: "), "{error}");
    }

    #[test]
    fn quotas_and_rates_come_from_the_file() {
        let file = "[quotas]\nrules-per-group = 200\nvpcs-per-region = 3\n\
                    [[throttle]]\ncalls-per-minute = 600\nburst = 20\n\
                    [[throttle]]\naccount = 'web'\naction = 'CreateVpc'\n\
                    calls-per-minute = 6\nburst = 2\n";
        let configuration = read(file, &[], Flags::default()).unwrap();
        let expected = Quotas { rules_per_group: 200, vpcs_per_region: 3, ..Quotas::default() };
        assert_eq!(configuration.quotas, expected);
        let rule = |account: Option<&str>, action: Option<&str>, calls, burst| ThrottleRule {
            account: account.map(str::to_owned),
            action: action.map(str::to_owned),
            rate: portcullis_server::throttle::Rate::new(calls, burst).unwrap(),
        };
        let rules = [rule(None, None, 600, 20), rule(Some("web"), Some("CreateVpc"), 6, 2)];
        assert_eq!(configuration.throttle, rules);
        let more = "[[throttle]]\ncalls-per-minute = 6\nburst = 2\n".repeat(1001);
        let error = read(&more, &[], Flags::default()).unwrap_err();
        assert!(error.contains("more than 1000 rules"), "{error}");
    }

    #[test]
    fn the_guide_lists_every_quota() {
        let guide = include_str!("../../../docs/guide/configuration.md");
        for quota in Quotas::ALL {
            let Quota { name, default, least, most, about } = quota;
            let row = format!(
                "| `{}` | {} | {default} | {least} to {most} |",
                name.replace('_', "-"),
                about.trim().trim_end_matches('.')
            );
            assert!(guide.contains(&row), "docs/guide/configuration.md lacks\n{row}");
        }
    }

    #[test]
    fn an_error_names_its_place() {
        for (file, expected) in [
            ("listen = 'x'", "/p.toml:1:10: `x`: invalid socket address syntax"),
            ("\n  colour = 1", "/p.toml:2:3: unknown field `colour`"),
            ("data = 1", "/p.toml:1:8: invalid type"),
            ("listen = ", "/p.toml:1:10: "),
            ("region = []", "/p.toml:1:10: no region is named"),
            ("region = ['a',\n 'a']", "/p.toml:2:2: region `a` is named twice"),
            ("region = ['a b']", "/p.toml:1:11: `a b`: `a b` is not a RegionId"),
            ("[[bind]]\ninterface = 'eni-1'", "/p.toml:1:1: missing field `device`"),
            ("[[bind]]\ninterface = 'é ö'\ndevice = 'd'", "/p.toml:2:13: `é ö`: "),
            ("[quotas]\nrules = 1", "/p.toml:2:1: quota `rules`: there is no such quota"),
            (
                "[quotas]\ngroups-per-interface = 17",
                "/p.toml:2:24: quota `groups-per-interface`: it is from 1 to 16, 10 by default",
            ),
            ("[quotas]\nvpcs-per-region = -1", "/p.toml:2:19: invalid value"),
            (
                "[[throttle]]\naction = 'Sing'\ncalls-per-minute = 1\nburst = 1",
                "/p.toml:2:10: there is no action `Sing`",
            ),
            (
                "[[throttle]]\ncalls-per-minute = 0\nburst = 1",
                "/p.toml:2:20: calls-per-minute is from 1 to 6000000, burst from 1 to 1000000",
            ),
            ("[[throttle]]\ncalls-per-minute = 1", "/p.toml:1:1: missing field `burst`"),
            (
                "[[bind]]\ninterface = 'e'\ndevice = 'd'\n[[bind]]\ninterface = 'e'\ndevice = 'f'",
                "/p.toml:5:13: interface `e` is tied twice",
            ),
            (
                "[[bind]]\ninterface = 'e'\ndevice = 'd'\n[[bind]]\ninterface = 'f'\ndevice = 'd'",
                "/p.toml:6:10: device `d` is tied twice",
            ),
        ] {
            let error = read(file, &[], Flags::default()).unwrap_err();
            assert!(error.starts_with(expected), "{file:?} gave {error:?}");
        }
        let error = read("", &[("PORTCULLIS_NO_AGENT", "si")], Flags::default()).unwrap_err();
        assert!(error.starts_with("PORTCULLIS_NO_AGENT: `si`: "), "{error}");
        let flags = Flags { listen: Some("8080".into()), ..Flags::default() };
        let error = read("", &[], flags).unwrap_err();
        assert!(error.starts_with("--listen: `8080`: "), "{error}");
    }

    #[test]
    fn a_named_file_must_be_there() {
        let flags = Flags { config: Some("/nowhere/p.toml".into()), ..Flags::default() };
        let error = Configuration::read(&flags, &|_| None).unwrap_err();
        assert_eq!(error.place, "/nowhere/p.toml");
    }
}
