//! Numbers for readers: three significant digits and a unit.

use std::time::Duration;

use indicatif::HumanCount;

/// Units with their size in base units, the largest first.
type Units = [(f64, &'static str)];

const TIMES: &Units = &[(1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns")];
const BYTES: &Units = &[(1_073_741_824.0, "GiB"), (1_048_576.0, "MiB"), (1024.0, "KiB"), (1.0, "B")];
const COUNTS: &Units = &[(1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, "")];

/// Formats nanoseconds: `812 ns`, `12.3 µs`, `1.20 s`.
pub(crate) fn nanos(nanos: f64) -> String {
    scaled(nanos, TIMES)
}

/// Formats a whole number of nanoseconds.
pub(crate) fn nanos_of(count: u64) -> String {
    nanos(float(count))
}

/// Converts a count for arithmetic. Counts above 2^53 lose digits, far below the precision of a
/// measurement.
#[expect(clippy::cast_precision_loss, reason = "see above")]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}

/// Formats a duration from the arguments, without trailing zeros: `5 s`, `1.5 s`.
pub(crate) fn short_time(length: Duration) -> String {
    trimmed(length.as_secs_f64() * 1e9, TIMES)
}

/// Formats a measured duration.
pub(crate) fn time(length: Duration) -> String {
    nanos(length.as_secs_f64() * 1e9)
}

/// Formats a number of bytes in powers of 1024: `64 B`, `12.3 MiB`.
pub(crate) fn bytes(bytes: f64) -> String {
    scaled(bytes, BYTES)
}

/// Formats a size from the arguments, without trailing zeros: `64 B`, `1.5 MiB`.
pub(crate) fn short_bytes(bytes: usize) -> String {
    if bytes == 0 { "0 B".to_owned() } else { trimmed(float(bytes as u64), BYTES) }
}

/// Formats a whole number: `1,234,567`.
pub(crate) fn count(count: u64) -> String {
    HumanCount(count).to_string()
}

/// Formats a number of things: `1 answer`, `1,234 answers`.
pub(crate) fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// Formats a number from the arguments, without trailing zeros: `1`, `0.5`, `10,000`.
pub(crate) fn short_number(value: f64) -> String {
    if value < 999.5 { plain(value) } else { number(value) }
}

/// Formats a rate per second with all digits before the point: `123,456 /s`.
pub(crate) fn rate(per_second: f64) -> String {
    format!("{} /s", number(per_second))
}

/// Formats a rate rounded to three significant digits: `550,000 /s`.
pub(crate) fn rough_rate(per_second: f64) -> String {
    let unit = 10_f64.powf((per_second.log10() - 2.0).floor()).max(f64::MIN_POSITIVE);
    rate((per_second / unit).round() * unit)
}

/// Formats a number with three significant digits, or with all digits before the point.
pub(crate) fn number(value: f64) -> String {
    if value.abs() < 999.5 {
        return digits(value);
    }
    let whole = value.abs().round();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rounded, and a cast saturates")]
    let whole = count(whole as u64);
    if value < 0.0 { format!("-{whole}") } else { whole }
}

/// Formats a fraction from 0 to 1 as a percentage: `97 %`, `3.4 %`.
pub(crate) fn percent(fraction: f64) -> String {
    let percent = fraction * 100.0;
    if percent.abs() < 9.95 && percent != 0.0 { format!("{percent:.1} %") } else { format!("{percent:.0} %") }
}

/// The unit of the numbers along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// A plain number: `0`, `50 k`, `1.5 M`.
    Number,
    /// Nanoseconds.
    Nanos,
    /// Seconds.
    Seconds,
    /// A percentile, as the N of "one in N is worse": 2 is the median, 100 the 99th percentile.
    OneOf,
}

impl Unit {
    /// Formats the number at a tick of an axis, without trailing zeros.
    pub(crate) fn tick(self, value: f64) -> String {
        match self {
            Self::Number => trimmed(value, COUNTS),
            Self::Nanos => trimmed(value, TIMES),
            Self::Seconds => format!("{} s", plain(value)),
            Self::OneOf => format!("{} %", plain(100.0 - 100.0 / value)),
        }
    }
}

/// Formats a value in the fitting unit with three significant digits.
fn scaled(value: f64, units: &Units) -> String {
    let (scaled, unit) = in_unit(value, units);
    // A measured value is a whole number of the smallest unit. Only a mean has a fraction.
    let smallest = units.last().is_some_and(|(_, name)| *name == unit);
    let number = if smallest && value.fract() == 0.0 { value.to_string() } else { digits(scaled) };
    format!("{number} {unit}")
}

/// Formats a value in the fitting unit without trailing zeros.
fn trimmed(value: f64, units: &Units) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let (scaled, unit) = in_unit(value, units);
    format!("{} {unit}", plain(scaled)).trim_end().to_owned()
}

/// Returns the value in the largest unit in which it is at least 1 after rounding to three digits,
/// and the unit's name.
fn in_unit(value: f64, units: &Units) -> (f64, &'static str) {
    // Zero takes the smallest unit.
    let fits = |(size, _): &&(f64, &str)| value.abs() >= size * 0.9995;
    let (size, unit) = units.iter().find(fits).or(units.last()).copied().unwrap_or((1.0, ""));
    (value / size, unit)
}

/// Formats a value with three significant digits.
fn digits(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        ..0.0005 => "<0.001".to_owned(),
        ..0.9995 => format!("{value:.3}"),
        ..9.995 => format!("{value:.2}"),
        ..99.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// Formats a value with up to four digits after the point and without trailing zeros. Further
/// digits are rounding errors.
fn plain(value: f64) -> String {
    let text = format!("{value:.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_three_digits_and_a_fitting_unit() {
        for (value, text) in [
            (0.0, "0 ns"),
            (7.0, "7 ns"),
            (0.5, "0.500 ns"),
            (812.0, "812 ns"),
            (999.7, "1.00 µs"),
            (1_000.0, "1.00 µs"),
            (12_345.0, "12.3 µs"),
            (99_960.0, "100 µs"),
            (1_234_567.0, "1.23 ms"),
            (2e9, "2.00 s"),
            (3_600e9, "3600 s"),
        ] {
            assert_eq!(nanos(value), text);
        }
        assert_eq!((short_bytes(0), short_bytes(64), short_bytes(4096)), ("0 B".into(), "64 B".into(), "4 KiB".into()));
        assert_eq!(short_time(Duration::from_millis(1500)), "1.5 s");
        assert_eq!(bytes(64.0), "64 B");
        assert_eq!(bytes(1536.0), "1.50 KiB");
        assert_eq!(bytes(-2048.0), "-2.00 KiB");
        assert_eq!(time(Duration::from_millis(5)), "5.00 ms");
        assert_eq!((count(0), count(1_234_567)), ("0".to_owned(), "1,234,567".to_owned()));
        assert_eq!((counted(1, "id", "ids"), counted(1_000, "id", "ids")), ("1 id".into(), "1,000 ids".into()));
        assert_eq!(
            (short_number(1.0), short_number(0.5), short_number(1e4)),
            ("1".into(), "0.5".into(), "10,000".into())
        );
        assert_eq!((rate(12.34), rate(123_456.7)), ("12.3 /s".to_owned(), "123,457 /s".to_owned()));
        assert_eq!((rough_rate(549_958.0), rough_rate(12.34)), ("550,000 /s".to_owned(), "12.3 /s".to_owned()));
        assert_eq!((number(0.000_3), number(0.000_7)), ("<0.001".to_owned(), "0.001".to_owned()));
        assert_eq!((percent(0.0), percent(0.034), percent(0.9712)), ("0 %".into(), "3.4 %".into(), "97 %".into()));
    }

    #[test]
    fn ticks_have_no_trailing_zeros() {
        for (unit, value, text) in [
            (Unit::Number, 0.0, "0"),
            (Unit::Number, 50_000.0, "50 k"),
            (Unit::Number, 2.5, "2.5"),
            (Unit::Nanos, 200_000.0, "200 µs"),
            (Unit::Nanos, 1e6, "1 ms"),
            (Unit::Nanos, 0.0, "0"),
            (Unit::Seconds, 0.5, "0.5 s"),
            (Unit::Seconds, 3.0, "3 s"),
            (Unit::OneOf, 1.0, "0 %"),
            (Unit::OneOf, 2.0, "50 %"),
            (Unit::OneOf, 100.0, "99 %"),
            (Unit::OneOf, 10_000.0, "99.99 %"),
        ] {
            assert_eq!(unit.tick(value), text);
        }
    }
}
