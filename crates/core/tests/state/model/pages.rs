//! What can be listed: rows are the model's, and pages by number and by token give each row once,
//! in order, under deletes too.
use portcullis_core::command::*;
use portcullis_core::rule::{Direction, Peer, PortMatch};

use super::driver::Pair;
use super::naive::{ModelGroup, ModelInterface, ModelPeer, ModelRule};
use super::naive_lists::{Kind, ModelList};
use super::steps::{delete_list, direction, peer_text};
use super::{ADDRESSES_PER_GROUP, INTERFACES_PER_GROUP};
use crate::harness::{Harness, OTHER, SeededDice, Sender};

/// What is listed.
#[derive(Clone, Debug)]
enum Listing {
    Groups,
    Rules(String),
    Interfaces,
    Lists(Kind),
    Associations(Kind, String),
    /// Of groups.
    Tags,
}

/// A row: what it is deleted by, and what it says.
type Row = (String, String);

/// Rows of a part, with what goes beside them.
struct Part {
    rows: Vec<Row>,
    total: usize,
    next: Option<String>,
}

fn part<T>(page: &Page<T>, row: impl Fn(&T) -> Row) -> Part {
    Part { rows: page.rows.iter().map(row).collect(), total: page.total, next: page.next.clone() }
}

fn describe_lists<K: portcullis_core::list::ListKind>(paging: Paging) -> DescribeLists<K> {
    let lists = Vec::new();
    DescribeLists { lists, name: None, scope: None, resource_group: None, tags: vec![], paging }
}

fn command(listing: &Listing, paging: Paging) -> Command {
    match listing {
        Listing::Groups => Command::DescribeSecurityGroups(DescribeSecurityGroups {
            groups: None,
            vpc: None,
            name: None,
            group_type: None,
            in_vpc: None,
            resource_group: None,
            tags: Vec::new(),
            paging,
        }),
        Listing::Rules(group) => {
            Command::DescribeSecurityGroupAttribute(DescribeSecurityGroupAttribute {
                group: group.parse().unwrap(),
                direction: None,
                nic_type: None,
                paging,
            })
        }
        Listing::Interfaces => Command::DescribeNetworkInterfaces(DescribeNetworkInterfaces {
            paging,
            ..every_interface()
        }),
        Listing::Lists(Kind::Prefixes) => Command::DescribePrefixLists(describe_lists(paging)),
        Listing::Lists(Kind::Ports) => Command::DescribePortRangeLists(describe_lists(paging)),
        Listing::Tags => Command::ListTagResources(ListTagResources {
            kind: ResourceKind::SecurityGroup,
            resources: Vec::new(),
            searches: Vec::new(),
            paging,
        }),
        Listing::Associations(Kind::Prefixes, list) => {
            let list = list.parse().unwrap();
            Command::DescribePrefixListAssociations(DescribeListAssociations { list, paging })
        }
        Listing::Associations(Kind::Ports, list) => {
            let list = list.parse().unwrap();
            Command::DescribePortRangeListAssociations(DescribeListAssociations { list, paging })
        }
    }
}

fn every_interface() -> DescribeNetworkInterfaces {
    DescribeNetworkInterfaces {
        interfaces: Vec::new(),
        group: None,
        vswitch: None,
        vpc: None,
        primary: None,
        private_addresses: Vec::new(),
        ipv6_addresses: Vec::new(),
        name: None,
        status: None,
        role: None,
        instance: None,
        service_managed: None,
        resource_group: None,
        tags: Vec::new(),
        paging: Paging::All,
    }
}

fn group_row(row: &SecurityGroupRow) -> Row {
    let group = &row.group;
    let tags: Vec<_> =
        group.tags.iter().map(|tag| (tag.key.as_str(), tag.value.as_str())).collect();
    let counts = [row.address_count, row.available_amount, row.rule_count, row.group_rule_count];
    let name = group.name.as_ref().map(|name| name.as_str());
    let description = group.description.as_ref().map(|text| text.as_str());
    let id = group.id.to_string();
    (id.clone(), format!("{id} {name:?} {description:?} {tags:?} {counts:?}"))
}

fn rule_row(row: &RuleRow) -> Row {
    let (record, rule) = (&row.record, &row.record.rule);
    let peer = match &rule.peer {
        Peer::Cidr(cidr) => cidr.to_string(),
        Peer::Group(group) => group.to_string(),
        Peer::PrefixList(list) => list.to_string(),
    };
    let ports = match &rule.ports {
        PortMatch::Ports(ports) => ports.to_string(),
        PortMatch::List(list) => list.to_string(),
    };
    let name = row.peer_group_name.as_ref().map(|name| name.as_str());
    let lists = [&row.prefix_list_name, &row.port_range_list_name].map(|name| name.is_some());
    let description = record.description.as_ref().map(|text| text.as_str());
    let text = format!(
        "{:?} {peer} {ports} {} {} {name:?} {lists:?} {description:?}",
        rule.direction,
        rule.priority,
        rule.policy.name()
    );
    (rule.id.to_string(), text)
}

