//! The real state and the model side by side: how a command is sent to the one and judged by the
//! other, and what commands are made of.
use std::collections::BTreeSet;
use std::str::FromStr;

use portcullis_core::command::{Command, Edit, Outcome};
use portcullis_core::ids::AccountId;
use portcullis_core::text::{Tag, Tags};

use super::held::held;
use super::model::*;
use crate::harness::{Harness, SeededDice, Sender};

pub(super) const REGIONS: [&str; 2] = ["cn-hangzhou", "cn-qingdao-env17-d01"];
pub(super) const ZONES: [&str; 2] = ["zone-a", "zone-b"];
pub(super) const VPCS_MAX: usize = 2;
pub(super) const VSWITCHES_MAX: usize = 3;
pub(super) const GROUPS_MAX: usize = 5;
pub(super) const RULES_PER_GROUP: usize = 2;
pub(super) const RULES_PER_INTERFACE: usize = 2;
pub(super) const GROUPS_PER_INTERFACE: usize = 2;
pub(super) const ADDRESSES_PER_GROUP: usize = 12;
pub(super) const INTERFACES_PER_GROUP: usize = 2;
pub(super) const INTERFACES_MAX: usize = 7;
pub(super) const INTERFACES_PER_INSTANCE: usize = 2;
pub(super) const LISTS_MAX: usize = 2;
pub(super) const SHARES_MAX: usize = 1;

/// An id, a name or another text in its type.
pub(super) fn parsed<T: FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| panic!("{text:?}"))
}

pub(super) fn maybe<T: FromStr>(text: &Option<String>) -> Option<T> {
    text.as_deref().map(parsed)
}

pub(super) struct Pair {
    pub(super) harness: Harness,
    pub(super) model: Model,
    pub(super) dice: SeededDice,
    pub(super) who: Who,
    pub(super) root: u64,
    /// The codes that were answered.
    pub(super) codes: BTreeSet<String>,
    /// The names of the commands that were carried out and changed something.
    pub(super) done: BTreeSet<String>,
    /// Whether what was sent last has changed a record.
    changed: bool,
    /// What was sent last.
    last: Option<Command>,
}

impl Pair {
    pub(super) fn new(seed: u64) -> Self {
        let mut harness = Harness::new();
        let quotas = &mut harness.settings.quotas;
        quotas.vpcs_per_region = VPCS_MAX;
        quotas.vswitches_per_vpc = VSWITCHES_MAX;
        quotas.groups_per_region = GROUPS_MAX;
        quotas.rules_per_group = RULES_PER_GROUP;
        quotas.rules_per_interface = RULES_PER_INTERFACE;
        quotas.groups_per_interface = GROUPS_PER_INTERFACE;
        quotas.addresses_per_basic_group = ADDRESSES_PER_GROUP;
        quotas.interfaces_per_enterprise_group = INTERFACES_PER_GROUP;
        quotas.interfaces_per_region = INTERFACES_MAX;
        quotas.interfaces_per_instance = INTERFACES_PER_INSTANCE;
        quotas.prefix_lists_per_region = LISTS_MAX;
        quotas.port_range_lists_per_region = LISTS_MAX;
        quotas.shares_per_vpc = SHARES_MAX;
        let model = held(&harness.state);
        let root = harness.root.0;
        let who = Who { caller: root, region: None };
        let (codes, done) = (BTreeSet::new(), BTreeSet::new());
        let dice = SeededDice(seed);
        Self { harness, model, dice, who, root, codes, done, changed: false, last: None }
    }

    pub(super) fn chance(&mut self, one_in: usize) -> bool {
        self.dice.below(one_in) == 0
    }

