//! Work that blocks, done elsewhere.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use switchboard::services::Echo;
use switchboard::{CloseReason, Context, Framing, JobError, JobId, JobOutput, Limits, Message, Service, Threaded};

use crate::support::{Client, Engine, GUARD, RunningEngine, conformance, listen_tcp, observe, serve};

conformance! {
    a_jobs_result_comes_back_to_the_connection_that_wanted_it,
    a_job_that_panics_says_so_and_harms_nobody,
    a_closed_connections_job_says_nothing_to_its_peer,
    who_always_has_more_to_do_is_heard_and_hears,
    who_always_has_more_to_do_for_nobody_holds_nobody_up,
    work_that_is_asked_for_in_the_goodbye_is_done,
    long_work_holds_up_neither_other_services_nor_more_threads_than_its_own,
}

/// Does what each message says on another thread and replies with what came of it.
struct Working {
    /// Waiting work says here that it has begun.
    begun: Sender<()>,
    /// And waits for a word from here.
    go: Option<Receiver<()>>,
    started: Sender<JobId>,
    ended: Sender<JobId>,
}

impl Service for Working {
    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        let said = payload.to_vec();
        let job = match payload {
            b"panic" => cx.offload(|| -> Vec<u8> { std::panic::resume_unwind(Box::new("as asked")) }),
            b"wait" | b"wait and close" => {
                let (begun, go) = (self.begun.clone(), self.go.take().unwrap());
                cx.offload(move || {
                    let _ = begun.send(());
                    go.recv_timeout(GUARD).unwrap();
                    said
                })
            }
            _ => cx.offload(move || said.iter().rev().copied().collect::<Vec<u8>>()),
        };
        let _ = self.started.send(job);
        if payload.ends_with(b"close") {
            cx.close("not waiting for it");
        }
    }

    fn on_job(&mut self, cx: &mut Context<'_>, job: JobId, output: JobOutput) {
        match output.take::<Vec<u8>>() {
            Ok(reply) => cx.reply(&reply),
            Err(error) => cx.reply(error.to_string().as_bytes()),
        }
        let _ = self.ended.send(job);
    }
}

struct Jobs {
    begun: Receiver<()>,
    go: Sender<()>,
    started: Receiver<JobId>,
    ended: Receiver<JobId>,
}

fn working() -> (Working, Jobs) {
    let (at_work, begun) = channel();
    let (go, gone) = channel();
    let (started, start) = channel();
    let (ended, end) = channel();
    (Working { begun: at_work, go: Some(gone), started, ended }, Jobs { begun, go, started: start, ended: end })
}

fn a_jobs_result_comes_back_to_the_connection_that_wanted_it<E: Engine>() {
    let (service, jobs) = working();
    let (running, addr) = serve::<E>(Limits::default(), service);
    let mut clients: Vec<Client> = (0..20).map(|_| Client::connect(addr)).collect();
    for (number, client) in clients.iter().enumerate() {
        client.send(format!("job {number:02}").as_bytes());
    }
    for (number, client) in clients.iter_mut().enumerate() {
        let reversed: Vec<u8> = format!("job {number:02}").bytes().rev().collect();
        assert_eq!(client.receive(), reversed);
    }
    drop(clients);
    assert_eq!(running.drain().jobs, 20);
    let sorted = |jobs: Receiver<JobId>| {
        let mut names: Vec<String> = jobs.into_iter().map(|job| format!("{job:?}")).collect();
        names.sort();
        names
    };
    assert_eq!(sorted(jobs.started), sorted(jobs.ended), "each job ended under its own name");
}

fn a_job_that_panics_says_so_and_harms_nobody<E: Engine>() {
    let (service, _jobs) = working();
    let (running, addr) = serve::<E>(Limits { workers: 1, ..Limits::default() }, service);
    let mut client = Client::connect(addr);
    assert_eq!(client.ask(b"panic"), JobError::Panicked.to_string().as_bytes());
    assert_eq!(client.ask(b"abc"), b"cba", "the worker goes on");
    drop(client);
    running.drain();
}

fn a_closed_connections_job_says_nothing_to_its_peer<E: Engine>() {
    let (service, jobs) = working();
    let (service, events) = observe(service);
    let (running, addr) = serve::<E>(Limits { linger_timeout: GUARD, ..Limits::default() }, service);
    let mut client = Client::connect(addr);
    client.send(b"wait and close");
    events.next_closed();
    client.expect_end();
    jobs.go.send(()).unwrap();
    jobs.ended.recv_timeout(GUARD).expect("the service still hears what became of it");
    // A write to a side that was shut down would break the connection off, and its last words with it.
    client.expect_end();
    client.send(b"discarded");
    drop(client);
    assert_eq!(running.drain().faulted, 0);
}

/// Echoes, and has more work to do whenever some is done.
#[derive(Clone)]
struct Tireless {
    own: bool,
}

