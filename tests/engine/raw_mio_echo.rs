//! The echo server of `examples/raw_mio_echo.rs`, run as a program and tested with plain sockets,
//! without this library.
//!
//! `cargo test` builds the examples before it runs a test. With `--test engine` it does not: run
//! `cargo build --example raw_mio_echo` first.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, WaitOptions, waitpid};
use socket2::SockRef;

use crate::support::guard;

/// A write without progress for this time counts as blocked. On a busy machine the test then proves
/// less, but does not fail.
const BLOCKED_AFTER: Duration = Duration::from_millis(500);

#[test]
fn echo_returns_what_was_sent() {
    let server = EchoServer::start();
    let (mut first, mut second) = (server.connect(), server.connect());
    for len in [1, 10, 1_000, 100_000] {
        let (one, other) = (pattern(0, len), pattern(len, len));
        first.write_all(&one).unwrap();
        second.write_all(&other).unwrap();
        assert!(read(&mut second, len) == other, "the echo of {len} bytes differs");
        assert!(read(&mut first, len) == one, "the echo of {len} bytes differs");
    }
}

#[test]
fn slow_reader_gets_megabytes_whole() {
    const LEN: usize = 8 * 1024 * 1024;
    let server = EchoServer::start();
    let mut client = server.connect();
    let sent = pattern(0, LEN);
    let writer = thread::spawn({
        let (mut client, sent) = (client.try_clone().unwrap(), sent.clone());
        move || client.write_all(&sent).unwrap()
    });

    // Small reads keep the server's send buffer full, so that its writes are short or blocked.
    let mut received = Vec::with_capacity(LEN);
    while received.len() < LEN {
        received.extend(read(&mut client, 3_000.min(LEN - received.len())));
    }
    writer.join().unwrap();
    assert!(received == sent, "the echo differs from what was sent");
}

#[test]
fn half_close_gets_all_output_then_the_end() {
    let server = EchoServer::start();
    // Data and FIN may arrive as one event. A server that waits for a second event never sees the
    // end.
    for len in 1..=50 {
        let mut client = server.connect();
        client.write_all(&pattern(0, len)).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_to_end(&mut client), pattern(0, len));
    }
    // Here FIN arrives while the server still has output to send.
    let mut client = server.connect();
    let sent = pattern(0, 2 * 1024 * 1024);
    let writer = thread::spawn({
        let (mut client, sent) = (client.try_clone().unwrap(), sent.clone());
        move || {
            client.write_all(&sent).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
        }
    });
    let received = read_to_end(&mut client);
    writer.join().unwrap();
    assert!(received == sent, "received {} bytes of {}", received.len(), sent.len());
}

#[test]
fn reset_closes_its_own_connection_only() {
    let mut server = EchoServer::start();
    let mut other = server.connect();
    echo(&mut other);
    #[cfg(target_os = "linux")]
    let files = proc::open_files(server.child.id());

    // An idle client, and a client for which the server has queued output.
    let mut idle = server.connect();
    echo(&mut idle);
    let mut stalled = server.connect();
    write_until_blocked(&mut stalled);
    for client in [idle, stalled] {
        SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
        echo(&mut other);
    }

    echo(&mut server.connect());
    assert!(server.child.try_wait().unwrap().is_none(), "the server exited");
    // The server has closed both sockets. Each echo takes the server through one turn.
    #[cfg(target_os = "linux")]
    assert!((0..1_000).any(|_| {
        echo(&mut other);
        proc::open_files(server.child.id()) == files
    }));
}

#[test]
fn client_that_never_reads_is_paused() {
    let server = EchoServer::start();
    let mut other = server.connect();
    echo(&mut other);
    #[cfg(target_os = "linux")]
    let resident = proc::resident_bytes(server.child.id());

    let mut silent = server.connect();
    let taken = write_until_blocked(&mut silent);
    echo(&mut other);
    echo(&mut server.connect());

    #[cfg(target_os = "linux")]
    {
        let grown = proc::resident_bytes(server.child.id()).saturating_sub(resident);
        assert!(grown < 2 * 1024 * 1024, "the memory of the server grew by {grown} bytes");
        proc::assert_idle(server.child.id(), &mut other);
    }

    // The event for the unread input arrived while reading was paused. The server must remember it:
    // epoll(7) reports it again together with writability, kqueue(2) does not.
    silent.shutdown(Shutdown::Write).unwrap();
    assert!(read_to_end(&mut silent) == pattern(0, taken), "the echo differs from what was sent before the pause");
}

/// On EMFILE the client stays in the backlog (accept(2)). The server must not exit or spin, and
/// must accept the client later.
#[test]
fn no_descriptors_only_delays_new_clients() {
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -n 32 && exec \"$0\" \"$@\""]).arg(example_path()).stderr(Stdio::piped());
    let mut server = EchoServer::start_as(&mut limited);

    let mut clients: Vec<TcpStream> = (0..40).map(|_| server.connect()).collect();
    let mut error_line = String::new();
    BufReader::new(server.child.stderr.as_mut().unwrap()).read_line(&mut error_line).unwrap();
    assert!(error_line.starts_with("accept failed: "), "{error_line}");
    echo(&mut clients[0]);
    #[cfg(target_os = "linux")]
    proc::assert_idle(server.child.id(), &mut clients[0]);

    // The remaining clients are the last to have connected.
    clients.drain(..36);
    clients.iter_mut().for_each(echo);
}

