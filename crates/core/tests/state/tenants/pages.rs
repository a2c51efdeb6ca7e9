//! What each account may read: rows are the model's, pages by number and by token give each row
//! once and in order, and an id of another account's is unknown to every action.
use std::collections::BTreeMap;

use portcullis_core::command::*;
use portcullis_core::ids::AccountId;
use portcullis_core::records::{Record, VSwitch as VSwitchRecord};

use super::labels::Labelled;
use super::model::*;
use super::networks::block;
use super::pair::*;
use crate::harness::Sender;

/// A part of a list: its rows as texts, how many there are, and what goes on.
struct Part {
    rows: Vec<String>,
    total: usize,
    next: Option<String>,
}

fn part<T>(page: &Page<T>, row: impl Fn(&T) -> String) -> Part {
    Part { rows: page.rows.iter().map(row).collect(), total: page.total, next: page.next.clone() }
}

fn ids<T: ToString>(of: impl IntoIterator<Item = T>) -> String {
    let all: Vec<String> = of.into_iter().map(|id| id.to_string()).collect();
    all.join(" ")
}

fn list_row<K: portcullis_core::list::ListKind>(row: &ListRow<K>) -> String {
    format!("{} {}", row.list.id, row.association_count)
}

/// Every list's rows in the words that [`Pair::expected`] uses.
fn rows(outcome: &Outcome) -> Part {
    let route = |row: &RouteTableRow| {
        format!("{} {}", row.vpc.id, ids(row.vswitches.iter().map(|own: &VSwitchRecord| &own.id)))
    };
    match outcome {
        Outcome::Vpcs(page) => part(page, |row| {
            let (vpc, tags) = (&row.vpc, row.vpc.tags.iter().count());
            format!("{} {} {tags} {:?} [{}]", vpc.id, vpc.owner, group(vpc), ids(&row.vswitches))
        }),
        Outcome::VSwitches(page) => part(page, |row| {
            let group = row.resource_group.as_ref().map(ToString::to_string);
            let (id, free) = (&row.vswitch.id, row.available_addresses);
            format!("{id} {free} {} {group:?}", row.route_table)
        }),
        Outcome::RouteTables(page) | Outcome::RouteTableList(page) => part(page, route),
        Outcome::SecurityGroups(page) => part(page, |row| {
            let counts = [row.address_count, row.available_amount, row.rule_count];
            format!("{} {counts:?} {}", row.group.id, row.group_rule_count)
        }),
        Outcome::SecurityGroupAttribute(own) => part(&own.rules, |row| {
            let (rule, name) = (&row.record.rule, row.peer_group_name.as_ref());
            let name = name.map(ToString::to_string);
            format!("{:?} {name:?} {}", rule.peer, rule.priority)
        }),
        Outcome::NetworkInterfaces(page) => {
            part(page, |row| format!("{} {}", row.interface.id, row.status.name()))
        }
        Outcome::Instances(page) => part(page, |row| {
            let further = ids(row.further.iter().map(|own| &own.id));
            format!("{} {} [{further}]", row.instance.id, row.primary.id)
        }),
        Outcome::PrefixLists(page) => part(page, list_row),
        Outcome::PortRangeLists(page) => part(page, list_row),
        Outcome::Tags(_, page) => {
            part(page, |row| format!("{} {}={}", row.resource.id(), row.tag.key, row.tag.value))
        }
        Outcome::TagCounts(page) => {
            part(page, |row| format!("{}={} {:?}", row.tag.key, row.tag.value, row.counts))
        }
        other => panic!("{other:?}"),
    }
}

fn group(vpc: &portcullis_core::records::Vpc) -> Option<String> {
    vpc.resource_group.as_ref().map(ToString::to_string)
}

/// What is listed.
#[derive(Clone, Debug)]
enum Listing {
    Vpcs,
    VSwitches,
    RouteTables,
    Groups,
    Rules(String),
    Interfaces,
    Instances,
    PrefixLists,
    PortRangeLists,
    Tags(ResourceKind),
    TagCounts,
}

const FIXED: [Listing; 9] = [
    Listing::Vpcs,
    Listing::VSwitches,
    Listing::RouteTables,
    Listing::Groups,
    Listing::Interfaces,
    Listing::Instances,
    Listing::PrefixLists,
    Listing::PortRangeLists,
    Listing::TagCounts,
];

