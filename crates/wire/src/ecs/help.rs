//! What the action tables say, for people: the list of actions, one action, the reference pages.
//! Prints the tables and nothing that is not in them.
use std::fmt::Write;

use super::action::{self, ANY_TEXT, Action, Effect, Kind, Parameter, Subject};
use super::refusal::Code;

/// All actions with their products and what they do, one a line.
pub fn overview() -> String {
    let width = action::all().map(|action| action.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for action in action::all() {
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "{:width$}  {:8}  {}",
            action.name,
            products(action, ","),
            action.summary
        );
    }
    text
}

/// One action with its parameters.
pub fn page(action: &Action) -> String {
    let mut text = format!("{} ({})\n{}\n", action.name, products(action, ", "), action.summary);
    for parameter in action.parameters() {
        let required = if parameter.required { ", required" } else { "" };
        let kind = kind(parameter.kind);
        let _ = write!(text, "\n  {} ({kind}{required})\n      {}", parameter.name, parameter.doc);
        match parameter.effect {
            Effect::Obeyed => {
                if parameter.limits != ANY_TEXT {
                    let _ = write!(text, "\n      Must be {}.", parameter.limits);
                }
                let Code { name, status } = parameter.refused;
                let _ = writeln!(text, " Else {name} ({status}).");
            }
            Effect::Ignored => text.push_str(" Accepted without effect.\n"),
            Effect::Refused(harmless) => {
                let Code { name, status } = parameter.refused;
                let _ = writeln!(text, "{} Refused with {name} ({status}).", but_for(harmless));
            }
        }
    }
    text
}

/// The values of a refused parameter that pass, in a sentence.
fn but_for(harmless: &[&str]) -> String {
    match harmless {
        [] => String::new(),
        harmless => format!(" Only `{}` passes.", harmless.join("`, `")),
    }
}

const MARK: &str = "Generated from the action tables of the wire crate; do not edit.\n";

const INDEX_OPENING: &str = "
Every action is reachable at `/`, `/asapi/v3` and `/apsara/route/{product}/{action}`, by GET or
POST, with query, form or JSON body. An empty value counts as absent; unknown parameters are
ignored. [Parameters](parameters.md) that have no effect here, or are refused, have a page.
";

const TABLE_HEAD: &str = "| parameter | type | must be | else | |
|---|---|---|---|---|
";

/// The reference in Markdown: paths below `docs/reference/` and what stands there.
pub fn reference() -> Vec<(String, String)> {
    let pages = action::SUBJECTS
        .iter()
        .map(|subject| (format!("actions/{}.md", subject.name), subject_page(subject)));
    let index = [("actions.md".to_owned(), index()), ("parameters.md".to_owned(), parameters())];
    index.into_iter().chain(pages).collect()
}

fn index() -> String {
    let mut text = format!("# Actions\n\n{MARK}{INDEX_OPENING}");
    for subject in action::SUBJECTS {
        let (title, name) = (subject.title, subject.name);
        let _ = writeln!(text, "\n## [{title}](actions/{name}.md)\n");
        for action in subject.actions {
            let _ = writeln!(
                text,
                "- `{}` ({}): {}",
                action.name,
                products(action, ", "),
                action.summary
            );
        }
    }
    text
}

fn subject_page(subject: &Subject) -> String {
    let mut text = format!("# {}\n\n{MARK}", subject.title);
    for action in subject.actions {
        let products = products(action, ", ");
        let _ = write!(text, "\n## {} ({products})\n\n{}\n\n", action.name, action.summary);
        text.push_str(TABLE_HEAD);
        action.parameters().for_each(|parameter| row(&mut text, parameter));
    }
    text
}

fn row(text: &mut String, parameter: &Parameter) {
    let required = if parameter.required { " **required**" } else { "" };
    let Code { name, status } = parameter.refused;
    let refused = format!("{status} `{name}`");
    let (limits, refused) = match parameter.effect {
        Effect::Obeyed => (parameter.limits.to_owned(), refused),
        Effect::Ignored => ("anything: without effect".to_owned(), String::new()),
        Effect::Refused([]) => ("left out: not offered".to_owned(), refused),
        Effect::Refused(harmless) => {
            (format!("left out or `{}`: not offered", harmless.join("`, `")), refused)
        }
    };
    let (own, kind) = (parameter.name, kind(parameter.kind));
    let (limits, doc) = (cell(&limits), cell(parameter.doc));
    let _ = writeln!(text, "| `{own}`{required} | {kind} | {limits} | {refused} | {doc} |");
}

const PARAMETERS_OPENING: &str = "
Parameters of the public API that ask for what Portcullis does not have. One is refused with
`UnsupportedParameter` where ignoring it would mislead, and accepted without effect where it would
not.

| action | parameters | | why |
|---|---|---|---|
";

/// What has no effect and what is refused, by action and reason.
fn parameters() -> String {
    let mut text = format!("# Parameters that come to nothing\n\n{MARK}{PARAMETERS_OPENING}");
    for action in action::all() {
        let mut reasons: Vec<(String, &str, Vec<String>)> = Vec::new();
        for parameter in action.parameters() {
            let what = match parameter.effect {
                Effect::Obeyed => continue,
                Effect::Ignored => "without effect".to_owned(),
                Effect::Refused([]) => "refused".to_owned(),
                Effect::Refused(harmless) => {
                    format!("refused, but for `{}`", harmless.join("`, `"))
                }
            };
            let name = format!("`{}`", parameter.name);
            match reasons.iter_mut().find(|(own, doc, _)| *own == what && *doc == parameter.doc) {
                Some((_, _, names)) => names.push(name),
                None => reasons.push((what, parameter.doc, vec![name])),
            }
        }
        for (what, doc, names) in reasons {
            let (action, products) = (action.name, products(action, ", "));
            let (names, doc) = (names.join(", "), cell(doc));
            let _ = writeln!(text, "| {action} ({products}) | {names} | {what} | {doc} |");
        }
    }
    text
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn products(action: &Action, between: &str) -> String {
    let names: Vec<&str> = action.products.iter().map(|product| product.name()).collect();
    names.join(between)
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "text",
        Kind::Integer => "number",
        Kind::Boolean => "boolean",
        Kind::List => "list",
        Kind::Structures => "list of objects",
        Kind::Structure => "object",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    const BLESS: &str = "write them again with PORTCULLIS_BLESS=1 cargo test -p portcullis-wire";

    #[test]
    fn the_reference_pages_are_the_tables() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference");
        let pages = reference();
        let bless = std::env::var_os("PORTCULLIS_BLESS").is_some();
        let mut old = Vec::new();
        for (path, now) in &pages {
            if bless {
                std::fs::create_dir_all(folder.join("actions")).unwrap();
                std::fs::write(folder.join(path), now).unwrap();
            }
            if std::fs::read_to_string(folder.join(path)).ok().as_ref() != Some(now) {
                old.push(path);
            }
        }
        assert!(old.is_empty(), "{old:?}: {BLESS}");
        let names: BTreeSet<_> =
            pages.iter().filter_map(|(path, _)| path.strip_prefix("actions/")).collect();
        for entry in std::fs::read_dir(folder.join("actions")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(names.contains(name.as_str()), "{name} is of no subject");
        }
    }

    #[test]
    fn help_names_every_action_and_parameter() {
        let overview = overview();
        for action in action::all() {
            assert!(overview.contains(action.name));
            let page = page(action);
            for parameter in action.parameters() {
                assert!(page.contains(&format!("\n  {} (", parameter.name)));
            }
        }
    }
}
