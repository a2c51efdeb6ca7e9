//! The state machine: what there is, what a command would change, and how changes are taken in.
//!
//! [`State::apply`] decides and changes nothing; [`State::absorb`] changes and decides nothing.
//! Whoever keeps the records puts the two together. Indexes here follow every change, so that what
//! is asked often looks at no more than it is about. One module per noun; each refuses what may not
//! be, with the public API's codes.
mod account;
mod binding;
mod content;
mod describe;
mod draw;
mod group;
mod index;
mod instance;
mod interface;
mod list;
mod modify_rule;
mod rule_quota;
mod rule_table;
mod rules;
mod run;
mod service;
mod share;
mod spans;
mod tags;
mod token;
mod vpc;
mod vswitch;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::command::{Command, Context, Outcome, Written};
use crate::error::ApiError;
use crate::ids::{
    AccessKeyId, AccountId, InstanceId, NetworkInterfaceId, PortRangeListId, PrefixListId,
    RegionId, SecurityGroupId, SecurityGroupRuleId, VSwitchId, VpcId,
};
use crate::list::{PortRanges, Prefixes};
use crate::records::{
    AccessKey, Account, Binding, Change, GroupRecord, Instance, InterfaceRecord,
    PortRangeListRecord, PrefixListRecord, Record, RecordKey, RuleRecord, TokenRecord, VSwitch,
    Vpc, VpcShare,
};
use crate::text::ClientToken;
use crate::world::World;
use index::Index;
use rule_table::RuleTable;
pub use vswitch::Gateways;

/// A group with its rules.
#[derive(Debug, Clone, PartialEq, Eq)]
struct GroupEntry {
    record: GroupRecord,
    rules: RuleTable,
}

/// Everything there is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    world: World,
    accounts: BTreeMap<AccountId, Account>,
    access_keys: BTreeMap<AccessKeyId, AccessKey>,
    vpcs: BTreeMap<VpcId, Vpc>,
    vswitches: BTreeMap<VSwitchId, VSwitch>,
    groups: BTreeMap<SecurityGroupId, GroupEntry>,
    interfaces: BTreeMap<NetworkInterfaceId, InterfaceRecord>,
    prefix_lists: BTreeMap<PrefixListId, PrefixListRecord>,
    port_range_lists: BTreeMap<PortRangeListId, PortRangeListRecord>,
    bindings: BTreeMap<NetworkInterfaceId, Binding>,
    tokens: BTreeMap<(AccountId, ClientToken), TokenRecord>,
    instances: BTreeMap<InstanceId, Instance>,
    vpc_shares: BTreeMap<(VpcId, AccountId), VpcShare>,
    index: Index,
}

/// What is to be answered, and what is to change first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The answer.
    pub outcome: Outcome,
    /// The changes, no record twice; none of a read.
    pub changes: Vec<Change>,
}

impl Decision {
    fn read(outcome: Outcome) -> Self {
        Self { outcome, changes: Vec::new() }
    }

    fn write(written: Written, changes: Vec<Change>) -> Self {
        Self { outcome: Outcome::Written(written), changes }
    }

    fn done(changes: Vec<Change>) -> Self {
        Self::write(Written::Done, changes)
    }
}

impl State {
    /// A state without anything.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the command would answer and change. Nothing has changed when it returns, and a refused
    /// command has no changes.
    pub fn apply(
        &self,
        context: &mut Context<'_>,
        command: &Command,
    ) -> Result<Decision, ApiError> {
        self.check_region(context, context.region.as_ref(), "RegionId")?;
        let write = command.is_write();
        let remembered = if write { self.recall(context)? } else { None };
        let decision = match remembered {
            Some(written) => Decision::write(written, Vec::new()),
            None => {
                let mut decision = self.decide(context, command)?;
                if write {
                    self.remember(context, &mut decision)?;
                    self.drop_expired_keys(context, &mut decision);
                }
                decision
            }
        };
        if context.dry_run { Err(dry_run_passed(command)) } else { Ok(decision) }
    }

