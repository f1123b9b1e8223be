//! What stands along an edge of a plot: where values are placed, and which of them are labelled.

use super::super::figure::Unit;

/// An axis.
#[derive(Clone, Debug)]
pub(crate) struct Axis {
    /// What is along it.
    pub(crate) name: String,
    /// What its numbers are.
    pub(crate) unit: Unit,
    /// How they are placed.
    pub(crate) scale: Scale,
}

/// How values are placed along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// By their size, from zero if none is negative.
    Linear,
    /// By their logarithm. What is not above zero has no place.
    Log,
}

/// An axis fitted to values. All of it is in places, not in values: on a logarithmic axis, in powers of ten.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ruler {
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) ticks: Vec<f64>,
}

impl Axis {
    /// Where a value is, if it has a place.
    pub(super) fn place(&self, value: f64) -> Option<f64> {
        let place = match self.scale {
            Scale::Linear => value,
            Scale::Log if value > 0.0 => value.log10(),
            Scale::Log => return None,
        };
        place.is_finite().then_some(place)
    }

    /// What is written at a place.
    pub(super) fn label(&self, place: f64) -> String {
        match self.scale {
            Scale::Linear => self.unit.tick(place),
            Scale::Log => self.unit.tick(10_f64.powf(place)),
        }
    }

    /// A ruler along which all the values have a place; none if there are no values.
    pub(super) fn ruler(&self, values: impl Iterator<Item = f64>) -> Option<Ruler> {
        let places = values.filter_map(|value| self.place(value));
        let (low, high) = places.fold(None, |reach: Option<(f64, f64)>, place| {
            Some(reach.map_or((place, place), |(low, high)| (low.min(place), high.max(place))))
        })?;
        Some(match self.scale {
            Scale::Linear => linear(low.min(0.0), high),
            Scale::Log if self.unit == Unit::OneOf => percentiles(high),
            Scale::Log => logarithmic(low, high),
        })
    }
}

/// About this many labels are easily read.
const TICKS: f64 = 6.0;

fn linear(low: f64, high: f64) -> Ruler {
    let high = if high > low { high } else { low + 1.0 };
    let rough = (high - low) / TICKS;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0].map(|digit| digit * power).into_iter().find(|step| *step >= rough * 0.999);
    let step = step.unwrap_or(10.0 * power);
    let (first, last) = ((low / step).floor(), (high / step).ceil());
    let mut ticks = vec![first * step];
    // It counts steps, because adding them up would add up their errors.
    let mut number = first;
    while number < last {
        number += 1.0;
        ticks.push(number * step);
    }
    Ruler { low: first * step, high: last * step, ticks }
}

fn logarithmic(low: f64, high: f64) -> Ruler {
    // From one of these to another: in powers of ten.
    let digits = [1.0_f64, 2.0, 5.0].map(f64::log10);
    let (mut below, mut above) = (low.floor(), high.ceil());
    let all: Vec<f64> = around(below, above).flat_map(|power| digits.map(|digit| power + digit)).collect();
    // Values that came from a logarithm are a hair off their tick.
    let hair = 1e-9;
    below = all.iter().copied().rfind(|tick| *tick <= low + hair).unwrap_or(below);
    above = all.iter().copied().find(|tick| *tick >= high - hair && *tick > below + hair).unwrap_or(above);
    let finest = above - below <= 2.7;
    let within = |tick: &f64| *tick >= below - hair && *tick <= above + hair;
    let powers = around(low.floor(), high.ceil());
    let ticks = if finest { all } else { powers.collect() };
    Ruler { low: below, high: above, ticks: ticks.into_iter().filter(within).collect() }
}

/// From nothing to all but one of so many: 0 %, 50 %, 90 %, 99 %, …
fn percentiles(high: f64) -> Ruler {
    let high = high.max(2.0);
    let ticks: Vec<f64> = [0.0, 2_f64.log10()].into_iter().chain(around(1.0, high.floor())).collect();
    Ruler { low: 0.0, high, ticks }
}

/// Whole powers, from the first to the last.
fn around(first: f64, last: f64) -> impl Iterator<Item = f64> {
    std::iter::successors(Some(first), |power| Some(power + 1.0)).take_while(move |power| *power <= last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: Scale, unit: Unit, values: &[f64]) -> Vec<String> {
        let axis = Axis { name: String::new(), unit, scale };
        let ruler = axis.ruler(values.iter().copied()).unwrap();
        for value in values.iter().filter_map(|value| axis.place(*value)) {
            assert!(ruler.low <= value && value <= ruler.high + 1e-9, "{value} lies beyond {ruler:?}");
        }
        ruler.ticks.iter().map(|tick| axis.label(*tick)).collect()
    }

    #[test]
    fn a_linear_axis_begins_at_zero_and_steps_evenly() {
        assert_eq!(labels(Scale::Linear, Unit::Number, &[30.0, 100.0]), ["0", "20", "40", "60", "80", "100"]);
        assert_eq!(labels(Scale::Linear, Unit::Seconds, &[0.0, 5.0]), ["0 s", "1 s", "2 s", "3 s", "4 s", "5 s"]);
        assert_eq!(labels(Scale::Linear, Unit::Number, &[-1.0, 1.0]), ["-1", "-0.5", "0", "0.5", "1"]);
    }

    #[test]
    fn a_logarithmic_axis_has_fine_ticks_only_where_there_is_room() {
        assert_eq!(labels(Scale::Log, Unit::Nanos, &[3e4, 4e5]), ["20 µs", "50 µs", "100 µs", "200 µs", "500 µs"]);
        assert_eq!(labels(Scale::Log, Unit::Nanos, &[1e3, 1e7]), ["1 µs", "10 µs", "100 µs", "1 ms", "10 ms"]);
        assert_eq!(labels(Scale::Log, Unit::Number, &[0.0, 100.0]), ["100", "200"]);
    }

    #[test]
    fn an_axis_of_percentiles_counts_nines() {
        assert_eq!(
            labels(Scale::Log, Unit::OneOf, &[1.0, 2.0, 1e4]),
            ["0 %", "50 %", "90 %", "99 %", "99.9 %", "99.99 %"]
        );
    }
}
