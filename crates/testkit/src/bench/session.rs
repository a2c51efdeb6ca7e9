//! One sitting of the bench: contenders put in place once and measured as often as asked, each part
//! in the order that the caller chooses. It computes no ratio.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use portcullis_core::net::{Family, protocol};
use portcullis_core::rule::Policy;

use super::contender::{self, Contender, Standing};
use super::host::{self, Membership};
use super::scenario::{Scenario, Size, Tuple};
use super::stage::{Frames, Stage, frames};
use super::talk;

/// First packets of one round: well below an interface's quota of flows.
const NEW_FLOWS: usize = 8_192;
/// Packets, of each verdict, about which every contender has to agree with the reference.
const AGREED: usize = 512;
/// Ends, and flows to each, of which each has been answered.
const ESTABLISHED_ENDS: usize = 64;
const FLOWS_PER_END: u16 = 64;
/// How often a round sends the packets of established flows.
const ESTABLISHED_PASSES: usize = 3;

/// Numbers by name.
pub type Sample = BTreeMap<&'static str, f64>;

/// How a sitting is made.
#[derive(Debug, Clone)]
pub struct Options {
    /// What everything is made from.
    pub seed: u64,
    /// Rules of the whole policy.
    pub rules: usize,
    /// Members of the whole policy.
    pub members: usize,
    /// Keeps what the contenders were made of.
    pub folder: PathBuf,
    /// Where senders run.
    pub processor: usize,
}

/// Contenders in place.
pub struct Session {
    options: Options,
    places: BTreeMap<&'static str, Place>,
    membership: Option<Membership>,
    cold: Option<Sample>,
}

/// Whom parts without packets are asked of.
const HOST: &str = "agent";

/// One contender with everything that is sent through it.
struct Place {
    standing: Standing,
    stage: Stage,
    new_flows: Frames,
    denied: Frames,
    established: (Vec<Tuple>, Frames),
    talks_to: Tuple,
}

impl Session {
    /// A sitting without contenders.
    pub fn new(options: Options) -> Self {
        Self { options, places: BTreeMap::new(), membership: None, cold: None }
    }

    /// Puts a contender in place and lets it show that it agrees with the reference.
    ///
    /// # Errors
    /// [`Refused::Absent`] when this machine cannot have it, [`Refused::Wrong`] when it judges
    /// otherwise.
    pub fn put(&mut self, name: &str) -> Result<Sample, Refused> {
        let contender = Contender::named(name).map_err(Refused::Wrong)?;
        let Options { seed, rules, members, folder, .. } = &self.options;
        let scenario = Scenario::new(*seed, contender.size(*rules, *members));
        let scenario = scenario.map_err(Refused::Wrong)?;
        let folder = folder.join(contender.name.replace(", ", "-").replace(' ', "-"));
        let (place, depth) = Place::make(&contender, &scenario, (&folder, self.options.processor))?;
        self.places.insert(contender.name, place);
        Ok(Sample::from([("mean_depth", depth)]))
    }

    /// Measures a part at a contender.
    ///
    /// # Errors
    /// When it is not in place, or something fails.
    pub fn measure(&mut self, name: &str, part: &str) -> Result<Sample, String> {
        if name == HOST {
            return self.measure_host(part);
        }
        let place = self.places.get_mut(name).ok_or_else(|| format!("`{name}` is not there"))?;
        let processor = self.options.processor;
        match part {
            "new-flow" => place.new_flow(processor),
            "established" => place.established(processor),
            "denied" => place.denied(processor),
            "tcp" => talk::talk(&place.stage, place.talks_to, processor),
            other => Err(format!("there is no part `{other}`")),
        }
    }
}

impl Session {
    /// Measures what needs no packets.
    fn measure_host(&mut self, part: &str) -> Result<Sample, String> {
        let Options { seed, rules, members, folder, .. } = &self.options;
        match part {
            "compile" => {
                let size = Size { rules: *rules, members: *members, family: Family::V4 };
                host::compile(&Scenario::new(*seed, size)?)
            }
            "membership" => {
                let membership = match self.membership.take() {
                    Some(membership) => membership,
                    None => Membership::new(*seed, *rules)?,
                };
                self.membership.insert(membership).change()
            }
            // Minutes, most of them the kernel's own: once is enough.
            "cold" => {
                if self.cold.is_none() {
                    let size = Size { rules: 1, members: 0, family: Family::V4 };
                    let object = contender::compile(&Scenario::new(*seed, size)?, folder)?;
                    self.cold = Some(host::cold(*seed, *rules, &object)?);
                }
                self.cold.clone().ok_or_else(|| "it was measured".to_owned())
            }
            other => Err(format!("there is no part `{other}` of a host")),
        }
    }
}

