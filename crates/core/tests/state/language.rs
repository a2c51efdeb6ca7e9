//! The tiny language of the scripts: `verb name key=value… => answer`, one command a line.
//!
//! A name stands for an id wherever it occurs; a word that is no name stands for itself. Options of
//! every line: `token=`, `digest=`, `dry`, `region=`, `as=` and `later=` (milliseconds that pass
//! before).
use std::collections::BTreeMap;

use portcullis_core::command::*;
use portcullis_core::ids::AccountId;
use portcullis_core::list::{ListEntry, ListKind, PortRanges, Prefixes};
use portcullis_core::net::{Cidr, Family};
use portcullis_core::records::{
    AccessKeySecret, InstanceStatus, InterfaceRole, NicType, SecurityToken,
};
use portcullis_core::rule::Direction;
use portcullis_core::text::{Tag, TagFilter, Tags};
use portcullis_core::world::{GroupType, InnerAccess};

use super::harness::{Harness, OTHER};
use super::show;

/// Runs a script and compares every answer.
pub(crate) fn check(script: &str) {
    let mut harness = Harness::new();
    run(&mut harness, script);
}

/// Runs a script in a state that is there already.
pub(crate) fn run(harness: &mut Harness, script: &str) {
    for line in script.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        let (input, expected) = line.split_once("=>").unwrap_or((line, "ok +1"));
        let answer = execute(harness, input.trim());
        assert_eq!(answer, expected.trim(), "\nat `{line}`");
    }
}

/// The words of a line: what is given by place, and what by name.
pub(crate) struct Words {
    places: Vec<String>,
    options: BTreeMap<String, String>,
}

impl Words {
    fn new(harness: &Harness, text: &str) -> Self {
        let resolve = |word: &str| {
            let parts = word
                .split(',')
                .map(|part| harness.ids.get(part).cloned().unwrap_or_else(|| part.to_string()));
            parts.collect::<Vec<_>>().join(",")
        };
        let mut words = Self { places: Vec::new(), options: BTreeMap::new() };
        for word in text.split_whitespace() {
            match word.split_once('=') {
                Some((key, value)) => {
                    words.options.insert(key.into(), resolve(value));
                }
                None => words.places.push(word.into()),
            }
        }
        words
    }

    fn flag(&self, name: &str) -> bool {
        self.places.iter().any(|word| word == name)
    }

    fn place<T: std::str::FromStr>(&self, harness: &Harness, index: usize) -> T
    where
        T::Err: std::fmt::Debug,
    {
        let word = &self.places[index];
        harness.ids.get(word).unwrap_or(word).parse().unwrap()
    }

    fn get<T: std::str::FromStr>(&self, name: &str) -> Option<T>
    where
        T::Err: std::fmt::Debug,
    {
        self.options.get(name).map(|value| value.parse().unwrap())
    }

    fn list<T: std::str::FromStr>(&self, name: &str) -> Vec<T>
    where
        T::Err: std::fmt::Debug,
    {
        let value = self.options.get(name).filter(|value| !value.is_empty());
        value.into_iter().flat_map(|v| v.split(',')).map(|part| part.parse().unwrap()).collect()
    }

    fn tags(&self) -> Tags {
        let tag = |text: String| {
            let (key, value) = text.split_once(':').unwrap();
            Tag { key: key.parse().unwrap(), value: value.parse().unwrap() }
        };
        Tags::new(self.list("tags").into_iter().map(tag).collect()).unwrap()
    }

    fn tag_filters(&self) -> Vec<TagFilter> {
        let filter = |text: String| {
            let (key, value) = text.split_once(':').unwrap_or((&text, ""));
            let value = (!value.is_empty()).then(|| value.parse().unwrap());
            TagFilter { key: key.parse().unwrap(), value }
        };
        self.list("tags").into_iter().map(filter).collect()
    }

    fn paging(&self) -> Paging {
        match (self.get("page"), self.get("size"), self.get("max")) {
            (_, _, Some(max_results)) => Paging::Token { after: self.get("after"), max_results },
            (page, size, None) if page.is_some() || size.is_some() => {
                Paging::Number { page: page.unwrap_or(1), size: size.unwrap_or(10) }
            }
            _ => Paging::All,
        }
    }
}

