//! What a request means: the program and its arguments, or why there are none. Nothing is run here.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use super::rules::{Allowed, Rules};
use super::wire::MAX_LINE_BYTES;

/// What an HTTP request begins with: the registered methods that are in use (RFC 9110, section 9; RFC 5789), and HTTP/2's preface.
const METHODS: [&str; 10] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "PRI"];

/// What is left of a program's name that was asked for: it goes back to whoever asked.
const MAX_NAME_BYTES: usize = 255;

/// The shell of [`Allowed::Shell`].
const SHELL: &str = "/bin/sh";

/// A command that may be run.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) path: PathBuf,
    /// What the program is told that it is called.
    pub(super) name: OsString,
    pub(super) arguments: Vec<OsString>,
}

/// Why a request is not met.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) text: String,
    /// The next bytes cannot be trusted to be a request of their own.
    pub(super) closes: bool,
}

/// A request, and the program's name in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) name: String,
    pub(super) order: Result<Order, Refusal>,
}

/// What `message` asks for.
pub(super) fn read(message: &[u8], rules: &Rules) -> Read {
    let line = match authorized(message, rules) {
        Ok(line) => line,
        Err(refusal) => return Read { name: String::new(), order: Err(refusal) },
    };
    if let Err(refusal) = check(line) {
        return Read { name: first_word(line), order: Err(refusal) };
    }
    let Some(words) = shlex::bytes::split(line) else {
        return Read { name: first_word(line), order: Err(stays("a quotation mark or a backslash has no end")) };
    };
    let name = words.first().map(|word| shown(word)).unwrap_or_default();
    let order = match &rules.allowed {
        Allowed::Shell if !line.trim_ascii().is_empty() => Ok(Order {
            path: SHELL.into(),
            name: "sh".into(),
            arguments: vec!["-c".into(), OsStr::from_bytes(line).to_owned()],
        }),
        Allowed::Programs(programs) if !words.is_empty() => {
            let mut words = words.into_iter();
            let word = words.next().unwrap_or_default();
            match programs.iter().find(|program| program.is_called(&word)) {
                Some(program) => Ok(Order {
                    path: program.path().to_owned(),
                    name: OsString::from_vec(word),
                    arguments: words.map(OsString::from_vec).collect(),
                }),
                None => Err(stays(&format!("'{}' is not allowed; {}", name.escape_debug(), allowed(rules)))),
            }
        }
        _ => Err(stays(&format!("there is no command; {}", allowed(rules)))),
    };
    Read { name, order }
}

/// Whether `message` is the word that asks for what is ready, with or without the token.
pub(super) fn is_start(message: &[u8], rules: &Rules) -> bool {
    let is = |line: &[u8]| line.trim_ascii() == super::wire::START.as_bytes();
    is(message) || authorized(message, rules).is_ok_and(is)
}

/// The command line without its end. Where there is a token, it comes first.
fn authorized<'a>(message: &'a [u8], rules: &Rules) -> Result<&'a [u8], Refusal> {
    let line = match &rules.token {
        None => message,
        Some(token) => {
            let end = message.iter().position(|byte| *byte == b'\n');
            let (claim, line) = message.split_at(end.unwrap_or(message.len()));
            if !token.is(claim.strip_suffix(b"\r").unwrap_or(claim)) || end.is_none() {
                return Err(closes("the token is wrong or missing: begin each request with it, on a line of its own"));
            }
            line.strip_prefix(b"\n").unwrap_or(line)
        }
    };
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    Ok(line.strip_suffix(b"\r").unwrap_or(line))
}

/// What no command line is, whoever sends it.
fn check(line: &[u8]) -> Result<(), Refusal> {
    if line.len() > MAX_LINE_BYTES {
        // What follows may be its end.
        return Err(closes(&format!("a command line has at most {MAX_LINE_BYTES} bytes")));
    }
    if is_http(line) {
        // A page in a browser can have this sent here, with a body of its own choice to follow.
        return Err(closes("this is no web server: send a command line"));
    }
    if line.contains(&0) {
        return Err(stays("a command line holds no NUL"));
    }
    Ok(())
}

/// Whether a line begins as a request does (RFC 9112, section 3): a method, and then what may follow one. Its version is not
/// waited for, because a read may end before that; where it is there, any method will do.
fn is_http(line: &[u8]) -> bool {
    let target = METHODS.iter().find_map(|method| line.strip_prefix(method.as_bytes())?.strip_prefix(b" "));
    let begins = target.is_some_and(|target| {
        let target = target.trim_ascii_start();
        let is_scheme = target.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"http"));
        matches!(target, [] | [b'/' | b'*', ..]) || is_scheme
    });
    let first = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
    begins || first.windows(8).any(|part| part == b" HTTP/1.")
}

/// What may be asked for, in words.
fn allowed(rules: &Rules) -> String {
    match &rules.allowed {
        Allowed::Shell => "send a line for the shell".to_owned(),
        Allowed::Programs(programs) if programs.is_empty() => "nothing is allowed here".to_owned(),
        Allowed::Programs(programs) => {
            let names: Vec<_> = programs.iter().map(super::rules::Program::name).collect();
            format!("allowed: {}", names.join(" "))
        }
    }
}

fn first_word(line: &[u8]) -> String {
    line.split(u8::is_ascii_whitespace).find(|word| !word.is_empty()).map(shown).unwrap_or_default()
}

fn shown(word: &[u8]) -> String {
    String::from_utf8_lossy(word.get(..MAX_NAME_BYTES).unwrap_or(word)).into_owned()
}

fn stays(text: &str) -> Refusal {
    Refusal { text: text.to_owned(), closes: false }
}

fn closes(text: &str) -> Refusal {
    Refusal { text: text.to_owned(), closes: true }
}
