//! The exec service: starts a command for each request and sends the answer.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use super::answer::Answer;
use super::kill_handle::KillHandle;
use super::request::{self, AllowedCommand, ParsedRequest, Rejection};
use super::rules::ExecRules;
use super::run::{CommandLimits, CommandResult, run};
use super::session::{ExecSession, ExecState, PendingAnswer, QueuedRequest};
use super::spawner::Spawner;
use super::wire::{ExecDialect, READY};
use crate::frame::escape::excerpt;
use crate::service::CloseReason;
use crate::service::Context;
use crate::service::{ConnId, JobError, JobId, JobOutput, Peer, Service, ServiceOptions, TimerId};

/// The time for which an answer waits for the client's `Start`.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// Descriptors of one command at most: while it starts, both ends of the pipes of its output and of
/// a pipe for the error of its start, the guard's pipe, and afterwards the descriptor that reports
/// its end.
const DESCRIPTORS_PER_COMMAND: usize = 8;

/// Descriptors of the guard: its pipe, and while it starts the other end and `/dev/null`.
const GUARD_DESCRIPTORS: usize = 3;

/// The service that runs allowed commands and sends their output.
///
/// Each frame is a command line. The commands of one connection run one after the other; those of
/// several connections run at the same time, up to [`ExecRules::jobs`]. Every request gets an
/// answer: a text if no command ran. See [`wire`](super::wire) for the bytes.
///
/// A command is killed, with its process group, when its connection closes and when the service is
/// dropped; with [`ExecRules::launcher`] also when this process is killed. On `Threaded` a
/// connection notices neither while its command runs; [`ExecRules::timeout`] then ends the command.
/// A process that leaves its process group, as a daemon does, is not killed.
///
/// Answers are bytes that may contain line feeds: [`Framing::Lines`](crate::Framing::Lines) cannot
/// carry them.
///
/// ```no_run
/// use switchboard::services::exec::{Allowed, Exec, Program, ExecRules};
/// use switchboard::{Framing, Limits, Reactor};
///
/// let mut reactor = Reactor::new(Limits::default())?;
/// let rules = ExecRules::new(Allowed::Programs(vec![Program::find("date")?]));
/// let exec = Exec::new(rules);
/// let exec = reactor.add_service(exec.options("exec"), exec);
/// reactor.listen(exec, &"127.0.0.1:8086".parse()?, Framing::Raw)?;
/// reactor.run()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Exec {
    rules: Arc<ExecRules>,
    shared: Arc<ExecShared>,
    sessions: HashMap<ConnId, ExecSession>,
}

/// The state that all instances of one service share.
struct ExecShared {
    spawner: Spawner,
    /// Bytes of the answers that wait for a `Start`, over all connections.
    pending_bytes: Arc<AtomicUsize>,
    commands: Mutex<RunningCommands>,
}

/// The commands that run or wait for a worker thread.
#[derive(Default)]
struct RunningCommands {
    kill_handles: Vec<Weak<KillHandle>>,
    /// The engine is stopping: no further command starts.
    is_stopping: bool,
}

impl Exec {
    /// Creates the service.
    pub fn new(rules: ExecRules) -> Self {
        let shared = ExecShared {
            spawner: Spawner::new(rules.launcher.clone()),
            pending_bytes: Arc::default(),
            commands: Mutex::default(),
        };
        Self { rules: Arc::new(rules), shared: Arc::new(shared), sessions: HashMap::new() }
    }

    /// Returns the options of this service: an instance for each connection, and
    /// [`ExecRules::jobs`] threads for the commands alone, with the descriptors that these need.
    pub fn options(&self, name: impl Into<String>) -> ServiceOptions {
        let (rules, shared) = (Arc::clone(&self.rules), Arc::clone(&self.shared));
        let instance =
            move || Self { rules: Arc::clone(&rules), shared: Arc::clone(&shared), sessions: HashMap::new() };
        let descriptors =
            DESCRIPTORS_PER_COMMAND.saturating_mul(self.rules.jobs.get()).saturating_add(GUARD_DESCRIPTORS);
        ServiceOptions::new(name).job_threads(self.rules.jobs).descriptors(descriptors).per_connection(instance)
    }

