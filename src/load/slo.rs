//! Service level objectives: a bound on a latency quantile, written as `p99<5ms`, `p99.9<20ms` or
//! `max<1s`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::outcome::LoadOutcome;

/// A service level objective: a quantile of the latency and its bound.
///
/// ```
/// use std::time::Duration;
/// use switchboard::load::Slo;
/// let slo: Slo = "p99<5ms".parse()?;
/// assert_eq!(slo, Slo { quantile: 0.99, below: Duration::from_millis(5) });
/// # Ok::<(), switchboard::load::ParseSloError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slo {
    /// The quantile, from 0 to 1; 1 is the maximum.
    pub quantile: f64,
    /// The bound; the quantile must be lower.
    pub below: Duration,
}

impl Slo {
    /// Returns the objective's quantile of a measured latency.
    pub fn measured<W>(&self, outcome: &LoadOutcome<W>) -> Duration {
        Duration::from_nanos(outcome.latency.value_at_quantile(self.quantile))
    }

    /// Returns true if the measured latency meets the objective; false if nothing was measured.
    pub fn holds<W>(&self, outcome: &LoadOutcome<W>) -> bool {
        !outcome.latency.is_empty() && self.measured(outcome) < self.below
    }
}

/// The error of a text that is not a service level objective.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseSloError;

impl fmt::Display for ParseSloError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an objective: write a quantile and its bound, such as p99<5ms, p99.9<20ms or max<1s")
    }
}

impl std::error::Error for ParseSloError {}

impl FromStr for Slo {
    type Err = ParseSloError;

    fn from_str(text: &str) -> Result<Self, ParseSloError> {
        let (quantile, below) = text.split_once('<').ok_or(ParseSloError)?;
        let below = humantime::parse_duration(below.trim()).map_err(|_| ParseSloError)?;
        let quantile = match quantile.trim() {
            "max" => 1.0,
            percent => {
                let digits =
                    percent.strip_prefix('p').filter(|digits| digits.starts_with(|c: char| c.is_ascii_digit()));
                digits.and_then(|digits| digits.parse::<f64>().ok()).ok_or(ParseSloError)? / 100.0
            }
        };
        if (0.0..=1.0).contains(&quantile) && !below.is_zero() {
            Ok(Self { quantile, below })
        } else {
            Err(ParseSloError)
        }
    }
}

impl fmt::Display for Slo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.quantile >= 1.0 {
            f.write_str("max")?;
        } else {
            // Rounded, because the division by 100 leaves digits such as 99.9000000001.
            write!(f, "p{}", (self.quantile * 1e8).round() / 1e6)?;
        }
        write!(f, "<{}", humantime::format_duration(self.below).to_string().replace(' ', ""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_slo_parses_and_displays() {
        for (text, quantile, below, shown) in [
            ("p99<5ms", 0.99, Duration::from_millis(5), "p99<5ms"),
            ("p50<1ms", 0.5, Duration::from_millis(1), "p50<1ms"),
            ("p99.9<20ms", 0.999, Duration::from_millis(20), "p99.9<20ms"),
            ("p99.99 < 250us", 0.9999, Duration::from_micros(250), "p99.99<250us"),
            ("max<1s 500ms", 1.0, Duration::from_millis(1500), "max<1s500ms"),
            ("p100<1s", 1.0, Duration::from_secs(1), "max<1s"),
        ] {
            let slo: Slo = text.parse().unwrap();
            assert!((slo.quantile - quantile).abs() < 1e-9, "{text}");
            assert_eq!((slo.below, slo.to_string().as_str()), (below, shown));
            assert_eq!(shown.parse::<Slo>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn invalid_slos_are_rejected() {
        for text in [
            "", "p99", "5ms", "p99<", "<5ms", "p<5ms", "p101<5ms", "p-1<5ms", "pinf<1s", "p99<5", "p99>5ms", "min<1s",
            "p99<0s",
        ] {
            assert_eq!(text.parse::<Slo>(), Err(ParseSloError), "{text}");
        }
    }
}
