//! A flag for each limit of the engine, with the limit's name and default.

use switchboard::{Limits, PanicPolicy, SlowConsumer};

use crate::cli::named_value::one_of;
use crate::cli::units::{HumanDuration, Size};

/// The help heading of limits that the defaults suit in almost every case.
const ADVANCED: &str = "Advanced limits";

/// The help headings of the limits.
pub(super) const HEADINGS: [&str; 2] = ["Limits", ADVANCED];

/// The flags of the limits.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Limits")]
pub(in crate::cli) struct LimitArgs {
    /// Maximum number of open connections over all listeners
    ///
    /// A connection beyond it receives the reason and is closed.
    #[arg(long, value_name = "N", default_value_t = Limits::default().max_connections)]
    max_connections: usize,
    /// Maximum number of open connections of one address; 0: no limit [default: 256, and no limit
    /// for loopback]
    ///
    /// An IPv6 address stands for its /64 network. A connection beyond it receives the reason and
    /// is closed. The chat has its own limit, --max-per-address.
    #[arg(long, value_name = "N")]
    max_connections_per_address: Option<usize>,
    /// Maximum payload of one frame
    ///
    /// The length prefix is checked before any byte of the payload is stored.
    #[arg(long, value_name = "SIZE", default_value_t = Size(Limits::default().max_frame_bytes))]
    max_frame_bytes: Size,
    /// Maximum number of bytes queued for one peer
    ///
    /// Above half of it the peer is not read until the queue is below a quarter.
    #[arg(long, value_name = "SIZE", default_value_t = Size(Limits::default().max_write_buffer_bytes))]
    max_write_buffer_bytes: Size,
    /// Maximum number of bytes buffered for all connections together, received and queued
    #[arg(long, value_name = "SIZE", default_value_t = Size(Limits::default().max_buffered_bytes))]
    max_buffered_bytes: Size,
    /// Time from a frame's first byte to its last; 0: no limit
    #[arg(long, value_name = "TIME", default_value_t = HumanDuration(Limits::default().frame_timeout))]
    frame_timeout: HumanDuration,
    /// Time without progress while output is queued for a peer; 0: no limit
    #[arg(long, value_name = "TIME", default_value_t = HumanDuration(Limits::default().write_timeout))]
    write_timeout: HumanDuration,
    /// Bytes in a second that a peer must receive while output is queued for it; 0: no limit
    ///
    /// The rate is averaged over a minute.
    #[arg(long, value_name = "SIZE", default_value_t = Size(Limits::default().min_read_rate))]
    min_read_rate: Size,
    /// Time without traffic in either direction; 0: no limit
    #[arg(long, value_name = "TIME", default_value_t = HumanDuration(Limits::default().idle_timeout))]
    idle_timeout: HumanDuration,
    /// Silence after which the system asks a TCP peer whether it is still there; 0: never
    #[arg(long, value_name = "TIME", default_value_t = HumanDuration(Limits::default().keepalive))]
    keepalive: HumanDuration,
    /// Time that a stopping server has to flush its queued output
    #[arg(long, value_name = "TIME", default_value_t = HumanDuration(Limits::default().drain_timeout))]
    drain_timeout: HumanDuration,
    /// Time over which a stopping server spreads the closes of its connections
    ///
    /// Otherwise all clients connect again at the same time, to the server that takes over.
    #[arg(long, value_name = "TIME", default_value_t = HumanDuration(Limits::default().drain_jitter))]
    drain_jitter: HumanDuration,
    /// Policy for a peer that reads too slowly
    ///
    /// disconnect closes the connection; drop-newest drops the new message; drop-oldest drops the
    /// oldest queued message.
    #[arg(long, value_name = "POLICY", value_parser = one_of(SlowConsumer::NAMES), default_value_t = Limits::default().slow_consumer)]
    slow_consumer: SlowConsumer,
    /// Policy for a panic in a service, which is a bug
    ///
    /// close closes the connection that the service was called for and logs the panic; a service
    /// that panics five times within 10s is stopped. abort ends the server.
    #[arg(long, value_name = "POLICY", value_parser = one_of(PanicPolicy::NAMES), default_value_t = Limits::default().panic)]
    panic: PanicPolicy,

    /// Time to discard input after the server has closed its side
    ///
    /// Unread input would make the kernel reset the connection, and the reset can destroy output
    /// that the peer has not read.
    #[arg(long, value_name = "TIME", default_value_t = HumanDuration(Limits::default().linger_timeout))]
    #[arg(help_heading = ADVANCED)]
    linger_timeout: HumanDuration,
    /// Length of the kernel's queue of connections that are not accepted yet
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
    /// Time for which one connection, listener or socket is served in one turn of the loop; 0: no
    /// limit
    ///
    /// The rest of its work waits for the next turn, after that of the others.
    #[arg(long, value_name = "TIME", default_value_t = HumanDuration(Limits::default().turn_budget), help_heading = ADVANCED)]
    turn_budget: HumanDuration,
    /// Length of a turn of the loop beyond which the log names what took the time; 0: none
    ///
    /// The warning has the service, its callback and the peer. The statistics count turns longer
    /// than 10ms in any case.
    #[arg(long, value_name = "TIME", default_value_t = HumanDuration(Limits::default().max_turn), help_heading = ADVANCED)]
    max_turn: HumanDuration,
    /// Maximum number of threads for blocking jobs, started when first needed
    #[arg(long, value_name = "N", default_value_t = Limits::default().workers, help_heading = ADVANCED)]
    workers: usize,
    /// Maximum number of blocking jobs queued for a thread
    #[arg(long, value_name = "N", default_value_t = Limits::default().max_queued_jobs, help_heading = ADVANCED)]
    max_queued_jobs: usize,
    /// Maximum number of blocking jobs of one connection; it is not read until one is done
    #[arg(long, value_name = "N", default_value_t = Limits::default().max_jobs_per_connection, help_heading = ADVANCED)]
    max_jobs_per_connection: usize,
    /// Maximum number of messages from other threads queued for the loop
    #[arg(long, value_name = "N", default_value_t = Limits::default().max_queued_messages, help_heading = ADVANCED)]
    max_queued_messages: usize,
}

impl From<LimitArgs> for Limits {
    fn from(args: LimitArgs) -> Self {
        Self {
            max_connections: args.max_connections,
            max_connections_per_address: args.max_connections_per_address,
            max_frame_bytes: args.max_frame_bytes.0,
            max_write_buffer_bytes: args.max_write_buffer_bytes.0,
            max_buffered_bytes: args.max_buffered_bytes.0,
            frame_timeout: args.frame_timeout.0,
            write_timeout: args.write_timeout.0,
            min_read_rate: args.min_read_rate.0,
            idle_timeout: args.idle_timeout.0,
            keepalive: args.keepalive.0,
            drain_timeout: args.drain_timeout.0,
            drain_jitter: args.drain_jitter.0,
            linger_timeout: args.linger_timeout.0,
            slow_consumer: args.slow_consumer,
            panic: args.panic,
            backlog: args.backlog,
            accept_budget: args.accept_budget,
            read_budget_bytes: args.read_budget_bytes.0,
            datagram_budget: args.datagram_budget,
            turn_budget: args.turn_budget.0,
            max_turn: args.max_turn.0,
            workers: args.workers,
            max_queued_jobs: args.max_queued_jobs,
            max_jobs_per_connection: args.max_jobs_per_connection,
            max_queued_messages: args.max_queued_messages,
        }
    }
}
