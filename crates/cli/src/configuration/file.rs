//! The TOML file: its keys, and the places of its values for errors.
//!
//! What the values mean is not known here.

use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

use super::allowance::{QuotaKeys, ThrottleKeys};
use super::layers::{Environment, Placed, present};
use super::{ConfigurationError, Flags};

/// The file that is read when none is named; it may be absent.
const FILE_DEFAULT: &str = "/etc/portcullis/portcullis.toml";
/// Bytes of the configuration file.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The keys of the TOML file: the names of the flags, and what has no flag.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct FileKeys {
    pub(super) listen: Option<Spanned<String>>,
    pub(super) metrics: Option<Spanned<String>>,
    pub(super) data: Option<PathBuf>,
    pub(super) key_file: Option<PathBuf>,
    pub(super) tls_cert: Option<PathBuf>,
    pub(super) tls_key: Option<PathBuf>,
    pub(super) tls_only: Option<bool>,
    pub(super) region: Option<Spanned<Vec<Spanned<String>>>>,
    pub(super) no_agent: Option<bool>,
    pub(super) instance: Option<Spanned<String>>,
    pub(super) hook: Option<Spanned<String>>,
    pub(super) pick_up_seconds: Option<u64>,
    pub(super) check_seconds: Option<Spanned<u64>>,
    pub(super) keep_established: Option<bool>,
    pub(super) any_link_local: Option<bool>,
    pub(super) flow_log: Option<PathBuf>,
    pub(super) flow_log_megabytes: Option<Spanned<u64>>,
    pub(super) flow_log_files: Option<Spanned<u32>>,
    #[serde(default)]
    pub(super) flow_log_event: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) dhcp_server: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) quotas: QuotaKeys,
    #[serde(default)]
    pub(super) throttle: Vec<ThrottleKeys>,
    #[serde(default)]
    pub(super) bind: Vec<BindKeys>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct BindKeys {
    pub(super) interface: Spanned<String>,
    pub(super) device: Spanned<String>,
}

/// The TOML file with its text, for places.
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) text: String,
    pub(super) keys: FileKeys,
}

impl File {
    pub(super) fn read(
        flags: &Flags,
        environment: Environment<'_>,
    ) -> Result<File, ConfigurationError> {
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

    pub(super) fn placed(&self, value: &Spanned<String>) -> Placed {
        Placed { text: value.get_ref().clone(), place: self.place(value.span().start) }
    }

    /// The file with the line and the column of a byte.
    pub(super) fn place(&self, offset: usize) -> String {
        let before = self.text.get(..offset).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |rest| rest.chars().count()) + 1;
        format!("{}:{line}:{column}", self.path.display())
    }

    pub(super) fn error(&self, offset: usize, message: impl Into<String>) -> ConfigurationError {
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
