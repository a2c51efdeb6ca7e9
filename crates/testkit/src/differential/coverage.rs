//! What the packets of a run came to: how often each reason was given, by direction and family.
use std::collections::BTreeMap;
use std::fmt;

use portcullis_core::reference::Said;
use portcullis_core::rule::{Direction, Policy};
use portcullis_core::verdict::Reason;

/// Columns of the table: direction, then family of the frame (4, 6, other).
type Column = (Direction, u8);

/// Counts of verdicts.
#[derive(Debug, Clone, Default)]
pub struct Coverage {
    counts: BTreeMap<(Reason, Policy, Direction, u8), u64>,
    /// Packets whose verdict was compared with the tables' too.
    pub by_tables: u64,
    /// Sequences, and those of them that were cut short because the machine paused.
    pub sequences: u64,
    /// See there.
    pub paused: u64,
}

/// What the reference may say, with the policies that go with it.
pub const EXPECTED: [(Reason, Policy); 16] = [
    (Reason::Malformed, Policy::Drop),
    (Reason::Unsupported, Policy::Drop),
    (Reason::Baseline, Policy::Accept),
    (Reason::Baseline, Policy::Drop),
    (Reason::Spoofed, Policy::Drop),
    (Reason::Tracked, Policy::Accept),
    (Reason::Blocked, Policy::Drop),
    (Reason::NoFlow, Policy::Drop),
    (Reason::FragmentOrphan, Policy::Drop),
    (Reason::Closed, Policy::Drop),
    (Reason::IntraGroup, Policy::Accept),
    (Reason::Rule, Policy::Accept),
    (Reason::Rule, Policy::Drop),
    (Reason::Default, Policy::Accept),
    (Reason::Default, Policy::Drop),
    (Reason::FlowTableFull, Policy::Drop),
];

impl Coverage {
    /// One more packet.
    pub fn count(&mut self, direction: Direction, frame: &[u8], said: &Said) {
        let family = match frame.get(12..14) {
            Some([0x08, 0x00]) => 4,
            Some([0x86, 0xdd]) => 6,
            _ => 0,
        };
        *self.counts.entry((said.reason, said.policy, direction, family)).or_default() += 1;
        self.by_tables += u64::from(said.asked.is_some());
    }

    /// All packets.
    pub fn packets(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Packets of a direction that were given a reason and policy.
    pub fn given(&self, reason: Reason, policy: Policy, direction: Direction) -> u64 {
        let same = |key: &(Reason, Policy, Direction, u8)| {
            (key.0, key.1, key.2) == (reason, policy, direction)
        };
        self.counts.iter().filter(|(key, _)| same(key)).map(|(_, count)| count).sum()
    }

    /// Adds what another run counted.
    pub fn add(&mut self, other: &Self) {
        for (key, count) in &other.counts {
            *self.counts.entry(*key).or_default() += count;
        }
        self.by_tables += other.by_tables;
        self.sequences += other.sequences;
        self.paused += other.paused;
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<Column> = [Direction::Egress, Direction::Ingress]
            .into_iter()
            .flat_map(|direction| [4, 6, 0].map(|family| (direction, family)))
            .collect();
        write!(f, "{:<24}", "")?;
        for (direction, family) in &columns {
            let family = match family {
                4 => "IPv4",
                6 => "IPv6",
                _ => "other",
            };
            write!(f, "{:>14}", format!("{} {family}", direction.name()))?;
        }
        writeln!(f)?;
        for reason in Reason::ALL {
            for policy in [Policy::Accept, Policy::Drop] {
                let count = |(direction, family): &Column| {
                    self.counts.get(&(reason, policy, *direction, *family)).copied().unwrap_or(0)
                };
                if columns.iter().all(|column| count(column) == 0) {
                    continue;
                }
                let name = format!("{} {}", policy.name().to_lowercase(), reason.name());
                write!(f, "{name:<24}")?;
                for column in &columns {
                    write!(f, "{:>14}", count(column))?;
                }
                writeln!(f)?;
            }
        }
        write!(
            f,
            "{} packets in {} sequences ({} cut short by a pause); {} judged by the tables too",
            self.packets(),
            self.sequences,
            self.paused,
            self.by_tables
        )
    }
}
