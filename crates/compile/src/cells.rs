//! The fast form of a TABLE blob: a class for the remote address, a class for protocol and port,
//! and a cell for each pair of classes that holds the first rule that matches.
//!
//! Made for what nearly every policy is: no source ports, no local addresses. It says so where a
//! policy is something else, or where its cells would be too many, and leaves it to the bit
//! vectors.
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec;
use alloc::vec::Vec;

use portcullis_core::net::{Family, Ports, Protocol, protocol};
use portcullis_core::resolve::ResolvedRule;

use crate::abi::{self, row_words, section};
use crate::budget::{CELLS_MAX, CompileError, RAW_CELLS_MAX};
use crate::classes::{Classes, Extent, Row, Rows, bits, cut, set};
use crate::numbers::Numbers;
use crate::port_tree::PortTree;
use crate::table::{group_peer, put, put_section};
use crate::vectors::{ports, remote};

/// Cells of a page.
const PAGE_CELLS: usize = abi::PAGE_CELLS as usize;

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
    let (grid, new_row) = Grid::new(&live, &possible, &columns);
    let (kept, new_column) = grid.columns(columns.len());
    if kept.len() >= abi::DEEPER as usize {
        return Ok(None);
    }
    let Some(pages) = Pages::new(&grid, &kept) else { return Ok(None) };
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
    let named: BTreeSet<u8> = live.iter().filter_map(|rule| named_protocol(rule)).collect();
    let mut by_protocol = Vec::with_capacity(256);
    // What no rule names, all such protocols have in common.
    let mut unnamed = None;
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
        let is_named = named.contains(&protocol);
        let column = unnamed.filter(|_| !is_named).unwrap_or_else(|| {
            let mut row: Row = vec![0; row_words(live.len())];
            for (position, rule) in live.iter().enumerate() {
                let any_port = rule.resolved.ports.contains(&Ports::Any);
                set(&mut row, position, any_port && matches(rule));
            }
            columns.number(&row)
        });
        if !is_named {
            unnamed = Some(column);
        }
        by_protocol.push(vec![(0, column)]);
    }
    Ok(by_protocol)
}

/// The one protocol that a rule is about.
fn named_protocol(rule: &Live<'_>) -> Option<u8> {
    match rule.resolved.rule.protocol {
        Protocol::Number(number) => Some(number),
        Protocol::All => None,
    }
}

/// The cells of every row of possible rules and every column, rows that say the same once.
struct Grid {
    rows: Vec<Vec<u16>>,
}

