//! Honest clients: one conversation after another, each answer checked.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use switchboard::client::exec::{ExecDialect, ParseStep, ResponseParser, request};
use switchboard::client::files::{DownloadEvent, FileDownload};
use switchboard::{Endpoint, Framing, TextEncoding};

use super::context::{ANSWER_TIMEOUT, ActorContext, RoundEnd, RoundResult, converse};
use super::site::Listener;

/// The pause between two rounds of one client.
const PAUSE: Duration = Duration::from_millis(20);
/// The time in which the answer to a datagram counts as lost.
const UDP_TIMEOUT: Duration = Duration::from_secs(1);
/// Messages on one connection.
const MESSAGES: u64 = 5;

pub(super) fn echo_lines(cx: &mut ActorContext<'_>) {
    cx.repeat(PAUSE, |cx| {
        let mut conversation = converse(cx.site.endpoint(Listener::ECHO_LINES)?, Framing::Lines)?;
        for _ in 0..MESSAGES {
            let text = cx.text();
            conversation.send(text.as_bytes(), cx.limits())?;
            expect(conversation.receive(cx.limits())?, &text)?;
        }
        Ok(MESSAGES)
    });
}

pub(super) fn upper(cx: &mut ActorContext<'_>) {
    cx.repeat(PAUSE, |cx| {
        let text = cx.text();
        exchange(cx, Listener::UPPER, &text, &text.to_ascii_uppercase())
    });
}

/// Checks greetings over TCP, each on a connection that the server closes.
pub(super) fn greet(cx: &mut ActorContext<'_>) {
    cx.repeat(PAUSE, |cx| {
        let text = cx.text();
        let mut conversation = converse(cx.site.endpoint(Listener::GREET)?, Framing::Raw)?;
        conversation.send_bytes(text.as_bytes(), cx.limits())?;
        let mut answer = Vec::new();
        while let Some(bytes) = conversation.receive(cx.limits())? {
            answer.extend(bytes);
        }
        expect(Some(answer), &format!("hello {text}"))?;
        Ok(1)
    });
}

pub(super) fn robot(cx: &mut ActorContext<'_>) {
    cx.repeat(PAUSE, |cx| exchange(cx, Listener::ROBOT, "hello", "你好"));
}

/// Checks that a parrot repeats what honest clients have said, and closes after `Bye`.
pub(super) fn parrot(cx: &mut ActorContext<'_>) {
    cx.repeat(PAUSE, |cx| {
        let mut conversation = converse(cx.site.endpoint(Listener::PARROT)?, Framing::Raw)?;
        conversation.send_bytes(cx.text().as_bytes(), cx.limits())?;
        let answer = conversation.receive(cx.limits())?.unwrap_or_default();
        if !answer.starts_with(b"soak-") {
            return Err(mistaken("soak-…", &answer));
        }
        conversation.send_bytes(b"Bye", cx.limits())?;
        while conversation.receive(cx.limits())?.is_some() {}
        Ok(2)
    });
}

pub(super) fn clock(cx: &mut ActorContext<'_>) {
    cx.repeat(PAUSE, |cx| {
        let mut conversation = converse(cx.site.endpoint(Listener::CLOCK)?, Framing::Raw)?;
        conversation.send_bytes(b"%s", cx.limits())?;
        check_time(&conversation.receive(cx.limits())?.unwrap_or_default())?;
        conversation.send_bytes(b"%Q%", cx.limits())?;
        let answer = conversation.receive(cx.limits())?.unwrap_or_default();
        if !answer.starts_with(b"error: ") {
            return Err(mistaken("error: …", &answer));
        }
        Ok(2)
    });
}

/// Checks datagrams of the services that answer each one. A datagram may be lost, above all beside
/// a flood, so a missing answer is no fault.
pub(super) fn datagrams(cx: &mut ActorContext<'_>) {
    cx.repeat(PAUSE, |cx| {
        let text = cx.text();
        let greeting = ask_udp(cx, Listener::GREET_UDP, text.as_bytes())?;
        if let Some(answer) = &greeting {
            expect(Some(answer.clone()), &format!("hello {text}"))?;
        }
        let time = ask_udp(cx, Listener::CLOCK_UDP, b"%s")?;
        if let Some(answer) = &time {
            check_time(answer)?;
        }
        Ok(u64::from(greeting.is_some()) + u64::from(time.is_some()))
    });
}

