//! The connection of one member: connects, joins its room, publishes, and passes on what it
//! receives.
//!
//! Readiness is remembered, as in [`echo_client`](crate::load::echo_client). Knows neither the
//! other members nor what the run does when this connection ends.

use std::io;

use super::event_scanner;
use super::message_stamp::MessageStamp;
use super::run_context::{ChatRunContext, ChatSendPolicy, ChatTraffic};
use crate::frame::{FrameDecoder, Framing};
use crate::load::end::ConnectionEnd;
use crate::load::net::{LoadSocket, SocketEvent};
use crate::load::output_buffer::OutputBuffer;
use crate::services::chat::wire::ChatEvent;

/// Bytes of the longest event. A longer one means that the stream is garbled: the member requests
/// no lists of rooms or nicks.
const MAX_EVENT_BYTES: usize = 1 << 20;

/// Bytes from which a batch of messages is full.
const BATCH_BYTES: usize = 64 * 1024;

/// Characters of a server's error text that are kept.
const MAX_TEXT_CHARS: usize = 200;

/// The connection of one member.
pub(super) struct MemberClient {
    socket: LoadSocket,
    pub(super) number: usize,
    state: MemberState,
    connect_began_ns: u64,
    readable: bool,
    /// The kernel has reported the server's end of stream, or an error. Reading goes on until a
    /// read returns it.
    peer_closed: bool,
    decoder: FrameDecoder,
    output: OutputBuffer,
    /// Messages sent so far.
    pub(super) sent: u64,
    /// Closed loop: messages to send now.
    pub(super) to_send: usize,
    /// Open loop: number of the next message in the schedule; `u64::MAX` for a member that does not
    /// publish.
    pub(super) next_number: u64,
    /// Open loop: time since which the connection has been able to send.
    sendable_since_ns: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MemberState {
    Connecting,
    /// The handshake has been sent; these replies are outstanding.
    Joining(JoinReplies),
    Joined,
}

/// The outstanding replies to the handshake.
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
            state: MemberState::Connecting,
            connect_began_ns: now_ns,
            readable: false,
            peer_closed: false,
            decoder: FrameDecoder::new(Framing::U32BE, MAX_EVENT_BYTES),
            output: OutputBuffer::new(false),
            sent: 0,
            to_send: 0,
            next_number: u64::MAX,
            sendable_since_ns: now_ns,
        }
    }

    pub(super) fn socket(&mut self) -> &mut LoadSocket {
        &mut self.socket
    }

    pub(super) fn has_joined(&self) -> bool {
        self.state == MemberState::Joined
    }

    /// Returns the time since the connect began.
    pub(super) fn joining_ns(&self, now_ns: u64) -> u64 {
        now_ns.saturating_sub(self.connect_began_ns)
    }

    /// Takes note of what the kernel reports, then steps.
    pub(super) fn handle_event(
        &mut self,
        event: SocketEvent,
        context: &mut ChatRunContext,
    ) -> Result<(), ConnectionEnd> {
        if event.writable && self.output.set_writable() {
            self.sendable_since_ns = context.traffic.now_ns;
        }
        self.readable |= event.readable;
        self.peer_closed |= event.peer_closed;
        if self.state == MemberState::Connecting {
            if !self.socket.is_connected().map_err(ConnectionEnd::Refused)? {
                return Ok(());
            }
            context.frames.clear();
            context.traffic.push_handshake(self.number, &mut context.frames).map_err(ConnectionEnd::Refused)?;
            self.output.append(&context.frames);
            let left = context.traffic.rooms.len() > 1;
            self.state = MemberState::Joining(JoinReplies { welcome: true, joined: true, left });
        }
        self.step(context)
    }

    /// Reads and writes as far as the socket allows.
    pub(super) fn step(&mut self, context: &mut ChatRunContext) -> Result<(), ConnectionEnd> {
        if self.state == MemberState::Connecting {
            return Ok(());
        }
        self.receive(context)?;
        self.send(context)
    }

    /// Reads and handles everything that has arrived.
    fn receive(&mut self, context: &mut ChatRunContext) -> Result<(), ConnectionEnd> {
        while self.readable {
            match self.socket.read(&mut context.read_buffer) {
                Ok(0) => return Err(self.closed_by_server()),
                Ok(bytes) => {
                    context.traffic.read_clock();
                    self.handle_input(bytes, context)?;
                    if self.socket.short_io_means_blocked() && bytes < context.read_buffer.len() {
                        // An end of stream that arrived with these bytes has no event of its own.
                        self.readable = self.peer_closed;
                    }
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => self.readable = false,
                    io::ErrorKind::Interrupted => {}
                    _ => return Err(self.closed_by_server()),
                },
            }
        }
        Ok(())
    }

    /// Returns the end of a connection that the server has closed: refused before the join, broken
    /// after it.
    fn closed_by_server(&self) -> ConnectionEnd {
        match self.state {
            MemberState::Joined => ConnectionEnd::Broken,
            _ => ConnectionEnd::Refused(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                "the server closed the connection",
            )),
        }
    }

    #[inline]
    fn handle_input(&mut self, bytes: usize, context: &mut ChatRunContext) -> Result<(), ConnectionEnd> {
        let ChatRunContext { read_buffer, buffer_pool, traffic, .. } = context;
        let mut input = read_buffer.get(..bytes).unwrap_or_default();
        loop {
            let payload = match self.decoder.decode_with(&mut input, buffer_pool) {
                Ok(Some(payload)) => payload,
                Ok(None) => return Ok(()),
                Err(error) => {
                    traffic.handle_garbled(self.number, &error);
                    return Err(ConnectionEnd::Garbled);
                }
            };
            let (number, has_joined) = (self.number, self.state == MemberState::Joined);
            // A member need not receive messages sent before its join is complete.
            let parsed = event_scanner::parse(payload, |delivery| {
                if has_joined {
                    traffic.handle_delivery(number, &delivery);
                }
            });
            match parsed {
                Ok(None) => {}
                Ok(Some(event)) => Self::handle_chat_event(&mut self.state, number, &event, traffic)?,
                Err(error) => traffic.handle_garbled(number, &error),
            }
        }
    }

    /// Handles an event that is not a message.
    fn handle_chat_event(
        state: &mut MemberState,
        number: usize,
        event: &ChatEvent<'_>,
        traffic: &mut ChatTraffic,
    ) -> Result<(), ConnectionEnd> {
        let (code, text) = match event {
            ChatEvent::Error { code, text, .. } => (code.as_ref(), text.as_ref()),
            ChatEvent::Bye { reason } => ("bye", reason.as_ref()),
            event => {
                if let MemberState::Joining(replies) = state {
                    replies.handle_event(number, event, traffic);
                    if *replies == (JoinReplies { welcome: false, joined: false, left: false }) {
                        *state = MemberState::Joined;
                    }
                }
                return Ok(());
            }
        };
        let text: String = text.chars().take(MAX_TEXT_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect();
        traffic.handle_server_error(number, code, &text);
        if *state == MemberState::Joined {
            return Ok(());
        }
        Err(ConnectionEnd::Refused(io::Error::other(format!("the server replied {code}: {text}"))))
    }

    /// Sends all messages that the send policy allows, as far as the socket takes them.
    fn send(&mut self, context: &mut ChatRunContext) -> Result<(), ConnectionEnd> {
        while self.output.flush(&mut self.socket).map_err(|_| self.closed_by_server())?
            && self.state == MemberState::Joined
        {
            context.frames.clear();
            self.fill_batch(context);
            if context.frames.is_empty() {
                return Ok(());
            }
            self.output.append(&context.frames);
        }
        Ok(())
    }

    /// Appends the messages that may be sent now to the frames.
    fn fill_batch(&mut self, context: &mut ChatRunContext) {
        let ChatRunContext { frames, traffic, .. } = context;
        let now_ns = traffic.read_clock();
        while frames.len() < BATCH_BYTES {
            let due_ns = match &traffic.send_policy {
                ChatSendPolicy::RoundRobin(_) if self.to_send > 0 => {
                    self.to_send -= 1;
                    now_ns
                }
                ChatSendPolicy::Scheduled(schedule) if self.next_number < schedule.due_count => {
                    let due_ns = schedule.due_ns(self.next_number);
                    self.next_number += schedule.connections;
                    let lag_ns = now_ns.saturating_sub(due_ns.max(self.sendable_since_ns));
                    traffic.recorder.record_send_lag(due_ns, lag_ns);
                    due_ns
                }
                _ => return,
            };
            let publisher = u32::try_from(self.number).unwrap_or(u32::MAX);
            traffic.push_message(&MessageStamp { due_ns, publisher, sequence: self.sent }, frames);
            traffic.sent += u64::from(traffic.recorder.window().contains(&due_ns));
            self.sent += 1;
        }
    }
}

impl JoinReplies {
    /// Notes a reply to the handshake. The same events about other members are ignored.
    fn handle_event(&mut self, member: usize, event: &ChatEvent<'_>, traffic: &ChatTraffic) {
        let own_room = traffic.room(traffic.room_of(member));
        match event {
            ChatEvent::Welcome { .. } => self.welcome = false,
            ChatEvent::Joined { room, nick } if room == own_room && traffic.is_nick_of(member, nick) => {
                self.joined = false;
            }
            ChatEvent::Left { room, nick } if room != own_room && traffic.is_nick_of(member, nick) => self.left = false,
            _ => {}
        }
    }
}
