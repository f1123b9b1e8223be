//! The state of one connection: its requests and the progress of the current reply.
//!
//! Invariant: one request is answered at a time, completely, so that the bytes of two replies never
//! mix. One piece of work runs at a time, requested when the earlier output has left the queue.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

use super::dialect::FilesDialect;
use super::outcome::Outcome;
use super::shared::FilesShared;
use super::task::FilesTask;
use super::wire::{self, FilesError, FilesErrorCode, FilesErrorReply, FilesRequest, MAX_PIECE_BYTES};
use crate::frame::Payload;
use crate::frame::escape::excerpt;
use crate::service::Context;
use crate::service::{JobError, JobId, JobOutput, Peer};

/// Requests queued behind the current one. Further ones are counted, and rejected in their turn.
const MAX_QUEUED: usize = 16;

/// Rejections sent before the session waits for space in the write queue.
const REJECTIONS_PER_STEP: u64 = 64;

/// Bytes of a piece for a client that has not taken the last one: it needs no large one.
const SMALL_PIECE_BYTES: usize = MAX_PIECE_BYTES / 8;

/// The state of one connection.
pub(super) struct FilesSession {
    shared: Arc<FilesShared>,
    peer: Peer,
    /// Queued requests in the order of arrival. Invalid ones are answered in their turn, too.
    queued: VecDeque<Result<FilesRequest, FilesError>>,
    /// The number of requests after those, which will be rejected.
    rejected: u64,
    step: SessionStep,
    /// The current request, as the log shows it.
    current: String,
}

/// The event that a session waits for.
enum SessionStep {
    /// A request.
    Idle,
    /// The end of a job.
    Working(JobId, FilesTask),
    /// Space in the write queue, to continue this task or the next request.
    AwaitingSpace(Option<FilesTask>),
    /// No event: the session has ended.
    Ended,
}

impl FilesSession {
    pub(super) fn new(shared: Arc<FilesShared>, peer: Peer) -> Self {
        let (queued, current) = (VecDeque::new(), String::new());
        Self { shared, peer, queued, rejected: 0, step: SessionStep::Idle, current }
    }

