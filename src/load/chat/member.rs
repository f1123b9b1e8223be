//! One member: connects, enters its room, says what it is to say, and passes on what it hears.
//!
//! Readiness is remembered, as on the echo's connections. Knows neither the other members nor what becomes of the run when this one
//! ends.

use std::io;

use super::kit::{Hall, Kit, Orders};
use super::scan;
use super::text::Stamp;
use crate::frame::{FrameDecoder, Framing};
use crate::load::client::End;
use crate::load::net::{Ready, Socket};
use crate::load::output::Output;
use crate::services::chat::wire::Event;

/// An event that is longer has lost its bounds. Lists of rooms and nicks are not asked for.
const MAX_EVENT_BYTES: usize = 1 << 20;
/// Messages are said in batches of about this many bytes.
const BATCH_BYTES: usize = 64 * 1024;
/// What a server says is shown as far as this.
const MAX_SHOWN_CHARS: usize = 200;

pub(super) struct Member {
    socket: Socket,
    pub(super) number: usize,
    phase: Phase,
    began_ns: u64,
    readable: bool,
    /// The server's end, or a failure, was announced: reading goes on until it comes.
    end: bool,
    decoder: FrameDecoder,
    output: Output,
    /// Messages said so far.
    pub(super) said: u64,
    /// Closed loop: how many it is to say now.
    pub(super) owed: usize,
    /// Open loop: its next message by the timetable; beyond any for who does not speak.
    pub(super) next: u64,
    /// Open loop: since when it has been free to say something.
    free_since_ns: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Connecting,
    /// What has not come of the answers to its first words.
    Joining(Awaited),
    Ready,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Awaited {
    welcome: bool,
    joined: bool,
    left: bool,
}

impl Member {
    pub(super) fn new(socket: Socket, number: usize, now_ns: u64) -> Self {
        Self {
            socket,
            number,
            phase: Phase::Connecting,
            began_ns: now_ns,
            readable: false,
            end: false,
            decoder: FrameDecoder::new(Framing::U32BE, MAX_EVENT_BYTES),
            output: Output::new(false),
            said: 0,
            owed: 0,
            next: u64::MAX,
            free_since_ns: now_ns,
        }
    }

    pub(super) fn socket(&mut self) -> &mut Socket {
        &mut self.socket
    }

    pub(super) fn is_ready(&self) -> bool {
        self.phase == Phase::Ready
    }

    /// How long it took to get in.
    pub(super) fn joining_ns(&self, now_ns: u64) -> u64 {
        now_ns.saturating_sub(self.began_ns)
    }

    /// Takes in what the system says, and does what can be done.
    pub(super) fn handle_ready(&mut self, ready: Ready, kit: &mut Kit) -> Result<(), End> {
        if ready.writable && self.output.unblock() {
            self.free_since_ns = kit.hall.now_ns;
        }
        self.readable |= ready.readable;
        self.end |= ready.end;
        if self.phase == Phase::Connecting {
            if !self.socket.connected().map_err(End::Refused)? {
                return Ok(());
            }
            kit.frames.clear();
            kit.hall.greet(self.number, &mut kit.frames).map_err(End::Refused)?;
            self.output.add(&kit.frames);
            let left = kit.hall.rooms.len() > 1;
            self.phase = Phase::Joining(Awaited { welcome: true, joined: true, left });
        }
        self.step(kit)
    }

    /// Does what can be done.
    pub(super) fn step(&mut self, kit: &mut Kit) -> Result<(), End> {
        if self.phase == Phase::Connecting {
            return Ok(());
        }
        self.receive(kit)?;
        self.send(kit)
    }

    /// Reads and passes on all that is there.
    fn receive(&mut self, kit: &mut Kit) -> Result<(), End> {
        while self.readable {
            match self.socket.read(&mut kit.buffer) {
                Ok(0) => return Err(self.broken_off()),
                Ok(bytes) => {
                    kit.hall.look_at_clock();
                    self.hear(bytes, kit)?;
                    if self.socket.short_means_done() && bytes < kit.buffer.len() {
                        // An end that came along with these bytes has no event of its own.
                        self.readable = self.end;
                    }
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => self.readable = false,
                    io::ErrorKind::Interrupted => {}
                    _ => return Err(self.broken_off()),
                },
            }
        }
        Ok(())
    }

