//! Batches of datagrams: those that one system call received, and those that the next call sends.

mod batch;
#[cfg(not(target_os = "linux"))]
mod portable;
#[cfg(target_os = "linux")]
mod recvmmsg;

#[cfg(feature = "cli")]
pub(crate) use batch::max_datagram_bytes;
pub(crate) use batch::{BATCH, ReceiveBatch, SendBatch, claims_to_be};
#[cfg(feature = "classic")]
pub(crate) use batch::{MAX_IPV4_DATAGRAM_BYTES, MAX_IPV6_DATAGRAM_BYTES};
#[cfg(not(target_os = "linux"))]
pub(crate) use portable::UdpBatchIo;
#[cfg(target_os = "linux")]
pub(crate) use recvmmsg::UdpBatchIo;
