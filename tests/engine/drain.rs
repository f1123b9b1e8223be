//! The end of an engine: drain, stop, and the addresses and files that it leaves behind.

use std::io::{ErrorKind, Read};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use switchboard::services::Echo;
use switchboard::{CloseReason, Context, Endpoint, Error, Framing, Limits, Service, ServiceOptions};

use crate::support::{
    Client, ConnectionEvent, Engine, RunningEngine, SendOutcome, conformance, decode_u32be_frames, encode_frame, flood,
    guard, observe, serve, serve_echo, write_until_blocked,
};

conformance! {
    drain_gives_busy_clients_whole_frames_and_an_end,
    drain_replies_to_everything_received_for_a_late_reader,
    drain_waits_for_a_stalled_reader_until_drain_timeout,
    drain_without_connections_ends_immediately,
    stop_ends_immediately_and_calls_on_close,
    shutdown_by_a_service_ends_the_engine,
    port_is_free_after_the_engine_has_ended,
    unix_socket_file_is_removed_and_stale_one_replaced,
    address_in_use_error_names_the_address,
}

/// Returns a loopback address that only this process uses, so that no other program can take a port
/// that was just released. Other systems than Linux only guarantee 127.0.0.1.
fn own_loopback(last: u8) -> SocketAddr {
    let [.., high, low] = std::process::id().to_be_bytes();
    let own = Ipv4Addr::new(127, 1 + high % 250, low, last);
    (if cfg!(target_os = "linux") { own } else { Ipv4Addr::LOCALHOST }, 0).into()
}

fn listen_at<E: Engine>(
    limits: Limits,
    addr: SocketAddr,
    options: impl Into<ServiceOptions>,
    service: impl Service + Send + 'static,
) -> (RunningEngine, SocketAddr) {
    let mut engine = E::with_limits(limits);
    let id = engine.add_service(options, service);
    let Endpoint::Tcp(bound) = engine.try_listen(id, &Endpoint::Tcp(addr), Framing::U32BE).unwrap() else {
        panic!("asked for TCP")
    };
    (RunningEngine::start(engine), bound)
}

fn connection_is_refused(addr: SocketAddr) -> bool {
    TcpStream::connect(addr).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

fn drain_gives_busy_clients_whole_frames_and_an_end<E: Engine>() {
    // Long timeouts: a client on a busy machine may notice the end late.
    let limits = Limits { linger_timeout: guard(), drain_timeout: guard(), ..Limits::default() };
    let (service, events) = observe(Echo);
    let (running, addr) = listen_at::<E>(limits, own_loopback(1), "test", service);
    // Large enough that most of the time goes into the traffic and not into the framing.
    let payload = &[7; 2000];
    let clients: Vec<_> = (0..50)
        .map(|_| {
            let client = Client::connect(addr);
            let writer = flood(&client, encode_frame("u32be", payload));
            let mut socket = client.socket().try_clone().unwrap();
            let mut stream = vec![0; 4 + payload.len()];
            socket.read_exact(&mut stream).unwrap();
            thread::spawn(move || {
                // `Ok` only if the stream ends; a reset is an error.
                let ended = socket.read_to_end(&mut stream).map(|_| connection_is_refused(addr));
                let _ = client.socket().shutdown(Shutdown::Both);
                writer.join().unwrap();
                (ended, stream)
            })
        })
        .collect();
    let stats = running.drain();
    for client in clients {
        let (ended, stream) = client.join().unwrap();
        assert!(ended.expect("a client was reset"), "the listener is closed before the first connection ends");
        assert!(decode_u32be_frames(&stream).iter().all(|echoed| echoed == payload));
    }
    assert_eq!((stats.accepted, stats.closed, stats.faulted, stats.open), (50, 50, 0, 0), "{stats}");
    assert_eq!(stats.buffered_bytes, 0);
    let reasons = events
        .into_remaining()
        .into_iter()
        .filter(|event| matches!(event, ConnectionEvent::Closed(_, CloseReason::ShuttingDown)));
    assert_eq!(reasons.count(), 50);
}

fn drain_waits_for_a_stalled_reader_until_drain_timeout<E: Engine>() {
    let drain_timeout = Duration::from_millis(300);
    let (running, addr) = serve_echo::<E>(Limits { drain_timeout, ..Limits::default() });
    let slow = Client::connect(addr);
    let mut other = Client::connect(addr);
    let sent = write_until_blocked(slow.socket(), &encode_frame("u32be", &[7; 1000]), || other.echo(b"meanwhile"));
    assert!(matches!(sent, SendOutcome::Blocked(_)));
    let start = Instant::now();
    running.handle.drain();
    other.expect_end();
    drop(other);
    running.join();
    assert!(start.elapsed() >= drain_timeout, "the drain ended before its timeout, after {:?}", start.elapsed());
}

fn drain_replies_to_everything_received_for_a_late_reader<E: Engine>() {
    let (running, addr) =
        serve_echo::<E>(Limits { drain_timeout: guard(), linger_timeout: guard(), ..Limits::default() });
    let slow = Client::connect(addr);
    let mut other = Client::connect(addr);
    let request = encode_frame("u32be", &[7; 1000]);
    let sent = write_until_blocked(slow.socket(), &request, || other.echo(b"meanwhile"));
    assert!(matches!(sent, SendOutcome::Blocked(_)));
    running.handle.drain();
    other.expect_end();
    let mut stream = Vec::new();
    slow.socket().read_to_end(&mut stream).unwrap();
    let replies = decode_u32be_frames(&stream);
    assert!(replies.iter().all(|reply| *reply == [7; 1000]));
    drop((slow, other));
    let stats = running.join();
    let others_bytes = (stats.frames_in as usize - replies.len()) * encode_frame("u32be", b"meanwhile").len();
    let unfinished = stats.bytes_in as usize - others_bytes - stream.len();
    assert!(unfinished < request.len(), "{unfinished} bytes of requests were received without a reply");
}

fn drain_without_connections_ends_immediately<E: Engine>() {
    let (running, addr) = listen_at::<E>(
        Limits { drain_timeout: 2 * guard(), ..Limits::default() },
        own_loopback(2),
        Echo.options("test"),
        Echo,
    );
    Client::connect(addr).echo(b"gone");
    running.drain();
    assert!(connection_is_refused(addr));
    // A drain that is requested before `run` ends the engine at its start.
    let engine = E::with_limits(Limits::default());
    engine.handle().drain();
    assert_eq!(RunningEngine::start(engine).join().accepted, 0);
}

fn stop_ends_immediately_and_calls_on_close<E: Engine>() {
    let (service, events) = observe(Echo);
    let (running, addr) = serve::<E>(Limits { drain_timeout: 2 * guard(), ..Limits::default() }, service);
    let slow = Client::connect(addr);
    let id = events.next_opened();
    let mut other = Client::connect(addr);
    let other_id = events.next_opened();
    let sent = write_until_blocked(slow.socket(), &encode_frame("u32be", &[7; 1000]), || other.echo(b"meanwhile"));
    assert!(matches!(sent, SendOutcome::Blocked(_)));
    running.handle.stop();
    running.join();
    let mut remaining = events.into_remaining();
    remaining.sort_by_key(|event| matches!(event, ConnectionEvent::Closed(closed, _) if *closed == other_id));
    let reason = CloseReason::ShuttingDown;
    assert_eq!(remaining, [ConnectionEvent::Closed(id, reason.clone()), ConnectionEvent::Closed(other_id, reason)]);
}

/// Echoes; shuts the engine down on `shut down`.
struct ShutdownOnRequest;

impl Service for ShutdownOnRequest {
    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        if payload == b"shut down" {
            cx.drain();
        }
        cx.reply(payload);
    }
}

