//! The kernel program as a judge: every flow's first packet runs through the real program, in maps
//! that nothing else sees.
//!
//! Each flow is judged alone: what an accepted one leaves is forgotten before the next. Nothing is
//! attached, pinned or sent.
use std::collections::BTreeMap;
use std::io;

use portcullis_compile::budget::{CompileError, Limit};
use portcullis_compile::image::compile_error;
use portcullis_compile::interface::{InterfaceSettings, direction_table, interface_blob};
use portcullis_compile::members::{Members, set_words};
use portcullis_compile::numbers::Numbers;
use portcullis_core::flow::Flow;
use portcullis_core::ids::{NetworkInterfaceId, SecurityGroupId};
use portcullis_core::net::{Family, Mac};
use portcullis_core::resolve::interface_policy;
use portcullis_core::rule::{Direction, Peer, Policy};
use portcullis_core::verdict::{Judge, JudgeError, Reason, Verdict};
use portcullis_core::world::{GroupType, InnerAccess, Interface, World};

use crate::sys::{Datapath, Sizes};

mod packet;

/// Words of the private pool: 64 MiB.
const POOL_WORDS: u32 = 1 << 23;
/// The slot that test packets are led to.
const SLOT: u32 = 0;
/// One flow at a time is all there is.
const FLOWS: u32 = 4;

/// Judges flows in one world by the kernel program.
#[derive(Debug)]
pub struct KernelJudge<'w> {
    world: &'w World,
    numbers: Numbers,
    datapath: Datapath,
    /// The first word of the pool that is free; 0 is never used, because it means "none".
    free: u32,
    generation: u32,
    interfaces: BTreeMap<NetworkInterfaceId, (u32, Option<Mac>)>,
    /// Pool offsets of the egress and ingress tables of a set of groups.
    tables: BTreeMap<Vec<SecurityGroupId>, (u32, u32)>,
}

impl<'w> KernelJudge<'w> {
    /// Loads the program and the world's memberships. Needs what [`crate::sys::probe`] asks for,
    /// but for pins.
    pub fn new(world: &'w World) -> Result<Self, JudgeError> {
        let too_large = |error: CompileError| compile_error(error, "world");
        let mut numbers = Numbers::new();
        // Groups that nobody refers to get no number, and their members no room in the map.
        for group in world.groups() {
            if group.group_type == GroupType::Basic && group.inner_access == InnerAccess::Accept {
                numbers.group(&group.id).map_err(too_large)?;
            }
            for rule in group.rules.values() {
                if let Peer::Group(peer) = &rule.peer {
                    numbers.group(peer).map_err(too_large)?;
                }
            }
        }
        let members = Members::of_world(world, &mut numbers).map_err(too_large)?;
        let sizes = Sizes {
            pool_words: POOL_WORDS,
            slots: 1,
            members: (members.entries().count() as u32).max(1),
            flows: FLOWS,
            fragments: 64,
            counters: 1,
            event_bytes: 4096,
        };
        let datapath = Datapath::private(&sizes).map_err(kernel("the kernel program"))?;
        datapath.lead_tests_to(SLOT).map_err(kernel("the devices map"))?;
        let mut judge = Self {
            world,
            numbers,
            datapath,
            free: 1,
            generation: 0,
            interfaces: BTreeMap::new(),
            tables: BTreeMap::new(),
        };
        judge.add_members(&members)?;
        Ok(judge)
    }

    fn add_members(&mut self, members: &Members) -> Result<(), JudgeError> {
        let mut sets = BTreeMap::<Vec<u32>, u32>::new();
        for (key, groups) in members.entries() {
            let offset = match sets.get(groups) {
                Some(offset) => *offset,
                None => {
                    let offset = self.place(&set_words(groups), "world")?;
                    sets.insert(groups.to_vec(), offset);
                    offset
                }
            };
            self.datapath.put_member(key, offset).map_err(kernel("the members map"))?;
        }
        for family in [Family::V4, Family::V6] {
            let lengths: Vec<u8> = members.lengths(family).collect();
            let set = self.datapath.set_member_lengths(family, &lengths);
            set.map_err(kernel("the prefix lengths of members"))?;
        }
        Ok(())
    }

