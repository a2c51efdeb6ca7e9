//! The fast form of a TABLE blob: a class for the remote address, a class for protocol and port,
//! and a cell for each pair of classes that holds the first rule that matches.
//!
//! Made for what nearly every policy is: no source ports, no local addresses. It says so where a
//! policy is something else, or where its cells would be too many, and leaves it to the bit
//! vectors.
use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use portcullis_core::net::{Family, Ports, protocol};
use portcullis_core::resolve::ResolvedRule;

use crate::abi::{self, row_words, section};
use crate::budget::{CELLS_MAX, CompileError, RAW_CELLS_MAX};
use crate::classes::{Classes, Extent, Row, Rows, bits, cut, set};
use crate::numbers::Numbers;
use crate::port_tree::PortTree;
use crate::table::{group_peer, put, put_section};
use crate::vectors::{ports, remote};

/// Both families of a direction.
pub(crate) struct ClassTable {
    v4: FamilyTable,
    v6: FamilyTable,
}

/// The classes of rules, first to be asked first; `None` if they do not fit into classes.
pub(crate) fn class_table(
    rules: &[ResolvedRule],
    numbers: &mut Numbers,
) -> Result<Option<ClassTable>, CompileError> {
    let Some(v4) = family_table(rules, Family::V4, numbers)? else { return Ok(None) };
    let Some(v6) = family_table(rules, Family::V6, numbers)? else { return Ok(None) };
    Ok(Some(ClassTable { v4, v6 }))
}

impl ClassTable {
    /// Lays everything out behind what is there.
    pub(crate) fn append(self, words: &mut Vec<u64>) {
        self.v4.append(Family::V4, words);
        self.v6.append(Family::V6, words);
    }
}

/// What a packet's fields lead to, in one family.
struct FamilyTable {
    /// Lowest address of each class, and the row of cells it leads to.
    remote: Vec<(u128, usize)>,
    ports: PortTree,
    /// Row of each group that rules name.
    groups: Vec<(u32, usize)>,
    pages: Pages,
}

/// A rule that can match packets of the family at hand.
struct Live<'a> {
    number: u16,
    resolved: &'a ResolvedRule,
}

/// The rules that can match packets of a family; `None` if one of them asks for more than classes
/// know.
fn live_rules(rules: &[ResolvedRule], family: Family) -> Option<Vec<Live<'_>>> {
    let mut live = Vec::new();
    for (number, resolved) in (0..abi::CELL_NONE as u16).zip(rules) {
        if let Some(local) = resolved.rule.local {
            if local.family() != family {
                continue;
            }
            if local.prefix().length() != 0 {
                return None;
            }
        }
        let is_peer = group_peer(resolved).is_some()
            || matches!(remote(resolved, family), Extent::Ranges(ranges) if !ranges.is_empty());
        if is_peer && !resolved.ports.is_empty() {
            if resolved.rule.source_ports != Ports::Any {
                return None;
            }
            live.push(Live { number, resolved });
        }
    }
    Some(live)
}

fn family_table(
    rules: &[ResolvedRule],
    family: Family,
    numbers: &mut Numbers,
) -> Result<Option<FamilyTable>, CompileError> {
    let Some(live) = live_rules(rules, family) else { return Ok(None) };
    let mut possible = Rows::default();
    let extents: Vec<Extent> = live.iter().map(|rule| remote(rule.resolved, family)).collect();
    let Classes { bounds, rows } = cut(&extents, &mut possible)?;
    let mut by_group: BTreeMap<u32, Row> = BTreeMap::new();
    for (position, rule) in live.iter().enumerate() {
        if let Some(group) = group_peer(rule.resolved) {
            let empty = || vec![0; row_words(live.len())];
            set(by_group.entry(numbers.group(group)?).or_insert_with(empty), position, true);
        }
    }
    let groups: Vec<(u32, usize)> =
        by_group.iter().map(|(group, row)| (*group, possible.number(row))).collect();

    let mut columns = Rows::default();
    let by_protocol = protocol_columns(&live, family, &mut columns)?;
    if possible.len().saturating_mul(columns.len()) > RAW_CELLS_MAX {
        return Ok(None);
    }
    let raw = fill(&live, &possible, &columns);
    let (merged, new_row) = one_of_each(&raw);
    let across: Vec<Vec<u16>> = (0..columns.len())
        .map(|column| merged.iter().filter_map(|row| row.get(column)).copied().collect())
        .collect();
    let (kept, new_column) = one_of_each(&across);
    if kept.len() >= abi::DEEPER as usize {
        return Ok(None);
    }
    let Some(pages) = Pages::new(&kept, merged.len()) else { return Ok(None) };
    let row = |old: usize| new_row.get(old).copied().unwrap_or_default();
    // What is beyond the last address of IPv4 begins a class too.
    let bounds = bounds.into_iter().filter(|at| family == Family::V6 || *at >> 32 == 0);
    let mut classes: Vec<(u128, usize)> = bounds.zip(rows.into_iter().map(row)).collect();
    classes.dedup_by_key(|(_, row)| *row);
    Ok(Some(FamilyTable {
        remote: classes,
        ports: PortTree::new(&by_protocol, |old| new_column.get(old).copied().unwrap_or_default()),
        groups: groups.into_iter().map(|(group, old)| (group, row(old))).collect(),
        pages,
    }))
}

