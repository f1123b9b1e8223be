//! The table of served addresses, each with a shell command that tries the service out.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::MAIN_SEPARATOR;

use switchboard::{Endpoint, Framing};

use super::services::{BuiltinService, ServiceArgs};
use crate::cli::report::text;
use crate::cli::terminal::shell::quote;

/// Returns the table row of a bound address: the service's name, the address for a client, and an
/// example command or an empty string.
pub(super) fn row(builtin: &BuiltinService, args: &ServiceArgs, bound: &Endpoint, framing: Framing) -> [String; 3] {
    let address = client_address(bound);
    let command = (builtin.example)(args, bound, framing);
    let command = command.map(|text| text.replace("PROGRAM", &program()).replace("ADDR", &quote(&address)));
    [builtin.name.to_owned(), address, command.unwrap_or_default()]
}

/// Returns the table row of an address that could not be bound, with `mark` in place of the
/// example.
pub(super) fn marked_row(builtin: &BuiltinService, endpoint: &Endpoint, mark: &str) -> [String; 3] {
    [builtin.name.to_owned(), client_address(endpoint), mark.to_owned()]
}

/// Returns the table with these rows.
pub(super) fn table(rows: &[[String; 3]]) -> String {
    text::left_aligned_table(&["service", "address", "try"], rows)
}

/// Returns the name under which a shell finds this program: as it was started if that was a path,
/// by its name otherwise.
fn program() -> String {
    let typed = std::env::args().next().filter(|typed| typed.contains(MAIN_SEPARATOR));
    typed.map_or_else(|| "switchboard".to_owned(), |typed| quote(&typed))
}

/// Returns the address to which a client on this machine connects.
fn client_address(bound: &Endpoint) -> String {
    let at = |addr: &SocketAddr| match addr.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => SocketAddr::from((Ipv4Addr::LOCALHOST, addr.port())),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => SocketAddr::from((Ipv6Addr::LOCALHOST, addr.port())),
        _ => *addr,
    };
    match bound {
        Endpoint::Tcp(addr) => at(addr).to_string(),
        Endpoint::Udp(addr) => format!("udp:{}", at(addr)),
        Endpoint::Unix(path) => format!("unix:{}", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::commands::serve::services;

    fn command(service: &str, bound: &str, framing: &str) -> String {
        let (builtin, args) = (services::find(service).unwrap(), ServiceArgs::default());
        let [_, _, command] = row(builtin, &args, &bound.parse().unwrap(), framing.parse().unwrap());
        command.replace(&program(), "sb")
    }

    #[test]
    fn example_command_uses_the_bound_address() {
        for (service, bound, framing, expected) in [
            ("echo", "127.0.0.1:1", "u32be", "echo hello | sb call echo 127.0.0.1:1"),
            ("echo", "0.0.0.0:1", "u32be", "echo hello | sb call echo 127.0.0.1:1"),
            ("echo", "[::]:1", "u32be", "echo hello | sb call echo '[::1]:1'"),
            ("echo", "127.0.0.1:1", "raw", "echo hello | sb call echo 127.0.0.1:1 --framing raw"),
            ("echo", "udp:127.0.0.1:1", "u32be", "echo hello | sb call echo udp:127.0.0.1:1"),
            ("upper", "unix:/tmp/a b", "raw", "echo hello | sb call upper 'unix:/tmp/a b'"),
            ("robot", "127.0.0.1:1", "lines", "echo 'what is your name?' | sb call robot 127.0.0.1:1 --framing lines"),
            ("clock", "udp:127.0.0.1:1", "raw", "sb call clock udp:127.0.0.1:1 '%A %H:%M:%S'"),
            ("files", "127.0.0.1:1", "u32be", "sb call files 127.0.0.1:1 list"),
            ("files", "127.0.0.1:1", "raw", ""),
            ("exec", "127.0.0.1:1", "raw", "sb call exec 127.0.0.1:1 -- date"),
            ("chat", "127.0.0.1:1", "u32be", "sb call chat 127.0.0.1:1 --nick you"),
            ("chat", "127.0.0.1:1", "u16be", "sb call chat 127.0.0.1:1 --nick you --framing u16be"),
            ("chat", "127.0.0.1:1", "lines", r"printf 'hello\n/quit\n' | nc 127.0.0.1 1"),
            ("chat", "udp:127.0.0.1:1", "raw", "echo 'you : hello' | nc -u -w 1 127.0.0.1 1"),
        ] {
            assert_eq!(command(service, bound, framing), expected);
        }
    }

    #[test]
    fn table_has_a_line_for_each_address() {
        let rows = [["a", "1", "x | y"], ["longer", "22", ""]].map(|row| row.map(str::to_owned));
        assert_eq!(table(&rows), "service  address  try\na        1        x | y\nlonger   22\n");
    }
}
