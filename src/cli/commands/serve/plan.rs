//! The plan of `serve`: the arguments checked together, names resolved and defaults filled in.

use std::fmt;
use std::rc::Rc;

use switchboard::{Endpoint, Framing, Limits};

use super::args::{ListenArg, ReportArgs, ServeArgs, ServeFlags};
use super::ports;
use super::services::{
    self, BuiltinService, Culprit, ListenSource, MadeService, PlannedListener, ServiceArgError, ServiceArgs,
};
use crate::cli::address::{RESOLVE_TIMEOUT, resolve};
use crate::cli::engine::EngineName;
use crate::cli::error::CliError;

/// A checked description of what `serve` runs.
#[derive(Debug)]
pub(in crate::cli) struct ServePlan {
    pub(in crate::cli) engine: EngineName,
    pub(in crate::cli) limits: Limits,
    pub(super) reports: ReportArgs,
    pub(in crate::cli) services: Vec<PlannedService>,
    /// True if a table of example commands is printed. It is not if the user named one service.
    pub(in crate::cli) prints_examples: bool,
    /// True if the services start without the addresses that cannot be bound. They do if the user
    /// named neither a service nor an address.
    pub(in crate::cli) skips_unavailable: bool,
}

/// A service to run and its listeners.
pub(in crate::cli) struct PlannedService {
    pub(in crate::cli) builtin: &'static BuiltinService,
    pub(in crate::cli) args: Rc<ServiceArgs>,
    pub(in crate::cli) made: MadeService,
    pub(in crate::cli) listeners: Vec<PlannedListener>,
}

impl fmt::Debug for PlannedService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoints = self.listeners.iter().map(|listener| &listener.endpoint);
        write!(f, "{:?} at {:?}", self.builtin, endpoints.collect::<Vec<_>>())
    }
}

impl ServePlan {
    /// Checks the arguments and creates the services.
    ///
    /// # Errors
    /// [`CliError::Usage`] for arguments that contradict each other; [`CliError::Failed`] if a name
    /// cannot be resolved or a file cannot be read.
    pub(in crate::cli) fn new(args: ServeArgs) -> Result<Self, CliError> {
        let ServeArgs { service, flags, given } = args;
        let ServeFlags { listen, port_base, framing, engine, service_args, reports, limits, .. } = flags;
        let limits = Limits::from(limits);
        limits.validate()?;
        let (chosen, prints_examples) = (choose_services(service, &listen)?, service.is_none());
        reject_flags_of_other_services(&given, &chosen)?;
        let service_args = Rc::new(service_args);
        let source = if listen.is_empty() { ListenSource::Default } else { ListenSource::Flag };
        let listen = match port_base {
            Some(_) if !listen.is_empty() => {
                let text =
                    "--port-base cannot be combined with --listen: it replaces the ports of the default addresses";
                return Err(CliError::Usage(text.to_owned()));
            }
            Some(base) => ports::consecutive(base, &chosen)?,
            None if listen.is_empty() => {
                chosen.iter().map(|builtin| ports::defaults(builtin)).collect::<Result<_, _>>()?
            }
            None => vec![listen],
        };
        let planned = chosen
            .iter()
            .zip(&listen)
            .map(|(builtin, listen)| PlannedService::new(builtin, listen, framing, &service_args, &|_| source.clone()));
        let services = planned.collect::<Result<_, _>>().map_err(|ServiceArgError { error, .. }| error)?;
        Ok(Self { engine, limits, reports, services, prints_examples, skips_unavailable: service.is_none() })
    }

    /// Returns all endpoints to bind.
    pub(in crate::cli) fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.services.iter().flat_map(|planned| &planned.listeners).map(|listener| &listener.endpoint)
    }
}

/// Returns the services to start: the named one, or the default ones. `--listen` needs a named
/// service, because an address belongs to one service.
fn choose_services(
    service: Option<&'static BuiltinService>,
    listen: &[ListenArg],
) -> Result<Vec<&'static BuiltinService>, CliError> {
    match service {
        Some(builtin) => Ok(vec![builtin]),
        None if listen.is_empty() => Ok(services::ALL.iter().filter(|builtin| builtin.is_default).collect()),
        None => Err(CliError::Usage(format!("--listen needs a service: name one of {}", services::names(" ")))),
    }
}

