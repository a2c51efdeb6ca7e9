//! The shape of source files: sizes, columns, the opening paragraph, and where `unsafe` may stand.
//! Rust is read with a real parser, C by its layout. It does not judge what the code does.
//!
//! An exception states its reason in the line above: `// tidy: long because …` before a function,
//! before an overlong line, or as the first line of a file.

use super::{File, Finding};
use proc_macro2::{LineColumn, TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, Block, ImplItemFn, Item, ItemFn, Meta, Signature, TraitItemFn};

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;
const COLUMNS_MAX: usize = 100;
/// The one place where the compiler's guarantees may be taken over by hand.
const UNSAFE_FOLDER: &str = "crates/agent/src/sys";
const REASON: &str = "// tidy: ";

pub(super) fn check(file: &File) -> Vec<Finding> {
    if file.path.ends_with(".rs") {
        check_rust(file)
    } else if file.path.ends_with(".c") || file.path.ends_with(".h") {
        check_c(file)
    } else {
        Vec::new()
    }
}

fn check_rust(file: &File) -> Vec<Finding> {
    let lines: Vec<&str> = file.text.lines().collect();
    let mut findings = columns(file, &lines);
    findings.extend(opening(file, &lines));
    let parsed = match syn::parse_file(&file.text) {
        Ok(parsed) => parsed,
        Err(error) => {
            let line = error.span().start().line;
            findings.push(Finding::new(&file.path, line, format!("does not parse: {error}")));
            return findings;
        }
    };
    if let Ok(tokens) = file.text.parse::<TokenStream>() {
        findings.extend(unsafe_outside(file, tokens));
    }
    if is_test_file(&file.path) {
        return findings;
    }
    let size = lines.len() - parsed.items.iter().map(test_lines).sum::<usize>();
    if size > FILE_LINES_MAX && !lines.first().is_some_and(|line| line.starts_with(REASON)) {
        let message =
            format!("{size} lines without tests, {FILE_LINES_MAX} at most: split it by its ideas");
        findings.push(Finding::new(&file.path, 1, message));
    }
    let mut functions = Functions { file, lines: &lines, findings: Vec::new() };
    functions.visit_file(&parsed);
    findings.extend(functions.findings);
    findings
}

fn is_test_file(path: &str) -> bool {
    path.contains("/tests/") || path.contains("/benches/") || path.ends_with("/tests.rs")
}

fn columns(file: &File, lines: &[&str]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let width = line.chars().count();
        let above = index.checked_sub(1).and_then(|above| lines.get(above));
        let excused = above.is_some_and(|line| line.trim_start().starts_with(REASON));
        if width > COLUMNS_MAX && !excused {
            let message = format!("{width} columns, {COLUMNS_MAX} at most");
            findings.push(Finding::new(&file.path, index + 1, message));
        }
    }
    findings
}

/// The first line that is neither blank nor a plain comment nor an attribute must open the module.
fn opening(file: &File, lines: &[&str]) -> Option<Finding> {
    let first = lines.iter().find(|line| {
        let line = line.trim_start();
        let skipped = line.is_empty()
            || line.starts_with("#!")
            || (line.starts_with("//") && !line.starts_with("//!"));
        !skipped
    });
    let told = first.and_then(|line| line.strip_prefix("//!")).is_some_and(|text| {
        // One word is a title, not a paragraph.
        text.split_whitespace().count() > 2
    });
    let message = "opens without a `//!` paragraph: what it is and what it refuses to know";
    (!told).then(|| Finding::new(&file.path, 1, message))
}

fn unsafe_outside(file: &File, tokens: TokenStream) -> Vec<Finding> {
    let mut findings = Vec::new();
    if file.path.starts_with(UNSAFE_FOLDER) {
        return findings;
    }
    let mut pending = vec![tokens];
    while let Some(tokens) = pending.pop() {
        for token in tokens {
            match token {
                TokenTree::Group(group) => pending.push(group.stream()),
                TokenTree::Ident(ident) if ident == "unsafe" => {
                    let line = ident.span().start().line;
                    let message = format!("`unsafe` outside {UNSAFE_FOLDER}");
                    findings.push(Finding::new(&file.path, line, message));
                }
                _ => {}
            }
        }
    }
    findings
}

