//! The checker, without a socket: what went wrong is counted by an oracle of a few slots.

#![allow(clippy::cast_possible_truncation, reason = "small numbers")]

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const PUBLISHERS: u64 = 3;

/// What was said under an id: publishers take rotation.
fn said(id: u64) -> MessageSource {
    let publisher = u32::try_from((id - 1) % PUBLISHERS).unwrap();
    MessageSource::Ours(MessageStamp { due_ns: id * 10, publisher, sequence: (id - 1) / PUBLISHERS })
}

/// The oracle: what one member's copies, in the order in which they came, are at fault with.
fn expected(copies: &[(u64, bool)], ids: u64) -> ChatFaults {
    let (mut faults, mut came) = (ChatFaults::default(), BTreeSet::new());
    for (id, is_whole) in copies {
        let is_late = came.last().is_some_and(|last| id < last);
        if came.insert(*id) {
            faults.reordered += u64::from(is_late);
            faults.corrupted += u64::from(!is_whole);
        } else {
            faults.duplicated += 1;
        }
    }
    faults.missing = ids - came.len() as u64;
    faults
}

/// Copies of `1..=ids`, some of them missing, moved, repeated or spoiled.
fn copies(ids: u64) -> impl Strategy<Value = Vec<(u64, bool)>> {
    let change = prop::collection::vec((0..3u8, any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..6);
    (change, prop::collection::vec(prop::bool::weighted(0.95), ids as usize)).prop_map(move |(changes, whole)| {
        let mut copies: Vec<_> = (1..=ids).zip(whole).collect();
        for (what, from, to) in changes.into_iter().take_while(|_| ids > 3) {
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
    fn what_went_wrong_is_found_whoever_hears_it_first_and_whenever_the_log_is_trimmed(
        (ids, members) in (4u64..40).prop_flat_map(|ids| (Just(ids), prop::collection::vec(copies(ids), 1..4))),
        order in prop::collection::vec((0usize..8, prop::bool::weighted(0.1)), 200),
    ) {
        let mut checker = DeliveryChecker::new(members.len() + 1, 1, PUBLISHERS as usize);
        (0..=members.len()).for_each(|member| checker.sit(member));
        // The first member hears everything, as it should be.
        let mut streams: Vec<_> = std::iter::once((1..=ids).map(|id| (id, true)).collect()).chain(members.clone()).collect();
        for stream in &mut streams {
            let stream: &mut Vec<_> = stream;
            stream.reverse();
        }
        let hear = |checker: &mut DeliveryChecker, member: usize, (id, is_whole): (u64, bool)| {
            let (before, said) = (checker.received, if is_whole { said(id) } else { MessageSource::Spoiled });
            let counts = checker.hear(member, id, said);
            assert_eq!(counts, is_whole && checker.received > before);
        };
        for (member, trims) in order {
            if let Some(copy) = streams.get_mut(member).and_then(Vec::pop) {
                hear(&mut checker, member, copy);
            }
            if trims {
                checker.trim();
            }
        }
        for (member, stream) in streams.into_iter().enumerate() {
            stream.into_iter().rev().for_each(|copy| hear(&mut checker, member, copy));
        }
        let awaited = checker.close(true, |publisher| Some((ids + PUBLISHERS - 1 - publisher as u64) / PUBLISHERS));
        let mut faults = ChatFaults::default();
        for member in &members {
            let of_one = expected(member, ids);
            faults.add(FaultKind::Missing, of_one.missing);
            faults.add(FaultKind::Duplicated, of_one.duplicated);
            faults.add(FaultKind::Reordered, of_one.reordered);
            faults.add(FaultKind::Corrupted, of_one.corrupted);
        }
        prop_assert_eq!(checker.faults, faults);
        prop_assert_eq!((checker.ids(), awaited.deliveries), (ids, 0));
        prop_assert_eq!(checker.named.is_empty(), faults.is_none());
    }
}

const NOBODY_IS_AT_FAULT: ChatFaults = ChatFaults {
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
    (0..2).for_each(|member| checker.sit(member));
    checker
}

#[test]
fn what_a_run_that_is_ended_early_still_waited_for_is_no_fault() {
    let mut checker = two();
    (1..=5).for_each(|id| assert!(checker.hear(0, id, said(id))));
    (1..=3).for_each(|id| assert!(checker.hear(1, id, said(id))));
    let said_by = |publisher| [3, 2, 1].get(publisher).copied();
    assert!(!checker.is_settled(|publisher| said_by(publisher).unwrap_or(0)));
    let awaited = checker.close(false, said_by);
    assert_eq!(checker.faults, NOBODY_IS_AT_FAULT);
    // Ids 4 and 5 of one member, and the third message of the first publisher, which nobody has heard.
    assert_eq!((awaited.deliveries, awaited.heard_of), (4, vec![(40, 1), (50, 1)]));
}

#[test]
fn a_run_is_settled_when_all_have_heard_all_that_was_said() {
    let mut checker = two();
    assert!(checker.is_settled(|_| 0));
    (0..2).for_each(|member| assert!(checker.hear(member, 1, said(1))));
    checker.trim();
    assert!(checker.is_settled(|publisher| u64::from(publisher == 0)) && !checker.is_settled(|_| 1));
    assert!(checker.hear(0, 2, said(2)));
    let two_said = |publisher| u64::from(publisher < 2);
    assert!(!checker.is_settled(two_said));
    checker.rise(1);
    assert!(checker.is_settled(two_said), "who has left is not waited for");
}

#[test]
fn what_others_say_in_the_room_has_its_place_and_is_none_of_ours() {
    let mut checker = two();
    assert!(!checker.hear(0, 7, MessageSource::Foreign) && checker.hear(0, 8, said(1)));
    // The second came in after the foreigner had spoken.
    assert!(checker.hear(1, 8, said(1)) && !checker.hear(1, 9, MessageSource::Foreign));
    assert!(!checker.hear(0, 9, said(2)), "one hears a foreigner where the other hears one of us");
    checker.close(true, |publisher| Some(u64::from(publisher == 0)));
    assert_eq!(checker.faults, ChatFaults { corrupted: 1, ..NOBODY_IS_AT_FAULT });
}

#[test]
fn whose_first_id_is_later_than_the_first_that_was_said_has_missed_it() {
    let mut checker = two();
    (1..=4).for_each(|id| assert!(checker.hear(0, id, said(id))));
    (3..=4).for_each(|id| assert!(checker.hear(1, id, said(id))));
    checker.close(true, |publisher| Some([2, 1, 1][publisher]));
    assert_eq!(checker.faults, ChatFaults { missing: 2, ..NOBODY_IS_AT_FAULT });
    assert_eq!(checker.named, [ViolationSite { kind: FaultKind::Missing, member: 1, room: 0, id: 1 }]);
}

#[test]
fn of_an_id_that_nobody_received_every_member_is_told_and_no_publisher() {
    let mut checker = two();
    for member in 0..2 {
        assert!([1, 2, 4, 5].into_iter().all(|id| checker.hear(member, id, said(id))));
    }
    checker.close(true, |publisher| Some([2, 2, 1][publisher]));
    assert_eq!(checker.faults, ChatFaults { missing: 2, ..NOBODY_IS_AT_FAULT });
}

#[test]
fn a_message_of_a_publisher_is_one_of_its_room() {
    let checker = DeliveryChecker::new(6, 2, 3);
    let stamp = |publisher| MessageStamp { due_ns: 0, publisher, sequence: 0 };
    let may = |publisher, room| checker.may_say(&stamp(publisher), room);
    assert!(may(0, 0) && may(1, 1) && may(2, 0));
    assert!(!may(0, 1) && !may(1, 0) && !may(3, 1), "nor is a member that does not speak a publisher");
}

#[test]
fn ids_without_end_take_no_memory_without_end() {
    let mut checker = DeliveryChecker::new(2, MAX_ENTRIES, 1);
    checker.sit(0);
    for step in 0..1000 {
        checker.hear(0, step * (u64::MAX / 1000), MessageSource::Foreign);
    }
    checker.hear(0, u64::MAX, MessageSource::Foreign);
    assert!(checker.rooms[0].entries.len() <= MIN_ENTRIES);
    // One that hears nothing keeps no more of them either.
    let mut checker = DeliveryChecker::new(MAX_ENTRIES * 2, MAX_ENTRIES, MAX_ENTRIES);
    checker.sit(0);
    checker.sit(MAX_ENTRIES);
    let said = |id: u64| MessageSource::Ours(MessageStamp { due_ns: id, publisher: 0, sequence: id });
    let ids = MIN_ENTRIES as u64 * 2;
    (0..ids).for_each(|id| assert!(checker.hear(0, id, said(id))));
    checker.trim();
    assert_eq!(checker.rooms[0].entries.len(), MIN_ENTRIES);
    assert!((0..ids).all(|id| checker.hear(MAX_ENTRIES, id, said(id))));
    assert_eq!(checker.faults, ChatFaults { uncompared: ids - MIN_ENTRIES as u64, ..NOBODY_IS_AT_FAULT });
}
