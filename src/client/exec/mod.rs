//! What a client of exec says and hears, in each dialect. Pure: it knows neither socket nor clock.
//!
//! A server may be anybody's and may lie: nothing it says makes this hold more than [`MAX_ANSWER_BYTES`], and lengths are believed
//! only as far as bytes have come.

mod error;
mod parser;

use std::borrow::Cow;
use std::fmt;

pub use crate::services::exec::wire::{Dialect, MAX_LINE_BYTES};
pub use error::Fault;
pub use parser::{Answer, Hearing, MAX_ANSWER_BYTES, Report, Step};

/// The bytes that ask for a command.
///
/// Several words are quoted, so that the server has the same words after splitting them. One word alone is a line as it stands:
/// `ls -l` in one piece is a program and its argument. A token comes first, on a line of its own.
///
/// ```
/// use switchboard::client::exec::request;
/// assert_eq!(request(&["echo", "a b"], None)?, b"echo 'a b'");
/// assert_eq!(request(&["echo a  b"], Some("sesame"))?, b"sesame\necho a  b");
/// # Ok::<(), switchboard::client::exec::BadRequest>(())
/// ```
///
/// # Errors
/// [`BadRequest`] when no server would take it.
pub fn request<W: AsRef<str>>(words: &[W], token: Option<&str>) -> Result<Vec<u8>, BadRequest> {
    let line: Cow<'_, str> = match words {
        [line] => line.as_ref().into(),
        words => shlex::try_join(words.iter().map(AsRef::as_ref)).map_err(|_| BadRequest::Nul)?.into(),
    };
    if line.contains('\0') {
        return Err(BadRequest::Nul);
    }
    if line.trim().is_empty() {
        return Err(BadRequest::Empty);
    }
    if line.len() > MAX_LINE_BYTES {
        return Err(BadRequest::TooLong);
    }
    Ok(token.map_or_else(|| line.to_string(), |token| format!("{token}\n{line}")).into_bytes())
}

/// Why a command cannot be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadRequest {
    /// It holds a NUL.
    Nul,
    /// There is no word in it.
    Empty,
    /// It is longer than [`MAX_LINE_BYTES`].
    TooLong,
}

impl fmt::Display for BadRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nul => f.write_str("a command holds no NUL"),
            Self::Empty => f.write_str("there is no command: write one behind --"),
            Self::TooLong => write!(f, "the command is longer than {MAX_LINE_BYTES} bytes"),
        }
    }
}

impl std::error::Error for BadRequest {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_arrive_as_they_were() {
        for words in [
            &["ls", "-l"][..],
            &["echo", "a b", "", "it's", "\"", "$(x)", "`x`", "*", "~", "a\nb", "#", "你好", "\\", "!"],
            &["echo", ";", "|", "&&"],
        ] {
            let line = request(words, None).unwrap();
            assert_eq!(shlex::split(std::str::from_utf8(&line).unwrap()).unwrap(), words);
        }
    }

    #[test]
    fn what_no_server_would_take_is_not_said() {
        assert_eq!(request(&["a\0b"], None), Err(BadRequest::Nul));
        assert_eq!(request(&["a", "\0"], None), Err(BadRequest::Nul));
        assert_eq!(request(&[" "], None), Err(BadRequest::Empty));
        assert_eq!(request::<&str>(&[], None), Err(BadRequest::Empty));
        assert_eq!(request(&["x".repeat(MAX_LINE_BYTES + 1)], None), Err(BadRequest::TooLong));
        assert!(request(&["x".repeat(MAX_LINE_BYTES)], None).is_ok());
    }
}
