//! Tags and resource groups of every kind, and lists as far as they have these.
use portcullis_core::command::*;
use portcullis_core::list::{PortRanges, Prefixes};
use portcullis_core::net::Family;
use portcullis_core::text::{TagKey, Tags};

use super::model::*;
use super::pair::*;

const TAGS_MAX: usize = 20;

/// A thing that has tags: its id, whose and where it is, and its labels.
pub(super) struct Labelled {
    pub(super) id: String,
    pub(super) labels: Labels,
}

impl Model {
    /// All of one kind that the caller has.
    pub(super) fn labelled(&self, who: &Who, kind: ResourceKind) -> Vec<Labelled> {
        fn all<'a, T: Owned + Clone + 'a>(
            who: &Who,
            things: impl Iterator<Item = &'a T>,
        ) -> Vec<Labelled> {
            let own = things.filter(|own| who.sees(*own)).cloned();
            own.map(|mut own| Labelled { id: own.id().to_string(), labels: own.labels().clone() })
                .collect()
        }
        let lists = |of_ports| self.lists.iter().filter(move |own| own.of_ports == of_ports);
        match kind {
            ResourceKind::SecurityGroup => all(who, self.groups.iter()),
            ResourceKind::NetworkInterface => all(who, self.interfaces.iter()),
            ResourceKind::Instance => all(who, self.instances.iter()),
            ResourceKind::PrefixList => all(who, lists(false)),
            ResourceKind::PortRangeList => all(who, lists(true)),
            ResourceKind::Vpc => all(who, self.vpcs.iter()),
            ResourceKind::VSwitch => all(who, self.vswitches.iter()),
        }
    }

    fn labels_mut(&mut self, kind: ResourceKind, id: &str) -> &mut Labels {
        match kind {
            ResourceKind::SecurityGroup => get_mut(&mut self.groups, id).labels(),
            ResourceKind::NetworkInterface => get_mut(&mut self.interfaces, id).labels(),
            ResourceKind::Instance => get_mut(&mut self.instances, id).labels(),
            ResourceKind::PrefixList | ResourceKind::PortRangeList => {
                get_mut(&mut self.lists, id).labels()
            }
            ResourceKind::Vpc => get_mut(&mut self.vpcs, id).labels(),
            ResourceKind::VSwitch => get_mut(&mut self.vswitches, id).labels(),
        }
    }
}

/// Tags that make too many together.
fn many(start: &str) -> Vec<(String, String)> {
    (0..11).map(|n| (format!("{start}{n}"), "v".to_string())).collect()
}

impl Pair {
    fn some_resource(&mut self) -> (ResourceKind, String) {
        let kind = self.one_of(ResourceKind::ALL);
        let who = match self.chance(6) {
            // Another's.
            true => Who { caller: self.some_account(), region: None },
            false => self.who.clone(),
        };
        let ids = self.model.labelled(&who, kind);
        let ids: Vec<String> = ids.into_iter().map(|own| own.id).collect();
        let id = match ids.is_empty() || self.chance(20) {
            true => "none-1".to_string(),
            false => self.one_of(&ids),
        };
        (kind, id)
    }

    /// Sends what gives new labels to resources, all of which must be the caller's.
    fn relabel(
        &mut self,
        named: &[(ResourceKind, String)],
        command: &Command,
        new: impl Fn(&Labels) -> Labels,
    ) {
        let mut refusals = Refusals::new();
        for (kind, id) in named {
            match self.model.labelled(&self.who, *kind).iter().find(|own| own.id == *id) {
                None => refusals.insert("InvalidResourceId.NotFound".into()),
                Some(own) if new(&own.labels).tags.len() > TAGS_MAX => {
                    refusals.insert("QuotaExceed.Tags".into())
                }
                Some(_) => false,
            };
        }
        if self.send(command, &refusals).is_some() {
            for (kind, id) in named {
                let labels = self.model.labels_mut(*kind, id);
                *labels = new(labels);
            }
        }
    }