    pub(super) fn one_of<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.dice.below(of.len())].clone()
    }

    /// Who asks next: some account, mostly in the first region.
    pub(super) fn choose_who(&mut self) {
        let accounts = self.model.accounts.len();
        let caller = match self.chance(3) {
            true => self.model.accounts[self.dice.below(accounts)].id,
            false => self.root,
        };
        let region = match self.dice.below(12) {
            0 => None,
            1 => Some(REGIONS[1].to_string()),
            _ => Some(REGIONS[0].to_string()),
        };
        self.who = Who { caller, region };
        (self.changed, self.last) = (false, None);
    }

    /// The id of something: the caller's mostly, anybody's or nobody's at times.
    pub(super) fn some<T: Owned>(&mut self, of: fn(&Model) -> &[T], none: &str) -> String {
        let ids = |things: &[T], all: bool, who: &Who| {
            let meant = things.iter().filter(|own| all || who.sees(*own));
            meant.map(|own| own.id().to_string()).collect::<Vec<_>>()
        };
        let all = self.chance(8);
        let ids = ids(of(&self.model), all, &self.who);
        if ids.is_empty() || self.chance(25) {
            return none.to_string();
        }
        self.one_of(&ids)
    }

    pub(super) fn some_vpc(&mut self) -> String {
        let all = self.chance(8);
        let usable = self.model.vpcs.iter();
        let usable =
            usable.filter(|vpc| all || self.model.usable_vpc(&self.who, &vpc.id).is_some());
        let ids: Vec<String> = usable.map(|vpc| vpc.id.clone()).collect();
        if ids.is_empty() || self.chance(25) {
            return "vpc-none".into();
        }
        self.one_of(&ids)
    }

    pub(super) fn some_vswitch(&mut self) -> String {
        self.some(|model| &model.vswitches, "vsw-none")
    }

    pub(super) fn some_group(&mut self) -> String {
        self.some(|model| &model.groups, "sg-none")
    }

    pub(super) fn some_interface(&mut self) -> String {
        self.some(|model| &model.interfaces, "eni-none")
    }

    pub(super) fn some_instance(&mut self) -> String {
        self.some(|model| &model.instances, "i-none")
    }

    pub(super) fn some_account(&mut self) -> u64 {
        match self.chance(15) {
            true => 7,
            false => self.model.accounts[self.dice.below(self.model.accounts.len())].id,
        }
    }

    pub(super) fn some_text(&mut self) -> Option<String> {
        self.one_of(&[None, Some("web".to_string()), Some("api".to_string())])
    }

    pub(super) fn some_labels(&mut self) -> Labels {
        let tags: &[(&str, &str)] = self.one_of(&[&[], &[("k", "v")], &[("k", "w"), ("l", "")]]);
        let tags = tags.iter().map(|(key, value)| ((*key).to_string(), (*value).to_string()));
        Labels { tags: tags.collect(), group: self.chance(4).then(|| "rg-a".to_string()) }
    }

    /// Sends a command. It is refused with one of `refusals`, and carried out where there is none.
    pub(super) fn send(&mut self, command: &Command, refusals: &Refusals) -> Option<Outcome> {
        let mut sender = Sender {
            caller: AccountId(self.who.caller),
            region: maybe(&self.who.region),
            ..self.harness.sender()
        };
        let who = self.who.clone();
        let may_refuse = |code: &str| refusals.contains(code);
        if self.chance(10) {
            sender.dry_run = true;
            let code = self.harness.send(&sender, command).unwrap_err().code.to_string();
            let passed = matches!(code.as_str(), "DryRunOperation" | "DRYRUN.SUCCESS");
            let fits = if refusals.is_empty() { passed } else { may_refuse(&code) };
            assert!(fits, "dry run of {who:?}: {command:?}: {code}, not {refusals:?}");
            sender.dry_run = false;
        }
        self.changed = false;
        self.last = Some(command.clone());
        match self.harness.send(&sender, command) {
            Ok(decision) => {
                self.changed = !decision.changes.is_empty();
                assert!(refusals.is_empty(), "{who:?}: {command:?}: done, not {refusals:?}");
                if self.changed {
                    let name = format!("{command:?}");
                    let end = name.find(|c: char| !c.is_alphanumeric()).unwrap_or(name.len());
                    self.done.insert(name[..end].to_string());
                }
                Some(decision.outcome)
            }
            Err(error) => {
                let fits = may_refuse(&error.code);
                assert!(fits, "{who:?}: {command:?}: {error}, not {refusals:?}");
                self.codes.insert(error.code.to_string());
                None
            }
        }
    }

    /// What the state holds is what the model holds, and nothing was written for nothing.
    pub(super) fn compare(&mut self, before: &Model) {
        let model = std::mem::take(&mut self.model);
        self.model = model.sorted();
        assert_eq!(self.changed, *before != self.model, "{:?} changes records", self.last);
        let held = held(&self.harness.state);
        assert_eq!(held.accounts, self.model.accounts);
        assert_eq!(held.vpcs, self.model.vpcs);
        assert_eq!(held.vswitches, self.model.vswitches);
        assert_eq!(held.groups, self.model.groups);
        assert_eq!(held.rules, self.model.rules);
        assert_eq!(held.interfaces, self.model.interfaces);
        assert_eq!(held.instances, self.model.instances);
        assert_eq!(held.lists, self.model.lists);
        assert_eq!(held.shares, self.model.shares);
    }
}

pub(super) fn tags(labels: &Labels) -> Tags {
    let tag = |(key, value): &(String, String)| Tag { key: parsed(key), value: parsed(value) };
    Tags::new(labels.tags.iter().map(tag).collect()).unwrap()
}

/// `""` clears, absent keeps.
pub(super) fn edit<T: FromStr>(text: Option<&str>) -> Edit<T> {
    match text {
        None => Edit::Keep,
        Some("") => Edit::Clear,
        Some(text) => Edit::Set(parsed(text)),
    }
}

/// What becomes of a text by such an edit.
pub(super) fn edited(old: &Option<String>, text: Option<&str>) -> Option<String> {
    match text {
        None => old.clone(),
        Some("") => None,
        Some(text) => Some(text.to_string()),
    }
}
