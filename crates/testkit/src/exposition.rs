//! Reads the text exposition format of Prometheus and is strict about it, as the servers that
//! scrape are not all: what is doubtful is an error.
//!
//! What the numbers mean is not known here.

use std::collections::{BTreeMap, BTreeSet};

/// A page, taken apart.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Exposition {
    /// The families by name.
    pub families: BTreeMap<String, Family>,
}

/// One family.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Family {
    /// `counter`, `gauge` or `histogram`.
    pub kind: String,
    /// What it says.
    pub help: String,
    /// Its samples: name, labels in the order given, value.
    pub samples: Vec<Sample>,
}

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The family's name, with a suffix in a histogram.
    pub name: String,
    /// Labels with their values.
    pub labels: Vec<(String, String)>,
    /// The number.
    pub value: f64,
}

impl Exposition {
    /// Reads a page.
    ///
    /// # Errors
    /// Names the line that breaks a rule of the format, or of good names.
    pub fn read(text: &str) -> Result<Self, String> {
        if !text.ends_with('\n') {
            return Err("the last line has no end".to_owned());
        }
        let mut page = Self::default();
        let mut current: Option<(String, Family)> = None;
        for line in text.lines() {
            let told = |error: &str| format!("{error}: `{line}`");
            if let Some(rest) = line.strip_prefix("# HELP ") {
                page.close(current.take())?;
                let (name, help) = rest.split_once(' ').ok_or_else(|| told("no help"))?;
                if !is_name(name) || page.families.contains_key(name) {
                    return Err(told("a bad name, or a family twice"));
                }
                current =
                    Some((name.to_owned(), Family { help: help.into(), ..Family::default() }));
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, family) = current.as_mut().ok_or_else(|| told("no help before"))?;
                let (of, kind) = rest.split_once(' ').ok_or_else(|| told("no type"))?;
                let is_known = ["counter", "gauge", "histogram"].contains(&kind);
                if of != name || !is_known || !family.kind.is_empty() {
                    return Err(told("an unknown type, or of another family"));
                }
                family.kind = kind.to_owned();
            } else {
                let (name, family) = current.as_mut().ok_or_else(|| told("no family"))?;
                let sample = sample(line).map_err(|error| told(&error))?;
                let is_of_histogram = family.kind == "histogram"
                    && ["_bucket", "_sum", "_count"]
                        .iter()
                        .any(|suffix| sample.name.strip_suffix(suffix) == Some(name.as_str()));
                if family.kind.is_empty()
                    || (sample.name == *name) == (family.kind == "histogram")
                    || (family.kind == "histogram") != is_of_histogram
                {
                    return Err(told("a sample of another family"));
                }
                family.samples.push(sample);
            }
        }
        page.close(current)?;
        Ok(page)
    }

    /// The value of the one series of a family with these labels among its own.
    ///
    /// # Errors
    /// When there is none, or more.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Result<f64, String> {
        let family = self.families.get(name).ok_or_else(|| format!("no {name}"))?;
        let has = |sample: &&Sample| {
            labels.iter().all(|(label, value)| {
                sample.labels.iter().any(|(of, is)| of == label && is == value)
            })
        };
        let found: Vec<&Sample> = family.samples.iter().filter(has).collect();
        match found.as_slice() {
            [one] => Ok(one.value),
            others => Err(format!("{name} {labels:?}: {others:?}, of {:#?}", family.samples)),
        }
    }

    fn close(&mut self, family: Option<(String, Family)>) -> Result<(), String> {
        let Some((name, family)) = family else { return Ok(()) };
        if family.samples.is_empty() {
            return Err(format!("{name} has no samples"));
        }
        let mut seen = BTreeSet::new();
        for sample in &family.samples {
            let mut labels = sample.labels.clone();
            labels.sort();
            if !seen.insert((sample.name.clone(), labels)) {
                return Err(format!("a series twice: {sample:?}"));
            }
            if family.kind != "gauge" && sample.value < 0.0 {
                return Err(format!("a count that is none: {sample:?}"));
            }
        }
        if (family.kind == "counter") != name.ends_with("_total") {
            return Err(format!("{name}: counters and no others end with _total"));
        }
        if family.kind == "histogram" {
            check_histogram(&name, &family)?;
        }
        self.families.insert(name, family);
        Ok(())
    }
}

