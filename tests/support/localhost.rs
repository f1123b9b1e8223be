//! Addresses of this machine that refuse clients, and that no other program takes meanwhile.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Socket, Type};

/// Starts servers on 127.0.0.1 until the port of one is free on `::1`, the other address of
/// `localhost`. There it is taken by the returned socket, which refuses clients: without it another
/// program may listen there. `start` returns a server and its port.
pub(crate) fn alone_at_localhost<S>(kind: Type, start: impl Fn() -> (S, u16)) -> (S, Option<Socket>) {
    loop {
        let (server, port) = start();
        match refusing_at((Ipv6Addr::LOCALHOST, port).into(), kind) {
            Err(error) if error.kind() == ErrorKind::AddrInUse => {}
            // The system may have no IPv6.
            refusing => return (server, refusing.ok()),
        }
    }
}

/// Returns an address on 127.0.0.1 that refuses clients while the socket lives.
pub(crate) fn refusing(kind: Type) -> (SocketAddr, Socket) {
    let socket = refusing_at((Ipv4Addr::LOCALHOST, 0).into(), kind).unwrap();
    (socket.local_addr().unwrap().as_socket().unwrap(), socket)
}

/// A stream socket that is bound and does not listen refuses clients.
fn refusing_at(address: SocketAddr, kind: Type) -> std::io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, None)?;
    socket.bind(&address.into())?;
    if kind == Type::DGRAM {
        // It receives from itself only.
        socket.connect(&socket.local_addr()?)?;
    }
    Ok(socket)
}
