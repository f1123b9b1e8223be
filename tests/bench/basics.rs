//! Against servers without fault, each kind of load finds none and counts what it did.

use switchboard::bench::run;

use crate::servers::{echo, plan, tcp};

#[test]
fn a_closed_loop_counts_what_is_answered() {
    let outcome = run(&plan(tcp(echo)), &mut ()).unwrap();
    assert!(outcome.faults.is_none(), "{:?}", outcome.faults);
    assert!(outcome.messages > 0);
    assert_eq!(outcome.bytes, outcome.messages * 64);
    assert_eq!(outcome.latency.len(), outcome.messages);
    assert_eq!(outcome.connects.len(), 4);
    assert_eq!(outcome.connections, 4);
    assert_eq!(outcome.elapsed, plan(tcp(echo)).duration);
}