/// What one line is answered.
pub(crate) fn execute(harness: &mut Harness, input: &str) -> String {
    let (verb, rest) = input.split_once(' ').unwrap_or((input, ""));
    let words = Words::new(harness, rest.split(" | ").next().unwrap());
    let mut sender = harness.sender();
    if let Some(region) = words.options.get("region") {
        sender.region = (region != "none").then(|| region.parse().unwrap());
    }
    match words.options.get("as").map(String::as_str) {
        None => {}
        Some("other") => sender.caller = OTHER,
        Some(number) => sender.caller = AccountId(number.parse().unwrap()),
    }
    sender.dry_run = words.flag("dry");
    sender.idempotency = words.get("token").map(|token| {
        let digest = [words.get("digest").unwrap_or(0u8); 32];
        Idempotency { token, digest }
    });
    harness.now_ms += words.get("later").unwrap_or(0);
    let command = match command(harness, verb, &words, rest) {
        Ok(command) => command,
        Err(error) => return show::error(harness, &error),
    };
    match harness.send(&sender, &command) {
        Ok(decision) => {
            if let Outcome::Written(written) = &decision.outcome
                && let Some(id) = show::made(written)
                && let Some(name) = words.places.first()
            {
                harness.ids.insert(name.clone(), id.clone());
                harness.names.insert(id, name.clone());
            }
            show::decision(harness, &decision)
        }
        Err(error) => show::error(harness, &error),
    }
}

type Made = Result<Command, portcullis_core::error::ApiError>;

fn command(harness: &Harness, verb: &str, words: &Words, rest: &str) -> Made {
    Ok(match verb {
        "regions" => Command::DescribeRegions,
        "vpc" => Command::CreateVpc(CreateVpc {
            cidr: words.get("cidr"),
            ipv6: match words.options.get("ipv6").map(String::as_str) {
                None => VpcIpv6::Disabled,
                Some("any") => VpcIpv6::Assigned,
                Some(cidr) => VpcIpv6::Given(cidr.parse().unwrap()),
            },
            name: words.get("name"),
            user_cidrs: words.list("user-cidrs"),
            resource_group: words.get("resource-group"),
            tags: words.tags(),
            ..CreateVpc::default()
        }),
        "delete-vpc" => Command::DeleteVpc { vpc: words.place(harness, 0) },
        "vpcs" => Command::DescribeVpcs(DescribeVpcs {
            vpcs: words.list("ids"),
            name: words.get("name"),
            is_default: words.get("default"),
            enable_ipv6: words.get("with-ipv6"),
            with_dhcp_options: words.flag("dhcp"),
            owner: words.get("owner").map(AccountId),
            resource_group: words.get("resource-group"),
            tags: words.tag_filters(),
            paging: words.paging(),
        }),
        "vswitch" => Command::CreateVSwitch(CreateVSwitch {
            vpc: words.get("vpc").unwrap(),
            zone: words.get("zone").unwrap_or("cn-hangzhou-b".parse().unwrap()),
            cidr: words.get("cidr").unwrap(),
            ipv6_index: words.get("ipv6"),
            name: words.get("name"),
            description: None,
            tags: words.tags(),
        }),
        "delete-vswitch" => Command::DeleteVSwitch { vswitch: words.place(harness, 0) },
        "vswitches" => Command::DescribeVSwitches(DescribeVSwitches {
            vpc: words.get("vpc"),
            vswitches: words.list("ids"),
            zone: words.get("zone"),
            name: words.get("name"),
            is_default: words.get("default"),
            enable_ipv6: words.get("with-ipv6"),
            owner: words.get("owner").map(AccountId),
            route_table: words.get("table"),
            resource_group: words.get("resource-group"),
            tags: words.tag_filters(),
            paging: words.paging(),
        }),
        "bind" => Command::BindInterface {
            interface: words.place(harness, 0),
            device: words.place(harness, 1),
        },
        "unbind" => Command::UnbindInterface { interface: words.place(harness, 0) },
        "bindings" => Command::DescribeBindings,
        "tag" | "untag" | "tags" | "count" | "regroup" => tag_command(harness, verb, words),
        "show-vpc" | "modify-vpc" | "show-vswitch" | "modify-vswitch" | "tables" | "zones"
        | "endpoints" | "caller" | "disks" => network_command(harness, verb, words),
        "account" | "delete-account" | "accounts" | "key" | "rotate" | "disable" | "enable"
        | "delete-key" | "keys" | "share" | "unshare" | "owned-vpcs" => {
            account_command(harness, verb, words)
        }
        "pl" => Command::CreatePrefixList(create_list(words, scope(words).unwrap())),
        "modify-pl" => Command::ModifyPrefixList(modify_list(harness, words)),
        "delete-pl" => Command::DeletePrefixList { list: words.place(harness, 0) },
        "pls" => Command::DescribePrefixLists(list_lists(words, scope(words))),
        "pl-entries" => Command::DescribePrefixListAttributes { list: words.place(harness, 0) },
        "pl-groups" => Command::DescribePrefixListAssociations(list_associations(harness, words)),
        "prl" => Command::CreatePortRangeList(create_list(words, ())),
        "modify-prl" => Command::ModifyPortRangeList(modify_list(harness, words)),
        "delete-prl" => Command::DeletePortRangeList { list: words.place(harness, 0) },
        "prls" => Command::DescribePortRangeLists(list_lists(words, None)),
        "prl-entries" => Command::DescribePortRangeListEntries { list: words.place(harness, 0) },
        "prl-groups" => {
            Command::DescribePortRangeListAssociations(list_associations(harness, words))
        }
        "eni" | "modify-eni" | "delete-eni" | "enis" | "eni-attribute" | "assign" | "assign6"
        | "unassign" | "join" | "leave" | "attach" | "detach" => {
            interface_command(harness, verb, words)
        }
        "run" | "instance" | "start" | "stop" | "delete-instance" | "modify-instance"
        | "instance-attribute" | "instances" => instance_command(harness, verb, words),
        _ => group_command(harness, verb, words, rest)?,
    })
}

