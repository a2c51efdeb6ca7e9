//! A value as the first layer that says something has it.
//!
//! What there is to be said is not known here.

use std::ffi::OsString;
use std::fmt;
use std::str::FromStr;

use super::ConfigurationError;

/// The environment, as a function from a variable's name to its value.
pub(crate) type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// A value as text, with where it stands.
pub(super) struct Placed {
    pub(super) text: String,
    pub(super) place: String,
}

impl Placed {
    pub(super) fn parse<T: FromStr>(&self, help: &'static str) -> Result<T, ConfigurationError>
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

/// The first layer that says something. The last always does.
pub(super) fn first<const N: usize>(layers: [Option<Placed>; N]) -> Placed {
    let none = Placed { text: String::new(), place: String::new() };
    layers.into_iter().flatten().next().unwrap_or(none)
}

/// A variable that is set to something.
pub(super) fn present(environment: Environment<'_>, name: &str) -> Option<OsString> {
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

pub(super) fn variable(
    environment: Environment<'_>,
    name: &str,
) -> Result<Option<Placed>, ConfigurationError> {
    let text = variable_text(environment, name)?;
    Ok(text.map(|text| Placed { text, place: name.to_owned() }))
}

/// Something that is on or off, and off unless a layer says otherwise.
pub(super) fn switch(
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
