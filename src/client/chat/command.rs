//! What a person may type: text to say, or a command behind a slash.

use crate::services::chat::wire::MAX_TEXT_BYTES;

/// Every command: its name, what follows it, what it does.
pub const COMMANDS: [(&str, &str, &str); 10] = [
    ("/join", "ROOM", "enter a room, or go to one that you are in"),
    ("/leave", "[ROOM]", "leave a room; without its name, this one"),
    ("/room", "ROOM", "go to a room that you are in"),
    ("/nick", "NAME", "take another nick"),
    ("/msg", "NICK TEXT", "say something to one person"),
    ("/who", "[ROOM]", "who is in a room; without its name, in this one"),
    ("/rooms", "", "which rooms there are"),
    ("/me", "", "who you are, and where"),
    ("/help", "", "this list; a line that begins with // says the rest of it with one slash"),
    ("/quit", "", "leave; Ctrl-D does so too"),
];

/// What a user wants of the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Say this to the current room.
    Say(String),
    /// Enter a room, and make it the current one.
    Join(String),
    /// Leave a room; none: the current one.
    Leave(Option<String>),
    /// Make a room that the client is in the current one.
    Switch(String),
    /// Take another nick.
    Nick(String),
    /// Say something to one person.
    Whisper {
        /// The person's nick.
        to: String,
        /// What.
        text: String,
    },
    /// Ask who is in a room; none: the current one.
    Who(Option<String>),
    /// Ask which rooms there are.
    Rooms,
    /// Ask the session itself who the user is.
    Me,
    /// Nothing more will come: end when all is answered.
    Finish,
}

/// A line that was typed, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Typed {
    /// Something for the session.
    Ask(Command),
    /// The list of commands.
    Help,
    /// The end.
    Quit,
}

/// Reads a line; `None` if there is nothing on it.
///
/// # Errors
/// What to write instead.
pub fn parse(line: &str) -> Result<Option<Typed>, String> {
    if line.trim().is_empty() {
        return Ok(None);
    }
    if !line.starts_with('/') {
        return Ok(Some(Typed::Ask(Command::Say(line.to_owned()))));
    }
    if let Some(text) = line.strip_prefix('/').filter(|text| text.starts_with('/')) {
        return Ok(Some(Typed::Ask(Command::Say(text.to_owned()))));
    }
    let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    let one = |make: fn(String) -> Command| match word(rest) {
        Some(word) => Ok(Typed::Ask(make(word))),
        None => Err(usage(name)),
    };
    let none_or_one = |make: fn(Option<String>) -> Command| match (rest.is_empty(), word(rest)) {
        (true, _) => Ok(Typed::Ask(make(None))),
        (false, Some(word)) => Ok(Typed::Ask(make(Some(word)))),
        (false, None) => Err(usage(name)),
    };
    let none = |typed: Typed| if rest.is_empty() { Ok(typed) } else { Err(usage(name)) };
    let typed = match name {
        "/join" => one(Command::Join),
        "/leave" => none_or_one(Command::Leave),
        "/room" => one(Command::Switch),
        "/nick" => one(Command::Nick),
        "/msg" => match rest.split_once(char::is_whitespace) {
            Some((to, text)) => {
                Ok(Typed::Ask(Command::Whisper { to: to.to_owned(), text: text.trim_start().to_owned() }))
            }
            None => Err(usage(name)),
        },
        "/who" => none_or_one(Command::Who),
        "/rooms" => none(Typed::Ask(Command::Rooms)),
        "/me" => none(Typed::Ask(Command::Me)),
        "/help" => none(Typed::Help),
        "/quit" => none(Typed::Quit),
        other => {
            Err(format!("there is no {other}: /help lists the commands, and // says a line that begins with a slash"))
        }
    };
    typed.map(Some)
}

/// A name without spaces, if that is all there is.
fn word(text: &str) -> Option<String> {
    (!text.is_empty() && !text.contains(char::is_whitespace)).then(|| text.to_owned())
}

