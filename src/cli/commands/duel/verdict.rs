//! From ratios to words: which engine leads at how many connections, and where that changes.
//!
//! A lead is a ratio whose interval is clear of 1; anything else is a draw. Where the leader changes between two points, the change
//! is placed between them, and nothing is said of what lies beyond the points that were measured.

use serde::Serialize;

use super::statistics::Ratio;
use crate::cli::report::figure;
use crate::cli::report::words::connections;

/// Who is better, as far as can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    Threads,
    Draw,
    Reactor,
}

impl Verdict {
    /// What a ratio says that is above 1 where the reactor is better.
    pub(super) fn of(ratio: Ratio) -> Self {
        match ratio {
            Ratio { low, .. } if low > 1.0 => Self::Reactor,
            Ratio { high, .. } if high < 1.0 => Self::Threads,
            _ => Self::Draw,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Threads => "threads",
            Self::Draw => "draw",
            Self::Reactor => "reactor",
        }
    }

    /// The leader as the subject of a sentence.
    fn leads(self) -> &'static str {
        match self {
            Self::Threads => "threads lead",
            Self::Draw => "level",
            Self::Reactor => "the reactor leads",
        }
    }
}

/// What was found at so many connections: the ratio is above 1 where the reactor is better.
pub(super) type Found = (usize, Ratio);

/// Neighbouring points with the same verdict.
struct Stretch<'a> {
    verdict: Verdict,
    points: &'a [Found],
}

/// What the ratios of some points say, in a sentence without its full stop. The points are in ascending order; none when there are
/// none. `point` says which they are: there are points without a ratio, as where memory has not grown at all.
pub(super) fn sentence(points: &[Found], point: &str) -> Option<String> {
    let stretches: Vec<_> = points
        .chunk_by(|(_, one), (_, next)| Verdict::of(*one) == Verdict::of(*next))
        .filter_map(|points| Some(Stretch { verdict: Verdict::of(points.first()?.1), points }))
        .collect();
    let rises = stretches.is_sorted_by_key(|stretch| stretch.verdict);
    let falls = stretches.is_sorted_by_key(|stretch| std::cmp::Reverse(stretch.verdict));
    match &stretches[..] {
        [] => None,
        [only] => Some(only.alone(point)),
        several if rises || falls => Some(chain(several)),
        several => {
            let parts: Vec<_> = several.iter().map(Stretch::at_its_points).collect();
            Some(format!("back and forth, so there is no one crossover: {}", parts.join("; ")))
        }
    }
}

/// Stretches that follow each other from one engine's side to the other's.
fn chain(stretches: &[Stretch<'_>]) -> String {
    let mut parts = Vec::new();
    for (stretch, next) in stretches.iter().zip(stretches.iter().skip(1)) {
        let until = rounded(change(stretch, next));
        parts.push(format!("{} up to about {until}{}", stretch.verdict.leads(), stretch.by()));
    }
    if let Some(last) = stretches.last() {
        let end = last.points.last().map_or(0, |(connections, _)| *connections);
        parts.push(match last.verdict {
            Verdict::Draw => format!("level from there to {}", connections(end)),
            leader => format!("from there to {} {}{}", connections(end), leader.leads(), last.by()),
        });
    }
    parts.join("; ")
}

impl Stretch<'_> {
    /// When all points have the same verdict.
    fn alone(&self, point: &str) -> String {
        match (self.verdict, self.points) {
            (Verdict::Draw, [(only, _)]) => format!("level at {}, the only {point}", connections(*only)),
            (Verdict::Draw, points) => format!("level at every {point}, {}", reach(points)),
            (leader, [_]) => format!("{} at the only {point}{}", leader.leads(), self.by()),
            (leader, points) => {
                format!("{} at every {point}, {}{}", leader.leads(), reach(points), self.by())
            }
        }
    }

    /// In a list that has no order but that of the points.
    fn at_its_points(&self) -> String {
        match (self.verdict, self.points) {
            (Verdict::Draw, [(only, _)]) => format!("level at {}", figure::count(*only as u64)),
            (Verdict::Draw, points) => format!("level {}", reach(points)),
            (leader, _) => format!("{}{}", leader.leads(), self.by()),
        }
    }

    /// By how much it leads, at its first and last point. A draw leads by nothing.
    fn by(&self) -> String {
        let (first, last) = match (self.verdict, self.points) {
            (Verdict::Draw, _) | (_, []) => return String::new(),
            (_, [only]) => (None, only),
            (_, [first, .., last]) => (Some(first), last),
        };
        let told = |(connections, ratio): &Found| {
            let ratio = if self.verdict == Verdict::Threads { ratio.inverse() } else { *ratio };
            format!("{} at {}", bounds(ratio), figure::count(*connections as u64))
        };
        let first = first.map(|first| told(first) + ", ").unwrap_or_default();
        format!(", by {first}{}", told(last))
    }
}

