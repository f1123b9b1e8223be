//! Descriptors that run out: line 1 of `docs/overload.md`. What needs another limit on descriptors
//! runs in a process of its own.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Instant;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};
use switchboard::services::Echo;
use switchboard::{Context, Framing, Limits, Service, ServiceOptions};

use crate::support::{
    Client, Engine, RunningEngine, conformance, guard, in_own_process, leave_descriptors, listen_tcp,
};

conformance! {
    listeners_without_descriptors_take_turns,
    descriptors_that_a_service_needs_are_kept_free,
}

/// A service that may open three descriptors for each connection.
#[derive(Clone)]
struct Hoarder;

impl Service for Hoarder {
    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        cx.reply(payload);
    }
}

/// Connects with a socket from before the limit was set.
fn connect(socket: Socket, addr: SocketAddr) -> Client {
    socket.connect(&addr.into()).unwrap();
    Client::new(socket.into())
}

/// Returns true if bytes of the server have arrived.
fn is_answered(client: &Client) -> bool {
    client.socket().set_nonblocking(true).unwrap();
    let peeked = client.socket().peek(&mut [0]);
    client.socket().set_nonblocking(false).unwrap();
    match peeked {
        Ok(bytes) => bytes > 0,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            false
        }
    }
}

/// Each listener has clients that wait for a descriptor, and only one comes free at a time.
fn listeners_without_descriptors_take_turns<E: Engine>() {
    if !in_own_process() {
        return;
    }
    let mut engine = E::with_limits(Limits::default());
    let id = engine.add_service(Echo.options("test"), Echo);
    let addrs = [(); 3].map(|()| listen_tcp(&mut engine, id, Framing::U32BE));
    let running = RunningEngine::start(engine);
    // A reply proves that the engine runs and has opened all the descriptors it needs.
    Client::connect(addrs[0]).echo(b"ready");
    running.await_counter("open", |open| open == 0);
    let mut sockets: Vec<Socket> = (0..13).map(|_| Socket::new(Domain::IPV4, Type::STREAM, None).unwrap()).collect();
    leave_descriptors(1);
    let mut served = connect(sockets.pop().unwrap(), addrs[0]);
    served.echo(b"the only one");
    let mut waiting = addrs.map(|addr| {
        let sockets = sockets.split_off(sockets.len() - 4);
        let clients: Vec<Client> = sockets.into_iter().map(|socket| connect(socket, addr)).collect();
        for client in &clients {
            client.send(b"waiting");
        }
        clients
    });
    // Each listener tries every 100 ms, so by now each has found no descriptor.
    running.await_counter("accept_pauses", |pauses| pauses >= 20);
    let (mut turns, mut done) = (Vec::new(), Vec::new());
    for _ in 0..12 {
        // Only the server's descriptor comes free: this process keeps the client's.
        served.finish();
        done.push(served);
        let begun = Instant::now();
        let turn = loop {
            let answered = |clients: &Vec<Client>| clients.first().is_some_and(is_answered);
            if let Some(turn) = waiting.iter().position(answered) {
                break turn;
            }
            assert!(begun.elapsed() < guard(), "nobody is accepted after the turns {turns:?}");
            std::thread::yield_now();
        };
        served = waiting[turn].remove(0);
        assert_eq!(served.receive(), b"waiting");
        turns.push(turn);
    }
    for listener in 0..3 {
        let longest = turns.iter().rposition(|turn| *turn == listener).unwrap();
        assert!(longest >= 6, "a listener's clients are all served before others': {turns:?}");
        let first = turns.iter().position(|turn| *turn == listener).unwrap();
        assert!(first < 6, "a listener's clients have to wait for those of others: {turns:?}");
    }
    drop((served, done));
    let stats = running.drain();
    assert_eq!((stats.accepted, stats.refused, stats.faulted), (14, 0, 0), "{stats}");
}

