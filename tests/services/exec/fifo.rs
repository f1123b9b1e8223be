//! A named pipe that commands write to and the test reads, with a time limit.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::channel;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::support::guard;

pub(crate) struct Fifo {
    pub(crate) path: PathBuf,
    file: File,
    /// An open writing end, which keeps the FIFO from reporting its end.
    _held: Option<File>,
    unread: Vec<u8>,
}

impl Fifo {
    /// Opens a FIFO that ends when its last writer closes it.
    pub(crate) fn new(folder: &Path, name: &str) -> Self {
        let path = make(folder, name);
        let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().try_into().unwrap();
        let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(&path).unwrap();
        Self { path, file, _held: None, unread: Vec::new() }
    }

    /// Opens a FIFO that many writers use, one after the other.
    pub(crate) fn lasting(folder: &Path, name: &str) -> Self {
        let fifo = Self::new(folder, name);
        let held = OpenOptions::new().write(true).open(&fifo.path).unwrap();
        Self { _held: Some(held), ..fifo }
    }

    pub(crate) fn path(&self) -> String {
        self.path.display().to_string()
    }

    /// Returns the next line.
    pub(crate) fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                return String::from_utf8(line).unwrap().trim_end().to_owned();
            }
            assert!(self.wait(guard()), "nobody writes to the FIFO");
            assert!(self.read() > 0, "the FIFO ended instead of a line");
        }
    }

    /// Waits until every writer has closed it. At least one must have opened it before.
    pub(crate) fn expect_end(&mut self) {
        loop {
            assert!(self.wait(guard()), "somebody still holds the FIFO");
            if self.read() == 0 {
                return;
            }
        }
    }

    /// Returns true if no byte arrives for `window`.
    pub(crate) fn receives_nothing_for(&mut self, window: Duration) -> bool {
        self.unread.is_empty() && !self.wait(window)
    }

    fn wait(&self, limit: Duration) -> bool {
        let limit = Timespec::try_from(limit).unwrap();
        loop {
            match poll(&mut [PollFd::new(&self.file, PollFlags::IN)], Some(&limit)) {
                Err(Errno::INTR) => {}
                ready => return ready.unwrap() > 0,
            }
        }
    }

    fn read(&mut self) -> usize {
        let mut bytes = [0; 4096];
        let read = self.file.read(&mut bytes).unwrap();
        self.unread.extend_from_slice(&bytes[..read]);
        read
    }
}

/// Creates a FIFO that a command waits to read from until it is [released](release).
pub(crate) fn make(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    path
}

/// Releases the process that reads from `path` or is about to.
pub(crate) fn release(path: &Path) {
    let (opened, opens) = channel();
    let path = path.to_owned();
    // Opening for writing waits for the reader.
    std::thread::spawn(move || {
        drop(OpenOptions::new().write(true).open(path).unwrap());
        let _ = opened.send(());
    });
    opens.recv_timeout(guard()).expect("somebody waits at the gate");
}
