//! What happens on threads when the process has no memory left to start one. The process must not die of it.
#![cfg(target_os = "linux")]

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use switchboard::services::Echo;
use switchboard::{Limits, Service, Threaded};

use crate::common::{Client, serve, witness};
use crate::descriptors::alone;

/// Leaves the process room for so many more bytes of address space.
fn leave_address_space(more: u64) {
    let pages: u64 = fs::read_to_string("/proc/self/statm").unwrap().split(' ').next().unwrap().parse().unwrap();
    let limit = Rlimit { current: Some((pages << 12) + more), ..getrlimit(Resource::As) };
    setrlimit(Resource::As, limit).unwrap();
}

/// Newcomers come in crowds, so that many threads start at once, until enough of them have been turned away.
fn crowd(service: impl Service + Send + 'static, more: u64) {
    let descriptors = Rlimit { current: getrlimit(Resource::Nofile).maximum, ..getrlimit(Resource::Nofile) };
    setrlimit(Resource::Nofile, descriptors).unwrap();
    let (running, addr) = serve::<Threaded>(Limits::default(), service);
    let mut first = Client::connect(addr);
    first.echo(b"ready");
    leave_address_space(more);
    let mut served = vec![first];
    let mut refused = 0;
    while refused < 50 {
        let newcomers: Vec<Client> = (0..30).map(|_| Client::connect(addr)).collect();
        for newcomer in &newcomers {
            newcomer.send(b"hello");
        }
        for mut newcomer in newcomers {
            match newcomer.try_receive() {
                Some(words) if words == b"hello" => served.push(newcomer),
                Some(words) => {
                    assert_eq!(words, b"server is full: it can start no more threads");
                    refused += 1;
                }
                None => panic!("not told why it is turned away"),
            }
        }
        assert!(served.len() < 5000, "memory never comes to an end");
    }
    for client in &mut served {
        client.echo(b"still served");
    }
    drop(served);
    assert_eq!(running.drain().refused, refused);
}

#[test]
fn without_memory_for_threads_the_new_are_told_and_the_engine_lives() {
    if alone() {
        crowd(Echo, 300 << 20);
    }
}

#[test]
fn with_less_memory_than_a_heap_so_are_they_who_share_a_service() {
    if alone() {
        crowd(witness(Echo).0, 60 << 20);
    }
}
