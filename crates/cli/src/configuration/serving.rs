//! What is served, for what and with: the regions, the files of TLS, the address of the metrics.

use std::net::SocketAddr;
use std::path::PathBuf;

use portcullis_core::ids::RegionId;

use super::file::File;
use super::layers::{Environment, Placed, present, switch, variable};
use super::{ConfigurationError, Flags, TlsFiles};

/// The regions that exist unless told otherwise.
const REGIONS_DEFAULT: [&str; 2] = ["cn-hangzhou", "cn-qingdao-env17-d01"];

/// Both files of TLS, each from its first layer, or neither.
pub(super) fn tls(
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
        help: "set both files, or neither; TLS alone needs them",
    };
    let only = variable(environment, "PORTCULLIS_TLS_ONLY")?;
    let only = switch(flags.tls_only, only, file.keys.tls_only)?;
    match (certificate, key) {
        (None, None) if only => Err(half("--tls-cert", "--tls-only")),
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => Ok(Some(TlsFiles { certificate, key, only })),
        (Some(_), None) => Err(half("--tls-key", "--tls-cert")),
        (None, Some(_)) => Err(half("--tls-cert", "--tls-key")),
    }
}

/// The address of the metrics, from the first layer that has one.
pub(super) fn metrics(
    flags: &Flags,
    variable: Option<Placed>,
    file: &File,
) -> Result<Option<SocketAddr>, ConfigurationError> {
    let flag = flags.metrics.clone().map(|text| Placed { text, place: "--metrics".into() });
    let placed = flag.or(variable);
    let placed = placed.or_else(|| file.keys.metrics.as_ref().map(|value| file.placed(value)));
    let help = "write an address and a port, for example 127.0.0.1:9464";
    placed.map(|placed| placed.parse(help)).transpose()
}

pub(super) fn regions(
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
