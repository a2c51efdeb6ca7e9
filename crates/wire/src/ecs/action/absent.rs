//! Kinds of things that the public API lists and that this server has none of: the lists are empty,
//! and so are all filters of theirs.
use portcullis_core::command::{Absent, Command, DescribeAbsent};

use super::shared::{self, NEXT_TOKEN, PAGES, REGION, TAGS, ignored, max_results};
use super::{Action, Kind, Parameter, Product};
use crate::ecs::arguments::Arguments;
use crate::ecs::refusal::Refusal;

const TOKENS: &[Parameter] = &[
    NEXT_TOKEN,
    max_results("a number from 1 to 500", "Most rows of a part; 10 beside `NextToken`."),
];

const NO_DISKS: &str = "There are no disks here.";
const DISKS: &[Parameter] = &[
    ignored("AdditionalAttributes.N", Kind::List, NO_DISKS),
    ignored("AutoSnapshotPolicyId", Kind::Text, NO_DISKS),
    ignored("Category", Kind::Text, NO_DISKS),
    ignored("DeleteAutoSnapshot", Kind::Boolean, NO_DISKS),
    ignored("DeleteWithInstance", Kind::Boolean, NO_DISKS),
    ignored("DiskChargeType", Kind::Text, NO_DISKS),
    ignored("DiskIds", Kind::Text, NO_DISKS),
    ignored("DiskName", Kind::Text, NO_DISKS),
    ignored("DiskType", Kind::Text, NO_DISKS),
    ignored("EnableAutoSnapshot", Kind::Boolean, NO_DISKS),
    ignored("EnableAutomatedSnapshotPolicy", Kind::Boolean, NO_DISKS),
    ignored("EnableShared", Kind::Boolean, NO_DISKS),
    ignored("Encrypted", Kind::Boolean, NO_DISKS),
    ignored("Filter.N", Kind::Structures, NO_DISKS),
    ignored("Filter.N.Key", Kind::Text, NO_DISKS),
    ignored("Filter.N.Value", Kind::Text, NO_DISKS),
    ignored("InstanceId", Kind::Text, NO_DISKS),
    ignored("KMSKeyId", Kind::Text, NO_DISKS),
    ignored("LockReason", Kind::Text, NO_DISKS),
    ignored("MultiAttach", Kind::Text, NO_DISKS),
    ignored("Portable", Kind::Boolean, NO_DISKS),
    ignored("ResourceGroupId", Kind::Text, NO_DISKS),
    ignored("SnapshotId", Kind::Text, NO_DISKS),
    ignored("Status", Kind::Text, NO_DISKS),
    ignored("ZoneId", Kind::Text, NO_DISKS),
];

const NO_IMAGES: &str = "There are no images here.";
const IMAGES: &[Parameter] = &[
    ignored("ActionType", Kind::Text, NO_IMAGES),
    ignored("Architecture", Kind::Text, NO_IMAGES),
    ignored("Filter.N", Kind::Structures, NO_IMAGES),
    ignored("Filter.N.Key", Kind::Text, NO_IMAGES),
    ignored("Filter.N.Value", Kind::Text, NO_IMAGES),
    ignored("ImageFamily", Kind::Text, NO_IMAGES),
    ignored("ImageId", Kind::Text, NO_IMAGES),
    ignored("ImageName", Kind::Text, NO_IMAGES),
    ignored("ImageOwnerAlias", Kind::Text, NO_IMAGES),
    ignored("ImageOwnerId", Kind::Integer, NO_IMAGES),
    ignored("InstanceType", Kind::Text, NO_IMAGES),
    ignored("IsPublic", Kind::Boolean, NO_IMAGES),
    ignored("IsSupportCloudinit", Kind::Boolean, NO_IMAGES),
    ignored("IsSupportIoOptimized", Kind::Boolean, NO_IMAGES),
    ignored("OSType", Kind::Text, NO_IMAGES),
    ignored("ResourceGroupId", Kind::Text, NO_IMAGES),
    ignored("ShowExpired", Kind::Boolean, NO_IMAGES),
    ignored("SnapshotId", Kind::Text, NO_IMAGES),
    ignored("Status", Kind::Text, NO_IMAGES),
    ignored("Usage", Kind::Text, NO_IMAGES),
];

