//! Numbers in use, kept as spans without gaps, so that the lowest free one is found at once. Knows
//! nothing of addresses.
use alloc::collections::BTreeMap;

/// A set of numbers: first → last of each span; no two spans touch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Spans(BTreeMap<u128, u128>);

impl Spans {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The last span that has a number from `first` to `last`.
    fn overlapping(&self, first: u128, last: u128) -> Option<(u128, u128)> {
        let (start, end) = self.0.range(..=last).next_back()?;
        (*end >= first).then_some((*start, *end))
    }

    /// Whether any number from `first` to `last` is in use.
    pub(super) fn overlap(&self, first: u128, last: u128) -> bool {
        self.overlapping(first, last).is_some()
    }

    /// Takes all numbers from `first` to `last` into use.
    pub(super) fn insert(&mut self, mut first: u128, mut last: u128) {
        // Neighbours too: no two spans touch.
        let near = |first: u128, last: u128| (first.saturating_sub(1), last.saturating_add(1));
        let (mut from, mut to) = near(first, last);
        while let Some((start, end)) = self.overlapping(from, to) {
            self.0.remove(&start);
            first = first.min(start);
            last = last.max(end);
            (from, to) = near(first, last);
        }
        self.0.insert(first, last);
    }

    /// Frees all numbers from `first` to `last`.
    pub(super) fn remove(&mut self, first: u128, last: u128) {
        while let Some((start, end)) = self.overlapping(first, last) {
            self.0.remove(&start);
            if start < first {
                self.0.insert(start, first - 1);
            }
            if last < end {
                self.0.insert(last + 1, end);
            }
        }
    }

    /// The lowest multiple of `size` from which on so many numbers, all from `from` to `to`, are
    /// free.
    pub(super) fn lowest_free(&self, from: u128, to: u128, size: u128) -> Option<u128> {
        let mut start = from.checked_next_multiple_of(size)?;
        loop {
            let end = start.checked_add(size - 1).filter(|end| *end <= to)?;
            match self.overlapping(start, end) {
                None => return Some(start),
                Some((_, last)) => start = last.checked_add(1)?.checked_next_multiple_of(size)?,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use super::*;

    #[test]
    fn spans_behave_as_a_set_of_numbers() {
        let (mut spans, mut model) = (Spans::default(), BTreeSet::new());
        let mut seed = 7u64;
        for _ in 0..5000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let first = u128::from(seed >> 59);
            let last = first + [0, 0, 0, 5][(seed >> 50 & 3) as usize];
            if seed & (1 << 40) == 0 {
                spans.insert(first, last);
                model.extend(first..=last);
            } else {
                spans.remove(first, last);
                model.retain(|n| !(first..=last).contains(n));
            }
            assert_eq!((0..40).filter(|n| spans.overlap(*n, *n)).collect::<BTreeSet<_>>(), model);
            assert_eq!(spans.overlap(5, 9), (5..=9).any(|n| model.contains(&n)));
            for size in [1, 4] {
                let free = |start: &u128| (*start..start + size).all(|n| !model.contains(&n));
                let expected = (3..=32 - size).filter(|n| n % size == 0).find(free);
                assert_eq!(spans.lowest_free(3, 31, size), expected);
            }
            assert_eq!(spans.is_empty(), model.is_empty());
            let apart =
                spans.0.iter().zip(spans.0.keys().skip(1)).all(|((_, end), next)| end + 1 < *next);
            assert!(apart, "{spans:?}");
        }
        spans.insert(u128::MAX, u128::MAX);
        assert_eq!(spans.lowest_free(u128::MAX, u128::MAX, 1), None);
        assert_eq!(spans.lowest_free(u128::MAX - 2, u128::MAX, 16), None);
    }
}
