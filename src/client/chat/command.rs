//! The commands of the user: a line is either a message, or a command after a slash.

use crate::services::chat::wire::MAX_TEXT_BYTES;

/// All commands: name, parameters, description.
pub const COMMANDS: [(&str, &str, &str); 10] = [
    ("/join", "ROOM", "enter a room, or go to one that you are in"),
    ("/leave", "[ROOM]", "leave a room; without its name, this one"),
    ("/room", "ROOM", "go to a room that you are in"),
    ("/nick", "NAME", "take another nick"),
    ("/msg", "NICK TEXT", "send a private message"),
    ("/who", "[ROOM]", "list who is in a room; without its name, in this one"),
    ("/rooms", "", "list the rooms"),
    ("/me", "[TEXT]", "send an action, as in /me waves; without a text, show your nick and rooms"),
    ("/help", "", "show this list; to send a line that starts with a slash, start it with //"),
    ("/quit", "", "leave; Ctrl-D does the same"),
];

/// A command to the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChatCommand {
    /// Send this message to the current room.
    Say(String),
    /// Send this action to the current room, such as `waves`.
    Act(String),
    /// Join a room, and make it the current one.
    Join(String),
    /// Leave a room; `None`: the current one.
    Leave(Option<String>),
    /// Make a joined room the current one.
    Switch(String),
    /// Take another nick.
    Nick(String),
    /// Send a private message.
    Whisper {
        /// Nick of the recipient.
        to: String,
        /// The message.
        text: String,
    },
    /// List the members of a room; `None`: of the current one.
    Who(Option<String>),
    /// List the rooms.
    Rooms,
    /// Show the user's nick and rooms, without the server.
    Me,
    /// End the session when the server has answered all requests.
    Finish,
}

/// A parsed line of the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserInput {
    /// A command to the session.
    Command(ChatCommand),
    /// Show the list of commands.
    Help,
    /// End the session.
    Quit,
}

/// Parses a line; `None` if it is blank.
///
/// # Errors
/// A text that shows the correct usage.
pub fn parse_line(line: &str) -> Result<Option<UserInput>, String> {
    if line.trim().is_empty() {
        return Ok(None);
    }
    if !line.starts_with('/') {
        return Ok(Some(UserInput::Command(ChatCommand::Say(line.to_owned()))));
    }
    if let Some(text) = line.strip_prefix('/').filter(|text| text.starts_with('/')) {
        return Ok(Some(UserInput::Command(ChatCommand::Say(text.to_owned()))));
    }
    let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    let one = |make: fn(String) -> ChatCommand| match word(rest) {
        Some(word) => Ok(UserInput::Command(make(word))),
        None => Err(usage(name)),
    };
    let none_or_one = |make: fn(Option<String>) -> ChatCommand| match (rest.is_empty(), word(rest)) {
        (true, _) => Ok(UserInput::Command(make(None))),
        (false, Some(word)) => Ok(UserInput::Command(make(Some(word)))),
        (false, None) => Err(usage(name)),
    };
    let none = |typed: UserInput| if rest.is_empty() { Ok(typed) } else { Err(usage(name)) };
    let typed = match name {
        "/join" => one(ChatCommand::Join),
        "/leave" => none_or_one(ChatCommand::Leave),
        "/room" => one(ChatCommand::Switch),
        "/nick" => one(ChatCommand::Nick),
        "/msg" => match rest.split_once(char::is_whitespace) {
            Some((to, text)) => {
                Ok(UserInput::Command(ChatCommand::Whisper { to: to.to_owned(), text: text.trim_start().to_owned() }))
            }
            None => Err(usage(name)),
        },
        "/who" => none_or_one(ChatCommand::Who),
        "/rooms" => none(UserInput::Command(ChatCommand::Rooms)),
        "/me" if rest.is_empty() => Ok(UserInput::Command(ChatCommand::Me)),
        "/me" => Ok(UserInput::Command(ChatCommand::Act(rest.to_owned()))),
        "/help" => none(UserInput::Help),
        "/quit" => none(UserInput::Quit),
        other => Err(format!(
            "unknown command {other}: /help lists the commands; to send a line with a leading slash, write //"
        )),
    };
    typed.map(Some)
}

/// Returns the text if it is a single word.
fn word(text: &str) -> Option<String> {
    (!text.is_empty() && !text.contains(char::is_whitespace)).then(|| text.to_owned())
}

