//! Random commands against a model made of lists: the same answers, the same number of changes, the
//! same contents.
//!
//! The model knows no index and looks through everything; it is meant to be read, not to be quick.
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use portcullis_core::command::*;
use portcullis_core::records::Change;
use portcullis_core::rule::{Direction, Priority};
use portcullis_core::text::Tags;
use portcullis_core::world::{GroupType, InnerAccess};

use super::harness::{Harness, SeededDice};
use super::language::run;

const GROUPS_MAX: usize = 6;
const RULES_PER_GROUP: usize = 4;
const RULES_PER_INTERFACE: usize = 6;
const GROUPS_PER_INTERFACE: usize = 3;
const ADDRESSES_PER_GROUP: usize = 3;
const INTERFACES_PER_GROUP: usize = 1;
/// A /29 without its first and its last three addresses.
const OFFSETS: std::ops::RangeInclusive<u8> = 1..=4;

#[derive(Clone, PartialEq)]
struct ModelGroup {
    id: String,
    vpc: usize,
    enterprise: bool,
    open: bool,
}

#[derive(Clone, PartialEq, Debug)]
struct ModelRule {
    group: String,
    egress: bool,
    peer: ModelPeer,
    priority: u8,
    drop: bool,
}

#[derive(Clone, PartialEq, Debug)]
enum ModelPeer {
    Cidr(&'static str),
    Group(String),
}

#[derive(Clone)]
struct ModelInterface {
    id: String,
    vpc: usize,
    offsets: Vec<u8>,
    groups: Vec<String>,
    device: Option<String>,
}

/// Puts and deletes, or a code.
type Answer = Result<(usize, usize), String>;

#[derive(Default)]
struct Model {
    groups: Vec<ModelGroup>,
    rules: Vec<ModelRule>,
    interfaces: Vec<ModelInterface>,
}

fn refuse<T>(code: &str) -> Result<T, String> {
    Err(code.to_string())
}

impl Model {
    fn group(&self, id: &str) -> Result<ModelGroup, String> {
        match self.groups.iter().find(|group| group.id == id) {
            Some(group) => Ok(group.clone()),
            None => refuse("InvalidSecurityGroupId.NotFound"),
        }
    }

    fn rule_count(&self, group: &str) -> usize {
        self.rules.iter().filter(|rule| rule.group == group).count()
    }

    fn members<'a>(&'a self, group: &'a str) -> impl Iterator<Item = &'a ModelInterface> {
        self.interfaces.iter().filter(move |i| i.groups.iter().any(|g| g == group))
    }

    fn delete_group(&mut self, id: &str) -> Answer {
        self.group(id)?;
        let named = |rule: &ModelRule| rule.peer == ModelPeer::Group(id.into());
        if self.members(id).count() > 0 || self.rules.iter().any(named) {
            return refuse("DependencyViolation");
        }
        let rules = self.rule_count(id);
        self.rules.retain(|rule| rule.group != id);
        self.groups.retain(|group| group.id != id);
        Ok((0, rules + 1))
    }

    fn policy(&mut self, id: &str, open: bool) -> Answer {
        let old = self.group(id)?;
        if old.open == open {
            return Ok((0, 0));
        }
        if old.enterprise {
            return refuse("InvalidPolicy.Malformed");
        }
        self.groups.iter_mut().filter(|group| group.id == id).for_each(|g| g.open = open);
        Ok((1, 0))
    }

