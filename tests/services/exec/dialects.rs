//! The bytes of each dialect.

use std::time::Instant;

use switchboard::services::exec::{ExecDialect, ExecRules};

use super::asker::{Asker, allowing, open, shell};
use crate::support::{Engine, conformance};

conformance! {
    a_header_says_what_follows,
    a_length_is_followed_by_both_outputs,
    ready_waits_for_the_word,
    new_command_discards_the_ready_output,
    early_start_word_is_queued,
    invalid_command_line_gets_an_error,
    output_is_cut_at_once,
    a_flood_leaves_room_for_what_is_said_beside_it,
    a_line_may_end_as_lines_do,
    bytes_of_any_kind_come_as_they_are,
}

fn a_header_says_what_follows<E: Engine>() {
    let (running, addr) = open::<E>(allowing(&["sh", "true"]));
    let mut asker = Asker::connect(addr);
    for (line, name, output, code) in [
        ("sh -c 'echo out; echo err >&2'", "sh", "out\nerr\n", "0"),
        ("sh -c 'exit 3'", "sh", "", "3"),
        ("true", "true", "", "0"),
    ] {
        asker.say(line);
        let answer = asker.header();
        assert_eq!(String::from_utf8_lossy(&answer.output), output);
        let md5 = md5_of(&answer.output);
        let bytes = output.len();
        let expected = format!(
            r#"{{"filename":"{name}","total_size":{bytes},"md5":"{md5}","exit_code":{code},"truncated":false}}"#
        );
        assert_eq!(answer.header, expected);
    }
    asker.say("sh -c 'echo last words; kill -TERM $$'");
    let answer = asker.header();
    assert_eq!(answer.fields["exit_code"], serde_json::Value::Null);
    assert_eq!(String::from_utf8_lossy(&answer.output), "last words\nexec: killed by signal 15\n");
    drop(asker);
    running.drain();
}

