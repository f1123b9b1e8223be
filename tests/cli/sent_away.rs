//! The client at the real server, where it is not wanted, or not yet.

use std::process::Stdio;

use crate::program::{Program, command};

fn serve(more: &[&str]) -> (Program, String) {
    let args = [&["serve", "chat", "--listen", "127.0.0.1:0"], more].concat();
    let mut server = Program::start(command(&args).stdin(Stdio::piped()).stdout(Stdio::piped()));
    let address = server.address("tcp");
    (server, address)
}

fn call(address: &str, nick: &str) -> Program {
    let args = ["call", "chat", address, "--nick", nick];
    Program::start(command(&args).stdin(Stdio::piped()).stdout(Stdio::piped()))
}

#[test]
fn kicked_or_banned_client_exits_1() {
    let (mut server, address) = serve(&["--console"]);
    let mut eva = call(&address, "eva");
    eva.printed_until("you are eva");
    server.type_in("/kick eva");
    assert_eq!(eva.wait().code(), Some(1));
    assert_eq!(eva.log(), "switchboard: the server removed you: kicked by the operator\n");

    let mut bob = call(&address, "bob");
    bob.printed_until("you are bob");
    server.type_in("/ban 127.0.0.1");
    assert_eq!(bob.wait().code(), Some(1));
    assert_eq!(bob.log(), "switchboard: the server removed you: this address is banned\n");
}

#[test]
fn client_joins_when_its_address_has_room_again() {
    let (_server, address) = serve(&["--max-per-address", "1"]);
    let mut eva = call(&address, "eva");
    eva.printed_until("you are eva");
    let mut bob = call(&address, "bob");
    bob.type_in("let in");
    bob.printed_until("this address has 1 connection already");
    eva.close_input();
    assert_eq!(eva.wait().code(), Some(0));
    bob.printed_until("[lobby] bob: let in");
    bob.close_input();
    assert_eq!(bob.wait().code(), Some(0), "{}", bob.log());
}
