//! Panics in callbacks: line 9 of `docs/overload.md`.

mod stopped;

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use switchboard::services::Echo;
use switchboard::{
    CloseReason, ConnId, Context, Endpoint, Framing, JobId, JobOutput, Limits, Message, PanicPolicy, Peer, Service,
    ServiceOptions, TimerId,
};

use crate::support::engine::LOGGED_ERRORS;
use crate::support::{
    Client, Engine, RunningEngine, conformance, encode_frame, guard, instances_if, listen_tcp, observe, serve_with,
};

conformance! {
    panic_closes_only_its_connection,
    panic_in_any_callback_of_a_connection_closes_it,
    panic_outside_a_connection_is_counted,
    panic_in_on_close_changes_nothing_for_others,
    panic_in_a_job_is_counted,
    requests_before_a_panic_are_carried_out,
    panic_of_an_instance_factory_closes_the_new_connection,
    panic_while_an_instance_is_dropped_is_caught,
    panic_ends_the_engine_if_the_policy_says_so,
}

/// Panics in the callback whose name a request gives; echoes every other request.
#[derive(Clone, Default)]
struct Buggy {
    panics_in: Option<&'static str>,
    members: Vec<ConnId>,
}

/// The callbacks that a request of a connection can lead to.
const CALLBACKS: [&str; 5] = ["on_frame", "on_writable", "on_timer", "on_job", "on_close"];

impl Buggy {
    fn panic_if_in(&mut self, callback: &'static str) {
        assert!(self.panics_in.take_if(|name| *name == callback).is_none(), "a bug in {callback}");
    }
}

impl Service for Buggy {
    fn on_open(&mut self, cx: &mut Context<'_>, _peer: &Peer) {
        self.members.push(cx.conn());
        self.panic_if_in("on_open");
    }

    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        let text = str::from_utf8(payload).unwrap();
        if let Some(callback) = CALLBACKS.into_iter().find(|name| *name == text) {
            self.panics_in = Some(callback);
        }
        match text {
            "on_frame" => self.panic_if_in("on_frame"),
            "on_writable" => cx.notify_writable(),
            "on_timer" => _ = cx.set_timer(Duration::ZERO),
            "on_job" => _ = cx.offload(|| ()),
            "job" => _ = cx.offload(|| panic!("a bug in a job")),
            "on_close" => cx.close("as requested"),
            "close, then panic" => cx.close("then panic"),
            "on_turn_end" => {
                self.panics_in = Some("on_turn_end");
                cx.notify_turn_end();
            }
            "all, then panic" => {
                cx.reply(b"before the panic");
                cx.broadcast(&self.members, "to all");
                cx.set_timer(Duration::ZERO);
                panic!("a bug after the requests");
            }
            _ => cx.reply(payload),
        }
    }

    fn on_datagram(&mut self, cx: &mut Context<'_>, _from: SocketAddr, payload: &[u8]) {
        assert_ne!(payload, b"on_datagram", "a bug in on_datagram");
        cx.reply(payload);
    }

    fn on_writable(&mut self, _cx: &mut Context<'_>) {
        self.panic_if_in("on_writable");
    }

    fn on_timer(&mut self, _cx: &mut Context<'_>, _timer: TimerId) {
        self.panic_if_in("on_timer");
    }

    fn on_job(&mut self, cx: &mut Context<'_>, _job: JobId, output: JobOutput) {
        self.panic_if_in("on_job");
        if let Err(error) = output.take::<()>() {
            cx.reply(error.to_string().as_bytes());
        }
    }

    fn on_post(&mut self, cx: &mut Context<'_>, message: Message) {
        if message.is::<&str>() {
            cx.set_timer(Duration::ZERO);
            self.panics_in = Some("on_timer");
            panic!("a bug in on_post");
        }
    }

    fn on_turn_end(&mut self, _cx: &mut Context<'_>) {
        self.panic_if_in("on_turn_end");
    }

    fn on_shutdown(&mut self, _cx: &mut Context<'_>) {
        panic!("a bug in on_shutdown");
    }

    fn on_close(&mut self, cx: &mut Context<'_>, reason: &CloseReason) {
        self.members.retain(|id| *id != cx.conn());
        assert_ne!(*reason, CloseReason::Service("then panic".into()), "a bug in on_close");
        self.panic_if_in("on_close");
    }
}