fn lists<K: portcullis_core::list::ListKind>(
    of: &[List],
    of_ports: bool,
    is_named: bool,
    paging: Paging,
) -> DescribeLists<K>
where
    K::Id: std::str::FromStr,
{
    let named = of.iter().filter(|own| is_named && own.of_ports == of_ports);
    let lists = named.map(|own| parsed(&own.id)).collect();
    DescribeLists { lists, name: None, scope: None, resource_group: None, tags: vec![], paging }
}

/// The ids of everybody's, where they are named.
fn named<T: Owned, I: std::str::FromStr>(things: &[T], is_named: bool) -> Vec<I> {
    things.iter().filter(|_| is_named).map(|own| parsed(own.id())).collect()
}

/// What asks for a list; `is_named`: by the ids of everybody's things.
// tidy: long because it is one table, of every list
fn command(model: &Model, listing: &Listing, is_named: bool, paging: Paging) -> Command {
    match listing {
        Listing::Vpcs => Command::DescribeVpcs(DescribeVpcs {
            vpcs: named(&model.vpcs, is_named),
            name: None,
            is_default: None,
            enable_ipv6: None,
            with_dhcp_options: false,
            owner: None,
            resource_group: None,
            tags: vec![],
            paging,
        }),
        Listing::VSwitches => Command::DescribeVSwitches(DescribeVSwitches {
            vpc: None,
            vswitches: named(&model.vswitches, is_named),
            zone: None,
            name: None,
            is_default: None,
            enable_ipv6: None,
            owner: None,
            route_table: None,
            resource_group: None,
            tags: vec![],
            paging,
        }),
        Listing::RouteTables => {
            let tables = DescribeRouteTables {
                vpc: None,
                route_table: None,
                router: None,
                none_fits: false,
                system_routes: true,
                resource_group: None,
                paging,
            };
            match is_named {
                true => Command::DescribeRouteTableList(tables),
                false => Command::DescribeRouteTables(tables),
            }
        }
        Listing::Groups => Command::DescribeSecurityGroups(DescribeSecurityGroups {
            groups: is_named.then(|| named(&model.groups, true)),
            vpc: None,
            name: None,
            group_type: None,
            in_vpc: None,
            resource_group: None,
            tags: vec![],
            paging,
        }),
        Listing::Rules(group) => {
            Command::DescribeSecurityGroupAttribute(DescribeSecurityGroupAttribute {
                group: parsed(group),
                direction: None,
                nic_type: None,
                paging,
            })
        }
        Listing::Interfaces => Command::DescribeNetworkInterfaces(DescribeNetworkInterfaces {
            interfaces: named(&model.interfaces, is_named),
            group: None,
            vswitch: None,
            vpc: None,
            primary: None,
            private_addresses: vec![],
            ipv6_addresses: vec![],
            name: None,
            status: None,
            role: None,
            instance: None,
            service_managed: None,
            resource_group: None,
            tags: vec![],
            paging,
        }),
        Listing::Instances => {
            let instances = is_named.then(|| named(&model.instances, true));
            let filters = InstanceFilters { instances, ..InstanceFilters::default() };
            Command::DescribeInstances(Box::new(DescribeInstances { filters, paging }))
        }
        Listing::PrefixLists => {
            Command::DescribePrefixLists(lists(&model.lists, false, is_named, paging))
        }
        Listing::PortRangeLists => {
            Command::DescribePortRangeLists(lists(&model.lists, true, is_named, paging))
        }
        Listing::Tags(kind) => Command::ListTagResources(ListTagResources {
            kind: *kind,
            resources: vec![],
            searches: vec![],
            paging,
        }),
        Listing::TagCounts => Command::DescribeTags(DescribeTags {
            kinds: ResourceKind::ALL.to_vec(),
            resource: None,
            searches: vec![],
            paging,
        }),
    }
}

