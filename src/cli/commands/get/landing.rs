//! Where a fetched body lands: a file, a pipe, or a terminal, with a bar that shows how far it is.

use std::io;
use std::ops::ControlFlow;

use switchboard::client::http::{HttpUrl, ResponseHead, ResponseSink};
use switchboard::escape;

use crate::cli::transfer::{self, Interrupt, Progress, Waited};

/// A body's place, and who is shown what.
pub(super) struct Landing<'a> {
    pub(super) place: transfer::Target,
    pub(super) interrupt: &'a Interrupt,
    pub(super) progress: Option<Progress>,
    /// Whether the head is written, too.
    pub(super) include: bool,
    pub(super) quiet: bool,
}

impl Landing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<ControlFlow<()>> {
        Ok(match self.place.write_all(bytes, self.interrupt)? {
            Waited::Interrupted => ControlFlow::Break(()),
            Waited::Ready | Waited::TimedOut => ControlFlow::Continue(()),
        })
    }

    /// All is there.
    pub(super) fn finish(mut self) -> io::Result<()> {
        drop(self.progress.take());
        self.place.finish()
    }
}

impl ResponseSink for Landing<'_> {
    fn on_redirect(&mut self, from: &HttpUrl, head: &ResponseHead, to: &HttpUrl) {
        log::debug!("{from} answers {}: on to {to}", head.status_line());
    }

    fn on_head(&mut self, from: &HttpUrl, head: &ResponseHead, promised: Option<u64>) -> io::Result<ControlFlow<()>> {
        log::debug!("{from} answers {}", head.status_line());
        let is_good = matches!(head.status(), 200..=299);
        // Whoever wants to see the head wants to see a bad one most of all. A file is only for a good one.
        if self.include && (is_good || self.place.place().is_none()) && self.write(head.raw())?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        if !is_good {
            return Ok(ControlFlow::Continue(()));
        }
        for coding in head.values("Content-Encoding") {
            let coding = String::from_utf8_lossy(coding);
            if !matches!(coding.trim(), "" | "identity") {
                log::warn!("the server sends it encoded as '{}', and so it is written", escape::line(&coding));
            }
        }
        // A bar between lines of the body would be neither.
        if !self.place.is_screen() {
            self.progress = Some(Progress::new(promised, 0, self.quiet));
        }
        Ok(ControlFlow::Continue(()))
    }

    fn on_body(&mut self, bytes: &[u8]) -> io::Result<ControlFlow<()>> {
        let flow = self.write(bytes)?;
        if let Some(progress) = &self.progress {
            progress.advance(bytes.len() as u64);
        }
        Ok(flow)
    }
}
