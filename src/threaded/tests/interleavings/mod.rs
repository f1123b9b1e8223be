//! The whole engine, with its own threads, in hundreds of orders of their steps.
//!
//! The crate `shuttle` decides at each lock, flag, channel and wait which thread goes on: at
//! random, or with few changes at random places (PCT). No time passes, so a thread that nobody
//! wakes is a deadlock, which `shuttle` reports.
//!
//! `RUSTFLAGS='--cfg shuttle' cargo test --lib --no-default-features interleavings` runs them, with
//! `SCHEDULES=10000` more of them. Memory orderings are not part of this: every thread sees the
//! latest value.

mod site;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags};
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::thread;
use shuttle::{Config, Runner};

use crate::engine::handle::{Command, Handle, PostError, pair};
use crate::engine::limits::{Limits, SlowConsumer};
use crate::net::Notifier;
use crate::net::shuttled::wait_until;
use crate::service::ServiceOptions;
use crate::service::time::Timestamp;
use crate::threaded::held_memory::HeldMemory;
use crate::threaded::lifecycle::{AcceptControl, WaitGroup};
use crate::threaded::socket::poll;

use site::{Client, SERVICE, Site};

/// The orders in which a test runs by default, for each of the two schedulers.
const SCHEDULES: usize = 300;

/// The changes of the running thread that PCT makes.
const PCT_DEPTH: usize = 3;

/// Runs `test` in many orders.
fn in_many_orders(test: impl Fn() + Send + Sync + Copy + 'static) {
    let schedules = std::env::var("SCHEDULES").map_or(SCHEDULES, |number| number.parse().unwrap());
    Runner::new(RandomScheduler::new_from_seed(1, schedules), config()).run(test);
    Runner::new(PctScheduler::new_from_seed(1, PCT_DEPTH, schedules), config()).run(test);
}

fn config() -> Config {
    let mut config = Config::new();
    config.stack_size = 1 << 20;
    // The warning says that memory orderings are not modelled, as the comment above does.
    config.silence_warnings = true;
    config
}

fn post(handle: &Handle, words: &str) -> Result<(), PostError> {
    handle.post(SERVICE, Box::new(words.to_owned()))
}

#[test]
fn every_member_receives_every_message_once_and_all_in_one_order() {
    in_many_orders(|| {
        let site = Site::open(Limits::default(), "service");
        let [mut one, mut other] = site.connect_two();
        site.spawn(|handle| ["all post-0", "all post-1"].iter().for_each(|words| post(&handle, words).unwrap()));
        ["all one-0", "all one-1"].iter().for_each(|words| one.send(words));
        other.send("all other-0");
        let received = [one.wait_for(5), other.wait_for(5)];
        assert_eq!(received[0], received[1]);
        for sender in [&["post-0", "post-1"][..], &["one-0", "one-1"], &["other-0"]] {
            let from = sender[0].split_once('-').unwrap().0;
            let of_sender: Vec<_> = received[0].iter().filter(|words| words.starts_with(from)).collect();
            assert_eq!(of_sender, sender);
        }
        site.handle.drain();
        [&one, &other].into_iter().for_each(Client::end);
        site.finish();
    });
}

#[test]
fn a_close_that_several_threads_ask_for_happens_once() {
    in_many_orders(|| {
        let site = Site::open(Limits::default(), "service");
        let [mut one, mut other] = site.connect_two();
        let poster = site.spawn(|handle| post(&handle, "kick 0").unwrap());
        one.send("close");
        other.send("kick 0");
        one.wait_for_end();
        one.end();
        other.send("all after");
        assert_eq!(other.wait_for(1), ["after"]);
        other.end();
        other.wait_for_end();
        poster.join().unwrap();
        site.handle.drain();
        site.finish();
    });
}

#[test]
fn messages_posted_before_a_drain_are_taken_and_the_drain_ends() {
    in_many_orders(|| {
        let site = Site::open(Limits::default(), "service");
        let [mut one, other] = site.connect_two();
        site.spawn(|handle| {
            post(&handle, "all posted").unwrap();
            handle.drain();
            // The engine may have ended.
            let _ = post(&handle, "all late");
        });
        one.send("all sent");
        [&one, &other].into_iter().for_each(Client::end);
        let (_, log) = site.finish();
        assert!(log.iter().any(|line| line == "post none all posted"), "{log:?}");
    });
}

#[test]
fn a_stop_at_any_time_ends_every_thread_and_holds_up_no_sender() {
    in_many_orders(|| {
        let site = Site::open(Limits::default(), "service");
        let mut clients = [site.connect(), site.connect()];
        site.spawn(|handle| (0..3).for_each(|_| _ = post(&handle, "all posted")));
        site.spawn(|handle| {
            handle.drain();
            handle.stop();
        });
        clients.iter_mut().for_each(|client| client.send("all sent"));
        site.finish();
    });
}

