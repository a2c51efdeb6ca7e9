//! An agent of now on what an agent of an older layout left, under traffic: whatever step it dies
//! at, no connection is cut, nothing passes that the policy denies, and the next agent goes on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // All of this is test code.

#[path = "../memory/mod.rs"]
#[allow(dead_code, reason = "the judge of its words is for others")]
mod memory;
mod old;
mod traffic;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use memory::{MemoryKernel, Shared};
use portcullis_agent::device::Devices;
use portcullis_agent::event::Calendar;
use portcullis_agent::kernel::Kernel;
use portcullis_agent::ledger::{LedgerFile, boot_id};
use portcullis_agent::run::{Agent, Settings};
use portcullis_agent::sys::{self, Datapath, Hook, Instance, Sizes, Unreadable};
use portcullis_core::host::{BoundInterface, Desired, IdleTimes};
use portcullis_core::net::{Mac, Ports, Prefix, Protocol};
use portcullis_core::records::ConnectionTracking;
use portcullis_core::resolve::interface_policy;
use portcullis_core::rule::{Direction, Peer, Policy, PortMatch, Priority, Rule};
use portcullis_core::world::{Group, GroupType, InnerAccess, Interface, World};
use portcullis_testkit::{capability, netns};
use traffic::Traffic;

const DEVICE: &str = "one";
const GUEST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);
const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const MAC: [u8; 6] = [2, 0, 0, 0, 0, 5];
const OPEN_PORT: u16 = 8000;
const CLOSED_PORT: u16 = 9;
/// Tells a child of this test what to do: the instance, the hook, and the step to die at.
const ORDER: &str = "PORTCULLIS_TEST_UPGRADE";

fn can_attach() -> Result<(), String> {
    let told = |missing: Vec<sys::Missing>| {
        missing.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    for hook in [Hook::Tcx, Hook::Clsact] {
        sys::usable_hook(Some(hook)).map_err(told)?;
    }
    netns::available()
}

/// Smaller than what is pinned: it has to grow.
fn small() -> Sizes {
    Sizes {
        pool_words: 1 << 12,
        slots: 8,
        members: 8,
        flows: 64,
        fragments: 64,
        counters: 64,
        event_bytes: 1 << 16,
    }
}

fn rule(name: &str, policy: Policy, peer: &str, port: Option<u16>, priority: u8) -> Rule {
    let ports = port.and_then(|port| Ports::range(port, port)).unwrap_or(Ports::Any);
    Rule {
        id: name.parse().unwrap(),
        direction: Direction::Egress,
        protocol: if port.is_some() { Protocol::TCP } else { Protocol::All },
        ports: PortMatch::Ports(ports),
        source_ports: Ports::Any,
        peer: match peer.starts_with("sg-") {
            true => Peer::Group(peer.parse().unwrap()),
            false => Peer::Cidr(peer.parse().unwrap()),
        },
        local: None,
        policy,
        priority: Priority::new(priority).unwrap(),
    }
}

/// The guest may open connections to members of a group, of whom the host is one, and nothing else.
fn desired() -> Desired {
    let mut world = World::new();
    for (id, rules) in [
        (
            "sg-guest",
            vec![
                rule("sgr-open", Policy::Accept, "sg-host", Some(OPEN_PORT), 1),
                rule("sgr-rest", Policy::Drop, "0.0.0.0/0", None, 100),
            ],
        ),
        ("sg-host", Vec::new()),
    ] {
        world.put_group(Group {
            id: id.parse().unwrap(),
            vpc: Some("vpc-1".parse().unwrap()),
            group_type: GroupType::Basic,
            inner_access: InnerAccess::Drop,
            rules: BTreeMap::new(),
        });
        for rule in rules {
            world.put_rule(&id.parse().unwrap(), Arc::new(rule));
        }
    }
    for (id, group, address, mac) in
        [("eni-guest", "sg-guest", GUEST, MAC), ("eni-host", "sg-host", HOST, [2; 6])]
    {
        world.put_interface(Interface {
            id: id.parse().unwrap(),
            vpc: "vpc-1".parse().unwrap(),
            mac: Some(Mac(mac)),
            addresses: vec![Prefix::host(IpAddr::V4(address))],
            groups: vec![group.parse().unwrap()],
            source_dest_check: None,
        });
    }
    let bound = BoundInterface {
        interface: "eni-guest".parse().unwrap(),
        device: DEVICE.parse().unwrap(),
        policy: Ok(interface_policy(&world, &"eni-guest".parse().unwrap()).unwrap()),
        idle_times: IdleTimes::new(ConnectionTracking::DEFAULT),
        flows_max: 1000,
    };
    Desired::new(1, vec![Arc::new(bound)], &world)
}

fn agent<K: Kernel>(kernel: K, directory: &Path) -> Agent<K> {
    let boot_id = boot_id().unwrap();
    let settings = Settings { boot_id, pick_up_s: 0, keep_established: false, check_s: 1 };
    Agent::new(kernel, LedgerFile::new(directory).unwrap(), settings).unwrap()
}

/// A host and a guest, and what an agent of layout 2 left between them.
struct Ground {
    host: netns::Namespace,
    guest: netns::Namespace,
    instance: Instance,
    hook: Hook,
    ledger: tempfile::TempDir,
}

impl Ground {
    fn new(name: &str, hook: Hook) -> Self {
        let (host, guest) = (netns::Namespace::new().unwrap(), netns::Namespace::new().unwrap());
        let [a, b, c, d, e, f] = MAC;
        let mac = format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}");
        host.ip(&format!(
            "link add {DEVICE} type veth peer name two address {mac} netns {}\n\
             addr add {HOST}/24 dev {DEVICE}\nlink set {DEVICE} up",
            guest.name()
        ))
        .unwrap();
        guest.ip(&format!("addr add {GUEST}/24 dev two\nlink set two up")).unwrap();
        let name = format!("test-{}-{name}-{hook}", std::process::id());
        let instance = Instance::new(&name).unwrap();
        let ground = Self { host, guest, instance, hook, ledger: tempfile::tempdir().unwrap() };
        ground.inside(|| {
            let memory = Shared::default();
            let mut agent = agent(MemoryKernel::new(&memory), ground.ledger.path());
            let report = agent.pass(&desired(), &Devices::list().unwrap());
            assert!(report.failed.is_empty() && report.pending.is_empty(), "{report:?}");
            old::enforce(&ground.instance, &memory.borrow(), hook);
        });
        ground
    }

    fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.host.enter(work).unwrap()
    }

    /// Starts an agent that dies at a step. Whether it did: an upgrade has fewer steps.
    fn dies_at(&self, step: usize) -> bool {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "what_dies", "--nocapture"]);
        command.env(ORDER, format!("{} {} {step}", self.instance.name(), self.hook));
        let mut child = self.host.spawn(command.stdout(Stdio::null())).unwrap();
        let status = child.wait().unwrap();
        assert!(status.success() || status.signal() == Some(9), "{status}");
        !status.success()
    }

    /// The agent of now, for good; answers the names of the steps that it made.
    fn heir(&self) -> (Agent<Datapath>, Vec<&'static str>) {
        self.inside(|| {
            let mut steps = Vec::new();
            let told = &mut |step| steps.push(step);
            let datapath = Datapath::open_told(&self.instance, &small(), self.hook, told).unwrap();
            let agent = agent(datapath, self.ledger.path());
            (agent, steps)
        })
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        if let Err(error) = self.inside(|| self.instance.detach_all()) {
            eprintln!("{}: {error}", self.instance.name());
        }
    }
}

