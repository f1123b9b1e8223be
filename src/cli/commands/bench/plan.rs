//! What was typed after `bench echo`, understood: which server, which load, and how the result is told.

use switchboard::load::{self, Activity, Slo};
use switchboard::{Endpoint, Framing};

use super::args::EchoArgs;
use super::setting::{self, Server, Setting, Show};
use crate::cli::error::CliError;
use crate::cli::process::LoadRequirements;
use crate::cli::units::Rate;

/// All that `bench echo` needs to know.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) setting: Setting,
    pub(super) load: load::LoadConfig,
    /// Not one run, but the search for the highest rate at which this holds.
    pub(super) find_max: Option<Slo>,
}

impl Plan {
    pub(super) fn new(typed: EchoArgs) -> Result<Self, CliError> {
        let framing = typed.framing.unwrap_or(Framing::U32BE);
        let endpoints = typed.address.as_deref().map(|address| setting::find(address, typed.udp)).transpose()?;
        let target = endpoints.as_ref().and_then(|endpoints| endpoints.first().cloned());
        let target = target.unwrap_or_else(|| setting::anywhere(typed.udp));
        if typed.framing.is_some() && matches!(target, Endpoint::Udp(_)) {
            return Err(CliError::Usage(
                "--framing has no meaning for datagrams, each of which is a message".to_owned(),
            ));
        }
        let load = load::LoadConfig {
            target: target.clone(),
            framing,
            connections: typed.connections,
            payload_bytes: typed.payload.0.clone(),
            activity: activity(&typed),
            slow_readers: typed.slow_readers,
            ramp: typed.ramp.0,
            warm_up: typed.warm_up.0,
            duration: typed.duration.0,
            answer_timeout: typed.answer_timeout.0,
            seed: typed.seed,
        };
        let listen = format!("{}:{}", target.transport(), target.address());
        let setting = Setting {
            service: "echo",
            server: Server::new(endpoints, &typed.server, listen, options(&load, &typed)),
            target,
            framing,
            connections: load.connections.saturating_add(load.slow_readers),
            show: Show::new(&typed.result),
            hdr: typed.result.hdr,
            html: typed.result.html,
        };
        let find_max = typed.find_max.then_some(typed.slo);
        Ok(Self { setting, load, find_max })
    }
}

fn activity(typed: &EchoArgs) -> Activity {
    match (typed.in_flight, typed.rate) {
        (_, Some(Rate(rate))) => Activity::Open { rate },
        _ if typed.churn => Activity::Churn,
        _ if typed.idle => Activity::Idle,
        (in_flight, None) => Activity::Closed { in_flight: in_flight.unwrap_or(1) },
    }
}

/// What a server that is started has to be told, so that the load does not meet a limit that it is not about.
fn options(load: &load::LoadConfig, typed: &EchoArgs) -> Vec<String> {
    let mut options = Vec::new();
    if let Some(framing) = typed.framing {
        options.extend(["--framing".to_owned(), framing.to_string()]);
    }
    options.extend(setting::engine_options(&typed.server));
    let demand = LoadRequirements {
        // With --churn the server may see a newcomer before it has noticed that his predecessor has gone.
        connections: load.connections.saturating_add(load.slow_readers).saturating_mul(2),
        in_flight: LoadRequirements::in_flight_estimate(load.activity),
        frame_bytes: *load.payload_bytes.end(),
    };
    options.extend(demand.options());
    options
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::args::{Args, CliCommand};
    use crate::cli::commands::bench::BenchCommand;

    fn plan(words: &str) -> Result<Plan, CliError> {
        let words = ["switchboard", "bench", "echo"].into_iter().chain(words.split_whitespace());
        let CliCommand::Bench(BenchCommand::Echo(typed)) = Args::try_parse_from(words).unwrap().command else {
            panic!("not bench echo")
        };
        Plan::new(*typed)
    }

    #[test]
    fn nothing_typed_is_a_closed_loop_on_a_server_of_its_own() {
        let plan = plan("").unwrap();
        assert_eq!(plan.load.activity, Activity::Closed { in_flight: 1 });
        assert_eq!((plan.load.connections, plan.load.payload_bytes.clone()), (50, 64..=64));
        assert_eq!((plan.load.warm_up.as_secs(), plan.load.duration.as_secs()), (1, 5));
        let (listen, engine) = ("tcp:127.0.0.1:0".to_owned(), "reactor".to_owned());
        assert_eq!(plan.setting.server, Server::Own { listen, engine, options: vec![], pin: true });
        assert_eq!(plan.setting.show, Show::Table);
    }

    #[test]
    fn an_address_is_taken_in_every_form() {
        for (words, target) in [
            ("", "tcp 127.0.0.1:0"),
            ("--udp", "udp 127.0.0.1:0"),
            ("127.0.0.1:7", "tcp 127.0.0.1:7"),
            ("127.0.0.1:7 --udp", "udp 127.0.0.1:7"),
            ("[::1]:7 --udp", "udp [::1]:7"),
            ("udp:127.0.0.1:7 --udp", "udp 127.0.0.1:7"),
            ("udp:127.0.0.1:7", "udp 127.0.0.1:7"),
            ("unix:/x", "unix /x"),
        ] {
            assert_eq!(plan(words).unwrap().load.target.to_string(), target, "{words}");
        }
    }

    #[test]
    fn each_activity_has_its_flag() {
        for (words, activity) in [
            ("-n 16", Activity::Closed { in_flight: 16 }),
            ("--rate 10k", Activity::Open { rate: 10_000.0 }),
            ("--churn", Activity::Churn),
            ("--idle", Activity::Idle),
        ] {
            assert_eq!(plan(words).unwrap().load.activity, activity, "{words}");
        }
    }

    #[test]
    fn the_highest_rate_is_searched_for_an_objective() {
        let objective = |words: &str| plan(words).unwrap().find_max.map(|slo| slo.to_string());
        assert_eq!(objective(""), None);
        assert_eq!(objective("--find-max").as_deref(), Some("p99<5ms"));
        assert_eq!(objective("--find-max --slo max<1s --rate 5k").as_deref(), Some("max<1s"));
    }

    #[test]
    fn the_server_that_is_started_is_told_what_the_load_needs() {
        let options = |words: &str| match plan(words).unwrap().setting.server {
            Server::Own { options, .. } => options.join(" "),
            Server::Foreign { .. } => panic!("{words}"),
        };
        assert_eq!(options("--framing lines --engine threads"), "--framing lines --engine threads");
        assert_eq!(options("--connections 50000"), "");
        assert_eq!(options("--connections 90000"), "--max-connections 180000");
        let large = options("--payload 100MiB");
        assert!(large.starts_with("--max-frame-bytes 104857600 --max-write-buffer-bytes 209715200"), "{large}");
    }

    #[test]
    fn what_means_nothing_is_wrong_usage() {
        for (words, says) in [
            ("7000", "7000 is not an address: write host:port"),
            (":7000", ":7000 names no host: write 127.0.0.1:7000"),
            ("127.0.0.1:0", "127.0.0.1:0 is no server's address"),
            ("unix:/x --udp", "--udp contradicts unix:/x"),
            ("udp:127.0.0.1:7 --framing u8", "--framing has no meaning for datagrams"),
        ] {
            match plan(words) {
                Err(CliError::Usage(what)) => assert!(what.starts_with(says), "{words}: {what}"),
                other => panic!("{words}: {other:?}"),
            }
        }
    }
}
