//! The model's lists, the rules that name them, and rules that change.
use std::collections::BTreeSet;

use super::naive::{Model, ModelPeer, ModelRule};
use super::{ASSOCIATIONS_MAX, Answer, LISTS_MAX, refuse};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Prefixes,
    Ports,
}

/// The value of an entry and its description.
pub(super) type Entry = (&'static str, Option<&'static str>);

#[derive(Clone, PartialEq, Debug)]
pub(super) struct ModelList {
    pub(super) kind: Kind,
    pub(super) id: String,
    pub(super) max: usize,
    pub(super) entries: Vec<Entry>,
}

/// An IPv6 block in a list of IPv4, ports that are none.
fn check_entries(kind: Kind, values: &[&str]) -> Result<(), String> {
    let (malformed, duplicated) = match kind {
        Kind::Prefixes => ("InvalidParameter.CidrMalformed", "InvalidParameter.CidrDuplicated"),
        Kind::Ports => ("InvalidParameter.PortRange", "InvalidParameter.PortRangeDuplicated"),
    };
    if values.contains(&"::/0") || values.contains(&"-1/-1") {
        return refuse(malformed);
    }
    if values.iter().collect::<BTreeSet<_>>().len() < values.len() {
        return refuse(duplicated);
    }
    Ok(())
}

fn values(entries: &[Entry]) -> Vec<&'static str> {
    entries.iter().map(|(value, _)| *value).collect()
}

impl Model {
    pub(super) fn list(&self, kind: Kind, id: &str) -> Result<ModelList, String> {
        match self.lists.iter().find(|list| list.kind == kind && list.id == id) {
            Some(list) => Ok(list.clone()),
            None => match kind {
                Kind::Prefixes => refuse("InvalidPrefixListId.NotFound"),
                Kind::Ports => refuse("InvalidPortRangeListId.NotFound"),
            },
        }
    }

    pub(super) fn lists_of(&self, kind: Kind) -> impl Iterator<Item = &ModelList> {
        self.lists.iter().filter(move |list| list.kind == kind)
    }

    /// The groups with rules that name the list.
    pub(super) fn naming(&self, kind: Kind, id: &str) -> BTreeSet<String> {
        let names = |rule: &&ModelRule| match kind {
            Kind::Prefixes => rule.peer == ModelPeer::List(id.into()),
            Kind::Ports => rule.port_list.as_deref() == Some(id),
        };
        self.rules.iter().filter(names).map(|rule| rule.group.clone()).collect()
    }

    /// How many rules the rule counts.
    pub(super) fn places(&self, rule: &ModelRule) -> usize {
        let max = |kind, id: &str| self.list(kind, id).unwrap().max;
        let peers = match &rule.peer {
            ModelPeer::List(list) => max(Kind::Prefixes, list),
            ModelPeer::Cidr(_) | ModelPeer::Group(_) => 1,
        };
        peers * rule.port_list.as_ref().map_or(1, |list| max(Kind::Ports, list))
    }

    pub(super) fn group_places(&self, group: &str) -> usize {
        let rules = self.rules.iter().filter(|rule| rule.group == group);
        rules.map(|rule| self.places(rule)).sum()
    }

    /// Whether the group may name the lists of these rules.
    pub(super) fn check_associations(
        &self,
        group: &str,
        rules: &[ModelRule],
    ) -> Result<(), String> {
        let lists = rules.iter().map(|rule| {
            let prefixes = match &rule.peer {
                ModelPeer::List(list) => Some(list.clone()),
                ModelPeer::Cidr(_) | ModelPeer::Group(_) => None,
            };
            (prefixes, rule.port_list.clone())
        });
        let full = |kind, id: &str| {
            let naming = self.naming(kind, id);
            !naming.contains(group) && naming.len() >= ASSOCIATIONS_MAX
        };
        for (prefixes, ports) in lists.collect::<BTreeSet<_>>() {
            if prefixes.is_some_and(|list| full(Kind::Prefixes, &list)) {
                return refuse("LimitExceed.PrefixListAssociationResource");
            }
            if ports.is_some_and(|list| full(Kind::Ports, &list)) {
                return refuse("LimitExceed.PortRangeListAssociationResource");
            }
        }
        Ok(())
    }

