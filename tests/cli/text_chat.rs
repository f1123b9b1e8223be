//! `call chat` with servers that have no JSON: programs of the tutorials' kind, which answer with
//! the text that their operator types, and this crate's own text listeners.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{ChildStdin, Stdio};

use socket2::Type;

use crate::localhost::alone_at_localhost;
use crate::peer::Fake;
use crate::program::{Program, command, run};
use crate::terminal::Terminal;
use crate::text::{call, ended, over_udp};

/// The next `recv(1024)`, which must return this.
#[track_caller]
fn expect_read(stream: &mut TcpStream, bytes: &[u8]) {
    let mut received = [0; 1024];
    let count = stream.read(&mut received).unwrap();
    assert_eq!(received[..count].escape_ascii().to_string(), bytes.escape_ascii().to_string());
}

/// The client with its standard input in the test's hands.
fn start(args: &[&str]) -> (Program, ChildStdin) {
    let mut command = command(&[&["call", "chat"], args].concat());
    Program::start_with_input(command.env("USER", "e va").stdin(Stdio::piped()).stdout(Stdio::piped()))
}

#[test]
fn datagram_has_the_name_and_the_answer_is_printed() {
    for (encoding, sent, answer) in [
        ("utf-8", "egon : hi, 你好".as_bytes(), "你好\u{1b}".as_bytes()),
        ("gbk", b"egon : hi, \xc4\xe3\xba\xc3", b"\xc4\xe3\xba\xc3\x1b"),
    ] {
        let (server, address) = over_udp::socket();
        let args = ["chat", &address, "--nick", "egon", "--encoding", encoding];
        let program = call(&args, "hi, 你好\n\nbye\n".as_bytes());
        let client = over_udp::expect(&server, sent);
        server.send_to(answer, client).unwrap();
        over_udp::expect(&server, b"egon : bye");
        server.send_to(b"", client).unwrap();
        // Control characters never reach the output. An empty answer is an answer.
        assert_eq!(ended(program), (Some(0), "你好\\u{1b}\n\n".to_owned(), String::new()), "{encoding}");
    }
}

#[test]
fn text_is_printed_while_the_input_is_open() {
    let (server, address) = over_udp::socket();
    let (mut program, mut input) = start(&["--udp", address.strip_prefix("udp:").unwrap()]);
    input.write_all(b"one\n").unwrap();
    // The value of USER is no nick.
    let client = over_udp::expect(&server, b"guest : one");
    for text in ["first", "second", "third"] {
        server.send_to(text.as_bytes(), client).unwrap();
        assert_eq!(program.line().as_deref(), Some(text));
    }
    drop(input);
    assert_eq!(ended(program), (Some(0), String::new(), String::new()));
}

#[test]
fn address_is_proved_when_the_server_asks() {
    let (server, address) = over_udp::socket();
    let program = call(&["chat", &address, "--nick", "egon"], b"hi\n");
    let client = over_udp::expect(&server, b"egon : hi");
    server.send_to(b"error : to join, type /prove 0123456789ab", client).unwrap();
    over_udp::expect(&server, b"egon : /prove 0123456789ab hi");
    // Once for each line: a second request is shown.
    server.send_to(b"error : to join, type /prove ffffffffffff", client).unwrap();
    let shown = "error : to join, type /prove ffffffffffff\n".to_owned();
    assert_eq!(ended(program), (Some(0), shown, String::new()));
}

#[test]
fn line_without_an_answer_is_reported_and_the_next_sent() {
    let (server, address) = over_udp::socket();
    let program = call(&["chat", &address, "--nick", "egon", "--timeout", "200ms"], b"one\ntwo\n");
    over_udp::expect(&server, b"egon : one");
    let client = over_udp::expect(&server, b"egon : two");
    let log = "* 'one': no answer within 200ms: UDP may have lost the line or the answer\n\
               * 'two': no answer within 200ms: UDP may have lost the line or the answer\n\
               switchboard: ADDRESS: no answer to any line\n";
    assert_eq!(ended(program), (Some(1), String::new(), log.replace("ADDRESS", &address)));

    // One answer is enough: a server need not answer each line.
    let (mut program, mut input) = start(&[&address, "--nick", "egon", "--timeout", "200ms"]);
    input.write_all(b"one\n").unwrap();
    let other_client = over_udp::expect(&server, b"egon : one");
    // For the client of before, which has ended.
    server.send_to(b"late", client).unwrap();
    program.logged("'one': no answer within 200ms");
    input.write_all(b"two\n").unwrap();
    over_udp::expect(&server, b"egon : two");
    server.send_to(b"yes?", other_client).unwrap();
    assert_eq!(program.line().as_deref(), Some("yes?"));
    drop(input);
    assert_eq!(ended(program).0, Some(0));
}