/// Returns an error if a typed flag belongs only to services that are not served.
fn reject_flags_of_other_services(given: &[String], chosen: &[&BuiltinService]) -> Result<(), CliError> {
    for option in given {
        let has_option = |builtin: &&BuiltinService| builtin.options.contains(&option.as_str());
        let owners: Vec<_> = services::ALL.iter().filter(has_option).map(|builtin| builtin.name).collect();
        if !owners.is_empty() && !chosen.iter().any(has_option) {
            let served: Vec<_> = chosen.iter().map(|builtin| builtin.name).collect();
            let (owners, served) = (owners.join(", "), served.join(", "));
            return Err(CliError::Usage(format!("--{option} does not apply to {served}: it is an option of {owners}")));
        }
    }
    Ok(())
}

impl PlannedService {
    /// Resolves the addresses and creates the service. `source` returns the place where the address
    /// with a number was chosen.
    pub(super) fn new(
        builtin: &'static BuiltinService,
        listen: &[ListenArg],
        framing: Option<Framing>,
        args: &Rc<ServiceArgs>,
        source: &dyn Fn(usize) -> ListenSource,
    ) -> Result<Self, ServiceArgError> {
        let mut listeners = Vec::new();
        for (index, value @ ListenArg { framing: prefix, address }) in listen.iter().enumerate() {
            let framing = prefix.or(framing).unwrap_or_else(|| (builtin.framing)(args));
            let culprit = Culprit::Value("listen", index);
            let typed = format!("{} {address}", args.spelled("listen"));
            let endpoints = resolve(&typed, address, RESOLVE_TIMEOUT).map_err(|error| culprit.error(error))?;
            if !builtin.supports_udp && endpoints.iter().any(|endpoint| matches!(endpoint, Endpoint::Udp(_))) {
                let text = format!("{} does not support UDP: remove {address}", builtin.name);
                return Err(culprit.error(CliError::Usage(text)));
            }
            listeners.extend(endpoints.into_iter().map(|endpoint| PlannedListener {
                endpoint,
                framing,
                index,
                written: value.to_string(),
                source: source(index),
            }));
        }
        let index_of = |at| listeners.get(at).map_or(0, |listener: &PlannedListener| listener.index);
        let has_prefix = |at| listen.get(index_of(at)).is_some_and(|listen| listen.framing.is_some());
        // The values that the user gave, in the place of the listeners that follow from them.
        let given = |culprit| match culprit {
            Culprit::Framing(at) if framing.is_some() && !has_prefix(at) => Culprit::Option("framing"),
            Culprit::Listener(at) | Culprit::Framing(at) => Culprit::Value("listen", index_of(at)),
            other => other,
        };
        (builtin.check)(args, &listeners).map_err(|ServiceArgError { culprit, error }| given(culprit).error(error))?;
        let made = (builtin.make)(args)?;
        Ok(Self { builtin, args: Rc::clone(args), made, listeners })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Args, CliCommand};

    fn plan(words: &str) -> Result<ServePlan, CliError> {
        let words = ["switchboard", "serve"].into_iter().chain(words.split_whitespace());
        let args = Args::read(words.map(Into::into)).unwrap();
        let CliCommand::Serve(args) = args.command else { panic!("not serve") };
        ServePlan::new(*args)
    }

    fn listeners(words: &str) -> Vec<(String, Framing)> {
        let services = plan(words).unwrap().services;
        let all = services.into_iter().flat_map(|planned| planned.listeners);
        all.map(|listener| (listener.endpoint.to_string(), listener.framing)).collect()
    }