impl Grid {
    /// Fills the cells of rows one after the other. Answers, too, where each went. A row has most
    /// rules in common with the one before it: only what these differ in is worked out.
    fn new(live: &[Live<'_>], possible: &Rows, columns: &Rows) -> (Self, Vec<usize>) {
        let columns_of = columns_of(live.len(), columns);
        let (mut grid, mut places) = (Self { rows: Vec::new() }, Vec::new());
        let mut by_sum: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        let mut before: Row = vec![0; row_words(live.len())];
        let mut cells = vec![abi::CELL_NONE as u16; columns.len()];
        for row in possible.all() {
            let is_changed = refill(&mut cells, &before, row, live, &columns_of);
            before.clone_from(row);
            if let Some(same) = places.last().copied().filter(|_| !is_changed) {
                places.push(same);
                continue;
            }
            let alike = by_sum.entry(sum(&cells)).or_default();
            let known = alike.iter().copied().find(|at| grid.rows.get(*at) == Some(&cells));
            places.push(known.unwrap_or_else(|| {
                alike.push(grid.rows.len());
                grid.rows.push(cells.clone());
                grid.rows.len() - 1
            }));
        }
        (grid, places)
    }

    /// The columns without those that say the same as one before them, and where each went.
    fn columns(&self, count: usize) -> (Vec<usize>, Vec<usize>) {
        // Of all columns at once, row by row: rows are what stands side by side.
        let mut sums = vec![0u32; count];
        for row in &self.rows {
            for (sum, cell) in sums.iter_mut().zip(row) {
                *sum = (sum.rotate_left(5) ^ u32::from(*cell)).wrapping_mul(0x9e37_79b1);
            }
        }
        let is_equal =
            |one: usize, other: usize| self.rows.iter().all(|row| row.get(one) == row.get(other));
        let mut by_sum: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        let (mut kept, mut places): (Vec<usize>, _) = (Vec::new(), Vec::with_capacity(count));
        for (column, sum) in sums.into_iter().enumerate() {
            let alike = by_sum.entry(sum).or_default();
            let is_known = |at: &usize| kept.get(*at).is_some_and(|old| is_equal(*old, column));
            let known = alike.iter().copied().find(is_known);
            places.push(known.unwrap_or_else(|| {
                alike.push(kept.len());
                kept.push(column);
                kept.len() - 1
            }));
        }
        (kept, places)
    }
}

/// The columns that each rule is in.
fn columns_of(rules: usize, columns: &Rows) -> Vec<Row> {
    let mut columns_of: Vec<Row> = vec![vec![0; row_words(columns.len())]; rules];
    for (column, rules) in columns.all().enumerate() {
        for rule in bits(rules) {
            if let Some(row) = columns_of.get_mut(rule) {
                set(row, column, true);
            }
        }
    }
    columns_of
}

/// Turns the cells of one row of possible rules into those of another: in each column the first
/// rule that is in it. True if any changed.
fn refill(
    cells: &mut [u16],
    before: &Row,
    row: &Row,
    live: &[Live<'_>],
    columns_of: &[Row],
) -> bool {
    let differing: Row = before.iter().zip(row).map(|(before, now)| before ^ now).collect();
    let is_possible =
        |rule: usize| row.get(rule / 64).is_some_and(|word| word >> (rule % 64) & 1 == 1);
    let mut is_changed = false;
    // Columns whose first rule is gone.
    let mut left: Row = vec![0; cells.len().div_ceil(64)];
    for position in bits(&differing) {
        let (Some(columns), Some(rule)) = (columns_of.get(position), live.get(position)) else {
            continue;
        };
        let is_new = is_possible(position);
        for column in bits(columns) {
            let Some(cell) = cells.get_mut(column) else { continue };
            // Who comes first has the lower number; nobody has the highest.
            if is_new && *cell > rule.number {
                *cell = rule.number;
                is_changed = true;
            } else if !is_new && *cell == rule.number {
                *cell = abi::CELL_NONE as u16;
                set(&mut left, column, true);
                is_changed = true;
            }
        }
    }
    for position in bits(row) {
        if left.iter().all(|word| *word == 0) {
            break;
        }
        let (Some(columns), Some(rule)) = (columns_of.get(position), live.get(position)) else {
            continue;
        };
        for (word, (left, columns)) in left.iter_mut().zip(columns).enumerate() {
            let taken = *left & columns;
            *left &= !taken;
            for column in bits(&[taken]) {
                if let Some(cell) = cells.get_mut(word * 64 + column) {
                    *cell = rule.number.min(*cell);
                }
            }
        }
    }
    is_changed
}

/// Equal cells have equal sums; few others do.
fn sum(cells: &[u16]) -> u64 {
    let step = |sum: u64, cells: &[u16]| {
        (sum.rotate_left(5) ^ four(cells)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    };
    cells.chunks(4).fold(0, step)
}

/// Cells in pages, and rows of page numbers.
struct Pages {
    cells: Vec<u16>,
    rows: Vec<u16>,
    /// Pages of a row.
    width: usize,
}

impl Pages {
    /// The pages of these columns of a grid; `None` if they are too many.
    fn new(grid: &Grid, columns: &[usize]) -> Option<Self> {
        let mut pages = Self { cells: Vec::new(), rows: Vec::new(), width: 0 };
        pages.width = columns.len().div_ceil(PAGE_CELLS);
        let mut known: BTreeMap<[u16; PAGE_CELLS], u16> = BTreeMap::new();
        for row in &grid.rows {
            for beside in columns.chunks(PAGE_CELLS) {
                let mut page = [abi::CELL_NONE as u16; PAGE_CELLS];
                for (cell, column) in page.iter_mut().zip(beside) {
                    *cell = *row.get(*column)?;
                }
                // Neighbours say the same of most ports.
                let above = pages.rows.len().checked_sub(pages.width);
                let above = above.and_then(|at| pages.rows.get(at)).copied();
                let number = match above.filter(|number| pages.page(*number) == Some(&page)) {
                    Some(number) => number,
                    None => match known.get(&page) {
                        Some(number) => *number,
                        None => {
                            let number = u16::try_from(pages.cells.len() / PAGE_CELLS).ok()?;
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
        let first = usize::from(number) * PAGE_CELLS;
        self.cells.get(first..first + PAGE_CELLS)
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
