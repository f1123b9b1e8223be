//! A descriptor by which one thread wakes another that waits in poll(2).

#[cfg(target_os = "linux")]
mod eventfd;
#[cfg(not(target_os = "linux"))]
mod socket_pair;

#[cfg(target_os = "linux")]
pub(crate) use eventfd::Notifier;
#[cfg(not(target_os = "linux"))]
pub(crate) use socket_pair::Notifier;
