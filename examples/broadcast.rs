//! A chat room: each line that one client sends goes to all clients.
//! Run `cargo run --example broadcast`, then `nc 127.0.0.1 8001` in two terminals.

use std::collections::BTreeMap;

use switchboard::{CloseReason, ConnId, Context, Framing, Limits, Peer, Reactor, Service};

// ANCHOR: service
/// The members' names by connection id.
#[derive(Default)]
struct Room {
    members: BTreeMap<ConnId, String>,
}

impl Room {
    fn send_to_all(&self, cx: &mut Context<'_>, text: String) {
        let members: Vec<ConnId> = self.members.keys().copied().collect();
        cx.broadcast(&members, text);
    }
}

impl Service for Room {
    fn on_open(&mut self, cx: &mut Context<'_>, peer: &Peer) {
        self.members.insert(cx.conn(), peer.to_string());
        self.send_to_all(cx, format!("* {peer} is here"));
    }

    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        let Some(name) = self.members.get(&cx.conn()) else { return };
        let text = String::from_utf8_lossy(payload);
        self.send_to_all(cx, format!("{name}: {}", text.escape_debug()));
    }

    fn on_close(&mut self, cx: &mut Context<'_>, reason: &CloseReason) {
        if let Some(name) = self.members.remove(&cx.conn()) {
            self.send_to_all(cx, format!("* {name} has gone: {reason}"));
        }
    }
}
// ANCHOR_END: service

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8001".to_owned());
    let mut reactor = Reactor::new(Limits::default())?;
    let room = reactor.add_service("room", Room::default());
    println!("listening room {}", reactor.listen(room, &address.parse()?, Framing::Lines)?);
    reactor.run()?;
    Ok(())
}