/// No test by itself: what the others start to have it killed.
#[test]
fn what_dies() {
    let Ok(order) = std::env::var(ORDER) else { return };
    let [instance, hook, step] = order.split(' ').collect::<Vec<_>>().try_into().unwrap();
    let (instance, mut left) = (Instance::new(instance).unwrap(), step.parse::<usize>().unwrap());
    let told = &mut |_| {
        if left == 0 {
            let pid = std::process::id().to_string();
            Command::new("kill").args(["-9", &pid]).status().unwrap();
        }
        left -= 1;
    };
    Datapath::open_told(&instance, &small(), hook.parse().unwrap(), told).unwrap();
}

/// Everything is as the older agent had it, in our layout alone.
fn assert_taken_over(ground: &Ground, traffic: Traffic, agent: &mut Agent<Datapath>) {
    ground.inside(|| {
        let report = agent.pass(&desired(), &Devices::list().unwrap());
        assert!(report.failed.is_empty() && report.pending.is_empty(), "{report:?}");
        let attached = agent.kernel().attached().unwrap();
        assert_eq!(attached.into_values().collect::<Vec<_>>(), [0]);
        let settled = agent.is_settled(&Devices::list().unwrap());
        assert!(settled && agent.audit(), "{:?}", agent.heals());
    });
    // Not a flip: the policy is the one that was brought in.
    assert_eq!(agent.kernel().slot(0).generation, 2);
    let left = old::directory(&ground.instance, 2);
    let done = left.with_file_name(format!("{}_done", ground.instance.name()));
    assert!(!left.exists() && !done.exists());
    let flows = agent.kernel().flows().unwrap();
    let open = |flow: &&sys::FlowEntry| flow.key.remote_port == OPEN_PORT && !flow.blocked;
    let established = |flow: &&sys::FlowEntry| flow.idle_ns > 100_000_000_000;
    assert_eq!(flows.iter().filter(open).filter(established).count(), 2, "{flows:?}");
    let hits = agent.hits(Calendar { kernel_ns: 0, unix_ms: 0 }).unwrap();
    let of_rule = hits.iter().find(|hit| hit.rule.rule.as_str() == "sgr-open").unwrap();
    assert!(of_rule.total.packets > 0);
    traffic.end(&ground.guest);
}

