//! Chat without a terminal: lines in, lines out, and an end.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, SyncSender, channel};
use std::thread;

use switchboard::services::chat::colour::Palette;
use switchboard::services::chat::console::render;
use switchboard::services::chat::wire::ChatEvent;

use super::driver::{Driver, thread_failed};
use super::input::{Input, User};

use super::screen::Screen;
use super::signals;
use crate::cli::error::CliError;

/// Lines read ahead of what the session takes.
const LINES_AHEAD: usize = 32;

/// The longest line that is read, in bytes. It is said as several messages.
const MAX_LINE_BYTES: u64 = 1 << 20;

/// Standard output for what the server says, standard error for the rest.
pub(super) fn screen(json: bool, palette: Palette) -> Box<dyn Screen> {
    Box::new(Pipe { json, palette, unwritten: Vec::new() })
}

/// Says each line of standard input, and runs until all is answered.
pub(super) fn run(driver: Driver) -> Result<ExitCode, CliError> {
    let (leave, lines) = channel();
    let inputs = driver.inputs();
    signals::watch(&inputs, false)?;
    let read = move || read_lines(BufReader::new(io::stdin()), &lines, &inputs);
    thread::Builder::new().name("input".into()).spawn(read).map_err(|error| thread_failed(&error))?;
    driver.run(&User { leave, lines: LINES_AHEAD, is_person: false })
}

/// Reads a line for each leave to do so.
fn read_lines(mut from: impl BufRead, leave: &Receiver<String>, inputs: &SyncSender<Input>) {
    while leave.recv().is_ok() {
        let mut line = Vec::new();
        let input = match (&mut from).take(MAX_LINE_BYTES).read_until(b'\n', &mut line) {
            Ok(0) => break,
            Ok(_) if line.len() as u64 == MAX_LINE_BYTES && !line.ends_with(b"\n") => {
                // The rest of it is read away, a piece at a time.
                while line.last().is_some_and(|last| *last != b'\n') {
                    line.clear();
                    if !matches!((&mut from).take(MAX_LINE_BYTES).read_until(b'\n', &mut line), Ok(bytes) if bytes > 0)
                    {
                        break;
                    }
                }
                Input::Unreadable(format!("not said: a line is longer than {MAX_LINE_BYTES} bytes"))
            }
            Ok(_) => {
                let end = line.strip_suffix(b"\n").unwrap_or(&line);
                let end = end.strip_suffix(b"\r").unwrap_or(end);
                match std::str::from_utf8(end) {
                    Ok(text) => Input::Text(text.to_owned()),
                    Err(_) => Input::Unreadable(format!("not said, because it is not UTF-8: {}", end.escape_ascii())),
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                log::error!("cannot read standard input: {error}");
                break;
            }
        };
        if inputs.send(input).is_err() {
            return;
        }
    }
    let _ = inputs.send(Input::End);
}

struct Pipe {
    json: bool,
    palette: Palette,
    unwritten: Vec<u8>,
}

impl Pipe {
    fn line(&mut self, line: &[u8]) -> io::Result<()> {
        self.unwritten.extend_from_slice(line);
        self.unwritten.push(b'\n');
        if self.unwritten.len() >= 64 << 10 { self.flush() } else { Ok(()) }
    }
}

impl Screen for Pipe {
    fn payload(&mut self, payload: &[u8]) -> io::Result<()> {
        if !self.json {
            return Ok(());
        }
        // In JSON a line feed is nothing but space between two words, and a reader takes it for the object's end.
        let line: Vec<u8> =
            payload.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }).collect();
        self.line(&line)
    }

    fn event(&mut self, event: &ChatEvent<'_>) -> io::Result<()> {
        if self.json { Ok(()) } else { self.line(render(event, &self.palette).as_bytes()) }
    }

    fn tell(&mut self, line: &str) -> io::Result<()> {
        // In the order of what happened, where both go to one place.
        self.flush()?;
        // Where standard error is closed, nobody can be told.
        let _ = writeln!(io::stderr(), "* {line}");
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(&self.unwritten)?;
        self.unwritten.clear();
        stdout.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    fn read(bytes: &[u8]) -> Vec<String> {
        let (leave, leaves) = channel();
        let (inputs, taken) = sync_channel(100);
        (0..50).for_each(|_| leave.send(String::new()).unwrap());
        read_lines(bytes, &leaves, &inputs);
        drop(inputs);
        let words = |input| match input {
            Input::Text(text) => text,
            Input::Unreadable(why) => format!("! {why}"),
            Input::End => "end".to_owned(),
            Input::Remark(_) | Input::Wire(..) | Input::Signal(_) => unreachable!(),
        };
        taken.iter().map(words).collect()
    }

    #[test]
    fn lines_end_with_either_ending_or_with_the_input() {
        assert_eq!(read(b"one\ntwo\r\n\nlast"), ["one", "two", "", "last", "end"]);
        assert_eq!(read(b""), ["end"]);
    }

    #[test]
    fn what_cannot_be_said_is_told() {
        assert_eq!(read(b"\xffx\nok\n"), ["! not said, because it is not UTF-8: \\xffx", "ok", "end"]);
        let long = [vec![b'x'; 3 << 20], b"\nok\n".to_vec()].concat();
        assert_eq!(read(&long), ["! not said: a line is longer than 1048576 bytes", "ok", "end"]);
    }

    #[test]
    fn nothing_is_read_without_leave() {
        let (leave, leaves) = channel();
        let (inputs, taken) = sync_channel(100);
        leave.send(String::new()).unwrap();
        drop(leave);
        let mut bytes = &b"one\ntwo\n"[..];
        read_lines(&mut bytes, &leaves, &inputs);
        assert!(matches!(taken.recv(), Ok(Input::Text(text)) if text == "one"));
        assert_eq!(bytes, b"two\n");
    }
}
