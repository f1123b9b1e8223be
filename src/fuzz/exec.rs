//! Sends messages to an exec service that allows no command, in each dialect:
//!
//! - each message gets one answer, which the client's parser accepts and which runs nothing;
//! - after an answer that closes the connection there is none;
//! - with a length prefix, the answers do not depend on the pieces in which a message arrives.

use super::script::{Cuts, Script};
use crate::client::exec::{ParseStep, ResponseParser};
use crate::engine::limits::Limits;
use crate::frame::{FrameDecoder, Framing, encode};
use crate::reactor::scripted_loop::ScriptedLoop;
use crate::services::exec::wire::{READY, START};
use crate::services::exec::{Allowed, Exec, ExecDialect, ExecRules};

/// The byte between two messages of an input.
const SEPARATOR: u8 = 0x1e;

/// The most messages of one input.
const MAX_MESSAGES: usize = 32;

const TOKEN: &str = "twenty-four secret bytes";

/// Runs the target `exec_wire`.
pub fn exec_wire(input: &[u8]) {
    let mut script = Script::new(input);
    let dialect = script.choose(&ExecDialect::NAMES.map(|(_, dialect)| dialect));
    let which = script.byte();
    let framing = if which & 1 == 0 { Framing::Raw } else { Framing::U32BE };
    let token = (which & 2 != 0).then(|| TOKEN.parse().expect("the token is valid"));
    let rules = ExecRules { token, dialect, ..ExecRules::new(Allowed::Programs(Vec::new())) };
    let cuts = script.cuts();
    let messages: Vec<_> = script.rest().split(|byte| *byte == SEPARATOR).take(MAX_MESSAGES).collect();
    let answers = answers(framing, &rules, &messages, None);
    check(dialect, &messages, &answers);
    if framing != Framing::Raw {
        assert_eq!(answers, self::answers(framing, &rules, &messages, Some(cuts)));
    }
}

/// Sends the messages one after the other, and returns the answer to each; `None` once the
/// connection is closed.
fn answers(framing: Framing, rules: &ExecRules, messages: &[&[u8]], cuts: Option<Cuts>) -> Vec<Option<Vec<u8>>> {
    let exec = Exec::new(rules.clone());
    let limits = Limits { max_queued_messages: 1, ..Limits::default() };
    let mut engine = ScriptedLoop::new(limits, framing, exec.options("exec"), exec);
    let socket = engine.connect(([127, 0, 0, 1], 1).into());
    let mut answers = Vec::new();
    for message in messages {
        let mut frame = Vec::new();
        encode(framing, message, &mut frame).expect("the framing can carry any message");
        let (start, was_open) = (socket.written().len(), !socket.is_shut_down());
        for piece in cuts.map_or_else(|| vec![&frame[..]], |cuts| cuts.pieces(&frame)) {
            socket.send(piece);
            engine.run_until_idle();
        }
        let answer = socket.written_from(start);
        assert!(was_open || answer.is_empty(), "an answer after the close");
        answers.push(was_open.then(|| payload(framing, &answer)));
    }
    engine.finish(&[socket]);
    answers
}

/// Returns the payload of an answer, which is one frame or nothing.
fn payload(framing: Framing, mut answer: &[u8]) -> Vec<u8> {
    if framing == Framing::Raw || answer.is_empty() {
        return answer.to_vec();
    }
    let mut decoder = FrameDecoder::new(framing, usize::MAX);
    let payload = decoder.decode(&mut answer).expect("an answer is a valid frame").expect("an answer is whole");
    let payload = payload.to_vec();
    assert!(answer.is_empty(), "more than one answer");
    payload
}

fn check(dialect: ExecDialect, messages: &[&[u8]], answers: &[Option<Vec<u8>>]) {
    let mut waiting: Option<ResponseParser> = None;
    for (message, answer) in messages.iter().zip(answers) {
        let Some(answer) = answer else { return };
        if message.is_empty() && answer.is_empty() {
            // No bytes are no message.
            continue;
        }
        if let Some(mut parser) = waiting.take() {
            if !answer.is_empty() && !answer.starts_with(READY.as_bytes()) {
                let last_line = message.rsplit(|byte| *byte == b'\n').find(|line| !line.trim_ascii().is_empty());
                assert!(last_line.is_some_and(|line| line.trim_ascii() == START.as_bytes()), "output without a start");
                assert_eq!(parser.push(answer), Ok(ParseStep::Done));
                check_text(&parser.into_response().output);
                continue;
            }
            if answer.is_empty() {
                // A message instead of the start closes the connection if the answer does.
                continue;
            }
        }
        let mut parser = ResponseParser::new(dialect);
        let step = parser.push(answer).expect("an answer follows its dialect");
        if dialect == ExecDialect::Ready {
            assert_eq!((step, parser.timeout()), (ParseStep::WaitForMore, Ok(ParseStep::Send(START))));
            waiting = Some(parser);
            continue;
        }
        assert_eq!(step, ParseStep::Done);
        let response = parser.into_response();
        assert!(response.header.is_none_or(|header| header.is_verified && header.exit_code == Some(None)));
        check_text(&response.output);
    }
}

/// Checks that an output is a text of the service, not of a command.
fn check_text(output: &[u8]) {
    assert!(output.starts_with(b"exec: ") && output.ends_with(b"\n") && output.len() < 4_096, "{output:?}");
}
