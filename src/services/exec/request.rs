//! Parses a request into a program and its arguments, or into the reason for its rejection. This
//! module runs no command.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use super::rules::{Allowed, ExecRules};
use super::wire::MAX_LINE_BYTES;

/// The first words of HTTP requests: the methods in use (RFC 9110, section 9; RFC 5789) and
/// HTTP/2's preface.
const METHODS: [&str; 10] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "PRI"];

/// The longest program name in an answer, in bytes. Longer ones are truncated.
const MAX_NAME_BYTES: usize = 255;

/// The shell of [`Allowed::Shell`].
const SHELL: &str = "/bin/sh";

/// Bytes of a word beside its characters: its place in the list, and what an allocator adds.
const WORD_BYTES: usize = size_of::<OsString>() + 32;

/// An allowed command.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct AllowedCommand {
    pub(super) path: PathBuf,
    /// The program's `argv[0]`.
    pub(super) name: OsString,
    pub(super) arguments: Vec<OsString>,
}

impl AllowedCommand {
    /// Returns the memory that the command takes while it waits. Many short words take much more
    /// than their bytes.
    pub(super) fn held_bytes(&self) -> usize {
        self.arguments.iter().map(|word| word.capacity() + WORD_BYTES).sum()
    }
}

/// The reason why a request is rejected.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rejection {
    pub(super) text: String,
    /// True if the connection must close, because the bytes that follow may belong to this request.
    pub(super) closes: bool,
}

/// A parsed request and the program's name in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ParsedRequest {
    pub(super) name: String,
    pub(super) command: Result<AllowedCommand, Rejection>,
}

/// Parses `message`.
pub(super) fn parse(message: &[u8], rules: &ExecRules) -> ParsedRequest {
    let line = match authorize(message, rules) {
        Ok(line) => line,
        Err(rejection) => return ParsedRequest { name: String::new(), command: Err(rejection) },
    };
    if let Err(rejection) = check(line) {
        return ParsedRequest { name: first_word(line), command: Err(rejection) };
    }
    let Some(words) = shlex::bytes::split(line) else {
        return ParsedRequest {
            name: first_word(line),
            command: Err(reject("a quotation mark or a backslash has no end")),
        };
    };
    let name = words.first().map(|word| display_name(word)).unwrap_or_default();
    let command = match &rules.allowed {
        Allowed::Shell if !line.trim_ascii().is_empty() => Ok(AllowedCommand {
            path: SHELL.into(),
            name: "sh".into(),
            arguments: vec!["-c".into(), OsStr::from_bytes(line).to_owned()],
        }),
        Allowed::Programs(programs) if !words.is_empty() => {
            let mut words = words.into_iter();
            let word = words.next().unwrap_or_default();
            match programs.iter().find(|program| program.is_called(&word)) {
                Some(program) => Ok(AllowedCommand {
                    path: program.path().to_owned(),
                    name: OsString::from_vec(word),
                    arguments: words.map(OsString::from_vec).collect(),
                }),
                None => Err(reject(&format!("'{}' is not allowed; {}", name.escape_debug(), allowed_commands(rules)))),
            }
        }
        _ => Err(reject(&format!("there is no command; {}", allowed_commands(rules)))),
    };
    ParsedRequest { name, command }
}

/// Returns true if `message` is `Start`, with or without the token.
pub(super) fn is_start(message: &[u8], rules: &ExecRules) -> bool {
    let is = |line: &[u8]| line.trim_ascii() == super::wire::START.as_bytes();
    is(message) || authorize(message, rules).is_ok_and(is)
}

/// Checks the token, if there is one, and returns the command line without its line ending.
fn authorize<'a>(message: &'a [u8], rules: &ExecRules) -> Result<&'a [u8], Rejection> {
    let line = match &rules.token {
        None => message,
        Some(token) => {
            let end = message.iter().position(|byte| *byte == b'\n');
            let (claim, line) = message.split_at(end.unwrap_or(message.len()));
            if !token.matches(claim.strip_suffix(b"\r").unwrap_or(claim)) || end.is_none() {
                return Err(reject_and_close(
                    "the token is wrong or missing: begin each request with it, on a line of its own",
                ));
            }
            line.strip_prefix(b"\n").unwrap_or(line)
        }
    };
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    Ok(line.strip_suffix(b"\r").unwrap_or(line))
}

/// Rejects messages that are not a command line.
fn check(line: &[u8]) -> Result<(), Rejection> {
    if line.len() > MAX_LINE_BYTES {
        // The bytes that follow may be the rest of this line.
        return Err(reject_and_close(&format!("a command line has at most {MAX_LINE_BYTES} bytes")));
    }
    if is_http(line) {
        // A web page can make a browser send this, followed by a body of the page's choice.
        return Err(reject_and_close("this is no web server: send a command line"));
    }
    if line.contains(&0) {
        return Err(reject("a command line holds no NUL"));
    }
    Ok(())
}

/// Returns true if a line begins like an HTTP request (RFC 9112, section 3): a method and the start
/// of a target. The version need not have arrived, because a read may end before it; if it has, any
/// method counts.
fn is_http(line: &[u8]) -> bool {
    let target = METHODS.iter().find_map(|method| line.strip_prefix(method.as_bytes())?.strip_prefix(b" "));
    let has_target = target.is_some_and(|target| {
        let target = target.trim_ascii_start();
        let is_scheme = target.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"http"));
        matches!(target, [] | [b'/' | b'*', ..]) || is_scheme
    });
    let first = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
    has_target || first.windows(8).any(|part| part == b" HTTP/1.")
}

/// Describes the allowed commands, for the text of a rejection.
fn allowed_commands(rules: &ExecRules) -> String {
    match &rules.allowed {
        Allowed::Shell => "send a line for the shell".to_owned(),
        Allowed::Programs(programs) if programs.is_empty() => "nothing is allowed here".to_owned(),
        Allowed::Programs(programs) => {
            let names: Vec<_> = programs.iter().map(super::rules::Program::name).collect();
            format!("allowed: {}", names.join(" "))
        }
    }
}

/// Returns the first word of `line`, truncated.
fn first_word(line: &[u8]) -> String {
    line.split(u8::is_ascii_whitespace).find(|word| !word.is_empty()).map(display_name).unwrap_or_default()
}

/// Returns a program's name for the answer, truncated.
fn display_name(word: &[u8]) -> String {
    String::from_utf8_lossy(word.get(..MAX_NAME_BYTES).unwrap_or(word)).into_owned()
}

/// Rejects a request; the connection stays open.
fn reject(text: &str) -> Rejection {
    Rejection { text: text.to_owned(), closes: false }
}

/// Rejects a request and closes the connection.
fn reject_and_close(text: &str) -> Rejection {
    Rejection { text: text.to_owned(), closes: true }
}
