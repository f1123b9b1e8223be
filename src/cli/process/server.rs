//! A server in a process of its own: this very program, run as `switchboard serve`.
//!
//! The invariant: it never outlives the one who started it. [`ServerProcess::stop`] ends it in good order; dropping a [`ServerProcess`], which an
//! error or a panic does, kills it. When this process dies in a way that runs no code, the kernel kills the child, because it was
//! started with `--die-with-parent`: `prctl(PR_SET_PDEATHSIG)`, which the child has to call itself. A rule "end when standard input
//! does" would work on more systems; but somebody in the child would have to wait for it, and a server with a thread more is not
//! the server that is to be measured.
//!
//! The kernel takes the *thread* that started the child for its parent (prctl(2)). So start it from a thread that lives on.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use switchboard::Endpoint;

/// How long a server may take to listen, and then to stop. A service binds and flushes in milliseconds; only a machine that is
/// very busy, or a server that hangs, comes near it.
const PATIENCE: Duration = Duration::from_secs(10);
/// What is kept of a server's log, its end.
const MAX_LOG_BYTES: usize = 16 << 10;

/// What to serve, and how.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct ServeCommand<'a> {
    /// The service's name.
    pub(in crate::cli) service: &'a str,
    /// What it listens on, each in the words of `--listen` and with one address.
    pub(in crate::cli) listen: &'a [&'a str],
    /// More arguments of `serve`.
    pub(in crate::cli) options: &'a [String],
}

/// A server that runs.
#[derive(Debug)]
pub(in crate::cli) struct ServerProcess {
    process: std::process::Child,
    endpoints: Vec<Endpoint>,
    log: Log,
}

impl ServerProcess {
    /// Starts a server, and returns when it listens.
    ///
    /// # Errors
    /// In words: why it could not be started, or what it said when it ended.
    pub(in crate::cli) fn start(serve: ServeCommand<'_>) -> Result<Self, String> {
        let mut process = command(serve).and_then(|mut command| command.spawn()).map_err(|error| error.to_string())?;
        let stdout = process.stdout.take();
        let log = Log::of(process.stderr.take());
        // From here on an early return kills it.
        let mut child = Self { process, endpoints: Vec::new(), log };
        let lines = lines(stdout);
        let deadline = Instant::now() + PATIENCE;
        while child.endpoints.len() < serve.listen.len() {
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => child.endpoints.extend(listening(&line, serve.service)),
                Err(RecvTimeoutError::Disconnected) => return Err(child.last_words()),
                Err(RecvTimeoutError::Timeout) => return Err(format!("it does not listen after {PATIENCE:?}")),
            }
        }
        Ok(child)
    }

    /// Where it listens, in the order of [`ServeCommand::listen`].
    pub(in crate::cli) fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// Its process.
    pub(in crate::cli) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The end of its log so far.
    pub(in crate::cli) fn log(&self) -> String {
        self.log.text()
    }

    /// Asks it to stop, and waits until it has; kills it when it takes too long.
    ///
    /// # Errors
    /// In words, when it did not stop in good order. It is gone all the same.
    pub(in crate::cli) fn stop(mut self) -> Result<(), String> {
        self.ask_to_stop().map_err(|error| format!("cannot stop the server: {error}"))?;
        // Its standard error ends when it does.
        if !self.log.ends_within(PATIENCE) {
            return Err(format!("the server did not stop within {PATIENCE:?} and was killed"));
        }
        match self.process.wait() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("the server ended with {status}{}", self.colon_and_log())),
            Err(error) => Err(format!("cannot wait for the server: {error}")),
        }
    }

    /// Whether it has ended by itself, and how.
    pub(in crate::cli) fn ended(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().ok().flatten()
    }

    #[cfg(unix)]
    fn ask_to_stop(&mut self) -> io::Result<()> {
        use rustix::process::{Pid, Signal, kill_process};
        // Once it has been reaped, its number may be anybody's.
        if self.ended().is_some() {
            return Ok(());
        }
        Ok(kill_process(Pid::from_child(&self.process), Signal::TERM)?)
    }

    #[cfg(not(unix))]
    fn ask_to_stop(&mut self) -> io::Result<()> {
        self.process.kill()
    }

    /// Why it ended before it listened.
    fn last_words(&mut self) -> String {
        self.log.ends_within(PATIENCE);
        let text = self.log.text();
        match text.lines().last() {
            Some(line) => line.strip_prefix("switchboard: ").unwrap_or(line).to_owned(),
            None => match self.process.wait() {
                Ok(status) => format!("it ended with {status} and said nothing"),
                Err(error) => error.to_string(),
            },
        }
    }

    fn colon_and_log(&self) -> String {
        let text = self.log.text();
        if text.is_empty() { String::new() } else { format!(":\n{}", text.trim_end()) }
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // Both fail when it is gone already, which is what they are for.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The child's side of it: has the kernel kill this process when the one with the number `parent`, which started it, is gone.
///
/// # Errors
/// In words: the call failed, or the parent has gone already.
#[cfg(target_os = "linux")]
pub(in crate::cli) fn kill_with_parent(parent: u32) -> Result<(), String> {
    use rustix::process::{Signal, getppid, set_parent_process_death_signal};
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| format!("cannot end with its parent: {error}"))?;
    // It may have gone before the call, and then nobody sends the signal.
    match getppid() {
        Some(now) if u32::try_from(now.as_raw_nonzero().get()) == Ok(parent) => Ok(()),
        _ => Err(format!("process {parent}, with which it should end, is not its parent")),
    }
}

