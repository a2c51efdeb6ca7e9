//! VPCs and vSwitches.
use portcullis_core::command::*;

use super::model::*;
use super::pair::*;

/// Blocks of VPCs, and whether they are ones.
const VPC_BLOCKS: [(&str, bool); 9] = [
    ("10.0.0.0/24", true),
    ("10.0.0.0/24", true),
    ("10.0.0.0/16", true),
    ("10.0.0.64/26", true),
    ("10.0.0.0/29", false),
    ("10.0.0.1/24", false),
    ("127.0.0.0/24", false),
    ("10.0.0.0", false),
    ("fd00::/56", false),
];
/// Blocks of vSwitches, and whether they are ones anywhere.
const VSWITCH_BLOCKS: [(&str, bool); 8] = [
    ("10.0.0.0/26", true),
    ("10.0.0.0/26", true),
    ("10.0.0.64/29", true),
    ("10.0.0.72/29", true),
    ("10.0.0.64/27", true),
    ("10.0.1.0/28", true),
    ("10.0.0.80/30", false),
    ("10.0.0.81/29", false),
];
const VPC_IPV6_BLOCKS: [(&str, bool); 5] = [
    ("2001:db8:0:100::/56", true),
    ("fd00:0:0:100::/56", true),
    ("fe80::/56", false),
    ("2001:db8::/64", false),
    ("2001:db8::1/56", false),
];
const DEFAULT_BLOCK: &str = "172.16.0.0/12";

/// First and last address of a block, and whether it is of IPv4.
pub(super) fn block(text: &str) -> (u128, u128, bool) {
    let (address, length) = text.split_once('/').unwrap();
    let length: u32 = length.parse().unwrap();
    let (number, bits) = match address.parse().unwrap() {
        std::net::IpAddr::V4(own) => (u128::from(own.to_bits()), 32),
        std::net::IpAddr::V6(own) => (own.to_bits(), 128),
    };
    (number, number + ((1u128 << (bits - length)) - 1), bits == 32)
}

fn lies_in(inner: &str, outer: &str) -> bool {
    let (inner, outer) = (block(inner), block(outer));
    inner.2 == outer.2 && outer.0 <= inner.0 && inner.1 <= outer.1
}

fn touches(one: &str, other: &str) -> bool {
    let (one, other) = (block(one), block(other));
    one.0 <= other.1 && other.0 <= one.1
}

/// The /64 of this number in a /56.
fn ipv6_part(whole: &str, number: u8) -> String {
    let first = block(whole).0 + (u128::from(number) << 64);
    format!("{}/64", std::net::Ipv6Addr::from_bits(first))
}

impl Model {
    fn vswitches_of<'a>(&'a self, vpc: &'a str) -> impl Iterator<Item = &'a VSwitch> {
        self.vswitches.iter().filter(move |own| own.vpc == vpc)
    }

    /// Why a vSwitch of the VPC cannot have this /64.
    fn bad_part(&self, vpc: &Vpc, number: u8) -> Option<&'static str> {
        let Some(whole) = &vpc.ipv6 else { return Some("InvalidIpv6CidrBlock.Malformed") };
        let part = Some(ipv6_part(whole, number));
        let taken = self.vswitches_of(&vpc.id).any(|other| other.ipv6 == part);
        taken.then_some("InvalidIpv6CidrBlock.Overlapped")
    }

    pub(super) fn delete_vpc(&self, who: &Who, id: &str) -> Refusals {
        let mut refusals = Refusals::new();
        if who.own(&self.vpcs, id).is_none() {
            return only("InvalidVpcID.NotFound");
        }
        if self.vswitches_of(id).count() > 0 {
            refusals.insert("DependencyViolation.VSwitch".into());
        }
        if self.groups.iter().any(|group| group.vpc.as_deref() == Some(id)) {
            refusals.insert("DependencyViolation.SecurityGroup".into());
        }
        refusals
    }
}