/// The columns of a protocol's ports: the lowest port of each run, and its column.
pub(crate) type PortRuns = Vec<(u16, usize)>;

/// For every protocol the columns of its ports; those without ports have port 0 alone.
fn protocol_columns(
    live: &[Live<'_>],
    family: Family,
    columns: &mut Rows,
) -> Result<Vec<PortRuns>, CompileError> {
    let mut by_protocol = Vec::with_capacity(256);
    for protocol in 0..=u8::MAX {
        let matches = |rule: &Live<'_>| rule.resolved.rule.protocol.matches(family, protocol);
        if matches!(protocol, protocol::TCP | protocol::UDP) {
            let of_rule = |rule: &Live<'_>| match matches(rule) {
                true => ports(&rule.resolved.ports),
                false => Extent::Ranges(Vec::new()),
            };
            let extents: Vec<Extent> = live.iter().map(of_rule).collect();
            let Classes { bounds, rows } = cut(&extents, columns)?;
            // What is beyond the last port begins a class too.
            let port = |(bound, row)| Some((u16::try_from(bound).ok()?, row));
            by_protocol.push(bounds.into_iter().zip(rows).map_while(port).collect());
            continue;
        }
        let mut row: Row = vec![0; row_words(live.len())];
        for (position, rule) in live.iter().enumerate() {
            let any_port = rule.resolved.ports.contains(&Ports::Any);
            set(&mut row, position, any_port && matches(rule));
        }
        by_protocol.push(vec![(0, columns.number(&row))]);
    }
    Ok(by_protocol)
}

