//! What goes over the wire, for both sides: the dialects, the header, the words.

use std::fmt;
use std::str::FromStr;

use crate::frame::escape::hex;

/// How an answer says how long it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// Four bytes, little-endian and signed; then the output.
    Length,
    /// Four bytes, little-endian: the length of a [`Header`] in JSON; the header; then the output.
    #[default]
    Header,
    /// `Ready|N`; then, when the client has said [`START`], the output.
    Ready,
}

impl Dialect {
    /// All of them, and their names.
    pub const NAMES: [(&str, Self); 3] = [("header", Self::Header), ("length", Self::Length), ("ready", Self::Ready)];
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES.iter().find(|(_, dialect)| dialect == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

impl FromStr for Dialect {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::NAMES.iter().find(|(name, _)| *name == text);
        found.map(|(_, dialect)| *dialect).ok_or("no such dialect: write header, length or ready")
    }
}

/// What stands before the output in [`Dialect::Header`]. Its fields go over the wire in this order.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Header<'a> {
    /// The program, as it was asked for.
    pub filename: &'a str,
    /// Bytes of output that follow.
    pub total_size: usize,
    /// The MD5 of these bytes, in hexadecimal: a checksum, not a signature.
    pub md5: &'a str,
    /// What the command ended with. Nothing where it did not end by itself, or was not run.
    pub exit_code: Option<i32>,
    /// The command had more to say, and was ended.
    pub truncated: bool,
}

/// What begins an answer in [`Dialect::Ready`], before the length.
pub const READY: &str = "Ready|";

/// What the client says to it.
pub const START: &str = "Start";

/// What [`Dialect::Ready`] has in place of no output at all.
pub const NO_OUTPUT: &str = "cmd ERROR";

/// The longest command line, in bytes, the token's line not counted.
pub const MAX_LINE_BYTES: usize = 32 * 1024;

/// The MD5 of `bytes` in hexadecimal, as [`Header::md5`] has it.
pub fn md5_hex(bytes: &[u8]) -> String {
    use md5::Digest;

    hex(&md5::Md5::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dialect_is_found_by_its_name() {
        for (name, dialect) in Dialect::NAMES {
            assert_eq!(name.parse(), Ok(dialect));
            assert_eq!(dialect.to_string(), name);
        }
        assert!("Header".parse::<Dialect>().is_err());
    }

    #[test]
    fn the_checksum_is_md5() {
        // RFC 1321, appendix A.5.
        assert_eq!(md5_hex(b""), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(md5_hex(b"message digest"), "f96b697d7cb7938d525a2f31aaf161d0");
    }
}