    /// Writes words into free space of the pool.
    fn place(&mut self, words: &[u64], interface: &str) -> Result<u32, JudgeError> {
        let offset = self.free;
        let needed = offset as usize + words.len();
        if needed > POOL_WORDS as usize {
            let error =
                CompileError { limit: Limit::PoolWords, allowed: POOL_WORDS as usize, needed };
            return Err(compile_error(error, interface));
        }
        self.datapath.write_pool(offset, words).map_err(kernel("the policy pool"))?;
        self.free = needed as u32;
        Ok(offset)
    }

    fn add(&mut self, interface: &Interface) -> Result<(u32, Option<Mac>), JudgeError> {
        let id = interface.id.as_str();
        let too_large = |error: CompileError| compile_error(error, id);
        let policy = interface_policy(self.world, &interface.id)
            .ok_or_else(|| unknown(id, "one of its security groups does not exist"))?;
        let mut groups = interface.groups.clone();
        groups.sort();
        let (egress, ingress) = match self.tables.get(&groups) {
            Some(offsets) => *offsets,
            None => {
                let [egress, ingress] = [Direction::Egress, Direction::Ingress]
                    .map(|direction| direction_table(&policy, direction, &mut self.numbers));
                let egress = self.place(&egress.map_err(too_large)?, id)?;
                let ingress = self.place(&ingress.map_err(too_large)?, id)?;
                self.tables.insert(groups, (egress, ingress));
                (egress, ingress)
            }
        };
        let settings = InterfaceSettings::new(self.interfaces.len() as u64 + 1);
        let blob = interface_blob(&policy, &settings, &mut self.numbers).map_err(too_large)?;
        let words = blob.words(u64::from(egress), u64::from(ingress));
        let found = (self.place(&words, id)?, policy.mac);
        self.interfaces.insert(interface.id.clone(), found);
        Ok(found)
    }

    fn run(&mut self, flow: &Flow, offset: u32, mac: Option<Mac>) -> io::Result<Verdict> {
        self.generation = self.generation.wrapping_add(1);
        let word = (u64::from(self.generation) << 32) | u64::from(offset);
        self.datapath.set_slot_word(SLOT, word)?;
        let said = self.datapath.test(flow.direction(), &packet::frame(flow, mac))?;
        if said.accepted {
            self.datapath.forget_everything()?;
        }
        let rule = match (said.reason, said.counter) {
            (Reason::Rule, Some(number)) => {
                let name = self.numbers.rule_name(number).cloned();
                Some(name.ok_or_else(|| io::Error::other("the rule it names is unknown"))?)
            }
            _ => None,
        };
        let policy = if said.accepted { Policy::Accept } else { Policy::Drop };
        Ok(Verdict { policy, reason: said.reason, rule })
    }
}

impl Judge for KernelJudge<'_> {
    fn judge(&mut self, flow: &Flow) -> Result<Verdict, JudgeError> {
        let (offset, mac) = match self.interfaces.get(flow.interface()) {
            Some(found) => *found,
            None => {
                let interface = self.world.interface(flow.interface()).ok_or_else(|| {
                    unknown(flow.interface().as_str(), "there is no such network interface")
                })?;
                self.add(interface)?
            }
        };
        self.run(flow, offset, mac).map_err(kernel("the kernel program"))
    }
}

fn unknown(interface: &str, message: &str) -> JudgeError {
    JudgeError {
        code: "UnknownInterface",
        message: message.to_string(),
        help: "name an interface of the world the judge was made for, in groups that it has",
        place: interface.to_string(),
    }
}

/// How a refusal of the kernel is told.
fn kernel(place: &'static str) -> impl Fn(io::Error) -> JudgeError {
    move |error| JudgeError {
        code: "KernelRefused",
        message: error.to_string().lines().next().unwrap_or_default().to_string(),
        help: "the engine `kernel` needs root and Linux 6.6; the engine `compiled` needs neither",
        place: place.to_string(),
    }
}
