//! An operator at a terminal.
#![cfg(unix)]

use std::io::Write;
use std::os::fd::OwnedFd;

use portable_pty::{PtyPair, PtySize, native_pty_system};
use rustix::fs::{Mode, OFlags, open};
use switchboard::{CloseReason, Limits};

use crate::operator::{Ears, is_nonblocking, office};
use crate::support::{Engine, conformance};

conformance! {
    an_operator_at_a_terminal_types_and_hears,
    an_operator_who_stops_the_output_stops_nobody_else,
    a_terminal_that_hangs_up_takes_nobody_along,
}

/// The far end of a pseudo-terminal, as the program sees it in whose window the operator sits.
struct Terminal {
    pair: PtyPair,
}

impl Terminal {
    fn new() -> Self {
        Self { pair: native_pty_system().openpty(PtySize::default()).unwrap() }
    }

    /// One description of it, as a shell hands its own down.
    fn inherited(&self) -> OwnedFd {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        open(self.pair.master.tty_name().unwrap(), flags, Mode::empty()).unwrap()
    }
}

fn an_operator_at_a_terminal_types_and_hears<E: Engine>() {
    let terminal = Terminal::new();
    let ears = Ears::of(terminal.pair.master.try_clone_reader().unwrap());
    let mut fingers = terminal.pair.master.take_writer().unwrap();
    let shells = terminal.inherited();
    let setting = office::<E>(Limits::default(), shells.try_clone().unwrap(), shells.try_clone().unwrap());
    ears.expect("welcome console");
    let mut client = setting.client();
    fingers.write_all(b"hello\n").unwrap();
    assert_eq!(client.receive(), b"hello");
    ears.expect("hello");
    ears.expect("hello");
    assert!(!is_nonblocking(&shells), "the shell would be surprised");
    // More than the terminal holds, so that the rest has to wait for its reader.
    let news = vec![b'n'; 500_000];
    client.echo(&news);
    assert_eq!(ears.next().into_bytes(), news);
    fingers.write_all(b"\x04").unwrap();
    assert_eq!(setting.events.next_closed(), (setting.console, CloseReason::PeerClosed));
    client.echo(b"without an operator");
    drop(client);
    setting.running.drain();
}

fn an_operator_who_stops_the_output_stops_nobody_else<E: Engine>() {
    let terminal = Terminal::new();
    let ears = Ears::of(terminal.pair.master.try_clone_reader().unwrap());
    let mut fingers = terminal.pair.master.take_writer().unwrap();
    let shells = terminal.inherited();
    let setting = office::<E>(Limits::default(), shells.try_clone().unwrap(), shells);
    ears.expect("welcome console");
    let mut client = setting.client();
    // Control-S, and a line that can only be heard after it.
    fingers.write_all(b"\x13stopped\n").unwrap();
    assert_eq!(client.receive(), b"stopped");
    for number in 0..100 {
        client.echo(format!("news {number}").as_bytes());
    }
    // Control-Q.
    fingers.write_all(b"\x11").unwrap();
    for number in 0..100 {
        ears.await_line(&format!("news {number}"));
    }
    drop(client);
    setting.running.drain();
}

fn a_terminal_that_hangs_up_takes_nobody_along<E: Engine>() {
    let terminal = Terminal::new();
    let shells = terminal.inherited();
    let setting = office::<E>(Limits::default(), shells.try_clone().unwrap(), shells);
    let mut client = setting.client();
    drop(terminal);
    // Reading finds an end and writing an error, and either may be first.
    assert_eq!(setting.events.next_closed().0, setting.console);
    client.echo(b"without an operator");
    drop(client);
    setting.running.drain();
}
