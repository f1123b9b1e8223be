//! Clients that others would write: Python, its socket module, and the bytes of the documentation.

use std::process::{Command, Stdio};

use switchboard::Limits;

use super::depot::{Depot, noise};
use crate::support::{Engine, conformance};

conformance! {
    a_client_in_python_speaks_both_dialects,
}

const CLIENT: &str = r#"
import hashlib, json, socket, struct, sys

def exactly(s, n):
    data = b""
    while len(data) < n:
        more = s.recv(n - len(data))
        if not more:
            raise EOFError
        data += more
    return data

def frame(s):
    return exactly(s, *struct.unpack(">I", exactly(s, 4)))

def ask(s, request):
    body = json.dumps(request).encode()
    s.sendall(struct.pack(">I", len(body)) + body)
    return json.loads(frame(s))

def connect(port):
    return socket.create_connection(("127.0.0.1", int(port)), timeout=20)

s = connect(sys.argv[1])
files = ask(s, {"list": ""})["files"]
assert [f["name"] for f in files] == ["sub/x"], files
head = ask(s, {"get": files[0]["name"], "offset": 1000})
assert head["offset"] == 1000 and head["size"] == files[0]["size"]
rest = b""
while len(rest) < head["size"] - head["offset"]:
    rest += frame(s)
assert ask(s, {"get": "missing"})["error"]["code"] == "not-found"

p = connect(sys.argv[2])
p.sendall(b"sub/x")
whole = b""
while True:
    data = p.recv(65536)
    if not data:
        break
    whole += data
assert whole[1000:] == rest and len(whole) == head["size"]
assert hashlib.sha256(whole).hexdigest() == head["sha256"]

p = connect(sys.argv[2])
p.sendall(b"missing")
assert p.recv(1) == b""
"#;

fn a_client_in_python_speaks_both_dialects<E: Engine>() {
    let depot = Depot::open::<E>(Limits::default());
    depot.put("sub/x", &noise(1_000_000, 9));
    let ports = [depot.framed, depot.plain].map(|address| address.port().to_string());
    let python = Command::new("python3").args(["-c", CLIENT]).args(ports).stderr(Stdio::piped()).output();
    match python {
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => eprintln!("skipped: there is no python3: {error}"),
    }
}