    fn authorize(&mut self, id: &str, rules: &[ModelRule]) -> Answer {
        let group = self.group(id)?;
        for rule in rules {
            let ModelPeer::Group(peer) = &rule.peer else { continue };
            let side = if rule.egress { "Dest" } else { "Source" };
            if group.enterprise {
                return Err(format!("InvalidParam.{side}GroupId"));
            }
            if *peer == id {
                return refuse("InvalidSecurityGroup.IsSame");
            }
            let Ok(peer) = self.group(peer) else {
                return Err(format!("Invalid{side}GroupId.NotFound"));
            };
            if peer.vpc != group.vpc {
                return Err(format!("Invalid{side}GroupId.Mismatch"));
            }
            if peer.enterprise {
                return Err(format!("InvalidParam.{side}GroupId"));
            }
        }
        if rules.len() == 2 && rules[0] == rules[1] {
            return refuse("InvalidParam.DuplicatePermissions");
        }
        let new: Vec<_> = rules.iter().filter(|rule| !self.rules.contains(rule)).cloned().collect();
        let sum = |groups: &[String]| groups.iter().map(|g| self.rule_count(g)).sum::<usize>();
        let over_group = self.rule_count(id) + new.len() > RULES_PER_GROUP;
        let over_interface =
            self.members(id).any(|i| sum(&i.groups) + new.len() > RULES_PER_INTERFACE);
        if !new.is_empty() && (over_group || over_interface) {
            return refuse("AuthorizationLimitExceed");
        }
        let count = new.len();
        self.rules.extend(new);
        Ok((count, 0))
    }

    fn revoke(&mut self, id: &str, rules: &[ModelRule]) -> Answer {
        self.group(id)?;
        let before = self.rules.len();
        self.rules.retain(|rule| !rules.contains(rule));
        Ok((0, before - self.rules.len()))
    }

    fn check_groups(
        &self,
        vpc: usize,
        groups: &[String],
        old: &[String],
        addresses: usize,
    ) -> Result<Vec<String>, String> {
        let mut unique: Vec<String> = Vec::new();
        for group in groups {
            if !unique.contains(group) {
                unique.push(group.clone());
            }
        }
        if unique.is_empty() {
            return refuse("MissingSecurityGroupId");
        }
        if unique.len() > GROUPS_PER_INTERFACE {
            return refuse("JoinedGroupLimitExceed");
        }
        let mut first: Option<bool> = None;
        for id in &unique {
            let group = self.group(id)?;
            if group.vpc != vpc {
                return refuse("InvalidOperation.VpcMismatch");
            }
            if first.is_some_and(|first| first != group.enterprise) {
                return refuse("OperationDenied");
            }
            first = Some(group.enterprise);
            let held: usize = self.members(id).map(|i| i.offsets.len()).sum();
            let full = if group.enterprise {
                self.members(id).count() + 1 > INTERFACES_PER_GROUP
            } else {
                held + addresses > ADDRESSES_PER_GROUP
            };
            if !old.contains(id) && full {
                return refuse("SecurityGroupInstanceLimitExceed");
            }
        }
        let sum: usize = unique.iter().map(|id| self.rule_count(id)).sum();
        if unique.iter().any(|id| !old.contains(id)) && sum > RULES_PER_INTERFACE {
            return refuse("AclLimitExceed");
        }
        Ok(unique)
    }

    fn choose(&self, vpc: usize, primary: Option<u8>, secondary: &[u8]) -> Result<Vec<u8>, String> {
        let used: Vec<u8> = self
            .interfaces
            .iter()
            .filter(|i| i.vpc == vpc)
            .flat_map(|i| i.offsets.clone())
            .collect();
        let secondary: Vec<u8> =
            secondary.iter().copied().filter(|offset| Some(*offset) != primary).collect();
        let mut taken: Vec<u8> = Vec::new();
        for offset in primary.iter().chain(&secondary) {
            if !OFFSETS.contains(offset) {
                return refuse("InvalidIp.Address");
            }
            if taken.contains(offset) {
                return refuse("InvalidPrivateIpAddress.Duplicated");
            }
            if used.contains(offset) {
                return refuse("InvalidIp.IpRepeated");
            }
            taken.push(*offset);
        }
        let free = |offset: &u8| !used.contains(offset) && !taken.contains(offset);
        let Some(first) = primary.or_else(|| OFFSETS.clone().find(free)) else {
            return refuse("InvalidVSwitchId.IpNotEnough");
        };
        Ok([vec![first], secondary].concat())
    }

    fn interface(&self, id: &str) -> Result<ModelInterface, String> {
        match self.interfaces.iter().find(|interface| interface.id == id) {
            Some(interface) => Ok(interface.clone()),
            None => refuse("InvalidEniId.NotFound"),
        }
    }

