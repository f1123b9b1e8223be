//! Reference-counted bytes that many connections may send, and the id of a batch of them.

use std::fmt;
use std::ops::Deref;

use bytes::Bytes;

/// Immutable shared bytes. A clone increments a reference count; it copies no bytes.
///
/// ```
/// use switchboard::Payload;
/// let greeting = Payload::from("good evening");
/// let same = greeting.clone();
/// assert_eq!(&*same, b"good evening");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Payload(Bytes);

/// The id of a batch of payloads. The service that sends the batch chooses it, see
/// [`broadcast_batch`](crate::Context::broadcast_batch).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchId(pub u64);

impl BatchId {
    /// No id: the service is not notified if the batch is dropped.
    pub const NONE: Self = Self(0);
}

impl Deref for Payload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.len())
    }
}

impl From<&[u8]> for Payload {
    fn from(bytes: &[u8]) -> Self {
        Self(Bytes::copy_from_slice(bytes))
    }
}

impl<const N: usize> From<&[u8; N]> for Payload {
    fn from(bytes: &[u8; N]) -> Self {
        Self::from(bytes.as_slice())
    }
}

impl AsRef<[u8]> for Payload {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<Vec<u8>> for Payload {
    /// Takes over the memory of `bytes`. Copies them if they fill less than half of it, because the
    /// engines count the bytes of a payload, not its capacity.
    fn from(bytes: Vec<u8>) -> Self {
        Self(if bytes.capacity() / 2 > bytes.len() { Bytes::copy_from_slice(&bytes) } else { bytes.into() })
    }
}

impl From<&str> for Payload {
    fn from(text: &str) -> Self {
        Self::from(text.as_bytes())
    }
}

impl From<String> for Payload {
    fn from(text: String) -> Self {
        Self::from(text.into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vec_and_its_clones_share_the_memory() {
        let bytes = vec![7; 100];
        let address = bytes.as_ptr();
        let payload = Payload::from(bytes);
        assert_eq!(payload.as_ptr(), address);
        assert_eq!(payload.clone().as_ptr(), address);
    }
    #[test]
    fn a_vec_with_much_unused_capacity_is_copied() {
        let mut bytes = Vec::with_capacity(1_000);
        bytes.extend([7; 100]);
        let address = bytes.as_ptr();
        let payload = Payload::from(bytes);
        assert!(payload.as_ptr() != address && *payload == [7; 100]);
    }
}
