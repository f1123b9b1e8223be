//! The plan of a measurement: the checked arguments of `bench echo` and `bench chat`.

use std::time::Duration;

use switchboard::load::{self, Activity, Slo, chat};
use switchboard::{Endpoint, Framing};

use super::args::{self, BenchChatArgs, BenchEchoArgs};
use super::result::LoadRecord;
use super::run_error::RunError;
use super::server_source::{self, ServerSource, Transport};
use crate::cli::error::CliError;
use crate::cli::process::LoadRequirements;
use crate::cli::report::rates::nanos;

/// Descriptors of the process beside the connections: standard streams, the poll, output files.
const OTHER_DESCRIPTORS: u64 = 32;
/// Bytes of a chat event besides its text: JSON keys, room and nick of this load.
const EVENT_OVERHEAD_BYTES: usize = 256;

/// A load and the server that it is put on.
#[derive(Clone, Debug)]
pub(crate) struct BenchPlan {
    pub(crate) server: ServerSource,
    pub(crate) framing: Framing,
    pub(crate) load: PlannedLoad,
    /// True if a run ends unless all connections are open after the warm-up.
    pub(crate) needs_all_connections: bool,
}

/// The load on a service. Its target is the server's address, or the address at which a spawned
/// server is asked to listen.
#[derive(Clone, Debug)]
pub(crate) enum PlannedLoad {
    Echo(load::LoadConfig),
    /// The search for the highest rate at which the objective holds.
    FindMax(load::LoadConfig, Slo),
    Chat(chat::ChatLoadConfig),
}

impl BenchPlan {
    pub(super) fn echo(args: &BenchEchoArgs) -> Result<Self, CliError> {
        let transport = if args.udp { Transport::Udp } else { Transport::Tcp };
        let (endpoints, target) = server_source::target(args.address.as_deref(), transport)?;
        if args.framing.is_some() && matches!(target, Endpoint::Udp(_)) {
            return Err(CliError::Usage(
                "--framing does not apply to UDP, where each datagram is one message".to_owned(),
            ));
        }
        let load = load::LoadConfig {
            target,
            framing: args.framing.unwrap_or(Framing::U32BE),
            connections: args.connections,
            payload_bytes: args.traffic.payload.0.clone(),
            activity: match (args.churn, args.idle) {
                (true, _) => Activity::Churn,
                (_, true) => Activity::Idle,
                _ => args.traffic.activity(),
            },
            slow_readers: args.slow_readers,
            ramp: args.ramp.0,
            warm_up: args.phases.warm_up.0,
            duration: args.phases.duration.0,
            reply_timeout: args.reply_timeout.0,
            seed: args.seed,
        };
        load.validate().map_err(RunError::from)?;
        let mut serve_args = Vec::new();
        if let Some(framing) = args.framing {
            serve_args.extend(["--framing".to_owned(), framing.to_string()]);
        }
        serve_args.extend(server_source::engine_args(&args.server));
        let requirements = LoadRequirements {
            // With --churn the server may accept a new connection before it sees the end of the old
            // one.
            connections: load.connections.saturating_add(load.slow_readers).saturating_mul(2),
            in_flight: LoadRequirements::in_flight_estimate(load.activity),
            max_payload_bytes: *load.payload_bytes.end(),
        };
        serve_args.extend(requirements.serve_args());
        let listen = format!("{}:{}", load.target.transport(), load.target.address());
        Ok(Self {
            server: ServerSource::new(endpoints, &args.server, listen, serve_args),
            framing: load.framing,
            load: if args.search.find_max {
                PlannedLoad::FindMax(load, args.search.slo)
            } else {
                PlannedLoad::Echo(load)
            },
            needs_all_connections: false,
        })
    }

