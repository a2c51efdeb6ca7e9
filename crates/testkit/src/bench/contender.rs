//! Who is compared: how each is put in place at the host's end of a pair, and how it forgets the
//! connections of one round before the next. What is sent is not known here.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use aya::Ebpf;
use aya::maps::HashMap;
use aya::programs::links::LinkOrder;
use aya::programs::tc::TcAttachOptions;
use aya::programs::{SchedClassifier, TcAttachType};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType};
use nix::sys::socket::{recv, send, socket};
use portcullis_core::net::Family;
use std::net::IpAddr;
use std::os::fd::AsRawFd;

use super::ours::Ours;
use super::scenario::{MEMBER_GROUPS, Scenario, Size, member};
use super::stage::{HOST_DEVICE, Stage};
use super::{iptables, linear, nft};
use crate::netns::{Namespace, must_succeed};

/// What stands between the instance and the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nothing.
    Nothing,
    /// eBPF programs that pass everything, both ways.
    Empty,
    /// The agent.
    Ours,
    /// An eBPF program that asks rule after rule and tracks nothing.
    List,
    /// Tracking by the kernel, and one rule about it.
    Tracking,
    /// nftables: rules and sets.
    NftList,
    /// nftables: verdict maps.
    NftMaps,
    /// iptables that speaks to nftables, with ipset.
    IptablesNft,
    /// iptables as it was, with ipset.
    IptablesLegacy,
}

/// A contender: what it is, and how much it enforces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contender {
    /// As it is called everywhere.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// How many rules of the whole, in percent.
    pub rules_percent: usize,
    /// How many members of the whole, in percent.
    pub members_percent: usize,
    /// Family of peers and packets.
    pub family: Family,
}

const fn whole(name: &'static str, kind: Kind) -> Contender {
    Contender { name, kind, rules_percent: 100, members_percent: 100, family: Family::V4 }
}

/// All of them; the first is what the cost of all others is counted from.
pub const CONTENDERS: [Contender; 13] = [
    whole("none", Kind::Nothing),
    whole("empty tcx", Kind::Empty),
    whole("portcullis", Kind::Ours),
    Contender { rules_percent: 10, ..whole("portcullis, few rules", Kind::Ours) },
    Contender { members_percent: 1, ..whole("portcullis, few members", Kind::Ours) },
    Contender { family: Family::V6, ..whole("portcullis, IPv6", Kind::Ours) },
    Contender { family: Family::V6, ..whole("none, IPv6", Kind::Nothing) },
    whole("eBPF list", Kind::List),
    whole("conntrack", Kind::Tracking),
    whole("nft list", Kind::NftList),
    whole("nft maps", Kind::NftMaps),
    whole("iptables-nft", Kind::IptablesNft),
    whole("iptables-legacy", Kind::IptablesLegacy),
];

impl Contender {
    /// The contender of this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn named(name: &str) -> Result<Self, String> {
        let found = CONTENDERS.iter().find(|contender| contender.name == name);
        found.copied().ok_or_else(|| format!("there is no contender `{name}`"))
    }

    /// How much it enforces of a whole.
    pub fn size(&self, rules: usize, members: usize) -> Size {
        Size {
            rules: rules * self.rules_percent / 100,
            members: members * self.members_percent / 100,
            family: self.family,
        }
    }

    /// Whether it refuses what the rules refuse.
    pub fn judges(&self) -> bool {
        !matches!(self.kind, Kind::Nothing | Kind::Empty | Kind::Tracking)
    }
}

/// A contender in place.
pub enum Standing {
    /// Nothing to forget.
    Forgetful,
    /// Connections that the kernel tracks.
    Tracked,
    /// Programs that go when this goes.
    Programs(Box<Ebpf>),
    /// The agent.
    Ours(Box<Ours>),
}

impl Standing {
    /// Puts a contender in place. `folder` keeps what it was made of.
    ///
    /// # Errors
    /// When the machine lacks something, or refuses.
    pub fn put(
        kind: Kind,
        stage: &Stage,
        scenario: &Scenario,
        folder: &Path,
    ) -> Result<Self, String> {
        let host = &stage.host;
        match kind {
            Kind::Nothing => return Ok(Self::Forgetful),
            Kind::Empty | Kind::List => {
                let programs = host.enter(|| programs(kind, scenario, folder))?;
                return Ok(Self::Programs(Box::new(programs?)));
            }
            Kind::Ours => {
                let ours = Ours::enforce(scenario, host, HOST_DEVICE)?;
                return Ok(Self::Ours(Box::new(ours)));
            }
            Kind::Tracking => feed(host, "nft", &["-f", "-"], &nft::only_tracking(), folder)?,
            Kind::NftList => feed(host, "nft", &["-f", "-"], &nft::linear(scenario), folder)?,
            Kind::NftMaps => feed(host, "nft", &["-f", "-"], &nft::verdict_maps(scenario), folder)?,
            Kind::IptablesNft | Kind::IptablesLegacy => {
                feed(host, "ipset", &["restore"], &iptables::sets(scenario), folder)?;
                let program = match kind {
                    Kind::IptablesLegacy => "iptables-legacy-restore",
                    _ => "iptables-nft-restore",
                };
                feed(host, program, &[], &iptables::rules(scenario), folder)?;
            }
        }
        Ok(Self::Tracked)
    }

