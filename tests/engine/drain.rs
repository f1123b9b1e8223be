//! How an engine ends, and what it leaves behind.

use std::io::{ErrorKind, Read};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use switchboard::services::Echo;
use switchboard::{CloseReason, Context, Endpoint, Error, Framing, Limits, Service};

use crate::support::{
    Client, ConnectionEvent, Engine, GUARD, RunningEngine, SendOutcome, conformance, decode_frames, encode_frame,
    flood, observe, serve, write_until_blocked,
};

conformance! {
    draining_gives_every_busy_client_whole_frames_and_an_orderly_end,
    draining_answers_all_that_was_received_from_one_who_reads_late,
    draining_waits_for_a_peer_that_does_not_read_no_longer_than_its_timeout,
    an_engine_that_serves_nobody_drains_at_once,
    stop_ends_at_once_and_still_tells_the_service,
    a_service_may_shut_its_engine_down,
    a_port_is_free_again_when_its_engine_has_ended,
    #[cfg(unix)]
    a_unix_sockets_file_goes_with_its_engine_and_a_stale_one_is_replaced,
    an_address_in_use_is_an_error_that_names_it,
}

/// A loopback address of this process's own. Elsewhere than on Linux only 127.0.0.1 is sure to be there, and a port that was
/// just given back might be somebody else's by the time it is looked at again.
fn own_loopback(last: u8) -> SocketAddr {
    let [.., high, low] = std::process::id().to_be_bytes();
    let own = Ipv4Addr::new(127, 1 + high % 250, low, last);
    (if cfg!(target_os = "linux") { own } else { Ipv4Addr::LOCALHOST }, 0).into()
}

fn listen_at<E: Engine>(
    limits: Limits,
    addr: SocketAddr,
    service: impl Service + Send + 'static,
) -> (RunningEngine, SocketAddr) {
    let mut engine = E::with_limits(limits);
    let id = engine.add_service("tested", service);
    let Endpoint::Tcp(bound) = engine.try_listen(id, &Endpoint::Tcp(addr), Framing::U32BE).unwrap() else {
        panic!("asked for TCP")
    };
    (RunningEngine::start(engine), bound)
}

fn is_refused(addr: SocketAddr) -> bool {
    TcpStream::connect(addr).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

fn draining_gives_every_busy_client_whole_frames_and_an_orderly_end<E: Engine>() {
    // A client on a busy machine may be slow to notice the end, and is not to be cut off for that.
    let limits = Limits { linger_timeout: GUARD, drain_timeout: GUARD, ..Limits::default() };
    let (service, events) = observe(Echo);
    let (running, addr) = listen_at::<E>(limits, own_loopback(1), service);
    // Large enough that the time goes into the traffic and not into cutting it up.
    let payload = &[7; 2000];
    let clients: Vec<_> = (0..50)
        .map(|_| {
            let client = Client::connect(addr);
            let writer = flood(&client, encode_frame("u32be", payload));
            let mut socket = client.socket().try_clone().unwrap();
            let mut stream = vec![0; 4 + payload.len()];
            socket.read_exact(&mut stream).unwrap();
            thread::spawn(move || {
                // Ok only if the stream ends, rather than being reset.
                let ended = socket.read_to_end(&mut stream).map(|_| is_refused(addr));
                let _ = client.socket().shutdown(Shutdown::Both);
                writer.join().unwrap();
                (ended, stream)
            })
        })
        .collect();
    let stats = running.drain();
    for client in clients {
        let (ended, stream) = client.join().unwrap();
        assert!(ended.expect("no client is reset"), "nobody is let in any more when the first is sent away");
        assert!(decode_frames(&stream).iter().all(|echoed| echoed == payload));
    }
    assert_eq!((stats.accepted, stats.closed, stats.faulted, stats.open), (50, 50, 0, 0), "{stats}");
    assert_eq!(stats.buffered_bytes, 0);
    let reasons = events
        .into_remaining()
        .into_iter()
        .filter(|event| matches!(event, ConnectionEvent::Closed(_, CloseReason::ShuttingDown)));
    assert_eq!(reasons.count(), 50);
}

fn draining_waits_for_a_peer_that_does_not_read_no_longer_than_its_timeout<E: Engine>() {
    let drain_timeout = Duration::from_millis(300);
    let (running, addr) = serve::<E>(Limits { drain_timeout, ..Limits::default() }, Echo);
    let slow = Client::connect(addr);
    let mut other = Client::connect(addr);
    let sent = write_until_blocked(slow.socket(), &encode_frame("u32be", &[7; 1000]), || other.echo(b"meanwhile"));
    assert!(matches!(sent, SendOutcome::Blocked(_)));
    let begun = Instant::now();
    running.handle.drain();
    other.expect_end();
    drop(other);
    running.join();
    assert!(begun.elapsed() >= drain_timeout, "what is owed has its time: {:?}", begun.elapsed());
}

fn draining_answers_all_that_was_received_from_one_who_reads_late<E: Engine>() {
    let (running, addr) = serve::<E>(Limits { drain_timeout: GUARD, linger_timeout: GUARD, ..Limits::default() }, Echo);
    let slow = Client::connect(addr);
    let mut other = Client::connect(addr);
    let request = encode_frame("u32be", &[7; 1000]);
    let sent = write_until_blocked(slow.socket(), &request, || other.echo(b"meanwhile"));
    assert!(matches!(sent, SendOutcome::Blocked(_)));
    running.handle.drain();
    other.expect_end();
    let mut stream = Vec::new();
    slow.socket().read_to_end(&mut stream).unwrap();
    let answers = decode_frames(&stream);
    assert!(answers.iter().all(|answer| *answer == [7; 1000]));
    drop((slow, other));
    let stats = running.join();
    let others_bytes = (stats.frames_in as usize - answers.len()) * encode_frame("u32be", b"meanwhile").len();
    let unfinished = stats.bytes_in as usize - others_bytes - stream.len();
    assert!(unfinished < request.len(), "{unfinished} bytes of requests were received and not answered");
}

fn an_engine_that_serves_nobody_drains_at_once<E: Engine>() {
    let (running, addr) =
        listen_at::<E>(Limits { drain_timeout: 2 * GUARD, ..Limits::default() }, own_loopback(2), Echo);
    Client::connect(addr).echo(b"gone");
    running.drain();
    assert!(is_refused(addr));
    // Told to drain before it runs, it does not begin.
    let engine = E::with_limits(Limits::default());
    engine.handle().drain();
    assert_eq!(RunningEngine::start(engine).join().accepted, 0);
}

fn stop_ends_at_once_and_still_tells_the_service<E: Engine>() {
    let (service, events) = observe(Echo);
    let (running, addr) = serve::<E>(Limits { drain_timeout: 2 * GUARD, ..Limits::default() }, service);
    let slow = Client::connect(addr);
    let id = events.next_opened();
    let mut other = Client::connect(addr);
    let other_id = events.next_opened();
    let sent = write_until_blocked(slow.socket(), &encode_frame("u32be", &[7; 1000]), || other.echo(b"meanwhile"));
    assert!(matches!(sent, SendOutcome::Blocked(_)));
    running.handle.stop();
    running.join();
    let mut told = events.into_remaining();
    told.sort_by_key(|event| matches!(event, ConnectionEvent::Closed(closed, _) if *closed == other_id));
    let reason = CloseReason::ShuttingDown;
    assert_eq!(told, [ConnectionEvent::Closed(id, reason.clone()), ConnectionEvent::Closed(other_id, reason)]);
}

struct Fuse;

impl Service for Fuse {
    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        if payload == b"shut down" {
            cx.shutdown();
        }
        cx.reply(payload);
    }
}

