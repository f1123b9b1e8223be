//! Statistics for a few rounds: medians, ranges, and ratios with confidence intervals. Pure
//! functions.
//!
//! A round runs both engines one after the other and gives one ratio, so that influences on both
//! (another process, a warm processor) cancel out. The ratio of a point is the median of its
//! rounds' ratios.
//!
//! The interval is a percentile bootstrap over rounds with *expanded* percentiles (Hesterberg 2015,
//! "What Teachers Should Know About the Bootstrap", The American Statistician 69:4). Plain
//! percentiles are too narrow for few rounds, for two reasons: the normal distribution is narrower
//! than Student's, and the variance of a resample lacks the factor n/(n-1).
//!
//! All functions work on logarithms, so that swapping the engines gives the inverse ratio.

use serde::Serialize;

use crate::cli::report::figure::{self, float};

/// Rounds up to which all resamples are enumerated. Six rounds have 46,656 resamples.
const MAX_ENUMERATED_ROUNDS: usize = 6;
/// Resamples drawn at random for more rounds.
const RANDOM_RESAMPLES: usize = 10_000;
const SEED: u64 = 2015;
/// The intended confidence of an interval.
pub(super) const CONFIDENCE: f64 = 0.95;

/// The median and the range of some values.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct MedianRange {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

/// A ratio with its confidence interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Ratio {
    pub(super) median: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

impl MedianRange {
    /// Returns the median and the range, or `None` without values.
    pub(super) fn of(values: &[f64]) -> Option<Self> {
        let sorted = sorted(values);
        Some(Self { median: median(&sorted)?, min: *sorted.first()?, max: *sorted.last()? })
    }
}

impl Ratio {
    /// Returns the median ratio of the first to the second value of each pair. `None` with fewer
    /// than two pairs, or if a value is not positive and finite.
    pub(super) fn of(pairs: &[(f64, f64)]) -> Option<Self> {
        let usable = |(one, other): &(f64, f64)| *one > 0.0 && *other > 0.0 && one.is_finite() && other.is_finite();
        if pairs.len() < 2 || !pairs.iter().all(usable) {
            return None;
        }
        let logs: Vec<f64> = pairs.iter().map(|(one, other)| (one / other).ln()).collect();
        let logs = sorted(&logs);
        let medians = sorted(&resampled_medians(&logs));
        // The index rounds down: a tail smaller than one resample selects the outermost.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at most half of a vector's length"
        )]
        let at = (expanded_tail(logs.len()) * float(medians.len() as u64)) as usize;
        let (low, high) = (medians.get(at)?, medians.get(medians.len().checked_sub(at + 1)?)?);
        Some(Self { median: median(&logs)?.exp(), low: low.exp(), high: high.exp() })
    }

    /// Formats the median, as in `2.40×`. If the interval excludes 1, so do the digits of the
    /// median.
    pub(super) fn median_text(self) -> String {
        let excludes_one = self.low > 1.0 || self.high < 1.0;
        let median = if excludes_one { bound_text(self.median) } else { figure::number(self.median) };
        median + "×"
    }

    /// Formats the interval, as in `[2.20, 2.60]`.
    pub(super) fn interval_text(self) -> String {
        format!("[{}, {}]", bound_text(self.low), bound_text(self.high))
    }

    /// Returns the ratio of the second engine to the first.
    pub(super) fn inverse(self) -> Self {
        Self { median: 1.0 / self.median, low: 1.0 / self.high, high: 1.0 / self.low }
    }
}

/// Formats a ratio or a bound of its interval with enough digits to distinguish it from 1, because
/// the verdict depends on it.
fn bound_text(bound: f64) -> String {
    let short = figure::number(bound);
    if short != "1.00" || (bound - 1.0).abs() < f64::EPSILON {
        return short;
    }
    let longer = (3..=6).map(|digits| format!("{bound:.digits$}"));
    let is_distinct = |text: &String| text.parse().is_ok_and(|shown: f64| (shown - 1.0).abs() > f64::EPSILON);
    longer.into_iter().find(is_distinct).unwrap_or_else(|| if bound > 1.0 { ">1".to_owned() } else { "<1".to_owned() })
}

