//! The judges side by side: the reference, the compiled tables and the kernel program, each asked
//! about every packet of a sequence.
//!
//! The program's clock is led by the sequence: before each packet it is set to the sequence's time.
//! Where the machine pauses so long that the program may have seen another time, the rest of the
//! sequence is left out.
use std::collections::BTreeMap;
use std::fmt;
use std::io;

use portcullis_agent::sys::{Datapath, Sizes};
use portcullis_compile::abi;
use portcullis_compile::image::Image;
use portcullis_compile::interface::{InterfaceBlob, InterfaceSettings, compile};
use portcullis_compile::members::{MemberKey, Members, set_words};
use portcullis_compile::numbers::Numbers;
use portcullis_core::evaluate::Evaluator;
use portcullis_core::net::Family;
use portcullis_core::reference::{Arrival, FlowKey, Reference, Said, Site};
use portcullis_core::resolve::interface_policy;
use portcullis_core::rule::{Direction, Policy};
use portcullis_core::verdict::{DecidingRule, Judge, Reason, Verdict};

use super::coverage::Coverage;
use super::sequence::{PICK_UP_S, STEP_MS, Sequence, Step};
use super::subject::Subject;

const SLOT: u32 = 0;
const SECOND_NS: u64 = 1_000_000_000;
/// The program's clock may run on for so long while it judges: well below the distance of every
/// idle time from a multiple of the step.
const PAUSE_NS_MAX: u64 = 40_000_000;
/// Words for two interface blobs in turn, ahead of all tables.
const BLOB_WORDS: u32 = 1 << 12;
const POOL_WORDS: u32 = 1 << 21;

/// The kernel program with maps of its own, and the time that is next.
#[derive(Debug)]
pub struct Kernel {
    datapath: Datapath,
    generation: u32,
    /// Every sequence has its own: what an earlier one left is nobody's.
    handle: u64,
    clock_offset_ns: u64,
    now_ns: u64,
    members: BTreeMap<MemberKey, u32>,
}

/// A subject in words: what each state of its world is in the kernel.
struct Placed {
    numbers: Numbers,
    states: Vec<State>,
}

struct State {
    blob: InterfaceBlob,
    egress: u32,
    ingress: u32,
    members: BTreeMap<MemberKey, u32>,
}

/// What a judge other than the reference said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Accept or drop.
    pub policy: Policy,
    /// Why.
    pub reason: Reason,
    /// The rule that counts it.
    pub rule: Option<DecidingRule>,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.policy {
            Policy::Accept => "accept",
            Policy::Drop => "drop",
        };
        write!(f, "{word} {}", self.reason.name())?;
        match &self.rule {
            Some(rule) => write!(f, " by {}", rule.rule),
            None => Ok(()),
        }
    }
}

/// Where judges disagree.
#[derive(Debug, Clone)]
pub struct Difference {
    /// The step.
    pub step: usize,
    /// What the other judge said.
    pub found: Answer,
    /// Which judge that is.
    pub judge: &'static str,
    /// What the reference said of it and of the packets before.
    pub answers: BTreeMap<usize, Answer>,
}

/// Why a sequence ended.
pub enum Played {
    /// All its packets were judged alike: so, by step.
    Alike(BTreeMap<usize, Answer>),
    /// The machine paused.
    Paused,
    /// At a packet they were not.
    Differently(Box<Difference>),
}

impl Kernel {
    /// Loads the program.
    pub fn new() -> io::Result<Self> {
        let sizes = Sizes {
            pool_words: POOL_WORDS,
            slots: 1,
            members: 4096,
            flows: 256,
            fragments: 1 << 13,
            counters: 1024,
            event_bytes: 4096,
        };
        let datapath = Datapath::private(&sizes)?;
        datapath.lead_tests_to(SLOT)?;
        datapath.set_events_per_second(0)?;
        // Whole seconds from here on are the sequences' own.
        let now_ns = datapath.now_ns().next_multiple_of(SECOND_NS) + SECOND_NS;
        Ok(Self {
            datapath,
            generation: 0,
            handle: 0,
            clock_offset_ns: 0,
            now_ns,
            members: BTreeMap::new(),
        })
    }

    fn place(&self, free: &mut u32, words: &[u64]) -> io::Result<u32> {
        let offset = *free;
        self.datapath.write_pool(offset, words)?;
        *free += words.len() as u32;
        Ok(offset)
    }

