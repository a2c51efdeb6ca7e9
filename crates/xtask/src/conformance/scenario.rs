//! The scenario: its steps, what they take from one another, and whether an outcome is the expected
//! one. Pure: it knows neither drivers nor servers.

use crate::Outcome;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What earlier answers gave to later steps.
pub(crate) type Kept = BTreeMap<String, String>;

/// How faithfully a client hands an answer on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// With the types of JSON.
    Json,
    /// As the elements of XML: all of it text, a list of one like its only element, and an empty
    /// list or structure like an empty text.
    Text,
}

/// One call and what must come of it.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) name: String,
    fields: Map<String, Value>,
}

impl Step {
    /// Reads the scenario: a list of objects.
    pub(crate) fn all(text: &str) -> Outcome<Vec<Self>> {
        let steps: Vec<Map<String, Value>> =
            serde_json::from_str(text).map_err(|error| format!("scenario: {error}"))?;
        let named = steps.into_iter().map(|fields| {
            let name = fields.get("step").and_then(Value::as_str).unwrap_or_default().to_owned();
            let told = fields.contains_key("answer") != fields.contains_key("error");
            if name.is_empty() || !told || !fields.contains_key("action") {
                return Err(format!("scenario: `{name}` lacks a name, an action or its outcome"));
            }
            Ok(Self { name, fields })
        });
        named.collect()
    }

    /// The line for the driver: the call with its parameters filled in.
    pub(crate) fn call(&self, kept: &Kept, key: &str, secret: &str) -> Value {
        let text = |name: &str, default: &str| {
            self.fields.get(name).and_then(Value::as_str).unwrap_or(default).to_owned()
        };
        let parameters = self.fields.get("parameters").cloned().unwrap_or_else(|| json!({}));
        json!({
            "product": text("product", "Ecs"),
            "action": text("action", ""),
            "parameters": fill(&parameters, kept),
            "key": fill(&text("key", key).into(), kept),
            "secret": fill(&text("secret", secret).into(), kept),
            "token": fill(&text("token", "").into(), kept),
        })
    }

    /// Compares what the driver of `client` told, and keeps what later steps need.
    pub(crate) fn check(
        &self,
        told: &Value,
        shape: Shape,
        client: &str,
        kept: &mut Kept,
    ) -> Outcome<()> {
        if let Some(expected) = self.fields.get("error") {
            let own = self.fields.get("error of").and_then(|own| own.get(client));
            return check_error(&fill(own.unwrap_or(expected), kept), told);
        }
        let expected = fill(self.fields.get("answer").unwrap_or(&Value::Null), kept);
        let answer = told.get("answer").ok_or_else(|| format!("an answer was due: {told}"))?;
        compare("", &expected, answer, shape)?;
        let keep = self.fields.get("keep").and_then(Value::as_object);
        for (name, path) in keep.into_iter().flatten() {
            let path = path.as_str().unwrap_or_default();
            let found = at(answer, path).and_then(Value::as_str);
            let found = found.ok_or_else(|| format!("no {path} in the answer"))?;
            kept.insert(name.clone(), found.to_owned());
        }
        Ok(())
    }
}

