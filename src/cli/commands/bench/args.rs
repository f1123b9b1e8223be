//! What was typed after `bench`.

use std::path::PathBuf;

use clap::Subcommand;
use switchboard::Framing;
use switchboard::load::Slo;

use crate::cli::engine::EngineName;
use crate::cli::units::{HumanDuration, Rate, Size, SizeRange};

const LOAD: &str = "Load";
const SERVER: &str = "Server";
const RESULT: &str = "Result";

/// Services that can be measured, each with a load of its own.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum BenchCommand {
    /// Messages that come back: throughput, latency, faults of any server that echoes
    ///
    /// Without an address it starts a server of its own, on another processor where there are two, and stops it again. Every
    /// answer is compared with what was sent, byte for byte.
    #[command(after_long_help = include_str!("echo_help.txt"), allow_negative_numbers = true)]
    Echo(Box<EchoArgs>),
    /// Messages to rooms: deliveries, their latency, and the proof that every member received every message once, in order
    ///
    /// Without an address it starts a server of its own, on another processor where there are two, and stops it again.
    #[command(after_long_help = include_str!("chat_help.txt"), allow_negative_numbers = true)]
    Chat(Box<ChatArgs>),
}

#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag that can be typed")]
pub(in crate::cli) struct EchoArgs {
    /// Where the server is; without it, one is started for the measurement, and stopped after it
    ///
    /// host:port, [v6]:port, udp:host:port or unix:PATH.
    #[arg(value_name = "ADDR")]
    pub(super) address: Option<String>,

