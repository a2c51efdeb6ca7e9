//! Groups, and rules that name other groups, those of other accounts too.
use portcullis_core::command::*;
use portcullis_core::ids::AccountId;
use portcullis_core::rule::{Direction, Priority};
use portcullis_core::world::GroupType;

use super::model::*;
use super::pair::*;

/// How a rule says whose its peer is.
#[derive(Clone, Debug)]
struct Claim {
    id: Option<u64>,
    text: Option<String>,
}

impl Model {
    /// The account of this number, or of this name.
    fn called(&self, text: &str) -> Option<u64> {
        let found = self.accounts.iter().find(|own| own.id.to_string() == text || own.name == text);
        found.map(|own| own.id)
    }

    /// Whether a group may name the peer.
    fn check_peer(&self, who: &Who, group: &Group, peer: &str, claim: &Claim) -> Refusals {
        let mut refusals = Refusals::new();
        let mut refuse = |when: bool, code: &str| {
            if when {
                refusals.insert(code.into());
            }
        };
        refuse(group.vpc.is_none(), "InvalidDestGroupId.Mismatch");
        refuse(group.enterprise, "InvalidParam.DestGroupId");
        refuse(peer == group.id, "InvalidSecurityGroup.IsSame");
        let by_id = claim.id.map(|id| self.accounts.iter().any(|own| own.id == id).then_some(id));
        let by_text = claim.text.as_ref().map(|text| self.called(text));
        let owner = match (by_id, by_text) {
            (None, None) => Some(who.caller),
            (Some(one), None) | (None, Some(one)) => one,
            (Some(one), Some(other)) => {
                let agree = one.is_some() && one == other;
                refuse(!agree, "InvalidParam.DestGroupOwner");
                one.filter(|_| agree)
            }
        };
        let known = |found: &&Group| {
            let shares = |vpc: &String| {
                let vpc = get(&self.vpcs, vpc);
                self.may_use(who.caller, vpc) && self.may_use(found.owner, vpc)
            };
            let in_one = found.vpc == group.vpc && group.vpc.as_ref().is_some_and(shares);
            Some(found.owner) == owner && (found.owner == who.caller || in_one)
        };
        match self.groups.iter().find(|own| own.id == peer).filter(known) {
            None => refuse(true, "InvalidDestGroupId.NotFound"),
            Some(found) => {
                let elsewhere = found.vpc != group.vpc || found.region != group.region;
                refuse(elsewhere, "InvalidDestGroupId.Mismatch");
                refuse(found.enterprise, "InvalidParam.DestGroupId");
            }
        }
        refusals
    }

    pub(super) fn delete_group(&self, who: &Who, id: &str) -> Refusals {
        if who.own(&self.groups, id).is_none() {
            return only("InvalidSecurityGroupId.NotFound");
        }
        let named = self.rules.iter().any(|rule| rule.peer == id);
        match named || self.members(id).count() > 0 {
            true => only("DependencyViolation"),
            false => Refusals::new(),
        }
    }
}

impl Pair {
    pub(super) fn create_group(&mut self) {
        let vpc = (!self.chance(12)).then(|| self.some_vpc());
        let (enterprise, name, labels) = (self.chance(4), self.some_text(), self.some_labels());
        let mut refusals = Refusals::new();
        let mut refuse = |when: bool, code: &str| {
            if when {
                refusals.insert(code.into());
            }
        };
        let region = self.who.region.clone();
        refuse(region.is_none(), "MissingParameter.RegionId");
        let usable = |id: &String| self.model.usable_vpc(&self.who, id).is_some();
        refuse(vpc.as_ref().is_none_or(|id| !usable(id)) && (vpc.is_some() || enterprise), {
            "InvalidVpcId.NotFound"
        });
        let region = region.unwrap_or_default();
        let full = Model::count(&self.model.groups, self.who.caller, &region) >= GROUPS_MAX;
        refuse(full, "QuotaExceed.SecurityGroup");
        let command = Command::CreateSecurityGroup(CreateSecurityGroup {
            vpc: maybe(&vpc),
            group_type: if enterprise { GroupType::Enterprise } else { GroupType::Basic },
            name: maybe(&name),
            description: None,
            resource_group: maybe(&labels.group),
            tags: tags(&labels),
        });
        let Some(outcome) = self.send(&command, &refusals) else { return };
        let Outcome::Written(Written::SecurityGroup { group }) = outcome else { panic!() };
        let (id, owner) = (group.to_string(), self.who.caller);
        self.model.groups.push(Group { id, owner, region, vpc, enterprise, name, labels });
    }

    pub(super) fn delete_group(&mut self) {
        let id = self.some_group();
        let refusals = self.model.delete_group(&self.who, &id);
        if self.send(&Command::DeleteSecurityGroup { group: parsed(&id) }, &refusals).is_some() {
            self.model.groups.retain(|own| own.id != id);
            self.model.rules.retain(|rule| rule.group != id);
        }
    }

