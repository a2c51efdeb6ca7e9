//! One comparison: rounds in which every contender runs once, in an order that the dice choose anew
//! for each round, so that what drifts over time falls on all alike. It does not know what a
//! contender does, only the numbers that it reports.

use super::statistics::{Dice, Estimate, estimate, holds, paired_ratios};
use crate::Outcome;
use std::collections::BTreeMap;

/// What one contender reports about one round: numbers by name.
pub(super) type Sample = BTreeMap<String, f64>;

/// One number that a suite tells about one contender, beside the same number of its rival.
#[derive(Debug, Clone)]
pub(super) struct Measure {
    pub(super) contender: String,
    pub(super) number: &'static str,
    pub(super) unit: &'static str,
    pub(super) higher_is_better: bool,
    pub(super) rival: Option<Rival>,
    /// What the ratio to the rival must reach at the unfavourable end of its interval.
    pub(super) goal: Option<f64>,
    /// What the value itself must reach at the unfavourable end of its interval.
    pub(super) limit: Option<f64>,
}

/// What a measure is held against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rival {
    pub(super) contender: String,
    /// Mostly the measure's own.
    pub(super) number: &'static str,
}

/// A suite, ready to run.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) contenders: Vec<String>,
    pub(super) measures: Vec<Measure>,
    /// Runs twice in each round: its ratio to itself is what the machine's noise looks like.
    pub(super) noise: String,
    pub(super) added: Vec<Added>,
}

/// A number that is another one less what the baseline has of it in the same round.
#[derive(Debug, Clone, Copy)]
pub(super) struct Added {
    pub(super) name: &'static str,
    pub(super) of: &'static str,
    pub(super) contender: &'static str,
    pub(super) baseline: &'static str,
}

/// How often and in which order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub(super) rounds: usize,
    pub(super) seed: u64,
}

/// A measure with its outcome.
#[derive(Debug, Clone)]
pub(super) struct Result {
    pub(super) measure: Measure,
    pub(super) value: Estimate,
    pub(super) ratio: Option<Estimate>,
    pub(super) holds: Option<bool>,
}

/// Everything a run found out.
#[derive(Debug, Clone)]
pub(super) struct Report {
    pub(super) results: Vec<Result>,
    /// The noise contender against itself, for the first number that is told of it.
    pub(super) noise: Estimate,
}

/// The second run of the noise contender goes under this name.
const AGAIN: &str = " (again)";

/// Runs one uncounted round, then the rounds, then does the arithmetic.
pub(super) fn compare(
    plan: &Plan,
    pace: Pace,
    mut run_once: impl FnMut(&str) -> Outcome<Sample>,
    mut progress: impl FnMut(usize),
) -> Outcome<Report> {
    let mut entries = plan.contenders.clone();
    entries.push(format!("{}{AGAIN}", plan.noise));
    let mut dice = Dice::new(pace.seed);
    let mut samples: BTreeMap<String, Vec<Sample>> = BTreeMap::new();
    for round in 0..=pace.rounds {
        dice.shuffle(&mut entries);
        for entry in &entries {
            let sample = run_once(entry.strip_suffix(AGAIN).unwrap_or(entry))?;
            // Round 0 warms caches and is not counted.
            if round > 0 {
                samples.entry(entry.clone()).or_default().push(sample);
            }
        }
        progress(round);
    }
    plan.added.iter().try_for_each(|added| subtract(added, &mut samples))?;
    let results: Outcome<Vec<Result>> =
        plan.measures.iter().map(|measure| judge(measure, &samples, pace.seed)).collect();
    Ok(Report { results: results?, noise: noise(plan, &samples, pace.seed)? })
}

