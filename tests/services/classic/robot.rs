use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use switchboard::TextEncoding;
use switchboard::services::{Robot, RobotRule};

use super::{Raw, datagram, stand};
use crate::support::{Engine, conformance};

conformance! {
    keywords_decide_the_answer,
    the_time_is_the_local_time,
    text_is_read_and_written_in_the_encoding,
    other_rules_replace_the_robots_own,
}

fn keywords_decide_the_answer<E: Engine>() {
    let robot = Robot::default();
    let stand = stand::<E>(robot.options("tested"), robot);
    let mut client = Raw::connect(stand.tcp);
    for (said, answer) in [
        ("hello", "你好"),
        ("你好,你叫什么名字", "你好"),
        ("what is your name?", "我是switchboard"),
        ("名字", "我是switchboard"),
        ("HELLO", "我不能明白您的意思,好尴尬啊..."),
        ("\n", "我不能明白您的意思,好尴尬啊..."),
    ] {
        assert_eq!(String::from_utf8(client.ask(said.as_bytes())).unwrap(), answer, "{said}");
    }
    assert_eq!(
        client.ask(b"\xff\xfe"),
        "我不能明白您的意思,好尴尬啊...".as_bytes(),
        "what is no text is answered, too"
    );
    assert_eq!(datagram(stand.udp, b"hello"), "你好".as_bytes());
}

fn the_time_is_the_local_time<E: Engine>() {
    let zone = TimeZone::get("Asia/Shanghai").unwrap();
    let robot = Robot::new("R2", Robot::rules(), TextEncoding::UTF_8, zone.clone());
    let stand = stand::<E>(robot.options("tested"), robot);
    let local = || Timestamp::now().to_zoned(zone.clone()).datetime();
    for said in ["time", "现在什么时间"] {
        let before = local() - Span::new().seconds(1);
        let answer = String::from_utf8(Raw::connect(stand.tcp).ask(said.as_bytes())).unwrap();
        let time = DateTime::strptime("%Y-%m-%d %H:%M:%S", &answer).unwrap();
        assert!(before < time && time <= local(), "{answer}");
    }
}

fn text_is_read_and_written_in_the_encoding<E: Engine>() {
    let gbk: TextEncoding = "gbk".parse().unwrap();
    let robot = Robot::new("R2", Robot::rules(), gbk, TimeZone::UTC);
    let stand = stand::<E>(robot.options("tested"), robot);
    let mut client = Raw::connect(stand.tcp);
    assert_eq!(client.ask(b"\xc3\xfb\xd7\xd6"), b"\xce\xd2\xca\xc7R2");
    assert_eq!(client.ask(b"\xff"), *gbk.encode("我不能明白您的意思,好尴尬啊...").unwrap());
}

fn other_rules_replace_the_robots_own<E: Engine>() {
    let rule = |keyword: &str, reply: &str| RobotRule { keywords: vec![keyword.to_owned()], reply: reply.to_owned() };
    let latin: TextEncoding = "latin1".parse().unwrap();
    let robot = Robot::new("R2", vec![rule("a", "{name} é 你"), rule("b", "no")], latin, TimeZone::UTC);
    let stand = stand::<E>(robot.options("tested"), robot);
    let mut client = Raw::connect(stand.tcp);
    assert_eq!(client.ask(b"b a"), b"R2 \xe9 ?", "what the encoding has not is a question mark");
    assert_eq!(client.ask(b"hello"), b"?????????,????...".as_slice());
}
