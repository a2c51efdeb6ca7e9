//! The text exposition format of Prometheus, version 0.0.4: families with their series, one a line.
//!
//! It refuses to know where numbers come from.

use std::fmt::{Display, Write};

use super::table::{Family, Kind};

/// The media type of a page.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A page in the making.
#[derive(Default)]
pub(crate) struct Page {
    text: String,
}

impl Page {
    /// Adds a family, unless it has no series.
    pub(crate) fn add<'a, const LABELS: usize, Value: Display>(
        &mut self,
        family: &Family,
        series: impl IntoIterator<Item = ([&'a str; LABELS], Value)>,
    ) {
        let mut is_headed = false;
        for (values, value) in series {
            if !std::mem::replace(&mut is_headed, true) {
                self.head(family);
            }
            self.line(family.name, family.labels.iter().copied().zip(values), value);
        }
    }

    /// Adds a family without labels.
    pub(crate) fn add_one(&mut self, family: &Family, value: impl Display) {
        self.add(family, [([], value)]);
    }

    /// Adds a histogram: how many were at most as large as each bound, how many there were, and
    /// what they come to together.
    pub(crate) fn add_histogram(
        &mut self,
        family: &Family,
        buckets: &[(f64, u64)],
        count: u64,
        sum: f64,
    ) {
        debug_assert_eq!(family.kind, Kind::Histogram);
        self.head(family);
        let bucket = format!("{}_bucket", family.name);
        for (bound, at_most) in buckets {
            self.line(&bucket, [("le", bound.to_string().as_str())], at_most);
        }
        self.line(&bucket, [("le", "+Inf")], count);
        self.line(&format!("{}_sum", family.name), [], sum);
        self.line(&format!("{}_count", family.name), [], count);
    }

    /// The page.
    pub(crate) fn into_text(self) -> String {
        self.text
    }

    fn head(&mut self, family: &Family) {
        let help = family.help.replace('\\', r"\\").replace('\n', r"\n");
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "# HELP {} {help}", family.name);
        let _ = writeln!(self.text, "# TYPE {} {}", family.name, family.kind.name());
    }

    fn line<'a>(
        &mut self,
        name: &str,
        labels: impl IntoIterator<Item = (&'a str, &'a str)>,
        value: impl Display,
    ) {
        self.text.push_str(name);
        let mut opening = '{';
        for (label, text) in labels {
            self.text.push(opening);
            self.text.push_str(label);
            self.text.push_str("=\"");
            self.quote(text);
            self.text.push('"');
            opening = ',';
        }
        if opening == ',' {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }

    fn quote(&mut self, text: &str) {
        for character in text.chars() {
            match character {
                '\\' => self.text.push_str(r"\\"),
                '"' => self.text.push_str("\\\""),
                '\n' => self.text.push_str(r"\n"),
                other => self.text.push(other),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_in_the_text_format() {
        let family = |name, kind, labels| Family { name, kind, labels, help: "a \\ and\nmore" };
        let mut page = Page::default();
        page.add(&family("a_total", Kind::Counter, &["x", "y"]), [(["1\"", "\\\n"], 5_u64)]);
        page.add(&family("none", Kind::Gauge, &["x"]), [([""; 1], 0_u64); 0]);
        page.add_one(&family("one", Kind::Gauge, &[]), 0.25);
        let buckets = [(0.5, 2), (1.0, 2)];
        page.add_histogram(&family("took_seconds", Kind::Histogram, &[]), &buckets, 3, 9.5);
        let expected = [
            r"# HELP a_total a \\ and\nmore",
            "# TYPE a_total counter",
            r#"a_total{x="1\"",y="\\\n"} 5"#,
            r"# HELP one a \\ and\nmore",
            "# TYPE one gauge",
            "one 0.25",
            r"# HELP took_seconds a \\ and\nmore",
            "# TYPE took_seconds histogram",
            r#"took_seconds_bucket{le="0.5"} 2"#,
            r#"took_seconds_bucket{le="1"} 2"#,
            r#"took_seconds_bucket{le="+Inf"} 3"#,
            "took_seconds_sum 9.5",
            "took_seconds_count 3",
            "",
        ];
        assert_eq!(page.into_text(), expected.join("\n"));
    }
}
