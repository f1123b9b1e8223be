//! A service of ten lines on the reactor: run `cargo run --example ten_lines`, then
//! `nc 127.0.0.1 8080`.

use switchboard::{Context, Framing, Limits, Reactor, Service};

// ANCHOR: service
struct Shout;

impl Service for Shout {
    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        let mut reply = payload.to_ascii_uppercase();
        reply.push(b'!');
        cx.reply(&reply);
    }
}
// ANCHOR_END: service

// ANCHOR: main
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let mut reactor = Reactor::new(Limits::default())?;
    let shout = reactor.add_service("shout", Shout);
    println!("listening shout {}", reactor.listen(shout, &address.parse()?, Framing::Lines)?);
    reactor.run()?;
    Ok(())
}
// ANCHOR_END: main
