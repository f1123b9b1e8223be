//! Servers that refuse or close connections, and invalid configurations.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

use socket2::Type;
use switchboard::load::{Activity, LoadConfig, LoadError, LoadProgress, find_max, run};
use switchboard::services::Echo;
use switchboard::{Endpoint, Framing, Limits, Reactor};

use crate::guard::scaled;
use crate::localhost::refusing;
use crate::observers::{EndStallWhen, Stall, StopWhen, UNTIL_STOPPED, has_answers};
use crate::servers::{bytes, echo, plan, tcp};

fn connect_error(plan: &LoadConfig) -> std::io::Error {
    match run(plan, &mut ()) {
        Err(LoadError::Connect(error)) => error,
        other => panic!("nothing listens there: {other:?}"),
    }
}

#[test]
fn a_port_without_listener_is_a_connect_error() {
    let (addr, _socket) = refusing(Type::STREAM);
    for activity in [Activity::Closed { in_flight: 1 }, Activity::Open { rate: 10.0 }, Activity::Churn, Activity::Idle]
    {
        let plan = LoadConfig { activity, ..plan(Endpoint::Tcp(addr)) };
        assert_eq!(connect_error(&plan).kind(), ErrorKind::ConnectionRefused, "{activity:?}");
    }
}

#[test]
fn a_udp_port_without_socket_is_a_connect_error() {
    let (addr, _socket) = refusing(Type::DGRAM);
    assert_eq!(connect_error(&plan(Endpoint::Udp(addr))).kind(), ErrorKind::ConnectionRefused);
}