    fn modify(&mut self, id: &str, groups: &[String]) -> Answer {
        let old = self.interface(id)?;
        let new = self.check_groups(old.vpc, groups, &old.groups, old.offsets.len())?;
        let changed = new != old.groups;
        for interface in self.interfaces.iter_mut().filter(|interface| interface.id == id) {
            interface.groups = new.clone();
        }
        Ok((usize::from(changed), 0))
    }

    fn delete_interface(&mut self, id: &str) -> Answer {
        if self.interface(id)?.device.is_some() {
            return refuse("InvalidOperation.InvalidEniState");
        }
        self.interfaces.retain(|interface| interface.id != id);
        Ok((0, 1))
    }

    fn bind(&mut self, id: &str, device: &str) -> Answer {
        match self.interface(id)?.device {
            Some(bound) if bound == device => return Ok((0, 0)),
            Some(_) => return refuse("InvalidOperation.InvalidEniState"),
            None => {}
        }
        if self.interfaces.iter().any(|i| i.device.as_deref() == Some(device)) {
            return refuse("InvalidOperation.DeviceInUse");
        }
        for interface in self.interfaces.iter_mut().filter(|interface| interface.id == id) {
            interface.device = Some(device.into());
        }
        Ok((1, 0))
    }

    fn unbind(&mut self, id: &str) -> Answer {
        match self.interfaces.iter_mut().find(|i| i.id == id && i.device.is_some()) {
            Some(interface) => {
                interface.device = None;
                Ok((0, 1))
            }
            None => refuse("InvalidBinding.NotFound"),
        }
    }
}

/// The real state and the model, side by side.
struct Pair {
    harness: Harness,
    model: Model,
    dice: SeededDice,
    tokens: u64,
    /// The codes that were answered.
    codes: BTreeSet<String>,
}

impl Pair {
    fn new(seed: u64) -> Self {
        let mut harness = Harness::new();
        let quotas = &mut harness.settings.quotas;
        quotas.groups_per_region = GROUPS_MAX;
        quotas.rules_per_group = RULES_PER_GROUP;
        quotas.rules_per_interface = RULES_PER_INTERFACE;
        quotas.groups_per_interface = GROUPS_PER_INTERFACE;
        quotas.addresses_per_basic_group = ADDRESSES_PER_GROUP;
        quotas.interfaces_per_enterprise_group = INTERFACES_PER_GROUP;
        let script = "
            vpc v0 cidr=10.0.0.0/16
            vpc v1 cidr=10.0.0.0/16
            vswitch s0 vpc=v0 cidr=10.0.0.0/29
            vswitch s1 vpc=v1 cidr=10.0.0.0/29
        ";
        run(&mut harness, script);
        Self {
            harness,
            model: Model::default(),
            dice: SeededDice(seed),
            tokens: 0,
            codes: BTreeSet::new(),
        }
    }

    fn chance(&mut self, one_in: usize) -> bool {
        self.dice.below(one_in) == 0
    }

    fn some_group(&mut self) -> String {
        match self.model.groups.len() {
            0 => "sg-none".into(),
            _ if self.chance(20) => "sg-none".into(),
            count => self.model.groups[self.dice.below(count)].id.clone(),
        }
    }

    fn some_groups(&mut self) -> Vec<String> {
        let count = match self.dice.below(20) {
            0 => 0,
            1 => 5,
            n => 1 + n % 3,
        };
        (0..count).map(|_| self.some_group()).collect()
    }

    fn some_interface(&mut self) -> String {
        match self.model.interfaces.len() {
            0 => "eni-none".into(),
            _ if self.chance(20) => "eni-none".into(),
            count => self.model.interfaces[self.dice.below(count)].id.clone(),
        }
    }

