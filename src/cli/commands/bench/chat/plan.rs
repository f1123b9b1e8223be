//! What was typed after `bench chat`, understood.

use switchboard::load::chat::{self, ChatActivity};
use switchboard::{Endpoint, Framing};

use crate::cli::commands::bench::args::ChatArgs;
use crate::cli::commands::bench::setting::{self, Server, Setting, Show};
use crate::cli::error::CliError;
use crate::cli::process::LoadRequirements;
use crate::cli::units::Rate;

/// What surrounds a text on its way to a member: its JSON, with a long room and nick.
const EVENT_BYTES: usize = 256;

/// All that `bench chat` needs to know.
#[derive(Debug)]
pub(in crate::cli::commands::bench) struct Plan {
    pub(super) setting: Setting,
    pub(super) load: chat::ChatLoadConfig,
}

impl Plan {
    pub(in crate::cli::commands::bench) fn new(typed: ChatArgs) -> Result<Self, CliError> {
        let endpoints = typed.address.as_deref().map(|address| setting::find(address, false)).transpose()?;
        let target = endpoints.as_ref().and_then(|endpoints| endpoints.first().cloned());
        let target = target.unwrap_or_else(|| setting::anywhere(false));
        if let Endpoint::Udp(_) = target {
            return Err(CliError::Usage("members are connections, and over UDP there are none".to_owned()));
        }
        let activity = match (typed.in_flight, typed.rate) {
            (_, Some(Rate(rate))) => ChatActivity::Open { rate },
            _ if typed.idle => ChatActivity::Idle,
            (in_flight, None) => ChatActivity::Closed { in_flight: in_flight.unwrap_or(1) },
        };
        let load = chat::ChatLoadConfig {
            target: target.clone(),
            members: typed.members,
            publishers: if typed.idle { 0 } else { typed.publishers.unwrap_or(typed.rooms) },
            rooms: typed.rooms,
            payload_bytes: typed.payload.0,
            activity,
            warm_up: typed.warm_up.0,
            duration: typed.duration.0,
            answer_timeout: typed.answer_timeout.0,
        };
        let mut options = setting::engine_options(&typed.server);
        options.extend(own_options(&load));
        let setting = Setting {
            service: "chat",
            server: Server::new(endpoints, &typed.server, format!("u32be@{}", target.address()), options),
            target,
            framing: Framing::U32BE,
            connections: load.members,
            show: Show::new(&typed.result),
            hdr: typed.result.hdr,
            html: typed.result.html,
        };
        Ok(Self { setting, load })
    }
}

/// What a server that is started has to be told, so that the load does not meet a limit that it is not about.
fn own_options(load: &chat::ChatLoadConfig) -> Vec<String> {
    let demand = LoadRequirements {
        connections: load.members,
        in_flight: LoadRequirements::in_flight_estimate(load.activity.into()),
        frame_bytes: load.payload_bytes.saturating_add(EVENT_BYTES),
    };
    let mut options = vec!["--messages-per-second".to_owned(), "0".to_owned()];
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
        let words = ["switchboard", "bench", "chat"].into_iter().chain(words.split_whitespace());
        let CliCommand::Bench(BenchCommand::Chat(typed)) = Args::try_parse_from(words).unwrap().command else {
            panic!("not bench chat")
        };
        Plan::new(*typed)
    }

    #[test]
    fn nothing_typed_is_a_lobby_of_a_thousand_in_which_one_speaks() {
        let plan = plan("").unwrap();
        assert_eq!(
            (plan.load.members, plan.load.publishers, plan.load.rooms, plan.load.payload_bytes),
            (1000, 1, 1, 64)
        );
        assert_eq!(plan.load.activity, ChatActivity::Closed { in_flight: 1 });
        let (listen, engine) = ("u32be@127.0.0.1:0".to_owned(), "reactor".to_owned());
        let options = ["--messages-per-second", "0"].map(str::to_owned).to_vec();
        assert_eq!(plan.setting.server, Server::Own { listen, engine, options, pin: true });
    }

    #[test]
    fn each_room_has_a_publisher_unless_more_are_asked_for() {
        let publishers = |words: &str| plan(words).unwrap().load.publishers;
        assert_eq!((publishers("--rooms 7"), publishers("--rooms 7 --publishers 9"), publishers("--idle")), (7, 9, 0));
    }

    #[test]
    fn each_activity_has_its_flag() {
        for (words, activity) in [
            ("-n 16", ChatActivity::Closed { in_flight: 16 }),
            ("--rate 1k", ChatActivity::Open { rate: 1000.0 }),
            ("--idle", ChatActivity::Idle),
        ] {
            assert_eq!(plan(words).unwrap().load.activity, activity, "{words}");
        }
    }

    #[test]
    fn the_server_that_is_started_is_told_what_the_load_needs() {
        let options = |words: &str| match plan(words).unwrap().setting.server {
            Server::Own { options, .. } => options.join(" "),
            Server::Foreign { .. } => panic!("{words}"),
        };
        assert_eq!(options("--engine threads"), "--engine threads --messages-per-second 0");
        assert_eq!(options("--members 200000"), "--messages-per-second 0 --max-connections 200000");
    }

    #[test]
    fn a_server_that_runs_is_named() {
        let plan = plan("127.0.0.1:8000 --server-pid 7").unwrap();
        let endpoints = vec!["127.0.0.1:8000".parse().unwrap()];
        assert_eq!(plan.setting.server, Server::Foreign { endpoints, pid: Some(7) });
        let Err(CliError::Usage(what)) = self::plan("udp:127.0.0.1:8003") else { panic!("accepted") };
        assert_eq!(what, "members are connections, and over UDP there are none");
    }
}
