//! The circumstances and faults of a `bench chat` as text.

use std::time::Duration;

use switchboard::load::chat::ChatFaults;

use super::record::ChatRecord;
use crate::cli::report::figure;

/// Returns the title: the service and its address.
pub(super) fn title(record: &ChatRecord) -> String {
    format!("chat at {} {}", record.target.transport, record.target.address)
}

/// Returns one sentence about the load and one about the server.
pub(super) fn about(record: &ChatRecord) -> String {
    let load = &record.load;
    let members = figure::count(load.members as u64);
    let rooms = match load.rooms {
        1 => "in one room".to_owned(),
        rooms => format!("in {} rooms", figure::count(rooms as u64)),
    };
    let payload = figure::short_bytes(load.payload_bytes);
    let publishers = match load.publishers {
        1 => "1 of them sends".to_owned(),
        publishers => format!("{} of them send", figure::count(publishers as u64)),
    };
    let activity = match (load.in_flight.unwrap_or(1), load.rate_per_second) {
        _ if load.activity == "idle" => "only held".to_owned(),
        (_, Some(rate)) => {
            let rate = figure::number(rate);
            format!("{publishers} {rate} messages of {payload} per second, whether or not they are delivered")
        }
        (1, None) => format!("{publishers} messages of {payload}, one in flight in each room"),
        (n, None) => format!("{publishers} messages of {payload}, {} in flight in each room", figure::count(n as u64)),
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
    let server = record.target.engine.as_ref().map(|engine| format!(" Own server, {engine} engine."));
    format!("{members} members {rooms}, {activity}; {length}.{}", server.unwrap_or_default())
}

/// Returns the proof as a clause that begins with a lower-case letter.
pub(super) fn proof(record: &ChatRecord) -> String {
    let proof = &record.proof;
    let (ids, received) = (figure::count(proof.ids), figure::count(proof.received));
    let members = match record.members.joined_at_end {
        1 => "the one member".to_owned(),
        members => format!("every one of {} members", figure::count(members as u64)),
    };
    format!("{members} received every id of its room once, in order ({ids} ids, {received} deliveries)")
}

/// Returns the faults with their counts, or `None` without any.
pub(super) fn faults(faults: &ChatFaults) -> Option<String> {
    let counted: Vec<_> = faults.named().into_iter().filter(|(_, count)| *count > 0).map(fault).collect();
    (!counted.is_empty()).then(|| counted.join(", "))
}

fn fault((name, count): (&str, u64)) -> String {
    let (singular, plural) = match name {
        "missing" => ("id never reached a member", "ids never reached members"),
        "duplicated" => ("message arrived twice", "messages arrived twice"),
        "reordered" => ("message arrived after a later one", "messages arrived after later ones"),
        "corrupted" => ("message arrived with another text", "messages arrived with other texts"),
        "strayed" => ("message reached a member of another room", "messages reached members of other rooms"),
        "unsaid" => ("message was sent and never delivered", "messages were sent and never delivered"),
        "misnumbered" => ("message has the wrong id", "messages have the wrong ids"),
        "uncompared" => ("message arrived too late to be compared", "messages arrived too late to be compared"),
        "complaints" => ("error sent by the server", "errors sent by the server"),
        "refused" => ("member could not join", "members could not join"),
        _ => ("member was disconnected by the server", "members were disconnected by the server"),
    };
    format!("{} {}", figure::count(count), if count == 1 { singular } else { plural })
}