    fn some_rules(&mut self, group: &str, egress: bool) -> Vec<ModelRule> {
        let count = 1 + self.dice.below(2);
        let rule = |pair: &mut Self| ModelRule {
            group: group.into(),
            egress,
            peer: match pair.dice.below(4) {
                0 => ModelPeer::Cidr("10.0.0.1"),
                1 => ModelPeer::Cidr("10.0.0.1/32"),
                _ => ModelPeer::Group(pair.some_group()),
            },
            priority: 1 + pair.dice.below(2) as u8,
            drop: pair.chance(4),
        };
        (0..count).map(|_| rule(self)).collect()
    }

    /// Sends, with a client token now and then, and compares the answer with the model's.
    fn send(&mut self, command: &Command, expected: Answer) -> Option<Outcome> {
        let mut sender = self.harness.sender();
        if self.chance(4) {
            self.tokens += 1;
            let token = format!("token-{}", self.tokens).parse().unwrap();
            sender.idempotency = Some(Idempotency { token, digest: [0; 32] });
        }
        let decided = self.harness.send(&sender, command);
        let answer = match &decided {
            Ok(decision) => {
                let of_token = usize::from(sender.idempotency.is_some());
                let puts = decision.changes.iter().filter(|c| matches!(c, Change::Put(_))).count();
                Ok((puts - of_token, decision.changes.len() - puts))
            }
            Err(error) => Err(error.code.to_string()),
        };
        assert_eq!(answer, expected, "{command:?}");
        self.codes.extend(answer.err());
        let decision = decided.ok()?;
        if sender.idempotency.is_some() {
            let again = self.harness.send(&sender, command).unwrap();
            assert_eq!((&again.outcome, again.changes.len()), (&decision.outcome, 0));
        }
        Some(decision.outcome)
    }

    fn step(&mut self) {
        match self.dice.below(12) {
            0 | 1 => self.create_group(),
            2 => {
                let id = self.some_group();
                let expected = self.model.delete_group(&id);
                self.send(&Command::DeleteSecurityGroup { group: id.parse().unwrap() }, expected);
            }
            3 => {
                let (id, open) = (self.some_group(), self.chance(2));
                let expected = self.model.policy(&id, open);
                let inner_access = if open { InnerAccess::Accept } else { InnerAccess::Drop };
                let group = id.parse().unwrap();
                self.send(&Command::ModifySecurityGroupPolicy { group, inner_access }, expected);
            }
            4..=6 => self.change_rules(),
            7 | 8 => self.create_interface(),
            9 => {
                let (id, groups) = (self.some_interface(), self.some_groups());
                let expected = self.model.modify(&id, &groups);
                self.send(&modify(&id, &groups), expected);
            }
            10 => {
                let id = self.some_interface();
                let expected = self.model.delete_interface(&id);
                let interface = id.parse().unwrap();
                self.send(&Command::DeleteNetworkInterface { interface }, expected);
            }
            _ => self.change_binding(),
        }
    }

    fn create_group(&mut self) {
        let (vpc, enterprise) = (self.dice.below(2), self.chance(4));
        let full = self.model.groups.len() == GROUPS_MAX;
        let expected = if full { refuse("QuotaExceed.SecurityGroup") } else { Ok((1, 0)) };
        let command = Command::CreateSecurityGroup(CreateSecurityGroup {
            vpc: Some(self.harness.ids[&format!("v{vpc}")].parse().unwrap()),
            group_type: if enterprise { GroupType::Enterprise } else { GroupType::Basic },
            name: None,
            description: None,
            resource_group: None,
            tags: Tags::default(),
        });
        if let Some(outcome) = self.send(&command, expected) {
            let Outcome::Written(Written::SecurityGroup { group }) = outcome else { panic!() };
            let id = group.to_string();
            assert!(id.len() == 23 && id.starts_with("sg-"), "{id}");
            self.model.groups.push(ModelGroup { id, vpc, enterprise, open: !enterprise });
        }
    }

    fn change_rules(&mut self) {
        let (id, egress, revoke) = (self.some_group(), self.chance(2), self.chance(4));
        let direction = if egress { Direction::Egress } else { Direction::Ingress };
        let rules = self.some_rules(&id, egress);
        let specs = rules.iter().map(|rule| spec(direction, rule)).collect();
        let group = id.parse().unwrap();
        if revoke {
            let expected = self.model.revoke(&id, &rules);
            let rules = RevokedRules::Content(specs);
            self.send(&Command::Revoke(Revoke { group, direction, rules }), expected);
        } else {
            let expected = self.model.authorize(&id, &rules);
            let rules = specs;
            self.send(&Command::Authorize(Authorize { group, direction, rules }), expected);
        }
    }

