//! What the operator says on the control socket, as cases write it. Knows no question; the cases
//! do.

use super::fill;
use super::language::Check;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A question of the operator's and what must come back.
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// The line of `tell`.
    pub line: usize,
    /// What is asked for.
    pub request: String,
    /// Its fields, as written.
    pub fields: Vec<(String, String)>,
    /// What must come of it.
    pub outcome: Option<Outcome>,
    /// What else must be so.
    pub checks: Vec<Check>,
}

/// What must come of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// An answer.
    Done,
    /// A refusal of this code.
    Refused(String),
}

impl Outcome {
    /// Reads what stands behind the arrow.
    pub(super) fn of(text: &str) -> Option<Self> {
        match text.split_once(' ') {
            None => (text == "done").then_some(Self::Done),
            Some((word, code)) => (word == "refused").then(|| Self::Refused(code.to_owned())),
        }
    }

    /// The code of a refusal.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Done => None,
            Self::Refused(code) => Some(code),
        }
    }
}

impl Told {
    /// The question, but for the version of the language. What counts seconds or milliseconds is a
    /// number there, and `true` and `false` are no texts.
    pub(super) fn question(
        &self,
        kept: &BTreeMap<String, String>,
        now_ms: u64,
    ) -> Result<Map<String, Value>, String> {
        let mut question = Map::from_iter([("request".to_owned(), self.request.clone().into())]);
        for (name, text) in &self.fields {
            let text = fill(text, kept, now_ms)?;
            let counts = name.ends_with("_s") || name.ends_with("_ms");
            let value = match text.as_str() {
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                text if counts => {
                    text.parse::<u64>().map_err(|error| format!("{name}: {error}"))?.into()
                }
                text => text.into(),
            };
            question.insert(name.clone(), value);
        }
        Ok(question)
    }

    /// The answer, or the refusal, if it is the one that must come.
    pub(super) fn judge<'a>(&self, reply: &'a Value) -> Result<&'a Value, String> {
        let part = |name: &str| reply.get(name).ok_or_else(|| format!("no {name}: {reply}"));
        let Some(Outcome::Refused(code)) = &self.outcome else { return part("answer") };
        let refusal = part("error")?;
        let text = |name: &str| refusal.get(name).and_then(Value::as_str).unwrap_or_default();
        if text("code") != code || text("message").is_empty() {
            return Err(format!("code {code} expected, and a message: {refusal}"));
        }
        Ok(refusal)
    }
}

#[cfg(test)]
mod tests {
    use super::{Outcome, Told};
    use serde_json::{Value, json};
    use std::collections::BTreeMap;

    #[test]
    fn fields_are_texts_numbers_and_truths() {
        let field = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        let fields = vec![field("key", "$id"), field("life_s", "900"), field("keep_old", "true")];
        let told = Told { request: "r".to_owned(), fields, ..Told::default() };
        let kept = BTreeMap::from([("id".to_owned(), "12".to_owned())]);
        let question = Value::Object(told.question(&kept, 0).unwrap());
        assert_eq!(question, json!({"request": "r", "key": "12", "life_s": 900, "keep_old": true}));
        assert!(told.question(&BTreeMap::new(), 0).is_err());
    }

    #[test]
    fn what_must_come_is_an_answer_or_a_refusal_of_one_code() {
        let done = json!({"version": 1, "answer": {"kept": {}}});
        let refused = json!({"version": 1, "error": {"code": "A.B", "message": "m"}});
        for (words, reply, holds) in [
            ("done", &done, true),
            ("done", &refused, false),
            ("refused A.B", &refused, true),
            ("refused A.C", &refused, false),
            ("refused A.B", &done, false),
        ] {
            let told = Told { outcome: Outcome::of(words), ..Told::default() };
            assert_eq!(told.judge(reply).is_ok(), holds, "{words}: {reply}");
        }
        for words in ["", "refused", "well done", "kept A"] {
            assert_eq!(Outcome::of(words), None, "{words}");
        }
    }
}
