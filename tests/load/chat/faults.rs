//! One faulty chat server for each kind of fault: the run finds the fault, and names it.

use std::time::Duration;

use switchboard::load::LoadOutcome;
use switchboard::load::chat::{ChatLoadConfig, ChatOutcome, FaultKind, run};

use crate::guard::scaled;

use super::server::{CommittedFault, Fault, Server};

/// Runs a load on a server that commits a fault.
pub(super) fn run_with_fault(
    fault: Fault,
    plan: impl Fn(ChatLoadConfig) -> ChatLoadConfig,
) -> (LoadOutcome<ChatOutcome>, CommittedFault) {
    let server = Server::start(fault);
    let outcome = run(&plan(super::plan(&server.target)), &mut ()).unwrap();
    assert!(!outcome.is_verified(), "{fault:?}: {outcome:?}");
    (outcome, server.committed().unwrap())
}

/// Returns an answer timeout that a server keeps, and that is short enough to wait for a lost
/// answer.
pub(super) fn short_timeout() -> Duration {
    scaled(Duration::from_secs(2))
}

fn run_to_fault(fault: Fault) -> (LoadOutcome<ChatOutcome>, CommittedFault) {
    run_with_fault(fault, |plan| ChatLoadConfig { reply_timeout: short_timeout(), ..plan })
}

/// Asserts that the run finds exactly the committed fault, and names it.
fn assert_found(fault: Fault, kind: FaultKind) {
    let (outcome, committed) = run_to_fault(fault);
    let counted = outcome.workload.faults.named().into_iter().filter(|(_, count)| *count > 0).collect::<Vec<_>>();
    assert_eq!(counted.len(), 1, "{fault:?} is {kind:?}, not {counted:?}: {outcome:?}");
    assert_eq!(outcome.workload.faults.total(), 1, "{fault:?}: {:?}", outcome.workload.faults);
    let [violation] = &outcome.workload.violations[..] else { panic!("{fault:?}: {:?}", outcome.workload.violations) };
    assert_eq!((violation.kind, &violation.room), (kind, &committed.room), "{fault:?}");
    assert_eq!((violation.member, violation.id), (committed.member, committed.id), "{fault:?}: {violation}");
}

#[test]
fn a_skipped_delivery_is_missing() {
    assert_found(Fault::Skip, FaultKind::Missing);
}

#[test]
fn a_repeated_delivery_is_duplicated() {
    assert_found(Fault::Duplicate, FaultKind::Duplicated);
}

#[test]
fn a_swapped_delivery_is_reordered() {
    assert_found(Fault::Swap, FaultKind::Reordered);
}

#[test]
fn a_changed_message_is_corrupted() {
    assert_found(Fault::Corrupt, FaultKind::Corrupted);
    assert_found(Fault::CorruptStamp, FaultKind::Corrupted);
    assert_found(Fault::WrongSender, FaultKind::Corrupted);
}

#[test]
fn a_message_of_another_room_is_strayed() {
    let (outcome, committed) = run_with_fault(Fault::Stray, |plan| ChatLoadConfig { rooms: 2, members: 2, ..plan });
    // The server sends the stray as a message of `bench-0`, where it is a duplicate instead.
    if committed.room == "bench-1" {
        assert_eq!((outcome.workload.faults.strayed, outcome.workload.faults.total()), (1, 1), "{outcome:?}");
        assert_eq!(outcome.workload.violations[0].room, "bench-0");
    } else {
        assert_eq!((outcome.workload.faults.duplicated, outcome.workload.faults.total()), (1, 1), "{outcome:?}");
    }
    assert_eq!(
        (outcome.workload.violations[0].member, outcome.workload.violations[0].id),
        (committed.member, committed.id)
    );
}

#[test]
fn an_invalid_event_is_corrupted_and_reported() {
    let (outcome, committed) = run_to_fault(Fault::InvalidEvent);
    assert_eq!((outcome.workload.faults.corrupted, outcome.workload.faults.total()), (1, 1));
    assert_eq!(
        (outcome.workload.server_errors[0].code.as_str(), outcome.workload.server_errors[0].member),
        ("garbled", committed.member)
    );
}

