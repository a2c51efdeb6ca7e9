//! A call's parameters as one action's table describes them: typed values, or a refusal with the
//! table's own code and words. A decoder that asks for a name outside the table is a mistake that
//! every test of the action finds.
use std::ops::RangeInclusive;
use std::str::FromStr;

use portcullis_core::command::Edit;

use super::action::{Action, Effect, Kind, Parameter};
use super::parameters::Parameters;
use super::refusal::{Refusal, code, shown};

/// The parameters of a call, or of one structure in it.
#[derive(Debug, Clone)]
pub struct Arguments<'a> {
    action: &'static Action,
    parameters: &'a Parameters,
    /// Set within a structure: its list's name in the table and its number.
    within: Option<(&'static str, usize)>,
}

impl<'a> Arguments<'a> {
    /// The parameters of a call.
    pub fn new(action: &'static Action, parameters: &'a Parameters) -> Self {
        Self { action, parameters, within: None }
    }

    /// The text of a scalar.
    pub fn text(&self, name: &'static str) -> Option<&'a str> {
        self.row(name);
        self.parameters.get(name)
    }

    /// Whether a scalar was sent, be it empty.
    pub fn is_present(&self, name: &'static str) -> bool {
        self.row(name);
        self.parameters.is_present(name)
    }

    /// A scalar of a type that is parsed.
    pub fn parse<T: FromStr>(&self, name: &'static str) -> Result<Option<T>, Refusal> {
        self.convert(name, |text| text.parse().ok())
    }

    /// A scalar that must be there.
    pub fn required<T: FromStr>(&self, name: &'static str) -> Result<T, Refusal> {
        self.parse(name)?.ok_or_else(|| self.missing(name))
    }

    /// The call lacks what its action needs.
    pub fn missing(&self, name: &'static str) -> Refusal {
        let row = self.row(name).filter(|row| row.absent.is_some());
        let missing = row.map_or_else(|| Refusal::missing(name), Parameter::missing);
        missing.at(self.place(name))
    }

    /// Refuses what the table says is not offered, wherever it stands.
    pub fn refuse_unsupported(&self) -> Result<(), Refusal> {
        let mut unsupported = self.action.parameters().filter_map(|row| match row.effect {
            Effect::Refused(harmless) => Some((row, harmless)),
            Effect::Obeyed | Effect::Ignored => None,
        });
        unsupported.try_for_each(|(row, harmless)| {
            let asked = self.parameters.pairs().find(|(name, value)| {
                let asks = !value.is_empty()
                    && !harmless.iter().any(|own| own.eq_ignore_ascii_case(value));
                asks && row.covers(&self.place(name))
            });
            match asked {
                None => Ok(()),
                Some((name, value)) => {
                    let place = self.place(name);
                    let message = format!("`{}` in `{place}` is not {}", shown(value), row.limits);
                    Err(row.refused.refuse(message).with_help(row.doc).at(place))
                }
            }
        })
    }

    /// A scalar converted by `convert`, which answers nothing for a value that does not fit.
    pub fn convert<T>(
        &self,
        name: &'static str,
        convert: impl FnOnce(&'a str) -> Option<T>,
    ) -> Result<Option<T>, Refusal> {
        let Some(text) = self.text(name) else { return Ok(None) };
        convert(text).map(Some).ok_or_else(|| self.refuse(name, text))
    }

    /// What becomes of a text that a Modify action may change: present and empty clears it.
    pub fn edit<T: FromStr>(&self, name: &'static str) -> Result<Edit<T>, Refusal> {
        Ok(match self.parse(name)? {
            Some(text) => Edit::Set(text),
            None if self.is_present(name) => Edit::Clear,
            None => Edit::Keep,
        })
    }

    /// `true` or `false`, in any case.
    pub fn boolean(&self, name: &'static str) -> Result<Option<bool>, Refusal> {
        self.convert(name, |text| {
            [("true", true), ("false", false)]
                .into_iter()
                .find(|(own, _)| own.eq_ignore_ascii_case(text))
                .map(|(_, value)| value)
        })
    }

    /// A whole number within `range`.
    pub fn integer<T: FromStr + PartialOrd>(
        &self,
        name: &'static str,
        range: RangeInclusive<T>,
    ) -> Result<Option<T>, Refusal> {
        self.convert(name, |text| digits(text)?.parse().ok().filter(|n| range.contains(n)))
    }

    /// The values of `Name.N`, at most `most` of them; `name` as in the table, with the `.N`.
    pub fn list<T: FromStr>(&self, name: &'static str, most: usize) -> Result<Vec<T>, Refusal> {
        self.row(name);
        let bare = name.strip_suffix(".N").unwrap_or(name);
        let items = self.parameters.list(bare)?;
        self.check_count(name, items.len(), most)?;
        items.into_iter().map(|text| text.parse().map_err(|_| self.refuse(name, text))).collect()
    }

    /// The structures of `Name.N.Key`, at most `most` of them.
    pub fn structures(
        &self,
        name: &'static str,
        most: usize,
    ) -> Result<Vec<(usize, Parameters)>, Refusal> {
        self.row(name);
        let bare = name.strip_suffix(".N").unwrap_or(name);
        let items = self.parameters.structures(bare)?;
        self.check_count(name, items.len(), most)?;
        for (number, parameters) in &items {
            // Those of one JSON text are seen here for the first time.
            self.inner(name, *number, parameters).refuse_unsupported()?;
        }
        Ok(items)
    }

    /// The object of one JSON text, by full dotted names; nothing where none is sent.
    pub fn object(&self, name: &'static str) -> Result<Option<Parameters>, Refusal> {
        self.row(name);
        self.parameters.object(name)
    }

    /// One of [`Self::structures`], to be asked by its keys.
    pub fn inner<'b>(
        &self,
        name: &'static str,
        number: usize,
        parameters: &'b Parameters,
    ) -> Arguments<'b> {
        let bare = name.strip_suffix(".N").unwrap_or(name);
        Arguments { action: self.action, parameters, within: Some((bare, number)) }
    }

