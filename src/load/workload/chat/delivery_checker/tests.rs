//! The checker without sockets, compared with an oracle of a few lines.

#![allow(clippy::cast_possible_truncation, reason = "small numbers")]

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const PUBLISHERS: u64 = 3;

/// Returns the message with an id: the publishers send in turn.
fn message(id: u64) -> MessageSource {
    let publisher = u32::try_from((id - 1) % PUBLISHERS).unwrap();
    MessageSource::Own(MessageStamp { due_ns: id * 10, publisher, sequence: (id - 1) / PUBLISHERS })
}

/// The oracle: returns the faults of one member's copies, in the order of their arrival.
fn expected(copies: &[(u64, bool)], ids: u64) -> ChatFaults {
    let (mut faults, mut arrived) = (ChatFaults::default(), BTreeSet::new());
    for (id, is_intact) in copies {
        let is_late = arrived.last().is_some_and(|last| id < last);
        if arrived.insert(*id) {
            faults.reordered += u64::from(is_late);
            faults.corrupted += u64::from(!is_intact);
        } else {
            faults.duplicated += 1;
        }
    }
    faults.missing = ids - arrived.len() as u64;
    faults
}

/// Generates copies of `1..=ids`, some of them missing, moved, repeated or corrupt.
fn copies(ids: u64) -> impl Strategy<Value = Vec<(u64, bool)>> {
    // Fewer changes than ids, so that the removals leave one.
    let most = (ids as usize).min(6);
    let change = prop::collection::vec((0..3u8, any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..most);
    (change, prop::collection::vec(prop::bool::weighted(0.95), ids as usize)).prop_map(move |(changes, whole)| {
        let mut copies: Vec<_> = (1..=ids).zip(whole).collect();
        for (what, from, to) in changes {
            let (from, to) = (from.index(copies.len()), to.index(copies.len()));
            match what {
                0 => _ = copies.remove(from),
                1 => copies.swap(from, to),
                _ => copies.insert(to, copies[from]),
            }
        }
        copies
    })
}

proptest! {
    #[test]
    fn every_fault_is_found_in_any_order_of_deliveries(
        (ids, members) in (4u64..40).prop_flat_map(|ids| (Just(ids), prop::collection::vec(copies(ids), 1..4))),
        order in prop::collection::vec((0usize..8, prop::bool::weighted(0.1)), 200),
    ) {
        let mut checker = DeliveryChecker::new(members.len() + 1, 1, PUBLISHERS as usize);
        (0..=members.len()).for_each(|member| checker.add_member(member));
        // The first member receives everything correctly.
        let mut streams: Vec<_> = std::iter::once((1..=ids).map(|id| (id, true)).collect()).chain(members.clone()).collect();
        for stream in &mut streams {
            let stream: &mut Vec<_> = stream;
            stream.reverse();
        }
        let deliver = |checker: &mut DeliveryChecker, member: usize, (id, is_intact): (u64, bool)| {
            let (before, source) = (checker.received, if is_intact { message(id) } else { MessageSource::Corrupt });
            let counts = checker.check_delivery(member, id, source);
            assert_eq!(counts, is_intact && checker.received > before);
        };
        for (member, trims) in order {
            if let Some(copy) = streams.get_mut(member).and_then(Vec::pop) {
                deliver(&mut checker, member, copy);
            }
            if trims {
                checker.trim_logs();
            }
        }
        for (member, stream) in streams.into_iter().enumerate() {
            stream.into_iter().rev().for_each(|copy| deliver(&mut checker, member, copy));
        }
        let outstanding = checker.finish(true, |publisher| Some((ids + PUBLISHERS - 1 - publisher as u64) / PUBLISHERS));
        let mut faults = ChatFaults::default();
        for member in &members {
            let of_one = expected(member, ids);
            faults.add(FaultKind::Missing, of_one.missing);
            faults.add(FaultKind::Duplicated, of_one.duplicated);
            faults.add(FaultKind::Reordered, of_one.reordered);
            faults.add(FaultKind::Corrupted, of_one.corrupted);
        }
        prop_assert_eq!(checker.faults, faults);
        prop_assert_eq!((checker.ids(), outstanding.deliveries), (ids, 0));
        prop_assert_eq!(checker.violations.is_empty(), faults.is_none());
    }
}

const NO_FAULTS: ChatFaults = ChatFaults {
    missing: 0,
    duplicated: 0,
    reordered: 0,
    corrupted: 0,
    strayed: 0,
    unsaid: 0,
    misnumbered: 0,
    uncompared: 0,
    server_errors: 0,
    refused: 0,
    broken: 0,
};

/// Two members in one room.
fn two() -> DeliveryChecker {
    let mut checker = DeliveryChecker::new(2, 1, PUBLISHERS as usize);
    (0..2).for_each(|member| checker.add_member(member));
    checker
}

#[test]
fn outstanding_deliveries_of_an_early_end_are_no_fault() {
    let mut checker = two();
    (1..=5).for_each(|id| assert!(checker.check_delivery(0, id, message(id))));
    (1..=3).for_each(|id| assert!(checker.check_delivery(1, id, message(id))));
    let sent_by = |publisher| [3, 2, 1].get(publisher).copied();
    assert!(!checker.is_complete(|publisher| sent_by(publisher).unwrap_or(0)));
    let outstanding = checker.finish(false, sent_by);
    assert_eq!(checker.faults, NO_FAULTS);
    // Ids 4 and 5 of one member, and for both the third message of the first publisher.
    assert_eq!((outstanding.deliveries, outstanding.partly_delivered), (4, vec![(40, 1), (50, 1)]));
}

#[test]
fn a_run_is_complete_when_all_members_have_everything() {
    let mut checker = two();
    assert!(checker.is_complete(|_| 0));
    (0..2).for_each(|member| assert!(checker.check_delivery(member, 1, message(1))));
    checker.trim_logs();
    assert!(checker.is_complete(|publisher| u64::from(publisher == 0)) && !checker.is_complete(|_| 1));
    assert!(checker.check_delivery(0, 2, message(2)));
    let two_sent = |publisher| u64::from(publisher < 2);
    assert!(!checker.is_complete(two_sent));
    checker.remove_member(1);
    assert!(checker.is_complete(two_sent), "a member that has left is not awaited");
}

#[test]
fn messages_of_other_users_have_ids_and_do_not_count() {
    let mut checker = two();
    assert!(!checker.check_delivery(0, 7, MessageSource::Foreign) && checker.check_delivery(0, 8, message(1)));
    // The second member joined after the other user's first message.
    assert!(checker.check_delivery(1, 8, message(1)) && !checker.check_delivery(1, 9, MessageSource::Foreign));
    assert!(!checker.check_delivery(0, 9, message(2)), "one member received another user's message with this id");
    checker.finish(true, |publisher| Some(u64::from(publisher == 0)));
    assert_eq!(checker.faults, ChatFaults { corrupted: 1, ..NO_FAULTS });
}

#[test]
fn ids_before_the_first_received_are_missing() {
    let mut checker = two();
    (1..=4).for_each(|id| assert!(checker.check_delivery(0, id, message(id))));
    (3..=4).for_each(|id| assert!(checker.check_delivery(1, id, message(id))));
    checker.finish(true, |publisher| Some([2, 1, 1][publisher]));
    assert_eq!(checker.faults, ChatFaults { missing: 2, ..NO_FAULTS });
    assert_eq!(checker.violations, [ViolationSite { kind: FaultKind::Missing, member: 1, room: 0, id: 1 }]);
}

#[test]
fn an_id_that_no_member_received_is_missing_not_unsaid() {
    let mut checker = two();
    for member in 0..2 {
        assert!([1, 2, 4, 5].into_iter().all(|id| checker.check_delivery(member, id, message(id))));
    }
    checker.finish(true, |publisher| Some([2, 2, 1][publisher]));
    assert_eq!(checker.faults, ChatFaults { missing: 2, ..NO_FAULTS });
}

#[test]
fn a_publisher_publishes_in_its_own_room() {
    let checker = DeliveryChecker::new(6, 2, 3);
    let stamp = |publisher| MessageStamp { due_ns: 0, publisher, sequence: 0 };
    let is_publisher = |publisher, room| checker.is_publisher_of(&stamp(publisher), room);
    assert!(is_publisher(0, 0) && is_publisher(1, 1) && is_publisher(2, 0));
    assert!(
        !is_publisher(0, 1) && !is_publisher(1, 0) && !is_publisher(3, 1),
        "a member that does not publish is no publisher"
    );
}

#[test]
fn the_log_is_bounded_for_any_ids() {
    let mut checker = DeliveryChecker::new(2, MAX_ENTRIES, 1);
    checker.add_member(0);
    for step in 0..1000 {
        checker.check_delivery(0, step * (u64::MAX / 1000), MessageSource::Foreign);
    }
    checker.check_delivery(0, u64::MAX, MessageSource::Foreign);
    assert!(checker.rooms[0].entries.len() <= MIN_ENTRIES);
    // A member that receives nothing does not make the log grow, either.
    let mut checker = DeliveryChecker::new(MAX_ENTRIES * 2, MAX_ENTRIES, MAX_ENTRIES);
    checker.add_member(0);
    checker.add_member(MAX_ENTRIES);
    let message = |id: u64| MessageSource::Own(MessageStamp { due_ns: id, publisher: 0, sequence: id });
    let ids = MIN_ENTRIES as u64 * 2;
    (0..ids).for_each(|id| assert!(checker.check_delivery(0, id, message(id))));
    checker.trim_logs();
    assert_eq!(checker.rooms[0].entries.len(), MIN_ENTRIES);
    assert!((0..ids).all(|id| checker.check_delivery(MAX_ENTRIES, id, message(id))));
    assert_eq!(checker.faults, ChatFaults { uncompared: ids - MIN_ENTRIES as u64, ..NO_FAULTS });
}
