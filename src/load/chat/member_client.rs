//! One member: connects, enters its room, says what it is to say, and passes on what it hears.
//!
//! Readiness is remembered, as on the echo's connections. Knows neither the other members nor what becomes of the run when this one
//! ends.

use std::io;

use super::event_scanner;
use super::message_stamp::MessageStamp;
use super::run_context::{ChatRunContext, ChatSendPolicy, ChatTraffic};
use crate::frame::{FrameDecoder, Framing};
use crate::load::end::ConnectionEnd;
use crate::load::net::{LoadSocket, SocketEvent};
use crate::load::output_buffer::OutputBuffer;
use crate::services::chat::wire::Event;

/// An event that is longer has lost its bounds. Lists of rooms and nicks are not asked for.
const MAX_EVENT_BYTES: usize = 1 << 20;
/// Messages are said in batches of about this many bytes.
const BATCH_BYTES: usize = 64 * 1024;
/// What a server says is shown as far as this.
const MAX_SHOWN_CHARS: usize = 200;

pub(super) struct MemberClient {
    socket: LoadSocket,
    pub(super) number: usize,
    phase: MemberState,
    began_ns: u64,
    readable: bool,
    /// The server's end, or a failure, was announced: reading goes on until it comes.
    end: bool,
    decoder: FrameDecoder,
    output: OutputBuffer,
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
enum MemberState {
    Connecting,
    /// What has not come of the answers to its first words.
    Joining(JoinReplies),
    SocketEvent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct JoinReplies {
    welcome: bool,
    joined: bool,
    left: bool,
}

impl MemberClient {
    pub(super) fn new(socket: LoadSocket, number: usize, now_ns: u64) -> Self {
        Self {
            socket,
            number,
            phase: MemberState::Connecting,
            began_ns: now_ns,
            readable: false,
            end: false,
            decoder: FrameDecoder::new(Framing::U32BE, MAX_EVENT_BYTES),
            output: OutputBuffer::new(false),
            said: 0,
            owed: 0,
            next: u64::MAX,
            free_since_ns: now_ns,
        }
    }

    pub(super) fn socket(&mut self) -> &mut LoadSocket {
        &mut self.socket
    }

    pub(super) fn is_ready(&self) -> bool {
        self.phase == MemberState::SocketEvent
    }

    /// How long it took to get in.
    pub(super) fn joining_ns(&self, now_ns: u64) -> u64 {
        now_ns.saturating_sub(self.began_ns)
    }

    /// Takes in what the system says, and does what can be done.
    pub(super) fn handle_ready(
        &mut self,
        ready: SocketEvent,
        context: &mut ChatRunContext,
    ) -> Result<(), ConnectionEnd> {
        if ready.writable && self.output.unblock() {
            self.free_since_ns = context.traffic.now_ns;
        }
        self.readable |= ready.readable;
        self.end |= ready.end;
        if self.phase == MemberState::Connecting {
            if !self.socket.connected().map_err(ConnectionEnd::Refused)? {
                return Ok(());
            }
            context.frames.clear();
            context.traffic.greet(self.number, &mut context.frames).map_err(ConnectionEnd::Refused)?;
            self.output.add(&context.frames);
            let left = context.traffic.rooms.len() > 1;
            self.phase = MemberState::Joining(JoinReplies { welcome: true, joined: true, left });
        }
        self.step(context)
    }

    /// Does what can be done.
    pub(super) fn step(&mut self, context: &mut ChatRunContext) -> Result<(), ConnectionEnd> {
        if self.phase == MemberState::Connecting {
            return Ok(());
        }
        self.receive(context)?;
        self.send(context)
    }

