//! Takes away what runs have left whose processes are no more.
//!
//! A run that ends takes its own things away; one that was killed cannot, and one that ended while
//! no server was there neither. So the leases are looked at, at the start and once a tick. The
//! device goes first and the binding after it: at no moment is it there and open.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use portcullis_core::command::{Command, RunDevice};
use tokio::sync::watch;

use crate::control::server::{Administration, administrative};
use crate::directory::DataDirectory;
use crate::host::HostView;
use crate::lease::{Lease, Standing};
use crate::listen::stopped;

/// How long the things of a killed run may stand.
const TICK: Duration = Duration::from_secs(1);
/// What the state says of a run that has no binding.
const NO_RUN: &str = "InvalidRun.NotFound";

/// Whoever takes them away.
pub(crate) struct Sweeper {
    directory: DataDirectory,
    server: Arc<Administration>,
}

impl Sweeper {
    /// One for the leases of this directory.
    pub(crate) fn new(directory: DataDirectory, server: Arc<Administration>) -> Sweeper {
        Sweeper { directory, server }
    }

    /// Looks once a tick until `stop`. Without an agent nothing is touched: what is in force then
    /// is not ours to let go.
    pub(crate) async fn sweep(self, mut stop: watch::Receiver<bool>) {
        let Some(view) = self.server.host.view() else { return };
        let mut failed = BTreeSet::new();
        loop {
            for device in self.known() {
                match self.end_if_abandoned(&view, &device).await {
                    Ok(()) => {
                        failed.remove(&device);
                    }
                    Err(why) => {
                        if failed.insert(device.clone()) {
                            tracing::warn!(%device, why, "cannot take away what a run left");
                        }
                    }
                }
            }
            tokio::select! {
                () = tokio::time::sleep(TICK) => {}
                () = stopped(&mut stop) => return,
            }
        }
    }

    /// Every run that has left a trace.
    fn known(&self) -> BTreeSet<RunDevice> {
        let mut known: BTreeSet<RunDevice> =
            self.server.published.read(|state, _| state.runs().map(|(device, _)| device).collect());
        match Lease::all(&self.directory) {
            Ok(leases) => known.extend(leases),
            Err(error) => tracing::warn!(%error, "cannot read the leases of runs"),
        }
        known
    }

    async fn end_if_abandoned(
        &self,
        view: &Arc<dyn HostView>,
        device: &RunDevice,
    ) -> Result<(), String> {
        let lease = match Lease::look(&self.directory, device) {
            Ok(Standing::Held) => return Ok(()),
            Ok(Standing::Abandoned(lease)) => Some(lease),
            Ok(Standing::Absent) => None,
            Err(error) => return Err(format!("its lease: {error}")),
        };
        let (view, own) = (Arc::clone(view), device.device().clone());
        let removed = tokio::task::spawn_blocking(move || view.remove_device(&own)).await;
        removed.map_err(|error| error.to_string())??;
        let command = Command::EndRun { device: device.clone() };
        match self.server.queue.write(administrative(command)).await {
            Ok(_) => tracing::info!(%device, "took away what a run left"),
            Err(error) if error.code == NO_RUN => {}
            Err(error) => return Err(error.to_string()),
        }
        lease.map_or(Ok(()), Lease::release).map_err(|error| format!("its lease: {error}"))
    }
}