    pub(super) fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        match (self.shared.dialect, &self.step) {
            (FilesDialect::Plain, SessionStep::Idle) => {
                self.current =
                    format!("'{}'", excerpt(&String::from_utf8_lossy(payload.get(..256).unwrap_or(payload))));
                let names = possible_names(payload);
                self.work(cx, FilesTask::bytes(Arc::clone(&self.shared), names));
            }
            // One connection transfers one file.
            (FilesDialect::Plain, _) => {}
            (FilesDialect::Framed, _) => {
                // After one rejection all requests are rejected until the rejections are sent, so
                // that replies keep the order of the requests.
                if self.rejected > 0 || self.queued.len() >= MAX_QUEUED {
                    self.rejected = self.rejected.saturating_add(1);
                } else {
                    // Their names are short, so 16 of them need not be counted.
                    self.queued.push_back(FilesRequest::from_json(payload));
                }
                if let SessionStep::Idle = self.step {
                    self.next_request(cx);
                }
            }
        }
    }

    pub(super) fn on_writable(&mut self, cx: &mut Context<'_>) {
        match std::mem::replace(&mut self.step, SessionStep::Idle) {
            SessionStep::AwaitingSpace(Some(task)) => self.work(cx, task),
            SessionStep::AwaitingSpace(None) => self.next_request(cx),
            // The engine also calls this without a request, after backpressure.
            other => self.step = other,
        }
    }

    pub(super) fn on_job(&mut self, cx: &mut Context<'_>, job: JobId, output: JobOutput) {
        let task = match std::mem::replace(&mut self.step, SessionStep::Idle) {
            SessionStep::Working(current, task) if current == job => task,
            other => {
                self.step = other;
                return;
            }
        };
        match output.take::<Outcome>() {
            Ok(Outcome::Continue) => self.work(cx, task),
            Ok(Outcome::Piece(piece)) => self.send(cx, piece, Some(task)),
            Ok(Outcome::Last(last)) => self.finish(cx, last),
            Ok(Outcome::Rejected(error)) => self.reject(cx, error),
            Ok(Outcome::Failed(reason)) => self.fail(cx, reason),
            // A thread that was started once stays, so nothing was sent yet.
            Err(JobError::NoThread) => {
                self.reject(cx, FilesError::new(FilesErrorCode::Busy, "too much is going on; ask again later"));
            }
            Err(error) => self.fail(cx, error.to_string()),
        }
    }

    fn next_request(&mut self, cx: &mut Context<'_>) {
        match self.queued.pop_front() {
            Some(Ok(FilesRequest::Get { get, offset })) => {
                self.current = format!("'{}' from {offset}", excerpt(&get));
                self.work(cx, FilesTask::resumable(Arc::clone(&self.shared), get, offset));
            }
            Some(Ok(FilesRequest::List { list })) => {
                self.current = format!("the listing of '{}'", excerpt(&list));
                self.work(cx, FilesTask::list(Arc::clone(&self.shared), list));
            }
            Some(Err(error)) => {
                "a request".clone_into(&mut self.current);
                self.reject(cx, error);
            }
            None if self.rejected > 0 => {
                let reply = error_reply(FilesError::new(
                    FilesErrorCode::Busy,
                    "too many requests at once; ask again, one after the other",
                ));
                let now = self.rejected.min(REJECTIONS_PER_STEP);
                (0..now).for_each(|_| cx.reply(&reply));
                self.rejected -= now;
                self.await_space(cx, None);
            }
            None => self.step = SessionStep::Idle,
        }
    }

    /// Offloads the next piece of a task.
    fn work(&mut self, cx: &mut Context<'_>, task: FilesTask) {
        let (same, max) = (task.clone(), if cx.pending_bytes() == 0 { MAX_PIECE_BYTES } else { SMALL_PIECE_BYTES });
        let job = cx.offload_holding(task.next_bytes(max), move || same.advance(max));
        self.step = SessionStep::Working(job, task);
    }

    /// Sends output, then continues with `then`.
    fn send(&mut self, cx: &mut Context<'_>, payload: Payload, then: Option<FilesTask>) {
        cx.send(cx.conn(), payload);
        self.await_space(cx, then);
    }

    fn await_space(&mut self, cx: &mut Context<'_>, then: Option<FilesTask>) {
        cx.notify_writable();
        self.step = SessionStep::AwaitingSpace(then);
    }

    fn finish(&mut self, cx: &mut Context<'_>, last: Option<Payload>) {
        log::debug!("files {}: answered {}", self.peer, self.current);
        if let Some(last) = last {
            cx.send(cx.conn(), last);
        }
        match self.shared.dialect {
            FilesDialect::Framed => self.await_space(cx, None),
            FilesDialect::Plain => self.end(cx, "the whole file was sent".to_owned()),
        }
    }

    /// Rejects the current request.
    fn reject(&mut self, cx: &mut Context<'_>, error: FilesError) {
        match self.shared.dialect {
            FilesDialect::Framed => {
                log::debug!("files {}: rejected {}: {}", self.peer, self.current, error.text);
                self.send(cx, error_reply(error).into(), None);
            }
            // The client receives no reason, and the connection closes.
            FilesDialect::Plain => {
                cx.warn(
                    "files rejected request",
                    format_args!("files {}: rejected {}: {}", self.peer, self.current, error.text),
                );
                self.end(cx, error.text);
            }
        }
    }

    /// Closes the connection in the middle of a reply: the client can detect the error in no other
    /// way.
    fn fail(&mut self, cx: &mut Context<'_>, reason: String) {
        cx.warn("files failed request", format_args!("files {}: failed {}: {reason}", self.peer, self.current));
        self.end(cx, reason);
    }

    /// Ends the session and closes the connection.
    fn end(&mut self, cx: &mut Context<'_>, reason: String) {
        self.step = SessionStep::Ended;
        cx.close(reason);
    }
}

/// Encodes an error reply.
fn error_reply(error: FilesError) -> Vec<u8> {
    wire::to_json(&FilesErrorReply { error })
}

/// Returns the possible names in a message: all of it, and the part before the line ending that a
/// line-based client adds.
fn possible_names(message: &[u8]) -> Vec<PathBuf> {
    let line = message.strip_suffix(b"\n").unwrap_or(message);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut names = vec![path(message)];
    if line.len() < message.len() {
        names.push(path(line));
    }
    names
}

fn path(bytes: &[u8]) -> PathBuf {
    OsStr::from_bytes(bytes).into()
}