pub(super) fn files(cx: &mut ActorContext<'_>) {
    cx.repeat(PAUSE, |cx| {
        let mut conversation = converse(cx.site.endpoint(Listener::FILES)?, Framing::U32BE)?;
        for (name, content) in &cx.site.files {
            let mut download = FileDownload::new(*name);
            conversation.send(&download.request(), cx.limits())?;
            let mut received = Vec::with_capacity(content.len());
            while !download.is_complete() {
                let Some(payload) = conversation.receive(cx.limits())? else {
                    return Err(download.unexpected_eof().to_string().into());
                };
                let event = download.handle_frame(&payload).map_err(|error| error.to_string())?;
                if let DownloadEvent::Data(bytes) = event {
                    received.extend_from_slice(bytes);
                }
            }
            download.verify().map_err(|error| error.to_string())?;
            if received != *content {
                return Err(format!("{name}: other bytes than in the file").into());
            }
        }
        Ok(cx.site.files.len() as u64)
    });
}

pub(super) fn plain_files(cx: &mut ActorContext<'_>) {
    cx.repeat(PAUSE, |cx| {
        let Some((name, content)) = cx.random.choice(&cx.site.files) else { return Ok(0) };
        let mut conversation = converse(cx.site.endpoint(Listener::FILES_PLAIN)?, Framing::Raw)?;
        conversation.send_bytes(name.as_bytes(), cx.limits())?;
        let mut received = Vec::with_capacity(content.len());
        while let Some(bytes) = conversation.receive(cx.limits())? {
            received.extend(bytes);
        }
        if received != *content {
            return Err(format!("{name}: {} bytes that are not the file's {}", received.len(), content.len()).into());
        }
        Ok(1)
    });
}

pub(super) fn exec(cx: &mut ActorContext<'_>) {
    cx.repeat(PAUSE, |cx| {
        let text = cx.text();
        let command = request(&["echo", &text], None, TextEncoding::UTF_8).map_err(|error| error.to_string())?;
        let mut conversation = converse(cx.site.endpoint(Listener::EXEC)?, Framing::Raw)?;
        conversation.send_bytes(&command, cx.limits())?;
        let mut parser = ResponseParser::new(ExecDialect::default());
        loop {
            let bytes = conversation.receive(cx.limits())?.ok_or_else(|| "closed without an answer".to_owned())?;
            match parser.push(&bytes).map_err(|error| error.to_string())? {
                ParseStep::Done => break,
                ParseStep::NeedMore => {}
                ParseStep::WaitForMore | ParseStep::Send(_) => return Err("another dialect".to_owned().into()),
            }
        }
        expect(Some(parser.into_response().output), &format!("{text}\n"))?;
        Ok(1)
    });
}

/// Says lines in a room, and checks that each comes back with the nick.
pub(super) fn chat_lines(cx: &mut ActorContext<'_>) {
    cx.repeat(PAUSE, |cx| {
        let mut conversation = converse(cx.site.endpoint(Listener::CHAT_LINES)?, Framing::Lines)?;
        let nick = format!("line-{}", cx.random.u32(..1_000_000_000));
        for line in [format!("/nick {nick}"), "/join soak-lines".to_owned()] {
            conversation.send(line.as_bytes(), cx.limits())?;
        }
        for _ in 0..MESSAGES {
            let text = cx.text();
            conversation.send(text.as_bytes(), cx.limits())?;
            let expected = format!("[soak-lines] {nick}: {text}");
            loop {
                match conversation.receive(cx.limits())? {
                    Some(line) if line == expected.as_bytes() => break,
                    Some(_) => {}
                    None => return Err("closed before the own message came".to_owned().into()),
                }
            }
        }
        Ok(MESSAGES)
    });
}

