//! Line 5, slow consumers: each policy does exactly what it promises, every gap is reported, and a
//! reader that only pauses is not cut.

#[allow(dead_code, reason = "the tests of chat use the rest")]
#[path = "../services/chat/hall.rs"]
mod hall;
#[allow(dead_code, reason = "the tests of chat use the rest")]
#[path = "../services/chat/member.rs"]
mod member;

mod gaps;

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use serde_json::json;
use switchboard::services::chat::{ChatConfig, requested_proof};
use switchboard::{Limits, SlowConsumer, Stats};

use self::hall::Hall;
use self::member::Member;
use crate::support::engine::LOGGED_WARNINGS;
use crate::support::{Engine, conformance, encode_frame, guard};

conformance! {
    burst_of_one_turn_cuts_no_reader,
    forged_datagram_makes_no_member,
    reader_that_pauses_within_its_bound_is_not_cut,
    slow_reader_is_named_once,
}

fn config() -> ChatConfig {
    ChatConfig {
        max_requests_per_second: 0,
        max_announcing_room_members: 2,
        max_text_bytes: 32_000,
        ..ChatConfig::default()
    }
}

/// Returns the number of connections closed as slow consumers.
fn readers_cut(stats: &Stats) -> u64 {
    let tables = stats.tables();
    let (_, ends) = tables.iter().find(|(name, _)| *name == "ends").unwrap();
    ends.iter().filter(|(cause, _)| cause == "slow_consumer").map(|(_, count)| count).sum()
}

/// Returns the frames of `count` messages of `bytes` bytes each for the lobby.
fn burst(count: usize, bytes: usize) -> Vec<u8> {
    let say = json!({"type": "say", "room": "lobby", "text": "x".repeat(bytes)}).to_string();
    encode_frame("u32be", say.as_bytes()).repeat(count)
}

/// One read of the server has messages for many times the bound of a member. Their sockets take
/// all of them, so no member reads too slowly.
fn burst_of_one_turn_cuts_no_reader<E: Engine>() {
    const MESSAGES: u64 = 150;
    let limits = Limits { max_write_buffer_bytes: 8 * 1024, ..Limits::default() };
    let hall = Hall::open::<E>(limits, config(), 0);
    let speaker = Member::enter(hall.json, "speaker");
    let mut readers: Vec<_> = (0..4).map(|at| Member::enter(hall.json, &format!("m{at}"))).collect();
    let mut last = 0;
    for _ in 0..10 {
        speaker.client.send_bytes(&burst(MESSAGES as usize, 500));
        for reader in &mut readers {
            for id in 1..=MESSAGES {
                assert_eq!(reader.message().0, last + id);
            }
        }
        last += MESSAGES;
        // The speaker does not read, and is not cut either: its socket takes 1 MB.
    }
    drop((speaker, readers));
    assert_eq!(readers_cut(&hall.running.drain()), 0);
}

/// A reader that pauses for a second, while less than its bound is queued for it, and then reads
/// everything; three times.
fn reader_that_pauses_within_its_bound_is_not_cut<E: Engine>() {
    let limits = Limits {
        max_write_buffer_bytes: 512 * 1024,
        slow_consumer: SlowConsumer::Disconnect,
        write_timeout: Duration::from_secs(30),
        ..Limits::default()
    };
    let hall = Hall::open::<E>(limits, config(), 0);
    let mut speaker = Member::enter(hall.json, "speaker");
    let mut reader = Member::connect_narrow(hall.json);
    reader.ask(&json!({"type": "hello", "nick": "bursty"}));
    reader.await_event(|event| event["type"] == "welcome");
    let mut last = 0;
    for _ in 0..3 {
        for _ in 0..20 {
            speaker.say(&"x".repeat(20_000));
            last += 1;
            while speaker.message().0 < last {}
        }
        // The pause is what the test is about.
        std::thread::sleep(Duration::from_secs(1));
        while reader.message().0 < last {}
    }
    drop((speaker, reader));
    assert_eq!(readers_cut(&hall.running.drain()), 0);
}