fn shutdown_by_a_service_ends_the_engine<E: Engine>() {
    let (running, addr) = serve::<E>(Limits::default(), ShutdownOnRequest);
    let mut other = Client::connect(addr);
    other.echo(b"hello");
    let mut client = Client::connect(addr);
    client.send_bytes(&[encode_frame("u32be", b"first"), encode_frame("u32be", b"shut down")].concat());
    assert_eq!(client.receive(), b"first");
    assert_eq!(client.receive(), b"shut down", "the request that shuts the engine down gets its reply");
    client.expect_end();
    other.expect_end();
    drop((client, other));
    running.join();
}

fn port_is_free_after_the_engine_has_ended<E: Engine>() {
    let (running, addr) = listen_at::<E>(Limits::default(), own_loopback(3), Echo.options("test"), Echo);
    let mut clients = [0; 3].map(|_| Client::connect(addr));
    for client in &mut clients {
        client.echo(b"hello");
    }
    running.handle.drain();
    // The server closes first, so the connections are in TIME_WAIT at the server's port (tcp(7)).
    for client in &mut clients {
        client.expect_end();
    }
    drop(clients);
    running.join();
    for _ in 0..2 {
        let (running, same) = listen_at::<E>(Limits::default(), addr, Echo.options("test"), Echo);
        assert_eq!(same, addr);
        Client::connect(addr).echo(b"again");
        running.drain();
    }
}

fn unix_socket_file_is_removed_and_stale_one_replaced<E: Engine>() {
    use std::os::unix::net::{UnixListener, UnixStream};
    let path = std::env::temp_dir().join(format!("switchboard-stale-{}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    // Dropping a listener leaves its socket file behind, as a killed server does.
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let at = Endpoint::Unix(path.clone());
    let mut engine = E::with_limits(Limits::default());
    let echo = engine.add_service(Echo.options("echo"), Echo);
    engine.try_listen(echo, &at, Framing::Raw).unwrap();
    let running = RunningEngine::start(engine);

    // A socket file in use is not replaced.
    let mut second = E::with_limits(Limits::default());
    let echo = second.add_service(Echo.options("echo"), Echo);
    assert!(matches!(second.try_listen(echo, &at, Framing::Raw), Err(Error::Bind { .. })));
    drop(second);
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.set_read_timeout(Some(guard())).unwrap();
    std::io::Write::write_all(&mut stream, b"ping").unwrap();
    stream.read_exact(&mut [0; 4]).unwrap();
    drop(stream);
    running.drain();
    assert!(!path.exists());

    // A regular file is not replaced.
    std::fs::write(&path, "precious").unwrap();
    let mut third = E::with_limits(Limits::default());
    let echo = third.add_service(Echo.options("echo"), Echo);
    assert!(matches!(third.try_listen(echo, &at, Framing::Raw), Err(Error::Bind { .. })));
    drop(third);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    std::fs::remove_file(&path).unwrap();
}

fn address_in_use_error_names_the_address<E: Engine>() {
    let (running, addr) = serve_echo::<E>(Limits::default());
    let mut second = E::with_limits(Limits::default());
    let echo = second.add_service(Echo.options("echo"), Echo);
    let error = second.try_listen(echo, &Endpoint::Tcp(addr), Framing::U32BE).unwrap_err().to_string();
    let expected = format!("cannot listen on tcp {addr}: address already in use");
    assert!(error.to_lowercase().starts_with(&expected), "{error}");
    Client::connect(addr).echo(b"the first engine still serves");
    running.drain();
}
