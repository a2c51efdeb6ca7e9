//! A device with the program at both its hooks: frames leave the instance at one end and come out
//! at the other end of a bridge, or the host sends them and they come out at the instance, or not.
//!
//! ```text
//!   two (the instance) ── one ── bridge ── side ── far
//! ```
use std::time::Duration;

use portcullis_agent::sys::{Datapath, Hook, Instance, Sizes, TestVerdict};
use portcullis_core::rule::{Direction, Policy};
use portcullis_core::verdict::Reason;
use portcullis_testkit::netns::{Link, Namespace};
use portcullis_testkit::wait;

use crate::host::{COUNTERS, SLOT};

const PATIENCE: Duration = Duration::from_secs(10);

/// The bridge floods everything and adds nothing of its own.
const DEVICES: &str = "\
link add bridge type bridge mcast_snooping 0 stp_state 0
link add one type veth peer name two
link add side type veth peer name far
link set bridge mtu 65535
link set one mtu 65535 master bridge
link set two mtu 65535
link set side mtu 65535 master bridge
link set far mtu 65535
link set one type bridge_slave learning off
link set side type bridge_slave learning off
link set bridge up
link set one up
link set two up
link set side up
link set far up";

pub(crate) struct Wire {
    namespace: Namespace,
    instance: Instance,
    inside: Link,
    host: Link,
    outside: Link,
}

/// What the program counted: under which reasons, and under which rules.
#[derive(PartialEq)]
struct Counted {
    reasons: Vec<(Direction, Policy, Reason, u64)>,
    hits: Vec<u64>,
}

impl Counted {
    fn now(datapath: &Datapath) -> Self {
        let reasons = datapath.reasons(SLOT).unwrap().into_iter();
        let hits = |counter| datapath.hits(counter).unwrap().unwrap().packets;
        Self {
            reasons: reasons.map(|r| (r.direction, r.policy, r.reason, r.count.packets)).collect(),
            hits: (0..COUNTERS).map(hits).collect(),
        }
    }

    fn packets(&self) -> u64 {
        self.reasons.iter().map(|(.., packets)| packets).sum()
    }
}

impl Wire {
    pub(crate) fn new(name: &str) -> Self {
        let namespace = Namespace::new().unwrap();
        // Nothing is sent but what the cases send.
        for which in ["all", "default"] {
            namespace.sysctl(&format!("net.ipv6.conf.{which}.disable_ipv6"), "1").unwrap();
        }
        namespace.ip(DEVICES).unwrap();
        let instance = Instance::new(&format!("test-{}-{name}", std::process::id())).unwrap();
        let inside = Link::new(&namespace, "two").unwrap();
        let host = Link::new(&namespace, "one").unwrap();
        let outside = Link::new(&namespace, "far").unwrap();
        Self { namespace, instance, inside, host, outside }
    }

    /// The program at the device, with nothing of an earlier one.
    pub(crate) fn open(&self, sizes: &Sizes, hook: Hook) -> Datapath {
        let opened = self.namespace.enter(|| {
            self.instance.detach_all()?;
            let datapath = Datapath::open(&self.instance, sizes, hook)?;
            datapath.attach(nix::net::if_::if_nametoindex("one")?, SLOT)?;
            Ok::<_, std::io::Error>(datapath)
        });
        opened.unwrap().unwrap()
    }

    /// Sends a frame, and answers what was counted for it. What was let through has come out as it
    /// went in, and nothing else has.
    pub(crate) fn send(
        &self,
        datapath: &Datapath,
        direction: Direction,
        frame: &[u8],
    ) -> Result<TestVerdict, String> {
        let (from, to) = match direction {
            Direction::Egress => (&self.inside, &self.outside),
            Direction::Ingress => (&self.host, &self.inside),
        };
        let before = Counted::now(datapath);
        if let Err(error) = from.send(frame) {
            // This is how a sender on the host hears of a drop.
            let is_dropped = direction == Direction::Ingress && error.contains("ENOBUFS");
            is_dropped.then_some(()).ok_or(error)?;
        }
        let after = wait::until("the frame to be judged", PATIENCE, || {
            let now = Counted::now(datapath);
            // Rules are counted after reasons.
            Ok((now.packets() > before.packets() && now == Counted::now(datapath)).then_some(now))
        })?;
        let new = after.reasons.iter().filter(|reason| !before.reasons.contains(reason));
        let [(at, policy, reason, _)] = new.collect::<Vec<_>>()[..] else {
            return Err("more than one packet was counted".to_owned());
        };
        if *at != direction {
            return Err(format!("a packet was counted as {at:?}"));
        }
        let accepted = *policy == Policy::Accept;
        if accepted {
            let came = to.receive_within(PATIENCE)?;
            // A bridge cuts off what is behind the packet.
            if !came.as_deref().is_some_and(|came| frame.starts_with(came)) {
                return Err(format!(
                    "{} did not come out as it went in: {came:02x?}",
                    reason.name()
                ));
            }
        } else if let Some(came) = to.receive_now()? {
            return Err(format!("{} let through {came:02x?}", reason.name()));
        }
        let raised = before.hits.iter().zip(&after.hits).position(|(a, b)| a != b);
        Ok(TestVerdict { accepted, reason: *reason, counter: raised.map(|at| at as u32) })
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if let Err(error) = self.namespace.enter(|| self.instance.detach_all()) {
            eprintln!("{}: {error}", self.instance.name());
        }
    }
}