fn list_row<K: portcullis_core::list::ListKind>(row: &ListRow<K>) -> Row {
    let (list, id) = (&row.list, row.list.id.to_string());
    let numbers = [list.entries.len(), usize::from(list.max_entries), row.association_count];
    (id.clone(), format!("{id} {numbers:?}"))
}

fn read(harness: &mut Harness, listing: &Listing, paging: Paging) -> Part {
    let sender = harness.sender();
    // Decided and no more: that reads change nothing is held against every other one.
    rows(&harness.decide(&sender, &command(listing, paging)).unwrap().outcome)
}

fn rows(outcome: &Outcome) -> Part {
    let id = |id: &portcullis_core::ids::SecurityGroupId| (id.to_string(), id.to_string());
    match outcome {
        Outcome::SecurityGroups(page) => part(page, group_row),
        Outcome::SecurityGroupAttribute(group) => part(&group.rules, rule_row),
        Outcome::NetworkInterfaces(page) => part(page, |row| {
            let interface = &row.interface;
            let (id, addresses) = (interface.id.to_string(), interface.addresses());
            let addresses: Vec<_> = addresses.map(|address| address.to_string()).collect();
            let status = row.status.name();
            (id.clone(), format!("{id} {addresses:?} {:?} {status}", interface.groups))
        }),
        Outcome::PrefixLists(page) => part(page, list_row),
        Outcome::PortRangeLists(page) => part(page, list_row),
        Outcome::PrefixListAssociations(rows) => part(&rows.groups, id),
        Outcome::PortRangeListAssociations(rows) => part(&rows.groups, id),
        Outcome::Tags(_, page) => part(page, |row| {
            let (id, key) = (row.resource.id(), row.tag.key.as_str());
            (format!("{id} {key}"), format!("{id} {key}={}", row.tag.value.as_str()))
        }),
        other => panic!("{other:?}"),
    }
}

/// The pages by number, one after the other.
fn by_number(harness: &mut Harness, listing: &Listing, size: u32, total: usize) -> Vec<Row> {
    let mut rows = Vec::new();
    for page in 1.. {
        let part = read(harness, listing, Paging::Number { page, size });
        assert_eq!((part.total, part.next), (total, None));
        assert!(part.rows.len() <= size as usize);
        if part.rows.is_empty() {
            break;
        }
        rows.extend(part.rows);
    }
    rows
}

/// The parts by token, one after the other; `between` is done after each.
fn by_token(
    harness: &mut Harness,
    listing: &Listing,
    max_results: u32,
    mut between: impl FnMut(&mut Harness),
) -> Vec<Row> {
    let (mut after, mut rows) = (None, Vec::new());
    loop {
        let part = read(harness, listing, Paging::Token { after, max_results });
        assert!(part.rows.len() <= max_results as usize);
        rows.extend(part.rows);
        match part.next {
            None => return rows,
            Some(token) => after = Some(token),
        }
        between(harness);
    }
}

/// Deletes a row if it may be.
fn delete(harness: &mut Harness, listing: &Listing, id: &str) {
    let sender = harness.sender();
    let commands = match listing {
        Listing::Groups => vec![Command::DeleteSecurityGroup { group: id.parse().unwrap() }],
        Listing::Rules(group) => {
            let revoke = |direction| {
                Command::Revoke(Revoke {
                    group: group.parse().unwrap(),
                    direction,
                    rules: RevokedRules::Ids(vec![id.parse().unwrap()]),
                })
            };
            vec![revoke(Direction::Egress), revoke(Direction::Ingress)]
        }
        Listing::Interfaces => {
            let interface: portcullis_core::ids::NetworkInterfaceId = id.parse().unwrap();
            vec![
                Command::UnbindInterface { interface: interface.clone() },
                Command::DeleteNetworkInterface { interface },
            ]
        }
        Listing::Lists(kind) => vec![delete_list(*kind, id)],
        Listing::Tags => {
            let (id, key) = id.split_once(' ').unwrap();
            vec![Command::UntagResources(UntagResources {
                resources: vec![Resource::SecurityGroup(id.parse().unwrap())],
                untag: Untag::Keys(vec![key.parse().unwrap()]),
            })]
        }
        Listing::Associations(..) => Vec::new(),
    };
    for command in commands {
        let _ = harness.send(&sender, &command);
    }
}

/// Whoever pages while rows go sees each row that stays, once and in order, and none that never
/// was.
fn check_under_deletes(
    harness: &Harness,
    dice: &mut SeededDice,
    listing: &Listing,
    before: &[Row],
) {
    let mut harness = harness.clone();
    let max_results = 1 + dice.below(2) as u32;
    let seen = by_token(&mut harness, listing, max_results, |harness| {
        let (id, _) = &before[dice.below(before.len())];
        delete(harness, listing, id);
    });
    let seen: Vec<&String> = seen.iter().map(|(id, _)| id).collect();
    let place = |id: &String| before.iter().position(|(own, _)| own == id);
    let places: Vec<usize> = seen.iter().map(|id| place(id).unwrap()).collect();
    assert!(places.is_sorted_by(|one, next| one < next), "{listing:?}: {places:?}");
    for (id, _) in read(&mut harness, listing, Paging::All).rows {
        assert!(seen.contains(&&id), "{listing:?}: {id} was left out");
    }
}

