//! A page for readers and a plot, made of the JSON of a run: what was measured and which goals were
//! met. It computes nothing but lengths of bars.

use serde_json::Value;
use std::fmt::Write;

/// Pixels of the plot: of a bar's height, of the names left of the bars, of the longest bar.
const BAR: usize = 18;
const NAMES: usize = 250;
const LONGEST: f64 = 480.0;
/// Ours, everybody else, and what stands for the interval.
const OURS_COLOUR: &str = "#2b6cb0";
const OTHER_COLOUR: &str = "#a0aec0";

/// The page: goals first, then every number.
pub(super) fn page(document: &Value, plot: &str) -> String {
    let word = |key: &str| told(&document[key]);
    let machine = &document["machine"];
    let mut text = format!("# What `./x bench {}` found\n\n", word("suite"));
    let _ = writeln!(
        text,
        "Written by the bench; repeat it with `./x bench {} --json FILE`. Machine: {}, {} cores, \
         {} MiB, Linux {}, load before {}. {} rounds for each part at least, seed {}; ratios are \
         of the same round, with the 95 % interval of their median. A goal holds when the \
         unfavourable end of the interval does.\n",
        word("suite"),
        told(&machine["processor"]),
        told(&machine["cores"]),
        told(&machine["memory_mib"]),
        told(&machine["kernel"]),
        told(&machine["load_before"]),
        word("rounds"),
        word("seed"),
    );
    let _ = writeln!(text, "![the numbers as bars]({plot})\n");
    let measures = document["measures"].as_array().map(Vec::as_slice).unwrap_or_default();
    text.push_str("## Goals\n\n| measure | beside | found | goal | |\n|---|---|---|---|---|\n");
    for one in measures.iter().filter(|one| !one["holds"].is_null()) {
        let sign = if one["higher_is_better"] == true { "≥" } else { "≤" };
        let verdict = if one["holds"] == true { "holds" } else { "**MISSED**" };
        let (found, goal) = match one["goal"].as_f64() {
            Some(goal) => (with_interval(&one["ratio"], &one["interval"]), short(goal)),
            None => {
                let limit = one["limit"].as_f64().map_or_else(String::new, short);
                (with_interval(&one["value"], &one["value_interval"]), unit(&limit, one))
            }
        };
        let (name, rival) = (told(&one["name"]), told(&one["rival"]));
        let _ = writeln!(text, "| {name} | {rival} | {found} | {sign} {goal} | {verdict} |");
    }
    text.push_str("\n## All numbers\n\n| measure | median | 95 % |\n|---|---|---|\n");
    for one in measures.iter().filter(|one| one["rival"].is_null()) {
        let median = unit(&one["value"].as_f64().map_or_else(String::new, short), one);
        let interval = bounds(&one["value_interval"]);
        let _ = writeln!(text, "| {} | {median} | {interval} |", told(&one["name"]));
    }
    text.push_str(
        "\n## Ours beside others\n\n| measure | beside | ratio | 95 % |\n|---|---|---|---|\n",
    );
    for one in measures.iter().filter(|one| !one["rival"].is_null()) {
        let (name, rival, interval) =
            (told(&one["name"]), told(&one["rival"]), bounds(&one["interval"]));
        let ratio = one["ratio"].as_f64().map_or_else(String::new, short);
        let _ = writeln!(text, "| {name} | {rival} | {ratio} | {interval} |");
    }
    let absent = document["not_run"].as_array().map(Vec::as_slice).unwrap_or_default();
    for one in absent {
        let _ = writeln!(text, "\nNot run: {}", told(one));
    }
    text
}