#[test]
fn udp_port_without_a_server_has_advice() {
    let (server, address) = over_udp::socket();
    // The bound socket keeps the port; connected to itself, it accepts no other datagram.
    server.connect(server.local_addr().unwrap()).unwrap();
    let log = format!(
        "switchboard: cannot reach {address}: no server listens there; start one with 'switchboard serve chat \
         --listen {address}'\n"
    );
    assert_eq!(ended(call(&["chat", &address], b"hi\nho\n")), (Some(1), String::new(), log));
}

/// A tutorial's server listens on 127.0.0.1, and `localhost` may be `::1` first.
#[test]
fn every_udp_address_of_a_name_is_tried() {
    let ((server, address), _port) = alone_at_localhost(Type::DGRAM, || {
        let (server, address) = over_udp::socket();
        let port = server.local_addr().unwrap().port();
        ((server, address), port)
    });
    let address = address.replace("127.0.0.1", "localhost");
    let program = call(&["chat", &address, "--nick", "egon"], b"hi\n");
    let client = over_udp::expect(&server, b"egon : hi");
    server.send_to(b"found", client).unwrap();
    assert_eq!(ended(program), (Some(0), "found\n".to_owned(), String::new()));
}

#[test]
fn line_that_cannot_be_sent_is_reported() {
    let (server, address) = over_udp::socket();
    let program = call(&["chat", &address, "--nick", "egon", "--encoding", "gbk"], "é\u{1f980}\nhi\n".as_bytes());
    let client = over_udp::expect(&server, b"egon : hi");
    server.send_to(b"ok", client).unwrap();
    let log = "* 'é\u{1f980}': not sent: GBK has no '\u{1f980}'\nswitchboard: lines not sent: 1\n";
    assert_eq!(ended(program), (Some(1), "ok\n".to_owned(), log.to_owned()));

    let longest = "x".repeat(65_507 - "egon : ".len());
    let program = call(&["chat", &address, "--nick", "egon"], format!("{longest}x\n{longest}\n").as_bytes());
    let mut received = vec![0; 65_507];
    let (count, client) = server.recv_from(&mut received).unwrap();
    assert_eq!(count, 65_507);
    server.send_to(b"ok", client).unwrap();
    let (code, printed, log) = ended(program);
    assert_eq!((code, &*printed), (Some(1), "ok\n"));
    assert!(log.contains("not sent: text too large for one datagram: 65508 bytes (maximum 65507)"), "{log}");
}

#[test]
fn raw_lines_are_sent_one_after_the_other() {
    let server = Fake::new();
    let args = ["chat", &server.address(), "--framing", "raw", "--encoding", "gbk"];
    let program = call(&args, "你好\nhow\n\nbye\n".as_bytes());
    let mut peer = server.accept_raw();
    expect_read(&mut peer, b"\xc4\xe3\xba\xc3");
    // The network cuts a character in two.
    peer.write_all(b"\xc4\xe3\xba").unwrap();
    peer.write_all(b"\xc3").unwrap();
    expect_read(&mut peer, b"how");
    peer.write_all(b"one\ntwo").unwrap();
    expect_read(&mut peer, b"bye");
    peer.write_all(b"bye").unwrap();
    assert_eq!(peer.read(&mut [0; 10]).unwrap(), 0, "the client shuts down writing after its last line");
    peer.write_all(b"last words").unwrap();
    drop(peer);
    let (code, printed, log) = ended(program);
    assert_eq!((code, &*log), (Some(0), ""));
    let lines: Vec<_> = printed.lines().collect();
    assert!(printed.starts_with("你") && lines.concat() == "你好onetwobyelast words", "{printed}");
    assert!(lines.contains(&"two") && lines.ends_with(&["last words"]), "{printed}");
}

#[test]
fn lines_end_with_a_line_feed_and_answers_need_none() {
    let server = Fake::new();
    let program = call(&["chat", &server.address(), "--framing", "lines"], b"one\ntwo");
    let mut peer = server.accept_raw();
    expect_read(&mut peer, b"one\n");
    peer.write_all(b"no line feed").unwrap();
    expect_read(&mut peer, b"two\n");
    peer.write_all("several\r\nli\u{1b}nes\n".as_bytes()).unwrap();
    drop(peer);
    assert_eq!(ended(program), (Some(0), "no line feed\nseveral\nli\\u{1b}nes\n".to_owned(), String::new()));
}

#[test]
fn greeting_is_not_the_answer_to_the_first_line() {
    let server = Fake::new();
    let (mut program, mut input) = start(&[&server.address(), "--framing", "raw"]);
    let mut peer = server.accept_raw();
    peer.write_all(b"hello, who are you?").unwrap();
    assert_eq!(program.line().as_deref(), Some("hello, who are you?"));
    input.write_all(b"egon\nbye\n").unwrap();
    drop(input);
    expect_read(&mut peer, b"egon");
    peer.write_all(b"hi").unwrap();
    expect_read(&mut peer, b"bye");
    drop(peer);
    // A server may take the last line for a goodbye.
    assert_eq!(ended(program), (Some(0), "hi\n".to_owned(), String::new()));
}

