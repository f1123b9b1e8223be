//! What was typed, understood: every name looked up, every default filled in, every contradiction found.

use std::fmt;
use std::rc::Rc;

use switchboard::{Endpoint, Framing, Limits, Service};

use super::args::{GivenFlag, ListenArg, ServeArgs};
use super::services::{self, BuiltinService, ServiceArgs};
use crate::cli::address::resolve;
use crate::cli::engine::EngineName;
use crate::cli::error::CliError;

/// All that `serve` needs to know.
#[derive(Debug)]
pub(in crate::cli) struct ServePlan {
    pub(in crate::cli) engine: EngineName,
    pub(in crate::cli) limits: Limits,
    pub(in crate::cli) services: Vec<PlannedService>,
    /// Whether to print what can be tried, and how: whoever named one service knows what it wants.
    pub(in crate::cli) has_table: bool,
}

/// A service, what it was to be like, and where it will be reached.
pub(in crate::cli) struct PlannedService {
    pub(in crate::cli) builtin: &'static BuiltinService,
    pub(in crate::cli) args: Rc<ServiceArgs>,
    pub(in crate::cli) service: Box<dyn Service + Send>,
    pub(in crate::cli) listeners: Vec<(Endpoint, Framing)>,
}

impl fmt::Debug for PlannedService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {:?}", self.builtin, self.listeners)
    }
}

impl ServePlan {
    pub(in crate::cli) fn new(typed: ServeArgs) -> Result<Self, CliError> {
        let limits = Limits::from(typed.limits);
        limits.validate()?;
        let (chosen, has_table) = (choose(typed.service, &typed.listen)?, typed.service.is_none());
        check_meaning(&typed.given, &chosen)?;
        let args = Rc::new(typed.service_args);
        let planned = chosen.iter().map(|builtin| PlannedService::new(builtin, &typed.listen, typed.framing, &args));
        Ok(Self { engine: typed.engine, limits, services: planned.collect::<Result<_, _>>()?, has_table })
    }
}

/// The services to start. An address is of one service, so where addresses are given, one must be named.
fn choose(
    service: Option<&'static BuiltinService>,
    listen: &[ListenArg],
) -> Result<Vec<&'static BuiltinService>, CliError> {
    match service {
        Some(builtin) => Ok(vec![builtin]),
        None if listen.is_empty() => Ok(services::ALL.iter().filter(|builtin| builtin.is_default).collect()),
        None => {
            let names = services::ALL.each_ref().map(|builtin| builtin.name).join(" ");
            Err(CliError::Usage(format!("--listen is an address of one service: name it, one of {names}")))
        }
    }
}

/// What was said about services is about one of those that are served. Flags that are about none in particular stand under
/// headings that no service has.
fn check_meaning(given: &[GivenFlag], chosen: &[&BuiltinService]) -> Result<(), CliError> {
    for GivenFlag { flag, heading } in given {
        let Some(heading) = heading else { continue };
        let understands = |builtin: &&BuiltinService| builtin.headings.contains(&heading.as_str());
        let meant: Vec<_> = services::ALL.iter().filter(understands).map(|builtin| builtin.name).collect();
        if !meant.is_empty() && !chosen.iter().copied().any(|builtin| understands(&builtin)) {
            let served: Vec<_> = chosen.iter().map(|builtin| builtin.name).collect();
            let (meant, served) = (meant.join(" and "), served.join(" and "));
            return Err(CliError::Usage(format!("{flag} is for {meant} alone, and {served} would be served")));
        }
    }
    Ok(())
}

impl PlannedService {
    pub(super) fn new(
        builtin: &'static BuiltinService,
        typed: &[ListenArg],
        framing: Option<Framing>,
        args: &Rc<ServiceArgs>,
    ) -> Result<Self, CliError> {
        let listens = if typed.is_empty() { own_listens(builtin)? } else { typed.to_vec() };
        let mut listeners = Vec::new();
        for ListenArg { framing: prefix, address } in listens {
            let framing = prefix.or(framing).unwrap_or_else(|| (builtin.framing)(args));
            let found = resolve(&format!("--listen {address}"), &address)?;
            if !builtin.datagrams && found.iter().any(|endpoint| matches!(endpoint, Endpoint::Udp(_))) {
                return Err(CliError::Usage(format!(
                    "{} does not answer datagrams: leave out {address}",
                    builtin.name
                )));
            }
            listeners.extend(found.into_iter().map(|endpoint| (endpoint, framing)));
        }
        (builtin.check)(args, &listeners)?;
        let service = (builtin.make)(args)?;
        Ok(Self { builtin, args: Rc::clone(args), service, listeners })
    }
}

