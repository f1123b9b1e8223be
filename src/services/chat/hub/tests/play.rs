//! Plays a script to a hub.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

use super::harness::Table;
use super::script::{Act, Script, Speech, Step};
use super::*;

/// Somebody in a script.
struct Peer {
    speech: Speech,
    reach: Address,
    /// What came for it and was not looked at.
    unheard: VecDeque<Vec<u8>>,
    closed: bool,
}

#[derive(Clone, Copy)]
enum Address {
    Conn(ConnId),
    Source(SocketAddr),
}

/// Plays it from top to bottom; panics with the line at which the hub does something else.
pub(super) fn play(script: &Script) {
    let mut table = Table::new(script.rules.clone());
    let mut peers: HashMap<String, Peer> = HashMap::new();
    for step in &script.steps {
        let Step { line, who, act } = step;
        let at = format!("{}:{line}: {who}", script.name);
        match act {
            Act::Clock(by) => table.advance(*by),
            Act::Connects(speech, from) => {
                let reach = match speech {
                    Speech::Udp => Address::Source(SocketAddr::new(*from, 20_000 + peers.len() as u16)),
                    Speech::Console => Address::Conn(table.connect_console()),
                    Speech::Json => Address::Conn(table.connect(Dialect::Json, *from)),
                    Speech::Lines => Address::Conn(table.connect(Dialect::Lines, *from)),
                    Speech::Raw => Address::Conn(table.connect(Dialect::Raw, *from)),
                };
                peers.insert(who.clone(), Peer { speech: *speech, reach, unheard: VecDeque::new(), closed: false });
            }
            Act::Says(bytes) => match peers[who].reach {
                Address::Conn(conn) if peers[who].speech == Speech::Lines => table.say_lines(conn, bytes),
                Address::Conn(conn) => table.say(conn, bytes),
                Address::Source(source) => table.say_datagram(source, bytes),
            },
            Act::Closes => {
                if let Address::Conn(conn) = peers[who].reach {
                    table.close(conn, &CloseReason::PeerClosed);
                }
                peers.get_mut(who).expect(&at).closed = true;
            }
            Act::Hears(expected) => {
                let next = peers.get_mut(who).expect(&at).unheard.pop_front();
                let next = next.unwrap_or_else(|| panic!("{at}: hears nothing instead of {expected:?}"));
                assert!(expected.is(&next), "{at}: hears {}", String::from_utf8_lossy(&next));
            }
            Act::Silent => assert_silent(&at, &peers[who]),
            Act::Ends => {
                assert_silent(&at, &peers[who]);
                let ended = matches!(peers[who].reach, Address::Conn(conn) if table.ended.contains(&conn));
                assert!(ended, "{at}: is still connected");
            }
        }
        table.settle();
        table.hub.check();
        for peer in peers.values_mut() {
            peer.listen(&mut table);
        }
    }
    for (who, peer) in peers.iter().filter(|(_, peer)| !peer.closed) {
        assert_silent(&format!("{}, at its end: {who}", script.name), peer);
    }
}

fn assert_silent(at: &str, peer: &Peer) {
    let unheard: Vec<_> = peer.unheard.iter().map(|bytes| String::from_utf8_lossy(bytes)).collect();
    assert!(unheard.is_empty(), "{at}: hears {unheard:#?}");
}

impl Peer {
    fn listen(&mut self, table: &mut Table) {
        let heard = match self.reach {
            Address::Conn(conn) => table.heard(conn),
            Address::Source(source) => table.out.datagrams.remove(&source).map(Vec::from).unwrap_or_default(),
        };
        for payload in heard {
            // A raw peer is sent line feeds with its lines, and no other sign of where one message ends.
            match self.speech {
                Speech::Raw => {
                    let lines = payload.strip_suffix(b"\n").expect("what a raw peer is sent ends its line");
                    self.unheard.extend(lines.split(|byte| *byte == b'\n').map(<[u8]>::to_vec));
                }
                _ => self.unheard.push_back(payload.to_vec()),
            }
        }
    }
}
