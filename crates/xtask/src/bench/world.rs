//! Worlds and flows for the benches, made from a seed: one interface in one group with as many
//! rules as asked for, and flows of which about half are aimed at a rule's peer. It writes the file
//! formats of `portcullis evaluate` and knows nothing of verdicts.

use super::statistics::Dice;
use serde_json::{Value, json};
use std::fmt::Write;
use std::net::Ipv4Addr;

const PROTOCOLS: &[&str] = &["TCP", "UDP", "ALL", "ICMP"];

/// One peer of a rule, so that flows can be aimed at it.
struct Peer {
    base: u32,
    length: u32,
    port_low: u16,
    port_high: u16,
}

/// A world of one interface with this many rules, and this many flows: `(world, flows)` as text.
pub(super) fn make(rules: usize, flows: usize, seed: u64) -> (String, String) {
    let mut dice = Dice::new(seed);
    let peers: Vec<Peer> = (0..rules).map(|_| peer(&mut dice)).collect();
    let permissions: Vec<Value> =
        peers.iter().enumerate().map(|(index, peer)| permission(&mut dice, index, peer)).collect();
    let world = json!({
        "SecurityGroups": [{
            "SecurityGroupId": "sg-bench", "VpcId": "vpc-bench", "SecurityGroupType": "normal",
            "Permissions": { "Permission": permissions },
        }],
        "NetworkInterfaces": [{
            "NetworkInterfaceId": "eni-bench", "VpcId": "vpc-bench",
            "MacAddress": "02:00:00:00:00:01",
            "PrivateIpSets": { "PrivateIpSet": [{ "PrivateIpAddress": "172.31.0.5" }] },
            "SecurityGroupIds": { "SecurityGroupId": ["sg-bench"] },
        }],
    });
    let mut lines = String::new();
    for _ in 0..flows {
        let _ = writeln!(lines, "{}", flow(&mut dice, &peers));
    }
    (world.to_string(), lines)
}

fn peer(dice: &mut Dice) -> Peer {
    let length = 12 + dice.below(21) as u32;
    let mask = u32::MAX << (32 - length);
    // Within 10.0.0.0/8, so that rules overlap as real ones do.
    let base = (0x0a00_0000 | (dice.below(1 << 24) as u32)) & mask;
    let port_low = 1 + dice.below(60_000) as u16;
    let port_high = port_low + dice.below(200) as u16;
    Peer { base, length, port_low, port_high }
}

fn permission(dice: &mut Dice, index: usize, peer: &Peer) -> Value {
    let protocol = PROTOCOLS[dice.below(PROTOCOLS.len())];
    let ports = match protocol {
        "TCP" | "UDP" => format!("{}/{}", peer.port_low, peer.port_high),
        _ => "-1/-1".to_owned(),
    };
    json!({
        "SecurityGroupRuleId": format!("sgr-{index:05}"),
        "Direction": "egress",
        "IpProtocol": protocol,
        "PortRange": ports,
        "DestCidrIp": format!("{}/{}", Ipv4Addr::from(peer.base), peer.length),
        "Policy": if dice.below(4) == 0 { "Drop" } else { "Accept" },
        "Priority": (1 + dice.below(100)).to_string(),
    })
}

fn flow(dice: &mut Dice, peers: &[Peer]) -> Value {
    let aimed = dice.below(2) == 0;
    let peer = &peers[dice.below(peers.len())];
    let host = (dice.next() as u32).checked_shr(peer.length).unwrap_or(0);
    let (address, port) = if aimed {
        let span = usize::from(peer.port_high - peer.port_low) + 1;
        (peer.base | host, peer.port_low + dice.below(span) as u16)
    } else {
        (0x0a00_0000 | dice.below(1 << 24) as u32, 1 + dice.below(65_535) as u16)
    };
    json!({
        "NetworkInterfaceId": "eni-bench",
        "Direction": "egress",
        "Protocol": if dice.below(3) == 0 { 17 } else { 6 },
        "SourceIp": "172.31.0.5",
        "SourcePort": 32_768 + dice.below(28_000),
        "DestIp": Ipv4Addr::from(address).to_string(),
        "DestPort": port,
    })
}

#[cfg(test)]
mod tests {
    use super::make;
    use serde_json::Value;

    #[test]
    fn makes_as_much_as_asked_for_and_the_same_for_a_seed() {
        let (world, flows) = make(100, 50, 3);
        assert_eq!((world.clone(), flows.clone()), make(100, 50, 3));
        assert_ne!(world, make(100, 50, 4).0);
        let world: Value = serde_json::from_str(&world).unwrap();
        let rules = &world["SecurityGroups"][0]["Permissions"]["Permission"];
        assert_eq!(rules.as_array().unwrap().len(), 100);
        assert_eq!(flows.lines().count(), 50);
        for line in flows.lines() {
            let flow: Value = serde_json::from_str(line).unwrap();
            assert!(flow["DestIp"].as_str().unwrap().starts_with("10."), "{flow}");
        }
    }
}
