//! Network interfaces, the groups they are in, and what they are attached and bound to.
use portcullis_core::command::*;

use super::addresses::{Wanted, count_refusals, counted, ipv4, wanted_addresses};
use super::held::held;
use super::model::*;
use super::pair::*;

/// Hardware addresses, and whether they are those of one device.
const MACS: [(&str, bool); 4] = [
    ("02:00:00:00:00:01", true),
    ("02:00:00:00:00:02", true),
    ("03:00:00:00:00:01", false),
    ("00:00:00:00:00:00", false),
];

/// By which action an interface gets into groups.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Entrance {
    Interface,
    Instance,
    JoinInterface,
    JoinInstance,
}

impl Entrance {
    fn is_join(self) -> bool {
        matches!(self, Self::JoinInterface | Self::JoinInstance)
    }

    fn too_many(self) -> &'static str {
        match self.is_join() {
            true => "InstanceSecurityGroupLimitExceeded",
            false => "JoinedGroupLimitExceed",
        }
    }

    fn full(self) -> &'static str {
        match self.is_join() {
            true => "SecurityGroupInstanceLimitExceeded",
            false => "SecurityGroupInstanceLimitExceed",
        }
    }

    fn other_vpc(self) -> &'static str {
        match self {
            Self::Interface | Self::JoinInterface => "InvalidOperation.VpcMismatch",
            Self::Instance => "InvalidParameter.Mismatch",
            Self::JoinInstance => "InvalidInstanceId.Mismatch",
        }
    }
}

/// A new interface as it is asked for.
#[derive(Clone, Debug)]
pub(super) struct WantedInterface {
    pub(super) vswitch: String,
    pub(super) groups: Vec<String>,
    pub(super) addresses: Wanted,
    mac: Option<(&'static str, bool)>,
    name: Option<String>,
    delete_on_release: Option<bool>,
    labels: Labels,
}

impl WantedInterface {
    pub(super) fn command(&self) -> CreateNetworkInterface {
        let groups = self.groups.iter().map(|id| parsed(id)).collect();
        CreateNetworkInterface {
            primary: self.addresses.primary.map(ipv4),
            addresses: wanted_addresses(&self.addresses),
            mac: self.mac.map(|(text, _)| parsed(text)),
            name: maybe(&self.name),
            delete_on_release: self.delete_on_release,
            resource_group: maybe(&self.labels.group),
            tags: tags(&self.labels),
            ..CreateNetworkInterface::new(parsed(&self.vswitch), groups)
        }
    }
}

/// An interface that wants to be in groups.
struct Entry<'a> {
    vpc: &'a str,
    groups: &'a [String],
    old: &'a [String],
    count: usize,
    entrance: Entrance,
}

impl Model {
    /// The groups, each once, if the interface may be in all of them.
    fn check_groups(&self, who: &Who, entry: &Entry<'_>) -> Result<Vec<String>, Refusals> {
        let mut unique: Vec<String> = Vec::new();
        for id in entry.groups {
            if !unique.contains(id) {
                unique.push(id.clone());
            }
        }
        let mut refusals = Refusals::new();
        let mut refuse = |when: bool, code: &str| {
            if when {
                refusals.insert(code.into());
            }
        };
        refuse(unique.is_empty(), "MissingSecurityGroupId");
        refuse(unique.len() > GROUPS_PER_INTERFACE, entry.entrance.too_many());
        let found: Vec<&Group> = unique.iter().filter_map(|id| who.own(&self.groups, id)).collect();
        refuse(found.len() < unique.len(), "InvalidSecurityGroupId.NotFound");
        for group in &found {
            refuse(group.vpc.is_none(), "InvalidSecurityGroupId.NotVpc");
            let elsewhere = group.vpc.as_ref().is_some_and(|vpc| vpc != entry.vpc);
            refuse(elsewhere, entry.entrance.other_vpc());
            let (more, most) = match group.enterprise {
                true => (1, INTERFACES_PER_GROUP),
                false => (entry.count, ADDRESSES_PER_GROUP),
            };
            let full = !entry.old.contains(&group.id) && self.used(group) + more > most;
            refuse(full, entry.entrance.full());
        }
        let mixed = found.iter().any(|group| group.enterprise != found[0].enterprise);
        refuse(mixed, "OperationDenied");
        let is_new = unique.iter().any(|id| !entry.old.contains(id));
        refuse(is_new && self.rules_of(&unique) > RULES_PER_INTERFACE, "AclLimitExceed");
        if refusals.is_empty() { Ok(unique) } else { Err(refusals) }
    }