impl Service for Tireless {
    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        cx.reply(payload);
        if payload == b"begin" {
            cx.offload(std::thread::yield_now);
        }
    }

    fn on_post(&mut self, cx: &mut Context<'_>, _message: Message) {
        cx.offload(std::thread::yield_now);
    }

    fn on_job(&mut self, cx: &mut Context<'_>, _job: JobId, _output: JobOutput) {
        cx.offload(std::thread::yield_now);
    }

    fn per_connection(&self) -> Option<Box<dyn Service + Send>> {
        self.own.then(|| Box::new(self.clone()) as Box<dyn Service + Send>)
    }
}

fn who_always_has_more_to_do_is_heard_and_hears<E: Engine>() {
    for own in [true, false] {
        let limits = Limits { drain_timeout: Duration::from_millis(200), ..Limits::default() };
        let (service, events) = observe(Tireless { own });
        let (running, addr) =
            if own { serve::<E>(limits, Tireless { own }) } else { serve::<E>(limits.clone(), service) };
        let mut client = Client::connect(addr);
        (0..3).for_each(|_| client.echo(b"begin"));
        (0..100).for_each(|_| client.echo(b"still heard"));
        let large = vec![7; 1 << 20];
        client.echo(&large);
        // It is never done, so a drain ends when its time is up.
        running.handle.drain();
        client.expect_end();
        drop(client);
        running.join();
        if !own {
            assert_eq!(events.next_closed().1, CloseReason::ShuttingDown);
        }

        let (running, addr) = serve::<E>(Limits::default(), Tireless { own });
        let mut client = Client::connect(addr);
        client.echo(b"begin");
        running.handle.stop();
        running.join();
    }
}

fn who_always_has_more_to_do_for_nobody_holds_nobody_up<E: Engine>() {
    let mut engine = E::with_limits(Limits::default());
    let tested = engine.add_service("tested", Tireless { own: false });
    let addr = listen_tcp(&mut engine, tested, Framing::U32BE);
    let running = RunningEngine::start(engine);
    running.handle.post(tested, Box::new(())).unwrap();
    running.await_counter("jobs", |jobs| jobs > 100);
    let mut client = Client::connect(addr);
    client.echo(b"hello");
    drop(client);
    running.drain();
}

/// Has something to do when a connection has gone.
struct Tidy {
    go: Option<Receiver<()>>,
    done: Sender<Result<u32, JobError>>,
}

impl Service for Tidy {
    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        cx.reply(payload);
    }

    fn on_close(&mut self, cx: &mut Context<'_>, _reason: &CloseReason) {
        let go = self.go.take().unwrap();
        cx.offload(move || go.recv_timeout(GUARD).map_or(0, |()| 42_u32));
    }

    fn on_job(&mut self, _cx: &mut Context<'_>, _job: JobId, output: JobOutput) {
        let _ = self.done.send(output.take());
    }
}

fn work_that_is_asked_for_in_the_goodbye_is_done<E: Engine>() {
    let (go, gone) = channel();
    let (done, end) = channel();
    let (running, addr) = serve::<E>(Limits::default(), Tidy { go: Some(gone), done });
    let mut client = Client::connect(addr);
    client.echo(b"hello");
    client.finish();
    // Which does not keep its peer.
    client.expect_end();
    go.send(()).unwrap();
    assert_eq!(end.recv_timeout(GUARD), Ok(Ok(42)));
    running.drain();
}

/// On the reactor only: where jobs run on the connection's own thread, nothing can happen meanwhile.
mod on_workers {
    use super::*;
    use switchboard::Reactor;

    #[test]
    fn a_client_that_has_said_all_still_gets_its_jobs_answer() {
        let (service, jobs) = working();
        let (service, events) = observe(service);
        let mut engine = Reactor::with_limits(Limits::default());
        let work = engine.add_service("work", service);
        let echo = engine.add_service("echo", Echo);
        let (addr, other) =
            (listen_tcp(&mut engine, work, Framing::U32BE), listen_tcp(&mut engine, echo, Framing::U32BE));
        let running = RunningEngine::start(engine);
        let mut client = Client::connect(addr);
        client.send(b"wait");
        client.finish();
        jobs.started.recv_timeout(GUARD).unwrap();
        // What was sent before these was seen before them.
        let mut other = Client::connect(other);
        (0..3).for_each(|_| other.echo(b"meanwhile"));
        jobs.go.send(()).unwrap();
        assert_eq!(client.receive(), b"wait");
        client.expect_end();
        assert_eq!(events.next_closed().1, CloseReason::PeerClosed);
        drop((client, other));
        running.drain();
    }