/// Says texts in the lobby with datagrams, and checks that each comes back with the name. A missing
/// datagram is no fault.
pub(super) fn chat_datagrams(cx: &mut ActorContext<'_>) {
    let name = format!("udp-{}", cx.random.u32(..1_000_000_000));
    let Ok(socket) = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)) else {
        return cx.tally.add_faults(1, "no UDP socket");
    };
    cx.repeat(PAUSE, |cx| {
        let Endpoint::Udp(addr) = cx.site.endpoint(Listener::CHAT_UDP)? else { return Ok(0) };
        let sent = format!("{name} : {}", cx.text());
        socket.set_read_timeout(Some(UDP_TIMEOUT))?;
        socket.send_to(sent.as_bytes(), addr)?;
        let mut buffer = vec![0; 1 << 16];
        while let Ok(len) = socket.recv(&mut buffer) {
            let received = buffer.get(..len).unwrap_or_default();
            if received == sent.as_bytes() {
                return Ok(1);
            }
            if received.starts_with(b"error") {
                return Err(mistaken(&sent, received));
            }
        }
        Ok(0)
    });
}

impl ActorContext<'_> {
    /// Returns a text that no other client sends, of 10 to 500 bytes.
    pub(super) fn text(&mut self) -> String {
        let filler = self.random.usize(..480);
        format!("soak-{:x}-{}", self.random.u64(..), "x".repeat(filler))
    }
}

/// Sends texts on a connection, each of which has this answer.
fn exchange(cx: &mut ActorContext<'_>, listener: Listener, text: &str, answer: &str) -> RoundResult {
    let mut conversation = converse(cx.site.endpoint(listener)?, Framing::Raw)?;
    for _ in 0..MESSAGES {
        conversation.send_bytes(text.as_bytes(), cx.limits())?;
        let mut received = Vec::new();
        while received.len() < answer.len() {
            let Some(bytes) = conversation.receive(cx.limits())? else { break };
            received.extend(bytes);
        }
        expect(Some(received), answer)?;
    }
    Ok(MESSAGES)
}

/// Sends one datagram from a new socket, and returns the answer; `None` if none came in a second.
fn ask_udp(cx: &ActorContext<'_>, listener: Listener, payload: &[u8]) -> Result<Option<Vec<u8>>, RoundEnd> {
    let Endpoint::Udp(addr) = cx.site.endpoint(listener)? else { return Ok(None) };
    let socket = UdpSocket::bind((addr.ip(), 0))?;
    socket.connect(addr)?;
    socket.set_read_timeout(Some(UDP_TIMEOUT))?;
    socket.send(payload)?;
    let mut buffer = vec![0; 1 << 16];
    let received = socket.recv(&mut buffer).ok();
    Ok(received.map(|len| buffer.get(..len).unwrap_or_default().to_vec()))
}

fn expect(received: Option<Vec<u8>>, expected: &str) -> Result<(), RoundEnd> {
    match received {
        Some(received) if received == expected.as_bytes() => Ok(()),
        Some(received) => Err(mistaken(expected, &received)),
        None => Err(format!("closed instead of '{}'", excerpt(expected.as_bytes())).into()),
    }
}

fn mistaken(expected: &str, received: &[u8]) -> RoundEnd {
    format!("'{}' instead of '{}'", excerpt(received), excerpt(expected.as_bytes())).into()
}

/// Returns the start of a text for a report.
fn excerpt(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let start: String = text.chars().take(60).collect();
    start.escape_debug().to_string()
}

/// Checks a time in seconds since 1970.
fn check_time(answer: &[u8]) -> Result<(), RoundEnd> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = std::str::from_utf8(answer).ok().and_then(|text| text.parse::<u64>().ok()).map(Duration::from_secs);
    match seconds {
        Some(seconds) if seconds <= now && now.saturating_sub(seconds) <= ANSWER_TIMEOUT => Ok(()),
        _ => Err(mistaken(&now.as_secs().to_string(), answer)),
    }
}
