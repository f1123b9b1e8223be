//! A chat session without a terminal: reads lines from a pipe, and ends after the last reply.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, SyncSender, channel};
use std::thread;

use switchboard::services::chat::colour::Palette;
use switchboard::services::chat::console::render;
use switchboard::services::chat::wire::ChatEvent;

use super::display::ChatDisplay;
use super::event::{ClientEvent, LinePermits};
use super::session_runner::{SessionRunner, thread_error};
use super::signals;
use crate::cli::error::CliError;

/// Lines read ahead of the session.
const MAX_LINES_AHEAD: usize = 32;

/// The longest line that is read, in bytes. It is sent as several messages.
const MAX_LINE_BYTES: u64 = 1 << 20;

/// Returns a display that writes events to standard output and messages of the client to standard
/// error.
pub(super) fn display(json: bool, palette: Palette) -> Box<dyn ChatDisplay> {
    Box::new(PipeDisplay { json, palette, buffer: Vec::new() })
}

/// Sends each line of standard input, and runs until every line has a reply.
pub(super) fn run(runner: SessionRunner) -> Result<ExitCode, CliError> {
    let (permit_sender, permit_receiver) = channel();
    let events = runner.event_sender();
    signals::watch(&events, false)?;
    let read = move || read_lines(BufReader::new(io::stdin()), &permit_receiver, &events);
    thread::Builder::new().name("input".into()).spawn(read).map_err(|error| thread_error(&error))?;
    runner.run(&LinePermits { permit_sender, max_ahead: MAX_LINES_AHEAD, is_interactive: false })
}

/// Reads one line per permit.
fn read_lines(mut from: impl BufRead, permits: &Receiver<String>, events: &SyncSender<ClientEvent>) {
    while permits.recv().is_ok() {
        let mut line = Vec::new();
        let event = match (&mut from).take(MAX_LINE_BYTES).read_until(b'\n', &mut line) {
            Ok(0) => break,
            Ok(_) if line.len() as u64 == MAX_LINE_BYTES && !line.ends_with(b"\n") => {
                // Skip the rest of the line in pieces.
                while line.last().is_some_and(|last| *last != b'\n') {
                    line.clear();
                    if !matches!((&mut from).take(MAX_LINE_BYTES).read_until(b'\n', &mut line), Ok(bytes) if bytes > 0)
                    {
                        break;
                    }
                }
                ClientEvent::InvalidLine(format!("not sent: a line is longer than {MAX_LINE_BYTES} bytes"))
            }
            Ok(_) => {
                let text = line.strip_suffix(b"\n").unwrap_or(&line);
                let text = text.strip_suffix(b"\r").unwrap_or(text);
                match std::str::from_utf8(text) {
                    Ok(text) => ClientEvent::Line(text.to_owned()),
                    Err(_) => {
                        ClientEvent::InvalidLine(format!("not sent: a line is not UTF-8: {}", text.escape_ascii()))
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                log::error!("cannot read standard input: {error}");
                break;
            }
        };
        if events.send(event).is_err() {
            return;
        }
    }
    let _ = events.send(ClientEvent::EndOfInput);
}

struct PipeDisplay {
    json: bool,
    palette: Palette,
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
        self.print_line(&line)
    }

    fn show_event(&mut self, event: &ChatEvent<'_>) -> io::Result<()> {
        if self.json { Ok(()) } else { self.print_line(render(event, &self.palette).as_bytes()) }
    }

    fn show_notice(&mut self, line: &str) -> io::Result<()> {
        // Flush first, so that the order is right if both streams go to one file.
        self.flush()?;
        // Ignore the error: if standard error is closed, the message has no other place.
        let _ = writeln!(io::stderr(), "* {line}");
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
    use std::sync::mpsc::sync_channel;

    use super::*;

    fn read_all(bytes: &[u8]) -> Vec<String> {
        let (permit_sender, permit_receiver) = channel();
        let (sender, events) = sync_channel(100);
        (0..50).for_each(|_| permit_sender.send(String::new()).unwrap());
        read_lines(bytes, &permit_receiver, &sender);
        drop(sender);
        let describe = |event| match event {
            ClientEvent::Line(text) => text,
            ClientEvent::InvalidLine(reason) => format!("! {reason}"),
            ClientEvent::EndOfInput => "end".to_owned(),
            ClientEvent::Notice(_) | ClientEvent::Connection(..) | ClientEvent::Signal(_) => unreachable!(),
        };
        events.iter().map(describe).collect()
    }

    #[test]
    fn line_ends_with_lf_crlf_or_end_of_input() {
        assert_eq!(read_all(b"one\ntwo\r\n\nlast"), ["one", "two", "", "last", "end"]);
        assert_eq!(read_all(b""), ["end"]);
    }

    #[test]
    fn invalid_line_is_reported_and_the_next_is_read() {
        assert_eq!(read_all(b"\xffx\nok\n"), ["! not sent: a line is not UTF-8: \\xffx", "ok", "end"]);
        let long = [vec![b'x'; 3 << 20], b"\nok\n".to_vec()].concat();
        assert_eq!(read_all(&long), ["! not sent: a line is longer than 1048576 bytes", "ok", "end"]);
    }

    #[test]
    fn line_is_read_only_with_a_permit() {
        let (permit_sender, permit_receiver) = channel();
        let (sender, events) = sync_channel(100);
        permit_sender.send(String::new()).unwrap();
        drop(permit_sender);
        let mut bytes = &b"one\ntwo\n"[..];
        read_lines(&mut bytes, &permit_receiver, &sender);
        assert!(matches!(events.recv(), Ok(ClientEvent::Line(text)) if text == "one"));
        assert_eq!(bytes, b"two\n");
    }
}
