//! An operator at a console: pipes, files and sockets that were there before the engine. Terminals are next door.
#![cfg(unix)]

use std::fs::{self, File};
use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use switchboard::{CloseReason, Error, Framing, Limits, Reactor, SlowConsumer};

use crate::descriptors::alone;
use crate::operator::{Ears, LAST_WORD_BYTES, Office, Scratch, Setting, is_nonblocking, office};
use crate::support::{Client, Engine, GUARD, RunningEngine, conformance, observe};

conformance! {
    an_operator_on_pipes_is_a_peer_like_any_other,
    a_file_is_read_to_its_end_and_another_written,
    an_input_without_a_byte_has_ended,
    a_socket_will_do_as_well,
    an_output_that_nobody_reads_is_bounded_and_stays,
    an_output_that_is_closed_ends_its_console_only,
    no_deadline_is_an_operators,
    a_console_takes_nobodys_place,
    what_was_said_before_the_engine_ran_is_heard,
    the_last_word_is_out_before_the_engine_has_ended,
    a_drain_waits_for_an_operator_no_longer_than_its_timeout,
    an_operator_who_is_sent_away_leaves_the_next_line_alone,
    a_strangers_service_has_no_console,
}

/// The operator's own ends of two pipes, the engine's ends, and what others hold of the latter.
fn pipes() -> (PipeWriter, PipeReader, (PipeReader, PipeWriter)) {
    let ((input, typed), (shown, output)) = (pipe().unwrap(), pipe().unwrap());
    (typed, shown, (input, output))
}

fn an_operator_on_pipes_is_a_peer_like_any_other<E: Engine>() {
    let (mut typed, shown, (input, output)) = pipes();
    let others = (input.try_clone().unwrap(), output.try_clone().unwrap());
    let setting = office::<E>(Limits::default(), input, output);
    let ears = Ears::of(shown);
    ears.expect("welcome console");
    let mut client = setting.client();
    typed.write_all(b"one\ntwo\nthr").unwrap();
    ears.expect("one");
    ears.expect("two");
    assert_eq!((client.receive(), client.receive()), (b"one".into(), b"two".into()));
    client.send(b"from outside");
    ears.expect("from outside");
    client.receive();
    assert!(!is_nonblocking(&others.0) && !is_nonblocking(&others.1), "whoever shares them would be surprised");
    drop(others);
    typed.write_all(b"ee").unwrap();
    drop(typed);
    assert_eq!(client.receive(), b"three", "the last line need not be ended");
    assert_eq!(setting.events.next_closed(), (setting.console, CloseReason::PeerClosed));
    ears.expect("three");
    ears.expect_end();
    client.echo(b"without an operator");
    drop(client);
    let stats = setting.running.drain();
    assert_eq!((stats.accepted, stats.closed, stats.faulted, stats.open), (2, 2, 0, 0), "{stats}");
}

fn a_file_is_read_to_its_end_and_another_written<E: Engine>() {
    let (orders, answers) = (Scratch::new("orders"), Scratch::new("answers"));
    let lines = "an order\n".repeat(50_000);
    fs::write(&orders.0, &lines).unwrap();
    let setting = office::<E>(Limits::default(), File::open(&orders.0).unwrap(), answers.create());
    assert_eq!(setting.events.next_closed(), (setting.console, CloseReason::PeerClosed));
    setting.client().echo(b"without an operator");
    setting.running.drain();
    assert_eq!(fs::read_to_string(&answers.0).unwrap(), format!("welcome console\n{lines}"));
}

fn an_input_without_a_byte_has_ended<E: Engine>() {
    let output = File::options().write(true).open("/dev/null").unwrap();
    let setting = office::<E>(Limits::default(), File::open("/dev/null").unwrap(), output);
    assert_eq!(setting.events.next_closed(), (setting.console, CloseReason::PeerClosed));
    setting.client().echo(b"without an operator");
    setting.running.drain();
}

fn a_socket_will_do_as_well<E: Engine>() {
    let (mut far, near) = UnixStream::pair().unwrap();
    let others = near.try_clone().unwrap();
    let setting = office::<E>(Limits::default(), near.try_clone().unwrap(), near);
    let ears = Ears::of(far.try_clone().unwrap());
    ears.expect("welcome console");
    far.write_all(b"hello\n").unwrap();
    ears.expect("hello");
    let mut client = setting.client();
    let news = vec![b'n'; 1 << 20];
    client.send(&news);
    client.receive();
    assert_eq!(ears.next().into_bytes(), news);
    assert!(!is_nonblocking(&others), "whoever shares it would be surprised");
    far.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(setting.events.next_closed(), (setting.console, CloseReason::PeerClosed));
    client.echo(b"without an operator");
    drop(client);
    setting.running.drain();
}

