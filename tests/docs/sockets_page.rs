//! Checks of `docs/sockets.md`, which maps Python's `socket` module: the calls and constants are
//! there, the tables are complete, and the programs run.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::thread;

use crate::guard::guard;
use crate::{example_path, read, root};

/// The calls that a sockets course uses.
const CALLS: &[&str] = &[
    "socket",
    "bind",
    "listen",
    "accept",
    "connect",
    "connect_ex",
    "recv",
    "send",
    "sendall",
    "recvfrom",
    "sendto",
    "close",
    "getpeername",
    "getsockname",
    "setsockopt",
    "getsockopt",
    "settimeout",
    "gettimeout",
    "fileno",
    "setblocking",
    "makefile",
    "recv_into",
    "recvmsg",
    "sendmsg",
    "shutdown",
    "detach",
    "dup",
    "create_connection",
    "create_server",
    "getaddrinfo",
    "gethostbyname",
    "socketpair",
    "htons",
    "htonl",
    "ntohs",
    "ntohl",
    "inet_aton",
    "inet_ntoa",
    "inet_pton",
    "inet_ntop",
];

/// The constants that a sockets course uses.
const CONSTANTS: &[&str] = &[
    "AF_INET",
    "AF_INET6",
    "AF_UNIX",
    "SOCK_STREAM",
    "SOCK_DGRAM",
    "SOCK_SEQPACKET",
    "SOCK_RDM",
    "SOCK_RAW",
    "SO_REUSEADDR",
    "SO_REUSEPORT",
    "SO_KEEPALIVE",
    "TCP_NODELAY",
    "SO_LINGER",
    "SO_RCVBUF",
    "SO_SNDBUF",
    "SO_BROADCAST",
    "IP_ADD_MEMBERSHIP",
];

fn page() -> String {
    read("docs/sockets.md")
}

/// Returns the cells of every table row, without headers and separators.
fn rows(page: &str) -> Vec<Vec<&str>> {
    let lines = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| Python"));
    lines.map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

/// Returns the names in backticks, without arguments or other text after a name.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.map(|code| code.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap())
}

/// Returns the names that have a row of their own or are in the paragraph on options.
fn explained_names(page: &str) -> BTreeSet<&str> {
    let options = page.lines().find(|line| line.starts_with("`setsockopt`")).unwrap();
    rows(page).iter().flat_map(|row| names(row[0])).chain(names(options)).collect()
}

#[test]
fn calls_and_constants_have_a_row() {
    let page = page();
    let explained = explained_names(&page);
    let missing: Vec<_> = CALLS.iter().chain(CONSTANTS).filter(|name| !explained.contains(*name)).collect();
    assert!(missing.is_empty(), "missing on the page: {missing:?}");
}

/// Asks Python for the methods of its socket class.
#[test]
fn python_socket_methods_have_a_row() {
    let program = "import socket; print(*(name for name in dir(socket.socket) if name[0] != '_'))";
    let Ok(output) = Command::new("python3").args(["-c", program]).output() else {
        return eprintln!("skipped: python3 is not installed");
    };
    let (methods, page) = (String::from_utf8(output.stdout).unwrap(), page());
    let explained = explained_names(&page);
    assert!(methods.contains("recv"), "{methods}");
    let missing: Vec<_> = methods.split_whitespace().filter(|name| !explained.contains(name)).collect();
    assert!(missing.is_empty(), "missing on the page: {missing:?}");
}

#[test]
fn table_rows_have_no_empty_cell() {
    let page = page();
    let mut columns = 0;
    for line in page.lines().filter(|line| line.starts_with('|')) {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        if line.starts_with("| Python") {
            columns = cells.len();
        }
        assert_eq!(cells.len(), columns, "{line}");
        assert!(cells.iter().all(|cell| !cell.is_empty()), "{line}");
    }
    assert!(rows(&page).len() > 60);
}

/// Every source file that the page names exists.
#[test]
fn source_paths_on_the_page_exist() {
    let page = page();
    let paths: Vec<_> = page.split('`').filter(|code| code.starts_with("src/") && *code != "src/").collect();
    assert!(paths.len() > 15);
    for path in paths {
        assert!(root().join(path).exists(), "{path} does not exist");
    }
}

/// Starts an echo server for a number of clients that sends one byte at a time. Returns its
/// address.
fn start_slow_echo(clients: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        for _ in 0..clients {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(guard())).unwrap();
            stream.set_nodelay(true).unwrap();
            let mut message = [0; 9];
            stream.read_exact(&mut message).unwrap();
            message.chunks(1).for_each(|byte| stream.write_all(byte).unwrap());
            // Keeps the connection open until the client closes.
            let _ = stream.read(&mut message);
        }
    });
    addr
}

#[test]
fn three_clients_get_the_same_reply() {
    let output = Command::new(example_path("three_clients")).arg(start_slow_echo(3).to_string()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "blocking: hello\npolled: hello\ndecoded: hello\n");
}

#[test]
fn first_python_program_on_the_page_runs() {
    let page = page();
    let program = page.split("```python\n").nth(1).unwrap().split("```").next().unwrap();
    let program = program.replace("7000", &start_slow_echo(1).port().to_string());
    let Ok(output) = Command::new("python3").args(["-c", &program]).output() else {
        return eprintln!("skipped: python3 is not installed");
    };
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "b'hello'\n");
}