#[test]
fn server_that_closes_before_the_last_line_is_an_error() {
    for (input, says) in [
        (&b"bye\nand more\n"[..], "the server closed the connection before 'and more' was sent"),
        (b"bye\n", "the server closed the connection before the end of the input"),
    ] {
        let server = Fake::new();
        let (program, mut stdin) = start(&[&server.address(), "--framing", "raw"]);
        stdin.write_all(input).unwrap();
        let mut peer = server.accept_raw();
        expect_read(&mut peer, b"bye");
        drop(peer);
        let log = format!("switchboard: {}: {says}\n", server.address());
        assert_eq!(ended(program), (Some(1), String::new(), log));
    }
}

#[test]
fn silent_server_is_reported_at_the_end() {
    let server = Fake::new();
    let program = call(&["chat", &server.address(), "--framing", "raw", "--timeout", "200ms"], b"hi\n");
    let mut peer = server.accept_raw();
    expect_read(&mut peer, b"hi");
    let log = "* 'hi': no answer within 200ms\nswitchboard: ADDRESS: no answer to any line\n";
    assert_eq!(ended(program), (Some(1), String::new(), log.replace("ADDRESS", &server.address())));
    // Without a line, no answer is expected.
    let program = call(&["chat", &server.address(), "--framing", "lines"], b"");
    let mut peer = server.accept_raw();
    assert_eq!(peer.read(&mut [0; 10]).unwrap(), 0);
    drop(peer);
    assert_eq!(ended(program), (Some(0), String::new(), String::new()));
}

#[test]
fn text_in_another_encoding_is_noted_once() {
    let server = Fake::new();
    let program = call(&["chat", &server.address(), "--framing", "raw"], b"one\ntwo\n");
    let mut peer = server.accept_raw();
    expect_read(&mut peer, b"one");
    peer.write_all(b"\xff").unwrap();
    expect_read(&mut peer, b"two");
    peer.write_all(b"\xff.").unwrap();
    assert_eq!(peer.read(&mut [0; 10]).unwrap(), 0);
    drop(peer);
    let (code, printed, log) = ended(program);
    assert_eq!((code, &*printed), (Some(0), "\u{fffd}\n\u{fffd}.\n"));
    assert_eq!(log.matches("choose another with --encoding").count(), 1, "{log}");
}

/// The program's own server, with a listener of each text dialect.
fn serve() -> (Program, [String; 3]) {
    let listens = ["lines@127.0.0.1:0", "raw@127.0.0.1:0", "udp:127.0.0.1:0"].map(|listen| ["--listen", listen]);
    let args = [&["serve", "chat"], listens.as_flattened()].concat();
    let mut server = Program::start(command(&args).stdout(Stdio::piped()));
    let [lines, raw] = [(); 2].map(|()| server.address("tcp"));
    let udp = format!("udp:{}", server.address("udp"));
    (server, [lines, raw, udp])
}

#[test]
fn own_server_is_called_in_every_text_dialect() {
    let (_server, [lines, raw, udp]) = serve();
    let (mut eva, mut eva_input) = start(&[&lines, "--framing", "lines"]);
    eva.printed_until("you are guest-");
    eva_input.write_all(b"/nick eva\n").unwrap();
    eva.printed_until(" is now eva");

    let (mut bob, mut bob_input) = start(&[&raw, "--framing", "raw"]);
    bob.printed_until("you are guest-");
    bob_input.write_all(b"/nick bob\n").unwrap();
    eva.printed_until("bob has joined");

    let (mut zoe, mut zoe_input) = start(&[&udp, "--nick", "zoe"]);
    zoe_input.write_all(b"hello\n").unwrap();
    assert_eq!(zoe.line().as_deref(), Some("zoe : hello"));
    assert_eq!(eva.printed_until("zoe: "), "[lobby] zoe: hello");
    bob_input.write_all("grüße\n".as_bytes()).unwrap();
    for (client, line) in
        [(&mut eva, "[lobby] bob: grüße"), (&mut bob, "[lobby] bob: grüße"), (&mut zoe, "bob : grüße")]
    {
        assert_eq!(client.printed_until("grüße"), line);
    }
    for (client, input) in [(eva, eva_input), (bob, bob_input), (zoe, zoe_input)] {
        drop(input);
        let (code, _, log) = ended(client);
        assert_eq!((code, &*log), (Some(0), ""));
    }
}

