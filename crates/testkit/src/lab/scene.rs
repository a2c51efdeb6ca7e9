//! A running product that enforces: a host in namespaces, instances bound, scripts played.
//!
//! What a script names is looked up in the API's [`Estate`] and in the devices of the [`Topology`];
//! what its lines mean is in [`super::language`].

use super::estate::{Call, Demand, Estate, SUBNET};
use super::language::{FlowKind, FlowLine, Judgement, Step, read};
use super::probe::{Attempt, Kind};
use super::product::{Product, remove_leftovers};
use super::topology::{Instance, Topology};
use super::witness::{Counter, Counts};
use crate::client::Way;
use crate::netns::Namespace;
use crate::wait::until;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a flow may take to arrive or to be dropped.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// The first instance's number in its subnet.
const FIRST_NUMBER: u8 = 10;

/// All of it. Fields are dropped in this order: the product ends before its devices.
#[derive(Debug)]
pub struct Scene {
    /// The program.
    pub product: Product,
    /// What exists in its API.
    pub estate: Estate,
    /// The devices.
    pub topology: Topology,
    /// Nothing runs beside the flows of a script, so no rule may decide but those it names.
    pub quiet: bool,
    instances: BTreeMap<String, Instance>,
}

/// What came of a flow.
#[derive(Debug, Clone)]
pub struct Passage {
    /// Whether it arrived.
    pub arrived: bool,
    /// What was counted meanwhile.
    pub counts: Counts,
    /// From the first packet until it arrived, or until a drop was counted.
    pub took: Duration,
}

impl Scene {
    /// Starts the product in a fresh host, with a VPC and a vSwitch and nothing else.
    ///
    /// # Errors
    /// When the machine or the product does not play along.
    pub fn new(program: &Path, way: Way) -> Result<Self, String> {
        // Flows that ran before are not picked up, so that the first packet is always the first.
        Self::with_flags(program, way, &["--pick-up-seconds", "0"])
    }

    /// The same with other flags for the program.
    ///
    /// # Errors
    /// When the machine or the product does not play along.
    pub fn with_flags(program: &Path, way: Way, flags: &[&str]) -> Result<Self, String> {
        crate::netns::remove_leftovers()?;
        remove_leftovers(program)?;
        let topology = Topology::new(SUBNET)?;
        let product = Product::start(program, Some(topology.host.clone()), flags)?;
        let estate = Estate::new(product.client(way)?)?;
        Ok(Self { product, estate, topology, quiet: true, instances: BTreeMap::new() })
    }

    /// Does what the lines say, and checks every flow.
    ///
    /// # Errors
    /// Names the first line that does not come true.
    pub fn play(&mut self, script: &str) -> Result<(), String> {
        for line in script.lines() {
            let told = |error: String| format!("{}\n{error}", line.trim());
            let Some(step) = read(line).map_err(told)? else { continue };
            let done = match &step {
                Step::Flow(flow) => self.check(flow),
                change => self.change(change).map(|_| ()),
            };
            done.map_err(|error| told(format!("{error}\n{}", self.product.log())))?;
        }
        Ok(())
    }

    /// Makes a change that a script names; the call, where there is one that is waited for.
    ///
    /// # Errors
    /// When it is refused, not in force in time, or no change at all.
    pub fn change(&mut self, step: &Step) -> Result<Option<Call>, String> {
        match step {
            Step::Group { name, enterprise } => {
                self.estate.create_group(name, *enterprise)?;
                return Ok(None);
            }
            Step::Instance { name, groups } => {
                self.create_instance(name, groups)?;
                self.bind(name)?;
                return Ok(None);
            }
            Step::Authorize(rule) => self.estate.authorize(rule),
            Step::Revoke(name) => self.estate.revoke(name),
            Step::Join(name, group) => self.estate.change_groups(name, |groups| {
                groups.insert(group.clone());
            }),
            Step::Leave(name, group) => self.estate.change_groups(name, |groups| {
                groups.remove(group);
            }),
            Step::Inner { group, accept } => self.estate.set_inner_access(group, *accept),
            Step::Flow(_) => Err("a flow changes nothing".to_owned()),
        }
        .map(Some)
    }

