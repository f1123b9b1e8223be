//! Turns ratios into sentences: which engine leads at which numbers of connections, and where the
//! lead changes.
//!
//! An engine leads if the interval of the ratio excludes 1; otherwise the result is a draw. If the
//! leader changes between two points, the crossover is interpolated between them. No sentence
//! extends beyond the measured points.

use serde::Serialize;

use super::statistics::Ratio;
use crate::cli::report::figure;
use crate::cli::report::text::connections_text;

/// The leading engine at one point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum DuelVerdict {
    Threads,
    Draw,
    Reactor,
}

impl DuelVerdict {
    /// Returns the leader for a ratio that is above 1 if the reactor is better.
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

    /// Returns the clause that names the leader.
    fn leader_clause(self) -> &'static str {
        match self {
            Self::Threads => "threads lead",
            Self::Draw => "level",
            Self::Reactor => "the reactor leads",
        }
    }
}

/// The connections of a point and its ratio, which is above 1 if the reactor is better.
pub(super) type PointRatio = (usize, Ratio);

/// Adjacent points with the same verdict.
struct VerdictRange<'a> {
    verdict: DuelVerdict,
    points: &'a [PointRatio],
}

/// Returns a sentence about the ratios of some points, without its full stop. `None` without
/// points. The points are in ascending order. `point_kind` names them, because some points have no
/// ratio: those whose memory has not grown, for example.
pub(super) fn sentence(points: &[PointRatio], point_kind: &str) -> Option<String> {
    let ranges: Vec<_> = points
        .chunk_by(|(_, ratio), (_, next)| DuelVerdict::of(*ratio) == DuelVerdict::of(*next))
        .filter_map(|points| Some(VerdictRange { verdict: DuelVerdict::of(points.first()?.1), points }))
        .collect();
    let rises = ranges.is_sorted_by_key(|range| range.verdict);
    let falls = ranges.is_sorted_by_key(|range| std::cmp::Reverse(range.verdict));
    match &ranges[..] {
        [] => None,
        [only] => Some(only.only_clause(point_kind)),
        several if rises || falls => Some(crossover_clauses(several)),
        several => {
            let parts: Vec<_> = several.iter().map(VerdictRange::list_clause).collect();
            Some(format!("the lead changes more than once, so there is no single crossover: {}", parts.join("; ")))
        }
    }
}

/// Describes ranges that change monotonically from one engine's lead to the other's.
fn crossover_clauses(ranges: &[VerdictRange<'_>]) -> String {
    let mut parts = Vec::new();
    for (range, next) in ranges.iter().zip(ranges.iter().skip(1)) {
        let end = rounded(crossover(range, next));
        parts.push(format!("{} up to about {end}{}", range.verdict.leader_clause(), range.margin()));
    }
    if let Some(last) = ranges.last() {
        let end = last.points.last().map_or(0, |(connections, _)| *connections);
        parts.push(match last.verdict {
            DuelVerdict::Draw => format!("level from there to {}", connections_text(end)),
            leader => format!("from there to {} {}{}", connections_text(end), leader.leader_clause(), last.margin()),
        });
    }
    parts.join("; ")
}

impl VerdictRange<'_> {
    /// Describes the only range: all points have the same verdict.
    fn only_clause(&self, point_kind: &str) -> String {
        match (self.verdict, self.points) {
            (DuelVerdict::Draw, [(only, _)]) => format!("level at {}, the only {point_kind}", connections_text(*only)),
            (DuelVerdict::Draw, points) => format!("level at every {point_kind}, {}", span(points)),
            (leader, [_]) => format!("{} at the only {point_kind}{}", leader.leader_clause(), self.margin()),
            (leader, points) => {
                format!("{} at every {point_kind}, {}{}", leader.leader_clause(), span(points), self.margin())
            }
        }
    }

    /// Describes the range as one item of a list.
    fn list_clause(&self) -> String {
        match (self.verdict, self.points) {
            (DuelVerdict::Draw, [(only, _)]) => format!("level at {}", figure::count(*only as u64)),
            (DuelVerdict::Draw, points) => format!("level {}", span(points)),
            (leader, _) => format!("{}{}", leader.leader_clause(), self.margin()),
        }
    }

    /// Returns the ratios at the first and last point, from the leader's side. Empty for a draw.
    fn margin(&self) -> String {
        let (first, last) = match (self.verdict, self.points) {
            (DuelVerdict::Draw, _) | (_, []) => return String::new(),
            (_, [only]) => (None, only),
            (_, [first, .., last]) => (Some(first), last),
        };
        let at_point = |(connections, ratio): &PointRatio| {
            let ratio = if self.verdict == DuelVerdict::Threads { ratio.inverse() } else { *ratio };
            format!("{} at {}", ratio_text(ratio), figure::count(*connections as u64))
        };
        let first = first.map(|first| at_point(first) + ", ").unwrap_or_default();
        format!(", by {first}{}", at_point(last))
    }
}

