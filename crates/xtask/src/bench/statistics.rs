//! The arithmetic of a comparison: medians, paired ratios and their 95 % interval by bootstrap.
//! Pure; its dice are seeded, so the same samples give the same interval.

/// Resamples of one bootstrap: enough for two digits at both ends of a 95 % interval.
const RESAMPLES: usize = 4_000;

/// A small generator (SplitMix64) for orders and resamples; nothing secret comes from it.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        let wide = u128::from(self.next()) * bound as u128;
        (wide >> 64) as usize
    }

    /// Any order is as likely as any other.
    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for index in (1..items.len()).rev() {
            items.swap(index, self.below(index + 1));
        }
    }
}

/// An estimate with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Estimate {
    pub(super) median: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

/// The middle of the values; of an even number, the mean of the two in the middle. Not a number
/// when there are none.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match (sorted.len() % 2, sorted.get(middle)) {
        (_, None) => f64::NAN,
        (1, Some(value)) => *value,
        (_, Some(value)) => f64::midpoint(*value, sorted[middle - 1]),
    }
}

/// Ours divided by the rival's, round by round: what disturbed a round disturbed both.
pub(super) fn paired_ratios(ours: &[f64], rivals: &[f64]) -> Vec<f64> {
    ours.iter().zip(rivals).map(|(ours, rivals)| ours / rivals).collect()
}

/// The median and, by percentile bootstrap, where 95 % of the medians of resamples lie.
pub(super) fn estimate(values: &[f64], seed: u64) -> Estimate {
    let mut dice = Dice::new(seed);
    let mut medians = Vec::with_capacity(RESAMPLES);
    let mut resample = vec![0.0; values.len()];
    for _ in 0..RESAMPLES {
        for slot in &mut resample {
            *slot = values[dice.below(values.len())];
        }
        medians.push(median(&resample));
    }
    medians.sort_by(f64::total_cmp);
    let at = |share: f64| medians[((RESAMPLES - 1) as f64 * share).round() as usize];
    Estimate { median: median(values), low: at(0.025), high: at(0.975) }
}

/// Whether a goal is met at the unfavourable end of the interval.
pub(super) fn holds(ratio: Estimate, goal: f64, higher_is_better: bool) -> bool {
    if higher_is_better { ratio.low >= goal } else { ratio.high <= goal }
}

#[cfg(test)]
mod tests {
    use super::{Dice, Estimate, estimate, holds, median, paired_ratios};

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&[7.0]), 7.0);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        // The third round was slow for both: the ratio does not notice.
        assert_eq!(paired_ratios(&[20.0, 22.0, 2.0], &[10.0, 11.0, 1.0]), [2.0, 2.0, 2.0]);
    }

    #[test]
    fn equal_values_have_an_interval_of_no_width() {
        let sure = Estimate { median: 2.0, low: 2.0, high: 2.0 };
        assert_eq!(estimate(&[2.0; 9], 1), sure);
    }

    #[test]
    fn the_interval_covers_the_truth_about_nineteen_times_in_twenty() {
        let mut dice = Dice::new(7);
        let mut covered = 0;
        for trial in 0..400 {
            // Sums of uniform numbers around 10: symmetric, so the median is 10.
            let values: Vec<f64> = (0..21)
                .map(|_| 4.0 + (0..12).map(|_| dice.next() as f64 / u64::MAX as f64).sum::<f64>())
                .collect();
            let found = estimate(&values, trial);
            covered += u32::from(found.low <= 10.0 && 10.0 <= found.high);
        }
        assert!((360..=396).contains(&covered), "{covered} of 400");
    }

    #[test]
    fn the_same_seed_gives_the_same_interval() {
        let values = [1.0, 1.1, 0.9, 1.3, 0.8, 1.05];
        assert_eq!(estimate(&values, 5), estimate(&values, 5));
    }

    #[test]
    fn a_goal_holds_at_the_unfavourable_end_only() {
        let ratio = Estimate { median: 2.0, low: 1.8, high: 2.2 };
        assert!(holds(ratio, 1.8, true));
        assert!(!holds(ratio, 1.9, true));
        assert!(holds(ratio, 2.2, false));
        assert!(!holds(ratio, 2.1, false));
    }

    #[test]
    fn a_shuffle_keeps_everything_and_reaches_every_order() {
        let mut dice = Dice::new(3);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..200 {
            let mut items = [1, 2, 3];
            dice.shuffle(&mut items);
            seen.insert(items);
        }
        assert_eq!(seen.len(), 6);
    }
}
