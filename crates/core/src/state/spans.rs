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

    fn span_of(&self, number: u128) -> Option<(u128, u128)> {
        let (first, last) = self.0.range(..=number).next_back()?;
        (number <= *last).then_some((*first, *last))
    }

    pub(super) fn contains(&self, number: u128) -> bool {
        self.span_of(number).is_some()
    }

    pub(super) fn insert(&mut self, number: u128) {
        if self.contains(number) {
            return;
        }
        let before = number.checked_sub(1).and_then(|n| self.span_of(n));
        let after = number.checked_add(1).and_then(|n| self.span_of(n));
        let first = before.map_or(number, |(first, _)| first);
        let last = after.map_or(number, |(_, last)| last);
        if let Some((start, _)) = after {
            self.0.remove(&start);
        }
        self.0.insert(first, last);
    }

    pub(super) fn remove(&mut self, number: u128) {
        let Some((first, last)) = self.span_of(number) else { return };
        self.0.remove(&first);
        if first < number {
            self.0.insert(first, number - 1);
        }
        if number < last {
            self.0.insert(number + 1, last);
        }
    }

    /// The lowest number from `from` to `to` that is not in use.
    pub(super) fn lowest_free(&self, from: u128, to: u128) -> Option<u128> {
        let free = match self.span_of(from) {
            Some((_, last)) => last.checked_add(1)?,
            None => from,
        };
        (free <= to).then_some(free)
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
            let number = u128::from(seed >> 59);
            if seed & (1 << 40) == 0 {
                spans.insert(number);
                model.insert(number);
            } else {
                spans.remove(number);
                model.remove(&number);
            }
            assert_eq!((0..40).filter(|n| spans.contains(*n)).collect::<BTreeSet<_>>(), model);
            let free = (3..=31).find(|n| !model.contains(n));
            assert_eq!(spans.lowest_free(3, 31), free);
            assert_eq!(spans.is_empty(), model.is_empty());
        }
        spans.insert(u128::MAX);
        assert_eq!(spans.lowest_free(u128::MAX, u128::MAX), None);
    }
}
