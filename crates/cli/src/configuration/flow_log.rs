//! What is logged of flows, and where. Nothing is, unless a directory is named.

use std::collections::BTreeSet;
use std::path::PathBuf;

use portcullis_agent::flow_log::{
    FILE_MEGABYTES_DEFAULT, FILE_MEGABYTES_MAX, FlowLogSettings, OLDER_FILES_DEFAULT,
    OLDER_FILES_MAX,
};
use portcullis_wire::flow_event::EventName;

use super::file::File;
use super::layers::{Environment, Placed, present, variable};
use super::{ConfigurationError, Flags};

const BYTES_PER_MEGABYTE: u64 = 1_000_000;

pub(super) fn read(
    flags: &Flags,
    environment: Environment<'_>,
    file: &File,
) -> Result<Option<FlowLogSettings>, ConfigurationError> {
    let megabytes = bounded(
        [
            flags
                .flow_log_megabytes
                .map(|value| (value.to_string(), "--flow-log-megabytes".into())),
            of_variable(environment, "PORTCULLIS_FLOW_LOG_MEGABYTES")?,
            file.keys
                .flow_log_megabytes
                .as_ref()
                .map(|value| (value.get_ref().to_string(), file.place(value.span().start))),
        ],
        FILE_MEGABYTES_DEFAULT,
        1..=FILE_MEGABYTES_MAX,
    )?;
    let older_files = bounded(
        [
            flags.flow_log_files.map(|value| (value.to_string(), "--flow-log-files".into())),
            of_variable(environment, "PORTCULLIS_FLOW_LOG_FILES")?,
            file.keys
                .flow_log_files
                .as_ref()
                .map(|value| (value.get_ref().to_string(), file.place(value.span().start))),
        ],
        OLDER_FILES_DEFAULT.into(),
        0..=OLDER_FILES_MAX.into(),
    )?;
    let events = events(flags, variable(environment, "PORTCULLIS_FLOW_LOG_EVENT")?, file)?;
    let directory = flags.flow_log.clone();
    let directory = directory
        .or_else(|| present(environment, "PORTCULLIS_FLOW_LOG").map(PathBuf::from))
        .or_else(|| file.keys.flow_log.clone());
    Ok(directory.map(|directory| FlowLogSettings {
        directory,
        file_bytes_max: megabytes * BYTES_PER_MEGABYTE,
        older_files: u32::try_from(older_files).unwrap_or(OLDER_FILES_MAX),
        events,
    }))
}

fn of_variable(
    environment: Environment<'_>,
    name: &str,
) -> Result<Option<(String, String)>, ConfigurationError> {
    Ok(variable(environment, name)?.map(|placed| (placed.text, placed.place)))
}

/// A number from the first layer that says one.
fn bounded(
    layers: [Option<(String, String)>; 3],
    default: u64,
    range: std::ops::RangeInclusive<u64>,
) -> Result<u64, ConfigurationError> {
    let Some((text, place)) = layers.into_iter().flatten().next() else { return Ok(default) };
    let number = Placed { text, place: place.clone() }.parse::<u64>("write a number")?;
    if range.contains(&number) {
        return Ok(number);
    }
    Err(ConfigurationError {
        place,
        message: format!("it is from {} to {}, {default} by default", range.start(), range.end()),
        help: "the guide lists what the file may say",
    })
}

fn events(
    flags: &Flags,
    variable: Option<Placed>,
    file: &File,
) -> Result<BTreeSet<EventName>, ConfigurationError> {
    let placed: Vec<Placed> = if !flags.flow_log_event.is_empty() {
        let place = || "--flow-log-event".to_owned();
        let texts = flags.flow_log_event.iter();
        texts.map(|text| Placed { text: text.clone(), place: place() }).collect()
    } else if let Some(list) = variable {
        let texts = list.text.split(',').map(|text| text.trim().to_owned());
        texts.map(|text| Placed { text, place: list.place.clone() }).collect()
    } else {
        file.keys.flow_log_event.iter().map(|value| file.placed(value)).collect()
    };
    if placed.is_empty() {
        return Ok(EventName::ALL.into());
    }
    let named = |placed: Placed| {
        let event = EventName::ALL.into_iter().find(|event| event.name() == placed.text);
        event.ok_or_else(|| ConfigurationError {
            message: format!("there is no event `{}`", placed.text),
            place: placed.place,
            help: "name new, deny, revoke, recover or end",
        })
    };
    placed.into_iter().map(named).collect()
}
