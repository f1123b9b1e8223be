//! The output of one HTTP response: a file, a pipe or a terminal, and the progress bar.

use std::io;
use std::ops::ControlFlow;

use switchboard::client::http::{HttpUrl, ResponseHead, ResponseSink};
use switchboard::escape;

use crate::cli::process::Interrupt;
use crate::cli::transfer::{OutputFile, TransferProgress};

/// The receiver of a response: writes its body, and its head on request.
pub(super) struct HttpDownload<'a> {
    pub(super) output: OutputFile,
    pub(super) interrupt: &'a Interrupt,
    pub(super) progress: Option<TransferProgress>,
    /// True if the response head is also written.
    pub(super) include_head: bool,
    pub(super) is_quiet: bool,
}

impl HttpDownload<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<ControlFlow<()>> {
        self.output.write_all(bytes, self.interrupt)
    }

    /// Clears the progress bar and completes the output file.
    pub(super) fn finish(mut self) -> io::Result<()> {
        drop(self.progress.take());
        self.output.finish(false)
    }
}

impl ResponseSink for HttpDownload<'_> {
    fn on_redirect(&mut self, from: &HttpUrl, head: &ResponseHead, to: &HttpUrl) {
        log::debug!("redirect: {from} responds {}; next: {to}", head.status_line());
    }

    fn on_head(&mut self, from: &HttpUrl, head: &ResponseHead, promised: Option<u64>) -> io::Result<ControlFlow<()>> {
        log::debug!("response: {from} responds {}", head.status_line());
        let is_success = matches!(head.status(), 200..=299);
        // A stream also shows the head of an error response. A file must hold only a success.
        let writes_head = self.include_head && (is_success || self.output.path().is_none());
        if writes_head && self.write(head.raw())?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        if !is_success {
            return Ok(ControlFlow::Continue(()));
        }
        for coding in head.values("Content-Encoding") {
            let coding = String::from_utf8_lossy(coding);
            if !matches!(coding.trim(), "" | "identity") {
                log::warn!("body not decoded: the server applied Content-Encoding '{}'", escape::line(&coding));
            }
        }
        // On a terminal, the bar and the body would overwrite each other.
        if !self.output.is_terminal() {
            self.progress = Some(TransferProgress::new(promised, 0, self.is_quiet));
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