/// The value with each `$name` in its texts replaced by what was kept under the name.
fn fill(value: &Value, kept: &Kept) -> Value {
    match value {
        Value::String(text) => {
            let replaced = |text: String, (name, value): (&String, &String)| {
                text.replace(&format!("${name}"), value)
            };
            // The longer names first: `$interface` is not `$inter` and a rest.
            Value::String(kept.iter().rev().fold(text.clone(), replaced))
        }
        Value::Array(items) => items.iter().map(|item| fill(item, kept)).collect(),
        Value::Object(fields) => {
            let filled = fields.iter().map(|(name, inner)| (name.clone(), fill(inner, kept)));
            Value::Object(filled.collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    let step = |value: &'a Value, part: &str| match part.parse::<usize>() {
        // The only element of a list, where a list of one looks like it.
        Ok(0) if !value.is_array() => Some(value),
        Ok(index) => value.get(index),
        Err(_) => value.get(part),
    };
    path.split('.').try_fold(value, step)
}

/// Code and status; a client that tells one of the two only is believed the other.
fn check_error(expected: &Value, told: &Value) -> Outcome<()> {
    let [code, status] =
        ["code", "status"].map(|name| told.get(name).filter(|told| !told.is_null()));
    let same_code = code == expected.get("code") || code.is_none() && status.is_some();
    let same_status = status == expected.get("status") || status.is_none();
    let words = expected.get("message").and_then(Value::as_str).unwrap_or_default();
    let message = told.get("message").and_then(Value::as_str).unwrap_or_default();
    if same_code && same_status && !message.is_empty() && message.contains(words) {
        return Ok(());
    }
    Err(format!("the error {expected} was due: {told}"))
}

/// Whether `answer` has everything that is expected: of an object at least these fields, of a list
/// exactly these items, and a text that begins as one marked `^` says.
fn compare(place: &str, expected: &Value, answer: &Value, shape: Shape) -> Outcome<()> {
    let differs = || Err(format!("{place} should be {expected}: {answer}"));
    match expected {
        Value::Object(fields) => fields.iter().try_for_each(|(name, inner)| {
            let place = if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
            let empty = Value::String(String::new());
            let found = match answer.get(name) {
                Some(found) => found,
                None if shape == Shape::Text && answer.as_str() == Some("") => &empty,
                None => return Err(format!("{place} is missing")),
            };
            compare(&place, inner, found, shape)
        }),
        Value::Array(items) => {
            let single = match (shape, answer) {
                (Shape::Text, Value::String(text)) if text.is_empty() => Some(Vec::new()),
                (Shape::Text, Value::String(_) | Value::Object(_)) => Some(vec![answer.clone()]),
                _ => None,
            };
            let Some(found) = single.as_ref().or(answer.as_array()) else { return differs() };
            if found.len() != items.len() {
                return differs();
            }
            let mut pairs = items.iter().zip(found).enumerate();
            pairs.try_for_each(|(index, (expected, found))| {
                compare(&format!("{place}.{index}"), expected, found, shape)
            })
        }
        Value::String(text) => match (text.strip_prefix('^'), answer.as_str()) {
            (Some(start), Some(found)) if found.starts_with(start) && !found.is_empty() => Ok(()),
            (None, Some(found)) if found == text => Ok(()),
            _ => differs(),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) => {
            let text = answer.as_str().filter(|_| shape == Shape::Text);
            let same = answer == expected || text == Some(&expected.to_string());
            if same { Ok(()) } else { differs() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Kept, Shape, Step, compare};
    use serde_json::{Value, json};

    const STEPS: &str = r#"[
        {"step": "made", "action": "Make", "parameters": {"Tag": [{"Key": "$name"}]},
         "answer": {"Id": "^x-", "Count": 1, "Rows": {"Row": [{"Id": "$name"}]}},
         "keep": {"id": "Rows.Row.0.Id"}},
        {"step": "refused", "action": "Make", "secret": "wrong",
         "error": {"code": "No", "status": 404}, "error of": {"odd": {"code": "Nay"}}},
        {"step": "lent", "action": "Make", "key": "$name", "token": "$name-token", "answer": {}}
    ]"#;

    fn kept() -> Kept {
        Kept::from([("name".to_owned(), "n".to_owned())])
    }

    #[test]
    fn fills_in_what_was_kept() {
        let steps = Step::all(STEPS).unwrap();
        let call = steps[0].call(&kept(), "k", "s");
        assert_eq!(call["parameters"], json!({"Tag": [{"Key": "n"}]}));
        assert_eq!((&call["product"], &call["secret"]), (&json!("Ecs"), &json!("s")));
        let refused = steps[1].call(&kept(), "k", "s");
        assert_eq!((&refused["secret"], &refused["token"]), (&json!("wrong"), &json!("")));
        let lent = steps[2].call(&kept(), "k", "s");
        assert_eq!((&lent["key"], &lent["token"]), (&json!("n"), &json!("n-token")));
    }

    #[test]
    fn compares_answers_field_by_field() {
        let good = json!({"Id": "x-1", "Count": 1, "Rows": {"Row": [{"Id": "n", "More": true}]}});
        let change = |place: &str, value: Value| {
            let mut answer = good.clone();
            *answer.pointer_mut(place).unwrap() = value;
            answer
        };
        let cases = [
            (good.clone(), true),
            (change("/Id", json!("y-1")), false),
            (change("/Count", json!("1")), false),
            (change("/Rows/Row", json!([])), false),
            (change("/Rows/Row", json!({"Id": "n"})), false),
            (change("/Rows/Row/0/Id", json!("m")), false),
            (json!({}), false),
        ];
        let steps = Step::all(STEPS).unwrap();
        for (answer, well) in cases {
            let mut kept = kept();
            let told = json!({"answer": answer});
            let checked = steps[0].check(&told, Shape::Json, "any", &mut kept);
            assert_eq!(checked.is_ok(), well, "{told}: {checked:?}");
            assert_eq!(kept.contains_key("id"), well);
        }
    }

    #[test]
    fn compares_errors_by_code_and_status() {
        let steps = Step::all(STEPS).unwrap();
        let cases = [
            (json!({"code": "No", "status": 404, "message": "m"}), "any", true),
            (json!({"code": "No", "status": null, "message": "m"}), "any", true),
            (json!({"code": "No", "status": 400, "message": "m"}), "any", false),
            (json!({"code": null, "status": 404, "message": "m"}), "any", true),
            (json!({"code": null, "status": 400, "message": "m"}), "any", false),
            (json!({"code": null, "status": null, "message": "m"}), "any", false),
            (json!({"message": "m"}), "any", false),
            (json!({"code": "No", "status": 404}), "any", false),
            (json!({"code": "Nay", "message": "m"}), "any", false),
            (json!({"code": "Nay", "message": "m"}), "odd", true),
            (json!({"answer": {}}), "any", false),
        ];
        for (told, client, well) in cases {
            let checked = steps[1].check(&told, Shape::Json, client, &mut kept());
            assert_eq!(checked.is_ok(), well, "{told}: {checked:?}");
        }
    }

    #[test]
    fn reads_elements_as_text() {
        let cases = [
            (json!({"N": 1}), json!({"N": "1"}), true),
            (json!({"N": true}), json!({"N": "false"}), false),
            (json!({"L": [{"A": "b"}]}), json!({"L": {"A": "b"}}), true),
            (json!({"Rows": {"Row": []}}), json!({"Rows": ""}), true),
            (json!({"Rows": {"Row": ["a"]}}), json!({"Rows": ""}), false),
        ];
        for (expected, answer, well) in cases {
            let same = compare("", &expected, &answer, Shape::Text);
            assert_eq!(same.is_ok(), well, "{expected} {answer}");
        }
    }

    #[test]
    fn a_step_says_what_must_come_of_it() {
        for text in [r#"[{"step": "a", "action": "A"}]"#, r#"[{"action": "A", "answer": {}}]"#] {
            assert!(Step::all(text).is_err(), "{text}");
        }
    }
}
