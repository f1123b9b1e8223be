//! A server as a child process: this program, run as `switchboard serve`.
//!
//! Invariant: the child never outlives this process. [`ServerProcess::stop`] stops it gracefully.
//! Dropping a [`ServerProcess`], as an error or a panic does, kills it. If this process is killed,
//! the kernel kills the child, because the child runs with `--die-with-parent` and calls
//! `prctl(PR_SET_PDEATHSIG)`. A child that ends at end of file on standard input would work on more
//! systems. But a thread of the child would have to wait for it, and a measured server has no extra
//! thread.
//!
//! For `PR_SET_PDEATHSIG` the parent is the *thread* that started the child (prctl(2)). Start it
//! from a thread that lives at least as long.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use switchboard::Endpoint;

/// Time limit for a server to listen, and again to stop. Both take milliseconds unless the machine
/// is overloaded or the server hangs.
const START_STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes kept from the end of a server's log.
const MAX_LOG_BYTES: usize = 16 << 10;

/// Arguments of the `serve` command to run.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct ServeCommand<'a> {
    /// The service's name.
    pub(in crate::cli) service: &'a str,
    /// Values for `--listen`, each of which resolves to one address.
    pub(in crate::cli) listen: &'a [&'a str],
    /// Further arguments of `serve`.
    pub(in crate::cli) options: &'a [String],
}

/// A running server.
#[derive(Debug)]
pub(in crate::cli) struct ServerProcess {
    process: std::process::Child,
    endpoints: Vec<Endpoint>,
    log: LogTail,
}

impl ServerProcess {
    /// Starts a server and waits until it listens.
    ///
    /// # Errors
    /// The reason as text: the process cannot be started, ended early, or does not listen within
    /// [`START_STOP_TIMEOUT`].
    pub(in crate::cli) fn start(serve: ServeCommand<'_>) -> Result<Self, String> {
        let ServeCommand { service, listen, options } = serve;
        let mut words = vec![service];
        words.extend(listen.iter().flat_map(|address| ["--listen", address]));
        words.extend(options.iter().map(String::as_str));
        Self::start_with(words.into_iter().map(OsStr::new), &vec![service; listen.len()])
    }

    /// Starts a server from a configuration file, with these services in the order of their
    /// addresses.
    ///
    /// # Errors
    /// Those of [`start`](Self::start).
    pub(in crate::cli) fn start_configured(file: &Path, services: &[&str]) -> Result<Self, String> {
        Self::start_with([OsStr::new("--config"), file.as_os_str()].into_iter(), services)
    }

    fn start_with<'a>(words: impl Iterator<Item = &'a OsStr>, services: &[&str]) -> Result<Self, String> {
        let mut process = command(words).and_then(|mut command| command.spawn()).map_err(|error| error.to_string())?;
        let stdout = process.stdout.take();
        let log = LogTail::start(process.stderr.take());
        // From here on an early return drops the value, which kills the process.
        let mut child = Self { process, endpoints: Vec::new(), log };
        let lines = lines(stdout);
        let deadline = Instant::now() + START_STOP_TIMEOUT;
        while let Some(service) = services.get(child.endpoints.len()) {
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => child.endpoints.extend(parse_listening_line(&line, service)),
                Err(RecvTimeoutError::Disconnected) => return Err(child.early_exit_reason()),
                Err(RecvTimeoutError::Timeout) => {
                    return Err(format!("it is not listening after {START_STOP_TIMEOUT:?}"));
                }
            }
        }
        Ok(child)
    }

    /// Returns the endpoints on which it listens, in the order of [`ServeCommand::listen`].
    pub(in crate::cli) fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// Returns its process id.
    pub(in crate::cli) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Returns the end of its log so far.
    pub(in crate::cli) fn log(&self) -> String {
        self.log.text()
    }

    /// Sends SIGTERM and waits until the server has ended. Kills it after [`START_STOP_TIMEOUT`].
    ///
    /// # Errors
    /// The reason as text, if the server did not stop gracefully. The process has ended in this
    /// case, too.
    pub(in crate::cli) fn stop(mut self) -> Result<(), String> {
        self.terminate().map_err(|error| format!("cannot stop the server: {error}"))?;
        // The pipe from its standard error reaches its end when the process ends.
        if !self.log.ends_within(START_STOP_TIMEOUT) {
            return Err(format!("the server did not stop within {START_STOP_TIMEOUT:?} and was killed"));
        }
        match self.process.wait() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("the server ended with {status}{}", self.log_suffix())),
            Err(error) => Err(format!("cannot wait for the server: {error}")),
        }
    }

    /// Returns its exit status if it has ended by itself.
    pub(in crate::cli) fn exit_status(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().ok().flatten()
    }

    /// Returns an error text if it has ended by itself.
    pub(in crate::cli) fn exit_error(&mut self) -> Option<String> {
        let status = self.exit_status()?;
        let log = self.log();
        let last_line = log.lines().last().map(|line| format!(": {line}")).unwrap_or_default();
        Some(format!("the server exited during the run: {status}{last_line}"))
    }

    fn terminate(&mut self) -> io::Result<()> {
        use rustix::process::{Pid, Signal, kill_process};
        // After `try_wait` has reaped it, the kernel may give its process id to another process.
        if self.exit_status().is_some() {
            return Ok(());
        }
        Ok(kill_process(Pid::from_child(&self.process), Signal::TERM)?)
    }

    /// Returns the reason why it ended before it listened: the last line of its log, or its exit
    /// status.
    fn early_exit_reason(&mut self) -> String {
        self.log.ends_within(START_STOP_TIMEOUT);
        let text = self.log.text();
        match text.lines().last() {
            Some(line) => line.strip_prefix("switchboard: ").unwrap_or(line).to_owned(),
            None => match self.process.wait() {
                Ok(status) => format!("it ended with {status} and an empty log"),
                Err(error) => error.to_string(),
            },
        }
    }

    /// Returns the log after a colon, for an error message; an empty string if the log is empty.
    fn log_suffix(&self) -> String {
        let text = self.log.text();
        if text.is_empty() { String::new() } else { format!(":\n{}", text.trim_end()) }
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // Both fail if the process has ended and been reaped, which is the state wanted.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Asks the kernel to kill this process when its parent ends. `parent` is the expected parent's
/// process id. The child calls this.
///
/// # Errors
/// The reason as text: the call failed, or the parent has ended already.
#[cfg(target_os = "linux")]
pub(in crate::cli) fn kill_with_parent(parent: u32) -> Result<(), String> {
    use rustix::process::{Signal, getppid, set_parent_process_death_signal};
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| format!("cannot set the parent death signal: {error}"))?;
    // If the parent ended before the call, the signal never comes.
    match getppid() {
        Some(now) if u32::try_from(now.as_raw_nonzero().get()) == Ok(parent) => Ok(()),
        _ => Err(format!("process {parent}, named by --die-with-parent, is not the parent of this process")),
    }
}