/// Returns the numbers of connections between which some points lie.
fn span(points: &[PointRatio]) -> String {
    let at = |point: Option<&PointRatio>| figure::count(point.map_or(0, |(connections, _)| *connections as u64));
    format!("from {} to {} connections", at(points.first()), at(points.last()))
}

/// Returns the number of connections at which one verdict changes to the next. It interpolates
/// between the two adjacent points, over the logarithm of the connections, to where the ratio is 1.
/// Next to a draw it uses the bound that decides: a draw ends where the interval excludes 1.
fn crossover(before: &VerdictRange<'_>, after: &VerdictRange<'_>) -> f64 {
    let (Some((left, left_ratio)), Some((right, right_ratio))) = (before.points.last(), after.points.first()) else {
        return 0.0;
    };
    let (left, right) = (figure::float(*left as u64), figure::float(*right as u64));
    let bound: fn(&Ratio) -> f64 = match (before.verdict.min(after.verdict), before.verdict.max(after.verdict)) {
        (DuelVerdict::Draw, DuelVerdict::Reactor) => |ratio| ratio.low,
        (DuelVerdict::Threads, DuelVerdict::Draw) => |ratio| ratio.high,
        _ => |ratio| ratio.median,
    };
    let (left_log, right_log) = (bound(left_ratio).ln(), bound(right_ratio).ln());
    let change = left_log - right_log;
    let fraction = if change.abs() < f64::EPSILON { 0.5 } else { (left_log / change).clamp(0.0, 1.0) };
    left * (right / left).powf(fraction)
}

/// Formats a ratio with its interval, as in `2.40× [2.20, 2.60]`.
pub(super) fn ratio_text(Ratio { median, low, high }: Ratio) -> String {
    format!("{}× [{}, {}]", figure::number(median), bound_text(low), bound_text(high))
}

/// Formats a bound with enough digits to distinguish it from 1, because the verdict depends on it.
fn bound_text(bound: f64) -> String {
    let short = figure::number(bound);
    if short != "1.00" || (bound - 1.0).abs() < f64::EPSILON {
        return short;
    }
    let longer = (3..=6).map(|digits| format!("{bound:.digits$}"));
    let is_distinct = |text: &String| text.parse().is_ok_and(|shown: f64| (shown - 1.0).abs() > f64::EPSILON);
    longer.into_iter().find(is_distinct).unwrap_or_else(|| if bound > 1.0 { ">1".to_owned() } else { "<1".to_owned() })
}