    /// Forgets all connections.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn forget(&mut self, host: &Namespace) -> Result<(), String> {
        match self {
            Self::Forgetful | Self::Programs(_) => Ok(()),
            Self::Tracked => host.enter(forget_tracked)?,
            Self::Ours(ours) => ours.forget_flows(),
        }
    }
}

/// Runs a program inside with this input, which is kept for readers.
fn feed(
    namespace: &Namespace,
    program: &str,
    arguments: &[&str],
    input: &str,
    folder: &Path,
) -> Result<(), String> {
    std::fs::write(folder.join(format!("{program}.txt")), input)
        .map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = namespace.spawn(&mut command)?;
    let written = child.stdin.take().map(|mut pipe| pipe.write_all(input.as_bytes()));
    let output = child.wait_with_output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() && !matches!(written, Some(Err(_))) {
        return Ok(());
    }
    let told = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program}: {}", told.lines().take(3).collect::<Vec<_>>().join(" ")))
}

/// Compiles, loads and attaches, in the namespace of the calling thread.
fn programs(kind: Kind, scenario: &Scenario, folder: &Path) -> Result<Ebpf, String> {
    let object = compile(scenario, folder)?;
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", object.display());
    let bytes = std::fs::read(&object).map_err(|error| failed(&error))?;
    let mut ebpf = Ebpf::load(&bytes).map_err(|error| failed(&error))?;
    let [list, empty] = linear::PROGRAMS;
    let both = [TcAttachType::Ingress, TcAttachType::Egress];
    let (name, hooks) = if kind == Kind::List { (list, &both[..1]) } else { (empty, &both[..]) };
    if kind == Kind::List {
        let map = ebpf.map_mut(linear::MEMBERS).ok_or("the object has no map")?;
        let mut members: HashMap<_, u32, u32> =
            HashMap::try_from(map).map_err(|error| failed(&error))?;
        for number in 0..scenario.size.members {
            if let IpAddr::V4(address) = member(Family::V4, number) {
                let group = (number % MEMBER_GROUPS) as u32 + 1;
                members.insert(address.to_bits(), group, 0).map_err(|error| failed(&error))?;
            }
        }
    }
    let program = ebpf.program_mut(name).ok_or("the object has no program")?;
    let program: &mut SchedClassifier = program.try_into().map_err(|e| failed(&e))?;
    program.load().map_err(|error| failed(&error))?;
    for hook in hooks {
        let order = TcAttachOptions::TcxOrder(LinkOrder::default());
        program.attach_with_options(HOST_DEVICE, *hook, order).map_err(|error| failed(&error))?;
    }
    Ok(ebpf)
}

/// Compiles the list in a folder, where source and object stay.
///
/// # Errors
/// When there is no clang, or the folder cannot be written.
pub fn compile(scenario: &Scenario, folder: &Path) -> Result<PathBuf, String> {
    let (source, object) = (folder.join("list.bpf.c"), folder.join("list.bpf.o"));
    std::fs::write(&source, linear::source(scenario))
        .map_err(|error| format!("{}: {error}", source.display()))?;
    let headers = format!("/usr/include/{}-linux-gnu", std::env::consts::ARCH);
    let mut clang = Command::new("clang");
    clang.args(["-O2", "-g", "-target", "bpf", "-mcpu=v3", "-Wall", "-idirafter", &headers, "-c"]);
    clang.arg(&source).arg("-o").arg(&object);
    must_succeed(&mut clang)?;
    Ok(object)
}

/// Length, kind, flags, number and sender of a netlink message; family, version and nothing else of
/// one of netfilter's.
fn forget_message() -> Vec<u8> {
    const DELETE_CONNECTIONS: u16 = (1 << 8) | 2;
    const REQUEST_AND_ACKNOWLEDGE: u16 = 1 | 4;
    let mut bytes = 20_u32.to_ne_bytes().to_vec();
    bytes.extend(DELETE_CONNECTIONS.to_ne_bytes());
    bytes.extend(REQUEST_AND_ACKNOWLEDGE.to_ne_bytes());
    bytes.extend([0; 12]);
    bytes
}

/// Tells the kernel to forget the connections of the calling thread's namespace.
fn forget_tracked() -> Result<(), String> {
    let failed = |error: nix::errno::Errno| format!("forgetting connections: {error}");
    let netlink = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkNetFilter,
    )
    .map_err(failed)?;
    send(netlink.as_raw_fd(), &forget_message(), MsgFlags::empty()).map_err(failed)?;
    let mut answer = [0; 128];
    recv(netlink.as_raw_fd(), &mut answer, MsgFlags::empty()).map_err(failed)?;
    // An acknowledgement is an error message whose error is 0, behind its header of 16 bytes.
    match answer.get(16..20) {
        Some([0, 0, 0, 0]) => Ok(()),
        _ => Err("forgetting connections was refused".to_owned()),
    }
}
