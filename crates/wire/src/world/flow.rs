//! One line of `flows.jsonl` to a [`Flow`] at an interface of the world.
use std::net::IpAddr;

use portcullis_core::flow::{EXTENSION_HEADERS, Flow, FlowError, FlowPorts};
use portcullis_core::ids::NetworkInterfaceId;
use portcullis_core::net::protocol;
use portcullis_core::rule::Direction;
use portcullis_core::world::World;

use super::error::{InputError, Place};
use super::node::Node;
use super::object::Object;
use super::rule::dangling;

/// Longest line of a flow, in bytes.
pub const FLOW_BYTES_MAX: usize = 64 * 1024;

const DIRECTIONS: [(&str, Direction); 2] =
    [("egress", Direction::Egress), ("ingress", Direction::Ingress)];

/// Reads the flow of a line (counted from 1).
pub fn read_flow(world: &World, line: usize, text: &str) -> Result<Flow, InputError> {
    let place = Place::Line(line);
    if text.len() > FLOW_BYTES_MAX {
        let message = format!("the line is longer than {FLOW_BYTES_MAX} bytes");
        return Err(InputError::new("LineTooLong", &place, message, "write one flow a line"));
    }
    let node = Node::parse(text, &place)?;
    let fields = Object::new(&node, &place)?;
    let interface: NetworkInterfaceId = fields.required("NetworkInterfaceId")?;
    if world.interface(&interface).is_none() {
        let place = fields.at("NetworkInterfaceId");
        return Err(dangling(&place, "network interface", interface.as_str()));
    }
    let direction = fields.name("Direction", &DIRECTIONS)?;
    let direction = direction.ok_or_else(|| fields.missing("Direction"))?;
    let protocol = read_protocol(&fields)?;
    let source: IpAddr = address(&fields, "SourceIp")?;
    let destination: IpAddr = address(&fields, "DestIp")?;
    let ports = match (port(&fields, "SourcePort")?, port(&fields, "DestPort")?) {
        (Some(source), Some(destination)) => Some(FlowPorts { source, destination }),
        (None, None) => None,
        (Some(_), None) => return Err(fields.missing("DestPort")),
        (None, Some(_)) => return Err(fields.missing("SourcePort")),
    };
    Flow::new(interface, direction, protocol, source, destination, ports)
        .map_err(|error| unfit(&fields, error))
}

fn read_protocol(fields: &Object<'_>) -> Result<u8, InputError> {
    let text = fields.text("Protocol")?.ok_or_else(|| fields.missing("Protocol"))?;
    protocol::number(&text).ok_or_else(|| {
        let expected = "a protocol: TCP, UDP, ICMP, ICMPV6, GRE or a number from 0 to 255";
        InputError::malformed(&fields.at("Protocol"), &text, expected)
    })
}

fn address(fields: &Object<'_>, key: &str) -> Result<IpAddr, InputError> {
    let text = fields.text(key)?.ok_or_else(|| fields.missing(key))?;
    text.parse()
        .map_err(|_| InputError::malformed(&fields.at(key), &text, "an IPv4 or IPv6 address"))
}

fn port(fields: &Object<'_>, key: &str) -> Result<Option<u16>, InputError> {
    let Some(text) = fields.text(key)? else { return Ok(None) };
    let is_numeral = text.bytes().all(|b| b.is_ascii_digit());
    match text.parse().ok().filter(|_| is_numeral) {
        Some(port) => Ok(Some(port)),
        None => Err(InputError::malformed(&fields.at(key), &text, "a port from 0 to 65535")),
    }
}

/// Fields that do not fit together.
fn unfit(fields: &Object<'_>, error: FlowError) -> InputError {
    let (key, help) = match error {
        FlowError::Families => ("DestIp", "write two IPv4 or two IPv6 addresses".to_string()),
        FlowError::PortsMissing => ("DestPort", "add `SourcePort` and `DestPort`".to_string()),
        FlowError::PortsGiven => ("SourcePort", "leave out `SourcePort` and `DestPort`".into()),
        FlowError::ExtensionHeader => {
            ("Protocol", format!("write the final protocol, none of {EXTENSION_HEADERS:?}"))
        }
    };
    InputError::new("UnfitFlow", &fields.at(key), error.to_string(), help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_a_longest_length() {
        let longest = " ".repeat(FLOW_BYTES_MAX);
        let code = |text: &str| read_flow(&World::new(), 3, text).unwrap_err().code;
        assert_eq!(code(&longest), "MalformedJson");
        assert_eq!(code(&(longest + " ")), "LineTooLong");
    }
}
