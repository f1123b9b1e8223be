//! A chat session without a terminal: reads lines from a pipe, and ends after the last reply.

use std::io::{self, BufRead, IsTerminal, Write};
use std::sync::mpsc::{Receiver, SyncSender};

use switchboard::services::chat::colour::Palette;
use switchboard::services::chat::console::render;
use switchboard::services::chat::wire::ChatEvent;

use super::display::{ChatDisplay, text_lines};
use super::event::ClientEvent;
use crate::cli::terminal::{InputLine, sanitize, stderr};

/// Returns a display that writes events to standard output and messages of the client to standard
/// error.
pub(super) fn display(json: bool, palette: Palette) -> Box<dyn ChatDisplay> {
    Box::new(PipeDisplay { json, palette, is_terminal: io::stdout().is_terminal(), buffer: Vec::new() })
}

/// Sends a line of standard input for each permit.
pub(super) fn read_lines(mut from: impl BufRead, permits: &Receiver<String>, events: &SyncSender<ClientEvent>) {
    while permits.recv().is_ok() {
        let line = InputLine::read(&mut from).unwrap_or_else(|error| {
            log::error!("cannot read standard input: {error}");
            InputLine::End
        });
        let is_end = line == InputLine::End;
        if events.send(ClientEvent::Input(line)).is_err() || is_end {
            return;
        }
    }
}

struct PipeDisplay {
    json: bool,
    palette: Palette,
    is_terminal: bool,
    /// Bytes not yet written to standard output.
    buffer: Vec<u8>,
}

impl PipeDisplay {
    fn print_line(&mut self, line: &[u8]) -> io::Result<()> {
        self.buffer.extend_from_slice(line);
        self.buffer.push(b'\n');
        if self.buffer.len() >= 64 << 10 { self.flush() } else { Ok(()) }
    }
}

impl ChatDisplay for PipeDisplay {
    fn show_payload(&mut self, payload: &[u8]) -> io::Result<()> {
        if !self.json {
            return Ok(());
        }
        // A line feed in JSON is white space; a space has the same meaning and keeps the object on
        // one line.
        let line: Vec<u8> =
            payload.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }).collect();
        if self.is_terminal {
            return self.print_line(sanitize::json(&String::from_utf8_lossy(&line)).as_bytes());
        }
        self.print_line(&line)
    }

    fn show_event(&mut self, event: &ChatEvent<'_>) -> io::Result<()> {
        if self.json { Ok(()) } else { self.print_line(render(event, &self.palette).as_bytes()) }
    }

    fn show_text(&mut self, text: &str) -> io::Result<()> {
        text_lines(text).try_for_each(|line| self.print_line(line.as_bytes()))
    }

    fn show_notice(&mut self, line: &str) -> io::Result<()> {
        // Flush first, so that the order is right if both streams go to one file.
        self.flush()?;
        stderr::print_notice(line);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(&self.buffer)?;
        self.buffer.clear();
        stdout.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{channel, sync_channel};

    use super::*;

    #[test]
    fn line_is_read_only_with_a_permit() {
        let (permit_sender, permit_receiver) = channel();
        let (sender, events) = sync_channel(100);
        permit_sender.send(String::new()).unwrap();
        drop(permit_sender);
        let mut bytes = &b"one\ntwo\n"[..];
        read_lines(&mut bytes, &permit_receiver, &sender);
        assert!(matches!(events.recv(), Ok(ClientEvent::Input(InputLine::Text(text))) if text == "one"));
        assert_eq!(bytes, b"two\n");
    }
}
