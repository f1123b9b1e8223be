//! Runs a script against a hub.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

use super::harness::HubHarness;
use super::script::{ClientKind, Script, ScriptAction, ScriptStep};
use super::*;

/// A peer in a script.
struct ScriptPeer {
    kind: ClientKind,
    address: PeerAddress,
    /// Payloads that no step of the script has expected yet.
    received: VecDeque<Vec<u8>>,
    is_closed: bool,
}

#[derive(Clone, Copy)]
enum PeerAddress {
    Conn(ConnId),
    Source(SocketAddr),
}

/// Runs the steps of a script in order. Panics with the line of the first step that differs.
pub(super) fn play(script: &Script) {
    let mut chat = HubHarness::new(script.config.clone());
    let mut peers: HashMap<String, ScriptPeer> = HashMap::new();
    for step in &script.steps {
        let ScriptStep { line_number, client, action } = step;
        let at = format!("{}:{line_number}: {client}", script.name);
        match action {
            ScriptAction::AdvanceClock(by) => chat.advance(*by),
            ScriptAction::Connect(kind, from) => {
                let address = match kind {
                    ClientKind::Udp => PeerAddress::Source(SocketAddr::new(*from, 20_000 + peers.len() as u16)),
                    ClientKind::Console => PeerAddress::Conn(chat.connect_console()),
                    ClientKind::Json => PeerAddress::Conn(chat.connect(ChatDialect::Json, *from)),
                    ClientKind::Lines => PeerAddress::Conn(chat.connect(ChatDialect::Lines, *from)),
                    ClientKind::Raw => PeerAddress::Conn(chat.connect(ChatDialect::Raw, *from)),
                };
                peers.insert(
                    client.clone(),
                    ScriptPeer { kind: *kind, address, received: VecDeque::new(), is_closed: false },
                );
            }
            ScriptAction::Send(bytes) => match peers[client].address {
                PeerAddress::Conn(conn) if peers[client].kind == ClientKind::Lines => chat.receive_lines(conn, bytes),
                PeerAddress::Conn(conn) => chat.receive(conn, bytes),
                PeerAddress::Source(source) => chat.receive_datagram(source, bytes),
            },
            ScriptAction::Close => {
                if let PeerAddress::Conn(conn) = peers[client].address {
                    chat.close(conn, &CloseReason::PeerClosed);
                }
                peers.get_mut(client).expect(&at).is_closed = true;
            }
            ScriptAction::Expect(expected) => {
                let next = peers.get_mut(client).expect(&at).received.pop_front();
                let next = next.unwrap_or_else(|| panic!("{at}: received nothing instead of {expected:?}"));
                assert!(expected.matches(&next), "{at}: received {}", String::from_utf8_lossy(&next));
            }
            ScriptAction::ExpectNothing => assert_silent(&at, &peers[client]),
            ScriptAction::ExpectEnd => {
                assert_silent(&at, &peers[client]);
                let ended = matches!(peers[client].address, PeerAddress::Conn(conn) if chat.closed.contains(&conn));
                assert!(ended, "{at}: is still connected");
            }
        }
        chat.run_until_idle();
        chat.hub.check();
        for peer in peers.values_mut() {
            peer.receive(&mut chat);
        }
    }
    for (client, peer) in peers.iter().filter(|(_, peer)| !peer.is_closed) {
        assert_silent(&format!("{}, at its end: {client}", script.name), peer);
    }
}

fn assert_silent(at: &str, peer: &ScriptPeer) {
    let received: Vec<_> = peer.received.iter().map(|bytes| String::from_utf8_lossy(bytes)).collect();
    assert!(received.is_empty(), "{at}: received {received:#?}");
}

impl ScriptPeer {
    /// Takes the payloads delivered to the peer since the last step.
    fn receive(&mut self, chat: &mut HubHarness) {
        let payloads = match self.address {
            PeerAddress::Conn(conn) => chat.take_delivered(conn),
            PeerAddress::Source(source) => chat.out.datagrams.remove(&source).map(Vec::from).unwrap_or_default(),
        };
        for payload in payloads {
            // In the raw dialect only the line feeds separate messages.
            match self.kind {
                ClientKind::Raw => {
                    let lines = payload.strip_suffix(b"\n").expect("a raw payload ends with a line feed");
                    self.received.extend(lines.split(|byte| *byte == b'\n').map(<[u8]>::to_vec));
                }
                _ => self.received.push_back(payload.to_vec()),
            }
        }
    }
}
