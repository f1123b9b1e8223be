//! A result's circumstances and faults, in words.

use std::time::Duration;

use switchboard::load::chat::ChatFaults;

use super::record::Record;
use crate::cli::report::figure;

/// What was measured, as a title.
pub(super) fn title(record: &Record) -> String {
    format!("chat at {} {}", record.target.transport, record.target.address)
}

/// How, in a few words.
pub(super) fn about(record: &Record) -> String {
    let load = &record.load;
    let members = figure::count(load.members as u64);
    let place = match load.rooms {
        1 => "in one room".to_owned(),
        rooms => format!("in {} rooms", figure::count(rooms as u64)),
    };
    let payload = figure::short_bytes(load.payload_bytes);
    let who = match load.publishers {
        1 => "1 of them says".to_owned(),
        publishers => format!("{} of them say", figure::count(publishers as u64)),
    };
    let what = match (load.in_flight.unwrap_or(1), load.rate_per_second) {
        _ if load.activity == "idle" => "only held".to_owned(),
        (_, Some(rate)) => {
            format!("{who} {} messages of {payload} a second, whoever has heard them", figure::number(rate))
        }
        (1, None) => format!("{who} messages of {payload}, one under way in each room"),
        (n, None) => format!("{who} messages of {payload}, {} under way in each room", figure::count(n as u64)),
    };
    let time = |nanos| figure::short_time(Duration::from_nanos(nanos));
    let warm_up = match load.warm_up_ns {
        0 => String::new(),
        nanos => format!(" after {} of warm-up", time(nanos)),
    };
    let length = match (record.ended_early.is_some(), record.elapsed_ns) {
        (true, 0) => "ended early, in the warm-up".to_owned(),
        (true, nanos) => format!("ended early, {}{warm_up}", time(nanos)),
        (false, nanos) => format!("{}{warm_up}", time(nanos)),
    };
    let whose = record.target.engine.as_ref().map(|engine| format!(" Own server, {engine} engine."));
    format!("{members} members {place}, {what}; {length}.{}", whose.unwrap_or_default())
}

/// That everybody heard everything, or did so far.
pub(super) fn proved(record: &Record) -> String {
    let proof = &record.proof;
    let (ids, received) = (figure::count(proof.ids), figure::count(proof.received));
    let whom = match record.members.in_at_end {
        1 => "the one member".to_owned(),
        members => format!("every one of {} members", figure::count(members as u64)),
    };
    format!("{whom} received every id of its room once, in order ({ids} ids, {received} deliveries)")
}

/// Those faults that there were; none if there were none.
pub(super) fn faults(faults: &ChatFaults) -> Option<String> {
    let said: Vec<_> = faults.named().into_iter().filter(|(_, number)| *number > 0).map(fault).collect();
    (!said.is_empty()).then(|| said.join(", "))
}

fn fault((name, number): (&str, u64)) -> String {
    let (one, many) = match name {
        "missing" => ("id never came to a member", "ids never came to members"),
        "duplicated" => ("message came twice", "messages came twice"),
        "reordered" => ("message came after a later one", "messages came after later ones"),
        "corrupted" => ("message came with another text", "messages came with other texts"),
        "strayed" => ("message came to a member of another room", "messages came to members of other rooms"),
        "unsaid" => ("message was said and came to nobody", "messages were said and came to nobody"),
        "misnumbered" => ("message has the wrong id", "messages have the wrong ids"),
        "uncompared" => ("message came too late to be compared", "messages came too late to be compared"),
        "complaints" => ("complaint by the server", "complaints by the server"),
        "refused" => ("member was not let in", "members were not let in"),
        _ => ("member was broken off by the server", "members were broken off by the server"),
    };
    format!("{} {}", figure::count(number), if number == 1 { one } else { many })
}