    /// Brings every state of the subject's world into the pool.
    fn lay_out(&mut self, subject: &Subject) -> io::Result<Placed> {
        let (mut numbers, mut free) = (Numbers::new(), 1 + 2 * BLOB_WORDS);
        let mut compiled = Vec::new();
        for world in &subject.worlds {
            let policy = interface_policy(world, &subject.interface);
            let policy = policy.ok_or_else(|| io::Error::other("an interface without policy"))?;
            let settings = InterfaceSettings::new(0);
            let words = compile(&policy, &settings, &mut numbers).map_err(io::Error::other)?;
            let egress = self.place(&mut free, &words.egress)?;
            let ingress = self.place(&mut free, &words.ingress)?;
            compiled.push((words.interface, egress, ingress));
        }
        // Members' sets may stand where those of the subject before did.
        self.set_members(&BTreeMap::new())?;
        let mut sets = BTreeMap::<Vec<u32>, u32>::new();
        let mut states = Vec::new();
        for (world, (blob, egress, ingress)) in subject.worlds.iter().zip(compiled) {
            let found = Members::of_world(world, &mut numbers).map_err(io::Error::other)?;
            let mut members = BTreeMap::new();
            for (key, groups) in found.entries() {
                let offset = match sets.get(groups) {
                    Some(offset) => *offset,
                    None => self.place(&mut free, &set_words(groups))?,
                };
                sets.insert(groups.to_vec(), offset);
                members.insert(*key, offset);
            }
            states.push(State { blob, egress, ingress, members });
        }
        Ok(Placed { numbers, states })
    }

    fn set_members(&mut self, wanted: &BTreeMap<MemberKey, u32>) -> io::Result<()> {
        if self.members == *wanted {
            return Ok(());
        }
        for key in self.members.keys().filter(|key| !wanted.contains_key(key)) {
            self.datapath.remove_member(key)?;
        }
        for (key, set) in wanted {
            if self.members.get(key) != Some(set) {
                self.datapath.put_member(key, *set)?;
            }
        }
        for family in [Family::V4, Family::V6] {
            let of_family = wanted.keys().filter(|key| key.prefix.family() == family);
            let lengths: Vec<u8> = of_family.map(|key| key.prefix.length()).collect();
            self.datapath.set_member_lengths(family, &lengths)?;
        }
        self.members.clone_from(wanted);
        self.datapath.raise_membership();
        Ok(())
    }

    fn put_into_force(&mut self, state: &State, site: &Site, closed: bool) -> io::Result<()> {
        self.set_members(&state.members)?;
        let mut words = state.blob.words(state.egress.into(), state.ingress.into());
        let flags = (if closed { abi::FLAG_CLOSED } else { 0 })
            | (if site.keep_established { abi::FLAG_KEEP_ESTABLISHED } else { 0 });
        words[abi::INTERFACE_FLAGS as usize] |= flags;
        for (word, value) in [
            (abi::INTERFACE_HANDLE, self.handle),
            (abi::INTERFACE_IDLE_ESTABLISHED_S, site.idle_established_s),
            (abi::INTERFACE_IDLE_CLOSED_S, site.idle_closed_s),
            (abi::INTERFACE_IDLE_UDP_S, site.idle_udp_s),
            (abi::INTERFACE_QUOTA, site.quota as u64),
        ] {
            words[word as usize] = value;
        }
        self.generation = self.generation.wrapping_add(1);
        let offset = 1 + (self.generation % 2) * BLOB_WORDS;
        self.datapath.write_pool(offset, &words)?;
        let word = (u64::from(self.generation) << 32) | u64::from(offset);
        self.datapath.set_slot_word(SLOT, word)
    }

    fn begin(&mut self, site: &Site) -> io::Result<()> {
        self.handle += 1;
        self.now_ns += 2 * SECOND_NS;
        self.datapath.forget_flows(SLOT)?;
        self.datapath.set_pick_up_until(SLOT, 0)?;
        self.datapath.set_any_link_local(site.any_link_local)?;
        self.datapath.set_dhcp4_servers(&site.dhcp4_servers)
    }

    /// What the program says of a frame at the sequence's time; `None` if it may have seen another.
    fn judge(
        &mut self,
        direction: Direction,
        frame: &[u8],
        numbers: &Numbers,
    ) -> io::Result<Option<Answer>> {
        let ahead = self.now_ns.wrapping_sub(self.datapath.now_ns());
        self.clock_offset_ns = self.clock_offset_ns.wrapping_add(ahead);
        self.datapath.set_clock_offset_ns(self.clock_offset_ns)?;
        let said = self.datapath.test(direction, frame)?;
        if self.datapath.now_ns().wrapping_sub(self.now_ns) > PAUSE_NS_MAX {
            return Ok(None);
        }
        let rule = said.counter.and_then(|number| numbers.rule_name(number).cloned());
        let policy = if said.accepted { Policy::Accept } else { Policy::Drop };
        Ok(Some(Answer { policy, reason: said.reason, rule }))
    }

    /// Which of the flows that may give way the program let go.
    fn gave_way(&self, candidates: &[FlowKey]) -> usize {
        let left = self.datapath.flows().unwrap_or_default();
        let is_left = |key: &FlowKey| {
            left.iter().any(|entry| {
                let found = &entry.key;
                found.handle == self.handle
                    && (found.protocol, found.local, found.remote)
                        == (key.protocol, key.local, key.remote)
                    && (found.local_port, found.remote_port) == (key.local_port, key.remote_port)
            })
        };
        candidates.iter().position(|key| !is_left(key)).unwrap_or(usize::MAX)
    }
}

