//! Sizes, durations and rates with units: `64k`, `1MiB`, `64..1k`, `500ms`, `30s`, `10k`. Each type
//! parses what it displays.

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
        let bytes = parse_size::Config::new().with_binary().parse_size(text).map_err(|error| match error {
            parse_size::Error::PosOverflow => too_large,
            _ => "not a size: write bytes, or a number with k, M or G, such as 64k or 1MiB",
        })?;
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

/// A length of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HumanDuration(pub(super) Duration);

impl FromStr for HumanDuration {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        humantime::parse_duration(text).map(Self).map_err(|error| match error {
            humantime::DurationError::NumberOverflow => "too long, or finer than a nanosecond",
            _ => "not a duration: write a number with its unit, such as 500ms, 30s or 2min, or 0",
        })
    }
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
        for text in ["99999999999999999999", "16E"] {
            assert!(text.parse::<Size>().unwrap_err().starts_with("more bytes"), "{text}");
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
    fn durations_need_a_unit_except_zero() {
        for (text, millis) in
            [("0", 0), ("0s", 0), ("500ms", 500), ("30s", 30_000), ("2min", 120_000), ("1h 30m", 5_400_000)]
        {
            assert_eq!(text.parse(), Ok(HumanDuration(Duration::from_millis(millis))), "{text}");
        }
        for text in ["", "30", "s", "soon", "5 parsecs", "-1s", "1;2"] {
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