    pub(super) fn rename_group(&mut self) {
        let (id, name) = (self.some_group(), self.some_text());
        let own = self.who.own(&self.model.groups, &id).is_some();
        let refusals = if own { Refusals::new() } else { only("InvalidSecurityGroupId.NotFound") };
        let command = Command::ModifySecurityGroupAttribute(ModifySecurityGroupAttribute {
            group: parsed(&id),
            name: maybe(&name),
            description: Edit::Keep,
        });
        if self.send(&command, &refusals).is_some() {
            let group = get_mut(&mut self.model.groups, &id);
            group.name = name.or(group.name.take());
        }
    }

    /// A peer of anybody, mostly in the same VPC, and mostly the truth about whose it is.
    fn some_peer(&mut self, group: &str) -> (String, Claim) {
        let vpc = self.model.groups.iter().find(|own| own.id == group);
        let vpc = vpc.and_then(|own| own.vpc.clone());
        let everybody = self.chance(5);
        let near = |own: &&Group| everybody || own.vpc == vpc;
        let ids = self.model.groups.iter().filter(near).map(|own| own.id.clone());
        let ids: Vec<String> = ids.collect();
        let peer = match ids.is_empty() {
            true => "sg-none".to_string(),
            false => self.one_of(&ids),
        };
        let owner = self.model.groups.iter().find(|own| own.id == peer).map(|own| own.owner);
        let claimed = match owner {
            Some(owner) if !self.chance(6) => owner,
            _ => self.some_account(),
        };
        let name = self.model.accounts.iter().find(|own| own.id == claimed);
        let name = name.map_or("nobody".to_string(), |own| own.name.clone());
        let other = self.some_account().to_string();
        let claim = match self.dice.below(6) {
            0 => Claim { id: None, text: Some(name) },
            1 => Claim { id: None, text: Some(claimed.to_string()) },
            2 => Claim { id: Some(claimed), text: Some(name) },
            3 => Claim { id: Some(claimed), text: Some(other) },
            4 if owner == Some(self.who.caller) => Claim { id: None, text: None },
            _ => Claim { id: Some(claimed), text: None },
        };
        (peer, claim)
    }

    pub(super) fn change_rules(&mut self) {
        let (id, revoke) = (self.some_group(), self.chance(3));
        let ((peer, claim), priority) = (self.some_peer(&id), 1 + self.dice.below(2) as u8);
        let own: Vec<Rule> =
            self.model.rules.iter().filter(|rule| rule.group == id).cloned().collect();
        // What is revoked is mostly there.
        let (peer, priority) = match revoke && !own.is_empty() && !self.chance(4) {
            true => {
                let rule = self.one_of(&own);
                (rule.peer, rule.priority)
            }
            false => (peer, priority),
        };
        let fields = RuleFields {
            ports: Some(parsed("443/443")),
            peer_group: Some(parsed(&peer)),
            peer_owner_id: claim.id.map(AccountId),
            peer_owner_account: claim.text.clone(),
            priority: Priority::new(priority),
            ..RuleFields::of_protocol(parsed("TCP"))
        };
        let direction = Direction::Egress;
        let (group, rules) = (parsed(&id), vec![RuleSpec::new(direction, fields).unwrap()]);
        let model = &self.model;
        let found = self.who.own(&model.groups, &id).cloned();
        let alike =
            |rule: &Rule| rule.group == id && rule.peer == peer && rule.priority == priority;
        if revoke {
            let not_found = only("InvalidSecurityGroupId.NotFound");
            let refusals = found.as_ref().map_or(not_found, |_| Refusals::new());
            let rules = RevokedRules::Content(rules);
            let command = Command::Revoke(Revoke { group, direction, rules });
            // A rule of a classic group is of another network, which no rule here is.
            if self.send(&command, &refusals).is_some() {
                self.model.rules.retain(|rule| !alike(rule));
            }
            return;
        }
        let command = Command::Authorize(Authorize { group, direction, rules });
        let Some(found) = found else {
            self.send(&command, &only("InvalidSecurityGroupId.NotFound"));
            return;
        };
        let mut refusals = model.check_peer(&self.who, &found, &peer, &claim);
        let is_new = !model.rules.iter().any(alike);
        let over = |groups: &[String], most: usize| model.rules_of(groups) >= most;
        let full = over(std::slice::from_ref(&id), RULES_PER_GROUP)
            || model.members(&id).any(|own| over(&own.groups, RULES_PER_INTERFACE));
        if is_new && full {
            refusals.insert("AuthorizationLimitExceed".into());
        }
        if self.send(&command, &refusals).is_some() && is_new {
            let owner = get(&self.model.groups, &peer).owner;
            let foreign = (owner != self.who.caller).then_some((owner, claim.text));
            if foreign.is_some() {
                self.done.insert("Authorize, another account's group as the peer".into());
            }
            self.model.rules.push(Rule { group: id, peer, priority, foreign });
        }
    }
}
