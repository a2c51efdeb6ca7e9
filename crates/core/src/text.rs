//! Names, descriptions and tags: what users call their things.
//!
//! Each type holds only text that its field accepts, and keeps it as written. The code of a refusal
//! differs from action to action, so it is not decided here.
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use crate::limits::{TAG_KEY_CHARACTERS_MAX, TAG_VALUE_CHARACTERS_MAX, TAGS_PER_RESOURCE_MAX};

/// Why a text does not fit its field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextError {
    /// What was expected, e.g. "2 to 128 characters".
    pub expected: &'static str,
    /// The text as given.
    pub text: String,
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not {}", self.text, self.expected)
    }
}

impl core::error::Error for TextError {}

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident, $expected:literal, $fits:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text as written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = TextError;

            fn from_str(text: &str) -> Result<Self, TextError> {
                let fits: fn(&str) -> bool = $fits;
                if fits(text) {
                    Ok(Self(text.into()))
                } else {
                    Err(TextError { expected: $expected, text: text.into() })
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    )*};
}

texts! {
    /// `SecurityGroupName`, `NetworkInterfaceName`.
    Name,
    "2 to 128 letters, digits, `:`, `_`, `.`, `-` that begin with a letter \
     and not with http:// or https://",
    |text| within(text, 2, 128)
        && !is_link(text)
        && starts_with_letter(text)
        && text.chars().all(is_name_character);
    /// `PrefixListName`, `PortRangeListName`.
    ListName,
    "2 to 128 letters, digits, `:`, `_`, `.`, `-` that begin with a letter \
     and not with http://, https://, com.aliyun or com.alibabacloud",
    |text| text.parse::<Name>().is_ok()
        && !begins_with(text, "com.aliyun")
        && !begins_with(text, "com.alibabacloud");
    /// `VpcName`, `VSwitchName`.
    Label,
    "1 to 128 characters that do not begin with http:// or https://",
    |text| within(text, 1, 128) && !is_link(text) && !has_control(text);
    /// `Description` of a group, an interface or a list.
    Description,
    "2 to 256 characters that do not begin with http:// or https://",
    |text| within(text, 2, 256) && !is_link(text) && !has_control(text);
    /// `Description` of a VPC or a vSwitch.
    NetworkDescription,
    "1 to 256 characters that do not begin with http:// or https://",
    |text| within(text, 1, 256) && !is_link(text) && !has_control(text);
    /// `Description` of a rule.
    RuleDescription,
    "1 to 512 characters",
    |text| within(text, 1, 512) && !has_control(text);
    /// `Description` of an entry of a list.
    EntryDescription,
    "2 to 32 characters that do not begin with http:// or https://",
    |text| within(text, 2, 32) && !is_link(text) && !has_control(text);
    /// An account's name, as `DestGroupOwnerAccount` gives it.
    AccountName,
    "1 to 128 characters without blanks",
    |text| within(text, 1, 128) && !has_control(text) && !text.contains(char::is_whitespace);
    /// `ClientToken`.
    ClientToken,
    "1 to 64 printable ASCII characters",
    |text| within(text, 1, 64) && text.bytes().all(|b| (0x20..0x7f).contains(&b));
    /// A network device of a host, as Linux names it.
    DeviceName,
    "1 to 15 bytes without blanks, `/` or `:`",
    |text| (1..=15).contains(&text.len())
        && !matches!(text, "." | "..")
        && text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'/' | b':'));
    /// `Tag.N.Key`.
    TagKey,
    "1 to 128 characters that do not begin with aliyun or acs: and hold no http:// or https://",
    |text| within(text, 1, TAG_KEY_CHARACTERS_MAX)
        && !begins_with(text, "aliyun")
        && !begins_with(text, "acs:")
        && !holds_link(text)
        && !has_control(text);
    /// `Tag.N.Value`; may be empty.
    TagValue,
    "0 to 128 characters without http:// or https://",
    |text| within(text, 0, TAG_VALUE_CHARACTERS_MAX) && !holds_link(text) && !has_control(text);
}

fn within(text: &str, least: usize, most: usize) -> bool {
    (least..=most).contains(&text.chars().count())
}

fn begins_with(text: &str, start: &str) -> bool {
    text.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start))
}

fn is_link(text: &str) -> bool {
    begins_with(text, "http://") || begins_with(text, "https://")
}

fn holds_link(text: &str) -> bool {
    text.contains("http://") || text.contains("https://")
}

fn has_control(text: &str) -> bool {
    text.chars().any(char::is_control)
}

fn starts_with_letter(text: &str) -> bool {
    text.chars().next().is_some_and(char::is_alphabetic)
}

fn is_name_character(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, ':' | '_' | '.' | '-')
}

/// One tag.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag {
    /// Its key.
    pub key: TagKey,
    /// Its value.
    pub value: TagValue,
}

/// The tags of a resource: at most 20, no key twice; kept in the order given.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tags(Vec<Tag>);

/// Why tags cannot stand together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TagsError {
    /// More than [`TAGS_PER_RESOURCE_MAX`].
    TooMany,
    /// This key stands twice.
    Duplicate(TagKey),
}