/// Serves a buggy service, with an instance for each connection if `per_connection`, and an echo
/// service beside it. Returns their addresses.
fn serve_both<E: Engine>(per_connection: bool) -> (RunningEngine, SocketAddr, SocketAddr) {
    let mut engine = E::with_limits(Limits::default());
    let buggy = engine.add_service(instances_if(per_connection, Buggy::default), Buggy::default());
    let echo = engine.add_service(Echo.options("echo"), Echo);
    let (buggy, echo) = (listen_tcp(&mut engine, buggy, Framing::U32BE), listen_tcp(&mut engine, echo, Framing::U32BE));
    (RunningEngine::start(engine), buggy, echo)
}

fn panic_closes_only_its_connection<E: Engine>() {
    for per_connection in [false, true] {
        let (engine, buggy, echo) = serve_both::<E>(per_connection);
        let mut others = [Client::connect(buggy), Client::connect(echo)];
        for other in &mut others {
            other.echo(b"before");
        }
        let mut client = Client::connect(buggy);
        let requests = ["one", "two", "on_frame", "never answered"];
        client.send_bytes(&requests.map(|request| encode_frame("u32be", request.as_bytes())).concat());
        assert_eq!(client.receive(), b"one");
        assert_eq!(client.receive(), b"two");
        client.expect_end();
        for other in &mut others {
            other.echo(b"after");
        }
        Client::connect(buggy).echo(b"a new connection");
        let stats = engine.drain();
        assert_eq!((stats.panics, stats.faulted), (2, 1), "one, and one in on_shutdown: {stats}");
    }
}

fn panic_in_any_callback_of_a_connection_closes_it<E: Engine>() {
    for per_connection in [false, true] {
        let (engine, buggy, echo) = serve_both::<E>(per_connection);
        let mut echo = Client::connect(echo);
        for (number, callback) in (1..).zip(["on_frame", "on_writable", "on_timer", "on_job"]) {
            let mut client = Client::connect(buggy);
            client.echo(b"before");
            client.send(callback.as_bytes());
            client.expect_end();
            echo.echo(callback.as_bytes());
            assert_eq!(engine.counters()["panics"], number, "{callback}");
        }
    }
}

fn panic_outside_a_connection_is_counted<E: Engine>() {
    let mut engine = E::with_limits(Limits::default());
    let id = engine.add_service("test", Buggy::default());
    let addr = listen_tcp(&mut engine, id, Framing::U32BE);
    let Endpoint::Udp(udp) = engine.listen(id, "udp:127.0.0.1:0", Framing::Raw) else { unreachable!() };
    let engine = RunningEngine::start(engine);
    let mut client = Client::connect(addr);
    // In on_post and in the timer that it sets.
    engine.handle.post(id, Box::new("a message")).unwrap();
    engine.await_counter("panics", |panics| panics == 2);
    client.echo(b"still served");
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(guard())).unwrap();
    socket.send_to(b"on_datagram", udp).unwrap();
    socket.send_to(b"hello", udp).unwrap();
    let mut buffer = [0; 16];
    assert_eq!(socket.recv(&mut buffer).unwrap(), 5);
    client.send(b"on_turn_end");
    engine.await_counter("panics", |panics| panics == 4);
    client.echo(b"still served");
    let stats = engine.drain();
    assert_eq!((stats.panics, stats.faulted), (5, 0), "the last one is in on_shutdown: {stats}");
}

fn panic_in_on_close_changes_nothing_for_others<E: Engine>() {
    for per_connection in [false, true] {
        let (engine, buggy, _) = serve_both::<E>(per_connection);
        let mut other = Client::connect(buggy);
        other.echo(b"before");
        let mut client = Client::connect(buggy);
        client.send(b"on_close");
        client.expect_end();
        other.echo(b"after");
        drop(client);
        engine.await_counter("open", |open| open == 1);
        let counters = engine.counters();
        assert_eq!((counters["panics"], counters["closed"], counters["faulted"]), (1, 1, 0));
    }
}

fn panic_in_a_job_is_counted<E: Engine>() {
    let (engine, buggy, _) = serve_both::<E>(false);
    let mut client = Client::connect(buggy);
    assert_eq!(client.ask(b"job"), b"the job panicked");
    client.echo(b"still open");
    assert_eq!(engine.counters()["panics"], 1);
}

