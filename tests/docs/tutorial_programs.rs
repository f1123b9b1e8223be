//! The Python servers of `docs/sockets.md`, whose operator types the answers, with the commands on
//! the page that call them.

use std::process::{Command, Stdio};

use crate::program::{Program, command};
use crate::read;

/// Returns the code blocks of a language on the page, from the section on these programs.
fn blocks(language: &str) -> Vec<String> {
    let page = read("docs/sockets.md");
    let (_, section) = page.split_once("## Programs with nothing but a socket\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let fence = format!("```{language}\n");
    section.split(&fence).skip(1).map(|block| block.split("```").next().unwrap().to_owned()).collect()
}

/// Starts a server at a free port, which it prints when it is `ready`. Returns the server and the
/// client's command with that port.
fn start(server: &str, ready: &str, client: &str) -> Option<(Program, Program)> {
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("skipped: python3 is not installed");
        return None;
    }
    let server = server.replace("9999", "0");
    assert!(server.contains(", 0))") && server.contains(ready), "{server}");
    let server = server.replace(ready, &format!("{ready}print(server.getsockname()[1])\n"));
    let mut python = Command::new("python3");
    python.args(["-u", "-c", &server]).env("PYTHONUTF8", "1").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut server = Program::start(&mut python);
    let client = client.replace("9999", &server.line().unwrap());
    let args: Vec<_> = client.strip_prefix("switchboard ").unwrap().split(' ').collect();
    let client = Program::start(command(&args).stdin(Stdio::piped()).stdout(Stdio::piped()));
    Some((server, client))
}

#[test]
fn call_chat_talks_to_the_servers_on_the_page() {
    let (servers, commands) = (blocks("python"), blocks("sh").concat());
    let commands: Vec<_> = commands.lines().collect();
    assert_eq!((servers.len(), commands.len()), (2, 2));
    let bound = "server.bind((\"127.0.0.1\", 0))\n";
    for (at, ready, heard) in [(0, "server.listen()\n", "你好"), (1, bound, "egon : 你好")] {
        let Some((mut server, mut client)) = start(&servers[at], ready, commands[at]) else {
            return;
        };
        client.type_in("你好");
        assert!(server.line().unwrap().ends_with(heard), "{heard}");
        server.type_in("你是谁?");
        assert_eq!(client.line().as_deref(), Some("你是谁?"));
        client.type_in("egon");
        assert!(server.line().unwrap().ends_with("egon"));
        server.type_in("hi");
        assert_eq!(client.line().as_deref(), Some("hi"));
        client.close_input();
        assert_eq!(client.wait().code(), Some(0), "{}", client.log());
    }
}