    /// Handles a request while no command runs for its connection.
    fn handle_request(&mut self, cx: &mut Context<'_>, message: &[u8]) {
        let Some(session) = self.sessions.get_mut(&cx.conn()) else { return };
        if let ExecState::AwaitingStart { answer, closes, timer } = std::mem::take(&mut session.state) {
            cx.cancel_timer(timer);
            let is_start = request::is_start(message, &self.rules);
            if is_start {
                cx.reply(&answer.bytes);
            }
            if closes {
                session.clear_queue();
                cx.close("refused");
            }
            if is_start || closes {
                return;
            }
        }
        let ParsedRequest { name, command } = request::parse(message, &self.rules);
        match command {
            Ok(command) => self.start(cx, name, command),
            Err(Rejection { text, closes }) => {
                cx.warn(
                    "exec rejected request",
                    format_args!("exec {}: request '{}' rejected: {}", session.peer, excerpt(&name), excerpt(&text)),
                );
                self.send_answer(cx, Answer::rejection(name, &text), closes);
            }
        }
    }

    /// Starts a command on a worker thread.
    fn start(&mut self, cx: &mut Context<'_>, name: String, command: AllowedCommand) {
        let Some(kill_handle) = self.shared.new_kill_handle() else {
            self.send_answer(cx, Answer::rejection(name, "the server is stopping"), false);
            return;
        };
        let Some(session) = self.sessions.get_mut(&cx.conn()) else { return };
        cx.inform("exec starts", format_args!("exec {}: starts {}", session.peer, for_log(&command)));
        session.state = ExecState::Running { name, kill_handle: Arc::clone(&kill_handle) };
        let limits = CommandLimits { timeout: self.rules.timeout, max_output_bytes: self.rules.max_output_bytes };
        let shared = Arc::clone(&self.shared);
        cx.offload_holding(command.held_bytes(), move || run(&command, limits, &kill_handle, &shared.spawner));
    }

    /// Sends an answer, or in [`ExecDialect::Ready`] announces it.
    fn send_answer(&mut self, cx: &mut Context<'_>, answer: Answer, closes: bool) {
        let Some(session) = self.sessions.get_mut(&cx.conn()) else { return };
        let dialect = self.rules.dialect;
        if closes {
            session.clear_queue();
        }
        let bytes = answer.bytes(dialect);
        if dialect == ExecDialect::Ready {
            let busy = || {
                PendingAnswer::new(b"exec: busy: too many answers wait for their clients\n".to_vec(), &Arc::default())
            };
            let Some(answer) = PendingAnswer::new(bytes, &self.shared.pending_bytes).or_else(busy) else { return };
            cx.reply(format!("{READY}{}", answer.bytes.len()).as_bytes());
            let timer = cx.set_timer(START_TIMEOUT);
            session.state = ExecState::AwaitingStart { answer, closes, timer };
            return;
        }
        cx.reply(&bytes);
        if closes {
            cx.close("refused");
        }
    }

    /// Handles queued requests until a command runs again.
    fn handle_queued(&mut self, cx: &mut Context<'_>) {
        while let Some(session) = self.sessions.get_mut(&cx.conn())
            && !session.is_running()
            && let Some(request) = session.next_request()
        {
            match request {
                QueuedRequest::Message(message) => self.handle_request(cx, &message),
                QueuedRequest::Rejected => {
                    let text = "busy: too many commands of this connection wait; wait for an answer before the next";
                    self.send_answer(cx, Answer::rejection(String::new(), text), false);
                }
            }
        }
        self.hold_queue(cx);
    }

    /// Has the queued requests counted as memory of their connection.
    fn hold_queue(&self, cx: &mut Context<'_>) {
        if let Some(session) = self.sessions.get(&cx.conn()) {
            cx.hold(cx.conn(), session.queued_bytes());
        }
    }
}

impl ExecShared {
    /// Returns a kill handle for a new command; `None` if the engine is stopping.
    fn new_kill_handle(&self) -> Option<Arc<KillHandle>> {
        let mut commands = self.lock();
        if commands.is_stopping {
            return None;
        }
        commands.kill_handles.retain(|kill_handle| kill_handle.strong_count() > 0);
        let kill_handle = Arc::<KillHandle>::default();
        commands.kill_handles.push(Arc::downgrade(&kill_handle));
        Some(kill_handle)
    }