/// The client at a terminal, with its prompt on the screen.
fn terminal(args: &[&str], prompt: &str) -> Terminal {
    let terminal = Terminal::run(&[&["call", "chat"], args].concat());
    terminal.shows(&[prompt]);
    terminal
}

#[test]
fn prompt_stays_whole_while_datagrams_arrive() {
    let (server, address) = over_udp::socket();
    let mut terminal = terminal(&[&address, "--nick", "egon"], "egon> ");
    terminal.types("hi\r");
    let client = over_udp::expect(&server, b"egon : hi");
    terminal.shows(&["egon> hi", "egon> "]);
    terminal.types("half a");
    terminal.shows(&["egon> hi", "egon> half a"]);
    server.send_to("你好".as_bytes(), client).unwrap();
    server.send_to(b"two\nlines", client).unwrap();
    terminal.shows(&["egon> hi", "你好", "two", "lines", "egon> half a"]);
    terminal.types(" line\r");
    over_udp::expect(&server, b"egon : half a line");
    terminal.shows(&["egon> hi", "你好", "two", "lines", "egon> half a line", "egon> "]);
    terminal.types("\x04");
    assert_eq!(terminal.code(), 0);
    assert!(terminal.is_cooked());
}

#[test]
fn prompt_stays_whole_while_text_arrives() {
    for framing in ["raw", "lines"] {
        let server = Fake::new();
        let mut terminal = terminal(&[&server.address(), "--framing", framing], "chat> ");
        let mut peer = server.accept_raw();
        terminal.types("half a");
        terminal.shows(&["chat> half a"]);
        peer.write_all(b"who is there?").unwrap();
        terminal.shows(&["who is there?", "chat> half a"]);
        terminal.types(" line\r");
        expect_read(&mut peer, if framing == "raw" { b"half a line" } else { b"half a line\n" });
        peer.write_all(b"aha").unwrap();
        terminal.shows(&["who is there?", "chat> half a line", "aha", "chat> "]);
        drop(peer);
        assert_eq!(terminal.code(), 0, "{framing}");
        terminal.shows(&["who is there?", "chat> half a line", "aha", "* the server closed the connection", ""]);
        assert!(terminal.is_cooked());
    }
}

#[test]
fn missing_answer_is_reported_above_the_prompt() {
    let (server, address) = over_udp::socket();
    let mut terminal = terminal(&[&address, "--nick", "egon", "--timeout", "100ms"], "egon> ");
    terminal.types("hi\r");
    over_udp::expect(&server, b"egon : hi");
    terminal.shows(&[
        "egon> hi",
        "* 'hi': no answer within 100ms: UDP may have lost the line o",
        "r the answer",
        "egon> ",
    ]);
}

#[test]
fn pasted_lines_are_sent_whole_or_as_lines() {
    let paste = "\x1b[200~two\rlines\x1b[201~\r";
    let server = Fake::new();
    let mut terminal = terminal(&[&server.address(), "--framing", "lines"], "chat> ");
    let mut peer = server.accept_raw();
    terminal.types(paste);
    let mut received = [0; 10];
    peer.read_exact(&mut received).unwrap();
    assert_eq!(&received, b"two\nlines\n");
    let (server, address) = over_udp::socket();
    let mut terminal = self::terminal(&[&address, "--nick", "egon"], "egon> ");
    terminal.types(paste);
    over_udp::expect(&server, b"egon : two\nlines");
}

#[test]
fn options_that_do_not_fit_are_refused() {
    for (args, says) in [
        (&["udp:127.0.0.1:9", "--framing", "raw"][..], "--framing raw is for streams"),
        (&["127.0.0.1:9", "--encoding", "gbk"], "JSON is always UTF-8"),
        (&["127.0.0.1:9", "--framing", "raw", "--nick", "eva"], "type '/nick eva' if the server has that command"),
        (&["127.0.0.1:9", "--framing", "lines", "--room", "tea"], "type '/join tea' if the server has that command"),
        (&["127.0.0.1:9", "--framing", "lines", "--json"], "--json prints the events of JSON"),
        (&["--framing", "raw"], "--framing raw needs ADDR"),
        (&["udp:127.0.0.1:9", "--nick", "e:va"], "a name has no colon"),
        (&["udp:127.0.0.1:9", "--nick", "e\nva"], "a name has no control characters"),
        (&["udp:127.0.0.1:9", "--nick", " "], "a name has visible characters"),
        (&["udp:127.0.0.1:9", "--nick", "\u{1f980}", "--encoding", "gbk"], "GBK has no"),
        (&["udp:255.255.255.255:9"], "broadcast"),
        (&["127.0.0.1:9", "--timeout", "0"], "--timeout 0 leaves no time"),
    ] {
        let output = run(&[&["call", "chat"], args].concat());
        let log = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && log.contains(says), "{args:?}: {log}");
    }
}
