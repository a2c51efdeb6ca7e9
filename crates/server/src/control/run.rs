//! What the control socket says of runs: the lines, and how they are carried out.
//!
//! A run's interface is made and tied in one change and goes in one change; whoever runs the
//! command holds the lease, of which nothing is known here.

use std::time::Duration;

use portcullis_core::command::{Command, Outcome, RunDevice, RunIpv6, StartRun, Written};
use portcullis_core::ids::SecurityGroupId;
use portcullis_core::records::InterfaceRecord;
use serde::{Deserialize, Serialize};

use crate::control::message::{Answer, Changed, Problem};
use crate::control::server::{Administration, administrative, parse, problem};
use crate::host::{Asker, Waited};
use crate::writer::Write;

/// In place of an address: one that is chosen here.
pub const ANY_ADDRESS: &str = "any";

/// The interface of a run, and how it reaches others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRow {
    /// The id of the interface.
    pub interface: String,
    /// Its hardware address.
    pub mac: String,
    /// Its address.
    pub address: String,
    /// Where it sends what is for others.
    pub gateway: String,
    /// Its address in IPv6; may be empty.
    pub ipv6: String,
    /// Where it sends what is for others in IPv6; empty where it has no address.
    pub ipv6_gateway: String,
    /// Whether its policy is in force.
    pub changed: Changed,
}

/// What a run asks for, as texts.
pub(super) struct Asked {
    pub(super) device: String,
    pub(super) groups: Vec<String>,
    pub(super) vswitch: String,
    pub(super) address: String,
    pub(super) ipv6: String,
}

impl Asked {
    fn command(&self) -> Result<StartRun, Problem> {
        let groups: Result<Vec<SecurityGroupId>, Problem> =
            self.groups.iter().map(|group| parse(group, "groups")).collect();
        Ok(StartRun {
            device: parse(&self.device, "device")?,
            groups: groups?,
            vswitch: some(&self.vswitch).map(|text| parse(text, "vswitch")).transpose()?,
            primary: some(&self.address).map(|text| parse(text, "address")).transpose()?,
            ipv6: match self.ipv6.as_str() {
                "" => RunIpv6::None,
                ANY_ADDRESS => RunIpv6::Any,
                text => RunIpv6::This(parse(text, "ipv6")?),
            },
        })
    }
}

fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

impl Administration {
    pub(super) async fn start_run(
        &self,
        asked: Asked,
        wait_timeout_ms: u64,
    ) -> Result<Answer, Problem> {
        // A command that runs although nothing holds it would be worse than none.
        if !self.host.enforces() {
            let message = "nothing is enforced here: the server runs without an agent";
            let help = "start `portcullis serve` as root and without --no-agent";
            return Err(Problem::new("NotEnforced", message, help, ""));
        }
        let command = Command::StartRun(asked.command()?);
        let committed = self.queue.write(administrative(command)).await.map_err(problem)?;
        let Outcome::Written(Written::NetworkInterface(record)) = committed.outcome else {
            let help = "this is a fault of the program";
            return Err(Problem::new("InternalError", "a run without an interface", help, ""));
        };
        let changed = self.wait_for(committed.revision, &record.id, wait_timeout_ms).await;
        Ok(Answer::Run(self.row(&record, changed)))
    }

    fn row(&self, record: &InterfaceRecord, changed: Changed) -> RunRow {
        let gateways = self.published.read(|state, _| state.gateways(&record.vswitch));
        let text = |found: Option<String>| found.unwrap_or_default();
        let ipv6 = record.ipv6.first();
        let ipv6_gateway = ipv6.and_then(|_| gateways?.ipv6);
        RunRow {
            interface: record.id.to_string(),
            mac: record.mac.to_string(),
            address: record.primary.to_string(),
            gateway: text(gateways.map(|gateways| gateways.ipv4.to_string())),
            ipv6: text(ipv6.map(ToString::to_string)),
            ipv6_gateway: text(ipv6_gateway.map(|gateway| gateway.to_string())),
            changed,
        }
    }

    pub(super) async fn end_run(
        &self,
        device: &str,
        wait_timeout_ms: u64,
    ) -> Result<Answer, Problem> {
        let device: RunDevice = parse(device, "device")?;
        let command = administrative(Command::EndRun { device });
        let write = Write { wants_concerned: true, ..command };
        let committed = self.queue.write(write).await.map_err(problem)?;
        let timeout = Duration::from_millis(wait_timeout_ms.min(self.limits.wait_time_max_ms));
        let (revision, concerned) = (committed.revision, &committed.concerned);
        let waited = Waited { revision, concerned, asker: Asker::Operator };
        let enforcement = self.host.wait(timeout, &waited).await.status.name().to_owned();
        Ok(Answer::Changed(Changed { revision, enforcement, detail: String::new() }))
    }
}