/// How many lines an item takes that is compiled for tests only.
fn test_lines(item: &Item) -> usize {
    if !attributes(item).iter().any(is_for_tests) {
        return 0;
    }
    let LineColumn { line: start, .. } = item.span().start();
    let LineColumn { line: end, .. } = item.span().end();
    end - start + 1
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Const(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        _ => &[],
    }
}

/// `#[test]`, `#[tokio::test]`, `#[cfg(test)]`, `#[cfg(all(test, …))]`.
fn is_for_tests(attribute: &Attribute) -> bool {
    let path = attribute.path();
    if path.segments.last().is_some_and(|segment| segment.ident == "test") {
        return true;
    }
    let Meta::List(list) = &attribute.meta else {
        return false;
    };
    path.is_ident("cfg") && {
        let condition = list.tokens.to_string();
        condition == "test"
            || condition.starts_with("all (test")
            || condition.starts_with("all(test")
    }
}

struct Functions<'a> {
    file: &'a File,
    lines: &'a [&'a str],
    findings: Vec<Finding>,
}

impl Functions<'_> {
    fn measure(&mut self, attributes: &[Attribute], signature: &Signature, block: &Block) {
        let head = signature.fn_token.span().start().line;
        let end = block.brace_token.span.close().end().line;
        let count = end - head + 1;
        if count <= FUNCTION_LINES_MAX {
            return;
        }
        let top = attributes.iter().map(|attribute| attribute.span().start().line).min();
        let top = top.unwrap_or(head).min(head);
        // From the line above the attributes to the line above the signature.
        let mut above = self.lines.get(top.saturating_sub(2)..head).unwrap_or_default().iter();
        if above.any(|line| line.trim_start().starts_with(REASON)) {
            return;
        }
        let name = &signature.ident;
        let message = format!("`{name}` has {count} lines, {FUNCTION_LINES_MAX} at most");
        self.findings.push(Finding::new(&self.file.path, head, message));
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if !attributes(item).iter().any(is_for_tests) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        self.measure(&function.attrs, &function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        self.measure(&function.attrs, &function.sig, &function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast TraitItemFn) {
        if let Some(block) = &function.default {
            self.measure(&function.attrs, &function.sig, block);
        }
        visit::visit_trait_item_fn(self, function);
    }
}

/// C is read by its layout: a function ends with `}` in the first column and begins with the last
/// line before its `{` that starts in the first column.
fn check_c(file: &File) -> Vec<Finding> {
    let lines: Vec<&str> = file.text.lines().collect();
    let mut findings = Vec::new();
    let excused = lines.first().is_some_and(|line| line.contains("tidy: "));
    if lines.len() > FILE_LINES_MAX && !excused {
        let message = format!("{} lines, {FILE_LINES_MAX} at most", lines.len());
        findings.push(Finding::new(&file.path, 1, message));
    }
    let mut head = None;
    for (index, line) in lines.iter().enumerate() {
        let first_column = line.chars().next().is_some_and(|character| {
            character.is_alphabetic() || character == '_' || character == '{'
        });
        if first_column && line.ends_with('{') {
            let opening = if *line == "{" { index.saturating_sub(1) } else { index };
            let opening = c_head(&lines, opening);
            head = lines.get(opening).is_some_and(|line| line.contains('(')).then_some(opening);
        } else if line.starts_with('}')
            && let Some(start) = head.take()
        {
            let count = index - start + 1;
            let above = start.checked_sub(1).and_then(|above| lines.get(above));
            let excused = above.is_some_and(|line| line.contains("tidy: "));
            if count > FUNCTION_LINES_MAX && !excused {
                let message = format!("a function of {count} lines, {FUNCTION_LINES_MAX} at most");
                findings.push(Finding::new(&file.path, start + 1, message));
            }
        }
    }
    findings
}

/// Walks up over the indented continuation lines of a signature.
fn c_head(lines: &[&str], from: usize) -> usize {
    let mut index = from;
    while index > 0 && lines.get(index).is_some_and(|line| line.starts_with([' ', '\t'])) {
        index -= 1;
    }
    index
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::File;

    fn messages(path: &str, text: &str) -> Vec<String> {
        let file = File { path: path.to_owned(), text: text.to_owned() };
        check(&file).into_iter().map(|finding| finding.message).collect()
    }

    const OPENING: &str = "//! A module of the sample, nothing more.\n";

    fn function(lines: usize) -> String {
        format!("fn long() {{\n{}}}\n", "    call();\n".repeat(lines - 2))
    }

    #[test]
    fn wants_an_opening_paragraph() {
        assert!(messages("crates/a/src/lib.rs", OPENING).is_empty());
        let commented = format!("// tidy: long because …\n\n#![no_std]\n{OPENING}");
        assert!(messages("crates/a/src/lib.rs", &commented).is_empty());
        assert_eq!(messages("crates/a/src/lib.rs", "fn a() {}\n").len(), 1);
        assert_eq!(messages("crates/a/src/lib.rs", "//! Rules.\nfn a() {}\n").len(), 1);
        assert_eq!(messages("crates/a/src/lib.rs", "").len(), 1);
    }

    #[test]
    fn bounds_functions() {
        let path = "crates/a/src/lib.rs";
        assert!(messages(path, &format!("{OPENING}{}", function(70))).is_empty());
        let found = messages(path, &format!("{OPENING}{}", function(71)));
        assert_eq!(found, ["`long` has 71 lines, 70 at most"]);
        let method = format!("{OPENING}impl A {{\n{}}}\n", function(71));
        assert_eq!(messages(path, &method).len(), 1);
    }

    #[test]
    fn takes_a_stated_reason_for_a_long_function() {
        let path = "crates/a/src/lib.rs";
        let reason = "// tidy: long because it is one table\n";
        assert!(messages(path, &format!("{OPENING}{reason}{}", function(90))).is_empty());
        let attributed = format!("{OPENING}{reason}/// Does.\n#[inline]\n{}", function(90));
        assert!(messages(path, &attributed).is_empty());
        let unreasoned = format!("{OPENING}// tidy\n{}", function(90));
        assert_eq!(messages(path, &unreasoned).len(), 1);
    }

    #[test]
    fn does_not_measure_tests() {
        let tests = format!("{OPENING}#[cfg(test)]\nmod tests {{\n{}}}\n", function(650));
        assert!(messages("crates/a/src/lib.rs", &tests).is_empty());
        let file = format!("{OPENING}{}", function(650));
        assert!(messages("crates/a/tests/live.rs", &file).is_empty());
        assert_eq!(messages("crates/a/src/lib.rs", &file).len(), 2);
    }

    #[test]
    fn bounds_files_and_columns() {
        let path = "crates/a/src/lib.rs";
        let long = format!("{OPENING}{}", "const A: u8 = 1;\n".repeat(600));
        assert_eq!(
            messages(path, &long),
            ["601 lines without tests, 600 at most: split it by its ideas"]
        );
        assert!(messages(path, &format!("// tidy: one table\n{long}")).is_empty());
        let wide = format!("{OPENING}// {}\n", "w".repeat(98));
        assert_eq!(messages(path, &wide), ["101 columns, 100 at most"]);
        let excused = format!("{OPENING}// tidy: one vector\n// {}\n", "w".repeat(98));
        assert!(messages(path, &excused).is_empty());
    }

    #[test]
    fn allows_unsafe_in_one_folder_only() {
        let text = format!("{OPENING}fn a() {{ m!(unsafe {{ b() }}) }}\n");
        assert!(messages("crates/agent/src/sys/bpf.rs", &text).is_empty());
        assert_eq!(
            messages("crates/agent/src/plan.rs", &text),
            ["`unsafe` outside crates/agent/src/sys"]
        );
        let named = format!("{OPENING}// unsafe is a word here\nconst A: &str = \"unsafe\";\n");
        assert!(messages("crates/agent/src/plan.rs", &named).is_empty());
    }

    #[test]
    fn reports_what_does_not_parse() {
        assert_eq!(messages("crates/a/src/lib.rs", &format!("{OPENING}fn (")).len(), 1);
    }

    #[test]
    fn bounds_c_by_its_layout() {
        let body = "\tcall();\n".repeat(70);
        let long = format!("static int\nlong_one(int a,\n         int b)\n{{\n{body}}}\n");
        assert_eq!(messages("datapath/a.c", &long), ["a function of 74 lines, 70 at most"]);
        let table = format!("static const int table[] = {{\n{body}}};\n");
        assert!(messages("datapath/a.c", &table).is_empty());
        let excused = format!("/* tidy: unrolled */\nint f(void) {{\n{body}}}\n");
        assert!(messages("datapath/a.c", &excused).is_empty());
        assert_eq!(messages("datapath/a.c", &"int a;\n".repeat(601)).len(), 1);
    }
}
