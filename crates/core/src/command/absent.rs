//! Kinds of things that the public API lists and that this server has none of.
use crate::command::Paging;

/// A kind of thing of which there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Absent {
    /// Disks.
    Disks,
    /// Images.
    Images,
    /// Snapshots of disks.
    Snapshots,
    /// Key pairs.
    KeyPairs,
    /// Elastic public addresses.
    EipAddresses,
    /// NAT gateways.
    NatGateways,
    /// Access lists of vSwitches.
    NetworkAcls,
    /// Bandwidth packages.
    BandwidthPackages,
}

/// DescribeDisks and its like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribeAbsent {
    /// Of what.
    pub kind: Absent,
    /// Which part of no rows.
    pub paging: Paging,
}
