//! `call clock`: what its words mean, and what it does: asks one clock, once or again and again, or every clock on a network.

mod everybody;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use switchboard::client::text::ReplyEnd;
use switchboard::escape;
use switchboard::services::Clock;
use switchboard::{Framing, TextEncoding};

use super::server::Server;
use super::text::{Datagrams, Form, Lane, Manner, Reply, Screen, TIMEOUT, Waited, deadline, some_time, tell};
use crate::cli::error::CliError;
use crate::cli::logging;
use crate::cli::units::HumanDuration;
use crate::cli::verbosity::Verbosity;

/// How clock's answer begins where it does not like the format.
const ERROR: &str = "error: ";

/// How long everybody has to answer, if nothing else is said.
const BROADCAST_TIMEOUT: HumanDuration = HumanDuration(Duration::from_secs(1));

/// How far apart several questions are, if nothing else is said.
const EVERY: HumanDuration = HumanDuration(Duration::from_secs(1));

/// How long a clock on a stream has to be quiet before what it said is all of it: half a time is a wrong one.
const QUIET: Duration = Duration::from_millis(20);

#[derive(Debug, clap::Args)]
#[command(after_long_help = include_str!("clock.txt"))]
pub(in crate::cli) struct ClockArgs {
    /// Where the server is [default: 127.0.0.1:9090]
    ///
    /// host:port, [v6]:port, unix:PATH or udp:host:port. If one word is given, it is the format if it has a '%'.
    #[arg(value_name = "ADDR")]
    address: Option<String>,
    /// What to answer with, as strftime has it [default: the server's, %Y-%m-%d %H:%M:%S]
    #[arg(value_name = "FORMAT")]
    format: Option<String>,
    /// Ask again and again, so far apart, until Ctrl-C
    #[arg(long, value_name = "TIME")]
    every: Option<HumanDuration>,
    /// Ask so many times [default: once, or with --every until Ctrl-C]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Ask over UDP: the same as udp: before ADDR
    #[arg(long)]
    udp: bool,
    /// Ask everybody on the network, over UDP, and print who answered and what [default ADDR: 255.255.255.255:9090]
    #[arg(long, conflicts_with_all = ["every", "count"])]
    broadcast: bool,
    /// How long to wait for a connection and for each answer; with --broadcast, for all answers [default: 10s, 1s]
    #[arg(long, value_name = "TIME")]
    timeout: Option<HumanDuration>,
}

pub(super) fn call(typed: ClockArgs, verbosity: Verbosity) -> Result<ExitCode, CliError> {
    logging::start(verbosity.level());
    let (address, format) = told_apart(typed.address, typed.format)?;
    let screen = Screen::new(Form::Text, TextEncoding::UTF_8);
    if typed.broadcast {
        let limit = some_time(typed.timeout.unwrap_or(BROADCAST_TIMEOUT))?;
        let address = address.unwrap_or_else(|| "255.255.255.255:9090".to_owned());
        return everybody::ask(&Server::find_any("clock", &address, true)?, &format, limit, screen);
    }
    let limit = some_time(typed.timeout.unwrap_or(TIMEOUT))?;
    let address = address.unwrap_or_else(|| "127.0.0.1:9090".to_owned());
    let server = Server::find("clock", &address, typed.udp)?;
    let HumanDuration(every) = typed.every.unwrap_or(EVERY);
    if every.is_zero() {
        return Err(CliError::Usage("--every 0 would never wait: write some time, such as 1s".to_owned()));
    }
    let count = typed.count.or_else(|| typed.every.is_none().then_some(1));
    let encoding = TextEncoding::UTF_8;
    let asks = Asks { format, every, count, screen, failed: 0 };
    if server.is_udp() {
        asks.over_udp(Datagrams::open(server, encoding, limit, |_, _| true)?)
    } else {
        let manner = Manner { framing: Framing::Raw, ends: ReplyEnd::SingleRead, one_each: false, quiet: QUIET };
        asks.over_a_stream(Lane::new(server, manner, encoding, limit))
    }
}

/// Address and format. Of one word alone it has to be told which of them it is: a format without conversions asks for nothing, and
/// every address has a colon.
fn told_apart(first: Option<String>, second: Option<String>) -> Result<(Option<String>, String), CliError> {
    match (first, second) {
        (Some(word), None) if word.contains('%') || word.is_empty() => Ok((None, word)),
        (Some(word), None) if !word.contains(':') => {
            Err(CliError::Usage(format!("{word} is no address, which has a port, and no format, which has a %")))
        }
        (address, format) => Ok((address, format.unwrap_or_default())),
    }
}

/// What is to be asked, and how often.
struct Asks {
    format: String,
    every: Duration,
    /// None: until Ctrl-C.
    count: Option<u64>,
    screen: Screen,
    failed: u64,
}

