//! What was typed after `duel`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use switchboard::Framing;

use crate::cli::units::{HumanDuration, Rate, SizeRange};

const LOAD: &str = "Load";
const MEASUREMENT: &str = "Measurement";
const RESULT: &str = "Result";

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct DuelArgs {
    /// The service that both engines run
    #[arg(value_parser = PossibleValuesParser::new(["echo"]).map(|_| "echo"))]
    pub(super) service: &'static str,

    /// Connections, a list: each number is a point at which both engines are measured [default: 1,10,100,1000,5000]
    #[arg(short, long, value_name = "N,N,…", value_delimiter = ',', help_heading = LOAD)]
    pub(super) connections: Vec<usize>,
    /// Payload of a message, or a range from which each is drawn: 64, 64..1k
    #[arg(short, long, value_name = "SIZE", default_value_t = SizeRange(64..=64), help_heading = LOAD)]
    pub(super) payload: SizeRange,
    /// Closed loop: messages under way on each connection; the next is sent when an answer comes [default: 1]
    #[arg(short = 'n', long, value_name = "N", conflicts_with = "rate", help_heading = LOAD)]
    pub(super) in_flight: Option<usize>,
    /// Open loop: messages a second over all connections, whether or not answers come, as in 10k
    ///
    /// Throughput is then what was asked for, and says nothing; latency and processor time do.
    #[arg(short, long, value_name = "RATE", help_heading = LOAD)]
    pub(super) rate: Option<Rate>,
    /// How byte streams are cut into frames
    #[arg(long, value_name = "NAME", default_value_t = Framing::U32BE, help_heading = LOAD)]
    pub(super) framing: Framing,
    /// Processor time that the service burns on each message, in microseconds
    ///
    /// It stands for what a service does besides moving bytes. Threads can do it on several processors, the reactor on one.
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = LOAD)]
    pub(super) work_us: u32,

    /// How long each run counts, in seconds [default: 3]
    #[arg(short, long, value_name = "S", help_heading = MEASUREMENT)]
    pub(super) seconds: Option<Seconds>,
    /// How long the load of each run is on before it counts [default: 500ms]
    #[arg(short, long, value_name = "TIME", help_heading = MEASUREMENT)]
    pub(super) warm_up: Option<HumanDuration>,
    /// How often each point is measured, both engines each time, at least twice [default: 5]
    ///
    /// With six or more an interval is sure to 95 %; with fewer it is as sure as the report says.
    #[arg(long, value_name = "N", help_heading = MEASUREMENT)]
    pub(super) rounds: Option<usize>,
    /// A taste in about a minute: 1, 50 and 1,000 connections, short runs; other flags still count
    #[arg(long, help_heading = MEASUREMENT)]
    pub(super) quick: bool,
    /// Let the system place servers and load, instead of each on processors of its own
    #[arg(long, help_heading = MEASUREMENT)]
    pub(super) no_pin: bool,

    /// Print everything as JSON, each run included, instead of a table
    #[arg(long, help_heading = RESULT)]
    pub(super) json: bool,
    /// Write a report with plots, one page that needs nothing else
    #[arg(long, value_name = "FILE", help_heading = RESULT)]
    pub(super) html: Option<PathBuf>,
}

/// A number of seconds that need not be whole.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Seconds(pub(super) f64);

impl FromStr for Seconds {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let seconds = text.strip_suffix('s').unwrap_or(text).parse::<f64>().ok();
        let sane = seconds.filter(|seconds| (0.01..=86_400.0).contains(seconds));
        sane.map(Self).ok_or("not a number of seconds: write one from 0.01 to 86400, such as 3 or 0.5")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_a_number() {
        for (text, seconds) in [("3", 3.0), ("0.1", 0.1), ("2s", 2.0)] {
            assert_eq!(text.parse(), Ok(Seconds(seconds)), "{text}");
        }
        for text in ["", "s", "-1", "0", "soon", "NaN", "inf", "1e9", "1m"] {
            assert!(text.parse::<Seconds>().is_err(), "{text}");
        }
    }
}
