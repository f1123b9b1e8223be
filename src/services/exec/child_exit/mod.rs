//! Notifies a thread that waits in poll(2) when a child process has ended.

#[cfg(target_os = "linux")]
mod pidfd;
// Where it is not needed it is tested all the same.
#[cfg(any(test, not(target_os = "linux")))]
mod thread;

#[cfg(target_os = "linux")]
pub(crate) use pidfd::ChildExit;
#[cfg(not(target_os = "linux"))]
pub(crate) use thread::ChildExit;
