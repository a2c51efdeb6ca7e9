//! The stage where the kernel enforces: real packets, and what the product counted of them.

use super::screen::CounterRow;
use super::stage::{self, Change, Row, Seen, Stage};
use crate::client::Way;
use crate::lab::estate::Estate;
use crate::lab::language::{FlowLine, Judgement, RuleLine};
use crate::lab::probe::{Attempt, Kind};
use crate::lab::product::Product;
use crate::lab::pulse::{Stream, until_arriving, until_lost};
use crate::lab::scene::{PATIENCE, Scene};
use crate::lab::watch::frames;
use crate::lab::witness::{Counter, Counts};
use crate::wait::until;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

/// Between two packets of the traffic that shows when a call takes effect.
const PACE: Duration = Duration::from_micros(250);
/// So many packets before a call, and after its answer.
const AROUND: u64 = 20;
/// A halted stream tries again so often before it is believed to have halted.
const RETRIES: u64 = 2;

pub(super) struct Enforced {
    scene: Scene,
    stream: Option<Stream>,
}

impl Enforced {
    pub(super) fn new(program: &Path) -> Result<Self, String> {
        Ok(Self { scene: Scene::new(program, Way::Route)?, stream: None })
    }

    /// What each rule decided, in the order in which they were made, and then what was dropped for
    /// other reasons.
    pub(super) fn counters(&self) -> Result<Vec<CounterRow>, String> {
        let counts = Counts::read(&self.scene.product)?;
        let mut rows = Vec::new();
        for rule in self.scene.estate.rules() {
            let RuleLine { group, egress, policy, protocol, ports, peer, priority, .. } =
                &rule.line;
            let (direction, link) = if *egress { ("egress", "to") } else { ("ingress", "from") };
            let ports = if ports == "-1/-1" { String::new() } else { format!(" {ports}") };
            rows.push(CounterRow {
                instance: group.clone(),
                what: format!(
                    "{direction} {policy} {protocol}{ports} {link} {peer}, priority {priority}"
                ),
                rule: rule.id.clone(),
                packets: counts.of(&Counter::Hit { rule: rule.id.clone() }),
            });
        }
        for (counter, packets) in counts.iter() {
            let Counter::Judged { interface, direction, reason, accepted: false } = counter else {
                continue;
            };
            if reason == "rule" {
                continue;
            }
            let interfaces = self.scene.estate.interfaces();
            let at = interfaces.iter().find(|(_, own)| own.id == *interface);
            rows.push(CounterRow {
                instance: at.map_or(interface, |(name, _)| name).clone(),
                what: format!("{direction} dropped: {reason}"),
                rule: String::new(),
                packets,
            });
        }
        Ok(rows)
    }

    /// What the counts say of a flow, at its sender and at its receiver.
    fn seen(&self, line: &FlowLine, arrived: bool, counts: &Counts) -> Seen {
        let mut judgements = Vec::new();
        for (name, way) in [(&line.from, "egress"), (&line.to, "ingress")] {
            let name = name.trim_end_matches('6');
            let Ok(own) = self.scene.estate.interface(name) else { continue };
            // Packets after the first, and what no network works without, are not the verdict.
            let verdict = counts.iter().find_map(|(counter, _)| match counter {
                Counter::Judged { interface, direction, reason, .. }
                    if *interface == own.id
                        && direction == way
                        && !["tracked", "baseline"].contains(&reason.as_str()) =>
                {
                    Some(reason.clone())
                }
                _ => None,
            });
            let Some(reason) = verdict else { continue };
            let rule = counts.iter().find_map(|(counter, _)| match counter {
                Counter::Hit { rule } if reason == "rule" => {
                    let name = self.scene.estate.rule_name(rule)?;
                    let line = &self.scene.estate.rule(name).ok()?.line;
                    (line.egress == (way == "egress")).then(|| rule.clone())
                }
                _ => None,
            });
            let (instance, direction) = (name.to_owned(), way.to_owned());
            judgements.push(Judgement { instance, direction, reason, rule });
        }
        Seen { passes: arrived, judgements }
    }

    fn stream(&self) -> Result<&Stream, String> {
        self.stream.as_ref().ok_or_else(|| "no stream is open".to_owned())
    }