/// The cells of every row of possible rules: rules take, in order, what is left of their columns.
fn fill(live: &[Live<'_>], possible: &Rows, columns: &Rows) -> Vec<Vec<u16>> {
    let mut columns_of: Vec<Row> = vec![vec![0; row_words(columns.len())]; live.len()];
    for (column, rules) in columns.all().enumerate() {
        for rule in bits(rules) {
            if let Some(row) = columns_of.get_mut(rule) {
                set(row, column, true);
            }
        }
    }
    let cells_of = |row: &Row| {
        let mut cells = vec![abi::CELL_NONE as u16; columns.len()];
        let mut left: Row = vec![0; row_words(columns.len())];
        (0..columns.len()).for_each(|column| set(&mut left, column, true));
        for rule in bits(row) {
            let (Some(of_rule), Some(rule)) = (columns_of.get(rule), live.get(rule)) else {
                continue;
            };
            for (word, (left, of_rule)) in left.iter_mut().zip(of_rule).enumerate() {
                let taken = *left & of_rule;
                *left &= !taken;
                for column in bits(&[taken]) {
                    if let Some(cell) = cells.get_mut(word * 64 + column) {
                        *cell = rule.number;
                    }
                }
            }
            if left.iter().all(|word| *word == 0) {
                break;
            }
        }
        cells
    };
    possible.all().map(cells_of).collect()
}

/// Lines of cells without those that are there already, and where each went.
fn one_of_each(lines: &[Vec<u16>]) -> (Vec<&Vec<u16>>, Vec<usize>) {
    // Equal lines have equal sums; few others do, and they are held against each other.
    let sum = |line: &Vec<u16>| {
        line.iter().fold(0u64, |sum, cell| {
            (sum.rotate_left(5) ^ u64::from(*cell)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        })
    };
    let mut by_sum: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    let (mut kept, mut places): (Vec<&Vec<u16>>, _) = (Vec::new(), Vec::with_capacity(lines.len()));
    for line in lines {
        let alike = by_sum.entry(sum(line)).or_default();
        let found = alike.iter().copied().find(|at| kept.get(*at) == Some(&line));
        places.push(found.unwrap_or_else(|| {
            alike.push(kept.len());
            kept.push(line);
            kept.len() - 1
        }));
    }
    (kept, places)
}

/// Cells in pages, and rows of page numbers.
struct Pages {
    cells: Vec<u16>,
    rows: Vec<u16>,
    /// Pages of a row.
    width: usize,
}

impl Pages {
    /// The pages of columns that are so long; `None` if they are too many.
    fn new(columns: &[&Vec<u16>], rows: usize) -> Option<Self> {
        let page_cells = abi::PAGE_CELLS as usize;
        let mut pages = Self { cells: Vec::new(), rows: Vec::new(), width: 0 };
        pages.width = columns.len().div_ceil(page_cells);
        let mut known: BTreeMap<Vec<u16>, u16> = BTreeMap::new();
        for row in 0..rows {
            for beside in columns.chunks(page_cells) {
                let mut page: Vec<u16> =
                    beside.iter().filter_map(|column| column.get(row)).copied().collect();
                page.resize(page_cells, abi::CELL_NONE as u16);
                // Neighbours say the same of most ports.
                let above = pages.rows.len().checked_sub(pages.width);
                let above = above.and_then(|at| pages.rows.get(at)).copied();
                let number = match above.filter(|number| pages.page(*number) == Some(&page)) {
                    Some(number) => number,
                    None => match known.get(&page) {
                        Some(number) => *number,
                        None => {
                            let number = u16::try_from(pages.cells.len() / page_cells).ok()?;
                            pages.cells.extend(&page);
                            known.insert(page, number);
                            number
                        }
                    },
                };
                pages.rows.push(number);
            }
            if pages.cells.len() + pages.rows.len() > CELLS_MAX {
                return None;
            }
        }
        Some(pages)
    }

    fn page(&self, number: u16) -> Option<&[u16]> {
        let first = usize::from(number) * abi::PAGE_CELLS as usize;
        self.cells.get(first..first + abi::PAGE_CELLS as usize)
    }
}

impl FamilyTable {
    fn append(self, family: Family, words: &mut Vec<u64>) {
        let (remote, ports, rows, cells, groups) = match family {
            Family::V4 => (
                abi::TABLE_CLASSES4_REMOTE,
                abi::TABLE_CLASSES4_PORTS,
                abi::TABLE_CLASSES4_ROWS,
                abi::TABLE_CLASSES4_CELLS,
                abi::TABLE_CLASSES4_GROUPS,
            ),
            Family::V6 => (
                abi::TABLE_CLASSES6_REMOTE,
                abi::TABLE_CLASSES6_PORTS,
                abi::TABLE_CLASSES6_ROWS,
                abi::TABLE_CLASSES6_CELLS,
                abi::TABLE_CLASSES6_GROUPS,
            ),
        };
        let row = |number: usize| (number * self.pages.width) as u64;
        let ports_at = words.len() as u64;
        put(words, ports, ports_at);
        words.extend(self.ports.words());
        for (word, numbers) in [(rows, &self.pages.rows), (cells, &self.pages.cells)] {
            let at = words.len() as u64;
            put(words, word, at);
            words.extend(numbers.chunks(4).map(four));
        }
        match family {
            Family::V4 => {
                put_section(words, remote, self.remote.len());
                words.extend(self.remote.iter().map(|(at, r)| ((*at as u64) << 32) | row(*r)));
            }
            Family::V6 => append_halves(&self.remote, row, remote, words),
        }
        put_section(words, groups, self.groups.len());
        words.extend(self.groups.iter().map(|(group, r)| (u64::from(*group) << 32) | row(*r)));
    }
}

/// IPv6 addresses in two steps: by the high half and, where that does not tell, by the low one.
fn append_halves(
    remote: &[(u128, usize)],
    row: impl Fn(usize) -> u64,
    header_word: u64,
    words: &mut Vec<u64>,
) {
    /// What a high half leads to: from which low half on which row.
    type Inner = Vec<(u64, usize)>;
    let mut halves: BTreeMap<u64, Inner> = BTreeMap::new();
    let mut before = 0;
    for (at, row) in remote {
        let (high, low) = ((at >> 64) as u64, *at as u64);
        // Lower addresses of this half belong to the class before, higher halves to this class.
        let inner = halves.entry(high).or_insert_with(|| vec![(0, before)]);
        if low == 0 {
            inner.clear();
        }
        inner.push((low, *row));
        if let Some(next) = high.checked_add(1).filter(|_| low != 0) {
            halves.insert(next, vec![(0, *row)]);
        }
        before = *row;
    }
    put_section(words, header_word, halves.len());
    words.extend(halves.keys());
    let mut inner_at = words.len() + halves.len();
    for inner in halves.values() {
        words.push(match inner.as_slice() {
            [(_, only)] => row(*only),
            more => {
                let value = abi::INNER | section(inner_at as u64, more.len() as u64);
                inner_at += 2 * more.len();
                value
            }
        });
    }
    for inner in halves.values().filter(|inner| inner.len() > 1) {
        words.extend(inner.iter().map(|(low, _)| *low));
        words.extend(inner.iter().map(|(_, r)| row(*r)));
    }
}

/// Up to four 16-bit numbers in a word, the first lowest.
pub(crate) fn four(numbers: &[u16]) -> u64 {
    numbers.iter().rev().fold(0, |word, number| (word << 16) | u64::from(*number))
}
