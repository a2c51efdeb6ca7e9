//! Dead paths and dead commands in the documents: what they link to must exist, what they tell the
//! reader to type must be there. It does not run anything; the tests do that.

use super::{File, Finding};

/// Folders at the root whose mention in a document means a path of this repository.
const FOLDERS: &[&str] = &[
    ".ci",
    ".cargo",
    "bench",
    "cases",
    "conformance",
    "console",
    "crates",
    "datapath",
    "docs",
    "fuzz",
];

const DECISIONS: &str = "docs/adr/";
const DECISIONS_INDEX: &str = "docs/adr/README.md";

pub(super) fn check(files: &[File], paths: &[String], chores: &[&str]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| is_document(&file.path)) {
        let mut fenced = false;
        for (index, line) in file.text.lines().enumerate() {
            let fence = line.trim_start().starts_with("```");
            fenced ^= fence;
            let place = Place { file, line: index + 1, paths };
            if !fenced && !fence {
                findings.extend(links(line).filter_map(|link| place.link(link)));
                findings.extend(code_spans(line).filter_map(|span| place.span(span)));
            }
            findings.extend(place.chores(line, chores));
        }
    }
    findings.extend(unlisted_decisions(files));
    findings
}

/// Decisions that their index does not name.
fn unlisted_decisions(files: &[File]) -> Vec<Finding> {
    let index = files.iter().find(|file| file.path == DECISIONS_INDEX);
    let index = index.map_or("", |file| file.text.as_str());
    let decisions = files
        .iter()
        .filter(|file| file.path.starts_with(DECISIONS) && file.path != DECISIONS_INDEX);
    let unlisted = decisions.filter(|file| {
        let name = file.path.strip_prefix(DECISIONS).unwrap_or(&file.path);
        !index.contains(&format!("({name})"))
    });
    unlisted
        .map(|file| Finding::new(&file.path, 1, format!("{DECISIONS_INDEX} does not list it")))
        .collect()
}

fn is_document(path: &str) -> bool {
    path.ends_with(".md") && (path.starts_with("docs/") || !path.contains('/'))
}

struct Place<'a> {
    file: &'a File,
    line: usize,
    paths: &'a [String],
}

impl Place<'_> {
    fn finding(&self, message: String) -> Finding {
        Finding::new(&self.file.path, self.line, message)
    }

    fn exists(&self, path: &str) -> bool {
        let folder = format!("{}/", path.trim_end_matches('/'));
        let path = path.trim_end_matches('/');
        path.is_empty()
            || self.paths.iter().any(|known| {
                known == path || known.starts_with(&folder) || matches_pattern(path, known)
            })
    }

    /// The target of a link, from the folder of the document.
    fn link(&self, target: &str) -> Option<Finding> {
        let target = target.split(['#', ' ']).next().unwrap_or_default();
        if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
            return None;
        }
        let folder = self.file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let path = join(folder, target);
        let alive = path.is_some_and(|path| self.exists(&path));
        (!alive).then(|| self.finding(format!("dead link: `{target}`")))
    }

    /// A code span that looks like a path of this repository.
    fn span(&self, span: &str) -> Option<Finding> {
        let span = span.strip_prefix("./").unwrap_or(span);
        let known_folder =
            span.split_once('/').is_some_and(|(folder, _)| FOLDERS.contains(&folder));
        let capital = span.strip_suffix(".md").is_some_and(|stem| {
            !stem.is_empty() && stem.chars().all(|letter| letter.is_ascii_uppercase())
        });
        let open = span.contains(['<', '>', '…', '{', ' ', '$']);
        if open || !(known_folder || capital) {
            return None;
        }
        let path = span.split(':').next().unwrap_or_default();
        (!self.exists(path)).then(|| self.finding(format!("dead path: `{path}`")))
    }

    /// Every `./x WORD`, in running text and in fences alike.
    fn chores(&self, line: &str, chores: &[&str]) -> Vec<Finding> {
        let mentions = line.match_indices("./x ").filter_map(|(start, mention)| {
            let rest = &line[start + mention.len()..];
            let word: String =
                rest.chars().take_while(|letter| letter.is_ascii_lowercase()).collect();
            (!word.is_empty() && !chores.contains(&word.as_str())).then_some(word)
        });
        mentions.map(|word| self.finding(format!("dead command: `./x {word}`"))).collect()
    }
}

