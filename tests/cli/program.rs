//! The program as a child process. A test fails if expected output does not arrive in time, and the
//! child never outlives the test.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

pub(crate) use rustix::process::Signal;

use crate::guard::guard;

pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_switchboard"));
    command.args(args).env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

/// Writes a duration as an argument of the program.
pub(crate) fn millis(duration: Duration) -> String {
    format!("{}ms", duration.as_millis())
}

/// Runs the program to its end.
pub(crate) fn run(args: &[&str]) -> Output {
    let mut program = Program::start(command(args).stdout(Stdio::piped()));
    let status = program.wait();
    Output { status, stdout: program.stdout.rest().into_bytes(), stderr: program.stderr.rest().into_bytes() }
}

/// A running program.
pub(crate) struct Program {
    child: Child,
    stdout: Lines,
    stderr: Lines,
}

impl Program {
    /// Starts `switchboard serve echo` with further arguments.
    pub(crate) fn serve(args: &[&str]) -> Self {
        Self::start(command(&["serve", "echo"]).args(args).stdout(Stdio::piped()))
    }

    /// Starts it with the standard output that the command has.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let (stdout, stderr) = (Lines::of(child.stdout.take()), Lines::of(child.stderr.take()));
        Self { child, stdout, stderr }
    }

    /// Starts it with its standard error in the caller's hands.
    #[allow(dead_code, reason = "the adversarial tests use it")]
    pub(crate) fn start_with_log(command: &mut Command, log: impl Into<Stdio>) -> Self {
        let mut child = command.stderr(log).spawn().unwrap();
        let (stdout, stderr) = (Lines::of(child.stdout.take()), Lines::of(child.stderr.take()));
        // The command would keep its copy of the pipe open.
        command.stderr(Stdio::null());
        Self { child, stdout, stderr }
    }

    /// Waits for its end, if its standard error is not read here.
    #[allow(dead_code, reason = "the adversarial tests use it")]
    pub(crate) fn wait_for_exit(&mut self) -> ExitStatus {
        let begun = std::time::Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < guard(), "the program does not end");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// The next line that it prints.
    #[allow(dead_code, reason = "the documents' tests use it")]
    pub(crate) fn line(&mut self) -> Option<String> {
        self.stdout.next()
    }

    /// The next line that it prints and that contains `words`.
    pub(crate) fn printed_until(&mut self, words: &str) -> String {
        let mut others = String::new();
        while let Some(line) = self.stdout.next() {
            if line.contains(words) {
                return line;
            }
            others = others + &line + "\n";
        }
        panic!("'{words}' is not printed:\n{others}");
    }

    /// Gives it a line of input, which the command has to have been given a pipe for.
    pub(crate) fn type_in(&mut self, line: &str) {
        self.child.stdin.as_mut().unwrap().write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    pub(crate) fn close_input(&mut self) {
        self.child.stdin = None;
    }

    /// Starts it with its standard input in the caller's hands.
    pub(crate) fn start_with_input(command: &mut Command) -> (Self, ChildStdin) {
        let mut program = Self::start(command);
        let input = program.child.stdin.take().unwrap();
        (program, input)
    }

    /// The address in the next `listening` line, which must be of this transport.
    pub(crate) fn address(&mut self, transport: &str) -> String {
        let line = self.stdout.next().unwrap_or_else(|| panic!("not listening: {}", self.stderr.rest()));
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["listening", _, found, address] if found == transport => address.to_owned(),
            _ => panic!("not a {transport} address: {line}"),
        }
    }

    /// The next line of the log that contains `words`.
    pub(crate) fn logged(&mut self, words: &str) -> String {
        let mut others = String::new();
        while let Some(line) = self.stderr.next() {
            if line.contains(words) {
                return line;
            }
            others = others + &line + "\n";
        }
        panic!("'{words}' is not in the log:\n{others}");
    }

    /// The rest of the log, to the program's end.
    pub(crate) fn log(&mut self) -> String {
        self.stderr.rest()
    }

    /// Returns the output from here to the end of the program.
    pub(crate) fn printed(&mut self) -> String {
        self.stdout.rest()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end. Its standard error ends with it, and reading that has a time limit.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.stderr.read_all();
        self.child.wait().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines of a stream, read by a thread: waiting for a line has a timeout, and the writer never
/// blocks.
struct Lines {
    incoming: Receiver<String>,
    unread: VecDeque<String>,
}

impl Lines {
    fn of(stream: Option<impl Read + Send + 'static>) -> Self {
        let (sender, incoming) = channel();
        if let Some(stream) = stream {
            thread::spawn(move || {
                let lines = BufReader::new(stream).lines().map_while(Result::ok);
                lines.take_while(|line| sender.send(line.clone()).is_ok()).for_each(drop);
            });
        }
        Self { incoming, unread: VecDeque::new() }
    }

    /// The next line; none at the stream's end.
    fn next(&mut self) -> Option<String> {
        self.unread.pop_front().or_else(|| self.receive())
    }

    fn read_all(&mut self) {
        while let Some(line) = self.receive() {
            self.unread.push_back(line);
        }
    }

    fn rest(&mut self) -> String {
        self.read_all();
        self.unread.drain(..).map(|line| line + "\n").collect()
    }

    fn receive(&self) -> Option<String> {
        use std::sync::mpsc::RecvTimeoutError;
        match self.incoming.recv_timeout(guard()) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("the program says nothing and does not end"),
        }
    }
}

/// Returns a path for a Unix-domain socket. It is not below the target directory, because such a
/// path has at most 107 bytes (unix(7)).
pub(crate) struct SocketPath(PathBuf);

impl SocketPath {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("switchboard-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Self(std::env::temp_dir().join(name))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// It as an address to listen on.
    pub(crate) fn listen(&self) -> String {
        format!("unix:{}", self.0.display())
    }
}

impl Drop for SocketPath {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
