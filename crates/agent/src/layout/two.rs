//! Layout 2: policies in class tables, flows and their places in two hashes, devices in a third.
//!
//! Its words of policy are those of layout 3.
use std::net::Ipv4Addr;

use portcullis_compile::members::MemberKey;

use super::{Flow, Layout, Settings, Slot};
use crate::sys::abi;

const CONFIG_CLOCK_OFFSET_NS: usize = 1;
const CONFIG_FLAGS: usize = 2;
const CONFIG_DHCP4_SERVERS: usize = 4;
const DHCP4_SERVERS_MAX: usize = 8;
const FLAG_ANY_LINK_LOCAL: u64 = 1;

const SLOT_WORD: usize = 0;
const SLOT_PICK_UP_UNTIL: usize = 1;

const FLOW_KEY_BYTES: usize = 48;
const FLOW_BYTES: usize = 88;

/// How it is read.
pub static LAYOUT: Layout =
    Layout { version: 2, config_words: 24, slot_words: 16, settings, slot, device, member, flow };

fn settings(words: &[u64]) -> Settings {
    let at = |index: usize| words.get(index).copied().unwrap_or(0);
    let servers = (0..DHCP4_SERVERS_MAX).map(|n| at(CONFIG_DHCP4_SERVERS + n));
    Settings {
        clock_offset_ns: at(CONFIG_CLOCK_OFFSET_NS),
        any_link_local: at(CONFIG_FLAGS) & FLAG_ANY_LINK_LOCAL != 0,
        dhcp4_servers: servers
            .filter(|server| *server != 0)
            .map(|server| Ipv4Addr::from_bits(server as u32))
            .collect(),
    }
}

fn slot(words: &[u64]) -> Slot {
    let at = |index: usize| words.get(index).copied().unwrap_or(0);
    Slot { word: at(SLOT_WORD), pick_up_until_ns: at(SLOT_PICK_UP_UNTIL) }
}

fn device(key: &[u8], value: &[u8]) -> Option<(u32, u32)> {
    Some((u32::from_ne_bytes(key.try_into().ok()?), u32::from_ne_bytes(value.try_into().ok()?)))
}

fn member(key: &[u8], value: &[u8]) -> Option<(MemberKey, u32)> {
    let set = u64::from_ne_bytes(value.try_into().ok()?);
    Some((abi::member_key(key)?, u32::try_from(set).ok()?))
}

fn flow(key: &[u8], value: &[u8]) -> Option<Flow> {
    if (key.len(), value.len()) != (FLOW_KEY_BYTES, FLOW_BYTES) {
        return None;
    }
    let byte = |at: usize| key.get(at).copied().unwrap_or(0);
    Some(Flow {
        handle: abi::word(key, 0),
        local: [abi::word(key, 8), abi::word(key, 16)],
        remote: [abi::word(key, 24), abi::word(key, 32)],
        local_port: u16::from_ne_bytes(abi::part(key, 40)),
        remote_port: u16::from_ne_bytes(abi::part(key, 42)),
        protocol: byte(44),
        family: byte(45),
        asker: byte(46),
        state: abi::word(value, 0) as u32,
        seen_ns: abi::word(value, 8),
        idle_ns: abi::word(value, 24),
        began_ns: abi::word(value, 32),
        slot: u32::from_ne_bytes(abi::part(value, 40)),
        counter: u32::from_ne_bytes(abi::part(value, 48)),
        reason: u32::from_ne_bytes(abi::part(value, 52)),
        packets: [abi::word(value, 56), abi::word(value, 64)],
        bytes: [abi::word(value, 72), abi::word(value, 80)],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_is_read_field_by_field() {
        let numbered =
            |length: usize| (1..=length / 8).flat_map(|n| (n as u64).to_ne_bytes()).collect();
        let (mut key, mut value): (Vec<u8>, Vec<u8>) =
            (numbered(FLOW_KEY_BYTES), numbered(FLOW_BYTES));
        key[40..48].copy_from_slice(&[1, 0, 2, 0, 6, 4, 1, 0]);
        value[40..56].copy_from_slice(&[3u32, 4, 5, 6].map(u32::to_ne_bytes).concat());
        let found = flow(&key, &value).unwrap();
        assert_eq!(
            found,
            Flow {
                handle: 1,
                local: [2, 3],
                remote: [4, 5],
                local_port: 1,
                remote_port: 2,
                protocol: 6,
                family: 4,
                asker: 1,
                state: 1,
                slot: 3,
                counter: 5,
                reason: 6,
                seen_ns: 2,
                idle_ns: 4,
                began_ns: 5,
                packets: [8, 9],
                bytes: [10, 11],
            }
        );
        assert_eq!((flow(&key[1..], &value), flow(&key, &value[1..])), (None, None));
    }

    #[test]
    fn settings_slots_and_devices_are_read() {
        let mut words = vec![0; LAYOUT.config_words];
        words[1..6].copy_from_slice(&[9, 1, 1000, 0x0a00_0001, 0]);
        let settings = settings(&words);
        assert_eq!((settings.clock_offset_ns, settings.any_link_local), (9, true));
        assert_eq!(settings.dhcp4_servers, [Ipv4Addr::new(10, 0, 0, 1)]);
        let mut words = vec![0; LAYOUT.slot_words];
        words[..2].copy_from_slice(&[7 << 32 | 3, 11]);
        assert_eq!(slot(&words), Slot { word: 7 << 32 | 3, pick_up_until_ns: 11 });
        assert_eq!(device(&5u32.to_ne_bytes(), &6u32.to_ne_bytes()), Some((5, 6)));
        assert_eq!(device(&[0; 3], &[0; 4]), None);
    }
}
