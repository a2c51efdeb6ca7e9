//! Words that may not stay in the sources: they mark work that is not done.

use super::{File, Finding};

const EXTENSIONS: &[&str] = &[".rs", ".c", ".h", ".toml", ".py", ".sh"];

/// Spelled in two parts, so that this list does not find itself.
const FORBIDDEN: &[(&str, &str)] =
    &[("todo", "!("), ("unimplemented", "!("), ("FIX", "ME"), ("XX", "X")];

pub(super) fn check(file: &File) -> Vec<Finding> {
    let source = EXTENSIONS.iter().any(|extension| file.path.ends_with(extension));
    if !source && file.path != "x" && file.path != ".ci/run" {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        for (head, tail) in FORBIDDEN {
            let word = format!("{head}{tail}");
            if stands_alone(line, &word) {
                let message = format!("`{word}` marks unfinished work: finish it or leave it out");
                findings.push(Finding::new(&file.path, index + 1, message));
            }
        }
    }
    findings
}

/// Whether the word occurs without a letter or digit right before or after it (`mktemp` patterns
/// and identifiers are not meant).
fn stands_alone(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        let after = line[start + word.len()..].chars().next();
        let open = word.ends_with('(');
        !before.is_some_and(|character| character.is_alphanumeric() || character == '_')
            && (open || !after.is_some_and(|character| character.is_alphanumeric()))
    })
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::File;

    fn count(path: &str, text: &str) -> usize {
        check(&File { path: path.to_owned(), text: text.to_owned() }).len()
    }

    #[test]
    fn finds_marks_of_unfinished_work() {
        assert_eq!(count("crates/a/src/lib.rs", concat!("fn a() { to", "do!() }")), 1);
        assert_eq!(count("crates/a/src/lib.rs", concat!("// FIX", "ME later\n// XX", "X")), 2);
        assert_eq!(count("datapath/a.c", concat!("/* XX", "X */")), 1);
    }

    #[test]
    fn leaves_other_words_and_files_alone() {
        assert_eq!(count("x", concat!("mktemp -d /tmp/a.XX", "XXXX")), 0);
        assert_eq!(count("crates/a/src/lib.rs", "// what remains to do is listed in the guide"), 0);
        assert_eq!(count("docs/a.md", concat!("never leave FIX", "ME behind")), 0);
    }
}