fn edit<T: std::str::FromStr>(words: &Words, name: &str) -> Edit<T>
where
    T::Err: std::fmt::Debug,
{
    match words.options.get(name).map(String::as_str) {
        None => Edit::Keep,
        Some("") => Edit::Clear,
        Some(text) => Edit::Set(text.parse().unwrap()),
    }
}

fn network_command(harness: &Harness, verb: &str, words: &Words) -> Command {
    match verb {
        "zones" => Command::DescribeZones,
        "caller" => Command::GetCallerIdentity,
        "endpoints" => Command::DescribeEndpoints(DescribeEndpoints {
            region: words.get("id").unwrap(),
            service: Service::ALL.into_iter().find(|own| words.flag(own.name())),
        }),
        "disks" => {
            Command::DescribeAbsent(DescribeAbsent { kind: Absent::Disks, paging: words.paging() })
        }
        "show-vpc" => Command::DescribeVpcAttribute { vpc: words.place(harness, 0) },
        "modify-vpc" => Command::ModifyVpcAttribute(ModifyVpcAttribute {
            vpc: words.place(harness, 0),
            name: words.get("name"),
            description: edit(words, "description"),
            cidr: words.get("cidr"),
            ipv6: words.options.get("ipv6").map(|text| match text.as_str() {
                "none" => VpcIpv6::Disabled,
                "any" => VpcIpv6::Assigned,
                cidr => VpcIpv6::Given(cidr.parse().unwrap()),
            }),
        }),
        "show-vswitch" => Command::DescribeVSwitchAttributes { vswitch: words.place(harness, 0) },
        "modify-vswitch" => Command::ModifyVSwitchAttribute(ModifyVSwitchAttribute {
            vswitch: words.place(harness, 0),
            name: words.get("name"),
            description: edit(words, "description"),
            ipv6: words.options.get("ipv6").map(|text| match text.as_str() {
                "none" => VSwitchIpv6::Disabled,
                "own" => VSwitchIpv6::Enabled,
                number => VSwitchIpv6::Number(number.parse().unwrap()),
            }),
        }),
        "tables" => Command::DescribeRouteTables(DescribeRouteTables {
            vpc: words.get("vpc"),
            route_table: words.get("table"),
            router: words.get("router"),
            none_fits: words.flag("custom"),
            system_routes: !words.flag("no-routes"),
            resource_group: words.get("resource-group"),
            paging: words.paging(),
        }),
        _ => panic!("no verb `{verb}`"),
    }
}