/// The targets of `[text](target)` in a line.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("](").filter_map(|(start, mark)| {
        let rest = &line[start + mark.len()..];
        rest.split_once(')').map(|(target, _)| target)
    })
}

/// What stands between single backticks in a line.
fn code_spans(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// Joins and resolves `..`; nothing when it leaves the repository.
fn join(folder: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    if !target.starts_with('/') {
        parts.extend(folder.split('/').filter(|part| !part.is_empty()));
    }
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Whether a path with `*` for one part, or a piece of one, names this file.
fn matches_pattern(pattern: &str, path: &str) -> bool {
    if !pattern.contains('*') {
        return false;
    }
    let pattern_parts: Vec<&str> = pattern.split('/').collect();
    let path_parts: Vec<&str> = path.split('/').collect();
    // A pattern may name a folder, so that the path goes on after it.
    pattern_parts.len() <= path_parts.len()
        && pattern_parts.iter().zip(&path_parts).all(|(pattern, part)| {
            match pattern.split_once('*') {
                None => pattern == part,
                Some((head, tail)) => {
                    let tail = tail.trim_matches('*');
                    part.len() >= head.len() + tail.len()
                        && part.starts_with(head)
                        && part.ends_with(tail)
                }
            }
        })
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::File;

    fn messages(path: &str, text: &str) -> Vec<String> {
        let files = [File { path: path.to_owned(), text: text.to_owned() }];
        let paths: Vec<String> =
            ["README.md", "docs/guide/start.md", "docs/adr/0001-a.md", "crates/core/src/lib.rs"]
                .iter()
                .map(|path| (*path).to_owned())
                .collect();
        let found = check(&files, &paths, &["test", "demo"]);
        found.into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn follows_links_from_the_document() {
        let good = "[a](start.md) [b](../adr/0001-a.md#x) [c](../../README.md) [d](../adr/)\n\
                    [e](https://example.org/x) [f](#here)";
        assert!(messages("docs/guide/start.md", good).is_empty());
        assert_eq!(messages("docs/guide/start.md", "[a](gone.md)"), ["dead link: `gone.md`"]);
        assert_eq!(messages("docs/guide/start.md", "[a](../../../x)").len(), 1);
        assert_eq!(messages("README.md", "[a](start.md)").len(), 1);
    }

    #[test]
    fn checks_code_spans_that_look_like_paths() {
        let good = "`crates/core/src/lib.rs:12` `crates/core/` `docs/adr/*.md`\n\
                    `crates/*/src/lib.rs` `README.md` `a/b` `docs/<name>`\n\
                    `/dev/null` `crates/{a,b}`";
        assert!(messages("README.md", good).is_empty());
        assert_eq!(messages("README.md", "`crates/gone/`"), ["dead path: `crates/gone/`"]);
        assert_eq!(messages("README.md", "see `CHANGES.md`"), ["dead path: `CHANGES.md`"]);
        assert_eq!(messages("README.md", "`crates/*/gone.rs`").len(), 1);
    }

    #[test]
    fn checks_chores_in_text_and_fences() {
        assert!(messages("README.md", "`./x test`, `./x`\n```\n$ ./x demo --keep\n```").is_empty());
        assert_eq!(messages("README.md", "run ./x tset"), ["dead command: `./x tset`"]);
        assert_eq!(messages("README.md", "```\n$ ./x fly\n```"), ["dead command: `./x fly`"]);
    }

    #[test]
    fn wants_every_decision_in_the_index() {
        let file = |path: &str, text: &str| File { path: path.to_owned(), text: text.to_owned() };
        let index = file("docs/adr/README.md", "| [0001](0001-a.md) | a |");
        let files = [index, file("docs/adr/0001-a.md", "a"), file("docs/adr/0002-b.md", "b")];
        let paths = files.iter().map(|file| file.path.clone()).collect::<Vec<_>>();
        let found = check(&files, &paths, &[]);
        let told: Vec<&str> = found.iter().map(|finding| finding.path.as_str()).collect();
        assert_eq!(told, ["docs/adr/0002-b.md"]);
    }

    #[test]
    fn reads_documents_only() {
        assert!(messages("crates/a/src/lib.rs", "// `crates/gone/`").is_empty());
        assert!(messages("cases/a.md", "[a](gone.md)").is_empty());
    }
}
