//! A running product with a VPC, groups and instances, driven by signed calls and lines of text.
//!
//! Everything that a script names is looked up here; what the lines mean is in [`super::language`].

use super::language::{FlowKind, FlowLine, Judgement, RuleLine, Step, read};
use super::probe::{Attempt, Kind};
use super::product::Product;
use super::topology::{
    FAR, FAR_V6, Instance, OUTSIDE, OUTSIDE_OTHER, OUTSIDE_V6, Subnet, Topology, mac_text,
};
use super::witness::{Counter, Counts};
use crate::client::{Answer, Client, Way};
use crate::netns::Namespace;
use crate::wait::until;
use nix::fcntl::{Flock, FlockArg};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a flow may take to arrive or to be dropped.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// Held while a product enforces: what it pins in the kernel has one place on a machine.
const LOCK: &str = "/run/portcullis-lab.lock";
const LOCK_TIMEOUT: Duration = Duration::from_secs(300);
/// The first instance's number in its subnet.
const FIRST_NUMBER: u8 = 10;
/// The blocks of the VPC, in which the subnet lies.
const VPC_BLOCKS: [&str; 2] = ["10.77.0.0/16", "2001:db8:77::/56"];
/// The blocks of the vSwitch; in IPv6, the number of the /64.
const VSWITCH_BLOCKS: [&str; 2] = ["10.77.1.0/24", "1"];

/// The subnet that the vSwitch of every scene is.
pub const SUBNET: Subnet = Subnet {
    ipv4: std::net::Ipv4Addr::new(10, 77, 1, 0),
    ipv6: std::net::Ipv6Addr::new(0x2001, 0xdb8, 0x77, 1, 0, 0, 0, 0),
};

/// An instance and the network interface that it is in the API.
#[derive(Debug)]
pub struct Machine {
    /// The machine.
    pub instance: Instance,
    /// Its network interface's id.
    pub interface: String,
    /// Its groups, by their names in scripts.
    pub groups: BTreeSet<String>,
}

/// All of it. Fields are dropped in this order: the product ends before its devices.
#[derive(Debug)]
pub struct Scene {
    /// The program.
    pub product: Product,
    /// Its client.
    pub client: Client,
    /// The devices.
    pub topology: Topology,
    machines: BTreeMap<String, Machine>,
    groups: BTreeMap<String, String>,
    rules: BTreeMap<String, (RuleLine, String)>,
    vpc: String,
    vswitch: String,
    _alone: Flock<File>,
}

/// What came of a flow.
#[derive(Debug, Clone)]
pub struct Passage {
    /// Whether it arrived.
    pub arrived: bool,
    /// What was counted meanwhile.
    pub counts: Counts,
    /// From the first packet until it arrived, or until a drop was counted.
    pub took: Duration,
}

impl Scene {
    /// Starts the product in a fresh host, with a VPC and a vSwitch and nothing else.
    ///
    /// # Errors
    /// When the machine or the product does not play along.
    pub fn new(program: &Path, way: Way) -> Result<Self, String> {
        let alone = lock()?;
        crate::netns::remove_leftovers()?;
        let topology = Topology::new(SUBNET)?;
        let product = Product::start(program, Some(topology.host.clone()), &[])?;
        let client = product.client(way)?;
        let (vpc, vswitch) = create_network(&client)?;
        Ok(Self {
            product,
            client,
            topology,
            machines: BTreeMap::new(),
            groups: BTreeMap::new(),
            rules: BTreeMap::new(),
            vpc,
            vswitch,
            _alone: alone,
        })
    }

    /// Does what the lines say, and checks every flow.
    ///
    /// # Errors
    /// Names the first line that does not come true.
    pub fn play(&mut self, script: &str) -> Result<(), String> {
        for line in script.lines() {
            let told = |error: String| format!("{}\n{error}", line.trim());
            let Some(step) = read(line).map_err(told)? else { continue };
            self.take(&step).map_err(told)?;
        }
        Ok(())
    }

