//! Older layouts of what is pinned, as far as an upgrade must read them: one module for each.
//!
//! Bytes and words in, values out; knows no kernel and no way to write. A layout stays here for as
//! long as a release that used it may still run somewhere.
pub mod two;

use std::net::Ipv4Addr;

use portcullis_compile::abi::LAYOUT_VERSION;
use portcullis_compile::members::MemberKey;

/// What an instance's pins of some layout can be to this version.
#[derive(Debug, Clone, Copy)]
pub enum Known {
    /// Its own.
    Own,
    /// It is read, and carried over.
    Older(&'static Layout),
    /// Nobody knows what is in it any more.
    Forgotten,
    /// Of a release to come.
    Newer,
}

/// Makes a value of an entry's key and value; `None` if it makes no sense.
pub type Read<T> = fn(&[u8], &[u8]) -> Option<T>;

/// How to read a layout.
#[derive(Debug)]
pub struct Layout {
    /// Its number.
    pub version: u32,
    /// Words of the settings.
    pub config_words: usize,
    /// Words of a slot.
    pub slot_words: usize,
    /// The settings, from their words.
    pub settings: fn(&[u64]) -> Settings,
    /// A slot, from its words.
    pub slot: fn(&[u64]) -> Slot,
    /// The device of an entry, and its slot.
    pub device: Read<(u32, u32)>,
    /// The member of an entry, and the pool offset of its set.
    pub member: Read<(MemberKey, u32)>,
    /// The flow of an entry.
    pub flow: Read<Flow>,
}

/// What the program was told for all interfaces.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// Added to the kernel's clock.
    pub clock_offset_ns: u64,
    /// Whether any link-local address is taken for an interface's own.
    pub any_link_local: bool,
    /// DHCPv4 servers to which clients may speak directly.
    pub dhcp4_servers: Vec<Ipv4Addr>,
}

/// What leads to an interface's policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Slot {
    /// (generation << 32) | pool offset of the interface's words.
    pub word: u64,
    /// End of its pick-up window.
    pub pick_up_until_ns: u64,
}

/// A flow, with all that is to be carried over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flow {
    /// The interface's handle.
    pub handle: u64,
    /// The interface's address, as a number, high half first.
    pub local: [u64; 2],
    /// The other side's.
    pub remote: [u64; 2],
    /// Local port, or the identifier of an echo.
    pub local_port: u16,
    /// Remote port.
    pub remote_port: u16,
    /// Final IP protocol.
    pub protocol: u8,
    /// 4 or 6.
    pub family: u8,
    /// Of an echo: 1 the local side asked, 2 the remote one.
    pub asker: u8,
    /// What has happened to it: the flags of `datapath/state.h`.
    pub state: u32,
    /// Its slot.
    pub slot: u32,
    /// Number + 1 of the counter of its rule; 0: none.
    pub counter: u32,
    /// Number of the reason of its last accept.
    pub reason: u32,
    /// When it was last accepted.
    pub seen_ns: u64,
    /// How long it lives after that.
    pub idle_ns: u64,
    /// When it began.
    pub began_ns: u64,
    /// Packets that were let through, out and in.
    pub packets: [u64; 2],
    /// Their bytes.
    pub bytes: [u64; 2],
}

/// The layouts that are read.
const READ: [&Layout; 1] = [&two::LAYOUT];

/// What this version makes of a layout.
pub fn known(version: u32) -> Known {
    let own = LAYOUT_VERSION as u32;
    match READ.into_iter().find(|layout| layout.version == version) {
        Some(layout) if version < own => Known::Older(layout),
        _ if version == own => Known::Own,
        _ if version > own => Known::Newer,
        _ => Known::Forgotten,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layout_is_read_or_forgotten_or_newer() {
        let own = LAYOUT_VERSION as u32;
        for version in 0..own + 2 {
            let is_as_expected = match known(version) {
                Known::Older(layout) => version == 2 && layout.version == 2,
                Known::Forgotten => version < 2,
                Known::Own => version == own,
                Known::Newer => version > own,
            };
            assert!(is_as_expected, "{version}");
        }
    }
}
