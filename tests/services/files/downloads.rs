//! Many and large downloads: their memory, and their effect on other connections.

use std::fs::File;
use std::io::Read;
use std::thread;

use switchboard::Limits;

use super::depot::{Depot, ask, dial_plain, hear, noise, read_all, receive, receive_bytes, sha256};
use crate::support::{Client, Engine, conformance};

const MIB: usize = 1024 * 1024;

conformance! {
    large_download_takes_little_memory_and_delays_no_other,
    stalled_reader_takes_little_memory_and_delays_no_other,
    many_downloads_share_few_workers,
    hashing_a_large_file_delays_no_other,
    reset_download_frees_its_memory,
}

fn large_download_takes_little_memory_and_delays_no_other<E: Engine>() {
    const SIZE: usize = 100 * MIB;
    let depot = Depot::open::<E>(Limits::default());
    File::create(depot.path("large")).unwrap().set_len(SIZE as u64).unwrap();
    let mut echo = Client::connect(depot.echo);
    let mut socket = depot.dial_plain(b"large");
    let (zeroes, mut buffer, mut received, mut most) = (vec![0; MIB], vec![1; MIB], 0, 0);
    while received < SIZE {
        socket.read_exact(&mut buffer).unwrap();
        assert!(buffer == zeroes);
        received += MIB;
        // Nothing of what follows waits for the rest of the download, which waits for us.
        echo.echo(&received.to_be_bytes());
        most = most.max(depot.running.counters()["buffered_bytes"]);
    }
    assert_eq!(socket.read(&mut buffer).unwrap(), 0);
    assert!(most < 4 * MIB as u64, "{most} bytes held");
}

fn stalled_reader_takes_little_memory_and_delays_no_other<E: Engine>() {
    const READERS: usize = 8;
    let depot = Depot::open::<E>(Limits::default());
    let content = noise(16 * MIB, 6);
    depot.put("x", &content);
    let sockets: Vec<_> = (0..READERS).map(|_| depot.dial_plain(b"x")).collect();
    let mut client = depot.dial();
    ask(&client, "x", 0);
    hear(&mut client);
    let mut echo = Client::connect(depot.echo);
    for number in 0..200_u32 {
        echo.echo(&number.to_be_bytes());
        let held = depot.running.counters()["buffered_bytes"];
        assert!(held < (READERS as u64 + 1) * MIB as u64, "{held} bytes held");
    }
    // They have missed nothing.
    for socket in sockets {
        assert!(read_all(socket) == content);
    }
    assert!(receive_bytes(&mut client, content.len()) == content);
}

fn many_downloads_share_few_workers<E: Engine>() {
    const CLIENTS: usize = 40;
    // Most of the work asked for finds no room, and is asked for again.
    let limits = Limits { workers: 1, max_queued_jobs: 2, ..Limits::default() };
    let depot = Depot::open::<E>(limits);
    let contents: Vec<_> = (0..4).map(|seed| noise(700_000 + seed, seed as u64)).collect();
    for (number, content) in contents.iter().enumerate() {
        depot.put(&number.to_string(), content);
    }
    thread::scope(|scope| {
        for number in 0..CLIENTS {
            let (plain, framed, content) = (depot.plain, depot.framed, &contents[number % 4]);
            scope.spawn(move || {
                let name = (number % 4).to_string();
                if number < CLIENTS / 2 {
                    assert!(read_all(dial_plain(plain, name.as_bytes())) == *content);
                } else {
                    let mut client = Client::connect(framed);
                    ask(&client, &name, 0);
                    let (head, bytes) = receive(&mut client);
                    assert_eq!(head["sha256"], sha256(content));
                    assert!(bytes == *content);
                }
            });
        }
    });
}

fn hashing_a_large_file_delays_no_other<E: Engine>() {
    let depot = Depot::open::<E>(Limits { workers: 1, ..Limits::default() });
    File::create(depot.path("huge")).unwrap().set_len(1 << 40).unwrap();
    depot.put("small", b"small");
    let client = depot.dial();
    ask(&client, "huge", 0);
    // A terabyte is not read through in the time that a test has.
    for _ in 0..3 {
        assert_eq!(depot.plainly(b"small"), b"small");
    }
}

fn reset_download_frees_its_memory<E: Engine>() {
    let depot = Depot::open::<E>(Limits::default());
    depot.put("x", &noise(8 * MIB, 7));
    for number in 0..20 {
        let mut client = depot.dial();
        ask(&client, "x", 0);
        if number % 2 == 0 {
            hear(&mut client);
        }
        client.reset();
        drop(depot.dial_plain(b"x"));
    }
    depot.running.await_counter("open", |open| open == 0);
    assert_eq!(depot.running.counters()["buffered_bytes"], 0);
}
