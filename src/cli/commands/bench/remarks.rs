//! Remarks about a load that is far larger than most, for the log before the run: what it needs,
//! and which other flag may have been meant.

use switchboard::Endpoint;
use switchboard::load::{Activity, LoadConfig};

use super::plan::PlannedLoad;
use crate::cli::process::local_ports;
use crate::cli::report::figure;

/// Connections, or messages in flight in each place, above which a load has a remark.
const LARGE: usize = 10_000;
/// Memory of the load generator for one message in flight: its two times, in a queue that grows by
/// doubling.
const BYTES_PER_MESSAGE: u64 = 32;
/// Memory of one connection at both ends, as measured on Linux: nearly all of it is the kernel's.
const BYTES_PER_CONNECTION: u64 = 10 << 10;

/// Returns the remarks about a load.
pub(crate) fn remarks(load: &PlannedLoad) -> Vec<String> {
    let in_flight = match load {
        PlannedLoad::Echo(LoadConfig { activity, connections, payload_bytes, .. }) => {
            in_flight(*activity, *connections, *payload_bytes.end(), ("connection", "connections"), "--connections")
        }
        PlannedLoad::FindMax(..) => None,
        PlannedLoad::Chat(load) => {
            in_flight(load.activity, load.rooms, load.payload_bytes, ("room", "rooms"), "--members")
        }
    };
    in_flight.into_iter().chain(connections(load.connections(), load.target())).collect()
}

/// Returns the remark about messages in flight in each of `number` places. Other programs have a
/// flag `-n` for the number of requests or connections.
fn in_flight(
    activity: Activity,
    number: usize,
    payload_bytes: usize,
    (place, places): (&str, &str),
    connections_flag: &str,
) -> Option<String> {
    let Activity::Closed { in_flight: each } = activity else { return None };
    let all = (each as u64).saturating_mul(number as u64);
    let bytes = |each: u64| figure::bytes(figure::float(all.saturating_mul(each)));
    (each > LARGE).then(|| {
        format!(
            "--in-flight is the number of messages in flight in each {place}: {} in {} are up to {} of payload, and {} in the load \
             generator; is {connections_flag}, --rate or --duration meant instead?",
            figure::counted(all, "message", "messages"),
            figure::counted(number as u64, place, places),
            bytes(payload_bytes as u64),
            bytes(BYTES_PER_MESSAGE),
        )
    })
}

/// Returns the remark about the number of connections.
fn connections(number: usize, target: &Endpoint) -> Option<String> {
    let count = figure::count(number as u64);
    let ports = match (target, local_ports()) {
        (Endpoint::Unix(_), _) => String::new(),
        (_, None) => format!(", {count} local ports"),
        (_, Some(ports)) => {
            format!(", {count} local ports of {} (net.ipv4.ip_local_port_range)", figure::count(ports))
        }
    };
    let server = if let Endpoint::Udp(_) = target { "" } else { " and as many in the server" };
    let memory = figure::bytes(figure::float((number as u64).saturating_mul(BYTES_PER_CONNECTION)));
    (number > LARGE).then(|| {
        format!(
            "{count} connections need {count} file descriptors here{server}{ports}, and about {memory} of memory, most of it in the \
             kernel"
        )
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use switchboard::Framing;

    use super::*;

    fn load(activity: Activity, connections: usize, target: &str) -> PlannedLoad {
        PlannedLoad::Echo(LoadConfig {
            target: target.parse().unwrap(),
            framing: Framing::U32BE,
            connections,
            payload_bytes: 64..=1024,
            activity,
            slow_readers: 0,
            ramp: Duration::ZERO,
            warm_up: Duration::ZERO,
            duration: Duration::from_secs(1),
            reply_timeout: Duration::from_secs(1),
            seed: 1,
        })
    }

    #[test]
    fn ten_thousand_have_no_remark() {
        let load = load(Activity::Closed { in_flight: 10_000 }, 10_000, "tcp:127.0.0.1:7000");
        assert_eq!(remarks(&load), [] as [String; 0]);
    }

    #[test]
    fn more_in_flight_is_asked_about() {
        let remarks = remarks(&load(Activity::Closed { in_flight: 20_000 }, 50, "tcp:127.0.0.1:7000"));
        let words = "--in-flight is the number of messages in flight in each connection: 1,000,000 messages in 50 connections are \
                     up to 977 MiB of payload, and 30.5 MiB in the load generator; is --connections, --rate or --duration meant \
                     instead?";
        assert_eq!(remarks, [words]);
    }

    #[test]
    fn more_connections_have_their_needs_named() {
        let of = |target| remarks(&load(Activity::Idle, 20_000, target)).concat();
        let start = "20,000 connections need 20,000 file descriptors here";
        assert!(
            of("tcp:127.0.0.1:7000").starts_with(&format!("{start} and as many in the server, 20,000 local ports"))
        );
        assert!(of("udp:127.0.0.1:7000").starts_with(&format!("{start}, 20,000 local ports")));
        let unix = of("unix:/x");
        assert_eq!(
            unix,
            format!("{start} and as many in the server, and about 195 MiB of memory, most of it in the kernel")
        );
    }
}