/// The child's side of it. Other systems have no such call: there a child is left behind when its parent is killed outright.
///
/// # Errors
/// None.
#[cfg(not(target_os = "linux"))]
pub(in crate::cli) fn kill_with_parent(_parent: u32) -> Result<(), String> {
    Ok(())
}

fn command(ServeCommand { service, listen, options }: ServeCommand<'_>) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["serve", service, "--die-with-parent", &std::process::id().to_string()]);
    command.args(listen.iter().flat_map(|address| ["--listen", address])).args(options);
    // A filter that is meant for this process would have the server log each connection in its measured time.
    command.env_remove("RUST_LOG").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt;
        // Ctrl-C at a terminal goes to the whole group in front. When the server stops is decided here.
        command.process_group(0);
    }
    Ok(command)
}

fn listening(line: &str, service: &str) -> Option<Endpoint> {
    let (transport, address) = line.strip_prefix("listening ")?.strip_prefix(service)?.trim_start().split_once(' ')?;
    format!("{transport}:{address}").parse().ok()
}

/// What a stream says, a line at a time, so that waiting for one has a time limit. The thread that reads ends when nobody waits
/// any more: what else is said there is not for us.
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

/// The end of what a child says on standard error. Somebody has to read it: a server whose log is not read blocks.
#[derive(Debug)]
struct Log {
    kept: Arc<Mutex<VecDeque<u8>>>,
    /// Nothing comes here; it disconnects at the end.
    end: Receiver<()>,
}

impl Log {
    fn of(stream: Option<impl Read + Send + 'static>) -> Self {
        let kept = Arc::new(Mutex::new(VecDeque::new()));
        let (until_end, end) = channel();
        if let Some(mut stream) = stream {
            let kept = Arc::clone(&kept);
            thread::spawn(move || {
                let _until_end = until_end;
                let mut buffer = [0; 4096];
                while let Ok(len @ 1..) = stream.read(&mut buffer) {
                    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                    kept.extend(buffer.iter().take(len));
                    let surplus = kept.len().saturating_sub(MAX_LOG_BYTES);
                    kept.drain(..surplus);
                }
            });
        }
        Self { kept, end }
    }

    fn text(&self) -> String {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (one, other) = kept.as_slices();
        String::from_utf8_lossy(&[one, other].concat()).into_owned()
    }

    fn ends_within(&self, patience: Duration) -> bool {
        matches!(self.end.recv_timeout(patience), Err(RecvTimeoutError::Disconnected))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listening_line_is_read_back() {
        let endpoint = |text: &str| text.parse::<Endpoint>().unwrap();
        assert_eq!(listening("listening echo tcp 127.0.0.1:7", "echo"), Some(endpoint("127.0.0.1:7")));
        assert_eq!(listening("listening echo udp [::1]:7", "echo"), Some(endpoint("udp:[::1]:7")));
        assert_eq!(listening("listening echo unix /a b", "echo"), Some(endpoint("unix:/a b")));
        for line in ["listening echo", "listening upper tcp 127.0.0.1:7", "hello"] {
            assert_eq!(listening(line, "echo"), None, "{line}");
        }
    }

    #[test]
    #[cfg(unix)]
    fn who_has_ended_already_is_sent_no_signal() {
        let mut process = Command::new("true").stderr(Stdio::piped()).spawn().unwrap();
        let log = Log::of(process.stderr.take());
        let mut child = ServerProcess { process, endpoints: Vec::new(), log };
        while child.ended().is_none() {
            thread::yield_now();
        }
        // The kernel would say that there is no such process, or would find another.
        assert_eq!(child.stop(), Ok(()));
    }

    #[test]
    fn of_a_long_log_the_end_is_kept() {
        let said = "x".repeat(3 * MAX_LOG_BYTES) + "the end";
        let log = Log::of(Some(io::Cursor::new(said)));
        assert!(log.ends_within(PATIENCE));
        assert_eq!(log.text().len(), MAX_LOG_BYTES);
        assert!(log.text().ends_with("the end"));
    }
}
