//! Operator consoles on a terminal.

use std::io::Write;
use std::os::fd::OwnedFd;

use portable_pty::{PtyPair, PtySize, native_pty_system};
use rustix::fs::{Mode, OFlags, open};
use switchboard::{CloseReason, Limits};

use crate::console_setup::{OutputLines, is_nonblocking, serve_with_console};
use crate::support::{Engine, conformance};

conformance! {
    console_on_a_terminal_sends_and_receives,
    stopped_terminal_output_blocks_no_other_connection,
    terminal_hangup_closes_the_console_only,
}

/// A pseudo-terminal. The test holds the master side, as a terminal emulator does.
struct Terminal {
    pair: PtyPair,
}

impl Terminal {
    fn new() -> Self {
        Self { pair: native_pty_system().openpty(PtySize::default()).unwrap() }
    }

    /// Opens the slave side, as a shell does that passes its terminal to a program.
    fn open_slave(&self) -> OwnedFd {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        open(self.pair.master.tty_name().unwrap(), flags, Mode::empty()).unwrap()
    }
}

fn console_on_a_terminal_sends_and_receives<E: Engine>() {
    let terminal = Terminal::new();
    let output_lines = OutputLines::read_from(terminal.pair.master.try_clone_reader().unwrap());
    let mut keyboard = terminal.pair.master.take_writer().unwrap();
    let shell = terminal.open_slave();
    let setup = serve_with_console::<E>(Limits::default(), shell.try_clone().unwrap(), shell.try_clone().unwrap());
    output_lines.expect("welcome console");
    let mut client = setup.client();
    keyboard.write_all(b"hello\n").unwrap();
    assert_eq!(client.receive(), b"hello");
    output_lines.expect("hello");
    output_lines.expect("hello");
    assert!(!is_nonblocking(&shell), "O_NONBLOCK would affect the shell");
    // More than the terminal buffers, so that the engine has to wait for the reader.
    let news = vec![b'n'; 500_000];
    client.echo(&news);
    assert_eq!(output_lines.next().into_bytes(), news);
    keyboard.write_all(b"\x04").unwrap();
    assert_eq!(setup.events.next_closed(), (setup.console, CloseReason::PeerClosed));
    client.echo(b"without an operator");
    drop(client);
    setup.running.drain();
}

fn stopped_terminal_output_blocks_no_other_connection<E: Engine>() {
    let terminal = Terminal::new();
    let output_lines = OutputLines::read_from(terminal.pair.master.try_clone_reader().unwrap());
    let mut keyboard = terminal.pair.master.take_writer().unwrap();
    let shell = terminal.open_slave();
    let setup = serve_with_console::<E>(Limits::default(), shell.try_clone().unwrap(), shell);
    output_lines.expect("welcome console");
    let mut client = setup.client();
    // Control-S stops the output (termios(3)); the line after it shows that the terminal has read
    // it.
    keyboard.write_all(b"\x13stopped\n").unwrap();
    assert_eq!(client.receive(), b"stopped");
    for number in 0..100 {
        client.echo(format!("news {number}").as_bytes());
    }
    // Control-Q resumes the output.
    keyboard.write_all(b"\x11").unwrap();
    for number in 0..100 {
        output_lines.await_line(&format!("news {number}"));
    }
    drop(client);
    setup.running.drain();
}

fn terminal_hangup_closes_the_console_only<E: Engine>() {
    let terminal = Terminal::new();
    let shell = terminal.open_slave();
    let setup = serve_with_console::<E>(Limits::default(), shell.try_clone().unwrap(), shell);
    let mut client = setup.client();
    drop(terminal);
    // A read returns the end of the input and a write fails; either may come first.
    assert_eq!(setup.events.next_closed().0, setup.console);
    client.echo(b"without an operator");
    drop(client);
    setup.running.drain();
}
