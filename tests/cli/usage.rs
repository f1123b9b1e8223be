//! Wrong usage: exit code 2 and one line of error text.

use crate::program::run;

/// Arguments, and a part of the error.
const WRONG_USAGES: &[(&[&str], &str)] = &[
    (
        &["serve", "ech"],
        "unknown service 'ech': use one of echo, upper, greet, robot, parrot, clock, chat, files, exec",
    ),
    (&["serve", "ecko"], "tip: a similar service exists: 'echo'"),
    (&["serv"], "unrecognized subcommand 'serv'"),
    (&["serve", "echo", "--console"], "--console does not apply to echo: it is an option of chat"),
    (&["serve", "--console", "echo"], "--console does not apply to echo: it is an option of chat"),
    (&["serve", "--seed", "1", "chat"], "--seed does not apply to chat: it is an option of parrot"),
    (&["serve", "--framing", "raw", "echo", "--framing", "raw"], "cannot be used multiple times"),
    (&["serve", "echo", "upper"], "unexpected argument 'upper' found"),
    (&["serve", "echo", "--config", "x"], "echo cannot be combined with --config: write [echo] in the file"),
    (&["serve", "--config", "x", "echo"], "echo cannot be combined with --config: write [echo] in the file"),
    (&["serve", "chat", "--encoding", "klingon"], "no such encoding: write a label"),
    (&["serve", "chat", "--encoding", "utf-16le"], "UTF-16LE does not contain ASCII"),
    (&["serve", "chat", "--colour", "eva=red"], "--colour applies only to the console: add --console"),
    (&["serve", "--colour", "eva=red", "chat"], "--colour applies only to the console: add --console"),
    (&["serve", "--colour", "eva=red"], "--colour applies only to the console: add --console"),
    (&["serve", "chat", "--console", "--colour", "eva=mauve"], "mauve"),
    (&["serve", "chat", "--listen", "udp:0.0.0.0:0"], "is reachable from other machines: add --udp-public"),
    (
        &["serve", "chat", "--listen", "u8@127.0.0.1:0"],
        "tcp 127.0.0.1:0 cannot use the framing u8: its frames are too small for chat",
    ),
    (&["serve", "echo", "--port", "1"], "unexpected argument '--port' found"),
    (&["serve", "echo", "--framin", "lines"], "a similar argument exists: '--framing'"),
    (&["serve", "echo", "--framing", "u7"], "unknown framing 'u7': write one of u8 u16be"),
    (&["serve", "echo", "--framing", "lines,offset=1"], "framing 'lines' has no options"),
    (&["serve", "echo", "--listen"], "a value is required for '--listen <ADDR>'"),
    (&["serve", "echo", "--listen", "7000"], "--listen 7000 is not an address: write host:port"),
    (&["serve", "echo", "--listen", "127.0.0.1:66000"], "--listen 127.0.0.1:66000 is not an address"),
    (&["serve", "echo", "--listen", "unix:"], "--listen unix: is not an address"),
    (&["serve", "echo", "--listen", "u7@127.0.0.1:0"], "unknown framing 'u7'"),
    (&["serve", "echo", "--listen", "lines@udp:127.0.0.1:0"], "a udp: address takes no framing"),
    (&["serve", "echo", "--max-frame-bytes", "lots"], "not a size: write bytes"),
    (&["serve", "echo", "--idle-timeout", "soon"], "not a duration: write seconds, or a number with its unit"),
    (&["serve", "echo", "--slow-consumer", "wait"], "possible values: disconnect, drop-newest, drop-oldest"),
    (&["serve", "echo", "--max-connections", "0"], "--max-connections must be at least 1"),
    (&["serve", "echo", "--max-frame-bytes", "1G"], "--max-buffered-bytes must be at least twice (max-frame-bytes"),
    (&["serve", "echo", "--engine", "fibres"], "invalid value 'fibres' for '--engine <NAME>'"),
    (&["serve", "echo", "--work-us", "-1"], "invalid value '-1' for '--work-us <N>'"),
    (&["serve", "echo", "--workers", "many"], "invalid value 'many' for '--workers <N>'"),
    (&["serve", "echo", "--max-connections", "-1"], "invalid value '-1' for '--max-connections"),
    (&["serve", "echo", "--listen", ":7000"], "--listen :7000 names no host: write 127.0.0.1:7000 or 0.0.0.0:7000"),
    (&["serve", "echo", "--listen", "unix:a\nb"], "--listen unix:a\\nb contains a control character"),
    (&["serve", "echo", "--listen", "*:7000"], "--listen *:7000 names no host"),
    (&["bench", "chess"], "unrecognized subcommand 'chess'"),
    (&["bench", "echo", "7000"], "7000 is not an address: write host:port"),
    (
        &["bench", "echo", "127.0.0.1:0"],
        "127.0.0.1:0 has port 0, which stands for any free port: write the server's port",
    ),
    (&["bench", "echo", "--payload", "9..1"], "a range begins with the smaller size"),
    (&["bench", "echo", "--rate", "fast"], "not a rate: write a number per second"),
    (&["bench", "echo", "--rate", "1k", "--in-flight", "2"], "cannot be used with"),
    (&["bench", "echo", "--churn", "--idle"], "cannot be used with"),
    (&["bench", "echo", "--slo", "p99<5ms"], "required arguments were not provided: --find-max"),
    (&["bench", "echo", "--find-max", "--slo", "5ms"], "not an objective: write a quantile"),
    (&["bench", "echo", "--find-max", "--churn"], "cannot be used with"),
    (&["bench", "echo", "--json", "--csv"], "cannot be used with"),
    (&["bench", "echo", "--udp", "--framing", "u8"], "cannot be used with"),
    (&["bench", "echo", "127.0.0.1:1", "--engine", "threads"], "cannot be used with"),
    (&["bench", "echo", "127.0.0.1:1", "--no-pin"], "cannot be used with"),
    (&["bench", "echo", "--server-pid", "1"], "required arguments were not provided: <ADDR>"),
    (&["bench", "echo", "unix:/x", "--udp"], "--udp contradicts unix:/x"),
    (&["bench", "echo", "--duration", "0"], "--duration: must be longer than zero"),
    (&["bench", "echo", "--in-flight", "0"], "--in-flight: at least one is needed"),
    (&["bench", "echo", "--payload", "300", "--framing", "u8"], "--payload: "),
    (
        &["bench", "echo", "--in-flight", "1000000000"],
        "--in-flight: at most 335544 are possible on each connection (connections: 50)",
    ),
    (&["bench", "echo", "--connections", "18446744073709551615"], "--connections: at most 1000000 are possible"),
    (&["bench", "echo", "--slow-readers", "18446744073709551615"], "--slow-readers: at most 1000000 are possible"),
    (&["bench", "echo", "--payload", "1G"], "--payload: 1073741824 bytes on each of 50 connections exceed the maximum"),
    (&["bench", "echo", "--json", "--html", "-"], "--json cannot be used with --html if both write to standard output"),
    (&["bench", "echo", "--html", "x", "--hdr", "x"], "--html cannot be used with --hdr if both write to x"),
    (&["bench", "echo", "--csv", "--hdr=-"], "--csv cannot be used with --hdr if both write to standard output"),
    (
        &["bench", "echo", "--csv", "127.0.0.1:7000"],
        "--csv 127.0.0.1:7000 would write a file of this name: write the server's address before --csv",
    ),
    (&["duel", "echo", "--json", "--html", "-"], "--json cannot be used with --html if both write to standard output"),
    (&["duel", "echo", "--rounds", "18446744073709551615"], "--rounds must be at most 1000"),
    (&["duel", "echo", "--in-flight", "1000000000"], "--in-flight: at most "),
    (&["bench", "chat", "8000"], "8000 is not an address: write host:port"),
    (
        &["bench", "chat", "udp:127.0.0.1:8003"],
        "bench chat does not support UDP, because each member needs a connection",
    ),
    (&["bench", "chat", "--rate", "1k", "--idle"], "cannot be used with"),
    (&["bench", "chat", "--publishers", "2", "--idle"], "cannot be used with"),
    (&["bench", "chat", "--connections", "2"], "unexpected argument '--connections' found"),
    (&["bench", "chat", "127.0.0.1:1", "--engine", "threads"], "cannot be used with"),
    (&["bench", "chat", "--server-pid", "1"], "required arguments were not provided: <ADDR>"),
    (
        &["bench", "chat", "127.0.0.1:1", "--payload", "39"],
        "--payload: a text has between 40 (its stamp) and 4096 bytes",
    ),
    (&["bench", "chat", "127.0.0.1:1", "--rooms", "2", "--publishers", "1"], "--publishers: each of the 2 rooms"),
    (&["bench", "chat", "127.0.0.1:1", "--in-flight", "0"], "--in-flight: at least one is needed"),
    (
        &["bench", "chat", "--in-flight", "1000000000"],
        "--in-flight: at most 1048576 are possible in each room (rooms: 1)",
    ),
    (&["bench", "chat", "--members", "18446744073709551615"], "--members: at most 1000000 are possible"),
    (&["bench", "chat", "--rooms", "18446744073709551615"], "--rooms: 1000 members need between 1 and 1000 rooms"),
    (&["-v", "-q", "serve"], "cannot be used with"),
    (&["serve", "-q", "echo", "-v"], "cannot be used with"),
    (&["serve", "-v", "echo", "-q"], "cannot be used with"),
    (&["-q", "serve", "echo", "-v"], "cannot be used with"),
    (&["man", "chess"], "unknown subcommand 'chess': use one of serve"),
    (&["man", "call", "chess"], "unknown subcommand 'chess': use one of echo upper"),
    (&["man", "call", "chat", "now"], "has no subcommands, but 'now' is given"),
    (&["call", "chess"], "unrecognized subcommand 'chess'"),
    (&["call", "chat", "7000"], "7000 is not an address: write host:port"),
    (&["call", "chat", "127.0.0.1:0"], "127.0.0.1:0 is not a server's address: port 0 stands for any port"),
    (&["call", "chat", "udp:127.0.0.1:8003", "--framing", "lines"], "--framing lines is for streams"),
    (&["call", "chat", "--framing", "raw"], "--framing raw needs ADDR"),
    (&["call", "chat", "--color", "pink"], "invalid value 'pink' for '--color <WHEN>'"),
    (&["man", "bench", "chess"], "unknown subcommand 'chess': use one of echo chat"),
    (&["man", "serve", "chess"], "unknown subcommand 'chess': use one of echo upper"),
    (&["man", "serve", "echo", "now"], "echo has no subcommands, but 'now' is given"),
    (&["completions"], "required arguments were not provided: <SHELL>"),
];

