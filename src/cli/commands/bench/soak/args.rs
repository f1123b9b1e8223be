//! The arguments of `bench soak`.

use std::time::Duration;

use crate::cli::commands::bench::args::ReportArgs;
use crate::cli::engine::EngineName;

/// The longest soak: 30 days.
const MAX_MINUTES: f64 = 43_200.0;

#[derive(Debug, clap::Args)]
pub(crate) struct BenchSoakArgs {
    /// Length of the load in minutes, such as 10 or 0.5
    #[arg(short, long, value_name = "N", default_value = "10", value_parser = parse_minutes)]
    pub(super) minutes: f64,
    /// Engine of the server that is started
    #[arg(long, value_name = "NAME", value_enum, default_value_t)]
    pub(super) engine: EngineName,
    /// Seed of the clients' choices: equal seeds choose the same, at other times
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) seed: u64,
    #[command(flatten)]
    pub(super) report: ReportArgs,
}

impl BenchSoakArgs {
    pub(super) fn length(&self) -> Duration {
        Duration::from_secs_f64(self.minutes * 60.0)
    }
}

fn parse_minutes(text: &str) -> Result<f64, String> {
    let minutes = text.parse().ok().filter(|minutes: &f64| *minutes > 0.0 && *minutes <= MAX_MINUTES);
    minutes.ok_or_else(|| format!("write a number of minutes above 0, at most {MAX_MINUTES}, such as 10 or 0.5"))
}
