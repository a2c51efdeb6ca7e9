//! Fields of what is asked about the server: zones, endpoints, the caller, and lists of what there
//! is none of.
use portcullis_core::command::{Absent, Service};
use portcullis_core::ids::{AccountId, RegionId, ZoneId};
use portcullis_core::settings::Protocols;

use crate::ecs::answer::{Answer, Fields};
use crate::ecs::render::Presentation;

/// What may be made in a zone, as the public API calls it.
const CREATABLE: [&str; 2] = ["VSwitch", "Instance"];

pub(super) fn zone(zone: &ZoneId) -> Answer {
    Fields::new()
        .text("ZoneId", zone)
        .text("LocalName", zone)
        .text("ZoneType", "AvailabilityZone")
        .list("AvailableResourceCreation", "ResourceTypes", CREATABLE.map(Answer::of))
        .list("AvailableInstanceTypes", "InstanceTypes", [])
        .list("AvailableDiskCategories", "DiskCategories", [])
        .list("AvailableVolumeCategories", "VolumeCategories", [])
        .list("AvailableDedicatedHostTypes", "DedicatedHostType", [])
        .list("DedicatedHostGenerations", "DedicatedHostGeneration", [])
        .list("AvailableResources", "ResourcesInfo", [])
        .into()
}

/// The one place where every service is: that which the client has reached already.
pub(super) fn endpoints(
    fields: Fields,
    presentation: &Presentation,
    region: &RegionId,
    service: Option<Service>,
    protocols: Protocols,
) -> Fields {
    let endpoint = service.map(|service| {
        Fields::new()
            .text("Endpoint", presentation.host())
            .text("Id", region)
            .text("Namespace", "")
            // So the public API spells it.
            .text("SerivceCode", service.name())
            .text("Type", "openAPI")
            .list("Protocols", "Protocols", protocols.names().iter().map(Answer::of))
            .into()
    });
    fields.flag("Success", true).list("Endpoints", "Endpoint", endpoint)
}

pub(super) fn caller(fields: Fields, account: AccountId) -> Fields {
    fields
        .text("IdentityType", "Account")
        .text("AccountId", account)
        .text("PrincipalId", account)
        .text("UserId", account)
        .text("Arn", format!("acs:ram::{account}:root"))
        .text("RoleId", "")
}

/// The list and its items.
pub(super) fn absent(kind: Absent) -> (&'static str, &'static str) {
    match kind {
        Absent::Disks => ("Disks", "Disk"),
        Absent::Images => ("Images", "Image"),
        Absent::Snapshots => ("Snapshots", "Snapshot"),
        Absent::KeyPairs => ("KeyPairs", "KeyPair"),
        Absent::EipAddresses => ("EipAddresses", "EipAddress"),
        Absent::NatGateways => ("NatGateways", "NatGateway"),
        Absent::NetworkAcls => ("NetworkAcls", "NetworkAcl"),
        Absent::BandwidthPackages => ("BandwidthPackages", "BandwidthPackage"),
    }
}