    /// The new interface, whose id and drawn hardware address are not known yet.
    pub(super) fn new_interface(
        &self,
        who: &Who,
        wanted: &WantedInterface,
        entrance: Entrance,
    ) -> Result<Interface, Refusals> {
        let Some(vswitch) = who.own(&self.vswitches, &wanted.vswitch) else {
            return Err(only("InvalidVSwitchId.NotFound"));
        };
        let mut refusals = Refusals::new();
        if Model::count(&self.interfaces, who.caller, &vswitch.region) >= INTERFACES_MAX {
            refusals.insert("MaxEniCountExceeded".into());
        }
        let mut own = Own::default();
        match self.choose(vswitch, &wanted.addresses, true) {
            Ok(chosen) => {
                refusals.append(&mut count_refusals(&chosen));
                own = chosen;
            }
            Err(mut more) => {
                refusals.append(&mut more);
                refusals.append(&mut counted(&own, &wanted.addresses));
            }
        }
        let entry = Entry {
            vpc: &vswitch.vpc,
            groups: &wanted.groups,
            old: &[],
            count: wanted.addresses.count(),
            entrance,
        };
        let groups = self.check_groups(who, &entry).unwrap_or_else(|mut more| {
            refusals.append(&mut more);
            Vec::new()
        });
        let taken = |mac: &str| self.interfaces.iter().any(|own| own.mac == mac);
        if wanted.mac.is_some_and(|(mac, good)| !good || taken(mac)) {
            refusals.insert("InvalidParam.MacAddress".into());
        }
        if !refusals.is_empty() {
            return Err(refusals);
        }
        Ok(Interface {
            id: String::new(),
            owner: who.caller,
            region: vswitch.region.clone(),
            vpc: vswitch.vpc.clone(),
            vswitch: vswitch.id.clone(),
            zone: vswitch.zone.clone(),
            mac: wanted.mac.map_or(String::new(), |(mac, _)| mac.to_string()),
            own,
            groups,
            name: wanted.name.clone(),
            description: None,
            source_dest_check: None,
            delete_on_release: wanted.delete_on_release.unwrap_or(true),
            tracking: None,
            queues: None,
            attached: None,
            device: None,
            labels: wanted.labels.clone(),
        })
    }

    /// Whether an interface may be one of the instance of this primary interface.
    pub(super) fn check_attached(&self, own: &Interface, primary: &Interface) -> Refusals {
        let mut refusals = Refusals::new();
        let mut refuse = |when: bool, code: &str| {
            if when {
                refusals.insert(code.into());
            }
        };
        refuse(own.attached.is_some(), "InvalidOperation.InvalidEniState");
        refuse(own.vpc != primary.vpc, "InvalidOperation.VpcMismatch");
        refuse(own.zone != primary.zone, "InvalidOperation.AvailabilityZoneMismatch");
        let instance = &primary.attached.as_ref().unwrap().instance;
        let full = self.interfaces_of(instance).count() >= INTERFACES_PER_INSTANCE;
        refuse(full, "EniPerInstanceLimitExceeded");
        refusals
    }

