//! What the kernel knows of a TCP connection beyond its socket's readiness.

#[cfg(target_os = "linux")]
pub(super) use linux::received_by_peer;
#[cfg(not(target_os = "linux"))]
pub(super) use portable::received_by_peer;

#[cfg(target_os = "linux")]
mod linux {
    use std::os::fd::AsFd;

    use nix::sys::socket::getsockopt;
    use nix::{getsockopt_impl, libc, sockopt_impl};

    /// Words of `struct tcp_info` up to the counter, which Linux has since 4.1.
    const WORDS: usize = 16;

    sockopt_impl!(
        /// The first words of `struct tcp_info`, see tcp(7).
        TcpInfo,
        GetOnly,
        libc::IPPROTO_TCP,
        libc::TCP_INFO,
        [u64; WORDS]
    );

    /// Returns the number of bytes that the peer's system has acknowledged, from the connection's
    /// first on: `tcpi_bytes_acked`.
    pub(in crate::net) fn received_by_peer(socket: &impl AsFd) -> Option<u64> {
        getsockopt(socket, TcpInfo).ok()?.last().copied()
    }
}

#[cfg(not(target_os = "linux"))]
mod portable {
    use std::os::fd::AsFd;

    pub(in crate::net) fn received_by_peer(_socket: &impl AsFd) -> Option<u64> {
        None
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::received_by_peer;

    #[test]
    fn what_the_peer_has_acknowledged_is_counted() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        // The count begins with the handshake, which counts as one byte.
        let before = received_by_peer(&server).unwrap();
        assert!(before <= 1, "{before}");
        server.write_all(&[7; 1000]).unwrap();
        client.read_exact(&mut [0; 1000]).unwrap();
        client.write_all(b"an answer carries the acknowledgement").unwrap();
        server.read_exact(&mut [0; 10]).unwrap();
        assert_eq!(received_by_peer(&server), Some(before + 1000));
    }
}
