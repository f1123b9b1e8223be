//! Stop and other commands by signal.

use std::io::{Read, Write};

use crate::program::{Program, Signal, SocketPath};
use crate::serving::{assert_echoes, connect, connect_unix};

#[test]
fn the_first_signal_drains_and_connections_see_the_end() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = Program::serve(&["--listen", "127.0.0.1:0"]);
        let mut client = connect(&server.address("tcp"));
        assert_echoes(&client, b"\0\0\0\x01x");
        server.signal(signal);
        assert_eq!(client.read(&mut [0; 16]).unwrap(), 0);
        drop(client);
        assert_eq!(server.wait().code(), Some(0));
        server.logged("draining 1 connection,");
    }
}

#[test]
fn drain_removes_the_socket_file() {
    let unix = SocketPath::new();
    let mut server = Program::serve(&["--listen", &unix.listen()]);
    server.address("unix");
    assert!(unix.path().exists());
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    assert!(!unix.path().exists());
}

#[test]
fn second_signal_stops_at_once() {
    for (second, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let unix = SocketPath::new();
        let limits = ["--max-frame-bytes", "8MiB", "--drain-timeout", "1h", "--write-timeout", "0"];
        let mut server = Program::serve(&[&limits[..], &["--listen", &unix.listen()]].concat());
        let mut client = connect_unix(&server.address("unix"));
        // More than the kernel buffers: the rest of the reply stays queued until the client reads.
        let payload = vec![0; 8 << 20];
        client.write_all(&u32::try_from(payload.len()).unwrap().to_be_bytes()).unwrap();
        client.write_all(&payload).unwrap();
        client.read_exact(&mut [0]).unwrap();

        server.signal(Signal::TERM);
        server.logged("draining 1 connection,");
        server.signal(second);
        assert_eq!(server.wait().code(), Some(code));
    }
}

#[test]
fn the_counters_are_logged_on_request() {
    let mut server = Program::serve(&["--listen", "127.0.0.1:0"]);
    let client = connect(&server.address("tcp"));
    assert_echoes(&client, b"\0\0\0\x01x");
    server.signal(Signal::USR1);
    let line = server.logged("accepted=1");
    assert!(line.contains("INFO") && line.contains("bytes_in=5"), "{line}");
    assert_echoes(&client, b"\0\0\0\x01y");
}

#[test]
fn verbosity_flags_set_the_log_level() {
    for (args, debug, info) in [(&[][..], false, true), (&["-v"], true, true), (&["-q"], false, false)] {
        let mut server = Program::serve(&[args, &["--listen", "127.0.0.1:0"]].concat());
        assert_echoes(connect(&server.address("tcp")), b"\0\0\0\x01x");
        server.signal(Signal::TERM);
        assert_eq!(server.wait().code(), Some(0));
        let log = server.log();
        assert_eq!((log.contains("DEBUG"), log.contains("INFO")), (debug, info), "{args:?}:\n{log}");
    }
}
