//! A JSON object as a carrier of parameters: read within bounds, flattened to names and texts.
//!
//! Two flattenings exist. Parameters are flattened all the way (`Permissions.1.IpProtocol`); what a
//! signature covers is flattened one step, inner objects becoming compact text. Knows no action.
use std::fmt;

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};

use super::form::check_length;
use super::limits::JSON_NESTING_MAX;
use super::refusal::{Refusal, code};

/// A JSON value whose scalars are already texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Json {
    /// `null`: as if it were not there.
    Null,
    /// A string, number or boolean as text.
    Text(String),
    /// A list.
    List(Vec<Json>),
    /// An object in the order written; a name may stand there twice.
    Object(Vec<(String, Json)>),
}

/// Begins the message of the one error that has its own code.
const TOO_DEEP: &str = "lists and objects are nested deeper than";

impl Json {
    /// Reads one value and nothing after it.
    pub fn read(bytes: &[u8], place: &str) -> Result<Self, Refusal> {
        let mut reader = serde_json::Deserializer::from_slice(bytes);
        let value = Level(0).deserialize(&mut reader);
        value.and_then(|value| reader.end().map(|()| value)).map_err(|error| {
            let message = error.to_string();
            if message.starts_with(TOO_DEEP) {
                let message = format!("{TOO_DEEP} {JSON_NESTING_MAX} levels");
                code::NESTING.refuse(message).at(place)
            } else {
                let message = format!("`{place}` is not JSON: {message}");
                code::JSON.refuse(message).at(place)
            }
        })
    }

    /// Every scalar below `name` by its full dotted name: lists count from 1.
    pub fn flatten(
        &self,
        name: &str,
        put: &mut impl FnMut(String, &str) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        match self {
            Self::Null => Ok(()),
            Self::Text(text) => put(name.to_owned(), text),
            Self::List(items) => {
                // Before the name is repeated for each item, not when the first scalar is put.
                check_length(name, "")?;
                let mut items = (1..).zip(items);
                items.try_for_each(|(n, item)| item.flatten(&format!("{name}.{n}"), put))
            }
            Self::Object(members) => {
                check_length(name, "")?;
                let mut members = members.iter();
                members.try_for_each(|(key, member)| member.flatten(&format!("{name}.{key}"), put))
            }
        }
    }

    /// What a signature covers of the member `name`: lists by item, objects as compact text.
    pub fn flatten_signed(
        &self,
        name: &str,
        put: &mut impl FnMut(String, &str) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        match self {
            Self::Null => Ok(()),
            Self::Text(text) => put(name.to_owned(), text),
            Self::Object(_) => put(name.to_owned(), &self.compact()),
            Self::List(items) => {
                check_length(name, "")?;
                (1..).zip(items).try_for_each(|(n, item)| match item {
                    Self::Null => Ok(()),
                    Self::Text(text) => put(format!("{name}.{n}"), text),
                    Self::List(_) | Self::Object(_) => put(format!("{name}.{n}"), &item.compact()),
                })
            }
        }
    }

    /// Compact text as the Apsara Stack client writes it: names sorted, every member and item in
    /// quotes, be it a list or an object, and `null` left out. That client escapes nothing; here
    /// texts are escaped, so that what is written in a text cannot pass for another member.
    fn compact(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Text(text) => text.clone(),
            Self::List(items) => {
                let items = items.iter().filter_map(Self::quoted);
                format!("[{}]", items.collect::<Vec<_>>().join(","))
            }
            Self::Object(members) => {
                let mut members: Vec<_> =
                    members.iter().filter_map(|(k, v)| Some((k, v.quoted()?))).collect();
                members.sort();
                let members = members.iter().map(|(k, v)| format!("{}:{v}", quote(k)));
                format!("{{{}}}", members.collect::<Vec<_>>().join(","))
            }
        }
    }

    /// [`Self::compact`] within quotes; nothing of `null`.
    fn quoted(&self) -> Option<String> {
        match self {
            Self::Null => None,
            Self::Text(text) => Some(quote(text)),
            Self::List(_) | Self::Object(_) => Some(format!("\"{}\"", self.compact())),
        }
    }
}

/// A JSON string literal.
pub(super) fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// How many lists and objects stand around the value to be read.
struct Level(usize);

impl<'de> DeserializeSeed<'de> for Level {
    type Value = Json;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Level {
    fn inner<E: Error>(&self) -> Result<Self, E> {
        if self.0 < JSON_NESTING_MAX { Ok(Self(self.0 + 1)) } else { Err(E::custom(TOO_DEEP)) }
    }
}

impl<'de> Visitor<'de> for Level {
    type Value = Json;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Text(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Text(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Text(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Text(serde_json::Value::from(value).to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(self.inner()?)? {
            items.push(item);
        }
        Ok(Json::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let mut members = Vec::new();
        while let Some(name) = access.next_key()? {
            members.push((name, access.next_value_seed(self.inner()?)?));
        }
        Ok(Json::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str, signed: bool) -> Vec<(String, String)> {
        let Json::Object(members) = Json::read(text.as_bytes(), "body").unwrap() else { panic!() };
        let mut pairs = Vec::new();
        let mut put = |name: String, value: &str| {
            pairs.push((name, value.to_owned()));
            Ok(())
        };
        for (name, value) in &members {
            let done = if signed {
                value.flatten_signed(name, &mut put)
            } else {
                value.flatten(name, &mut put)
            };
            done.unwrap();
        }
        pairs
    }

    const BODY: &str = r#"{"A":1,"B":true,"C":null,"D":["x",{"k":"v","a":2,"n":null}],
        "E":{"z":[1],"F":"f"}}"#;

    #[test]
    fn parameters_are_flattened_all_the_way() {
        let names: Vec<_> =
            pairs(BODY, false).into_iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(names.join(" "), "A=1 B=true D.1=x D.2.k=v D.2.a=2 E.z.1=1 E.F=f");
    }

    #[test]
    fn the_signed_form_keeps_inner_objects_as_text() {
        let names: Vec<_> =
            pairs(BODY, true).into_iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(
            names.join(" "),
            r#"A=1 B=true D.1=x D.2={"a":"2","k":"v"} E={"F":"f","z":"["1"]"}"#
        );
    }

    #[test]
    fn bounds_and_broken_text_are_told_apart() {
        let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(Json::read(deep(JSON_NESTING_MAX).as_bytes(), "body").is_ok());
        let error = Json::read(deep(JSON_NESTING_MAX + 1).as_bytes(), "body").unwrap_err();
        assert_eq!(error.code, "InvalidParameter.Nesting");
        let hopeless = Json::read(deep(100_000).as_bytes(), "body").unwrap_err();
        assert_eq!(hopeless.code, "InvalidParameter.Nesting");
        for bad in ["", "{", "{} {}", "nil", "{\"a\":1,}", "{1:2}"] {
            let error = Json::read(bad.as_bytes(), "body").unwrap_err();
            assert_eq!(error.code, "InvalidParameter.Json", "{bad}");
        }
    }
}
