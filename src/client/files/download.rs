//! The download of one file, possibly resumed.

use sha2::{Digest, Sha256};

use super::error::DownloadError;
use super::reply::{parse_reply, parse_sha256};
use crate::services::files::wire::{FileHeader, FilesRequest};

/// The state of one download.
///
/// ```
/// use switchboard::client::files::{DownloadEvent, FileDownload};
///
/// let mut download = FileDownload::new("a.txt");
/// assert_eq!(download.request(), br#"{"get":"a.txt","offset":0}"#);
/// let head = br#"{"name":"a.txt","size":2,"offset":0,
///     "sha256":"8f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4"}"#;
/// let event = download.handle_frame(head)?;
/// assert!(matches!(event, DownloadEvent::FileHeader(head) if head.size == 2));
/// assert!(matches!(download.handle_frame(b"hi")?, DownloadEvent::Data(b"hi")));
/// assert!(download.is_complete());
/// download.verify()?;
/// # Ok::<(), switchboard::client::files::DownloadError>(())
/// ```
#[derive(Clone, Debug)]
pub struct FileDownload {
    name: String,
    /// SHA-256 of the `received_bytes`.
    hasher: Sha256,
    received_bytes: u64,
    head: Option<FileHeader>,
}

/// The content of one received frame.
#[derive(Debug, PartialEq, Eq)]
pub enum DownloadEvent<'a> {
    /// The description of the file that follows.
    FileHeader(&'a FileHeader),
    /// The next bytes of the file.
    Data(&'a [u8]),
}

impl FileDownload {
    /// Creates the download of the file `name`, from its first byte.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), hasher: Sha256::new(), received_bytes: 0, head: None }
    }

    /// Adds bytes that an earlier download received. Call this before [`request`](Self::request).
    pub fn add_received(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.received_bytes += bytes.len() as u64;
    }

    /// Returns the number of bytes of the file that the client has.
    pub fn received_bytes(&self) -> u64 {
        self.received_bytes
    }

    /// Returns the payload that requests the rest of the file.
    pub fn request(&self) -> Vec<u8> {
        FilesRequest::Get { get: self.name.clone(), offset: self.received_bytes }.to_json()
    }

    /// Handles the payload of the next frame.
    ///
    /// # Errors
    /// [`DownloadError`] if the server refuses the file or violates the protocol.
    pub fn handle_frame<'a>(&'a mut self, payload: &'a [u8]) -> Result<DownloadEvent<'a>, DownloadError> {
        let Some(head) = &self.head else {
            let head = parse_head(payload, self.received_bytes)?;
            return Ok(DownloadEvent::FileHeader(self.head.insert(head)));
        };
        let remaining_bytes = head.size - self.received_bytes;
        let bytes = payload.len() as u64;
        if bytes == 0 {
            return Err(DownloadError::EmptyFrame);
        }
        if bytes > remaining_bytes {
            return Err(DownloadError::TrailingData { size: head.size });
        }
        self.add_received(payload);
        Ok(DownloadEvent::Data(payload))
    }

    /// Returns true if all announced bytes were received.
    pub fn is_complete(&self) -> bool {
        self.head.as_ref().is_some_and(|head| head.size == self.received_bytes)
    }

    /// Returns the error for a connection that the server closed before the download was
    /// [complete](Self::is_complete).
    pub fn unexpected_eof(&self) -> DownloadError {
        match &self.head {
            Some(head) => DownloadError::TruncatedFile { received_bytes: self.received_bytes, size: head.size },
            None => DownloadError::NoReply,
        }
    }

    /// Returns the error for data received after the download was [complete](Self::is_complete).
    pub fn trailing_data(&self) -> DownloadError {
        DownloadError::TrailingData { size: self.received_bytes }
    }

    /// Compares the SHA-256 of the received bytes with the announced one.
    ///
    /// # Errors
    /// [`DownloadError::ChecksumMismatch`] if they differ.
    pub fn verify(self) -> Result<(), DownloadError> {
        let sum: [u8; 32] = self.hasher.finalize().into();
        let announced = self.head.as_ref().and_then(|head| parse_sha256(&head.sha256));
        if announced == Some(sum) { Ok(()) } else { Err(DownloadError::ChecksumMismatch) }
    }
}

/// Parses the head, and checks that the server sends the part from `requested` on.
fn parse_head(payload: &[u8], requested: u64) -> Result<FileHeader, DownloadError> {
    let head: FileHeader = parse_reply(payload)?;
    if head.offset != requested {
        return Err(DownloadError::WrongOffset { requested, announced: head.offset });
    }
    if head.size < head.offset {
        let (size, offset) = (head.size, head.offset);
        return Err(DownloadError::InvalidReply(format!("size {size} is less than offset {offset}")));
    }
    match parse_sha256(&head.sha256) {
        Some(_) => Ok(head),
        None => Err(DownloadError::InvalidReply("sha256 must be 64 hexadecimal digits".to_owned())),
    }
}
