//! The reference model of the chat: what a client may receive, and in which order.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use crate::services::chat::wire::{ChatEvent, ChatRequest, LOBBY, LabelledRequest, RequestLabel};

/// Every message of the run, as the first client to receive it has seen it.
#[derive(Default)]
pub(super) struct RoomLog {
    pub(super) texts: BTreeMap<(String, u64), String>,
    /// A policy may drop frames.
    pub(super) may_drop: bool,
}

/// The other room of the simulation.
const DEN: &str = "den";

/// A client of the JSON dialect.
pub(super) struct ChatModel {
    nick: String,
    asked: u64,
    /// The texts of requests that are not acknowledged yet, by their label.
    unanswered: BTreeMap<u64, (&'static str, String)>,
    pings: u64,
    lobby: RoomView,
    den: RoomView,
    is_told_vaguely: bool,
    /// The server has said goodbye, and the client expects nothing more.
    is_over: bool,
}

/// A client's view of one room.
#[derive(Default)]
struct RoomView {
    /// The client has asked to join, and not to leave.
    wants_in: bool,
    /// The `since` of each request to join that is not answered yet.
    joins: VecDeque<Option<u64>>,
    is_in: bool,
    last: Option<u64>,
    missing: Vec<Range<u64>>,
    told: Vec<Range<u64>>,
}

impl ChatModel {
    pub(super) fn new(number: usize) -> Self {
        let lobby = RoomView { wants_in: true, is_in: true, ..RoomView::default() };
        Self {
            nick: format!("p{number}"),
            asked: 0,
            unanswered: BTreeMap::new(),
            pings: 0,
            lobby,
            den: RoomView::default(),
            is_told_vaguely: false,
            is_over: false,
        }
    }

    pub(super) fn hello(&self) -> Vec<u8> {
        json(ChatRequest::Hello { nick: (&*self.nick).into() }, None)
    }

    pub(super) fn ping(&mut self) -> Vec<u8> {
        self.pings += 1;
        json(ChatRequest::Ping, None)
    }

    pub(super) fn request(&mut self, choice: u32) -> Vec<u8> {
        self.asked += 1;
        let asked = self.asked;
        match choice % 16 {
            0 => self.ping(),
            1 => json(ChatRequest::Who { room: LOBBY.into(), next: None }, None),
            2 => json(ChatRequest::Rooms { next: None }, None),
            3 => json(ChatRequest::Whisper { to: format!("p{}", choice >> 8 & 7).into(), text: "psst".into() }, None),
            4 => b"{\"type\":\"dance\"}".to_vec(),
            5..8 if !self.den.wants_in => {
                let since = self.den.last.filter(|_| choice & 256 == 0);
                self.den.wants_in = true;
                self.den.joins.push_back(since);
                json(ChatRequest::Join { room: DEN.into(), since }, None)
            }
            5 => {
                self.den.wants_in = false;
                json(ChatRequest::Leave { room: DEN.into() }, None)
            }
            _ => {
                let room = if choice & 256 == 0 || !self.den.wants_in { LOBBY } else { DEN };
                let mut text = format!("{}-{asked}", self.nick);
                text.extend(std::iter::repeat_n('.', [0, 0, 0, 1_500][(choice >> 9) as usize % 4]));
                self.unanswered.insert(asked, (room, text.clone()));
                let request = ChatRequest::Say { room: room.into(), text: text.into(), action: None };
                json(request, Some(RequestLabel::from(asked)))
            }
        }
    }

