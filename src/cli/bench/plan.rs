//! What was typed after `bench`, understood: which server, which load, and how the result is told.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use clap::ValueEnum;
use switchboard::bench::{self, Activity, Slo};
use switchboard::{Endpoint, Framing};

use super::args::BenchArgs;
use crate::cli::engine::EngineName;
use crate::cli::failure::Failure;
use crate::cli::measure::Demand;
use crate::cli::plan::resolve;
use crate::cli::units::Rate;

/// All that `bench` needs to know.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) service: &'static str,
    pub(super) server: Server,
    /// Its target is where the server is, or where one that is started is asked to listen.
    pub(super) load: bench::Plan,
    /// Not one run, but the search for the highest rate at which this holds.
    pub(super) find_max: Option<Slo>,
    pub(super) show: Show,
    pub(super) hdr: Option<PathBuf>,
    pub(super) html: Option<PathBuf>,
}

/// Whose server it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Server {
    /// One that is started for the measurement.
    Own {
        engine: String,
        /// Further arguments of `serve`.
        options: Vec<String>,
        /// Whether it and the load run on processors of their own.
        pin: bool,
    },
    /// One that runs already, at one of these.
    Foreign { endpoints: Vec<Endpoint>, pid: Option<u32> },
}

/// What is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Show {
    Table,
    Json,
    Csv,
}

impl Plan {
    pub(super) fn new(typed: BenchArgs) -> Result<Self, Failure> {
        let framing = typed.framing.unwrap_or(Framing::U32BE);
        let endpoints = match &typed.address {
            Some(address) => find(address, typed.udp)?,
            None => vec![anywhere(typed.udp)],
        };
        let target = endpoints.first().cloned().unwrap_or_else(|| anywhere(typed.udp));
        if typed.framing.is_some() && matches!(target, Endpoint::Udp(_)) {
            return Err(Failure::Usage(
                "--framing has no meaning for datagrams, each of which is a message".to_owned(),
            ));
        }
        let load = bench::Plan {
            target,
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
        let server = match typed.address {
            Some(_) => Server::Foreign { endpoints, pid: typed.server_pid },
            None => Server::Own {
                options: options(&load, &typed),
                engine: name(typed.engine.unwrap_or_default()),
                pin: !typed.no_pin,
            },
        };
        let show = match (typed.json, typed.csv) {
            (true, _) => Show::Json,
            (_, true) => Show::Csv,
            _ => Show::Table,
        };
        let find_max = typed.find_max.then_some(typed.slo);
        Ok(Self { service: typed.service, server, load, find_max, show, hdr: typed.hdr, html: typed.html })
    }

    /// Descriptors that the load needs, a few for everything else included.
    pub(super) fn descriptors(&self) -> u64 {
        (self.load.connections + self.load.slow_readers) as u64 + 32
    }
}

/// Where a server that is started is asked to listen.
fn anywhere(udp: bool) -> Endpoint {
    let address = (Ipv4Addr::LOCALHOST, 0).into();
    if udp { Endpoint::Udp(address) } else { Endpoint::Tcp(address) }
}

/// The addresses that were meant.
fn find(address: &str, udp: bool) -> Result<Vec<Endpoint>, Failure> {
    let endpoints = match address.split_once(':') {
        Some(("tcp" | "unix", _)) if udp => {
            return Err(Failure::Usage(format!("--udp contradicts {address}: write host:port or udp:host:port")));
        }
        Some((scheme, _)) if udp && scheme != "udp" => resolve(address, &format!("udp:{address}")),
        _ => resolve(address, address),
    }?;
    let nowhere = |endpoint: &Endpoint| match endpoint {
        Endpoint::Tcp(address) | Endpoint::Udp(address) => address.port() == 0,
        Endpoint::Unix(_) => false,
    };
    if endpoints.iter().any(nowhere) {
        return Err(Failure::Usage(format!("{address} is no server's address: port 0 stands for any port")));
    }
    Ok(endpoints)
}

fn activity(typed: &BenchArgs) -> Activity {
    match (typed.in_flight, typed.rate) {
        (_, Some(Rate(rate))) => Activity::Open { rate },
        _ if typed.churn => Activity::Churn,
        _ if typed.idle => Activity::Idle,
        (in_flight, None) => Activity::Closed { in_flight: in_flight.unwrap_or(1) },
    }
}

/// An engine as it is typed.
fn name(engine: EngineName) -> String {
    engine.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// What a server that is started has to be told, so that the load does not meet a limit that it is not about.
fn options(load: &bench::Plan, typed: &BenchArgs) -> Vec<String> {
    let mut options = Vec::new();
    let mut option = |flag: &str, value: String| options.extend([flag.to_owned(), value]);
    if let Some(framing) = typed.framing {
        option("--framing", framing.to_string());
    }
    if let Some(engine) = typed.engine {
        option("--engine", name(engine));
    }
    let demand = Demand {
        // With --churn the server may see a newcomer before it has noticed that his predecessor has gone.
        connections: (load.connections + load.slow_readers).saturating_mul(2),
        in_flight: Demand::under_way(load.activity),
        frame_bytes: *load.payload_bytes.end(),
    };
    options.extend(demand.options());
    options
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::args::{Args, Command};

    fn plan(words: &str) -> Result<Plan, Failure> {
        let words = ["switchboard", "bench", "echo"].into_iter().chain(words.split_whitespace());
        let Command::Bench(typed) = Args::try_parse_from(words).unwrap().command else { panic!("not bench") };
        Plan::new(*typed)
    }

    #[test]
    fn nothing_typed_is_a_closed_loop_on_a_server_of_its_own() {
        let plan = plan("").unwrap();
        assert_eq!(plan.load.activity, Activity::Closed { in_flight: 1 });
        assert_eq!((plan.load.connections, plan.load.payload_bytes.clone()), (50, 64..=64));
        assert_eq!((plan.load.warm_up.as_secs(), plan.load.duration.as_secs()), (1, 5));
        assert_eq!(plan.server, Server::Own { engine: "reactor".to_owned(), options: vec![], pin: true });
        assert_eq!(plan.show, Show::Table);
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
        let options = |words: &str| match plan(words).unwrap().server {
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
                Err(Failure::Usage(what)) => assert!(what.starts_with(says), "{words}: {what}"),
                other => panic!("{words}: {other:?}"),
            }
        }
    }
}
