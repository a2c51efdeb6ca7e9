//! What exists in the API of one scene: VPC, groups, rules, interfaces, by the names of scripts.
//!
//! Everything here is done by signed calls alone; devices and packets are not known.

use super::language::RuleLine;
use super::topology::{FAR, FAR_V6, OUTSIDE, OUTSIDE_OTHER, OUTSIDE_V6, Subnet, mac_text};
use crate::client::{Answer, Client};
use crate::packet::Mac;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

/// The subnet that the vSwitch of every scene is.
pub const SUBNET: Subnet = Subnet {
    ipv4: Ipv4Addr::new(10, 77, 1, 0),
    ipv6: Ipv6Addr::new(0x2001, 0xdb8, 0x77, 1, 0, 0, 0, 0),
};

/// The blocks of the VPC, in which the subnet lies.
const VPC_BLOCKS: [&str; 2] = ["10.77.0.0/16", "2001:db8:77::/56"];
/// The blocks of the vSwitch; in IPv6, the number of the /64.
const VSWITCH_BLOCKS: [&str; 2] = ["10.77.1.0/24", "1"];

/// What the answer to a write must say about enforcement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// Nothing is bound, or nobody enforces.
    Nothing,
    /// The change is in force when the answer comes.
    Enforced,
}

/// A network interface in the API.
#[derive(Debug, Clone)]
pub struct Interface {
    /// Its id.
    pub id: String,
    /// Its link-layer address.
    pub mac: Mac,
    /// Its address.
    pub ipv4: Ipv4Addr,
    /// Its address in IPv6.
    pub ipv6: Ipv6Addr,
    /// Its groups, by their names in scripts.
    pub groups: BTreeSet<String>,
}

/// A rule in the API.
#[derive(Debug, Clone)]
pub struct Rule {
    /// What a script said.
    pub line: RuleLine,
    /// Its id.
    pub id: String,
    /// Rules made later have larger ones.
    pub number: usize,
}

/// A call that was made, and how long it took to be answered.
#[derive(Debug, Clone)]
pub struct Call {
    /// When it was begun.
    pub begun: Instant,
    /// From there to the answer.
    pub took: Duration,
    /// The answer.
    pub answer: Answer,
}

/// All of it.
#[derive(Debug)]
pub struct Estate {
    /// Who calls.
    pub client: Client,
    /// What answers must say about enforcement.
    pub demand: Demand,
    vpc: String,
    vswitch: String,
    groups: BTreeMap<String, String>,
    rules: BTreeMap<String, Rule>,
    made: usize,
    interfaces: BTreeMap<String, Interface>,
    /// Prefix lists and port range lists: their ids by their names.
    lists: BTreeMap<String, String>,
}

impl Estate {
    /// Makes a VPC and a vSwitch.
    ///
    /// # Errors
    /// When the API refuses, or gives other blocks than asked for.
    pub fn new(client: Client) -> Result<Self, String> {
        let [ipv4, ipv6] = VPC_BLOCKS;
        let parameters = [("CidrBlock", ipv4), ("EnableIpv6", "true"), ("Ipv6CidrBlock", ipv6)];
        let vpc = client.call("CreateVpc", &parameters)?.text("/VpcId")?;
        let zone = format!("{}-a", client.region);
        let [ipv4, ipv6] = VSWITCH_BLOCKS;
        let parameters =
            [("VpcId", &*vpc), ("ZoneId", &zone), ("CidrBlock", ipv4), ("Ipv6CidrBlock", ipv6)];
        let vswitch = client.call("CreateVSwitch", &parameters)?.text("/VSwitchId")?;
        let answer = client.call("DescribeVSwitches", &[("VSwitchId", &vswitch)])?;
        let block = answer.text("/VSwitches/VSwitch/0/Ipv6CidrBlock")?;
        if block != format!("{}/64", SUBNET.ipv6) {
            return Err(format!("the vSwitch has {block}"));
        }
        Ok(Self {
            client,
            demand: Demand::Nothing,
            vpc,
            vswitch,
            groups: BTreeMap::new(),
            rules: BTreeMap::new(),
            made: 0,
            interfaces: BTreeMap::new(),
            lists: BTreeMap::new(),
        })
    }

