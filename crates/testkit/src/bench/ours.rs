//! Our agent on one device, without a server: the scenario as it would be told what to enforce.

use portcullis_agent::device::Devices;
use portcullis_agent::ledger::{LedgerFile, boot_id};
use portcullis_agent::run::{Agent, Settings};
use portcullis_agent::sys::{Datapath, Events, Hook, Instance, Sizes};
use portcullis_core::host::{BoundInterface, Desired, IdleTimes, PolicyError};
use portcullis_core::ids::NetworkInterfaceId;
use portcullis_core::limits::FLOWS_PER_INTERFACE_DEFAULT;
use portcullis_core::records::ConnectionTracking;
use portcullis_core::resolve::Resolver;
use portcullis_core::world::World;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::scenario::{INTERFACE, Scenario, id};
use crate::netns::Namespace;

static MADE: AtomicU32 = AtomicU32::new(0);

/// An agent and what it has pinned, which goes when this goes.
pub struct Ours {
    agent: Agent<Datapath>,
    events: Events,
    pinned: Pinned,
    _ledger: tempfile::TempDir,
}

/// Pins of an instance of our own.
struct Pinned(Instance);

impl Drop for Pinned {
    fn drop(&mut self) {
        if let Err(error) = self.0.detach_all() {
            eprintln!("{}: {error}", self.0.directory().display());
        }
    }
}

impl Ours {
    /// An agent with nothing to do yet.
    ///
    /// # Errors
    /// When the kernel does not take the program.
    pub fn new() -> Result<Self, String> {
        let number = MADE.fetch_add(1, Ordering::SeqCst);
        // Named as laboratories are, so that what a killed one leaves is found and removed.
        let name = format!("lab-{}-bench{number}", std::process::id());
        let failed = |error: std::io::Error| format!("the agent: {error}");
        let pinned = Pinned(Instance::new(&name).map_err(failed)?);
        let ledger = tempfile::tempdir().map_err(failed)?;
        let datapath = Datapath::open(&pinned.0, &Sizes::default(), Hook::Tcx).map_err(failed)?;
        let events = datapath.events().map_err(failed)?;
        let file = LedgerFile::new(ledger.path()).map_err(failed)?;
        let boot_id = boot_id().map_err(failed)?;
        let settings = Settings { boot_id, pick_up_s: 0, keep_established: false, check_s: 1 };
        let agent = Agent::new(datapath, file, settings).map_err(failed)?;
        Ok(Self { agent, events, pinned, _ledger: ledger })
    }

    /// Enforces a scenario at a device of a namespace.
    ///
    /// # Errors
    /// When it cannot be enforced.
    pub fn enforce(
        scenario: &Scenario,
        namespace: &Namespace,
        device: &str,
    ) -> Result<Self, String> {
        let mut ours = Self::new()?;
        let wanted = desired(&scenario.world, &[(INTERFACE.to_owned(), device.to_owned())], 1)?;
        namespace.enter(|| ours.pass(&wanted))??;
        Ok(ours)
    }

    /// One pass of the agent, in the namespace of the calling thread.
    ///
    /// # Errors
    /// When something is not enforced after it.
    pub fn pass(&mut self, wanted: &Desired) -> Result<(), String> {
        let devices = Devices::list().map_err(|error| format!("the devices: {error}"))?;
        let report = self.agent.pass(wanted, &devices);
        let complaint = report.failed.iter().chain(&report.pending).next();
        match complaint {
            None => Ok(()),
            Some((interface, why)) => Err(format!("{interface} is not enforced: {why}")),
        }
    }

    /// Forgets all flows of the measured interface, and takes the events about them.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn forget_flows(&mut self) -> Result<(), String> {
        let interface: NetworkInterfaceId = id(INTERFACE)?;
        let place = self.agent.ledger().place(&interface).ok_or("it has no slot")?;
        let forgotten = self.agent.kernel().forget_flows(place.slot);
        forgotten.map_err(|error| format!("the flows: {error}"))?;
        while self.events.next_event().is_some() {}
        Ok(())
    }

    /// The agent.
    pub fn agent(&mut self) -> &mut Agent<Datapath> {
        &mut self.agent
    }

    /// Where it is pinned.
    pub fn instance(&self) -> &Instance {
        &self.pinned.0
    }
}

/// What an agent is told when these interfaces of a world are tied to these devices.
///
/// # Errors
/// When a name is none.
pub fn desired(
    world: &World,
    bound: &[(String, String)],
    revision: u64,
) -> Result<Desired, String> {
    let mut resolver = Resolver::new(world);
    let mut interfaces = Vec::new();
    for (interface, device) in bound {
        let interface: NetworkInterfaceId = id(interface)?;
        interfaces.push(Arc::new(BoundInterface {
            policy: resolver.policy(&interface).ok_or(PolicyError::Dangling),
            interface,
            device: id(device)?,
            idle_times: IdleTimes::new(ConnectionTracking::DEFAULT),
            flows_max: FLOWS_PER_INTERFACE_DEFAULT,
        }));
    }
    interfaces.sort_by(|one, other| one.interface.cmp(&other.interface));
    Ok(Desired::new(revision, interfaces, world))
}
