//! `get` against `http.server` of Python.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use super::files::Folder;
use super::server::{expect_failure, expect_success, run};

struct Python(Child);

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn python_http_server_works() {
    let folder = Folder::new();
    let big: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[(n % 3) as usize]).collect();
    fs::write(folder.path("big.bin"), &big).unwrap();
    fs::create_dir(folder.path("sub")).unwrap();
    fs::write(folder.path("sub/né x.txt"), "hello").unwrap();
    let serves = Command::new("python3")
        .args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", &folder.file("")])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = serves else { return eprintln!("no python3 here") };
    let stdout = child.stdout.take().unwrap();
    let _python = Python(child);
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).unwrap();
    // Serving HTTP on 127.0.0.1 port 40404 (http://127.0.0.1:40404/) ...
    let url = line.split(['(', ')']).nth(1).unwrap_or_else(|| panic!("{line}")).to_owned();
    let output = run(&["get", &format!("{url}big.bin"), "-o", &folder.file("copy")]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(fs::read(folder.path("copy")).unwrap() == big);
    assert_eq!(expect_success(run(&["get", &format!("{url}sub/né x.txt")])), "hello");
    // A directory without its slash is redirected.
    assert!(expect_success(run(&["get", &format!("{url}sub")])).contains("n%C3%A9%20x.txt"));
    assert!(expect_failure(&run(&["get", &format!("{url}none")])).contains("the server responded 404 File not found"));
}
