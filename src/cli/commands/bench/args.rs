//! The arguments of `bench`, as they are typed.

use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;
use switchboard::Framing;
use switchboard::load::{Activity, Slo};

use crate::cli::engine::EngineName;
use crate::cli::report::file::STDOUT;
use crate::cli::units::{HumanDuration, Rate, Size, SizeRange};

const LOAD: &str = "Load";
const SERVER: &str = "Server";
const RESULT: &str = "Result";

/// Services that can be measured, each with a load of its own.
#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Measure throughput, latency and faults of any server that echoes
    ///
    /// Without an address it starts a server, on another processor where there are two or more, and
    /// stops it after the run. Every answer is compared with what was sent, byte for byte.
    #[command(after_long_help = include_str!("echo_help.txt"), allow_negative_numbers = true)]
    Echo(Box<BenchEchoArgs>),
    /// Measure deliveries to chat rooms, and prove that each member received each message once, in
    /// order
    ///
    /// Without an address it starts a server, on another processor where there are two or more, and
    /// stops it after the run.
    #[command(after_long_help = include_str!("chat_help.txt"), allow_negative_numbers = true)]
    Chat(Box<BenchChatArgs>),
    /// Put honest and hostile clients on every service at once, and prove that no answer is wrong
    /// and nothing is left behind
    ///
    /// It starts a server, and stops it after the run. Floods, resets, garbage, half requests and
    /// readers that do not read attack it, while other clients check every answer. In the end, the
    /// descriptors, threads, memory, connections, timers and jobs of the server are compared with
    /// those before.
    #[command(after_long_help = include_str!("soak_help.txt"), allow_negative_numbers = true)]
    Soak(Box<BenchSoakArgs>),
}

#[derive(Debug, clap::Args)]
pub(crate) struct BenchEchoArgs {
    /// Address of the server; without it, a server is started for the run and stopped after it
    ///
    /// host:port, [v6]:port, udp:host:port or unix:PATH.
    #[arg(value_name = "ADDR")]
    pub(super) address: Option<String>,

    /// Connections to hold open; with UDP, sockets; with --churn, connections at the same time
    #[arg(short, long, value_name = "N", default_value_t = 50, help_heading = LOAD)]
    pub(super) connections: usize,
    #[command(flatten)]
    pub(super) traffic: EchoTrafficArgs,
    /// Connect, exchange one message, close, and repeat; latency covers all three
    #[arg(long, group = "activity", help_heading = LOAD)]
    pub(super) churn: bool,
    /// Connect, exchange one message, then only hold the connections
    #[arg(long, group = "activity", help_heading = LOAD)]
    pub(super) idle: bool,
    #[command(flatten)]
    pub(super) search: SearchArgs,
    /// Additional connections that send as fast as the server accepts, and never read
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = LOAD)]
    pub(super) slow_readers: usize,
    #[command(flatten)]
    pub(super) phases: PhaseArgs,
    /// Time over which the connections are opened; 0: as fast as the server accepts them
    #[arg(long, value_name = "TIME", default_value = "0", help_heading = LOAD)]
    pub(super) ramp: HumanDuration,
    /// Time after which a missing answer counts as lost
    #[arg(long = "answer-timeout", value_name = "TIME", default_value = "5s", help_heading = LOAD)]
    pub(super) reply_timeout: HumanDuration,
    /// Seed of the payloads: equal seeds send equal bytes
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = LOAD)]
    pub(super) seed: u64,

    /// Framing of the server's byte streams [default: u32be]
    #[arg(long, value_name = "NAME", help_heading = SERVER)]
    pub(super) framing: Option<Framing>,
    /// Send datagrams instead of opening connections
    #[arg(long, conflicts_with = "framing", help_heading = SERVER)]
    pub(super) udp: bool,
    #[command(flatten)]
    pub(super) server: BenchServerArgs,
    #[command(flatten)]
    pub(super) result: BenchResultArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct BenchChatArgs {
    /// Address of the server; without it, a server is started for the run and stopped after it
    ///
    /// host:port, [v6]:port or unix:PATH, of a listener for length-prefixed JSON.
    #[arg(value_name = "ADDR")]
    pub(super) address: Option<String>,

    /// Members, one connection each
    #[arg(short, long, value_name = "N", default_value_t = 1000, help_heading = LOAD)]
    pub(super) members: usize,
    /// Members that send, spread over the rooms; each also receives its own messages [default: one
    /// for each room]
    #[arg(long, value_name = "N", conflicts_with = "idle", help_heading = LOAD)]
    pub(super) publishers: Option<usize>,
    /// Rooms, over which the members are spread: the lobby, or bench-0 and so on
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = LOAD)]
    pub(super) rooms: usize,
    /// Text of a message
    #[arg(short, long, value_name = "SIZE", default_value = "64", help_heading = LOAD)]
    pub(super) payload: Size,
    /// Closed loop: messages in flight in each room; the next is sent when all members have the
    /// oldest [default: 1]
    ///
    /// It measures the maximum throughput. While the server stalls, nothing is sent, so stalls are
    /// undercounted: for the latency that users see, use --rate.
    #[arg(short = 'n', long, value_name = "N", group = "activity", help_heading = LOAD)]
    pub(super) in_flight: Option<usize>,
    /// Open loop: messages per second over all rooms, whether or not they are delivered, as in 1k
    ///
    /// Latency counts from the time at which a message was due, not from the time at which it was
    /// sent.
    #[arg(short, long, value_name = "RATE", group = "activity", help_heading = LOAD)]
    pub(super) rate: Option<Rate>,
    /// Join, then only hold the members: the time until all have joined, and the memory of each
    #[arg(long, group = "activity", help_heading = LOAD)]
    pub(super) idle: bool,
    #[command(flatten)]
    pub(super) phases: PhaseArgs,
    /// Time after which a member that has not joined is refused, and time without any delivery
    /// after which messages are missing
    #[arg(long = "answer-timeout", value_name = "TIME", default_value = "5s", help_heading = LOAD)]
    pub(super) reply_timeout: HumanDuration,

    #[command(flatten)]
    pub(super) server: BenchServerArgs,
    #[command(flatten)]
    pub(super) result: BenchResultArgs,
}

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