/// Between which numbers of connections some points lie.
fn reach(points: &[Found]) -> String {
    let at = |point: Option<&Found>| figure::count(point.map_or(0, |(connections, _)| *connections as u64));
    format!("from {} to {} connections", at(points.first()), at(points.last()))
}

/// At how many connections one verdict gives way to the next: where the line between the two neighbouring points, over the logarithm
/// of the connections, passes 1. The line is that of the bound which decides: a draw ends where the interval leaves 1.
fn change(before: &Stretch<'_>, after: &Stretch<'_>) -> f64 {
    let (Some((left, one)), Some((right, other))) = (before.points.last(), after.points.first()) else { return 0.0 };
    let (left, right) = (figure::float(*left as u64), figure::float(*right as u64));
    let bound: fn(&Ratio) -> f64 = match (before.verdict.min(after.verdict), before.verdict.max(after.verdict)) {
        (Verdict::Draw, Verdict::Reactor) => |ratio| ratio.low,
        (Verdict::Threads, Verdict::Draw) => |ratio| ratio.high,
        _ => |ratio| ratio.median,
    };
    let (one, other) = (bound(one).ln(), bound(other).ln());
    let rise = one - other;
    let part = if rise.abs() < f64::EPSILON { 0.5 } else { (one / rise).clamp(0.0, 1.0) };
    left * (right / left).powf(part)
}

/// `2.4× [2.2, 2.6]`.
pub(super) fn bounds(Ratio { median, low, high }: Ratio) -> String {
    format!("{}× [{}, {}]", figure::number(median), beside_one(low), beside_one(high))
}

/// A bound, with as many digits as it takes to tell it from 1, which is what a verdict hangs on.
fn beside_one(bound: f64) -> String {
    let usual = figure::number(bound);
    if usual != "1.00" || (bound - 1.0).abs() < f64::EPSILON {
        return usual;
    }
    let more = (3..=6).map(|digits| format!("{bound:.digits$}"));
    let told = |text: &String| text.parse().is_ok_and(|shown: f64| (shown - 1.0).abs() > f64::EPSILON);
    more.into_iter().find(told).unwrap_or_else(|| if bound > 1.0 { ">1".to_owned() } else { "<1".to_owned() })
}

