//! Prefix lists and port range lists of a world file.
use portcullis_core::net::{Cidr, Family, Ports};
use portcullis_core::world::{PortRangeList, PrefixList, World};

use super::error::{InputError, Place};
use super::node::Node;
use super::object::Object;
use super::read::repeated;

const FAMILIES: [(&str, Family); 2] = [("IPv4", Family::V4), ("IPv6", Family::V6)];

/// Reads one of `PrefixLists`.
pub(super) fn read_prefix_list(
    world: &mut World,
    node: &Node,
    place: &Place<'_>,
) -> Result<(), InputError> {
    let list = Object::new(node, place)?;
    let id = list.required("PrefixListId")?;
    if world.prefix_list(&id).is_some() {
        return Err(repeated(&list.at("PrefixListId"), id.as_str()));
    }
    let family = list.name("AddressFamily", &FAMILIES)?;
    let family = family.ok_or_else(|| list.missing("AddressFamily"))?;
    let mut entries = Vec::new();
    list.each_in("Entries", "Entry", |node, place| {
        entries.push(cidr_of(&Object::new(node, place)?, "Cidr", family)?);
        Ok(())
    })?;
    world.put_prefix_list(PrefixList { id, family, entries });
    Ok(())
}

/// Reads one of `PortRangeLists`.
pub(super) fn read_port_range_list(
    world: &mut World,
    node: &Node,
    place: &Place<'_>,
) -> Result<(), InputError> {
    let list = Object::new(node, place)?;
    let id = list.required("PortRangeListId")?;
    if world.port_range_list(&id).is_some() {
        return Err(repeated(&list.at("PortRangeListId"), id.as_str()));
    }
    let mut entries: Vec<Ports> = Vec::new();
    list.each("Entries", |node, place| {
        entries.push(Object::new(node, place)?.required("PortRange")?);
        Ok(())
    })?;
    world.put_port_range_list(PortRangeList { id, entries });
    Ok(())
}

/// A CIDR that must be there and be of a family.
pub(super) fn cidr_of(object: &Object<'_>, key: &str, family: Family) -> Result<Cidr, InputError> {
    optional_cidr_of(object, key, family)?.ok_or_else(|| object.missing(key))
}

/// A CIDR that must be of a family if it is there.
pub(super) fn optional_cidr_of(
    object: &Object<'_>,
    key: &str,
    family: Family,
) -> Result<Option<Cidr>, InputError> {
    let Some(cidr) = object.parse::<Cidr>(key)? else { return Ok(None) };
    if cidr.family() == family {
        return Ok(Some(cidr));
    }
    let expected = match family {
        Family::V4 => "an IPv4 address or CIDR",
        Family::V6 => "an IPv6 address or CIDR",
    };
    Err(InputError::malformed(&object.at(key), &cidr.to_string(), expected))
}
