//! The suite `datapath`: what enforcement costs a packet, beside everything else that could do it,
//! with the same rules in the same run. Contenders are put in place and measured by a program of
//! their own (`lab datapath`), which answers each line that it is given with one line of numbers.

use super::frame::{Added, Measure, Plan, Rival, Sample};
use super::{Choice, Part, Prepared, store};
use crate::{Outcome, run};
use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::rc::Rc;

/// Rules and members of the whole policy.
const RULES: usize = 1_000;
const MEMBERS: usize = 100_000;

const NONE: &str = "none";
const OURS: &str = "portcullis";
const FEW_RULES: &str = "portcullis, few rules";
const FEW_MEMBERS: &str = "portcullis, few members";
const OURS_V6: &str = "portcullis, IPv6";
const NONE_V6: &str = "none, IPv6";
const TRACKING: &str = "conntrack";

/// Whom packets are sent through.
const ALL: &[&str] = &[
    NONE,
    "empty tcx",
    OURS,
    FEW_RULES,
    FEW_MEMBERS,
    OURS_V6,
    NONE_V6,
    "eBPF list",
    TRACKING,
    "nft list",
    "nft maps",
    "iptables-nft",
    "iptables-legacy",
];

/// Those that enforce the whole policy, or some of what that costs.
const WHOLE: &[&str] = &[
    NONE,
    "empty tcx",
    OURS,
    "eBPF list",
    TRACKING,
    "nft list",
    "nft maps",
    "iptables-nft",
    "iptables-legacy",
];

/// Who is asked what needs no packets.
const HOST: &str = "agent";

/// One part: what is measured of whom, and what the ratios should be.
struct Topic {
    name: &'static str,
    contenders: &'static [&'static str],
    numbers: &'static [Number],
    goals: &'static [Goal],
    rounds_times: usize,
}

/// One number that is told of each contender.
struct Number {
    name: &'static str,
    unit: &'static str,
    /// As what the baseline's is taken off it, if it is.
    added: Option<&'static str>,
    /// What it must reach by itself.
    limit: Option<f64>,
    higher_is_better: bool,
}

/// A number that is better when it is lower.
const fn number(name: &'static str, unit: &'static str) -> Number {
    Number { name, unit, added: None, limit: None, higher_is_better: false }
}

/// A time of one packet, and what a contender adds to it.
const fn packet(name: &'static str, added: &'static str) -> Number {
    Number { added: Some(added), ..number(name, "ns") }
}

/// A number with a limit of its own.
const fn limited(name: &'static str, unit: &'static str, limit: f64) -> Number {
    Number { limit: Some(limit), ..number(name, unit) }
}

/// What a number of a contender must come to beside the rival's.
struct Goal {
    contender: &'static str,
    number: &'static str,
    rival: &'static str,
    goal: f64,
}

const fn goal(
    contender: &'static str,
    number: &'static str,
    rival: &'static str,
    goal: f64,
) -> Goal {
    Goal { contender, number, rival, goal }
}

