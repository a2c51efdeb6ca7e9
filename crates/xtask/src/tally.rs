//! Counting tests by what cargo prints. Pure: lines in, numbers out.

/// Tests counted so far.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl Tally {
    /// Reads one line; anything but the closing line of a test program is passed over.
    pub(crate) fn see(&mut self, line: &str) {
        let Some(rest) = line.trim().strip_prefix("test result: ") else {
            return;
        };
        let Some((_, counts)) = rest.split_once(". ") else {
            return;
        };
        for part in counts.split(';') {
            match part.trim().split_once(' ') {
                Some((count, "passed")) => self.passed += count.parse().unwrap_or(0),
                Some((count, "failed")) => self.failed += count.parse().unwrap_or(0),
                _ => {}
            }
        }
    }

    /// Counts one check that is not a test of cargo's.
    pub(crate) fn check(&mut self, well: bool) {
        if well {
            self.passed += 1;
        } else {
            self.failed += 1;
        }
    }

    /// The closing line.
    pub(crate) fn summary(&self) -> String {
        format!("{} passed, {} failed", self.passed, self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;

    fn tally(lines: &[&str]) -> Tally {
        let mut tally = Tally::default();
        lines.iter().for_each(|line| tally.see(line));
        tally
    }

    #[test]
    fn sums_the_closing_lines_of_all_test_programs() {
        let seen = tally(&[
            "running 3 tests",
            "test rule::accepts ... ok",
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; \
             finished in 0.01s",
            "test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; \
             finished in 1.20s",
        ]);
        assert_eq!(seen, Tally { passed: 16, failed: 2 });
        assert_eq!(seen.summary(), "16 passed, 2 failed");
    }

    #[test]
    fn passes_over_everything_else() {
        let seen =
            tally(&["test result: ", "test result: ok", "5 passed; 1 failed", "", "error: x"]);
        assert_eq!(seen, Tally::default());
    }
}