/// An estimate has no more than two digits that count.
fn rounded(value: f64) -> String {
    let step = 10_f64.powf((value.max(1.0).log10().floor() - 1.0).max(0.0));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between two numbers of connections")]
    let whole = ((value / step).round() * step) as usize;
    connections(whole.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio(median: f64, low: f64, high: f64) -> Ratio {
        Ratio { median, low, high }
    }

    const LEVEL: Ratio = Ratio { median: 1.0, low: 0.9, high: 1.1 };

    fn said(points: &[Found]) -> String {
        sentence(points, "point measured").unwrap()
    }

    #[test]
    fn a_verdict_needs_an_interval_clear_of_one() {
        assert_eq!(Verdict::of(ratio(1.2, 1.01, 1.3)), Verdict::Reactor);
        assert_eq!(Verdict::of(ratio(1.2, 1.0, 1.3)), Verdict::Draw);
        assert_eq!(Verdict::of(ratio(0.8, 0.7, 1.0)), Verdict::Draw);
        assert_eq!(Verdict::of(ratio(0.8, 0.7, 0.99)), Verdict::Threads);
    }

    #[test]
    fn a_bound_is_told_from_one_by_as_many_digits_as_it_takes() {
        assert_eq!(bounds(ratio(1.11, 1.003, 1.22)), "1.11× [1.003, 1.22]");
        assert_eq!(bounds(ratio(1.11, 1.000_02, 1.22)), "1.11× [1.00002, 1.22]");
        assert_eq!(bounds(ratio(0.9, 0.8, 0.999_7)), "0.900× [0.800, 0.9997]");
        assert_eq!(bounds(ratio(1.0, 1.0, 1.000_000_01)), "1.00× [1.00, >1]");
    }

    #[test]
    fn nothing_measured_is_nothing_said() {
        assert_eq!(sentence(&[], "point measured"), None);
    }

    #[test]
    fn one_point_is_all_that_is_spoken_of() {
        assert_eq!(said(&[(1, LEVEL)]), "level at 1 connection, the only point measured");
        let leads = "the reactor leads at the only point measured, by 2.40× [2.20, 2.60] at 1,000";
        assert_eq!(said(&[(1000, ratio(2.4, 2.2, 2.6))]), leads);
    }

    #[test]
    fn points_without_a_ratio_are_not_spoken_for() {
        let said = |points: &[Found]| sentence(points, "point that has a ratio").unwrap();
        assert_eq!(said(&[(1, LEVEL)]), "level at 1 connection, the only point that has a ratio");
        assert!(said(&[(1, LEVEL), (9, LEVEL)]).starts_with("level at every point that has a ratio, from 1 to 9"));
    }

    #[test]
    fn the_same_everywhere() {
        assert_eq!(
            said(&[(1, LEVEL), (10, LEVEL), (1000, LEVEL)]),
            "level at every point measured, from 1 to 1,000 connections"
        );
        assert_eq!(
            said(&[(1, ratio(1.2, 1.1, 1.3)), (10, ratio(3.0, 2.0, 4.0)), (100, ratio(2.4, 2.2, 2.6))]),
            "the reactor leads at every point measured, from 1 to 100 connections, by 1.20× [1.10, 1.30] at 1, \
             2.40× [2.20, 2.60] at 100"
        );
        // Told from the leader's side.
        assert_eq!(
            said(&[(4, ratio(0.5, 0.4, 0.8)), (16, ratio(0.25, 0.2, 0.5))]),
            "threads lead at every point measured, from 4 to 16 connections, by 2.00× [1.25, 2.50] at 4, \
             4.00× [2.00, 5.00] at 16"
        );
    }

    #[test]
    fn a_draw_ends_where_the_interval_leaves_one() {
        // Over the logarithm, the lower bound passes 1 half way between 0.8 at 10 and 1.25 at 1,000.
        let points = [(1, LEVEL), (10, ratio(1.0, 0.8, 1.2)), (1000, ratio(2.4, 1.25, 2.6))];
        assert_eq!(
            said(&points),
            "level up to about 100 connections; from there to 1,000 connections the reactor leads, \
             by 2.40× [1.25, 2.60] at 1,000"
        );
    }

    #[test]
    fn threads_may_lead_at_first_and_then_lose_at_once_or_by_a_draw() {
        let (behind, ahead) = (ratio(0.5, 0.4, 0.8), ratio(2.0, 1.5, 3.0));
        assert_eq!(
            said(&[(1, behind), (100, ahead)]),
            "threads lead up to about 10 connections, by 2.00× [1.25, 2.50] at 1; from there to 100 connections \
             the reactor leads, by 2.00× [1.50, 3.00] at 100"
        );
        assert_eq!(
            said(&[(1, behind), (4, ratio(1.0, 0.8, 1.25)), (16, ratio(2.0, 1.25, 3.0))]),
            "threads lead up to about 2 connections, by 2.00× [1.25, 2.50] at 1; level up to about 8 connections; \
             from there to 16 connections the reactor leads, by 2.00× [1.25, 3.00] at 16"
        );
    }

    #[test]
    fn the_reactor_may_lose_its_lead() {
        assert_eq!(
            said(&[(1, ratio(2.0, 1.25, 3.0)), (100, ratio(1.0, 0.8, 1.1)), (200, LEVEL)]),
            "the reactor leads up to about 10 connections, by 2.00× [1.25, 3.00] at 1; level from there to \
             200 connections"
        );
    }

    #[test]
    fn back_and_forth_is_no_crossover() {
        let ahead = ratio(1.5, 1.2, 1.8);
        assert_eq!(
            said(&[(1, ahead), (10, LEVEL), (50, LEVEL), (100, ahead), (1000, ratio(0.5, 0.4, 0.8))]),
            "back and forth, so there is no one crossover: the reactor leads, by 1.50× [1.20, 1.80] at 1; \
             level from 10 to 50 connections; the reactor leads, by 1.50× [1.20, 1.80] at 100; \
             threads lead, by 2.00× [1.25, 2.50] at 1,000"
        );
    }

    #[test]
    fn a_change_is_between_its_points_and_has_two_digits() {
        let points = [(1000, ratio(1.0, 0.999, 1.2)), (5000, ratio(3.0, 2.9, 3.1))];
        assert!(said(&points).starts_with("level up to about 1,000 connections;"), "{}", said(&points));
        assert_eq!(
            [1.0, 7.4, 43.21, 1234.0, 99_950.0].map(rounded),
            ["1 connection", "7 connections", "43 connections", "1,200 connections", "100,000 connections"]
        );
    }
}
