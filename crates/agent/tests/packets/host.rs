//! One interface in the kernel program's maps, to which the steps of a case happen.
use std::collections::BTreeSet;
use std::sync::Arc;

use portcullis_agent::sys::{Datapath, Hook, Sizes, TestVerdict};
use portcullis_compile::abi;
use portcullis_compile::interface::{InterfaceSettings, compile};
use portcullis_compile::members::{MemberKey, set_words};
use portcullis_compile::numbers::Numbers;
use portcullis_core::ids::{PortRangeListId, PrefixListId};
use portcullis_core::net::{Cidr, Family, Ports, Prefix};
use portcullis_core::resolve::interface_policy;
use portcullis_core::rule::{Direction, Peer, PortMatch, Priority, Rule};
use portcullis_core::world::{
    Group, GroupType, InnerAccess, Interface, PortRangeList, PrefixList, World,
};

use portcullis_testkit::packet_case::{Script, Step};

use crate::wire::Wire;

pub(crate) const SLOT: u32 = 0;
pub(crate) const COUNTERS: u32 = 64;
const VPC: &str = "vpc-1";

/// The interface, its policies and where the pool is free.
pub(crate) struct Host<'s> {
    script: &'s Script,
    /// Where frames really go, instead of being run through the program.
    wire: Option<&'s Wire>,
    datapath: Datapath,
    numbers: Numbers,
    settings: InterfaceSettings,
    members: BTreeSet<MemberKey>,
    addresses: Vec<Prefix>,
    check: bool,
    in_force: String,
    free: u32,
    generation: u32,
    clock_ns: u64,
}

const SIZES: Sizes = Sizes {
    pool_words: 1 << 18,
    slots: 1,
    members: 1024,
    flows: 256,
    fragments: 256,
    counters: COUNTERS,
    event_bytes: 1 << 16,
};

impl<'s> Host<'s> {
    /// Frames are run through the program.
    pub(crate) fn new(script: &'s Script) -> Self {
        let datapath = Datapath::private(&SIZES).unwrap();
        datapath.lead_tests_to(SLOT).unwrap();
        Self::with(script, datapath, None)
    }

    /// Frames go through a device.
    pub(crate) fn live(script: &'s Script, wire: &'s Wire, hook: Hook) -> Self {
        Self::with(script, wire.open(&SIZES, hook), Some(wire))
    }

    fn with(script: &'s Script, datapath: Datapath, wire: Option<&'s Wire>) -> Self {
        let mut settings = InterfaceSettings::new(1);
        for word in &script.interface {
            let Some((key, value)) = word.split_once('=') else { continue };
            match key {
                "quota" => settings.quota = value.parse().unwrap(),
                "idle-udp" => settings.idle_udp_s = value.parse().unwrap(),
                "idle-established" => settings.idle_established_s = value.parse().unwrap(),
                "idle-closed" => settings.idle_closed_s = value.parse().unwrap(),
                "keep-established" => settings.keep_established = value == "on",
                "check" | "mac" => {}
                other => panic!("`{other}` is no setting of an interface"),
            }
        }
        Self {
            script,
            wire,
            datapath,
            numbers: Numbers::new(),
            settings,
            members: BTreeSet::new(),
            addresses: Vec::new(),
            check: true,
            in_force: String::new(),
            free: 1,
            generation: 0,
            clock_ns: 0,
        }
    }

    /// A new case: nothing is left of the one before, and the first set of rules is in force.
    pub(crate) fn begin(&mut self) {
        self.datapath.forget_everything().unwrap();
        for key in std::mem::take(&mut self.members) {
            self.datapath.remove_member(&key).unwrap();
        }
        self.datapath.raise_membership();
        self.datapath.set_pick_up_until(SLOT, 0).unwrap();
        self.datapath.set_any_link_local(false).unwrap();
        self.datapath.set_dhcp4_servers(&[]).unwrap();
        self.free = 1;
        // Far enough for anything that one case remembered to have run out.
        self.wait(100_000 * 1_000_000_000);
        let plain = self.script.interface.iter().filter(|word| !word.contains('='));
        self.addresses = plain.skip(1).map(|word| word.parse::<Cidr>().unwrap().prefix()).collect();
        self.check = self.script.interface.iter().all(|word| word != "check=off");
        let first = self.script.rules[0].0.clone();
        self.policy(&first);
    }

    fn wait(&mut self, nanoseconds: u64) {
        self.clock_ns += nanoseconds;
        self.datapath.set_clock_offset_ns(self.clock_ns).unwrap();
    }

