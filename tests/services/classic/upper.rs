use switchboard::services::Upper;

use super::{Raw, datagram, stand};
use crate::support::{Engine, conformance};

conformance! { ascii_letters_become_capitals_and_nothing_else_changes, half_closed_client_gets_its_replies }

fn ascii_letters_become_capitals_and_nothing_else_changes<E: Engine>() {
    let stand = stand::<E>(Upper.options("tested"), Upper);
    let all: Vec<u8> = (0..=255).collect();
    let capitals: Vec<u8> = all.iter().map(|byte| if byte.is_ascii_lowercase() { byte - 32 } else { *byte }).collect();
    let mut client = Raw::connect(stand.tcp);
    assert_eq!(client.ask(&all), capitals);
    assert_eq!(client.ask("hello, straße 你好".as_bytes()), "HELLO, STRAßE 你好".as_bytes());
    assert_eq!(datagram(stand.udp, &all), capitals);
    assert_eq!(datagram(stand.udp, b""), b"");
}

fn half_closed_client_gets_its_replies<E: Engine>() {
    let stand = stand::<E>(Upper.options("tested"), Upper);
    let mut client = Raw::connect(stand.tcp);
    assert_eq!(client.ask(b"one"), b"ONE");
    client.says_no_more();
    assert_eq!(client.rest(), b"");
    // More than one read returns: each is a message, and together they are the whole.
    let mut client = Raw::connect(stand.tcp);
    let long = vec![b'x'; 1_000_000];
    let answer = std::thread::scope(|scope| {
        let mut writer = Raw(client.0.try_clone().unwrap());
        scope.spawn(move || {
            std::io::Write::write_all(&mut writer.0, &long).unwrap();
            writer.says_no_more();
        });
        client.rest()
    });
    assert_eq!(answer, vec![b'X'; 1_000_000]);
}
