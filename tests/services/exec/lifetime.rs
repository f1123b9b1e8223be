//! No command outlives its answer, its time, its connection or the server.

use std::time::{Duration, Instant};

use switchboard::Reactor;
use switchboard::services::exec::ExecRules;

use super::asker::{Asker, allowing, open, shell};
use super::fifo::Fifo;
use crate::support::{Engine, GUARD, conformance};

conformance! {
    an_answer_does_not_wait_for_what_a_command_leaves_behind,
    what_is_left_behind_is_killed,
    what_was_said_before_the_end_is_all_there,
    time_ends_a_command_and_all_that_it_has_started,
    who_ignores_signals_is_killed_as_well,
    who_has_said_all_still_gets_an_answer,
    nothing_is_left_when_the_engine_has_stopped,
    a_drain_ends_what_runs_and_what_waits_and_all_are_answered,
}

/// Well below the time limit for commands, and far more than starting one takes.
const SOON: Duration = Duration::from_secs(10);

fn an_answer_does_not_wait_for_what_a_command_leaves_behind<E: Engine>() {
    for rules in [shell(), allowing(&["sh"])] {
        let quoted = matches!(rules.allowed, switchboard::services::exec::Allowed::Programs(_));
        let (running, addr) = open::<E>(rules);
        let mut asker = Asker::connect(addr);
        let line = "sleep 1000 & echo done";
        let begun = Instant::now();
        assert_eq!(asker.ask(if quoted { format!("sh -c '{line}'") } else { line.to_owned() }), "done\n");
        assert!(begun.elapsed() < SOON);
        drop(asker);
        running.drain();
    }
}

fn what_is_left_behind_is_killed<E: Engine>() {
    let (running, addr) = open::<E>(shell());
    let folder = tempfile::tempdir().unwrap();
    let mut held = Fifo::new(folder.path(), "held");
    let mut asker = Asker::connect(addr);
    let line = format!("exec 3> {}; (trap '' TERM HUP; sleep 1000) & echo done; echo done >&3", held.path());
    assert_eq!(asker.ask(line), "done\n");
    assert_eq!(held.line(), "done");
    held.expect_end();
    drop(asker);
    running.drain();
}

fn what_was_said_before_the_end_is_all_there<E: Engine>() {
    let (running, addr) = open::<E>(allowing(&["sh"]));
    let mut asker = Asker::connect(addr);
    for _ in 0..20 {
        // More than a pipe holds, and the last of it just before the end.
        let output = asker.ask("sh -c 'head -c 100000 /dev/zero | tr \"\\0\" x; echo end >&2; echo end'");
        assert!(output.len() == 100_008 && output.ends_with("xend\nend\n"), "{} bytes", output.len());
    }
    drop(asker);
    running.drain();
}

fn time_ends_a_command_and_all_that_it_has_started<E: Engine>() {
    let (running, addr) = open::<E>(ExecRules { timeout: Duration::from_secs(3), ..shell() });
    let folder = tempfile::tempdir().unwrap();
    let mut held = Fifo::new(folder.path(), "held");
    let mut asker = Asker::connect(addr);
    asker.say(format!("exec 3> {}; echo begun; echo begun >&3; sh -c 'sleep 1000; :' & sleep 1000", held.path()));
    let answer = asker.header();
    assert_eq!(String::from_utf8_lossy(&answer.output), "begun\nexec: killed: it ran for longer than 3s\n");
    assert_eq!(answer.fields["exit_code"], serde_json::Value::Null);
    assert_eq!(held.line(), "begun");
    held.expect_end();
    assert_eq!(asker.ask("echo next"), "next\n");
    drop(asker);
    running.drain();
}

fn who_ignores_signals_is_killed_as_well<E: Engine>() {
    let (running, addr) = open::<E>(ExecRules { timeout: Duration::from_secs(3), ..shell() });
    let folder = tempfile::tempdir().unwrap();
    let mut begun = Fifo::new(folder.path(), "begun");
    let mut asker = Asker::connect(addr);
    let deaf = "trap '' TERM HUP INT; exec >&- 2>&-";
    asker.say(format!("{deaf}; echo deaf > {}; while :; do sleep 1000; done", begun.path()));
    assert_eq!(begun.line(), "deaf");
    assert_eq!(asker.header().output, b"exec: killed: it ran for longer than 3s\n");
    drop(asker);
    running.drain();
}