impl Pair {
    /// Every listing is the model's, however it is cut.
    pub(super) fn check_pages(&mut self) {
        let mut listings = vec![
            Listing::Groups,
            Listing::Interfaces,
            Listing::Lists(Kind::Prefixes),
            Listing::Lists(Kind::Ports),
            Listing::Tags,
        ];
        for listing in &listings {
            let stranger = Sender { caller: OTHER, ..self.harness.sender() };
            let command = command(listing, Paging::All);
            let outcome = self.harness.decide(&stranger, &command).unwrap().outcome;
            assert_eq!(rows(&outcome).total, 0, "{listing:?}");
        }
        let groups = self.model.groups.iter().map(|group| Listing::Rules(group.id.clone()));
        listings.extend(groups);
        let lists = self.model.lists.iter();
        listings.extend(lists.map(|list| Listing::Associations(list.kind, list.id.clone())));
        for listing in listings {
            let all = read(&mut self.harness, &listing, Paging::All);
            let texts: Vec<&str> = all.rows.iter().map(|(_, text)| text.as_str()).collect();
            assert_eq!(texts, self.expected(&listing), "{listing:?}");
            assert_eq!((all.total, &all.next), (all.rows.len(), &None));
            for size in 1..=3 {
                let pages = by_number(&mut self.harness, &listing, size, all.total);
                assert_eq!(pages, all.rows, "{listing:?} by {size}");
                let parts = by_token(&mut self.harness, &listing, size, |_| ());
                assert_eq!(parts, all.rows, "{listing:?} in parts of {size}");
            }
            if !all.rows.is_empty() {
                check_under_deletes(&self.harness, &mut self.dice, &listing, &all.rows);
            }
        }
    }

    fn expected(&self, listing: &Listing) -> Vec<String> {
        let model = &self.model;
        let mut rows: Vec<String> = match listing {
            Listing::Groups => {
                model.groups.iter().map(|group| self.expected_group(group)).collect()
            }
            Listing::Interfaces => model.interfaces.iter().map(expected_interface).collect(),
            Listing::Lists(kind) => {
                model.lists_of(*kind).map(|list| self.expected_list(list)).collect()
            }
            Listing::Tags => {
                let tags = model.groups.iter().flat_map(|group| {
                    group.tags.iter().map(|(key, value)| format!("{} {key}={value}", group.id))
                });
                let mut tags: Vec<String> = tags.collect();
                tags.sort_unstable();
                return tags;
            }
            Listing::Rules(group) => {
                let rules = model.rules.iter().filter(|rule| rule.group == *group);
                return rules.map(|rule| self.expected_rule(rule)).collect();
            }
            Listing::Associations(kind, list) => {
                return model.naming(*kind, list).into_iter().collect();
            }
        };
        // The highest id first.
        rows.sort_unstable_by(|one, other| other.cmp(one));
        rows
    }

    fn expected_group(&self, group: &ModelGroup) -> String {
        let model = &self.model;
        let addresses: usize = model.members(&group.id).map(|member| member.offsets.len()).sum();
        let available = match group.enterprise {
            true => INTERFACES_PER_GROUP - model.members(&group.id).count(),
            false => ADDRESSES_PER_GROUP - addresses,
        };
        let rules = || model.rules.iter().filter(|rule| rule.group == group.id);
        let by_group = rules().filter(|rule| matches!(rule.peer, ModelPeer::Group(_))).count();
        let counts = [addresses, available, rules().count(), by_group];
        let ModelGroup { id, name, description, tags, .. } = group;
        format!("{id} {name:?} {description:?} {tags:?} {counts:?}")
    }

    fn expected_rule(&self, rule: &ModelRule) -> String {
        let name = match &rule.peer {
            ModelPeer::Group(group) => self.model.group(group).unwrap().name,
            ModelPeer::Cidr(_) | ModelPeer::List(_) => None,
        };
        let lists = [matches!(rule.peer, ModelPeer::List(_)), rule.port_list.is_some()];
        format!(
            "{:?} {} {} {} {} {name:?} {lists:?} {:?}",
            direction(rule.egress),
            peer_text(&rule.peer),
            rule.port_list.as_deref().unwrap_or("443/443"),
            rule.priority,
            if rule.drop { "Drop" } else { "Accept" },
            rule.description
        )
    }

    fn expected_list(&self, list: &ModelList) -> String {
        let associations = self.model.naming(list.kind, &list.id).len();
        format!("{} {:?}", list.id, [list.entries.len(), list.max, associations])
    }
}

fn expected_interface(interface: &ModelInterface) -> String {
    let addresses = interface.offsets.iter().map(|offset| format!("10.0.0.{offset}"));
    let groups = interface.groups.join(", ");
    let status = if interface.device.is_some() { "InUse" } else { "Available" };
    let addresses: Vec<String> = addresses.collect();
    format!("{} {addresses:?} [{groups}] {status}", interface.id)
}
