//! What happens at the subject: the host's settings and the steps, as values.
use std::net::Ipv4Addr;

use portcullis_core::reference::Site;
use portcullis_core::rule::Direction;

use crate::packet_case::Draft;

/// Steps of time are multiples of this. No idle time of a sequence is one, so that a judge whose
/// clock runs on while it judges is never in doubt.
pub const STEP_MS: u64 = 1_100;
/// How long running flows are picked up.
pub const PICK_UP_S: u64 = 60;

/// What happens next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A frame.
    Frame(Direction, Box<Draft>),
    /// So many [`STEP_MS`] go by.
    Wait(u64),
    /// Another state of the world comes into force.
    World(usize),
    /// The interface has no policy; its world stays as it is.
    Closed,
    /// Running flows are picked up for [`PICK_UP_S`].
    PickUp,
}

/// The host's settings, the interface's, and the steps.
#[derive(Debug, Clone)]
pub struct Sequence {
    /// Settings; the window of pick-up is set by a step.
    pub site: Site,
    /// Steps, from the first state of the world on.
    pub steps: Vec<Step>,
}

/// Settings of an interface for which nothing is configured.
pub fn plain_site() -> Site {
    Site {
        any_link_local: false,
        dhcp4_servers: Vec::<Ipv4Addr>::new(),
        keep_established: false,
        pick_up_until_ns: 0,
        idle_established_s: 910,
        idle_closed_s: 3,
        idle_udp_s: 30,
        quota: 128,
    }
}