    fn place(&mut self, words: &[u64]) -> u32 {
        let offset = self.free;
        self.datapath.write_pool(offset, words).unwrap();
        self.free += words.len() as u32;
        offset
    }

    /// What a step should do; an error says what it did instead.
    pub(crate) fn take(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Frame(direction, frame, accepted, reason, by) => {
                let said = self.say(*direction, frame)?;
                if (said.accepted, said.reason.name()) != (*accepted, reason) {
                    let word = if said.accepted { "accept" } else { "drop" };
                    return Err(format!("the program said {word} {}", said.reason.name()));
                }
                let rule = said.counter.and_then(|number| self.numbers.rule_name(number));
                let rule = rule.map_or("none".to_string(), |name| name.rule.to_string());
                let named = |by: &String| by.parse().map_or(by.clone(), rule_name);
                if by.as_ref().is_some_and(|by| rule != named(by)) {
                    return Err(format!("the program named {rule}"));
                }
            }
            Step::Wait(duration) => self.wait(duration.as_nanos() as u64),
            Step::Policy(name) => self.policy(name),
            Step::Addresses(addresses) => {
                self.addresses = addresses.iter().map(Cidr::prefix).collect();
                self.policy(&self.in_force.clone());
            }
            Step::Check(check) => {
                self.check = *check;
                self.policy(&self.in_force.clone());
            }
            Step::Join(cidr, group) => self.join(cidr, group),
            Step::Leave(cidr) => {
                let key = self.member_key(cidr);
                assert!(self.members.remove(&key), "{cidr} is no member");
                self.datapath.remove_member(&key).unwrap();
                self.datapath.raise_membership();
            }
            Step::PickUp(duration) => {
                let until = self.datapath.now_ns() + duration.as_nanos() as u64;
                self.datapath.set_pick_up_until(SLOT, until).unwrap();
            }
            Step::Sweep(wanted) => same("flows swept", self.datapath.sweep().unwrap(), *wanted)?,
            Step::Flows(wanted) => same("flows", self.datapath.flow_count(SLOT), *wanted)?,
            Step::AnyLinkLocal => self.datapath.set_any_link_local(true).unwrap(),
            Step::DhcpServer(server) => self.datapath.set_dhcp4_servers(&[*server]).unwrap(),
        }
        Ok(())
    }

    fn say(&self, direction: Direction, frame: &[u8]) -> Result<TestVerdict, String> {
        match self.wire {
            Some(wire) => wire.send(&self.datapath, direction, frame),
            None => self.datapath.test(direction, frame).map_err(|error| error.to_string()),
        }
    }

    fn member_key(&mut self, cidr: &Cidr) -> MemberKey {
        let vpc = self.numbers.vpc(&VPC.parse().unwrap()).unwrap();
        MemberKey { vpc, prefix: cidr.prefix() }
    }

    fn join(&mut self, cidr: &Cidr, groups: &str) {
        let number = |group: &str| self.numbers.group(&group.parse().unwrap()).unwrap();
        let numbers: BTreeSet<u32> = groups.split(',').map(number).collect();
        let set = self.place(&set_words(&numbers.into_iter().collect::<Vec<_>>()));
        let key = self.member_key(cidr);
        self.members.insert(key);
        for family in [Family::V4, Family::V6] {
            let of_family = self.members.iter().filter(|key| key.prefix.family() == family);
            let lengths: Vec<u8> = of_family.map(|key| key.prefix.length()).collect();
            self.datapath.set_member_lengths(family, &lengths).unwrap();
        }
        self.datapath.put_member(&key, set).unwrap();
        self.datapath.raise_membership();
    }

    /// Puts a set of rules into force.
    fn policy(&mut self, name: &str) {
        self.in_force = name.to_owned();
        let words = if name == "closed" {
            let rules = &self.script.rules[0].1;
            let mut words = self.compiled(rules).interface.words(0, 0);
            words[abi::INTERFACE_FLAGS as usize] |= abi::FLAG_CLOSED;
            words
        } else {
            let rules = self.script.rules.iter().find(|(found, _)| found == name);
            let compiled = self.compiled(&rules.expect("no such set of rules").1);
            let egress = self.place(&compiled.egress);
            let ingress = self.place(&compiled.ingress);
            compiled.interface.words(egress.into(), ingress.into())
        };
        let offset = self.place(&words);
        self.generation += 1;
        let word = (u64::from(self.generation) << 32) | u64::from(offset);
        self.datapath.set_slot_word(SLOT, word).unwrap();
    }

    fn compiled(
        &mut self,
        rules: &[Vec<String>],
    ) -> portcullis_compile::interface::CompiledInterface {
        let mut world = World::new();
        let says = |word: &str| rules.iter().any(|words| words[0] == word);
        let (intra, enterprise) = (says("intra-group"), says("enterprise"));
        let basic = |id: &str, inner_access| Group {
            id: id.parse().unwrap(),
            vpc: Some(VPC.parse().unwrap()),
            group_type: GroupType::Basic,
            inner_access,
            rules: Default::default(),
        };
        let inner = if intra { InnerAccess::Accept } else { InnerAccess::Drop };
        let group_type = if enterprise { GroupType::Enterprise } else { GroupType::Basic };
        world.put_group(Group { group_type, ..basic("sg-own", inner) });
        world.put_group(basic("sg-friends", InnerAccess::Drop));
        for (number, words) in rules.iter().filter(|words| words.len() > 1).enumerate() {
            let rule = rule(number, words, &mut world);
            world.put_rule(&"sg-own".parse().unwrap(), Arc::new(rule));
        }
        let id: portcullis_core::ids::NetworkInterfaceId = "eni-a".parse().unwrap();
        let says = |word: &str| self.script.interface.iter().any(|found| found == word);
        let mac = self.script.interface[0].parse().unwrap();
        world.put_interface(Interface {
            id: id.clone(),
            vpc: VPC.parse().unwrap(),
            mac: (!says("mac=unknown")).then_some(mac),
            addresses: self.addresses.clone(),
            groups: vec!["sg-own".parse().unwrap()],
            source_dest_check: Some(self.check),
        });
        let policy = interface_policy(&world, &id).unwrap();
        compile(&policy, &self.settings, &mut self.numbers).unwrap()
    }
}

