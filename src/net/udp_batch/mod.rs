//! Batches of datagrams: those that one system call received, and those that the next call sends.

mod batch;
#[cfg(not(target_os = "linux"))]
mod portable;
#[cfg(target_os = "linux")]
mod recvmmsg;

#[cfg(feature = "cli")]
pub(crate) use batch::MAX_DATAGRAM_BYTES;
pub(crate) use batch::{BATCH, ReceiveBatch, SendBatch, claims_to_be};
#[cfg(not(target_os = "linux"))]
pub(crate) use portable::UdpBatchIo;
#[cfg(target_os = "linux")]
pub(crate) use recvmmsg::UdpBatchIo;