fn judge(measure: &Measure, samples: &BTreeMap<String, Vec<Sample>>, seed: u64) -> Outcome<Result> {
    let ours = numbers(samples, &measure.contender, measure.number)?;
    let ratio = match &measure.rival {
        None => None,
        Some(rival) => {
            let rivals = numbers(samples, &rival.contender, rival.number)?;
            Some(estimate(&paired_ratios(&ours, &rivals), seed))
        }
    };
    let value = estimate(&ours, seed);
    let of_ratio = ratio.zip(measure.goal);
    let of_value = measure.limit.map(|limit| (value, limit));
    let asked = of_ratio.into_iter().chain(of_value);
    let holds = asked.map(|(found, goal)| holds_goal(found, goal, measure)).reduce(|a, b| a && b);
    Ok(Result { measure: measure.clone(), value, ratio, holds })
}

/// Gives a contender, round by round, what it adds to the baseline; the baseline's second run of a
/// round counts as its first.
fn subtract(added: &Added, samples: &mut BTreeMap<String, Vec<Sample>>) -> Outcome<()> {
    let first = numbers(samples, added.baseline, added.of)?;
    let again = numbers(samples, &format!("{}{AGAIN}", added.baseline), added.of);
    let base: Vec<f64> = match again {
        Ok(again) => first.iter().zip(again).map(|(a, b)| f64::midpoint(*a, b)).collect(),
        Err(_) => first,
    };
    let of = numbers(samples, added.contender, added.of)?;
    let rounds = samples.get_mut(added.contender).into_iter().flatten();
    for ((sample, of), base) in rounds.zip(of).zip(base) {
        sample.insert(added.name.to_owned(), of - base);
    }
    Ok(())
}

fn holds_goal(ratio: Estimate, goal: f64, measure: &Measure) -> bool {
    holds(ratio, goal, measure.higher_is_better)
}

fn noise(plan: &Plan, samples: &BTreeMap<String, Vec<Sample>>, seed: u64) -> Outcome<Estimate> {
    let told = plan.measures.iter().find(|measure| measure.contender == plan.noise);
    let number = told.ok_or("the noise contender has no measure")?.number;
    let first = numbers(samples, &plan.noise, number)?;
    let again = numbers(samples, &format!("{}{AGAIN}", plan.noise), number)?;
    Ok(estimate(&paired_ratios(&again, &first), seed))
}