impl Asks {
    fn over_a_stream(mut self, mut lane: Lane) -> Result<ExitCode, CliError> {
        if self.format.is_empty() {
            // Nothing at all cannot be sent on a stream without frames; this is what it would mean.
            Clock::FORMAT.clone_into(&mut self.format);
        }
        let format = self.format.clone();
        let mut pace = Pace::new(self.every, self.count);
        while let Some(until) = pace.next() {
            if self.wait(&mut lane, until)? {
                break;
            }
            let reply = lane.ask(&format)?;
            if let Reply::Closed = reply {
                return Err(lane.server().failed("closed without an answer"));
            }
            self.show(reply)?;
            if self.screen.nobody_reads() {
                break;
            }
        }
        self.end()
    }

    /// Waits until `until`, and shows what nobody asked for. True: nobody reads it.
    fn wait(&mut self, lane: &mut Lane, until: Instant) -> Result<bool, CliError> {
        loop {
            match lane.wait(until)? {
                Waited::For(texts) => texts.iter().try_for_each(|text| self.screen.answer(None, text))?,
                // A server that ends meanwhile is noticed at once.
                Waited::ForTheEnd => {
                    return Err(lane.server().failed("closed; ask again, or let it idle for longer (--idle-timeout)"));
                }
                Waited::ForNothing => return Ok(false),
            }
            if self.screen.nobody_reads() {
                return Ok(true);
            }
            if Instant::now() >= until {
                return Ok(false);
            }
        }
    }

    fn over_udp(mut self, mut datagrams: Datagrams) -> Result<ExitCode, CliError> {
        let format = self.format.clone();
        let mut pace = Pace::new(self.every, self.count);
        while let Some(until) = pace.next() {
            datagrams.wait(until)?;
            let reply = datagrams.ask(&format)?;
            self.show(reply)?;
            if self.screen.nobody_reads() {
                break;
            }
        }
        self.end()
    }

    fn show(&mut self, reply: Reply) -> Result<(), CliError> {
        match reply {
            Reply::Text(answer) => match answer.text.strip_prefix(ERROR) {
                // It will not like it the next time either.
                Some(why) => Err(refused(why)),
                None => self.screen.answer(None, &answer),
            },
            Reply::Nothing(why) => {
                self.failed += 1;
                tell(&why);
                Ok(())
            }
            Reply::Closed => Ok(()),
        }
    }

    fn end(&self) -> Result<ExitCode, CliError> {
        match self.failed {
            0 => Ok(ExitCode::SUCCESS),
            failed => Err(CliError::Failed(format!("{failed} without an answer"))),
        }
    }
}

/// The server does not like the format.
fn refused(why: &str) -> CliError {
    CliError::Failed(format!("clock refuses the format: {}", escape::line(why)))
}

/// When to ask: now, and then so far apart. A turn that comes too late is left out, not made up for.
struct Pace {
    every: Duration,
    left: Option<u64>,
    next: Instant,
}

impl Pace {
    fn new(every: Duration, count: Option<u64>) -> Self {
        Self { every, left: count, next: Instant::now() }
    }

    /// When to ask next; none, if it was often enough.
    fn next(&mut self) -> Option<Instant> {
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(1)?;
        }
        let due = self.next.max(Instant::now());
        self.next = due.checked_add(self.every).unwrap_or_else(|| deadline(self.every));
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_word_is_an_address_or_a_format() {
        let told = |words: &[&str]| {
            let mut words = words.iter().map(|word| (*word).to_owned());
            told_apart(words.next(), words.next()).unwrap()
        };
        let both = |address: Option<&str>, format: &str| (address.map(str::to_owned), format.to_owned());
        for (words, are) in [
            (&[][..], both(None, "")),
            (&["127.0.0.1:1"], both(Some("127.0.0.1:1"), "")),
            (&["udp:[::1]:1"], both(Some("udp:[::1]:1"), "")),
            (&["unix:/x"], both(Some("unix:/x"), "")),
            (&["%H:%M"], both(None, "%H:%M")),
            (&[""], both(None, "")),
            (&["[fe80::1%2]:1", ""], both(Some("[fe80::1%2]:1"), "")),
            (&["localhost:1", "12:00"], both(Some("localhost:1"), "12:00")),
        ] {
            assert_eq!(told(words), are, "{words:?}");
        }
        assert!(told_apart(Some("myhost".to_owned()), None).is_err(), "it would be answered with itself");
    }

    #[test]
    fn it_is_asked_so_often() {
        let mut pace = Pace::new(Duration::from_hours(1), Some(2));
        let first = pace.next().unwrap();
        assert_eq!(pace.next().map(|second| second - first), Some(Duration::from_hours(1)));
        assert_eq!(pace.next(), None);
    }
}
