//! Output that never blocks its caller: a full pipe, a stopped terminal or a slow reader takes only
//! the lines.
//!
//! A line that would block waits in a bounded queue, and a thread is started that writes the queue
//! and ends with it. While the reader keeps up there is no thread: a second one, even an idle one,
//! would slow down every system call of the reactor, because the kernel then locks the state that
//! threads share. Lines beyond the bound are lost and counted. The number is written where they are
//! missing, once there is room again.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Bytes of lines that wait while the reader takes none.
pub(super) const MAX_QUEUED_BYTES: usize = 256 * 1024;

/// The place where the lines go.
pub(super) trait LineSink: Send + Sync + 'static {
    /// Writes what can be written without blocking. The error is `WouldBlock` if that is nothing.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Writes all bytes and waits for the reader as long as it takes.
    fn write_all(&self, bytes: &[u8]) -> io::Result<()>;
}

/// Formats the line that gives the number of lost lines.
pub(super) type FormatLost = fn(u64) -> String;

/// A writer of whole lines. Clones write to the same sink.
#[derive(Clone)]
pub(super) struct LineWriter {
    shared: Arc<Shared>,
}

struct Shared {
    sink: Box<dyn LineSink>,
    state: Mutex<State>,
    /// Signaled when the thread has ended.
    thread_ended: Condvar,
}

struct State {
    queue: VecDeque<Vec<u8>>,
    queued_bytes: usize,
    /// A thread writes the queue, and has perhaps taken the first line from it.
    has_thread: bool,
    /// Lines lost since the last line that gave their number.
    unreported: u64,
    lost: u64,
    format_lost: FormatLost,
}

impl LineWriter {
    pub(super) fn new(sink: impl LineSink, format_lost: FormatLost) -> Self {
        let (queue, queued_bytes, has_thread, unreported, lost) = (VecDeque::new(), 0, false, 0, 0);
        let state = State { queue, queued_bytes, has_thread, unreported, lost, format_lost };
        Self {
            shared: Arc::new(Shared { sink: Box::new(sink), state: Mutex::new(state), thread_ended: Condvar::new() }),
        }
    }

    /// Writes one line, its line feed included, or queues it if the write would block.
    ///
    /// # Errors
    /// The error of a write that failed at once. The line is lost.
    pub(super) fn write(&self, line: &[u8]) -> io::Result<()> {
        let mut state = self.shared.lock();
        if !state.has_thread {
            self.shared.flush(&mut state);
        }
        self.shared.push_lost(&mut state);
        let pushed = self.shared.push(&mut state, line);
        if !state.queue.is_empty() && !state.has_thread {
            self.start_thread(&mut state);
        }
        pushed
    }

    /// Sets the function that formats the number of lost lines.
    pub(super) fn set_format_lost(&self, format_lost: FormatLost) {
        self.shared.lock().format_lost = format_lost;
    }

    /// Returns the number of lines lost until now.
    pub(super) fn lost(&self) -> u64 {
        self.shared.lock().lost
    }

    /// Waits until the queue is written, at most for `limit` if there is one.
    pub(super) fn finish(&self, limit: Option<Duration>) {
        let state = self.shared.lock();
        let is_busy = |state: &mut State| state.has_thread;
        let ended = &self.shared.thread_ended;
        match limit {
            Some(limit) => drop(ended.wait_timeout_while(state, limit, is_busy)),
            None => drop(ended.wait_while(state, is_busy)),
        }
    }

    /// Starts the thread that writes the queue. If the system refuses, the queue waits for the next
    /// line.
    fn start_thread(&self, state: &mut State) {
        let shared = Arc::clone(&self.shared);
        let name = "log-writer".to_owned();
        state.has_thread = thread::Builder::new().name(name).spawn(move || shared.write_queue()).is_ok();
    }
}

impl Shared {
    /// Writes `line`, or queues what the sink does not take. A line that neither takes is lost.
    fn push(&self, state: &mut State, line: &[u8]) -> io::Result<()> {
        let sent = if state.queue.is_empty() && !state.has_thread { self.try_write(line) } else { Ok(0) };
        let rest = match sent {
            Ok(sent) => line.get(sent..).unwrap_or_default(),
            Err(error) => {
                state.lose();
                return Err(error);
            }
        };
        if rest.is_empty() {
            return Ok(());
        }
        // The rest of a line that has begun is always kept.
        if rest.len() == line.len() && state.queued_bytes + rest.len() > MAX_QUEUED_BYTES {
            state.lose();
            return Ok(());
        }
        state.queued_bytes += rest.len();
        state.queue.push_back(rest.to_vec());
        Ok(())
    }

    /// Writes or queues the number of lost lines, if any are lost.
    fn push_lost(&self, state: &mut State) {
        let count = std::mem::take(&mut state.unreported);
        if count == 0 {
            return;
        }
        let lost_before = state.lost;
        let line = (state.format_lost)(count);
        // The number of lost lines tells of a failure.
        let _ = self.push(state, line.as_bytes());
        if state.lost != lost_before {
            // This line had no room either.
            (state.lost, state.unreported) = (lost_before, count);
        }
    }

    /// Writes the queue as far as the sink takes it.
    fn flush(&self, state: &mut State) {
        while let Some(line) = state.queue.pop_front() {
            state.queued_bytes -= line.len();
            match self.try_write(&line) {
                Ok(sent) if sent == line.len() => {}
                Ok(sent) => {
                    let rest = line.get(sent..).unwrap_or_default().to_vec();
                    state.queued_bytes += rest.len();
                    state.queue.push_front(rest);
                    return;
                }
                Err(_) => state.lose(),
            }
        }
    }