    pub(super) fn chat(args: &BenchChatArgs) -> Result<Self, CliError> {
        let (endpoints, target) = server_source::target(args.address.as_deref(), Transport::Tcp)?;
        if let Endpoint::Udp(_) = target {
            return Err(CliError::Usage(
                "bench chat does not support UDP, because each member needs a connection: give a TCP or Unix address"
                    .to_owned(),
            ));
        }
        let load = chat::ChatLoadConfig {
            target,
            members: args.members,
            publishers: if args.idle { 0 } else { args.publishers.unwrap_or(args.rooms) },
            rooms: args.rooms,
            payload_bytes: args.payload.0,
            activity: if args.idle { Activity::Idle } else { args::activity(args.in_flight, args.rate) },
            warm_up: args.phases.warm_up.0,
            duration: args.phases.duration.0,
            reply_timeout: args.reply_timeout.0,
        };
        load.validate().map_err(RunError::from)?;
        let requirements = LoadRequirements {
            connections: load.members,
            in_flight: LoadRequirements::in_flight_estimate(load.activity),
            max_payload_bytes: load.payload_bytes.saturating_add(EVENT_OVERHEAD_BYTES),
        };
        let mut serve_args = server_source::engine_args(&args.server);
        // The rate limit of a member would be the result.
        serve_args.extend(["--messages-per-second".to_owned(), "0".to_owned()]);
        serve_args.extend(requirements.serve_args());
        let listen = format!("u32be@{}", load.target.address());
        Ok(Self {
            server: ServerSource::new(endpoints, &args.server, listen, serve_args),
            framing: Framing::U32BE,
            load: PlannedLoad::Chat(load),
            needs_all_connections: false,
        })
    }

    /// Returns the number of descriptors that the process needs for the whole run.
    pub(super) fn descriptors(&self) -> u64 {
        (self.load.connections() as u64).saturating_add(OTHER_DESCRIPTORS)
    }
}

impl PlannedLoad {
    /// Returns the name of the service.
    pub(super) fn service(&self) -> &'static str {
        match self {
            Self::Echo(_) | Self::FindMax(..) => "echo",
            Self::Chat(_) => "chat",
        }
    }

    pub(super) fn target(&self) -> &Endpoint {
        match self {
            Self::Echo(load) | Self::FindMax(load, _) => &load.target,
            Self::Chat(load) => &load.target,
        }
    }

    /// Returns the number of connections that the load opens.
    pub(super) fn connections(&self) -> usize {
        match self {
            Self::Echo(load) | Self::FindMax(load, _) => load.connections.saturating_add(load.slow_readers),
            Self::Chat(load) => load.members,
        }
    }

    /// Returns true if the load keeps its connections open.
    pub(super) fn keeps_connections(&self) -> bool {
        !matches!(self, Self::Echo(load::LoadConfig { activity: Activity::Churn, .. }))
    }

    /// Returns the lengths of the ramp, the warm-up and the measured time.
    pub(super) fn phases(&self) -> [Duration; 3] {
        match self {
            Self::Echo(load) | Self::FindMax(load, _) => [load.ramp, load.warm_up, load.duration],
            Self::Chat(load) => [Duration::ZERO, load.warm_up, load.duration],
        }
    }

    /// Returns the parameters of the load as a result has them.
    pub(super) fn record(&self) -> LoadRecord {
        match self {
            Self::Echo(load) | Self::FindMax(load, _) => LoadRecord::from(load),
            Self::Chat(load) => LoadRecord {
                connections: Some(load.members),
                publishers: Some(load.publishers),
                rooms: Some(load.rooms),
                payload_min_bytes: load.payload_bytes,
                payload_max_bytes: load.payload_bytes,
                warm_up_ns: nanos(load.warm_up),
                duration_ns: nanos(load.duration),
                reply_timeout_ns: nanos(load.reply_timeout),
                ..LoadRecord::of(load.activity)
            },
        }
    }
}

impl From<&load::LoadConfig> for LoadRecord {
    fn from(load: &load::LoadConfig) -> Self {
        Self {
            connections: Some(load.connections),
            slow_readers: load.slow_readers,
            payload_min_bytes: *load.payload_bytes.start(),
            payload_max_bytes: *load.payload_bytes.end(),
            ramp_ns: nanos(load.ramp),
            warm_up_ns: nanos(load.warm_up),
            duration_ns: nanos(load.duration),
            reply_timeout_ns: nanos(load.reply_timeout),
            seed: Some(load.seed),
            ..Self::of(load.activity)
        }
    }
}

impl LoadRecord {
    /// Returns the record of an activity, with no other parameter.
    fn of(activity: Activity) -> Self {
        let mut record = Self::default();
        record.set_activity(activity);
        record
    }

    pub(super) fn set_activity(&mut self, activity: Activity) {
        (self.activity, self.in_flight, self.rate_per_second) = match activity {
            Activity::Closed { in_flight } => ("closed", Some(in_flight), None),
            Activity::Open { rate } => ("open", None, Some(rate)),
            Activity::Churn => ("churn", None, None),
            Activity::Idle => ("idle", None, None),
        };
    }
}
