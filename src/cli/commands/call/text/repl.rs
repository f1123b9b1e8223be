//! The conversation: each line is asked, and its answer printed, before the next is read.

use std::process::ExitCode;
use std::time::Instant;

use switchboard::TextEncoding;
use switchboard::shown::word;

use super::datagram_client::Datagrams;
use super::input::{Line, Lines};
use super::line_client::{Lane, Waited};
use super::output::{Screen, tell};
use crate::cli::failure::Failure;

/// What came, as text.
#[derive(Debug)]
pub(in crate::cli::commands::call) struct Text {
    pub(in crate::cli::commands::call) text: String,
    /// Whether it was text to begin with; otherwise there are replacement characters in it.
    pub(in crate::cli::commands::call) is_readable: bool,
}

impl Text {
    pub(in crate::cli::commands::call) fn decode(bytes: &[u8], encoding: TextEncoding) -> Self {
        match encoding.decode(bytes) {
            Some(text) => Self { text: text.into_owned(), is_readable: true },
            None => Self { text: encoding.decode_lossy(bytes).into_owned(), is_readable: false },
        }
    }
}

/// What came of a request.
#[derive(Debug)]
pub(in crate::cli::commands::call) enum Reply {
    Text(Text),
    /// Nothing, for this reason. The next request may have better luck.
    Nothing(String),
    /// The server closed instead.
    Closed,
}

/// How the server is reached.
pub(super) enum Link {
    Lane(Lane),
    Datagrams(Datagrams),
}

/// A conversation.
pub(super) struct Talk {
    link: Link,
    screen: Screen,
    /// Whether `Bye` has the server close.
    has_bye: bool,
    /// Lines that were not sent or not answered.
    failed: usize,
    told_of_empty: bool,
}

/// Whether there is more to say.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    GoOn,
    Stop,
}

impl Talk {
    pub(super) fn new(link: Link, screen: Screen, has_bye: bool) -> Self {
        Self { link, screen, has_bye, failed: 0, told_of_empty: false }
    }

    /// Talks until the lines end, or the server does.
    pub(super) fn run(mut self, mut lines: Lines) -> Result<ExitCode, Failure> {
        if let Link::Lane(lane) = &mut self.link
            && !lane.is_one_each()
        {
            // That nobody is there is better said before something is typed.
            lane.connect()?;
        }
        self.show_unasked()?;
        loop {
            let flow = match lines.next()? {
                Line::Text(text) => self.say(&text)?,
                Line::Unreadable(why) => self.fail(None, &why)?,
                Line::End => Flow::Stop,
            };
            if flow == Flow::Stop || self.screen.nobody_reads() {
                break;
            }
        }
        if !self.screen.nobody_reads() {
            self.show_last_words()?;
        }
        match self.failed {
            0 => Ok(ExitCode::SUCCESS),
            failed => Err(Failure::Failed(format!("{failed} of the lines {} without an answer", were(failed)))),
        }
    }

    fn say(&mut self, text: &str) -> Result<Flow, Failure> {
        self.show_unasked()?;
        let is_bye = self.has_bye && text.trim_ascii().eq_ignore_ascii_case("bye");
        let reply = match &mut self.link {
            Link::Lane(lane) if text.is_empty() && !lane.takes_empty() => {
                if !std::mem::replace(&mut self.told_of_empty, true) {
                    tell("an empty line is nothing that could be sent without frames; such lines are skipped");
                }
                return Ok(Flow::GoOn);
            }
            Link::Lane(lane) => lane.ask(text)?,
            Link::Datagrams(datagrams) if is_bye => {
                datagrams.tell(text)?;
                return Ok(Flow::Stop);
            }
            Link::Datagrams(datagrams) => datagrams.ask(text)?,
        };
        match reply {
            Reply::Text(answer) => self.screen.answer(Some(text), &answer).map(|()| Flow::GoOn),
            Reply::Nothing(why) => self.fail(Some(text), &why),
            Reply::Closed if is_bye => Ok(Flow::Stop),
            Reply::Closed => {
                let what = format!("closed, and gave no answer to '{}'", short(text));
                match &self.link {
                    Link::Lane(lane) => Err(lane.server().failed(&what)),
                    Link::Datagrams(_) => Err(Failure::Failed(what)),
                }
            }
        }
    }

    fn show_unasked(&mut self) -> Result<(), Failure> {
        let Link::Lane(lane) = &mut self.link else { return Ok(()) };
        lane.unasked()?.iter().try_for_each(|text| self.screen.answer(None, text))
    }

    fn show_last_words(&mut self) -> Result<(), Failure> {
        self.show_unasked()?;
        let Link::Lane(lane) = &mut self.link else { return Ok(()) };
        let Some(until) = lane.finish() else { return Ok(()) };
        while let Waited::For(texts) = lane.wait(until)? {
            texts.iter().try_for_each(|text| self.screen.answer(None, text))?;
            if self.screen.nobody_reads() || Instant::now() >= until {
                break;
            }
        }
        Ok(())
    }

    fn fail(&mut self, line: Option<&str>, why: &str) -> Result<Flow, Failure> {
        self.failed += 1;
        match line {
            Some(line) => {
                self.screen.no_answer(line)?;
                tell(&format!("'{}': {why}", short(line)));
            }
            None => tell(why),
        }
        Ok(Flow::GoOn)
    }
}

const fn were(count: usize) -> &'static str {
    if count == 1 { "was" } else { "were" }
}

/// Enough of a line to know it again.
fn short(line: &str) -> String {
    const MAX_CHARS: usize = 40;
    let mut short: String = line.chars().take(MAX_CHARS).collect();
    if short.len() < line.len() {
        short.push('…');
    }
    word(&short).into_owned()
}