    /// Writes as much as the sink takes now, which may be nothing.
    fn try_write(&self, mut bytes: &[u8]) -> io::Result<usize> {
        let len = bytes.len();
        while !bytes.is_empty() {
            match self.sink.try_write(bytes) {
                Ok(0) => break,
                Ok(sent) => bytes = bytes.get(sent..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // The line was begun. Its rest fails in the same way.
                Err(error) if bytes.len() == len => return Err(error),
                Err(_) => return Ok(len),
            }
        }
        Ok(len - bytes.len())
    }

    /// Writes the queue, and the number of lost lines, until nothing is left.
    fn write_queue(&self) {
        let mut state = self.lock();
        loop {
            if state.queue.is_empty() {
                self.push_lost(&mut state);
            }
            let Some(line) = state.queue.pop_front() else { break };
            state.queued_bytes -= line.len();
            drop(state);
            let written = self.sink.write_all(&line);
            state = self.lock();
            if written.is_err() {
                state.lose();
                // The reader has gone. The number of lost lines waits for the next line.
                if state.queue.is_empty() {
                    break;
                }
            }
        }
        state.has_thread = false;
        drop(state);
        self.thread_ended.notify_all();
    }

    /// Locks the state. No code panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn lose(&mut self) {
        self.lost += 1;
        self.unreported += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

    use super::*;
    use crate::guard::guard;

    /// A pipe that holds a number of lines.
    struct Pipe(SyncSender<Vec<u8>>);

    impl LineSink for Pipe {
        fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
            match self.0.try_send(bytes.to_vec()) {
                Ok(()) => Ok(bytes.len()),
                Err(TrySendError::Full(_)) => Err(io::ErrorKind::WouldBlock.into()),
                Err(TrySendError::Disconnected(_)) => Err(io::ErrorKind::BrokenPipe.into()),
            }
        }

        fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
            self.0.send(bytes.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe.into())
        }
    }

    fn pipe(lines: usize) -> (LineWriter, Receiver<Vec<u8>>) {
        let (sender, receiver) = sync_channel(lines);
        (LineWriter::new(Pipe(sender), |count| format!("{count} lost\n")), receiver)
    }

    fn next(receiver: &Receiver<Vec<u8>>) -> String {
        String::from_utf8(receiver.recv_timeout(guard()).unwrap()).unwrap()
    }

    #[test]
    fn a_reader_that_keeps_up_costs_no_thread() {
        let (writer, receiver) = pipe(1);
        for line in ["one\n", "two\n"] {
            writer.write(line.as_bytes()).unwrap();
            assert!(!writer.shared.lock().has_thread);
            assert_eq!(next(&receiver), line);
        }
    }

    #[test]
    fn lines_that_would_block_come_later_in_order() {
        let (writer, receiver) = pipe(1);
        (0..100).for_each(|number| writer.write(format!("{number}\n").as_bytes()).unwrap());
        (0..100).for_each(|number| assert_eq!(next(&receiver), format!("{number}\n")));
        writer.finish(Some(guard()));
        let state = writer.shared.lock();
        assert_eq!((state.has_thread, state.queued_bytes, state.lost), (false, 0, 0));
    }

    #[test]
    fn lost_lines_are_counted_where_they_are_missing() {
        let (writer, receiver) = pipe(1);
        let long = vec![b'x'; MAX_QUEUED_BYTES / 4];
        (0..20).for_each(|_| writer.write(&long).unwrap());
        let lost = writer.lost();
        assert!((14..=16).contains(&lost), "{lost}");
        for _ in 0..20 - lost {
            assert_eq!(next(&receiver).len(), long.len());
        }
        assert_eq!(next(&receiver), format!("{lost} lost\n"));
        writer.finish(Some(guard()));
        writer.write(b"again\n").unwrap();
        assert_eq!(next(&receiver), "again\n");
    }

    #[test]
    fn a_line_after_a_loss_follows_the_number() {
        let (writer, receiver) = pipe(0);
        let long = vec![b'x'; MAX_QUEUED_BYTES];
        (0..3).for_each(|_| writer.write(&long).unwrap());
        let lost = writer.lost();
        assert!(lost > 0);
        assert_eq!(next(&receiver).len(), long.len());
        // The queue has room from here on, at the latest after the thread has taken the last line.
        let mut lines = Vec::new();
        while !lines.iter().any(|line: &String| line.ends_with(" lost\n")) {
            lines.push(next(&receiver));
        }
        assert_eq!(lines.len() as u64, 3 - lost, "{lost} lost");
    }

    #[test]
    fn a_reader_that_has_gone_costs_only_the_lines() {
        let (writer, receiver) = pipe(1);
        writer.write(b"one\n").unwrap();
        writer.write(b"two\n").unwrap();
        drop(receiver);
        writer.finish(Some(guard()));
        assert_eq!(writer.write(b"three\n").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert!(!writer.shared.lock().has_thread);
        assert!(writer.lost() >= 2, "{}", writer.lost());
    }

    #[test]
    fn the_end_does_not_wait_for_a_reader_that_has_stopped() {
        let (writer, _receiver) = pipe(0);
        writer.write(b"one\n").unwrap();
        writer.finish(Some(Duration::ZERO));
        assert!(writer.shared.lock().has_thread);
    }
}