fn numbers(
    samples: &BTreeMap<String, Vec<Sample>>,
    contender: &str,
    number: &str,
) -> Outcome<Vec<f64>> {
    let rounds = samples.get(contender).ok_or_else(|| format!("`{contender}` never ran"))?;
    rounds
        .iter()
        .map(|sample| {
            let value = sample.get(number).copied().filter(|value| value.is_finite());
            value.ok_or_else(|| format!("`{contender}` reports no `{number}`"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Added, Measure, Pace, Plan, Rival, compare};
    use crate::bench::statistics::Dice;
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    fn measure(contender: &str, rival: Option<&str>, goal: Option<f64>) -> Measure {
        Measure {
            contender: contender.to_owned(),
            number: "per_second",
            unit: "1/s",
            higher_is_better: true,
            rival: rival.map(|rival| Rival { contender: rival.to_owned(), number: "per_second" }),
            goal,
            limit: None,
        }
    }

    fn plan(goal: f64) -> Plan {
        Plan {
            contenders: vec!["ours".to_owned(), "theirs".to_owned()],
            measures: vec![
                measure("ours", Some("theirs"), Some(goal)),
                measure("theirs", None, None),
            ],
            noise: "theirs".to_owned(),
            added: Vec::new(),
        }
    }

    const PACE: Pace = Pace { rounds: 15, seed: 1 };

    #[test]
    fn every_round_runs_every_contender_in_changing_order() {
        let order = RefCell::new(Vec::new());
        let run_once = |name: &str| {
            order.borrow_mut().push(name.to_owned());
            Ok(BTreeMap::from([("per_second".to_owned(), 1.0)]))
        };
        compare(&plan(1.0), PACE, run_once, |_| {}).unwrap();
        let order = order.into_inner();
        assert_eq!(order.len(), 16 * 3);
        assert!(
            order.chunks(3).all(|round| round.iter().filter(|name| *name == "ours").count() == 1)
        );
        assert!(order.chunks(3).any(|round| round != &order[..3]));
    }

    #[test]
    fn a_true_factor_is_found_under_drift_and_noise() {
        let mut dice = Dice::new(9);
        let mut runs = 0.0;
        let run_once = |name: &str| {
            runs += 1.0;
            let jitter = 1.0 + (dice.next() as f64 / u64::MAX as f64 - 0.5) * 0.02;
            // The machine gets slower all the time; ours is three times as fast throughout.
            let speed = if name == "ours" { 3.0 } else { 1.0 } * 100.0 / (1.0 + runs / 50.0);
            Ok(BTreeMap::from([("per_second".to_owned(), speed * jitter)]))
        };
        let report = compare(&plan(2.8), PACE, run_once, |_| {}).unwrap();
        let ratio = report.results[0].ratio.unwrap();
        assert!(ratio.low <= 3.0 && 3.0 <= ratio.high, "{ratio:?}");
        assert_eq!(report.results[0].holds, Some(true));
        assert!(report.noise.low <= 1.0 && 1.0 <= report.noise.high, "{:?}", report.noise);
        assert_eq!(report.results[1].ratio, None);
    }

    #[test]
    fn a_goal_that_is_missed_does_not_hold() {
        let run_once = |_: &str| Ok(BTreeMap::from([("per_second".to_owned(), 5.0)]));
        let report = compare(&plan(1.01), PACE, run_once, |_| {}).unwrap();
        assert_eq!(report.results[0].holds, Some(false));
    }

    #[test]
    fn a_number_may_be_held_against_another_one() {
        let mut plan = plan(1.0);
        let rival = Rival { contender: "theirs".to_owned(), number: "p50_us" };
        plan.measures[0].rival = Some(rival);
        let run_once = |_: &str| {
            Ok(BTreeMap::from([("per_second".to_owned(), 8.0), ("p50_us".to_owned(), 2.0)]))
        };
        let report = compare(&plan, PACE, run_once, |_| {}).unwrap();
        assert_eq!(report.results[0].ratio.unwrap().median, 4.0);
    }

    #[test]
    fn what_a_contender_adds_is_counted_round_by_round() {
        let mut plan = plan(1.0);
        let added =
            |contender| Added { name: "added", of: "per_second", contender, baseline: "theirs" };
        plan.added = vec![added("ours")];
        plan.measures[0].number = "added";
        plan.measures[0].rival = None;
        plan.measures[0].limit = Some(6.0);
        plan.measures[0].higher_is_better = false;
        let mut round = 0.0;
        let run_once = |name: &str| {
            round += 1.0;
            let value = if name == "ours" { 5.0 + round } else { round };
            Ok(BTreeMap::from([("per_second".to_owned(), value)]))
        };
        let report = compare(&plan, PACE, run_once, |_| {}).unwrap();
        // The order within a round changes, so what grows with time may add one and a half.
        assert!((3.5..=6.5).contains(&report.results[0].value.median));
        assert_eq!(report.results[0].ratio, None);
        assert!(report.results[0].holds.is_some());
        plan.added = vec![added("nobody")];
        assert!(compare(&plan, PACE, |_| Ok(BTreeMap::new()), |_| {}).is_err());
    }

    #[test]
    fn a_missing_number_is_an_error_that_names_it() {
        let run_once = |_: &str| Ok(BTreeMap::new());
        let error = compare(&plan(1.0), PACE, run_once, |_| {}).unwrap_err();
        assert_eq!(error, "`ours` reports no `per_second`");
        let error = compare(&plan(1.0), PACE, |name| Err(format!("{name} died")), |_| {});
        assert!(error.unwrap_err().ends_with("died"));
    }
}
