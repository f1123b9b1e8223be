//! One simulated run: the real loop and the real services, over a scripted system, with peers.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::chat_model::RoomLog;
use super::files_model;
use super::peer::Peer;
use super::scenario::{LATEST_PEERS, Op, PeerKind, Scenario};
use super::watch::{Watch, Watched};
use crate::connection::scripted_stream::ScriptedCall;
use crate::engine::handle::Handle;
use crate::engine::jobs::WakeFn;
use crate::engine::limits::SlowConsumer;
use crate::engine::slab::reserved_key;
use crate::reactor::driver::{Source, SourceKind};
use crate::reactor::event_loop::EventLoop;
use crate::reactor::scripted_driver::{DriverScript, ScriptedDriver};
use crate::service::ServiceId;
use crate::services::Echo;
use crate::services::chat::{Chat, ChatConfig};
use crate::services::files::{Files, FilesDialect};

pub(super) const ECHO_UDP: usize = 4;
pub(super) const CHAT_UDP: usize = 5;

/// The port of the first peer.
const FIRST_PORT: u16 = 1_000;

pub(super) struct World {
    pub(super) event_loop: EventLoop<ScriptedDriver>,
    pub(super) script: DriverScript,
    pub(super) handle: Handle,
    pub(super) woken: Arc<AtomicBool>,
    pub(super) watch: Watch,
    pub(super) peers: Vec<Peer>,
    pub(super) log: RoomLog,
    pub(super) posts: u64,
    pub(super) datagrams: u64,
    /// The datagrams whose echo has not come, and the number of echoes that have.
    pub(super) echoes: (VecDeque<(SocketAddr, Vec<u8>)>, usize),
    /// Time has passed since the loop last slept, so what has arrived must not be held back.
    pub(super) is_late: bool,
    pub(super) drain_began: Option<Instant>,
    pub(super) last_turn: Instant,
    /// The loop was told to stop at once, which may lose output.
    pub(super) is_stopped: bool,
}

impl World {
    /// Runs a scenario to its end. Returns a text that describes the run.
    pub(super) fn run(scenario: &Scenario) -> Result<String, String> {
        let mut world = Self::new(scenario);
        world.run_until_idle()?;
        for (number, op) in scenario.ops.iter().enumerate() {
            if !world.event_loop.is_running() {
                break;
            }
            world.apply(*op).map_err(|error| format!("after operation {number}: {error}"))?;
        }
        world.finish().map_err(|error| format!("at the end: {error}"))?;
        Ok(world.trace())
    }

    fn new(scenario: &Scenario) -> Self {
        let Scenario { limits, chat_rate, kept_messages, events_per_poll, sets_timers, .. } = scenario;
        let [echo, chat, files] = [ServiceId(0), ServiceId(1), ServiceId(2)];
        let listener = |kind: PeerKind, service| Source { kind: SourceKind::Listener(kind.framing()), service };
        let udp = |port, service| {
            let local = SocketAddr::from(([127, 0, 0, 1], port));
            Source { kind: SourceKind::Udp { local }, service }
        };
        let sources = [
            listener(PeerKind::Echo, echo),
            listener(PeerKind::ChatJson, chat),
            listener(PeerKind::ChatLines, chat),
            listener(PeerKind::Files, files),
            udp(7, echo),
            udp(8, chat),
        ];
        let woken = Arc::new(AtomicBool::new(false));
        let wake: WakeFn = {
            let woken = Arc::clone(&woken);
            Arc::new(move || woken.store(true, Ordering::Relaxed))
        };
        let script = DriverScript::new(&sources, Arc::clone(&woken));
        script.limit_events(*events_per_poll);
        let mut setup = crate::reactor::tests::setup(limits.clone(), &wake);
        let watch = Watch::default();
        let config = ChatConfig {
            max_requests_per_second: *chat_rate,
            max_kept_messages: *kept_messages,
            ..ChatConfig::default()
        };
        let (chat, files) = (Chat::new(config), Files::open(files_model::root(), FilesDialect::Framed).unwrap());
        let (chat_options, files_options) = (chat.options("chat"), files.options("files"));
        setup.add_service(Echo.options("echo"), Watched::new(Echo, &watch, 0, *sets_timers, |_| ()));
        setup.add_service(chat_options, Watched::new(chat, &watch, 1, *sets_timers, Chat::check));
        setup.add_service(files_options, Watched::new(files, &watch, 2, *sets_timers, |_| ()));
        let handle = setup.handle.clone();
        let mut event_loop = EventLoop::new(script.driver(), setup, &wake);
        event_loop.shared.threads.job_pools.remove_threads();
        let log = RoomLog { may_drop: limits.slow_consumer != SlowConsumer::Disconnect, ..RoomLog::default() };
        let (posts, datagrams, echoes) = (0, 0, (VecDeque::new(), 0));
        let (peers, is_late, drain_began, last_turn) = (Vec::new(), false, None, script.now());
        Self {
            event_loop,
            script,
            handle,
            woken,
            watch,
            peers,
            log,
            posts,
            datagrams,
            echoes,
            is_late,
            drain_began,
            last_turn,
            is_stopped: false,
        }
    }

    /// Returns peer number `number`, modulo the peers that can still act; or the [`latest`] ones.
    ///
    /// [`latest`]: super::scenario::latest
    fn peer(&mut self, number: usize) -> Option<&mut Peer> {
        let live: Vec<usize> = (0..self.peers.len()).filter(|at| self.peers[*at].is_live()).collect();
        let at = match usize::MAX - number {
            back @ 0..LATEST_PEERS => live.len().checked_sub(back + 1)?,
            _ => number % live.len().max(1),
        };
        let at = *live.get(at)?;
        self.peers.get_mut(at)
    }