    /// Reads and passes on all that is there.
    fn receive(&mut self, context: &mut ChatRunContext) -> Result<(), ConnectionEnd> {
        while self.readable {
            match self.socket.read(&mut context.buffer) {
                Ok(0) => return Err(self.broken_off()),
                Ok(bytes) => {
                    context.traffic.read_clock();
                    self.hear(bytes, context)?;
                    if self.socket.short_means_done() && bytes < context.buffer.len() {
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
    fn broken_off(&self) -> ConnectionEnd {
        match self.phase {
            MemberState::SocketEvent => ConnectionEnd::Broken,
            _ => ConnectionEnd::Refused(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                "the server ended the connection",
            )),
        }
    }

    #[inline]
    fn hear(&mut self, bytes: usize, context: &mut ChatRunContext) -> Result<(), ConnectionEnd> {
        let ChatRunContext { buffer, spares, traffic, .. } = context;
        let mut input = buffer.get(..bytes).unwrap_or_default();
        loop {
            let payload = match self.decoder.decode_with(&mut input, spares) {
                Ok(Some(payload)) => payload,
                Ok(None) => return Ok(()),
                Err(error) => {
                    traffic.garbled(self.number, &error);
                    return Err(ConnectionEnd::Garbled);
                }
            };
            let (number, is_ready) = (self.number, self.phase == MemberState::SocketEvent);
            // What others say before this one is in is not asked of it.
            let read = event_scanner::read(payload, |delivery| {
                if is_ready {
                    traffic.deliver(number, &delivery);
                }
            });
            match read {
                Ok(None) => {}
                Ok(Some(event)) => Self::heed(&mut self.phase, number, &event, traffic)?,
                Err(error) => traffic.garbled(number, &error),
            }
        }
    }

    /// Takes in what is no message.
    fn heed(
        phase: &mut MemberState,
        number: usize,
        event: &Event<'_>,
        traffic: &mut ChatTraffic,
    ) -> Result<(), ConnectionEnd> {
        let (code, text) = match event {
            Event::Error { code, text, .. } => (code.as_ref(), text.as_ref()),
            Event::Bye { reason } => ("bye", reason.as_ref()),
            event => {
                if let MemberState::Joining(awaited) = phase {
                    awaited.take(number, event, traffic);
                    if *awaited == (JoinReplies { welcome: false, joined: false, left: false }) {
                        *phase = MemberState::SocketEvent;
                    }
                }
                return Ok(());
            }
        };
        let text: String = text.chars().take(MAX_SHOWN_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect();
        traffic.complain(number, code, &text);
        if *phase == MemberState::SocketEvent {
            return Ok(());
        }
        Err(ConnectionEnd::Refused(io::Error::other(format!("the server said {code}: {text}"))))
    }

    /// Says all that there is to say and that the socket takes.
    fn send(&mut self, context: &mut ChatRunContext) -> Result<(), ConnectionEnd> {
        while self.output.flush(&mut self.socket).map_err(|_| self.broken_off())?
            && self.phase == MemberState::SocketEvent
        {
            context.frames.clear();
            self.fill(context);
            if context.frames.is_empty() {
                return Ok(());
            }
            self.output.add(&context.frames);
        }
        Ok(())
    }

    /// Puts together what is to be said now.
    fn fill(&mut self, context: &mut ChatRunContext) {
        let ChatRunContext { frames, traffic, .. } = context;
        let now_ns = traffic.read_clock();
        while frames.len() < BATCH_BYTES {
            let due_ns = match &traffic.policy {
                ChatSendPolicy::PublisherRotation(_) if self.owed > 0 => {
                    self.owed -= 1;
                    now_ns
                }
                ChatSendPolicy::Timetable(pace) if self.next < pace.due => {
                    let due_ns = pace.due_ns(self.next);
                    self.next += pace.connections;
                    traffic.recorder.sent(due_ns, now_ns.saturating_sub(due_ns.max(self.free_since_ns)));
                    due_ns
                }
                _ => return,
            };
            let publisher = u32::try_from(self.number).unwrap_or(u32::MAX);
            traffic.say(&MessageStamp { due_ns, publisher, sequence: self.said }, frames);
            traffic.said += u64::from(traffic.recorder.window().contains(&due_ns));
            self.said += 1;
        }
    }
}

impl JoinReplies {
    /// Others come and go, too.
    fn take(&mut self, member: usize, event: &Event<'_>, traffic: &ChatTraffic) {
        let own_room = traffic.room(traffic.room_of(member));
        match event {
            Event::Welcome { .. } => self.welcome = false,
            Event::Joined { room, nick } if room == own_room && traffic.is_called(member, nick) => self.joined = false,
            Event::Left { room, nick } if room != own_room && traffic.is_called(member, nick) => self.left = false,
            _ => {}
        }
    }
}