    pub(super) fn interfaces_of<'a>(
        &'a self,
        instance: &'a str,
    ) -> impl Iterator<Item = &'a Interface> {
        let of = move |own: &&Interface| {
            own.attached.as_ref().is_some_and(|own| own.instance == instance)
        };
        self.interfaces.iter().filter(of)
    }

    pub(super) fn primary_of<'a>(&'a self, instance: &'a str) -> &'a Interface {
        let is_primary = |own: &&Interface| own.attached.as_ref().unwrap().primary;
        self.interfaces_of(instance).find(is_primary).unwrap()
    }

    /// All groups of an interface from now on.
    pub(super) fn moved(
        &self,
        who: &Who,
        own: &Interface,
        groups: &[String],
        entrance: Entrance,
    ) -> Result<Vec<String>, Refusals> {
        let (vpc, count, old) = (&own.vpc, own.own.count(), &own.groups);
        self.check_groups(who, &Entry { vpc, groups, old, count, entrance })
    }
}

impl Pair {
    pub(super) fn some_groups(&mut self) -> Vec<String> {
        let count = self.one_of(&[0, 1, 1, 1, 1, 1, 2, 2, 2, 3]);
        (0..count).map(|_| self.some_group()).collect()
    }

    /// A group of the VPC of a vSwitch, mostly.
    fn fitting_groups(&mut self, vswitch: &str) -> Vec<String> {
        let vpc = self.model.vswitches.iter().find(|own| own.id == vswitch);
        let vpc = vpc.map(|own| own.vpc.clone());
        let own = self.model.groups.iter().filter(|own| own.vpc == vpc && self.who.sees(*own));
        let own: Vec<String> = own.map(|own| own.id.clone()).collect();
        if own.is_empty() || self.chance(5) {
            return self.some_groups();
        }
        let count = 1 + self.dice.below(2);
        (0..count).map(|_| self.one_of(&own)).collect()
    }

    pub(super) fn some_new_interface(&mut self) -> WantedInterface {
        let vswitch = self.some_vswitch();
        WantedInterface {
            groups: self.fitting_groups(&vswitch),
            addresses: self.some_addresses(&vswitch),
            vswitch,
            mac: self.chance(10).then(|| self.one_of(&MACS)),
            name: self.some_text(),
            delete_on_release: self.one_of(&[None, Some(true), Some(false)]),
            labels: self.some_labels(),
        }
    }

    /// Puts new interfaces into the model; the state has drawn their ids.
    pub(super) fn adopt(&mut self, new: Vec<Interface>) {
        let held = held(&self.harness.state);
        for mut own in new {
            let place = |other: &&Interface| {
                other.vswitch == own.vswitch && other.own.primary == own.own.primary
            };
            let found = held.interfaces.iter().find(place).unwrap();
            own.id = found.id.clone();
            if own.mac.is_empty() {
                own.mac = found.mac.clone();
                assert!(!self.model.interfaces.iter().any(|other| other.mac == own.mac));
            }
            self.model.interfaces.push(own);
        }
    }

    pub(super) fn create_interface(&mut self) {
        let wanted = self.some_new_interface();
        let made = self.model.new_interface(&self.who, &wanted, Entrance::Interface);
        let command = Command::CreateNetworkInterface(wanted.command());
        let refusals = made.as_ref().err().cloned().unwrap_or_default();
        if self.send(&command, &refusals).is_some() {
            self.adopt(vec![made.unwrap()]);
        }
    }

