//! No command outlives its answer, its time, its connection or the server.

use std::time::{Duration, Instant};

use switchboard::Reactor;
use switchboard::services::exec::ExecRules;

use super::asker::{Asker, allowing, open, shell};
use super::fifo::Fifo;
use crate::support::{Engine, conformance, guard, scaled};

conformance! {
    reply_does_not_wait_for_background_processes,
    background_processes_are_killed,
    output_before_the_exit_is_complete,
    timeout_kills_the_command_and_its_children,
    command_that_ignores_signals_is_killed,
    half_closed_client_gets_its_reply,
    stopped_engine_leaves_no_process,
    drain_ends_commands_and_answers_each_request,
}

fn reply_does_not_wait_for_background_processes<E: Engine>() {
    for rules in [shell(), allowing(&["sh"])] {
        let quoted = matches!(rules.allowed, switchboard::services::exec::Allowed::Programs(_));
        let (running, addr) = open::<E>(rules);
        let mut asker = Asker::connect(addr);
        let line = "sleep 1000 & echo done";
        // The time limit for commands is longer.
        let (begun, soon) = (Instant::now(), guard() / 2);
        assert_eq!(asker.ask(if quoted { format!("sh -c '{line}'") } else { line.to_owned() }), "done\n");
        assert!(begun.elapsed() < soon);
        drop(asker);
        running.drain();
    }
}

fn background_processes_are_killed<E: Engine>() {
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

fn output_before_the_exit_is_complete<E: Engine>() {
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

fn timeout_kills_the_command_and_its_children<E: Engine>() {
    let timeout = scaled(Duration::from_secs(3));
    let (running, addr) = open::<E>(ExecRules { timeout, ..shell() });
    let folder = tempfile::tempdir().unwrap();
    let mut held = Fifo::new(folder.path(), "held");
    let mut asker = Asker::connect(addr);
    asker.say(format!("exec 3> {}; echo begun; echo begun >&3; sh -c 'sleep 1000; :' & sleep 1000", held.path()));
    let answer = asker.header();
    let says = format!("begun\nexec: killed: it ran for longer than {timeout:?}\n");
    assert_eq!(String::from_utf8_lossy(&answer.output), says);
    assert_eq!(answer.fields["exit_code"], serde_json::Value::Null);
    assert_eq!(held.line(), "begun");
    held.expect_end();
    assert_eq!(asker.ask("echo next"), "next\n");
    drop(asker);
    running.drain();
}

fn command_that_ignores_signals_is_killed<E: Engine>() {
    let timeout = scaled(Duration::from_secs(3));
    let (running, addr) = open::<E>(ExecRules { timeout, ..shell() });
    let folder = tempfile::tempdir().unwrap();
    let mut begun = Fifo::new(folder.path(), "begun");
    let mut asker = Asker::connect(addr);
    let deaf = "trap '' TERM HUP INT; exec >&- 2>&-";
    asker.say(format!("{deaf}; echo deaf > {}; while :; do sleep 1000; done", begun.path()));
    assert_eq!(begun.line(), "deaf");
    let says = format!("exec: killed: it ran for longer than {timeout:?}\n");
    assert_eq!(String::from_utf8_lossy(&asker.header().output), says);
    drop(asker);
    running.drain();
}

fn half_closed_client_gets_its_reply<E: Engine>() {
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

fn stopped_engine_leaves_no_process<E: Engine>() {
    // On `Threaded` the connection's thread runs the command, so a stopped engine waits for the
    // command's end.
    for drain in [false, true] {
        let timeout = scaled(Duration::from_secs(1));
        let (running, addr) = open::<E>(ExecRules { timeout, ..shell() });
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

fn drain_ends_commands_and_answers_each_request<E: Engine>() {
    let jobs = std::num::NonZeroUsize::new(1).unwrap();
    let (running, addr) = open::<E>(ExecRules { timeout: 10 * guard(), jobs, ..shell() });
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
        let (running, addr) = open::<Reactor>(ExecRules { timeout: 10 * guard(), ..shell() });
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
            let (running, addr) = open::<Reactor>(ExecRules { timeout: 10 * guard(), ..shell() });
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