const TOPICS: &[Topic] = &[
    Topic {
        name: "new-flow",
        contenders: ALL,
        numbers: &[packet("new_flow_ns", "new_flow_added_ns")],
        goals: &[
            goal(OURS, "new_flow_added_ns", "nft maps", 1.0 / 4.0),
            goal(OURS, "new_flow_added_ns", "nft list", 1.0 / 30.0),
            goal(OURS, "new_flow_added_ns", "iptables-nft", 1.0 / 20.0),
            goal(OURS, "new_flow_added_ns", "iptables-legacy", 1.0 / 20.0),
            goal(OURS, "new_flow_added_ns", FEW_RULES, 1.5),
            goal(OURS, "new_flow_added_ns", FEW_MEMBERS, 1.2),
            goal(OURS_V6, "new_flow_added_ns", OURS, 1.4),
        ],
        rounds_times: 4,
    },
    Topic {
        name: "established",
        contenders: WHOLE,
        numbers: &[packet("established_ns", "established_added_ns")],
        goals: &[goal(OURS, "established_added_ns", TRACKING, 1.0 / 2.0)],
        rounds_times: 4,
    },
    Topic {
        name: "denied",
        contenders: WHOLE,
        numbers: &[number("denied_ns", "ns")],
        goals: &[],
        rounds_times: 2,
    },
    Topic {
        name: "tcp",
        contenders: WHOLE,
        numbers: &[
            number("rr_p50_us", "us"),
            number("crr_p50_us", "us"),
            Number { higher_is_better: true, ..number("stream_mbit", "Mbit/s") },
        ],
        goals: &[
            goal(OURS, "rr_p50_us", NONE, 1.04),
            goal(OURS, "crr_p50_us", NONE, 1.08),
            goal(OURS, "stream_mbit", NONE, 0.97),
        ],
        rounds_times: 2,
    },
    Topic {
        name: "compile",
        contenders: &[HOST],
        numbers: &[limited("compile_ms", "ms", 5.0), number("policy_kib", "KiB")],
        goals: &[],
        rounds_times: 1,
    },
    Topic {
        name: "membership",
        contenders: &[HOST],
        numbers: &[limited("agent_work_us", "us", 50.0), number("pass_us", "us")],
        goals: &[],
        rounds_times: 2,
    },
    // Measured once, however many rounds: the kernel alone takes half a minute.
    Topic {
        name: "cold",
        contenders: &[HOST],
        numbers: &[
            number("cold_s", "s"),
            number("attach_alone_s", "s"),
            limited("cold_beside_attach_s", "s", 2.0),
            limited("maps_mb", "MB", 100.0),
            number("flow_table_mb", "MB"),
            number("flow_entries", ""),
        ],
        goals: &[],
        rounds_times: 1,
    },
];

/// Builds the programs, puts everybody in place, and lets them show that they agree.
pub(super) fn prepare(choice: &Choice) -> Outcome<Prepared> {
    let topics = chosen(choice)?;
    run::headline("building portcullis and lab");
    // Packets do not care how the programs were built that put the policy in place.
    let (profile, folder) = if choice.quick { ("dev", "debug") } else { ("release", "release") };
    let packages = ["-p", "portcullis", "-p", "portcullis-testkit"];
    run::must_succeed(run::cargo(&[&["build", "--profile", profile][..], &packages].concat()))?;
    let target = run::target_directory()?;
    let mut lab = Lab::start(&target.join(folder), &target.join("bench/datapath"))?;
    let (mut there, mut not_run) = (Vec::new(), Vec::new());
    there.extend(topics.iter().any(|topic| topic.contenders == [HOST]).then_some(HOST));
    for &name in ALL {
        if !topics.iter().any(|topic| topic.contenders.contains(&name)) {
            continue;
        }
        run::headline(&format!("putting `{name}` in place"));
        match lab.put(name)? {
            None => there.push(name),
            Some(reason) => not_run.push(format!("{name}: {reason}")),
        }
    }
    let lab = Rc::new(RefCell::new(lab));
    let parts: Outcome<Vec<Part>> = topics
        .into_iter()
        .map(|topic| {
            let (lab, name) = (Rc::clone(&lab), topic.name);
            let run_once = Box::new(move |contender: &str| {
                lab.borrow_mut().ask(&format!("measure {name} {contender}"))
            });
            let plan = plan(topic, &there)?;
            let rounds_times = if choice.quick { 1 } else { topic.rounds_times };
            Ok(Part { name: name.to_owned(), plan, run_once, rounds_times })
        })
        .collect();
    Ok(Prepared { parts: parts?, not_run })
}

fn chosen(choice: &Choice) -> Outcome<Vec<&'static Topic>> {
    let names: Vec<&str> = TOPICS.iter().map(|topic| topic.name).collect();
    if let Some(unknown) = choice.only.iter().find(|name| !names.contains(&name.as_str())) {
        return Err(format!("no part `{unknown}`; there are: {}", names.join(", ")));
    }
    let is_wanted = |topic: &&Topic| {
        choice.only.is_empty() || choice.only.iter().any(|name| name == topic.name)
    };
    Ok(TOPICS.iter().filter(is_wanted).collect())
}

