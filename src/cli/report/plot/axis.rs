//! Axes of a plot: positions of values, and the labelled ticks.

use super::super::figure::Unit;

/// An axis of a plot.
#[derive(Clone, Debug)]
pub(crate) struct Axis {
    /// Name of the quantity.
    pub(crate) name: String,
    /// Unit of its numbers.
    pub(crate) unit: Unit,
    /// Linear or logarithmic.
    pub(crate) scale: Scale,
}

/// The scale of an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// Positions are proportional to values, from zero if no value is negative.
    Linear,
    /// Positions are proportional to logarithms. Values must be above zero.
    Log,
}

/// The range and ticks of an axis, fitted to values. They are positions: on a logarithmic axis,
/// exponents of ten.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct AxisRange {
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) ticks: Vec<f64>,
}

impl Axis {
    /// Returns the position of a value; `None` if the scale has none for it.
    pub(super) fn position(&self, value: f64) -> Option<f64> {
        let position = match self.scale {
            Scale::Linear => value,
            Scale::Log if value > 0.0 => value.log10(),
            Scale::Log => return None,
        };
        position.is_finite().then_some(position)
    }

    /// Returns the label at a position.
    pub(super) fn label(&self, position: f64) -> String {
        match self.scale {
            Scale::Linear => self.unit.tick(position),
            Scale::Log => self.unit.tick(10_f64.powf(position)),
        }
    }

    /// Returns a range that contains all values; `None` without values.
    pub(super) fn range(&self, values: impl Iterator<Item = f64>) -> Option<AxisRange> {
        let positions = values.filter_map(|value| self.position(value));
        let (low, high) = positions.fold(None, |range: Option<(f64, f64)>, position| {
            Some(range.map_or((position, position), |(low, high)| (low.min(position), high.max(position))))
        })?;
        Some(match self.scale {
            Scale::Linear => linear(low.min(0.0), high),
            Scale::Log if self.unit == Unit::OneOf => percentiles(high),
            Scale::Log => logarithmic(low, high),
        })
    }
}

/// Approximate number of ticks.
const TICKS: f64 = 6.0;

fn linear(low: f64, high: f64) -> AxisRange {
    let high = if high > low { high } else { low + 1.0 };
    let rough = (high - low) / TICKS;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0].map(|digit| digit * power).into_iter().find(|step| *step >= rough * 0.999);
    let step = step.unwrap_or(10.0 * power);
    let (first, last) = ((low / step).floor(), (high / step).ceil());
    let mut ticks = vec![first * step];
    // Multiples of the step, because adding steps would add their rounding errors.
    let mut number = first;
    while number < last {
        number += 1.0;
        ticks.push(number * step);
    }
    AxisRange { low: first * step, high: last * step, ticks }
}

fn logarithmic(low: f64, high: f64) -> AxisRange {
    // Ticks at 1, 2 and 5 of each power of ten, as exponents.
    let digits = [1.0_f64, 2.0, 5.0].map(f64::log10);
    let (mut below, mut above) = (low.floor(), high.ceil());
    let all: Vec<f64> = powers_between(below, above).flat_map(|power| digits.map(|digit| power + digit)).collect();
    // Rounding puts a logarithm slightly off its tick.
    let tolerance = 1e-9;
    below = all.iter().copied().rfind(|tick| *tick <= low + tolerance).unwrap_or(below);
    above = all.iter().copied().find(|tick| *tick >= high - tolerance && *tick > below + tolerance).unwrap_or(above);
    let finest = above - below <= 2.7;
    let within = |tick: &f64| *tick >= below - tolerance && *tick <= above + tolerance;
    let powers = powers_between(low.floor(), high.ceil());
    let ticks = if finest { all } else { powers.collect() };
    AxisRange { low: below, high: above, ticks: ticks.into_iter().filter(within).collect() }
}

/// Returns the range of a percentile axis: 0 %, 50 %, 90 %, 99 %, …
fn percentiles(high: f64) -> AxisRange {
    let high = high.max(2.0);
    let ticks: Vec<f64> = [0.0, 2_f64.log10()].into_iter().chain(powers_between(1.0, high.floor())).collect();
    AxisRange { low: 0.0, high, ticks }
}

/// Returns whole exponents from `first` to `last`.
fn powers_between(first: f64, last: f64) -> impl Iterator<Item = f64> {
    std::iter::successors(Some(first), |power| Some(power + 1.0)).take_while(move |power| *power <= last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: Scale, unit: Unit, values: &[f64]) -> Vec<String> {
        let axis = Axis { name: String::new(), unit, scale };
        let range = axis.range(values.iter().copied()).unwrap();
        for value in values.iter().filter_map(|value| axis.position(*value)) {
            assert!(range.low <= value && value <= range.high + 1e-9, "{value} is outside {range:?}");
        }
        range.ticks.iter().map(|tick| axis.label(*tick)).collect()
    }

    #[test]
    fn linear_axis_starts_at_zero_with_even_steps() {
        assert_eq!(labels(Scale::Linear, Unit::Number, &[30.0, 100.0]), ["0", "20", "40", "60", "80", "100"]);
        assert_eq!(labels(Scale::Linear, Unit::Seconds, &[0.0, 5.0]), ["0 s", "1 s", "2 s", "3 s", "4 s", "5 s"]);
        assert_eq!(labels(Scale::Linear, Unit::Number, &[-1.0, 1.0]), ["-1", "-0.5", "0", "0.5", "1"]);
    }

    #[test]
    fn log_axis_has_fine_ticks_over_few_decades() {
        assert_eq!(labels(Scale::Log, Unit::Nanos, &[3e4, 4e5]), ["20 µs", "50 µs", "100 µs", "200 µs", "500 µs"]);
        assert_eq!(labels(Scale::Log, Unit::Nanos, &[1e3, 1e7]), ["1 µs", "10 µs", "100 µs", "1 ms", "10 ms"]);
        assert_eq!(labels(Scale::Log, Unit::Number, &[0.0, 100.0]), ["100", "200"]);
    }

    #[test]
    fn percentile_axis_has_nines() {
        assert_eq!(
            labels(Scale::Log, Unit::OneOf, &[1.0, 2.0, 1e4]),
            ["0 %", "50 %", "90 %", "99 %", "99.9 %", "99.99 %"]
        );
    }
}