    /// The same action's parameters from another place.
    pub fn over<'b>(&self, parameters: &'b Parameters) -> Arguments<'b> {
        Arguments { action: self.action, parameters, within: self.within }
    }

    /// The value of `name` does not fit its row of the table.
    pub fn refuse(&self, name: &'static str, value: &str) -> Refusal {
        let (refused, limits) = match self.row(name) {
            Some(row) => (row.refused, row.limits),
            None => (code::INVALID_PARAMETER, "as the action expects it"),
        };
        let message = format!("`{}` in `{}` is not {limits}", shown(value), self.place(name));
        refused.refuse(message).at(self.place(name))
    }

    /// The name as the client wrote it, structures counted.
    pub fn place(&self, name: &str) -> String {
        match self.within {
            Some((list, number)) => format!("{list}.{number}.{name}"),
            None => name.to_owned(),
        }
    }

    /// Whether something comes of a name in the call, beside refusing it.
    pub fn obeys(&self, name: &str) -> bool {
        let place = self.place(name);
        // A list of structures has no more to say than its fields.
        let mut rows = self.action.parameters().filter(|row| row.kind != Kind::Structures);
        rows.any(|row| row.effect == Effect::Obeyed && row.covers(&place))
    }

    /// All parameters with their values, for what concerns them together.
    pub fn parameters(&self) -> &'a Parameters {
        self.parameters
    }

    fn check_count(&self, name: &'static str, count: usize, most: usize) -> Result<(), Refusal> {
        if count <= most {
            return Ok(());
        }
        let message = format!("`{}` has {count} values, {most} at most", self.place(name));
        Err(code::TOO_MANY.refuse(message).with_help("Split the call.").at(self.place(name)))
    }

    /// The parameter's row; a structure's keys stand in the table with their list.
    fn row(&self, name: &'static str) -> Option<&'static Parameter> {
        let row = match self.within {
            Some((list, _)) => {
                let full = format!("{list}.N.{name}");
                self.action.parameter(&full)
            }
            None => self.action.parameter(name),
        };
        debug_assert!(row.is_some(), "{} has no parameter {name}", self.action.name);
        debug_assert!(
            row.is_none_or(|row| row.effect == Effect::Obeyed),
            "{} says that {name} comes to nothing",
            self.action.name
        );
        row
    }
}

/// The text, if it is digits only.
fn digits(text: &str) -> Option<&str> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then_some(text)
}