impl Pair {
    fn some_vpc_block(&mut self) -> (&'static str, bool) {
        self.one_of(&VPC_BLOCKS)
    }

    pub(super) fn create_vpc(&mut self) {
        let wanted = (!self.chance(6)).then(|| self.some_vpc_block());
        let given = self.one_of(&VPC_IPV6_BLOCKS);
        let ipv6 = self.one_of(&[
            VpcIpv6::Disabled,
            VpcIpv6::Assigned,
            VpcIpv6::Given(parsed(given.0)),
            VpcIpv6::Given(parsed(given.0)),
        ]);
        let users = self.one_of(&[(&[][..], true), (&["10.9.0.0/16"], true), (&["::/0"], false)]);
        let (name, labels) = (self.some_text(), self.some_labels());
        let mut refusals = Refusals::new();
        let region = self.who.region.clone();
        let mut refuse = |when: bool, code: &str| {
            if when {
                refusals.insert(code.into());
            }
        };
        refuse(region.is_none(), "MissingParameter.RegionId");
        refuse(wanted.is_some_and(|(_, good)| !good), "InvalidCidrBlock.Malformed");
        refuse(!users.1, "InvalidUserCidr.Malformed");
        let bad_ipv6 = matches!(ipv6, VpcIpv6::Given(_)) && !given.1;
        refuse(bad_ipv6, "InvalidIpv6CidrBlock.Malformed");
        let region = region.unwrap_or_default();
        let full = Model::count(&self.model.vpcs, self.who.caller, &region) >= VPCS_MAX;
        refuse(full, "QuotaExceeded.Vpc");
        let command = Command::CreateVpc(CreateVpc {
            cidr: wanted.map(|(text, _)| parsed(text)),
            ipv6: ipv6.clone(),
            name: maybe(&name),
            description: None,
            user_cidrs: users.0.iter().map(|text| parsed(text)).collect(),
            resource_group: maybe(&labels.group),
            tags: tags(&labels),
        });
        let Some(outcome) = self.send(&command, &refusals) else { return };
        let Outcome::Written(Written::Vpc { vpc, router, route_table, .. }) = outcome else {
            panic!("{outcome:?}")
        };
        let ipv6 = match ipv6 {
            VpcIpv6::Disabled => None,
            VpcIpv6::Assigned => Some(self.assigned_block(&vpc.to_string())),
            VpcIpv6::Given(_) => Some(given.0.to_string()),
        };
        self.model.vpcs.push(Vpc {
            id: vpc.to_string(),
            owner: self.who.caller,
            region,
            cidr: wanted.map_or(DEFAULT_BLOCK, |(text, _)| text).to_string(),
            ipv6,
            router: router.to_string(),
            route_table: route_table.to_string(),
            name,
            description: None,
            labels,
        });
    }

    /// The IPv6 block that was drawn for a VPC: a unique local /56 that no other has.
    fn assigned_block(&self, id: &str) -> String {
        let held = super::held::held(&self.harness.state);
        let drawn = get(&held.vpcs, id).ipv6.clone().unwrap();
        let (first, last, _) = block(&drawn);
        assert_eq!((last - first, first >> 121), ((1 << 72) - 1, 0xfc >> 1), "{drawn}");
        assert!(!self.model.vpcs.iter().any(|vpc| vpc.ipv6.as_ref() == Some(&drawn)), "{drawn}");
        drawn
    }

    pub(super) fn delete_vpc(&mut self) {
        let id = self.some_vpc();
        let refusals = self.model.delete_vpc(&self.who, &id);
        if self.send(&Command::DeleteVpc { vpc: parsed(&id) }, &refusals).is_some() {
            self.model.vpcs.retain(|vpc| vpc.id != id);
            self.model.shares.retain(|(vpc, _)| *vpc != id);
        }
    }

