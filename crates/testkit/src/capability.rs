//! Suites that need something of the machine: root, namespaces, a kernel that takes our program.
//! Here a suite asks whether it can run and the answer is told; what the need is, the suite knows.
//!
//! ```no_run
//! # fn a_namespace_can_be_made() -> Result<(), String> { Ok(()) }
//! fn accepts_by_cidr() {
//!     if !portcullis_testkit::capability::need("live", a_namespace_can_be_made) {
//!         return;
//!     }
//!     // …the test
//! }
//! ```

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

/// When this variable is set and not empty, a suite that cannot run fails.
pub const REQUIRE_ALL: &str = "PORTCULLIS_REQUIRE_ALL";

/// Names the file to which each suite that cannot run appends one line, `suite: reason`.
pub const NOT_RUN: &str = "PORTCULLIS_NOT_RUN";

/// Whether the machine can run this suite. If not, says so on the terminal and in the file that
/// [`NOT_RUN`] names, and the test should return at once.
///
/// # Panics
/// When the suite cannot run and [`REQUIRE_ALL`] is set: then it is a failure.
pub fn need(suite: &str, check: impl Fn() -> Result<(), String>) -> bool {
    let Err(reason) = check() else { return true };
    let required = std::env::var_os(REQUIRE_ALL).is_some_and(|value| !value.is_empty());
    let file = std::env::var_os(NOT_RUN);
    let told = tell(suite, &reason, file.as_deref().map(Path::new), required);
    #[allow(clippy::panic, reason = "a required suite that cannot run is a failed test")]
    if let Err(message) = told {
        panic!("{message}");
    }
    false
}

/// The decision without the environment: an error when the suite was required, or when the line
/// that says it was left out cannot be kept.
fn tell(suite: &str, reason: &str, file: Option<&Path>, required: bool) -> Result<(), String> {
    // One line, whatever the reason looks like: the file is read by lines.
    let line = format!("{suite}: {reason}").split_whitespace().collect::<Vec<_>>().join(" ");
    if required {
        return Err(format!("cannot run {line}"));
    }
    eprintln!("not run: {line}");
    let Some(path) = file else { return Ok(()) };
    let opened = OpenOptions::new().create(true).append(true).open(path);
    // One write, so that tests which report at the same time do not mix their lines.
    opened
        .and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()))
        .map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::{need, tell};

    #[test]
    fn a_suite_that_can_run_is_told_so() {
        assert!(need("sample", || Ok(())));
    }

    #[test]
    fn a_suite_left_out_leaves_one_line() {
        let path = std::env::temp_dir().join(format!("not-run-{}", std::process::id()));
        tell("live", "not root", Some(&path), false).unwrap();
        tell("kernel", "no eBPF:\n  denied", Some(&path), false).unwrap();
        let kept = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(kept, "live: not root\nkernel: no eBPF: denied\n");
    }

    #[test]
    fn a_required_suite_that_cannot_run_fails() {
        let refused = tell("live", "not root", None, true).unwrap_err();
        assert_eq!(refused, "cannot run live: not root");
    }

    #[test]
    fn a_report_that_cannot_be_kept_is_an_error() {
        let nowhere = std::path::Path::new("/nowhere/at/all");
        assert!(tell("live", "not root", Some(nowhere), false).is_err());
    }
}