fn who_has_said_all_still_gets_an_answer<E: Engine>() {
    let (running, addr) = open::<E>(shell());
    let folder = tempfile::tempdir().unwrap();
    let mut begun = Fifo::new(folder.path(), "begun");
    let gate = super::fifo::make(folder.path(), "gate");
    let mut asker = Asker::connect(addr);
    asker.say(format!("echo begun > {}; cat {}; echo done", begun.path(), gate.display()));
    assert_eq!(begun.line(), "begun");
    asker.0.shutdown(std::net::Shutdown::Write).unwrap();
    super::fifo::release(&gate);
    assert_eq!(asker.header().output, b"done\n");
    asker.expect_end();
    running.drain();
}

fn nothing_is_left_when_the_engine_has_stopped<E: Engine>() {
    // On `Threaded` the connection's thread runs the command, so a stopped engine waits for the
    // command's end.
    for drain in [false, true] {
        let (running, addr) = open::<E>(ExecRules { timeout: Duration::from_secs(1), ..shell() });
        let folder = tempfile::tempdir().unwrap();
        let mut held = Fifo::new(folder.path(), "held");
        let askers: Vec<Asker> = (0..2)
            .map(|_| {
                let mut asker = Asker::connect(addr);
                asker.say(format!("exec 3> {}; echo begun >&3; sleep 1000 & sleep 1000", held.path()));
                assert_eq!(held.line(), "begun");
                asker
            })
            .collect();
        if drain {
            running.handle.drain();
        } else {
            running.handle.stop();
        }
        running.join();
        held.expect_end();
        drop(askers);
    }
}

fn a_drain_ends_what_runs_and_what_waits_and_all_are_answered<E: Engine>() {
    let jobs = std::num::NonZeroUsize::new(1).unwrap();
    let (running, addr) = open::<E>(ExecRules { timeout: 10 * GUARD, jobs, ..shell() });
    let folder = tempfile::tempdir().unwrap();
    let mut held = Fifo::new(folder.path(), "held");
    let mut first = Asker::connect(addr);
    first.say(format!("exec 3> {}; echo said; echo begun >&3; sleep 1000 & sleep 1000", held.path()));
    assert_eq!(held.line(), "begun");
    let canary = folder.path().join("canary");
    let mut second = Asker::connect(addr);
    second.say(format!("touch {}", canary.display()));
    running.await_counter("jobs", |jobs| jobs == 2);
    running.handle.drain();
    held.expect_end();
    assert_eq!(first.header().output, b"said\nexec: ended: the server is stopping\n");
    assert_eq!(second.header().output, b"exec: ended: the server is stopping\n");
    running.join();
    assert!(!canary.exists());
}

/// Reactor only: on `Threaded` the connection's thread is busy with its command and notices no
/// event.
mod on_the_reactor_alone {
    use super::*;

    #[test]
    fn a_command_ends_with_its_connection() {
        let (running, addr) = open::<Reactor>(ExecRules { timeout: 10 * GUARD, ..shell() });
        let folder = tempfile::tempdir().unwrap();
        let mut held = Fifo::new(folder.path(), "held");
        let mut asker = Asker::connect(addr);
        asker.say(format!("exec 3> {}; echo begun >&3; sleep 1000 & sleep 1000", held.path()));
        assert_eq!(held.line(), "begun");
        asker.reset();
        held.expect_end();
        running.drain();
    }

    #[test]
    fn a_command_ends_with_the_engine_long_before_its_time() {
        for drain in [false, true] {
            let (running, addr) = open::<Reactor>(ExecRules { timeout: 10 * GUARD, ..shell() });
            let folder = tempfile::tempdir().unwrap();
            let mut held = Fifo::new(folder.path(), "held");
            let mut asker = Asker::connect(addr);
            asker.say(format!("exec 3> {}; echo begun >&3; sleep 1000 & sleep 1000", held.path()));
            assert_eq!(held.line(), "begun");
            if drain {
                running.handle.drain();
            } else {
                running.handle.stop();
            }
            running.join();
            held.expect_end();
        }
    }
}
