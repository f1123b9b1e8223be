//! What was typed, understood: every name looked up, every default filled in, every contradiction found.

use std::io;
use std::time::Duration;

use switchboard::{Endpoint, Framing, Limits, ParseEndpointError};

use super::args::{Listen, ServeArgs};
use super::builtin::{self, Builtin, Wishes};
use super::chat::ChatPlan;
use super::engine::EngineName;
use super::failure::Failure;

/// All that `serve` needs to know.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) engine: EngineName,
    pub(super) wishes: Wishes,
    pub(super) limits: Limits,
    pub(super) services: Vec<Planned>,
}

/// A service and where it will be reached.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) builtin: &'static Builtin,
    pub(super) listeners: Vec<(Endpoint, Framing)>,
}

impl Plan {
    pub(super) fn new(typed: ServeArgs) -> Result<Self, Failure> {
        let limits = Limits::from(typed.limits);
        limits.validate()?;
        let chosen = choose(typed.service, &builtin::ALL, &typed.listen)?;
        let work = Duration::from_micros(typed.work_us.into());
        check_work(work, chosen)?;
        typed.chat.check_served(&chosen.iter().map(|builtin| builtin.name).collect::<Vec<_>>())?;
        let wishes = Wishes { work, chat: ChatPlan::from(typed.chat) };
        let planned = chosen.iter().map(|builtin| Planned::new(builtin, &typed.listen, typed.framing));
        let services = planned.collect::<Result<Vec<_>, _>>()?;
        for planned in services.iter().filter(|planned| planned.builtin.name == "chat") {
            planned.check_frames_hold_messages()?;
            if !wishes.chat.rules.udp_public {
                planned.check_udp_is_private()?;
            }
        }
        Ok(Self { engine: typed.engine, wishes, limits, services })
    }
}

/// The services to start. An address is of one service, so where addresses are given and there are several, one must be named.
fn choose<'a>(service: Option<&'a Builtin>, all: &'a [Builtin], listen: &[Listen]) -> Result<&'a [Builtin], Failure> {
    match service {
        Some(builtin) => Ok(std::slice::from_ref(builtin)),
        None if listen.is_empty() || all.len() == 1 => Ok(all),
        None => {
            let names: Vec<_> = all.iter().map(|builtin| builtin.name).collect();
            Err(Failure::Usage(format!("--listen is an address of one service: name it, one of {}", names.join(" "))))
        }
    }
}

/// Work is given to services that can be given some; where none of those chosen can, it was meant for another.
fn check_work(work: Duration, chosen: &[Builtin]) -> Result<(), Failure> {
    match chosen.iter().find(|builtin| !builtin.takes_work) {
        Some(builtin) if !work.is_zero() => {
            Err(Failure::Usage(format!("--work-us is for echo alone, and {} would be served", builtin.name)))
        }
        _ => Ok(()),
    }
}

impl Planned {
    /// In a frame of at most 255 bytes, members would not be sent what others say.
    fn check_frames_hold_messages(&self) -> Result<(), Failure> {
        match self.listeners.iter().find(|(_, framing)| *framing == Framing::U8) {
            Some((endpoint, _)) => {
                let text = format!("a frame of u8 is too small for chat at {endpoint}: choose u16be or wider");
                Err(Failure::Usage(text))
            }
            None => Ok(()),
        }
    }

    /// Chat answers datagrams, whose senders can be forged: beyond this machine it does so only where it was told to.
    fn check_udp_is_private(&self) -> Result<(), Failure> {
        let is_public = |(endpoint, _): &&(Endpoint, Framing)| match endpoint {
            Endpoint::Udp(addr) => !addr.ip().is_loopback(),
            _ => false,
        };
        match self.listeners.iter().find(is_public) {
            Some((endpoint, _)) => {
                let text =
                    format!("{endpoint} can be reached from other machines: give --udp-public, too, to allow that");
                Err(Failure::Usage(text))
            }
            None => Ok(()),
        }
    }

    fn new(builtin: &'static Builtin, typed: &[Listen], framing: Option<Framing>) -> Result<Self, Failure> {
        let listens = if typed.is_empty() { own_listens(builtin)? } else { typed.to_vec() };
        let mut listeners = Vec::new();
        for Listen { framing: prefix, address } in listens {
            let framing = prefix.or(framing).unwrap_or(builtin.framing);
            let found = resolve(&format!("--listen {address}"), &address)?;
            listeners.extend(found.into_iter().map(|endpoint| (endpoint, framing)));
        }
        Ok(Self { builtin, listeners })
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
    use clap::Parser;

    use super::*;
    use crate::cli::args::{Args, Command};

    fn plan(words: &str) -> Result<Plan, Failure> {
        let args = Args::try_parse_from(["switchboard", "serve"].into_iter().chain(words.split_whitespace())).unwrap();
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
        assert_eq!(names, builtin::ALL.each_ref().map(|builtin| builtin.name));
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
    fn every_service_can_be_planned() {
        for builtin in &builtin::ALL {
            assert!(!Planned::new(builtin, &[], None).unwrap().listeners.is_empty(), "{}", builtin.name);
        }
    }

    #[test]
    fn an_address_for_several_services_is_wrong_usage() {
        let builtin = |name| Builtin { name, ..builtin::ALL[0] };
        let all = [builtin("echo"), builtin("ohce")];
        let listen = ["127.0.0.1:0".parse().unwrap()];
        assert_eq!(choose(None, &all, &[]).unwrap().len(), 2);
        assert_eq!(choose(all.last(), &all, &listen).unwrap()[0].name, "ohce");
        let Err(Failure::Usage(what)) = choose(None, &all, &listen) else { panic!("accepted") };
        assert!(what.ends_with("one of echo ohce"), "{what}");
    }

    #[test]
    fn work_is_for_those_who_can_be_given_some() {
        assert_eq!(plan("echo --work-us 15").unwrap().wishes.work, Duration::from_micros(15));
        let plain = Builtin { name: "plain", takes_work: false, ..builtin::ALL[0] };
        assert!(check_work(Duration::ZERO, &[plain]).is_ok());
        let Err(Failure::Usage(what)) = check_work(Duration::from_micros(1), &[plain]) else { panic!("accepted") };
        assert_eq!(what, "--work-us is for echo alone, and plain would be served");
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
        ] {
            match plan(words) {
                Err(Failure::Usage(what)) => assert!(what.contains(says), "{words}: {what}"),
                other => panic!("{words}: {other:?}"),
            }
        }
    }
}
