//! The arguments of `duel`, as they are typed.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use switchboard::Framing;

use crate::cli::commands::bench::args::{EchoTrafficArgs, ReportArgs};
use crate::cli::units::HumanDuration;

const LOAD: &str = "Load";
const MEASUREMENT: &str = "Measurement";

#[derive(Debug, clap::Args)]
pub(crate) struct DuelArgs {
    /// The service that both engines run
    #[arg(value_parser = PossibleValuesParser::new(["echo"]).map(|_| "echo"))]
    pub(super) service: &'static str,

    /// Numbers of connections, each a point at which both engines are measured [default:
    /// 1,10,100,1000,5000]
    #[arg(short, long, value_name = "N,N,…", value_delimiter = ',', help_heading = LOAD)]
    pub(super) connections: Vec<usize>,
    #[command(flatten)]
    pub(super) traffic: EchoTrafficArgs,
    /// Framing of the byte streams
    #[arg(long, value_name = "NAME", default_value_t = Framing::U32BE, help_heading = LOAD)]
    pub(super) framing: Framing,
    /// Processor time that the service spends on each message, in microseconds
    ///
    /// It simulates the work of a real service. The threads engine can spread it over several
    /// processors; the reactor uses one.
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = LOAD)]
    pub(super) work_us: u32,
    /// Time after which a missing answer counts as lost
    #[arg(long = "answer-timeout", value_name = "TIME", default_value = "5s", help_heading = LOAD)]
    pub(super) reply_timeout: HumanDuration,

    /// Length of the measured time of each run [default: 3s]
    #[arg(short, long, alias = "seconds", short_alias = 's', value_name = "TIME", help_heading = MEASUREMENT)]
    pub(super) duration: Option<HumanDuration>,
    /// Length of the full load before the measured time of each run [default: 500ms]
    #[arg(short, long, value_name = "TIME", help_heading = MEASUREMENT)]
    pub(super) warm_up: Option<HumanDuration>,
    /// Rounds at each point, at least two; each round measures both engines [default: 5]
    ///
    /// Six or more rounds give an interval a confidence of 95 %; fewer give it the lower confidence
    /// that the report names.
    #[arg(long, value_name = "N", help_heading = MEASUREMENT)]
    pub(super) rounds: Option<usize>,
    /// Short runs at 1, 50 and 1,000 connections, about one minute in all; other flags still apply
    #[arg(long, help_heading = MEASUREMENT)]
    pub(super) quick: bool,
    /// Let the system place servers and load, instead of giving each its own processors
    #[arg(long, help_heading = MEASUREMENT)]
    pub(super) no_pin: bool,

    #[command(flatten)]
    pub(super) report: ReportArgs,
}
