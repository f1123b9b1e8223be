//! Connecting has a time limit over every transport, and addresses with a zone work.

use std::io::Read;
use std::os::unix::net::UnixStream;

use socket2::{Domain, SockAddr, Socket, Type};

use crate::program::{Program, SocketPath, run};
use crate::text::{call, ended};

/// Returns a Unix-domain socket whose backlog is full, and the connections that fill it. A connect
/// waits there until its time limit.
fn full_unix_socket() -> (SocketPath, Socket, Vec<UnixStream>) {
    let path = SocketPath::new();
    let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    listener.bind(&SockAddr::unix(path.path()).unwrap()).unwrap();
    listener.listen(0).unwrap();
    let mut held = Vec::new();
    loop {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        if socket.connect(&SockAddr::unix(path.path()).unwrap()).is_err() {
            return (path, listener, held);
        }
        held.push(socket.into());
        assert!(held.len() < 10, "the backlog does not fill");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_unix_backlog_hits_the_timeout_of_every_client() {
    let (path, _listener, _held) = full_unix_socket();
    let address = path.listen();
    let limit = ["--timeout", "200ms"];
    for args in [
        &["call", "echo", &address][..],
        &["call", "upper", &address],
        &["call", "clock", &address],
        &["call", "exec", &address],
        &["call", "files", &address, "list"],
    ] {
        let command = if args[1] == "exec" { &["--", "date"][..] } else { &[] };
        let output = run(&[args, &limit, command].concat());
        let log = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {log}");
        let says = format!("cannot reach {address}: the backlog of the socket is full; the server is busy");
        assert!(log.contains(&says), "{args:?}: {log}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_address_with_the_name_of_an_interface_is_served_and_called() {
    for engine in ["reactor", "threads"] {
        let args = ["--engine", engine, "--listen", "lines@[::1%lo]:0", "--listen", "udp:[::1%lo]:0"];
        let mut server = Program::serve(&args);
        for (transport, prefix, framing) in [("tcp", "", &["--framing", "lines"][..]), ("udp", "udp:", &[])] {
            let printed = server.address(transport);
            let port = printed.rsplit_once(':').unwrap().1;
            for address in [format!("{prefix}{printed}"), format!("{prefix}[::1%lo]:{port}")] {
                let echoed = ended(call(&[&["echo", &address], framing].concat(), b"hello\n"));
                assert_eq!(echoed, (Some(0), "hello\n".to_owned(), String::new()), "{engine} {address}");
            }
        }
    }
    let output = run(&["call", "clock", "udp:[fe80::1%no-such-if]:9090"]);
    let log = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(log.contains("it has no network interface \"no-such-if\""), "{log}");
}

#[test]
fn a_waiting_connect_gets_the_place_that_becomes_free() {
    let (path, listener, held) = full_unix_socket();
    let program = call(&["echo", &path.listen(), "--framing", "lines"], b"hello\n");
    let mut first: UnixStream = listener.accept().unwrap().0.into();
    drop(held);
    assert_eq!(first.read(&mut [0; 1]).unwrap(), 0);
    loop {
        let mut stream: UnixStream = listener.accept().unwrap().0.into();
        let mut line = [0; 6];
        // Those that filled the backlog have closed.
        if stream.read_exact(&mut line).is_ok() {
            std::io::Write::write_all(&mut stream, &line).unwrap();
            break;
        }
    }
    assert_eq!(ended(program), (Some(0), "hello\n".to_owned(), String::new()));
}
