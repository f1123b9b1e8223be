//! The raw echo server of `examples/raw_mio_echo.rs` from outside: its program, plain sockets, nothing of this library.
//!
//! `cargo test` builds the examples before it runs anything. A run narrowed to this file (`--test engine`) does
//! not, and wants `cargo build --example raw_mio_echo` first.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;

/// No wait in here is as long as this unless something is broken.
const GUARD: Duration = Duration::from_secs(20);

/// A write that makes no progress for so long is taken for blocked. If the machine was merely busy, a test proves less,
/// but does not fail.
const BLOCKED_AFTER: Duration = Duration::from_millis(500);

#[test]
fn what_is_sent_comes_back() {
    let server = Server::start();
    let (mut first, mut second) = (server.connect(), server.connect());
    for len in [1, 10, 1_000, 100_000] {
        let (one, other) = (pattern(0, len), pattern(len, len));
        first.write_all(&one).unwrap();
        second.write_all(&other).unwrap();
        assert!(read(&mut second, len) == other, "{len} bytes did not come back as they were");
        assert!(read(&mut first, len) == one, "{len} bytes did not come back as they were");
    }
}

#[test]
fn megabytes_come_back_whole_though_they_are_read_slowly() {
    const LEN: usize = 8 * 1024 * 1024;
    let server = Server::start();
    let mut client = server.connect();
    let sent = pattern(0, LEN);
    let writer = thread::spawn({
        let (mut client, sent) = (client.try_clone().unwrap(), sent.clone());
        move || client.write_all(&sent).unwrap()
    });

    // Small pieces keep the server's side full for most of the time, so that its writes are short or blocked.
    let mut received = Vec::with_capacity(LEN);
    while received.len() < LEN {
        received.extend(read(&mut client, 3_000.min(LEN - received.len())));
    }
    writer.join().unwrap();
    assert!(received == sent, "the bytes are not those that were sent");
}

#[test]
fn a_half_close_is_answered_with_all_the_rest_then_the_end() {
    let server = Server::start();
    // Data and FIN together may be one event: whoever waits for a second one never sees the end.
    for len in 1..=50 {
        let mut client = server.connect();
        client.write_all(&pattern(0, len)).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_to_end(&mut client), pattern(0, len));
    }
    // And here FIN comes while much is still owed.
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
    assert!(received == sent, "{} bytes of {} came back", received.len(), sent.len());
}

#[test]
fn a_reset_ends_its_own_connection_only() {
    let mut server = Server::start();
    let mut witness = server.connect();
    echo(&mut witness);
    #[cfg(target_os = "linux")]
    let files = proc::open_files(server.child.id());

    // One that was idle, and one that the server owes much.
    let mut idle = server.connect();
    echo(&mut idle);
    let mut owed = server.connect();
    write_until_blocked(&mut owed);
    for client in [idle, owed] {
        SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
        echo(&mut witness);
    }

    echo(&mut server.connect());
    assert!(server.child.try_wait().unwrap().is_none(), "the server has ended");
    // Both were let go. Each answer to the witness takes the server through a turn, which is all that it may need.
    #[cfg(target_os = "linux")]
    assert!((0..1_000).any(|_| {
        echo(&mut witness);
        proc::open_files(server.child.id()) == files
    }));
}

#[test]
fn a_client_that_never_reads_is_stopped_and_costs_the_others_nothing() {
    let server = Server::start();
    let mut witness = server.connect();
    echo(&mut witness);
    #[cfg(target_os = "linux")]
    let resident = proc::resident_bytes(server.child.id());

    let mut silent = server.connect();
    let taken = write_until_blocked(&mut silent);
    echo(&mut witness);
    echo(&mut server.connect());

    #[cfg(target_os = "linux")]
    {
        let grown = proc::resident_bytes(server.child.id()).saturating_sub(resident);
        assert!(grown < 2 * 1024 * 1024, "the server grew by {grown} bytes");
        proc::assert_idle(server.child.id(), &mut witness);
    }

    // Of what waits in its socket the server was told while it could not read. It must come back to that by itself:
    // epoll(7) happens to repeat it together with the room for output, kqueue(2) does not.
    silent.shutdown(Shutdown::Write).unwrap();
    assert!(read_to_end(&mut silent) == pattern(0, taken), "what was sent before the pause is not what came back");
}