#[test]
fn a_batch_for_a_slow_member_is_received_or_reported() {
    const BATCHES: usize = 8;
    for slow_consumer in [SlowConsumer::DropNewest, SlowConsumer::DropOldest] {
        let limits = move || Limits { slow_consumer, max_write_buffer_bytes: 4_000, ..Limits::default() };
        in_many_orders(move || {
            let site = Site::open(limits(), "service");
            let [mut slow, mut sender] = site.connect_two();
            let words = "x".repeat(1_500);
            for _ in 0..BATCHES / 2 {
                sender.send(&format!("batch {words}|{words}"));
            }
            wait_until(|| {
                let received = slow.read().len();
                sender.read();
                let script = site.service.script();
                received + script.log.iter().filter(|line| line.starts_with("dropped 0")).count() == BATCHES
            });
            site.handle.drain();
            [&slow, &sender].into_iter().for_each(Client::end);
            site.finish();
        });
    }
}

#[test]
fn a_client_that_comes_while_the_only_slot_is_freed_is_served_or_told() {
    in_many_orders(|| {
        let site = Site::open(Limits { max_connections: 1, ..Limits::default() }, "service");
        let first = site.connect();
        wait_until(|| site.service.script().members.len() == 1);
        drop(first);
        let mut second = site.connect();
        second.send("hello");
        assert_eq!(second.wait_for(1).len(), 1);
        second.end();
        site.handle.drain();
        site.finish();
    });
}

#[test]
fn connections_take_turns_at_the_only_place_for_a_job() {
    let options = || ServiceOptions::new("service").job_threads(NonZeroUsize::MIN);
    in_many_orders(move || {
        let site = Site::open(Limits::default(), options());
        let [mut one, mut other] = site.connect_two();
        one.send("job a");
        other.send("job b");
        assert_eq!((one.wait_for(1), other.wait_for(1)), (vec!["a".to_owned()], vec!["b".to_owned()]));
        site.handle.drain();
        [&one, &other].into_iter().for_each(Client::end);
        site.finish();
    });
    in_many_orders(move || {
        let site = Site::open(Limits::default(), options());
        let [mut one, mut other] = site.connect_two();
        one.send("job a");
        other.send("job b");
        site.handle.stop();
        site.finish();
    });
}

#[test]
fn a_post_and_a_command_wake_an_engine_that_is_about_to_sleep() {
    in_many_orders(|| {
        let notifier = Arc::new(Notifier::new().unwrap());
        let bell = Arc::clone(&notifier);
        let (handle, mut receiver) = pair(Arc::new(move || bell.notify()), 4);
        thread::spawn(move || {
            post(&handle, "posted").unwrap();
            handle.stop();
        });
        let mut messages = 0;
        loop {
            poll(&mut [PollFd::new(&*notifier, PollFlags::IN)], None);
            notifier.clear();
            receiver.begin();
            messages += std::iter::from_fn(|| receiver.next_message()).count();
            if receiver.take_commands().contains(&Command::Stop) {
                break;
            }
        }
        assert_eq!(messages, 1, "a message comes before the command that follows it");
    });
}

#[test]
fn a_connection_paused_for_memory_is_woken_when_the_sum_falls() {
    in_many_orders(|| {
        let limits = Limits::default();
        let (memory, bytes) = (Arc::new(HeldMemory::new(&limits)), limits.max_buffered_bytes as u64);
        memory.adjust(0, bytes);
        let freed = Arc::clone(&memory);
        thread::spawn(move || freed.adjust(bytes, 0));
        let instant = Instant::now();
        while memory.is_over_limit() {
            let (relief, _) = memory.begin_pressure(Timestamp::new(instant, instant));
            poll(&mut [PollFd::new(&*relief.unwrap(), PollFlags::IN)], None);
        }
    });
}

#[test]
fn the_last_thread_to_end_wakes_the_control_thread() {
    in_many_orders(|| {
        let control = Arc::new(Notifier::new().unwrap());
        let threads = WaitGroup::new(Arc::clone(&control));
        for _ in 0..2 {
            let guard = threads.enter();
            thread::spawn(move || drop(guard));
        }
        while !threads.is_idle() {
            poll(&mut [PollFd::new(&*control, PollFlags::IN)], None);
            control.clear();
        }
    });
}

#[test]
fn a_listener_that_pauses_is_woken_by_a_stop() {
    in_many_orders(|| {
        let control = Arc::new(Notifier::new().unwrap());
        let accepting = Arc::new(AcceptControl::new(1, &control).unwrap());
        let other = Arc::clone(&accepting);
        thread::spawn(move || {
            other.resume();
            other.stop();
        });
        while !accepting.is_stopped() {
            accepting.pause(0, false);
        }
    });
}