/// Three judges of one subject.
pub struct Judges<'k, 's> {
    kernel: &'k mut Kernel,
    subject: &'s Subject,
    placed: Placed,
    evaluators: Vec<Evaluator<'s>>,
    images: Vec<Image<'s>>,
}

impl<'k, 's> Judges<'k, 's> {
    /// Brings the subject to all three.
    pub fn new(kernel: &'k mut Kernel, subject: &'s Subject) -> io::Result<Self> {
        let placed = kernel.lay_out(subject)?;
        let image = |world| Image::new(world).map_err(io::Error::other);
        let images = subject.worlds.iter().map(image).collect::<io::Result<_>>()?;
        let evaluators = subject.worlds.iter().map(Evaluator::new).collect();
        Ok(Self { kernel, subject, placed, evaluators, images })
    }

    /// Plays a sequence until its end, or until they disagree.
    pub fn play(&mut self, sequence: &Sequence, coverage: &mut Coverage) -> io::Result<Played> {
        let mut site = sequence.site.clone();
        self.kernel.begin(&site)?;
        self.kernel.put_into_force(&self.placed.states[0], &site, false)?;
        let (mut world, mut closed) = (0, false);
        let mut reference = Reference::new();
        let mut answers = BTreeMap::new();
        for (at, step) in sequence.steps.iter().enumerate() {
            match step {
                Step::Wait(steps) => self.kernel.now_ns += steps * STEP_MS * 1_000_000,
                Step::World(next) => {
                    (world, closed) = (*next, false);
                    self.kernel.put_into_force(&self.placed.states[world], &site, closed)?;
                }
                Step::Closed => {
                    closed = true;
                    self.kernel.put_into_force(&self.placed.states[world], &site, closed)?;
                }
                Step::PickUp => {
                    site.pick_up_until_ns = self.kernel.now_ns + PICK_UP_S * SECOND_NS;
                    self.kernel.datapath.set_pick_up_until(SLOT, site.pick_up_until_ns)?;
                }
                Step::Frame(direction, draft) => {
                    let frame = draft.frame(*direction, self.subject.mac().0);
                    if !can_be_run(&frame) {
                        continue;
                    }
                    let rules = (!closed).then_some(world);
                    let arrival = (*direction, frame.as_slice());
                    match self.compare(&mut reference, &site, (world, rules), arrival)? {
                        Compared::Alike(said) => {
                            coverage.count(*direction, &frame, &said);
                            let Said { policy, reason, rule, .. } = said;
                            answers.insert(at, Answer { policy, reason, rule });
                        }
                        Compared::Paused => return Ok(Played::Paused),
                        Compared::Differently(judge, expected, found) => {
                            answers.insert(at, expected);
                            let difference = Difference { step: at, found, judge, answers };
                            return Ok(Played::Differently(Box::new(difference)));
                        }
                    }
                }
            }
        }
        Ok(Played::Alike(answers))
    }

    fn compare(
        &mut self,
        reference: &mut Reference,
        site: &Site,
        (world, rules): (usize, Option<usize>),
        (direction, frame): (Direction, &[u8]),
    ) -> io::Result<Compared> {
        let Some(found) = self.kernel.judge(direction, frame, &self.placed.numbers)? else {
            return Ok(Compared::Paused);
        };
        let kernel = &*self.kernel;
        let interface = self.subject.interface(world);
        let arrival = Arrival { interface, direction, frame, now_ns: kernel.now_ns };
        let rules = rules.and_then(|rules| self.evaluators.get_mut(rules));
        let mut give_way = |candidates: &[FlowKey]| kernel.gave_way(candidates);
        let said = reference.judge(site, rules, &arrival, &mut give_way);
        let said = said.map_err(io::Error::other)?;
        let expected = Answer { policy: said.policy, reason: said.reason, rule: said.rule.clone() };
        if expected != found {
            return Ok(Compared::Differently("the kernel program", expected, found));
        }
        // What is picked up as a reply was no packet of the other direction: whether that would be
        // spoofed is not asked.
        if let Some(flow) = said.asked.as_ref().filter(|flow| flow.direction() == direction) {
            let Verdict { policy, reason, rule } =
                self.images[world].judge(flow).map_err(io::Error::other)?;
            let tables = Answer { policy, reason, rule };
            if tables != expected {
                return Ok(Compared::Differently("the compiled tables", expected, tables));
            }
        }
        Ok(Compared::Alike(said))
    }
}

/// Whether the kernel runs a program on it: test packets are as long as their IP header at least.
fn can_be_run(frame: &[u8]) -> bool {
    let least = match frame.get(12..14) {
        Some([0x08, 0x00]) => 34,
        Some([0x86, 0xdd]) => 54,
        _ => 15,
    };
    frame.len() >= least
}

enum Compared {
    Alike(Said),
    Paused,
    Differently(&'static str, Answer, Answer),
}