    pub(super) fn modify_interface(&mut self) {
        let (id, name) = (self.some_interface(), self.some_text());
        let groups = self.chance(2).then(|| self.some_groups());
        let text = self.one_of(&[None, Some(""), Some("text")]);
        let check = self.one_of(&[None, Some(true), Some(false)]);
        let release = self.one_of(&[None, Some(true), Some(false)]);
        let queues = self.one_of(&[None, Some(4)]);
        let established = self.one_of(&[None, None, Some(60), Some(61)]);
        let udp = self.one_of(&[None, None, Some(10)]);
        let ids = groups.as_ref().map(|ids| ids.iter().map(|id| parsed(id)).collect());
        let command = Command::ModifyNetworkInterfaceAttribute(ModifyNetworkInterfaceAttribute {
            interface: parsed(&id),
            groups: ids,
            name: maybe(&name),
            description: edit(text),
            source_dest_check: check,
            delete_on_release: release,
            queue_number: queues,
            tcp_established_s: established,
            tcp_closed_s: None,
            udp_s: udp,
        });
        let Some(old) = self.who.own(&self.model.interfaces, &id).cloned() else {
            self.send(&command, &only("InvalidEniId.NotFound"));
            return;
        };
        let mut new = old.clone();
        let mut refusals = Refusals::new();
        if let Some(groups) = groups {
            match self.model.moved(&self.who, &old, &groups, Entrance::Interface) {
                Ok(groups) => new.groups = groups,
                Err(more) => refusals = more,
            }
        }
        if established == Some(61) {
            refusals.insert("InvalidParameter.ConnectionTrackingConfiguration".into());
        }
        new.name = name.or(old.name);
        new.description = edited(&old.description, text);
        new.source_dest_check = check.or(old.source_dest_check);
        new.delete_on_release = release.unwrap_or(old.delete_on_release);
        new.queues = queues.or(old.queues);
        if established.is_some() || udp.is_some() {
            let (old_established, closed, old_udp) = old.tracking.unwrap_or((910, 3, 30));
            let established = established.unwrap_or(old_established);
            new.tracking = Some((established, closed, udp.unwrap_or(old_udp)));
        }
        if self.send(&command, &refusals).is_some() {
            *get_mut(&mut self.model.interfaces, &id) = new;
        }
    }

    pub(super) fn delete_interface(&mut self) {
        let id = self.some_interface();
        let refusals = match self.who.own(&self.model.interfaces, &id) {
            None => only("InvalidEniId.NotFound"),
            Some(own) if own.attached.is_some() || own.device.is_some() => {
                only("InvalidOperation.InvalidEniState")
            }
            Some(_) => Refusals::new(),
        };
        let command = Command::DeleteNetworkInterface { interface: parsed(&id) };
        if self.send(&command, &refusals).is_some() {
            self.model.interfaces.retain(|own| own.id != id);
        }
    }

    pub(super) fn attach(&mut self) {
        let (id, instance) = (self.some_interface(), self.some_instance());
        let model = &self.model;
        let own = self.who.own(&model.interfaces, &id).cloned();
        let found = self.who.own(&model.instances, &instance);
        let mut refusals = Refusals::new();
        if found.is_none() {
            refusals.insert("InvalidEcsId.NotFound".into());
        }
        if own.is_none() {
            refusals.insert("InvalidEniId.NotFound".into());
        }
        if let (Some(own), Some(_)) = (&own, found) {
            refusals.extend(model.check_attached(own, model.primary_of(&instance)));
        }
        let (interface, to) = (parsed(&id), parsed(&instance));
        let command = Command::AttachNetworkInterface { interface, instance: to };
        if self.send(&command, &refusals).is_some() {
            let since_ms = self.harness.now_ms;
            get_mut(&mut self.model.interfaces, &id).attached =
                Some(Attached { instance, primary: false, since_ms });
        }
    }

    pub(super) fn detach(&mut self) {
        let (mut id, mut instance) = (self.some_interface(), self.some_instance());
        let attached = self
            .model
            .interfaces
            .iter()
            .filter_map(|own| Some((own.id.clone(), own.attached.as_ref()?.instance.clone())));
        let attached: Vec<_> = attached.collect();
        if !attached.is_empty() && !self.chance(4) {
            (id, instance) = self.one_of(&attached);
        }
        let own = self.who.own(&self.model.interfaces, &id);
        let mut refusals = Refusals::new();
        let found = self.who.own(&self.model.instances, &instance).is_some();
        if !found {
            refusals.insert("InvalidEcsId.NotFound".into());
        }
        match own {
            None => {
                refusals.insert("InvalidEniId.NotFound".into());
            }
            Some(own) if found => match &own.attached {
                Some(to) if to.instance == instance => {
                    if to.primary {
                        refusals.insert("InvalidOperation.DetachPrimaryEniNotAllowed".into());
                    }
                }
                _ => {
                    refusals.insert("InvalidOperation.InvalidEniState".into());
                }
            },
            Some(_) => {}
        }
        let (interface, from) = (parsed(&id), parsed(&instance));
        let command = Command::DetachNetworkInterface { interface, instance: from };
        if self.send(&command, &refusals).is_some() {
            get_mut(&mut self.model.interfaces, &id).attached = None;
        }
    }

