//! Telnet commands in lines, whatever the encoding.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use switchboard::services::chat::ChatConfig;
use switchboard::{Limits, TextEncoding};

use super::hall::Hall;
use super::member::Member;
use crate::support::{Engine, conformance, guard};

conformance! {
    telnet_commands_are_not_part_of_a_message,
}

fn telnet_commands_are_not_part_of_a_message<E: Engine>() {
    for (label, lines) in [
        ("utf-8", &[(&b"\xff\xfb\x1f\xff\xfd\x03h\xff\xf1i"[..], "hi")][..]),
        ("gbk", &[(b"\xff\xfb\x1f\xff\xfd\x03\xc4\xe3\xff\xf1\xba\xc3", "你好")]),
        ("shift_jis", &[(b"\xff\xfb\x1f\xff\xfd\x03h\xff\xf1i", "hi")]),
        // Byte 255 is a letter. Telnet sends it twice, and other programs once.
        (
            "latin1",
            &[(b"\xff\xfb\x1f\xff\xfd\x03h\xff\xf1i", "hi"), (b"\xff\xfd\x03a\xff\xff", "aÿ"), (b"a\xff", "aÿ")],
        ),
        ("windows-1251", &[(b"\xff\xfb\x1fhi", "hi"), (b"\xef\xff\xf2\xfc", "пять"), (b"\xec\xee\xff\xff", "моя")]),
    ] {
        let encoding: TextEncoding = label.parse().unwrap();
        let config = ChatConfig { encoding: encoding.encoding(), ..ChatConfig::default() };
        let hall = Hall::open::<E>(Limits::default(), config, 0);
        let mut eva = Member::enter(hall.json, "eva");
        let stream = TcpStream::connect(hall.lines).unwrap();
        stream.set_read_timeout(Some(guard())).unwrap();
        let mut telnet = BufReader::new(stream);
        telnet.read_until(b'\n', &mut Vec::new()).unwrap();
        for (line, text) in lines {
            telnet.get_ref().write_all(&[line, &b"\r\n"[..]].concat()).unwrap();
            let said = loop {
                let event = eva.event();
                if event["type"] != "joined" {
                    break event;
                }
            };
            assert_eq!(said["text"], *text, "{label}: {}", line.escape_ascii());
        }
    }
}
