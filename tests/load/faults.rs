//! An echo that spoils one message in a thousand is found out, and what it did is counted to the last message.

use std::time::Duration;

use switchboard::load::{Activity, Faults, LoadConfig, run};
use switchboard::{Endpoint, Framing};

use crate::among_others;
use crate::servers::{Broken, Cut, Fault, line, piece, plan, u32be};

/// Long enough for a loaded machine, short enough to wait for a lost message.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Again and again, until something went wrong as it should; once where nothing should.
fn load(target: Endpoint, framing: Framing, server: &Broken, fault: Fault) {
    let plan = LoadConfig {
        framing,
        activity: Activity::Closed { in_flight: 8 },
        duration: Duration::from_millis(500),
        answer_timeout: ANSWER_TIMEOUT,
        ..plan(target)
    };
    let (mut found, mut messages) = (Faults::default(), 0);
    while messages == 0 || (fault != Fault::None && server.committed() == 0) {
        let outcome = run(&plan, &mut ()).unwrap();
        messages += outcome.messages;
        found += outcome.faults;
    }
    assert_eq!(found, expected(fault, server.committed()), "{fault:?}");
}

fn expected(fault: Fault, committed: u64) -> Faults {
    let mut faults = Faults::default();
    match fault {
        Fault::None => {}
        Fault::Drop => faults.lost = committed,
        Fault::Duplicate => faults.duplicated = committed,
        Fault::Reorder => faults.reordered = committed,
        Fault::Corrupt => faults.corrupted = committed,
    }
    faults
}

fn over_streams(fault: Fault, framing: Framing, cut: Cut) {
    let _turn = among_others();
    let server = Broken::new(fault, cut);
    load(server.serve_streams(), framing, &server, fault);
}

fn over_datagrams(fault: Fault) {
    let _turn = among_others();
    let server = Broken::new(fault, u32be);
    load(server.serve_datagrams(), Framing::U32BE, &server, fault);
}

macro_rules! each_fault {
    ($($fault:ident $name:ident),*) => {
        mod frames {
            $(#[test]
            fn $name() {
                super::over_streams(super::Fault::$fault, super::Framing::U32BE, super::u32be);
            })*
        }

        mod lines {
            $(#[test]
            fn $name() {
                super::over_streams(super::Fault::$fault, super::Framing::Lines, super::line);
            })*
        }

        mod raw_bytes {
            $(#[test]
            fn $name() {
                super::over_streams(super::Fault::$fault, super::Framing::Raw, super::piece);
            })*
        }

        mod datagrams {
            $(#[test]
            fn $name() {
                super::over_datagrams(super::Fault::$fault);
            })*
        }
    };
}

each_fault!(
    None that_do_not_exist_are_not_found,
    Drop that_drop_are_counted,
    Duplicate that_duplicate_are_counted,
    Reorder that_reorder_are_counted,
    Corrupt that_corrupt_are_counted
);
