//! From protocol and destination port to a column, in one to four steps of an array each.
//!
//! Knows runs of ports; what a column holds is the table's to know.
use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use crate::abi;
use crate::cells::{PortRuns, four};

/// Entries of the levels of the tree below the protocols: bits of the port that each looks at.
const LEVEL_BITS: [u32; 3] = [8, 4, 4];

/// The tree as 16-bit entries.
#[derive(Debug)]
pub(crate) struct PortTree {
    entries: Vec<u16>,
    chunks: BTreeMap<Vec<u16>, u16>,
}

impl PortTree {
    /// The tree of every protocol's runs of ports. `column` says what a run's number has become.
    pub(crate) fn new(by_protocol: &[PortRuns], column: impl Fn(usize) -> usize) -> Self {
        let mut tree = Self { entries: vec![0; 256], chunks: BTreeMap::new() };
        let mut root = Vec::with_capacity(by_protocol.len());
        for runs in by_protocol {
            let mut renamed: PortRuns = runs.iter().map(|(port, c)| (*port, column(*c))).collect();
            renamed.dedup_by_key(|(_, column)| *column);
            root.push(tree.entry(&renamed, 0, &LEVEL_BITS));
        }
        tree.entries.splice(..root.len(), root);
        tree
    }

    /// The entry for the ports from `first` on of which the levels above have told the rest.
    fn entry(&mut self, runs: &[(u16, usize)], first: u32, levels: &[u32]) -> u16 {
        let (at, column) = runs_from(runs, first);
        let below: u32 = levels.iter().sum();
        let is_one =
            runs.get(at + 1).is_none_or(|(next, _)| u32::from(*next) >= first + (1 << below));
        let Some((bits, deeper)) = levels.split_first().filter(|_| !is_one) else {
            return column as u16;
        };
        let width = below - bits;
        let chunk: Vec<u16> = (0..1u32 << bits)
            .map(|number| self.entry(runs, first + (number << width), deeper))
            .collect();
        abi::DEEPER as u16 | self.place(chunk)
    }

    /// Where equal entries stand, in steps of a chunk.
    fn place(&mut self, chunk: Vec<u16>) -> u16 {
        if let Some(at) = self.chunks.get(&chunk) {
            return *at;
        }
        let at = (self.entries.len() / (4 * abi::CHUNK_WORDS as usize)) as u16;
        self.entries.extend(&chunk);
        self.chunks.insert(chunk, at);
        at
    }

    /// The entries, four to a word.
    pub(crate) fn words(&self) -> impl Iterator<Item = u64> + '_ {
        self.entries.chunks(4).map(four)
    }
}

/// The run that a port is in: its position and column.
fn runs_from(runs: &[(u16, usize)], port: u32) -> (usize, usize) {
    let after = runs.partition_point(|(first, _)| u32::from(*first) <= port);
    let at = after.saturating_sub(1);
    (at, runs.get(at).map_or(0, |(_, column)| *column))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(tree: &PortTree, protocol: u8, port: u16) -> u16 {
        let levels = [port >> 8, port >> 4 & 15, port & 15];
        let mut found = tree.entries[usize::from(protocol)];
        for index in levels {
            if found & abi::DEEPER as u16 != 0 {
                let chunk = usize::from(found & !(abi::DEEPER as u16));
                found = tree.entries[chunk * 4 * abi::CHUNK_WORDS as usize + usize::from(index)];
            }
        }
        found
    }

    #[test]
    fn every_port_leads_to_its_run() {
        let runs =
            vec![(0, 3), (1, 5), (22, 7), (23, 5), (256, 5), (8000, 1), (8099, 3), (65535, 9)];
        let mut by_protocol = vec![vec![(0, 2)]; 256];
        by_protocol[6] = runs.clone();
        by_protocol[17] = runs.clone();
        let tree = PortTree::new(&by_protocol, |column| column + 1);
        assert_eq!((column(&tree, 1, 0), column(&tree, 255, 7)), (3, 3));
        for port in 0..=u16::MAX {
            let expected =
                runs.iter().rev().find(|(first, _)| *first <= port).unwrap().1 as u16 + 1;
            assert_eq!(column(&tree, 6, port), expected, "{port}");
        }
        // Both protocols share their chunks: 256, a level of 256, and few of 16.
        assert_eq!(tree.entries[6], tree.entries[17]);
        assert!(tree.entries.len() <= 512 + 9 * 16, "{}", tree.entries.len());
    }

    #[test]
    fn the_largest_tree_can_be_named() {
        let odd: PortRuns = (0..=u16::MAX).map(|port| (port, usize::from(port % 2))).collect();
        // Chunks that all differ: every port is a run of a column of its own.
        let own: PortRuns = (0..=u16::MAX).map(|port| (port, usize::from(port % 4099))).collect();
        let mut by_protocol = vec![vec![(0, 0)]; 256];
        by_protocol[6] = own.clone();
        by_protocol[17] = own.iter().map(|(port, column)| (*port, column + 1)).collect();
        by_protocol[1] = odd;
        let tree = PortTree::new(&by_protocol, |column| column);
        assert!(tree.entries.len() / 16 < abi::DEEPER as usize);
        assert_eq!(column(&tree, 17, 65535), 65535 % 4099 + 1);
    }
}
