//! The configuration of the exec service: allowed commands, token, limits. A request never changes
//! it.

use std::fmt;
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Access, access};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::launcher::Launcher;
use super::wire::ExecDialect;

/// The configuration of an [`Exec`](super::Exec).
///
/// ```
/// use switchboard::services::exec::{Allowed, Exec, Program, ExecRules};
/// let allowed = Allowed::Programs(vec![Program::find("date")?, Program::find("uname")?]);
/// let token = Some("twenty-four secret bytes".parse()?);
/// let service = Exec::new(ExecRules { token, ..ExecRules::new(allowed) });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ExecRules {
    /// The allowed commands.
    pub allowed: Allowed,
    /// The token with which every request must begin, on a separate line.
    pub token: Option<Token>,
    /// The encoding of answers.
    pub dialect: ExecDialect,
    /// The time after which a command's process group is killed.
    pub timeout: Duration,
    /// The largest answer, in bytes: standard output and standard error together. A command with
    /// more output is killed.
    pub max_output_bytes: usize,
    /// Commands that run at the same time; further ones wait.
    pub jobs: NonZeroUsize,
    /// Starts the commands, so that they end with this process even if it is killed. `None`:
    /// commands of a killed process run on, without a time limit.
    pub launcher: Option<Launcher>,
}

impl ExecRules {
    /// Returns the default configuration: no token, [`ExecDialect::Header`], 10 seconds, 1 MiB,
    /// four commands at the same time, no launcher.
    pub fn new(allowed: Allowed) -> Self {
        Self {
            allowed,
            token: None,
            dialect: ExecDialect::default(),
            timeout: Duration::from_secs(10),
            max_output_bytes: 1 << 20,
            jobs: const { NonZeroUsize::new(4).unwrap() },
            launcher: None,
        }
    }
}

/// The commands that clients may run.
#[derive(Clone, Debug)]
pub enum Allowed {
    /// These programs, each by the exact name under which it was found. A command line is split
    /// into words and never interpreted by a shell.
    Programs(Vec<Program>),
    /// Any line, run with `/bin/sh -c`. Every client can then do everything that this process can.
    Shell,
}

/// An allowed program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    name: String,
    path: PathBuf,
}

impl Program {
    /// Finds a program in the absolute directories of `PATH`, or at `name` if that is an absolute
    /// path. The lookup is done once, so that a later change of the environment has no effect.
    ///
    /// # Errors
    /// [`ProgramError`] if this process cannot execute such a program, or if `name` is a relative
    /// path.
    pub fn find(name: &str) -> Result<Self, ProgramError> {
        let bad = |reason| ProgramError { name: name.to_owned(), reason };
        if name.is_empty() || name.contains('\0') {
            return Err(bad("is not a program name"));
        }
        if name.contains('/') {
            let path = PathBuf::from(name);
            return match path.is_absolute() {
                true if is_program(&path) => Ok(Self { name: name.to_owned(), path }),
                true => Err(bad("is not an executable file")),
                false => Err(bad("is a relative path: write a name or an absolute path")),
            };
        }
        let search = std::env::var_os("PATH").unwrap_or_default();
        let found = std::env::split_paths(&search)
            .filter(|folder| folder.is_absolute())
            .map(|folder| folder.join(name))
            .find(|path| is_program(path));
        found
            .map(|path| Self { name: name.to_owned(), path })
            .ok_or_else(|| bad("is not in PATH: write its absolute path"))
    }

    /// Returns the name that clients use.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the path of the program.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns true if `word` is the program's name. The comparison is byte by byte, so look-alikes
    /// and other paths of the same file do not match.
    pub(super) fn is_called(&self, word: &[u8]) -> bool {
        Path::new(&self.name).as_os_str().as_bytes() == word
    }
}

fn is_program(path: &Path) -> bool {
    path.is_file() && access(path, Access::EXEC_OK).is_ok()
}

/// The error of a program that cannot be allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramError {
    name: String,
    reason: &'static str,
}

impl fmt::Display for ProgramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' {}", self.name.escape_debug(), self.reason)
    }
}

impl std::error::Error for ProgramError {}

/// A secret that clients send. Only its digest is stored, and it is never displayed.
#[derive(Clone)]
pub struct Token([u8; 32]);

impl Token {
    /// The shortest token, in bytes. Shorter ones could be guessed.
    pub const MIN_BYTES: usize = 16;
    /// The longest token, in bytes, so that it fits into a request.
    pub const MAX_BYTES: usize = 1024;

    /// Returns true if `claim` is the token. The time depends neither on the number of matching
    /// bytes nor on the token's length.
    pub(super) fn matches(&self, claim: &[u8]) -> bool {
        // All digests have the same length.
        Sha256::digest(claim).as_slice().ct_eq(&self.0).into()
    }
}

impl std::str::FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        match text.len() {
            0..Self::MIN_BYTES => Err(TokenError::TooShort),
            Self::MIN_BYTES..=Self::MAX_BYTES if text.chars().any(char::is_control) => Err(TokenError::NotOneLine),
            Self::MIN_BYTES..=Self::MAX_BYTES => Ok(Self(Sha256::digest(text.as_bytes()).into())),
            _ => Err(TokenError::TooLong),
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// The error of parsing a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenError {
    /// Fewer than [`Token::MIN_BYTES`].
    TooShort,
    /// More than [`Token::MAX_BYTES`].
    TooLong,
    /// The text contains a line feed or another control character.
    NotOneLine,
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort => write!(f, "token too short: it must have at least {} bytes", Token::MIN_BYTES),
            Self::TooLong => write!(f, "token too long: it must have at most {} bytes", Token::MAX_BYTES),
            Self::NotOneLine => f.write_str("token contains a control character: it must be one line of text"),
        }
    }
}

impl std::error::Error for TokenError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_called_by_its_exact_name() {
        let program = Program::find("ls").unwrap();
        assert!(program.path().is_absolute() && program.path().ends_with("ls"));
        assert!(program.is_called(b"ls"));
        for other in ["", "l", "lss", "LS", "./ls", "/bin/ls", "ls ", "ls\0", "ｌｓ"] {
            assert!(!program.is_called(other.as_bytes()), "{other:?}");
        }
        assert!(Program::find("/bin/sh").unwrap().is_called(b"/bin/sh"));
    }

    #[test]
    fn find_rejects_what_is_not_a_program() {
        for (name, expected) in [
            ("", "'' is not a program name"),
            ("no-such-program", "is not in PATH"),
            ("./ls", "is a relative path"),
            ("bin/ls", "is a relative path"),
            ("/no/such", "is not an executable file"),
            ("/etc/passwd", "is not an executable file"),
            ("/etc", "is not an executable file"),
        ] {
            let error = Program::find(name).unwrap_err().to_string();
            assert!(error.contains(expected), "{name}: {error}");
        }
    }

    #[test]
    fn a_token_matches_only_itself_and_is_never_displayed() {
        let token: Token = "0123456789abcdef".parse().unwrap();
        assert!(token.matches(b"0123456789abcdef"));
        for other in ["", "0123456789abcde", "0123456789abcdef0", "0123456789abcdeF", " 0123456789abcdef"] {
            assert!(!token.matches(other.as_bytes()), "{other}");
        }
        assert_eq!(format!("{token:?}"), "Token(..)");
        assert_eq!("short".parse::<Token>().unwrap_err(), TokenError::TooShort);
        assert_eq!("x".repeat(1025).parse::<Token>().unwrap_err(), TokenError::TooLong);
        assert_eq!("two lines of it\nare".parse::<Token>().unwrap_err(), TokenError::NotOneLine);
    }
}