    /// JoinSecurityGroup and LeaveSecurityGroup, of an interface or of an instance.
    pub(super) fn join_or_leave(&mut self) {
        let (joins, by_instance) = (self.chance(2), self.chance(2));
        let named = if by_instance { self.some_instance() } else { self.some_interface() };
        let model = &self.model;
        let (joiner, own, not_found, entrance) = if by_instance {
            let found = self.who.own(&model.instances, &named);
            let own = found.map(|own| model.primary_of(&own.id).clone());
            let joiner = Joiner::Instance(parsed(&named));
            (joiner, own, "InvalidInstanceId.NotFound", Entrance::JoinInstance)
        } else {
            let own = self.who.own(&model.interfaces, &named).cloned();
            let joiner = Joiner::Interface(parsed(&named));
            (joiner, own, "InvalidEniId.NotFound", Entrance::JoinInterface)
        };
        let mut group = self.some_group();
        if let (false, Some(own)) = (joins || self.chance(4), &own) {
            group = self.one_of(&own.groups);
        }
        let mut refusals = Refusals::new();
        let mut refuse = |when: bool, code: &str| {
            if when {
                refusals.insert(code.into());
            }
        };
        let known = self.who.own(&self.model.groups, &group).is_some();
        refuse(!known, "InvalidSecurityGroupId.NotFound");
        refuse(own.is_none(), not_found);
        let nowhere = !by_instance && self.who.region.is_none();
        refuse(nowhere, "MissingParameter.RegionId");
        let mut new = Vec::new();
        if let Some(own) = own.as_ref().filter(|_| known) {
            let is_in = own.groups.contains(&group);
            new = own.groups.clone();
            if joins {
                refuse(is_in, "InvalidInstanceId.AlreadyExists");
                new.push(group.clone());
                if !is_in {
                    let moved = self.model.moved(&self.who, own, &new, entrance);
                    refusals.extend(moved.err().unwrap_or_default());
                }
            } else {
                refuse(!is_in, "InstanceNotInSecurityGroup");
                refuse(is_in && own.groups.len() == 1, "InstanceLastSecurityGroup");
                new.retain(|id| *id != group);
            }
        }
        let group = parsed(&group);
        let command = match joins {
            true => Command::JoinSecurityGroup { group, joiner },
            false => Command::LeaveSecurityGroup { group, joiner },
        };
        if self.send(&command, &refusals).is_some() {
            get_mut(&mut self.model.interfaces, &own.unwrap().id).groups = new;
        }
    }

    /// The administrator's: it does not matter who asks.
    pub(super) fn change_binding(&mut self) {
        let (binds, device) = (self.chance(2), self.one_of(&["veth0", "veth1"]));
        let id = self.some_interface();
        let own = self.model.interfaces.iter().find(|own| own.id == id);
        let bound = own.and_then(|own| own.device.clone());
        let taken = |own: &Interface| own.device.as_deref() == Some(device);
        let refusals = match (own, &bound) {
            (_, None) if !binds => only("InvalidBinding.NotFound"),
            (None, _) => only("InvalidEniId.NotFound"),
            (_, Some(bound)) if binds && bound != device => {
                only("InvalidOperation.InvalidEniState")
            }
            (_, None) if self.model.interfaces.iter().any(taken) => {
                only("InvalidOperation.DeviceInUse")
            }
            _ => Refusals::new(),
        };
        let interface = parsed(&id);
        let command = match binds {
            true => Command::BindInterface { interface, device: parsed(device) },
            false => Command::UnbindInterface { interface },
        };
        if self.send(&command, &refusals).is_some() {
            get_mut(&mut self.model.interfaces, &id).device = binds.then(|| device.to_string());
        }
    }
}
