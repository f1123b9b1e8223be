//! A load as text: its messages, its connections, its length.

use std::time::Duration;

use super::result::{BenchRecord, LoadRecord};
use crate::cli::report::figure;
use crate::cli::report::text::connections_text;

/// Returns the title: the service and its address.
pub(super) fn title(record: &BenchRecord) -> String {
    let target = &record.target;
    format!("{} at {} {}", target.service, target.transport, target.address)
}

/// Returns one sentence about the load and one about the server.
pub(super) fn about(record: &BenchRecord) -> String {
    let engine = record.target.engine.as_ref().map(|engine| format!("Own server, {engine} engine"));
    let framing = record.target.framing.as_ref().map(|framing| format!("{framing} frames"));
    let server: Vec<_> = [engine, framing].into_iter().flatten().collect();
    let server = if server.is_empty() { String::new() } else { format!(" {}.", server.join("; ")) };
    load(record) + &server
}

/// Returns one sentence about the load.
pub(super) fn load(record: &BenchRecord) -> String {
    let load = &record.load;
    let connections = load.connections.unwrap_or(0);
    let what = if let Some(rooms) = load.rooms {
        format!("{} {}", figure::counted(connections as u64, "member", "members"), rooms_text(load, rooms))
    } else {
        let connections = match record.target.transport {
            "udp" => figure::counted(connections as u64, "socket", "sockets"),
            _ => connections_text(connections),
        };
        format!("{connections}, {}{}", messages(load, "on each"), slow_readers(load))
    };
    let warm_up = match load.warm_up_ns {
        0 => String::new(),
        nanos => format!(" after {} of warm-up", time(nanos)),
    };
    let length = match (record.ended_early().is_some(), record.run.elapsed_ns) {
        (true, 0) => "ended early, in the warm-up".to_owned(),
        (true, nanos) => format!("ended early, {}{warm_up}", time(nanos)),
        (false, nanos) => format!("{}{warm_up}", time(nanos)),
    };
    format!("{what}; {length}.")
}

/// Returns the messages of an echo load. `place` is the place of those in flight.
pub(crate) fn messages(load: &LoadRecord, place: &str) -> String {
    let payload = payload(load);
    match (load.activity, load.in_flight.unwrap_or(1), load.rate_per_second) {
        ("closed", n, _) => {
            format!("{} of {payload} in flight {place}", figure::counted(n as u64, "message", "messages"))
        }
        ("open", _, Some(rate)) => {
            format!("{} of {payload} per second over all connections, whether or not answers arrive", rate_text(rate))
        }
        ("churn", ..) => format!("each opened, used for one exchange of {payload} and closed, repeatedly"),
        _ => format!("held after one exchange of {payload}"),
    }
}

/// Returns the rooms and publishers of a chat load.
fn rooms_text(load: &LoadRecord, rooms: usize) -> String {
    let rooms = match rooms {
        1 => "in one room".to_owned(),
        rooms => format!("in {} rooms", figure::count(rooms as u64)),
    };
    let payload = payload(load);
    let publishers = match load.publishers.unwrap_or(0) {
        1 => "1 of them sends".to_owned(),
        publishers => format!("{} of them send", figure::count(publishers as u64)),
    };
    let messages = match (load.activity, load.in_flight.unwrap_or(1), load.rate_per_second) {
        ("idle", ..) => "only held".to_owned(),
        (_, _, Some(rate)) => {
            let rate = rate_text(rate);
            format!("{publishers} {rate} of {payload} per second, whether or not they are delivered")
        }
        (_, 1, None) => format!("{publishers} messages of {payload}, one in flight in each room"),
        (_, n, None) => {
            format!("{publishers} messages of {payload}, {} in flight in each room", figure::count(n as u64))
        }
    };
    format!("{rooms}, {messages}")
}

/// Returns the messages of one second.
fn rate_text(rate: f64) -> String {
    match figure::short_number(rate) {
        one if one == "1" => "1 message".to_owned(),
        rate => format!("{rate} messages"),
    }
}

fn payload(load: &LoadRecord) -> String {
    match (load.payload_min_bytes, load.payload_max_bytes) {
        (min, max) if min == max => figure::short_bytes(min),
        (min, max) => format!("{} to {}", figure::short_bytes(min), figure::short_bytes(max)),
    }
}

fn slow_readers(load: &LoadRecord) -> String {
    match load.slow_readers {
        0 => String::new(),
        1 => "; 1 more that never reads".to_owned(),
        n => format!("; {} more that never read", figure::count(n as u64)),
    }
}

/// Formats a length of time in nanoseconds, without trailing zeros.
pub(crate) fn time(nanos: u64) -> String {
    figure::short_time(Duration::from_nanos(nanos))
}