impl Model {
    fn expected(&self, who: &Who, listing: &Listing) -> Vec<String> {
        let lists = |of_ports| {
            let own =
                self.lists.iter().filter(move |own| who.sees(*own) && own.of_ports == of_ports);
            own.map(|own| format!("{} 0", own.id)).collect()
        };
        let mut rows: Vec<String> = match listing {
            Listing::Vpcs => self.vpc_rows(who),
            Listing::VSwitches => self.vswitch_rows(who),
            Listing::RouteTables => {
                let own = self.vpcs.iter().filter(|own| who.sees(*own));
                own.map(|own| format!("{} {}", own.id, self.own_vswitches(who, &own.id))).collect()
            }
            Listing::Groups => self.group_rows(who),
            Listing::Rules(group) => return self.rule_rows(who, group),
            Listing::Interfaces => {
                let own = self.interfaces.iter().filter(|own| who.sees(*own));
                own.map(|own| {
                    let used = own.attached.is_some() || own.device.is_some();
                    format!("{} {}", own.id, if used { "InUse" } else { "Available" })
                })
                .collect()
            }
            Listing::Instances => self.instance_rows(who),
            Listing::PrefixLists => lists(false),
            Listing::PortRangeLists => lists(true),
            Listing::Tags(kind) => return self.tag_rows(who, *kind),
            Listing::TagCounts => return self.tag_counts(who),
        };
        // The highest id first.
        rows.sort_unstable_by(|one, other| other.cmp(one));
        rows
    }

    /// The caller's own vSwitches of a VPC, by id.
    fn own_vswitches(&self, who: &Who, vpc: &str) -> String {
        let own = self.vswitches.iter().filter(|own| own.vpc == vpc && own.owner == who.caller);
        ids(own.map(|own| &own.id))
    }

    /// Of a shared VPC neither the tags nor the resource group are shared.
    fn vpc_rows(&self, who: &Who) -> Vec<String> {
        let usable = self.vpcs.iter().filter(|own| self.usable_vpc(who, &own.id).is_some());
        usable
            .map(|own| {
                let labels = match own.owner == who.caller {
                    true => own.labels.clone(),
                    false => Labels::default(),
                };
                let vswitches = self.own_vswitches(who, &own.id);
                let (id, owner, tags) = (&own.id, own.owner, labels.tags.len());
                format!("{id} {owner} {tags} {:?} [{vswitches}]", labels.group)
            })
            .collect()
    }

    fn vswitch_rows(&self, who: &Who) -> Vec<String> {
        let own = self.vswitches.iter().filter(|own| who.sees(*own));
        own.map(|own| {
            let vpc = get(&self.vpcs, &own.vpc);
            let (first, last, _) = block(&own.cidr);
            let used: usize = self
                .interfaces
                .iter()
                .filter(|other| other.vswitch == own.id)
                .map(|other| 1 + other.own.secondary.len() + 16 * other.own.ipv4_prefixes.len())
                .sum();
            let free = (last - first + 1 - 4) as usize - used;
            let group = vpc.labels.group.clone().filter(|_| vpc.owner == who.caller);
            format!("{} {free} {} {group:?}", own.id, vpc.route_table)
        })
        .collect()
    }

    fn group_rows(&self, who: &Who) -> Vec<String> {
        let own = self.groups.iter().filter(|own| who.sees(*own));
        own.map(|own| {
            let addresses: usize = self.members(&own.id).map(|own| own.own.count()).sum();
            let most = if own.enterprise { INTERFACES_PER_GROUP } else { ADDRESSES_PER_GROUP };
            let rules = self.rules_of(std::slice::from_ref(&own.id));
            let counts = [addresses, most - self.used(own), rules];
            format!("{} {counts:?} {rules}", own.id)
        })
        .collect()
    }

    /// In the order in which they were made, which is that of the model but for sorting: so as a
    /// sorted list. Another account's group is named and its name is not told.
    fn rule_rows(&self, who: &Who, group: &str) -> Vec<String> {
        let rules = self.rules.iter().filter(|rule| rule.group == group);
        rules
            .map(|rule| {
                let name = who.own(&self.groups, &rule.peer).and_then(|own| own.name.clone());
                format!("Group({}) {name:?} {}", rule.peer, rule.priority)
            })
            .collect()
    }

    fn instance_rows(&self, who: &Who) -> Vec<String> {
        let own = self.instances.iter().filter(|own| who.sees(*own));
        own.map(|own| {
            let mut further: Vec<(u64, &str)> = self
                .interfaces_of(&own.id)
                .filter_map(|own| Some((own.attached.as_ref()?, own)))
                .filter(|(to, _)| !to.primary)
                .map(|(to, own)| (to.since_ms, own.id.as_str()))
                .collect();
            further.sort_unstable();
            let further = ids(further.iter().map(|(_, id)| id));
            format!("{} {} [{further}]", own.id, self.primary_of(&own.id).id)
        })
        .collect()
    }

