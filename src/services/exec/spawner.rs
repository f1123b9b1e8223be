//! Starts commands: directly, or by way of a launcher and its guard.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use super::guard::Guard;
use super::launcher::Launcher;
use super::request::AllowedCommand;

/// The server's environment variables that a command receives. Others may hold secrets.
const ENVIRONMENT: [&str; 7] = ["PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "TMPDIR"];

/// The prefix of further variables that a command receives: the locale.
const ENVIRONMENT_PREFIX: &str = "LC_";

/// Starts the commands of one service.
#[derive(Debug, Default)]
pub(super) struct Spawner {
    launcher: Option<Launcher>,
    /// The guard process, from the first command on.
    guard: Mutex<Option<Guard>>,
}

impl Spawner {
    pub(super) fn new(launcher: Option<Launcher>) -> Self {
        Self { launcher, guard: Mutex::default() }
    }

    /// Starts a command in a process group of its own, with pipes for its output. Call
    /// [`release`](Self::release) before waiting for it.
    pub(super) fn spawn(&self, allowed: &AllowedCommand) -> io::Result<Child> {
        let AllowedCommand { path, name, arguments } = allowed;
        let (mut command, input) = if let Some(launcher) = &self.launcher {
            (launcher.command(path, name), self.guard_pipe(launcher)?)
        } else {
            let mut command = Command::new(path);
            command.arg0(name);
            (command, Stdio::null())
        };
        let passed = |name: &str| ENVIRONMENT.contains(&name) || name.starts_with(ENVIRONMENT_PREFIX);
        let environment = std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(passed));
        command.args(arguments).env_clear().envs(environment);
        command.process_group(0).stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn()
    }

    /// Returns the pipe to the guard, which is started if it does not run.
    fn guard_pipe(&self, launcher: &Launcher) -> io::Result<Stdio> {
        let mut guard = self.lock();
        if let Some(running) = &mut *guard
            && !running.is_running()
        {
            log::warn!("exec: the guard process was killed; commands that run now may outlive a killed server");
            *guard = None;
        }
        match &mut *guard {
            Some(running) => running.pipe(),
            none => none.insert(Guard::start(launcher.program())?).pipe(),
        }
    }

    /// Removes a command that has been killed from the guard. Call this before it is waited for.
    pub(super) fn release(&self, child: &Child) {
        if self.launcher.is_none() {
            return;
        }
        let leader = Pid::from_child(child);
        // A launcher process that is being killed may still register itself. The lock is taken
        // after the wait: a process that the kernel cannot end at once, such as one that waits for
        // a network file system, must not delay the other commands.
        let until_exit = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while matches!(waitid(WaitId::Pid(leader), until_exit), Err(Errno::INTR)) {}
        if let Some(guard) = &*self.lock() {
            guard.remove(leader);
        }
    }

    /// Locks the guard. No code panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, Option<Guard>> {
        self.guard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
