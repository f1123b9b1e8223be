//! Actions of a service on connections other than the calling one: send, broadcast, close.

use switchboard::{CloseReason, ConnId, Context, Framing, Limits, Payload, Peer, Service};

use crate::support::{Client, Engine, RunningEngine, conformance, listen_tcp, observe, serve};

conformance! {
    broadcast_reaches_every_member_once_and_in_order,
    broadcast_uses_the_framing_of_each_receiver,
    sends_to_another_connection_arrive_in_order,
    close_other_delivers_earlier_sends_first,
    stale_conn_id_never_reaches_a_later_connection,
}

/// Runs the commands of its peers: `all TEXT` broadcasts, `to N TEXT` sends to member N, `close N`
/// closes member N, `stale` acts on every other member. Echoes everything else.
#[derive(Default)]
struct CommandService(Vec<ConnId>);

impl Service for CommandService {
    fn on_open(&mut self, cx: &mut Context<'_>, _peer: &Peer) {
        self.0.push(cx.conn());
    }

    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        let text = std::str::from_utf8(payload).unwrap();
        let mut words = text.splitn(3, ' ');
        let mut next = || words.next().unwrap();
        match next() {
            "all" => cx.broadcast(&self.0, Payload::from(text)),
            "to" => {
                let to = self.0[next().parse::<usize>().unwrap()];
                // Two sends around a reply make the order visible.
                cx.send(to, next());
                cx.reply(b"sent");
                cx.send(to, "and again");
            }
            "close" => cx.close_other(self.0[next().parse::<usize>().unwrap()], "closed by another member"),
            "stale" => {
                let own = cx.conn();
                for id in self.0.iter().filter(|id| **id != own) {
                    cx.send(*id, "stale");
                    cx.close_other(*id, "stale");
                }
                cx.broadcast(&self.0, Payload::from("only you"));
            }
            _ => cx.reply(payload),
        }
    }
}

fn broadcast_reaches_every_member_once_and_in_order<E: Engine>() {
    let (running, addr) = serve::<E>(Limits::default(), CommandService::default());
    let mut members: Vec<Client> = (0..200).map(|_| Client::connect(addr)).collect();
    // A reply proves that the service knows the member.
    for member in &mut members {
        member.echo(b"here");
    }
    for number in 0..50 {
        members[0].send(format!("all {number}").as_bytes());
    }
    for (at, member) in members.iter_mut().enumerate() {
        for number in 0..50 {
            assert_eq!(member.receive(), format!("all {number}").as_bytes(), "member {at}");
        }
        member.echo(b"nothing in between");
    }
    drop(members);
    running.drain();
}

fn broadcast_uses_the_framing_of_each_receiver<E: Engine>() {
    let mut engine = E::with_limits(Limits::default());
    let service_id = engine.add_service("service_id", CommandService::default());
    let prefixed = listen_tcp(&mut engine, service_id, Framing::U32BE);
    let lines = listen_tcp(&mut engine, service_id, Framing::Lines);
    let running = RunningEngine::start(engine);
    let mut plain = std::net::TcpStream::connect(lines).unwrap();
    plain.set_read_timeout(Some(crate::support::guard())).unwrap();
    let mut receive = |expected: &[u8]| {
        let mut line = vec![0; expected.len()];
        std::io::Read::read_exact(&mut plain, &mut line).unwrap();
        assert_eq!(line, expected);
        plain.try_clone().unwrap()
    };
    std::io::Write::write_all(&mut receive(b""), b"here\n").unwrap();
    receive(b"here\n");
    let mut member = Client::connect(prefixed);
    member.echo(b"all of you");
    let mut writer = receive(b"all of you\n");
    // A payload with a line feed cannot be encoded as a line. That member does not receive it, and
    // no connection is closed.
    member.echo(b"all\nof\nyou".as_slice());
    std::io::Write::write_all(&mut writer, b"all is well\n").unwrap();
    receive(b"all is well\n");
    assert_eq!(member.receive(), b"all is well");
    drop((member, plain, writer));
    running.drain();
}

fn sends_to_another_connection_arrive_in_order<E: Engine>() {
    let (running, addr) = serve::<E>(Limits::default(), CommandService::default());
    let mut clients: Vec<Client> = (0..2)
        .map(|_| {
            let mut client = Client::connect(addr);
            client.echo(b"here");
            client
        })
        .collect();
    assert_eq!(clients[0].ask(b"to 1 hello"), b"sent");
    assert_eq!(clients[1].receive(), b"hello");
    assert_eq!(clients[1].receive(), b"and again");
    // A send to the caller itself arrives among the replies; sends and replies each keep their
    // order.
    let mut received = vec![clients[0].ask(b"to 0 hello"), clients[0].receive(), clients[0].receive()];
    let again = received.iter().position(|message| message == b"and again").unwrap();
    assert!(received.iter().position(|message| message == b"hello").unwrap() < again);
    received.sort();
    assert_eq!(received, [&b"and again"[..], b"hello", b"sent"]);
    clients[0].echo(b"nothing else");
    drop(clients);
    running.drain();
}

fn close_other_delivers_earlier_sends_first<E: Engine>() {
    let (service, events) = observe(CommandService::default());
    let (running, addr) = serve::<E>(Limits::default(), service);
    let mut first = Client::connect(addr);
    first.echo(b"here");
    events.next_opened();
    let mut second = Client::connect(addr);
    second.echo(b"here");
    let second_id = events.next_opened();
    first.send(b"to 1 goodbye");
    first.send(b"close 1");
    assert_eq!(first.receive(), b"sent");
    assert_eq!(second.receive(), b"goodbye", "sends before the close are delivered before it");
    assert_eq!(second.receive(), b"and again");
    second.expect_end();
    assert_eq!(events.next_closed(), (second_id, CloseReason::Service("closed by another member".into())));
    first.send(b"close 1");
    first.echo(b"closing a closed connection has no effect");
    drop((first, second));
    running.drain();
}

fn stale_conn_id_never_reaches_a_later_connection<E: Engine>() {
    let (service, events) = observe(CommandService::default());
    let (running, addr) = serve::<E>(Limits::default(), service);
    let mut ids = std::collections::HashSet::new();
    for _ in 0..50 {
        let mut client = Client::connect(addr);
        assert!(ids.insert(events.next_opened()), "a connection id was used twice");
        // Every client takes a slot that an earlier client has left.
        assert_eq!(client.ask(b"stale"), b"only you");
        client.echo(b"not closed, and nothing in between");
        drop(client);
        assert_eq!(events.next_closed().1, CloseReason::PeerClosed);
    }
    running.drain();
}