    /// The interface of this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn interface(&self, name: &str) -> Result<&Interface, String> {
        self.interfaces.get(name).ok_or_else(|| format!("no instance `{name}`"))
    }

    /// All interfaces by name.
    pub fn interfaces(&self) -> &BTreeMap<String, Interface> {
        &self.interfaces
    }

    /// The id of the group of this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn group(&self, name: &str) -> Result<&str, String> {
        let found = self.groups.get(name);
        found.map(String::as_str).ok_or_else(|| format!("no group `{name}`"))
    }

    /// The rule of this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn rule(&self, name: &str) -> Result<&Rule, String> {
        self.rules.get(name).ok_or_else(|| format!("no rule `{name}`"))
    }

    /// All rules that are there, in the order in which they were made.
    pub fn rules(&self) -> Vec<&Rule> {
        let mut rules: Vec<&Rule> = self.rules.values().collect();
        rules.sort_by_key(|rule| rule.number);
        rules
    }

    /// The name of the rule with this id, if a script named it.
    pub fn rule_name(&self, id: &str) -> Option<&str> {
        let found = self.rules.iter().find(|(_, rule)| rule.id == id);
        found.map(|(name, _)| name.as_str())
    }

    /// The address of a place: `outside`, `other`, `far` or an instance, followed by `6` in IPv6.
    ///
    /// # Errors
    /// When there is no such place.
    pub fn address(&self, name: &str) -> Result<IpAddr, String> {
        Ok(match name {
            "outside" => OUTSIDE.into(),
            "other" => OUTSIDE_OTHER.into(),
            "outside6" => OUTSIDE_V6.into(),
            "far" => FAR.into(),
            "far6" => FAR_V6.into(),
            _ => match name.strip_suffix('6') {
                Some(name) => self.interface(name)?.ipv6.into(),
                None => self.interface(name)?.ipv4.into(),
            },
        })
    }

    /// A write, answered as demanded.
    ///
    /// # Errors
    /// When it is refused, or not in force although it should be.
    pub fn write(&self, action: &str, parameters: &[(&str, &str)]) -> Result<Call, String> {
        let mut parameters = parameters.to_vec();
        parameters.push(("WaitUntilEnforced", "true"));
        let begun = Instant::now();
        let answer = self.client.call(action, &parameters)?;
        let took = begun.elapsed();
        let status = answer.text("/EnforcementStatus")?;
        let demanded = match self.demand {
            Demand::Nothing => "NotEnforced",
            Demand::Enforced => "Enforced",
        };
        if status != demanded {
            return Err(format!("{action}: {status}, not {demanded}: {}", answer.body));
        }
        Ok(Call { begun, took, answer })
    }

    /// Makes a group.
    ///
    /// # Errors
    /// When the API refuses it.
    pub fn create_group(&mut self, name: &str, enterprise: bool) -> Result<(), String> {
        let kind = if enterprise { "enterprise" } else { "normal" };
        let label = format!("group-{name}");
        let parameters =
            [("VpcId", &*self.vpc), ("SecurityGroupType", kind), ("SecurityGroupName", &label)];
        let answer = self.client.call("CreateSecurityGroup", &parameters)?;
        self.groups.insert(name.to_owned(), answer.text("/SecurityGroupId")?);
        Ok(())
    }

    /// Makes a network interface with the addresses of this number in the subnet.
    ///
    /// # Errors
    /// When the API refuses it.
    pub fn create_interface(
        &mut self,
        name: &str,
        number: u8,
        mac: Mac,
        groups: &[String],
    ) -> Result<(), String> {
        let (ipv4, ipv6) = (SUBNET.address(number), SUBNET.address_v6(number));
        let mut parameters = vec![
            ("VSwitchId".to_owned(), self.vswitch.clone()),
            ("PrimaryIpAddress".to_owned(), ipv4.to_string()),
            ("Ipv6Address.1".to_owned(), ipv6.to_string()),
            ("MacAddress".to_owned(), mac_text(mac)),
            ("NetworkInterfaceName".to_owned(), format!("interface-{name}")),
        ];
        for (index, group) in groups.iter().enumerate() {
            let number = format!("SecurityGroupIds.{}", index + 1);
            parameters.push((number, self.group(group)?.to_owned()));
        }
        let answer = self.client.call("CreateNetworkInterface", &borrowed(&parameters))?;
        let id = answer.text("/NetworkInterfaceId")?;
        let groups = groups.iter().cloned().collect();
        self.interfaces.insert(name.to_owned(), Interface { id, mac, ipv4, ipv6, groups });
        Ok(())
    }

    /// Runs an instance whose primary interface has the addresses of this number in the subnet; its
    /// id. The interface is known by the instance's name.
    ///
    /// # Errors
    /// When the API refuses it.
    pub fn run_instance(
        &mut self,
        name: &str,
        number: u8,
        groups: &[String],
    ) -> Result<String, String> {
        let (ipv4, ipv6) = (SUBNET.address(number), SUBNET.address_v6(number));
        let mut parameters = vec![
            ("VSwitchId".to_owned(), self.vswitch.clone()),
            ("PrivateIpAddress".to_owned(), ipv4.to_string()),
            ("Ipv6Address.1".to_owned(), ipv6.to_string()),
            ("InstanceName".to_owned(), format!("instance-{name}")),
        ];
        for (index, group) in groups.iter().enumerate() {
            let number = format!("SecurityGroupIds.{}", index + 1);
            parameters.push((number, self.group(group)?.to_owned()));
        }
        let answer = self.client.call("RunInstances", &borrowed(&parameters))?;
        let instance = answer.text("/InstanceIdSets/InstanceIdSet/0")?;
        let answer = self.client.call("DescribeNetworkInterfaces", &[("InstanceId", &instance)])?;
        let place = "/NetworkInterfaceSets/NetworkInterfaceSet/0";
        let id = answer.text(&format!("{place}/NetworkInterfaceId"))?;
        let mac = mac_of(&answer.text(&format!("{place}/MacAddress"))?)?;
        let groups = groups.iter().cloned().collect();
        self.interfaces.insert(name.to_owned(), Interface { id, mac, ipv4, ipv6, groups });
        Ok(instance)
    }

    /// Makes a prefix list of these blocks, all of one family.
    ///
    /// # Errors
    /// When the API refuses it.
    pub fn create_prefix_list(&mut self, name: &str, blocks: &[&str]) -> Result<(), String> {
        let is_ipv6 = blocks.iter().any(|block| block.contains(':'));
        let family = if is_ipv6 { "IPv6" } else { "IPv4" };
        let mut parameters = entries("Entry", "Cidr", blocks);
        for (own, text) in
            [("AddressFamily", family), ("PrefixListName", name), ("MaxEntries", "20")]
        {
            parameters.push((own.to_owned(), text.to_owned()));
        }
        let answer = self.client.call("CreatePrefixList", &borrowed(&parameters))?;
        self.lists.insert(name.to_owned(), answer.text("/PrefixListId")?);
        Ok(())
    }

    /// Makes a port range list of these ranges.
    ///
    /// # Errors
    /// When the API refuses it.
    pub fn create_port_range_list(&mut self, name: &str, ranges: &[&str]) -> Result<(), String> {
        let mut parameters = entries("Entry", "PortRange", ranges);
        for (own, text) in [("PortRangeListName", name), ("MaxEntries", "20")] {
            parameters.push((own.to_owned(), text.to_owned()));
        }
        let answer = self.client.call("CreatePortRangeList", &borrowed(&parameters))?;
        self.lists.insert(name.to_owned(), answer.text("/PortRangeListId")?);
        Ok(())
    }

    /// The id of the list of this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn list(&self, name: &str) -> Result<&str, String> {
        let found = self.lists.get(name);
        found.map(String::as_str).ok_or_else(|| format!("no list `{name}`"))
    }

    /// Puts other entries into a prefix list; in force as demanded when this returns.
    ///
    /// # Errors
    /// When it is refused.
    pub fn modify_prefix_list(
        &self,
        name: &str,
        added: &[&str],
        removed: &[&str],
    ) -> Result<Call, String> {
        let mut parameters = entries("AddEntry", "Cidr", added);
        parameters.extend(entries("RemoveEntry", "Cidr", removed));
        parameters.push(("PrefixListId".to_owned(), self.list(name)?.to_owned()));
        self.write("ModifyPrefixList", &borrowed(&parameters))
    }

    /// Puts other ranges into a port range list; in force as demanded when this returns.
    ///
    /// # Errors
    /// When it is refused.
    pub fn modify_port_range_list(
        &self,
        name: &str,
        added: &[&str],
        removed: &[&str],
    ) -> Result<Call, String> {
        let mut parameters = entries("AddEntry", "PortRange", added);
        parameters.extend(entries("RemoveEntry", "PortRange", removed));
        parameters.push(("PortRangeListId".to_owned(), self.list(name)?.to_owned()));
        self.write("ModifyPortRangeList", &borrowed(&parameters))
    }

    /// Adds a rule and finds its id.
    ///
    /// # Errors
    /// When the rule is refused, or nothing was added.
    pub fn authorize(&mut self, line: &RuleLine) -> Result<Call, String> {
        let before = self.rule_ids(&line.group)?;
        let call = self.write(authorize_action(line), &borrowed(&self.parameters(line)?))?;
        let after = self.rule_ids(&line.group)?;
        let mut added = after.difference(&before);
        let (Some(id), None) = (added.next(), added.next()) else {
            return Err("no rule, or more than one, was added".to_owned());
        };
        self.made += 1;
        let rule = Rule { line: line.clone(), id: id.clone(), number: self.made };
        self.rules.insert(line.name.clone(), rule);
        Ok(call)
    }

    /// Takes a rule away by its content.
    ///
    /// # Errors
    /// When it is refused, or the rule is still there.
    pub fn revoke(&mut self, name: &str) -> Result<Call, String> {
        let Rule { line, id, .. } = self.rule(name)?.clone();
        let action = if line.egress { "RevokeSecurityGroupEgress" } else { "RevokeSecurityGroup" };
        let call = self.write(action, &borrowed(&self.parameters(&line)?))?;
        if self.rule_ids(&line.group)?.contains(&id) {
            return Err(format!("rule {id} is still there"));
        }
        self.rules.remove(name);
        Ok(call)
    }

    /// Puts an interface into other groups.
    ///
    /// # Errors
    /// When it is refused.
    pub fn change_groups(
        &mut self,
        name: &str,
        change: impl FnOnce(&mut BTreeSet<String>),
    ) -> Result<Call, String> {
        let interface = self.interface(name)?;
        let mut groups = interface.groups.clone();
        change(&mut groups);
        let mut parameters = vec![("NetworkInterfaceId".to_owned(), interface.id.clone())];
        for (index, group) in groups.iter().enumerate() {
            let number = format!("SecurityGroupId.{}", index + 1);
            parameters.push((number, self.group(group)?.to_owned()));
        }
        let call = self.write("ModifyNetworkInterfaceAttribute", &borrowed(&parameters))?;
        if let Some(interface) = self.interfaces.get_mut(name) {
            interface.groups = groups;
        }
        Ok(call)
    }

    /// Lets the members of a group reach each other, or judges them by its rules.
    ///
    /// # Errors
    /// When it is refused.
    pub fn set_inner_access(&self, group: &str, accept: bool) -> Result<Call, String> {
        let policy = if accept { "Accept" } else { "Drop" };
        let parameters = [("SecurityGroupId", self.group(group)?), ("InnerAccessPolicy", policy)];
        self.write("ModifySecurityGroupPolicy", &parameters)
    }

    /// The world file that the API's own answers make.
    ///
    /// # Errors
    /// When the API does not answer.
    pub fn world(&self) -> Result<Value, String> {
        let listed = self.client.call("DescribeSecurityGroups", &[("PageSize", "50")])?;
        let mut groups = Vec::new();
        for group in listed.list("/SecurityGroups/SecurityGroup")? {
            let id = group.get("SecurityGroupId").and_then(Value::as_str).unwrap_or_default();
            let parameters = [("SecurityGroupId", id)];
            let mut answer = self.client.call("DescribeSecurityGroupAttribute", &parameters)?.body;
            if let Some(object) = answer.as_object_mut() {
                object.insert("SecurityGroupType".to_owned(), group["SecurityGroupType"].clone());
            }
            groups.push(answer);
        }
        let interfaces = self.client.call("DescribeNetworkInterfaces", &[])?;
        let interfaces = interfaces.list("/NetworkInterfaceSets/NetworkInterfaceSet")?;
        Ok(json!({ "SecurityGroups": groups, "NetworkInterfaces": interfaces }))
    }

    /// The parameters of the call that adds or takes away a rule.
    ///
    /// # Errors
    /// When it names what is not there.
    pub fn parameters(&self, line: &RuleLine) -> Result<Vec<(String, String)>, String> {
        let (peer_side, local_side) =
            if line.egress { ("Dest", "Source") } else { ("Source", "Dest") };
        let mut parameters = vec![
            ("SecurityGroupId".to_owned(), self.group(&line.group)?.to_owned()),
            ("Policy".to_owned(), line.policy.clone()),
            ("IpProtocol".to_owned(), line.protocol.clone()),
            ("Priority".to_owned(), line.priority.clone()),
        ];
        parameters.push(match line.ports.strip_prefix("ports:") {
            Some(list) => ("PortRangeListId".to_owned(), self.list(list)?.to_owned()),
            None => ("PortRange".to_owned(), line.ports.clone()),
        });
        if let Some(group) = line.peer.strip_prefix("group:") {
            parameters.push((format!("{peer_side}GroupId"), self.group(group)?.to_owned()));
        } else if let Some(list) = line.peer.strip_prefix("prefix:") {
            parameters.push((format!("{peer_side}PrefixListId"), self.list(list)?.to_owned()));
        } else {
            parameters.push(self.cidr(peer_side, &line.peer)?);
        }
        if let Some(ports) = &line.source_ports {
            parameters.push(("SourcePortRange".to_owned(), ports.clone()));
        }
        if let Some(local) = &line.local {
            parameters.push(self.cidr(local_side, local)?);
        }
        Ok(parameters)
    }

    fn cidr(&self, side: &str, peer: &str) -> Result<(String, String), String> {
        let cidr = match peer {
            "anywhere" => "0.0.0.0/0".to_owned(),
            "anywhere6" => "::/0".to_owned(),
            cidr if cidr.contains('/') => cidr.to_owned(),
            place => self.address(place)?.to_string(),
        };
        let family = if cidr.contains(':') { "Ipv6" } else { "" };
        Ok((format!("{family}{side}CidrIp"), cidr))
    }

    fn rule_ids(&self, group: &str) -> Result<BTreeSet<String>, String> {
        let parameters = [("SecurityGroupId", self.group(group)?)];
        let answer = self.client.call("DescribeSecurityGroupAttribute", &parameters)?;
        let rules = answer.list("/Permissions/Permission")?.iter();
        rules
            .map(|rule| {
                let id = rule.get("SecurityGroupRuleId").and_then(Value::as_str);
                id.map(str::to_owned).ok_or_else(|| format!("a rule without an id: {rule}"))
            })
            .collect()
    }
}

/// A link-layer address as people write it.
fn mac_of(text: &str) -> Result<Mac, String> {
    let bytes = text.split(':').map(|byte| u8::from_str_radix(byte, 16));
    let bytes: Vec<u8> = bytes.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    bytes.try_into().map_err(|_| format!("`{text}` is no link-layer address"))
}

/// The action that adds this rule.
pub fn authorize_action(line: &RuleLine) -> &'static str {
    if line.egress { "AuthorizeSecurityGroupEgress" } else { "AuthorizeSecurityGroup" }
}

/// Entries of a list as parameters: `Entry.1.Cidr` and so on.
fn entries(list: &str, field: &str, texts: &[&str]) -> Vec<(String, String)> {
    let name = |number: usize| format!("{list}.{number}.{field}");
    (1..).zip(texts).map(|(number, text)| (name(number), (*text).to_owned())).collect()
}

fn borrowed(parameters: &[(String, String)]) -> Vec<(&str, &str)> {
    parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}
