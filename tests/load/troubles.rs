//! Servers that refuse, break off, or cut off, and plans that mean nothing.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

use switchboard::load::{Activity, LoadConfig, LoadError, find_max, run};
use switchboard::services::Echo;
use switchboard::{Endpoint, Framing, Limits, Reactor};

use crate::among_others;
use crate::servers::{bytes, echo, plan, tcp};

fn connect_error(plan: &LoadConfig) -> std::io::Error {
    match run(plan, &mut ()) {
        Err(LoadError::Connect(error)) => error,
        other => panic!("nobody is there: {other:?}"),
    }
}

/// Where nobody listens.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn where_nobody_listens_no_load_can_be_put_on() {
    let _turn = among_others();
    let addr = nobody();
    for activity in [Activity::Closed { in_flight: 1 }, Activity::Open { rate: 10.0 }, Activity::Churn, Activity::Idle]
    {
        let plan = LoadConfig { activity, ..plan(Endpoint::Tcp(addr)) };
        assert_eq!(connect_error(&plan).kind(), ErrorKind::ConnectionRefused, "{activity:?}");
    }
}

#[test]
fn where_nobody_takes_datagrams_no_load_can_be_put_on() {
    let _turn = among_others();
    let addr = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(connect_error(&plan(Endpoint::Udp(addr))).kind(), ErrorKind::ConnectionRefused);
}