fn an_output_that_nobody_reads_is_bounded_and_stays<E: Engine>() {
    const BOUND: usize = 64 * 1024;
    let limits = Limits { max_write_buffer_bytes: BOUND, write_timeout: Duration::from_millis(1), ..Limits::default() };
    assert_eq!(limits.slow_consumer, SlowConsumer::Disconnect);
    let (mut typed, shown, (input, output)) = pipes();
    let setting = office::<E>(limits, input, output);
    let mut client = setting.client();
    let news = [b'n'; 1000];
    let mut most_held = 0;
    let begun = Instant::now();
    loop {
        (0..100).for_each(|_| client.echo(&news));
        let counters = setting.running.counters();
        most_held = most_held.max(counters["buffered_bytes"]);
        if counters["frames_dropped"] > 1000 {
            break;
        }
        assert!(begun.elapsed() < GUARD, "nothing is ever dropped");
    }
    assert!((1..=2 * BOUND as u64).contains(&most_held), "{most_held} bytes are held for one who does not read");
    client.echo(b"the news");
    assert_eq!(setting.events.try_next_closed(), None);
    let ears = Ears::of(shown);
    ears.expect("welcome console");
    ears.await_line("the news");
    typed.write_all(b"still here\n").unwrap();
    ears.await_line("still here");
    drop((typed, client));
    setting.running.drain();
}

fn an_output_that_is_closed_ends_its_console_only<E: Engine>() {
    for full in [false, true] {
        let (typed, shown, (input, output)) = pipes();
        let setting = office::<E>(Limits::default(), input, output);
        let mut client = setting.client();
        if full {
            client.echo(&vec![b'n'; 128 * 1024]);
            // Answered in a turn of its own, before which all that the pipe takes was written.
            client.echo(b"full");
        }
        drop(shown);
        let (id, reason) = if full {
            setting.events.next_closed()
        } else {
            setting.events.repeat_until_closed(|| client.echo(b"anybody?"))
        };
        assert_eq!(id, setting.console);
        assert!(matches!(reason, CloseReason::PeerReset(_) | CloseReason::PeerClosed), "{reason}");
        client.echo(b"without an operator");
        drop((typed, client));
        setting.running.drain();
    }
}

fn no_deadline_is_an_operators<E: Engine>() {
    let patience = Duration::from_millis(50);
    let limits = Limits { idle_timeout: patience, frame_timeout: patience, ..Limits::default() };
    let (mut typed, shown, (input, output)) = pipes();
    let setting = office::<E>(limits, input, output);
    let ears = Ears::of(shown);
    ears.expect("welcome console");
    // Idle for longer than somebody who has come later, and is ended for it.
    let idle = setting.client();
    let (id, reason) = setting.events.next_closed();
    assert_eq!((id != setting.console, reason), (true, CloseReason::IdleTimeout(patience)));
    drop(idle);
    // With half a line for longer than somebody with half a frame.
    typed.write_all(b"half").unwrap();
    let slow = setting.client();
    slow.send_bytes(&[0, 0]);
    let (id, reason) = setting.events.next_closed();
    assert_ne!(id, setting.console);
    assert!(matches!(reason, CloseReason::FrameTimeout { .. } | CloseReason::IdleTimeout(_)), "{reason}");
    typed.write_all(b" a line\n").unwrap();
    ears.expect("half a line");
    drop((typed, slow));
    setting.running.drain();
}

fn a_console_takes_nobodys_place<E: Engine>() {
    let (typed, shown, (input, output)) = pipes();
    let setting = office::<E>(Limits { max_connections: 1, ..Limits::default() }, input, output);
    let ears = Ears::of(shown);
    ears.expect("welcome console");
    let mut client = setting.client();
    client.echo(b"let in");
    ears.expect("let in");
    let refused = |setting: &Setting| Client::connect(setting.addr).receive().starts_with(b"server is full");
    assert!(refused(&setting), "there is one place, and it is taken");
    drop(typed);
    assert_eq!(setting.events.next_closed().0, setting.console);
    ears.expect_end();
    assert!(refused(&setting), "the operator's place was no client's");
    client.echo(b"still in");
    drop(client);
    assert_eq!(setting.running.drain().refused, 2);
}

