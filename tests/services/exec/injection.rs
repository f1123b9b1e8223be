//! No shell interprets a command line: it never runs a program that is not allowed, and never
//! creates a file.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use switchboard::Framing;
use switchboard::services::exec::Program;

use super::asker::{Asker, allowing, open, open_framed};
use crate::support::{Engine, conformance, encode_frame};

conformance! {
    shell_syntax_is_passed_as_arguments,
    a_program_goes_by_its_own_name_alone,
    too_long_lines_are_rejected_and_the_rest_is_not_run,
    a_browser_is_sent_away_before_it_comes_to_the_point,
    thousands_of_arguments_are_accepted,
    commands_see_nothing_of_ours,
}

/// Prints each argument between brackets on a separate line, so that every byte of it is visible.
fn arguments(addr: SocketAddr, rest: &str) -> String {
    Asker::connect(addr).ask(format!("printf '[%s]\\n' {rest}"))
}

fn shell_syntax_is_passed_as_arguments<E: Engine>() {
    let (running, addr) = open::<E>(allowing(&["printf"]));
    let folder = tempfile::tempdir().unwrap();
    let canary = folder.path().join("canary");
    let at = canary.display().to_string();
    for (rest, words) in [
        (format!("; touch {at}"), vec![";", "touch", &at]),
        (format!("x; touch {at}"), vec!["x;", "touch", &at]),
        (format!("| tee {at}"), vec!["|", "tee", &at]),
        (format!("&& touch {at}"), vec!["&&", "touch", &at]),
        (format!("|| touch {at}"), vec!["||", "touch", &at]),
        (format!("& touch {at} &"), vec!["&", "touch", &at, "&"]),
        (format!("`touch {at}`"), vec!["`touch", &format!("{at}`")]),
        (format!("\"`touch {at}`\""), vec![&format!("`touch {at}`")]),
        (format!("$(touch {at})"), vec!["$(touch", &format!("{at})")]),
        (format!("\"$(touch {at})\""), vec![&format!("$(touch {at})")]),
        (format!("'a'$(touch\\ {at})"), vec![&format!("a$(touch {at})")]),
        (format!("<(touch {at})"), vec!["<(touch", &format!("{at})")]),
        (format!("x\ntouch {at}"), vec!["x", "touch", &at]),
        (format!("x\r\ntouch {at}"), vec!["x\r", "touch", &at]),
        (format!("'x\ntouch {at}'"), vec![&format!("x\ntouch {at}")]),
        (format!("> {at}"), vec![">", &at]),
        (format!(">> {at} 2>&1"), vec![">>", &at, "2>&1"]),
        (format!("< {at} <<EOF"), vec!["<", &at, "<<EOF"]),
        (format!("{{touch,{at}}}"), vec![&format!("{{touch,{at}}}")]),
        ("* /* ~ ~root ? [a-z] {1..3}".to_owned(), vec!["*", "/*", "~", "~root", "?", "[a-z]", "{1..3}"]),
        ("$HOME ${PATH} $0 $$ !! \\$HOME".to_owned(), vec!["$HOME", "${PATH}", "$0", "$$", "!!", "$HOME"]),
        ("A=1 -- --help -n".to_owned(), vec!["A=1", "--", "--help", "-n"]),
        (format!("；touch {at} ｜ ‘x’ “y” ＄(z)"), vec!["；touch", &at, "｜", "‘x’", "“y”", "＄(z)"]),
        ("'' \"\" a\"b c\"'d e'f".to_owned(), vec!["", "", "ab cd ef"]),
        ("a #b c".to_owned(), vec!["a"]),
    ] {
        let lines: Vec<_> = words.iter().map(|word| format!("[{word}]\n")).collect();
        assert_eq!(arguments(addr, &rest), lines.concat(), "{rest:?}");
        assert!(!canary.exists(), "{rest:?}");
    }
    running.drain();
}

