use switchboard::TextEncoding;
use switchboard::services::Greet;

use super::{Raw, datagram, stand};
use crate::support::{Engine, conformance};

conformance! {
    the_first_message_is_greeted_and_then_the_server_closes,
    a_template_says_where_the_message_stands,
    the_template_is_encoded_and_the_message_is_not,
}

fn the_first_message_is_greeted_and_then_the_server_closes<E: Engine>() {
    let greet = Greet::default();
    let stand = stand::<E>(greet.options("tested"), greet);
    for message in [&b"eva"[..], b"eva\n", b"{}", b"\xff\x00\xfe", &[b'x'; 10_000]] {
        assert_eq!(Raw::connect(stand.tcp).ask_all(message), [b"hello ", message].concat());
    }
    assert_eq!(datagram(stand.udp, b"zoe"), b"hello zoe");
    assert_eq!(datagram(stand.udp, b""), b"hello ");
    // A client that sends no message gets no greeting.
    let mut silent = Raw::connect(stand.tcp);
    silent.says_no_more();
    assert_eq!(silent.rest(), b"");
}

fn a_template_says_where_the_message_stands<E: Engine>() {
    for (template, answer) in
        [("{}", &b"you"[..]), ("{} and {}!", b"you and you!"), ("the same to all", b"the same to all"), ("", b"")]
    {
        let greet = Greet::new(template, TextEncoding::UTF_8).unwrap();
        let stand = stand::<E>(greet.options("tested"), greet);
        assert_eq!(Raw::connect(stand.tcp).ask_all(b"you"), answer, "{template}");
    }
}

fn the_template_is_encoded_and_the_message_is_not<E: Engine>() {
    let gbk: TextEncoding = "gbk".parse().unwrap();
    let greet = Greet::new("你好 {}", gbk).unwrap();
    let stand = stand::<E>(greet.options("tested"), greet);
    for message in [&b"\xce\xd2"[..], b"\xff\xff"] {
        assert_eq!(Raw::connect(stand.tcp).ask_all(message), [b"\xc4\xe3\xba\xc3 ", message].concat());
    }
    assert!(Greet::new("你好 {}", "latin1".parse().unwrap()).is_err());
}
