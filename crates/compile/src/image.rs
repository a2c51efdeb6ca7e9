//! A whole world in words: pool, members and the place of each interface, and a judge that walks
//! them.
//!
//! Interfaces are compiled when first asked for; interfaces of the same groups share their tables,
//! because lists and rules are the same for all of one world.
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use portcullis_core::flow::Flow;
use portcullis_core::ids::{NetworkInterfaceId, SecurityGroupId};
use portcullis_core::resolve::interface_policy;
use portcullis_core::rule::{Direction, Peer};
use portcullis_core::verdict::{Judge, JudgeError, Verdict};
use portcullis_core::world::{InnerAccess, Interface, World};

use crate::budget::{CompileError, Limit, check};
use crate::interface::{InterfaceSettings, direction_table, interface_blob};
use crate::interpret::{self, DamagedImage};
use crate::members::Members;
use crate::numbers::Numbers;

/// Judges flows in one world by its compiled tables.
#[derive(Debug)]
pub struct Image<'w> {
    world: &'w World,
    numbers: Numbers,
    members: Members,
    pool: Vec<u64>,
    interfaces: BTreeMap<NetworkInterfaceId, u64>,
    /// Pool offsets of the egress and ingress tables of a set of groups.
    tables: BTreeMap<Vec<SecurityGroupId>, (u64, u64)>,
}

impl<'w> Image<'w> {
    /// The image of a world, with no interface in it yet.
    pub fn new(world: &'w World) -> Result<Self, CompileError> {
        let mut numbers = Numbers::new();
        // Groups that rules name or that let their members reach each other get their numbers
        // first; the others have none then, and so no room in the members map.
        for group in world.groups() {
            if group.inner_access == InnerAccess::Accept {
                numbers.group(&group.id)?;
            }
            for rule in group.rules.values() {
                if let Peer::Group(peer) = &rule.peer {
                    numbers.group(peer)?;
                }
            }
        }
        let members = Members::of_world(world, &mut numbers)?;
        Ok(Self {
            world,
            numbers,
            members,
            pool: Vec::new(),
            interfaces: BTreeMap::new(),
            tables: BTreeMap::new(),
        })
    }

    /// The words of all that was compiled so far.
    pub fn pool(&self) -> &[u64] {
        &self.pool
    }

    fn place(&mut self, words: &[u64]) -> Result<u64, CompileError> {
        check(Limit::PoolWords, self.pool.len() + words.len())?;
        let offset = self.pool.len() as u64;
        self.pool.extend_from_slice(words);
        Ok(offset)
    }

    fn add(&mut self, interface: &Interface) -> Result<u64, JudgeError> {
        let place = interface.id.as_str();
        let too_large = |error: CompileError| compile_error(error, place);
        let policy =
            interface_policy(self.world, &interface.id).ok_or_else(|| missing_group(place))?;
        let mut groups = interface.groups.clone();
        groups.sort();
        let (egress, ingress) = match self.tables.get(&groups) {
            Some(offsets) => *offsets,
            None => {
                let [egress, ingress] = [Direction::Egress, Direction::Ingress]
                    .map(|direction| direction_table(&policy, direction, &mut self.numbers));
                let egress = self.place(&egress.map_err(too_large)?).map_err(too_large)?;
                let ingress = self.place(&ingress.map_err(too_large)?).map_err(too_large)?;
                self.tables.insert(groups, (egress, ingress));
                (egress, ingress)
            }
        };
        let settings = InterfaceSettings::new(self.interfaces.len() as u64);
        let blob = interface_blob(&policy, &settings, &mut self.numbers).map_err(too_large)?;
        let offset = self.place(&blob.words(egress, ingress)).map_err(too_large)?;
        self.interfaces.insert(interface.id.clone(), offset);
        Ok(offset)
    }
}

impl Judge for Image<'_> {
    fn judge(&mut self, flow: &Flow) -> Result<Verdict, JudgeError> {
        let offset = match self.interfaces.get(flow.interface()) {
            Some(offset) => *offset,
            None => {
                let interface = self.world.interface(flow.interface());
                self.add(interface.ok_or_else(|| unknown_interface(flow))?)?
            }
        };
        let members = &self.members;
        let outcome =
            interpret::judge(&self.pool, offset, flow, |vpc, address| members.groups(vpc, address));
        let outcome = outcome.map_err(|DamagedImage| damaged(flow))?;
        let rule = match outcome.counter {
            Some(number) => {
                Some(self.numbers.rule_name(number).cloned().ok_or_else(|| damaged(flow))?)
            }
            None => None,
        };
        Ok(Verdict { policy: outcome.policy, reason: outcome.reason, rule })
    }
}

/// How a policy that does not fit is told to whoever asked for a verdict.
pub fn compile_error(error: CompileError, interface: &str) -> JudgeError {
    JudgeError {
        code: CompileError::CODE,
        message: error.to_string(),
        help: error.help(),
        place: interface.to_string(),
    }
}

fn missing_group(interface: &str) -> JudgeError {
    JudgeError {
        code: "MissingGroup",
        message: String::from("one of its security groups does not exist"),
        help: "an interface is judged by all its groups or not at all; add the group",
        place: interface.to_string(),
    }
}

fn unknown_interface(flow: &Flow) -> JudgeError {
    JudgeError {
        code: "UnknownInterface",
        message: alloc::format!("there is no network interface `{}`", flow.interface()),
        help: "name an interface of the world the judge was made for",
        place: "NetworkInterfaceId".to_string(),
    }
}

fn damaged(flow: &Flow) -> JudgeError {
    JudgeError {
        code: "DamagedImage",
        message: String::from("the compiled tables point outside themselves"),
        help: "this is a defect of the program; report it with the world that shows it",
        place: flow.interface().to_string(),
    }
}