    fn apply(&mut self, op: Op) -> Result<(), String> {
        let now = self.script.now();
        // A scripted call holds back what has arrived. After time has passed, that could make a
        // peer late that was in time.
        let is_late = self.is_late;
        match op {
            Op::Connect { kind, room } => self.connect(kind, room),
            Op::Ask { peer, request } => self.with_sender(peer, |peer| peer.ask(request, now)),
            Op::AskHalf { peer, request, bytes } => self.with_sender(peer, |peer| peer.ask_half(request, bytes, now)),
            Op::Flood { peer, requests } => self.with_sender(peer, |peer| peer.flood(requests, now)),
            Op::Garbage { peer, bytes } => self.with_sender(peer, |peer| peer.send_garbage(bytes, now)),
            Op::Read { peer, bytes } => self.read(peer, bytes)?,
            Op::Finish { peer } => self.with(peer, Peer::finish),
            Op::Reset { peer } | Op::NextRead { call: ScriptedCall::Fails(_), peer } => self.with(peer, Peer::reset),
            Op::NextRead { peer, call } if !is_late => self.with(peer, |peer| peer.socket.script_reads([call])),
            Op::NextWrite { call: ScriptedCall::Fails(_), .. } => {}
            Op::NextWrite { peer, call } if !is_late => self.with(peer, |peer| peer.socket.script_writes([call])),
            Op::LateEvent { peer } if !is_late => self.with(peer, |peer| peer.socket.delay_edge()),
            Op::NextRead { .. } | Op::NextWrite { .. } | Op::LateEvent { .. } => {}
            Op::SpuriousEvent { peer, readable, writable } => self.report(peer, readable, writable),
            Op::AcceptFails { listener, errno, times } => {
                let errors = (0..times).map(|_| io::Error::from_raw_os_error(errno));
                self.script.fail_accepts(listener, errors);
            }
            Op::RegisterFails => self.script.fail_next_register(),
            Op::PollInterrupted => self.script.fail_poll(io::ErrorKind::Interrupted),
            Op::Jobs { jobs, order } => {
                let pools = &self.event_loop.shared.threads.job_pools;
                (0..jobs).for_each(|job| _ = pools.run_queued(order * job));
            }
            Op::Post { service, messages } => {
                for _ in 0..messages {
                    self.posts += 1;
                    // The queue may be full.
                    let _ = self.handle.post(ServiceId(service), Box::new(self.posts));
                }
            }
            Op::Datagrams { to_chat, source, datagrams } => self.send_datagrams(to_chat, source, datagrams),
            Op::UdpFull { to_chat } => self.script.script_sends(udp_socket(to_chat), [ScriptedCall::WouldBlock]),
            Op::UdpRoom { to_chat } => self.give_udp_room(udp_socket(to_chat)),
            Op::Elapse { millis } => self.elapse(Duration::from_millis(millis))?,
            Op::Pause { millis } => self.pause(Duration::from_millis(millis)),
            Op::Drain => self.handle.drain(),
            Op::Stop => {
                self.handle.stop();
                self.is_stopped = true;
            }
            Op::Turn => self.turn()?,
        }
        Ok(())
    }

    fn with(&mut self, number: usize, act: impl FnOnce(&mut Peer)) {
        if let Some(peer) = self.peer(number) {
            act(peer);
        }
    }

    fn with_sender(&mut self, number: usize, act: impl FnOnce(&mut Peer)) {
        if let Some(peer) = self.peer(number).filter(|peer| peer.can_send()) {
            act(peer);
        }
    }

    fn connect(&mut self, kind: PeerKind, room: usize) {
        let (number, now) = (self.peers.len(), self.script.now());
        let port = FIRST_PORT + u16::try_from(number).unwrap();
        let listener = PeerKind::ALL.iter().position(|known| *known == kind).unwrap();
        if self.script.is_open(listener) {
            let socket = self.script.connect_from(listener, SocketAddr::from(([127, 0, 0, 1], port)));
            let limits = &self.event_loop.shared.worker.limits;
            self.peers.push(Peer::new(number, kind, socket, port, room, limits, now));
        }
    }

    fn read(&mut self, number: usize, bytes: usize) -> Result<(), String> {
        let now = self.script.now();
        let Some(port) = self.peer(number).map(|peer| peer.port) else { return Ok(()) };
        let is_opened = self.watch.told().of_port(port).is_some();
        let Some(peer) = self.peers.get_mut(usize::from(port - FIRST_PORT)) else { return Ok(()) };
        peer.read(bytes, is_opened, &mut self.log, now).map_err(|error| format!("peer {port}: {error}"))
    }

    fn report(&mut self, number: usize, readable: bool, writable: bool) {
        let Some(peer) = self.peer(number) else { return };
        let socket = peer.socket.clone();
        if let Some(key) = self.script.key_of(&socket) {
            self.script.report(key, readable, writable, false);
        }
    }

    fn send_datagrams(&mut self, to_chat: bool, source: u16, datagrams: usize) {
        let from = SocketAddr::from(([127, 0, 0, 1], source + 100));
        for _ in 0..datagrams {
            self.datagrams += 1;
            let payload = if to_chat {
                format!("u{source} : u{source}-{}", self.datagrams)
            } else {
                format!("{}", self.datagrams)
            };
            self.script.datagram(udp_socket(to_chat), from, payload.as_bytes());
            if !to_chat {
                self.echoes.0.push_back((from, payload.into_bytes()));
            }
        }
    }

    pub(super) fn give_udp_room(&mut self, socket: usize) {
        self.script.clear_sends(socket);
        self.script.report(reserved_key(socket), false, true, false);
    }
}

fn udp_socket(to_chat: bool) -> usize {
    if to_chat { CHAT_UDP } else { ECHO_UDP }
}