impl Tags {
    /// These tags, if they can stand together.
    pub fn new(tags: Vec<Tag>) -> Result<Self, TagsError> {
        if tags.len() > TAGS_PER_RESOURCE_MAX {
            return Err(TagsError::TooMany);
        }
        let mut rest = tags.as_slice();
        while let Some((first, others)) = rest.split_first() {
            if others.iter().any(|tag| tag.key == first.key) {
                return Err(TagsError::Duplicate(first.key.clone()));
            }
            rest = others;
        }
        Ok(Self(tags))
    }

    /// In the order given.
    pub fn iter(&self) -> impl Iterator<Item = &Tag> {
        self.0.iter()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// These and `more`; a key that is there already keeps its place and gets the new value.
    pub fn with(&self, more: &Self) -> Result<Self, TagsError> {
        let mut tags = self.0.clone();
        for new in more.iter() {
            match tags.iter_mut().find(|tag| tag.key == new.key) {
                Some(own) => own.value = new.value.clone(),
                None => tags.push(new.clone()),
            }
        }
        Self::new(tags)
    }

    /// These without those of the given keys.
    #[must_use]
    pub fn without(&self, keys: &[TagKey]) -> Self {
        Self(self.0.iter().filter(|tag| !keys.contains(&tag.key)).cloned().collect())
    }

    /// Whether all of `filters` are met.
    pub fn meet(&self, filters: &[TagFilter]) -> bool {
        filters.iter().all(|filter| {
            self.iter().any(|tag| {
                tag.key == filter.key && filter.value.as_ref().is_none_or(|v| *v == tag.value)
            })
        })
    }
}

/// `Tag.N` of a Describe action: a key, and a value where one is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagFilter {
    /// The key that must be there.
    pub key: TagKey,
    /// The value it must have; `None`: any.
    pub value: Option<TagValue>,
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn each_field_has_two_ends() {
        let long = |n: usize| "a".repeat(n);
        assert!("ab".parse::<Name>().is_ok() && long(128).parse::<Name>().is_ok());
        assert!("网关-1".parse::<Name>().is_ok());
        for bad in ["", "a", "1a", "a b", "http://a", "HTTPS://a", &long(129)] {
            assert_eq!(bad.parse::<Name>().unwrap_err().text, bad);
        }
        assert!("com.ali".parse::<ListName>().is_ok() && long(128).parse::<ListName>().is_ok());
        for bad in ["a", "com.aliyun", "Com.Alibabacloud.x", "https://a", &long(129)] {
            assert!(bad.parse::<ListName>().is_err(), "{bad}");
        }
        assert!(long(32).parse::<EntryDescription>().is_ok());
        for bad in ["a", "http://a", &long(33)] {
            assert!(bad.parse::<EntryDescription>().is_err(), "{bad}");
        }
        assert!("a".parse::<Label>().is_ok() && "".parse::<Label>().is_err());
        assert!("a".parse::<Description>().is_err() && long(257).parse::<Description>().is_err());
        assert!(long(256).parse::<NetworkDescription>().is_ok());
        assert!(long(512).parse::<RuleDescription>().is_ok());
        assert!(long(513).parse::<RuleDescription>().is_err());
        assert!(long(64).parse::<ClientToken>().is_ok());
        assert!(long(65).parse::<ClientToken>().is_err() && "ü".parse::<ClientToken>().is_err());
        assert!(long(15).parse::<DeviceName>().is_ok());
        for bad in ["", "..", "a/b", "a b", "a:b", &long(16)] {
            assert!(bad.parse::<DeviceName>().is_err(), "{bad}");
        }
        assert!("".parse::<TagValue>().is_ok() && "Aliyun1".parse::<TagKey>().is_err());
    }

    #[test]
    fn tags_are_bounded_and_unlike() {
        let tag = |key: &str| Tag { key: key.parse().unwrap(), value: "v".parse().unwrap() };
        let many = |n: usize| (0..n).map(|i| tag(&alloc::format!("k{i}"))).collect::<Vec<_>>();
        assert!(Tags::new(many(TAGS_PER_RESOURCE_MAX)).is_ok());
        assert_eq!(Tags::new(many(TAGS_PER_RESOURCE_MAX + 1)), Err(TagsError::TooMany));
        let twice = Tags::new(vec![tag("a"), tag("b"), tag("a")]);
        assert_eq!(twice, Err(TagsError::Duplicate("a".parse().unwrap())));
        let tags = Tags::new(many(2)).unwrap();
        let more = Tags::new(vec![
            Tag { key: "k1".parse().unwrap(), value: "w".parse().unwrap() },
            tag("new"),
        ]);
        let both = tags.with(&more.unwrap()).unwrap();
        let texts: Vec<_> = both.iter().map(|tag| (tag.key.as_str(), tag.value.as_str())).collect();
        assert_eq!(texts, [("k0", "v"), ("k1", "w"), ("new", "v")]);
        let fewer = both.without(&["k0".parse().unwrap(), "new".parse().unwrap()]);
        assert_eq!(fewer.iter().count(), 1);
        let full = Tags::new(many(TAGS_PER_RESOURCE_MAX)).unwrap();
        assert_eq!(full.with(&both), Err(TagsError::TooMany));
        assert_eq!(full.with(&tags), Ok(full.clone()));
        let filter = |value: Option<&str>| TagFilter {
            key: "k1".parse().unwrap(),
            value: value.map(|v| v.parse().unwrap()),
        };
        assert!(tags.meet(&[filter(None), filter(Some("v"))]) && !tags.meet(&[filter(Some("w"))]));
    }
}
