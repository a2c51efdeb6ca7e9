//! How the demo looks: acts, calls, a table of flows, counters. It shows and decides nothing.

use super::stage::{Change, Row};
use std::io::{IsTerminal, Write};
use std::time::Duration;

/// A line of the table of counters.
#[derive(Debug, Clone)]
pub(super) struct CounterRow {
    /// The instance.
    pub(super) instance: String,
    /// What was counted.
    pub(super) what: String,
    /// The rule's id, where it is a rule.
    pub(super) rule: String,
    /// Packets.
    pub(super) packets: u64,
}

/// The terminal, or whatever stands for it.
pub(super) struct Screen {
    colours: bool,
    acts: usize,
}

#[derive(Clone, Copy)]
enum Paint {
    Bold,
    Dim,
    Good,
    Bad,
    Call,
}

const FLOW_WIDTH: usize = 30;
const WORD_WIDTH: usize = 8;
const REASON_WIDTH: usize = 23;
const RULE_WIDTH: usize = 26;
const TIME_WIDTH: usize = 8;

impl Screen {
    /// Standard output; colours only on a terminal, and never where `NO_COLOR` is set.
    pub(super) fn new() -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { colours: std::io::stdout().is_terminal() && !plain, acts: 0 }
    }

    pub(super) fn title(&mut self, subtitle: &str) -> Result<(), String> {
        let name = self.paint(Paint::Bold, "Portcullis");
        self.line(&format!("\n{name}: security groups for your own machines\n{subtitle}"))?;
        self.line("Every rule is one signed HTTP call.")
    }

    pub(super) fn head(&mut self, note: &str) -> Result<(), String> {
        self.line(&format!("{note}\n"))?;
        let head = columns(["flow", "expected", "packet", "reason", "rule", "ms"]);
        self.line(&self.paint(Paint::Dim, &format!("  {head}")))
    }

    pub(super) fn not_enforced(&mut self, lacks: &[(String, String)]) -> Result<(), String> {
        self.line(&format!("\n{}", self.paint(Paint::Bold, "not enforced here")))?;
        self.line("This machine cannot enforce. It lacks:")?;
        for (what, help) in lacks {
            self.line(&format!("  • {what}"))?;
            if !help.is_empty() {
                self.line(&self.paint(Paint::Dim, &format!("      {help}")))?;
            }
        }
        Ok(())
    }

    pub(super) fn act(&mut self, title: &str) -> Result<(), String> {
        self.acts += 1;
        self.line(&format!("\n{}", self.paint(Paint::Bold, &format!("{}. {title}", self.acts))))
    }

    pub(super) fn change(&mut self, change: &Change) -> Result<(), String> {
        let path = format!("POST /apsara/route/Ecs/{}", change.action);
        self.line(&format!("  {}", self.paint(Paint::Call, &path)))?;
        let parameters: Vec<String> =
            change.parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
        for line in wrapped(&parameters, 92) {
            self.line(&self.paint(Paint::Dim, &format!("      {line}")))?;
        }
        let mut answer = format!("{} after {} ms", change.status, milliseconds(change.answered));
        if let Some(rule) = &change.rule {
            answer += &format!(", rule {rule}");
        }
        self.line(&self.paint(Paint::Dim, &format!("      ↳ {answer}")))
    }

    pub(super) fn row(&mut self, row: &Row) -> Result<(), String> {
        let (paint, mark) =
            if row.trouble.is_none() { (Paint::Good, "✓") } else { (Paint::Bad, "✗") };
        let mut said = row.said.iter();
        let (reason, rule) = said.next().cloned().unwrap_or_default();
        let time = row.effect.map(milliseconds).unwrap_or_default();
        let cells = columns([&row.flow, row.expected, row.happened, &reason, &rule, &time]);
        self.line(&format!("{} {cells}", self.paint(paint, mark)))?;
        for (reason, rule) in said {
            self.line(&format!("  {}", columns(["", "", "", reason, rule, ""])))?;
        }
        match &row.trouble {
            Some(trouble) => self.line(&self.paint(Paint::Bad, &format!("    {trouble}"))),
            None => Ok(()),
        }
    }

    pub(super) fn counters(&mut self, rows: &[CounterRow]) -> Result<(), String> {
        self.line(&format!("\n{}", self.paint(Paint::Bold, "What the kernel counted")))?;
        let head = format!(
            "  {:<8}{:<67}{:<RULE_WIDTH$}{:>TIME_WIDTH$}",
            "at", "what decided", "rule", "packets"
        );
        self.line(&self.paint(Paint::Dim, &head))?;
        for CounterRow { instance, what, rule, packets } in rows {
            let line =
                format!("  {instance:<8}{what:<67}{rule:<RULE_WIDTH$}{packets:>TIME_WIDTH$}");
            self.line(&line)?;
        }
        Ok(())
    }

    pub(super) fn conclusion(&mut self, words: Result<&str, &str>) -> Result<(), String> {
        let painted = match words {
            Ok(good) => self.paint(Paint::Good, good),
            Err(bad) => self.paint(Paint::Bad, bad),
        };
        self.line(&format!("\n{painted}"))
    }

    pub(super) fn talk(&mut self, lines: &[String]) -> Result<(), String> {
        lines.iter().try_for_each(|line| self.line(line))
    }

    fn paint(&self, paint: Paint, text: &str) -> String {
        if !self.colours {
            return text.to_owned();
        }
        let code = match paint {
            Paint::Bold => "1",
            Paint::Dim => "2",
            Paint::Good => "32",
            Paint::Bad => "1;31",
            Paint::Call => "36",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    #[allow(clippy::unused_self, reason = "the screen is the only one that writes")]
    fn line(&self, line: &str) -> Result<(), String> {
        let mut output = std::io::stdout().lock();
        let written = writeln!(output, "{line}").and_then(|()| output.flush());
        written.map_err(|error| format!("standard output: {error}"))
    }
}

fn columns(cells: [&str; 6]) -> String {
    let [flow, expected, happened, reason, rule, time] = cells;
    let line = format!(
        "{flow:<FLOW_WIDTH$} {expected:<WORD_WIDTH$} {happened:<WORD_WIDTH$} \
         {reason:<REASON_WIDTH$} {rule:<RULE_WIDTH$} {time:>TIME_WIDTH$}"
    );
    line.trim_end().to_owned()
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.1}", duration.as_secs_f64() * 1000.0)
}

/// Words in lines of at most so many columns, where they fit at all.
fn wrapped(words: &[String], columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.clone()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_their_columns() {
        let words = ["aaaa", "bb", "ccc", "dddddddd"].map(str::to_owned);
        assert_eq!(wrapped(&words, 8), ["aaaa bb", "ccc", "dddddddd"]);
        let row = columns(["web → db", "pass", "passed", "web egress: rule", "sgr-1", "1.5"]);
        assert_eq!(row.chars().position(|c| c == 'p'), Some(FLOW_WIDTH + 1));
        assert_eq!(milliseconds(Duration::from_micros(1549)), "1.5");
    }
}
