//! `Handle`: control of an engine from other threads.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use switchboard::services::Echo;
use switchboard::{ConnId, Context, Limits, Message, Payload, Peer, PostError, Service};

use crate::support::{Client, Engine, RunningEngine, conformance, guard, listen_tcp};

conformance! {
    posts_of_each_thread_arrive_in_order,
    post_to_a_full_queue_returns_the_message,
    post_after_the_end_returns_the_message,
    post_reaches_its_service_and_the_connections,
}

/// Sends every posted message to a channel of the test.
struct PostReceiver<T>(Sender<T>);

impl<T: Send + 'static> Service for PostReceiver<T> {
    fn on_frame(&mut self, _cx: &mut Context<'_>, _payload: &[u8]) {}

    fn on_post(&mut self, cx: &mut Context<'_>, message: Message) {
        assert_eq!(cx.conn(), ConnId::NONE);
        let _ = self.0.send(*message.downcast::<T>().unwrap());
    }
}

fn posts_of_each_thread_arrive_in_order<E: Engine>() {
    const EACH: u32 = 2000;
    let (posted, arrived): (_, Receiver<(usize, u32)>) = channel();
    let mut engine = E::with_limits(Limits { max_queued_messages: 100, ..Limits::default() });
    let service = engine.add_service("posted", PostReceiver(posted));
    let running = RunningEngine::start(engine);
    let threads: Vec<_> = (0..4usize)
        .map(|thread| {
            let handle = running.handle.clone();
            thread::spawn(move || {
                for number in 0..EACH {
                    let mut message: Message = Box::new((thread, number));
                    while let Err(error) = handle.post(service, message) {
                        assert!(matches!(error, PostError::Full(_)), "{error}");
                        message = error.into_message();
                        thread::yield_now();
                    }
                }
            })
        })
        .collect();
    let mut next = HashMap::new();
    for _ in 0..4 * EACH {
        let (thread, number) = arrived.recv_timeout(guard()).expect("a message is missing");
        let expected = next.entry(thread).or_insert(0);
        assert_eq!(number, *expected, "thread {thread}");
        *expected += 1;
    }
    for thread in threads {
        thread.join().unwrap();
    }
    running.drain();
    assert!(arrived.recv().is_err(), "a message arrived twice");
}

fn post_to_a_full_queue_returns_the_message<E: Engine>() {
    let (posted, arrived) = channel::<u32>();
    let mut engine = E::with_limits(Limits { max_queued_messages: 3, ..Limits::default() });
    let service = engine.add_service("posted", PostReceiver(posted));
    let handle = engine.handle();
    for number in 0..3u32 {
        handle.post(service, Box::new(number)).unwrap();
    }
    let error = handle.post(service, Box::new(3u32)).unwrap_err();
    assert!(matches!(&error, PostError::Full(message) if message.is::<u32>()), "{error}");
    assert_eq!(error.to_string(), "message not posted: the queue is full");
    // The messages posted before `run` arrive, and the queue has room again.
    let running = RunningEngine::start(engine);
    assert_eq!([(); 3].map(|()| arrived.recv_timeout(guard()).unwrap()), [0, 1, 2]);
    running.handle.post(service, error.into_message()).unwrap();
    assert_eq!(arrived.recv_timeout(guard()).unwrap(), 3);
    running.drain();
}

fn post_after_the_end_returns_the_message<E: Engine>() {
    let mut engine = E::with_limits(Limits::default());
    let service = engine.add_service(Echo.options("echo"), Echo);
    let running = RunningEngine::start(engine);
    let handle = running.handle.clone();
    running.drain();
    let error = handle.post(service, Box::new("too late")).unwrap_err();
    assert!(matches!(error, PostError::Ended(_)), "{error}");
    assert_eq!(*error.into_message().downcast::<&str>().unwrap(), "too late");
    // The other methods of the handle have no effect any more.
    handle.drain();
    handle.stop();
    handle.log_stats();
}

/// Broadcasts every posted text to all connections.
#[derive(Default)]
struct PostBroadcaster(Vec<ConnId>);

impl Service for PostBroadcaster {
    fn on_open(&mut self, cx: &mut Context<'_>, _peer: &Peer) {
        self.0.push(cx.conn());
        cx.reply(b"welcome");
    }

    fn on_frame(&mut self, _cx: &mut Context<'_>, _payload: &[u8]) {}

    fn on_post(&mut self, cx: &mut Context<'_>, message: Message) {
        let text = *message.downcast::<&str>().unwrap();
        // No connection is current, so the reply is dropped.
        cx.reply(b"lost");
        cx.broadcast(&self.0, Payload::from(text));
    }
}

fn post_reaches_its_service_and_the_connections<E: Engine>() {
    let mut engine = E::with_limits(Limits::default());
    let services = ["north", "south"].map(|name| engine.add_service(name, PostBroadcaster::default()));
    let addrs = services.map(|service| listen_tcp(&mut engine, service, switchboard::Framing::U32BE));
    let running = RunningEngine::start(engine);
    let mut clients = addrs.map(Client::connect);
    for client in &mut clients {
        assert_eq!(client.receive(), b"welcome");
    }
    running.handle.post(services[1], Box::new("to the south")).unwrap();
    assert_eq!(clients[1].receive(), b"to the south");
    running.handle.post(services[0], Box::new("to the north")).unwrap();
    assert_eq!(clients[0].receive(), b"to the north");
    drop(clients);
    running.drain();
}
