//! The request that asks a server to run a command.

use std::borrow::Cow;
use std::fmt;

use crate::frame::{TextEncoding, UnencodableError};
use crate::services::exec::wire::MAX_LINE_BYTES;

/// Returns the bytes that request a command.
///
/// Several words are quoted, so that the server splits the line into the same words. A single word
/// is sent unchanged, as a command line: `ls -l` in one string is a program and its argument. The
/// token, if any, precedes the command on a line of its own. The command is sent in `encoding`, the
/// token unchanged.
///
/// ```
/// use switchboard::TextEncoding;
/// use switchboard::client::exec::request;
/// let utf_8 = TextEncoding::UTF_8;
/// assert_eq!(request(&["echo", "a b"], None, utf_8)?, b"echo 'a b'");
/// assert_eq!(request(&["echo a  b"], Some("sesame"), utf_8)?, b"sesame\necho a  b");
/// # Ok::<(), switchboard::client::exec::ExecRequestError>(())
/// ```
///
/// # Errors
/// [`ExecRequestError`] if every server would reject the command, or if `encoding` lacks one of its
/// characters.
pub fn request<W: AsRef<str>>(
    words: &[W],
    token: Option<&str>,
    encoding: TextEncoding,
) -> Result<Vec<u8>, ExecRequestError> {
    let line: Cow<'_, str> = match words {
        [line] => line.as_ref().into(),
        words => shlex::try_join(words.iter().map(AsRef::as_ref)).map_err(|_| ExecRequestError::Nul)?.into(),
    };
    if line.contains('\0') {
        return Err(ExecRequestError::Nul);
    }
    if line.trim().is_empty() {
        return Err(ExecRequestError::Empty);
    }
    let line = encoding.encode(&line).map_err(ExecRequestError::Unencodable)?;
    if line.len() > MAX_LINE_BYTES {
        return Err(ExecRequestError::TooLong);
    }
    let token = token.map(|token| format!("{token}\n")).unwrap_or_default();
    Ok([token.as_bytes(), &line].concat())
}

/// Error of [`request`]: an invalid command.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExecRequestError {
    /// The command contains a NUL byte.
    Nul,
    /// The command is empty or blank.
    Empty,
    /// The command is longer than [`MAX_LINE_BYTES`].
    TooLong,
    /// The encoding lacks a character of the command.
    Unencodable(UnencodableError),
}

impl fmt::Display for ExecRequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nul => f.write_str("the command contains a NUL byte"),
            Self::Empty => f.write_str("the command is empty: write one after --"),
            Self::TooLong => write!(f, "the command is longer than {MAX_LINE_BYTES} bytes"),
            Self::Unencodable(error) => write!(f, "the command cannot be sent: {error}"),
        }
    }
}

impl std::error::Error for ExecRequestError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn request<W: AsRef<str>>(words: &[W], token: Option<&str>) -> Result<Vec<u8>, ExecRequestError> {
        super::request(words, token, TextEncoding::UTF_8)
    }

    #[test]
    fn command_is_encoded_and_its_token_is_not() {
        let gbk: TextEncoding = "gbk".parse().unwrap();
        let sent = super::request(&["echo 你好"], Some("你"), gbk).unwrap();
        assert_eq!(sent, ["你\necho ".as_bytes(), b"\xc4\xe3\xba\xc3"].concat());
        let error = super::request(&["echo \u{1f600}"], None, gbk).unwrap_err();
        assert_eq!(error.to_string(), "the command cannot be sent: GBK has no '\u{1f600}'");
        // The limit is on the bytes that are sent.
        let long = "你".repeat(MAX_LINE_BYTES / 2);
        assert_eq!(super::request(&[&long], None, gbk).map(|sent| sent.len()), Ok(MAX_LINE_BYTES));
        assert_eq!(request(&[long], None), Err(ExecRequestError::TooLong));
    }

    #[test]
    fn quoted_words_survive_the_servers_split() {
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
    fn invalid_commands_are_rejected() {
        assert_eq!(request(&["a\0b"], None), Err(ExecRequestError::Nul));
        assert_eq!(request(&["a", "\0"], None), Err(ExecRequestError::Nul));
        assert_eq!(request(&[" "], None), Err(ExecRequestError::Empty));
        assert_eq!(request::<&str>(&[], None), Err(ExecRequestError::Empty));
        assert_eq!(request(&["x".repeat(MAX_LINE_BYTES + 1)], None), Err(ExecRequestError::TooLong));
        assert!(request(&["x".repeat(MAX_LINE_BYTES)], None).is_ok());
    }
}