/// Does nothing: other systems have no such call. A child there survives the kill of its parent.
///
/// # Errors
/// None.
#[cfg(not(target_os = "linux"))]
pub(in crate::cli) fn kill_with_parent(_parent: u32) -> Result<(), String> {
    Ok(())
}

fn command<'a>(words: impl Iterator<Item = &'a OsStr>) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("serve").args(words).args(["--die-with-parent", &std::process::id().to_string()]);
    // RUST_LOG is meant for this process. In the server it could log every connection while the
    // measurement runs.
    command.env_remove("RUST_LOG").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // Ctrl-C signals the terminal's whole foreground process group. In a group of its own, the
    // server stops only when this process stops it.
    command.process_group(0);
    Ok(command)
}

/// Parses a line `listening SERVICE TRANSPORT ADDR`.
fn parse_listening_line(line: &str, service: &str) -> Option<Endpoint> {
    let (transport, address) = line.strip_prefix("listening ")?.strip_prefix(service)?.trim_start().split_once(' ')?;
    format!("{transport}:{address}").parse().ok()
}

/// Returns the lines of a stream through a channel, so that a wait for one can have a time limit.
/// The reading thread ends when the receiver is dropped.
fn lines(stream: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (sender, receiver) = channel();
    if let Some(stream) = stream {
        thread::spawn(move || {
            let lines = BufReader::new(stream).lines().map_while(Result::ok);
            lines.map_while(|line| sender.send(line).ok()).for_each(drop);
        });
    }
    receiver
}

/// The end of a child's standard error. A thread reads it continuously, because a child blocks when
/// the pipe is full.
#[derive(Debug)]
struct LogTail {
    tail: Arc<Mutex<VecDeque<u8>>>,
    /// Disconnects when the stream ends. It carries no messages.
    end: Receiver<()>,
}

impl LogTail {
    fn start(stream: Option<impl Read + Send + 'static>) -> Self {
        let tail = Arc::new(Mutex::new(VecDeque::new()));
        let (until_end, end) = channel();
        if let Some(mut stream) = stream {
            let tail = Arc::clone(&tail);
            thread::spawn(move || {
                let _until_end = until_end;
                let mut buffer = [0; 4096];
                while let Ok(len @ 1..) = stream.read(&mut buffer) {
                    let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
                    tail.extend(buffer.iter().take(len));
                    let excess = tail.len().saturating_sub(MAX_LOG_BYTES);
                    tail.drain(..excess);
                }
            });
        }
        Self { tail, end }
    }

    fn text(&self) -> String {
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        let (one, other) = tail.as_slices();
        String::from_utf8_lossy(&[one, other].concat()).into_owned()
    }

    fn ends_within(&self, timeout: Duration) -> bool {
        matches!(self.end.recv_timeout(timeout), Err(RecvTimeoutError::Disconnected))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listening_line_parses() {
        let endpoint = |text: &str| text.parse::<Endpoint>().unwrap();
        assert_eq!(parse_listening_line("listening echo tcp 127.0.0.1:7", "echo"), Some(endpoint("127.0.0.1:7")));
        assert_eq!(parse_listening_line("listening echo udp [::1]:7", "echo"), Some(endpoint("udp:[::1]:7")));
        assert_eq!(parse_listening_line("listening echo unix /a b", "echo"), Some(endpoint("unix:/a b")));
        for line in ["listening echo", "listening upper tcp 127.0.0.1:7", "hello"] {
            assert_eq!(parse_listening_line(line, "echo"), None, "{line}");
        }
    }

    #[test]
    fn stop_sends_no_signal_to_an_ended_process() {
        let mut process = Command::new("true").stderr(Stdio::piped()).spawn().unwrap();
        let log = LogTail::start(process.stderr.take());
        let mut child = ServerProcess { process, endpoints: Vec::new(), log };
        while child.exit_status().is_none() {
            thread::yield_now();
        }
        // A signal now would fail with ESRCH or reach another process.
        assert_eq!(child.stop(), Ok(()));
    }

    #[test]
    fn log_tail_keeps_the_end() {
        let text = "x".repeat(3 * MAX_LOG_BYTES) + "the end";
        let log = LogTail::start(Some(io::Cursor::new(text)));
        assert!(log.ends_within(START_STOP_TIMEOUT));
        assert_eq!(log.text().len(), MAX_LOG_BYTES);
        assert!(log.text().ends_with("the end"));
    }
}
