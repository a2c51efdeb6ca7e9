//! The general form of a TABLE blob: five small look-ups and the lowest bit of what they have in
//! common.
//!
//! Takes every policy, and its size grows with the rows that differ, never with the product of
//! fields. It does not know whether another form would be faster.
use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use portcullis_core::net::{Cidr, Family, Ports, Prefix};
use portcullis_core::resolve::{ResolvedPeer, ResolvedRule};

use crate::abi::{self, row_words};
use crate::budget::{CompileError, Limit, check};
use crate::classes::{Classes, Extent, Row, Rows, cut, set};
use crate::numbers::Numbers;
use crate::table::put_section;

/// The sections of rules, first to be asked first, and the rows that they lead to.
pub(crate) fn vectors(
    rules: &[ResolvedRule],
    numbers: &mut Numbers,
) -> Result<Vectors, CompileError> {
    let mut blob = Vectors { rows: Rows::default(), sections: Vec::new() };
    for family in [Family::V4, Family::V6] {
        let (bounds, classes) = match family {
            Family::V4 => (abi::TABLE_REMOTE4_BOUNDS, abi::TABLE_REMOTE4_CLASSES),
            Family::V6 => (abi::TABLE_REMOTE6_BOUNDS, abi::TABLE_REMOTE6_CLASSES),
        };
        blob.dimension(bounds, classes, rules, words_of(family), |r| remote(r, family))?;
    }
    for family in [Family::V4, Family::V6] {
        let (bounds, classes) = match family {
            Family::V4 => (abi::TABLE_LOCAL4_BOUNDS, abi::TABLE_LOCAL4_CLASSES),
            Family::V6 => (abi::TABLE_LOCAL6_BOUNDS, abi::TABLE_LOCAL6_CLASSES),
        };
        let of_rule = |r: &ResolvedRule| local(r.rule.local, family);
        blob.dimension(bounds, classes, rules, words_of(family), of_rule)?;
    }
    blob.protocols(abi::TABLE_PROTOCOL4, Family::V4, rules);
    blob.protocols(abi::TABLE_PROTOCOL6, Family::V6, rules);
    let (bounds, classes) = (abi::TABLE_DPORT_BOUNDS, abi::TABLE_DPORT_CLASSES);
    blob.dimension(bounds, classes, rules, 1, |r| ports(&r.ports))?;
    let (bounds, classes) = (abi::TABLE_SPORT_BOUNDS, abi::TABLE_SPORT_CLASSES);
    blob.dimension(bounds, classes, rules, 1, |r| ports(&[r.rule.source_ports]))?;
    blob.groups(rules, numbers)?;
    Ok(blob)
}

/// Words of an address in a boundary.
fn words_of(family: Family) -> usize {
    match family {
        Family::V4 => 1,
        Family::V6 => 2,
    }
}

fn range_in(family: Family, prefix: Prefix) -> Option<(u128, u128)> {
    (prefix.family() == family).then(|| prefix.range())
}

/// The remote addresses that a rule names itself; those of a group come from elsewhere.
pub(crate) fn remote(rule: &ResolvedRule, family: Family) -> Extent {
    Extent::Ranges(match &rule.peer {
        ResolvedPeer::Prefixes(prefixes) => {
            prefixes.iter().filter_map(|prefix| range_in(family, *prefix)).collect()
        }
        ResolvedPeer::Group(_) => Vec::new(),
    })
}

fn local(cidr: Option<Cidr>, family: Family) -> Extent {
    match cidr {
        None => Extent::All,
        Some(cidr) => Extent::Ranges(range_in(family, cidr.prefix()).into_iter().collect()),
    }
}

pub(crate) fn ports(any_of: &[Ports]) -> Extent {
    if any_of.contains(&Ports::Any) {
        return Extent::All;
    }
    let range = |ports: &Ports| match ports {
        Ports::Any => None,
        Ports::Range { first, last } => Some((u128::from(*first), u128::from(*last))),
    };
    Extent::Ranges(any_of.iter().filter_map(range).collect())
}

/// What a section holds before rows have their place.
enum Content {
    Words(Vec<u64>),
    /// Row numbers, to become row offsets.
    Rows(Vec<usize>),
}

struct Section {
    header_word: u64,
    /// Words per counted thing.
    width: usize,
    content: Content,
}

/// A TABLE blob in the making.
pub(crate) struct Vectors {
    rows: Rows,
    sections: Vec<Section>,
}

impl Vectors {
    fn push(&mut self, header_word: u64, width: usize, content: Content) {
        self.sections.push(Section { header_word, width, content });
    }

    fn dimension(
        &mut self,
        bounds_word: u64,
        classes_word: u64,
        rules: &[ResolvedRule],
        width: usize,
        of_rule: impl Fn(&ResolvedRule) -> Extent,
    ) -> Result<(), CompileError> {
        let extents: Vec<Extent> = rules.iter().map(of_rule).collect();
        let Classes { bounds, rows } = cut(&extents, &mut self.rows)?;
        let mut words = Vec::with_capacity(bounds.len() * width);
        for bound in bounds {
            if width == 2 {
                words.push((bound >> 64) as u64);
            }
            words.push(bound as u64);
        }
        self.push(bounds_word, width, Content::Words(words));
        self.push(classes_word, 1, Content::Rows(rows));
        Ok(())
    }

    fn protocols(&mut self, header_word: u64, family: Family, rules: &[ResolvedRule]) {
        let mut numbers = Vec::with_capacity(256);
        for protocol in 0..=u8::MAX {
            let mut row: Row = vec![0; row_words(rules.len())];
            for (rule, resolved) in rules.iter().enumerate() {
                set(&mut row, rule, resolved.rule.protocol.matches(family, protocol));
            }
            numbers.push(self.rows.number(&row));
        }
        self.push(header_word, 1, Content::Rows(numbers));
    }

    fn groups(
        &mut self,
        rules: &[ResolvedRule],
        numbers: &mut Numbers,
    ) -> Result<(), CompileError> {
        let mut rows: BTreeMap<u32, Row> = BTreeMap::new();
        for (rule, resolved) in rules.iter().enumerate() {
            if let ResolvedPeer::Group(group) = &resolved.peer {
                let empty = || vec![0; row_words(rules.len())];
                set(rows.entry(numbers.group(group)?).or_insert_with(empty), rule, true);
            }
        }
        let words = rows.keys().map(|number| u64::from(*number)).collect();
        let row_numbers = rows.values().map(|row| self.rows.number(row)).collect();
        self.push(abi::TABLE_GROUP_NUMBERS, 1, Content::Words(words));
        self.push(abi::TABLE_GROUP_ROWS, 1, Content::Rows(row_numbers));
        Ok(())
    }

    /// Lays the sections out behind what is there, and the rows behind the sections.
    pub(crate) fn append(self, rules: usize, words: &mut Vec<u64>) -> Result<(), CompileError> {
        let row_words = row_words(rules);
        let len = |content: &Content| match content {
            Content::Words(words) => words.len(),
            Content::Rows(rows) => rows.len(),
        };
        let rows_at = words.len() + self.sections.iter().map(|s| len(&s.content)).sum::<usize>();
        let total = rows_at + self.rows.len() * row_words;
        check(Limit::TableWords, total)?;
        words.reserve_exact(total - words.len());
        for Section { header_word, width, content } in self.sections {
            put_section(words, header_word, len(&content) / width);
            match content {
                Content::Words(content) => words.extend(content),
                Content::Rows(rows) => {
                    words.extend(rows.iter().map(|row| (rows_at + row * row_words) as u64));
                }
            }
        }
        words.extend(self.rows.words());
        Ok(())
    }
}
