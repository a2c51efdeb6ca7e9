//! One dimension of a table: values cut into classes, each with the row of rules that are still
//! possible for it.
//!
//! Knows numbers, ranges and rows; whether they are addresses or ports is the table's to know.
use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use crate::abi::row_words;
use crate::budget::{CompileError, Limit, check};

/// Which rules are possible: bit `rule % 64` of word `rule / 64`.
pub(crate) type Row = Vec<u64>;

/// Sets the bit of a rule. A rule beyond the row has none.
pub(crate) fn set(row: &mut Row, rule: usize, possible: bool) {
    if let Some(word) = row.get_mut(rule / 64) {
        let bit = 1 << (rule % 64);
        *word = if possible { *word | bit } else { *word & !bit };
    }
}

/// The positions of bits that are set, lowest first.
pub(crate) fn bits(words: &[u64]) -> impl Iterator<Item = usize> + '_ {
    words.iter().enumerate().flat_map(|(at, word)| {
        let mut left = *word;
        core::iter::from_fn(move || {
            let bit = (left != 0).then(|| at * 64 + left.trailing_zeros() as usize);
            left &= left.wrapping_sub(1);
            bit
        })
    })
}

/// A number that stands for a set of rules when rows are compared: rules change it one by one.
fn sum_of(rule: usize) -> u64 {
    // The finishing step of splitmix64: neighbours have nothing in common.
    let mixed = (rule as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 27)
}

/// Rows, each held once.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    /// Numbers of the rows with a sum: equal rows have equal sums, few others do.
    by_sum: BTreeMap<u64, Vec<usize>>,
    rows: Vec<Row>,
}

impl Rows {
    /// The number of a row.
    pub(crate) fn number(&mut self, row: &Row) -> usize {
        self.number_of_sum(row, bits(row).fold(0, |sum, rule| sum ^ sum_of(rule)))
    }

    /// The number of a row whose sum is known.
    fn number_of_sum(&mut self, row: &Row, sum: u64) -> usize {
        let alike = self.by_sum.entry(sum).or_default();
        let known = alike.iter().copied().find(|number| self.rows.get(*number) == Some(row));
        known.unwrap_or_else(|| {
            alike.push(self.rows.len());
            self.rows.push(row.clone());
            self.rows.len() - 1
        })
    }

    /// How many different rows there are.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Every row, in the order of their numbers.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter()
    }

    /// All words, row after row.
    pub(crate) fn words(&self) -> impl Iterator<Item = u64> + '_ {
        self.rows.iter().flatten().copied()
    }
}

/// What a rule says of one dimension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Every value.
    All,
    /// The values of these ranges, both ends included; none if empty.
    Ranges(Vec<(u128, u128)>),
}

/// A dimension: the class of a value is that of the last boundary not above it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Classes {
    /// Lowest value of each class, sorted; the first is 0.
    pub(crate) bounds: Vec<u128>,
    /// Number of each class's row.
    pub(crate) rows: Vec<usize>,
}

/// Cuts a dimension at the ends of the rules' ranges. Neighbours with the same row are one class.
pub(crate) fn cut(extents: &[Extent], rows: &mut Rows) -> Result<Classes, CompileError> {
    let mut row: Row = vec![0; row_words(extents.len())];
    let mut sum = 0;
    // Where a rule begins or ceases to be possible. A rule's ranges are disjoint, so its bit has no
    // need to count.
    let mut events: Vec<(u128, usize, bool)> = Vec::new();
    for (rule, extent) in extents.iter().enumerate() {
        match extent {
            Extent::All => {
                set(&mut row, rule, true);
                sum ^= sum_of(rule);
            }
            Extent::Ranges(ranges) => {
                let mut range = |first: u128, last: u128| {
                    events.push((first, rule, true));
                    events.extend(last.checked_add(1).map(|end| (end, rule, false)));
                };
                match ranges.as_slice() {
                    [(first, last)] => range(*first, *last),
                    more => disjoint(more.to_vec()).into_iter().for_each(|(f, l)| range(f, l)),
                }
            }
        }
    }
    events.sort_unstable();
    let mut classes = Classes { bounds: Vec::new(), rows: Vec::new() };
    let mut begin = 0;
    let mut events = events.into_iter().peekable();
    loop {
        while let Some((_, rule, possible)) = events.next_if(|(at, ..)| *at == begin) {
            set(&mut row, rule, possible);
            sum ^= sum_of(rule);
        }
        let number = rows.number_of_sum(&row, sum);
        if classes.rows.last() != Some(&number) {
            check(Limit::Boundaries, classes.bounds.len() + 1)?;
            check(Limit::TableWords, rows.len() * row.len())?;
            classes.bounds.push(begin);
            classes.rows.push(number);
        }
        match events.peek() {
            Some((next, ..)) => begin = *next,
            None => return Ok(classes),
        }
    }
}

/// The same values in sorted ranges that neither overlap nor touch.
pub(crate) fn disjoint(mut ranges: Vec<(u128, u128)>) -> Vec<(u128, u128)> {
    ranges.sort_unstable();
    let mut out: Vec<(u128, u128)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match out.last_mut() {
            Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
            _ => out.push((first, last)),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_touch_are_one() {
        assert_eq!(disjoint(vec![(5, 6), (0, 1), (2, 2), (4, 9)]), [(0, 2), (4, 9)]);
        assert_eq!(disjoint(vec![(3, u128::MAX), (0, 9)]), [(0, u128::MAX)]);
    }

    #[test]
    fn classes_begin_where_the_set_of_rules_changes() {
        let mut rows = Rows::default();
        let extents = [
            Extent::All,
            Extent::Ranges(vec![(10, 19), (15, 29)]),
            Extent::Ranges(vec![(30, u128::MAX)]),
            Extent::Ranges(vec![]),
        ];
        let classes = cut(&extents, &mut rows).unwrap();
        assert_eq!(classes.bounds, [0, 10, 30]);
        let words: Vec<u64> = rows.words().collect();
        let of_classes: Vec<u64> = classes.rows.iter().map(|row| words[*row]).collect();
        assert_eq!(of_classes, [0b001, 0b011, 0b101]);
    }

    #[test]
    fn boundaries_have_a_limit() {
        let ranges =
            |count: u128| vec![Extent::Ranges((0..count).map(|n| (4 * n, 4 * n)).collect())];
        let half = (crate::abi::BOUNDARIES_MAX as u128).div_ceil(2);
        assert!(cut(&ranges(half - 1), &mut Rows::default()).is_ok());
        let error = cut(&ranges(half + 1), &mut Rows::default()).unwrap_err();
        assert_eq!(error.limit, Limit::Boundaries);
    }
}
