//! Reading members of an object: absent, null and empty are one thing, and what is wrong has its
//! place.
//!
//! Knows kinds of values, not what any of them means.
use std::fmt::Display;
use std::str::FromStr;

use super::error::{InputError, Place};
use super::node::Node;

/// An object of an input, at its place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Object<'a> {
    members: &'a [(String, Node)],
    place: &'a Place<'a>,
}

impl<'a> Object<'a> {
    /// The object that a node is; no member may be there twice.
    pub(crate) fn new(node: &'a Node, place: &'a Place<'a>) -> Result<Self, InputError> {
        let Node::Object(members) = node else {
            return Err(wrong_kind(place, node, "an object"));
        };
        let mut names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        for (name, next) in names.iter().zip(names.iter().skip(1)) {
            if name == next {
                let message = format!("`{name}` is there twice");
                let place = Place::Key(place, name);
                return Err(InputError::new("RepeatedKey", &place, message, "leave one"));
            }
        }
        Ok(Self { members, place })
    }

    /// Where the object is.
    pub(crate) fn place(&self) -> &'a Place<'a> {
        self.place
    }

    /// Names of all members.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.members.iter().map(|(name, _)| name.as_str())
    }

    /// Where a member is.
    pub(crate) fn at<'b>(&'b self, key: &'b str) -> Place<'b> {
        Place::Key(self.place, key)
    }

    /// A member that is set.
    pub(crate) fn get(&self, key: &str) -> Option<&'a Node> {
        let member = self.members.iter().find(|(name, _)| name == key);
        member.map(|(_, node)| node).filter(|node| !node.is_unset())
    }

    /// A member that is a string or an integer, as text.
    pub(crate) fn text(&self, key: &str) -> Result<Option<String>, InputError> {
        match self.get(key) {
            None => Ok(None),
            Some(Node::Text(text)) => Ok(Some(text.clone())),
            Some(Node::Integer(number)) => Ok(Some(number.to_string())),
            Some(other) => Err(wrong_kind(&self.at(key), other, "a string or an integer")),
        }
    }

    /// A member that is a value of `T` in text.
    pub(crate) fn parse<T>(&self, key: &str) -> Result<Option<T>, InputError>
    where
        T: FromStr,
        T::Err: Display,
    {
        let Some(text) = self.text(key)? else { return Ok(None) };
        text.parse().map(Some).map_err(|error: T::Err| refused(&self.at(key), &error))
    }

    /// A member that must be set.
    pub(crate) fn required<T>(&self, key: &str) -> Result<T, InputError>
    where
        T: FromStr,
        T::Err: Display,
    {
        self.parse(key)?.ok_or_else(|| self.missing(key))
    }

    /// The error that a member is not set.
    pub(crate) fn missing(&self, key: &str) -> InputError {
        let (message, help) = (format!("`{key}` is not set"), format!("add `{key}`"));
        InputError::new("MissingField", &self.at(key), message, help)
    }

    /// A member that is one of a few names, in any case.
    pub(crate) fn name<T: Copy>(
        &self,
        key: &str,
        names: &[(&str, T)],
    ) -> Result<Option<T>, InputError> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        match names.iter().find(|(name, _)| name.eq_ignore_ascii_case(&text)) {
            Some((_, value)) => Ok(Some(*value)),
            None => {
                let names: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
                Err(InputError::malformed(&self.at(key), &text, &names.join(" or ")))
            }
        }
    }

    /// A member that is true or false.
    pub(crate) fn boolean(&self, key: &str) -> Result<Option<bool>, InputError> {
        match self.get(key) {
            Some(Node::Bool(value)) => Ok(Some(*value)),
            _ => self.name(key, &[("true", true), ("false", false)]),
        }
    }

    /// Does something with each element of a list; a list that is not set has none.
    pub(crate) fn each(
        &self,
        key: &str,
        mut act: impl FnMut(&Node, &Place<'_>) -> Result<(), InputError>,
    ) -> Result<(), InputError> {
        let place = self.at(key);
        let nodes = match self.get(key) {
            None => return Ok(()),
            Some(Node::List(nodes)) => nodes,
            Some(other) => return Err(wrong_kind(&place, other, "a list")),
        };
        for (index, node) in nodes.iter().enumerate() {
            act(node, &Place::Index(&place, index))?;
        }
        Ok(())
    }

    /// Does something with each element of a list inside an object, the API's usual shape:
    /// `Entries.Entry[…]`.
    pub(crate) fn each_in(
        &self,
        outer: &str,
        inner: &str,
        act: impl FnMut(&Node, &Place<'_>) -> Result<(), InputError>,
    ) -> Result<(), InputError> {
        match self.get(outer) {
            None => Ok(()),
            Some(node) => Object::new(node, &self.at(outer))?.each(inner, act),
        }
    }
}

/// The error of a parser of core, which says itself what was given and expected.
pub(crate) fn refused(place: &Place<'_>, error: &dyn Display) -> InputError {
    let help = "correct the value, or leave the field out if it may be absent";
    InputError::new("MalformedField", place, error.to_string(), help)
}

/// The error of a value of another kind.
pub(crate) fn wrong_kind(place: &Place<'_>, node: &Node, expected: &str) -> InputError {
    let message = format!("{} is given, not {expected}", node.kind());
    InputError::new("MalformedField", place, message, format!("write {expected}"))
}