/// As if the callback had returned where it panicked.
fn requests_before_a_panic_are_carried_out<E: Engine>() {
    let (buggy, events) = observe(Buggy::default());
    let name = format!("carried-out-{}", std::any::type_name::<E>());
    let (engine, addr) = serve_with::<E>(Limits::default(), name.as_str(), buggy);
    let mut other = Client::connect(addr);
    other.echo(b"before");
    let mut client = Client::connect(addr);
    client.send(b"all, then panic");
    assert_eq!(client.receive(), b"before the panic");
    assert_eq!(client.receive(), b"to all");
    client.expect_end();
    assert_eq!(other.receive(), b"to all");
    assert_eq!(events.next_closed().1, CloseReason::ServicePanicked);
    other.echo(b"after");
    drop((client, other));
    engine.await_counter("open", |open| open == 0);
    engine.handle.stop();
    engine.join();
    let closed: Vec<_> = events.into_remaining();
    assert_eq!(closed.len(), 1, "on_close was called once for each connection: {closed:?}");
    let lines = logged_errors(&name);
    let [line] = &lines[..] else { panic!("{lines:?}") };
    assert!(line.contains(" closed: panic in on_frame: a bug after the requests"), "{line}");
    assert!(line.starts_with(&format!("{name} 127.0.0.1:")), "{line}");
}

fn panic_of_an_instance_factory_closes_the_new_connection<E: Engine>() {
    let panics = Arc::new(AtomicBool::new(false));
    let factory_panics = Arc::clone(&panics);
    let options = ServiceOptions::new("test").per_connection(move || {
        assert!(!factory_panics.load(Ordering::SeqCst), "a bug in the factory");
        Buggy::default()
    });
    let (engine, addr) = serve_with::<E>(Limits::default(), options, Buggy::default());
    let mut other = Client::connect(addr);
    other.echo(b"before");
    panics.store(true, Ordering::SeqCst);
    let mut client = Client::connect(addr);
    // The reactor makes no instances.
    if engine.counters()["panics"] == 0 && std::any::type_name::<E>().ends_with("Reactor") {
        client.echo(b"served");
    } else {
        client.expect_end();
    }
    other.echo(b"after");
}

/// Echoes, and panics when it is dropped.
struct Bomb(Arc<Mutex<bool>>);

impl Service for Bomb {
    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        cx.reply(payload);
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        let is_armed = self.0.lock().is_ok_and(|armed| *armed);
        assert!(!is_armed, "a bug in a destructor");
    }
}

fn panic_while_an_instance_is_dropped_is_caught<E: Engine>() {
    let armed = Arc::new(Mutex::new(false));
    let instances = Arc::clone(&armed);
    let options = ServiceOptions::new("test").per_connection(move || Bomb(Arc::clone(&instances)));
    let (engine, addr) = serve_with::<E>(Limits::default(), options, Bomb(Arc::clone(&armed)));
    let mut other = Client::connect(addr);
    let mut client = Client::connect(addr);
    client.echo(b"before");
    *armed.lock().unwrap() = true;
    drop(client);
    engine.await_counter("open", |open| open == 1);
    other.echo(b"after");
    engine.drain();
    *armed.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = false;
}

fn panic_ends_the_engine_if_the_policy_says_so<E: Engine>() {
    for per_connection in [false, true] {
        let mut engine = E::with_limits(Limits { panic: PanicPolicy::Abort, ..Limits::default() });
        let id = engine.add_service(instances_if(per_connection, Buggy::default), Buggy::default());
        let addr = listen_tcp(&mut engine, id, Framing::U32BE);
        let (ended_out, ended) = channel();
        thread::spawn(move || {
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| engine.run().map(drop)));
            ended_out.send(result).unwrap();
        });
        let mut client = Client::connect(addr);
        client.echo(b"before");
        client.send(b"on_frame");
        let panic = ended.recv_timeout(guard()).unwrap().unwrap_err();
        assert_eq!(panic.downcast_ref::<String>().map(String::as_str), Some("a bug in on_frame"));
    }
}

/// Returns the lines logged as errors that begin with the name of this service.
fn logged_errors(service: &str) -> Vec<String> {
    LOGGED_ERRORS.lock().unwrap().iter().filter(|line| line.starts_with(service)).cloned().collect()
}
