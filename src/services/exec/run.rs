//! Runs one command, on a thread that may wait. It must not know who asked for it.
//!
//! It waits for the command itself, not for the end of its pipes: whatever the command has left behind holds them open for as
//! long as it likes. Nothing of the command's group is left when this returns.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;

use super::capture::Capture;
use super::child_exit::ChildExit;
use super::leash::Leash;
use super::order::Order;

/// What is passed on of the server's environment. It may hold secrets that are nobody's business.
const ENVIRONMENT: [&str; 7] = ["PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "TMPDIR"];

/// And all whose name begins so: the language of messages.
const ENVIRONMENT_PREFIX: &str = "LC_";

/// Bytes read at once: what a pipe holds.
const PIECE_BYTES: usize = 64 * 1024;

/// Reads of what is left in a pipe. It may have been enlarged (fcntl(2), `F_SETPIPE_SZ`) by whoever may, to 1 MiB.
const LAST_READS: usize = 16;

/// How long and how much.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) timeout: Duration,
    pub(super) max_output_bytes: usize,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// By itself, with this code.
    Exited(i32),
    /// By a signal, which was not ours.
    Signalled(i32),
    /// It ran for too long.
    OutOfTime,
    /// It said too much.
    Cut,
    /// Nobody wanted it any more.
    Cancelled,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) capture: Capture,
    pub(super) end: End,
}

/// Runs `order` to its end.
///
/// # Errors
/// What the system said when it could not be started or watched.
pub(super) fn run(order: &Order, bounds: Bounds, leash: &Leash) -> io::Result<Ran> {
    let Some(mut child) = leash.start(|| command(order).spawn())? else {
        return Ok(Ran { capture: Capture::default(), end: End::Cancelled });
    };
    let ran = attend(&mut child, bounds, leash);
    // Also whatever it has left behind, and itself if it could not be attended to. It has not been waited for yet.
    leash.kill();
    leash.let_go();
    let status = child.wait()?;
    let (capture, early) = ran?;
    let end = match early {
        _ if leash.is_cancelled() => End::Cancelled,
        Some(early) => early,
        None => ended(status),
    };
    Ok(Ran { capture, end })
}

fn ended(status: ExitStatus) -> End {
    status.code().map_or_else(|| End::Signalled(status.signal().unwrap_or_default()), End::Exited)
}

fn command(order: &Order) -> Command {
    let mut command = Command::new(&order.path);
    let passed = |name: &str| ENVIRONMENT.contains(&name) || name.starts_with(ENVIRONMENT_PREFIX);
    let environment = std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(passed));
    command.arg0(&order.name).args(&order.arguments).env_clear().envs(environment);
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Reads what the command says until it has ended; why it has to be ended before, if it has. The command is dead when this
/// returns, unless it cannot be attended to.
fn attend(child: &mut Child, bounds: Bounds, leash: &Leash) -> io::Result<(Capture, Option<End>)> {
    let deadline = Instant::now().checked_add(bounds.timeout);
    let mut capture = Capture::default();
    let mut piece = vec![0; PIECE_BYTES];
    let mut output = Pipe::new(child.stdout.take().map(Into::into))?;
    let mut errors = Pipe::new(child.stderr.take().map(Into::into))?;
    let exit = ChildExit::of(child)?;
    let early = loop {
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        let has_ended = wait(&exit, [&output, &errors], left)?;
        output.read(&mut piece, &mut capture.output);
        errors.read(&mut piece, &mut capture.errors);
        if has_ended {
            break None;
        }
        if capture.exceeds(bounds.max_output_bytes) {
            break Some(End::Cut);
        }
        if left.is_some_and(|left| left.is_zero()) {
            break Some(End::OutOfTime);
        }
    };
    leash.kill();
    // Before it is waited for: see `ChildExit`.
    while !wait(&exit, [&Pipe::CLOSED, &Pipe::CLOSED], None)? {}
    // What was said before that. Who has left the group may go on, so no more is read than pipes hold; and a flood on the one
    // side is no reason to lose what was said on the other.
    for _ in 0..LAST_READS {
        for (pipe, said) in [(&mut output, &mut capture.output), (&mut errors, &mut capture.errors)] {
            if said.len() <= bounds.max_output_bytes {
                pipe.read(&mut piece, said);
            }
        }
    }
    Ok((capture, early))
}

/// Waits for something to happen; whether the command has ended.
fn wait(exit: &ChildExit, pipes: [&Pipe; 2], left: Option<Duration>) -> io::Result<bool> {
    let left = left.and_then(|left| Timespec::try_from(left).ok());
    let mut watched = vec![PollFd::new(exit, PollFlags::IN)];
    watched.extend(pipes.iter().filter_map(|pipe| Some(PollFd::new(pipe.0.as_ref()?, PollFlags::IN))));
    match rustix::event::poll(&mut watched, left.as_ref()) {
        Ok(_) => Ok(watched.first().is_some_and(|exit| !exit.revents().is_empty())),
        Err(Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Our end of a pipe, until the other has been closed.
struct Pipe(Option<OwnedFd>);

impl Pipe {
    const CLOSED: Self = Self(None);

    fn new(pipe: Option<OwnedFd>) -> io::Result<Self> {
        if let Some(pipe) = &pipe {
            // The command's end is another description, which goes on to wait.
            fcntl_setfl(pipe, fcntl_getfl(pipe)? | OFlags::NONBLOCK)?;
        }
        Ok(Self(pipe))
    }

    /// Reads one piece, if there is any.
    fn read(&mut self, piece: &mut [u8], said: &mut Vec<u8>) {
        let Some(pipe) = &self.0 else { return };
        match rustix::io::read(pipe, &mut *piece) {
            Ok(bytes @ 1..) => said.extend_from_slice(piece.get(..bytes).unwrap_or_default()),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Ok(0) | Err(_) => self.0 = None,
        }
    }
}
