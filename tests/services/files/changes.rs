//! Files that change while they are sent.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};

use switchboard::Limits;

use super::depot::{Depot, ask, hear, noise, read_all, receive_bytes};
use crate::support::{Engine, conformance};

/// More bytes than sockets and queues hold, so that most of the file is unread when its first bytes
/// arrive.
const SIZE: usize = 48 * 1024 * 1024;

conformance! {
    shrinking_file_is_not_padded,
    growing_file_is_sent_at_its_announced_size,
    replaced_file_is_sent_in_its_old_version,
}

fn shrinking_file_is_not_padded<E: Engine>() {
    let depot = Depot::open::<E>(Limits::default());
    depot.put("x", &vec![1; SIZE]);
    let mut socket = depot.dial_plain(b"x");
    socket.read_exact(&mut [0; 1000]).unwrap();
    File::options().write(true).open(depot.path("x")).unwrap().set_len(10).unwrap();
    let bytes = read_all(socket);
    assert!(bytes.len() < SIZE - 1000 && bytes == vec![1; bytes.len()], "{} bytes", bytes.len());
    // Of what is not there nothing is announced.
    let mut client = depot.dial();
    ask(&client, "x", 0);
    assert_eq!(hear(&mut client)["size"], 10);
}

fn growing_file_is_sent_at_its_announced_size<E: Engine>() {
    let depot = Depot::open::<E>(Limits::default());
    let content = noise(SIZE / 8, 8);
    depot.put("x", &content);
    let mut client = depot.dial();
    ask(&client, "x", 0);
    assert_eq!(hear(&mut client)["size"], content.len());
    let mut file = OpenOptions::new().append(true).open(depot.path("x")).unwrap();
    file.write_all(b"and more").unwrap();
    assert!(receive_bytes(&mut client, content.len()) == content);
    ask(&client, "x", content.len() as u64);
    assert_eq!(hear(&mut client)["size"], content.len() + 8);
    assert_eq!(receive_bytes(&mut client, 8), b"and more");
}

fn replaced_file_is_sent_in_its_old_version<E: Engine>() {
    let depot = Depot::open::<E>(Limits::default());
    depot.put("x", &vec![1; SIZE]);
    depot.put("y", &vec![2; SIZE]);
    let mut socket = depot.dial_plain(b"x");
    socket.read_exact(&mut [0; 1000]).unwrap();
    std::fs::rename(depot.path("y"), depot.path("x")).unwrap();
    let bytes = read_all(socket);
    assert!(bytes == vec![1; SIZE - 1000]);
}
