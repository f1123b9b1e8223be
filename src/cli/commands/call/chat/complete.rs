//! What Tab completes: commands, rooms and nicks that were seen. It remembers names, and no more of them than a person could tell apart.

use std::collections::{BTreeMap, BTreeSet};

use switchboard::client::chat::COMMANDS;
use switchboard::escape;
use switchboard::services::chat::wire::ChatEvent;

/// Names of a kind that are remembered.
const MAX_NAMES: usize = 512;

/// Names that were seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    nicks: Names,
    rooms: Names,
}

impl Seen {
    /// Takes the names out of an event.
    pub(super) fn learn(&mut self, event: &ChatEvent<'_>) {
        match event {
            ChatEvent::Welcome { nick, rooms, .. } => {
                self.nicks.add(nick);
                for room in rooms {
                    self.rooms.add(room);
                }
            }
            ChatEvent::Joined { room, nick } => {
                self.nicks.add(nick);
                self.rooms.add(room);
            }
            ChatEvent::Message { room, from, .. } => {
                self.nicks.add(from);
                self.rooms.add(room);
            }
            ChatEvent::Whisper { from, to, .. } => {
                self.nicks.add(from);
                self.nicks.add(to);
            }
            ChatEvent::Who { nicks, .. } => nicks.iter().for_each(|nick| self.nicks.add(nick)),
            ChatEvent::Rooms { rooms, .. } => rooms.iter().for_each(|listed| self.rooms.add(&listed.room)),
            ChatEvent::Renamed { was, nick } => {
                self.nicks.remove(was);
                self.nicks.add(nick);
            }
            ChatEvent::Left { .. }
            | ChatEvent::Ack { .. }
            | ChatEvent::Pong
            | ChatEvent::Bye { .. }
            | ChatEvent::Error { .. } => {}
        }
    }

    /// What the word before `cursor` may become, and where it begins.
    pub(super) fn complete(&self, line: &str, cursor: usize) -> (usize, Vec<String>) {
        let before = line.get(..cursor).unwrap_or_default();
        let start = before
            .rfind(char::is_whitespace)
            .map_or(0, |at| at + before.get(at..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8));
        let word = before.get(start..).unwrap_or_default();
        let words: Vec<_> = before.get(..start).unwrap_or_default().split_whitespace().collect();
        let found = match words[..] {
            [] if word.starts_with('/') => {
                let names = COMMANDS.iter().map(|(name, ..)| *name).filter(|name| name.starts_with(word));
                names.map(|name| format!("{name} ")).collect()
            }
            ["/join" | "/room" | "/leave" | "/who"] => self.rooms.beginning_with(word),
            ["/msg"] => self.nicks.beginning_with(word),
            _ if word.is_empty() => Vec::new(),
            _ => self.nicks.beginning_with(word),
        };
        (start, found)
    }
}

/// The names used last.
#[derive(Debug, Default)]
struct Names {
    /// When each was used, counted in uses.
    used: BTreeMap<String, u64>,
    uses: u64,
}

impl Names {
    fn add(&mut self, name: &str) {
        // What a terminal would obey, or a command would take for two words, is nothing to insert into a line.
        if name.is_empty() || name.contains(char::is_whitespace) || escape::line(name) != name {
            return;
        }
        self.uses += 1;
        if let Some(used) = self.used.get_mut(name) {
            *used = self.uses;
            return;
        }
        if self.used.len() >= MAX_NAMES
            && let Some(oldest) = self.used.iter().min_by_key(|(_, used)| **used).map(|(name, _)| name.clone())
        {
            self.used.remove(&oldest);
        }
        self.used.insert(name.to_owned(), self.uses);
    }

    fn remove(&mut self, name: &str) {
        self.used.remove(name);
    }

    /// Without regard to case, as nicks are.
    fn beginning_with(&self, beginning: &str) -> Vec<String> {
        let beginning = beginning.to_lowercase();
        let fitting = self.used.keys().filter(|name| name.to_lowercase().starts_with(&beginning));
        fitting.map(|name| format!("{name} ")).collect::<BTreeSet<_>>().into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen() -> Seen {
        let mut seen = Seen::default();
        for (room, nick) in [("lobby", "eva"), ("tea", "Bo"), ("tables", "bert")] {
            seen.learn(&ChatEvent::Joined { room: room.into(), nick: nick.into() });
        }
        seen
    }

    #[test]
    fn what_is_completed_depends_on_where_the_word_stands() {
        for (line, start, found) in [
            ("/j", 0, &["/join "][..]),
            ("/r", 0, &["/room ", "/rooms "]),
            ("/join t", 6, &["tables ", "tea "]),
            ("/room ", 6, &["lobby ", "tables ", "tea "]),
            ("/msg b", 5, &["Bo ", "bert "]),
            ("hello e", 6, &["eva "]),
            ("hello ", 6, &[]),
            ("grüße,\u{3000}e", 11, &["eva "]),
            ("x", 0, &[]),
        ] {
            assert_eq!(
                seen().complete(line, line.len()),
                (start, found.iter().map(|&name| name.into()).collect()),
                "{line}"
            );
        }
        assert_eq!(seen().complete("/msg b and more", 6), (5, vec!["Bo ".into(), "bert ".into()]));
    }

    #[test]
    fn names_are_bounded_and_harmless() {
        let mut seen = seen();
        for number in 0..2 * MAX_NAMES {
            seen.learn(&ChatEvent::Joined { room: "lobby".into(), nick: format!("guest-{number}").into() });
        }
        assert_eq!(seen.nicks.used.len(), MAX_NAMES);
        assert_eq!(seen.complete("/room lob", 9).1, ["lobby "]);
        seen.learn(&ChatEvent::Joined { room: "lobby".into(), nick: "zo\x1b[2Je".into() });
        seen.learn(&ChatEvent::Renamed { was: "guest-1000".into(), nick: "zoe".into() });
        assert_eq!(seen.complete("zo", 2).1, ["zoe "]);
        assert!(seen.complete("guest-1000", 10).1.is_empty());
    }
}
