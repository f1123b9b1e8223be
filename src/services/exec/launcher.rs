//! The launcher: the way in which a program that can run itself again starts commands, so that they
//! end with it, even if it is killed.
//!
//! The helper processes are this program with another `argv[0]`, as in a multi-call binary. A
//! *launcher process* registers itself with the guard, restores the limit on descriptors, and then
//! becomes the command (execve(2)): the process id stays. The guard is in [`guard`](super::guard).

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getpid, getrlimit, setrlimit};

use super::guard;

/// `argv[0]` of a launcher process. Its arguments are the limit on descriptors, the path of the
/// command, its `argv[0]` and its arguments.
const LAUNCHER_NAME: &str = "exec-launcher";

/// The argument for no limit on descriptors.
const UNLIMITED: &str = "unlimited";

/// The start of the text by which a launcher process reports that it could not become the command.
/// The number of the error follows. It is written to standard error.
const ERROR_PREFIX: &str = "\0exec-launcher ";

/// Starts the commands of an [`Exec`](super::Exec) in two respects differently from a direct start:
///
/// - The commands and their process groups are killed when this process ends, however it ends. For
///   this, one more process runs, the guard (`exec-guard`), from the first command on.
/// - The commands have the soft limit on open descriptors that this process had at its start. A
///   server for many connections raises its own with
///   [`raise_descriptor_limit`](crate::raise_descriptor_limit), but a program that uses select(2)
///   fails with descriptors above 1,023.
///
/// Both need helper processes, which are this program, run again:
///
/// ```no_run
/// use switchboard::services::exec::{Allowed, Exec, ExecRules, Launcher, Program};
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     // First of all: a helper process does not return from here.
///     let launcher = Some(Launcher::init());
///     let rules = ExecRules::new(Allowed::Programs(vec![Program::find("date")?]));
///     let exec = Exec::new(ExecRules { launcher, ..rules });
///     // …
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Launcher {
    program: PathBuf,
    /// The soft limit on descriptors; `None` if unlimited.
    descriptor_limit: Option<u64>,
}

impl Launcher {
    /// Creates the launcher; in a helper process, acts as the helper and exits. Call this at the
    /// start of `main`, before the program reads its arguments, starts threads or raises its limit
    /// on descriptors. Later calls return the same launcher.
    pub fn init() -> Self {
        static LAUNCHER: OnceLock<Launcher> = OnceLock::new();
        let launcher = LAUNCHER.get_or_init(|| {
            let mut words = std::env::args_os();
            match words.next() {
                Some(name) if name == guard::NAME => {
                    guard::run(io::stdin().lock());
                    std::process::exit(0);
                }
                Some(name) if name == LAUNCHER_NAME => {
                    report(&launch(words));
                    std::process::exit(127);
                }
                _ => Self { program: own_program(), descriptor_limit: getrlimit(Resource::Nofile).current },
            }
        });
        launcher.clone()
    }

    /// Returns this program, as a command for its own helper processes.
    pub(super) fn program(&self) -> Command {
        Command::new(&self.program)
    }

    /// Returns a command that becomes the program at `path`, to which the caller adds the program's
    /// arguments. Its standard input must be the guard's pipe.
    pub(super) fn command(&self, path: &Path, name: &OsStr) -> Command {
        let mut command = self.program();
        let limit = self.descriptor_limit.map_or(UNLIMITED.to_owned(), |limit| limit.to_string());
        command.arg0(LAUNCHER_NAME).arg(limit).arg(path).arg(name);
        command
    }
}

/// Returns the path of this program.
fn own_program() -> PathBuf {
    // This link leads to the running program even if its file has been replaced or removed.
    if cfg!(target_os = "linux") { "/proc/self/exe".into() } else { std::env::current_exe().unwrap_or_default() }
}

/// The launcher process: becomes the command. Returns the error if that fails.
fn launch(mut words: impl Iterator<Item = OsString>) -> io::Error {
    let mut next = || words.next().unwrap_or_default();
    let (limit, path, name) = (next(), next(), next());
    if let Err(error) = register() {
        return error;
    }
    limit_descriptors(&limit.to_string_lossy());
    Command::new(path).arg0(name).args(words).stdin(Stdio::null()).exec()
}

/// Registers this process with the guard, whose pipe is standard input. The guard thus knows each
/// command before it runs, also if the server has been killed in between.
fn register() -> io::Result<()> {
    let mut pipe = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    pipe.write_all(&guard::started(getpid()))
}

/// Sets the soft limit on descriptors, which may be lower than the inherited one.
fn limit_descriptors(limit: &str) {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // macOS rejects "unlimited", with which a process may have been started. The command then has
    // the limit of the server.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.parse().ok(), maximum });
}

/// Reports the error to the server, see [`error_of`].
fn report(error: &io::Error) {
    let number = error.raw_os_error().unwrap_or_default();
    // If the server does not read this any more, its answer has no reader either.
    let _ = write!(io::stderr(), "{ERROR_PREFIX}{number}");
}

/// Returns the error of a launcher process that could not become the command, from its standard
/// error.
pub(super) fn error_of(errors: &[u8]) -> Option<io::Error> {
    let number = errors.strip_prefix(ERROR_PREFIX.as_bytes())?;
    Some(io::Error::from_raw_os_error(std::str::from_utf8(number).ok()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_of_a_launcher_process_is_recognised() {
        assert_eq!(error_of(b"\0exec-launcher 2").unwrap().kind(), io::ErrorKind::NotFound);
        for errors in ["", "2", "sh: not found\n", "exec-launcher 2", "\0exec-launcher ", "\0exec-launcher 2\n"] {
            assert!(error_of(errors.as_bytes()).is_none(), "{errors:?}");
        }
    }
}
