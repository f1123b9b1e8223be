//! The five text services, and the properties in which their clients differ.

use switchboard::client::text::ReplyEnd;

/// A service that replies to each message with text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli::commands::call) enum TextService {
    Echo,
    Upper,
    Greet,
    Robot,
    Parrot,
}

impl TextService {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Upper => "upper",
            Self::Greet => "greet",
            Self::Robot => "robot",
            Self::Parrot => "parrot",
        }
    }

    /// Returns the address that `serve` uses by default.
    pub(super) const fn default_address(self, udp: bool) -> &'static str {
        match self {
            Self::Echo => "127.0.0.1:7000",
            Self::Upper => "127.0.0.1:8080",
            Self::Greet if udp => "127.0.0.1:8002",
            Self::Greet => "127.0.0.1:8898",
            Self::Robot => "127.0.0.1:10086",
            Self::Parrot => "127.0.0.1:10087",
        }
    }

    /// Returns the end of a reply on a stream without frames.
    pub(super) const fn reply_end(self) -> ReplyEnd {
        match self {
            Self::Echo | Self::Upper => ReplyEnd::RequestLength,
            Self::Greet => ReplyEnd::EndOfStream,
            Self::Robot | Self::Parrot => ReplyEnd::SingleRead,
        }
    }

    /// Returns a predicate on (sent, received): true if the received bytes may be the reply to the
    /// sent bytes. Upper changes only ASCII bytes, also inside multi-byte characters.
    pub(super) fn may_be_reply(self) -> fn(&[u8], &[u8]) -> bool {
        match self {
            Self::Echo => |sent, received| sent == received,
            Self::Upper => |sent, received| sent.eq_ignore_ascii_case(received),
            Self::Greet | Self::Robot | Self::Parrot => |_, _| true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_lists_each_default_address() {
        let help = include_str!("text.txt");
        for service in
            [TextService::Echo, TextService::Upper, TextService::Greet, TextService::Robot, TextService::Parrot]
        {
            for udp in [false, true] {
                assert!(help.contains(service.default_address(udp)), "{service:?}");
            }
        }
    }

    #[test]
    fn may_be_reply_compares_with_the_request() {
        let (echo, upper) = (TextService::Echo.may_be_reply(), TextService::Upper.may_be_reply());
        assert!(echo(b"hi", b"hi") && !echo(b"hi", b"HI"));
        assert!(upper(b"hi", b"HI") && !upper(b"hi", b"HO"));
        assert!(TextService::Robot.may_be_reply()(b"hi", b"anything"));
    }
}
