//! Every error code that the product's sources can raise, found by reading them: those that the
//! wire declares, and the texts that are handed to the constructors of a refusal elsewhere.
//!
//! Knows how the sources look and nothing of what a code means. A code that is put together at run
//! time is not seen; whoever compares with what was answered finds it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use portcullis_wire::ecs::action;
use portcullis_wire::ecs::refusal::CODES;

/// Folders in which refusals are made beside the wire.
const FOLDERS: [&str; 2] = ["crates/core/src", "crates/server/src"];

/// What goes ahead of a code, blanks left out.
const BEFORE: [&str; 6] = [
    "ApiError::invalid(",
    "ApiError::forbidden(",
    "ApiError::not_found(",
    "ApiError::missing(",
    "Code{name:",
    "Problem::new(",
];

/// The codes of a repository.
///
/// # Errors
/// When a source cannot be read.
pub fn raised(root: &Path) -> Result<BTreeSet<String>, String> {
    let mut codes: BTreeSet<String> = CODES.iter().map(|code| code.name.to_owned()).collect();
    for own in action::all().flat_map(|action| action.parameters()) {
        // What stands within a list is missing from one of its items only.
        if own.required && !own.name.contains(".N.") {
            codes.insert(own.missing().code.into_owned());
        }
    }
    let mut sources = Vec::new();
    for folder in FOLDERS {
        collect(&root.join(folder), &mut sources)?;
    }
    for path in sources {
        let text =
            std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        codes.extend(of_source(&text));
    }
    Ok(codes)
}

fn collect(folder: &Path, sources: &mut Vec<PathBuf>) -> Result<(), String> {
    let entries = std::fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, sources)?;
        } else if path.extension().is_some_and(|own| own == "rs") && !path.ends_with("tests.rs") {
            sources.push(path);
        }
    }
    Ok(())
}

/// The codes of one source: texts that look like one, and texts that stand where one must.
fn of_source(text: &str) -> BTreeSet<String> {
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    // Documents quote no code, and comments hold apostrophes and quotes of their own.
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let text = lines.collect::<Vec<_>>().join("\n");
    let mut codes = BTreeSet::new();
    let mut before = String::new();
    for (place, piece) in text.split('"').enumerate() {
        if place % 2 == 0 {
            before = piece.chars().filter(|c| !c.is_whitespace()).collect();
            continue;
        }
        // `ApiError::new(ErrorClass::Internal, "…")` names the class first.
        let after_class = before.rsplit_once("ApiError::new(ErrorClass::");
        let after_class = after_class.is_some_and(|(_, class)| {
            class.strip_suffix(',').is_some_and(|own| own.chars().all(char::is_alphanumeric))
        });
        if before.ends_with("ApiError::missing(") {
            codes.insert(format!("Missing{piece}"));
        } else if after_class
            || BEFORE.iter().any(|own| before.ends_with(own))
            || is_dotted(piece)
            || is_limit(piece)
        {
            codes.insert(piece.to_owned());
        }
    }
    codes.retain(|code| !code.contains('{'));
    codes
}

/// Codes of quotas are one word, which tells that it is one.
fn is_limit(text: &str) -> bool {
    let ends = ["LimitExceed", "LimitExceeded"];
    text.bytes().all(|byte| byte.is_ascii_alphanumeric()) && ends.iter().any(|e| text.ends_with(e))
}

fn is_dotted(text: &str) -> bool {
    let mut parts = text.split('.');
    let is_word = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_uppercase())
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    text.contains('.') && parts.all(is_word)
}

#[cfg(test)]
mod tests {
    use super::of_source;

    #[test]
    fn codes_are_seen_where_they_are_made() {
        let text = r#"
            //! "Comment.Code" is not one.
            ApiError::forbidden("DependencyViolation", "In use.").at("VpcId")
            ApiError::new(
                ErrorClass::Internal,
                "InternalError", "No \"free\" one.")
            Code { name: "RequestTimeout", status: 408 }.refuse(message)
            const MADE: &str = "InvalidThing.NotFound";
            refuse("AclLimitExceed", "Too many.")
            ApiError::missing("ThingId")
            ApiError::invalid(format!("InvalidParam.{place}"), "No.")
            #[cfg(test)]
            "Test.Code"
        "#;
        let codes: Vec<_> = of_source(text).into_iter().collect();
        assert_eq!(
            codes,
            [
                "AclLimitExceed",
                "DependencyViolation",
                "InternalError",
                "InvalidThing.NotFound",
                "MissingThingId",
                "RequestTimeout",
            ]
        );
    }
}