/// A Unix-domain socket says at once that there is no room, and goes on saying so.
#[cfg(unix)]
#[test]
fn a_backlog_that_stays_full_refuses() {
    use socket2::{Domain, SockAddr, Socket, Type};
    let _turn = among_others();
    let path = std::env::temp_dir().join(format!("switchboard-backlog-{}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    listener.bind(&SockAddr::unix(&path).unwrap()).unwrap();
    listener.listen(0).unwrap();
    let answer_timeout = Duration::from_millis(300);
    let plan = LoadConfig { activity: Activity::Idle, answer_timeout, ..plan(Endpoint::Unix(path.clone())) };
    let outcome = run(&plan, &mut ()).unwrap();
    std::fs::remove_file(&path).unwrap();
    // One fits in.
    assert_eq!((outcome.faults.refused, outcome.faults.lost, outcome.connections), (3, 1, 1), "{outcome:?}");
}

#[test]
fn connections_refused_later_are_counted() {
    let _turn = among_others();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = Endpoint::Tcp(listener.local_addr().unwrap());
    thread::spawn(move || {
        let first = listener.accept().unwrap().0;
        drop(listener);
        echo(first);
    });
    let outcome = run(&LoadConfig { connections: 2, ramp: Duration::from_secs(1), ..plan(target) }, &mut ()).unwrap();
    assert!(outcome.faults.refused >= 1, "{:?}", outcome.faults);
    assert!(outcome.messages > 0);
    assert_eq!(outcome.connections, 1);
}

#[test]
fn a_connection_that_the_server_breaks_off_is_opened_again() {
    let _turn = among_others();
    let target = tcp(|mut stream: TcpStream| {
        let mut frame = [0; 68];
        for _ in 0..100 {
            if stream.read_exact(&mut frame).is_err() || stream.write_all(&frame).is_err() {
                return;
            }
        }
        // What is under way then is lost, and the server knows it.
        let _ = stream.read_exact(&mut frame);
    });
    let mut plan = LoadConfig { duration: Duration::from_secs(1), ..plan(target) };
    let mut outcome = run(&plan, &mut ()).unwrap();
    while outcome.connects.len() == 4 && plan.duration < Duration::from_mins(1) {
        // A loaded machine gets little done.
        plan.duration *= 4;
        outcome = run(&plan, &mut ()).unwrap();
    }
    let faults = outcome.faults;
    assert!(faults.broken >= 1 && outcome.connects.len() > 4, "{outcome:?}");
    let others = faults.duplicated + faults.reordered + faults.corrupted + faults.refused;
    assert_eq!((faults.lost, others), (faults.broken, 0));
}

/// It is opened again after a tenth of a second, and what was due meanwhile has waited since it was due.
#[test]
fn what_is_due_while_a_connection_is_down_is_late_and_not_left_out() {
    let _turn = among_others();
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
    assert_eq!(outcome.latency.len(), 500, "those that were lost, too");
    assert!(outcome.latency.max() >= 90_000_000, "{outcome:?}");
}

#[test]
fn a_second_datagram_is_found_even_if_nothing_follows_it() {
    let _turn = among_others();
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
fn an_idle_connection_that_the_server_closes_is_counted() {
    let _turn = among_others();
    let target = tcp(|mut stream: TcpStream| {
        let mut frame = [0; 68];
        stream.read_exact(&mut frame).unwrap();
        stream.write_all(&frame).unwrap();
    });
    let outcome = run(&LoadConfig { activity: Activity::Idle, ..plan(target) }, &mut ()).unwrap();
    assert_eq!((outcome.faults.broken, outcome.faults.lost, outcome.messages), (4, 0, 4));
    assert_eq!(outcome.connections, 0);
}

/// Half of an answer is no wrong answer.
#[test]
fn an_answer_that_is_cut_off_with_its_connection_is_lost_and_not_corrupted() {
    let _turn = among_others();
    for framing in [Framing::U32BE, Framing::Varint, Framing::Lines, Framing::Raw] {
        for activity in [Activity::Closed { in_flight: 3 }, Activity::Open { rate: 400.0 }, Activity::Churn] {
            for keep in [1, 40] {
                let target = tcp(move |mut stream: TcpStream| {
                    let mut buffer = vec![0; 64 * 1024];
                    let read = stream.read(&mut buffer).unwrap();
                    // With input left unread this is a reset.
                    let _ = stream.write_all(&buffer[..keep.min(read)]);
                });
                let (answer_timeout, duration) = (Duration::from_millis(200), Duration::from_millis(100));
                let plan = LoadConfig { framing, activity, answer_timeout, duration, ..plan(target) };
                let faults = run(&plan, &mut ()).unwrap().faults;
                let others = faults.duplicated + faults.reordered + faults.corrupted;
                assert_eq!(others, 0, "{framing:?}, {activity:?}, {keep} bytes: {faults:?}");
                assert!(faults.lost > 0, "{framing:?}, {activity:?}, {keep} bytes: {faults:?}");
            }
        }
    }
}

/// The first half may come before it is given up, and the other half after.
#[test]
fn an_answer_that_stalls_half_way_is_lost_and_not_corrupted() {
    let _turn = among_others();
    for framing in [Framing::U32BE, Framing::Lines, Framing::Raw] {
        for rest in [true, false] {
            let target = tcp(move |mut stream: TcpStream| {
                let mut buffer = vec![0; 64 * 1024];
                let read = stream.read(&mut buffer).unwrap();
                stream.write_all(&buffer[..20]).unwrap();
                thread::sleep(Duration::from_millis(300));
                if rest {
                    let _ = stream.write_all(&buffer[20..read]);
                    echo(stream);
                } else {
                    let _ = stream.read(&mut buffer);
                    thread::sleep(Duration::from_secs(20));
                }
            });
            let (answer_timeout, duration) = (Duration::from_millis(100), Duration::from_millis(500));
            let activity = Activity::Open { rate: 400.0 };
            let plan = LoadConfig { framing, activity, answer_timeout, duration, ..plan(target) };
            let faults = run(&plan, &mut ()).unwrap().faults;
            let others = faults.duplicated + faults.reordered + faults.corrupted + faults.broken;
            assert_eq!(others, 0, "{framing:?}: {faults:?}");
            assert!(faults.lost > 0, "{framing:?}: {faults:?}");
        }
    }
}

#[test]
fn an_answer_that_is_no_frame_costs_its_connection() {
    let _turn = among_others();
    let target = tcp(|mut stream: TcpStream| {
        let _ = stream.read_exact(&mut [0; 68]);
        let _ = stream.write_all(&[0xff; 68]);
        echo(stream);
    });
    let outcome = run(&LoadConfig { activity: Activity::Idle, ..plan(target) }, &mut ()).unwrap();
    assert_eq!((outcome.faults.corrupted, outcome.faults.lost, outcome.faults.broken), (4, 0, 0));
}

#[test]
fn what_comes_without_having_been_asked_for_is_counted() {
    let _turn = among_others();
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
fn a_server_that_never_answers_loses_every_message() {
    let _turn = among_others();
    let target = tcp(|mut stream: TcpStream| while stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {});
    let answer_timeout = Duration::from_millis(200);
    let outcome =
        run(&LoadConfig { activity: Activity::Open { rate: 1000.0 }, answer_timeout, ..plan(target) }, &mut ())
            .unwrap();
    assert_eq!((outcome.messages, outcome.faults.lost, outcome.due), (0, 300, 300), "{outcome:?}");
    assert_eq!(outcome.latency.len(), 300);
    assert!(outcome.latency.min() >= 199_000_000, "{outcome:?}");
}

#[test]
fn slow_readers_are_cut_off_and_that_is_no_fault() {
    let _turn = among_others();
    let limits =
        Limits { max_write_buffer_bytes: 64 * 1024, write_timeout: Duration::from_millis(200), ..Limits::default() };
    let mut reactor = Reactor::new(limits).unwrap();
    let service = reactor.add_service("echo", Echo);
    let target = reactor.listen(service, &"127.0.0.1:0".parse().unwrap(), Framing::U32BE).unwrap();
    let handle = reactor.handle();
    let running = thread::spawn(move || reactor.run());
    let plan = LoadConfig { slow_readers: 3, duration: Duration::from_secs(2), ..plan(target) };
    let outcome = run(&plan, &mut ()).unwrap();
    handle.stop();
    running.join().unwrap().unwrap();
    assert!(outcome.faults.is_none(), "{:?}", outcome.faults);
    assert_eq!((outcome.cut_off, outcome.connections), (3, 4));
    assert!(outcome.messages > 0);
}

#[test]
fn no_highest_rate_is_searched_for_of_what_has_none() {
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
fn a_search_that_begins_below_one_a_second_runs() {
    let _turn = among_others();
    let plan = LoadConfig { activity: Activity::Open { rate: 0.9 }, ..plan(Endpoint::Tcp(nobody())) };
    assert!(matches!(find_max(&plan, &"p99<5ms".parse().unwrap(), &mut ()), Err(LoadError::Connect(_))));
}

#[test]
fn a_plan_that_means_nothing_is_refused_by_the_name_of_what_is_wrong() {
    let tcp = || plan("127.0.0.1:1".parse().unwrap());
    let udp = || plan("udp:127.0.0.1:1".parse().unwrap());
    #[allow(clippy::reversed_empty_ranges, reason = "it is what is refused")]
    let empty = 9..=3;
    for (plan, named) in [
        (LoadConfig { framing: Framing::U8, payload_bytes: 1..=256, ..tcp() }, "payload"),
        (LoadConfig { payload_bytes: empty, ..tcp() }, "payload"),
        (LoadConfig { framing: Framing::Raw, payload_bytes: 0..=9, ..tcp() }, "payload"),
        (LoadConfig { payload_bytes: bytes(65_508), ..udp() }, "payload"),
        (LoadConfig { payload_bytes: bytes(0), ..udp() }, "payload"),
        (LoadConfig { connections: 0, ..tcp() }, "connections"),
        (LoadConfig { duration: Duration::ZERO, ..tcp() }, "duration"),
        (LoadConfig { answer_timeout: Duration::ZERO, ..tcp() }, "answer-timeout"),
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
