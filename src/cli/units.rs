//! Sizes and durations as people write them: `64k`, `1MiB`, `500ms`, `30s`. Each is displayed in a form that it also reads.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A number of bytes. All its units are powers of 1024, because what it bounds is memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size(pub(super) usize);

impl FromStr for Size {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let too_large = "more bytes than this machine can count";
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

/// A length of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span(pub(super) Duration);

impl FromStr for Span {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        humantime::parse_duration(text).map(Self).map_err(|error| match error {
            humantime::DurationError::NumberOverflow => "longer, or finer, than can be counted",
            _ => "not a duration: write a number with its unit, such as 500ms, 30s or 2min, or 0",
        })
    }
}

impl fmt::Display for Span {
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
    fn durations_need_a_unit_unless_they_are_nothing() {
        for (text, millis) in
            [("0", 0), ("0s", 0), ("500ms", 500), ("30s", 30_000), ("2min", 120_000), ("1h 30m", 5_400_000)]
        {
            assert_eq!(text.parse(), Ok(Span(Duration::from_millis(millis))), "{text}");
        }
        for text in ["", "30", "s", "soon", "5 parsecs", "-1s", "1;2"] {
            assert!(text.parse::<Span>().unwrap_err().starts_with("not a duration"), "{text}");
        }
        assert!("99999999999999999999s".parse::<Span>().unwrap_err().starts_with("longer"));
    }

    #[test]
    fn what_is_displayed_is_read_again() {
        for (bytes, text) in
            [(0, "0"), (1, "1"), (1000, "1000"), (1 << 10, "1KiB"), (3 << 19, "1536KiB"), (1 << 30, "1GiB")]
        {
            assert_eq!(Size(bytes).to_string(), text);
            assert_eq!(text.parse(), Ok(Size(bytes)));
        }
        for (millis, text) in [(0, "0"), (500, "500ms"), (30_000, "30s"), (90_000, "1m 30s")] {
            assert_eq!(Span(Duration::from_millis(millis)).to_string(), text);
            assert_eq!(text.parse(), Ok(Span(Duration::from_millis(millis))));
        }
    }
}