    pub(super) fn receive(&mut self, payload: &[u8], log: &mut RoomLog) -> Result<(), String> {
        let event: ChatEvent<'_> = serde_json::from_slice(payload).map_err(|error| format!("no event: {error}"))?;
        if self.is_over {
            return Ok(());
        }
        match event {
            ChatEvent::Bye { .. } => {
                self.is_over = true;
                Ok(())
            }
            ChatEvent::Message { room, id, text, .. } => {
                log.agree(&room, id, &text)?;
                let may_drop = log.may_drop;
                self.room(&room).receive(id, may_drop).map_err(|error| format!("{room}: {error}"))
            }
            ChatEvent::Ack { label, id } => {
                let label = label.as_u64().ok_or("an ack with a label of another client")?;
                let (room, text) = self.unanswered.remove(&label).ok_or("a second ack")?;
                log.agree(room, id, &text)
            }
            ChatEvent::Error { label: Some(label), .. } => {
                let label = label.as_u64().ok_or("an error with a label of another client")?;
                self.unanswered.remove(&label).map(|_| ()).ok_or("a second answer".to_owned())
            }
            ChatEvent::Error { code, room: Some(room), first: Some(first), count: Some(count), .. }
                if code == "missed" =>
            {
                self.room(&room).told.push(first..first + count);
                Ok(())
            }
            ChatEvent::Error { code, .. } if code == "replaying" => {
                // The request to join was not granted.
                self.den.wants_in = false;
                self.den.joins.pop_back();
                Ok(())
            }
            ChatEvent::Error { code, .. } if code == "missed" => {
                self.is_told_vaguely = true;
                Ok(())
            }
            ChatEvent::Joined { room, nick } if nick == self.nick => {
                self.room(&room).joined();
                Ok(())
            }
            ChatEvent::Left { room, nick } if nick == self.nick => {
                self.room(&room).is_in = false;
                Ok(())
            }
            ChatEvent::Pong => {
                self.pings = self.pings.checked_sub(1).ok_or("a pong without a ping")?;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn room(&mut self, room: &str) -> &mut RoomView {
        if room == LOBBY { &mut self.lobby } else { &mut self.den }
    }

    /// Checks that every request was answered.
    pub(super) fn check_answered(&self, asked_all: bool) -> Result<(), String> {
        if asked_all && !self.unanswered.is_empty() {
            return Err(format!("requests were not answered: {:?}", self.unanswered.keys()));
        }
        if asked_all && self.pings > 0 {
            return Err(format!("{} pings were not answered", self.pings));
        }
        Ok(())
    }

    /// Checks that every gap was told.
    pub(super) fn check_gaps(&self) -> Result<(), String> {
        [(&self.lobby, LOBBY), (&self.den, DEN)].into_iter().try_for_each(|(view, room)| {
            let is_told = |id: u64| view.told.iter().any(|told| told.contains(&id));
            match view.missing.iter().cloned().flatten().find(|id| !is_told(*id)) {
                Some(id) if !self.is_told_vaguely => {
                    Err(format!("message {id} of {room} is missing, and was not told"))
                }
                _ => Ok(()),
            }
        })
    }
}

impl RoomView {
    fn joined(&mut self) {
        // The lobby is joined from the start, and announced with the first request.
        if !self.is_in {
            self.is_in = true;
            self.last = self.joins.pop_front().flatten();
        }
    }

    fn receive(&mut self, id: u64, may_drop: bool) -> Result<(), String> {
        // A message of a room that was left is one that was on its way.
        if let Some(last) = self.last.replace(id) {
            if id <= last {
                return Err(format!("message {id} came after {last}"));
            }
            if id > last + 1 {
                let is_told = (last + 1..id).all(|id| self.told.iter().any(|told| told.contains(&id)));
                if !may_drop && !is_told {
                    return Err(format!("message {id} came after {last}, and no gap was told"));
                }
                self.missing.push(last + 1..id);
            }
        }
        Ok(())
    }
}

impl RoomLog {
    /// Checks that every client is given the same message under an id.
    fn agree(&mut self, room: &str, id: u64, text: &str) -> Result<(), String> {
        let known = self.texts.entry((room.to_owned(), id)).or_insert_with(|| text.to_owned());
        if *known == text { Ok(()) } else { Err(format!("message {id} of {room} is {known:?} and {text:?}")) }
    }
}

fn json(request: ChatRequest<'_>, label: Option<RequestLabel>) -> Vec<u8> {
    serde_json::to_vec(&LabelledRequest { request, label }).unwrap()
}

/// A client of the lines dialect: each sender's texts arrive in order.
#[derive(Default)]
pub(super) struct LinesModel {
    /// The number of the last text of each sender in each room.
    last: BTreeMap<String, u64>,
}

impl LinesModel {
    pub(super) fn receive(&mut self, line: &[u8]) -> Result<(), String> {
        let line = std::str::from_utf8(line).map_err(|_| "a line is not UTF-8".to_owned())?;
        // `[lobby] p3: p3-17...`, or a line of the server.
        let Some((head, text)) = line.strip_prefix('[').and_then(|line| line.split_once(": ")) else { return Ok(()) };
        let Some((sender, number)) = text.trim_end_matches('.').split_once('-') else { return Ok(()) };
        let Ok(number) = number.parse() else { return Ok(()) };
        let last = self.last.insert(format!("{head} {sender}"), number);
        match last.filter(|last| *last >= number) {
            Some(last) => Err(format!("{line:?} came after number {last}")),
            None => Ok(()),
        }
    }
}
