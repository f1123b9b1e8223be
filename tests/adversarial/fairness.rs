//! Floods, and what the others notice of them: line 4 of `docs/overload.md`.
//!
//! The service takes a fixed time in each callback of a flood. So the number of these callbacks
//! until an honest client has its answers is the time that it had to wait, whatever else the
//! machine does.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use switchboard::{Context, Framing, Limits, Message, Peer, Reactor, Service, ServiceId, TimerId};

use crate::support::{Client, Engine, RunningEngine, conformance, flood, guard, listen_tcp, serve};

/// The time that a slow callback takes: longer than a long turn, by the definition in the
/// statistics.
const SLOW: Duration = Duration::from_millis(30);

/// Echoes; a payload that begins with `slow` takes [`SLOW`].
struct SlowOnRequest;

impl Service for SlowOnRequest {
    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        if payload.starts_with(b"slow") {
            thread::sleep(SLOW);
        }
        cx.reply(payload);
    }
}

fn a_slow_callback_is_named_in_the_statistics<E: Engine>() {
    let (running, addr) = serve::<E>(Limits::default(), SlowOnRequest);
    let mut client = Client::connect(addr);
    client.echo(b"slow one");
    client.echo(b"quick");
    client.echo(b"slow two");
    assert!(running.counters()["long_turns_by_work/5/on_frame/test"] >= 2);
    drop(client);
    let stats = running.drain();
    assert!(stats.long_turns >= 2 && stats.longest_turn >= SLOW, "{stats}");
    let frames = stats.long_turns_by_work.iter().find(|it| it.work == "on_frame").unwrap();
    assert_eq!((frames.step, &*frames.service), (5, "test"));
    assert!(frames.longest >= SLOW && frames.longest <= stats.longest_turn, "{stats}");
}

/// Counts the callbacks of floods, each of which takes its time. Answers honest requests at once.
struct Flooded {
    counts: Arc<AtomicUsize>,
    cost: Duration,
    /// Told about the second callback of a flood: the first may be the flooder's `on_open`.
    begun: Sender<()>,
}

impl Flooded {
    fn spend(&mut self) {
        let until = Instant::now() + self.cost;
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        if self.counts.fetch_add(1, Ordering::Relaxed) == 1 {
            self.begun.send(()).unwrap();
        }
    }
}

impl Service for Flooded {
    fn on_open(&mut self, cx: &mut Context<'_>, _peer: &Peer) {
        if cx.framing() == Some(Framing::Lines) {
            self.spend();
        }
    }

    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        match payload {
            b"" => self.spend(),
            b"timers" => (0..TIMERS).for_each(|_| _ = cx.set_timer(Duration::ZERO)),
            _ => cx.reply(payload),
        }
    }

    fn on_timer(&mut self, _cx: &mut Context<'_>, _timer: TimerId) {
        self.spend();
    }

    fn on_post(&mut self, _cx: &mut Context<'_>, _message: Message) {
        self.spend();
    }
}

/// The timers that one connection sets for the same time.
const TIMERS: usize = 10_000;

/// An engine under a flood.
struct Scene {
    running: RunningEngine,
    service: ServiceId,
    /// A listener with lines, for the flood.
    lines: SocketAddr,
    /// The callbacks of the flood.
    counts: Arc<AtomicUsize>,
    begins: Receiver<()>,
    honest: Client,
}

impl Scene {
    /// Starts an engine whose callbacks take `cost` if they are of a flood.
    fn new<E: Engine>(cost: Duration) -> Self {
        let (begun, begins) = channel();
        let counts = Arc::new(AtomicUsize::new(0));
        let mut engine = E::with_limits(Limits::default());
        let service = engine.add_service("test", Flooded { counts: Arc::clone(&counts), cost, begun });
        let addr = listen_tcp(&mut engine, service, Framing::U32BE);
        let lines = listen_tcp(&mut engine, service, Framing::Lines);
        let running = RunningEngine::start(engine);
        let mut honest = Client::connect(addr);
        honest.echo(b"before the flood");
        Self { running, service, lines, counts, begins, honest }
    }

    /// Waits for the flood, then asks three times. Returns the callbacks of the flood meanwhile.
    fn callbacks_until_answered(&mut self) -> usize {
        self.begins.recv_timeout(guard()).expect("the flood has no callback");
        let before = self.counts.load(Ordering::Relaxed);
        for _ in 0..3 {
            self.honest.echo(b"in the flood");
        }
        self.counts.load(Ordering::Relaxed) - before
    }
}

/// One read has 262,144 empty lines: at 20 us each, they take 5 s.
fn a_flood_of_empty_lines_leaves_the_others_their_share<E: Engine>() {
    let mut scene = Scene::new::<E>(Duration::from_micros(20));
    let flooders = [Client::connect(scene.lines), Client::connect(scene.lines)];
    let threads = flooders.each_ref().map(|flooder| flood(flooder, vec![b'\n'; 256 * 1024]));
    let made = scene.callbacks_until_answered();
    assert!(made < 100_000, "{made} callbacks of the flood came before three answers");
    drop((scene, flooders));
    for thread in threads {
        thread.join().unwrap();
    }
}

/// 1,000 messages wait: at 2 ms each, they take 2 s.
fn a_flood_of_posts_leaves_the_others_their_share<E: Engine>() {
    let mut scene = Scene::new::<E>(Duration::from_millis(2));
    for _ in 0..1000 {
        scene.running.handle.post(scene.service, Box::new(())).unwrap();
    }
    let made = scene.callbacks_until_answered();
    assert!(made < 900, "{made} messages came before three answers");
}

/// 10,000 timers are due at once: at 200 us each, they take 2 s.
fn timers_due_at_once_leave_the_others_their_share<E: Engine>() {
    let mut scene = Scene::new::<E>(Duration::from_micros(200));
    let owner = Client::connect(scene.lines);
    owner.send_bytes(b"timers\n");
    let made = scene.callbacks_until_answered();
    assert!(made < TIMERS * 9 / 10, "{made} timers fired before three answers");
}

/// 200 newcomers wait in the backlog: at 10 ms each, opening them takes 2 s. On the engine with
/// threads each newcomer is a thread that waits for the service like any other, and in the order of
/// coming.
#[test]
fn an_accept_storm_leaves_the_others_their_share() {
    let mut scene = Scene::new::<Reactor>(Duration::from_millis(10));
    let storm: Vec<_> = (0..200).map(|_| TcpStream::connect(scene.lines).unwrap()).collect();
    let made = scene.callbacks_until_answered();
    assert!(made < 180, "{made} newcomers were opened before three answers");
    drop(storm);
}

conformance! {
    a_slow_callback_is_named_in_the_statistics,
    a_flood_of_empty_lines_leaves_the_others_their_share,
    a_flood_of_posts_leaves_the_others_their_share,
    timers_due_at_once_leave_the_others_their_share,
}