fn a_program_goes_by_its_own_name_alone<E: Engine>() {
    let (running, addr) = open::<E>(allowing(&["touch"]));
    let folder = tempfile::tempdir().unwrap();
    let canary = folder.path().join("canary");
    let at = canary.display().to_string();
    // A program of that name where the service would look if it looked at paths.
    let stranger = folder.path().join("touch");
    std::os::unix::fs::symlink(Program::find("touch").unwrap().path(), &stranger).unwrap();
    let mut asker = Asker::connect(addr);
    for name in [
        "/bin/touch",
        "/usr/bin/touch",
        "./touch",
        "../touch",
        "/bin/../bin/touch",
        "//bin/touch",
        "bin/touch",
        &stranger.display().to_string(),
        "TOUCH",
        "touch.",
        "'touch '",
        "' touch'",
        "\"touch\n\"",
        "tоuch",
        "ｔｏｕｃｈ",
        "touch\u{200b}",
        "\u{feff}touch",
        "touch;",
        "-touch",
        "--",
        "A=1 touch",
        "env touch",
        "exec touch",
        "command touch",
        "sh -c touch",
        "''",
        "'' touch",
        "~/touch",
        "$(echo touch)",
        "t*h",
        "!touch",
        "\\\\touch",
    ] {
        let answer = asker.ask(format!("{name} {at}"));
        assert!(
            answer.starts_with("exec: '") && answer.ends_with("' is not allowed; allowed: touch\n"),
            "{name}: {answer}"
        );
        assert!(!canary.exists(), "{name}");
    }
    // Its own name may be quoted, for it is the same word.
    for name in ["touch", "'touch'", "to\"uc\"h", "\\touch"] {
        assert_eq!(asker.ask(format!("{name} {at}")), "");
        fs::remove_file(&canary).unwrap();
    }
    drop(asker);
    running.drain();
}

fn too_long_lines_are_rejected_and_the_rest_is_not_run<E: Engine>() {
    // Framed, because the size of one read of this much data is not predictable.
    let (running, addr) = open_framed::<E>(allowing(&["touch"]), Framing::U32BE);
    let folder = tempfile::tempdir().unwrap();
    let canary = folder.path().join("canary");
    for bytes in [32_769 - "touch ".len(), 65_536, 1_000_000] {
        let mut asker = Asker::connect(addr);
        let line = format!("touch {}", "x".repeat(bytes));
        let next = format!("touch {}", canary.display());
        asker.say([encode_frame("u32be", line.as_bytes()), encode_frame("u32be", next.as_bytes())].concat());
        asker.exactly(4);
        let answer = String::from_utf8(asker.header().output).unwrap();
        assert_eq!(answer, "exec: a command line has at most 32768 bytes\n");
        asker.expect_end();
        assert!(!canary.exists());
    }
    running.drain();
}

fn a_browser_is_sent_away_before_it_comes_to_the_point<E: Engine>() {
    let (running, addr) = open::<E>(super::asker::shell());
    let folder = tempfile::tempdir().unwrap();
    let canary = folder.path().join("canary");
    let touch = format!("touch {}", canary.display());
    for head in
        ["POST / HTTP/1.1\r\nHost: x\r\n\r\n", "GET /a HTTP/1.0\n\n", "X y HTTP/1.1\n", "PRI * HTTP/2.0\r\n\r\n"]
    {
        let mut asker = Asker::connect(addr);
        asker.say(format!("{head}{touch}"));
        // Its body, in a piece of its own.
        let _ = std::io::Write::write_all(&mut asker.0, touch.as_bytes());
        let answer = String::from_utf8(asker.header().output).unwrap();
        assert_eq!(answer, "exec: this is no web server: send a command line\n");
        asker.expect_end();
        assert!(!canary.exists(), "{head}");
    }
    // A read may end anywhere in the head; what follows the method is of the page's own choice.
    let head = format!("POST /;{touch};# HTTP/1.1\r\n");
    for end in "POST ".len()..head.len() {
        let mut asker = Asker::connect(addr);
        asker.say(&head[..end]);
        assert_eq!(asker.header().output, b"exec: this is no web server: send a command line\n", "{}", &head[..end]);
        asker.expect_end();
    }
    assert!(!canary.exists());
    running.drain();
}

fn thousands_of_arguments_are_accepted<E: Engine>() {
    let (running, addr) = open::<E>(allowing(&["printf"]));
    let words = "a ".repeat(10_000);
    assert_eq!(arguments(addr, &words), "[a]\n".repeat(10_000));
    running.drain();
}

fn commands_see_nothing_of_ours<E: Engine>() {
    let (running, addr) = open::<E>(allowing(&["env", "cat", "ls"]));
    let mut asker = Asker::connect(addr);
    let variables = asker.ask("env");
    let passed = ["PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "TMPDIR"];
    for (name, _) in variables.lines().filter_map(|line| line.split_once('=')) {
        assert!(passed.contains(&name) || name.starts_with("LC_"), "{name}");
    }
    assert!(variables.contains("PATH="));
    assert_eq!(asker.ask("cat"), "", "there is no input");
    if Path::new("/proc/self/fd").exists() {
        // Descriptors that the parent of the tests has left open are allowed.
        let ours = Command::new("ls").arg("/proc/self/fd").stdin(Stdio::null()).output().unwrap().stdout;
        assert_eq!(asker.ask("ls /proc/self/fd").as_bytes(), ours);
    }
    drop(asker);
    running.drain();
}
