//! A file, fetched: gone on with where an earlier run has ended, checked, and put at its place when it is whole.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use switchboard::client::files::{DownloadError, DownloadEvent, FileDownload};
use switchboard::services::files::wire::Code;

use super::link::Link;
use super::{Ended, Plan};
use crate::cli::commands::call::server::bare;
use crate::cli::error::CliError;
use crate::cli::terminal::sanitize;
use crate::cli::transfer::{Interrupt, Obstacle, Progress, Target, Waited};

/// What is to be fetched, and where to.
pub(super) struct Wish {
    pub(super) name: OsString,
    /// Nothing: to standard output.
    pub(super) place: Option<PathBuf>,
    /// Whether what is there is left as it is.
    pub(super) no_clobber: bool,
    pub(super) quiet: bool,
}

pub(super) fn framed(plan: &Plan, wish: &Wish) -> Result<ExitCode, CliError> {
    let name = wish.name.to_str().ok_or_else(|| {
        CliError::Usage(format!("{} is not UTF-8, and the dialect framed has no other names", wish.shown()))
    })?;
    let mut target = wish.target(Target::kept)?;
    // Until there is something to be tidied up, a signal ends the program at once.
    let mut download = FileDownload::new(name);
    target.read_back(|piece| download.add_received(piece)).map_err(|error| wish.cannot_write(&error))?;
    // Only then: a server need not wait while a large part is read.
    let mut link = match Link::connect(plan) {
        Ok(link) => link,
        Err(failure) => {
            let ended = failure.into();
            wish.leave(target, &ended);
            return ended.code("", None);
        }
    };
    let interrupt = Interrupt::watch()?;
    let mut is_second = false;
    let ended = loop {
        let has_begun = download.received_bytes();
        match fetch(&mut link, plan, wish, &mut download, &mut target, &interrupt) {
            Ok(()) => {
                wish.finish(target)?;
                wish.say(&format!("{} bytes, SHA-256 verified", download.received_bytes()));
                return Ok(ExitCode::SUCCESS);
            }
            Err(Ended::DownloadError(trouble))
                if !is_second && is_another_file(&trouble, has_begun) && target.place().is_some() =>
            {
                is_second = true;
                wish.say(&format!("{trouble}; the file has changed, and is fetched from its start"));
                target.restart().map_err(|error| wish.cannot_write(&error))?;
                download = FileDownload::new(name);
                match Link::connect(plan) {
                    Ok(again) => link = again,
                    Err(failure) => break failure.into(),
                }
            }
            Err(ended) => break ended,
        }
    };
    wish.leave(target, &ended);
    ended.code(&format!("cannot get {}", wish.shown()), Some(&interrupt))
}

/// Whether what is there does not belong to the file that there is now.
fn is_another_file(trouble: &DownloadError, has_begun: u64) -> bool {
    match trouble {
        DownloadError::ChecksumMismatch => true,
        DownloadError::Refused(fault) => has_begun > 0 && fault.code == Code::BadOffset.to_string(),
        _ => false,
    }
}

fn fetch(
    link: &mut Link<'_>,
    plan: &Plan,
    wish: &Wish,
    download: &mut FileDownload,
    target: &mut Target,
    interrupt: &Interrupt,
) -> Result<(), Ended> {
    link.send(&download.request())?;
    let mut progress = None;
    while !download.is_complete() {
        let is_first = progress.is_none();
        let limit = if is_first { plan.first_timeout() } else { plan.timeout };
        let on_trouble = |ended: Ended| if is_first { ended.at_first() } else { ended };
        let Some(payload) = link.frame(limit, interrupt).map_err(on_trouble)? else {
            return Err(on_trouble(download.unexpected_eof().into()));
        };
        match download.handle_frame(&payload).map_err(|trouble| on_trouble(trouble.into()))? {
            DownloadEvent::Head(head) => progress = Some(wish.progress(target, Some(head.size), head.offset)),
            DownloadEvent::Data(bytes) => {
                wish.write(target, bytes, interrupt)?;
                if let Some(progress) = &progress {
                    progress.advance(bytes.len() as u64);
                }
            }
        }
    }
    // Who sends more than was announced is wrong about one of the two.
    if link.has_surplus() {
        return Err(download.trailing_data().into());
    }
    Ok(download.clone().verify()?)
}

