//! A descriptor that becomes readable when a child process has ended, for threads that wait in
//! poll(2).

#[cfg(target_os = "linux")]
mod pidfd;
// On Linux it is compiled for its test only.
#[cfg(any(test, not(target_os = "linux")))]
mod thread;

#[cfg(target_os = "linux")]
pub(crate) use pidfd::ChildExit;
#[cfg(not(target_os = "linux"))]
pub(crate) use thread::ChildExit;