    /// Who was never in has not been broken off.
    fn broken_off(&self) -> End {
        match self.phase {
            Phase::Ready => End::Broken,
            _ => End::Refused(io::Error::new(io::ErrorKind::ConnectionAborted, "the server ended the connection")),
        }
    }

    #[inline]
    fn hear(&mut self, bytes: usize, kit: &mut Kit) -> Result<(), End> {
        let Kit { buffer, spares, hall, .. } = kit;
        let mut input = buffer.get(..bytes).unwrap_or_default();
        loop {
            let payload = match self.decoder.decode_with(&mut input, spares) {
                Ok(Some(payload)) => payload,
                Ok(None) => return Ok(()),
                Err(error) => {
                    hall.garbled(self.number, &error);
                    return Err(End::Garbled);
                }
            };
            let (number, is_ready) = (self.number, self.phase == Phase::Ready);
            // What others say before this one is in is not asked of it.
            let read = scan::read(payload, |delivery| {
                if is_ready {
                    hall.deliver(number, &delivery);
                }
            });
            match read {
                Ok(None) => {}
                Ok(Some(event)) => Self::heed(&mut self.phase, number, &event, hall)?,
                Err(error) => hall.garbled(number, &error),
            }
        }
    }

    /// Takes in what is no message.
    fn heed(phase: &mut Phase, number: usize, event: &Event<'_>, hall: &mut Hall) -> Result<(), End> {
        let (code, text) = match event {
            Event::Error { code, text, .. } => (code.as_ref(), text.as_ref()),
            Event::Bye { reason } => ("bye", reason.as_ref()),
            event => {
                if let Phase::Joining(awaited) = phase {
                    awaited.take(number, event, hall);
                    if *awaited == (Awaited { welcome: false, joined: false, left: false }) {
                        *phase = Phase::Ready;
                    }
                }
                return Ok(());
            }
        };
        let text: String = text.chars().take(MAX_SHOWN_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect();
        hall.complain(number, code, &text);
        if *phase == Phase::Ready {
            return Ok(());
        }
        Err(End::Refused(io::Error::other(format!("the server said {code}: {text}"))))
    }

    /// Says all that there is to say and that the socket takes.
    fn send(&mut self, kit: &mut Kit) -> Result<(), End> {
        while self.output.flush(&mut self.socket).map_err(|_| self.broken_off())? && self.phase == Phase::Ready {
            kit.frames.clear();
            self.fill(kit);
            if kit.frames.is_empty() {
                return Ok(());
            }
            self.output.add(&kit.frames);
        }
        Ok(())
    }

    /// Puts together what is to be said now.
    fn fill(&mut self, kit: &mut Kit) {
        let Kit { frames, hall, .. } = kit;
        let now_ns = hall.look_at_clock();
        while frames.len() < BATCH_BYTES {
            let due_ns = match &hall.orders {
                Orders::Turns(_) if self.owed > 0 => {
                    self.owed -= 1;
                    now_ns
                }
                Orders::Timetable(pace) if self.next < pace.due => {
                    let due_ns = pace.due_ns(self.next);
                    self.next += pace.connections;
                    hall.tally.sent(due_ns, now_ns.saturating_sub(due_ns.max(self.free_since_ns)));
                    due_ns
                }
                _ => return,
            };
            let publisher = u32::try_from(self.number).unwrap_or(u32::MAX);
            hall.say(&Stamp { due_ns, publisher, sequence: self.said }, frames);
            hall.said += u64::from(hall.tally.window().contains(&due_ns));
            self.said += 1;
        }
    }
}

impl Awaited {
    /// Others come and go, too.
    fn take(&mut self, member: usize, event: &Event<'_>, hall: &Hall) {
        let own_room = hall.room(hall.room_of(member));
        match event {
            Event::Welcome { .. } => self.welcome = false,
            Event::Joined { room, nick } if room == own_room && hall.is_called(member, nick) => self.joined = false,
            Event::Left { room, nick } if room != own_room && hall.is_called(member, nick) => self.left = false,
            _ => {}
        }
    }
}
