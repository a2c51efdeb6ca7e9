//! Steps on lists, on rules that change, and on what groups are called.
use portcullis_core::command::*;
use portcullis_core::list::{ListEntry, ListKind, PortRanges, Prefixes};
use portcullis_core::net::Family;
use portcullis_core::rule::Direction;
use portcullis_core::text::{EntryDescription, Tag, Tags};

use super::driver::{Pair, fields, spec};
use super::naive::{ModelPeer, ModelRule};
use super::naive_lists::{Entry, Kind, ModelList};
use crate::language::EntryText;

const PREFIXES: [&str; 4] = ["10.0.0.0/8", "192.0.2.1/32", "198.51.100.0/24", "::/0"];
const PORTS: [&str; 4] = ["80/80", "443/443", "1/65535", "-1/-1"];
const DESCRIPTIONS: [Option<&str>; 3] = [None, Some("one"), Some("two")];

fn description(text: Option<&str>) -> Option<EntryDescription> {
    text.map(|text| text.parse().unwrap())
}

fn create<K: EntryText>(scope: K::Scope, max: usize, entries: &[Entry]) -> CreateList<K> {
    let entry = |(value, text): &Entry| ListEntry {
        value: K::read(value),
        description: description(*text),
    };
    CreateList {
        name: "list".parse().unwrap(),
        description: None,
        scope,
        max_entries: max as u16,
        entries: entries.iter().map(entry).collect(),
        resource_group: None,
        tags: Tags::default(),
    }
}

fn modify<K: EntryText>(list: K::Id, remove: &[&str], add: &[Entry]) -> ModifyList<K> {
    let added = |(value, text): &Entry| AddedEntry {
        value: K::read(value),
        description: description(*text).map_or(Edit::Keep, Edit::Set),
    };
    ModifyList {
        list,
        name: None,
        description: Edit::Keep,
        add: add.iter().map(added).collect(),
        remove: remove.iter().map(|value| K::read(value)).collect(),
    }
}

/// Whether the list holds these entries in this order.
fn same_entries<K: ListKind>(entries: &[ListEntry<K::Value>], model: &[Entry]) -> bool {
    let texts = entries.iter().map(|entry| {
        let description = entry.description.as_ref().map(|text| text.as_str().to_string());
        (entry.value.to_string(), description)
    });
    let model = model.iter().map(|(value, text)| (value.to_string(), text.map(str::to_string)));
    texts.eq(model)
}

impl Pair {
    fn some_kind(&mut self) -> Kind {
        if self.chance(2) { Kind::Prefixes } else { Kind::Ports }
    }

    pub(super) fn some_list(&mut self, kind: Kind) -> String {
        let ids: Vec<String> = self.model.lists_of(kind).map(|list| list.id.clone()).collect();
        match ids.len() {
            0 => "list-none".into(),
            _ if self.chance(20) => "list-none".into(),
            count => ids[self.dice.below(count)].clone(),
        }
    }

