//! Concurrency of commands and the order of their answers.

use std::path::PathBuf;
use std::time::Duration;

use switchboard::services::Echo;
use switchboard::services::exec::{Exec, ExecRules};
use switchboard::{Framing, Limits};

use super::asker::{Asker, open, open_framed, shell};
use super::fifo::{self, Fifo, release};
use crate::support::{Engine, RunningEngine, conformance, encode_frame, guard, listen_tcp};

conformance! {
    commands_of_a_connection_are_answered_in_order,
    too_many_at_once_are_told_so_in_their_turn,
    commands_of_several_connections_run_side_by_side,
    an_echo_is_prompt_while_commands_hang,
    running_commands_are_limited,
}

/// A command that reports its start and then waits for its gate.
struct Held {
    begun: Fifo,
    gates: Vec<PathBuf>,
    _folder: tempfile::TempDir,
}

impl Held {
    fn new(gates: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let begun = Fifo::lasting(folder.path(), "begun");
        let gates = (0..gates).map(|number| fifo::make(folder.path(), &format!("gate{number}"))).collect();
        Self { begun, gates, _folder: folder }
    }

    fn line(&self, number: usize) -> String {
        let (begun, gate) = (self.begun.path(), self.gates[number].display());
        format!("echo +{number} > {begun}; cat {gate}; echo -{number} > {begun}; echo {number}")
    }
}

fn commands_of_a_connection_are_answered_in_order<E: Engine>() {
    let (running, addr) = open::<E>(shell());
    let mut held = Held::new(1);
    let mut asker = Asker::connect(addr);
    asker.say(held.line(0));
    assert_eq!(held.begun.line(), "+0");
    asker.say("echo one\n");
    release(&held.gates[0]);
    assert_eq!(held.begun.line(), "-0");
    assert_eq!(asker.header().output, b"0\n");
    assert_eq!(asker.header().output, b"one\n");
    drop(asker);
    running.drain();
}

fn too_many_at_once_are_told_so_in_their_turn<E: Engine>() {
    let (running, addr) = open_framed::<E>(shell(), Framing::U32BE);
    let mut held = Held::new(1);
    let mut asker = Asker::connect(addr);
    asker.say(encode_frame("u32be", held.line(0).as_bytes()));
    assert_eq!(held.begun.line(), "+0");
    for number in 0..20 {
        asker.say(encode_frame("u32be", format!("echo {number}").as_bytes()));
    }
    // On threads they are not read before the first has ended.
    let reads_meanwhile = std::any::type_name::<E>().ends_with("Reactor");
    if reads_meanwhile {
        running.await_counter("frames_in", |frames| frames == 21);
    }
    release(&held.gates[0]);
    let output = |asker: &mut Asker| {
        asker.exactly(4);
        String::from_utf8(asker.header().output).unwrap()
    };
    assert_eq!(output(&mut asker), "0\n");
    for number in 0..20 {
        let answer = output(&mut asker);
        if number < 16 {
            assert_eq!(answer, format!("{number}\n"));
        } else {
            let busy = answer.starts_with("exec: busy: too many commands of this connection wait");
            assert!(busy || (!reads_meanwhile && answer == format!("{number}\n")), "{number}: {answer}");
        }
    }
    drop(asker);
    running.drain();
}

fn commands_of_several_connections_run_side_by_side<E: Engine>() {
    let (running, addr) = open::<E>(ExecRules { jobs: 4.try_into().unwrap(), ..shell() });
    let mut held = Held::new(4);
    let mut askers: Vec<Asker> = (0..4).map(|_| Asker::connect(addr)).collect();
    for (number, asker) in askers.iter_mut().enumerate() {
        asker.say(held.line(number));
        assert_eq!(held.begun.line(), format!("+{number}"), "while the others before it run");
    }
    for (number, asker) in askers.iter_mut().enumerate().rev() {
        release(&held.gates[number]);
        assert_eq!(held.begun.line(), format!("-{number}"));
        assert_eq!(asker.header().output, format!("{number}\n").as_bytes());
    }
    drop(askers);
    running.drain();
}

fn an_echo_is_prompt_while_commands_hang<E: Engine>() {
    let limits = Limits { drain_timeout: Duration::from_millis(100), ..Limits::default() };
    let mut engine = E::with_limits(limits);
    let exec = Exec::new(ExecRules { timeout: guard(), ..shell() });
    let exec = engine.add_service(exec.options("exec"), exec);
    let echo = engine.add_service(Echo.options("echo"), Echo);
    let (addr, other) = (listen_tcp(&mut engine, exec, Framing::Raw), listen_tcp(&mut engine, echo, Framing::U32BE));
    let running = RunningEngine::start(engine);
    let mut held = Held::new(4);
    let mut askers: Vec<Asker> = (0..4).map(|_| Asker::connect(addr)).collect();
    for (number, asker) in askers.iter_mut().enumerate() {
        asker.say(held.line(number));
        assert_eq!(held.begun.line(), format!("+{number}"));
    }
    let mut client = Asker::connect(other);
    for _ in 0..100 {
        let frame = encode_frame("u32be", b"prompt");
        client.say(&frame);
        assert_eq!(client.exactly(frame.len()), frame);
    }
    // Refusals are prompt, too: nothing is run for them.
    assert!(Asker::connect(addr).ask("'").contains("has no end"));
    (0..4).for_each(|number| release(&held.gates[number]));
    for asker in &mut askers {
        assert_eq!(asker.header().fields["exit_code"], 0);
    }
    drop((client, askers));
    running.drain();
}

fn running_commands_are_limited<E: Engine>() {
    let (running, addr) = open::<E>(ExecRules { jobs: 2.try_into().unwrap(), ..shell() });
    let mut held = Held::new(4);
    let mut askers: Vec<Asker> = (0..4).map(|_| Asker::connect(addr)).collect();
    for (number, asker) in askers.iter_mut().enumerate() {
        asker.say(held.line(number));
    }
    let mut at_work = vec![held.begun.line(), held.begun.line()];
    assert!(held.begun.receives_nothing_for(Duration::from_millis(200)), "a third has begun");
    for left in (0..4).rev() {
        let line = at_work.pop().unwrap();
        let number: usize = line.strip_prefix('+').expect("it has begun").parse().unwrap();
        release(&held.gates[number]);
        assert_eq!(held.begun.line(), format!("-{number}"), "before another begins");
        assert_eq!(askers[number].header().fields["exit_code"], 0);
        if left >= 2 {
            at_work.push(held.begun.line());
        }
    }
    drop(askers);
    running.drain();
}