    /// Kills all running commands and prevents waiting ones from starting.
    fn cancel_all(&self) {
        let mut commands = self.lock();
        commands.is_stopping = true;
        let kill_handles: Vec<_> = commands.kill_handles.drain(..).filter_map(|handle| handle.upgrade()).collect();
        // All are marked before the first is killed: otherwise a waiting command would start in its
        // place.
        for kill_handle in &kill_handles {
            kill_handle.set_cancelled();
        }
        for kill_handle in &kill_handles {
            kill_handle.cancel();
        }
    }

    /// Locks the commands. No code panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, RunningCommands> {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Service for Exec {
    fn on_open(&mut self, cx: &mut Context<'_>, peer: &Peer) {
        self.sessions.insert(cx.conn(), ExecSession::new(peer));
    }

    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        match self.sessions.get_mut(&cx.conn()) {
            Some(session) if session.is_running() => {
                if !session.add(payload) {
                    cx.close("sends commands without waiting for answers");
                }
                self.hold_queue(cx);
            }
            _ => self.handle_request(cx, payload),
        }
    }

    fn on_job(&mut self, cx: &mut Context<'_>, _job: JobId, output: JobOutput) {
        let Some(session) = self.sessions.get_mut(&cx.conn()) else { return };
        if session.is_closed {
            self.sessions.remove(&cx.conn());
            return;
        }
        let ExecState::Running { name, .. } = std::mem::take(&mut session.state) else { return };
        let ExecRules { dialect, timeout, max_output_bytes, .. } = *self.rules;
        let answer = match output.take::<io::Result<CommandResult>>() {
            Ok(Ok(result)) => Answer::new(name, result, dialect, timeout, max_output_bytes),
            Ok(Err(error)) => {
                let text = format!("cannot run '{}': {error}", name.escape_debug());
                Answer::rejection(name, &text)
            }
            Err(JobError::Rejected) => Answer::rejection(name, "busy: too many commands wait already; try again later"),
            Err(error) => Answer::rejection(name, &error.to_string()),
        };
        self.send_answer(cx, answer, false);
        self.handle_queued(cx);
    }

    fn on_timer(&mut self, cx: &mut Context<'_>, timer: TimerId) {
        let Some(session) = self.sessions.get_mut(&cx.conn()) else { return };
        if let ExecState::AwaitingStart { timer: own, closes, .. } = &session.state
            && *own == timer
        {
            let closes = *closes;
            session.state = ExecState::Idle;
            if closes {
                cx.close("refused");
            }
        }
    }

    fn on_close(&mut self, cx: &mut Context<'_>, _reason: &CloseReason) {
        let Some(session) = self.sessions.get_mut(&cx.conn()) else { return };
        session.clear_queue();
        if let ExecState::Running { kill_handle, .. } = &session.state {
            kill_handle.cancel();
            // The session stays until the command has ended, so that dropping the service still
            // kills it.
            session.is_closed = true;
        } else {
            self.sessions.remove(&cx.conn());
        }
    }

    /// Ends all commands, so that their clients get an answer before the engine stops.
    fn on_shutdown(&mut self, _cx: &mut Context<'_>) {
        self.shared.cancel_all();
    }
}

impl Drop for Exec {
    /// Kills the running commands before the process can end.
    fn drop(&mut self) {
        for session in self.sessions.values() {
            if let ExecState::Running { kill_handle, .. } = &session.state {
                kill_handle.cancel_now();
            }
        }
    }
}

impl fmt::Debug for Exec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Exec({:?})", self.rules)
    }
}

/// Formats a command for the log.
fn for_log(command: &AllowedCommand) -> String {
    let words = std::iter::once(&command.name).chain(&command.arguments);
    let line = words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    excerpt(&line).into_owned()
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::Command;

    use super::*;
    use crate::services::exec::Allowed;

    #[test]
    fn dropping_the_service_kills_its_commands() {
        let mut exec = Exec::new(ExecRules::new(Allowed::Shell));
        let kill_handle = Arc::<KillHandle>::default();
        let sleep = || Command::new("sleep").arg("1000").process_group(0).spawn();
        let mut child = kill_handle.start(sleep).unwrap().unwrap();
        let state = ExecState::Running { name: "sleep".to_owned(), kill_handle: Arc::clone(&kill_handle) };
        let mut session = ExecSession::new(&Peer::Unix);
        session.state = state;
        exec.sessions.insert(ConnId::NONE, session);
        drop(exec);
        assert!(kill_handle.start(sleep).unwrap().is_none(), "no further command starts");
        assert_eq!(child.wait().unwrap().signal(), Some(9));
    }
}
