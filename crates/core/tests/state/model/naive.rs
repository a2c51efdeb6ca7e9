//! The model: groups, their rules, interfaces and bindings, each a list that is looked through.
use super::naive_lists::{Kind, ModelList};
use super::{
    ADDRESSES_PER_GROUP, Answer, GROUPS_PER_INTERFACE, INTERFACES_PER_GROUP, OFFSETS,
    RULES_PER_GROUP, RULES_PER_INTERFACE, refuse,
};

#[derive(Clone, PartialEq)]
pub(super) struct ModelGroup {
    pub(super) id: String,
    pub(super) vpc: usize,
    pub(super) enterprise: bool,
    pub(super) open: bool,
    pub(super) name: Option<&'static str>,
    pub(super) description: Option<&'static str>,
    pub(super) tags: Vec<(&'static str, &'static str)>,
}

#[derive(Clone, PartialEq, Debug)]
pub(super) struct ModelRule {
    pub(super) group: String,
    pub(super) egress: bool,
    pub(super) peer: ModelPeer,
    /// Else it is for port 443.
    pub(super) port_list: Option<String>,
    pub(super) priority: u8,
    pub(super) drop: bool,
    /// No part of what the rule is.
    pub(super) description: Option<&'static str>,
}

impl ModelRule {
    pub(super) fn is(&self, other: &ModelRule) -> bool {
        *self == ModelRule { description: self.description, ..other.clone() }
    }
}

#[derive(Clone, PartialEq, Debug)]
pub(super) enum ModelPeer {
    Cidr(&'static str),
    Group(String),
    List(String),
}

#[derive(Clone)]
pub(super) struct ModelInterface {
    pub(super) id: String,
    pub(super) vpc: usize,
    pub(super) offsets: Vec<u8>,
    pub(super) groups: Vec<String>,
    pub(super) device: Option<String>,
}

#[derive(Default)]
pub(super) struct Model {
    pub(super) groups: Vec<ModelGroup>,
    pub(super) rules: Vec<ModelRule>,
    pub(super) interfaces: Vec<ModelInterface>,
    pub(super) lists: Vec<ModelList>,
}

impl Model {
    pub(super) fn group(&self, id: &str) -> Result<ModelGroup, String> {
        match self.groups.iter().find(|group| group.id == id) {
            Some(group) => Ok(group.clone()),
            None => refuse("InvalidSecurityGroupId.NotFound"),
        }
    }

    pub(super) fn rule_count(&self, group: &str) -> usize {
        self.rules.iter().filter(|rule| rule.group == group).count()
    }