    // tidy: long because it is one table, of every command to the function that decides it
    fn decide(&self, context: &mut Context<'_>, command: &Command) -> Result<Decision, ApiError> {
        match command {
            Command::DescribeRegions => {
                Ok(Decision::read(Outcome::Regions(context.settings.regions.clone())))
            }
            Command::DescribeZones => self.describe_zones(context),
            Command::DescribeEndpoints(command) => self.describe_endpoints(context, command),
            Command::GetCallerIdentity => {
                Ok(Decision::read(Outcome::CallerIdentity(context.caller)))
            }
            Command::DescribeAbsent(command) => Ok(Self::describe_absent(command)),
            Command::CreateVpc(command) => self.create_vpc(context, command),
            Command::DeleteVpc { vpc } => self.delete_vpc(context, vpc),
            Command::DescribeVpcs(command) => self.describe_vpcs(context, command),
            Command::DescribeVpcAttribute { vpc } => self.describe_vpc_attribute(context, vpc),
            Command::ModifyVpcAttribute(command) => self.modify_vpc(context, command),
            Command::DescribeRouteTables(command) => {
                self.describe_route_tables(context, command, Outcome::RouteTables)
            }
            Command::DescribeRouteTableList(command) => {
                self.describe_route_tables(context, command, Outcome::RouteTableList)
            }
            Command::CreateVSwitch(command) => self.create_vswitch(context, command),
            Command::DeleteVSwitch { vswitch } => self.delete_vswitch(context, vswitch),
            Command::DescribeVSwitches(command) => self.describe_vswitches(context, command),
            Command::DescribeVSwitchAttributes { vswitch } => {
                self.describe_vswitch_attributes(context, vswitch)
            }
            Command::ModifyVSwitchAttribute(command) => self.modify_vswitch(context, command),
            Command::TagResources(command) => self.tag_resources(context, command),
            Command::UntagResources(command) => self.untag_resources(context, command),
            Command::ListTagResources(command) => self.list_tag_resources(context, command),
            Command::DescribeTags(command) => self.describe_tags(context, command),
            Command::MoveResourceGroup(command) => self.move_resource_group(context, command),
            Command::CreateSecurityGroup(command) => self.create_group(context, command),
            Command::DeleteSecurityGroup { group } => self.delete_group(context, group),
            Command::DescribeSecurityGroups(command) => self.describe_groups(context, command),
            Command::DescribeSecurityGroupAttribute(command) => {
                self.describe_group_attribute(context, command)
            }
            Command::DescribeSecurityGroupReferences { groups } => {
                self.describe_references(context, groups)
            }
            Command::ModifySecurityGroupAttribute(command) => self.modify_group(context, command),
            Command::ModifySecurityGroupPolicy { group, inner_access } => {
                self.modify_group_policy(context, group, *inner_access)
            }
            Command::Authorize(command) => self.authorize(context, command),
            Command::ModifyRule(command) => self.modify_rule(context, command),
            Command::Revoke(command) => self.revoke(context, command),
            Command::CreatePrefixList(command) => self.create_list(context, command),
            Command::ModifyPrefixList(command) => self.modify_list(context, command),
            Command::DeletePrefixList { list } => self.delete_list::<Prefixes>(context, list),
            Command::DescribePrefixLists(command) => {
                self.describe_lists(context, command).map(Outcome::PrefixLists).map(Decision::read)
            }
            Command::DescribePrefixListAttributes { list } => {
                self.describe_prefix_list(context, list)
            }
            Command::DescribePrefixListAssociations(command) => self
                .describe_list_associations(context, command)
                .map(Outcome::PrefixListAssociations)
                .map(Decision::read),
            Command::CreatePortRangeList(command) => self.create_list(context, command),
            Command::ModifyPortRangeList(command) => self.modify_list(context, command),
            Command::DeletePortRangeList { list } => self.delete_list::<PortRanges>(context, list),
            Command::DescribePortRangeLists(command) => self
                .describe_lists(context, command)
                .map(Outcome::PortRangeLists)
                .map(Decision::read),
            Command::DescribePortRangeListEntries { list } => {
                self.describe_port_range_list(context, list)
            }
            Command::DescribePortRangeListAssociations(command) => self
                .describe_list_associations(context, command)
                .map(Outcome::PortRangeListAssociations)
                .map(Decision::read),
            Command::CreateNetworkInterface(command) => self.create_interface(context, command),
            Command::DescribeNetworkInterfaces(command) => {
                self.describe_interfaces(context, command)
            }
            Command::ModifyNetworkInterfaceAttribute(command) => {
                self.modify_interface(context, command)
            }
            Command::DeleteNetworkInterface { interface } => {
                self.delete_interface(context, interface)
            }
            Command::DescribeNetworkInterfaceAttribute { interface, attribute } => {
                self.describe_interface_attribute(context, interface, *attribute)
            }
            Command::AssignPrivateIpAddresses(command) => self.assign_ipv4(context, command),
            Command::AssignIpv6Addresses(command) => self.assign_ipv6(context, command),
            Command::UnassignAddresses(command) => self.unassign(context, command),
            Command::AttachNetworkInterface { interface, instance } => {
                self.attach(context, interface, instance)
            }
            Command::DetachNetworkInterface { interface, instance } => {
                self.detach(context, interface, instance)
            }
            Command::JoinSecurityGroup { group, joiner } => self.join(context, group, joiner),
            Command::LeaveSecurityGroup { group, joiner } => self.leave(context, group, joiner),
            Command::RunInstances(command) => self.run_instances(context, command),
            Command::CreateInstance(command) => self.create_instance(context, command),
            Command::StartInstances(batch) => self.start_instances(context, batch),
            Command::StopInstances(batch) => self.stop_instances(context, batch),
            Command::DeleteInstances(command) => self.delete_instances(context, command),
            Command::DescribeInstances(command) => self.describe_instances(context, command),
            Command::DescribeInstanceAttribute { instance } => {
                self.describe_instance_attribute(context, instance)
            }
            Command::ModifyInstanceAttribute(command) => self.modify_instance(context, command),
            Command::CreateRootAccount(command) => self.create_root_account(context, command),
            Command::CreateAccount { name } => self.create_account(context, name),
            Command::DeleteAccount { account } => self.delete_account(*account),
            Command::DescribeAccounts => Ok(self.describe_accounts(context)),
            Command::CreateAccessKey(command) => self.create_access_key(context, command),
            Command::RotateAccessKey(command) => self.rotate_access_key(context, command),
            Command::SetAccessKeyActive { access_key, active } => {
                self.set_access_key_active(context, access_key, *active)
            }
            Command::DeleteAccessKey { access_key } => self.delete_access_key(context, access_key),
            Command::DescribeAccessKeys { account } => self.describe_access_keys(*account),
            Command::ShareVpc { vpc, account } => self.share_vpc(context, vpc, *account),
            Command::UnshareVpc { vpc, account } => self.unshare_vpc(vpc, *account),
            Command::DescribeOwnedVpcs => Ok(self.describe_owned_vpcs()),
            Command::BindInterface { interface, device } => self.bind(context, interface, device),
            Command::UnbindInterface { interface } => self.unbind(interface),
            Command::StartRun(command) => self.start_run(context, command),
            Command::EndRun { device } => self.end_run(device),
            Command::DescribeBindings => {
                Ok(Decision::read(Outcome::Bindings(self.bindings.values().cloned().collect())))
            }
        }
    }

