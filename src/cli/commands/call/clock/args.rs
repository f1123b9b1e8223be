//! The arguments of `call clock`.

use switchboard::services::Clock;
use switchboard::{Endpoint, ParseEndpointError, TextEncoding};

use crate::cli::error::CliError;
use crate::cli::units::HumanDuration;

#[derive(Debug, clap::Args)]
#[command(after_long_help = include_str!("clock.txt"))]
pub(in crate::cli) struct CallClockArgs {
    /// The server's address [default: 127.0.0.1:9090]
    ///
    /// host:port, [v6]:port, unix:PATH or udp:host:port. A single word is the format if it has a
    /// '%'.
    #[arg(value_name = "ADDR")]
    pub(super) address: Option<String>,
    /// The strftime format of the reply [default: %Y-%m-%d %H:%M:%S]
    #[arg(value_name = "FORMAT")]
    pub(super) format: Option<String>,
    /// Send requests at this interval, until --count or Ctrl-C [default with --count: 1s]
    #[arg(long, value_name = "TIME")]
    pub(super) every: Option<HumanDuration>,
    /// Send N requests [default: 1, or with --every until Ctrl-C]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) count: Option<u64>,
    /// The encoding of the format and of the reply, such as gbk
    ///
    /// A label of the WHATWG Encoding Standard. Standard output is always UTF-8.
    #[arg(long, value_name = "LABEL", default_value_t = TextEncoding::UTF_8)]
    pub(super) encoding: TextEncoding,
    /// Use UDP: the same as udp: before ADDR
    #[arg(long)]
    pub(super) udp: bool,
    /// Broadcast the request over UDP and print each reply with its sender [default ADDR:
    /// 255.255.255.255:9090]
    #[arg(long, conflicts_with_all = ["every", "count"])]
    pub(super) broadcast: bool,
    /// Time limit for connecting and for each reply; with --broadcast, for all replies [default:
    /// 10s; with --broadcast 1s]
    #[arg(long, value_name = "TIME")]
    pub(super) timeout: Option<HumanDuration>,
}

/// Splits the arguments into address and format. A single word that is empty or contains `%` is the
/// format; otherwise it must contain `:` and is the address. An address may contain `%`, too,
/// before its zone. An empty format becomes the default: a raw stream cannot carry an empty
/// message, and other clocks reply to one with nothing.
pub(super) fn split_address_and_format(
    first: Option<String>,
    second: Option<String>,
) -> Result<(Option<String>, String), CliError> {
    let (address, format) = match (first, second) {
        (Some(word), None) if (word.contains('%') && !has_zone(&word)) || word.is_empty() => (None, Some(word)),
        (Some(word), None) if !word.contains(':') => {
            return Err(CliError::Usage(format!(
                "cannot use '{word}': an address contains ':', a format contains '%'"
            )));
        }
        both => both,
    };
    let format = format.filter(|format| !format.is_empty());
    Ok((address, format.unwrap_or_else(|| Clock::FORMAT.to_owned())))
}

/// Returns true if `word` is an address, in which `%` precedes the zone.
fn has_zone(word: &str) -> bool {
    matches!(word.parse::<Endpoint>(), Ok(_) | Err(ParseEndpointError::UnknownZone(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_word_is_address_or_format() {
        let split = |words: &[&str]| {
            let mut words = words.iter().map(|word| (*word).to_owned());
            split_address_and_format(words.next(), words.next()).unwrap()
        };
        let both = |address: Option<&str>, format: &str| (address.map(str::to_owned), format.to_owned());
        for (words, expected) in [
            (&[][..], both(None, Clock::FORMAT)),
            (&["127.0.0.1:1"], both(Some("127.0.0.1:1"), Clock::FORMAT)),
            (&["udp:[::1]:1"], both(Some("udp:[::1]:1"), Clock::FORMAT)),
            (&["unix:/x"], both(Some("unix:/x"), Clock::FORMAT)),
            (&["%H:%M"], both(None, "%H:%M")),
            (&[""], both(None, Clock::FORMAT)),
            (&["[fe80::1%2]:1"], both(Some("[fe80::1%2]:1"), Clock::FORMAT)),
            (&["udp:[fe80::1%no-such-if]:1"], both(Some("udp:[fe80::1%no-such-if]:1"), Clock::FORMAT)),
            (&["[%H:%M]:00"], both(None, "[%H:%M]:00")),
            (&["[fe80::1%2]:1", ""], both(Some("[fe80::1%2]:1"), Clock::FORMAT)),
            (&["localhost:1", "12:00"], both(Some("localhost:1"), "12:00")),
        ] {
            assert_eq!(split(words), expected, "{words:?}");
        }
        assert!(
            split_address_and_format(Some("myhost".to_owned()), None).is_err(),
            "'myhost' was accepted; as a format, its reply would be 'myhost'"
        );
    }
}
