//! Checks of the pages on services and configuration: their programs run, and the example
//! configuration is served.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::markdown::blocks;
use crate::program::{Program, command, run};
use crate::read;

/// Writes a text to a temporary file.
pub(crate) fn temporary_file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

/// Replaces every port in a configuration by 0, so that the kernel chooses a free one, and gives
/// each service without `listen` an address with such a port.
fn free_ports(text: &str) -> String {
    let with_address = |section: &str| match section.split_once('\n') {
        Some((header, keys)) if header != "limits]" && !keys.lines().any(|line| line.starts_with("listen")) => {
            format!("{header}\nlisten = '127.0.0.1:0'\n{keys}")
        }
        _ => section.to_owned(),
    };
    let free = ports_replaced(text);
    let (keys, sections) = free.split_once("\n[").unwrap();
    let sections: Vec<_> = sections.split("\n[").map(with_address).collect();
    format!("{keys}\n[{}", sections.join("\n["))
}

/// Replaces every port in the text by 0.
fn ports_replaced(text: &str) -> String {
    let mut free = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("127.0.0.1:") {
        free = free + before + "127.0.0.1:0";
        rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    free + rest
}

/// Returns the first code block in `language` of a page.
fn page_block(page: &str, language: &str) -> String {
    let text = read(format!("docs/{page}.md"));
    let block = blocks(&text).into_iter().find(|(lang, _)| *lang == language).map(|(_, block)| block.to_owned());
    block.unwrap_or_else(|| panic!("docs/{page}.md has no {language} block"))
}

#[test]
fn python_program_gets_the_replies_shown() {
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("skipped: python3 is not installed");
        return;
    }
    let mut script = page_block("services", "python");
    let ports = [("upper", "8080"), ("greet", "8898"), ("robot", "10086"), ("parrot", "10087"), ("clock", "9090")];
    let sections = ports.map(|(service, _)| {
        let transport = if service == "clock" { "udp:" } else { "" };
        format!("[{service}]\nlisten = \"{transport}127.0.0.1:0\"\n")
    });
    let config = temporary_file(&sections.concat());
    let config = config.path().to_str().unwrap().to_owned();
    let mut server = Program::start(command(&["serve", "--config", &config]).stdout(Stdio::piped()));
    for (service, port) in ports {
        let address = server.address(if service == "clock" { "udp" } else { "tcp" });
        assert!(script.contains(port), "the program connects to {service}");
        script = script.replace(port, address.rsplit_once(':').unwrap().1);
    }
    let output = Command::new("python3").args(["-X", "utf8", "-c", &script]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), page_block("services", "text").trim());
}

#[test]
fn example_configuration_is_served() {
    let example = String::from_utf8(run(&["config", "example"]).stdout).unwrap();
    assert_eq!(page_block("config", "toml"), "{{#include ../src/cli/commands/serve/config/example.toml}}");
    assert_eq!(example, read("src/cli/commands/serve/config/example.toml"));
    let uncomment =
        |line: &str| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line).to_owned();
    let uncommented: String = example.lines().map(|line| uncomment(line) + "\n").collect();
    for (example, last) in [(example, "listening chat "), (uncommented, "listening exec ")] {
        let unchanged = temporary_file(&example);
        let checked = run(&["config", "check", unchanged.path().to_str().unwrap()]);
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
        let config = temporary_file(&free_ports(&example));
        let config = config.path().to_str().unwrap();
        let mut server = Program::start(command(&["serve", "--config", config]).stdout(Stdio::piped()));
        assert!(server.printed_until(last).contains("tcp 127.0.0.1:"));
        server.printed_until("service  ");
        assert!(
            server.printed_until("--encoding").contains(" call greet "),
            "the example command has the encoding of the service"
        );
    }
}

#[test]
fn configuration_errors_shown_are_printed() {
    let text = read("docs/config.md");
    let shown = blocks(&text).into_iter().find(|(lang, block)| *lang == "text" && block.starts_with("error: "));
    let mut faulty: Vec<_> = read("src/cli/commands/serve/config/example.toml").lines().map(str::to_owned).collect();
    let mut expected = String::new();
    for line in shown.unwrap().1.lines() {
        let (number, message) = line.strip_prefix("error: switchboard.toml:").unwrap().split_once(": ").unwrap();
        let number: usize = number.parse().unwrap();
        faulty[number - 1] = match message {
            message if message.contains("idle-timeout") => "idle-timeout = 'ten'".to_owned(),
            message if message.contains("templat in") => "templat = 'hi'".to_owned(),
            _ => "[ecko]".to_owned(),
        };
        expected = expected + message + "\n";
    }
    let config = temporary_file(&faulty.join("\n"));
    let stderr = String::from_utf8(run(&["config", "check", config.path().to_str().unwrap()]).stderr).unwrap();
    let printed: String =
        stderr.lines().map(|line| line.splitn(4, ':').nth(3).unwrap().trim().to_owned() + "\n").collect();
    assert_eq!(printed, expected);
}

/// Runs the Python clients of the pages on files and exec.
#[test]
fn python_clients_of_files_and_exec_work() {
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("skipped: python3 is not installed");
        return;
    }
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("docs")).unwrap();
    std::fs::write(root.path().join("docs/a.txt"), "x".repeat(300_000)).unwrap();
    let root = root.path().to_str().unwrap();
    for (page, port, args, more, expected) in [
        ("files", "1111", &["--root", root][..], "print(len(data), set(data))", "300000 {120}"),
        ("exec", "8086", &["--allow", "uname"], "", "0 Linux"),
    ] {
        let args = [&["serve", page, "--listen", "127.0.0.1:0"], args].concat();
        let mut server = Program::start(command(&args).stdout(Stdio::piped()));
        let address = server.address("tcp");
        let script = page_block(page, "python").replace(port, address.rsplit_once(':').unwrap().1) + "\n" + more;
        let output = Command::new("python3").args(["-c", &script]).output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert_eq!(printed.trim(), expected, "{page}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