    #[test]
    fn draining_waits_for_the_answer_of_a_job() {
        let (service, jobs) = working();
        let (running, addr) = serve::<Reactor>(Limits { drain_timeout: GUARD, ..Limits::default() }, service);
        let mut idle = Client::connect(addr);
        assert_eq!(idle.ask(b"abc"), b"cba");
        let mut client = Client::connect(addr);
        client.send(b"wait");
        for _ in 0..2 {
            jobs.started.recv_timeout(GUARD).unwrap();
        }
        running.handle.drain();
        idle.expect_end();
        drop(idle);
        jobs.go.send(()).unwrap();
        assert_eq!(client.receive(), b"wait");
        client.expect_end();
        drop(client);
        running.join();
    }

    #[test]
    fn work_beyond_the_bound_is_refused() {
        let (service, jobs) = working();
        let limits = Limits { workers: 1, max_queued_jobs: 1, ..Limits::default() };
        let (running, addr) = serve::<Reactor>(limits, service);
        let mut first = Client::connect(addr);
        first.send(b"wait");
        jobs.started.recv_timeout(GUARD).unwrap();
        jobs.begun.recv_timeout(GUARD).expect("the only worker is busy now");
        let mut others: Vec<Client> = (0..3).map(|_| Client::connect(addr)).collect();
        for other in &others {
            other.send(b"abc");
            jobs.started.recv_timeout(GUARD).unwrap();
        }
        for refused in &mut others[1..] {
            assert_eq!(refused.receive(), JobError::Rejected.to_string().as_bytes());
        }
        jobs.go.send(()).unwrap();
        assert_eq!(first.receive(), b"wait");
        assert_eq!(others[0].receive(), b"cba", "one may wait");
        drop((first, others));
        running.drain();
    }
}

/// Its work takes as long as the test wants, and two pieces of it may be done at once.
struct Long {
    begun: Sender<()>,
    go: Arc<Mutex<Receiver<()>>>,
}

impl Service for Long {
    fn on_frame(&mut self, cx: &mut Context<'_>, _payload: &[u8]) {
        let (begun, go) = (self.begun.clone(), Arc::clone(&self.go));
        cx.offload(move || {
            let _ = begun.send(());
            let _ = go.lock().unwrap().recv_timeout(GUARD);
        });
    }

    fn on_job(&mut self, cx: &mut Context<'_>, _job: JobId, output: JobOutput) {
        cx.reply(format!("{:?}", output.take::<()>()).as_bytes());
    }

    fn job_threads(&self) -> Option<NonZeroUsize> {
        NonZeroUsize::new(2)
    }
}

/// Long work, short work and an echo on one engine.
fn long_and_short<E: Engine>() -> (RunningEngine, [SocketAddr; 3], Receiver<()>, Sender<()>) {
    let mut engine = E::with_limits(Limits { workers: 1, drain_timeout: Duration::ZERO, ..Limits::default() });
    let (begun, begins) = channel();
    let (go, gone) = channel();
    let long = engine.add_service("long", Long { begun, go: Arc::new(Mutex::new(gone)) });
    let short = engine.add_service("short", working().0);
    let echo = engine.add_service("echo", Echo);
    let addresses = [long, short, echo].map(|service| listen_tcp(&mut engine, service, Framing::U32BE));
    (RunningEngine::start(engine), addresses, begins, go)
}

fn long_work_holds_up_neither_other_services_nor_more_threads_than_its_own<E: Engine>() {
    let (running, [long, short, echo], begins, go) = long_and_short::<E>();
    let mut waiting = [(); 3].map(|()| {
        let client = Client::connect(long);
        client.send(b"work");
        client
    });
    begins.recv_timeout(GUARD).unwrap();
    begins.recv_timeout(GUARD).unwrap();
    for (address, answer) in [(short, &b"trohs"[..]), (echo, b"short")] {
        let mut client = Client::connect(address);
        client.send(b"short");
        assert_eq!(client.receive(), answer);
    }
    assert!(begins.try_recv().is_err(), "the third waits for one of the two");
    go.send(()).unwrap();
    begins.recv_timeout(GUARD).unwrap();
    drop(go);
    for client in &mut waiting {
        assert_eq!(client.receive(), b"Ok(())");
    }
    running.drain();
}

/// A connection's thread that waits for leave to work can be told nothing else.
#[test]
fn work_that_waits_for_others_does_not_hold_up_the_end_on_threads() {
    let (running, [long, ..], begins, go) = long_and_short::<Threaded>();
    let (ends, ended) = channel();
    for _ in 0..3 {
        let (mut client, ends) = (Client::connect(long), ends.clone());
        client.send(b"work");
        thread::spawn(move || ends.send(client.receive_or_end()));
    }
    begins.recv_timeout(GUARD).unwrap();
    begins.recv_timeout(GUARD).unwrap();
    running.await_counter("jobs", |jobs| jobs == 3);
    running.handle.stop();
    // The one whose work has not begun has to wait for nobody, and the others for their own work only.
    assert_eq!(ended.recv_timeout(GUARD).unwrap().unwrap(), b"Err(Rejected)");
    drop(go);
    running.join();
    assert!(begins.try_recv().is_err(), "it was begun after all");
}
