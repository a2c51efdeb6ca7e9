//! Where the services of this server are, and who is asking.
use crate::ids::RegionId;

/// A service that this server answers for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// `ecs`.
    Ecs,
    /// `vpc`.
    Vpc,
    /// `sts`.
    Sts,
    /// `location`.
    Location,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Ecs, Self::Vpc, Self::Sts, Self::Location];

    /// `ServiceCode`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ecs => "ecs",
            Self::Vpc => "vpc",
            Self::Sts => "sts",
            Self::Location => "location",
        }
    }
}

/// DescribeEndpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribeEndpoints {
    /// `Id`.
    pub region: RegionId,
    /// `ServiceCode` and `Type`; `None`: one that is not here.
    pub service: Option<Service>,
}
