//! What is wrong with a server's answer.

use std::fmt;

use super::MAX_ANSWER_BYTES;
use super::parser::MAX_HEADER_BYTES;

/// Why an answer is none.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The length is below zero.
    NegativeLength(i32),
    /// The output is said to be longer than [`MAX_ANSWER_BYTES`].
    TooLong(u64),
    /// The header is said to have so many bytes, which no header has.
    HeaderTooLong(u32),
    /// The header is no JSON, or says no length; in words.
    BadHeader(String),
    /// The answer does not begin with `Ready|` and a length, but so.
    NotReady(String),
    /// The answer begins with `Ready|`, and was not to.
    IsReady,
    /// More came than the output was said to have.
    Surplus {
        /// Bytes that it was said to have.
        announced: usize,
    },
    /// The output has another MD5 than the header says.
    WrongChecksum,
    /// The connection ended after so many bytes of what was expected.
    EndsEarly {
        /// What was being read.
        part: &'static str,
        /// Bytes of it that came.
        came: usize,
        /// Bytes that it should have, where that is known.
        of: Option<usize>,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIALECT: &str = "; does the server speak another dialect?";
        match self {
            Self::NegativeLength(length) => write!(f, "the answer is said to have {length} bytes{DIALECT}"),
            Self::TooLong(length) => {
                write!(f, "the answer is said to have {length} bytes, and {MAX_ANSWER_BYTES} are the most{DIALECT}")
            }
            Self::HeaderTooLong(length) => {
                write!(f, "the header is said to have {length} bytes, and {MAX_HEADER_BYTES} are the most{DIALECT}")
            }
            Self::BadHeader(what) => write!(f, "the header {what}{DIALECT}"),
            Self::NotReady(begins) => write!(f, "the answer begins with '{begins}', not with Ready|{DIALECT}"),
            Self::IsReady => f.write_str("the answer begins with Ready|: the server speaks the dialect ready"),
            Self::Surplus { announced } => {
                write!(f, "the server sends more than the {announced} bytes that it has announced{DIALECT}")
            }
            Self::WrongChecksum => f.write_str("the output is not the one whose MD5 the header has: ask again"),
            Self::EndsEarly { part, came: 0, of: None } => write!(f, "the connection ended before {part} came"),
            Self::EndsEarly { part, came, of: Some(of) } => {
                write!(f, "the connection ended after {came} of {of} bytes of {part}")
            }
            Self::EndsEarly { part, came, of: None } => {
                write!(f, "the connection ended after {came} bytes of {part}")
            }
        }
    }
}

impl std::error::Error for Fault {}