    fn tag_rows(&self, who: &Who, kind: ResourceKind) -> Vec<String> {
        let mut tags: Vec<(String, String, String)> = Vec::new();
        for Labelled { id, labels } in self.labelled(who, kind) {
            tags.extend(labels.tags.into_iter().map(|(key, value)| (id.clone(), key, value)));
        }
        tags.sort_unstable();
        tags.into_iter().map(|(id, key, value)| format!("{id} {key}={value}")).collect()
    }

    fn tag_counts(&self, who: &Who) -> Vec<String> {
        let mut counts: BTreeMap<(String, String), Vec<usize>> = BTreeMap::new();
        for (place, kind) in ResourceKind::ALL.iter().enumerate() {
            for own in self.labelled(who, *kind) {
                for tag in own.labels.tags {
                    let of = counts.entry(tag).or_insert(vec![0; ResourceKind::ALL.len()]);
                    of[place] += 1;
                }
            }
        }
        let row = |((key, value), of): ((String, String), Vec<usize>)| {
            let of: Vec<_> = ResourceKind::ALL.iter().copied().zip(of).collect();
            format!("{key}={value} {of:?}")
        };
        counts.into_iter().map(row).collect()
    }

    /// The groups that name one, whosever they are.
    fn references(&self, group: &str) -> Vec<(String, u64)> {
        let mut named: Vec<(String, u64)> = self
            .rules
            .iter()
            .filter(|rule| rule.peer == group)
            .map(|rule| (rule.group.clone(), get(&self.groups, &rule.group).owner))
            .collect();
        named.sort_unstable();
        named.dedup();
        named
    }
}

impl Pair {
    fn read(&mut self, command: &Command) -> Result<Outcome, String> {
        let sender = Sender {
            caller: AccountId(self.who.caller),
            region: maybe(&self.who.region),
            ..self.harness.sender()
        };
        let decided = self.harness.decide(&sender, command);
        decided.map(|decision| decision.outcome).map_err(|error| error.code.to_string())
    }

    /// Every account in some region reads what is its own, and nothing else.
    pub(super) fn check_reads(&mut self) {
        for account in self.model.accounts.clone() {
            let region = self.one_of(&[None, Some(REGIONS[0]), Some(REGIONS[0]), Some(REGIONS[1])]);
            self.who = Who { caller: account.id, region: region.map(str::to_string) };
            for listing in FIXED {
                self.check_listing(&listing);
            }
            for kind in ResourceKind::ALL {
                self.check_listing(&Listing::Tags(*kind));
            }
            for group in self.model.groups.clone() {
                if self.who.sees(&group) {
                    self.check_listing(&Listing::Rules(group.id));
                }
            }
            self.check_single_reads();
        }
        self.check_all_accounts();
    }