/// SIGSTOP and SIGCONT make `epoll_wait` fail with EINTR even without a signal handler (signal(7)).
#[cfg(target_os = "linux")]
#[test]
fn interrupted_poll_is_repeated() {
    let server = EchoServer::start();
    let pid = server.child.id();
    let signal = |name| {
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status().unwrap();
        assert!(sent.success());
    };
    let mut client = server.connect();
    for _ in 0..5 {
        echo(&mut client);
        signal("STOP");
        // waitpid(2) returns when the signal has stopped the server.
        let (_, status) = waitpid(Some(Pid::from_child(&server.child)), WaitOptions::UNTRACED).unwrap().unwrap();
        assert!(status.stopped());
        signal("CONT");
    }
    echo(&mut client);
    echo(&mut server.connect());
}

/// The running server program. Dropping it kills the process.
struct EchoServer {
    child: Child,
    address: SocketAddr,
}

impl EchoServer {
    fn start() -> Self {
        Self::start_as(&mut Command::new(example_path()))
    }

    fn start_as(command: &mut Command) -> Self {
        let child = command.arg("127.0.0.1:0").stdout(Stdio::piped()).spawn().unwrap();
        // From here on, dropping the server kills the child if a later step fails.
        let mut server = Self { child, address: SocketAddr::from(([0, 0, 0, 0], 0)) };
        let mut line = String::new();
        BufReader::new(server.child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address =
            line.strip_prefix("listening echo tcp ").unwrap_or_else(|| panic!("unexpected first line {line:?}"));
        server.address = address.trim_end().parse().unwrap();
        server
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(guard())).unwrap();
        stream.set_write_timeout(Some(guard())).unwrap();
        stream
    }
}

impl Drop for EchoServer {
    fn drop(&mut self) {
        // SIGKILL also ends a stopped process. A test cannot handle an error of either call.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Returns the path of the example: the test is `target/PROFILE/deps/engine-HASH`, the example
/// `target/PROFILE/examples/raw_mio_echo`.
fn example_path() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(|deps| deps.parent()).unwrap();
    let program = profile.join("examples").join(format!("raw_mio_echo{}", std::env::consts::EXE_SUFFIX));
    let modified = |path: &Path| path.metadata().and_then(|file| file.modified()).ok();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/raw_mio_echo.rs");
    assert!(
        modified(&program) >= modified(&source),
        "the example is out of date: run cargo build --example raw_mio_echo"
    );
    program
}

/// Returns `len` bytes of a pattern from offset `start`. The period is long, so that a lost,
/// repeated or moved piece shows.
fn pattern(start: usize, len: usize) -> Vec<u8> {
    let byte = |at: usize| {
        let [_, _, byte, ..] = at.wrapping_mul(0x9E37_79B1).to_le_bytes();
        byte
    };
    (start..start + len).map(byte).collect()
}

fn read(client: &mut TcpStream, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    client.read_exact(&mut bytes).unwrap();
    bytes
}

fn read_to_end(client: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    client.read_to_end(&mut bytes).unwrap();
    bytes
}

fn echo(client: &mut TcpStream) {
    client.write_all(b"still there?").unwrap();
    assert_eq!(read(client, 12), b"still there?");
}

/// Writes the pattern without reading. Returns the number of bytes written until the socket blocks.
fn write_until_blocked(client: &mut TcpStream) -> usize {
    /// More than the four socket buffers between client and server hold: about 20 MiB on Linux.
    const MAX_BYTES: usize = 64 * 1024 * 1024;
    client.set_write_timeout(Some(BLOCKED_AFTER)).unwrap();
    let mut taken = 0;
    while taken < MAX_BYTES {
        match client.write(&pattern(taken, 64 * 1024)) {
            Ok(count) => taken += count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return taken,
            // With a timeout set, SIGSTOP and SIGCONT of this process interrupt the write
            // (signal(7)).
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => panic!("{error} after {taken} bytes"),
        }
    }
    panic!("the server read {taken} bytes from a client that does not read")
}

/// Readers of proc(5) for another process.
#[cfg(target_os = "linux")]
mod proc {
    use super::{BLOCKED_AFTER, ErrorKind, Read, TcpStream};
    use std::fs;

    pub(super) fn open_files(pid: u32) -> usize {
        fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
    }

    pub(super) fn resident_bytes(pid: u32) -> usize {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap() * 1024
    }

    /// Asserts that the server uses less than half a CPU while `client` waits for data that never
    /// comes.
    pub(super) fn assert_idle(pid: u32, client: &mut TcpStream) {
        let guard = client.read_timeout().unwrap();
        let before = cpu_ticks(pid);
        client.set_read_timeout(Some(BLOCKED_AFTER)).unwrap();
        let error = client.read_exact(&mut [0]).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
        client.set_read_timeout(guard).unwrap();
        // A tick is 10 ms, so a server that spins uses about 50 ticks.
        let used = cpu_ticks(pid) - before;
        assert!(used < 25, "the server spins: {used} ticks in {BLOCKED_AFTER:?}");
    }

    /// CPU time in user and kernel mode, in ticks.
    fn cpu_ticks(pid: u32) -> u64 {
        stat(pid).iter().skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
    }

    /// Fields of `/proc/PID/stat` from the third, the state. The second is the name and may contain
    /// spaces.
    fn stat(pid: u32) -> Vec<String> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        fields.split_whitespace().map(str::to_owned).collect()
    }
}
