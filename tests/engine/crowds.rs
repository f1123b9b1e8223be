//! Many connections at once, and one that takes more than its share.

use std::io::Read;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Instant;

use switchboard::services::Echo;
use switchboard::{Limits, raise_descriptor_limit};

use crate::support::{Client, Engine, GUARD, conformance, encode_frame, flood, serve};

conformance! {
    a_thousand_connections_are_all_answered_right_and_idle_ones_stay,
    a_flooding_peer_holds_up_nobody_and_is_served_too,
}

fn a_thousand_connections_are_all_answered_right_and_idle_ones_stay<E: Engine>() {
    raise_descriptor_limit().unwrap();
    let (running, addr) = serve::<E>(Limits::default(), Echo);
    let mut clients: Vec<Client> = (0..1000).map(|_| Client::connect(addr)).collect();
    for round in 0..4 {
        // From the second round on every third one is idle; at last all speak again.
        let speaks = |number: usize| round == 0 || round == 3 || !number.is_multiple_of(3);
        let said = |number: usize| format!("message {round} of client {number}").repeat(1 + number % 7);
        for (number, client) in clients.iter().enumerate().filter(|(number, _)| speaks(*number)) {
            client.send(said(number).as_bytes());
        }
        for (number, client) in clients.iter_mut().enumerate().filter(|(number, _)| speaks(*number)) {
            assert_eq!(client.receive(), said(number).as_bytes(), "client {number}, round {round}");
        }
    }
    assert_eq!(running.counters()["open"], 1000);
    drop(clients);
    let stats = running.drain();
    assert_eq!((stats.accepted, stats.closed, stats.faulted), (1000, 1000, 0), "{stats}");
    assert_eq!(stats.frames_in, 2 * 1000 + 2 * 666);
}

fn a_flooding_peer_holds_up_nobody_and_is_served_too<E: Engine>() {
    let (running, addr) = serve::<E>(Limits::default(), Echo);
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
    progress.recv_timeout(GUARD).expect("the flood is answered");
    let before = running.counters();
    let mut other = Client::connect(addr);
    // The other asks without a pause until the flood has got on, too. Whose turn it is on a busy machine is the system's affair.
    let begun = Instant::now();
    for number in 1..=u32::MAX {
        other.echo(&number.to_be_bytes());
        let frames = || running.counters()["frames_in"] - before["frames_in"];
        if number >= 200 && number.is_multiple_of(100) && frames() > 2 * u64::from(number) {
            break;
        }
        assert!(begun.elapsed() < GUARD, "the flood is held up");
    }
    while progress.try_recv().is_ok() {}
    progress.recv_timeout(GUARD).expect("the flood is still answered");
    running.handle.stop();
    running.join();
}
