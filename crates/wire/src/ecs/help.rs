//! What the action tables say, for people: the list of actions, one action, and the reference page.
//! Prints the tables and nothing that is not in them.
use std::fmt::Write;

use super::action::{self, ANY_TEXT, Action, Kind, Parameter};

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
        if parameter.limits != ANY_TEXT {
            let _ = write!(text, "\n      Must be {}.", parameter.limits);
        }
        let _ = writeln!(text, " Else {} ({}).", parameter.refused.name, parameter.refused.status);
    }
    text
}

const REFERENCE_OPENING: &str = "# Actions

Generated from the action tables of the wire crate; do not edit. Every action is reachable at `/`,
`/asapi/v3` and `/apsara/route/{product}/{action}`, by GET or POST, with query, form or JSON body.
An empty value counts as absent; unknown parameters are ignored.
";

const TABLE_HEAD: &str = "| parameter | type | must be | else | |
|---|---|---|---|---|
";

/// The reference page of all actions, in Markdown.
pub fn reference() -> String {
    let mut text = String::from(REFERENCE_OPENING);
    for action in action::all() {
        let _ = write!(
            text,
            "\n## {}\n\n{} Product: {}.\n\n{TABLE_HEAD}",
            action.name,
            action.summary,
            products(action, ", ")
        );
        action.parameters().for_each(|parameter| row(&mut text, parameter));
    }
    text
}

fn row(text: &mut String, parameter: &Parameter) {
    let required = if parameter.required { " **required**" } else { "" };
    let cell = |text: &str| text.replace('|', "\\|");
    let _ = writeln!(
        text,
        "| `{}`{required} | {} | {} | {} `{}` | {} |",
        parameter.name,
        kind(parameter.kind),
        cell(parameter.limits),
        parameter.refused.status,
        parameter.refused.name,
        cell(parameter.doc)
    );
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
    use super::*;

    #[test]
    fn the_reference_page_is_the_tables() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/actions.md");
        let now = reference();
        if std::env::var_os("PORTCULLIS_BLESS").is_some() {
            std::fs::write(path, &now).unwrap();
        }
        let kept = std::fs::read_to_string(path).unwrap();
        assert!(
            kept == now,
            "write it again with PORTCULLIS_BLESS=1 cargo test -p portcullis-wire"
        );
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
