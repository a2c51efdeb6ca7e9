//! The real state and the model side by side: what is sent to both, and what both must hold.
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use portcullis_core::command::*;
use portcullis_core::error::ErrorClass;
use portcullis_core::records::Change;
use portcullis_core::rule::{Direction, Peer, Policy, PortMatch, Priority};
use portcullis_core::text::Tags;
use portcullis_core::world::{GroupType, InnerAccess};

use super::naive::{Model, ModelGroup, ModelInterface, ModelPeer, ModelRule};
use super::naive_lists::Kind;
use super::{
    ADDRESSES_PER_GROUP, ASSOCIATIONS_MAX, Answer, GROUPS_MAX, GROUPS_PER_INTERFACE,
    INTERFACES_PER_GROUP, LISTS_MAX, RULES_PER_GROUP, RULES_PER_INTERFACE, refuse,
};
use crate::harness::{Harness, OTHER, SeededDice, Sender};
use crate::language::run;

/// The real state and the model, side by side.
pub(super) struct Pair {
    pub(super) harness: Harness,
    pub(super) model: Model,
    pub(super) dice: SeededDice,
    pub(super) tokens: u64,
    /// The codes that were answered.
    pub(super) codes: BTreeSet<String>,
}

impl Pair {
    pub(super) fn new(seed: u64) -> Self {
        let mut harness = Harness::new();
        let quotas = &mut harness.settings.quotas;
        quotas.groups_per_region = GROUPS_MAX;
        quotas.rules_per_group = RULES_PER_GROUP;
        quotas.rules_per_interface = RULES_PER_INTERFACE;
        quotas.groups_per_interface = GROUPS_PER_INTERFACE;
        quotas.addresses_per_basic_group = ADDRESSES_PER_GROUP;
        quotas.interfaces_per_enterprise_group = INTERFACES_PER_GROUP;
        quotas.prefix_lists_per_region = LISTS_MAX;
        quotas.port_range_lists_per_region = LISTS_MAX;
        quotas.associations_per_list = ASSOCIATIONS_MAX;
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

    pub(super) fn chance(&mut self, one_in: usize) -> bool {
        self.dice.below(one_in) == 0
    }

    pub(super) fn some_group(&mut self) -> String {
        match self.model.groups.len() {
            0 => "sg-none".into(),
            _ if self.chance(20) => "sg-none".into(),
            count => self.model.groups[self.dice.below(count)].id.clone(),
        }
    }

    pub(super) fn some_groups(&mut self) -> Vec<String> {
        let count = match self.dice.below(24) {
            0 => 0,
            1 => 5,
            n => 1 + n % 3,
        };
        (0..count).map(|_| self.some_group()).collect()
    }

    pub(super) fn some_interface(&mut self) -> String {
        match self.model.interfaces.len() {
            0 => "eni-none".into(),
            _ if self.chance(20) => "eni-none".into(),
            count => self.model.interfaces[self.dice.below(count)].id.clone(),
        }
    }

    pub(super) fn some_rules(&mut self, group: &str, egress: bool) -> Vec<ModelRule> {
        let count = 1 + self.dice.below(2);
        let rule = |pair: &mut Self| ModelRule {
            group: group.into(),
            egress,
            peer: match pair.dice.below(6) {
                0 => ModelPeer::Cidr("10.0.0.1"),
                1 => ModelPeer::Cidr("10.0.0.1/32"),
                2 | 3 => ModelPeer::List(pair.some_list(Kind::Prefixes)),
                _ => ModelPeer::Group(pair.some_group()),
            },
            port_list: pair.chance(3).then(|| pair.some_list(Kind::Ports)),
            priority: 1 + pair.dice.below(2) as u8,
            drop: pair.chance(4),
            description: pair.chance(2).then_some("new"),
        };
        (0..count).map(|_| rule(self)).collect()
    }

    /// Sends, with a client token now and then, and compares the answer with the model's.
    pub(super) fn send(&mut self, command: &Command, expected: Answer) -> Option<Outcome> {
        let mut sender = self.harness.sender();
        if self.chance(4) {
            self.tokens += 1;
            let token = format!("token-{}", self.tokens).parse().unwrap();
            sender.idempotency = Some(Idempotency { token, digest: [0; 32] });
        }
        self.check_stranger(command);
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

    /// Another account can neither do what the command says nor learn whether there is such a
    /// thing.
    fn check_stranger(&mut self, command: &Command) {
        let is_administrative =
            matches!(command, Command::BindInterface { .. } | Command::UnbindInterface { .. });
        let names_nothing =
            matches!(command, Command::CreatePrefixList(_) | Command::CreatePortRangeList(_));
        if is_administrative || names_nothing {
            return;
        }
        let stranger = Sender { caller: OTHER, ..self.harness.sender() };
        let error = self.harness.decide(&stranger, command).unwrap_err();
        assert_eq!(error.class, ErrorClass::NotFound, "{command:?}: {error}");
    }

    pub(super) fn step(&mut self) {
        self.harness.now_ms += 1;
        match self.dice.below(20) {
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
            7 | 8 | 20 | 21 => self.create_interface(),
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
            11 | 22 | 23 => self.change_binding(),
            12 => self.create_list(),
            13 | 14 => self.modify_list(),
            15 => self.delete_list(),
            16 | 17 => self.modify_rule(),
            18 => self.rename_group(),
            _ => self.tag_group(),
        }
    }

    pub(super) fn create_group(&mut self) {
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
            self.model.groups.push(ModelGroup {
                id,
                vpc,
                enterprise,
                open: !enterprise,
                name: None,
                description: None,
                tags: Vec::new(),
            });
        }
    }

    pub(super) fn change_rules(&mut self) {
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

    pub(super) fn create_interface(&mut self) {
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

    pub(super) fn change_binding(&mut self) {
        let id = self.some_interface();
        let interface = id.parse().unwrap();
        if self.chance(2) {
            let expected = self.model.unbind(&id);
            self.send(&Command::UnbindInterface { interface }, expected);
        } else {
            let device = format!("veth{}", self.dice.below(2));
            let expected = self.model.bind(&id, &device);
            let device = device.parse().unwrap();
            self.send(&Command::BindInterface { interface, device }, expected);
        }
    }

    /// What can be read is what the model holds.
    pub(super) fn compare_contents(&self) {
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
                let record = state.rule(&id, &rule.id).unwrap();
                let found = self.model.rules.iter().any(|model| {
                    model.group == group.id
                        && model.egress == (rule.direction == Direction::Egress)
                        && model.priority == rule.priority.number()
                        && model.drop == (rule.policy == Policy::Drop)
                        && peer(&model.peer) == rule.peer
                        && ports(model) == rule.ports
                        && model.description == record.description.as_ref().map(|d| d.as_str())
                });
                assert!(found, "{rule:?}");
            }
            let members: Vec<_> = world.members(&id).map(|member| member.id.to_string()).collect();
            let mut expected: Vec<_> =
                self.model.members(&group.id).map(|member| member.id.clone()).collect();
            expected.sort();
            assert_eq!(members, expected);
        }
        self.compare_lists();
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

fn peer(model: &ModelPeer) -> Peer {
    match model {
        ModelPeer::Cidr(cidr) => Peer::Cidr(cidr.parse().unwrap()),
        ModelPeer::Group(group) => Peer::Group(group.parse().unwrap()),
        ModelPeer::List(list) => Peer::PrefixList(list.parse().unwrap()),
    }
}

fn ports(model: &ModelRule) -> PortMatch {
    match &model.port_list {
        Some(list) => PortMatch::List(list.parse().unwrap()),
        None => PortMatch::Ports("443/443".parse().unwrap()),
    }
}

/// All the fields of the rule.
pub(super) fn fields(direction: Direction, model: &ModelRule) -> RuleFields {
    let (mut cidr, mut group, mut list) = (None, None, None);
    match &model.peer {
        ModelPeer::Cidr(text) => cidr = Some(text.parse().unwrap()),
        ModelPeer::Group(id) => group = Some(id.parse().unwrap()),
        ModelPeer::List(id) => list = Some(id.parse().unwrap()),
    }
    let (source_cidr, dest_cidr) = match direction {
        Direction::Egress => (None, cidr),
        Direction::Ingress => (cidr, None),
    };
    RuleFields {
        ports: model.port_list.is_none().then(|| "443/443".parse().unwrap()),
        port_range_list: model.port_list.as_ref().map(|list| list.parse().unwrap()),
        source_cidr,
        dest_cidr,
        peer_group: group,
        peer_prefix_list: list,
        priority: Priority::new(model.priority),
        policy: Some(if model.drop { Policy::Drop } else { Policy::Accept }),
        description: model.description.map(|text| text.parse().unwrap()),
        ..RuleFields::of_protocol("TCP".parse().unwrap())
    }
}

pub(super) fn spec(direction: Direction, model: &ModelRule) -> RuleSpec {
    RuleSpec::new(direction, fields(direction, model)).unwrap()
}

fn modify(id: &str, groups: &[String]) -> Command {
    Command::ModifyNetworkInterfaceAttribute(ModifyNetworkInterfaceAttribute {
        interface: id.parse().unwrap(),
        groups: Some(groups.iter().map(|group| group.parse().unwrap()).collect()),
        name: None,
        description: Edit::Keep,
        source_dest_check: None,
        delete_on_release: None,
        queue_number: None,
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
    let groups = groups.iter().map(|group| group.parse().unwrap()).collect();
    Command::CreateNetworkInterface(CreateNetworkInterface {
        primary: primary.map(address),
        addresses: WantedAddresses {
            secondary: secondary.iter().copied().map(address).collect(),
            ..WantedAddresses::default()
        },
        ..CreateNetworkInterface::new(vswitch.parse().unwrap(), groups)
    })
}