const NO_SNAPSHOTS: &str = "There are no snapshots here.";
const SNAPSHOTS: &[Parameter] = &[
    ignored("Category", Kind::Text, NO_SNAPSHOTS),
    ignored("DiskId", Kind::Text, NO_SNAPSHOTS),
    ignored("Encrypted", Kind::Boolean, NO_SNAPSHOTS),
    ignored("Filter.N", Kind::Structures, NO_SNAPSHOTS),
    ignored("Filter.N.Key", Kind::Text, NO_SNAPSHOTS),
    ignored("Filter.N.Value", Kind::Text, NO_SNAPSHOTS),
    ignored("InstanceId", Kind::Text, NO_SNAPSHOTS),
    ignored("KMSKeyId", Kind::Text, NO_SNAPSHOTS),
    ignored("ResourceGroupId", Kind::Text, NO_SNAPSHOTS),
    ignored("SnapshotIds", Kind::Text, NO_SNAPSHOTS),
    ignored("SnapshotLinkId", Kind::Text, NO_SNAPSHOTS),
    ignored("SnapshotName", Kind::Text, NO_SNAPSHOTS),
    ignored("SnapshotType", Kind::Text, NO_SNAPSHOTS),
    ignored("SourceDiskType", Kind::Text, NO_SNAPSHOTS),
    ignored("Status", Kind::Text, NO_SNAPSHOTS),
    ignored("Usage", Kind::Text, NO_SNAPSHOTS),
];

const NO_KEY_PAIRS: &str = "There are no key pairs here.";
const KEY_PAIRS: &[Parameter] = &[
    ignored("IncludePublicKey", Kind::Boolean, NO_KEY_PAIRS),
    ignored("KeyPairFingerPrint", Kind::Text, NO_KEY_PAIRS),
    ignored("KeyPairName", Kind::Text, NO_KEY_PAIRS),
    ignored("ResourceGroupId", Kind::Text, NO_KEY_PAIRS),
];

/// A list without rows, by number or by token.
macro_rules! empty {
    ($name:literal, $products:expr, $kind:ident, $what:literal, $parameters:expr) => {
        Action {
            name: $name,
            products: $products,
            summary: concat!("Lists ", $what, ", of which there are none here."),
            write: false,
            parameters: $parameters,
            decode: |arguments| decode(arguments, Absent::$kind),
        }
    };
}

const ECS: &[Product] = &[Product::Ecs];
const VPC: &[Product] = &[Product::Vpc];
/// Both products once had them.
const BOTH: &[Product] = &[Product::Vpc, Product::Ecs];

pub(super) const ACTIONS: &[Action] = &[
    empty!("DescribeDisks", ECS, Disks, "disks", &[&[REGION], DISKS, TAGS, PAGES, TOKENS]),
    empty!("DescribeImages", ECS, Images, "images", &[&[REGION], IMAGES, TAGS, PAGES, TOKENS]),
    empty!(
        "DescribeSnapshots",
        ECS,
        Snapshots,
        "snapshots of disks",
        &[&[REGION], SNAPSHOTS, TAGS, PAGES, TOKENS]
    ),
    empty!(
        "DescribeKeyPairs",
        ECS,
        KeyPairs,
        "key pairs",
        &[&[REGION], KEY_PAIRS, TAGS, PAGES, TOKENS]
    ),
    empty!(
        "DescribeEipAddresses",
        BOTH,
        EipAddresses,
        "elastic public addresses",
        &[&[REGION], TAGS, PAGES, TOKENS]
    ),
    empty!(
        "DescribeNatGateways",
        BOTH,
        NatGateways,
        "NAT gateways",
        &[&[REGION], TAGS, PAGES, TOKENS]
    ),
    empty!(
        "DescribeNetworkAcls",
        VPC,
        NetworkAcls,
        "access lists of vSwitches",
        &[&[REGION], TAGS, PAGES, TOKENS]
    ),
    empty!(
        "DescribeBandwidthPackages",
        BOTH,
        BandwidthPackages,
        "bandwidth packages",
        &[&[REGION], TAGS, PAGES, TOKENS]
    ),
];

/// Most rows of a part of these lists.
const RESULTS_MAX: u32 = 500;

fn decode(arguments: &Arguments<'_>, kind: Absent) -> Result<Command, Refusal> {
    shared::tag_filters(arguments)?;
    let paging = shared::pages_or_tokens(arguments, RESULTS_MAX)?;
    Ok(Command::DescribeAbsent(DescribeAbsent { kind, paging }))
}