#[test]
fn an_older_layout_is_taken_over_under_traffic_by_whoever_comes_after_the_dead() {
    if !capability::need("attached program", can_attach) {
        return;
    }
    std::thread::scope(|scope| {
        let both = [Hook::Tcx, Hook::Clsact];
        let both = both.map(|hook| scope.spawn(move || take_over_after_every_death(hook)));
        both.into_iter().for_each(|one| one.join().unwrap());
    });
}

fn take_over_after_every_death(hook: Hook) {
    let ground = Ground::new("whole", hook);
    let traffic = Traffic::new(&ground.host, &ground.guest);
    let (mut agent, steps) = ground.heir();
    println!("{hook}: {steps:?}");
    assert_taken_over(&ground, traffic, &mut agent);
    for step in 0..steps.len() {
        let ground = Ground::new(&format!("step-{step}"), hook);
        let traffic = Traffic::new(&ground.host, &ground.guest);
        assert!(ground.dies_at(step), "there is a step {step}");
        traffic.goes_on();
        // Every few, once more, in the midst of what the next one repeats.
        if step % 4 == 3 {
            ground.dies_at(step / 2);
            traffic.goes_on();
        }
        let (mut agent, _) = ground.heir();
        traffic.goes_on();
        assert_taken_over(&ground, traffic, &mut agent);
    }
}

#[test]
fn a_layout_that_cannot_be_read_is_refused_and_untouched() {
    if !capability::need("attached program", can_attach) {
        return;
    }
    let own = portcullis_compile::abi::LAYOUT_VERSION as u32;
    let of = |instance: &Instance| instance.name().to_owned();
    for (version, newer) in [(1, false), (own + 1, true)] {
        let name = format!("test-{}-unread-{version}", std::process::id());
        let instance = Instance::new(&name).unwrap();
        let directory = old::directory(&instance, version);
        std::fs::create_dir_all(directory.join("qdisc_4000000")).unwrap();
        let error = Datapath::open(&instance, &small(), Hook::Tcx).unwrap_err();
        let cause = error.get_ref().unwrap().downcast_ref::<Unreadable>().unwrap();
        let expected = match newer {
            true => Unreadable::Newer { instance: of(&instance), version },
            false => Unreadable::Forgotten { instance: of(&instance), version },
        };
        assert_eq!(*cause, expected);
        assert!(cause.help().contains("detach --all"));
        assert!(directory.join("qdisc_4000000").is_dir() && !instance.exists());
        // Letting go of all takes what is older along, and leaves what is newer alone.
        assert_eq!(instance.detach_all().is_err(), newer);
        assert_eq!(directory.exists(), newer);
        if newer {
            std::fs::remove_dir(directory.join("qdisc_4000000")).unwrap();
            std::fs::remove_dir(directory).unwrap();
        }
    }
}

#[test]
fn both_layouts_at_once_are_refused_and_let_go_together() {
    if !capability::need("attached program", can_attach) {
        return;
    }
    for hook in [Hook::Tcx, Hook::Clsact] {
        let ground = Ground::new("both", hook);
        let (agent, _) = ground.heir();
        drop(agent);
        // An agent of then started after one of now, and put its own beside.
        if hook == Hook::Clsact {
            ground.host.ip(&format!("link del {DEVICE}")).unwrap();
            ground.host.ip(&format!("link add {DEVICE} type veth peer name two")).unwrap();
        }
        ground.inside(|| {
            let device = nix::net::if_::if_nametoindex(DEVICE).unwrap();
            let memory = Shared::default();
            memory.borrow_mut().pool = vec![0; 64];
            memory.borrow_mut().attached.insert(device, 0);
            memory.borrow_mut().lengths =
                BTreeMap::from([(portcullis_core::net::Family::V4, vec![32])]);
            old::enforce(&ground.instance, &memory.borrow(), hook);
            let opened = Datapath::open(&ground.instance, &small(), hook).unwrap_err();
            let cause = opened.get_ref().unwrap().downcast_ref::<Unreadable>().unwrap();
            assert!(matches!(cause, Unreadable::Twice { version: 2, .. }), "{cause}");
            assert!(ground.instance.detach_all().unwrap() >= 1);
            assert!(!ground.instance.exists() && !old::directory(&ground.instance, 2).exists());
        });
    }
}