#[test]
fn undelivered_messages_at_the_end_are_missing() {
    let (outcome, committed) = run_to_fault(Fault::StopSending);
    let end = outcome.workload.ids;
    assert_eq!(outcome.workload.faults.missing, end - committed.id + 1, "{outcome:?}");
    assert_eq!(outcome.workload.faults.total(), outcome.workload.faults.missing);
    assert_eq!(
        (outcome.workload.violations[0].member, outcome.workload.violations[0].id),
        (committed.member, committed.id)
    );
}

#[test]
fn a_skipped_id_is_missing_for_every_member() {
    let (outcome, committed) = run_to_fault(Fault::SkipId);
    assert_eq!((outcome.workload.faults.missing, outcome.workload.faults.total()), (6, 6));
    assert!(
        outcome.workload.violations.iter().all(|violation| violation.id == committed.id),
        "{:?}",
        outcome.workload.violations
    );
    assert_eq!(outcome.workload.violations.len(), 3, "the first few are kept");
}

#[test]
fn a_message_without_delivery_is_unsaid() {
    let (outcome, committed) = run_to_fault(Fault::Swallow);
    assert_eq!((outcome.workload.faults.unsaid, outcome.workload.faults.total()), (1, 1), "{outcome:?}");
    assert_eq!(
        (outcome.workload.violations[0].kind, outcome.workload.violations[0].member),
        (FaultKind::Unsaid, committed.member)
    );
}

#[test]
fn a_message_with_two_ids_is_misnumbered() {
    let (outcome, committed) = run_to_fault(Fault::Repeat);
    assert_eq!((outcome.workload.faults.misnumbered, outcome.workload.faults.total()), (1, 1), "{outcome:?}");
    assert_eq!(
        (outcome.workload.violations[0].kind, outcome.workload.violations[0].member),
        (FaultKind::Misnumbered, committed.member)
    );
}

#[test]
fn a_publishers_messages_out_of_order_are_misnumbered() {
    let (outcome, committed) = run_to_fault(Fault::Reverse);
    assert_eq!((outcome.workload.faults.misnumbered, outcome.workload.faults.total()), (1, 1), "{outcome:?}");
    assert_eq!(outcome.workload.violations[0].member, committed.member);
}

#[test]
fn a_disconnected_member_is_broken_and_the_run_goes_on() {
    let (outcome, committed) = run_to_fault(Fault::Close);
    assert_eq!(
        (outcome.workload.faults.broken, outcome.workload.faults.total(), outcome.connections),
        (1, 1, 5),
        "{outcome:?}"
    );
    assert!(outcome.workload.ids > committed.id, "{outcome:?}");
}

#[test]
fn bye_is_reported_with_the_servers_text() {
    let (outcome, committed) = run_to_fault(Fault::Bye);
    assert_eq!(
        (outcome.workload.faults.broken, outcome.workload.faults.server_errors, outcome.workload.faults.total()),
        (1, 1, 2),
        "{outcome:?}"
    );
    let complaint = &outcome.workload.server_errors[0];
    assert_eq!((complaint.code.as_str(), complaint.text.as_str()), ("bye", "you are too slow"));
    assert_eq!(complaint.member, committed.member);
}

#[test]
fn an_error_is_reported_with_the_servers_code() {
    let (outcome, committed) = run_to_fault(Fault::Flood);
    assert_eq!(
        (outcome.workload.faults.server_errors, outcome.workload.faults.unsaid, outcome.workload.faults.total()),
        (1, 1, 2),
        "{outcome:?}"
    );
    assert_eq!(
        (outcome.workload.server_errors[0].code.as_str(), outcome.workload.server_errors[0].member),
        ("flood", committed.member)
    );
}

#[test]
fn a_failed_join_is_refused_and_the_run_goes_on() {
    for (fault, server_errors) in [(Fault::NickTaken, 1), (Fault::NoJoined, 0)] {
        let (outcome, _) = run_to_fault(fault);
        assert_eq!(
            (outcome.workload.faults.refused, outcome.workload.faults.server_errors),
            (1, server_errors),
            "{outcome:?}"
        );
        assert_eq!((outcome.workload.faults.total(), outcome.connections), (1 + server_errors, 5));
        let chat = &outcome.workload;
        assert!(chat.ids > 0 && chat.received == chat.ids * 5, "{outcome:?}");
    }
}
