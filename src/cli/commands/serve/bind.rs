//! Binding the plan's listeners: the `listening` lines, the table of examples, and the errors of
//! addresses that are in use.

use std::fmt::Write;
use std::io;

use switchboard::{Endpoint, Error, Framing, ServiceId};

use super::examples;
use super::plan::{PlannedService, ServePlan};
use super::services::{ListenSource, PlannedListener};
use crate::cli::engine::AnyEngine;
use crate::cli::error::{CliError, without_number};

/// Adds the services to the engine and binds all listeners. Returns the text to print: a
/// `listening` line for each, and the table of examples.
///
/// # Errors
/// [`CliError::Failed`] if an address cannot be bound. If the plan skips unavailable addresses,
/// each is a warning and marked in the table, and it is an error if none is left.
pub(super) fn bind(engine: &mut AnyEngine, plan: ServePlan) -> Result<String, CliError> {
    let ServePlan { services, prints_examples, skips_unavailable, .. } = plan;
    let (mut addresses, mut rows, mut unavailable, mut causes) = (String::new(), Vec::new(), Vec::new(), Vec::new());
    for PlannedService { builtin, args, made: (options, service), listeners } in services {
        let service = engine.add_service(options, service);
        for listener in listeners {
            match engine.listen(service, &listener.endpoint, listener.framing) {
                Ok(bound) => {
                    // Writing to a String cannot fail.
                    let _ = writeln!(addresses, "listening {} {bound}", builtin.name);
                    rows.push(examples::row(builtin, &args, &bound, listener.framing));
                }
                Err(error) => match mark(&error).filter(|_| skips_unavailable) {
                    Some(mark) => {
                        let (name, cause) = (builtin.name, cause(&error));
                        log::warn!("{name} does not listen on {}: {cause}", listener.endpoint);
                        rows.push(examples::marked_row(builtin, &listener.endpoint, mark));
                        unavailable.push(listener.endpoint);
                        causes.push(cause);
                    }
                    None => return Err(bind_error(&listener, error)),
                },
            }
        }
        if builtin.name == "chat" && args.has_console() {
            attach_console(engine, service)?;
        }
    }
    if addresses.is_empty() {
        let (count, advice) = (unavailable.len(), other_ports(&unavailable));
        causes.sort_unstable();
        causes.dedup();
        let causes = causes.join("; ");
        return Err(CliError::Failed(format!("cannot listen on any of {count} addresses: {causes}; {advice}")));
    }
    Ok(if prints_examples { addresses + "\n" + &examples::table(&rows) } else { addresses })
}

/// Returns the mark in the table for an address that this process cannot have; `None` for another
/// failure.
fn mark(error: &Error) -> Option<&'static str> {
    let Error::Bind { source, .. } = error else { return None };
    match source.kind() {
        io::ErrorKind::AddrInUse => Some("(busy)"),
        io::ErrorKind::PermissionDenied => Some("(not permitted)"),
        io::ErrorKind::AddrNotAvailable => Some("(no such address)"),
        _ => None,
    }
}

/// Returns the system's error without its number.
fn cause(error: &Error) -> String {
    match error {
        Error::Bind { source, .. } => without_number(source),
        other => without_number(other),
    }
}

/// Returns the advice for default ports that are in use, with a base other than theirs.
fn other_ports(in_use: &[Endpoint]) -> String {
    let near_20000 = |endpoint: &Endpoint| match endpoint {
        Endpoint::Tcp(addr) | Endpoint::Udp(addr) => (20_000..20_100).contains(&addr.port()),
        Endpoint::Unix(_) => false,
    };
    let base = if in_use.iter().any(near_20000) { 30_000 } else { 20_000 };
    format!("choose other ports: --port-base {base}, or --port-base 0 for free ones")
}

/// Returns the error of a listener, with advice that can be followed as it stands.
fn bind_error(listener: &PlannedListener, error: Error) -> CliError {
    let is_busy = matches!(&error, Error::Bind { source, .. } if source.kind() == io::ErrorKind::AddrInUse);
    let text = match &listener.endpoint {
        endpoint @ (Endpoint::Tcp(_) | Endpoint::Udp(_)) if is_busy => {
            let free = listener.written.rsplit_once(':').map(|(address, _)| format!("{address}:0")).unwrap_or_default();
            let advice = match &listener.source {
                ListenSource::Default => other_ports(std::slice::from_ref(endpoint)),
                ListenSource::Flag => format!("choose another port: --listen {free} uses a free one"),
                ListenSource::File(_) => format!("choose another port: listen = \"{free}\" uses a free one"),
            };
            format!("cannot listen on {endpoint}: {}; stop the program that uses it, or {advice}", cause(&error))
        }
        _ => return CliError::from(error).with_prefix(listener.source.position()),
    };
    CliError::Failed(text).with_prefix(listener.source.position())
}

/// Attaches standard input and output to the service as its operator's console.
fn attach_console(engine: &mut AnyEngine, service: ServiceId) -> Result<(), CliError> {
    use std::os::fd::AsFd;

    let own =
        |stream: io::Result<_>| stream.map_err(|error| CliError::Failed(format!("cannot attach the console: {error}")));
    let input = own(io::stdin().as_fd().try_clone_to_owned())?;
    let output = own(io::stdout().as_fd().try_clone_to_owned())?;
    Ok(engine.attach(service, input, output, Framing::Lines)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(kind: io::ErrorKind) -> Error {
        Error::Bind { endpoint: "127.0.0.1:80".parse().unwrap(), source: kind.into() }
    }

    #[test]
    fn addresses_that_cannot_be_had_are_marked() {
        for (kind, expected) in [
            (io::ErrorKind::AddrInUse, Some("(busy)")),
            (io::ErrorKind::PermissionDenied, Some("(not permitted)")),
            (io::ErrorKind::AddrNotAvailable, Some("(no such address)")),
            (io::ErrorKind::OutOfMemory, None),
        ] {
            assert_eq!(mark(&error(kind)), expected);
        }
    }

    #[test]
    fn error_has_advice_for_the_place_where_the_address_was_written() {
        let advice_at = |endpoint: &str, source, written: &str| {
            let listener = PlannedListener {
                endpoint: endpoint.parse().unwrap(),
                framing: Framing::Lines,
                index: 0,
                written: written.to_owned(),
                source,
            };
            bind_error(&listener, error(io::ErrorKind::AddrInUse)).to_string()
        };
        let advice = |source, written: &str| advice_at("127.0.0.1:80", source, written);
        for (endpoint, base) in [("127.0.0.1:80", 20_000), ("127.0.0.1:20001", 30_000), ("udp:127.0.0.1:20000", 30_000)]
        {
            let default = advice_at(endpoint, ListenSource::Default, endpoint);
            let expected = format!("or choose other ports: --port-base {base}, or --port-base 0 for free ones");
            assert!(default.ends_with(&expected), "{default}");
        }
        let flag = advice(ListenSource::Flag, "lines@localhost:80");
        assert!(flag.ends_with("--listen lines@localhost:0 uses a free one"), "{flag}");
        let file = advice(ListenSource::File("f:3".to_owned()), "udp:[::1]:80");
        assert!(file.starts_with("f:3: cannot listen on tcp 127.0.0.1:80: "), "{file}");
        assert!(file.ends_with("listen = \"udp:[::1]:0\" uses a free one"), "{file}");
    }
}