/// Of a histogram without labels of its own.
fn check_histogram(name: &str, family: &Family) -> Result<(), String> {
    let of = |suffix: &str| {
        let whole = format!("{name}{suffix}");
        family.samples.iter().filter(move |sample| sample.name == whole)
    };
    let (mut bound, mut count) = (f64::NEG_INFINITY, 0.0);
    for bucket in of("_bucket") {
        let [(label, text)] = bucket.labels.as_slice() else {
            return Err(format!("{name}: a bucket has one label"));
        };
        let next = number(text)?;
        if label != "le" || next <= bound || bucket.value < count {
            return Err(format!("{name}: buckets grow: {bucket:?}"));
        }
        (bound, count) = (next, bucket.value);
    }
    let one = |suffix: &str| of(suffix).map(|sample| sample.value).collect::<Vec<_>>();
    if bound != f64::INFINITY || one("_count") != [count] || one("_sum").len() != 1 {
        return Err(format!("{name}: no +Inf, or another count"));
    }
    Ok(())
}

fn is_name(text: &str) -> bool {
    let is_start = |c: char| c.is_ascii_alphabetic() || c == '_';
    text.starts_with(is_start) && text.chars().all(|c| is_start(c) || c.is_ascii_digit())
}

fn number(text: &str) -> Result<f64, String> {
    match text {
        "+Inf" => Ok(f64::INFINITY),
        // What else Rust takes for a number is not all one here.
        _ if text.starts_with(|c: char| c.is_ascii_digit() || c == '-') => {
            text.parse().map_err(|_| "no number".to_owned())
        }
        _ => Err("no number".to_owned()),
    }
}

fn sample(line: &str) -> Result<Sample, String> {
    let end = line.find(['{', ' ']).ok_or("no value")?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, behind) = rest.split_once("=\"").ok_or("no label")?;
            let (value, behind) = quoted(behind)?;
            if !is_name(label) {
                return Err("a bad label".to_owned());
            }
            labels.push((label.to_owned(), value));
            match behind.strip_prefix(',') {
                Some(more) => rest = more,
                None => {
                    rest = behind.strip_prefix('}').ok_or("no end of the labels")?;
                    break;
                }
            }
        }
    }
    let value = number(rest.strip_prefix(' ').ok_or("no value")?)?;
    if !is_name(name) {
        return Err("a bad name".to_owned());
    }
    Ok(Sample { name: name.to_owned(), labels, value })
}

/// A value up to its closing quote, and what comes behind.
fn quoted(text: &str) -> Result<(String, &str), String> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Ok((value, text.get(at + 1..).unwrap_or_default())),
            '\\' => match characters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, escaped @ ('\\' | '"'))) => value.push(escaped),
                _ => return Err("an escape that is none".to_owned()),
            },
            other => value.push(other),
        }
    }
    Err("no closing quote".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# HELP a_total An \\n a\n# TYPE a_total counter\n\
        a_total{x=\"\\\"1\\\\\"} 5\na_total{x=\"2\"} 0\n# HELP t T\n# TYPE t histogram\n\
        t_bucket{le=\"0.5\"} 1\nt_bucket{le=\"+Inf\"} 2\nt_sum 7.5\nt_count 2\n";

    #[test]
    fn a_good_page_is_read() {
        let page = Exposition::read(PAGE).unwrap();
        assert_eq!(page.value("a_total", &[("x", "\"1\\")]), Ok(5.0));
        assert_eq!(page.families["t"].samples.len(), 4);
        assert!(page.value("a_total", &[]).is_err() && page.value("b", &[]).is_err());
    }

    #[test]
    fn whatever_is_wrong_with_a_page_is_found() {
        for (right, wrong) in [
            ("t_count 2\n", "t_count 2"),
            ("t_count 2", "t_count 3"),
            ("t_count 2\n", ""),
            ("le=\"0.5\"} 1", "le=\"0.5\"} 3"),
            ("le=\"+Inf\"", "le=\"0.4\""),
            ("# TYPE a_total counter\n", ""),
            ("# HELP t T\n", ""),
            ("a_total{x=\"2\"} 0", "a_total{x=\"\\\"1\\\\\"} 0"),
            ("a_total{x=\"2\"} 0", "a_total{x=\"2\"} -1"),
            ("a_total{x=\"2\"} 0", "a_total{x=\"2\"} NaN"),
            ("a_total{x=\"2\"} 0", "a_total{x=\"2} 0"),
            ("a_total{x=\"2\"} 0", "a_total{x=\"2\",} 0"),
            ("a_total{x=\"2\"} 0", "a_total{x=\"\\2\"} 0"),
            ("a_total{x=\"2\"} 0", "b_total{x=\"2\"} 0"),
            ("counter", "gauge"),
            ("# HELP t T", "# HELP a_total T"),
        ] {
            assert!(PAGE.contains(right));
            let page = PAGE.replacen(right, wrong, 1);
            assert!(Exposition::read(&page).is_err(), "{page}");
        }
    }
}