/// The kind of an id, by how it begins.
fn kind_of(id: &str) -> ResourceKind {
    match id.split('-').next() {
        Some("sg") => ResourceKind::SecurityGroup,
        Some("eni") => ResourceKind::NetworkInterface,
        Some("pl") => ResourceKind::PrefixList,
        Some("prl") => ResourceKind::PortRangeList,
        Some("i") => ResourceKind::Instance,
        Some("vpc") => ResourceKind::Vpc,
        Some("vsw") => ResourceKind::VSwitch,
        _ => panic!("no kind of `{id}`"),
    }
}

fn tag_command(harness: &Harness, verb: &str, words: &Words) -> Command {
    let resource = |id: String| kind_of(&id).resource(&id).unwrap();
    let resources: Vec<Resource> = words.list("of").into_iter().map(resource).collect();
    match verb {
        "tag" => Command::TagResources(TagResources { resources, tags: words.tags() }),
        "untag" => Command::UntagResources(UntagResources {
            resources,
            untag: match words.list("keys") {
                keys if keys.is_empty() => Untag::All,
                keys => Untag::Keys(keys),
            },
        }),
        "tags" => Command::ListTagResources(ListTagResources {
            kind: kind_of(&words.get::<String>("kind").unwrap()),
            resources,
            searches: searches(words),
            paging: words.paging(),
        }),
        "count" => Command::DescribeTags(DescribeTags {
            kinds: words.list::<String>("kinds").iter().map(|kind| kind_of(kind)).collect(),
            resource: resources.first().cloned(),
            searches: searches(words),
            paging: words.paging(),
        }),
        "regroup" => Command::MoveResourceGroup(MoveResourceGroup {
            resource: resource(words.place(harness, 0)),
            resource_group: words.place(harness, 1),
        }),
        _ => panic!("no verb `{verb}`"),
    }
}

fn account_command(harness: &Harness, verb: &str, words: &Words) -> Command {
    let account = |index: usize| match words.places[index].as_str() {
        "root" => harness.root,
        "other" => OTHER,
        _ => AccountId(words.place(harness, index)),
    };
    let secret = AccessKeySecret::new(b"secret");
    match verb {
        "account" => Command::CreateAccount { name: words.places[0].parse().unwrap() },
        "delete-account" => Command::DeleteAccount { account: account(0) },
        "accounts" => Command::DescribeAccounts,
        "key" => Command::CreateAccessKey(CreateAccessKey {
            access_key: words.place(harness, 0),
            account: account(1),
            secret,
            session: words
                .get("life")
                .map(|life_s| NewSession { token: SecurityToken::new("token"), life_s }),
        }),
        "rotate" => Command::RotateAccessKey(RotateAccessKey {
            access_key: words.place(harness, 0),
            replacement: words.place(harness, 1),
            secret,
            keep_old: words.flag("keep"),
        }),
        "disable" | "enable" => Command::SetAccessKeyActive {
            access_key: words.place(harness, 0),
            active: verb == "enable",
        },
        "delete-key" => Command::DeleteAccessKey { access_key: words.place(harness, 0) },
        "keys" => {
            Command::DescribeAccessKeys { account: (!words.places.is_empty()).then(|| account(0)) }
        }
        "share" => Command::ShareVpc { vpc: words.place(harness, 0), account: account(1) },
        "unshare" => Command::UnshareVpc { vpc: words.place(harness, 0), account: account(1) },
        "owned-vpcs" => Command::DescribeOwnedVpcs,
        _ => panic!("no such verb: {verb}"),
    }
}

fn scope(words: &Words) -> Option<Family> {
    match words.options.get("family").map(String::as_str) {
        None => None,
        Some("4") => Some(Family::V4),
        Some("6") => Some(Family::V6),
        Some(other) => panic!("{other}"),
    }
}

/// A value of an entry as text.
pub(crate) trait EntryText: ListKind {
    fn read(text: &str) -> Self::Value;
}