    fn create_interface(&mut self) {
        let (vpc, groups) = (self.dice.below(2), self.some_groups());
        let primary = self.chance(3).then(|| self.dice.below(7) as u8);
        let secondary: Vec<u8> =
            (0..self.dice.below(3)).map(|_| self.dice.below(7) as u8).collect();
        let chosen = self.model.choose(vpc, primary, &secondary);
        let expected = chosen.and_then(|offsets| {
            let groups = self.model.check_groups(vpc, &groups, &[], offsets.len())?;
            Ok((offsets, groups))
        });
        let command =
            create_interface(&self.harness.ids[&format!("s{vpc}")], &groups, primary, &secondary);
        let answer = expected.as_ref().map(|_| (1, 0)).map_err(String::clone);
        if let Some(outcome) = self.send(&command, answer) {
            let Outcome::Written(Written::NetworkInterface(made)) = outcome else { panic!() };
            let (offsets, groups) = expected.unwrap();
            let addresses: Vec<std::net::IpAddr> =
                offsets.iter().map(|offset| address(*offset).into()).collect();
            assert_eq!(made.addresses().collect::<Vec<_>>(), addresses);
            let id = made.id.to_string();
            self.model.interfaces.push(ModelInterface { id, vpc, offsets, groups, device: None });
        }
    }

    fn change_binding(&mut self) {
        let id = self.some_interface();
        let interface = id.parse().unwrap();
        if self.chance(2) {
            let expected = self.model.unbind(&id);
            self.send(&Command::UnbindInterface { interface }, expected);
        } else {
            let device = format!("veth{}", self.dice.below(3));
            let expected = self.model.bind(&id, &device);
            let device = device.parse().unwrap();
            self.send(&Command::BindInterface { interface, device }, expected);
        }
    }

    /// What can be read is what the model holds.
    fn compare_contents(&self) {
        let state = &self.harness.state;
        let world = state.world();
        assert_eq!(world.groups().count(), self.model.groups.len());
        assert_eq!(world.interfaces().count(), self.model.interfaces.len());
        for group in &self.model.groups {
            let id = group.id.parse().unwrap();
            let held = world.group(&id).unwrap();
            assert_eq!(held.inner_access == InnerAccess::Accept, group.open);
            assert_eq!(held.rules.len(), self.model.rule_count(&group.id));
            for rule in held.rules.values() {
                let found = self.model.rules.iter().any(|model| {
                    let spec = spec(rule.direction, model);
                    model.group == group.id
                        && spec.direction() == rule.direction
                        && model.egress == (rule.direction == Direction::Egress)
                        && model.priority == rule.priority.number()
                        && model.drop == (rule.policy == portcullis_core::rule::Policy::Drop)
                        && peer(&model.peer) == rule.peer
                });
                assert!(found, "{rule:?}");
            }
            let members: Vec<_> = world.members(&id).map(|member| member.id.to_string()).collect();
            let mut expected: Vec<_> =
                self.model.members(&group.id).map(|member| member.id.clone()).collect();
            expected.sort();
            assert_eq!(members, expected);
        }
        for interface in &self.model.interfaces {
            let id = interface.id.parse().unwrap();
            let device = state.binding(&id).map(|binding| binding.device.to_string());
            assert_eq!(device, interface.device);
        }
    }
}

fn address(offset: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, offset)
}

fn peer(model: &ModelPeer) -> portcullis_core::rule::Peer {
    match model {
        ModelPeer::Cidr(cidr) => portcullis_core::rule::Peer::Cidr(cidr.parse().unwrap()),
        ModelPeer::Group(group) => portcullis_core::rule::Peer::Group(group.parse().unwrap()),
    }
}

