//! What a client of `files` in its framed dialect asks, and what the answers mean. It must not know a stream, a file or a terminal.
//!
//! Its invariant: nothing that a server says is believed further than it is checked. A download that is [verified](Download::verify)
//! has the checksum that was announced, whoever sent its bytes and in however many parts.

#[cfg(test)]
mod tests;

use std::fmt;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::services::files::wire::{Fault, Head, Listing, Refusal, Request};

/// One file on its way from a server.
///
/// ```
/// use switchboard::client::files::{Download, Got};
///
/// let mut download = Download::new("a.txt");
/// assert_eq!(download.request(), br#"{"get":"a.txt","offset":0}"#);
/// let head = br#"{"name":"a.txt","size":2,"offset":0,
///     "sha256":"8f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4"}"#;
/// assert!(matches!(download.on_frame(head)?, Got::Head(head) if head.size == 2));
/// assert!(matches!(download.on_frame(b"hi")?, Got::Bytes(b"hi")));
/// assert!(download.is_complete());
/// download.verify()?;
/// # Ok::<(), switchboard::client::files::Trouble>(())
/// ```
#[derive(Clone, Debug)]
pub struct Download {
    name: String,
    /// Of the bytes that are there.
    hasher: Sha256,
    have: u64,
    head: Option<Head>,
}

/// What a frame has brought.
#[derive(Debug, PartialEq, Eq)]
pub enum Got<'a> {
    /// What will follow.
    Head(&'a Head),
    /// The file's next bytes.
    Bytes(&'a [u8]),
}

impl Download {
    /// Of the file that the server knows by this name, from its start.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), hasher: Sha256::new(), have: 0, head: None }
    }

    /// The next bytes are there already, from an earlier download. To be told before the request is made.
    pub fn has(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.have += bytes.len() as u64;
    }

    /// Bytes that are there.
    pub fn have(&self) -> u64 {
        self.have
    }

    /// The payload that asks for the rest.
    pub fn request(&self) -> Vec<u8> {
        Request::Get { get: self.name.clone(), offset: self.have }.to_json()
    }

    /// Takes the next frame's payload.
    ///
    /// # Errors
    /// When the server refuses the file, or sends what it must not.
    pub fn on_frame<'a>(&'a mut self, payload: &'a [u8]) -> Result<Got<'a>, Trouble> {
        let Some(head) = &self.head else {
            let head = read_head(payload, self.have)?;
            return Ok(Got::Head(self.head.insert(head)));
        };
        let left = head.size - self.have;
        let bytes = payload.len() as u64;
        if bytes == 0 {
            return Err(Trouble::NoBytes);
        }
        if bytes > left {
            return Err(Trouble::TooMany { size: head.size });
        }
        self.has(payload);
        Ok(Got::Bytes(payload))
    }

    /// Whether all that was announced has come.
    pub fn is_complete(&self) -> bool {
        self.head.as_ref().is_some_and(|head| head.size == self.have)
    }

    /// What it means that the server has closed the connection before that.
    pub fn on_end(&self) -> Trouble {
        match &self.head {
            Some(head) => Trouble::EndedEarly { have: self.have, size: head.size },
            None => Trouble::NoAnswer,
        }
    }

    /// What it means that the server sends on when [all](Self::is_complete) has come.
    pub fn on_surplus(&self) -> Trouble {
        Trouble::TooMany { size: self.have }
    }

    /// Whether what is there is what was announced.
    ///
    /// # Errors
    /// [`Trouble::Changed`] when it is not.
    pub fn verify(self) -> Result<(), Trouble> {
        let sum: [u8; 32] = self.hasher.finalize().into();
        let announced = self.head.as_ref().and_then(|head| read_sum(&head.sha256));
        if announced == Some(sum) { Ok(()) } else { Err(Trouble::Changed) }
    }
}

/// The payload that asks for what is below `directory`; empty: the root.
pub fn list(directory: impl Into<String>) -> Vec<u8> {
    Request::List { list: directory.into() }.to_json()
}

/// Understands the answer to [`list`].
///
/// # Errors
/// When the server refuses, or answers something else.
pub fn read_listing(payload: &[u8]) -> Result<Listing, Trouble> {
    read(payload)
}

fn read_head(payload: &[u8], asked: u64) -> Result<Head, Trouble> {
    let head: Head = read(payload)?;
    if head.offset != asked {
        return Err(Trouble::OtherOffset { asked, told: head.offset });
    }
    if head.size < head.offset {
        return Err(Trouble::NotUnderstood(format!("the file is said to end at {}, before its offset", head.size)));
    }
    match read_sum(&head.sha256) {
        Some(_) => Ok(head),
        None => Err(Trouble::NotUnderstood("its sha256 is none".to_owned())),
    }
}

/// Reads an answer that is expected, or else a refusal.
fn read<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<T, Trouble> {
    if let Ok(Refusal { error }) = serde_json::from_slice(payload) {
        return Err(Trouble::Refused(error));
    }
    serde_json::from_slice(payload).map_err(|error| Trouble::NotUnderstood(error.to_string()))
}

fn read_sum(text: &str) -> Option<[u8; 32]> {
    let mut sum = [0; 32];
    let digits: Option<Vec<_>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    let digits = digits.filter(|digits| digits.len() == 2 * sum.len())?;
    for (byte, pair) in sum.iter_mut().zip(digits.chunks(2)) {
        *byte = pair.iter().fold(0, |value, digit| value << 4 | u8::try_from(*digit).unwrap_or(0));
    }
    Some(sum)
}

/// Why there is no file, or none that can be trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trouble {
    /// The server says no.
    Refused(Fault),
    /// An answer is none.
    NotUnderstood(String),
    /// The server would send another part of the file.
    OtherOffset {
        /// Where the part was to begin.
        asked: u64,
        /// Where it would begin.
        told: u64,
    },
    /// A frame without bytes, of which there could be any number.
    NoBytes,
    /// More than was announced.
    TooMany {
        /// What was announced, in bytes.
        size: u64,
    },
    /// The connection ended before the file did.
    EndedEarly {
        /// Bytes that are there.
        have: u64,
        /// Bytes that were announced.
        size: u64,
    },
    /// The connection ended without an answer.
    NoAnswer,
    /// What is there is not what was announced.
    Changed,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(Fault { code, text }) if text.is_empty() => write!(f, "the server says {code}"),
            Self::Refused(Fault { code, text }) => write!(f, "{text} ({code})"),
            Self::NotUnderstood(why) => write!(f, "the server's answer is not understood: {why}"),
            Self::OtherOffset { asked, told } => {
                write!(f, "the server begins at byte {told}, and was asked to at byte {asked}")
            }
            Self::NoBytes => f.write_str("the server sends frames with nothing in them"),
            Self::TooMany { size } => write!(f, "the server sends more than the {size} bytes that it has announced"),
            Self::EndedEarly { have, size } => {
                write!(f, "the server has ended the connection after {have} of {size} bytes")
            }
            Self::NoAnswer => f.write_str("the server has ended the connection without an answer"),
            Self::Changed => f.write_str("what has come does not have the announced SHA-256"),
        }
    }
}

impl std::error::Error for Trouble {}
