//! The reference models of the services: what each may send to a peer.

use std::collections::VecDeque;

use super::chat_model::{ChatModel, LinesModel, RoomLog};
use super::files_model::FilesModel;

/// The reference model of the replies.
pub(super) enum Model {
    /// The frames sent that are not echoed yet.
    Echo(VecDeque<Vec<u8>>),
    Chat(Box<ChatModel>),
    Lines(LinesModel),
    Files(FilesModel),
}

impl Model {
    pub(super) fn receive(&mut self, payload: &[u8], log: &mut RoomLog) -> Result<(), String> {
        match self {
            Self::Echo(expected) => {
                // A policy may have dropped frames in between.
                let at = expected.iter().position(|frame| frame == payload);
                let Some(at) = at else { return Err(format!("not an echo: {:?}", payload.escape_ascii().to_string())) };
                if at > 0 && !log.may_drop {
                    return Err(format!("{at} echoes are missing before {:?}", payload.escape_ascii().to_string()));
                }
                expected.drain(..=at);
                Ok(())
            }
            Self::Chat(chat) => chat.receive(payload, log),
            Self::Lines(lines) => lines.receive(payload),
            Self::Files(files) => files.receive(payload),
        }
    }

    /// Checks that nothing is left to receive. If not all requests were sent, some have no answer.
    pub(super) fn check_answered(&self, asked_all: bool) -> Result<(), String> {
        match self {
            Self::Echo(expected) if !expected.is_empty() => Err(format!("{} frames were not echoed", expected.len())),
            Self::Chat(chat) => chat.check_answered(asked_all),
            Self::Files(files) => files.check_answered(asked_all),
            Self::Echo(_) | Self::Lines(_) => Ok(()),
        }
    }
}