fn a_service_may_shut_its_engine_down<E: Engine>() {
    let (running, addr) = serve::<E>(Limits::default(), Fuse);
    let mut other = Client::connect(addr);
    other.echo(b"hello");
    let mut client = Client::connect(addr);
    client.send_bytes(&[encode_frame("u32be", b"first"), encode_frame("u32be", b"shut down")].concat());
    assert_eq!(client.receive(), b"first");
    assert_eq!(client.receive(), b"shut down", "the request that ends it all is answered too");
    client.expect_end();
    other.expect_end();
    drop((client, other));
    running.join();
}

fn a_port_is_free_again_when_its_engine_has_ended<E: Engine>() {
    let (running, addr) = listen_at::<E>(Limits::default(), own_loopback(3), Echo);
    let mut clients = [0; 3].map(|_| Client::connect(addr));
    for client in &mut clients {
        client.echo(b"hello");
    }
    running.handle.drain();
    // The server has closed first, so it is at the server's port that the connections' TIME_WAIT is spent.
    for client in &mut clients {
        client.expect_end();
    }
    drop(clients);
    running.join();
    for _ in 0..2 {
        let (running, same) = listen_at::<E>(Limits::default(), addr, Echo);
        assert_eq!(same, addr);
        Client::connect(addr).echo(b"again");
        running.drain();
    }
}

#[cfg(unix)]
fn a_unix_sockets_file_goes_with_its_engine_and_a_stale_one_is_replaced<E: Engine>() {
    use std::os::unix::net::{UnixListener, UnixStream};
    let path = std::env::temp_dir().join(format!("switchboard-stale-{}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    // Dropping a listener leaves its file behind, as a killed server does.
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let at = Endpoint::Unix(path.clone());
    let mut engine = E::with_limits(Limits::default());
    let echo = engine.add_service("echo", Echo);
    engine.try_listen(echo, &at, Framing::Raw).unwrap();
    let running = RunningEngine::start(engine);

    // One that is in use is left alone.
    let mut second = E::with_limits(Limits::default());
    let echo = second.add_service("echo", Echo);
    assert!(matches!(second.try_listen(echo, &at, Framing::Raw), Err(Error::Bind { .. })));
    drop(second);
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.set_read_timeout(Some(GUARD)).unwrap();
    std::io::Write::write_all(&mut stream, b"ping").unwrap();
    stream.read_exact(&mut [0; 4]).unwrap();
    drop(stream);
    running.drain();
    assert!(!path.exists());

    // What is no socket is no server's to replace.
    std::fs::write(&path, "precious").unwrap();
    let mut third = E::with_limits(Limits::default());
    let echo = third.add_service("echo", Echo);
    assert!(matches!(third.try_listen(echo, &at, Framing::Raw), Err(Error::Bind { .. })));
    drop(third);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    std::fs::remove_file(&path).unwrap();
}

fn an_address_in_use_is_an_error_that_names_it<E: Engine>() {
    let (running, addr) = serve::<E>(Limits::default(), Echo);
    let mut second = E::with_limits(Limits::default());
    let echo = second.add_service("echo", Echo);
    let error = second.try_listen(echo, &Endpoint::Tcp(addr), Framing::U32BE).unwrap_err().to_string();
    let expected = format!("cannot listen on tcp {addr}: address already in use");
    assert!(error.to_lowercase().starts_with(&expected), "{error}");
    Client::connect(addr).echo(b"undisturbed");
    running.drain();
}