    #[test]
    fn default_services_are_those_that_need_no_option() {
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
    fn listen_replaces_the_default_addresses() {
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
    fn host_name_resolves_to_all_its_addresses() {
        let found = listeners("echo --listen udp:localhost:1");
        assert!(!found.is_empty() && found.iter().all(|(endpoint, _)| endpoint.starts_with("udp ")), "{found:?}");
    }

    #[test]
    fn port_base_gives_consecutive_ports_in_the_order_of_the_table() {
        let ports = |words: &str| {
            let listeners = listeners(words).into_iter().map(|(endpoint, _)| endpoint);
            listeners.map(|text| text.replace(" 127.0.0.1:", " ")).collect::<Vec<_>>().join(", ")
        };
        assert_eq!(
            ports("--port-base 20000"),
            "tcp 20000, udp 20000, tcp 20001, tcp 20002, udp 20003, tcp 20004, tcp 20005, tcp 20006, udp 20006, \
             tcp 20007, tcp 20008, udp 20009"
        );
        assert_eq!(ports("chat --port-base 5"), "tcp 5, tcp 6, udp 7");
        assert_eq!(ports("--port-base 65533 chat"), "tcp 65533, tcp 65534, udp 65535");
        assert_eq!(ports("echo --port-base 0"), "tcp 0, udp 0");
        let framings: Vec<_> = listeners("chat --port-base 5").into_iter().map(|(_, framing)| framing).collect();
        assert_eq!(framings, [Framing::U32BE, Framing::Lines, Framing::U32BE]);
    }

    #[test]
    fn port_base_must_fit_and_stand_alone() {
        for (words, says) in [
            ("chat --port-base 65534", "--port-base 65534 is too high for 3 ports: use 65533 or less"),
            ("--port-base 65527", "--port-base 65527 is too high for 10 ports: use 65526 or less"),
            ("echo --port-base 7 --listen 127.0.0.1:0", "--port-base cannot be combined with --listen"),
            ("--port-base 7 --listen 127.0.0.1:0", "--listen needs a service"),
        ] {
            let Err(CliError::Usage(what)) = plan(words) else { panic!("accepted: {words}") };
            assert!(what.starts_with(says), "{what}");
        }
    }

    #[test]
    fn listen_without_a_service_is_a_usage_error() {
        let Err(CliError::Usage(what)) = plan("--listen 127.0.0.1:0") else { panic!("accepted") };
        assert!(what.contains("one of echo upper"), "{what}");
    }

    #[test]
    fn flag_of_another_service_is_a_usage_error() {
        for (words, says) in [
            ("upper --work-us 1", "--work-us does not apply to upper: it is an option of echo"),
            ("echo --encoding gbk", "--encoding does not apply to echo: it is an option of greet, robot, parrot, chat"),
            ("echo --console", "--console does not apply to echo: it is an option of chat"),
            (
                "--root /",
                "--root does not apply to echo, upper, greet, robot, parrot, clock, chat: it is an option of files",
            ),
        ] {
            let Err(CliError::Usage(what)) = plan(words) else { panic!("accepted: {words}") };
            assert!(what.starts_with(says), "{what}");
        }
        for words in ["echo --work-us 0", "--work-us 1 --encoding gbk --seed 1", "chat --encoding gbk"] {
            assert!(plan(words).is_ok(), "{words}");
        }
    }

    #[test]
    fn colours_and_console_may_stand_on_both_sides_of_the_service() {
        for words in ["--colour eva=red chat --console", "--console chat --color eva=red", "--console --colour eva=red"]
        {
            assert!(plan(words).is_ok(), "{words}");
        }
    }

    #[test]
    fn default_engine_is_the_reactor() {
        assert_eq!(plan("echo").unwrap().engine, EngineName::Reactor);
        assert_eq!(plan("echo --engine threads").unwrap().engine, EngineName::Threads);
    }

    #[test]
    fn limits_are_parsed_with_their_units() {
        let limits =
            plan("--max-frame-bytes 64k --idle-timeout 5min --slow-consumer drop-oldest --workers 2").unwrap().limits;
        assert_eq!(limits.max_frame_bytes, 64 << 10);
        assert_eq!(limits.idle_timeout.as_secs(), 300);
        assert_eq!(limits.slow_consumer, switchboard::SlowConsumer::DropOldest);
        assert_eq!(limits.workers, 2);
    }

    #[test]
    fn invalid_values_are_usage_errors() {
        for (words, says) in [
            ("--max-connections 0", "--max-connections must be at least 1"),
            ("--max-buffered-bytes 1k", "--max-buffered-bytes must be at least twice (max-frame-bytes"),
            ("echo --listen 127.0.0.1", "--listen 127.0.0.1 is not an address: write host:port"),
            ("echo --listen unix:", "--listen unix: is not an address"),
            ("echo --listen udp:127.0.0.1:70000", "is not an address"),
            ("exec --allow date --listen udp:127.0.0.1:0", "exec does not support UDP: remove udp:127.0.0.1:0"),
        ] {
            match plan(words) {
                Err(CliError::Usage(what)) => assert!(what.contains(says), "{words}: {what}"),
                other => panic!("{words}: {other:?}"),
            }
        }
    }
}
