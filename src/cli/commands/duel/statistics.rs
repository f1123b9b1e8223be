//! What a handful of rounds can tell: medians, ranges, and how sure a ratio is. Pure functions of numbers.
//!
//! A round runs both engines one after the other, so each round gives one ratio, and what both had in common (a busy neighbour, a
//! warm processor) cancels out. The ratio of a point is the median of its rounds' ratios. Its interval is a percentile bootstrap
//! over rounds with *expanded* percentiles (Hesterberg 2015, "What Teachers Should Know About the Bootstrap", The American
//! Statistician 69:4): plain percentiles are too narrow for few rounds, by the difference between the normal and
//! Student's distribution and by the factor n/(n-1) that a resample's variance lacks.
//!
//! All of it works on logarithms, so that it does not matter which engine is above the line.

use serde::Serialize;

use crate::cli::report::figure::float;

/// Up to this many rounds all resamples are looked at: 46,656 for six.
const ENUMERATED: usize = 6;
/// So many are drawn of more rounds.
const DRAWN: usize = 10_000;
const SEED: u64 = 2015;
/// What an interval is for.
pub(super) const CONFIDENCE: f64 = 0.95;

/// The middle of some values, and how far they reach.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

/// By how much one thing is better than another, and between what bounds that is sure.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Ratio {
    pub(super) median: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Spread {
    /// None when there are no values.
    pub(super) fn of(values: &[f64]) -> Option<Self> {
        let sorted = sorted(values);
        Some(Self { median: median(&sorted)?, min: *sorted.first()?, max: *sorted.last()? })
    }
}

impl Ratio {
    /// Of pairs, the first of each over the second. None when there are fewer than two pairs or something is not positive.
    pub(super) fn of(pairs: &[(f64, f64)]) -> Option<Self> {
        let usable = |(one, other): &(f64, f64)| *one > 0.0 && *other > 0.0 && one.is_finite() && other.is_finite();
        if pairs.len() < 2 || !pairs.iter().all(usable) {
            return None;
        }
        let logs: Vec<f64> = pairs.iter().map(|(one, other)| (one / other).ln()).collect();
        let logs = sorted(&logs);
        let medians = sorted(&resampled_medians(&logs));
        // Too small a part of the resamples to have a place among them means: the outermost.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at most half of a vector's length"
        )]
        let at = (expanded_tail(logs.len()) * float(medians.len() as u64)) as usize;
        let (low, high) = (medians.get(at)?, medians.get(medians.len().checked_sub(at + 1)?)?);
        Some(Self { median: median(&logs)?.exp(), low: low.exp(), high: high.exp() })
    }

    /// The same seen from the other side.
    pub(super) fn inverse(self) -> Self {
        Self { median: 1.0 / self.median, low: 1.0 / self.high, high: 1.0 / self.low }
    }
}

