//! Parameters by name, whatever carried them: scalars, lists (`Name.N`) and lists of structures
//! (`Name.N.Key`). An empty value counts as absent. Knows no action and no type but text.
use std::collections::BTreeMap;

use super::form::{check_length, too_many};
use super::json::Json;
use super::limits::{LIST_INDEX_MAX, PARAMETERS_MAX};
use super::refusal::{Refusal, code};

/// Names and texts of a request or of one structure within it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parameters {
    pairs: BTreeMap<String, String>,
}

impl Parameters {
    /// Adds a pair; the same name with another value is a conflict.
    pub fn put(
        &mut self,
        name: String,
        value: impl AsRef<str> + Into<String>,
    ) -> Result<(), Refusal> {
        check_length(&name, value.as_ref())?;
        match self.pairs.get(&name) {
            Some(own) if own == value.as_ref() => Ok(()),
            Some(_) => {
                let message = format!("`{name}` is given more than once with different values");
                Err(code::CONFLICT.refuse(message).with_help("Send it once.").at(name))
            }
            None if self.pairs.len() == PARAMETERS_MAX => Err(too_many(&name)),
            None => {
                self.pairs.insert(name, value.into());
                Ok(())
            }
        }
    }

    /// The value of a scalar; nothing where it is absent or empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Whether a scalar was sent at all, be it empty.
    pub fn is_present(&self, name: &str) -> bool {
        self.pairs.contains_key(name)
    }

    /// All pairs by name, empty values included.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The values of `Name.N` in the order of N; gaps are closed, empty values left out.
    pub fn list(&self, name: &str) -> Result<Vec<&str>, Refusal> {
        let mut items = BTreeMap::new();
        for (rest, value) in self.below(name) {
            if !rest.contains('.')
                && !value.is_empty()
                && let Some(index) = list_index(name, rest)?
            {
                items.insert(index, value);
            }
        }
        Ok(items.into_values().collect())
    }

    /// The structures of `Name.N.Key`, or those of one JSON text in `Name`, with their numbers.
    pub fn structures(&self, name: &str) -> Result<Vec<(usize, Parameters)>, Refusal> {
        if let Some(unpacked) = self.unpacked(name, "a list of objects", is_list_of_objects)? {
            return unpacked.structures(name);
        }
        let mut items: BTreeMap<usize, Parameters> = BTreeMap::new();
        for (rest, value) in self.below(name) {
            let (number, key) = match rest.split_once('.') {
                Some((number, key)) => (number, Some(key)),
                None => (rest, None),
            };
            let Some(index) = list_index(name, number)? else { continue };
            match key {
                Some(key) => items.entry(index).or_default().put(key.to_owned(), value)?,
                None if value.is_empty() => {}
                None => {
                    let message = format!("`{name}.{number}` is an object: its fields follow");
                    let help = format!("Send `{name}.{number}.<field>`.");
                    let place = format!("{name}.{number}");
                    return Err(code::JSON.refuse(message).with_help(help).at(place));
                }
            }
        }
        // An empty field counts as absent, and so does what has no others; within a structure
        // that stays, an empty text may clear something.
        items.retain(|_, item| item.pairs().any(|(_, value)| !value.is_empty()));
        Ok(items.into_iter().collect())
    }

    /// The object of one JSON text in `name`, by full dotted names; nothing where there is none.
    pub fn object(&self, name: &str) -> Result<Option<Self>, Refusal> {
        self.unpacked(name, "an object", |json| matches!(json, Json::Object(_)))
    }

    /// What the JSON text in `name` holds by full dotted names, if it has that shape. Beside it
    /// nothing may be said below that name.
    fn unpacked(
        &self,
        name: &str,
        shape: &str,
        has_shape: impl FnOnce(&Json) -> bool,
    ) -> Result<Option<Self>, Refusal> {
        let Some(text) = self.get(name) else { return Ok(None) };
        if let Some((rest, _)) = self.below(name).find(|(_, value)| !value.is_empty()) {
            let message = format!("`{name}` as one JSON text and `{name}.{rest}` stand together");
            return Err(code::CONFLICT.refuse(message).with_help("Use one form.").at(name));
        }
        let json = Json::read(text.as_bytes(), name)?;
        if !has_shape(&json) {
            let message = format!("the JSON text in `{name}` is not {shape}");
            return Err(code::JSON.refuse(message).at(name));
        }
        let mut unpacked = Self::default();
        json.flatten(name, &mut |name, value| unpacked.put(name, value))?;
        Ok(Some(unpacked))
    }

    /// What stands below `Name.`, without that beginning.
    fn below<'a>(&'a self, name: &str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let start = format!("{name}.");
        let from = start.clone();
        self.pairs
            .range(from..)
            .map_while(move |(key, value)| Some((key.strip_prefix(&start)?, value.as_str())))
    }
}

fn is_list_of_objects(json: &Json) -> bool {
    match json {
        Json::List(items) => items.iter().all(|item| matches!(item, Json::Object(_) | Json::Null)),
        Json::Null | Json::Text(_) | Json::Object(_) => false,
    }
}