/// Of 200 descriptors half may be used, and each connection of this service may need four.
fn descriptors_that_a_service_needs_are_kept_free<E: Engine>() {
    if !in_own_process() {
        return;
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(200), ..getrlimit(Resource::Nofile) }).unwrap();
    let mut engine = E::with_limits(Limits::default());
    let options = ServiceOptions::new("hoarder").descriptors_per_connection(3).per_connection(|| Hoarder);
    let hoarder = engine.add_service(options, Hoarder);
    let hoarder = listen_tcp(&mut engine, hoarder, Framing::U32BE);
    let echo = engine.add_service(Echo.options("echo").descriptors(10), Echo);
    let echo = listen_tcp(&mut engine, echo, Framing::U32BE);
    let running = RunningEngine::start(engine);
    let mut hoarders: Vec<Client> = (0..22).map(|_| Client::connect(hoarder)).collect();
    for client in &mut hoarders {
        client.echo(b"one of 22");
    }
    let mut refused = Client::connect(hoarder);
    assert_eq!(refused.receive(), b"server is full: its connections need all of 90 descriptors");
    refused.expect_end();
    // Two are left, which suffice for connections that need nothing else.
    let mut others = [Client::connect(echo), Client::connect(echo)];
    for client in &mut others {
        client.echo(b"one of two");
    }
    assert_eq!(Client::connect(echo).receive(), b"server is full: its connections need all of 90 descriptors");
    drop((hoarders, refused));
    running.await_counter("open", |open| open == 2);
    Client::connect(hoarder).echo(b"there is room again");
    drop(others);
    let stats = running.drain();
    assert_eq!((stats.accepted, stats.refused, stats.accept_pauses, stats.faulted), (25, 2, 0, 0), "{stats}");
}

#[cfg(feature = "cli")]
mod services {
    use std::fs::{self, File};
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::path::Path;
    use std::process::{Command, Stdio};

    use switchboard::services::exec::{Allowed, Exec, ExecRules};
    use switchboard::services::files::{Files, FilesDialect};
    use switchboard::{Framing, Limits};

    use crate::program::Program;
    use crate::support::{
        Client, Engine, RunningEngine, conformance, guard, in_own_process, leave_descriptors, listen_tcp,
    };

    conformance! {
        request_without_a_descriptor_is_answered,
    }