    pub(super) fn modify_vpc(&mut self) {
        let (id, name) = (self.some_vpc(), self.some_text());
        let text = self.one_of(&[None, Some(""), Some("text")]);
        let wanted = self.chance(2).then(|| self.some_vpc_block());
        let given = self.one_of(&VPC_IPV6_BLOCKS);
        let asked = self.one_of(&[
            None,
            Some(VpcIpv6::Disabled),
            Some(VpcIpv6::Assigned),
            Some(VpcIpv6::Given(parsed(given.0))),
        ]);
        let command = Command::ModifyVpcAttribute(ModifyVpcAttribute {
            vpc: parsed(&id),
            name: maybe(&name),
            description: edit(text),
            cidr: wanted.map(|(text, _)| parsed(text)),
            ipv6: asked.clone(),
        });
        let Some(old) = self.who.own(&self.model.vpcs, &id).cloned() else {
            self.send(&command, &only("InvalidVpcID.NotFound"));
            return;
        };
        let mut new = old.clone();
        new.name = name.or(old.name);
        new.description = edited(&old.description, text);
        let mut refusals = Refusals::new();
        let mut refuse = |when: bool, code: &str| {
            if when {
                refusals.insert(code.into());
            }
        };
        if let Some((block, good)) = wanted {
            refuse(!good, "InvalidCidrBlock.Malformed");
            if good {
                let outside = |own: &VSwitch| !lies_in(&own.cidr, block);
                let outside = self.model.vswitches_of(&id).any(outside);
                refuse(outside, "DependencyViolation.VSwitch");
            }
            new.cidr = block.to_string();
        }
        match (&asked, &old.ipv6) {
            (None, _) | (Some(VpcIpv6::Assigned), _) | (Some(VpcIpv6::Disabled), None) => {}
            (Some(VpcIpv6::Disabled), Some(_)) => {
                let used = self.model.vswitches_of(&id).any(|own| own.ipv6.is_some());
                refuse(used, "DependencyViolation.VSwitch");
                new.ipv6 = None;
            }
            (Some(VpcIpv6::Given(_)), own) => {
                let other = own.as_ref().is_some_and(|own| own != given.0);
                refuse(!given.1 || other, "InvalidIpv6CidrBlock.Malformed");
                new.ipv6 = Some(given.0.to_string());
            }
        }
        if self.send(&command, &refusals).is_some() {
            if asked == Some(VpcIpv6::Assigned) && old.ipv6.is_none() {
                new.ipv6 = Some(self.assigned_block(&id));
            }
            *get_mut(&mut self.model.vpcs, &id) = new;
        }
    }

    pub(super) fn create_vswitch(&mut self) {
        let (id, zone) = (self.some_vpc(), self.one_of(&[ZONES[0], ZONES[0], ZONES[1]]));
        let (cidr, good) = self.one_of(&VSWITCH_BLOCKS);
        let number = self.one_of(&[None, Some(0), Some(1)]);
        let (name, labels) = (self.some_text(), self.some_labels());
        let command = Command::CreateVSwitch(CreateVSwitch {
            vpc: parsed(&id),
            zone: parsed(zone),
            cidr: parsed(cidr),
            ipv6_index: number,
            name: maybe(&name),
            description: None,
            tags: tags(&labels),
        });
        let model = &self.model;
        let Some(vpc) = model.usable_vpc(&self.who, &id).cloned() else {
            self.send(&command, &only("InvalidVpcID.NotFound"));
            return;
        };
        let mut refusals = Refusals::new();
        let mut refuse = |when: bool, code: &str| {
            if when {
                refusals.insert(code.into());
            }
        };
        refuse(!good || !lies_in(cidr, &vpc.cidr), "InvalidCidrBlock.Malformed");
        refuse(model.vswitches_of(&id).count() >= VSWITCHES_MAX, "QuotaExceeded.VSwitch");
        let taken = model.vswitches_of(&id).any(|other| touches(&other.cidr, cidr));
        refuse(taken, "InvalidCidrBlock.Overlapped");
        if let Some(code) = number.and_then(|number| model.bad_part(&vpc, number)) {
            refuse(true, code);
        }
        let Some(outcome) = self.send(&command, &refusals) else { return };
        let Outcome::Written(Written::VSwitch { vswitch }) = outcome else { panic!() };
        let ipv6 = number.map(|number| ipv6_part(vpc.ipv6.as_ref().unwrap(), number));
        self.model.vswitches.push(VSwitch {
            id: vswitch.to_string(),
            owner: self.who.caller,
            region: vpc.region,
            vpc: id,
            zone: zone.to_string(),
            cidr: cidr.to_string(),
            ipv6,
            name,
            description: None,
            labels: Labels { group: None, ..labels },
        });
    }

