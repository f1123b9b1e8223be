//! Runs one command on a worker thread. It must not know the client.
//!
//! It waits for the end of the command, not of its pipes: a process that the command has started
//! may keep the pipes open. Invariant: no process of the command's group is left when [`run`]
//! returns.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;

use super::capture::Capture;
use super::child_exit::ChildExit;
use super::kill_handle::KillHandle;
use super::launcher;
use super::request::AllowedCommand;
use super::spawner::Spawner;

/// The size of one read, in bytes: the default capacity of a pipe (pipe(7)).
const PIECE_BYTES: usize = 64 * 1024;

/// Reads of the rest of a pipe at most. A process may have enlarged the pipe to 1 MiB (fcntl(2),
/// `F_SETPIPE_SZ`).
const LAST_READS: usize = 16;

/// The limits of one command.
#[derive(Clone, Copy, Debug)]
pub(super) struct CommandLimits {
    pub(super) timeout: Duration,
    pub(super) max_output_bytes: usize,
}

/// The way in which a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CommandEnd {
    /// It exited, with this code.
    Exited(i32),
    /// A signal of another process killed it.
    Signalled(i32),
    /// It ran longer than its time limit.
    TimedOut,
    /// It exceeded its output limit.
    OutputLimit,
    /// It was cancelled.
    Cancelled,
}

/// The output of a command and the way in which it ended.
#[derive(Debug)]
pub(super) struct CommandResult {
    pub(super) capture: Capture,
    pub(super) end: CommandEnd,
}

/// Runs `command` to its end.
///
/// # Errors
/// The error of the operating system if the command cannot be started or watched.
pub(super) fn run(
    command: &AllowedCommand,
    limits: CommandLimits,
    kill_handle: &KillHandle,
    spawner: &Spawner,
) -> io::Result<CommandResult> {
    let Some(mut child) = kill_handle.start(|| spawner.spawn(command))? else {
        return Ok(CommandResult { capture: Capture::default(), end: CommandEnd::Cancelled });
    };
    let result = capture_output(&mut child, limits, kill_handle);
    // Kills the processes that the command has left, and the command itself after an error. It has
    // not been waited for yet.
    kill_handle.kill();
    kill_handle.release();
    spawner.release(&child);
    let status = child.wait()?;
    let (capture, early) = result?;
    if let Some(error) = launcher::error_of(&capture.errors) {
        return Err(error);
    }
    let end = match early {
        _ if kill_handle.is_cancelled() => CommandEnd::Cancelled,
        Some(early) => early,
        None => end_of(status),
    };
    Ok(CommandResult { capture, end })
}

/// Returns the end that an exit status describes.
fn end_of(status: ExitStatus) -> CommandEnd {
    status.code().map_or_else(|| CommandEnd::Signalled(status.signal().unwrap_or_default()), CommandEnd::Exited)
}

/// Reads the command's output until it has ended or must be killed; returns the output and, in the
/// second case, the reason. The command is dead when this returns without an error.
fn capture_output(
    child: &mut Child,
    limits: CommandLimits,
    kill_handle: &KillHandle,
) -> io::Result<(Capture, Option<CommandEnd>)> {
    let deadline = Instant::now().checked_add(limits.timeout);
    let mut capture = Capture::default();
    let mut piece = vec![0; PIECE_BYTES];
    let mut output = OutputPipe::new(child.stdout.take().map(Into::into))?;
    let mut errors = OutputPipe::new(child.stderr.take().map(Into::into))?;
    let exit = ChildExit::of(child)?;
    let early = loop {
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        let has_ended = wait(&exit, [&output, &errors], left)?;
        output.read(&mut piece, &mut capture.output);
        errors.read(&mut piece, &mut capture.errors);
        if has_ended {
            break None;
        }
        if capture.exceeds(limits.max_output_bytes) {
            break Some(CommandEnd::OutputLimit);
        }
        if left.is_some_and(|left| left.is_zero()) {
            break Some(CommandEnd::TimedOut);
        }
    };
    kill_handle.kill();
    // The exit descriptor requires this before the child is waited for, see `ChildExit`.
    while !wait(&exit, [&OutputPipe::CLOSED, &OutputPipe::CLOSED], None)? {}
    // The rest of both pipes. A process that has left the group may write on, so at most one pipe's
    // capacity is read; much output on one pipe must not prevent reading the other.
    for _ in 0..LAST_READS {
        for (pipe, bytes) in [(&mut output, &mut capture.output), (&mut errors, &mut capture.errors)] {
            if bytes.len() <= limits.max_output_bytes {
                pipe.read(&mut piece, bytes);
            }
        }
    }
    Ok((capture, early))
}

/// Waits for output, for the end of the command, or for the timeout; returns true if the command
/// has ended.
fn wait(exit: &ChildExit, pipes: [&OutputPipe; 2], left: Option<Duration>) -> io::Result<bool> {
    let left = left.and_then(|left| Timespec::try_from(left).ok());
    let mut watched = vec![PollFd::new(exit, PollFlags::IN)];
    watched.extend(pipes.iter().filter_map(|pipe| Some(PollFd::new(pipe.0.as_ref()?, PollFlags::IN))));
    match rustix::event::poll(&mut watched, left.as_ref()) {
        Ok(_) => Ok(watched.first().is_some_and(|exit| !exit.revents().is_empty())),
        Err(Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The reading end of a pipe; `None` after its writing end was closed.
struct OutputPipe(Option<OwnedFd>);

impl OutputPipe {
    const CLOSED: Self = Self(None);

    fn new(pipe: Option<OwnedFd>) -> io::Result<Self> {
        if let Some(pipe) = &pipe {
            // The command's end has its own open file description, which stays blocking.
            fcntl_setfl(pipe, fcntl_getfl(pipe)? | OFlags::NONBLOCK)?;
        }
        Ok(Self(pipe))
    }

    /// Reads one piece, if bytes are available.
    fn read(&mut self, piece: &mut [u8], bytes: &mut Vec<u8>) {
        let Some(pipe) = &self.0 else { return };
        match rustix::io::read(pipe, &mut *piece) {
            Ok(read @ 1..) => bytes.extend_from_slice(piece.get(..read).unwrap_or_default()),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Ok(0) | Err(_) => self.0 = None,
        }
    }
}
