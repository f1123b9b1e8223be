//! What may be run, for whom, for how long: decided before the first request, and never by one.

use std::fmt;
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Access, access};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::wire::Dialect;

/// What an [`Exec`](super::Exec) does and does not do.
///
/// ```
/// use switchboard::services::exec::{Allowed, Exec, Program, Rules};
/// let allowed = Allowed::Programs(vec![Program::find("date")?, Program::find("uname")?]);
/// let service = Exec::new(Rules { token: Some("twenty-four secret bytes".parse()?), ..Rules::new(allowed) });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Rules {
    /// What may be run.
    pub allowed: Allowed,
    /// What every request has to begin with, on a line of its own.
    pub token: Option<Token>,
    /// What the clients speak.
    pub dialect: Dialect,
    /// How long a command may run before its process group is killed.
    pub timeout: Duration,
    /// Bytes of an answer: standard output and standard error together. Who says more is killed.
    pub max_output_bytes: usize,
    /// Commands that run at once; others wait.
    pub jobs: NonZeroUsize,
}

impl Rules {
    /// The standard ones: no token, [`Dialect::Header`], 10 seconds, 1 MiB, four at once.
    pub fn new(allowed: Allowed) -> Self {
        Self {
            allowed,
            token: None,
            dialect: Dialect::default(),
            timeout: Duration::from_secs(10),
            max_output_bytes: 1 << 20,
            jobs: const { NonZeroUsize::new(4).unwrap() },
        }
    }
}

/// What may be run.
#[derive(Clone, Debug)]
pub enum Allowed {
    /// These, each by the name under which it was found and no other. Nothing in a command line is interpreted.
    Programs(Vec<Program>),
    /// Whatever `/bin/sh -c` makes of a line. Whoever is let in can do all that this process can.
    Shell,
}

/// A program that may be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    name: String,
    path: PathBuf,
}

impl Program {
    /// Looks a program up: in the absolute folders of `PATH`, or, if `name` is an absolute path, there. It is done once, so that
    /// no later change of the environment makes another program of it.
    ///
    /// # Errors
    /// [`BadProgram`] when there is none that this process may run, or the name is a relative path.
    pub fn find(name: &str) -> Result<Self, BadProgram> {
        let bad = |reason| BadProgram { name: name.to_owned(), reason };
        if name.is_empty() || name.contains('\0') {
            return Err(bad("is no program's name"));
        }
        if name.contains('/') {
            let path = PathBuf::from(name);
            return match path.is_absolute() {
                true if is_program(&path) => Ok(Self { name: name.to_owned(), path }),
                true => Err(bad("is no program that can be run")),
                false => Err(bad("is a relative path: write a name, or a path from the root")),
            };
        }
        let search = std::env::var_os("PATH").unwrap_or_default();
        let found = std::env::split_paths(&search)
            .filter(|folder| folder.is_absolute())
            .map(|folder| folder.join(name))
            .find(|path| is_program(path));
        found
            .map(|path| Self { name: name.to_owned(), path })
            .ok_or_else(|| bad("is not in PATH: write its whole path"))
    }

    /// What clients call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is run.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a client means it. Names are compared byte by byte, so nothing that merely looks or resolves alike will do.
    pub(super) fn is_called(&self, word: &[u8]) -> bool {
        Path::new(&self.name).as_os_str().as_bytes() == word
    }
}

fn is_program(path: &Path) -> bool {
    path.is_file() && access(path, Access::EXEC_OK).is_ok()
}

/// Why a program cannot be allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadProgram {
    name: String,
    reason: &'static str,
}

impl fmt::Display for BadProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' {}", self.name.escape_debug(), self.reason)
    }
}

impl std::error::Error for BadProgram {}

/// A secret that clients have to know. It is not kept itself, and never shown.
#[derive(Clone)]
pub struct Token([u8; 32]);

impl Token {
    /// The fewest bytes of a token: what is shorter is soon guessed.
    pub const MIN_BYTES: usize = 16;
    /// The most, so that a request has room for it.
    pub const MAX_BYTES: usize = 1024;

    /// Whether `claim` is the token. How long that takes does not tell how much of it is right, nor how long it is.
    pub(super) fn is(&self, claim: &[u8]) -> bool {
        // Digests are of one length, whatever was claimed.
        Sha256::digest(claim).as_slice().ct_eq(&self.0).into()
    }
}

impl std::str::FromStr for Token {
    type Err = BadToken;

    fn from_str(text: &str) -> Result<Self, BadToken> {
        match text.len() {
            0..Self::MIN_BYTES => Err(BadToken::TooShort),
            Self::MIN_BYTES..=Self::MAX_BYTES if text.chars().any(char::is_control) => Err(BadToken::NotOneLine),
            Self::MIN_BYTES..=Self::MAX_BYTES => Ok(Self(Sha256::digest(text.as_bytes()).into())),
            _ => Err(BadToken::TooLong),
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// Why a text is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadToken {
    /// Fewer than [`Token::MIN_BYTES`].
    TooShort,
    /// More than [`Token::MAX_BYTES`].
    TooLong,
    /// It holds a line feed or another control character.
    NotOneLine,
}

impl fmt::Display for BadToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort => write!(f, "a token has at least {} bytes", Token::MIN_BYTES),
            Self::TooLong => write!(f, "a token has at most {} bytes", Token::MAX_BYTES),
            Self::NotOneLine => f.write_str("a token is one line, without control characters"),
        }
    }
}

impl std::error::Error for BadToken {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_once_and_meant_by_its_own_name_alone() {
        let program = Program::find("ls").unwrap();
        assert!(program.path().is_absolute() && program.path().ends_with("ls"));
        assert!(program.is_called(b"ls"));
        for other in ["", "l", "lss", "LS", "./ls", "/bin/ls", "ls ", "ls\0", "ｌｓ"] {
            assert!(!program.is_called(other.as_bytes()), "{other:?}");
        }
        assert!(Program::find("/bin/sh").unwrap().is_called(b"/bin/sh"));
    }

    #[test]
    fn what_is_no_program_is_not_allowed() {
        for (name, says) in [
            ("", "'' is no program's name"),
            ("no-such-program", "is not in PATH"),
            ("./ls", "is a relative path"),
            ("bin/ls", "is a relative path"),
            ("/no/such", "is no program that can be run"),
            ("/etc/passwd", "is no program that can be run"),
            ("/etc", "is no program that can be run"),
        ] {
            let error = Program::find(name).unwrap_err().to_string();
            assert!(error.contains(says), "{name}: {error}");
        }
    }

    #[test]
    fn a_token_is_told_from_all_others_and_never_shown() {
        let token: Token = "0123456789abcdef".parse().unwrap();
        assert!(token.is(b"0123456789abcdef"));
        for other in ["", "0123456789abcde", "0123456789abcdef0", "0123456789abcdeF", " 0123456789abcdef"] {
            assert!(!token.is(other.as_bytes()), "{other}");
        }
        assert_eq!(format!("{token:?}"), "Token(..)");
        assert_eq!("short".parse::<Token>().unwrap_err(), BadToken::TooShort);
        assert_eq!("x".repeat(1025).parse::<Token>().unwrap_err(), BadToken::TooLong);
        assert_eq!("two lines of it\nare".parse::<Token>().unwrap_err(), BadToken::NotOneLine);
    }
}