/// The plot: a group of bars for each number, one for each contender.
pub(super) fn plot(document: &Value) -> String {
    let mut groups: Vec<(String, Vec<(String, f64)>)> = Vec::new();
    for one in document["measures"].as_array().into_iter().flatten() {
        let name = told(&one["name"]);
        let (Some((contender, number)), Some(value), true) =
            (name.rsplit_once(' '), one["value"].as_f64(), one["rival"].is_null())
        else {
            continue;
        };
        let title = format!("{}, {}", number.replace('_', " "), told(&one["unit"]));
        let bar = (contender.to_owned(), value);
        match groups.iter_mut().find(|(known, _)| *known == title) {
            Some((_, bars)) => bars.push(bar),
            None => groups.push((title, vec![bar])),
        }
    }
    let lines: usize = groups.iter().map(|(_, bars)| bars.len() + 2).sum();
    let (width, height) = (NAMES + LONGEST as usize + 100, (lines + 1) * BAR);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    let mut at = BAR;
    for (title, bars) in &groups {
        let most = bars.iter().map(|(_, value)| *value).fold(f64::MIN_POSITIVE, f64::max);
        let _ = writeln!(text, "<text x=\"8\" y=\"{at}\" font-weight=\"bold\">{title}</text>");
        for (contender, value) in bars {
            at += BAR;
            let length = (value.max(0.0) / most * LONGEST).max(1.0);
            let is_ours = contender.starts_with("portcullis") || contender == "agent";
            let colour = if is_ours { OURS_COLOUR } else { OTHER_COLOUR };
            let (top, end) = (at - BAR + 5, NAMES as f64 + length + 6.0);
            let right = NAMES - 8;
            let _ = writeln!(
                text,
                "<text x=\"{right}\" y=\"{at}\" text-anchor=\"end\">{contender}</text>\
                 <rect x=\"{NAMES}\" y=\"{top}\" width=\"{length:.1}\" height=\"{}\" \
                 fill=\"{colour}\"/><text x=\"{end:.1}\" y=\"{at}\">{}</text>",
                BAR - 5,
                short(*value)
            );
        }
        at += 2 * BAR;
    }
    text.push_str("</svg>\n");
    text
}

fn told(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn unit(number: &str, one: &Value) -> String {
    format!("{number} {}", told(&one["unit"])).trim().to_owned()
}

fn bounds(interval: &Value) -> String {
    match (interval[0].as_f64(), interval[1].as_f64()) {
        (Some(low), Some(high)) => format!("{}..{}", short(low), short(high)),
        _ => String::new(),
    }
}

fn with_interval(value: &Value, interval: &Value) -> String {
    let value = value.as_f64().map_or_else(String::new, short);
    format!("{value} ({})", bounds(interval))
}

/// Three digits that mean something.
fn short(value: f64) -> String {
    let places = match value.abs() {
        0.0..0.1 => 4,
        0.1..10.0 => 3,
        10.0..100.0 => 1,
        _ => 0,
    };
    let text = format!("{value:.places$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::{page, plot, short};
    use serde_json::{Value, json};

    fn document() -> Value {
        let measure = |name: &str, value: f64, rival: Option<&str>, holds: Option<bool>| {
            json!({
                "name": name, "value": value, "value_interval": [value, value + 1.0], "unit": "ns",
                "rival": rival, "ratio": rival.map(|_| 0.25), "interval": rival.map(|_| [0.2, 0.3]),
                "goal": rival.map(|_| 0.26), "limit": holds.filter(|_| rival.is_none()).map(|_| 50),
                "higher_is_better": false, "holds": holds,
            })
        };
        json!({
            "suite": "datapath", "rounds": 11, "seed": 1, "machine": { "cores": 2 },
            "measures": [
                measure("portcullis new_flow_ns", 500.0, None, None),
                measure("nft list new_flow_ns", 2000.0, None, None),
                measure("portcullis new_flow_ns", 500.0, Some("nft list"), Some(false)),
                measure("agent work_us", 40.0, None, Some(true)),
            ],
            "not_run": ["iptables-nft: no such file"],
        })
    }

    #[test]
    fn the_page_says_what_was_missed_and_what_did_not_run() {
        let text = page(&document(), "datapath.svg");
        let missed =
            "| portcullis new_flow_ns | nft list | 0.25 (0.2..0.3) | ≤ 0.26 | **MISSED** |";
        assert!(text.contains(missed), "{text}");
        let held = "| agent work_us |  | 40 (40..41) | ≤ 50 ns | holds |";
        assert!(text.contains(held), "{text}");
        assert!(text.contains("Not run: iptables-nft: no such file"));
        assert!(text.contains("| nft list new_flow_ns | 2000 ns | 2000..2001 |"), "{text}");
    }

    #[test]
    fn the_plot_has_a_bar_for_each_number_and_ours_stands_out() {
        let text = plot(&document());
        assert_eq!(text.matches("fill=\"#").count(), 3);
        assert_eq!(text.matches(super::OURS_COLOUR).count(), 2);
        assert!(text.contains("width=\"480.0\"") && text.contains("width=\"120.0\""), "{text}");
        assert!(text.ends_with("</svg>\n"));
    }

    #[test]
    fn numbers_are_short() {
        let told = [0.033_33, 1.5, 12.34, 21_206.4, 100.0, 0.0].map(short);
        assert_eq!(told, ["0.0333", "1.5", "12.3", "21206", "100", "0"]);
    }
}
