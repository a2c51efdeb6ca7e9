//! The program at devices, by either hook: attached, pinned, opened again, moved. Needs root and a
//! kernel that takes it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // All of this is test code.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Duration;

use portcullis_agent::kernel::TORN;
use portcullis_agent::sys::{self, Datapath, Hook, Instance, Sizes};
use portcullis_agent::traffic_control::{Filter, Side, TrafficControl};
use portcullis_compile::abi;
use portcullis_core::rule::{Direction, Policy};
use portcullis_core::verdict::Reason;
use portcullis_testkit::{capability, netns, packet, wait};

const HOOKS: [Hook; 2] = [Hook::Tcx, Hook::Clsact];
const PATIENCE: Duration = Duration::from_secs(10);

fn can_attach() -> Result<(), String> {
    let told = |missing: Vec<sys::Missing>| {
        missing.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    for hook in HOOKS {
        sys::usable_hook(Some(hook)).map_err(told)?;
    }
    netns::available()
}

fn small() -> Sizes {
    Sizes {
        pool_words: 1 << 12,
        slots: 8,
        members: 64,
        flows: 64,
        fragments: 64,
        counters: 64,
        event_bytes: 1 << 16,
    }
}

/// A namespace with a pair of devices, and instances there that leave nothing behind.
struct Place {
    namespace: netns::Namespace,
    instances: Vec<Instance>,
}

impl Place {
    fn new(name: &str, instances: usize) -> Self {
        let namespace = netns::Namespace::new().unwrap();
        let instance = |number| {
            Instance::new(&format!("test-{}-{name}-{number}", std::process::id())).unwrap()
        };
        let place = Self { namespace, instances: (0..instances).map(instance).collect() };
        place.plug();
        place
    }

    fn plug(&self) {
        let lines = "link add one type veth peer name two\nlink set one up\nlink set two up";
        self.namespace.ip(lines).unwrap();
    }

    /// Does something inside, with the number of the host's device.
    fn inside<T: Send>(&self, work: impl FnOnce(u32) -> T + Send) -> T {
        let device = || nix::net::if_::if_nametoindex("one").unwrap_or(0);
        self.namespace.enter(|| work(device())).unwrap()
    }

    fn open(&self, number: usize, hook: Hook) -> Datapath {
        let instance = &self.instances[number];
        self.inside(|_| Datapath::open(instance, &small(), hook).unwrap())
    }

    fn tc(&self, arguments: &str) {
        self.inside(|_| {
            let mut command = Command::new("tc");
            netns::must_succeed(command.args(arguments.split_whitespace())).unwrap();
        });
    }

    fn attached(&self, datapath: &Datapath) -> Vec<u32> {
        self.inside(|_| datapath.attached().unwrap()).into_values().collect()
    }

    fn filters(&self) -> Vec<Filter> {
        self.inside(|device| {
            let mut traffic = TrafficControl::open().unwrap();
            let sides = [Side::Ingress, Side::Egress];
            let found = sides.map(|side| traffic.filters(device, side).unwrap());
            found.concat().into_iter().filter(|filter| filter.handle != 0).collect()
        })
    }

    fn has_clsact(&self) -> bool {
        self.inside(|device| {
            TrafficControl::open().unwrap().queues().unwrap().contains_key(&device)
        })
    }

    fn links(&self, number: usize) -> usize {
        let pins = std::fs::read_dir(self.instances[number].directory()).unwrap().flatten();
        pins.filter(|pin| pin.file_name().to_str().unwrap().starts_with("link_")).count()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for instance in &self.instances {
            if let Err(error) = self.inside(|_| instance.detach_all()) {
                eprintln!("{}: {error}", instance.directory().display());
            }
        }
    }
}

/// A closed interface at slot 1.
fn close(datapath: &Datapath) {
    let mut words = vec![0; abi::INTERFACE_HEADER_WORDS as usize];
    words[abi::INTERFACE_HANDLE as usize] = 9;
    words[abi::INTERFACE_FLAGS as usize] = abi::FLAG_CLOSED | abi::FLAG_CHECK_ADDRESSES;
    words[abi::INTERFACE_OWN4 as usize] = abi::section(words.len() as u64, 1);
    words.extend([0x0a00_0005; 2]);
    datapath.write_pool(10, &words).unwrap();
    datapath.set_slot_word(1, 1 << 32 | 10).unwrap();
}

/// Packets that were counted at slot 1 on their way out of the instance.
fn counted(datapath: &Datapath, reason: Reason, policy: Policy) -> u64 {
    let counts = datapath.reasons(1).unwrap();
    let of = |c: &&_| {
        let c: &portcullis_agent::kernel::ReasonCount = c;
        (c.direction, c.reason, c.policy) == (Direction::Egress, reason, policy)
    };
    counts.iter().find(of).map_or(0, |c| c.count.packets)
}

fn await_counted(datapath: &Datapath, reason: Reason, policy: Policy, packets: u64) {
    wait::until("packets to be counted", PATIENCE, || {
        Ok((counted(datapath, reason, policy) == packets).then_some(()))
    })
    .unwrap();
}

#[test]
fn an_instance_outlives_its_agent() {
    if !capability::need("attached program", can_attach) {
        return;
    }
    for hook in HOOKS {
        let place = Place::new("outlives", 1);
        let instance = &place.instances[0];
        place.inside(|device| {
            let datapath = Datapath::open(instance, &small(), hook).unwrap();
            assert_eq!(datapath.attached().unwrap(), BTreeMap::new());
            datapath.set_slot_word(3, 4 << 32).unwrap();
            datapath.write_pool(100, &[77]).unwrap();
            datapath.attach(device, 3).unwrap();
            datapath.attach(device, 3).unwrap();
            assert_eq!(datapath.attached().unwrap(), BTreeMap::from([(device, 3)]));
            drop(datapath);
            // The sizes of what is pinned stay.
            let datapath = Datapath::open(instance, &Sizes::default(), hook).unwrap();
            assert_eq!(datapath.slot_count(), 8);
            assert_eq!(datapath.attached().unwrap(), BTreeMap::from([(device, 3)]));
            assert_eq!((datapath.slot_word(3), datapath.read_pool(100, 1)), (4 << 32, vec![77]));
            datapath.detach(device).unwrap();
            datapath.detach(device).unwrap();
            assert_eq!(datapath.attached().unwrap(), BTreeMap::new());
            datapath.attach(device, 2).unwrap();
        });
        place.namespace.ip("link del one").unwrap();
        let datapath = place.open(0, hook);
        assert_eq!(place.attached(&datapath), [TORN]);
        assert_eq!(place.inside(|_| instance.detach_all().unwrap()), 1);
        assert!(!instance.exists());
        assert_eq!(place.inside(|_| instance.detach_all().unwrap()), 0);
    }
}

#[test]
fn devices_that_come_and_go_use_nothing_up() {
    if !capability::need("attached program", can_attach) {
        return;
    }
    for hook in HOOKS {
        let place = Place::new("churn", 1);
        let datapath = place.open(0, hook);
        // More than twice as many as there are slots.
        for _ in 0..2 * small().slots + 1 {
            place.inside(|device| datapath.attach(device, 1).unwrap());
            place.namespace.ip("link del one").unwrap();
            let left = place.inside(|_| datapath.attached().unwrap());
            assert_eq!(left.values().collect::<Vec<_>>(), [&TORN]);
            place.inside(|_| left.into_keys().for_each(|device| datapath.detach(device).unwrap()));
            assert!(place.attached(&datapath).is_empty());
            place.plug();
        }
        let left = std::fs::read_dir(place.instances[0].directory()).unwrap().flatten();
        let mut left = left.map(|entry| entry.file_name().into_string().unwrap());
        assert_eq!(left.find(|name| !name.starts_with("map_")), None);
    }
}

#[test]
fn what_others_left_of_a_device_is_still_known_for_ours() {
    if !capability::need("attached program", can_attach) {
        return;
    }
    for hook in HOOKS {
        let place = Place::new("halved", 1);
        let datapath = place.open(0, hook);
        place.inside(|device| {
            datapath.attach(device, 3).unwrap();
            assert_eq!(datapath.halved().unwrap(), BTreeMap::new());
        });
        match hook {
            Hook::Tcx => {
                let pins = std::fs::read_dir(place.instances[0].directory()).unwrap().flatten();
                let mut pins = pins.map(|pin| pin.path());
                let is_egress = |pin: &std::path::PathBuf| {
                    pin.to_str().is_some_and(|pin| pin.ends_with("pc_egress"))
                };
                std::fs::remove_file(pins.find(is_egress).unwrap()).unwrap();
            }
            Hook::Clsact => place.tc("filter del dev one ingress"),
        }
        place.inside(|device| {
            assert_eq!(datapath.attached().unwrap(), BTreeMap::from([(device, TORN)]), "{hook}");
            assert_eq!(datapath.halved().unwrap(), BTreeMap::from([(device, 3)]), "{hook}");
            // The kernel lets a link go some time after its last pin.
            let attach = || Ok(datapath.attach(device, 3).ok());
            wait::until("the device to be free", PATIENCE, attach).unwrap();
            assert_eq!(datapath.attached().unwrap(), BTreeMap::from([(device, 3)]), "{hook}");
        });
    }
}

#[test]
fn nothing_passes_where_a_device_leads_to_no_slot() {
    if !capability::need("attached program", can_attach) {
        return;
    }
    for hook in HOOKS {
        let place = Place::new("no-slot", 1);
        let datapath = place.open(0, hook);
        place.inside(|device| datapath.attach(device, TORN).unwrap());
        assert_eq!(place.attached(&datapath), [TORN]);
        let arp = [&[0xff; 12][..], &[8, 6], &[0; 28]].concat();
        // Test packets come from the device that is number one.
        datapath.lead_tests_to(TORN).unwrap();
        for direction in [Direction::Egress, Direction::Ingress] {
            let verdict = datapath.test(direction, &arp).unwrap();
            assert_eq!((verdict.accepted, verdict.reason), (false, Reason::Closed));
        }
    }
}

#[test]
fn a_tagged_frame_is_not_taken_for_an_untagged_one() {
    if !capability::need("attached program", can_attach) {
        return;
    }
    for hook in HOOKS {
        let place = Place::new("tagged", 1);
        let datapath = place.open(0, hook);
        close(&datapath);
        place.inside(|device| datapath.attach(device, 1).unwrap());
        let inside = netns::Link::new(&place.namespace, "two").unwrap();
        let (from, to) = (Ipv4Addr::new(10, 0, 0, 5), Ipv4Addr::new(10, 1, 0, 1));
        let datagram = packet::Udp::new(1, 2).over(from, to, &[]);
        let packet = packet::Ipv4::new(from, to, 17).wrap(&datagram);
        let plain = packet::Ethernet::new(inside.mac(), [2, 0, 0, 0, 0, 2]);
        // The kernel takes the tag out of the bytes before the program sees them.
        inside.send(&plain.clone().vlan(7).ipv4(&packet)).unwrap();
        inside.send(&plain.vlan(0).vlan(7).ipv4(&packet)).unwrap();
        await_counted(&datapath, Reason::Unsupported, Policy::Drop, 2);
        assert_eq!(counted(&datapath, Reason::Closed, Policy::Drop), 0);
    }
}

/// A newer agent's choice of the hook is carried to what an older one left, and nothing is left of
/// the other.
#[test]
fn devices_are_moved_from_hook_to_hook() {
    if !capability::need("attached program", can_attach) {
        return;
    }
    let place = Place::new("moves", 1);
    let first = place.open(0, Hook::Tcx);
    place.inside(|device| first.attach(device, 3).unwrap());
    for hook in [Hook::Clsact, Hook::Clsact, Hook::Tcx, Hook::Tcx] {
        let datapath = place.open(0, hook);
        assert_eq!(place.attached(&datapath), [3], "{hook}");
        let stands = (place.links(0), place.filters().len(), place.has_clsact());
        let expected = if hook == Hook::Tcx { (2, 0, false) } else { (0, 2, true) };
        assert_eq!(stands, expected, "{hook}");
    }
}

#[test]
fn the_qdisc_and_the_filters_of_others_stay() {
    if !capability::need("attached program", can_attach) {
        return;
    }
    const FOREIGN: &str = "filter add dev one ingress pref 1 protocol ip u32 match u32 0 0";
    for (before, after, stays) in
        [("qdisc add dev one clsact", "", true), ("", FOREIGN, true), ("", "", false)]
    {
        let place = Place::new("foreign", 1);
        let datapath = place.open(0, Hook::Clsact);
        let run = |lines: &str| lines.lines().for_each(|line| place.tc(line));
        run(before);
        place.inside(|device| datapath.attach(device, 3).unwrap());
        let own = place.filters();
        assert!(own.iter().all(|filter| filter.priority == 1), "{own:?}");
        // Their priority is taken by then, for another kind.
        run(&after.replace("pref 1", "pref 2"));
        let foreign = place.filters().len() - 2;
        drop(datapath);
        let datapath = place.open(0, Hook::Clsact);
        assert_eq!(place.attached(&datapath), [3]);
        assert_eq!(place.filters().len(), 2 + foreign);
        place.inside(|device| datapath.detach(device).unwrap());
        assert_eq!(
            (place.filters().len(), place.has_clsact()),
            (foreign, stays),
            "{before}{after}"
        );
    }
    // Where the first priority is somebody else's, ours goes behind.
    let place = Place::new("behind", 1);
    place.tc("qdisc add dev one clsact");
    place.tc(FOREIGN);
    let datapath = place.open(0, Hook::Clsact);
    place.inside(|device| datapath.attach(device, 3).unwrap());
    assert_eq!(place.attached(&datapath), [3]);
    let own = place.filters().into_iter().filter(|filter| filter.name.starts_with("portcullis/"));
    assert_eq!(own.map(|filter| filter.priority).collect::<Vec<_>>(), [2, 1]);
}

/// An `ingress` qdisc has one side, and what is meant for the other would end up there.
#[test]
fn a_qdisc_with_one_side_is_refused() {
    if !capability::need("attached program", can_attach) {
        return;
    }
    let place = Place::new("one-sided", 1);
    place.tc("qdisc add dev one ingress");
    let datapath = place.open(0, Hook::Clsact);
    let error = place.inside(|device| datapath.attach(device, 3).unwrap_err());
    assert_eq!(error.to_string(), "somebody's `ingress` qdisc is where `clsact` would have to be");
    assert_eq!((place.filters(), place.attached(&datapath)), (vec![], vec![TORN]));
}

/// What one instance lets through is judged by the next.
#[test]
fn filters_that_follow_still_run() {
    if !capability::need("attached program", can_attach) {
        return;
    }
    for hooks in [[Hook::Clsact, Hook::Clsact], [Hook::Tcx, Hook::Clsact]] {
        let place = Place::new("follow", 2);
        let both = [place.open(0, hooks[0]), place.open(1, hooks[1])];
        for datapath in &both {
            close(datapath);
            place.inside(|device| datapath.attach(device, 1).unwrap());
        }
        let inside = netns::Link::new(&place.namespace, "two").unwrap();
        let own = Ipv4Addr::new(10, 0, 0, 5);
        let asked = packet::Arp::request(inside.mac(), own, Ipv4Addr::new(10, 0, 0, 1));
        inside.send(&packet::Ethernet::new(inside.mac(), packet::BROADCAST).arp(&asked)).unwrap();
        for datapath in &both {
            await_counted(datapath, Reason::Baseline, Policy::Accept, 1);
        }
        // And what is dropped is dropped by the first alone.
        let datagram = packet::Udp::new(1, 2).over(own, own, &[]);
        let packet = packet::Ipv4::new(own, Ipv4Addr::new(10, 1, 0, 1), 17).wrap(&datagram);
        inside.send(&packet::Ethernet::new(inside.mac(), [2; 6]).ipv4(&packet)).unwrap();
        wait::until("the datagram to be dropped", PATIENCE, || {
            let dropped = both.iter().map(|one| counted(one, Reason::Closed, Policy::Drop));
            Ok((dropped.sum::<u64>() == 1).then_some(()))
        })
        .unwrap();
    }
}
