//! Sizes, durations and rates with units: `64k`, `1MiB`, `64..1k`, `500ms`, `30s`, `10k`. Each type
//! parses what it displays.
//!
//! Zero often means "no limit". So a value that is not zero never becomes zero: one that is too
//! small is an error.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

/// A number of bytes. Its units are powers of 1024, because it bounds memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size(pub(super) usize);

impl FromStr for Size {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let too_large = "more bytes than this machine can address";
        if ends_with_bare_e(text) {
            return Err("ambiguous: e stands for 2^60, written EiB, or for an exponent, as in 1e3: write one of these");
        }
        let bytes = parse_size::Config::new().with_binary().parse_size(text).map_err(|error| match error {
            parse_size::Error::PosOverflow => too_large,
            _ => "not a size: write bytes, or a number with k, M or G, such as 64k or 1MiB",
        })?;
        let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
        if bytes == 0 && mantissa.contains(|digit| ('1'..='9').contains(&digit)) {
            return Err("less than one byte: write at least 1, or 0");
        }
        usize::try_from(bytes).map(Self).map_err(|_| too_large)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
        match units.iter().find(|(_, bytes)| self.0 > 0 && self.0.is_multiple_of(*bytes)) {
            Some((unit, bytes)) => write!(f, "{}{unit}", self.0 / bytes),
            None => self.0.fmt(f),
        }
    }
}

/// An inclusive range of sizes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SizeRange(pub(super) RangeInclusive<usize>);

impl FromStr for SizeRange {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (low, high) = text.split_once("..").or_else(|| text.split_once('-')).unwrap_or((text, text));
        let (Size(low), Size(high)) = (low.trim().parse()?, high.trim().parse()?);
        if low > high {
            return Err("a range begins with the smaller size, as in 64..1k");
        }
        Ok(Self(low..=high))
    }
}

impl fmt::Display for SizeRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (low, high) = (Size(*self.0.start()), Size(*self.0.end()));
        if low == high { low.fmt(f) } else { write!(f, "{low}..{high}") }
    }
}

/// Events per second. Its units are powers of 1000.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rate(pub(super) f64);

impl FromStr for Rate {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.trim().trim_end_matches("/s").trim_end();
        let units = [("k", 1e3), ("K", 1e3), ("M", 1e6), ("G", 1e9)];
        let unit = units.iter().find_map(|(unit, factor)| Some((number.strip_suffix(unit)?, *factor)));
        let (digits, factor) = unit.unwrap_or((number, 1.0));
        let rate = digits.trim_end().parse::<f64>().ok().map(|number| number * factor);
        let sane = rate.filter(|rate| rate.is_finite() && *rate > 0.0);
        sane.map(Self).ok_or("not a rate: write a number per second, plain or with k or M, such as 500 or 10k")
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A length of time. A number without a unit is in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HumanDuration(pub(super) Duration);

impl HumanDuration {
    /// The longest length: 100 years. A longer one is parsed as this one, which no run can tell
    /// apart, so that sums of points in time and durations stay far from the end of their types.
    const MAX: Duration = Duration::from_secs(100 * 31_557_600);
}

impl FromStr for HumanDuration {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if ends_with_bare_e(text) {
            return Err("ambiguous: e is an exponent, as in 1e3, or the prefix exa: write a number with its unit");
        }
        let is_bare = !text.is_empty() && text.chars().all(|character| character.is_ascii_digit() || character == '.');
        let total = if is_bare {
            parse_term(&format!("{text}s"))?
        } else {
            // Each term by itself: the sum of humantime 2.4 panics at the end of its range.
            let mut sum = Duration::ZERO;
            for term in terms(text) {
                sum = sum.saturating_add(parse_term(term)?);
            }
            sum
        };
        if text.is_empty() { Err(NOT_A_DURATION) } else { Ok(Self(total.min(Self::MAX))) }
    }
}

const NOT_A_DURATION: &str = "not a duration: write seconds, or a number with its unit, such as 500ms, 30s or 2min";