#[test]
fn wrong_usage_is_one_clear_line() {
    for &(args, says) in WRONG_USAGES {
        let output = run(args);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
        assert!(output.stdout.is_empty(), "{args:?}");
        let lines: Vec<_> = stderr.lines().collect();
        let [line] = lines[..] else { panic!("{args:?}: {stderr}") };
        assert!(line.starts_with("error: ") && line.contains(says), "{args:?}: {line}");
        assert!(line.ends_with("; try --help"), "{args:?}: {line}");
    }
}

#[test]
fn no_command_at_all_is_answered_with_the_commands() {
    for (args, command) in [(&[][..], "\n  serve "), (&["bench"], "\n  chat ")] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(2));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains("Commands:") && stderr.contains(command), "{args:?}: {stderr}");
    }
}

/// An error in a file's text is wrong usage; a file that cannot be read is a failure.
#[test]
fn unreadable_files_exit_with_1() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let nowhere = folder.path().join("nowhere").to_str().unwrap().to_owned();
    let directory = folder.path().to_str().unwrap().to_owned();
    let no_text = file("no-text", b"[echo]\nframing = \"\xff\"\n");
    let large = file("large", &b"# large\n".repeat(200_000));
    let names_unreadable =
        file("unreadable", format!("[robot]\nrules = '{nowhere}'\n[files]\nroot = '{nowhere}'").as_bytes());
    let both = file("both", format!("[robot]\nrules = '{nowhere}'\n[echo]\nfoo = 1").as_bytes());
    let invalid = file("invalid", b"[echo]\nlisten = []\n");
    for (path, code, says) in [
        (&nowhere, 1, "cannot read "),
        (&directory, 1, "cannot read "),
        (&no_text, 1, ":2: invalid UTF-8"),
        (&large, 1, "is larger than"),
        (&names_unreadable, 1, "unreadable:2: cannot read "),
        (&names_unreadable, 1, "unreadable:4: cannot serve "),
        (&both, 2, "both:2: cannot read "),
        (&both, 2, "both:4: unknown key foo"),
        (&invalid, 2, "invalid:2: listen is an empty list: write a value, or remove the key"),
    ] {
        for args in [&["config", "check", path][..], &["serve", "--config", path]] {
            let output = run(args);
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
            assert!(stderr.contains(says), "{args:?}: {stderr}");
        }
    }
    for args in [
        &["serve", "robot", "--rules", &nowhere][..],
        &["serve", "robot", "--rules", &no_text],
        &["serve", "files", "--root", &nowhere],
        &["serve", "exec", "--allow", "date", "--token-file", &nowhere],
        &["call", "exec", "--token-file", &nowhere, "127.0.0.1:1", "--", "date"],
    ] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
