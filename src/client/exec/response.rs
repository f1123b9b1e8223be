//! The parsed response of an exec server, and the limits on its size.

/// Maximum length of the output that the client accepts, in bytes (64 MiB). It is above the limit
/// of this crate's own server.
pub const MAX_OUTPUT_BYTES: usize = 64 << 20;

/// Maximum length of the JSON header that the client accepts, in bytes.
pub(super) const MAX_HEADER_BYTES: usize = 64 * 1024;

/// One response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecResponse {
    /// The header, which only [`ExecDialect::Header`](super::ExecDialect::Header) has.
    pub header: Option<ResponseHeader>,
    /// Output of the command.
    pub output: Vec<u8>,
}

/// The fields of a response header other than the length. A server may omit any of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseHeader {
    /// Name of the program.
    pub filename: Option<String>,
    /// Exit code of the command; `Some(None)` if the server reports that the command has none.
    pub exit_code: Option<Option<i64>>,
    /// True if the server cut the output off.
    pub truncated: bool,
    /// Text of the field `md5`: a checksum if `is_verified`, anything otherwise.
    pub md5: Option<String>,
    /// True if `md5` is the MD5 of the output in hexadecimal. The parser returns an error if it is
    /// that of other bytes. False if `md5` does not have 32 hexadecimal digits.
    pub is_verified: bool,
}