/// Returns the terms of a duration, such as `1h` and `30m` of `1h 30m`.
fn terms(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let unit = rest.find(char::is_alphabetic).unwrap_or(rest.len());
        let (_, from_unit) = rest.split_at(unit);
        let end = from_unit.find(|next: char| next.is_ascii_digit()).map_or(rest.len(), |digit| unit + digit);
        let (term, after) = rest.split_at(end);
        rest = after;
        Some(term.trim())
    })
}

/// Parses one number with its unit.
fn parse_term(term: &str) -> Result<Duration, &'static str> {
    if term.ends_with('M') {
        return Err("ambiguous: M stands for a month or a minute: write month or min");
    }
    let zero = if term.starts_with('.') { "0" } else { "" };
    humantime::parse_duration(&format!("{zero}{term}")).map_err(|error| match error {
        humantime::DurationError::NumberOverflow => "too long, or finer than a nanosecond",
        _ => NOT_A_DURATION,
    })
}

/// Returns true if `text` is a number followed by `e` only.
fn ends_with_bare_e(text: &str) -> bool {
    let number = text.trim_end().strip_suffix(['e', 'E']).map(str::trim_end);
    number.is_some_and(|number| number.ends_with(|last: char| last.is_ascii_digit()))
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Duration::ZERO => f.write_str("0"),
            length => humantime::format_duration(length).fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_1024() {
        for (text, bytes) in [
            ("0", 0),
            ("1000", 1000),
            ("64k", 65_536),
            ("64K", 65_536),
            ("64kB", 65_536),
            ("64KiB", 65_536),
            ("1MiB", 1 << 20),
            ("1m", 1 << 20),
            ("1.5 MiB", 3 << 19),
            ("2G", 2 << 30),
        ] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
        for text in ["", "k", "ten", "1x", "-1", "0x10"] {
            assert!(text.parse::<Size>().unwrap_err().starts_with("not a size"), "{text}");
        }
        for text in ["99999999999999999999", "16EiB", "1e30"] {
            assert!(text.parse::<Size>().unwrap_err().starts_with("more bytes"), "{text}");
        }
    }

    #[test]
    fn small_values_are_no_zero() {
        for text in ["0.4", "1e-1", "0.0001k", "9e-30", ".1"] {
            let error = text.parse::<Size>().unwrap_err();
            assert!(error.starts_with("less than one byte") || error.starts_with("not a size"), "{text}: {error}");
        }
        for text in ["0", "0.0", "0k", "0e5", "0 MiB"] {
            assert_eq!(text.parse(), Ok(Size(0)), "{text}");
        }
        for text in ["0.4ns", "0.0000000001", "0.0000000001s", "0.0001us"] {
            assert!(text.parse::<HumanDuration>().unwrap_err().contains("finer than a nanosecond"), "{text}");
        }
        assert!("1e-400".parse::<Rate>().is_err());
    }

    #[test]
    fn ambiguous_units_are_refused_with_both_readings() {
        for text in ["1e", "1E", "16E", "2.5 e"] {
            let error = text.parse::<Size>().unwrap_err();
            assert!(error.contains("ambiguous") && error.contains("EiB") && error.contains("1e3"), "{text}: {error}");
            let error = text.parse::<HumanDuration>().unwrap_err();
            assert!(
                error.contains("ambiguous") && error.contains("exponent") && error.contains("exa"),
                "{text}: {error}"
            );
        }
        for text in ["1M", "1 M", "1.5M", "1h 5M", "5M 1s"] {
            let error = text.parse::<HumanDuration>().unwrap_err();
            assert!(error.contains("ambiguous") && error.contains("month or min"), "{text}: {error}");
        }
        assert_eq!("1e3".parse(), Ok(Size(1000)));
        assert_eq!("1EiB".parse(), Ok(Size(1 << 60)));
        assert_eq!("1M".parse(), Ok(Size(1 << 20)), "the units of sizes are documented");
    }

    #[test]
    fn long_durations_are_bounded() {
        for text in [
            "585y",
            "300000000000y",
            "18446744073709551615s 999999999ns",
            "18446744073709551615s 999999999ns 1ns",
            "18446744073709551615s 1000000000ns",
            "18446744073709551615",
            "18446744073709551615s 18446744073709551615s",
        ] {
            assert_eq!(text.parse(), Ok(HumanDuration(HumanDuration::MAX)), "{text}");
        }
        assert_eq!(HumanDuration::MAX.checked_mul(5).map(|long| long.as_nanos() < u64::MAX.into()), Some(true));
        assert_eq!(HumanDuration(HumanDuration::MAX).to_string().parse(), Ok(HumanDuration(HumanDuration::MAX)));
        for text in ["18446744073709551616s", "99999999999999999999"] {
            assert!(text.parse::<HumanDuration>().unwrap_err().starts_with("too long"), "{text}");
        }
    }

    #[test]
    fn size_range_has_one_or_two_bounds() {
        for (text, range) in [("64", 64..=64), ("64..1k", 64..=1024), ("64-1k", 64..=1024), ("0 .. 2KiB", 0..=2048)] {
            assert_eq!(text.parse(), Ok(SizeRange(range)), "{text}");
        }
        for text in ["", "..", "1..", "..1", "1-2-3", "1...2"] {
            assert!(text.parse::<SizeRange>().unwrap_err().starts_with("not a size"), "{text}");
        }
        assert!("2..1".parse::<SizeRange>().unwrap_err().starts_with("a range begins with the smaller"));
    }

    #[test]
    fn rates_are_powers_of_1000() {
        for (text, rate) in [("500", 500.0), ("10k", 1e4), ("2.5 M", 2.5e6), ("0.5", 0.5), ("10k/s", 1e4)] {
            assert_eq!(text.parse(), Ok(Rate(rate)), "{text}");
        }
        for text in ["", "k", "fast", "0", "-1", "inf", "NaN", "1kk", "1e999"] {
            assert!(text.parse::<Rate>().unwrap_err().starts_with("not a rate"), "{text}");
        }
    }

    #[test]
    fn durations_have_units_or_are_seconds() {
        for (text, millis) in [
            ("0", 0),
            ("0s", 0),
            ("5", 5_000),
            (" 5 ", 5_000),
            ("0.25", 250),
            (".25", 250),
            (".5s", 500),
            ("500ms", 500),
            ("1.5s", 1_500),
            ("30s", 30_000),
            ("2min", 120_000),
            ("1h 30m", 5_400_000),
            ("1h30m1s", 5_401_000),
            ("5 minutes", 300_000),
            ("1month", 2_630_016_000),
        ] {
            assert_eq!(text.parse(), Ok(HumanDuration(Duration::from_millis(millis))), "{text}");
        }
        for text in ["", " ", "s", "soon", "5 parsecs", "-1s", "-1", "1;2", "1h 30", "1.2.3", ".", "5.", "1e3", "µ"] {
            assert!(text.parse::<HumanDuration>().unwrap_err().starts_with("not a duration"), "{text}");
        }
        assert!("99999999999999999999s".parse::<HumanDuration>().unwrap_err().starts_with("too long"));
    }

    #[test]
    fn displayed_values_parse_back() {
        for (bytes, text) in
            [(0, "0"), (1, "1"), (1000, "1000"), (1 << 10, "1KiB"), (3 << 19, "1536KiB"), (1 << 30, "1GiB")]
        {
            assert_eq!(Size(bytes).to_string(), text);
            assert_eq!(text.parse(), Ok(Size(bytes)));
        }
        for (millis, text) in [(0, "0"), (500, "500ms"), (30_000, "30s"), (90_000, "1m 30s")] {
            assert_eq!(HumanDuration(Duration::from_millis(millis)).to_string(), text);
            assert_eq!(text.parse(), Ok(HumanDuration(Duration::from_millis(millis))));
        }
        for (range, text) in [(64..=64, "64"), (64..=1024, "64..1KiB")] {
            assert_eq!(SizeRange(range.clone()).to_string(), text);
            assert_eq!(text.parse(), Ok(SizeRange(range)));
        }
    }
}