    pub(super) fn change_tags(&mut self) {
        let named: Vec<_> = (0..1 + self.dice.below(2)).map(|_| self.some_resource()).collect();
        let resource = |(kind, id): &(ResourceKind, String)| kind.resource(id).unwrap();
        let resources = named.iter().map(resource).collect();
        match self.dice.below(4) {
            0 => {
                let command =
                    Command::UntagResources(UntagResources { resources, untag: Untag::All });
                self.relabel(&named, &command, |old| Labels { tags: vec![], ..old.clone() });
            }
            1 => {
                let keys: Vec<TagKey> = vec![parsed("k"), parsed("a1")];
                let untag = Untag::Keys(keys);
                let command = Command::UntagResources(UntagResources { resources, untag });
                let kept = |(key, _): &&(String, String)| key != "k" && key != "a1";
                self.relabel(&named, &command, |old| Labels {
                    tags: old.tags.iter().filter(kept).cloned().collect(),
                    ..old.clone()
                });
            }
            _ => {
                let pair = |key: &str, value: &str| vec![(key.to_string(), value.to_string())];
                let more = [pair("k", "v"), pair("l", "v"), many("a"), many("b")];
                let more = self.one_of(&more);
                let labels = Labels { tags: more.clone(), group: None };
                let tags: Tags = tags(&labels);
                let command = Command::TagResources(TagResources { resources, tags });
                self.relabel(&named, &command, |old| {
                    let mut new = old.clone();
                    for (key, value) in &more {
                        match new.tags.iter_mut().find(|(own, _)| own == key) {
                            Some(own) => own.1.clone_from(value),
                            None => new.tags.push((key.clone(), value.clone())),
                        }
                    }
                    new
                });
            }
        }
    }

    pub(super) fn move_resource_group(&mut self) {
        let (kind, id) = self.some_resource();
        let group = self.one_of(&["rg-a", "rg-b"]);
        let command = Command::MoveResourceGroup(MoveResourceGroup {
            resource: kind.resource(&id).unwrap(),
            resource_group: parsed(group),
        });
        if kind == ResourceKind::VSwitch {
            // It is in that of its VPC.
            self.send(&command, &only("InvalidResourceType.NotFound"));
            return;
        }
        self.relabel(&[(kind, id)], &command, |old| Labels {
            group: Some(group.to_string()),
            ..old.clone()
        });
    }

    pub(super) fn create_list(&mut self) {
        let (of_ports, labels) = (self.chance(2), self.some_labels());
        let mut refusals = Refusals::new();
        let region = self.who.region.clone().unwrap_or_default();
        let own = self.model.lists.iter().filter(|own| own.of_ports == of_ports);
        let own = own.filter(|own| own.owner == self.who.caller && own.region == region).count();
        if self.who.region.is_none() {
            refusals.insert("MissingParameter.RegionId".into());
        }
        if own >= LISTS_MAX {
            let code = if of_ports {
                "InvalidOperation.MaxCountExceed"
            } else {
                "LimitExceed.PrefixListPerRegion"
            };
            refusals.insert(code.into());
        }
        let (name, resource_group) = (parsed("list"), maybe(&labels.group));
        let (description, max_entries, tags) = (None, 1, tags(&labels));
        let command = match of_ports {
            true => Command::CreatePortRangeList(CreateList::<PortRanges> {
                name,
                description,
                scope: (),
                max_entries,
                entries: vec![],
                resource_group,
                tags,
            }),
            false => Command::CreatePrefixList(CreateList::<Prefixes> {
                name,
                description,
                scope: Family::V4,
                max_entries,
                entries: vec![],
                resource_group,
                tags,
            }),
        };
        let id = match self.send(&command, &refusals) {
            None => return,
            Some(Outcome::Written(Written::PrefixList { list })) => list.to_string(),
            Some(Outcome::Written(Written::PortRangeList { list })) => list.to_string(),
            Some(other) => panic!("{other:?}"),
        };
        self.model.lists.push(List { id, owner: self.who.caller, region, of_ports, labels });
    }

    pub(super) fn delete_list(&mut self) {
        let id = self.some(|model| &model.lists, "list-none");
        let of_ports = self.model.lists.iter().any(|own| own.id == id && own.of_ports);
        let (command, not_found) = match of_ports {
            true => {
                let command = Command::DeletePortRangeList { list: parsed(&id) };
                (command, "InvalidPortRangeListId.NotFound")
            }
            false => {
                let command = Command::DeletePrefixList { list: parsed(&id) };
                (command, "InvalidPrefixListId.NotFound")
            }
        };
        let own = self.who.own(&self.model.lists, &id).is_some();
        let refusals = if own { Refusals::new() } else { only(not_found) };
        if self.send(&command, &refusals).is_some() {
            self.model.lists.retain(|own| own.id != id);
        }
    }
}