    /// Takes a change in. Records that refer to one another come in the order of [`RecordKey`].
    pub fn absorb(&mut self, change: Change) {
        match change {
            Change::Put(record) => self.put(record),
            Change::Delete(key) => self.delete(&key),
        }
    }

    fn put(&mut self, record: Record) {
        match record {
            Record::Account(record) => self.put_account(record),
            Record::AccessKey(record) => self.put_access_key(record),
            Record::Vpc(record) => self.put_vpc(record),
            Record::VSwitch(record) => self.put_vswitch(record),
            Record::Group(record) => self.put_group(record),
            Record::Rule(record) => self.put_rule(record),
            Record::Interface(record) => self.put_interface(*record),
            Record::Binding(record) => self.put_binding(record),
            Record::Token(record) => self.put_token(record),
            Record::Instance(record) => self.put_instance(*record),
            Record::PrefixList(record) => self.put_list(record),
            Record::PortRangeList(record) => self.put_list(record),
            Record::VpcShare(record) => self.put_vpc_share(record),
        }
    }

    fn delete(&mut self, key: &RecordKey) {
        match key {
            RecordKey::Account(id) => self.remove_account(*id),
            RecordKey::AccessKey(id) => self.remove_access_key(id),
            RecordKey::Vpc(id) => self.remove_vpc(id),
            RecordKey::VSwitch(id) => self.remove_vswitch(id),
            RecordKey::Group(id) => self.remove_group(id),
            RecordKey::Rule(group, id) => self.remove_rule(group, id),
            RecordKey::Interface(id) => self.remove_interface(id),
            RecordKey::Binding(id) => self.remove_binding(id),
            RecordKey::Token(account, token) => self.remove_token(*account, token),
            RecordKey::Instance(id) => self.remove_instance(id),
            RecordKey::PrefixList(id) => self.remove_list::<Prefixes>(id),
            RecordKey::PortRangeList(id) => self.remove_list::<PortRanges>(id),
            RecordKey::VpcShare(vpc, account) => self.remove_vpc_share(vpc, *account),
        }
    }