    pub(super) fn create_list(&self, kind: Kind, max: usize, entries: &[Entry]) -> Answer {
        check_entries(kind, &values(entries))?;
        if entries.len() > max {
            return refuse("LimitExceed.MaxEntries");
        }
        if self.lists_of(kind).count() == LISTS_MAX {
            return match kind {
                Kind::Prefixes => refuse("LimitExceed.PrefixListPerRegion"),
                Kind::Ports => refuse("InvalidOperation.MaxCountExceed"),
            };
        }
        Ok((1, 0))
    }

    pub(super) fn modify_list(
        &mut self,
        kind: Kind,
        id: &str,
        remove: &[&'static str],
        add: &[Entry],
    ) -> Answer {
        let old = self.list(kind, id)?;
        check_entries(kind, remove)?;
        check_entries(kind, &values(add))?;
        let mut new = old.clone();
        new.entries.retain(|(value, _)| !remove.contains(value));
        for (value, description) in add {
            match new.entries.iter_mut().find(|(own, _)| own == value) {
                Some(own) => own.1 = description.or(own.1),
                None => new.entries.push((value, *description)),
            }
        }
        if new.entries.len() > old.max {
            return refuse("LimitExceed.MaxEntries");
        }
        let changed = new != old;
        self.lists.iter_mut().filter(|list| list.id == id).for_each(|list| *list = new.clone());
        Ok((usize::from(changed), 0))
    }

    pub(super) fn delete_list(&mut self, kind: Kind, id: &str) -> Answer {
        self.list(kind, id)?;
        if !self.naming(kind, id).is_empty() {
            return match kind {
                Kind::Prefixes => refuse("NotAllowed.AssociationExist"),
                Kind::Ports => refuse("InvalidPortRangeListId.AssociationExist"),
            };
        }
        self.lists.retain(|list| list.id != id);
        Ok((0, 1))
    }

    /// Another description for the rule of this content.
    pub(super) fn describe_rule(
        &mut self,
        rule: &ModelRule,
        description: Option<&'static str>,
    ) -> Answer {
        self.group(&rule.group)?;
        let Some(old) = self.rules.iter_mut().find(|old| old.is(rule)) else {
            return refuse("SecurityGroupRule.NotFound");
        };
        let new = match description {
            None => old.description,
            Some(text) => Some(text).filter(|text| !text.is_empty()),
        };
        let changed = old.description != new;
        old.description = new;
        Ok((usize::from(changed), 0))
    }

    /// `new` in the place of `old`, asked for in this group and direction.
    pub(super) fn modify_rule(
        &mut self,
        group: &str,
        egress: bool,
        old: &ModelRule,
        new: &ModelRule,
    ) -> Answer {
        let asked = self.group(group)?;
        if old.group != group || old.egress != egress || !self.rules.contains(old) {
            return refuse("InvalidSecurityGroupRuleId.NotFound");
        }
        match (&old.peer, &new.peer) {
            (ModelPeer::Cidr(_), ModelPeer::Cidr(_))
            | (ModelPeer::Group(_), ModelPeer::Group(_))
            | (ModelPeer::List(_), ModelPeer::List(_)) => {}
            _ => return refuse("InvalidOperation.ModifySgRuleEntityType"),
        }
        if old.port_list.is_some() != new.port_list.is_some() {
            return refuse("InvalidOperation.ModifyPortRangeType");
        }
        self.check_rule(&asked, new)?;
        if self.rules.iter().any(|other| !other.is(old) && other.is(new)) {
            return refuse("InvalidOperation.RuleDuplicate");
        }
        self.check_places(group, self.places(new), self.places(old))?;
        self.check_associations(group, std::slice::from_ref(new))?;
        let changed = new != old;
        self.rules.iter_mut().filter(|rule| *rule == old).for_each(|rule| *rule = new.clone());
        Ok((usize::from(changed), 0))
    }
}
