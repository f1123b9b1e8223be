//! Operator consoles on pipes, files and sockets that existed before the engine. `terminals.rs`
//! tests terminals.

use std::fs::{self, File};
use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use switchboard::{CloseReason, Error, Framing, Limits, Reactor, SlowConsumer};

use crate::console_setup::{
    BroadcastService, ConsoleSetup, LAST_REPLY_BYTES, OutputLines, TemporaryFile, is_nonblocking, serve_with_console,
};
use crate::support::{Client, Engine, RunningEngine, conformance, guard, in_own_process, observe};

conformance! {
    console_on_pipes_sends_and_receives_like_a_client,
    console_on_files_reads_to_the_end_and_writes,
    console_with_empty_input_closes,
    console_on_a_socket_sends_and_receives,
    unread_console_output_is_bounded_and_keeps_open,
    closed_console_output_closes_the_console_only,
    console_has_no_idle_or_frame_timeout,
    console_does_not_count_towards_max_connections,
    console_input_before_the_start_is_read,
    engine_ends_after_the_last_console_output,
    drain_waits_for_a_console_until_drain_timeout,
    closed_console_leaves_the_next_input_line_unread,
    attach_to_another_engines_service_is_an_error,
}

/// Two pipes: the operator's ends, and the engine's input and output.
fn pipes() -> (PipeWriter, PipeReader, (PipeReader, PipeWriter)) {
    let ((input, typed), (shown, output)) = (pipe().unwrap(), pipe().unwrap());
    (typed, shown, (input, output))
}

fn console_on_pipes_sends_and_receives_like_a_client<E: Engine>() {
    let (mut typed, shown, (input, output)) = pipes();
    let others = (input.try_clone().unwrap(), output.try_clone().unwrap());
    let setup = serve_with_console::<E>(Limits::default(), input, output);
    let output_lines = OutputLines::read_from(shown);
    output_lines.expect("welcome console");
    let mut client = setup.client();
    typed.write_all(b"one\ntwo\nthr").unwrap();
    output_lines.expect("one");
    output_lines.expect("two");
    assert_eq!((client.receive(), client.receive()), (b"one".into(), b"two".into()));
    client.send(b"from outside");
    output_lines.expect("from outside");
    client.receive();
    assert!(
        !is_nonblocking(&others.0) && !is_nonblocking(&others.1),
        "O_NONBLOCK would affect every process that shares the pipes"
    );
    drop(others);
    typed.write_all(b"ee").unwrap();
    drop(typed);
    assert_eq!(client.receive(), b"three", "the last line may lack its line feed");
    assert_eq!(setup.events.next_closed(), (setup.console, CloseReason::PeerClosed));
    output_lines.expect("three");
    output_lines.expect_end();
    client.echo(b"without an operator");
    drop(client);
    let stats = setup.running.drain();
    assert_eq!((stats.accepted, stats.closed, stats.faulted, stats.open), (2, 2, 0, 0), "{stats}");
}

fn console_on_files_reads_to_the_end_and_writes<E: Engine>() {
    let (input, output) = (TemporaryFile::new("input"), TemporaryFile::new("output"));
    let lines = "a command\n".repeat(50_000);
    fs::write(&input.0, &lines).unwrap();
    let setup = serve_with_console::<E>(Limits::default(), File::open(&input.0).unwrap(), output.create());
    assert_eq!(setup.events.next_closed(), (setup.console, CloseReason::PeerClosed));
    setup.client().echo(b"without an operator");
    setup.running.drain();
    assert_eq!(fs::read_to_string(&output.0).unwrap(), format!("welcome console\n{lines}"));
}

fn console_with_empty_input_closes<E: Engine>() {
    let output = File::options().write(true).open("/dev/null").unwrap();
    let setup = serve_with_console::<E>(Limits::default(), File::open("/dev/null").unwrap(), output);
    assert_eq!(setup.events.next_closed(), (setup.console, CloseReason::PeerClosed));
    setup.client().echo(b"without an operator");
    setup.running.drain();
}

fn console_on_a_socket_sends_and_receives<E: Engine>() {
    let (mut far, near) = UnixStream::pair().unwrap();
    let others = near.try_clone().unwrap();
    let setup = serve_with_console::<E>(Limits::default(), near.try_clone().unwrap(), near);
    let output_lines = OutputLines::read_from(far.try_clone().unwrap());
    output_lines.expect("welcome console");
    far.write_all(b"hello\n").unwrap();
    output_lines.expect("hello");
    let mut client = setup.client();
    let news = vec![b'n'; 1 << 20];
    client.send(&news);
    client.receive();
    assert_eq!(output_lines.next().into_bytes(), news);
    assert!(!is_nonblocking(&others), "O_NONBLOCK would affect every process that shares the socket");
    far.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(setup.events.next_closed(), (setup.console, CloseReason::PeerClosed));
    client.echo(b"without an operator");
    drop(client);
    setup.running.drain();
}