impl EntryText for Prefixes {
    fn read(text: &str) -> Self::Value {
        text.parse::<Cidr>().unwrap().exact().unwrap()
    }
}

impl EntryText for PortRanges {
    fn read(text: &str) -> Self::Value {
        text.parse().unwrap()
    }
}

/// `value` or `value:description`, where IPv6 has `_` for `:`.
fn entry(text: &str) -> (String, Option<&str>) {
    let (value, description) =
        text.split_once(':').map_or((text, None), |(value, text)| (value, Some(text)));
    (value.replace('_', ":"), description)
}

fn create_list<K: EntryText>(words: &Words, scope: K::Scope) -> CreateList<K> {
    let made = |text: &String| {
        let (value, description) = entry(text);
        let description = description.map(|text| text.parse().unwrap());
        ListEntry { value: K::read(&value), description }
    };
    CreateList {
        name: words.get("name").unwrap_or("list".parse().unwrap()),
        description: words.get("description"),
        scope,
        max_entries: words.get("max").unwrap_or(10),
        entries: words.list::<String>("entries").iter().map(made).collect(),
        resource_group: words.get("resource-group"),
        tags: words.tags(),
    }
}

fn modify_list<K: EntryText>(harness: &Harness, words: &Words) -> ModifyList<K>
where
    <K::Id as std::str::FromStr>::Err: std::fmt::Debug,
{
    let added = |text: &String| {
        let (value, description) = entry(text);
        let description = match description {
            None => Edit::Keep,
            Some("") => Edit::Clear,
            Some(text) => Edit::Set(text.parse().unwrap()),
        };
        AddedEntry { value: K::read(&value), description }
    };
    let removed = |text: &String| K::read(&entry(text).0);
    ModifyList {
        list: words.place(harness, 0),
        name: words.get("name"),
        description: match words.options.get("description").map(String::as_str) {
            None => Edit::Keep,
            Some("") => Edit::Clear,
            Some(text) => Edit::Set(text.parse().unwrap()),
        },
        add: words.list::<String>("add").iter().map(added).collect(),
        remove: words.list::<String>("remove").iter().map(removed).collect(),
    }
}

fn list_lists<K: ListKind>(words: &Words, scope: Option<K::Scope>) -> DescribeLists<K>
where
    <K::Id as std::str::FromStr>::Err: std::fmt::Debug,
{
    DescribeLists {
        lists: words.list("ids"),
        name: words.get("name"),
        scope,
        resource_group: words.get("resource-group"),
        tags: words.tag_filters(),
        paging: words.paging(),
    }
}

fn list_associations<K: ListKind>(harness: &Harness, words: &Words) -> DescribeListAssociations<K>
where
    <K::Id as std::str::FromStr>::Err: std::fmt::Debug,
{
    DescribeListAssociations { list: words.place(harness, 0), paging: words.paging() }
}

/// `more`, `more-ipv6`, `more-prefixes`, `more-prefixes6` are how many to choose.
fn wanted_addresses(words: &Words) -> WantedAddresses {
    WantedAddresses {
        secondary: words.list("secondary"),
        secondary_count: words.get("more").unwrap_or(0),
        ipv4_prefixes: words.list("prefixes"),
        ipv4_prefix_count: words.get("more-prefixes").unwrap_or(0),
        ipv6: words.list("ipv6"),
        ipv6_count: words.get("more-ipv6").unwrap_or(0),
        ipv6_prefixes: words.list("prefixes6"),
        ipv6_prefix_count: words.get("more-prefixes6").unwrap_or(0),
    }
}

fn new_interface(words: &Words) -> CreateNetworkInterface {
    CreateNetworkInterface {
        primary: words.get("primary"),
        addresses: wanted_addresses(words),
        mac: words.get("mac"),
        name: words.get("name"),
        description: words.get("description"),
        source_dest_check: words.get("check"),
        delete_on_release: words.get("delete-on-release"),
        tags: words.tags(),
        ..CreateNetworkInterface::new(words.get("vswitch").unwrap(), words.list("groups"))
    }
}

fn new_instance(words: &Words) -> NewInstance {
    let interface =
        CreateNetworkInterface { name: None, tags: Tags::default(), ..new_interface(words) };
    NewInstance {
        name: words.get("name"),
        deletion_protection: words.get("protected"),
        zone: words.get("zone"),
        image: words.get("image"),
        tags: words.tags(),
        ..NewInstance::new(interface)
    }
}

