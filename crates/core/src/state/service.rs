//! What is asked about the server itself: its zones, endpoints, the caller, and kinds of things of
//! which there are none.
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use crate::command::{Context, DescribeAbsent, DescribeEndpoints, Outcome, Page};
use crate::error::ApiError;
use crate::ids::{RegionId, ZoneId};
use crate::state::account::region_of;
use crate::state::describe::in_sight;
use crate::state::{Decision, State};

/// The letters of the zones that every region has. A vSwitch may name any other.
const ZONES: [&str; 3] = ["a", "b", "c"];

/// The zones that a region has of itself.
fn zones_of(region: &RegionId) -> impl Iterator<Item = ZoneId> {
    ZONES.into_iter().filter_map(move |letter| alloc::format!("{region}-{letter}").parse().ok())
}

impl State {
    /// Those that every region has, and those in which the caller has vSwitches.
    pub(super) fn describe_zones(&self, context: &Context<'_>) -> Result<Decision, ApiError> {
        let region = region_of(context)?;
        let own = in_sight(&self.index.vswitches, context).into_iter();
        let own = own.filter_map(|id| Some(self.vswitches.get(id)?.zone.clone()));
        let zones: BTreeSet<ZoneId> = zones_of(&region).chain(own).collect();
        Ok(Decision::read(Outcome::Zones(zones.into_iter().collect())))
    }

    pub(super) fn describe_endpoints(
        &self,
        context: &Context<'_>,
        command: &DescribeEndpoints,
    ) -> Result<Decision, ApiError> {
        let DescribeEndpoints { region, service } = command;
        self.check_region(context, Some(region), "Id")?;
        Ok(Decision::read(Outcome::Endpoints(region.clone(), *service, context.settings.protocols)))
    }

    pub(super) fn describe_absent(command: &DescribeAbsent) -> Decision {
        let paging = command.paging.clone();
        let page = Page { rows: Vec::new(), total: 0, next: None, paging };
        Decision::read(Outcome::Absent(command.kind, page))
    }
}
