//! Exec and what others have written for it, in Python.

use std::process::{Command, Stdio};

use super::{ENGINES, call, serve, text};
use crate::program::Program;

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

/// The output of `seq`.
fn sequence(last: u32) -> String {
    (1..=last).map(|number| number.to_string() + "\n").collect()
}

fn has_python() -> bool {
    let found = Command::new("python3").arg("--version").output().is_ok();
    if !found {
        eprintln!("not tested: there is no python3");
    }
    found
}

#[test]
fn python_client_is_served() {
    if !has_python() {
        return;
    }
    for engine in ENGINES {
        for dialect in ["length", "header", "ready"] {
            let (_server, address) =
                serve(&["--allow", "echo", "--allow", "seq", "--dialect", dialect, "--engine", engine]);
            for (line, expected) in [
                ("echo 'hello  there' $HOME", "hello  there $HOME\n".to_owned()),
                ("seq 100000", sequence(100_000)),
                ("whoami", "exec: 'whoami' is not allowed; allowed: echo seq\n".to_owned()),
            ] {
                let client = ["-c", PYTHON_CLIENT, &address, dialect, line];
                let output = Command::new("python3").args(client).output().unwrap();
                assert_eq!(text(&output.stdout), expected, "{engine} {dialect}: {}", text(&output.stderr));
            }
        }
    }
}

/// A textbook server for one client: it runs each command and sends the output in a dialect.
const PYTHON_SERVER: &str = r#"
import hashlib, json, socket, struct, subprocess, sys
dialect = sys.argv[1]
s = socket.socket()
s.bind(("127.0.0.1", 0))
s.listen(5)
print("%s:%d" % s.getsockname(), flush=True)
conn, _ = s.accept()
command = conn.recv(1024).decode("gbk" if dialect == "gbk" else "utf-8")
data = subprocess.run(command, shell=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout
if dialect == "length":
    conn.send(struct.pack("i", len(data)))
    conn.sendall(data)
elif dialect == "header":
    header = json.dumps({"total_size": len(data), "md5": hashlib.md5(data).hexdigest(), "filename": "a.txt", "more": 1})
    conn.send(struct.pack("i", len(header)))
    conn.send(header.encode())
    conn.sendall(data)
elif dialect == "placeholder":
    header = {"md5": "sssxxxadwc123asd123", "filenema": "1.txt", "total_size": len(data)}
    header_bytes = json.dumps(header).encode("utf-8")
    conn.send(struct.pack("i", len(header_bytes)))
    conn.send(header_bytes)
    conn.sendall(data)
elif dialect == "gbk":
    data = data.decode("utf-8").encode("gbk")
    conn.send(struct.pack("i", len(data)))
    conn.sendall(data)
elif dialect == "ready":
    conn.send(("Ready|%d" % len(data)).encode())
    assert conn.recv(1024) == b"Start"
    conn.sendall(data)
conn.recv(1)
"#;

#[test]
fn python_server_is_understood() {
    if !has_python() {
        return;
    }
    let seq = sequence(20_000);
    for (dialect, args, expected) in [
        ("length", &["--dialect", "length", "--", "seq", "20000"][..], &*seq),
        ("header", &["--", "seq", "20000"], &seq),
        ("placeholder", &["--", "seq", "20000"], &seq),
        ("ready", &["--dialect", "ready", "--", "seq", "20000"], &seq),
        ("gbk", &["--dialect", "length", "--encoding", "gbk", "--", "echo", "你好"], "你好\n"),
    ] {
        let mut server =
            Program::start(Command::new("python3").args(["-c", PYTHON_SERVER, dialect]).stdout(Stdio::piped()));
        let address = server.line().unwrap();
        let output = call(&address, args);
        assert_eq!(text(&output.stdout), expected, "{dialect}: {}", text(&output.stderr));
        assert_eq!((output.status.code(), &*text(&output.stderr)), (Some(0), ""));
    }
}