/// How often an interval over so many rounds holds the true ratio. It is 95 % by intent; but all that few rounds have to offer is
/// their range, and the true median is outside it when all of them happen to lie on one side of it.
pub(super) fn confidence(rounds: usize) -> f64 {
    let range = 1.0 - 0.5_f64.powi(i32::try_from(rounds.saturating_sub(1)).unwrap_or(i32::MAX));
    range.min(CONFIDENCE)
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// The median of values in order.
fn median(sorted: &[f64]) -> Option<f64> {
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    if sorted.len() % 2 == 1 { Some(upper) } else { Some(f64::midpoint(*sorted.get(middle.checked_sub(1)?)?, upper)) }
}

/// The medians of all resamples of `values`, or of many.
fn resampled_medians(values: &[f64]) -> Vec<f64> {
    let n = values.len();
    let mut resample = vec![0.0; n];
    let mut next = |pick: &mut dyn FnMut(usize) -> usize| {
        for (place, chosen) in resample.iter_mut().enumerate() {
            *chosen = values.get(pick(place)).copied().unwrap_or_default();
        }
        resample.sort_by(f64::total_cmp);
        median(&resample)
    };
    if n <= ENUMERATED {
        // The number of a resample, written to the base n, says which value stands in which place.
        let all = (0..n).fold(1, |product, _| product * n);
        return (0..all)
            .filter_map(|number| {
                let mut rest = number;
                next(&mut |_| {
                    let digit = rest % n;
                    rest /= n;
                    digit
                })
            })
            .collect();
    }
    let mut random = fastrand::Rng::with_seed(SEED);
    (0..DRAWN).filter_map(|_| next(&mut |_| random.usize(..n))).collect()
}

/// The part of the resamples to leave out on either side: Φ(−√(n/(n−1)) · t), where t is Student's for n−1 degrees of freedom.
fn expanded_tail(n: usize) -> f64 {
    let freedom = n.saturating_sub(1).max(1) as u64;
    let freedom = float(freedom);
    normal_tail((float(n as u64) / freedom).sqrt() * student_quantile(freedom))
}

/// The 97.5th percentile of Student's distribution.
fn student_quantile(freedom: f64) -> f64 {
    // The expansion below is off by more than a hundredth where there is little freedom.
    for (few, quantile) in [(1.0, 12.7062), (2.0, 4.3027), (3.0, 3.1824), (4.0, 2.7764), (5.0, 2.5706)] {
        if freedom <= few {
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

/// The part of the normal distribution beyond `z`, for a `z` that is not negative: Abramowitz and Stegun 26.2.17, to seven places.
fn normal_tail(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * z);
    let factors = [1.330_274_429, -1.821_255_978, 1.781_477_937, -0.356_563_782, 0.319_381_530];
    let polynomial = factors.iter().fold(0.0, |sum, factor| (sum + factor) * t);
    (-z * z / 2.0).exp() / std::f64::consts::TAU.sqrt() * polynomial
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(one: f64, other: f64, by: f64) -> bool {
        (one - other).abs() <= by
    }

    fn ratios(values: &[f64]) -> Ratio {
        Ratio::of(&values.iter().map(|value| (*value, 1.0)).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn the_middle_and_the_reach() {
        assert_eq!(Spread::of(&[3.0, 1.0, 2.0]), Some(Spread { median: 2.0, min: 1.0, max: 3.0 }));
        assert_eq!(Spread::of(&[4.0, 1.0]), Some(Spread { median: 2.5, min: 1.0, max: 4.0 }));
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn textbook_quantiles() {
        for (freedom, quantile) in
            [(1.0, 12.706), (4.0, 2.776), (6.0, 2.447), (10.0, 2.228), (29.0, 2.045), (1e6, 1.960)]
        {
            assert!(near(student_quantile(freedom), quantile, 1.5e-3), "{freedom}: {}", student_quantile(freedom));
        }
        for (z, tail) in [(0.0, 0.5), (1.0, 0.158_655), (1.96, 0.024_998), (3.0, 0.001_350), (18.0, 0.0)] {
            assert!(near(normal_tail(z), tail, 1e-6), "{z}: {}", normal_tail(z));
        }
        // What 0.025 becomes, as Hesterberg tabulates it.
        for (n, tail) in [(5, 0.0010), (10, 0.0086), (20, 0.0159), (100, 0.0231)] {
            assert!(near(expanded_tail(n), tail, 1e-4), "{n}: {}", expanded_tail(n));
        }
    }

    #[test]
    fn all_resamples_of_two_and_three() {
        // (1,1) (1,3) (3,1) (3,3)
        assert_eq!(sorted(&resampled_medians(&[1.0, 3.0])), [1.0, 2.0, 2.0, 3.0]);
        // Of three values, 7 of 27 resamples have the least for their median: the one of it alone, and six with two of it.
        let medians = resampled_medians(&[1.0, 2.0, 3.0]);
        let having = |value: f64| medians.iter().filter(|median| near(**median, value, 1e-12)).count();
        assert_eq!((medians.len(), having(1.0), having(2.0), having(3.0)), (27, 7, 13, 7));
    }

    #[test]
    fn the_interval_of_few_rounds_is_their_range() {
        for values in [&[1.0, 2.0][..], &[1.1, 0.9, 1.3], &[2.0, 2.1, 1.7, 2.6, 2.2]] {
            let (ratio, spread) = (ratios(values), Spread::of(values).unwrap());
            assert!(near(ratio.low, spread.min, 1e-12) && near(ratio.high, spread.max, 1e-12), "{values:?}: {ratio:?}");
        }
        assert!(near(ratios(&[1.0, 4.0]).median, 2.0, 1e-12), "the middle of two ratios is their geometric mean");
        assert!(
            near(confidence(2), 0.5, 1e-12) && near(confidence(3), 0.75, 1e-12) && near(confidence(5), 0.9375, 1e-12)
        );
        assert!(near(confidence(6), 0.95, 1e-12) && near(confidence(100), 0.95, 1e-12));
    }

    #[test]
    fn many_rounds_leave_the_outermost_out() {
        let values: Vec<f64> = (1..=15).map(f64::from).collect();
        let ratio = ratios(&values);
        // Of 15 values the median is below the fourth in about 1.3 of a hundred resamples and below the third in 0.2.
        assert!(
            near(ratio.median, 8.0, 1e-9) && near(ratio.low, 4.0, 1e-9) && near(ratio.high, 12.0, 1e-9),
            "{ratio:?}"
        );
        assert_eq!(ratio, ratios(&values), "the same rounds give the same interval");
    }

    #[test]
    fn it_does_not_matter_which_is_above_the_line() {
        let pairs = [(3.0, 2.0), (5.0, 1.5), (0.7, 0.9), (8.0, 3.0)];
        let one = Ratio::of(&pairs).unwrap().inverse();
        let other = Ratio::of(&pairs.map(|(a, b)| (b, a))).unwrap();
        assert!(
            near(one.median, other.median, 1e-12)
                && near(one.low, other.low, 1e-12)
                && near(one.high, other.high, 1e-12)
        );
    }

    #[test]
    fn what_has_no_ratio_has_none() {
        for pairs in
            [&[][..], &[(1.0, 1.0)], &[(1.0, 1.0), (0.0, 1.0)], &[(1.0, -1.0), (1.0, 1.0)], &[(f64::NAN, 1.0); 3]]
        {
            assert_eq!(Ratio::of(pairs), None, "{pairs:?}");
        }
    }

    /// Rounds of a known true ratio under noise that is now and then large, as a busy neighbour's is.
    #[test]
    fn intervals_hold_the_truth_as_often_as_they_say() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut noise = || {
            // Box and Muller.
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
            let (part, told) = (f64::from(held) / f64::from(trials), confidence(rounds));
            assert!(part > told - 0.06, "{rounds} rounds: {part}, and {told} is told");
        }
    }
}
