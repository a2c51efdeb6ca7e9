//! The model: what each account has, every noun a list that is looked through, and who sees what.
//!
//! It knows no index. Numbers of addresses are numbers, ids are texts.
use std::collections::BTreeSet;

/// All that may be answered instead; empty where the command must be carried out.
pub(super) type Refusals = BTreeSet<String>;

/// On whose behalf and where something is asked.
#[derive(Clone, Debug)]
pub(super) struct Who {
    pub(super) caller: u64,
    pub(super) region: Option<String>,
}

/// What can be tagged has these.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Labels {
    pub(super) tags: Vec<(String, String)>,
    pub(super) group: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Account {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) root: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Vpc {
    pub(super) id: String,
    pub(super) owner: u64,
    pub(super) region: String,
    pub(super) cidr: String,
    pub(super) ipv6: Option<String>,
    pub(super) router: String,
    pub(super) route_table: String,
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    pub(super) labels: Labels,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct VSwitch {
    pub(super) id: String,
    pub(super) owner: u64,
    pub(super) region: String,
    pub(super) vpc: String,
    pub(super) zone: String,
    pub(super) cidr: String,
    pub(super) ipv6: Option<String>,
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    /// Without a group of its own: it is in that of its VPC.
    pub(super) labels: Labels,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Group {
    pub(super) id: String,
    pub(super) owner: u64,
    pub(super) region: String,
    pub(super) vpc: Option<String>,
    pub(super) enterprise: bool,
    pub(super) name: Option<String>,
    pub(super) labels: Labels,
}

/// An egress rule for TCP 443 to the members of a group.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rule {
    pub(super) group: String,
    pub(super) peer: String,
    pub(super) priority: u8,
    /// The peer's account where it is another one, and how it was called.
    pub(super) foreign: Option<(u64, Option<String>)>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Attached {
    pub(super) instance: String,
    pub(super) primary: bool,
    pub(super) since_ms: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Interface {
    pub(super) id: String,
    pub(super) owner: u64,
    pub(super) region: String,
    pub(super) vpc: String,
    pub(super) vswitch: String,
    pub(super) zone: String,
    pub(super) mac: String,
    pub(super) own: Own,
    pub(super) groups: Vec<String>,
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    pub(super) source_dest_check: Option<bool>,
    pub(super) delete_on_release: bool,
    pub(super) tracking: Option<(u16, u16, u16)>,
    pub(super) queues: Option<u16>,
    pub(super) attached: Option<Attached>,
    pub(super) device: Option<String>,
    pub(super) labels: Labels,
}

/// Addresses as numbers, prefixes as the number of their first address.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Own {
    pub(super) primary: u128,
    pub(super) secondary: Vec<u128>,
    pub(super) ipv4_prefixes: Vec<u128>,
    pub(super) ipv6: Vec<u128>,
    pub(super) ipv6_prefixes: Vec<u128>,
}

impl Own {
    pub(super) fn count(&self) -> usize {
        let addresses = 1 + self.secondary.len() + self.ipv6.len();
        addresses + self.ipv4_prefixes.len() + self.ipv6_prefixes.len()
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Instance {
    pub(super) id: String,
    pub(super) owner: u64,
    pub(super) region: String,
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    pub(super) running: bool,
    pub(super) protected: bool,
    pub(super) started_ms: Option<u64>,
    pub(super) labels: Labels,
}

/// A prefix list, or a port range list; what is in it is another test's.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct List {
    pub(super) id: String,
    pub(super) owner: u64,
    pub(super) region: String,
    pub(super) of_ports: bool,
    pub(super) labels: Labels,
}

/// Everything, each list by id.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Model {
    pub(super) accounts: Vec<Account>,
    pub(super) vpcs: Vec<Vpc>,
    pub(super) vswitches: Vec<VSwitch>,
    pub(super) groups: Vec<Group>,
    pub(super) rules: Vec<Rule>,
    pub(super) interfaces: Vec<Interface>,
    pub(super) instances: Vec<Instance>,
    pub(super) lists: Vec<List>,
    /// VPCs, each with an account that may use it too.
    pub(super) shares: Vec<(String, u64)>,
}

/// What an account has.
pub(super) trait Owned {
    fn id(&self) -> &str;
    fn owner(&self) -> u64;
    fn region(&self) -> &str;
    fn labels(&mut self) -> &mut Labels;
}

macro_rules! owned {
    ($($noun:ident)*) => {
        $(impl Owned for $noun {
            fn id(&self) -> &str {
                &self.id
            }
            fn owner(&self) -> u64 {
                self.owner
            }
            fn region(&self) -> &str {
                &self.region
            }
            fn labels(&mut self) -> &mut Labels {
                &mut self.labels
            }
        })*
    };
}

owned!(Vpc VSwitch Group Interface Instance List);

impl Who {
    pub(super) fn is_in(&self, region: &str) -> bool {
        self.region.as_ref().is_none_or(|own| own == region)
    }

    pub(super) fn sees(&self, thing: &impl Owned) -> bool {
        thing.owner() == self.caller && self.is_in(thing.region())
    }

    /// The one of this id, if it is the caller's.
    pub(super) fn own<'a, T: Owned>(&self, things: &'a [T], id: &str) -> Option<&'a T> {
        things.iter().find(|thing| thing.id() == id && self.sees(*thing))
    }
}

