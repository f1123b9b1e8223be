//! Parsing of the server's JSON replies, and the listing request.

use serde::Deserialize;

use super::error::DownloadError;
use crate::services::files::wire::{FilesErrorReply, FilesRequest, Listing};

/// Returns the payload that requests the files below `directory`; an empty name is the root.
pub fn list_request(directory: impl Into<String>) -> Vec<u8> {
    FilesRequest::List { list: directory.into() }.to_json()
}

/// Parses the reply to a [`list_request`].
///
/// # Errors
/// [`DownloadError`] if the server replied with an error, or if the reply is not a listing.
pub fn parse_listing(payload: &[u8]) -> Result<Listing, DownloadError> {
    parse_reply(payload)
}

/// Parses a reply of type `T`, or the error that the server sent instead.
pub(super) fn parse_reply<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<T, DownloadError> {
    if let Ok(FilesErrorReply { error }) = serde_json::from_slice(payload) {
        return Err(DownloadError::Refused(error));
    }
    serde_json::from_slice(payload).map_err(|error| DownloadError::InvalidReply(error.to_string()))
}

/// Parses a SHA-256 of 64 hexadecimal digits.
pub(super) fn parse_sha256(text: &str) -> Option<[u8; 32]> {
    let mut sum = [0; 32];
    let digits: Option<Vec<_>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    let digits = digits.filter(|digits| digits.len() == 2 * sum.len())?;
    for (byte, pair) in sum.iter_mut().zip(digits.chunks(2)) {
        *byte = pair.iter().fold(0, |value, digit| value << 4 | u8::try_from(*digit).unwrap_or(0));
    }
    Some(sum)
}
