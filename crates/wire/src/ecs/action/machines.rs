//! Parameters of new instances that ask for a machine: its hardware, its disks, its system and its
//! price. None is run here, so they come to nothing.
use super::shared::ignored;
use super::{Kind, Parameter};

pub(super) const MACHINE: &str = "No machine is run here: an instance is registered.";
const CHARGING: &str = "Nothing is charged.";
const PLACING: &str = "There are no hosts to choose from.";
const NETWORK: &str = "The network is the operator's own.";

/// Of RunInstances and CreateInstance.
pub(super) const BOTH: &[Parameter] = &[
    ignored("Affinity", Kind::Text, PLACING),
    ignored("Arn.N", Kind::Structures, MACHINE),
    ignored("Arn.N.AssumeRoleFor", Kind::Integer, MACHINE),
    ignored("Arn.N.RoleType", Kind::Text, MACHINE),
    ignored("Arn.N.Rolearn", Kind::Text, MACHINE),
    ignored("AutoRenew", Kind::Boolean, CHARGING),
    ignored("AutoRenewPeriod", Kind::Integer, CHARGING),
    ignored("CreditSpecification", Kind::Text, CHARGING),
    ignored("DataDisk.N", Kind::Structures, MACHINE),
    ignored("DataDisk.N.Category", Kind::Text, MACHINE),
    ignored("DataDisk.N.DeleteWithInstance", Kind::Boolean, MACHINE),
    ignored("DataDisk.N.Description", Kind::Text, MACHINE),
    ignored("DataDisk.N.Device", Kind::Text, MACHINE),
    ignored("DataDisk.N.DiskName", Kind::Text, MACHINE),
    ignored("DataDisk.N.EncryptAlgorithm", Kind::Text, MACHINE),
    ignored("DataDisk.N.KMSKeyId", Kind::Text, MACHINE),
    ignored("DataDisk.N.PerformanceLevel", Kind::Text, MACHINE),
    ignored("DataDisk.N.Size", Kind::Integer, MACHINE),
    ignored("DataDisk.N.SnapshotId", Kind::Text, MACHINE),
    ignored("DataDisk.N.StorageClusterId", Kind::Text, MACHINE),
    ignored("DedicatedHostId", Kind::Text, PLACING),
    ignored("DeploymentSetGroupNo", Kind::Integer, PLACING),
    ignored("DeploymentSetId", Kind::Text, PLACING),
    ignored("HibernationOptions.Configured", Kind::Boolean, MACHINE),
    ignored("HpcClusterId", Kind::Text, PLACING),
    ignored("HttpEndpoint", Kind::Text, MACHINE),
    ignored("HttpPutResponseHopLimit", Kind::Integer, MACHINE),
    ignored("HttpTokens", Kind::Text, MACHINE),
    ignored("ImageFamily", Kind::Text, MACHINE),
    ignored("InstanceChargeType", Kind::Text, CHARGING),
    ignored("InternetChargeType", Kind::Text, CHARGING),
    ignored("InternetMaxBandwidthIn", Kind::Integer, NETWORK),
    ignored("IoOptimized", Kind::Text, MACHINE),
    ignored("Password", Kind::Text, MACHINE),
    ignored("PasswordInherit", Kind::Boolean, MACHINE),
    ignored("Period", Kind::Integer, CHARGING),
    ignored("PeriodUnit", Kind::Text, CHARGING),
    ignored("PrivatePoolOptions.Id", Kind::Text, CHARGING),
    ignored("PrivatePoolOptions.MatchCriteria", Kind::Text, CHARGING),
    ignored("RamRoleName", Kind::Text, MACHINE),
    ignored("SecurityEnhancementStrategy", Kind::Text, MACHINE),
    ignored("SpotDuration", Kind::Integer, CHARGING),
    ignored("SpotInterruptionBehavior", Kind::Text, CHARGING),
    ignored("SpotPriceLimit", Kind::Text, CHARGING),
    ignored("SpotStrategy", Kind::Text, CHARGING),
    ignored("StorageSetId", Kind::Text, PLACING),
    ignored("StorageSetPartitionNumber", Kind::Integer, PLACING),
    ignored("SystemDisk", Kind::Structure, MACHINE),
    ignored("SystemDisk.Category", Kind::Text, MACHINE),
    ignored("SystemDisk.Description", Kind::Text, MACHINE),
    ignored("SystemDisk.DiskName", Kind::Text, MACHINE),
    ignored("SystemDisk.PerformanceLevel", Kind::Text, MACHINE),
    ignored("Tenancy", Kind::Text, PLACING),
    ignored("UserData", Kind::Text, MACHINE),
];

/// Of RunInstances alone.
pub(super) const RUN: &[Parameter] = &[
    ignored("AutoPay", Kind::Boolean, CHARGING),
    ignored("ClockOptions", Kind::Structure, MACHINE),
    ignored("CpuOptions.Core", Kind::Integer, MACHINE),
    ignored("CpuOptions.Numa", Kind::Text, MACHINE),
    ignored("CpuOptions.ThreadsPerCore", Kind::Integer, MACHINE),
    ignored("CpuOptions.TopologyType", Kind::Text, MACHINE),
    ignored("DataDisk.N.AutoSnapshotPolicyId", Kind::Text, MACHINE),
    ignored("DataDisk.N.BurstingEnabled", Kind::Boolean, MACHINE),
    ignored("DataDisk.N.Encrypted", Kind::Text, MACHINE),
    ignored("DataDisk.N.ProvisionedIops", Kind::Integer, MACHINE),
    ignored("HostNames.N", Kind::List, "`HostName` is kept; names of several are not."),
    ignored("ImageOptions", Kind::Structure, MACHINE),
    ignored("Isp", Kind::Text, NETWORK),
    ignored("MinAmount", Kind::Integer, "All are made, or none."),
    ignored("NetworkOptions", Kind::Structure, NETWORK),
    ignored("PrivateDnsNameOptions", Kind::Structure, MACHINE),
    ignored("SchedulerOptions.DedicatedHostClusterId", Kind::Text, PLACING),
    ignored("SecurityOptions.ConfidentialComputingMode", Kind::Text, MACHINE),
    ignored("SecurityOptions.TrustedSystemMode", Kind::Text, MACHINE),
    ignored("SystemDisk.AutoSnapshotPolicyId", Kind::Text, MACHINE),
    ignored("SystemDisk.Size", Kind::Text, MACHINE),
];

/// Of CreateInstance alone.
pub(super) const CREATE: &[Parameter] = &[
    ignored("ClusterId", Kind::Text, PLACING),
    ignored("DataDisk.N.Encrypted", Kind::Boolean, MACHINE),
    ignored("InnerIpAddress", Kind::Text, NETWORK),
    ignored("NodeControllerId", Kind::Text, PLACING),
    ignored("SystemDisk.Size", Kind::Integer, MACHINE),
    ignored("UseAdditionalService", Kind::Boolean, MACHINE),
    ignored("VlanId", Kind::Text, NETWORK),
];
