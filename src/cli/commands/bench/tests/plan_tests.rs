//! The plans that arguments give.

use clap::Parser;
use switchboard::load::chat::ChatLoadConfig;
use switchboard::load::{Activity, LoadConfig};

use crate::cli::args::{Args, CliCommand};
use crate::cli::commands::bench::args::BenchCommand;
use crate::cli::commands::bench::plan::{BenchPlan, PlannedLoad};
use crate::cli::commands::bench::server_source::ServerSource;
use crate::cli::engine::EngineName;
use crate::cli::error::CliError;

fn plan(args: &str) -> Result<BenchPlan, CliError> {
    let args = ["switchboard", "bench"].into_iter().chain(args.split_whitespace());
    match Args::try_parse_from(args).unwrap().command {
        CliCommand::Bench(BenchCommand::Echo(args)) => BenchPlan::echo(&args),
        CliCommand::Bench(BenchCommand::Chat(args)) => BenchPlan::chat(&args),
        _ => panic!("not bench"),
    }
}

/// Returns the plan of `bench echo` and its load.
fn echo(args: &str) -> Result<(BenchPlan, LoadConfig), CliError> {
    let plan = plan(&format!("echo {args}"))?;
    let PlannedLoad::Echo(load) = plan.load.clone() else { panic!("not a load on echo: {args}") };
    Ok((plan, load))
}

/// Returns the plan of `bench chat` and its load.
fn chat(args: &str) -> Result<(BenchPlan, ChatLoadConfig), CliError> {
    let plan = plan(&format!("chat {args}"))?;
    let PlannedLoad::Chat(load) = plan.load.clone() else { panic!("not a load on chat: {args}") };
    Ok((plan, load))
}

#[test]
fn default_is_a_closed_loop_on_a_spawned_server() {
    let (plan, load) = echo("").unwrap();
    assert_eq!(load.activity, Activity::Closed { in_flight: 1 });
    assert_eq!((load.connections, load.payload_bytes.clone()), (50, 64..=64));
    assert_eq!((load.warm_up.as_secs(), load.duration.as_secs()), (1, 5));
    let (listen, engine) = ("tcp:127.0.0.1:0".to_owned(), EngineName::Reactor);
    assert_eq!(plan.server, ServerSource::Spawned { listen, engine, args: vec![], pin: true });
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
        assert_eq!(echo(args).unwrap().1.target.to_string(), target, "{args}");
    }
}

#[test]
fn each_flag_selects_the_activity_of_echo() {
    for (args, activity) in [
        ("-n 16", Activity::Closed { in_flight: 16 }),
        ("--rate 10k", Activity::Open { rate: 10_000.0 }),
        ("--churn", Activity::Churn),
        ("--idle", Activity::Idle),
    ] {
        assert_eq!(echo(args).unwrap().1.activity, activity, "{args}");
    }
}

#[test]
fn find_max_takes_its_objective_from_slo() {
    let objective = |args: &str| match plan(&format!("echo {args}")).unwrap().load {
        PlannedLoad::FindMax(_, slo) => Some(slo.to_string()),
        _ => None,
    };
    assert_eq!(objective(""), None);
    assert_eq!(objective("--find-max").as_deref(), Some("p99<5ms"));
    assert_eq!(objective("--find-max --slo max<1s --rate 5k").as_deref(), Some("max<1s"));
}

#[test]
fn a_spawned_server_gets_limits_above_the_load() {
    let serve_args = |words: &str| match echo(words).unwrap().0.server {
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
        match echo(args) {
            Err(CliError::Usage(text)) => assert!(text.starts_with(prefix), "{args}: {text}"),
            other => panic!("{args}: {other:?}"),
        }
    }
}

#[test]
fn default_is_one_lobby_of_1000_with_one_publisher() {
    let (plan, load) = chat("").unwrap();
    assert_eq!((load.members, load.publishers, load.rooms, load.payload_bytes), (1000, 1, 1, 64));
    assert_eq!(load.activity, Activity::Closed { in_flight: 1 });
    let (listen, engine) = ("u32be@127.0.0.1:0".to_owned(), EngineName::Reactor);
    let args = ["--messages-per-second", "0"].map(str::to_owned).to_vec();
    assert_eq!(plan.server, ServerSource::Spawned { listen, engine, args, pin: true });
}

#[test]
fn each_room_has_one_publisher_by_default() {
    let publishers = |args: &str| chat(args).unwrap().1.publishers;
    assert_eq!((publishers("--rooms 7"), publishers("--rooms 7 --publishers 9"), publishers("--idle")), (7, 9, 0));
}

#[test]
fn each_flag_selects_the_activity_of_chat() {
    for (args, activity) in [
        ("-n 16", Activity::Closed { in_flight: 16 }),
        ("--rate 1k", Activity::Open { rate: 1000.0 }),
        ("--idle", Activity::Idle),
    ] {
        assert_eq!(chat(args).unwrap().1.activity, activity, "{args}");
    }
}

#[test]
fn a_spawned_chat_server_gets_limits_above_the_load() {
    let serve_args = |words: &str| match chat(words).unwrap().0.server {
        ServerSource::Spawned { args, .. } => args.join(" "),
        ServerSource::Existing { .. } => panic!("{words}"),
    };
    assert_eq!(serve_args("--engine threads"), "--engine threads --messages-per-second 0");
    assert_eq!(serve_args("--members 200000"), "--messages-per-second 0 --max-connections 200000");
}

#[test]
fn address_selects_an_existing_server() {
    let (plan, _) = chat("127.0.0.1:8000 --server-pid 7").unwrap();
    let endpoints = vec!["127.0.0.1:8000".parse().unwrap()];
    assert_eq!(plan.server, ServerSource::Existing { endpoints, pid: Some(7) });
}

#[test]
fn udp_address_is_rejected() {
    let Err(CliError::Usage(text)) = chat("udp:127.0.0.1:8003") else { panic!("accepted") };
    assert_eq!(
        text,
        "bench chat does not support UDP, because each member needs a connection: give a TCP or Unix address"
    );
}