fn unread_console_output_is_bounded_and_keeps_open<E: Engine>() {
    const BOUND: usize = 64 * 1024;
    let limits = Limits { max_write_buffer_bytes: BOUND, write_timeout: Duration::from_millis(1), ..Limits::default() };
    assert_eq!(limits.slow_consumer, SlowConsumer::Disconnect);
    let (mut typed, shown, (input, output)) = pipes();
    let setup = serve_with_console::<E>(limits, input, output);
    let mut client = setup.client();
    let news = [b'n'; 1000];
    let mut most_held = 0;
    let start = Instant::now();
    loop {
        (0..100).for_each(|_| client.echo(&news));
        let counters = setup.running.counters();
        most_held = most_held.max(counters["buffered_bytes"]);
        if counters["frames_dropped"] > 1000 {
            break;
        }
        assert!(start.elapsed() < guard(), "no frame was dropped in time");
    }
    assert!(
        (1..=2 * BOUND as u64).contains(&most_held),
        "{most_held} bytes are queued for a console that does not read, expected at most {}",
        2 * BOUND
    );
    client.echo(b"the news");
    assert_eq!(setup.events.try_next_closed(), None);
    let output_lines = OutputLines::read_from(shown);
    output_lines.expect("welcome console");
    output_lines.await_line("the news");
    typed.write_all(b"still here\n").unwrap();
    output_lines.await_line("still here");
    drop((typed, client));
    setup.running.drain();
}

fn closed_console_output_closes_the_console_only<E: Engine>() {
    for full in [false, true] {
        let (typed, shown, (input, output)) = pipes();
        let setup = serve_with_console::<E>(Limits::default(), input, output);
        let mut client = setup.client();
        if full {
            client.echo(&vec![b'n'; 128 * 1024]);
            // This reply comes in a later turn; by then the pipe is full.
            client.echo(b"full");
        }
        drop(shown);
        let (id, reason) = if full {
            setup.events.next_closed()
        } else {
            setup.events.repeat_until_closed(|| client.echo(b"trigger a write"))
        };
        assert_eq!(id, setup.console);
        assert!(matches!(reason, CloseReason::PeerReset(_) | CloseReason::PeerClosed), "{reason}");
        client.echo(b"without an operator");
        drop((typed, client));
        setup.running.drain();
    }
}

fn console_has_no_idle_or_frame_timeout<E: Engine>() {
    let timeout = Duration::from_millis(50);
    let limits = Limits { idle_timeout: timeout, frame_timeout: timeout, ..Limits::default() };
    let (mut typed, shown, (input, output)) = pipes();
    let setup = serve_with_console::<E>(limits, input, output);
    let output_lines = OutputLines::read_from(shown);
    output_lines.expect("welcome console");
    // The client came after the console and is closed for being idle.
    let idle = setup.client();
    let (id, reason) = setup.events.next_closed();
    assert_eq!((id != setup.console, reason), (true, CloseReason::IdleTimeout(timeout)));
    drop(idle);
    // The console has half a line for longer than the client has half a frame.
    typed.write_all(b"half").unwrap();
    let slow = setup.client();
    slow.send_bytes(&[0, 0]);
    let (id, reason) = setup.events.next_closed();
    assert_ne!(id, setup.console);
    assert!(matches!(reason, CloseReason::FrameTimeout { .. } | CloseReason::IdleTimeout(_)), "{reason}");
    typed.write_all(b" a line\n").unwrap();
    output_lines.expect("half a line");
    drop((typed, slow));
    setup.running.drain();
}

fn console_does_not_count_towards_max_connections<E: Engine>() {
    let (typed, shown, (input, output)) = pipes();
    let setup = serve_with_console::<E>(Limits { max_connections: 1, ..Limits::default() }, input, output);
    let output_lines = OutputLines::read_from(shown);
    output_lines.expect("welcome console");
    let mut client = setup.client();
    client.echo(b"accepted");
    output_lines.expect("accepted");
    let is_rejected = |setup: &ConsoleSetup| Client::connect(setup.addr).receive().starts_with(b"server is full");
    assert!(is_rejected(&setup), "the only slot is taken");
    drop(typed);
    assert_eq!(setup.events.next_closed().0, setup.console);
    output_lines.expect_end();
    assert!(is_rejected(&setup), "the console used no slot, so its end frees none");
    client.echo(b"still connected");
    drop(client);
    assert_eq!(setup.running.drain().refused, 2);
}

