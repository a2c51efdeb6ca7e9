//! What the operator decides and no request can change: the regions and the quotas.
//!
//! Values only; reading them from files and the environment is the program's business.
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::ids::RegionId;
use crate::limits::GROUPS_PER_INTERFACE_MAX;

/// A region that the server answers for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    /// Its id.
    pub id: RegionId,
    /// Its name for people.
    pub local_name: String,
}

impl Region {
    /// A region whose name is its id.
    pub fn new(id: RegionId) -> Self {
        Self { local_name: id.to_string(), id }
    }
}

/// How much an account may have. At a quota the next one is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quotas {
    /// Groups of one interface; never above [`GROUPS_PER_INTERFACE_MAX`].
    pub groups_per_interface: usize,
    /// Rules of one group, both directions together.
    pub rules_per_group: usize,
    /// Rules of all groups of one interface in sum.
    pub rules_per_interface: usize,
    /// Addresses of all interfaces in a basic group.
    pub addresses_per_basic_group: usize,
    /// Interfaces in an enterprise group.
    pub interfaces_per_enterprise_group: usize,
    /// Groups of an account in a region.
    pub groups_per_region: usize,
    /// VPCs of an account in a region.
    pub vpcs_per_region: usize,
    /// vSwitches of a VPC.
    pub vswitches_per_vpc: usize,
    /// Interfaces of an account in a region.
    pub interfaces_per_region: usize,
    /// Client tokens of an account that are remembered at the same time.
    pub client_tokens_per_account: usize,
}

impl Quotas {
    /// Groups of one interface in force: the quota, bounded by the model.
    pub fn groups_per_interface(&self) -> usize {
        self.groups_per_interface.min(GROUPS_PER_INTERFACE_MAX)
    }
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            groups_per_interface: 10,
            rules_per_group: 1000,
            rules_per_interface: 1000,
            addresses_per_basic_group: 6000,
            interfaces_per_enterprise_group: 65_536,
            groups_per_region: 500,
            vpcs_per_region: 500,
            vswitches_per_vpc: 500,
            interfaces_per_region: 100_000,
            // Three writes a second all day, in some hundred MB.
            client_tokens_per_account: 250_000,
        }
    }
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The regions that exist, in the order in which they are listed.
    pub regions: Vec<Region>,
    /// How much an account may have.
    pub quotas: Quotas,
}

impl Settings {
    /// These regions with the default quotas.
    pub fn new(regions: impl IntoIterator<Item = RegionId>) -> Self {
        Self { regions: regions.into_iter().map(Region::new).collect(), quotas: Quotas::default() }
    }
}
