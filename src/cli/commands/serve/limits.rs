//! One flag for each limit, under the limit's own name and with its own default.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use switchboard::{Limits, SlowConsumer};

use crate::cli::units::{HumanDuration, Size};

pub(super) const ADVANCED: &str = "Limits that seldom need a change";

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Limits")]
pub(in crate::cli) struct LimitArgs {
    /// Connections that may be open at once, over all listeners
    ///
    /// A newcomer beyond it is told so and closed.
    #[arg(long, value_name = "N", default_value_t = Limits::default().max_connections)]
    max_connections: usize,
    /// Payload bytes of one frame
    ///
    /// It is checked against the prefix before a byte of the body is kept.
    #[arg(long, value_name = "SIZE", default_value_t = Size(Limits::default().max_frame_bytes))]
    max_frame_bytes: Size,
    /// Bytes that may wait for one peer
    ///
    /// Above half of it the peer is not read, until less than a quarter waits.
    #[arg(long, value_name = "SIZE", default_value_t = Size(Limits::default().max_write_buffer_bytes))]
    max_write_buffer_bytes: Size,
    /// Bytes that all connections together may hold, received and waiting
    #[arg(long, value_name = "SIZE", default_value_t = Size(Limits::default().max_buffered_bytes))]
    max_buffered_bytes: Size,
    /// From a frame's first byte to its last; 0: no limit
    #[arg(long, value_name = "TIME", default_value_t = HumanDuration(Limits::default().frame_timeout))]
    frame_timeout: HumanDuration,
    /// How long a peer may take not one byte of what is owed to it; 0: no limit
    #[arg(long, value_name = "TIME", default_value_t = HumanDuration(Limits::default().write_timeout))]
    write_timeout: HumanDuration,
    /// How long a connection may be silent in both directions; 0: no limit
    #[arg(long, value_name = "TIME", default_value_t = HumanDuration(Limits::default().idle_timeout))]
    idle_timeout: HumanDuration,
    /// How long a stopping server flushes what it owes
    #[arg(long, value_name = "TIME", default_value_t = HumanDuration(Limits::default().drain_timeout))]
    drain_timeout: HumanDuration,
    /// What happens to a peer that reads too slowly
    ///
    /// disconnect closes it; drop-newest drops what would be added; drop-oldest drops what has waited longest.
    #[arg(long, value_name = "POLICY", value_parser = slow_consumer(), default_value_t = Limits::default().slow_consumer)]
    slow_consumer: SlowConsumer,

    /// How long input is discarded after the server has closed its side
    ///
    /// Input left unread would reset the connection, and a reset can overtake the server's last words.
    #[arg(long, value_name = "TIME", default_value_t = HumanDuration(Limits::default().linger_timeout), help_heading = ADVANCED)]
    linger_timeout: HumanDuration,
    /// Connections that the operating system may hold between accepts
    #[arg(long, value_name = "N", default_value_t = Limits::default().backlog, help_heading = ADVANCED)]
    backlog: u32,
    /// Connections accepted from one listener in one turn of the loop
    #[arg(long, value_name = "N", default_value_t = Limits::default().accept_budget, help_heading = ADVANCED)]
    accept_budget: usize,
    /// Bytes read from one connection in one turn of the loop
    #[arg(long, value_name = "SIZE", default_value_t = Size(Limits::default().read_budget_bytes), help_heading = ADVANCED)]
    read_budget_bytes: Size,
    /// Datagrams received from one socket in one turn of the loop
    #[arg(long, value_name = "N", default_value_t = Limits::default().datagram_budget, help_heading = ADVANCED)]
    datagram_budget: usize,
    /// Threads for work that blocks, started when first needed
    #[arg(long, value_name = "N", default_value_t = Limits::default().workers, help_heading = ADVANCED)]
    workers: usize,
    /// Pieces of blocking work that may wait for a thread
    #[arg(long, value_name = "N", default_value_t = Limits::default().max_queued_jobs, help_heading = ADVANCED)]
    max_queued_jobs: usize,
    /// Messages from other threads that may wait for the loop
    #[arg(long, value_name = "N", default_value_t = Limits::default().max_queued_messages, help_heading = ADVANCED)]
    max_queued_messages: usize,
}

fn slow_consumer() -> impl TypedValueParser<Value = SlowConsumer> {
    PossibleValuesParser::new(SlowConsumer::NAMES.map(|(name, _)| name)).try_map(|name| name.parse::<SlowConsumer>())
}

impl From<LimitArgs> for Limits {
    fn from(typed: LimitArgs) -> Self {
        Self {
            max_connections: typed.max_connections,
            max_frame_bytes: typed.max_frame_bytes.0,
            max_write_buffer_bytes: typed.max_write_buffer_bytes.0,
            max_buffered_bytes: typed.max_buffered_bytes.0,
            frame_timeout: typed.frame_timeout.0,
            write_timeout: typed.write_timeout.0,
            idle_timeout: typed.idle_timeout.0,
            drain_timeout: typed.drain_timeout.0,
            linger_timeout: typed.linger_timeout.0,
            slow_consumer: typed.slow_consumer,
            backlog: typed.backlog,
            accept_budget: typed.accept_budget,
            read_budget_bytes: typed.read_budget_bytes.0,
            datagram_budget: typed.datagram_budget,
            workers: typed.workers,
            max_queued_jobs: typed.max_queued_jobs,
            max_queued_messages: typed.max_queued_messages,
        }
    }
}
