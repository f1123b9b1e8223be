//! UDP members: arrival, messages and expiry.

use std::net::UdpSocket;
use std::time::Duration;

use switchboard::Limits;
use switchboard::services::chat::ChatConfig;

use super::hall::Hall;
use super::member::Member;
use crate::support::{Engine, conformance, guard};

conformance! {
    a_silent_udp_member_expires,
    udp_members_receive_messages_of_all,
}

fn a_silent_udp_member_expires<E: Engine>() {
    let config = ChatConfig { udp_idle_timeout: Duration::from_millis(300), ..ChatConfig::default() };
    let hall = Hall::open::<E>(Limits::default(), config, 0);
    let mut eva = Member::enter(hall.json, "eva");
    let zoe = speaker(&hall);
    for _ in 0..2 {
        zoe.send(b"zoe : hi").unwrap();
        assert_eq!(hear(&zoe), "zoe : hi");
        eva.await_event(|event| event["type"] == "joined" && event["nick"] == "zoe");
        eva.await_event(|event| event["type"] == "message");
        assert_eq!(eva.event()["type"], "left", "nobody else would go");
        // This message is not sent to the expired member.
        eva.say("gone?");
        eva.message();
    }
    zoe.send(b"zoe : still").unwrap();
    assert_eq!(hear(&zoe), "zoe : still", "she was not sent what was said between");
    drop(eva);
    hall.running.drain();
}

fn udp_members_receive_messages_of_all<E: Engine>() {
    const MEMBERS: usize = 20;
    let config = ChatConfig { max_requests_per_second: 0, ..ChatConfig::default() };
    let hall = Hall::open::<E>(Limits::default(), config, 0);
    let mut eva = Member::enter(hall.json, "eva");
    let speakers: Vec<_> = (0..MEMBERS).map(|_| speaker(&hall)).collect();
    for (at, one) in speakers.iter().enumerate() {
        one.send(format!("m{at}: I am here").as_bytes()).unwrap();
        for there in &speakers[..=at] {
            assert_eq!(hear(there), format!("m{at} : I am here"));
        }
        assert_eq!(eva.message(), (at as u64 + 1, format!("m{at}"), "I am here".to_owned()));
    }
    eva.say("hello, all");
    for one in &speakers {
        assert_eq!(hear(one), "eva : hello, all");
    }
    drop(eva);
    hall.running.drain();
}

fn speaker(hall: &Hall) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(hall.udp).unwrap();
    socket.set_read_timeout(Some(guard())).unwrap();
    socket
}

fn hear(socket: &UdpSocket) -> String {
    let mut datagram = [0; 8192];
    let bytes = socket.recv(&mut datagram).unwrap();
    String::from_utf8(datagram[..bytes].to_vec()).unwrap()
}
