//! A chat server on an engine, with a port for each dialect.

use std::net::SocketAddr;
use std::os::unix::net::UnixStream;

use switchboard::services::chat::{Chat, ChatConfig};
use switchboard::{Endpoint, Framing, Limits};

use crate::support::{Engine, RunningEngine, listen_tcp};

/// The running server and its addresses.
pub(crate) struct Hall {
    pub(crate) running: RunningEngine,
    pub(crate) json: SocketAddr,
    pub(crate) lines: SocketAddr,
    pub(crate) raw: SocketAddr,
    pub(crate) udp: SocketAddr,
    /// The test's ends of the consoles.
    pub(crate) consoles: Vec<UnixStream>,
}

impl Hall {
    /// Starts a server with this number of consoles.
    pub(crate) fn open<E: Engine>(limits: Limits, config: ChatConfig, consoles: usize) -> Self {
        let mut engine = E::with_limits(limits);
        let chat = Chat::new(config);
        let chat = engine.add_service(chat.options("chat"), chat);
        let json = listen_tcp(&mut engine, chat, Framing::U32BE);
        let lines = listen_tcp(&mut engine, chat, Framing::Lines);
        let raw = listen_tcp(&mut engine, chat, Framing::Raw);
        let udp = match engine.listen(chat, "udp:127.0.0.1:0", Framing::Raw) {
            Endpoint::Udp(addr) => addr,
            other => panic!("asked for UDP, got {other}"),
        };
        let console = |_| {
            let (operators, engines) = UnixStream::pair().unwrap();
            engine.attach(chat, engines.try_clone().unwrap().into(), engines.into()).unwrap();
            operators
        };
        let consoles = (0..consoles).map(console).collect();
        Self { running: RunningEngine::start(engine), json, lines, raw, udp, consoles }
    }
}
