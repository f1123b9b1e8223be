//! The wire format, for server and client: dialects, header, keywords.

use std::fmt;
use std::str::FromStr;

use crate::frame::escape::hex;

/// The encoding of an answer's length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExecDialect {
    /// Four bytes, little-endian and signed; then the output.
    Length,
    /// Four bytes, little-endian: the length of a [`ExecHeader`] in JSON; the header; then the
    /// output.
    #[default]
    Header,
    /// `Ready|N`, where N is the length; then, after the client's [`START`], the output.
    Ready,
}

impl ExecDialect {
    /// The dialects with their names.
    pub const NAMES: [(&str, Self); 3] = [("header", Self::Header), ("length", Self::Length), ("ready", Self::Ready)];
}

impl fmt::Display for ExecDialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES.iter().find(|(_, dialect)| dialect == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

impl FromStr for ExecDialect {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::NAMES.iter().find(|(name, _)| *name == text);
        found.map(|(_, dialect)| *dialect).ok_or("unknown dialect: write header, length or ready")
    }
}

/// The JSON header before the output in [`ExecDialect::Header`], with its fields in this order.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ExecHeader<'a> {
    /// The program's name as in the request.
    pub filename: &'a str,
    /// The length of the output, in bytes.
    pub total_size: usize,
    /// The MD5 of the output, in hexadecimal: a checksum, not a signature.
    pub md5: &'a str,
    /// The command's exit code; `None` if it was killed or did not run.
    pub exit_code: Option<i32>,
    /// True if the output exceeded the limit; the command was then killed.
    pub truncated: bool,
}

/// The prefix before the length in [`ExecDialect::Ready`].
pub const READY: &str = "Ready|";

/// The client's message that requests the output in [`ExecDialect::Ready`].
pub const START: &str = "Start";

/// The answer in [`ExecDialect::Ready`] for a command without output.
pub const NO_OUTPUT: &str = "cmd ERROR";

/// The longest command line, in bytes, without the token's line.
pub const MAX_LINE_BYTES: usize = 32 * 1024;

/// Returns the MD5 of `bytes` in hexadecimal, as in [`ExecHeader::md5`].
pub fn md5_hex(bytes: &[u8]) -> String {
    use md5::Digest;

    hex(&md5::Md5::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_str_is_the_inverse_of_display() {
        for (name, dialect) in ExecDialect::NAMES {
            assert_eq!(name.parse(), Ok(dialect));
            assert_eq!(dialect.to_string(), name);
        }
        assert!("Header".parse::<ExecDialect>().is_err());
    }

    #[test]
    fn md5_hex_of_known_values() {
        // RFC 1321, appendix A.5.
        assert_eq!(md5_hex(b""), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(md5_hex(b"message digest"), "f96b697d7cb7938d525a2f31aaf161d0");
    }
}