    /// Connections held open; of UDP, sockets; with --churn, at once
    #[arg(short, long, value_name = "N", default_value_t = 50, help_heading = LOAD)]
    pub(super) connections: usize,
    /// Payload of a message, or a range from which each is drawn: 64, 64..1k
    #[arg(short, long, value_name = "SIZE", default_value_t = SizeRange(64..=64), help_heading = LOAD)]
    pub(super) payload: SizeRange,
    /// Closed loop: messages under way on each connection; the next is sent when an answer comes [default: 1]
    ///
    /// It measures how much the server can do. A server that stalls is sent nothing meanwhile, so it hides stalls: for
    /// latency as users would have it, see --rate.
    #[arg(short = 'n', long, value_name = "N", group = "activity", help_heading = LOAD)]
    pub(super) in_flight: Option<usize>,
    /// Open loop: messages a second over all connections, whether or not answers come, as in 10k
    ///
    /// Latency counts from when a message was due, not from when it could be sent.
    #[arg(short, long, value_name = "RATE", group = "activity", help_heading = LOAD)]
    pub(super) rate: Option<Rate>,
    /// Connect, one exchange, close, again and again; latency is that of all three
    #[arg(long, group = "activity", help_heading = LOAD)]
    pub(super) churn: bool,
    /// Connect, one exchange, then only hold the connections
    #[arg(long, group = "activity", help_heading = LOAD)]
    pub(super) idle: bool,
    /// Search the highest rate at which --slo holds; each rate is tried for --duration, the first is --rate's, or 1k
    #[arg(long, conflicts_with_all = ["in_flight", "churn", "idle"], help_heading = LOAD)]
    pub(super) find_max: bool,
    /// What has to hold: a percentile of the latency, or max, and what it must stay below, as in p99.9<20ms
    #[arg(long, value_name = "SLO", requires = "find_max", default_value = "p99<5ms", help_heading = LOAD)]
    pub(super) slo: Slo,
    /// Connections in addition that send all the server takes, and never read
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = LOAD)]
    pub(super) slow_readers: usize,
    /// How long it counts
    #[arg(short, long, value_name = "TIME", default_value = "5s", help_heading = LOAD)]
    pub(super) duration: HumanDuration,
    /// How long the load is on before it counts
    #[arg(short, long, value_name = "TIME", default_value = "1s", help_heading = LOAD)]
    pub(super) warm_up: HumanDuration,
    /// Over how long the connections are opened; 0: as fast as the server accepts them
    #[arg(long, value_name = "TIME", default_value = "0", help_heading = LOAD)]
    pub(super) ramp: HumanDuration,
    /// An answer that has not come after this long is lost
    #[arg(long, value_name = "TIME", default_value = "5s", help_heading = LOAD)]
    pub(super) answer_timeout: HumanDuration,
    /// Where payloads begin: equal seeds send equal bytes
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = LOAD)]
    pub(super) seed: u64,

    /// How byte streams are cut into frames: the server's own framing [default: u32be]
    #[arg(long, value_name = "NAME", help_heading = SERVER)]
    pub(super) framing: Option<Framing>,
    /// Datagrams instead of connections
    #[arg(long, conflicts_with = "framing", help_heading = SERVER)]
    pub(super) udp: bool,
    #[command(flatten)]
    pub(super) server: ServerArgs,
    #[command(flatten)]
    pub(super) result: ResultArgs,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ChatArgs {
    /// Where the server is; without it, one is started for the measurement, and stopped after it
    ///
    /// host:port, [v6]:port or unix:PATH, of a listener for length-prefixed JSON.
    #[arg(value_name = "ADDR")]
    pub(super) address: Option<String>,

    /// Members, a connection each
    #[arg(short, long, value_name = "N", default_value_t = 1000, help_heading = LOAD)]
    pub(super) members: usize,
    /// Members that speak, dealt over the rooms; each hears itself, too [default: one for each room]
    #[arg(long, value_name = "N", conflicts_with = "idle", help_heading = LOAD)]
    pub(super) publishers: Option<usize>,
    /// Rooms, over which the members are dealt: the lobby, or bench-0 and so on
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = LOAD)]
    pub(super) rooms: usize,
    /// Text of a message
    #[arg(short, long, value_name = "SIZE", default_value = "64", help_heading = LOAD)]
    pub(super) payload: Size,
    /// Closed loop: messages under way in each room; the next is said when all members have the oldest [default: 1]
    ///
    /// It measures how much the server can do. A server that stalls is sent nothing meanwhile, so it hides stalls: for
    /// latency as users would have it, see --rate.
    #[arg(short = 'n', long, value_name = "N", group = "activity", help_heading = LOAD)]
    pub(super) in_flight: Option<usize>,
    /// Open loop: messages a second over all rooms, however long they take, as in 1k
    ///
    /// Latency counts from when a message was due, not from when it could be said.
    #[arg(short, long, value_name = "RATE", group = "activity", help_heading = LOAD)]
    pub(super) rate: Option<Rate>,
    /// Join, then only hold the members: how long it takes until all are in, and what each costs in memory
    #[arg(long, group = "activity", help_heading = LOAD)]
    pub(super) idle: bool,
    /// How long it counts
    #[arg(short, long, value_name = "TIME", default_value = "5s", help_heading = LOAD)]
    pub(super) duration: HumanDuration,
    /// How long the load is on before it counts
    #[arg(short, long, value_name = "TIME", default_value = "1s", help_heading = LOAD)]
    pub(super) warm_up: HumanDuration,
    /// Who is not in its room after this long is refused, and what has not come when nothing comes for this long is missing
    #[arg(long, value_name = "TIME", default_value = "5s", help_heading = LOAD)]
    pub(super) answer_timeout: HumanDuration,

    #[command(flatten)]
    pub(super) server: ServerArgs,
    #[command(flatten)]
    pub(super) result: ResultArgs,
}

/// Whose server it is.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ServerArgs {
    /// The process that serves at ADDR, on this machine, to tell what the load costs it
    #[arg(long, value_name = "PID", requires = "address", help_heading = SERVER)]
    pub(super) server_pid: Option<u32>,
    /// The engine of the server that is started [default: reactor]
    #[arg(long, value_name = "NAME", value_enum, conflicts_with = "address", help_heading = SERVER)]
    pub(super) engine: Option<EngineName>,
    /// Let the system place the server that is started and the load, instead of each on processors of its own
    #[arg(long, conflicts_with = "address", help_heading = SERVER)]
    pub(super) no_pin: bool,
}

/// How the result is told.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ResultArgs {
    /// Print the result as JSON instead of a table
    #[arg(long, conflicts_with = "csv", help_heading = RESULT)]
    pub(super) json: bool,
    /// Print what happened over time as CSV instead of a table: one row for each tenth of a second or more
    #[arg(long, help_heading = RESULT)]
    pub(super) csv: bool,
    /// Write the latencies as an HdrHistogram log (V2), in nanoseconds
    #[arg(long, value_name = "FILE", help_heading = RESULT)]
    pub(super) hdr: Option<PathBuf>,
    /// Write a report with plots, one page that needs nothing else
    #[arg(long, value_name = "FILE", help_heading = RESULT)]
    pub(super) html: Option<PathBuf>,
}