    fn some_values(&mut self, kind: Kind) -> Vec<&'static str> {
        let all = match kind {
            Kind::Prefixes => PREFIXES,
            Kind::Ports => PORTS,
        };
        let value = |pair: &mut Self| {
            // The one that does not fit is rare.
            if pair.chance(20) { all[3] } else { all[pair.dice.below(3)] }
        };
        (0..self.dice.below(4)).map(|_| value(self)).collect()
    }

    fn some_entries(&mut self, kind: Kind) -> Vec<Entry> {
        let values = self.some_values(kind);
        values.into_iter().map(|value| (value, DESCRIPTIONS[self.dice.below(3)])).collect()
    }

    pub(super) fn create_list(&mut self) {
        let (kind, max) = (self.some_kind(), 1 + self.dice.below(3));
        let entries = self.some_entries(kind);
        let expected = self.model.create_list(kind, max, &entries);
        let command = match kind {
            Kind::Prefixes => Command::CreatePrefixList(create(Family::V4, max, &entries)),
            Kind::Ports => Command::CreatePortRangeList(create((), max, &entries)),
        };
        match self.send(&command, expected) {
            None => {}
            Some(Outcome::Written(Written::PrefixList { list })) => {
                let id = list.to_string();
                self.model.lists.push(ModelList { kind, id, max, entries });
            }
            Some(Outcome::Written(Written::PortRangeList { list })) => {
                let id = list.to_string();
                self.model.lists.push(ModelList { kind, id, max, entries });
            }
            Some(other) => panic!("{other:?}"),
        }
    }

    pub(super) fn modify_list(&mut self) {
        let kind = self.some_kind();
        let id = self.some_list(kind);
        let (remove, add) = (self.some_values(kind), self.some_entries(kind));
        let expected = self.model.modify_list(kind, &id, &remove, &add);
        let command = match kind {
            Kind::Prefixes => {
                Command::ModifyPrefixList(modify::<Prefixes>(id.parse().unwrap(), &remove, &add))
            }
            Kind::Ports => {
                let list = id.parse().unwrap();
                Command::ModifyPortRangeList(modify::<PortRanges>(list, &remove, &add))
            }
        };
        self.send(&command, expected);
    }

    pub(super) fn delete_list(&mut self) {
        let kind = self.some_kind();
        let id = self.some_list(kind);
        let expected = self.model.delete_list(kind, &id);
        self.send(&delete_list(kind, &id), expected);
    }

    /// The id of the rule of this content.
    fn id_of(&self, rule: &ModelRule) -> String {
        let direction = direction(rule.egress);
        let spec = spec(direction, rule);
        let group = rule.group.parse().unwrap();
        let rules = self.harness.state.world().group(&group).unwrap().rules.values();
        let same = rules.filter(|own| spec.describes(own)).map(|own| own.id.to_string());
        let ids: Vec<String> = same.collect();
        let [id] = &ids[..] else { panic!("{rule:?} stands {} times", ids.len()) };
        id.clone()
    }

    pub(super) fn modify_rule(&mut self) {
        let count = self.model.rules.len();
        if count == 0 {
            return;
        }
        let old = self.model.rules[self.dice.below(count)].clone();
        let group = if self.chance(10) { self.some_group() } else { old.group.clone() };
        let egress = old.egress != self.chance(10);
        let direction = direction(egress);
        if self.chance(2) {
            let text = [None, Some(""), Some("text")][self.dice.below(3)];
            let named = ModelRule { group: group.clone(), egress, ..old };
            let expected = self.model.describe_rule(&named, text);
            let named = ModelRule { description: None, ..named };
            let rule = ModifiedRule::Content(spec(direction, &named));
            self.send_modified(&group, direction, rule, edit(text), expected);
            return;
        }
        let mut new = old.clone();
        let mut sent = RuleFields::default();
        let other = self.some_rules(&old.group, old.egress).remove(0);
        let all = fields(direction, &other);
        match self.dice.below(4) {
            0 => {
                new.priority = other.priority;
                sent.priority = all.priority;
            }
            1 => {
                new.drop = other.drop;
                sent.policy = all.policy;
            }
            2 => {
                new.port_list = other.port_list;
                (sent.ports, sent.port_range_list) = (all.ports, all.port_range_list);
            }
            _ => {
                new.peer = other.peer;
                sent = RuleFields {
                    source_cidr: all.source_cidr,
                    dest_cidr: all.dest_cidr,
                    peer_group: all.peer_group,
                    peer_prefix_list: all.peer_prefix_list,
                    ..sent
                };
            }
        }
        // `443/443` sent to a rule with a list is another kind of ports; to one without, nothing.
        let id = self.id_of(&old);
        let expected = self.model.modify_rule(&group, egress, &old, &new);
        let rule = ModifiedRule::Id(id.parse().unwrap(), Box::new(sent));
        self.send_modified(&group, direction, rule, Edit::Keep, expected);
    }

    fn send_modified(
        &mut self,
        group: &str,
        direction: Direction,
        rule: ModifiedRule,
        description: Edit<portcullis_core::text::RuleDescription>,
        expected: super::Answer,
    ) {
        let group = group.parse().unwrap();
        self.send(
            &Command::ModifyRule(ModifyRule { group, direction, rule, description }),
            expected,
        );
    }

    pub(super) fn rename_group(&mut self) {
        let id = self.some_group();
        let name = [None, Some("web"), Some("api")][self.dice.below(3)];
        let text = [None, Some(""), Some("text")][self.dice.below(3)];
        let expected = self.model.rename(&id, name, text);
        let command = Command::ModifySecurityGroupAttribute(ModifySecurityGroupAttribute {
            group: id.parse().unwrap(),
            name: name.map(|name| name.parse().unwrap()),
            description: edit(text),
        });
        self.send(&command, expected);
    }

    pub(super) fn tag_group(&mut self) {
        let id = self.some_group();
        let tag = [None, Some(("k", "v")), Some(("k", "w")), Some(("l", ""))][self.dice.below(4)];
        let expected = self.model.tag(&id, tag);
        let resources = vec![Resource::SecurityGroup(id.parse().unwrap())];
        let command = match tag {
            None => Command::UntagResources(UntagResources { resources, untag: Untag::All }),
            Some((key, value)) => {
                let tag = Tag { key: key.parse().unwrap(), value: value.parse().unwrap() };
                Command::TagResources(TagResources {
                    resources,
                    tags: Tags::new(vec![tag]).unwrap(),
                })
            }
        };
        self.send(&command, expected);
    }

    /// Lists as the records have them, and as verdicts see them.
    pub(super) fn compare_lists(&self) {
        let state = &self.harness.state;
        assert_eq!(state.prefix_lists().count(), self.model.lists_of(Kind::Prefixes).count());
        assert_eq!(state.port_range_lists().count(), self.model.lists_of(Kind::Ports).count());
        for model in &self.model.lists {
            match model.kind {
                Kind::Prefixes => {
                    let list = state.prefix_list(&model.id.parse().unwrap()).unwrap();
                    assert!(same_entries::<Prefixes>(&list.entries, &model.entries), "{model:?}");
                    let judged = state.world().prefix_list(&list.id).unwrap();
                    let own = list.entries.iter().map(|entry| entry.value);
                    assert!(own.eq(judged.entries.iter().map(|cidr| cidr.prefix())));
                }
                Kind::Ports => {
                    let list = state.port_range_list(&model.id.parse().unwrap()).unwrap();
                    assert!(same_entries::<PortRanges>(&list.entries, &model.entries), "{model:?}");
                    let judged = state.world().port_range_list(&list.id).unwrap();
                    let own = list.entries.iter().map(|entry| entry.value);
                    assert!(own.eq(judged.entries.iter().copied()));
                }
            }
        }
    }
}

pub(super) fn direction(egress: bool) -> Direction {
    if egress { Direction::Egress } else { Direction::Ingress }
}

pub(super) fn delete_list(kind: Kind, id: &str) -> Command {
    match kind {
        Kind::Prefixes => Command::DeletePrefixList { list: id.parse().unwrap() },
        Kind::Ports => Command::DeletePortRangeList { list: id.parse().unwrap() },
    }
}

fn edit<T: std::str::FromStr>(text: Option<&str>) -> Edit<T>
where
    T::Err: std::fmt::Debug,
{
    match text {
        None => Edit::Keep,
        Some("") => Edit::Clear,
        Some(text) => Edit::Set(text.parse().unwrap()),
    }
}

/// What a peer of a rule is called in a row.
pub(super) fn peer_text(peer: &ModelPeer) -> String {
    match peer {
        ModelPeer::Cidr(text) => (*text).to_string(),
        ModelPeer::Group(id) | ModelPeer::List(id) => id.clone(),
    }
}