    /// The instance of this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn instance(&self, name: &str) -> Result<&Instance, String> {
        self.instances.get(name).ok_or_else(|| format!("no instance `{name}`"))
    }

    /// Makes an instance and its network interface, not yet bound to its device.
    ///
    /// # Errors
    /// When the API or the machine refuses it.
    pub fn create_instance(&mut self, name: &str, groups: &[String]) -> Result<(), String> {
        let taken = u8::try_from(self.instances.len()).map_err(|error| error.to_string())?;
        let number = FIRST_NUMBER + taken;
        let instance = self.topology.instance(name, SUBNET, number)?;
        self.estate.create_interface(name, number, instance.mac, groups)?;
        self.instances.insert(name.to_owned(), instance);
        Ok(())
    }

    /// Runs an instance by the API and makes the machine that it stands for; its id there. Its
    /// primary interface is not yet bound.
    ///
    /// # Errors
    /// When the API or the machine refuses it.
    pub fn run_instance(&mut self, name: &str, groups: &[String]) -> Result<String, String> {
        let taken = u8::try_from(self.instances.len()).map_err(|error| error.to_string())?;
        let number = FIRST_NUMBER + taken;
        let id = self.estate.run_instance(name, number, groups)?;
        let mac = self.estate.interface(name)?.mac;
        let instance = self.topology.instance_with(name, SUBNET, number, mac)?;
        self.instances.insert(name.to_owned(), instance);
        Ok(id)
    }

    /// Binds an instance's interface to its device; in force when this returns.
    ///
    /// # Errors
    /// When the product does not bind it.
    pub fn bind(&mut self, name: &str) -> Result<(), String> {
        let device = self.instance(name)?.host_device.clone();
        self.product.run(&["bind", &self.estate.interface(name)?.id, &device])?;
        self.estate.demand = Demand::Enforced;
        Ok(())
    }

    /// Where a place is, and its address there.
    ///
    /// # Errors
    /// When there is no such place.
    pub fn place(&self, name: &str) -> Result<(&Namespace, IpAddr), String> {
        let address = self.estate.address(name)?;
        let namespace = match name {
            "outside" | "outside6" | "other" => &self.topology.outside,
            "far" | "far6" => &self.topology.far,
            _ => &self.instance(name.trim_end_matches('6'))?.namespace,
        };
        Ok((namespace, address))
    }

    /// Where a flow comes from, and its address there in the family of where it goes to.
    ///
    /// # Errors
    /// When there is no such place.
    pub fn source(&self, flow: &FlowLine) -> Result<(&Namespace, IpAddr), String> {
        let name = flow.from.trim_end_matches('6');
        let is_ipv4 = self.estate.address(&flow.to)?.is_ipv4();
        self.place(&if is_ipv4 { name.to_owned() } else { format!("{name}6") })
    }

    /// Sends a flow and waits for what becomes of it: it arrives, or `dropped` says that the
    /// counts show it was dropped.
    ///
    /// # Errors
    /// When neither happens in time.
    pub fn send(
        &self,
        flow: &FlowLine,
        dropped: impl Fn(&Counts) -> bool,
    ) -> Result<Passage, String> {
        let (from, source) = self.source(flow)?;
        let (to, destination) = self.place(&flow.to)?;
        let attempt = Attempt {
            kind: match flow.kind {
                FlowKind::Tcp => Kind::Tcp,
                FlowKind::Udp => Kind::Udp,
                FlowKind::Ping => Kind::Ping,
            },
            source: SocketAddr::new(source, flow.source_port),
            destination: SocketAddr::new(destination, flow.port),
        };
        let before = Counts::read(&self.product)?;
        let begun = Instant::now();
        let mut flight = attempt.launch(from, to)?;
        let mut counts = Counts::default();
        let ended = until("the flow to arrive or to be dropped", PATIENCE, || {
            if flight.arrived()? {
                return Ok(Some(true));
            }
            counts = Counts::read(&self.product)?.since(&before);
            Ok(dropped(&counts).then_some(false))
        });
        let took = begun.elapsed();
        let arrived = ended.map_err(|error| format!("{error}; counted: {counts}"))?;
        counts = Counts::read(&self.product)?.since(&before);
        if arrived {
            flight.end()?;
        }
        Ok(Passage { arrived, counts, took })
    }

    /// The counters that a judgement moves.
    ///
    /// # Errors
    /// When it names what is not there.
    pub fn counters(&self, judgement: &Judgement, accepted: bool) -> Result<Vec<Counter>, String> {
        let interface = self.estate.interface(&judgement.instance)?.id.clone();
        let mut counters = Vec::new();
        if let Some(rule) = &judgement.rule {
            let rule = self.estate.rule(rule)?.id.clone();
            counters.push(Counter::Hit { rule });
        }
        let (direction, reason) = (judgement.direction.clone(), judgement.reason.clone());
        counters.push(Counter::Judged { interface, direction, reason, accepted });
        Ok(counters)
    }

    /// Sends a flow, and insists on what the line expects of it. Where several judgements are
    /// named, only the last one can be the drop.
    fn check(&self, flow: &FlowLine) -> Result<(), String> {
        let mut expected = Vec::new();
        for (index, judgement) in flow.judgements.iter().enumerate() {
            let accepted = flow.passes || index + 1 < flow.judgements.len();
            expected.extend(self.counters(judgement, accepted)?);
        }
        if expected.is_empty() {
            return Err("nothing is said of it".to_owned());
        }
        let all = |counts: &Counts| expected.iter().all(|counter| counts.of(counter) > 0);
        // Where nothing else runs, a drop that nobody expects need not be waited for in vain.
        let surprising = |counts: &Counts| {
            self.quiet && counts.iter().any(|(counter, _)| counter.is_verdict_to_drop())
        };
        let passage = self.send(flow, |counts| match flow.passes {
            true => surprising(counts),
            false => all(counts),
        })?;
        if passage.arrived != flow.passes {
            return Err(format!("it arrived: {}; counted: {}", passage.arrived, passage.counts));
        }
        if !all(&passage.counts) {
            return Err(format!("expected {expected:?}; counted: {}", passage.counts));
        }
        let mut hits = passage.counts.iter().filter(|(c, _)| matches!(c, Counter::Hit { .. }));
        match hits.find(|(counter, _)| !expected.contains(counter)) {
            Some((other, _)) if self.quiet => Err(format!("another rule decided: {other:?}")),
            _ => Ok(()),
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // Enforcement outlives the program by design, so it is taken off before the devices go.
        let _ = self.product.kill();
        if let Err(error) = self.product.detach_all() {
            eprintln!("{error}");
        }
    }
}