/// Nothing tells the end of a file from a connection that was closed too early, so nothing is kept to be gone on with.
pub(super) fn plain(plan: &Plan, wish: &Wish) -> Result<ExitCode, CliError> {
    let mut link = Link::connect(plan)?;
    let mut target = wish.target(Target::fleeting)?;
    let interrupt = Interrupt::watch()?;
    match fetch_plainly(&mut link, plan, wish, &mut target, &interrupt) {
        Ok(0) => Err(CliError::Failed(format!(
            "{} has sent nothing: {} is empty, or is refused, which the dialect plain cannot tell apart; nothing is written; \
             does the server speak --dialect framed?",
            plan.server.typed(),
            wish.shown()
        ))),
        Ok(bytes) => {
            wish.finish(target)?;
            wish.say(&format!("{bytes} bytes; the dialect plain cannot tell whether these are all"));
            Ok(ExitCode::SUCCESS)
        }
        Err(ended) => ended.code(&format!("cannot get {}", wish.shown()), Some(&interrupt)),
    }
}

fn fetch_plainly(
    link: &mut Link<'_>,
    plan: &Plan,
    wish: &Wish,
    target: &mut Target,
    interrupt: &Interrupt,
) -> Result<u64, Ended> {
    link.send(wish.name.as_encoded_bytes())?;
    let progress = wish.progress(target, None, 0);
    let mut total = 0;
    while let Some(bytes) = link.bytes(plan.timeout, interrupt)? {
        wish.write(target, bytes, interrupt)?;
        progress.advance(bytes.len() as u64);
        total += bytes.len() as u64;
    }
    Ok(total)
}

impl Wish {
    /// The name in a sentence.
    fn shown(&self) -> String {
        sanitize::file_name(&self.name)
    }

    fn target(&self, file: fn(&Path) -> Result<Target, Obstacle>) -> Result<Target, CliError> {
        match &self.place {
            Some(place) => file(place).map_err(|Obstacle { file, error }| cannot_write(&file, &error)),
            None => Target::stdout().map_err(|error| self.cannot_write(&error)),
        }
    }

    fn cannot_write(&self, error: &io::Error) -> CliError {
        match &self.place {
            Some(place) => cannot_write(place, error),
            None => CliError::Failed(format!("cannot write to standard output: {}", bare(error))),
        }
    }

    fn write(&self, target: &mut Target, bytes: &[u8], interrupt: &Interrupt) -> Result<(), Ended> {
        match target.write_all(bytes, interrupt) {
            Ok(Waited::Interrupted) => Err(Ended::Interrupted),
            Ok(_) => Ok(()),
            Err(error) if self.place.is_none() && error.kind() == io::ErrorKind::BrokenPipe => Err(Ended::Unread),
            Err(error) => Err(self.cannot_write(&error).into()),
        }
    }

    fn progress(&self, target: &Target, total: Option<u64>, already: u64) -> Progress {
        // What is written to a terminal, and a bar on it, would overwrite one another.
        Progress::new(total, already, self.quiet || target.is_screen())
    }

    /// For a person, beside what a program reads.
    fn say(&self, words: &str) {
        if !self.quiet {
            let place =
                self.place.as_deref().map(|place| format!("{}: ", sanitize::file_name(place))).unwrap_or_default();
            // Where standard error is closed, nobody wants to know.
            let _ = writeln!(io::stderr(), "{place}{words}");
        }
    }

    /// All is there.
    fn finish(&self, target: Target) -> Result<(), CliError> {
        let finished = if self.no_clobber { target.finish_anew() } else { target.finish() };
        finished.map_err(|error| self.cannot_write(&error))
    }

    /// Half a file is kept for the next run, unless it is known to be no part of any.
    fn leave(&self, target: Target, ended: &Ended) {
        let have = target.len().unwrap_or(0);
        if have == 0 || matches!(ended, Ended::DownloadError(DownloadError::ChecksumMismatch)) {
            target.discard();
        } else if let Some(partial) = target.partial() {
            self.say(&format!(
                "{have} bytes are kept in {}; the same command goes on with them",
                sanitize::file_name(partial)
            ));
        }
    }
}

fn cannot_write(file: &Path, error: &io::Error) -> CliError {
    CliError::Failed(format!("cannot write {}: {}", sanitize::file_name(file), bare(error)))
}