/// Why a contender is not in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// This machine lacks something.
    Absent(String),
    /// A comparison with it would be worth nothing.
    Wrong(String),
}

impl Place {
    fn make(
        contender: &Contender,
        scenario: &Scenario,
        (folder, processor): (&Path, usize),
    ) -> Result<(Self, f64), Refused> {
        let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
        std::fs::create_dir_all(folder).map_err(|error| Refused::Wrong(failed(error)))?;
        let mut stage = Stage::new(scenario).map_err(Refused::Absent)?;
        let standing = Standing::put(contender.kind, &stage, scenario, folder);
        let standing = standing.map_err(Refused::Absent)?;
        let prepared = (|| {
            let accepted = scenario.tuples(protocol::UDP, Policy::Accept, NEW_FLOWS)?;
            let dropped = scenario.tuples(protocol::UDP, Policy::Drop, NEW_FLOWS)?;
            let asked = if contender.judges() { dropped.get(..AGREED) } else { None };
            let agreed = accepted.get(..AGREED).unwrap_or_default();
            stage.must_agree(agreed, asked.unwrap_or_default())?;
            // An address of IPv6 that is routed to the host may not be bound to.
            let family = scenario.size.family;
            let established = if family == Family::V4 { established(&accepted) } else { vec![] };
            stage.prepare_replies(&established)?;
            stage.stop_reading()?;
            Ok((accepted, dropped, established))
        })();
        let name = contender.name;
        let (accepted, dropped, established) = prepared.map_err(|error: String| {
            Refused::Wrong(format!("`{name}` does not do what the rules say: {error}"))
        })?;
        let depth = scenario.mean_depth(&accepted).map_err(Refused::Wrong)?;
        let talks_to = talks_to(scenario).map_err(Refused::Wrong)?;
        talk::serve(&stage, talks_to.destination_port, processor).map_err(Refused::Wrong)?;
        let place = Self {
            standing,
            stage,
            new_flows: frames(&accepted),
            denied: frames(&dropped),
            established: (established.clone(), frames(&established)),
            talks_to,
        };
        Ok((place, depth))
    }

    fn new_flow(&mut self, processor: usize) -> Result<Sample, String> {
        self.standing.forget(&self.stage.host)?;
        let took = self.stage.send(&self.new_flows, processor)?;
        Ok(Sample::from([("new_flow_ns", took)]))
    }

    fn denied(&mut self, processor: usize) -> Result<Sample, String> {
        self.standing.forget(&self.stage.host)?;
        let took = self.stage.send(&self.denied, processor)?;
        Ok(Sample::from([("denied_ns", took)]))
    }

    fn established(&mut self, processor: usize) -> Result<Sample, String> {
        let (tuples, frames) = &self.established;
        self.standing.forget(&self.stage.host)?;
        self.stage.send(frames, processor)?;
        self.stage.reply(tuples)?;
        // The first packets behind the answers may change what is kept of a flow.
        self.stage.send(frames, processor)?;
        let mut sum = 0.0;
        for _ in 0..ESTABLISHED_PASSES {
            sum += self.stage.send(frames, processor)?;
        }
        Ok(Sample::from([("established_ns", sum / ESTABLISHED_PASSES as f64)]))
    }
}

/// Whom the client of TCP talks to: of some that are accepted, the one that a list finds last.
fn talks_to(scenario: &Scenario) -> Result<Tuple, String> {
    let accepted = scenario.tuples(protocol::TCP, Policy::Accept, ESTABLISHED_ENDS)?;
    let mut deepest = (0.0, None);
    for tuple in accepted {
        let depth = scenario.mean_depth(&[tuple])?;
        if depth > deepest.0 {
            deepest = (depth, Some(tuple));
        }
    }
    deepest.1.ok_or_else(|| "nobody may be talked to".to_owned())
}

/// Some ends, and flows to each that differ in the instance's port alone.
fn established(accepted: &[Tuple]) -> Vec<Tuple> {
    let ends = accepted.iter().take(ESTABLISHED_ENDS);
    let flows = |end: &Tuple| {
        let end = *end;
        (0..FLOWS_PER_END).map(move |number| Tuple { source_port: 30_000 + number, ..end })
    };
    ends.flat_map(flows).collect()
}
