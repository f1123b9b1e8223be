//! The limit on answers to one source of datagrams: two servers that answer everything, and one
//! datagram with a forged sender address that sets them on each other.

use std::net::UdpSocket;
use std::time::Instant;

use switchboard::services::Upper;
use switchboard::{Endpoint, Error, Framing, Limits};

use crate::support::{Engine, RunningEngine, conformance, guard};

conformance!(a_forged_datagram_circulates_until_the_limit, without_a_limit_it_circulates_on);

/// Returns an engine with the service `upper` on a UDP socket, and the socket's endpoint.
fn upper<E: Engine>(at: &str, answers_per_second: u32) -> Result<(E, Endpoint), Error> {
    let mut engine = E::with_limits(Limits::default());
    let service = engine.add_service(Upper.options("upper").answers_per_second(answers_per_second), Upper);
    let bound = engine.try_listen(service, &at.parse().unwrap(), Framing::Raw)?;
    Ok((engine, bound))
}

/// Runs two engines. The first has received a datagram with the address of the second as its
/// sender.
fn two_set_on_each_other<E: Engine>(answers_per_second: u32) -> [RunningEngine; 2] {
    loop {
        let (first, bound) = upper::<E>("udp:127.0.0.1:0", answers_per_second).unwrap();
        let Endpoint::Udp(first_addr) = bound else { panic!("{bound}") };
        // The sender gives its port to the second server before the first one reads its datagram.
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        sender.send_to(b"hello", first_addr).unwrap();
        let second_addr = sender.local_addr().unwrap();
        drop(sender);
        // Another process may have taken the port meanwhile.
        if let Ok((second, _)) = upper::<E>(&format!("udp:{second_addr}"), answers_per_second) {
            return [RunningEngine::start(first), RunningEngine::start(second)];
        }
    }
}

fn sum(servers: &[RunningEngine], counter: &str) -> u64 {
    servers.iter().map(|server| server.counters()[counter]).sum()
}

fn a_forged_datagram_circulates_until_the_limit<E: Engine>() {
    let begun = Instant::now();
    let servers = two_set_on_each_other::<E>(1);
    // The datagram that is not answered is the last. A server may count what it has sent later than
    // the other one what it has received.
    let is_over = || {
        let [limited, received, sent] =
            ["datagrams_limited", "datagrams_in", "datagrams_out"].map(|counter| sum(&servers, counter));
        limited == 1 && received == sent + 1
    };
    while !is_over() {
        assert!(begun.elapsed() < guard(), "the servers answer each other without end");
    }
    // Each server has answered one datagram at first, and one in each second since.
    let answers = sum(&servers, "datagrams_out");
    assert!((1..=2 * (2 + begun.elapsed().as_secs())).contains(&answers), "{answers}");
}

fn without_a_limit_it_circulates_on<E: Engine>() {
    let servers = two_set_on_each_other::<E>(0);
    servers[0].await_counter("datagrams_out", |answers| answers >= 1000);
    assert_eq!(sum(&servers, "datagrams_limited"), 0);
}