    pub(super) fn delete_vswitch(&mut self) {
        let id = self.some_vswitch();
        let refusals = match self.who.own(&self.model.vswitches, &id) {
            None => only("InvalidVswitchID.NotFound"),
            Some(_) if self.model.interfaces.iter().any(|own| own.vswitch == id) => {
                only("DependencyViolation.NetworkInterface")
            }
            Some(_) => Refusals::new(),
        };
        if self.send(&Command::DeleteVSwitch { vswitch: parsed(&id) }, &refusals).is_some() {
            self.model.vswitches.retain(|own| own.id != id);
        }
    }

    pub(super) fn modify_vswitch(&mut self) {
        let (id, name) = (self.some_vswitch(), self.some_text());
        let text = self.one_of(&[None, Some(""), Some("text")]);
        let asked = self.one_of(&[
            None,
            Some(VSwitchIpv6::Disabled),
            Some(VSwitchIpv6::Enabled),
            Some(VSwitchIpv6::Number(0)),
            Some(VSwitchIpv6::Number(1)),
        ]);
        let command = Command::ModifyVSwitchAttribute(ModifyVSwitchAttribute {
            vswitch: parsed(&id),
            name: maybe(&name),
            description: edit(text),
            ipv6: asked,
        });
        let model = &self.model;
        let Some(old) = self.who.own(&model.vswitches, &id).cloned() else {
            self.send(&command, &only("InvalidVswitchID.NotFound"));
            return;
        };
        let vpc = get(&model.vpcs, &old.vpc);
        let mut new = old.clone();
        new.name = name.or(old.name);
        new.description = edited(&old.description, text);
        let mut refusals = Refusals::new();
        match (asked, &old.ipv6) {
            (None, _)
            | (Some(VSwitchIpv6::Disabled), None)
            | (Some(VSwitchIpv6::Enabled), Some(_)) => {}
            (Some(VSwitchIpv6::Disabled), Some(_)) => {
                let uses = |own: &&Interface| {
                    !own.own.ipv6.is_empty() || !own.own.ipv6_prefixes.is_empty()
                };
                let mut members = model.interfaces.iter().filter(|own| own.vswitch == id);
                if members.any(|own| uses(&own)) {
                    refusals = only("DependencyViolation.Ipv6Address");
                }
                new.ipv6 = None;
            }
            (Some(VSwitchIpv6::Enabled), None) => refusals = only("MissingIpv6CidrBlock"),
            (Some(VSwitchIpv6::Number(number)), None) => {
                refusals.extend(model.bad_part(vpc, number).map(str::to_string));
                new.ipv6 = vpc.ipv6.as_ref().map(|whole| ipv6_part(whole, number));
            }
            (Some(VSwitchIpv6::Number(number)), Some(own)) => {
                if *own != ipv6_part(vpc.ipv6.as_ref().unwrap(), number) {
                    refusals = only("InvalidIpv6CidrBlock.Malformed");
                }
            }
        }
        if self.send(&command, &refusals).is_some() {
            *get_mut(&mut self.model.vswitches, &id) = new;
        }
    }
}