/// The search for the highest rate.
#[derive(Debug, clap::Args)]
pub(crate) struct SearchArgs {
    /// Search the highest rate at which --slo holds; each rate is tried for --duration, the first
    /// is --rate's, or 1k
    #[arg(long, conflicts_with_all = ["in_flight", "churn", "idle"], help_heading = LOAD)]
    pub(super) find_max: bool,
    /// Objective of --find-max: a percentile of the latency, or max, and its upper bound, as in
    /// p99.9<20ms
    #[arg(long, value_name = "SLO", requires = "find_max", default_value = "p99<5ms", help_heading = LOAD)]
    pub(super) slo: Slo,
}

/// The messages of a load on an echo server.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct EchoTrafficArgs {
    /// Payload of a message, or a range from which each is drawn: 64, 64..1k
    #[arg(short, long, value_name = "SIZE", default_value_t = SizeRange(64..=64), help_heading = LOAD)]
    pub(crate) payload: SizeRange,
    /// Closed loop: messages in flight on each connection; each answer triggers the next message
    /// [default: 1]
    ///
    /// It measures the maximum throughput. While the server stalls, nothing is sent, so stalls are
    /// undercounted: for the latency that users see, use --rate.
    #[arg(short = 'n', long, value_name = "N", group = "activity", help_heading = LOAD)]
    pub(crate) in_flight: Option<usize>,
    /// Open loop: messages per second over all connections, whether or not answers arrive, as in
    /// 10k
    ///
    /// Latency counts from the time at which a message was due, not from the time at which it was
    /// sent.
    #[arg(short, long, value_name = "RATE", group = "activity", help_heading = LOAD)]
    pub(crate) rate: Option<Rate>,
}

/// The lengths of the phases of a run.
#[derive(Debug, clap::Args)]
pub(crate) struct PhaseArgs {
    /// Length of the measured time
    #[arg(short, long, value_name = "TIME", default_value = "5s", help_heading = LOAD)]
    pub(super) duration: HumanDuration,
    /// Length of the full load before the measured time
    #[arg(short, long, value_name = "TIME", default_value = "1s", help_heading = LOAD)]
    pub(super) warm_up: HumanDuration,
}

/// Arguments about the server.
#[derive(Debug, clap::Args)]
pub(crate) struct BenchServerArgs {
    /// Process that serves at ADDR, on this machine; its processor time and memory are reported
    #[arg(long, value_name = "PID", requires = "address", help_heading = SERVER)]
    pub(super) server_pid: Option<u32>,
    /// Engine of the server that is started [default: reactor]
    #[arg(long, value_name = "NAME", value_enum, conflicts_with = "address", help_heading = SERVER)]
    pub(super) engine: Option<EngineName>,
    /// Let the system place the started server and the load, instead of giving each its own
    /// processors
    #[arg(long, conflicts_with = "address", help_heading = SERVER)]
    pub(super) no_pin: bool,
}

/// Arguments about the output.
#[derive(Debug, clap::Args)]
pub(crate) struct BenchResultArgs {
    #[command(flatten)]
    pub(super) report: ReportArgs,
    /// Write the samples over time as CSV: one row for each 0.1 s or more [default: -, standard
    /// output]
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = STDOUT, help_heading = RESULT)]
    pub(super) csv: Option<PathBuf>,
    /// Write the latencies as an HdrHistogram log (V2), in nanoseconds
    #[arg(long, value_name = "FILE", help_heading = RESULT)]
    pub(super) hdr: Option<PathBuf>,
}

/// The forms of a report that every measurement has.
#[derive(Debug, clap::Args)]
pub(crate) struct ReportArgs {
    /// Print the result as JSON instead of a table
    #[arg(long, help_heading = RESULT)]
    pub(crate) json: bool,
    /// Write a report with plots, as one HTML file that loads nothing else; - is standard output
    #[arg(long, value_name = "FILE", help_heading = RESULT)]
    pub(crate) html: Option<PathBuf>,
}

impl EchoTrafficArgs {
    /// Returns the activity that the flags select, besides `--churn` and `--idle`.
    pub(crate) fn activity(&self) -> Activity {
        activity(self.in_flight, self.rate)
    }
}

/// Returns an open loop if there is a rate, or a closed loop.
pub(super) fn activity(in_flight: Option<usize>, rate: Option<Rate>) -> Activity {
    match rate {
        Some(Rate(rate)) => Activity::Open { rate },
        None => Activity::Closed { in_flight: in_flight.unwrap_or(1) },
    }
}

/// The longest soak: 30 days.
const MAX_MINUTES: f64 = 43_200.0;

impl BenchSoakArgs {
    pub(super) fn length(&self) -> Duration {
        Duration::from_secs_f64(self.minutes * 60.0)
    }
}

fn parse_minutes(text: &str) -> Result<f64, String> {
    let minutes = text.parse().ok().filter(|minutes: &f64| *minutes > 0.0 && *minutes <= MAX_MINUTES);
    minutes.ok_or_else(|| format!("write a number of minutes above 0, at most {MAX_MINUTES}, such as 10 or 0.5"))
}
