//! Behavior that only a test inside the crate can provoke: thread starts that fail, and half-sized
//! stacks.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crate::engine::error::Error;
use crate::engine::handle::Handle;
use crate::engine::limits::Limits;
use crate::engine::stats::Stats;
use crate::engine::threads::ThreadTask;
use crate::frame::Framing;
use crate::frame::Payload;
use crate::guard::guard;
use crate::net::Endpoint;
use crate::service::Context;
use crate::service::{ConnId, PanicPolicy, Peer, Service, ServiceOptions, install_panic_hook};
use crate::threaded::Threaded;
use crate::threaded::lifecycle::{STACK_BYTES, System};

/// Starts threads with half the stack, or fails while `fails` is set.
#[derive(Clone, Default)]
struct TestSpawner {
    fails: Arc<AtomicBool>,
}

impl System for TestSpawner {
    fn spawn(&self, name: String, task: ThreadTask) -> io::Result<()> {
        if self.fails.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        thread::Builder::new().name(name).stack_size(STACK_BYTES / 2).spawn(task).map(drop)
    }

    fn now(&self) -> Instant {
        Instant::now()
    }
}

/// Echoes a frame; `panic` panics, `all TEXT` is sent to all members.
#[derive(Clone, Default)]
struct TestService {
    members: Vec<ConnId>,
}

impl Service for TestService {
    fn on_open(&mut self, cx: &mut Context<'_>, _peer: &Peer) {
        self.members.push(cx.conn());
    }

    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        assert_ne!(payload, b"panic", "as asked");
        if payload.starts_with(b"all ") {
            (0..200).for_each(|_| cx.broadcast(&self.members, Payload::from(payload)));
        } else {
            cx.reply(payload);
        }
    }
}

type EngineThread = JoinHandle<Result<Stats, Error>>;

fn serve(spawner: TestSpawner, per_connection: bool, limits: Limits) -> (EngineThread, Handle, SocketAddr) {
    let mut engine = Threaded::with_system(limits, Box::new(spawner)).unwrap();
    let mut options = ServiceOptions::new("tested");
    if per_connection {
        options = options.per_connection(TestService::default);
    }
    let service = engine.add_service(options, TestService::default());
    let at = "127.0.0.1:0".parse().unwrap();
    let Endpoint::Tcp(addr) = engine.listen(service, &at, Framing::U32BE).unwrap() else { panic!("asked for TCP") };
    let handle = engine.handle();
    (thread::spawn(move || engine.run()), handle, addr)
}

fn connect(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(guard())).unwrap();
    stream
}

fn send(mut stream: &TcpStream, payload: &[u8]) {
    stream.write_all(&u32::try_from(payload.len()).unwrap().to_be_bytes()).unwrap();
    stream.write_all(payload).unwrap();
}

fn receive(mut stream: &TcpStream) -> Vec<u8> {
    let mut head = [0; 4];
    stream.read_exact(&mut head).unwrap();
    let mut payload = vec![0; u32::from_be_bytes(head) as usize];
    stream.read_exact(&mut payload).unwrap();
    payload
}

#[test]
fn a_connection_without_a_thread_is_rejected() {
    for per_connection in [true, false] {
        let spawner = TestSpawner::default();
        let (running, handle, addr) = serve(spawner.clone(), per_connection, Limits::default());
        let old = connect(addr);
        send(&old, b"hello");
        assert_eq!(receive(&old), b"hello");
        spawner.fails.store(true, Ordering::SeqCst);
        for _ in 0..3 {
            let mut new = connect(addr);
            assert_eq!(receive(&new), b"server is full: it can start no more threads");
            assert_eq!(new.read(&mut [0]).unwrap(), 0);
            send(&old, b"still served");
            assert_eq!(receive(&old), b"still served");
        }
        spawner.fails.store(false, Ordering::SeqCst);
        let new = connect(addr);
        send(&new, b"in after all");
        assert_eq!(receive(&new), b"in after all");
        drop((old, new));
        handle.drain();
        let stats = running.join().unwrap().unwrap();
        assert_eq!((stats.accepted, stats.refused, stats.open), (2, 3, 0), "{stats}");
    }
}

#[test]
fn a_failed_start_of_an_engine_thread_is_an_error() {
    let spawner = TestSpawner::default();
    spawner.fails.store(true, Ordering::SeqCst);
    let (running, _handle, _addr) = serve(spawner, true, Limits::default());
    assert!(matches!(running.join().unwrap(), Err(Error::Thread(_))));
}

/// A panic prints a backtrace, which needs more stack than anything else.
#[test]
fn a_panic_on_any_thread_ends_the_engine_and_continues_in_run() {
    for per_connection in [true, false] {
        let limits = Limits { panic: PanicPolicy::Abort, ..Limits::default() };
        let (running, _handle, addr) = serve(TestSpawner::default(), per_connection, limits);
        let mut others = [connect(addr), connect(addr)];
        for other in &others {
            send(other, b"hello");
            assert_eq!(receive(other), b"hello");
        }
        send(&connect(addr), b"panic");
        for other in &mut others {
            let ended = other.read(&mut [0]);
            assert!(matches!(ended, Ok(0)) || ended.is_err_and(|error| error.kind() != io::ErrorKind::WouldBlock));
        }
        assert!(running.join().is_err(), "the panic is passed on");
    }
}

/// Installs a logger that formats each line.
fn install_logger() {
    #[cfg(feature = "cli")]
    let _ = env_logger::Builder::new()
        .filter_level(log::LevelFilter::Trace)
        .format_timestamp_millis()
        .target(env_logger::Target::Pipe(Box::new(io::sink())))
        .try_init();
}

#[test]
fn half_the_stack_is_enough_for_the_log_line_of_a_panic() {
    install_logger();
    install_panic_hook();
    for per_connection in [true, false] {
        let (running, handle, addr) = serve(TestSpawner::default(), per_connection, Limits::default());
        let other = connect(addr);
        send(&other, b"hello");
        assert_eq!(receive(&other), b"hello");
        let mut stream = connect(addr);
        send(&stream, b"panic");
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
        send(&other, b"still served");
        assert_eq!(receive(&other), b"still served");
        handle.stop();
        assert_eq!(running.join().unwrap().unwrap().panics, 1);
    }
}

/// The deepest paths: frames of the largest size, writes of many pieces, a logger that formats each
/// line.
#[test]
fn half_the_stack_is_enough() {
    install_logger();
    for per_connection in [true, false] {
        let limits = Limits { max_write_buffer_bytes: 64 << 20, ..Limits::default() };
        let (running, handle, addr) = serve(TestSpawner::default(), per_connection, limits.clone());
        let stream = connect(addr);
        for bytes in [0, 10_000, limits.max_frame_bytes] {
            send(&stream, &vec![7; bytes]);
            assert!(receive(&stream) == vec![7; bytes]);
        }
        // Many messages, not read until all are queued, so they are written in many slices.
        let other = connect(addr);
        send(&other, b"hello");
        assert_eq!(receive(&other), b"hello");
        let message = [&b"all "[..], &vec![7; 50_000]].concat();
        send(&other, &message);
        let receivers = if per_connection { vec![&other] } else { vec![&other, &stream] };
        for receiver in receivers {
            (0..200).for_each(|_| assert!(receive(receiver) == message));
        }
        // A connection that is closed with the reason.
        send(&stream, &vec![0; limits.max_frame_bytes + 1]);
        handle.drain();
        drop((stream, other));
        running.join().unwrap().unwrap();
    }
}