/// The id of the rule of a number: ids are ordered as numbers are.
fn rule_name(number: usize) -> String {
    format!("sgr-{number:04}")
}

/// `DIRECTION POLICY PROTOCOL PEER[,PEER] [PORTS[,PORTS]] [PRIORITY] [from=PORTS] [local=CIDR]`;
/// several peers or ports, or `none`, are a list in the world.
fn rule(number: usize, words: &[String], world: &mut World) -> Rule {
    let word = |at: usize| words.get(at).map(String::as_str).filter(|word| !word.contains('='));
    let option = |key| words.iter().filter_map(|w| w.split_once('=')).find(|(k, _)| *k == key);
    let all = |text: &str| -> Vec<String> {
        text.split(',').filter(|word| *word != "none").map(str::to_owned).collect()
    };
    let (peer, ports) = (word(3).unwrap(), word(4).unwrap_or("-1/-1"));
    Rule {
        id: rule_name(number).parse().unwrap(),
        direction: word(0).unwrap().parse().expect("a direction"),
        policy: word(1).unwrap().parse().expect("a policy"),
        protocol: word(2).unwrap().parse().expect("a protocol"),
        peer: match all(peer).as_slice() {
            [group] if group.starts_with("sg-") => Peer::Group(group.parse().unwrap()),
            [cidr] => Peer::Cidr(cidr.parse().expect("a CIDR")),
            several => {
                let entries: Vec<Cidr> = several.iter().map(|c| c.parse().unwrap()).collect();
                let family = entries.first().map_or(Family::V4, Cidr::family);
                let id: PrefixListId = format!("pl-{number}").parse().unwrap();
                world.put_prefix_list(PrefixList { id: id.clone(), family, entries });
                Peer::PrefixList(id)
            }
        },
        ports: match all(ports).as_slice() {
            [ports] => PortMatch::Ports(ports.parse().expect("ports")),
            several => {
                let entries = several.iter().map(|ports| ports.parse().unwrap()).collect();
                let id: PortRangeListId = format!("prl-{number}").parse().unwrap();
                world.put_port_range_list(PortRangeList { id: id.clone(), entries });
                PortMatch::List(id)
            }
        },
        source_ports: option("from").map_or(Ports::Any, |(_, ports)| ports.parse().unwrap()),
        local: option("local").map(|(_, cidr)| cidr.parse().unwrap()),
        priority: Priority::new(word(5).unwrap_or("1").parse().unwrap()).unwrap(),
    }
}

fn same<T: PartialEq + std::fmt::Display>(what: &str, found: T, wanted: T) -> Result<(), String> {
    if found == wanted { Ok(()) } else { Err(format!("{found} {what}, not {wanted}")) }
}