    fn check_listing(&mut self, listing: &Listing) {
        let who = self.who.clone();
        let mut expected = self.model.expected(&who, listing);
        let mut read = |paging: Paging, is_named: bool| {
            let command = command(&self.model, listing, is_named, paging);
            rows(&self.read(&command).unwrap())
        };
        let all = read(Paging::All, false);
        if let Listing::Rules(_) = listing {
            // The model does not know when they were made.
            let mut sorted = all.rows.clone();
            sorted.sort_unstable();
            expected.sort_unstable();
            assert_eq!(sorted, expected, "{who:?}: {listing:?}");
            expected.clone_from(&all.rows);
        }
        assert_eq!(all.rows, expected, "{who:?}: {listing:?}");
        assert_eq!((all.total, all.next), (expected.len(), None));
        let by_id = read(Paging::All, true).rows;
        // Where there is nothing to name, everything is asked for.
        assert_eq!(by_id, expected, "{who:?}: {listing:?} by id");
        let size = 1 + (expected.len() / 2) as u32;
        let (mut numbered, mut following, mut after) = (Vec::new(), Vec::new(), None);
        for page in 1..4 {
            let part = read(Paging::Number { page, size }, false);
            assert_eq!((part.total, part.next), (expected.len(), None));
            numbered.extend(part.rows);
        }
        assert_eq!(numbered, expected, "{who:?}: {listing:?} by {size}");
        loop {
            let part = read(Paging::Token { after, max_results: size }, false);
            assert!(part.rows.len() <= size as usize);
            following.extend(part.rows);
            after = part.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(following, expected, "{who:?}: {listing:?} in parts of {size}");
    }

    /// Each thing by its id: the caller's own is found, another's is as unknown as none.
    fn check_single_reads(&mut self) {
        let (who, model) = (self.who.clone(), self.model.clone());
        let mut check = |command: Command, found: bool, code: &str| {
            let answer = self.read(&command).map(|_| ());
            let expected = if found { Ok(()) } else { Err(code.to_string()) };
            assert_eq!(answer, expected, "{who:?}: {command:?}");
        };
        for own in &model.vpcs {
            let usable = model.usable_vpc(&who, &own.id).is_some();
            let command = Command::DescribeVpcAttribute { vpc: parsed(&own.id) };
            check(command, usable, "InvalidVpcID.NotFound");
        }
        for own in &model.vswitches {
            let command = Command::DescribeVSwitchAttributes { vswitch: parsed(&own.id) };
            check(command, who.sees(own), "InvalidVswitchID.NotFound");
        }
        for own in &model.interfaces {
            let (interface, attribute) = (parsed(&own.id), InterfaceAttribute::All);
            let command = Command::DescribeNetworkInterfaceAttribute { interface, attribute };
            check(command, who.sees(own), "InvalidEniId.NotFound");
        }
        for own in &model.instances {
            let command = Command::DescribeInstanceAttribute { instance: parsed(&own.id) };
            check(command, who.sees(own), "InvalidInstanceId.NotFound");
        }
        for own in &model.lists {
            let (command, code) = match own.of_ports {
                true => {
                    let list = parsed(&own.id);
                    let command = Command::DescribePortRangeListEntries { list };
                    (command, "InvalidPortRangeListId.NotFound")
                }
                false => {
                    let list = parsed(&own.id);
                    let command = Command::DescribePrefixListAttributes { list };
                    (command, "InvalidPrefixListId.NotFound")
                }
            };
            check(command, who.sees(own), code);
        }
        for own in &model.groups {
            let not_found = "InvalidSecurityGroupId.NotFound";
            let groups = vec![parsed(&own.id)];
            let references = Command::DescribeSecurityGroupReferences { groups };
            check(references, who.sees(own), not_found);
            let rules = Listing::Rules(own.id.clone());
            check(command(&model, &rules, false, Paging::All), who.sees(own), not_found);
        }
        for own in model.groups.iter().filter(|own| who.sees(*own)) {
            let groups = vec![parsed(&own.id)];
            let outcome = self.read(&Command::DescribeSecurityGroupReferences { groups }).unwrap();
            let Outcome::SecurityGroupReferences(rows) = outcome else { panic!("{outcome:?}") };
            let [row] = &rows[..] else { panic!("{rows:?}") };
            let named = row.referencing.iter().map(|(id, owner)| (id.to_string(), owner.0));
            assert_eq!(named.collect::<Vec<_>>(), model.references(&own.id));
        }
    }

    /// What only whoever operates the server reads: of all accounts.
    fn check_all_accounts(&mut self) {
        let outcome = self.read(&Command::DescribeAccounts).unwrap();
        let Outcome::Accounts(rows) = outcome else { panic!("{outcome:?}") };
        let names: Vec<_> = rows.iter().map(|row| row.account.name.to_string()).collect();
        let expected: Vec<_> = self.model.accounts.iter().map(|own| own.name.clone()).collect();
        assert_eq!(names, expected);
        let outcome = self.read(&Command::DescribeOwnedVpcs).unwrap();
        let Outcome::OwnedVpcs(rows) = outcome else { panic!("{outcome:?}") };
        let shares = rows.iter().flat_map(|row| {
            row.shares.iter().map(|(share, account)| (share.vpc.to_string(), account.id.0))
        });
        assert_eq!(rows.len(), self.model.vpcs.len());
        assert_eq!(shares.collect::<Vec<_>>(), self.model.shares);
        let outcome = self.read(&Command::DescribeBindings).unwrap();
        let Outcome::Bindings(rows) = outcome else { panic!("{outcome:?}") };
        let bound = rows.iter().map(|row| (row.interface.to_string(), row.device.to_string()));
        let own = self.model.interfaces.iter();
        let expected = own.filter_map(|own| Some((own.id.clone(), own.device.clone()?)));
        assert_eq!(bound.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
        let tokens = |record: &Record| matches!(record, Record::Token(_));
        assert!(!self.harness.state.records().any(|record| tokens(&record)));
    }
}
