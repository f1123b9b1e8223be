//! `serve` with ports that are in use, and `--port-base`.

use std::net::{TcpListener, UdpSocket};
use std::process::Stdio;

use crate::program::{Program, Signal, command, run};
use crate::serving::{assert_echoes, connect};

const HELLO: &[u8] = b"\0\0\0\x05hello";

/// Consecutive ports of the services that run without options, and a holder of some of them.
struct Ports {
    base: u16,
    tcp: Vec<TcpListener>,
    udp: Vec<UdpSocket>,
}

impl Ports {
    const COUNT: u16 = 10;

    /// Holds all of them, TCP and UDP. They are below those that the system chooses for port 0.
    fn hold() -> Self {
        loop {
            let base = 10_000 + fastrand::u16(..2_000) * Self::COUNT;
            let ports = base..base + Self::COUNT;
            let tcp: Vec<_> = ports.clone().map_while(|port| TcpListener::bind(("127.0.0.1", port)).ok()).collect();
            let udp: Vec<_> = ports.map_while(|port| UdpSocket::bind(("127.0.0.1", port)).ok()).collect();
            if (tcp.len(), udp.len()) == (usize::from(Self::COUNT), usize::from(Self::COUNT)) {
                return Self { base, tcp, udp };
            }
        }
    }

    fn base(&self) -> String {
        self.base.to_string()
    }
}

fn serve(args: &[&str]) -> Program {
    Program::start(command(&[&["serve"], args].concat()).stdout(Stdio::piped()))
}

/// Returns the warnings and the error of a `serve` that must fail.
fn failure(args: &[&str]) -> (usize, String) {
    let output = run(&[&["serve"], args].concat());
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(output.stdout.is_empty());
    let warnings = stderr.lines().filter(|line| line.contains("WARN")).count();
    (warnings, stderr.lines().last().unwrap().to_owned())
}

#[test]
fn other_services_are_served_beside_a_busy_port() {
    for engine in ["reactor", "threads"] {
        let mut ports = Ports::hold();
        let first = ports.base;
        // Only the TCP ports of echo and upper stay busy.
        ports.udp.clear();
        ports.tcp.truncate(2);
        let mut server = serve(&["--port-base", &ports.base(), "--engine", engine]);
        let listening: Vec<_> = (0..10).map(|_| server.line().unwrap()).collect();
        let expected = [
            ("echo udp", 0),
            ("greet tcp", 2),
            ("greet udp", 3),
            ("robot tcp", 4),
            ("parrot tcp", 5),
            ("clock tcp", 6),
            ("clock udp", 6),
            ("chat tcp", 7),
            ("chat tcp", 8),
            ("chat udp", 9),
        ];
        let expected = expected.map(|(name, offset)| format!("listening {name} 127.0.0.1:{}", first + offset));
        assert_eq!(listening, expected);
        server.printed_until("service  ");
        for (service, address, is_busy) in [
            ("echo", format!("127.0.0.1:{first}"), true),
            ("echo", format!("udp:127.0.0.1:{first}"), false),
            ("upper", format!("127.0.0.1:{}", first + 1), true),
            ("greet", format!("127.0.0.1:{}", first + 2), false),
        ] {
            let row = server.line().unwrap();
            let cells: Vec<_> = row.split_whitespace().collect();
            assert_eq!(&cells[..2], [service, &*address], "{row}");
            assert_eq!(cells[2..] == ["(busy)"], is_busy, "{row}");
        }
        let warning = server.logged(&format!("echo does not listen on tcp 127.0.0.1:{first}"));
        assert!(warning.contains("WARN") && warning.to_lowercase().contains("address already in use"), "{warning}");
        server.logged(&format!("upper does not listen on tcp 127.0.0.1:{}", first + 1));
        let mut client = connect(&format!("127.0.0.1:{}", first + 4));
        std::io::Write::write_all(&mut client, "你好".as_bytes()).unwrap();
        let mut reply = [0; 6];
        std::io::Read::read_exact(&mut client, &mut reply).unwrap();
        assert_eq!(reply, "你好".as_bytes());
        server.signal(Signal::TERM);
        assert_eq!(server.wait().code(), Some(0));
    }
}

#[test]
fn no_free_port_is_an_error() {
    let ports = Ports::hold();
    let (warnings, error) = failure(&["--port-base", &ports.base()]);
    assert_eq!(warnings, 12);
    let says = "switchboard: cannot listen on any of 12 addresses: Address already in use; choose other ports";
    assert!(error.starts_with(says), "{error}");
    assert!(error.contains("--port-base 0 for free ones"), "{error}");
    // As the error advises.
    let mut server = serve(&["--port-base", "0"]);
    assert_echoes(connect(&server.address("tcp")), HELLO);
}

#[test]
fn advice_for_a_busy_port_can_be_followed() {
    let ports = Ports::hold();
    let (_, error) = failure(&["echo", "--port-base", &ports.base()]);
    assert!(error.starts_with(&format!("switchboard: cannot listen on tcp 127.0.0.1:{}: ", ports.base)), "{error}");
    assert!(error.contains("choose other ports: --port-base "), "{error}");
    assert!(error.ends_with(", or --port-base 0 for free ones"), "{error}");
    let mut server = serve(&["echo", "--port-base", "0"]);
    assert_echoes(connect(&server.address("tcp")), HELLO);
    server.address("udp");

    for (prefix, transport) in [("", "tcp"), ("u32be@", "tcp"), ("udp:", "udp")] {
        let (_, error) = failure(&["echo", "--listen", &format!("{prefix}127.0.0.1:{}", ports.base)]);
        let (_, advice) = error.split_once("choose another port: ").unwrap();
        let advice = advice.strip_suffix(" uses a free one").unwrap();
        let mut server = serve(&[&["echo"], &advice.split(' ').collect::<Vec<_>>()[..]].concat());
        server.address(transport);
    }
}

#[test]
fn busy_address_of_a_file_is_an_error_with_its_line() {
    let ports = Ports::hold();
    let folder = tempfile::tempdir().unwrap();
    let (file, busy) = (folder.path().join("f.toml"), ports.base);
    let text = format!("[upper]\nlisten = '127.0.0.1:0'\n[echo]\nlisten = [\n'127.0.0.1:0',\n'127.0.0.1:{busy}',\n]\n");
    std::fs::write(&file, &text).unwrap();
    let path = file.to_str().unwrap();
    let (_, error) = failure(&["--config", path]);
    let expected = format!("switchboard: {path}:6: cannot listen on tcp 127.0.0.1:{busy}: ");
    assert!(error.starts_with(&expected), "{error}");
    let (_, advice) = error.split_once("listen = ").unwrap();
    let advised = text.replace(&format!("'127.0.0.1:{busy}'"), advice.strip_suffix(" uses a free one").unwrap());
    std::fs::write(&file, advised).unwrap();
    let mut server = serve(&["--config", path]);
    server.printed_until("listening echo");
}

#[test]
fn port_base_contradicts_other_addresses() {
    for (args, says) in [
        (&["echo", "--port-base", "7", "--listen", "127.0.0.1:0"][..], "--port-base cannot be combined with --listen"),
        (&["--port-base", "65530"], "--port-base 65530 is too high for 10 ports: use 65526 or less"),
        (&["--port-base", "65536"], "65536 is not in 0..=65535"),
        (&["--port-base", "-1"], "invalid value '-1' for '--port-base <PORT>'"),
        (&["--port-base", "7", "--config", "f"], "--port-base cannot be combined with --config: write 'listen'"),
    ] {
        let output = run(&[&["serve"], args].concat());
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(says), "{stderr}");
    }
}
