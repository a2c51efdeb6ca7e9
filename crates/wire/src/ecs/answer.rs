//! An answer as a tree, before it is JSON or XML. The two spellings differ in lists only: in XML an
//! element repeats, in JSON it is an array, which is there even when it is empty.
use quick_xml::escape::escape;
use serde::ser::{Serialize, SerializeMap, Serializer};

/// A value of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Nothing.
    Null,
    /// A text.
    Text(String),
    /// A whole number.
    Number(i64),
    /// `true` or `false`.
    Flag(bool),
    /// Values of one kind.
    List(Vec<Answer>),
    /// Named values in the order in which they are written.
    Fields(Fields),
}

/// Named values in the order in which they are written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields(Vec<(&'static str, Answer)>);

impl Fields {
    /// No fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a text.
    #[must_use]
    pub fn text(self, name: &'static str, text: impl ToString) -> Self {
        self.with(name, Answer::Text(text.to_string()))
    }

    /// With a text that is empty where there is nothing to say.
    #[must_use]
    pub fn text_or_empty<T: ToString>(self, name: &'static str, text: Option<T>) -> Self {
        self.with(name, Answer::Text(text.map(|text| text.to_string()).unwrap_or_default()))
    }

    /// With a number.
    #[must_use]
    pub fn number(self, name: &'static str, number: impl TryInto<i64>) -> Self {
        // Counts beyond 2^63 do not occur; the last number is as near as one gets.
        self.with(name, Answer::Number(number.try_into().unwrap_or(i64::MAX)))
    }

    /// With a flag.
    #[must_use]
    pub fn flag(self, name: &'static str, flag: bool) -> Self {
        self.with(name, Answer::Flag(flag))
    }

    /// With a list in an object of its own, as the API writes nearly all lists: `Tags.Tag[]`.
    #[must_use]
    pub fn list(
        self,
        name: &'static str,
        item: &'static str,
        items: impl IntoIterator<Item = Answer>,
    ) -> Self {
        let inner = Self::new().with(item, Answer::List(items.into_iter().collect()));
        self.with(name, Answer::Fields(inner))
    }

    /// With any value.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: Answer) -> Self {
        self.0.push((name, value));
        self
    }

    /// As JSON.
    pub fn to_json(&self) -> Vec<u8> {
        // Writing a tree of texts and numbers to memory does not fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// As XML below the root element `root`, without a namespace.
    pub fn to_xml(&self, root: &str) -> Vec<u8> {
        let mut text = String::from("<?xml version='1.0' encoding='UTF-8'?>");
        open(&mut text, root);
        self.write_xml(&mut text);
        close(&mut text, root);
        text.into_bytes()
    }

    fn write_xml(&self, text: &mut String) {
        for (name, value) in &self.0 {
            value.write_xml(name, text);
        }
    }
}

impl From<Fields> for Answer {
    fn from(fields: Fields) -> Self {
        Self::Fields(fields)
    }
}

impl Answer {
    /// A text.
    pub fn of(text: impl ToString) -> Self {
        Self::Text(text.to_string())
    }

    fn write_xml(&self, name: &str, text: &mut String) {
        if let Self::List(items) = self {
            return items.iter().for_each(|item| item.write_xml(name, text));
        }
        open(text, name);
        match self {
            Self::Null | Self::List(_) => {}
            Self::Text(value) => write_text(value, text),
            Self::Number(number) => text.push_str(&number.to_string()),
            Self::Flag(flag) => text.push_str(if *flag { "true" } else { "false" }),
            Self::Fields(fields) => fields.write_xml(text),
        }
        close(text, name);
    }
}

fn open(text: &mut String, name: &str) {
    text.push('<');
    text.push_str(name);
    text.push('>');
}

fn close(text: &mut String, name: &str) {
    text.push_str("</");
    text.push_str(name);
    text.push('>');
}

/// Text of an element. XML cannot hold most control characters, not even escaped.
fn write_text(value: &str, text: &mut String) {
    let allowed = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..);
    if value.chars().all(allowed) {
        text.push_str(&escape(value));
    } else {
        let value: String = value
            .chars()
            .map(|c| if allowed(c) { c } else { char::REPLACEMENT_CHARACTER })
            .collect();
        text.push_str(&escape(value.as_str()));
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl Serialize for Answer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Number(number) => serializer.serialize_i64(*number),
            Self::Flag(flag) => serializer.serialize_bool(*flag),
            Self::List(items) => serializer.collect_seq(items),
            Self::Fields(fields) => fields.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, Fields};

    #[test]
    fn one_tree_has_two_spellings() {
        let fields = Fields::new()
            .text("A", "<&\u{1}>\"")
            .number("B", 3)
            .flag("C", true)
            .list("Ds", "D", [Answer::of(1), Answer::of(2)])
            .list("Es", "E", [])
            .list("Fs", "F", [Fields::new().text("G", "g").into()])
            .with("H", Answer::Null)
            .text_or_empty::<&str>("I", None);
        assert_eq!(
            String::from_utf8(fields.to_json()).unwrap(),
            r#"{"A":"<&\u0001>\"","B":3,"C":true,"Ds":{"D":["1","2"]},"Es":{"E":[]},"#.to_owned()
                + r#""Fs":{"F":[{"G":"g"}]},"H":null,"I":""}"#
        );
        assert_eq!(
            String::from_utf8(fields.to_xml("R")).unwrap(),
            "<?xml version='1.0' encoding='UTF-8'?><R><A>&lt;&amp;\u{fffd}&gt;&quot;</A><B>3</B>\
             <C>true</C><Ds><D>1</D><D>2</D></Ds><Es></Es><Fs><F><G>g</G></F></Fs>\
             <H></H><I></I></R>"
        );
    }
}