fn spec(direction: Direction, model: &ModelRule) -> RuleSpec {
    let cidr = match &model.peer {
        ModelPeer::Cidr(cidr) => Some(cidr.parse().unwrap()),
        ModelPeer::Group(_) => None,
    };
    let (source_cidr, dest_cidr) = match direction {
        Direction::Egress => (None, cidr),
        Direction::Ingress => (cidr, None),
    };
    let fields = RuleFields {
        ports: Some("443/443".parse().unwrap()),
        source_cidr,
        dest_cidr,
        peer_group: match &model.peer {
            ModelPeer::Group(group) => Some(group.parse().unwrap()),
            ModelPeer::Cidr(_) => None,
        },
        priority: Priority::new(model.priority),
        policy: model.drop.then_some(portcullis_core::rule::Policy::Drop),
        ..RuleFields::of_protocol("TCP".parse().unwrap())
    };
    RuleSpec::new(direction, fields).unwrap()
}

fn modify(id: &str, groups: &[String]) -> Command {
    Command::ModifyNetworkInterfaceAttribute(ModifyNetworkInterfaceAttribute {
        interface: id.parse().unwrap(),
        groups: Some(groups.iter().map(|group| group.parse().unwrap()).collect()),
        name: None,
        description: Edit::Keep,
        source_dest_check: None,
        delete_on_release: None,
        tcp_established_s: None,
        tcp_closed_s: None,
        udp_s: None,
    })
}

fn create_interface(
    vswitch: &str,
    groups: &[String],
    primary: Option<u8>,
    secondary: &[u8],
) -> Command {
    Command::CreateNetworkInterface(CreateNetworkInterface {
        vswitch: vswitch.parse().unwrap(),
        groups: groups.iter().map(|group| group.parse().unwrap()).collect(),
        primary: primary.map(address),
        secondary: secondary.iter().copied().map(address).collect(),
        secondary_count: 0,
        ipv6: Vec::new(),
        ipv6_count: 0,
        mac: None,
        name: None,
        description: None,
        source_dest_check: None,
        delete_on_release: None,
        connection_tracking: None,
        resource_group: None,
        tags: Tags::default(),
    })
}

#[test]
fn random_commands_have_the_model_s_answers() {
    const SEEDS: u64 = 60;
    const STEPS: usize = 150;
    let mut codes = BTreeSet::new();
    for seed in 0..SEEDS {
        let mut pair = Pair::new(seed);
        for step in 0..STEPS {
            // On a failure this says where to look.
            let place = format!("seed {seed}, step {step}");
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                pair.step();
                pair.compare_contents();
            }));
            if let Err(panic) = result {
                eprintln!("at {place}");
                std::panic::resume_unwind(panic);
            }
        }
        codes.append(&mut pair.codes);
    }
    // Every refusal that the model knows has happened, so the commands do reach them.
    let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
    assert_eq!(
        codes,
        [
            "AclLimitExceed",
            "AuthorizationLimitExceed",
            "DependencyViolation",
            "InvalidBinding.NotFound",
            "InvalidDestGroupId.Mismatch",
            "InvalidDestGroupId.NotFound",
            "InvalidEniId.NotFound",
            "InvalidIp.Address",
            "InvalidIp.IpRepeated",
            "InvalidOperation.DeviceInUse",
            "InvalidOperation.InvalidEniState",
            "InvalidOperation.VpcMismatch",
            "InvalidParam.DestGroupId",
            "InvalidParam.DuplicatePermissions",
            "InvalidParam.SourceGroupId",
            "InvalidPolicy.Malformed",
            "InvalidPrivateIpAddress.Duplicated",
            "InvalidSecurityGroup.IsSame",
            "InvalidSecurityGroupId.NotFound",
            "InvalidSourceGroupId.Mismatch",
            "InvalidSourceGroupId.NotFound",
            "InvalidVSwitchId.IpNotEnough",
            "JoinedGroupLimitExceed",
            "MissingSecurityGroupId",
            "OperationDenied",
            "QuotaExceed.SecurityGroup",
            "SecurityGroupInstanceLimitExceed",
        ]
    );
}