fn usage(name: &str) -> String {
    let known = COMMANDS.iter().find(|(known, ..)| *known == name);
    let follows = known.map_or("", |(_, follows, _)| *follows);
    format!("write {name} {follows}").trim_end().to_owned()
}

/// Cuts text into pieces that one message holds: at the end of a line where there is one, else between two characters.
pub fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (piece, behind) = if rest.len() <= MAX_TEXT_BYTES {
            (rest, "")
        } else {
            let (fitting, _) = rest.split_at(rest.floor_char_boundary(MAX_TEXT_BYTES));
            // The line feed itself is not needed: a message ends a line. It may be the first byte that does not fit.
            let feed = match rest.as_bytes().get(fitting.len()) {
                Some(b'\n') => Some(fitting.len()),
                _ => fitting.rfind('\n').filter(|at| *at > 0),
            };
            match feed {
                Some(at) => (rest.get(..at).unwrap_or_default(), rest.get(at + 1..).unwrap_or_default()),
                None => rest.split_at(fitting.len()),
            }
        };
        rest = behind;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_said_or_obeyed() {
        let ask = |command| Ok(Some(Typed::Ask(command)));
        for (line, typed) in [
            ("hi there", ask(Command::Say("hi there".into()))),
            (" /join x", ask(Command::Say(" /join x".into()))),
            ("//join x", ask(Command::Say("/join x".into()))),
            ("two\nlines", ask(Command::Say("two\nlines".into()))),
            ("   ", Ok(None)),
            ("/join tea", ask(Command::Join("tea".into()))),
            ("/room  tea ", ask(Command::Switch("tea".into()))),
            ("/leave", ask(Command::Leave(None))),
            ("/leave tea", ask(Command::Leave(Some("tea".into())))),
            ("/nick eva", ask(Command::Nick("eva".into()))),
            ("/msg bo  how are you", ask(Command::Whisper { to: "bo".into(), text: "how are you".into() })),
            ("/who", ask(Command::Who(None))),
            ("/rooms", ask(Command::Rooms)),
            ("/me", ask(Command::Me)),
            ("/help", Ok(Some(Typed::Help))),
            ("/quit", Ok(Some(Typed::Quit))),
        ] {
            assert_eq!(parse(line), typed, "{line}");
        }
    }

    #[test]
    fn what_is_no_command_is_answered_with_what_to_write() {
        for (line, says) in [
            ("/join", "write /join ROOM"),
            ("/join two rooms", "write /join ROOM"),
            ("/leave two rooms", "write /leave [ROOM]"),
            ("/msg bo", "write /msg NICK TEXT"),
            ("/rooms now", "write /rooms"),
            ("/jion tea", "there is no /jion: /help lists the commands, and // says a line that begins with a slash"),
        ] {
            assert_eq!(parse(line), Err(says.to_owned()), "{line}");
        }
    }

    #[test]
    fn every_listed_command_is_known() {
        for (name, follows, _) in COMMANDS {
            let line = if follows.is_empty() { name.to_owned() } else { format!("{name} a b") };
            assert!(parse(&line).is_ok_and(|typed| typed.is_some()) || parse(&format!("{name} a")).is_ok(), "{name}");
        }
    }

    #[test]
    fn long_text_is_cut_where_a_line_ends_or_else_between_characters() {
        let line = "x".repeat(1500);
        let text = [line.as_str(); 5].join("\n");
        let cut: Vec<_> = pieces(&text).collect();
        assert_eq!(cut, [[line.as_str(); 2].join("\n"), [line.as_str(); 2].join("\n"), line.clone()]);

        let exact = format!("{}\n{}", "x".repeat(MAX_TEXT_BYTES), "y");
        assert_eq!(pieces(&exact).map(str::len).collect::<Vec<_>>(), [MAX_TEXT_BYTES, 1]);

        let wide = "世".repeat(3000);
        let cut: Vec<_> = pieces(&wide).collect();
        assert_eq!(cut.concat(), wide);
        assert_eq!(cut.iter().map(|piece| piece.len()).collect::<Vec<_>>(), [4095, 4095, 810]);
        assert_eq!(pieces("").count(), 0);
    }
}