/// `with=` are interfaces that are there, `eth1=` the vSwitch of one that is made.
fn run_instances(words: &Words) -> RunInstances {
    let existing = words.list("with").into_iter().map(FurtherInterface::Existing);
    let made = words.get("eth1").map(|vswitch| {
        let groups = words.list("groups");
        FurtherInterface::New(Box::new(CreateNetworkInterface::new(vswitch, groups)))
    });
    RunInstances {
        instance: new_instance(words),
        further: existing.chain(made).collect(),
        amount: words.get("amount").unwrap_or(1),
        unique_suffix: words.flag("suffix"),
    }
}

fn batch(words: &Words, harness: &Harness) -> InstanceBatch {
    let mode = if words.flag("together") {
        BatchMode::AllTogether
    } else if words.flag("each") {
        BatchMode::SuccessFirst
    } else {
        BatchMode::Single
    };
    let modes = ["together", "each", "force", "dry"];
    let ids = words.places.iter().filter(|word| !modes.contains(&word.as_str()));
    let ids = ids.map(|word| harness.ids.get(word).unwrap_or(word).parse().unwrap());
    InstanceBatch { instances: ids.collect(), mode }
}

fn instance_command(harness: &Harness, verb: &str, words: &Words) -> Command {
    match verb {
        "run" => Command::RunInstances(Box::new(run_instances(words))),
        "instance" => Command::CreateInstance(Box::new(new_instance(words))),
        "start" => Command::StartInstances(batch(words, harness)),
        "stop" => Command::StopInstances(batch(words, harness)),
        "delete-instance" => Command::DeleteInstances(DeleteInstances {
            batch: batch(words, harness),
            force: words.flag("force"),
        }),
        "modify-instance" => Command::ModifyInstanceAttribute(ModifyInstanceAttribute {
            instance: words.place(harness, 0),
            groups: words.options.get("groups").map(|_| words.list("groups")),
            name: words.get("name"),
            description: Edit::Keep,
            host_name: words.get("host"),
            deletion_protection: words.get("protected"),
            queue_number: words.get("queues"),
        }),
        "instance-attribute" => {
            Command::DescribeInstanceAttribute { instance: words.place(harness, 0) }
        }
        "instances" => Command::DescribeInstances(Box::new(DescribeInstances {
            filters: InstanceFilters {
                instances: words.options.get("ids").map(|_| words.list("ids")),
                group: words.get("group"),
                vpc: words.get("vpc"),
                vswitch: words.get("vswitch"),
                zone: words.get("zone"),
                private_addresses: words.options.get("address").map(|_| words.list("address")),
                ipv6_addresses: words.list("ipv6"),
                name: words.get("name"),
                status: words.options.get("status").map(|status| match status.as_str() {
                    "Running" => Some(InstanceStatus::Running),
                    "Stopped" => Some(InstanceStatus::Stopped),
                    _ => None,
                }),
                image: words.get("image"),
                tags: words.tag_filters(),
                nothing: words.flag("nothing"),
                ..InstanceFilters::default()
            },
            paging: words.paging(),
        })),
        _ => panic!("no such verb: {verb}"),
    }
}

/// The joiner is an instance where it was made as one.
fn joiner(harness: &Harness, words: &Words) -> Joiner {
    let id: String = words.place(harness, 0);
    match id.starts_with("i-") {
        true => Joiner::Instance(id.parse().unwrap()),
        false => Joiner::Interface(id.parse().unwrap()),
    }
}

fn searches(words: &Words) -> Vec<TagSearch> {
    let search = |text: String| {
        let (key, values) = text.split_once(':').unwrap_or((&text, ""));
        let values = values.split('|').filter(|value| !value.is_empty());
        TagSearch {
            key: key.parse().unwrap(),
            values: values.map(|value| value.parse().unwrap()).collect(),
        }
    };
    words.list("tags").into_iter().map(search).collect()
}