fn the_last_word_is_out_before_the_engine_has_ended<E: Engine>() {
    let heard = Scratch::new("heard");
    let (mut typed, input) = {
        let (input, typed) = pipe().unwrap();
        (typed, input)
    };
    // Nobody lingers until it is out, either.
    let limits = Limits { drain_timeout: GUARD, linger_timeout: Duration::ZERO, ..Limits::default() };
    let setting = office::<E>(limits, input, heard.create());
    typed.write_all(b"quit\n").unwrap();
    setting.running.join();
    let expected = "welcome console\n".len() + LAST_WORD_BYTES + 1;
    assert_eq!(fs::metadata(&heard.0).unwrap().len(), expected as u64, "the engine ends when all has been written");
}

fn what_was_said_before_the_engine_ran_is_heard<E: Engine>() {
    let (mut typed, shown, (input, output)) = pipes();
    typed.write_all(b"an order\n").unwrap();
    drop(typed);
    let setting = office::<E>(Limits::default(), input, output);
    let ears = Ears::of(shown);
    ears.expect("welcome console");
    ears.expect("an order");
    ears.expect_end();
    assert_eq!(setting.events.next_closed(), (setting.console, CloseReason::PeerClosed));
    setting.running.drain();
}

fn a_drain_waits_for_an_operator_no_longer_than_its_timeout<E: Engine>() {
    let drain_timeout = Duration::from_millis(300);
    let (mut typed, _shown, (input, output)) = pipes();
    let setting = office::<E>(Limits { drain_timeout, ..Limits::default() }, input, output);
    let begun = Instant::now();
    typed.write_all(b"quit\n").unwrap();
    setting.running.join();
    assert!(begun.elapsed() >= drain_timeout, "what is owed has its time: {:?}", begun.elapsed());
}

fn an_operator_who_is_sent_away_leaves_the_next_line_alone<E: Engine>() {
    let (mut typed, shown, (input, output)) = pipes();
    let mut shells = input.try_clone().unwrap();
    let setting = office::<E>(Limits::default(), input, output);
    let ears = Ears::of(shown);
    ears.expect("welcome console");
    typed.write_all(b"leave\n").unwrap();
    assert_eq!(setting.events.next_closed(), (setting.console, CloseReason::Service("as asked".into())));
    ears.expect_end();
    typed.write_all(b"for the shell\n").unwrap();
    drop(typed);
    let mut left = String::new();
    shells.read_to_string(&mut left).unwrap();
    assert_eq!(left, "for the shell\n");
    setting.running.drain();
}

fn a_strangers_service_has_no_console<E: Engine>() {
    let mut one = E::with_limits(Limits::default());
    let id = one.add_service("office", Office::default());
    let mut other = E::with_limits(Limits::default());
    let (_typed, _shown, (input, output)) = pipes();
    let error = other.attach(id, input.into(), output.into()).unwrap_err();
    assert!(
        matches!(&error, Error::Attach(_)) && error.to_string().starts_with("cannot attach the console: "),
        "{error}"
    );
}

#[test]
fn the_reactor_needs_no_thread_for_it() {
    if !alone() {
        return;
    }
    let threads = || fs::read_dir("/proc/self/task").unwrap().count();
    let (mut typed, mut shown, (input, output)) = pipes();
    let limits = Limits::default();
    let (service, events) = observe(Office::default());
    let mut engine = Reactor::new(limits).unwrap();
    let id = engine.add_service("office", service);
    engine.attach(id, input, output, Framing::Lines).unwrap();
    let before = threads();
    let running = RunningEngine::start(engine);
    events.next_opened();
    typed.write_all(b"hello\n").unwrap();
    shown.read_exact(&mut [0; 22]).unwrap();
    assert_eq!(threads(), before + 1, "the engine's own is the only one");
    drop(typed);
    running.drain();
}

/// How many descriptors polls watch, of the whole process (`proc_pid_fdinfo(5)`).
fn watched() -> usize {
    let infos = fs::read_dir("/proc/self/fdinfo").unwrap();
    let texts = infos.filter_map(|info| fs::read_to_string(info.unwrap().path()).ok());
    texts.map(|text| text.lines().filter(|line| line.starts_with("tfd:")).count()).sum()
}

#[test]
fn a_console_that_has_ended_is_not_watched_any_more() {
    if !alone() {
        return;
    }
    let (mut far, near) = UnixStream::pair().unwrap();
    // Whoever else holds the socket keeps what is registered of it.
    let _shells = near.try_clone().unwrap();
    let setting = office::<Reactor>(Limits::default(), near.try_clone().unwrap(), near);
    far.write_all(b"leave\n").unwrap();
    assert_eq!(setting.events.next_closed().0, setting.console);
    // A turn later the connection is forgotten.
    setting.running.counters();
    assert_eq!(watched(), 2, "there is the listener, and what wakes the loop");
    setting.running.drain();
}