    /// The count of one reason at the sender of a flow.
    fn count(&self, judgement: &Judgement, accepted: bool) -> Result<u64, String> {
        let counts = Counts::read(&self.scene.product)?;
        let counters = self.scene.counters(judgement, accepted)?;
        Ok(counters.iter().map(|counter| counts.of(counter)).sum())
    }
}

impl Stage for Enforced {
    fn estate(&self) -> &Estate {
        &self.scene.estate
    }

    fn product(&self) -> &Product {
        &self.scene.product
    }

    fn change(&mut self, line: &str, watch: Option<&str>) -> Result<Option<Change>, String> {
        let step = stage::step(line)?;
        let described = stage::describe(&self.scene.estate, &step)?;
        let watched = match watch {
            Some(line) => {
                let line = stage::flow_line(line)?;
                let pulse = frames(&self.scene, &line, PACE)?;
                pulse.await_sent(AROUND, PATIENCE)?;
                Some((pulse, line.passes))
            }
            None => None,
        };
        let begun = Instant::now();
        let call = self.scene.change(&step)?;
        let begun = call.as_ref().map_or(begun, |call| call.begun);
        let effect = match watched {
            Some((pulse, true)) => {
                pulse.await_received(1, PATIENCE)?;
                until_arriving(&pulse.stop()?, begun)
            }
            Some((pulse, false)) => {
                pulse.await_sent(AROUND, PATIENCE)?;
                until_lost(&pulse.stop()?, begun)
            }
            None => None,
        };
        Ok(stage::change_made(&self.scene.estate, &step, described, call, effect))
    }

    fn flow(&mut self, line: &str) -> Result<Row, String> {
        let line = stage::flow_line(line)?;
        let passage = self
            .scene
            .send(&line, |counts| counts.iter().any(|(counter, _)| counter.is_verdict_to_drop()))?;
        let seen = self.seen(&line, passage.arrived, &passage.counts);
        stage::row(&self.scene.estate, &line, &seen)
    }

    fn open_stream(&mut self, line: &str) -> Result<Row, String> {
        let parsed = stage::flow_line(line)?;
        let row = self.flow(line)?;
        let (from, source) = self.scene.source(&parsed)?;
        let (to, destination) = self.scene.place(&parsed.to)?;
        let attempt = Attempt {
            kind: Kind::Tcp,
            source: SocketAddr::new(source, 0),
            destination: SocketAddr::new(destination, parsed.port),
        };
        let mut flight = attempt.launch(from, to)?;
        until("the stream to open", PATIENCE, || Ok(flight.arrived()?.then_some(())))?;
        let (near, far) = flight.into_streams()?;
        let stream = Stream::start(near, far)?;
        stream.await_received(1, PATIENCE)?;
        self.stream = Some(stream);
        Ok(Row { flow: format!("{}, stream", row.flow), ..row })
    }

    fn stream_stops(&mut self, line: &str) -> Result<Row, String> {
        let line = stage::flow_line(line)?;
        let judgement = line.judgements.first().ok_or("nothing is said of it")?;
        // Tries that are counted as dropped show that it wants to go on and cannot.
        let goal = self.count(judgement, false)? + RETRIES;
        let before = self.stream()?.received()?;
        until("the stream's packets to be dropped", PATIENCE, || {
            Ok((self.count(judgement, false)? >= goal).then_some(()))
        })?;
        let passes = self.stream()?.received()? > before;
        let seen = Seen { passes, judgements: line.judgements.clone() };
        let row = stage::row(&self.scene.estate, &line, &seen)?;
        let happened = if passes { "goes on" } else { "halted" };
        Ok(Row { flow: format!("{}, stream", row.flow), expected: "halt", happened, ..row })
    }

    fn stream_goes_on(&mut self, line: &str) -> Result<Row, String> {
        let line = stage::flow_line(line)?;
        // Its next try comes after a pause that grew while it was halted.
        let arrived = self.stream()?.await_received(1, PATIENCE * 2).is_ok();
        let seen = Seen { passes: arrived, judgements: line.judgements.clone() };
        let row = stage::row(&self.scene.estate, &line, &seen)?;
        let happened = if arrived { "went on" } else { "halted" };
        Ok(Row { flow: format!("{}, stream", row.flow), expected: "go on", happened, ..row })
    }
}
