//! A report as a table for people and as JSON for programs. It computes nothing.

use super::frame::{Pace, Report, Rival};
use serde_json::{Value, json};
use std::fmt::Write;

/// The table: one line per measure, widths by content.
pub(super) fn table(suite: &str, machine: &Value, pace: Pace, report: &Report) -> String {
    let mut rows = vec![
        ["contender", "number", "median", "rival", "ratio", "95 %", "goal"].map(str::to_owned),
    ];
    for result in &report.results {
        let measure = &result.measure;
        let ratio = result.ratio;
        let verdict = if result.holds == Some(true) { "holds" } else { "MISSED" };
        let sign = if measure.higher_is_better { ">=" } else { "<=" };
        let unit = measure.unit;
        let of_ratio = measure.goal.map(|goal| format!("{sign} {goal:.2} {verdict}"));
        let of_value = measure.limit.map(|limit| {
            let (low, high) = (number(result.value.low), number(result.value.high));
            format!("{sign} {} {unit} {verdict} ({low}..{high})", number(limit))
        });
        let goal = of_ratio.or(of_value).unwrap_or_default();
        rows.push([
            measure.contender.clone(),
            measure.number.replace('_', " "),
            format!("{} {}", number(result.value.median), measure.unit),
            measure.rival.as_ref().map_or_else(String::new, |rival| named(rival, measure.number)),
            ratio.map_or_else(String::new, |ratio| format!("{:.3}", ratio.median)),
            ratio.map_or_else(String::new, |ratio| format!("{:.3}..{:.3}", ratio.low, ratio.high)),
            goal,
        ]);
    }
    let mut text = format!("suite {suite}, {} rounds, seed {}\n", pace.rounds, pace.seed);
    let _ = writeln!(text, "machine: {}", described(machine));
    let _ = writeln!(
        text,
        "noise floor: a contender against itself {:.3} ({:.3}..{:.3})\n",
        report.noise.median, report.noise.low, report.noise.high
    );
    for row in &rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
            let _ = write!(line, "{cell:<width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A rival, with its number where that is another one.
fn named(rival: &Rival, number: &str) -> String {
    match rival.number == number {
        true => rival.contender.clone(),
        false => format!("{} {}", rival.contender, rival.number.replace('_', " ")),
    }
}

/// The same for programs.
pub(super) fn document(suite: &str, machine: &Value, pace: Pace, report: &Report) -> Value {
    let measures: Vec<Value> = report
        .results
        .iter()
        .map(|result| {
            let measure = &result.measure;
            json!({
                "name": format!("{} {}", measure.contender, measure.number),
                "value": result.value.median,
                "value_interval": [result.value.low, result.value.high],
                "unit": measure.unit,
                "rival": measure.rival.as_ref().map(|rival| named(rival, measure.number)),
                "ratio": result.ratio.map(|ratio| ratio.median),
                "interval": result.ratio.map(|ratio| [ratio.low, ratio.high]),
                "goal": measure.goal,
                "limit": measure.limit,
                "higher_is_better": measure.higher_is_better,
                "holds": result.holds,
            })
        })
        .collect();
    json!({
        "suite": suite,
        "machine": machine,
        "rounds": pace.rounds,
        "seed": pace.seed,
        "noise": [report.noise.low, report.noise.median, report.noise.high],
        "measures": measures,
    })
}

/// What the numbers were measured on.
pub(super) fn machine() -> Value {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let processors = read("/proc/cpuinfo");
    let model = processors.lines().find_map(|line| {
        line.strip_prefix("model name")?.split_once(':').map(|(_, name)| name.trim().to_owned())
    });
    let memory_kib = read("/proc/meminfo").lines().find_map(|line| {
        line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse::<u64>().ok()
    });
    let load = read("/proc/loadavg");
    json!({
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "processor": model,
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "memory_mib": memory_kib.map(|kib| kib / 1024),
        "load_before": load.split(' ').next().and_then(|load| load.parse::<f64>().ok()),
    })
}

fn described(machine: &Value) -> String {
    let text = |key: &str| {
        let value = machine.get(key).unwrap_or(&Value::Null);
        value.as_str().map_or_else(|| value.to_string(), str::to_owned)
    };
    format!(
        "{}, {} cores, {} MiB, Linux {}, load before {}",
        text("processor"),
        text("cores"),
        text("memory_mib"),
        text("kernel"),
        text("load_before")
    )
}

/// Three digits, thousands apart.
fn number(value: f64) -> String {
    if value.abs() < 100.0 {
        return format!("{value:.2}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) && digit.is_ascii_digit() {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{document, number, table};
    use crate::bench::frame::{Measure, Pace, Report, Result, Rival};
    use crate::bench::statistics::Estimate;
    use serde_json::json;

    fn report() -> Report {
        let measure = Measure {
            contender: "compiled".to_owned(),
            number: "flows_per_second",
            unit: "1/s",
            higher_is_better: true,
            rival: Some(Rival { contender: "reference".to_owned(), number: "flows_per_second" }),
            goal: Some(2.0),
            limit: None,
        };
        let ratio = Estimate { median: 2.5, low: 1.9, high: 2.6 };
        let value = Estimate { median: 1_234_567.0, low: 1e6, high: 2e6 };
        let result = Result { measure, value, ratio: Some(ratio), holds: Some(false) };
        let noise = Estimate { median: 1.0, low: 0.98, high: 1.02 };
        Report { results: vec![result], noise }
    }

    const PACE: Pace = Pace { rounds: 11, seed: 4 };

    #[test]
    fn the_table_says_all_of_it() {
        let text = table("evaluate", &json!({ "cores": 2 }), PACE, &report());
        assert!(text.starts_with("suite evaluate, 11 rounds, seed 4\n"), "{text}");
        assert!(text.contains("noise floor: a contender against itself 1.000 (0.980..1.020)"));
        let line = text.lines().last().unwrap();
        assert_eq!(
            line,
            "compiled   flows per second  1,234,567 1/s  reference  2.500  1.900..2.600  \
             >= 2.00 MISSED"
        );
    }

    #[test]
    fn the_document_has_the_agreed_keys() {
        let value = document("evaluate", &json!({ "cores": 2 }), PACE, &report());
        assert_eq!(value["rounds"], 11);
        assert_eq!(
            value["measures"][0],
            json!({
                "name": "compiled flows_per_second", "value": 1_234_567.0, "unit": "1/s",
                "value_interval": [1e6, 2e6], "limit": null, "higher_is_better": true,
                "rival": "reference", "ratio": 2.5, "interval": [1.9, 2.6],
                "goal": 2.0, "holds": false,
            })
        );
    }

    #[test]
    fn numbers_are_readable() {
        assert_eq!(number(12.345), "12.35");
        assert_eq!(number(999.6), "1,000");
        assert_eq!(number(-1_234.0), "-1,234");
    }
}
