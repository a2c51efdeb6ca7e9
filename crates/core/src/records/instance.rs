//! An instance: what interfaces are attached to. It is registered here, not run.
use crate::ids::{AccountId, InstanceId, RegionId, ResourceGroupId};
use crate::text::{Description, Label, Name, Tags};

/// `Status` of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InstanceStatus {
    /// As it is after it was started.
    Running,
    /// As it is after it was made or stopped.
    Stopped,
}

impl InstanceStatus {
    /// The API's spelling.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "Running",
            Self::Stopped => "Stopped",
        }
    }
}

/// An instance. Where it is and which groups it is in, its primary interface says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// Its account.
    pub owner: AccountId,
    /// Its region.
    pub region: RegionId,
    /// Its name, if any; answers have its id otherwise.
    pub name: Option<Name>,
    /// Its description, if any.
    pub description: Option<Description>,
    /// `HostName`, if sent; kept and echoed.
    pub host_name: Option<Label>,
    /// `InstanceType`, if sent; kept and echoed.
    pub instance_type: Option<Label>,
    /// `ImageId`, if sent; kept and echoed.
    pub image: Option<Label>,
    /// `KeyPairName`, if sent; kept and echoed.
    pub key_pair: Option<Label>,
    /// Whether it counts as running.
    pub status: InstanceStatus,
    /// `DeletionProtection`.
    pub deletion_protection: bool,
    /// Its resource group, if sent.
    pub resource_group: Option<ResourceGroupId>,
    /// Its tags.
    pub tags: Tags,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// When it was last started, in milliseconds since 1970.
    pub started_ms: Option<u64>,
}
