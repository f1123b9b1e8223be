use std::collections::BTreeSet;

use switchboard::TextEncoding;
use switchboard::services::Parrot;

use super::{Raw, stand};
use crate::support::{Engine, conformance};

conformance! {
    parrot_repeats_texts_of_any_client,
    bye_closes_without_a_word,
    a_seed_fixes_the_dice,
    invalid_text_gets_an_error_and_is_not_stored,
}

fn parrot_repeats_texts_of_any_client<E: Engine>() {
    let stand = stand::<E>("tested", Parrot::default());
    let (mut one, mut other) = (Raw::connect(stand.tcp), Raw::connect(stand.tcp));
    assert_eq!(one.ask(b"alpha"), b"alpha", "nothing else was ever said");
    let mut told = BTreeSet::from([b"alpha".to_vec()]);
    let mut heard = BTreeSet::new();
    // The probability that one message is never the reply in this many tries is below 10^-80.
    for number in 0..2000 {
        let message = format!("message {}", number % 10).into_bytes();
        told.insert(message.clone());
        let answer = if number % 2 == 0 { other.ask(&message) } else { one.ask(&message) };
        assert!(told.contains(&answer), "{answer:?}");
        heard.insert(answer);
    }
    told.remove(b"alpha".as_slice());
    assert!(told.is_subset(&heard));
}

fn bye_closes_without_a_word<E: Engine>() {
    let stand = stand::<E>("tested", Parrot::default());
    for bye in [&b"Bye"[..], b"bye", b"BYE", b"Bye\n", b"bYe\r\n"] {
        assert_eq!(Raw::connect(stand.tcp).ask_all(bye), b"");
    }
    assert_eq!(Raw::connect(stand.tcp).ask(b"Bye now"), b"Bye now", "that is not bye");
}

fn a_seed_fixes_the_dice<E: Engine>() {
    let answers = |seed| {
        let stand = stand::<E>("tested", Parrot::new(TextEncoding::UTF_8, seed));
        let mut client = Raw::connect(stand.tcp);
        (0..100).map(|number| client.ask(number.to_string().as_bytes())).collect::<Vec<_>>()
    };
    assert_eq!(answers(7), answers(7));
    assert_ne!(answers(7), answers(8));
}

fn invalid_text_gets_an_error_and_is_not_stored<E: Engine>() {
    let stand = stand::<E>("tested", Parrot::new("gbk".parse().unwrap(), 1));
    let mut client = Raw::connect(stand.tcp);
    assert_eq!(client.ask(b"\xff\xff"), b"error: this is not GBK");
    assert_eq!(client.ask(b"\xc4\xe3"), b"\xc4\xe3");
}