/// The one of this id, whoever has it.
pub(super) fn get<'a, T: Owned>(things: &'a [T], id: &str) -> &'a T {
    things.iter().find(|thing| thing.id() == id).unwrap()
}

/// The same, to be changed.
pub(super) fn get_mut<'a, T: Owned>(things: &'a mut [T], id: &str) -> &'a mut T {
    things.iter_mut().find(|thing| thing.id() == id).unwrap()
}

/// Only this refusal.
pub(super) fn only(code: &str) -> Refusals {
    Refusals::from([code.to_string()])
}

impl Model {
    /// The VPC, if the caller may use it.
    pub(super) fn usable_vpc(&self, who: &Who, id: &str) -> Option<&Vpc> {
        let vpc = self.vpcs.iter().find(|vpc| vpc.id == id && who.is_in(&vpc.region))?;
        self.may_use(who.caller, vpc).then_some(vpc)
    }

    pub(super) fn may_use(&self, account: u64, vpc: &Vpc) -> bool {
        vpc.owner == account || self.shares.contains(&(vpc.id.clone(), account))
    }

    pub(super) fn members<'a>(&'a self, group: &'a str) -> impl Iterator<Item = &'a Interface> {
        self.interfaces.iter().filter(move |own| own.groups.iter().any(|id| id == group))
    }

    /// What counts against a group's quota.
    pub(super) fn used(&self, group: &Group) -> usize {
        match group.enterprise {
            true => self.members(&group.id).count(),
            false => self.members(&group.id).map(|own| own.own.count()).sum(),
        }
    }

    pub(super) fn rules_of(&self, groups: &[String]) -> usize {
        self.rules.iter().filter(|rule| groups.contains(&rule.group)).count()
    }

    pub(super) fn count<T: Owned>(things: &[T], owner: u64, region: &str) -> usize {
        let own = things.iter().filter(|own| own.owner() == owner && own.region() == region);
        own.count()
    }

    /// In the order in which the state lists them.
    pub(super) fn sorted(mut self) -> Self {
        self.accounts.sort_by_key(|own| own.id);
        self.vpcs.sort_by(|one, other| one.id.cmp(&other.id));
        self.vswitches.sort_by(|one, other| one.id.cmp(&other.id));
        self.groups.sort_by(|one, other| one.id.cmp(&other.id));
        self.interfaces.sort_by(|one, other| one.id.cmp(&other.id));
        self.instances.sort_by(|one, other| one.id.cmp(&other.id));
        self.lists.sort_by(|one, other| one.id.cmp(&other.id));
        self.shares.sort();
        let key = |rule: &Rule| (rule.group.clone(), rule.peer.clone(), rule.priority);
        self.rules.sort_by_key(key);
        self
    }
}