fn interface_command(harness: &Harness, verb: &str, words: &Words) -> Command {
    match verb {
        "eni" => Command::CreateNetworkInterface(new_interface(words)),
        "modify-eni" => Command::ModifyNetworkInterfaceAttribute(ModifyNetworkInterfaceAttribute {
            interface: words.place(harness, 0),
            groups: words.options.get("groups").map(|_| words.list("groups")),
            name: words.get("name"),
            description: edit(words, "description"),
            source_dest_check: words.get("check"),
            delete_on_release: words.get("delete-on-release"),
            queue_number: words.get("queues"),
            tcp_established_s: words.get("tcp"),
            tcp_closed_s: words.get("closed"),
            udp_s: words.get("udp"),
        }),
        "assign" | "assign6" => {
            let interface = words.place(harness, 0);
            let command = AssignAddresses { interface, addresses: wanted_addresses(words) };
            match verb {
                "assign" => Command::AssignPrivateIpAddresses(command),
                _ => Command::AssignIpv6Addresses(command),
            }
        }
        "unassign" => Command::UnassignAddresses(UnassignAddresses {
            interface: words.place(harness, 0),
            secondary: words.list("secondary"),
            ipv4_prefixes: words.list("prefixes"),
            ipv6: words.list("ipv6"),
            ipv6_prefixes: words.list("prefixes6"),
        }),
        "join" => Command::JoinSecurityGroup {
            group: words.place(harness, 1),
            joiner: joiner(harness, words),
        },
        "leave" => Command::LeaveSecurityGroup {
            group: words.place(harness, 1),
            joiner: joiner(harness, words),
        },
        "attach" => Command::AttachNetworkInterface {
            interface: words.place(harness, 0),
            instance: words.place(harness, 1),
        },
        "detach" => Command::DetachNetworkInterface {
            interface: words.place(harness, 0),
            instance: words.place(harness, 1),
        },
        "eni-attribute" => Command::DescribeNetworkInterfaceAttribute {
            interface: words.place(harness, 0),
            attribute: InterfaceAttribute::ConnectionTracking,
        },
        "delete-eni" => Command::DeleteNetworkInterface { interface: words.place(harness, 0) },
        "enis" => Command::DescribeNetworkInterfaces(DescribeNetworkInterfaces {
            interfaces: words.list("ids"),
            group: words.get("group"),
            vswitch: words.get("vswitch"),
            vpc: words.get("vpc"),
            primary: words.get("primary"),
            private_addresses: words.list("address"),
            ipv6_addresses: words.list("ipv6"),
            name: words.get("name"),
            status: words.options.get("status").map(|status| match status.as_str() {
                "Available" => Some(InterfaceStatus::Available),
                "InUse" => Some(InterfaceStatus::InUse),
                _ => None,
            }),
            role: words.options.get("type").map(|role| match role.as_str() {
                "Primary" => InterfaceRole::Primary,
                _ => InterfaceRole::Secondary,
            }),
            instance: words.get("instance"),
            service_managed: words.get("managed"),
            resource_group: None,
            tags: words.tag_filters(),
            paging: words.paging(),
        }),
        _ => panic!("no such verb: {verb}"),
    }
}

fn group_type(words: &Words) -> Option<GroupType> {
    match words.options.get("type").map(String::as_str) {
        Some("enterprise") => Some(GroupType::Enterprise),
        Some(_) => Some(GroupType::Basic),
        None => None,
    }
}

