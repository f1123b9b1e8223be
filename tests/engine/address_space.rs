//! The threaded engine when the process has no memory left to start a thread. The process must
//! survive.
#![cfg(target_os = "linux")]

use std::io::Write;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use switchboard::services::Echo;
use switchboard::{Limits, Service, ServiceOptions, Threaded};

use crate::support::{Client, in_own_process, leave_address_space, observe, serve_with};

/// Connects in groups of 30, so that many threads start at the same time, until 50 connections have
/// received the rejection.
fn connect_until_rejected(options: impl Into<ServiceOptions>, service: impl Service + Send + 'static, more: u64) {
    let descriptors = Rlimit { current: getrlimit(Resource::Nofile).maximum, ..getrlimit(Resource::Nofile) };
    setrlimit(Resource::Nofile, descriptors).unwrap();
    let (running, addr) = serve_with::<Threaded>(Limits::default(), options, service);
    let mut first = Client::connect(addr);
    first.echo(b"ready");
    leave_address_space(more);
    let mut served = vec![first];
    // The number of connections that receive a rejection at the same time is bounded. Above the
    // bound the engine closes a connection without a reply.
    let (mut rejected, mut closed_silently) = (0, 0);
    while rejected < 50 {
        let group: Vec<Client> = (0..30).map(|_| Client::connect(addr)).collect();
        for client in &group {
            // A rejected connection may be closed already.
            let _ = client.socket().write_all(b"\0\0\0\x05hello");
        }
        for mut client in group {
            if client.socket().peek(&mut [0]).is_ok_and(|bytes| bytes > 0) {
                let reply = client.receive();
                if reply == b"hello" {
                    served.push(client);
                } else {
                    assert_eq!(reply, b"server is full: it can start no more threads");
                    rejected += 1;
                }
            } else {
                closed_silently += 1;
            }
        }
        assert!(served.len() < 5000, "the limit had no effect: {} connections are served", served.len());
        assert!(closed_silently < 5000, "too few connections receive the reason: {rejected}");
    }
    for client in &mut served {
        client.echo(b"still served");
    }
    drop(served);
    assert_eq!(running.drain().refused, rejected + closed_silently);
}

#[test]
fn no_memory_for_a_thread_rejects_the_connection() {
    if in_own_process() {
        connect_until_rejected(Echo.options("test"), Echo, 300 << 20);
    }
}

#[test]
fn no_memory_for_a_heap_rejects_on_a_shared_service() {
    if in_own_process() {
        connect_until_rejected("test", observe(Echo).0, 60 << 20);
    }
}