/// The N of `Name.N`; nothing where it is no numeral at all (then it is some unknown parameter).
fn list_index(name: &str, text: &str) -> Result<Option<usize>, Refusal> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    match text.parse() {
        // `1` and `01` would be two names of one item.
        Ok(index) if (1..=LIST_INDEX_MAX).contains(&index) && !text.starts_with('0') => {
            Ok(Some(index))
        }
        _ => {
            let message = format!(
                "`{name}.{text}` is no number from 1 to {LIST_INDEX_MAX} without zeros ahead"
            );
            Err(code::LIST_INDEX.refuse(message).at(format!("{name}.N")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(pairs: &[(&str, &str)]) -> Parameters {
        let mut parameters = Parameters::default();
        for (name, value) in pairs {
            parameters.put((*name).to_owned(), *value).unwrap();
        }
        parameters
    }

    #[test]
    fn empty_is_absent_but_known() {
        let parameters = parameters(&[("A", ""), ("B", "b")]);
        assert_eq!((parameters.get("A"), parameters.get("B")), (None, Some("b")));
        assert!(parameters.is_present("A") && !parameters.is_present("C"));
    }

    #[test]
    fn a_name_has_one_value() {
        let mut parameters = parameters(&[("A", "1")]);
        parameters.put("A".to_owned(), "1").unwrap();
        let error = parameters.put("A".to_owned(), "2").unwrap_err();
        assert_eq!((error.code.as_ref(), error.place.as_str()), ("InvalidParameter.Conflict", "A"));
    }

    #[test]
    fn a_list_is_ordered_by_number_and_bounded() {
        let parameters = parameters(&[
            ("A.10", "ten"),
            ("A.2", "two"),
            ("A.3", ""),
            ("A.x", "no"),
            ("A.4.Key", "no"),
            ("Ab.1", "no"),
            ("B.1000", "last"),
            ("C.1001", "beyond"),
            ("D.0", "before"),
            ("E.1", "one"),
            ("E.01", "the same one"),
        ]);
        assert_eq!(parameters.list("A").unwrap(), ["two", "ten"]);
        assert_eq!(parameters.list("B").unwrap(), ["last"]);
        for name in ["C", "D", "E"] {
            let error = parameters.list(name).unwrap_err();
            assert_eq!(error.code, "InvalidParameter.ListIndex");
        }
    }

    #[test]
    fn structures_come_dotted_or_as_one_text() {
        let dotted = parameters(&[("P.2.A", "2"), ("P.1.A", "1"), ("P.1.B.1", "x")]);
        let text = parameters(&[("P", r#"[{"A":1,"B":["x"]},{"A":"2"}]"#)]);
        assert_eq!(dotted.structures("P").unwrap(), text.structures("P").unwrap());
        assert_eq!(dotted.structures("P").unwrap()[1].1.get("A"), Some("2"));
        for bad in ["x", "1", "[1", r#"{"A":1}"#, r#"[{"A":1},"all"]"#, r#"[{"A":1},[1]]"#] {
            let error = parameters(&[("P", bad)]).structures("P").unwrap_err();
            assert_eq!(error.code, "InvalidParameter.Json", "{bad}");
        }
    }

    #[test]
    fn no_part_of_a_list_of_structures_is_skipped() {
        let json = r#"[{"A":1}]"#;
        for (pairs, code, place) in [
            ([("P", json), ("P.2.A", "2")], "InvalidParameter.Conflict", "P"),
            ([("P", json), ("P.2", "2")], "InvalidParameter.Conflict", "P"),
            ([("P.1.A", "1"), ("P.2", "all")], "InvalidParameter.Json", "P.2"),
            ([("P.1.A", "1"), ("P.01.B", "2")], "InvalidParameter.ListIndex", "P.N"),
        ] {
            let error = parameters(&pairs).structures("P").unwrap_err();
            assert_eq!((error.code.as_ref(), error.place.as_str()), (code, place), "{pairs:?}");
        }
        for pairs in [[("P", json), ("P.2.A", "")], [("P.1.A", "1"), ("P.2", "")]] {
            assert_eq!(parameters(&pairs).structures("P").unwrap().len(), 1, "{pairs:?}");
        }
        let object = [("P", r#"{"A":1}"#), ("P.B", "2")];
        let error = parameters(&object).object("P").unwrap_err();
        assert_eq!(error.code, "InvalidParameter.Conflict");
        for bad in [json, "[]", "1"] {
            let error = parameters(&[("P", bad)]).object("P").unwrap_err();
            assert_eq!(error.code, "InvalidParameter.Json", "{bad}");
        }
        assert_eq!(parameters(&object[..1]).object("P").unwrap().unwrap().get("P.A"), Some("1"));
        assert_eq!(parameters(&[("P.A", "1")]).object("P").unwrap(), None);
    }

    #[test]
    fn a_structure_of_empty_fields_is_absent() {
        let sent = parameters(&[("P.1.A", ""), ("P.2.A", "2"), ("P.2.B", "")]);
        let items = sent.structures("P").unwrap();
        assert_eq!(items.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [2]);
        assert!(items[0].1.is_present("B"));
    }

    #[test]
    fn the_number_of_parameters_is_bounded() {
        let mut parameters = Parameters::default();
        for n in 0..PARAMETERS_MAX {
            parameters.put(n.to_string(), "").unwrap();
        }
        let error = parameters.put("one more".to_owned(), "").unwrap_err();
        assert_eq!(error.code, "InvalidParameter.TooMany");
        parameters.put("0".to_owned(), "").unwrap();
    }
}
