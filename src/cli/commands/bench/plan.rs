//! The checked arguments of `bench echo`.

use switchboard::load::{self, Activity, Slo};
use switchboard::{Endpoint, Framing};

use super::args::BenchEchoArgs;
use super::options::{self, BenchOptions, OutputFormat, ServerSource, Transport};
use crate::cli::error::CliError;
use crate::cli::process::LoadRequirements;
use crate::cli::units::Rate;

/// The checked arguments of `bench echo`.
#[derive(Debug)]
pub(super) struct EchoBenchPlan {
    pub(super) options: BenchOptions,
    pub(super) load: load::LoadConfig,
    /// The objective of `--find-max`. `None` measures one run.
    pub(super) find_max: Option<Slo>,
}

impl EchoBenchPlan {
    pub(super) fn new(args: BenchEchoArgs) -> Result<Self, CliError> {
        let framing = args.framing.unwrap_or(Framing::U32BE);
        let transport = if args.udp { Transport::Udp } else { Transport::Tcp };
        let resolve = |address| options::resolve_target(address, transport);
        let endpoints = args.address.as_deref().map(resolve).transpose()?;
        let target = endpoints.as_ref().and_then(|endpoints| endpoints.first().cloned());
        let target = target.unwrap_or_else(|| options::unused_local_endpoint(transport));
        if args.framing.is_some() && matches!(target, Endpoint::Udp(_)) {
            return Err(CliError::Usage(
                "--framing does not apply to UDP, where each datagram is one message".to_owned(),
            ));
        }
        let load = load::LoadConfig {
            target: target.clone(),
            framing,
            connections: args.connections,
            payload_bytes: args.payload.0.clone(),
            activity: activity(&args),
            slow_readers: args.slow_readers,
            ramp: args.ramp.0,
            warm_up: args.warm_up.0,
            duration: args.duration.0,
            reply_timeout: args.reply_timeout.0,
            seed: args.seed,
        };
        let listen = format!("{}:{}", target.transport(), target.address());
        let options = BenchOptions {
            service: "echo",
            server: ServerSource::new(endpoints, &args.server, listen, serve_args(&load, &args)),
            target,
            framing,
            connections: load.connections.saturating_add(load.slow_readers),
            format: OutputFormat::new(&args.result),
            hdr_path: args.result.hdr,
            html_path: args.result.html,
        };
        let find_max = args.find_max.then_some(args.slo);
        Ok(Self { options, load, find_max })
    }
}

fn activity(args: &BenchEchoArgs) -> Activity {
    match (args.in_flight, args.rate) {
        (_, Some(Rate(rate))) => Activity::Open { rate },
        _ if args.churn => Activity::Churn,
        _ if args.idle => Activity::Idle,
        (in_flight, None) => Activity::Closed { in_flight: in_flight.unwrap_or(1) },
    }
}