/// A connect to a Unix-domain socket with a full backlog fails with EAGAIN.
#[test]
fn a_full_backlog_counts_as_refused() {
    use socket2::{Domain, SockAddr, Socket};
    let path = std::env::temp_dir().join(format!("switchboard-backlog-{}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    listener.bind(&SockAddr::unix(&path).unwrap()).unwrap();
    listener.listen(0).unwrap();
    let reply_timeout = Duration::from_millis(300);
    let plan = LoadConfig { activity: Activity::Idle, reply_timeout, ..plan(Endpoint::Unix(path.clone())) };
    let outcome = run(&plan, &mut ()).unwrap();
    std::fs::remove_file(&path).unwrap();
    // The backlog holds one connection.
    assert_eq!((outcome.faults.refused, outcome.faults.lost, outcome.connections), (3, 1, 1), "{outcome:?}");
}

#[test]
fn connections_refused_later_are_counted() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = Endpoint::Tcp(listener.local_addr().unwrap());
    thread::spawn(move || {
        let first = listener.accept().unwrap().0;
        drop(listener);
        echo(first);
    });
    // The second connection reaches the backlog, is reset, and is then refused.
    let plan = LoadConfig { connections: 2, duration: UNTIL_STOPPED, ..plan(target) };
    let is_refused = |progress: &LoadProgress| progress.faults.refused > 0 && has_answers(progress);
    let outcome = run(&plan, &mut StopWhen(is_refused)).unwrap();
    assert!(outcome.faults.refused >= 1, "{:?}", outcome.faults);
    assert!(outcome.messages > 0);
    assert_eq!(outcome.connections, 1);
}

#[test]
fn a_broken_connection_is_opened_again() {
    let target = tcp(|mut stream: TcpStream| {
        let mut frame = [0; 68];
        for _ in 0..100 {
            if stream.read_exact(&mut frame).is_err() || stream.write_all(&frame).is_err() {
                return;
            }
        }
        // The server has received a message and closes without an answer, so that one is lost.
        let _ = stream.read_exact(&mut frame);
    });
    // Five breaks of four connections: at least one has been opened again.
    let plan = LoadConfig { duration: UNTIL_STOPPED, ..plan(target) };
    let outcome = run(&plan, &mut StopWhen(|progress: &LoadProgress| progress.faults.broken >= 5)).unwrap();
    let faults = outcome.faults;
    assert!(faults.broken >= 5 && outcome.connects.len() > 4, "{outcome:?}");
    let others = faults.duplicated + faults.reordered + faults.corrupted + faults.refused;
    assert_eq!((faults.lost, others), (faults.broken, 0));
}

/// The connection is opened again after 100 ms. Messages due meanwhile have waited since they were
/// due.
#[test]
fn messages_due_while_a_connection_is_down_count() {
    let target = tcp(|mut stream: TcpStream| {
        let mut frame = [0; 68];
        for _ in 0..50 {
            if stream.read_exact(&mut frame).is_err() || stream.write_all(&frame).is_err() {
                return;
            }
        }
    });
    let activity = Activity::Open { rate: 500.0 };
    let plan = LoadConfig { activity, connections: 1, duration: Duration::from_secs(1), ..plan(target) };
    let outcome = run(&plan, &mut ()).unwrap();
    assert!(outcome.faults.broken >= 1, "{outcome:?}");
    assert_eq!(outcome.messages + outcome.faults.lost + outcome.unanswered, 500);
    assert_eq!(outcome.latency.len(), 500, "lost messages count, too");
    assert!(outcome.latency.max() >= 90_000_000, "{outcome:?}");
}

#[test]
fn a_duplicate_of_the_last_datagram_is_found() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let target = Endpoint::Udp(socket.local_addr().unwrap());
    thread::spawn(move || {
        let mut buffer = [0; 200];
        while let Ok((len, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(&buffer[..len], from);
            let _ = socket.send_to(&buffer[..len], from);
        }
    });
    let outcome = run(&LoadConfig { activity: Activity::Idle, ..plan(target) }, &mut ()).unwrap();
    assert_eq!((outcome.messages, outcome.faults.duplicated), (4, 4), "{outcome:?}");
}

#[test]
fn a_closed_idle_connection_counts_as_broken() {
    let target = tcp(|mut stream: TcpStream| {
        let mut frame = [0; 68];
        stream.read_exact(&mut frame).unwrap();
        stream.write_all(&frame).unwrap();
    });
    let outcome = run(&LoadConfig { activity: Activity::Idle, ..plan(target) }, &mut ()).unwrap();
    assert_eq!((outcome.faults.broken, outcome.faults.lost, outcome.messages), (4, 0, 4));
    assert_eq!(outcome.connections, 0);
}

/// A part of an answer is not a wrong answer.
#[test]
fn a_truncated_answer_is_lost_and_not_corrupted() {
    for framing in [Framing::U32BE, Framing::Varint, Framing::Lines, Framing::Raw] {
        for activity in [Activity::Closed { in_flight: 3 }, Activity::Open { rate: 400.0 }, Activity::Churn] {
            for keep in [1, 40] {
                let target = tcp(move |mut stream: TcpStream| {
                    let mut buffer = vec![0; 64 * 1024];
                    let read = stream.read(&mut buffer).unwrap();
                    // If input is left unread, closing sends a reset.
                    let _ = stream.write_all(&buffer[..keep.min(read)]);
                });
                let (reply_timeout, duration) = (Duration::from_millis(200), Duration::from_millis(100));
                let plan = LoadConfig { framing, activity, reply_timeout, duration, ..plan(target) };
                let faults = run(&plan, &mut ()).unwrap().faults;
                let others = faults.duplicated + faults.reordered + faults.corrupted;
                assert_eq!(others, 0, "{framing:?}, {activity:?}, {keep} bytes: {faults:?}");
                assert!(faults.lost > 0, "{framing:?}, {activity:?}, {keep} bytes: {faults:?}");
            }
        }
    }
}

/// The second half of an answer may arrive after its message has been given up.
#[test]
fn an_answer_that_stalls_half_way_is_lost() {
    for framing in [Framing::U32BE, Framing::Lines, Framing::Raw] {
        for rest in [true, false] {
            let stall = Stall::default();
            let half_way = stall.clone();
            let target = tcp(move |mut stream: TcpStream| {
                let mut buffer = vec![0; 64 * 1024];
                let read = stream.read(&mut buffer).unwrap();
                stream.write_all(&buffer[..20]).unwrap();
                half_way.wait();
                if rest {
                    let _ = stream.write_all(&buffer[20..read]);
                    echo(stream);
                } else {
                    while stream.read(&mut buffer).is_ok_and(|read| read > 0) {}
                }
            });
            let (reply_timeout, duration) = (Duration::from_millis(100), Duration::from_millis(500));
            let activity = Activity::Open { rate: 400.0 };
            let plan = LoadConfig { framing, activity, reply_timeout, duration, ..plan(target) };
            let mut observer = EndStallWhen::new(stall, |_, progress: &LoadProgress| progress.faults.lost >= 40);
            let faults = run(&plan, &mut observer).unwrap().faults;
            let others = faults.duplicated + faults.reordered + faults.corrupted + faults.broken;
            assert_eq!(others, 0, "{framing:?}: {faults:?}");
            assert!(faults.lost >= 40, "{framing:?}: {faults:?}");
        }
    }
}

#[test]
fn an_invalid_frame_ends_its_connection() {
    let target = tcp(|mut stream: TcpStream| {
        let _ = stream.read_exact(&mut [0; 68]);
        let _ = stream.write_all(&[0xff; 68]);
        echo(stream);
    });
    let outcome = run(&LoadConfig { activity: Activity::Idle, ..plan(target) }, &mut ()).unwrap();
    assert_eq!((outcome.faults.corrupted, outcome.faults.lost, outcome.faults.broken), (4, 0, 0));
}

#[test]
fn unrequested_bytes_count_as_corrupted() {
    for framing in [Framing::U32BE, Framing::Lines, Framing::Raw] {
        let target = tcp(move |mut stream: TcpStream| {
            let mut buffer = [0; 200];
            let read = stream.read(&mut buffer).unwrap();
            let _ = stream.write_all(&[&buffer[..read], b"hi"].concat());
            while stream.read(&mut buffer).is_ok_and(|read| read > 0) {}
        });
        let outcome = run(&LoadConfig { activity: Activity::Idle, framing, ..plan(target) }, &mut ()).unwrap();
        assert_eq!((outcome.messages, outcome.faults.corrupted), (4, 4), "{framing:?}: {outcome:?}");
    }
}

#[test]
fn a_silent_server_loses_every_message() {
    let target = tcp(|mut stream: TcpStream| while stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {});
    let reply_timeout = Duration::from_millis(200);
    let outcome =
        run(&LoadConfig { activity: Activity::Open { rate: 1000.0 }, reply_timeout, ..plan(target) }, &mut ()).unwrap();
    assert_eq!((outcome.messages, outcome.faults.lost, outcome.due), (0, 300, 300), "{outcome:?}");
    assert_eq!(outcome.latency.len(), 300);
    assert!(outcome.latency.min() >= 199_000_000, "{outcome:?}");
}

#[test]
fn disconnected_slow_readers_are_no_fault() {
    let limits =
        Limits { max_write_buffer_bytes: 64 * 1024, write_timeout: Duration::from_millis(200), ..Limits::default() };
    let mut reactor = Reactor::new(limits).unwrap();
    let service = reactor.add_service(Echo.options("echo"), Echo);
    let target = reactor.listen(service, &"127.0.0.1:0".parse().unwrap(), Framing::U32BE).unwrap();
    let handle = reactor.handle();
    let running = thread::spawn(move || reactor.run());
    let plan = LoadConfig { slow_readers: 3, duration: scaled(Duration::from_secs(2)), ..plan(target) };
    let outcome = run(&plan, &mut ()).unwrap();
    handle.stop();
    running.join().unwrap().unwrap();
    assert!(outcome.faults.is_none(), "{:?}", outcome.faults);
    assert_eq!((outcome.cut_off, outcome.connections), (3, 4));
    assert!(outcome.messages > 0);
}

#[test]
fn find_max_rejects_activities_without_a_rate() {
    let target: Endpoint = "127.0.0.1:1".parse().unwrap();
    for (activity, named) in
        [(Activity::Churn, "churn"), (Activity::Idle, "idle"), (Activity::Closed { in_flight: 2 }, "in-flight")]
    {
        match find_max(&LoadConfig { activity, ..plan(target.clone()) }, &"p99<5ms".parse().unwrap(), &mut ()) {
            Err(LoadError::Config(what)) => assert!(what.starts_with(&format!("{named}: ")), "{what}"),
            other => panic!("{named}: {other:?}"),
        }
    }
}

#[test]
fn find_max_accepts_a_first_rate_below_one() {
    let (addr, _socket) = refusing(Type::STREAM);
    let plan = LoadConfig { activity: Activity::Open { rate: 0.9 }, ..plan(Endpoint::Tcp(addr)) };
    assert!(matches!(find_max(&plan, &"p99<5ms".parse().unwrap(), &mut ()), Err(LoadError::Connect(_))));
}

#[test]
fn an_invalid_config_is_rejected_by_option_name() {
    let tcp = || plan("127.0.0.1:1".parse().unwrap());
    let udp = || plan("udp:127.0.0.1:1".parse().unwrap());
    #[allow(clippy::reversed_empty_ranges, reason = "the empty range under test")]
    let empty = 9..=3;
    for (plan, named) in [
        (LoadConfig { framing: Framing::U8, payload_bytes: 1..=256, ..tcp() }, "payload"),
        (LoadConfig { payload_bytes: empty, ..tcp() }, "payload"),
        (LoadConfig { framing: Framing::Raw, payload_bytes: 0..=9, ..tcp() }, "payload"),
        (LoadConfig { payload_bytes: bytes(65_508), ..udp() }, "payload"),
        (LoadConfig { payload_bytes: bytes(65_528), ..plan("udp:[::1]:1".parse().unwrap()) }, "payload"),
        (LoadConfig { payload_bytes: bytes(0), ..udp() }, "payload"),
        (LoadConfig { connections: 0, ..tcp() }, "connections"),
        (LoadConfig { duration: Duration::ZERO, ..tcp() }, "duration"),
        (LoadConfig { reply_timeout: Duration::ZERO, ..tcp() }, "answer-timeout"),
        (LoadConfig { slow_readers: 1, ..udp() }, "slow-readers"),
        (LoadConfig { activity: Activity::Closed { in_flight: 0 }, ..tcp() }, "in-flight"),
        (LoadConfig { activity: Activity::Open { rate: 0.0 }, ..tcp() }, "rate"),
        (LoadConfig { activity: Activity::Open { rate: f64::INFINITY }, ..tcp() }, "rate"),
        (LoadConfig { activity: Activity::Open { rate: f64::NAN }, ..tcp() }, "rate"),
        (LoadConfig { activity: Activity::Open { rate: 1e9 }, ..tcp() }, "rate"),
    ] {
        match run(&plan, &mut ()) {
            Err(LoadError::Config(what)) => assert!(what.starts_with(&format!("{named}: ")), "{what}"),
            other => panic!("{named}: {other:?}"),
        }
    }
}
