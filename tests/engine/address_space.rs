//! What happens on threads when the process has no memory left to start one. The process must not die of it.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::Write;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use switchboard::services::Echo;
use switchboard::{Limits, Service, Threaded};

use crate::descriptors::alone;
use crate::support::{Client, observe, serve};

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
    // Of those who are being told at once there is a bound, and where the engine is slow to see them off, it is met.
    let (mut refused, mut silenced) = (0, 0);
    while refused < 50 {
        let newcomers: Vec<Client> = (0..30).map(|_| Client::connect(addr)).collect();
        for newcomer in &newcomers {
            // Whoever was turned away may be gone by now.
            let _ = newcomer.socket().write_all(b"\0\0\0\x05hello");
        }
        for mut newcomer in newcomers {
            if newcomer.socket().peek(&mut [0]).is_ok_and(|bytes| bytes > 0) {
                let words = newcomer.receive();
                if words == b"hello" {
                    served.push(newcomer);
                } else {
                    assert_eq!(words, b"server is full: it can start no more threads");
                    refused += 1;
                }
            } else {
                silenced += 1;
            }
        }
        assert!(served.len() < 5000, "memory never comes to an end");
        assert!(silenced < 5000, "nobody is told why it is turned away");
    }
    for client in &mut served {
        client.echo(b"still served");
    }
    drop(served);
    assert_eq!(running.drain().refused, refused + silenced);
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
        crowd(observe(Echo).0, 60 << 20);
    }
}