/// Returns the `serve` arguments for the framing, the engine and the limits that the load exceeds.
fn serve_args(load: &load::LoadConfig, args: &BenchEchoArgs) -> Vec<String> {
    let mut serve_args = Vec::new();
    if let Some(framing) = args.framing {
        serve_args.extend(["--framing".to_owned(), framing.to_string()]);
    }
    serve_args.extend(options::engine_args(&args.server));
    let requirements = LoadRequirements {
        // With --churn the server may accept a new connection before it sees the end of the old
        // one.
        connections: load.connections.saturating_add(load.slow_readers).saturating_mul(2),
        in_flight: LoadRequirements::in_flight_estimate(load.activity),
        max_payload_bytes: *load.payload_bytes.end(),
    };
    serve_args.extend(requirements.serve_args());
    serve_args
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::args::{Args, CliCommand};
    use crate::cli::commands::bench::args::BenchCommand;

    fn plan(args: &str) -> Result<EchoBenchPlan, CliError> {
        let args = ["switchboard", "bench", "echo"].into_iter().chain(args.split_whitespace());
        let CliCommand::Bench(BenchCommand::Echo(args)) = Args::try_parse_from(args).unwrap().command else {
            panic!("not bench echo")
        };
        EchoBenchPlan::new(*args)
    }

    #[test]
    fn default_is_a_closed_loop_on_a_spawned_server() {
        let plan = plan("").unwrap();
        assert_eq!(plan.load.activity, Activity::Closed { in_flight: 1 });
        assert_eq!((plan.load.connections, plan.load.payload_bytes.clone()), (50, 64..=64));
        assert_eq!((plan.load.warm_up.as_secs(), plan.load.duration.as_secs()), (1, 5));
        let (listen, engine) = ("tcp:127.0.0.1:0".to_owned(), "reactor".to_owned());
        assert_eq!(plan.options.server, ServerSource::Spawned { listen, engine, args: vec![], pin: true });
        assert_eq!(plan.options.format, OutputFormat::Table);
    }

    #[test]
    fn every_address_form_is_accepted() {
        for (args, target) in [
            ("", "tcp 127.0.0.1:0"),
            ("--udp", "udp 127.0.0.1:0"),
            ("127.0.0.1:7", "tcp 127.0.0.1:7"),
            ("127.0.0.1:7 --udp", "udp 127.0.0.1:7"),
            ("[::1]:7 --udp", "udp [::1]:7"),
            ("udp:127.0.0.1:7 --udp", "udp 127.0.0.1:7"),
            ("udp:127.0.0.1:7", "udp 127.0.0.1:7"),
            ("unix:/x", "unix /x"),
        ] {
            assert_eq!(plan(args).unwrap().load.target.to_string(), target, "{args}");
        }
    }

    #[test]
    fn each_flag_selects_its_activity() {
        for (args, activity) in [
            ("-n 16", Activity::Closed { in_flight: 16 }),
            ("--rate 10k", Activity::Open { rate: 10_000.0 }),
            ("--churn", Activity::Churn),
            ("--idle", Activity::Idle),
        ] {
            assert_eq!(plan(args).unwrap().load.activity, activity, "{args}");
        }
    }

    #[test]
    fn find_max_takes_its_objective_from_slo() {
        let objective = |args: &str| plan(args).unwrap().find_max.map(|slo| slo.to_string());
        assert_eq!(objective(""), None);
        assert_eq!(objective("--find-max").as_deref(), Some("p99<5ms"));
        assert_eq!(objective("--find-max --slo max<1s --rate 5k").as_deref(), Some("max<1s"));
    }

    #[test]
    fn a_spawned_server_gets_limits_above_the_load() {
        let serve_args = |words: &str| match plan(words).unwrap().options.server {
            ServerSource::Spawned { args, .. } => args.join(" "),
            ServerSource::Existing { .. } => panic!("{words}"),
        };
        assert_eq!(serve_args("--framing lines --engine threads"), "--framing lines --engine threads");
        assert_eq!(serve_args("--connections 50000"), "");
        assert_eq!(serve_args("--connections 90000"), "--max-connections 180000");
        let large = serve_args("--payload 100MiB");
        assert!(large.starts_with("--max-frame-bytes 104857600 --max-write-buffer-bytes 209715200"), "{large}");
    }

    #[test]
    fn contradictory_arguments_are_a_usage_error() {
        for (args, prefix) in [
            ("7000", "7000 is not an address: write host:port"),
            (":7000", ":7000 names no host: write 127.0.0.1:7000"),
            ("127.0.0.1:0", "127.0.0.1:0 has port 0"),
            ("unix:/x --udp", "--udp contradicts unix:/x"),
            ("udp:127.0.0.1:7 --framing u8", "--framing does not apply to UDP"),
        ] {
            match plan(args) {
                Err(CliError::Usage(text)) => assert!(text.starts_with(prefix), "{args}: {text}"),
                other => panic!("{args}: {other:?}"),
            }
        }
    }
}