/// The victim is a socket from whose address one datagram comes, and which proves nothing. It gets
/// the one answer, and none of the members' messages.
fn forged_datagram_makes_no_member<E: Engine>() {
    let config = ChatConfig { proves_loopback_addresses: true, ..config() };
    let hall = Hall::open::<E>(Limits::default(), config, 0);
    let socket = || {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(hall.udp).unwrap();
        socket.set_read_timeout(Some(guard())).unwrap();
        socket
    };
    let receive = |socket: &UdpSocket| {
        let mut datagram = [0; 8192];
        let bytes = socket.recv(&mut datagram).unwrap();
        String::from_utf8(datagram[..bytes].to_vec()).unwrap()
    };
    let victim = socket();
    victim.send(b"victim : hi").unwrap();
    let answer = receive(&victim);
    assert!(answer.len() <= 3 * (28 + 11) - 28, "{answer}");
    let zoe = socket();
    zoe.send(b"zoe : hi").unwrap();
    let command = requested_proof(&receive(&zoe)).unwrap().to_owned();
    zoe.send(format!("zoe : {command} hi").as_bytes()).unwrap();
    assert_eq!(receive(&zoe), "zoe : hi");
    let mut eva = Member::enter(hall.json, "eva");
    for number in 0..160 {
        eva.say(&number.to_string());
        eva.message();
        assert_eq!(receive(&zoe), format!("eva : {number}"));
    }
    victim.set_nonblocking(true).unwrap();
    assert_eq!(victim.recv(&mut [0; 100]).unwrap_err().kind(), ErrorKind::WouldBlock);
    drop(eva);
    hall.running.drain();
}

/// Returns the warnings logged so far that name the slow reader at this address. Another test may
/// have had the address before.
fn warnings_about(peer: SocketAddr) -> Vec<String> {
    let name = format!(" {peer} (slow) ");
    LOGGED_WARNINGS.lock().unwrap().iter().filter(|line| line.contains(&name)).cloned().collect()
}

/// One line names a reader that is cut, and one line a reader from whose output is dropped:
/// service, address, nick, bytes queued, time without progress.
fn slow_reader_is_named_once<E: Engine>() {
    for (slow_consumer, counter, event) in [
        (SlowConsumer::Disconnect, "ends/slow_consumer", "closed: slow consumer"),
        (SlowConsumer::DropNewest, "frames_dropped", "frames dropped"),
        (SlowConsumer::DropOldest, "frames_dropped", "frames dropped"),
    ] {
        let drain_timeout = Duration::ZERO;
        let limits = Limits { max_write_buffer_bytes: 64 * 1024, slow_consumer, drain_timeout, ..Limits::default() };
        let hall = Hall::open::<E>(limits, config(), 0);
        let mut speaker = Member::enter(hall.json, "speaker");
        let slow = Member::connect_narrow(hall.json);
        slow.ask(&json!({"type": "hello", "nick": "slow"}));
        speaker.await_event(|event| event["type"] == "joined" && event["nick"] == "slow");
        let mut said = 0;
        while hall.running.counters().get(counter).is_none_or(|count| *count == 0) || said < 200 {
            speaker.say(&"x".repeat(20_000));
            speaker.message();
            said += 1;
        }
        let address = slow.client.socket().local_addr().unwrap();
        drop(speaker);
        let closed = readers_cut(&hall.running.drain());
        assert_eq!(closed, u64::from(slow_consumer == SlowConsumer::Disconnect));
        // A close for another reason, such as the drain, is none of these.
        let lines: Vec<_> = warnings_about(address).into_iter().filter(|line| line.contains(event)).collect();
        let [line] = &lines[..] else { panic!("{slow_consumer}: {:?}", warnings_about(address)) };
        assert!(line.starts_with(&format!("chat {address} (slow) {event}: ")), "{line}");
        let (bytes, stalled) = line.rsplit_once(" bytes queued, none taken for ").unwrap();
        assert!(bytes.rsplit(' ').next().unwrap().parse::<usize>().unwrap() >= 64 * 1024, "{line}");
        assert!(stalled.ends_with('s'), "{line}");
        drop(slow);
    }
}