    /// Everything there is, in an order in which it can be absorbed again.
    pub fn records(&self) -> impl Iterator<Item = Record> + '_ {
        let accounts = self.accounts.values().cloned().map(Record::Account);
        let access_keys = self.access_keys.values().cloned().map(Record::AccessKey);
        let vpcs = self.vpcs.values().cloned().map(Record::Vpc);
        let vswitches = self.vswitches.values().cloned().map(Record::VSwitch);
        let groups = self.groups.values().map(|entry| Record::Group(entry.record.clone()));
        let rules =
            self.groups.values().flat_map(|entry| entry.rules.iter().cloned().map(Record::Rule));
        let interfaces = self.interfaces.values().cloned().map(Box::new).map(Record::Interface);
        let bindings = self.bindings.values().cloned().map(Record::Binding);
        let tokens = self.tokens.values().cloned().map(Record::Token);
        let prefix_lists = self.prefix_lists.values().cloned().map(Record::PrefixList);
        let port_range_lists = self.port_range_lists.values().cloned().map(Record::PortRangeList);
        let shares = self.vpc_shares.values().cloned().map(Record::VpcShare);
        let networks = accounts.chain(access_keys).chain(vpcs).chain(vswitches);
        let instances = self.instances.values().cloned().map(Box::new).map(Record::Instance);
        let bound = networks.chain(groups).chain(rules).chain(interfaces).chain(bindings);
        let lists = prefix_lists.chain(port_range_lists);
        bound.chain(tokens).chain(instances).chain(lists).chain(shares)
    }

    /// What verdicts depend on.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The access key of this id.
    pub fn access_key(&self, id: &AccessKeyId) -> Option<&AccessKey> {
        self.access_keys.get(id)
    }

    /// The account of this id.
    pub fn account(&self, id: AccountId) -> Option<&Account> {
        self.accounts.get(&id)
    }

    /// The root account, once it is made.
    pub fn root_account(&self) -> Option<&Account> {
        self.accounts.values().find(|account| account.root)
    }

    /// The interface of this id.
    pub fn interface(&self, id: &NetworkInterfaceId) -> Option<&InterfaceRecord> {
        self.interfaces.get(id)
    }

    /// The group of this id.
    pub fn group(&self, id: &SecurityGroupId) -> Option<&GroupRecord> {
        self.groups.get(id).map(|entry| &entry.record)
    }

    /// The rule of this id in its group.
    pub fn rule(
        &self,
        group: &SecurityGroupId,
        id: &SecurityGroupRuleId,
    ) -> Option<&Arc<RuleRecord>> {
        self.groups.get(group)?.rules.get(id)
    }

    /// The binding of an interface.
    pub fn binding(&self, interface: &NetworkInterfaceId) -> Option<&Binding> {
        self.bindings.get(interface)
    }

    /// The groups with a rule that names `group` as its peer, in order.
    pub fn groups_naming(&self, group: &SecurityGroupId) -> impl Iterator<Item = &SecurityGroupId> {
        self.index.references.get(group)
    }

    /// All bindings, by interface.
    pub fn bindings(&self) -> impl Iterator<Item = &Binding> {
        self.bindings.values()
    }

    fn check_region(
        &self,
        context: &Context<'_>,
        asked: Option<&RegionId>,
        place: &'static str,
    ) -> Result<(), ApiError> {
        let regions = &context.settings.regions;
        if asked.is_none_or(|asked| regions.iter().any(|known| known.id == *asked)) {
            return Ok(());
        }
        let known = regions.iter().map(|known| known.id.as_str()).collect::<Vec<_>>().join(", ");
        let message = "The specified RegionId does not exist.";
        Err(ApiError::not_found("InvalidRegionId.NotFound", message)
            .at(place)
            .help(alloc::format!("Regions here: {known}.")))
    }
}

fn dry_run_passed(command: &Command) -> ApiError {
    let message = "Request validation has been passed with DryRun flag set.";
    let passed = if command.is_batch() {
        ApiError::invalid("DRYRUN.SUCCESS", message)
    } else {
        ApiError::invalid("DryRunOperation", message)
    };
    passed.at("DryRun")
}
