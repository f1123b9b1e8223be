//! The guard: a process that kills the commands when the server has ended.
//!
//! It reads a pipe whose writing end the server holds. The kernel closes that end however the
//! server ends, which is the end of the pipe. Launcher processes hold it, too, until they become
//! commands, so every command is registered before the pipe ends.
//!
//! The guard is in a process group of its own, so that Ctrl-C and `kill -9 -PGID` do not end it
//! with the server. Neither its name nor its arguments contain the program's name, so `pkill -f` of
//! that name does not, either.

use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use rustix::process::Pid;

use super::kill_handle::kill;

/// `argv[0]` and name of the process.
pub(super) const NAME: &str = "exec-guard";

/// One entry of the pipe: the leader of a process group, negative at the end of its command. The
/// writers share the pipe: it takes each entry whole (pipe(7), `PIPE_BUF`).
type Entry = [u8; 4];

/// Returns the entry of a command that starts.
pub(super) fn started(leader: Pid) -> Entry {
    leader.as_raw_nonzero().get().to_ne_bytes()
}

/// Returns the entry of a command that has ended.
fn ended(leader: Pid) -> Entry {
    leader.as_raw_nonzero().get().wrapping_neg().to_ne_bytes()
}

/// A guard process, as the server sees it.
#[derive(Debug)]
pub(super) struct Guard(Child);

impl Guard {
    /// Starts the process. `command` is this program, without arguments.
    pub(super) fn start(mut command: Command) -> io::Result<Self> {
        command.arg0(NAME).env_clear().current_dir("/").process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().map(Self)
    }

    /// Returns false after it has ended, which it does only if it is killed.
    pub(super) fn is_running(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }

    /// Returns the pipe to it, for a launcher process.
    pub(super) fn pipe(&self) -> io::Result<Stdio> {
        let pipe = self.0.stdin.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(pipe.as_fd().try_clone_to_owned()?.into())
    }

    /// Removes a command that has ended. Call this before it is waited for: after that, another
    /// process may have its id.
    pub(super) fn remove(&self, leader: Pid) {
        // An error means that the guard has been killed.
        let _ = self.0.stdin.as_ref().map(|mut pipe| pipe.write_all(&ended(leader)));
    }
}

impl Drop for Guard {
    /// Ends the process. No command runs: each of them keeps the guard.
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The guard process: reads entries until the server has ended, then kills the commands that run.
pub(super) fn run(mut pipe: impl Read) {
    // Its name would be that of the link to the program. Without a name it works, too.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::set_name(c"exec-guard");
    let mut leaders = HashSet::new();
    let mut entry = Entry::default();
    while pipe.read_exact(&mut entry).is_ok() {
        update(&mut leaders, i32::from_ne_bytes(entry));
    }
    leaders.into_iter().for_each(kill);
}

fn update(leaders: &mut HashSet<Pid>, entry: i32) {
    let Some(leader) = Pid::from_raw(entry.saturating_abs()) else { return };
    if entry > 0 {
        leaders.insert(leader);
    } else {
        leaders.remove(&leader);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn commands_that_run_are_killed_at_the_end_of_the_pipe() {
        let sleep = || Command::new("sleep").arg("1000").process_group(0).spawn().unwrap();
        let (mut running, mut removed) = (sleep(), sleep());
        let [one, two] = [&running, &removed].map(Pid::from_child);
        let entries = [started(one), started(two), ended(two), [0; 4], started(one)].concat();
        // The last entry is incomplete, which no writer causes.
        run(&[&entries[..], &[1]].concat()[..]);
        assert_eq!(running.wait().unwrap().signal(), Some(9));
        assert!(removed.try_wait().unwrap().is_none());
        removed.kill().unwrap();
        removed.wait().unwrap();
    }
}
