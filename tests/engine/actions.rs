//! What a service does to other connections than the one it hears from.

use switchboard::{CloseReason, ConnId, Context, Framing, Limits, Payload, Peer, Service};

use crate::support::{Client, Engine, RunningEngine, conformance, listen_tcp, observe, serve};

conformance! {
    a_broadcast_reaches_each_of_two_hundred_once_and_in_order,
    a_broadcast_is_framed_for_each_receiver,
    what_is_sent_to_another_arrives_in_the_order_it_was_said,
    one_peer_may_have_another_closed,
    the_name_of_one_who_has_gone_never_reaches_the_next,
}

/// `all TEXT` to everybody, `to N TEXT` to number N, `close N`; everything else comes back.
#[derive(Default)]
struct Operator(Vec<ConnId>);

impl Service for Operator {
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
                // Twice and a reply, so that the order is seen.
                cx.send(to, next());
                cx.reply(b"sent");
                cx.send(to, "and again");
            }
            "close" => cx.close_other(self.0[next().parse::<usize>().unwrap()], "at another's word"),
            "ghosts" => {
                let own = cx.conn();
                for id in self.0.iter().filter(|id| **id != own) {
                    cx.send(*id, "ghost");
                    cx.close_other(*id, "ghost");
                }
                cx.broadcast(&self.0, Payload::from("you"));
            }
            _ => cx.reply(payload),
        }
    }
}

fn a_broadcast_reaches_each_of_two_hundred_once_and_in_order<E: Engine>() {
    let (running, addr) = serve::<E>(Limits::default(), Operator::default());
    let mut members: Vec<Client> = (0..200).map(|_| Client::connect(addr)).collect();
    // An answer proves that the member is known to the service.
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

fn a_broadcast_is_framed_for_each_receiver<E: Engine>() {
    let mut engine = E::with_limits(Limits::default());
    let operator = engine.add_service("operator", Operator::default());
    let prefixed = listen_tcp(&mut engine, operator, Framing::U32BE);
    let lines = listen_tcp(&mut engine, operator, Framing::Lines);
    let running = RunningEngine::start(engine);
    let mut plain = std::net::TcpStream::connect(lines).unwrap();
    plain.set_read_timeout(Some(crate::support::GUARD)).unwrap();
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
    // A line feed cannot be sent in a line: those who cannot have it miss it, and nobody is closed for it.
    member.echo(b"all\nof\nyou".as_slice());
    std::io::Write::write_all(&mut writer, b"all is well\n").unwrap();
    receive(b"all is well\n");
    assert_eq!(member.receive(), b"all is well");
    drop((member, plain, writer));
    running.drain();
}

fn what_is_sent_to_another_arrives_in_the_order_it_was_said<E: Engine>() {
    let (running, addr) = serve::<E>(Limits::default(), Operator::default());
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
    // To itself: what is sent comes among the replies; both orders are whole.
    let mut heard = vec![clients[0].ask(b"to 0 hello"), clients[0].receive(), clients[0].receive()];
    let again = heard.iter().position(|said| said == b"and again").unwrap();
    assert!(heard.iter().position(|said| said == b"hello").unwrap() < again);
    heard.sort();
    assert_eq!(heard, [&b"and again"[..], b"hello", b"sent"]);
    clients[0].echo(b"nothing else");
    drop(clients);
    running.drain();
}

fn one_peer_may_have_another_closed<E: Engine>() {
    let (service, events) = observe(Operator::default());
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
    assert_eq!(second.receive(), b"goodbye", "what was sent before is delivered before");
    assert_eq!(second.receive(), b"and again");
    second.expect_end();
    assert_eq!(events.next_closed(), (second_id, CloseReason::Service("at another's word".into())));
    first.send(b"close 1");
    first.echo(b"closing one who has gone is nothing");
    drop((first, second));
    running.drain();
}

fn the_name_of_one_who_has_gone_never_reaches_the_next<E: Engine>() {
    let (service, events) = observe(Operator::default());
    let (running, addr) = serve::<E>(Limits::default(), service);
    let mut names = std::collections::HashSet::new();
    for _ in 0..50 {
        let mut client = Client::connect(addr);
        assert!(names.insert(events.next_opened()), "a name was given out twice");
        // Each of these would be in the place that one of those before has left.
        assert_eq!(client.ask(b"ghosts"), b"you");
        client.echo(b"not closed, and nothing in between");
        drop(client);
        assert_eq!(events.next_closed().1, CloseReason::PeerClosed);
    }
    running.drain();
}
