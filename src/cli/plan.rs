//! What was typed, understood: every name looked up, every default filled in, every contradiction found.

use std::fmt;
use std::io;
use std::rc::Rc;

use switchboard::{Endpoint, Framing, Limits, ParseEndpointError, Service};

use super::args::{Given, Listen, ServeArgs};
use super::config;
use super::engine::EngineName;
use super::failure::Failure;
use super::services::{self, Builtin, Wishes};

/// All that `serve` needs to know.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) engine: EngineName,
    pub(super) limits: Limits,
    pub(super) services: Vec<Planned>,
    /// Whether to print what can be tried, and how: whoever named one service knows what it wants.
    pub(super) has_table: bool,
}

/// Flags that say nothing of what a configuration says.
const BESIDE_CONFIG: [&str; 4] = ["--config", "--verbose", "--quiet", "--die-with-parent"];

/// A service, what it was to be like, and where it will be reached.
pub(super) struct Planned {
    pub(super) builtin: &'static Builtin,
    pub(super) wishes: Rc<Wishes>,
    pub(super) service: Box<dyn Service + Send>,
    pub(super) listeners: Vec<(Endpoint, Framing)>,
}

impl fmt::Debug for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {:?}", self.builtin, self.listeners)
    }
}

impl Plan {
    pub(super) fn new(typed: ServeArgs) -> Result<Self, Failure> {
        if let Some(file) = &typed.config {
            let beside = typed.given.iter().find(|given| !BESIDE_CONFIG.contains(&given.flag.as_str()));
            return match beside {
                Some(Given { flag, .. }) => {
                    Err(Failure::Usage(format!("--config says it all: write it there instead of {flag}")))
                }
                None => config::read(file),
            };
        }
        let limits = Limits::from(typed.limits);
        limits.validate()?;
        let (chosen, has_table) = (choose(typed.service, &typed.listen)?, typed.service.is_none());
        check_meaning(&typed.given, &chosen)?;
        let wishes = Rc::new(typed.wishes);
        let planned = chosen.iter().map(|builtin| Planned::new(builtin, &typed.listen, typed.framing, &wishes));
        Ok(Self { engine: typed.engine, limits, services: planned.collect::<Result<_, _>>()?, has_table })
    }
}

/// The services to start. An address is of one service, so where addresses are given, one must be named.
fn choose(service: Option<&'static Builtin>, listen: &[Listen]) -> Result<Vec<&'static Builtin>, Failure> {
    match service {
        Some(builtin) => Ok(vec![builtin]),
        None if listen.is_empty() => Ok(services::ALL.iter().filter(|builtin| builtin.by_itself).collect()),
        None => {
            let names = services::ALL.each_ref().map(|builtin| builtin.name).join(" ");
            Err(Failure::Usage(format!("--listen is an address of one service: name it, one of {names}")))
        }
    }
}

/// What was said about services is about one of those that are served. Flags that are about none in particular stand under
/// headings that no service has.
fn check_meaning(given: &[Given], chosen: &[&Builtin]) -> Result<(), Failure> {
    for Given { flag, heading } in given {
        let Some(heading) = heading else { continue };
        let understands = |builtin: &&Builtin| builtin.headings.contains(&heading.as_str());
        let meant: Vec<_> = services::ALL.iter().filter(understands).map(|builtin| builtin.name).collect();
        if !meant.is_empty() && !chosen.iter().copied().any(|builtin| understands(&builtin)) {
            let served: Vec<_> = chosen.iter().map(|builtin| builtin.name).collect();
            let (meant, served) = (meant.join(" and "), served.join(" and "));
            return Err(Failure::Usage(format!("{flag} is for {meant} alone, and {served} would be served")));
        }
    }
    Ok(())
}

impl Planned {
    pub(super) fn new(
        builtin: &'static Builtin,
        typed: &[Listen],
        framing: Option<Framing>,
        wishes: &Rc<Wishes>,
    ) -> Result<Self, Failure> {
        let listens = if typed.is_empty() { own_listens(builtin)? } else { typed.to_vec() };
        let mut listeners = Vec::new();
        for Listen { framing: prefix, address } in listens {
            let framing = prefix.or(framing).unwrap_or_else(|| (builtin.framing)(wishes));
            let found = resolve(&format!("--listen {address}"), &address)?;
            if !builtin.datagrams && found.iter().any(|endpoint| matches!(endpoint, Endpoint::Udp(_))) {
                return Err(Failure::Usage(format!("{} does not answer datagrams: leave out {address}", builtin.name)));
            }
            listeners.extend(found.into_iter().map(|endpoint| (endpoint, framing)));
        }
        (builtin.check)(wishes, &listeners)?;
        let service = (builtin.make)(wishes)?;
        Ok(Self { builtin, wishes: Rc::clone(wishes), service, listeners })
    }
}

fn own_listens(builtin: &Builtin) -> Result<Vec<Listen>, Failure> {
    builtin.listens.iter().map(|text| text.parse().map_err(Failure::Usage)).collect()
}

/// Looks an address up. `typed` is how it was given, for what is said about it.
pub(super) fn resolve(typed: &str, address: &str) -> Result<Vec<Endpoint>, Failure> {
    // A path may hold one, and would then print a line of its own among the `listening` lines.
    if address.chars().any(char::is_control) {
        return Err(Failure::Usage(format!("{} holds a control character", typed.escape_debug())));
    }
    // As other programs are told to listen everywhere; here that is said in so many words.
    if let Some(port) = address.strip_prefix([':', '*']).map(|rest| rest.trim_start_matches(':'))
        && port.parse::<u16>().is_ok()
    {
        let write = format!("write 127.0.0.1:{port} or 0.0.0.0:{port}");
        return Err(Failure::Usage(format!("{typed} names no host: {write}")));
    }
    Endpoint::resolve(address).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidInput => Failure::Usage(format!("{typed} is {ParseEndpointError}")),
        _ => Failure::Failed(format!("cannot find {address}: {error}; check the name, or write an IP address")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Args, Command};

    fn plan(words: &str) -> Result<Plan, Failure> {
        let words = ["switchboard", "serve"].into_iter().chain(words.split_whitespace());
        let args = Args::read(words.map(Into::into)).unwrap();
        let Command::Serve(typed) = args.command else { panic!("not serve") };
        Plan::new(*typed)
    }

    fn listeners(words: &str) -> Vec<(String, Framing)> {
        let services = plan(words).unwrap().services;
        let all = services.into_iter().flat_map(|planned| planned.listeners);
        all.map(|(endpoint, framing)| (endpoint.to_string(), framing)).collect()
    }

    #[test]
    fn nothing_typed_is_every_service_where_it_listens_by_itself() {
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
        let Err(Failure::Usage(what)) = plan("--listen 127.0.0.1:0") else { panic!("accepted") };
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
            let Err(Failure::Usage(what)) = plan(words) else { panic!("accepted: {words}") };
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
            ("--max-buffered-bytes 1k", "--max-buffered-bytes is less than twice max-frame-bytes"),
            ("echo --listen 127.0.0.1", "--listen 127.0.0.1 is not an address: write host:port"),
            ("echo --listen unix:", "--listen unix: is not an address"),
            ("echo --listen udp:127.0.0.1:70000", "is not an address"),
            ("exec --allow date --listen udp:127.0.0.1:0", "exec does not answer datagrams: leave out udp:127.0.0.1:0"),
        ] {
            match plan(words) {
                Err(Failure::Usage(what)) => assert!(what.contains(says), "{words}: {what}"),
                other => panic!("{words}: {other:?}"),
            }
        }
    }
}
