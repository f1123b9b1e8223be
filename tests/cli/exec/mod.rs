//! `serve exec` and `call exec`: the program as a server for other clients, and as a client of
//! other servers.

mod guarded;
mod lies;
mod textbook;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use socket2::Type;

use crate::guard::guard;
use crate::localhost::refusing;
use crate::program::{Program, Signal, SocketPath, command, run};

const ENGINES: [&str; 2] = ["reactor", "threads"];
const TOKEN: &str = "a token that nobody guesses";

fn serve(args: &[&str]) -> (Program, String) {
    let mut program =
        Program::start(command(&["serve", "exec", "--listen", "127.0.0.1:0"]).args(args).stdout(Stdio::piped()));
    let address = program.address("tcp");
    (program, address)
}

/// Bytes as they are, which lines are not. The client has a time limit of its own.
fn call(address: &str, args: &[&str]) -> Output {
    command(&[&["call", "exec", address], args].concat()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Creates a token file that only its owner may read.
fn token_file(folder: &Path, text: &str) -> String {
    let path = folder.join("token");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path.display().to_string()
}

#[test]
fn call_exec_works_in_every_dialect() {
    for engine in ENGINES {
        for (dialect, framing) in
            [("header", "raw"), ("length", "raw"), ("ready", "raw"), ("header", "u32be"), ("ready", "varint")]
        {
            let common = ["--dialect", dialect, "--framing", framing];
            let own = ["--allow", "printf", "--allow", "yes", "--engine", engine];
            let (mut server, address) = serve(&[&own[..], &common].concat());
            let ask = |command: &[&str]| call(&address, &[&common[..], &["--"], command].concat());
            let output = ask(&["printf", "[%s]", "a b", "$(x)", "it's", "*", "", "你好"]);
            assert_eq!(text(&output.stdout), "[a b][$(x)][it's][*][][你好]", "{engine} {dialect} {framing}");
            assert_eq!((output.status.code(), &*text(&output.stderr)), (Some(0), ""));
            let output = ask(&["printf   'one line'"]);
            assert_eq!(text(&output.stdout), "one line");
            let output = ask(&["printf", r"\033\377\000"]);
            assert_eq!(output.stdout, b"\x1b\xff\0", "into a pipe it goes as it is");
            let output = ask(&["rm", "x"]);
            assert_eq!(text(&output.stdout), "exec: 'rm' is not allowed; allowed: printf yes\n");
            assert_eq!(output.status.code(), Some(i32::from(dialect == "header")));
            let output = ask(&["yes"]);
            assert!(output.stdout.len() > 1_000_000, "{}", output.stdout.len());
            server.signal(Signal::TERM);
            assert!(server.wait().success());
        }
    }
}

#[test]
fn exit_code_and_json_come_from_the_header() {
    let (_server, address) = serve(&["--allow", "sh"]);
    let output = call(&address, &["--", "sh", "-c", "echo said; exit 3"]);
    assert_eq!((output.status.code(), &*text(&output.stdout)), (Some(1), "said\n"));
    assert_eq!(text(&output.stderr), "switchboard: the command exited with code 3\n");
    let output = call(&address, &["--json", "--", "sh", "-c", "echo said; exit 3"]);
    let md5 = md5("said\n");
    let expected = format!(
        r#"{{"filename":"sh","total_size":5,"md5":"{md5}","exit_code":3,"truncated":false,"output":"said\n"}}"#
    );
    assert_eq!(text(&output.stdout), expected + "\n");
    let output = call(&address, &["--json", "--", "sh", "-c", r"printf '\377'; kill -9 $$"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains(r#""exit_code":null,"truncated":false,"output_hex":"ff0a"#));
}

/// By another program's account.
fn md5(text: &str) -> String {
    let mut sum = Command::new("md5sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    sum.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    String::from_utf8(sum.wait_with_output().unwrap().stdout).unwrap()[..32].to_owned()
}

#[test]
fn token_is_required_and_sent() {
    let folder = tempfile::tempdir().unwrap();
    let path = token_file(folder.path(), &format!("{TOKEN}\n"));
    for dialect in ["header", "length", "ready"] {
        let (_server, address) = serve(&["--allow", "echo", "--token-file", &path, "--dialect", dialect]);
        let output = call(&address, &["--dialect", dialect, "--token-file", &path, "--", "echo", "hi"]);
        assert_eq!((output.status.code(), &*text(&output.stdout)), (Some(0), "hi\n"));
        let output = call(&address, &["--dialect", dialect, "--", "echo", "hi"]);
        assert!(text(&output.stdout).starts_with("exec: the token is wrong or missing"), "{dialect}");
    }
    let (_server, _) = serve(&["--allow", "echo", "--token-file", &path, "--listen", "0.0.0.0:0"]);
}

#[test]
fn token_file_must_be_private_and_hold_one_token() {
    let folder = tempfile::tempdir().unwrap();
    for (contents, mode, code, says) in [
        (TOKEN, 0o644, 1, "is accessible to other users: run 'chmod 600"),
        (TOKEN, 0o640, 1, "is accessible to other users: run 'chmod 600"),
        ("", 0o600, 1, "is empty: write the token into it"),
        ("\r\n", 0o600, 1, "is empty: write the token into it"),
        ("short\n", 0o600, 2, "--token-file: token too short: it must have at least 16 bytes"),
        ("one line and\nanother one", 0o600, 2, "--token-file: token contains a control character"),
    ] {
        let path = token_file(folder.path(), contents);
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let output = run(&["serve", "exec", "--allow", "echo", "--listen", "127.0.0.1:0", "--token-file", &path]);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{contents:?} {stderr}");
        assert!(stderr.contains(says) && !stderr.contains(TOKEN), "{stderr}");
    }
    let output = run(&["serve", "exec", "--allow", "echo", "--token-file", "/no/such"]);
    assert!(text(&output.stderr).contains("cannot read the token in /no/such"));
}

#[test]
fn unsafe_configuration_is_rejected() {
    for (args, says) in [
        (&[][..], "exec needs to know what it may run: add --allow PROGRAM or --shell"),
        (&["--allow", "ls", "--shell"], "--shell allows every command: remove"),
        (
            &["--allow", "ls", "--listen", "0.0.0.0:0"],
            "tcp 0.0.0.0:0 is reachable from other machines: add --token-file",
        ),
        (&["--allow", "ls", "--listen", "[::]:0"], "is reachable from other machines: add --token-file"),
        (&["--shell", "--listen", "0.0.0.0:0", "--token-file", "x"], "--shell is limited to loopback"),
        (&["--allow", "no-such-program"], "--allow: 'no-such-program' is not in PATH"),
        (&["--allow", "./ls"], "--allow: './ls' is a relative path"),
        (
            &["--allow", "ls", "--dialect", "plain"],
            "invalid value 'plain' for '--dialect <NAME>' [possible values: header, length, ready]",
        ),
        (&["--allow", "ls", "--timeout", "0"], "--timeout must be greater than 0"),
        (&["--allow", "ls", "--jobs", "0"], "--jobs must be at least 1"),
        (&["--allow", "ls", "--framing", "lines"], "cannot use the framing lines: a response of exec needs"),
        (&["--allow", "ls", "--listen", "u16be@127.0.0.1:0"], "cannot use the framing u16be: a response of exec needs"),
    ] {
        let output = run(&[&["serve", "exec"], args].concat());
        let stderr = text(&output.stderr);
        let last = stderr.lines().last().unwrap_or_default();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
        assert!(last.starts_with("error: ") && last.contains(says) && output.stdout.is_empty(), "{args:?}: {stderr}");
    }
}

#[test]
fn invalid_call_arguments_exit_2() {
    for (args, says) in [
        (&["127.0.0.1:1"][..], "required arguments were not provided: <COMMAND>"),
        (&["127.0.0.1:1", "--", ""], "the command is empty: write one after --"),
        (&["127.0.0.1:0", "--", "ls"], "127.0.0.1:0 is not a server's address"),
        (&["udp:127.0.0.1:1", "--", "ls"], "this client does not use UDP; leave out udp:"),
        (&["8086", "--", "ls"], "8086 is not an address"),
        (&["127.0.0.1:1", "--dialect", "plain", "--", "ls"], "[possible values: header, length, ready]"),
        (&["127.0.0.1:1", "--timeout", "0", "--", "ls"], "--timeout 0 leaves no time for a response"),
        (&["127.0.0.1:1", "--encoding", "latin1", "--", "echo", "你"], "cannot be sent: windows-1252 has no '你'"),
    ] {
        let output = run(&[&["call", "exec"], args].concat());
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
        assert!(stderr.contains(says) && stderr.lines().count() == 1, "{args:?}: {stderr}");
    }
    let (free, _socket) = refusing(Type::STREAM);
    let free = free.to_string();
    let output = call(&free, &["--", "ls"]);
    let start = format!("'switchboard serve exec --allow PROGRAM --listen {free}'");
    let says = format!("cannot reach {free}: connection refused; start one with {start}");
    assert_eq!(
        (output.status.code(), text(&output.stderr)),
        (Some(1), format!("switchboard: {says}, or check the address\n"))
    );
}

#[test]
fn unix_socket_counts_as_local() {
    let path = SocketPath::new();
    let mut server =
        Program::start(command(&["serve", "exec", "--shell", "--listen", &path.listen()]).stdout(Stdio::piped()));
    server.address("unix");
    let output = call(&path.listen(), &["--", "echo $((6 * 7))"]);
    assert_eq!(text(&output.stdout), "42\n");
}

#[test]
fn signal_leaves_no_child_process() {
    for engine in ENGINES {
        let folder = tempfile::tempdir().unwrap();
        let mut held = Held::new(folder.path());
        let args = ["--shell", "--timeout", "2s", "--drain-timeout", "100ms", "--engine", engine];
        let (mut server, address) = serve(&args);
        let mut socket = TcpStream::connect(&address).unwrap();
        let line = format!("exec 3> {}; echo begun >&3; sleep 1000 & sleep 1000", held.path.display());
        socket.write_all(line.as_bytes()).unwrap();
        held.expect_begun();
        server.signal(Signal::TERM);
        assert!(server.wait().success(), "{engine}");
        held.expect_end();
    }
}

/// Rust programs ignore SIGPIPE, and a process inherits ignored signals.
#[test]
#[cfg(target_os = "linux")]
fn command_has_the_default_signals_and_no_input() {
    let (_server, address) = serve(&["--shell"]);
    // The test may have inherited descriptors, which the server passes on.
    let count = "ls /proc/self/fd | wc -l";
    let own = Command::new("sh").args(["-c", count]).stdin(Stdio::null()).output().unwrap();
    let output = call(&address, &["--", &format!("readlink /proc/self/fd/0; {count}; kill -PIPE $$; echo on")]);
    let expected = format!("/dev/null\n{}exec: killed by signal 13\n", text(&own.stdout));
    assert_eq!(text(&output.stdout), expected, "{}", text(&output.stderr));
}

#[test]
fn program_that_cannot_be_executed_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gone");
    fs::write(&path, "#!/bin/sh\necho here\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let name = path.display().to_string();
    let (_server, address) = serve(&["--allow", &name]);
    assert_eq!(text(&call(&address, &["--", &name]).stdout), "here\n");
    fs::remove_file(&path).unwrap();
    let output = call(&address, &["--", &name]);
    let expected = format!("exec: cannot run '{name}': No such file or directory (os error 2)\n");
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), expected));
}

/// Creates a FIFO that ends when its last writer closes it.
struct Held {
    path: PathBuf,
    said: Receiver<Vec<u8>>,
}

impl Held {
    fn new(folder: &Path) -> Self {
        let path = folder.join("held");
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        let (saying, said) = channel();
        let open = path.clone();
        thread::spawn(move || {
            let mut fifo = fs::File::open(open).unwrap();
            let mut begun = [0; 6];
            fifo.read_exact(&mut begun).unwrap();
            saying.send(begun.to_vec()).unwrap();
            let mut rest = Vec::new();
            fifo.read_to_end(&mut rest).unwrap();
            saying.send(rest).unwrap();
        });
        Self { path, said }
    }

    fn expect_begun(&mut self) {
        assert_eq!(self.said.recv_timeout(guard()), Ok(b"begun\n".to_vec()), "the command has not begun");
    }

    fn expect_end(&mut self) {
        assert_eq!(self.said.recv_timeout(guard()), Ok(Vec::new()), "a child is left");
    }
}

#[test]
fn control_sequences_in_output_are_escaped() {
    use portable_pty::{CommandBuilder, PtySize, native_pty_system};

    let (_server, address) = serve(&["--allow", "printf"]);
    let pair = native_pty_system().openpty(PtySize::default()).unwrap();
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_switchboard"));
    command.args(["call", "exec", &address, "--", "printf", r"\033[31mred\r\a\tend"]);
    let mut child = pair.slave.spawn_command(command).unwrap();
    drop(pair.slave);
    let mut reader = pair.master.try_clone_reader().unwrap();
    let (sending, sent) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // A terminal ends with an error.
        let _ = reader.read_to_end(&mut bytes);
        let _ = sending.send(bytes);
    });
    assert!(child.wait().unwrap().success());
    let shown = text(&sent.recv_timeout(guard()).unwrap());
    assert_eq!(shown.replace("\r\n", "\n").trim_end_matches(' '), "\\u{1b}[31mred\\r\\u{7}\tend\n");
}