/// Returns the probability that an interval over `rounds` holds the true ratio. The intended value
/// is [`CONFIDENCE`]. The interval of few rounds is their range, which misses the true median if
/// all rounds lie on one side of it.
pub(super) fn confidence(rounds: usize) -> f64 {
    let range = 1.0 - 0.5_f64.powi(i32::try_from(rounds.saturating_sub(1)).unwrap_or(i32::MAX));
    range.min(CONFIDENCE)
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// Returns the median of sorted values.
fn median(sorted: &[f64]) -> Option<f64> {
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    if sorted.len() % 2 == 1 { Some(upper) } else { Some(f64::midpoint(*sorted.get(middle.checked_sub(1)?)?, upper)) }
}

/// Returns the medians of all resamples of `values`, or of [`RANDOM_RESAMPLES`] if there are too
/// many.
fn resampled_medians(values: &[f64]) -> Vec<f64> {
    let n = values.len();
    let mut resample = vec![0.0; n];
    let mut resampled_median = |pick: &mut dyn FnMut(usize) -> usize| {
        for (position, value) in resample.iter_mut().enumerate() {
            *value = values.get(pick(position)).copied().unwrap_or_default();
        }
        resample.sort_by(f64::total_cmp);
        median(&resample)
    };
    if n <= MAX_ENUMERATED_ROUNDS {
        // The digits of a resample's number in base n are the indices of its values.
        let all = (0..n).fold(1, |product, _| product * n);
        return (0..all)
            .filter_map(|number| {
                let mut rest = number;
                resampled_median(&mut |_| {
                    let digit = rest % n;
                    rest /= n;
                    digit
                })
            })
            .collect();
    }
    let mut random = fastrand::Rng::with_seed(SEED);
    (0..RANDOM_RESAMPLES).filter_map(|_| resampled_median(&mut |_| random.usize(..n))).collect()
}

/// Returns the fraction of the resamples to exclude on either side: Φ(−√(n/(n−1)) · t), where t is
/// the 97.5th percentile of Student's distribution for n−1 degrees of freedom.
fn expanded_tail(n: usize) -> f64 {
    let freedom = n.saturating_sub(1).max(1) as u64;
    let freedom = float(freedom);
    normal_tail((float(n as u64) / freedom).sqrt() * student_quantile(freedom))
}

/// Returns the 97.5th percentile of Student's distribution.
fn student_quantile(freedom: f64) -> f64 {
    // For up to 5 degrees of freedom the expansion below is off by more than 0.01.
    for (tabulated, quantile) in [(1.0, 12.7062), (2.0, 4.3027), (3.0, 3.1824), (4.0, 2.7764), (5.0, 2.5706)] {
        if freedom <= tabulated {
            return quantile;
        }
    }
    // Abramowitz and Stegun 26.7.5, at the normal distribution's 97.5th percentile.
    let z = 1.959_964_f64;
    let first = (z.powi(3) + z) / 4.0;
    let second = (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0;
    let third = (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / 384.0;
    z + first / freedom + second / freedom.powi(2) + third / freedom.powi(3)
}

/// Returns the fraction of the normal distribution above `z`, to seven places. `z` must be at least
/// 0. Abramowitz and Stegun 26.2.17.
fn normal_tail(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * z);
    let factors = [1.330_274_429, -1.821_255_978, 1.781_477_937, -0.356_563_782, 0.319_381_530];
    let polynomial = factors.iter().fold(0.0, |sum, factor| (sum + factor) * t);
    (-z * z / 2.0).exp() / std::f64::consts::TAU.sqrt() * polynomial
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(left: f64, right: f64, tolerance: f64) -> bool {
        (left - right).abs() <= tolerance
    }

    fn ratio_of(values: &[f64]) -> Ratio {
        Ratio::of(&values.iter().map(|value| (*value, 1.0)).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn median_and_range() {
        assert_eq!(MedianRange::of(&[3.0, 1.0, 2.0]), Some(MedianRange { median: 2.0, min: 1.0, max: 3.0 }));
        assert_eq!(MedianRange::of(&[4.0, 1.0]), Some(MedianRange { median: 2.5, min: 1.0, max: 4.0 }));
        assert_eq!(MedianRange::of(&[]), None);
    }

    #[test]
    fn quantiles_match_the_tables() {
        for (freedom, quantile) in
            [(1.0, 12.706), (4.0, 2.776), (6.0, 2.447), (10.0, 2.228), (29.0, 2.045), (1e6, 1.960)]
        {
            assert!(near(student_quantile(freedom), quantile, 1.5e-3), "{freedom}: {}", student_quantile(freedom));
        }
        for (z, tail) in [(0.0, 0.5), (1.0, 0.158_655), (1.96, 0.024_998), (3.0, 0.001_350), (18.0, 0.0)] {
            assert!(near(normal_tail(z), tail, 1e-6), "{z}: {}", normal_tail(z));
        }
        // The expanded values of 0.025 in Hesterberg's table.
        for (n, tail) in [(5, 0.0010), (10, 0.0086), (20, 0.0159), (100, 0.0231)] {
            assert!(near(expanded_tail(n), tail, 1e-4), "{n}: {}", expanded_tail(n));
        }
    }

    #[test]
    fn resampled_medians_of_two_and_three_values() {
        // (1,1) (1,3) (3,1) (3,3)
        assert_eq!(sorted(&resampled_medians(&[1.0, 3.0])), [1.0, 2.0, 2.0, 3.0]);
        // For 7 of 27 resamples of three values the median is the least value: the resample with
        // three copies of it, and six with two.
        let medians = resampled_medians(&[1.0, 2.0, 3.0]);
        let count_of = |value: f64| medians.iter().filter(|median| near(**median, value, 1e-12)).count();
        assert_eq!((medians.len(), count_of(1.0), count_of(2.0), count_of(3.0)), (27, 7, 13, 7));
    }

    #[test]
    fn interval_of_few_rounds_is_their_range() {
        for values in [&[1.0, 2.0][..], &[1.1, 0.9, 1.3], &[2.0, 2.1, 1.7, 2.6, 2.2]] {
            let (ratio, range) = (ratio_of(values), MedianRange::of(values).unwrap());
            assert!(near(ratio.low, range.min, 1e-12) && near(ratio.high, range.max, 1e-12), "{values:?}: {ratio:?}");
        }
        assert!(near(ratio_of(&[1.0, 4.0]).median, 2.0, 1e-12), "median of two ratios: their geometric mean");
        assert!(
            near(confidence(2), 0.5, 1e-12) && near(confidence(3), 0.75, 1e-12) && near(confidence(5), 0.9375, 1e-12)
        );
        assert!(near(confidence(6), 0.95, 1e-12) && near(confidence(100), 0.95, 1e-12));
    }

    #[test]
    fn interval_of_many_rounds_excludes_the_outermost() {
        let values: Vec<f64> = (1..=15).map(f64::from).collect();
        let ratio = ratio_of(&values);
        // The median of a resample of 15 values is below the fourth value in about 1.3 % of the
        // cases, and below the third in 0.2 %.
        assert!(
            near(ratio.median, 8.0, 1e-9) && near(ratio.low, 4.0, 1e-9) && near(ratio.high, 12.0, 1e-9),
            "{ratio:?}"
        );
        assert_eq!(ratio, ratio_of(&values), "equal rounds must give equal intervals");
    }

    #[test]
    fn swapped_pairs_give_the_inverse_ratio() {
        let pairs = [(3.0, 2.0), (5.0, 1.5), (0.7, 0.9), (8.0, 3.0)];
        let inverse = Ratio::of(&pairs).unwrap().inverse();
        let swapped = Ratio::of(&pairs.map(|(a, b)| (b, a))).unwrap();
        assert!(
            near(inverse.median, swapped.median, 1e-12)
                && near(inverse.low, swapped.low, 1e-12)
                && near(inverse.high, swapped.high, 1e-12)
        );
    }

    #[test]
    fn a_bound_has_enough_digits_to_differ_from_one() {
        let interval = |low, high| Ratio { median: 1.0, low, high }.interval_text();
        assert_eq!(interval(1.003, 1.22), "[1.003, 1.22]");
        assert_eq!(interval(1.000_02, 1.22), "[1.00002, 1.22]");
        assert_eq!(interval(0.8, 0.999_7), "[0.800, 0.9997]");
        assert_eq!(interval(1.0, 1.000_000_01), "[1.00, >1]");
    }

    #[test]
    fn unusable_pairs_have_no_ratio() {
        for pairs in
            [&[][..], &[(1.0, 1.0)], &[(1.0, 1.0), (0.0, 1.0)], &[(1.0, -1.0), (1.0, 1.0)], &[(f64::NAN, 1.0); 3]]
        {
            assert_eq!(Ratio::of(pairs), None, "{pairs:?}");
        }
    }

    /// Simulates rounds with a known ratio. The noise is six times as large in 10 % of the runs, as
    /// from another process.
    #[test]
    fn intervals_hold_the_true_ratio_as_often_as_claimed() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut noise = || {
            // The Box-Muller transform.
            let normal = (-2.0 * (1.0 - random.f64()).ln()).sqrt() * (std::f64::consts::TAU * random.f64()).cos();
            (normal * if random.u8(..10) == 0 { 0.3 } else { 0.05 }).exp()
        };
        for (rounds, trials) in [(3, 600), (5, 300), (9, 60)] {
            let mut held = 0;
            for _ in 0..trials {
                let pairs: Vec<_> = (0..rounds).map(|_| (1.5 * noise(), noise())).collect();
                let ratio = Ratio::of(&pairs).unwrap();
                held += i32::from(ratio.low <= 1.5 && 1.5 <= ratio.high);
            }
            let (fraction, claimed) = (f64::from(held) / f64::from(trials), confidence(rounds));
            assert!(fraction > claimed - 0.06, "{rounds} rounds: {fraction} held, {claimed} claimed");
        }
    }
}
