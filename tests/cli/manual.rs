//! Help, manual page and completions.

use std::process::Stdio;

use crate::program::{command, run};

pub(crate) const LIMITS: [&str; 23] = [
    "--max-connections",
    "--max-frame-bytes",
    "--max-write-buffer-bytes",
    "--max-buffered-bytes",
    "--frame-timeout",
    "--write-timeout",
    "--min-read-rate",
    "--idle-timeout",
    "--keepalive",
    "--drain-timeout",
    "--drain-jitter",
    "--linger-timeout",
    "--slow-consumer",
    "--panic",
    "--backlog",
    "--accept-budget",
    "--read-budget-bytes",
    "--datagram-budget",
    "--turn-budget",
    "--max-turn",
    "--workers",
    "--max-queued-jobs",
    "--max-queued-messages",
];

fn printed(args: &[&str]) -> String {
    let output = run(args);
    assert_eq!(output.status.code(), Some(0), "{args:?}");
    assert!(output.stderr.is_empty(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_help_names_every_limit_with_its_default() {
    let help = printed(&["serve", "--help"]);
    for flag in LIMITS {
        let (_, from_flag) = help.split_once(flag).unwrap_or_else(|| panic!("{flag} is not in the help"));
        let next_flag = from_flag.find("\n      --").unwrap_or(from_flag.len());
        assert!(from_flag[..next_flag].contains("[default: "), "{flag} has no default");
    }
    for words in ["[default: 256MiB]", "[default: 30s]", "Addresses:", "Framings:", "Signals:", "Exit codes:"] {
        assert!(help.contains(words), "{words}");
    }
}

const SERVICES: [&str; 9] = ["echo", "upper", "greet", "robot", "parrot", "clock", "chat", "files", "exec"];

/// The options of some services only, with the services.
const OWN_OPTIONS: [(&str, &[&str]); 21] = [
    ("--work-us", &["echo"]),
    ("--encoding", &["greet", "robot", "parrot", "chat"]),
    ("--template", &["greet"]),
    ("--name", &["robot"]),
    ("--lang", &["robot"]),
    ("--rules", &["robot"]),
    ("--seed", &["parrot"]),
    ("--answers-per-second", &["upper", "greet", "robot", "clock"]),
    ("--dialect", &["files", "exec"]),
    ("--root", &["files"]),
    ("--allow", &["exec"]),
    ("--shell", &["exec"]),
    ("--token-file", &["exec"]),
    ("--timeout", &["exec"]),
    ("--jobs", &["exec"]),
    ("--messages-per-second", &["chat"]),
    ("--burst", &["chat"]),
    ("--kept-messages", &["chat"]),
    ("--max-rooms", &["chat"]),
    ("--max-per-address", &["chat"]),
    ("--udp-public", &["chat"]),
];

#[test]
fn help_of_a_service_has_its_options_and_the_common_ones() {
    let lists = |help: &str, option: &str| help.lines().any(|line| line.split_whitespace().next() == Some(option));
    let all = printed(&["serve", "--help"]);
    for (option, _) in OWN_OPTIONS {
        assert!(!lists(&all, option), "{option}");
    }
    for service in SERVICES {
        assert!(all.contains(&format!("\n  {service} ")), "{service}");
        let help = printed(&["serve", service, "--help"]);
        assert_eq!(help, printed(&["help", "serve", service]));
        for (option, services) in OWN_OPTIONS {
            assert_eq!(lists(&help, option), services.contains(&service), "{service} {option}");
        }
        for option in LIMITS.iter().chain(&["--listen", "--port-base", "--framing", "--engine"]) {
            assert!(lists(&help, option), "{service} {option}");
        }
        for words in ["Default addresses: 127.0.0.1:", "Addresses:", "Exit codes:", "Examples:"] {
            assert!(help.contains(words), "{service}: {words}");
        }
    }
}

#[test]
fn no_help_is_wider_than_80_columns() {
    let mut paths = vec![vec![]];
    while let Some(path) = paths.pop() {
        for last in ["-h", "--help"] {
            let args = [&path[..], &[last]].concat();
            let output = command(&args).env("COLUMNS", "80").output().unwrap();
            let help = String::from_utf8(output.stdout).unwrap();
            let wide: Vec<_> = help.lines().filter(|line| line.chars().count() > 80).collect();
            assert!(output.status.success() && wide.is_empty(), "{args:?}: {wide:?}");
            if last == "-h" {
                let listed = help.split_once("\nCommands:\n").or_else(|| help.split_once("\nServices:\n"));
                let names = listed.map(|(_, list)| list.lines().take_while(|line| !line.is_empty()));
                let names = names.into_iter().flatten().filter(|line| !line.starts_with("   "));
                let names = names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
                paths.extend(names.map(|name| [&path[..], &[&*String::from(name).leak()]].concat()));
            }
        }
    }
}

#[test]
fn help_of_bench_explains_metrics_and_output() {
    let help = printed(&["bench", "echo", "--help"]);
    for words in ["[default: 50]", "[default: 64]", "[default: 5s]", "Addresses:", "What is measured:", "Exit codes:"] {
        assert!(help.contains(words), "{words} is not in:\n{help}");
    }
    assert!(!help.contains("--rooms"), "{help}");
    let help = printed(&["bench", "chat", "--help"]);
    for words in ["--rooms", "[default: 1000]", "[default: 5s]", "Addresses:", "The proof:", "Exit codes:"] {
        assert!(help.contains(words), "{words} is not in:\n{help}");
    }
    assert!(!help.contains("--churn") && !help.contains("--find-max"), "{help}");
}

#[test]
fn both_ways_to_ask_for_help_are_answered_alike() {
    assert_eq!(printed(&["help", "serve"]), printed(&["serve", "--help"]));
    assert_eq!(printed(&["help", "bench"]), printed(&["bench", "--help"]));
    assert_eq!(printed(&["help", "bench", "chat"]), printed(&["bench", "chat", "--help"]));
    assert!(printed(&["serve", "-h"]).len() < printed(&["serve", "--help"]).len());
}

#[test]
fn the_version_is_the_crates() {
    assert_eq!(printed(&["--version"]), concat!("switchboard ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn manual_pages_are_roff() {
    let page = printed(&["man"]);
    assert!(page.contains(".TH switchboard 1") && page.contains(".SH SUBCOMMANDS"), "{page}");
    let page = printed(&["man", "bench"]);
    assert!(page.contains(".TH switchboard-bench 1") && page.contains("switchboard\\-bench\\-chat(1)"), "{page}");
    let page = printed(&["man", "bench", "echo"]);
    for words in [".TH switchboard-bench-echo 1", ".SH ADDRESSES", ".SH \"WHAT IS MEASURED\"", "latency_ns"] {
        assert!(page.contains(words), "{words} is not in:\n{page}");
    }
    let page = printed(&["man", "serve"]);
    for words in [".TH switchboard-serve 1", ".SH ADDRESSES", ".SH \"EXIT CODES\"", "switchboard\\-serve\\-echo(1)"] {
        assert!(page.contains(words), "{words} is not in:\n{page}");
    }
    let page = printed(&["man", "serve", "echo"]);
    for words in [".TH switchboard-serve-echo 1", ".SH ADDRESSES", ".SH \"EXIT CODES\"", "struct.pack"] {
        assert!(page.contains(words), "{words} is not in:\n{page}");
    }
    assert!(!page.contains("burst") && !page.contains("die\\-with"), "{page}");
}

#[test]
fn each_manual_page_names_the_version() {
    let version = concat!("switchboard ", env!("CARGO_PKG_VERSION"));
    let (mut paths, mut pages) = (vec![vec![]], 0);
    while let Some(path) = paths.pop() {
        pages += 1;
        let page = printed(&[&["man"], &path[..]].concat());
        let title = page.lines().find(|line| line.starts_with(".TH ")).unwrap();
        assert!(title.contains(&format!("\"{version}\"")), "{path:?}: {title}");
        let (page, prefix) = (page.replace('\\', ""), [&["switchboard"], &path[..], &[""]].concat().join("-"));
        let names = page.lines().filter_map(|line| line.strip_prefix(&prefix)?.strip_suffix("(1)"));
        let names = names.filter(|name| *name != "help");
        paths.extend(names.map(|name| [&path[..], &[&*String::from(name).leak()]].concat()));
    }
    assert!(pages > 20, "{pages} pages");
}

#[test]
fn each_client_has_its_page_and_its_help() {
    let page = printed(&["man", "call", "chat"]);
    for words in [".TH switchboard-call-chat 1", ".SH COMMANDS", ".SH \"LOST CONNECTIONS\"", "no\\-reconnect"] {
        assert!(page.contains(words), "{words} is not in:\n{page}");
    }
    let page = printed(&["man", "call"]);
    assert!(page.contains(".TH switchboard-call 1") && page.contains("chat"), "{page}");
    let help = printed(&["call", "chat", "--help"]);
    for words in ["[default: 127.0.0.1:8000]", "--colour", "Keys:", "Pipes:", "Exit codes:"] {
        assert!(help.contains(words), "{words} is not in:\n{help}");
    }
    assert_eq!(help, printed(&["help", "call", "chat"]));
}

#[test]
fn completions_know_services_and_flags() {
    for shell in ["bash", "zsh", "fish"] {
        let script = printed(&["completions", shell]);
        for word in [
            "switchboard",
            "serve",
            "echo",
            "max-connections",
            "drop-oldest",
            "bench",
            "in-flight",
            "call",
            "no-reconnect",
            "publishers",
        ] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn closed_stdout_of_help_is_not_a_failure() {
    for args in [&["serve", "--help"][..], &["man"], &["completions", "bash"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command(args).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()), "{args:?}");
    }
}

#[test]
fn a_manual_page_says_what_is_to_be_typed() {
    for (path, usage) in [
        (&["call", "exec"][..], "\\fBswitchboard call exec\\fR [OPTIONS] <ADDR> \\-\\- <COMMAND>..."),
        (&["serve"], "\\fBswitchboard serve\\fR [OPTIONS] [SERVICE]"),
        (&["serve", "chat"], "\\fBswitchboard serve chat\\fR [OPTIONS]"),
    ] {
        let page = printed(&[&["man"], path].concat());
        assert!(page.contains(&format!(".SH SYNOPSIS\n{usage}\n")), "{page}");
    }
}

/// Returns the completions of bash after these words, in a directory with one file and one
/// directory.
fn offered(words: &[&str]) -> Vec<String> {
    const SCRIPT: &str = r#"
        source <("$PROGRAM" completions bash)
        COMP_WORDS=(switchboard "$@" "") COMP_CWORD=$(($# + 1))
        _switchboard switchboard "" "${@: -1}" 2>/dev/null
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let mut bash = std::process::Command::new("bash");
    bash.args(["-c", SCRIPT, "bash"]).args(words).current_dir(folder.path());
    let output = bash.env("PROGRAM", env!("CARGO_BIN_EXE_switchboard")).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    printed.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn files_are_offered_where_there_can_be_one() {
    if std::process::Command::new("bash").arg("--version").output().is_err() {
        eprintln!("skipped: there is no bash");
        return;
    }
    for (words, are) in [
        (&["call", "exec", "--dialect"][..], &["header", "length", "ready"][..]),
        (&["call", "files", "--dialect"], &["framed", "plain"]),
        (&["call", "files", "get", "--output"], &["file"]),
        (&["call", "exec", "--token-file"], &["file"]),
        (&["call", "robot", "--framing"], &[]),
        (&["serve", "--framing"], &[]),
        (&["serve", "--listen"], &[]),
        (&["serve", "--config"], &["file"]),
        (&["serve", "files", "--dialect"], &["framed", "plain"]),
        (&["serve", "exec", "--dialect"], &["header", "length", "ready"]),
        (&["serve", "robot", "--rules"], &["file"]),
        (&["serve", "chat", "--listen"], &[]),
        (&["get", "--timeout"], &[]),
    ] {
        assert_eq!(offered(words), are, "{words:?}");
    }
}
