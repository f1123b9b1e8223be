//! Tab completion of commands, rooms and nicks. It remembers a bounded number of names from the
//! events.

use std::collections::{BTreeMap, BTreeSet};

use switchboard::client::chat::COMMANDS;
use switchboard::escape;
use switchboard::services::chat::fold_name;
use switchboard::services::chat::wire::ChatEvent;

/// Names remembered of each kind.
const MAX_NAMES: usize = 512;

/// The nicks and rooms that can be completed.
#[derive(Debug, Default)]
pub(super) struct NameCompleter {
    nicks: RecentNames,
    rooms: RecentNames,
}

impl NameCompleter {
    /// Adds the names in an event.
    pub(super) fn add_event(&mut self, event: &ChatEvent<'_>) {
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

    /// Returns the start of the word before `cursor`, and its possible completions.
    pub(super) fn complete(&self, line: &str, cursor: usize) -> (usize, Vec<String>) {
        let before = line.get(..cursor).unwrap_or_default();
        let start = before
            .rfind(char::is_whitespace)
            .map_or(0, |at| at + before.get(at..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8));
        let word = before.get(start..).unwrap_or_default();
        let words: Vec<_> = before.get(..start).unwrap_or_default().split_whitespace().collect();
        let completions = match words[..] {
            [] if word.starts_with('/') => {
                let names = COMMANDS.iter().map(|(name, ..)| *name).filter(|name| name.starts_with(word));
                names.map(|name| format!("{name} ")).collect()
            }
            ["/join" | "/room" | "/leave" | "/who"] => self.rooms.with_prefix(word),
            ["/msg"] => self.nicks.with_prefix(word),
            _ if word.is_empty() => Vec::new(),
            _ => self.nicks.with_prefix(word),
        };
        (start, completions)
    }
}

/// The most recently used names.
#[derive(Debug, Default)]
struct RecentNames {
    /// Each name and the value of `uses` at its last use.
    last_use: BTreeMap<String, u64>,
    /// The number of uses of all names.
    uses: u64,
}

impl RecentNames {
    fn add(&mut self, name: &str) {
        // Control characters would change the terminal; a space would split the name into two
        // arguments.
        if name.is_empty() || name.contains(char::is_whitespace) || escape::line(name) != name {
            return;
        }
        self.uses += 1;
        if let Some(last_use) = self.last_use.get_mut(name) {
            *last_use = self.uses;
            return;
        }
        if self.last_use.len() >= MAX_NAMES
            && let Some(oldest) =
                self.last_use.iter().min_by_key(|(_, last_use)| **last_use).map(|(name, _)| name.clone())
        {
            self.last_use.remove(&oldest);
        }
        self.last_use.insert(name.to_owned(), self.uses);
    }

    fn remove(&mut self, name: &str) {
        self.last_use.remove(name);
    }

    /// Returns the names that start with `prefix`, ignoring case as the server does.
    fn with_prefix(&self, prefix: &str) -> Vec<String> {
        let prefix = fold_name(prefix);
        let matching = self.last_use.keys().filter(|name| fold_name(name).starts_with(&*prefix));
        matching.map(|name| format!("{name} ")).collect::<BTreeSet<_>>().into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completer() -> NameCompleter {
        let mut completer = NameCompleter::default();
        for (room, nick) in [("lobby", "eva"), ("tea", "Bo"), ("tables", "bert")] {
            completer.add_event(&ChatEvent::Joined { room: room.into(), nick: nick.into() });
        }
        completer
    }

    #[test]
    fn completion_depends_on_the_words_before() {
        let mut completer = completer();
        completer.add_event(&ChatEvent::Joined { room: "lobby".into(), nick: "groß".into() });
        for (line, start, completions) in [
            ("/msg GROSS", 5, &["groß "][..]),
            ("/j", 0, &["/join "]),
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
                completer.complete(line, line.len()),
                (start, completions.iter().map(|&name| name.into()).collect()),
                "{line}"
            );
        }
        assert_eq!(completer.complete("/msg b and more", 6), (5, vec!["Bo ".into(), "bert ".into()]));
    }

    #[test]
    fn names_are_bounded_and_have_no_control_characters() {
        let mut completer = completer();
        for number in 0..2 * MAX_NAMES {
            completer.add_event(&ChatEvent::Joined { room: "lobby".into(), nick: format!("guest-{number}").into() });
        }
        assert_eq!(completer.nicks.last_use.len(), MAX_NAMES);
        assert_eq!(completer.complete("/room lob", 9).1, ["lobby "]);
        completer.add_event(&ChatEvent::Joined { room: "lobby".into(), nick: "zo\x1b[2Je".into() });
        completer.add_event(&ChatEvent::Renamed { was: "guest-1000".into(), nick: "zoe".into() });
        assert_eq!(completer.complete("zo", 2).1, ["zoe "]);
        assert!(completer.complete("guest-1000", 10).1.is_empty());
    }
}