/// On EMFILE the client stays in the backlog, see accept(2): the server must neither end, nor spin, nor forget it.
#[cfg(unix)]
#[test]
fn running_out_of_descriptors_only_delays_newcomers() {
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -n 32 && exec \"$0\" \"$@\""]).arg(program()).stderr(Stdio::piped());
    let mut server = Server::start_as(&mut limited);

    let mut clients: Vec<TcpStream> = (0..40).map(|_| server.connect()).collect();
    let mut complaint = String::new();
    BufReader::new(server.child.stderr.as_mut().unwrap()).read_line(&mut complaint).unwrap();
    assert!(complaint.starts_with("accept: "), "{complaint}");
    echo(&mut clients[0]);
    #[cfg(target_os = "linux")]
    proc::assert_idle(server.child.id(), &mut clients[0]);

    // Those that are left were the last to come.
    clients.drain(..36);
    clients.iter_mut().for_each(echo);
}

/// See signal(7): a process that is stopped and continued has its `epoll_wait` fail with EINTR, even without a handler.
#[cfg(target_os = "linux")]
#[test]
fn an_interrupted_poll_is_repeated() {
    let server = Server::start();
    let pid = server.child.id();
    let signal = |name| {
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status().unwrap();
        assert!(sent.success());
    };
    let mut client = server.connect();
    for _ in 0..5 {
        echo(&mut client);
        signal("STOP");
        let asked = Instant::now();
        while !proc::is_stopped(pid) {
            assert!(asked.elapsed() < GUARD, "the server does not stop");
            thread::yield_now();
        }
        signal("CONT");
    }
    echo(&mut client);
    echo(&mut server.connect());
}

/// The running program. It dies with this value.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start() -> Self {
        Self::start_as(&mut Command::new(program()))
    }

    fn start_as(command: &mut Command) -> Self {
        let child = command.arg("127.0.0.1:0").stdout(Stdio::piped()).spawn().unwrap();
        // From here on its drop kills the child, whatever else fails.
        let mut server = Self { child, address: SocketAddr::from(([0, 0, 0, 0], 0)) };
        let mut line = String::new();
        BufReader::new(server.child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.strip_prefix("listening echo tcp ").unwrap_or_else(|| panic!("it said {line:?}"));
        server.address = address.trim_end().parse().unwrap();
        server
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(GUARD)).unwrap();
        stream.set_write_timeout(Some(GUARD)).unwrap();
        stream
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A stopped process dies of this too. Neither can fail in a way that a test could do something about.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// This test is `target/PROFILE/deps/engine-HASH`, the example `target/PROFILE/examples/raw_mio_echo`.
fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(|deps| deps.parent()).unwrap();
    let program = profile.join("examples").join(format!("raw_mio_echo{}", std::env::consts::EXE_SUFFIX));
    let modified = |path: &Path| path.metadata().and_then(|file| file.modified()).ok();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/raw_mio_echo.rs");
    assert!(modified(&program) >= modified(&source), "out of date: cargo build --example raw_mio_echo");
    program
}

/// `len` bytes of a row from its byte `start` on. It repeats itself so late that a lost, doubled or moved piece shows.
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

/// Writes the pattern, reads nothing, and returns how many bytes it took until nothing moved any more.
fn write_until_blocked(client: &mut TcpStream) -> usize {
    /// More than all four socket buffers on the way grow to by themselves, which is some 20 MiB on Linux.
    const ENOUGH: usize = 64 * 1024 * 1024;
    client.set_write_timeout(Some(BLOCKED_AFTER)).unwrap();
    let mut taken = 0;
    while taken < ENOUGH {
        match client.write(&pattern(taken, 64 * 1024)) {
            Ok(count) => taken += count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return taken,
            // signal(7): with a timeout set, a stop and continue of this very process interrupts the write.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => panic!("{error} after {taken} bytes"),
        }
    }
    panic!("the server took {taken} bytes from a client that reads nothing")
}

/// What proc(5) tells of another process.
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

    pub(super) fn is_stopped(pid: u32) -> bool {
        stat(pid).first().is_some_and(|state| state == "T")
    }

    /// Asserts that the server uses less than half a processor while `client`, to whom it owes nothing, waits in vain.
    pub(super) fn assert_idle(pid: u32, client: &mut TcpStream) {
        let guard = client.read_timeout().unwrap();
        let before = cpu_ticks(pid);
        client.set_read_timeout(Some(BLOCKED_AFTER)).unwrap();
        let error = client.read_exact(&mut [0]).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
        client.set_read_timeout(guard).unwrap();
        // A tick is 10 ms, so that a server that spun would have used about 50.
        let used = cpu_ticks(pid) - before;
        assert!(used < 25, "the server spins: it has used {used} ticks in {BLOCKED_AFTER:?}");
    }

    /// Time in user and kernel mode.
    fn cpu_ticks(pid: u32) -> u64 {
        stat(pid).iter().skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
    }

    /// The fields of `/proc/PID/stat` from the third on, the state. The second is the name, which may hold spaces.
    fn stat(pid: u32) -> Vec<String> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        fields.split_whitespace().map(str::to_owned).collect()
    }
}
