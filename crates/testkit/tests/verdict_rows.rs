//! No row of `docs/reference/verdicts.md` without a case that shows it on packets: the page, the
//! list in `cases/verdict-rows.tsv` and the cases are held against each other.
#![allow(clippy::unwrap_used, clippy::panic)] // All of this is test code.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The sections that say what a verdict is.
const FIRST: &str = "## 1.";
const END: &str = "## 5.";
/// How the name of a case begins.
const PLACES: [&str; 4] = ["packets/", "live/", "endurance: ", "upgrade: "];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What the page says in one breath: the cells of its tables by `ROW | COLUMN`, and its items and
/// paragraphs as their words.
#[derive(Default)]
struct Page {
    cells: Vec<String>,
    paragraphs: Vec<String>,
}

impl Page {
    fn read(text: &str) -> Self {
        let (mut page, mut open, mut columns) = (Self::default(), String::new(), Vec::new());
        let lines = text.lines().skip_while(|line| !line.starts_with(FIRST));
        for line in lines.take_while(|line| !line.starts_with(END)) {
            let line = line.trim();
            if let Some(row) = line.strip_prefix('|') {
                page.close(&mut open);
                page.row(row.trim_end_matches('|'), &mut columns);
                continue;
            }
            columns.clear();
            let (number, rest) = line.split_once(". ").unwrap_or_default();
            let is_item = !number.is_empty() && number.parse::<u8>().is_ok() && !rest.is_empty();
            if line.is_empty() || line.starts_with('#') || line.starts_with("- ") || is_item {
                page.close(&mut open);
            }
            if !line.starts_with('#') {
                open = [open.as_str(), line].join(" ");
            }
        }
        page.close(&mut open);
        page
    }

    fn close(&mut self, open: &mut String) {
        let words = std::mem::take(open).split_whitespace().collect::<Vec<_>>().join(" ");
        if !words.is_empty() {
            self.paragraphs.push(words);
        }
    }

    /// The first row of a table names its columns, the second is a rule.
    fn row(&mut self, row: &str, columns: &mut Vec<String>) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        if columns.is_empty() {
            columns.extend(cells.iter().map(|cell| (*cell).to_owned()));
        } else if !cells.iter().all(|cell| cell.chars().all(|c| c == '-')) {
            let names = columns.iter().skip(1).map(|column| format!("{} | {column}", cells[0]));
            self.cells.extend(names);
        }
    }
}

/// Whether there is such a case.
fn exists(case: &str) -> bool {
    let (place, name) = case.split_once(": ").unwrap_or_else(|| panic!("`{case}` names no case"));
    let has = |path: String, line: String| read(&path).lines().any(|found| found == line);
    let test = format!("fn {name}() {{");
    match place.split_once('/') {
        Some(("packets", file)) => {
            has(format!("cases/packets/{file}.case"), format!("case {name}"))
        }
        Some(("live", file)) => has(format!("crates/cli/tests/live/{file}.rs"), test),
        None if place == "endurance" => has("crates/testkit/tests/endurance.rs".to_owned(), test),
        None if place == "upgrade" => has("crates/agent/tests/upgrade/main.rs".to_owned(), test),
        _ => panic!("`{case}` is nowhere"),
    }
}

/// The cases of each entry. A name of a case may have `; ` in it.
fn rows() -> BTreeMap<String, Vec<String>> {
    let text = read("cases/verdict-rows.tsv");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let row = |line: &str| {
        let (what, cases) = line.split_once('\t').unwrap_or_else(|| panic!("`{line}`"));
        let mut found: Vec<String> = Vec::new();
        for part in cases.split("; ") {
            let is_another = PLACES.iter().any(|place| part.starts_with(place));
            match found.last_mut() {
                Some(last) if !is_another => *last = format!("{last}; {part}"),
                _ => found.push(part.to_owned()),
            }
        }
        (what.to_owned(), found)
    };
    lines.map(row).collect()
}

#[test]
fn every_row_of_the_page_has_a_case_and_every_case_is_there() {
    let page = Page::read(&read("docs/reference/verdicts.md"));
    let rows = rows();
    let mut wrong = Vec::new();
    for (what, cases) in &rows {
        let is_there =
            page.cells.contains(what) || page.paragraphs.iter().any(|p| p.contains(what));
        if !is_there {
            wrong.push(format!("the page does not say: {what}"));
        }
        let missing = cases.iter().filter(|case| !exists(case));
        wrong.extend(missing.map(|case| format!("there is no case: {case}")));
    }
    let cells = page.cells.iter().filter(|cell| !rows.contains_key(*cell));
    wrong.extend(cells.map(|cell| format!("no case for the cell: {cell}")));
    let is_shown = |said: &&String| rows.keys().any(|what| said.contains(what));
    let paragraphs = page.paragraphs.iter().filter(|said| !is_shown(said));
    wrong.extend(paragraphs.map(|said| format!("no case for: {said}")));
    println!("{} cells, {} paragraphs", page.cells.len(), page.paragraphs.len());
    assert!(page.cells.len() >= 20 && page.paragraphs.len() >= 20, "the page is not read");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn what_is_without_a_case_would_be_named() {
    let lines = [
        "## 0. Not this\nNo.",
        "## 1. One\nA paragraph\nin two lines.\n",
        "1. **`one` → drop.** First.\n   | | out | in |\n   |---|---|---|\n   | ARP | a | b |\n",
        "   After.\n- An item\n- Another\n## 5. End\nNot this.",
    ];
    let page = Page::read(&lines.join("\n"));
    assert_eq!(page.cells, ["ARP | out", "ARP | in"]);
    let said = ["A paragraph in two lines.", "1. **`one` → drop.** First.", "After.", "- An item"];
    assert_eq!(page.paragraphs[..4], said);
    assert_eq!(page.paragraphs.len(), 5);
}