fn engine_ends_after_the_last_console_output<E: Engine>() {
    let output = TemporaryFile::new("output");
    let (mut typed, input) = {
        let (input, typed) = pipe().unwrap();
        (typed, input)
    };
    // Lingering is off, so only the drain can wait for the output.
    let limits = Limits { drain_timeout: guard(), linger_timeout: Duration::ZERO, ..Limits::default() };
    let setup = serve_with_console::<E>(limits, input, output.create());
    typed.write_all(b"quit\n").unwrap();
    setup.running.join();
    let expected = "welcome console\n".len() + LAST_REPLY_BYTES + 1;
    assert_eq!(fs::metadata(&output.0).unwrap().len(), expected as u64, "the engine ends after the last write");
}

fn console_input_before_the_start_is_read<E: Engine>() {
    let (mut typed, shown, (input, output)) = pipes();
    typed.write_all(b"a command\n").unwrap();
    drop(typed);
    let setup = serve_with_console::<E>(Limits::default(), input, output);
    let output_lines = OutputLines::read_from(shown);
    output_lines.expect("welcome console");
    output_lines.expect("a command");
    output_lines.expect_end();
    assert_eq!(setup.events.next_closed(), (setup.console, CloseReason::PeerClosed));
    setup.running.drain();
}

fn drain_waits_for_a_console_until_drain_timeout<E: Engine>() {
    let drain_timeout = Duration::from_millis(300);
    let (mut typed, _shown, (input, output)) = pipes();
    let setup = serve_with_console::<E>(Limits { drain_timeout, ..Limits::default() }, input, output);
    let start = Instant::now();
    typed.write_all(b"quit\n").unwrap();
    setup.running.join();
    assert!(start.elapsed() >= drain_timeout, "the drain ended before its timeout, after {:?}", start.elapsed());
}

fn closed_console_leaves_the_next_input_line_unread<E: Engine>() {
    let (mut typed, shown, (input, output)) = pipes();
    let mut shell_input = input.try_clone().unwrap();
    let setup = serve_with_console::<E>(Limits::default(), input, output);
    let output_lines = OutputLines::read_from(shown);
    output_lines.expect("welcome console");
    typed.write_all(b"leave\n").unwrap();
    assert_eq!(setup.events.next_closed(), (setup.console, CloseReason::Service("as asked".into())));
    output_lines.expect_end();
    typed.write_all(b"for the shell\n").unwrap();
    drop(typed);
    let mut left = String::new();
    shell_input.read_to_string(&mut left).unwrap();
    assert_eq!(left, "for the shell\n");
    setup.running.drain();
}

fn attach_to_another_engines_service_is_an_error<E: Engine>() {
    let mut one = E::with_limits(Limits::default());
    let id = one.add_service("broadcast", BroadcastService::default());
    let mut other = E::with_limits(Limits::default());
    let (_typed, _shown, (input, output)) = pipes();
    let error = other.attach(id, input.into(), output.into()).unwrap_err();
    assert!(
        matches!(&error, Error::Attach(_)) && error.to_string().starts_with("cannot attach the console: "),
        "{error}"
    );
}

#[test]
fn console_needs_no_thread_on_the_reactor() {
    if !in_own_process() {
        return;
    }
    let threads = || fs::read_dir("/proc/self/task").unwrap().count();
    let (mut typed, mut shown, (input, output)) = pipes();
    let limits = Limits::default();
    let (service, events) = observe(BroadcastService::default());
    let mut engine = Reactor::new(limits).unwrap();
    let id = engine.add_service("broadcast", service);
    engine.attach(id, input, output, Framing::Lines).unwrap();
    let before = threads();
    let running = RunningEngine::start(engine);
    events.next_opened();
    typed.write_all(b"hello\n").unwrap();
    shown.read_exact(&mut [0; 22]).unwrap();
    assert_eq!(threads(), before + 1, "the engine's own thread is the only new one");
    drop(typed);
    running.drain();
}

/// Counts the descriptors that the epoll instances of this process watch (`proc_pid_fdinfo(5)`).
fn watched_descriptors() -> usize {
    let infos = fs::read_dir("/proc/self/fdinfo").unwrap();
    let texts = infos.filter_map(|info| fs::read_to_string(info.unwrap().path()).ok());
    texts.map(|text| text.lines().filter(|line| line.starts_with("tfd:")).count()).sum()
}

#[test]
fn closed_console_is_removed_from_epoll() {
    if !in_own_process() {
        return;
    }
    let (mut far, near) = UnixStream::pair().unwrap();
    // epoll(7) keeps a registration while any descriptor of the same open file exists.
    let _shell = near.try_clone().unwrap();
    let setup = serve_with_console::<Reactor>(Limits::default(), near.try_clone().unwrap(), near);
    far.write_all(b"leave\n").unwrap();
    assert_eq!(setup.events.next_closed().0, setup.console);
    // The engine removes the connection within one more turn.
    setup.running.counters();
    assert_eq!(watched_descriptors(), 2, "the listener and the notifier");
    setup.running.drain();
}
