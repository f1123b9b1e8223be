//! A thousand connections, and one connection that floods the engine.

use std::io::Read;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Instant;

use switchboard::{Limits, raise_descriptor_limit};

use crate::support::{Client, Engine, conformance, encode_frame, flood, guard, serve_echo};

conformance! {
    thousand_connections_get_their_own_replies,
    flooding_client_and_others_are_both_served,
}

fn thousand_connections_get_their_own_replies<E: Engine>() {
    raise_descriptor_limit().unwrap();
    let (running, addr) = serve_echo::<E>(Limits::default());
    let mut clients: Vec<Client> = (0..1000).map(|_| Client::connect(addr)).collect();
    for round in 0..4 {
        // In rounds 1 and 2 every third client is idle; in round 3 all clients send again.
        let is_active = |number: usize| round == 0 || round == 3 || !number.is_multiple_of(3);
        let message = |number: usize| format!("message {round} of client {number}").repeat(1 + number % 7);
        for (number, client) in clients.iter().enumerate().filter(|(number, _)| is_active(*number)) {
            client.send(message(number).as_bytes());
        }
        for (number, client) in clients.iter_mut().enumerate().filter(|(number, _)| is_active(*number)) {
            assert_eq!(client.receive(), message(number).as_bytes(), "client {number}, round {round}");
        }
    }
    assert_eq!(running.counters()["open"], 1000);
    drop(clients);
    let stats = running.drain();
    assert_eq!((stats.accepted, stats.closed, stats.faulted), (1000, 1000, 0), "{stats}");
    assert_eq!(stats.frames_in, 2 * 1000 + 2 * 666);
}

fn flooding_client_and_others_are_both_served<E: Engine>() {
    let (running, addr) = serve_echo::<E>(Limits::default());
    let flooding = Client::connect(addr);
    flood(&flooding, encode_frame("u32be", &[7; 100]).repeat(500));
    let (answered, progress) = channel();
    let mut answers = flooding.socket().try_clone().unwrap();
    thread::spawn(move || {
        let mut buffer = vec![0; 256 * 1024];
        while let Ok(1..) = answers.read(&mut buffer) {
            let _ = answered.send(());
        }
    });
    progress.recv_timeout(guard()).expect("the flood gets no reply");
    let before = running.counters();
    let mut other = Client::connect(addr);
    // The other client sends until the flood has made progress, too. The kernel schedules the
    // clients, so the number of requests until then varies.
    let start = Instant::now();
    for number in 1..=u32::MAX {
        other.echo(&number.to_be_bytes());
        let frames = || running.counters()["frames_in"] - before["frames_in"];
        if number >= 200 && number.is_multiple_of(100) && frames() > 2 * u64::from(number) {
            break;
        }
        assert!(start.elapsed() < guard(), "the flood made no progress in time");
    }
    while progress.try_recv().is_ok() {}
    progress.recv_timeout(guard()).expect("the flood gets no reply any more");
    running.handle.stop();
    running.join();
}
