//! An echo server that treats one message in a thousand wrongly: every fault is found and counted.

use std::time::Duration;

use switchboard::load::{Activity, Faults, LoadConfig, run};
use switchboard::{Endpoint, Framing};

use crate::guard::scaled;
use crate::servers::{Fault, FaultyEcho, FirstFrameBytes, line, piece, plan, u32be};

/// Long enough for an answer, short enough to wait for a lost one.
const REPLY_TIMEOUT: Duration = Duration::from_secs(2);

/// Runs a load of at least 36 messages: each connection exchanges one before the measured time, and
/// then sends eight.
fn check_faults(target: Endpoint, framing: Framing, server: &FaultyEcho, fault: Fault) {
    let plan = LoadConfig {
        framing,
        activity: Activity::Closed { in_flight: 8 },
        duration: Duration::from_millis(500),
        reply_timeout: scaled(REPLY_TIMEOUT),
        ..plan(target)
    };
    let found = run(&plan, &mut ()).unwrap().faults;
    assert_eq!(server.committed() > 0, fault != Fault::None, "{fault:?}");
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

fn over_streams(fault: Fault, framing: Framing, first_frame_bytes: FirstFrameBytes) {
    let server = FaultyEcho::new(fault, first_frame_bytes);
    check_faults(server.serve_streams(), framing, &server, fault);
}

fn over_datagrams(fault: Fault) {
    let server = FaultyEcho::new(fault, u32be);
    check_faults(server.serve_datagrams(), Framing::U32BE, &server, fault);
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
    None none,
    Drop dropped,
    Duplicate duplicated,
    Reorder reordered,
    Corrupt corrupted
);