/// Returns the error text that shows the parameters of a command.
fn usage(name: &str) -> String {
    let known = COMMANDS.iter().find(|(known, ..)| *known == name);
    let parameters = known.map_or("", |(_, parameters, _)| *parameters);
    format!("write {name} {parameters}").trim_end().to_owned()
}

/// Splits text into messages of at most [`MAX_TEXT_BYTES`], at the last line break that fits, or
/// else between two characters.
pub fn split_text(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (part, remainder) = if rest.len() <= MAX_TEXT_BYTES {
            (rest, "")
        } else {
            let (fitting, _) = rest.split_at((0..=MAX_TEXT_BYTES).rfind(|&at| rest.is_char_boundary(at)).unwrap_or(0));
            // The line feed is dropped: the end of a message ends the line. It may be the first
            // byte that does not fit.
            let line_break = match rest.as_bytes().get(fitting.len()) {
                Some(b'\n') => Some(fitting.len()),
                _ => fitting.rfind('\n').filter(|at| *at > 0),
            };
            match line_break {
                Some(at) => (rest.get(..at).unwrap_or_default(), rest.get(at + 1..).unwrap_or_default()),
                None => rest.split_at(fitting.len()),
            }
        };
        rest = remainder;
        Some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_is_a_message_or_a_command() {
        let ask = |command| Ok(Some(UserInput::Command(command)));
        for (line, typed) in [
            ("hi there", ask(ChatCommand::Say("hi there".into()))),
            (" /join x", ask(ChatCommand::Say(" /join x".into()))),
            ("//join x", ask(ChatCommand::Say("/join x".into()))),
            ("two\nlines", ask(ChatCommand::Say("two\nlines".into()))),
            ("   ", Ok(None)),
            ("/join tea", ask(ChatCommand::Join("tea".into()))),
            ("/room  tea ", ask(ChatCommand::Switch("tea".into()))),
            ("/leave", ask(ChatCommand::Leave(None))),
            ("/leave tea", ask(ChatCommand::Leave(Some("tea".into())))),
            ("/nick eva", ask(ChatCommand::Nick("eva".into()))),
            ("/msg bo  how are you", ask(ChatCommand::Whisper { to: "bo".into(), text: "how are you".into() })),
            ("/who", ask(ChatCommand::Who(None))),
            ("/rooms", ask(ChatCommand::Rooms)),
            ("/me", ask(ChatCommand::Me)),
            ("/me  sits down ", ask(ChatCommand::Act("sits down".into()))),
            ("//me waves", ask(ChatCommand::Say("/me waves".into()))),
            ("/help", Ok(Some(UserInput::Help))),
            ("/quit", Ok(Some(UserInput::Quit))),
        ] {
            assert_eq!(parse_line(line), typed, "{line}");
        }
    }

    #[test]
    fn invalid_command_returns_its_usage() {
        for (line, expected) in [
            ("/join", "write /join ROOM"),
            ("/join two rooms", "write /join ROOM"),
            ("/leave two rooms", "write /leave [ROOM]"),
            ("/msg bo", "write /msg NICK TEXT"),
            ("/rooms now", "write /rooms"),
            (
                "/jion tea",
                "unknown command /jion: /help lists the commands; to send a line with a leading slash, write //",
            ),
        ] {
            assert_eq!(parse_line(line), Err(expected.to_owned()), "{line}");
        }
    }

    #[test]
    fn every_listed_command_parses() {
        for (name, parameters, _) in COMMANDS {
            let line = if parameters.is_empty() { name.to_owned() } else { format!("{name} a b") };
            assert!(
                parse_line(&line).is_ok_and(|typed| typed.is_some()) || parse_line(&format!("{name} a")).is_ok(),
                "{name}"
            );
        }
    }

    #[test]
    fn long_text_is_split_at_line_breaks_or_characters() {
        let line = "x".repeat(1500);
        let text = [line.as_str(); 5].join("\n");
        let cut: Vec<_> = split_text(&text).collect();
        assert_eq!(cut, [[line.as_str(); 2].join("\n"), [line.as_str(); 2].join("\n"), line.clone()]);

        let exact = format!("{}\n{}", "x".repeat(MAX_TEXT_BYTES), "y");
        assert_eq!(split_text(&exact).map(str::len).collect::<Vec<_>>(), [MAX_TEXT_BYTES, 1]);

        let wide = "世".repeat(3000);
        let cut: Vec<_> = split_text(&wide).collect();
        assert_eq!(cut.concat(), wide);
        assert_eq!(cut.iter().map(|piece| piece.len()).collect::<Vec<_>>(), [4095, 4095, 810]);
        assert_eq!(split_text("").count(), 0);
    }
}