fn group_command(harness: &Harness, verb: &str, words: &Words, rest: &str) -> Made {
    Ok(match verb {
        "group" => Command::CreateSecurityGroup(CreateSecurityGroup {
            vpc: words.get("vpc"),
            group_type: group_type(words).unwrap_or(GroupType::Basic),
            name: words.get("name"),
            description: words.get("description"),
            resource_group: words.get("resource-group"),
            tags: words.tags(),
        }),
        "delete-group" => Command::DeleteSecurityGroup { group: words.place(harness, 0) },
        "groups" => Command::DescribeSecurityGroups(DescribeSecurityGroups {
            groups: words.options.get("ids").map(|_| words.list("ids")),
            vpc: words.get("vpc"),
            name: words.get("name"),
            group_type: group_type(words),
            in_vpc: words.get("in-vpc"),
            resource_group: words.get("resource-group"),
            tags: words.tag_filters(),
            paging: words.paging(),
        }),
        "rules" => Command::DescribeSecurityGroupAttribute(DescribeSecurityGroupAttribute {
            group: words.place(harness, 0),
            direction: words.get("direction"),
            nic_type: nic_type(words),
            paging: words.paging(),
        }),
        "policy" => Command::ModifySecurityGroupPolicy {
            group: words.place(harness, 0),
            inner_access: match words.places[1].as_str() {
                "accept" => InnerAccess::Accept,
                "drop" => InnerAccess::Drop,
                other => panic!("{other}"),
            },
        },
        "egress" | "ingress" => {
            let direction = verb.parse().unwrap();
            let rules = rules(harness, direction, rest)?;
            Command::Authorize(Authorize { group: words.place(harness, 0), direction, rules })
        }
        "modify-egress" | "modify-ingress" => {
            let direction = verb.trim_start_matches("modify-").parse().unwrap();
            let mut fields = fields(harness, rest, !words.options.contains_key("rule"));
            // The description is told apart from the fields that name a rule.
            fields.description = None;
            let rule = match words.get("rule") {
                Some(id) => ModifiedRule::Id(id, Box::new(fields)),
                None => ModifiedRule::Content(RuleSpec::new(direction, fields)?),
            };
            Command::ModifyRule(ModifyRule {
                group: words.place(harness, 0),
                direction,
                rule,
                description: edit(words, "description"),
            })
        }
        "modify-group" => Command::ModifySecurityGroupAttribute(ModifySecurityGroupAttribute {
            group: words.place(harness, 0),
            name: words.get("name"),
            description: edit(words, "description"),
        }),
        "references" => Command::DescribeSecurityGroupReferences { groups: words.list("of") },
        "revoke-egress" | "revoke-ingress" => {
            let direction = verb.trim_start_matches("revoke-").parse().unwrap();
            let rules = match words.options.get("rules") {
                Some(_) => RevokedRules::Ids(words.list("rules")),
                None => RevokedRules::Content(rules(harness, direction, rest)?),
            };
            Command::Revoke(Revoke { group: words.place(harness, 0), direction, rules })
        }
        _ => panic!("no such verb: {verb}"),
    })
}

fn nic_type(words: &Words) -> Option<NicType> {
    match words.options.get("nic").map(String::as_str) {
        Some("internet") => Some(NicType::Internet),
        Some("intranet") => Some(NicType::Intranet),
        _ => None,
    }
}

/// Rules are set apart by ` | `.
fn rules(
    harness: &Harness,
    direction: Direction,
    rest: &str,
) -> Result<Vec<RuleSpec>, portcullis_core::error::ApiError> {
    rest.split(" | ").map(|text| RuleSpec::new(direction, fields(harness, text, true))).collect()
}

/// The fields of one rule. Where it is `whole`, `proto` is TCP and `ports` 80/80 unless said
/// otherwise.
fn fields(harness: &Harness, text: &str, whole: bool) -> RuleFields {
    let words = Words::new(harness, text);
    let default = |text: &str| whole.then(|| text.to_string());
    let ports = words.options.get("ports").cloned().or_else(|| default("80/80"));
    let protocol = words.options.get("proto").cloned().or_else(|| default("TCP"));
    RuleFields {
        protocol: protocol.map(|protocol| protocol.parse().unwrap()),
        ports: ports.filter(|ports| ports != "none").map(|ports| ports.parse().unwrap()),
        port_range_list: words.get("port-list"),
        source_ports: words.get("source-ports"),
        source_cidr: words.get("source"),
        ipv6_source_cidr: words.get("source6"),
        dest_cidr: words.get("dest"),
        ipv6_dest_cidr: words.get("dest6"),
        peer_group: words.get("peer"),
        peer_owner_id: words.get::<u64>("owner").map(AccountId),
        peer_owner_account: words.get("account"),
        peer_prefix_list: words.get("list"),
        policy: words.get("policy"),
        priority: words
            .get::<u8>("priority")
            .map(|p| portcullis_core::rule::Priority::new(p).unwrap()),
        nic_type: nic_type(&words),
        description: words.options.get("description").and_then(|text| text.parse().ok()),
    }
}