/// Formats an interpolated number of connections, rounded to two significant digits.
fn rounded(value: f64) -> String {
    let step = 10_f64.powf((value.max(1.0).log10().floor() - 1.0).max(0.0));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between two numbers of connections")]
    let whole = ((value / step).round() * step) as usize;
    connections_text(whole.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio(median: f64, low: f64, high: f64) -> Ratio {
        Ratio { median, low, high }
    }

    const LEVEL: Ratio = Ratio { median: 1.0, low: 0.9, high: 1.1 };

    fn text(points: &[PointRatio]) -> String {
        sentence(points, "point measured").unwrap()
    }

    #[test]
    fn a_lead_needs_an_interval_that_excludes_one() {
        assert_eq!(DuelVerdict::of(ratio(1.2, 1.01, 1.3)), DuelVerdict::Reactor);
        assert_eq!(DuelVerdict::of(ratio(1.2, 1.0, 1.3)), DuelVerdict::Draw);
        assert_eq!(DuelVerdict::of(ratio(0.8, 0.7, 1.0)), DuelVerdict::Draw);
        assert_eq!(DuelVerdict::of(ratio(0.8, 0.7, 0.99)), DuelVerdict::Threads);
    }

    #[test]
    fn a_bound_has_enough_digits_to_differ_from_one() {
        assert_eq!(ratio_text(ratio(1.11, 1.003, 1.22)), "1.11× [1.003, 1.22]");
        assert_eq!(ratio_text(ratio(1.11, 1.000_02, 1.22)), "1.11× [1.00002, 1.22]");
        assert_eq!(ratio_text(ratio(0.9, 0.8, 0.999_7)), "0.900× [0.800, 0.9997]");
        assert_eq!(ratio_text(ratio(1.0, 1.0, 1.000_000_01)), "1.00× [1.00, >1]");
    }

    #[test]
    fn no_points_give_no_sentence() {
        assert_eq!(sentence(&[], "point measured"), None);
    }

    #[test]
    fn sentence_for_one_point() {
        assert_eq!(text(&[(1, LEVEL)]), "level at 1 connection, the only point measured");
        let leads = "the reactor leads at the only point measured, by 2.40× [2.20, 2.60] at 1,000";
        assert_eq!(text(&[(1000, ratio(2.4, 2.2, 2.6))]), leads);
    }

    #[test]
    fn sentence_names_the_kind_of_points() {
        let text = |points: &[PointRatio]| sentence(points, "point that has a ratio").unwrap();
        assert_eq!(text(&[(1, LEVEL)]), "level at 1 connection, the only point that has a ratio");
        assert!(text(&[(1, LEVEL), (9, LEVEL)]).starts_with("level at every point that has a ratio, from 1 to 9"));
    }

    #[test]
    fn sentence_for_equal_verdicts() {
        assert_eq!(
            text(&[(1, LEVEL), (10, LEVEL), (1000, LEVEL)]),
            "level at every point measured, from 1 to 1,000 connections"
        );
        assert_eq!(
            text(&[(1, ratio(1.2, 1.1, 1.3)), (10, ratio(3.0, 2.0, 4.0)), (100, ratio(2.4, 2.2, 2.6))]),
            "the reactor leads at every point measured, from 1 to 100 connections, by 1.20× [1.10, 1.30] at 1, \
             2.40× [2.20, 2.60] at 100"
        );
        // The margin is given from the leader's side.
        assert_eq!(
            text(&[(4, ratio(0.5, 0.4, 0.8)), (16, ratio(0.25, 0.2, 0.5))]),
            "threads lead at every point measured, from 4 to 16 connections, by 2.00× [1.25, 2.50] at 4, \
             4.00× [2.00, 5.00] at 16"
        );
    }

    #[test]
    fn a_draw_ends_where_the_interval_excludes_one() {
        // On a logarithmic scale, the lower bound is 1 half way between 0.8 at 10 and 1.25 at
        // 1,000.
        let points = [(1, LEVEL), (10, ratio(1.0, 0.8, 1.2)), (1000, ratio(2.4, 1.25, 2.6))];
        assert_eq!(
            text(&points),
            "level up to about 100 connections; from there to 1,000 connections the reactor leads, \
             by 2.40× [1.25, 2.60] at 1,000"
        );
    }

    #[test]
    fn threads_lose_their_lead_directly_or_through_a_draw() {
        let (behind, ahead) = (ratio(0.5, 0.4, 0.8), ratio(2.0, 1.5, 3.0));
        assert_eq!(
            text(&[(1, behind), (100, ahead)]),
            "threads lead up to about 10 connections, by 2.00× [1.25, 2.50] at 1; from there to 100 connections \
             the reactor leads, by 2.00× [1.50, 3.00] at 100"
        );
        assert_eq!(
            text(&[(1, behind), (4, ratio(1.0, 0.8, 1.25)), (16, ratio(2.0, 1.25, 3.0))]),
            "threads lead up to about 2 connections, by 2.00× [1.25, 2.50] at 1; level up to about 8 connections; \
             from there to 16 connections the reactor leads, by 2.00× [1.25, 3.00] at 16"
        );
    }

    #[test]
    fn the_reactor_loses_its_lead_to_a_draw() {
        assert_eq!(
            text(&[(1, ratio(2.0, 1.25, 3.0)), (100, ratio(1.0, 0.8, 1.1)), (200, LEVEL)]),
            "the reactor leads up to about 10 connections, by 2.00× [1.25, 3.00] at 1; level from there to \
             200 connections"
        );
    }

    #[test]
    fn alternating_leads_have_no_crossover() {
        let ahead = ratio(1.5, 1.2, 1.8);
        assert_eq!(
            text(&[(1, ahead), (10, LEVEL), (50, LEVEL), (100, ahead), (1000, ratio(0.5, 0.4, 0.8))]),
            "the lead changes more than once, so there is no single crossover: the reactor leads, by 1.50× [1.20, 1.80] at 1; \
             level from 10 to 50 connections; the reactor leads, by 1.50× [1.20, 1.80] at 100; \
             threads lead, by 2.00× [1.25, 2.50] at 1,000"
        );
    }

    #[test]
    fn a_crossover_lies_between_points_and_has_two_digits() {
        let points = [(1000, ratio(1.0, 0.999, 1.2)), (5000, ratio(3.0, 2.9, 3.1))];
        assert!(text(&points).starts_with("level up to about 1,000 connections;"), "{}", text(&points));
        assert_eq!(
            [1.0, 7.4, 43.21, 1234.0, 99_950.0].map(rounded),
            ["1 connection", "7 connections", "43 connections", "1,200 connections", "100,000 connections"]
        );
    }
}