fn plan(topic: &Topic, there: &[&'static str]) -> Outcome<Plan> {
    let contenders: Vec<&'static str> =
        topic.contenders.iter().copied().filter(|name| there.contains(name)).collect();
    let (mut measures, mut added) = (Vec::new(), Vec::new());
    for told in topic.numbers {
        let (number, added_name) = (told.name, told.added);
        for &contender in &contenders {
            measures.push(measure(contender, told, number, None, None));
            let baseline = if contender == OURS_V6 { NONE_V6 } else { NONE };
            let is_baseline = [NONE, NONE_V6].contains(&contender);
            let (Some(name), false) = (added_name, is_baseline) else { continue };
            if !contenders.contains(&baseline) {
                continue;
            }
            added.push(Added { name, of: number, contender, baseline });
            measures.push(measure(contender, told, name, None, None));
        }
        for &contender in &contenders {
            let compared = compared(topic, contender, added_name.unwrap_or(number));
            for (rival, goal) in compared.filter(|(rival, _)| contenders.contains(rival)) {
                let number = added_name.unwrap_or(number);
                measures.push(measure(contender, told, number, Some(rival), goal));
            }
        }
    }
    let noise = contenders.first().ok_or("nobody can run")?.to_string();
    let contenders = contenders.into_iter().map(str::to_owned).collect();
    Ok(Plan { contenders, measures, noise, added })
}

/// The rivals of a contender: those that there is a goal for, and for us everybody else.
fn compared<'t>(
    topic: &'t Topic,
    contender: &'static str,
    number: &'static str,
) -> impl Iterator<Item = (&'static str, Option<f64>)> + 't {
    let goals =
        topic.goals.iter().filter(move |goal| goal.contender == contender && goal.number == number);
    let with_goal: Vec<&'static str> = goals.clone().map(|goal| goal.rival).collect();
    let rest = topic.contenders.iter().copied().filter(move |rival| {
        let is_rival = ![NONE, NONE_V6, OURS, OURS_V6].contains(rival);
        contender == OURS && is_rival && !with_goal.contains(rival)
    });
    goals.map(|goal| (goal.rival, Some(goal.goal))).chain(rest.map(|rival| (rival, None)))
}

fn measure(
    contender: &str,
    told: &Number,
    number: &'static str,
    rival: Option<&str>,
    goal: Option<f64>,
) -> Measure {
    let rival = rival.map(|rival| Rival { contender: rival.to_owned(), number });
    let contender = contender.to_owned();
    let Number { unit, higher_is_better, .. } = *told;
    // The limit stands once, where nothing is compared.
    let limit = told.limit.filter(|_| rival.is_none() && number == told.name);
    Measure { contender, number, unit, higher_is_better, rival, goal, limit }
}

/// The running program that measures. It ends, and removes what it made, when its input does.
struct Lab {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Lab {
    fn start(programs: &Path, out: &Path) -> Outcome<Self> {
        let mut command = run::command(&programs.join("lab").to_string_lossy(), &["datapath"]);
        command.args(["--rules", &RULES.to_string(), "--members", &MEMBERS.to_string()]);
        command.arg("--out").arg(out).arg("--program").arg(programs.join("portcullis"));
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start lab: {error}"))?;
        let input = child.stdin.take();
        let output = child.stdout.take().ok_or("lab has no output")?;
        Ok(Self { child, input, output: BufReader::new(output) })
    }

    fn line(&mut self, question: &str) -> Outcome<String> {
        let ended = || format!("lab ended at `{question}`; see above");
        let input = self.input.as_mut().ok_or_else(ended)?;
        writeln!(input, "{question}").map_err(|_| ended())?;
        let mut answer = String::new();
        let count = self.output.read_line(&mut answer).map_err(|_| ended())?;
        if count == 0 { Err(ended()) } else { Ok(answer) }
    }

    /// Numbers by name.
    fn ask(&mut self, question: &str) -> Outcome<Sample> {
        let answer = self.line(question)?;
        match complaint(&answer, "failed") {
            Some(reason) => Err(format!("{question}: {reason}")),
            None => store::sample(&answer),
        }
    }

    /// Nothing, or why the machine cannot have this contender. One that judges otherwise than the
    /// reference ends the bench: there would be nothing to compare.
    fn put(&mut self, name: &str) -> Outcome<Option<String>> {
        let answer = self.line(&format!("put {name}"))?;
        match complaint(&answer, "failed") {
            Some(reason) => Err(format!("the comparison is void: {reason}")),
            None => Ok(complaint(&answer, "absent")),
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

/// What stands under a name in an answer.
fn complaint(answer: &str, name: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(answer).ok()?;
    Some(value.get(name)?.as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_goals_are_those_that_were_set() {
        let (mut told, mut limited) = (Vec::new(), Vec::new());
        for topic in TOPICS {
            let plan = plan(topic, &[ALL, &[HOST]].concat()).unwrap();
            let limits = plan
                .measures
                .iter()
                .filter_map(|one| Some(format!("{} <= {} {}", one.number, one.limit?, one.unit)));
            limited.extend(limits);
            told.extend(plan.measures.iter().filter_map(|one| {
                let rival = &one.rival.as_ref()?.contender;
                Some(format!("{} {} / {rival} {:.3}", one.contender, one.number, one.goal?))
            }));
        }
        assert_eq!(
            told,
            [
                "portcullis new_flow_added_ns / nft maps 0.250",
                "portcullis new_flow_added_ns / nft list 0.033",
                "portcullis new_flow_added_ns / iptables-nft 0.050",
                "portcullis new_flow_added_ns / iptables-legacy 0.050",
                "portcullis new_flow_added_ns / portcullis, few rules 1.500",
                "portcullis new_flow_added_ns / portcullis, few members 1.200",
                "portcullis, IPv6 new_flow_added_ns / portcullis 1.400",
                "portcullis established_added_ns / conntrack 0.500",
                "portcullis rr_p50_us / none 1.040",
                "portcullis crr_p50_us / none 1.080",
                "portcullis stream_mbit / none 0.970",
            ]
        );
        assert_eq!(
            limited,
            [
                "compile_ms <= 5 ms",
                "agent_work_us <= 50 us",
                "cold_beside_attach_s <= 2 s",
                "maps_mb <= 100 MB",
            ]
        );
    }

    #[test]
    fn who_is_absent_is_left_out() {
        let there = [NONE, OURS, "nft maps"];
        let plan = plan(&TOPICS[0], &there).unwrap();
        assert_eq!(plan.contenders, there);
        assert_eq!(plan.added.len(), 2);
        let compared = plan.measures.iter().filter(|one| one.rival.is_some());
        assert_eq!(compared.count(), 1);
        assert!(super::plan(&TOPICS[0], &[]).is_err());
    }

    #[test]
    fn a_baseline_is_of_the_same_family() {
        let plan = plan(&TOPICS[0], ALL).unwrap();
        let of = |name| plan.added.iter().find(|added| added.contender == name).unwrap().baseline;
        assert_eq!((of(OURS), of(OURS_V6), of("nft maps")), (NONE, NONE_V6, NONE));
        assert!(plan.added.iter().all(|added| ![NONE, NONE_V6].contains(&added.contender)));
    }

    #[test]
    fn parts_are_chosen_by_name() {
        let only = |names: &[&str]| Choice {
            only: names.iter().map(|name| (*name).to_owned()).collect(),
            quick: false,
        };
        assert_eq!(chosen(&only(&[])).unwrap().len(), TOPICS.len());
        assert_eq!(chosen(&only(&["denied"])).unwrap()[0].name, "denied");
        assert!(chosen(&only(&["speed"])).is_err());
    }

    #[test]
    fn complaints_are_told_from_numbers() {
        let absent = "{\"absent\": \"no nft\"}";
        assert_eq!(complaint(absent, "absent").as_deref(), Some("no nft"));
        assert_eq!(complaint(absent, "failed"), None);
        assert_eq!(complaint("{\"denied_ns\": 5}", "failed"), None);
    }
}