    /// Starts the program with at most `descriptors`. Returns it with its address.
    fn serve(descriptors: u32, args: &[&str]) -> (Program, String) {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -n {descriptors}; exec \"$0\" \"$@\"")]);
        command.args([env!("CARGO_BIN_EXE_switchboard"), "serve"]).args(args).args(["--listen", "127.0.0.1:0"]);
        let mut program = Program::start(command.env_remove("RUST_LOG").stdin(Stdio::null()).stdout(Stdio::piped()));
        let address = program.address("tcp");
        (program, address)
    }

    fn dial(address: &str, request: &[u8]) -> TcpStream {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(guard())).unwrap();
        socket.write_all(request).unwrap();
        socket
    }

    /// All ask for a file that is too long for their sockets, and read one byte: each holds a
    /// descriptor of the service for as long as it likes.
    #[test]
    fn every_download_at_the_descriptor_limit_is_answered() {
        let folder = tempfile::tempdir().unwrap();
        File::create(folder.path().join("zeros")).unwrap().set_len(64 << 20).unwrap();
        let root = folder.path().to_str().unwrap();
        // With few descriptors, few rejected clients are told why before they close.
        for (engine, descriptors) in [("reactor", 200), ("threads", 200), ("reactor", 100), ("threads", 100)] {
            let (_program, address) =
                serve(descriptors, &["files", "--dialect", "plain", "--root", root, "--engine", engine]);
            let mut sockets: Vec<_> = (0..100).map(|_| dial(&address, b"zeros")).collect();
            let (mut served, mut refused) = (0, 0);
            for socket in &mut sockets {
                let mut first = [0];
                socket.read_exact(&mut first).expect("each gets bytes of the file or the reason");
                match first[0] {
                    0 => served += 1,
                    b's' => refused += 1,
                    other => panic!("an unknown answer begins with {other}"),
                }
            }
            let expected = descriptors / 4;
            assert_eq!((served, refused), (expected, 100 - expected), "{engine} with {descriptors}");
        }
    }

    /// Clients that do nothing have taken all connections. The commands of the others find the
    /// descriptors that they need.
    #[test]
    fn commands_find_descriptors_on_a_full_server() {
        for engine in ["reactor", "threads"] {
            let (_program, address) = serve(200, &["exec", "--shell", "--dialect", "length", "--engine", engine]);
            let mut sockets: Vec<_> = (0..65).map(|_| TcpStream::connect(&address).unwrap()).collect();
            let mut refused = TcpStream::connect(&address).unwrap();
            refused.set_read_timeout(Some(guard())).unwrap();
            let mut reason = String::new();
            refused.read_to_string(&mut reason).unwrap();
            assert_eq!(reason, "server is full: 65 connections\n", "{engine}");
            let askers = &mut sockets[49..];
            for socket in &mut *askers {
                socket.write_all(b"echo hi").unwrap();
            }
            for socket in askers {
                socket.set_read_timeout(Some(guard())).unwrap();
                let mut answer = [0; 7];
                socket.read_exact(&mut answer).unwrap();
                assert_eq!(&answer, b"\x03\0\0\0hi\n", "{engine}");
            }
        }
    }

    /// No descriptor is left, whoever has taken them: the client hears of it.
    fn request_without_a_descriptor_is_answered<E: Engine>() {
        if !in_own_process() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("x"), b"content").unwrap();
        let (running, [mut files, mut exec]) = files_and_exec::<E>(folder.path());
        let size = files.ask(br#"{"get":"x"}"#);
        assert!(String::from_utf8(size).unwrap().contains(r#""size":7"#));
        assert_eq!(files.receive(), b"content");
        assert_eq!(exec.ask(b"echo hi"), b"\x03\0\0\0hi\n");
        leave_descriptors(0);
        for _ in 0..3 {
            let answer = String::from_utf8(files.ask(br#"{"get":"x"}"#)).unwrap();
            assert!(answer.contains(r#""busy""#) && answer.contains("too much is open"), "{answer}");
            let answer = String::from_utf8(files.ask(br#"{"list":""}"#)).unwrap();
            assert!(answer.contains(r#""busy""#), "{answer}");
            let answer = exec.ask(b"echo hi");
            let answer = String::from_utf8_lossy(&answer);
            assert!(answer.contains("cannot run 'echo'"), "{answer}");
        }
        drop((files, exec));
        running.drain();
    }

    fn files_and_exec<E: Engine>(root: &Path) -> (RunningEngine, [Client; 2]) {
        let mut engine = E::with_limits(Limits::default());
        let files = Files::open(root, FilesDialect::Framed).unwrap();
        let files = engine.add_service(files.options("files"), files);
        let files = listen_tcp(&mut engine, files, Framing::U32BE);
        let rules = ExecRules { dialect: "length".parse().unwrap(), ..ExecRules::new(Allowed::Shell) };
        let exec = Exec::new(ExecRules { timeout: guard(), ..rules });
        let exec = engine.add_service(exec.options("exec"), exec);
        let exec = listen_tcp(&mut engine, exec, Framing::U32BE);
        (RunningEngine::start(engine), [Client::connect(files), Client::connect(exec)])
    }

    /// The system starts no thread for the work: the client hears of it, and the loop sleeps.
    #[cfg(target_os = "linux")]
    #[test]
    fn request_without_a_worker_thread_is_answered() {
        if !in_own_process() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("x"), b"content").unwrap();
        let (running, [mut files, mut exec]) = files_and_exec::<switchboard::Reactor>(folder.path());
        running.await_counter("open", |open| open == 2);
        crate::support::leave_address_space(24 << 20);
        let before = running.counters()["turns"];
        for _ in 0..3 {
            let answer = String::from_utf8(files.ask(br#"{"get":"x"}"#)).unwrap();
            assert!(answer.contains(r#""busy""#), "{answer}");
            let answer = exec.ask(b"echo hi");
            let answer = String::from_utf8_lossy(&answer);
            assert!(answer.contains("the server can start no thread"), "{answer}");
        }
        let turns = running.counters()["turns"] - before;
        assert!(turns < 100, "{turns} turns for six answers");
        drop((files, exec));
        running.drain();
    }
}
