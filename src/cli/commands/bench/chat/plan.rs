//! The checked arguments of `bench chat`.

use switchboard::load::{Activity, chat};
use switchboard::{Endpoint, Framing};

use crate::cli::commands::bench::args::BenchChatArgs;
use crate::cli::commands::bench::options::{self, BenchOptions, OutputFormat, ServerSource, Transport};
use crate::cli::error::CliError;
use crate::cli::process::LoadRequirements;
use crate::cli::units::Rate;

/// Bytes of an event besides its text: JSON keys, room and nick of this load.
const EVENT_OVERHEAD_BYTES: usize = 256;

/// The checked arguments of `bench chat`.
#[derive(Debug)]
pub(crate) struct ChatBenchPlan {
    pub(super) options: BenchOptions,
    pub(super) load: chat::ChatLoadConfig,
}

impl ChatBenchPlan {
    pub(crate) fn new(args: BenchChatArgs) -> Result<Self, CliError> {
        let resolve = |address| options::resolve_target(address, Transport::Tcp);
        let endpoints = args.address.as_deref().map(resolve).transpose()?;
        let target = endpoints.as_ref().and_then(|endpoints| endpoints.first().cloned());
        let target = target.unwrap_or_else(|| options::unused_local_endpoint(Transport::Tcp));
        if let Endpoint::Udp(_) = target {
            return Err(CliError::Usage(
                "bench chat does not support UDP, because each member needs a connection: give a TCP or Unix address"
                    .to_owned(),
            ));
        }
        let activity = match (args.in_flight, args.rate) {
            (_, Some(Rate(rate))) => Activity::Open { rate },
            _ if args.idle => Activity::Idle,
            (in_flight, None) => Activity::Closed { in_flight: in_flight.unwrap_or(1) },
        };
        let load = chat::ChatLoadConfig {
            target: target.clone(),
            members: args.members,
            publishers: if args.idle { 0 } else { args.publishers.unwrap_or(args.rooms) },
            rooms: args.rooms,
            payload_bytes: args.payload.0,
            activity,
            warm_up: args.warm_up.0,
            duration: args.duration.0,
            reply_timeout: args.reply_timeout.0,
        };
        let mut serve_args = options::engine_args(&args.server);
        serve_args.extend(load_limit_args(&load));
        let options = BenchOptions {
            service: "chat",
            server: ServerSource::new(endpoints, &args.server, format!("u32be@{}", target.address()), serve_args),
            target,
            framing: Framing::U32BE,
            connections: load.members,
            format: OutputFormat::new(&args.result),
            hdr_path: args.result.hdr,
            html_path: args.result.html,
        };
        Ok(Self { options, load })
    }
}

/// Returns the `serve` arguments that disable the rate limit and raise the limits that the load
/// exceeds.
fn load_limit_args(load: &chat::ChatLoadConfig) -> Vec<String> {
    let requirements = LoadRequirements {
        connections: load.members,
        in_flight: LoadRequirements::in_flight_estimate(load.activity.into()),
        max_payload_bytes: load.payload_bytes.saturating_add(EVENT_OVERHEAD_BYTES),
    };
    let mut args = vec!["--messages-per-second".to_owned(), "0".to_owned()];
    args.extend(requirements.serve_args());
    args
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::args::{Args, CliCommand};
    use crate::cli::commands::bench::args::BenchCommand;

    fn plan(args: &str) -> Result<ChatBenchPlan, CliError> {
        let args = ["switchboard", "bench", "chat"].into_iter().chain(args.split_whitespace());
        let CliCommand::Bench(BenchCommand::Chat(args)) = Args::try_parse_from(args).unwrap().command else {
            panic!("not bench chat")
        };
        ChatBenchPlan::new(*args)
    }

    #[test]
    fn default_is_one_lobby_of_1000_with_one_publisher() {
        let plan = plan("").unwrap();
        assert_eq!(
            (plan.load.members, plan.load.publishers, plan.load.rooms, plan.load.payload_bytes),
            (1000, 1, 1, 64)
        );
        assert_eq!(plan.load.activity, Activity::Closed { in_flight: 1 });
        let (listen, engine) = ("u32be@127.0.0.1:0".to_owned(), "reactor".to_owned());
        let args = ["--messages-per-second", "0"].map(str::to_owned).to_vec();
        assert_eq!(plan.options.server, ServerSource::Spawned { listen, engine, args, pin: true });
    }

    #[test]
    fn each_room_has_one_publisher_by_default() {
        let publishers = |args: &str| plan(args).unwrap().load.publishers;
        assert_eq!((publishers("--rooms 7"), publishers("--rooms 7 --publishers 9"), publishers("--idle")), (7, 9, 0));
    }

    #[test]
    fn each_flag_selects_its_activity() {
        for (args, activity) in [
            ("-n 16", Activity::Closed { in_flight: 16 }),
            ("--rate 1k", Activity::Open { rate: 1000.0 }),
            ("--idle", Activity::Idle),
        ] {
            assert_eq!(plan(args).unwrap().load.activity, activity, "{args}");
        }
    }

    #[test]
    fn a_spawned_server_gets_limits_above_the_load() {
        let serve_args = |words: &str| match plan(words).unwrap().options.server {
            ServerSource::Spawned { args, .. } => args.join(" "),
            ServerSource::Existing { .. } => panic!("{words}"),
        };
        assert_eq!(serve_args("--engine threads"), "--engine threads --messages-per-second 0");
        assert_eq!(serve_args("--members 200000"), "--messages-per-second 0 --max-connections 200000");
    }

    #[test]
    fn address_selects_an_existing_server() {
        let plan = plan("127.0.0.1:8000 --server-pid 7").unwrap();
        let endpoints = vec!["127.0.0.1:8000".parse().unwrap()];
        assert_eq!(plan.options.server, ServerSource::Existing { endpoints, pid: Some(7) });
    }

    #[test]
    fn udp_address_is_rejected() {
        let Err(CliError::Usage(text)) = plan("udp:127.0.0.1:8003") else { panic!("accepted") };
        assert_eq!(
            text,
            "bench chat does not support UDP, because each member needs a connection: give a TCP or Unix address"
        );
    }
}