fn own_listens(builtin: &BuiltinService) -> Result<Vec<ListenArg>, CliError> {
    builtin.default_listen.iter().map(|text| text.parse().map_err(CliError::Usage)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Args, CliCommand};

    fn plan(words: &str) -> Result<ServePlan, CliError> {
        let words = ["switchboard", "serve"].into_iter().chain(words.split_whitespace());
        let args = Args::read(words.map(Into::into)).unwrap();
        let CliCommand::Serve(typed) = args.command else { panic!("not serve") };
        ServePlan::new(*typed)
    }

    fn listeners(words: &str) -> Vec<(String, Framing)> {
        let services = plan(words).unwrap().services;
        let all = services.into_iter().flat_map(|planned| planned.listeners);
        all.map(|(endpoint, framing)| (endpoint.to_string(), framing)).collect()
    }

    #[test]
    fn nothing_typed_is_every_service_where_it_listens_is_default() {
        let plan = plan("").unwrap();
        assert_eq!(plan.limits, Limits::default());
        let names: Vec<_> = plan.services.iter().map(|planned| planned.builtin.name).collect();
        assert_eq!(names, ["echo", "upper", "greet", "robot", "parrot", "clock", "chat"]);
    }

    #[test]
    fn echo_listens_over_tcp_and_udp() {
        let (tcp, udp) = ("tcp 127.0.0.1:7000".to_owned(), "udp 127.0.0.1:7000".to_owned());
        assert_eq!(listeners("echo"), [(tcp.clone(), Framing::U32BE), (udp.clone(), Framing::U32BE)]);
        assert_eq!(listeners("echo --framing raw"), [(tcp, Framing::Raw), (udp, Framing::Raw)]);
    }

    #[test]
    fn addresses_that_are_given_replace_the_services_own() {
        let words = "echo --listen lines@127.0.0.1:1 --listen [::1]:2 --listen unix:/x --framing u8";
        assert_eq!(
            listeners(words),
            [
                ("tcp 127.0.0.1:1".to_owned(), Framing::Lines),
                ("tcp [::1]:2".to_owned(), Framing::U8),
                ("unix /x".to_owned(), Framing::U8)
            ]
        );
    }

    #[test]
    fn a_name_stands_for_all_its_addresses() {
        let found = listeners("echo --listen udp:localhost:1");
        assert!(!found.is_empty() && found.iter().all(|(endpoint, _)| endpoint.starts_with("udp ")), "{found:?}");
    }

    #[test]
    fn an_address_for_several_services_is_wrong_usage() {
        let Err(CliError::Usage(what)) = plan("--listen 127.0.0.1:0") else { panic!("accepted") };
        assert!(what.contains("one of echo upper"), "{what}");
    }

    #[test]
    fn what_is_said_about_a_service_that_is_not_served_is_wrong_usage() {
        for (words, says) in [
            ("upper --work-us 1", "--work-us is for echo alone, and upper would be served"),
            (
                "echo --encoding gbk",
                "--encoding is for greet and robot and parrot and chat alone, and echo would be served",
            ),
            ("echo --console", "--console is for chat alone, and echo would be served"),
            ("--root /", "--root is for files alone, and echo and upper and greet"),
        ] {
            let Err(CliError::Usage(what)) = plan(words) else { panic!("accepted: {words}") };
            assert!(what.starts_with(says), "{what}");
        }
        for words in ["echo --work-us 0", "--work-us 1 --encoding gbk --seed 1", "chat --encoding gbk"] {
            assert!(plan(words).is_ok(), "{words}");
        }
    }

    #[test]
    fn the_reactor_serves_if_no_other_engine_is_named() {
        assert_eq!(plan("echo").unwrap().engine, EngineName::Reactor);
        #[cfg(unix)]
        assert_eq!(plan("echo --engine threads").unwrap().engine, EngineName::Threads);
    }

    #[test]
    fn limits_are_read_in_their_units() {
        let limits =
            plan("--max-frame-bytes 64k --idle-timeout 5min --slow-consumer drop-oldest --workers 2").unwrap().limits;
        assert_eq!(limits.max_frame_bytes, 64 << 10);
        assert_eq!(limits.idle_timeout.as_secs(), 300);
        assert_eq!(limits.slow_consumer, switchboard::SlowConsumer::DropOldest);
        assert_eq!(limits.workers, 2);
    }

    #[test]
    fn what_means_nothing_is_wrong_usage() {
        for (words, says) in [
            ("--max-connections 0", "--max-connections must be at least 1"),
            ("--max-buffered-bytes 1k", "--max-buffered-bytes must be at least twice (max-frame-bytes"),
            ("echo --listen 127.0.0.1", "--listen 127.0.0.1 is not an address: write host:port"),
            ("echo --listen unix:", "--listen unix: is not an address"),
            ("echo --listen udp:127.0.0.1:70000", "is not an address"),
            ("exec --allow date --listen udp:127.0.0.1:0", "exec does not answer datagrams: leave out udp:127.0.0.1:0"),
        ] {
            match plan(words) {
                Err(CliError::Usage(what)) => assert!(what.contains(says), "{words}: {what}"),
                other => panic!("{words}: {other:?}"),
            }
        }
    }
}
