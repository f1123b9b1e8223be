//! `serve exec` and `call exec`: the program as a server for clients that others have written, and as a client of servers that
//! others have written, those included that lie.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Instant;

use crate::program::{GUARD, Program, Signal, SocketPath, command, run};

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

/// A token's file that nobody else may read.
fn token_file(folder: &Path, text: &str) -> String {
    let path = folder.join("token");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path.display().to_string()
}

#[test]
fn a_client_of_ours_has_commands_run_in_every_dialect() {
    for engine in ENGINES {
        for dialect in ["header", "length", "ready"] {
            let (mut server, address) =
                serve(&["--allow", "printf", "--allow", "yes", "--dialect", dialect, "--engine", engine]);
            let ask = |command: &[&str]| call(&address, &[&["--dialect", dialect, "--"], command].concat());
            let output = ask(&["printf", "[%s]", "a b", "$(x)", "it's", "*", "", "你好"]);
            assert_eq!(text(&output.stdout), "[a b][$(x)][it's][*][][你好]", "{engine} {dialect}");
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
fn what_a_header_says_is_told() {
    let (_server, address) = serve(&["--allow", "sh"]);
    let output = call(&address, &["--", "sh", "-c", "echo said; exit 3"]);
    assert_eq!((output.status.code(), &*text(&output.stdout)), (Some(1), "said\n"));
    assert_eq!(text(&output.stderr), "switchboard: the command ended with exit code 3\n");
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
fn a_token_is_asked_for_and_given() {
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
fn a_tokens_file_keeps_it_or_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (contents, mode, code, says) in [
        (TOKEN, 0o644, 1, "others may read or change the token in"),
        (TOKEN, 0o640, 1, "others may read or change the token in"),
        ("", 0o600, 1, "there is no token in"),
        ("\r\n", 0o600, 1, "there is no token in"),
        ("short\n", 0o600, 2, "--token-file: a token has at least 16 bytes"),
        ("one line and\nanother one", 0o600, 2, "--token-file: a token is one line"),
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
fn what_is_not_safe_is_not_served() {
    for (args, says) in [
        (&[][..], "exec runs nothing that was not allowed: give --allow PROGRAM, or --shell"),
        (&["--allow", "ls", "--shell"], "--shell allows everything already"),
        (
            &["--allow", "ls", "--listen", "0.0.0.0:0"],
            "tcp 0.0.0.0:0 can be reached from other machines: give --token-file",
        ),
        (&["--allow", "ls", "--listen", "[::]:0"], "can be reached from other machines: give --token-file"),
        (&["--shell", "--listen", "0.0.0.0:0", "--token-file", "x"], "--shell is for 127.0.0.1 alone"),
        (&["--allow", "no-such-program"], "--allow: 'no-such-program' is not in PATH"),
        (&["--allow", "./ls"], "--allow: './ls' is a relative path"),
        (&["--allow", "ls", "--dialect", "plain"], "--dialect plain is not for exec"),
        (&["--allow", "ls", "--timeout", "0"], "--timeout: no command ends in no time"),
        (&["--allow", "ls", "--jobs", "0"], "--jobs must be at least 1"),
        (&["--allow", "ls", "--framing", "lines"], "lines cannot carry exec's answers"),
        (&["--allow", "ls", "--listen", "u16be@127.0.0.1:0"], "u16be cannot carry exec's answers"),
    ] {
        let output = run(&[&["serve", "exec"], args].concat());
        let stderr = text(&output.stderr);
        let last = stderr.lines().last().unwrap_or_default();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
        assert!(last.starts_with("error: ") && last.contains(says) && output.stdout.is_empty(), "{args:?}: {stderr}");
    }
}

#[test]
fn a_call_that_makes_no_sense_is_wrong_usage() {
    for (args, says) in [
        (&["127.0.0.1:1"][..], "required arguments were not provided: <COMMAND>"),
        (&["127.0.0.1:1", "--", ""], "there is no command: write one behind --"),
        (&["127.0.0.1:0", "--", "ls"], "127.0.0.1:0 is no server's address"),
        (&["udp:127.0.0.1:1", "--", "ls"], "is not for this client: leave out udp:"),
        (&["8086", "--", "ls"], "8086 is not an address"),
        (&["127.0.0.1:1", "--dialect", "plain", "--", "ls"], "no such dialect: write header, length or ready"),
        (&["127.0.0.1:1", "--timeout", "0", "--", "ls"], "--timeout: no answer comes in no time"),
    ] {
        let output = run(&[&["call", "exec"], args].concat());
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
        assert!(stderr.contains(says) && stderr.lines().count() == 1, "{args:?}: {stderr}");
    }
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let output = call(&free, &["--", "ls"]);
    let says =
        format!("cannot reach {free}: connection refused; start one with 'switchboard serve exec --allow PROGRAM'");
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(1), format!("switchboard: {says}\n")));
}

#[test]
fn a_unix_socket_counts_as_local() {
    let path = SocketPath::new();
    let mut server =
        Program::start(command(&["serve", "exec", "--shell", "--listen", &path.listen()]).stdout(Stdio::piped()));
    server.address("unix");
    let output = call(&path.listen(), &["--", "echo $((6 * 7))"]);
    assert_eq!(text(&output.stdout), "42\n");
}

#[test]
fn a_signal_leaves_no_child_behind() {
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

/// A FIFO that ends when nobody has it open any more.
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
        assert_eq!(self.said.recv_timeout(GUARD).expect("the command begins"), b"begun\n");
    }

    fn expect_end(&mut self) {
        assert_eq!(self.said.recv_timeout(GUARD).expect("a child is left"), b"");
    }
}

/// A client as a textbook has it, for all three dialects.
const PYTHON_CLIENT: &str = r#"
import hashlib, json, socket, struct, sys
host, port = sys.argv[1].rsplit(":", 1)
dialect, command = sys.argv[2], sys.argv[3]
s = socket.create_connection((host, int(port)), timeout=20)
def exactly(n):
    data = b""
    while len(data) < n:
        more = s.recv(n - len(data))
        if not more:
            raise EOFError
        data += more
    return data
s.send(command.encode())
if dialect == "length":
    size = struct.unpack("i", exactly(4))[0]
    data = exactly(size)
elif dialect == "header":
    header = json.loads(exactly(struct.unpack("<i", exactly(4))[0]))
    assert list(header) == ["filename", "total_size", "md5", "exit_code", "truncated"], header
    data = exactly(header["total_size"])
    assert hashlib.md5(data).hexdigest() == header["md5"]
else:
    ready, size = s.recv(1024).decode().split("|")
    assert ready == "Ready"
    s.send(b"Start")
    data = exactly(int(size))
sys.stdout.buffer.write(data)
"#;

fn has_python() -> bool {
    let found = Command::new("python3").arg("--version").output().is_ok();
    if !found {
        eprintln!("not tested: there is no python3");
    }
    found
}

#[test]
fn a_textbooks_client_is_served() {
    if !has_python() {
        return;
    }
    for engine in ENGINES {
        for dialect in ["length", "header", "ready"] {
            let (_server, address) =
                serve(&["--allow", "echo", "--allow", "seq", "--dialect", dialect, "--engine", engine]);
            for (line, expected) in [
                ("echo 'hello  there' $HOME", "hello  there $HOME\n".to_owned()),
                ("seq 100000", (1..=100_000).map(|number| format!("{number}\n")).collect()),
                ("whoami", "exec: 'whoami' is not allowed; allowed: echo seq\n".to_owned()),
            ] {
                let client = ["-c", PYTHON_CLIENT, &address, dialect, line];
                let output = Command::new("python3").args(client).output().unwrap();
                assert_eq!(text(&output.stdout), expected, "{engine} {dialect}: {}", text(&output.stderr));
            }
        }
    }
}

/// A server as a textbook has it, for one client: it runs what it is told, and says it in a dialect.
const PYTHON_SERVER: &str = r#"
import hashlib, json, socket, struct, subprocess, sys
dialect = sys.argv[1]
s = socket.socket()
s.bind(("127.0.0.1", 0))
s.listen(5)
print("%s:%d" % s.getsockname(), flush=True)
conn, _ = s.accept()
command = conn.recv(1024).decode()
data = subprocess.run(command, shell=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout
if dialect == "length":
    conn.send(struct.pack("i", len(data)))
    conn.sendall(data)
elif dialect == "header":
    header = json.dumps({"total_size": len(data), "md5": hashlib.md5(data).hexdigest(), "filename": "a.txt", "more": 1})
    conn.send(struct.pack("i", len(header)))
    conn.send(header.encode())
    conn.sendall(data)
elif dialect == "ready":
    conn.send(("Ready|%d" % len(data)).encode())
    assert conn.recv(1024) == b"Start"
    conn.sendall(data)
conn.recv(1)
"#;

#[test]
fn a_textbooks_server_is_understood() {
    if !has_python() {
        return;
    }
    for dialect in ["length", "header", "ready"] {
        let mut server =
            Program::start(Command::new("python3").args(["-c", PYTHON_SERVER, dialect]).stdout(Stdio::piped()));
        let address = server.line().unwrap();
        let output = call(&address, &["--dialect", dialect, "--", "seq", "20000"]);
        let expected: String = (1..=20_000).map(|number| format!("{number}\n")).collect();
        assert_eq!(text(&output.stdout), expected, "{dialect}: {}", text(&output.stderr));
        assert_eq!(output.status.code(), Some(0));
    }
}

/// A server that says what it was told to and then goes, or stays without a word. What it heard comes back.
fn lying(says: Vec<Vec<u8>>, stays: bool) -> (String, thread::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let heard = thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        socket.set_read_timeout(Some(GUARD)).unwrap();
        socket.set_nodelay(true).unwrap();
        let mut heard = vec![0; 1024];
        let mut count = socket.read(&mut heard).unwrap();
        for piece in says {
            // It may have heard enough.
            let _ = socket.write_all(&piece);
        }
        if !stays {
            let _ = socket.shutdown(Shutdown::Write);
        }
        while let Ok(more @ 1..) = socket.read(&mut heard[count..]) {
            count += more;
        }
        heard.truncate(count);
        heard
    });
    (address, heard)
}

fn header(json: &str, output: &[u8]) -> Vec<u8> {
    [&u32::try_from(json.len()).unwrap().to_le_bytes()[..], json.as_bytes(), output].concat()
}

#[test]
fn a_server_that_lies_is_found_out() {
    for (dialect, says, stays, expected) in [
        ("length", (-5_i32).to_le_bytes().to_vec(), true, "the answer is said to have -5 bytes"),
        ("length", i32::MAX.to_le_bytes().to_vec(), true, "2147483647 bytes, and 67108864 are the most"),
        ("length", b"\x09\0\0\0half".to_vec(), false, "the connection ended after 4 of 9 bytes of the output"),
        ("length", b"\x09\0\0\0half".to_vec(), true, "no whole answer within 500ms; give a longer --timeout"),
        ("length", Vec::new(), false, "the connection ended before an answer came"),
        ("header", header("not JSON", b""), true, "the header is no JSON object"),
        ("header", header(r#"{"filename":"x"}"#, b""), true, "the header has no length of the output, total_size"),
        ("header", header(r#"{"total_size":1e300}"#, b""), true, "the header has no length of the output, total_size"),
        ("header", header(r#"{"total_size":99999999999}"#, b""), true, "99999999999 bytes"),
        ("header", header(r#"{"total_size":2,"md5":"beef"}"#, b"hi"), true, "the output is not the one whose MD5"),
        ("header", header(r#"{"total_size":3}"#, b"hi"), false, "the connection ended after 2 of 3 bytes"),
        ("header", b"Ready|5".to_vec(), true, "the answer begins with Ready|: give --dialect ready"),
        ("header", b"HTTP/1.1 400\r\n".to_vec(), true, "does the server speak another --dialect?"),
        ("ready", b"cmd ERROR".to_vec(), true, "the answer begins with 'cmd ERROR', not with Ready|"),
        ("ready", b"Ready|99999999999999999999".to_vec(), true, "bytes, and 67108864 are the most"),
        ("ready", b"Ready|x\x1b".to_vec(), true, r"begins with 'Ready|x\u{1b}'"),
        ("ready", b"Ready|5".to_vec(), false, "the connection ended after 0 of 5 bytes of the output"),
    ] {
        let (address, heard) = lying(vec![says], stays);
        let output = call(&address, &["--dialect", dialect, "--timeout", "500ms", "--", "ls"]);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{expected}: {stderr}");
        assert!(output.stdout.is_empty() && stderr.lines().count() == 1, "{stderr}");
        assert!(stderr.starts_with(&format!("switchboard: {address}: ")) && stderr.contains(expected), "{stderr}");
        assert!(heard.join().unwrap().starts_with(b"ls"));
    }
}

#[test]
fn an_answer_in_any_pieces_is_the_same() {
    let answer = header(r#"{"total_size":5,"exit_code":0}"#, b"hello");
    let (address, _) = lying(answer.iter().map(|byte| vec![*byte]).collect(), true);
    let output = call(&address, &["--", "ls"]);
    assert_eq!((output.status.code(), &*text(&output.stdout)), (Some(0), "hello"));
    // What is behind an answer is none of it.
    let (address, heard) = lying(vec![b"\x02\0\0\0hi and more".to_vec()], true);
    let output = call(&address, &["--dialect", "length", "--", "ls", "a b"]);
    assert_eq!((output.status.code(), &*text(&output.stdout)), (Some(0), "hi"));
    assert_eq!(heard.join().unwrap(), b"ls 'a b'");
}

#[test]
fn a_server_that_drips_has_no_more_time_than_another() {
    let begun = Instant::now();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (stop, stopped) = channel::<()>();
    let dripping = thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        socket.write_all(b"\xff\xff\0\0").unwrap();
        while stopped.recv_timeout(std::time::Duration::from_millis(20)).is_err() && socket.write_all(b"x").is_ok() {}
    });
    let output = call(&address, &["--dialect", "length", "--timeout", "300ms", "--", "ls"]);
    assert!(text(&output.stderr).contains("no whole answer within 300ms"), "{}", text(&output.stderr));
    assert!(begun.elapsed() < GUARD / 2);
    let _ = stop.send(());
    dripping.join().unwrap();
}

#[test]
fn a_terminal_is_not_commanded() {
    use portable_pty::{CommandBuilder, PtySize, native_pty_system};

    let (_server, address) = serve(&["--allow", "printf"]);
    let pair = native_pty_system().openpty(PtySize::default()).unwrap();
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_switchboard"));
    command.args(["call", "exec", &address, "--", "printf", r"\033[31mred\r\a\tend"]);
    let mut child = pair.slave.spawn_command(command).unwrap();
    drop(pair.slave);
    let mut reader = pair.master.try_clone_reader().unwrap();
    let (shown, shows) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // A terminal ends with an error.
        let _ = reader.read_to_end(&mut bytes);
        let _ = shown.send(bytes);
    });
    assert!(child.wait().unwrap().success());
    let shown = text(&shows.recv_timeout(GUARD).unwrap());
    assert_eq!(shown.replace("\r\n", "\n").trim_end_matches(' '), "\\u{1b}[31mred\\r\\u{7}\tend\n");
}
