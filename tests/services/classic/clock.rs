use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use switchboard::services::Clock;

use super::{Raw, datagram, stand};
use crate::support::{Engine, conformance};

conformance! { a_format_is_answered_with_the_time_in_it, answers_are_short }

fn a_format_is_answered_with_the_time_in_it<E: Engine>() {
    let zone = TimeZone::get("Asia/Shanghai").unwrap();
    let clock = Clock::new(zone.clone());
    let stand = stand::<E>(clock.options("tested"), clock);
    let local = || Timestamp::now().to_zoned(zone.clone()).datetime();
    let check = |format: &str, ask: &mut dyn FnMut() -> Vec<u8>| {
        let before = local() - Span::new().seconds(1);
        let answer = String::from_utf8(ask()).unwrap();
        let time = DateTime::strptime(format, &answer).unwrap();
        assert!(before < time && time <= local(), "{answer}");
    };
    let mut client = Raw::connect(stand.tcp);
    check("%d.%m.%Y %H Uhr %M:%S", &mut || client.ask(b"%d.%m.%Y %H Uhr %M:%S"));
    check("%Y-%m-%d %H:%M:%S", &mut || client.ask(b"\n"));
    check("%Y-%m-%d %H:%M:%S", &mut || datagram(stand.udp, b""));
    check("%a %b %e %H:%M:%S %Y", &mut || datagram(stand.udp, b"%c"));
    assert_eq!(client.ask(b"%Z %z"), b"CST +0800");
    for wrong in [&b"%"[..], b"%!", b"\xff"] {
        assert!(client.ask(wrong).starts_with(b"error: "), "{wrong:?}");
        assert!(datagram(stand.udp, wrong).starts_with(b"error: "), "{wrong:?}");
    }
}

fn answers_are_short<E: Engine>() {
    let clock = Clock::default();
    let stand = stand::<E>(clock.options("tested"), clock);
    for format in [b"%Y".repeat(10_000), "%Y年".repeat(10_000).into_bytes(), b"%!".repeat(10_000), vec![b'x'; 60_000]]
    {
        for answer in [datagram(stand.udp, &format), Raw::connect(stand.tcp).ask(&format)] {
            assert!((1..=512).contains(&answer.len()) && String::from_utf8(answer.clone()).is_ok(), "{answer:?}");
        }
    }
}