    /// Does one step.
    ///
    /// # Errors
    /// When it cannot be done or does not come true.
    pub fn take(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Group { name, enterprise } => self.create_group(name, *enterprise),
            Step::Instance { name, groups } => {
                self.create_instance(name, groups)?;
                self.bind(name)
            }
            Step::Authorize(rule) => self.authorize(rule).map(|_| ()),
            Step::Revoke(name) => self.revoke(name).map(|_| ()),
            Step::Join(name, group) => self.change_groups(name, |groups| {
                groups.insert(group.clone());
            }),
            Step::Leave(name, group) => self.change_groups(name, |groups| {
                groups.remove(group);
            }),
            Step::Inner { group, accept } => {
                let group = self.group(group)?.to_owned();
                let policy = if *accept { "Accept" } else { "Drop" };
                let named = [("SecurityGroupId", &*group), ("InnerAccessPolicy", policy)];
                self.write("ModifySecurityGroupPolicy", &named).map(|_| ())
            }
            Step::Flow(flow) => self.check(flow),
        }
    }

    /// The machine of this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn machine(&self, name: &str) -> Result<&Machine, String> {
        self.machines.get(name).ok_or_else(|| format!("no instance `{name}`"))
    }

    /// The id of the group of this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn group(&self, name: &str) -> Result<&str, String> {
        let found = self.groups.get(name);
        found.map(String::as_str).ok_or_else(|| format!("no group `{name}`"))
    }

    /// The id of the rule of this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn rule(&self, name: &str) -> Result<&str, String> {
        let found = self.rules.get(name);
        found.map(|(_, id)| id.as_str()).ok_or_else(|| format!("no rule `{name}`"))
    }

    /// A write that is in force when this returns.
    ///
    /// # Errors
    /// When it is refused, or not in force in time.
    pub fn write(&self, action: &str, parameters: &[(&str, &str)]) -> Result<Answer, String> {
        let mut parameters = parameters.to_vec();
        parameters.push(("WaitUntilEnforced", "true"));
        let answer = self.client.call(action, &parameters)?;
        let status = answer.text("/EnforcementStatus")?;
        let bound = !self.machines.is_empty();
        if status == "Enforced" || (status == "NotEnforced" && !bound) {
            return Ok(answer);
        }
        Err(format!("{action} is not in force: {}\n{}", answer.body, self.product.log()))
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

    /// Makes an instance and its network interface, not yet bound to its device.
    ///
    /// # Errors
    /// When the API or the machine refuses it.
    pub fn create_instance(&mut self, name: &str, groups: &[String]) -> Result<(), String> {
        let taken = u8::try_from(self.machines.len()).map_err(|error| error.to_string())?;
        let instance = self.topology.instance(name, SUBNET, FIRST_NUMBER + taken)?;
        let mut parameters = vec![
            ("VSwitchId".to_owned(), self.vswitch.clone()),
            ("PrimaryIpAddress".to_owned(), instance.ipv4.to_string()),
            ("Ipv6Address.1".to_owned(), instance.ipv6.to_string()),
            ("MacAddress".to_owned(), mac_text(instance.mac)),
            ("NetworkInterfaceName".to_owned(), format!("interface-{name}")),
        ];
        for (index, group) in groups.iter().enumerate() {
            let number = format!("SecurityGroupIds.{}", index + 1);
            parameters.push((number, self.group(group)?.to_owned()));
        }
        let answer = self.client.call("CreateNetworkInterface", &borrowed(&parameters))?;
        let interface = answer.text("/NetworkInterfaceId")?;
        let groups = groups.iter().cloned().collect();
        self.machines.insert(name.to_owned(), Machine { instance, interface, groups });
        Ok(())
    }

    /// Binds an instance's interface to its device; in force when this returns.
    ///
    /// # Errors
    /// When the product does not bind it.
    pub fn bind(&self, name: &str) -> Result<(), String> {
        let machine = self.machine(name)?;
        let device = &machine.instance.host_device;
        self.product.run(&["bind", &machine.interface, device]).map(|_| ())
    }

    /// Adds a rule and finds its id; returns the answer to the call and how long it took.
    ///
    /// # Errors
    /// When the rule is refused, or nothing was added.
    pub fn authorize(&mut self, rule: &RuleLine) -> Result<(Answer, Duration), String> {
        let before = self.rule_ids(&rule.group)?;
        let parameters = self.rule_parameters(rule)?;
        let begun = Instant::now();
        let action =
            if rule.egress { "AuthorizeSecurityGroupEgress" } else { "AuthorizeSecurityGroup" };
        let answer = self.write(action, &borrowed(&parameters))?;
        let took = begun.elapsed();
        let after = self.rule_ids(&rule.group)?;
        let mut added = after.difference(&before);
        let (Some(id), None) = (added.next(), added.next()) else {
            return Err("no rule, or more than one, was added".to_owned());
        };
        self.rules.insert(rule.name.clone(), (rule.clone(), id.clone()));
        Ok((answer, took))
    }

    /// Takes a rule away by its content; returns the answer to the call and how long it took.
    ///
    /// # Errors
    /// When it is refused.
    pub fn revoke(&mut self, name: &str) -> Result<(Answer, Duration), String> {
        self.rule(name)?;
        let Some((rule, id)) = self.rules.remove(name) else {
            return Err(format!("no rule `{name}`"));
        };
        let parameters = self.rule_parameters(&rule)?;
        let begun = Instant::now();
        let action = if rule.egress { "RevokeSecurityGroupEgress" } else { "RevokeSecurityGroup" };
        let answer = self.write(action, &borrowed(&parameters))?;
        let took = begun.elapsed();
        if self.rule_ids(&rule.group)?.contains(&id) {
            return Err(format!("rule {id} is still there"));
        }
        Ok((answer, took))
    }

    /// Sends a flow and waits for what becomes of it: it arrives, or `dropped` says that the
    /// counts show it was dropped.
    ///
    /// # Errors
    /// When neither happens in time.
    pub fn send(
        &self,
        flow: &FlowLine,
        dropped: impl Fn(&Counts) -> bool,
    ) -> Result<Passage, String> {
        let (from, from_addresses) = self.place(&flow.from)?;
        let (to, to_addresses) = self.place(&flow.to)?;
        let destination = to_addresses;
        let source = match (from_addresses, destination) {
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
                return Err("from one family to another".to_owned());
            }
            (source, _) => source,
        };
        let attempt = Attempt {
            kind: match flow.kind {
                FlowKind::Tcp => Kind::Tcp,
                FlowKind::Udp => Kind::Udp,
                FlowKind::Ping => Kind::Ping,
            },
            source: SocketAddr::new(source, flow.source_port),
            destination: SocketAddr::new(destination, flow.port),
        };
        let before = Counts::read(&self.product)?;
        let begun = Instant::now();
        let mut flight = attempt.launch(from, to)?;
        let mut counts = Counts::default();
        let ended = until("the flow to arrive or to be dropped", PATIENCE, || {
            if flight.arrived()? {
                return Ok(Some(true));
            }
            counts = Counts::read(&self.product)?.since(&before);
            Ok(dropped(&counts).then_some(false))
        });
        let took = begun.elapsed();
        let arrived = ended.map_err(|error| format!("{error}; counted: {counts:?}"))?;
        counts = Counts::read(&self.product)?.since(&before);
        Ok(Passage { arrived, counts, took })
    }

    /// The counters that a judgement moves: the drop, or the hit, or both.
    ///
    /// # Errors
    /// When it names what is not there.
    pub fn counters(&self, judgement: &Judgement, passes: bool) -> Result<Vec<Counter>, String> {
        let interface = self.machine(&judgement.instance)?.interface.clone();
        let mut counters = Vec::new();
        if let Some(rule) = &judgement.rule {
            let rule = self.rule(rule)?.to_owned();
            counters.push(Counter::Hit { interface: interface.clone(), rule });
        }
        if !passes {
            let (direction, reason) = (judgement.direction.clone(), judgement.reason.clone());
            counters.push(Counter::Drop { interface, direction, reason });
        }
        Ok(counters)
    }

    /// The names of a place: the namespace it is in and its address there. A name that ends in `6`
    /// is the place in IPv6.
    ///
    /// # Errors
    /// When there is no such place.
    pub fn place(&self, name: &str) -> Result<(&Namespace, IpAddr), String> {
        let found = match name {
            "outside" => (&self.topology.outside, OUTSIDE.into()),
            "other" => (&self.topology.outside, OUTSIDE_OTHER.into()),
            "outside6" => (&self.topology.outside, OUTSIDE_V6.into()),
            "far" => (&self.topology.far, FAR.into()),
            "far6" => (&self.topology.far, FAR_V6.into()),
            _ => match name.strip_suffix('6') {
                Some(name) => {
                    let instance = &self.machine(name)?.instance;
                    (&instance.namespace, instance.ipv6.into())
                }
                None => {
                    let instance = &self.machine(name)?.instance;
                    (&instance.namespace, instance.ipv4.into())
                }
            },
        };
        Ok(found)
    }

    fn check(&self, flow: &FlowLine) -> Result<(), String> {
        let mut expected = Vec::new();
        for judgement in &flow.judgements {
            expected.extend(self.counters(judgement, flow.passes)?);
        }
        if !flow.passes && !expected.iter().any(|c| matches!(c, Counter::Drop { .. })) {
            return Err("a drop needs its reason".to_owned());
        }
        let all = |counts: &Counts| expected.iter().all(|counter| counts.of(counter) > 0);
        let passage = self.send(flow, |counts| !flow.passes && all(counts))?;
        if passage.arrived != flow.passes {
            return Err(format!("it arrived: {}; counted: {:?}", passage.arrived, passage.counts));
        }
        // Counts of an accepted packet are seen a moment before or after it arrives.
        if !all(&passage.counts) {
            return Err(format!("expected {expected:?}; counted: {:?}", passage.counts));
        }
        let unexpected = passage.counts.iter().find(|(counter, _)| {
            let hit = matches!(counter, Counter::Hit { .. });
            hit && !flow.judgements.is_empty() && !expected.contains(counter)
        });
        match unexpected {
            Some(other) => Err(format!("another rule was hit: {other:?}")),
            None => Ok(()),
        }
    }

    fn change_groups(
        &mut self,
        name: &str,
        change: impl FnOnce(&mut BTreeSet<String>),
    ) -> Result<(), String> {
        let machine = self.machine(name)?;
        let (interface, mut groups) = (machine.interface.clone(), machine.groups.clone());
        change(&mut groups);
        let mut parameters = vec![("NetworkInterfaceId".to_owned(), interface)];
        for (index, group) in groups.iter().enumerate() {
            let number = format!("SecurityGroupId.{}", index + 1);
            parameters.push((number, self.group(group)?.to_owned()));
        }
        self.write("ModifyNetworkInterfaceAttribute", &borrowed(&parameters))?;
        if let Some(machine) = self.machines.get_mut(name) {
            machine.groups = groups;
        }
        Ok(())
    }

    fn rule_ids(&self, group: &str) -> Result<BTreeSet<String>, String> {
        let group = self.group(group)?;
        let answer =
            self.client.call("DescribeSecurityGroupAttribute", &[("SecurityGroupId", group)])?;
        let rules = answer.list("/Permissions/Permission")?.iter();
        rules
            .map(|rule| {
                let id = rule.get("SecurityGroupRuleId").and_then(serde_json::Value::as_str);
                id.map(str::to_owned).ok_or_else(|| format!("a rule without an id: {rule}"))
            })
            .collect()
    }

    /// The parameters of the call that adds or takes away a rule.
    ///
    /// # Errors
    /// When it names what is not there.
    pub fn rule_parameters(&self, rule: &RuleLine) -> Result<Vec<(String, String)>, String> {
        let (peer_side, local_side) =
            if rule.egress { ("Dest", "Source") } else { ("Source", "Dest") };
        let mut parameters = vec![
            ("SecurityGroupId".to_owned(), self.group(&rule.group)?.to_owned()),
            ("Policy".to_owned(), rule.policy.clone()),
            ("IpProtocol".to_owned(), rule.protocol.clone()),
            ("PortRange".to_owned(), rule.ports.clone()),
            ("Priority".to_owned(), rule.priority.clone()),
        ];
        if let Some(group) = rule.peer.strip_prefix("group:") {
            parameters.push((format!("{peer_side}GroupId"), self.group(group)?.to_owned()));
        } else {
            parameters.push(self.cidr(peer_side, &rule.peer)?);
        }
        if let Some(ports) = &rule.source_ports {
            parameters.push(("SourcePortRange".to_owned(), ports.clone()));
        }
        if let Some(local) = &rule.local {
            parameters.push(self.cidr(local_side, local)?);
        }
        Ok(parameters)
    }

    fn cidr(&self, side: &str, peer: &str) -> Result<(String, String), String> {
        let cidr = match peer {
            "anywhere" => "0.0.0.0/0".to_owned(),
            "anywhere6" => "::/0".to_owned(),
            cidr if cidr.contains('/') => cidr.to_owned(),
            place => self.place(place)?.1.to_string(),
        };
        let family = if cidr.contains(':') { "Ipv6" } else { "" };
        Ok((format!("{family}{side}CidrIp"), cidr))
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // Enforcement outlives the program by design, so it is taken off before the devices go.
        let _ = self.product.kill();
        if let Err(error) = self.product.run(&["detach", "--all"]) {
            eprintln!("{error}");
        }
    }
}

fn borrowed(parameters: &[(String, String)]) -> Vec<(&str, &str)> {
    parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

/// Waits until no other laboratory of this machine enforces.
fn lock() -> Result<Flock<File>, String> {
    let file = File::options().create(true).truncate(false).write(true).open(LOCK);
    let mut file = Some(file.map_err(|error| format!("{LOCK}: {error}"))?);
    until("the laboratory to be free", LOCK_TIMEOUT, || {
        let Some(unlocked) = file.take() else { return Ok(None) };
        match Flock::lock(unlocked, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Some(lock)),
            Err((unlocked, nix::errno::Errno::EWOULDBLOCK)) => {
                file = Some(unlocked);
                Ok(None)
            }
            Err((_, error)) => Err(format!("{LOCK}: {error}")),
        }
    })
}

/// Makes the VPC and the vSwitch; their ids.
fn create_network(client: &Client) -> Result<(String, String), String> {
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
    let expected = format!("{}/64", SUBNET.ipv6);
    if block == expected {
        return Ok((vpc, vswitch));
    }
    Err(format!("the vSwitch has {block}, not {expected}"))
}