    pub(super) fn members<'a>(
        &'a self,
        group: &'a str,
    ) -> impl Iterator<Item = &'a ModelInterface> {
        self.interfaces.iter().filter(move |i| i.groups.iter().any(|g| g == group))
    }

    pub(super) fn delete_group(&mut self, id: &str) -> Answer {
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

    pub(super) fn rename(
        &mut self,
        id: &str,
        name: Option<&'static str>,
        description: Option<&'static str>,
    ) -> Answer {
        let old = self.group(id)?;
        let mut new = old.clone();
        new.name = name.or(old.name);
        new.description = match description {
            None => old.description,
            Some(text) => Some(text).filter(|text| !text.is_empty()),
        };
        let changed = new != old;
        self.groups.iter_mut().filter(|group| group.id == id).for_each(|g| *g = new.clone());
        Ok((usize::from(changed), 0))
    }

    pub(super) fn tag(&mut self, id: &str, tag: Option<(&'static str, &'static str)>) -> Answer {
        let Ok(mut new) = self.group(id) else { return refuse("InvalidResourceId.NotFound") };
        let old = new.clone();
        match tag {
            None => new.tags.clear(),
            Some((key, value)) => match new.tags.iter_mut().find(|(own, _)| *own == key) {
                Some(own) => own.1 = value,
                None => new.tags.push((key, value)),
            },
        }
        let changed = new != old;
        self.groups.iter_mut().filter(|group| group.id == id).for_each(|g| *g = new.clone());
        Ok((usize::from(changed), 0))
    }

    pub(super) fn policy(&mut self, id: &str, open: bool) -> Answer {
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

    /// Whether the group may have such a rule.
    pub(super) fn check_rule(&self, group: &ModelGroup, rule: &ModelRule) -> Result<(), String> {
        if let Some(list) = &rule.port_list {
            self.list(Kind::Ports, list)?;
        }
        let peer = match &rule.peer {
            ModelPeer::Cidr(_) => return Ok(()),
            ModelPeer::List(list) => return self.list(Kind::Prefixes, list).map(|_| ()),
            ModelPeer::Group(peer) => peer,
        };
        let side = if rule.egress { "Dest" } else { "Source" };
        if group.enterprise {
            return Err(format!("InvalidParam.{side}GroupId"));
        }
        if *peer == group.id {
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
        Ok(())
    }

    pub(super) fn authorize(&mut self, id: &str, rules: &[ModelRule]) -> Answer {
        let group = self.group(id)?;
        for rule in rules {
            self.check_rule(&group, rule)?;
        }
        if rules.len() == 2 && rules[0].is(&rules[1]) {
            return refuse("InvalidParam.DuplicatePermissions");
        }
        let is_new = |rule: &&ModelRule| !self.rules.iter().any(|old| old.is(rule));
        let new: Vec<ModelRule> = rules.iter().filter(is_new).cloned().collect();
        let more = new.iter().map(|rule| self.places(rule)).sum();
        self.check_places(id, more, 0)?;
        self.check_associations(id, &new)?;
        let count = new.len();
        self.rules.extend(new);
        Ok((count, 0))
    }

    /// Whether rules that count `more` may come in the place of those that count `fewer`.
    pub(super) fn check_places(&self, id: &str, more: usize, fewer: usize) -> Result<(), String> {
        let sum = |groups: &[String]| groups.iter().map(|g| self.group_places(g)).sum::<usize>();
        let over_group = self.group_places(id) + more > RULES_PER_GROUP + fewer;
        let over_interface =
            self.members(id).any(|i| sum(&i.groups) + more > RULES_PER_INTERFACE + fewer);
        if more > fewer && (over_group || over_interface) {
            return refuse("AuthorizationLimitExceed");
        }
        Ok(())
    }

    pub(super) fn revoke(&mut self, id: &str, rules: &[ModelRule]) -> Answer {
        self.group(id)?;
        let before = self.rules.len();
        self.rules.retain(|old| !rules.iter().any(|rule| rule.is(old)));
        Ok((0, before - self.rules.len()))
    }

    pub(super) fn check_groups(
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
        let sum: usize = unique.iter().map(|id| self.group_places(id)).sum();
        if unique.iter().any(|id| !old.contains(id)) && sum > RULES_PER_INTERFACE {
            return refuse("AclLimitExceed");
        }
        Ok(unique)
    }

    pub(super) fn choose(
        &self,
        vpc: usize,
        primary: Option<u8>,
        secondary: &[u8],
    ) -> Result<Vec<u8>, String> {
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
                return refuse("InvalidVSwitchId.IpInvalid");
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

    pub(super) fn interface(&self, id: &str) -> Result<ModelInterface, String> {
        match self.interfaces.iter().find(|interface| interface.id == id) {
            Some(interface) => Ok(interface.clone()),
            None => refuse("InvalidEniId.NotFound"),
        }
    }

    pub(super) fn modify(&mut self, id: &str, groups: &[String]) -> Answer {
        let old = self.interface(id)?;
        let new = self.check_groups(old.vpc, groups, &old.groups, old.offsets.len())?;
        let changed = new != old.groups;
        for interface in self.interfaces.iter_mut().filter(|interface| interface.id == id) {
            interface.groups = new.clone();
        }
        Ok((usize::from(changed), 0))
    }

    pub(super) fn delete_interface(&mut self, id: &str) -> Answer {
        if self.interface(id)?.device.is_some() {
            return refuse("InvalidOperation.InvalidEniState");
        }
        self.interfaces.retain(|interface| interface.id != id);
        Ok((0, 1))
    }

    pub(super) fn bind(&mut self, id: &str, device: &str) -> Answer {
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

    pub(super) fn unbind(&mut self, id: &str) -> Answer {
        match self.interfaces.iter_mut().find(|i| i.id == id && i.device.is_some()) {
            Some(interface) => {
                interface.device = None;
                Ok((0, 1))
            }
            None => refuse("InvalidBinding.NotFound"),
        }
    }
}