/// By another program's account.
fn md5_of(bytes: &[u8]) -> String {
    use std::io::Write;
    use std::process::{Command, Stdio};

    let mut sum = Command::new("md5sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    sum.stdin.take().unwrap().write_all(bytes).unwrap();
    let output = sum.wait_with_output().unwrap().stdout;
    String::from_utf8(output).unwrap()[..32].to_owned()
}

fn a_length_is_followed_by_both_outputs<E: Engine>() {
    let (running, addr) = open::<E>(ExecRules { dialect: ExecDialect::Length, ..allowing(&["sh", "true", "false"]) });
    let mut asker = Asker::connect(addr);
    for (line, bytes) in [
        ("sh -c 'echo err >&2; echo out'", &b"\x08\0\0\0out\nerr\n"[..]),
        ("true", b"\0\0\0\0"),
        ("false", b"\x12\0\0\0exec: exit code 1\n"),
        ("sh -c 'echo no; exit 1'", b"\x03\0\0\0no\n"),
    ] {
        asker.say(line);
        assert_eq!(asker.exactly(bytes.len()), bytes, "{line}");
    }
    drop(asker);
    running.drain();
}

fn ready_waits_for_the_word<E: Engine>() {
    let (running, addr) = open::<E>(ExecRules { dialect: ExecDialect::Ready, ..allowing(&["echo", "true"]) });
    let mut asker = Asker::connect(addr);
    for (line, bytes) in [("echo hello", &b"hello\n"[..]), ("true", b"cmd ERROR")] {
        asker.say(line);
        let announced = format!("Ready|{}", bytes.len());
        assert_eq!(asker.exactly(announced.len()), announced.as_bytes());
        asker.say("Start");
        assert_eq!(asker.exactly(bytes.len()), bytes);
    }
    asker.say("Start");
    let bytes = asker.ready();
    asker.say("Start\r\n");
    let text = String::from_utf8(asker.exactly(bytes)).unwrap();
    assert_eq!(text, "exec: 'Start' is not allowed; allowed: echo true\n", "nothing was ready");
    drop(asker);
    running.drain();
}

fn new_command_discards_the_ready_output<E: Engine>() {
    let (running, addr) = open::<E>(ExecRules { dialect: ExecDialect::Ready, ..allowing(&["echo"]) });
    let mut asker = Asker::connect(addr);
    asker.say("echo first");
    assert_eq!(asker.ready(), 6);
    assert_eq!(asker.ask_in(ExecDialect::Ready, "echo the second"), b"the second\n");
    drop(asker);
    running.drain();
}

fn early_start_word_is_queued<E: Engine>() {
    let (running, addr) = open::<E>(ExecRules { dialect: ExecDialect::Ready, ..shell() });
    let folder = tempfile::tempdir().unwrap();
    let mut begun = super::fifo::Fifo::new(folder.path(), "begun");
    let gate = super::fifo::make(folder.path(), "gate");
    let mut asker = Asker::connect(addr);
    asker.say(format!("echo begun > {}; cat {}; echo done", begun.path(), gate.display()));
    assert_eq!(begun.line(), "begun");
    asker.say("Start");
    super::fifo::release(&gate);
    assert_eq!(asker.exactly(12), b"Ready|5done\n");
    drop(asker);
    running.drain();
}

fn invalid_command_line_gets_an_error<E: Engine>() {
    for dialect in [ExecDialect::Header, ExecDialect::Length, ExecDialect::Ready] {
        let (running, addr) = open::<E>(ExecRules { dialect, ..allowing(&["echo"]) });
        let mut asker = Asker::connect(addr);
        for (line, says) in [
            ("rm -rf /", "exec: 'rm' is not allowed; allowed: echo\n"),
            (" ", "exec: there is no command; allowed: echo\n"),
            ("\n", "exec: there is no command; allowed: echo\n"),
            ("# echo", "exec: there is no command; allowed: echo\n"),
            ("echo 'no end", "exec: a quotation mark or a backslash has no end\n"),
            ("echo no end\\", "exec: a quotation mark or a backslash has no end\n"),
            ("echo a\0b", "exec: a command line holds no NUL\n"),
            ("echo still there", "still there\n"),
        ] {
            assert_eq!(String::from_utf8_lossy(&asker.ask_in(dialect, line)), says, "{dialect} {line:?}");
        }
        drop(asker);
        running.drain();
    }
}

fn output_is_cut_at_once<E: Engine>() {
    let begun = Instant::now();
    for dialect in [ExecDialect::Header, ExecDialect::Length, ExecDialect::Ready] {
        let (running, addr) = open::<E>(ExecRules { dialect, ..allowing(&["yes", "head"]) });
        let mut asker = Asker::connect(addr);
        let output = asker.ask_in(dialect, "yes");
        if dialect == ExecDialect::Header {
            assert_eq!(output, b"y\n".repeat(1 << 19));
        } else {
            let mark = b"y\nexec: cut: it said more than 1048576 bytes\n";
            assert!(output.ends_with(mark) && output.len() <= 1 << 20 && output.len() > 1_000_000);
        }
        let whole = asker.ask_in(dialect, "head -c 1048576 /dev/zero");
        assert_eq!(whole, vec![0; 1 << 20], "this is not more than there may be");
        drop(asker);
        running.drain();
    }
    assert!(begun.elapsed() < crate::support::guard(), "nobody waited for the time limit");
}

fn a_flood_leaves_room_for_what_is_said_beside_it<E: Engine>() {
    let (running, addr) = open::<E>(allowing(&["sh"]));
    let mut asker = Asker::connect(addr);
    asker.say("sh -c 'echo why >&2; yes'");
    let answer = asker.header();
    assert_eq!(answer.fields["truncated"], true);
    assert_eq!(answer.output.len(), 1 << 20);
    assert!(answer.output.ends_with(b"y\nwhy\n"));
    drop(asker);
    running.drain();
}

fn a_line_may_end_as_lines_do<E: Engine>() {
    let (running, addr) = open::<E>(allowing(&["echo"]));
    let mut asker = Asker::connect(addr);
    for line in ["echo a b", "echo a b\n", "echo a b\r\n", "  echo  a\tb  "] {
        assert_eq!(asker.ask(line), "a b\n", "{line:?}");
    }
    drop(asker);
    running.drain();
}

fn bytes_of_any_kind_come_as_they_are<E: Engine>() {
    let (running, addr) = open::<E>(allowing(&["printf"]));
    let mut asker = Asker::connect(addr);
    let all: Vec<u8> = (0..=255).collect();
    let octal: Vec<String> = all.iter().map(|byte| format!("\\{byte:03o}")).collect();
    asker.say(format!("printf '{}'", octal.concat()));
    assert_eq!(asker.header().output, all);
    asker.say(b"printf %s \xff\xfe");
    assert_eq!(asker.header().output, b"\xff\xfe", "and so do words that are no text");
    drop(asker);
    running.drain();
}
