//! Blocking jobs that a service offloads to worker threads.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use switchboard::services::Echo;
use switchboard::{CloseReason, Context, Framing, JobError, JobId, JobOutput, Limits, Message, Service};

use crate::support::{
    Client, Engine, RunningEngine, conformance, guard, instances_if, listen_tcp, observe, serve, serve_with,
};

conformance! {
    job_result_returns_to_its_connection,
    panicking_job_returns_an_error_to_its_connection,
    job_of_a_closed_connection_sends_nothing,
    endless_jobs_of_a_connection_block_no_input,
    endless_jobs_without_connection_block_no_client,
    job_offloaded_in_on_close_runs,
}

/// Offloads one job per request and replies with its result: `panic` panics, `wait` waits for the
/// test, any other request is reversed.
pub(crate) struct JobService {
    /// Receives a message when a waiting job runs.
    running: Sender<()>,
    /// The waiting job continues at a message on this channel.
    resume: Option<Receiver<()>>,
    /// Receives the id of each job that is offloaded.
    offloaded: Sender<JobId>,
    /// Receives the id of each job whose result has arrived.
    finished: Sender<JobId>,
}

impl Service for JobService {
    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        let request = payload.to_vec();
        let job = match payload {
            b"panic" => cx.offload(|| -> Vec<u8> { std::panic::resume_unwind(Box::new("as requested")) }),
            b"wait" | b"wait and close" => {
                let (running, resume) = (self.running.clone(), self.resume.take().unwrap());
                cx.offload(move || {
                    let _ = running.send(());
                    resume.recv_timeout(guard()).unwrap();
                    request
                })
            }
            _ => cx.offload(move || request.iter().rev().copied().collect::<Vec<u8>>()),
        };
        let _ = self.offloaded.send(job);
        if payload.ends_with(b"close") {
            cx.close("closed before the result");
        }
    }

    fn on_job(&mut self, cx: &mut Context<'_>, job: JobId, output: JobOutput) {
        match output.take::<Vec<u8>>() {
            Ok(reply) => cx.reply(&reply),
            Err(error) => cx.reply(error.to_string().as_bytes()),
        }
        let _ = self.finished.send(job);
    }
}

/// The test's ends of the channels of a [`JobService`].
pub(crate) struct JobEvents {
    running: Receiver<()>,
    resume: Sender<()>,
    offloaded: Receiver<JobId>,
    finished: Receiver<JobId>,
}

pub(crate) fn job_service() -> (JobService, JobEvents) {
    let (running_in, running) = channel();
    let (resume, resume_out) = channel();
    let (offloaded_in, offloaded) = channel();
    let (finished_in, finished) = channel();
    let service =
        JobService { running: running_in, resume: Some(resume_out), offloaded: offloaded_in, finished: finished_in };
    (service, JobEvents { running, resume, offloaded, finished })
}

fn job_result_returns_to_its_connection<E: Engine>() {
    let (service, jobs) = job_service();
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
        let mut ids: Vec<String> = jobs.into_iter().map(|job| format!("{job:?}")).collect();
        ids.sort();
        ids
    };
    assert_eq!(sorted(jobs.offloaded), sorted(jobs.finished), "each result has the id of its job");
}

fn panicking_job_returns_an_error_to_its_connection<E: Engine>() {
    let (service, _jobs) = job_service();
    let (running, addr) = serve::<E>(Limits { workers: 1, ..Limits::default() }, service);
    let mut client = Client::connect(addr);
    assert_eq!(client.ask(b"panic"), JobError::Panicked.to_string().as_bytes());
    assert_eq!(client.ask(b"abc"), b"cba", "the worker survives the panic");
    drop(client);
    running.drain();
}

fn job_of_a_closed_connection_sends_nothing<E: Engine>() {
    let (service, jobs) = job_service();
    let (service, events) = observe(service);
    let (running, addr) = serve::<E>(Limits { linger_timeout: guard(), ..Limits::default() }, service);
    let mut client = Client::connect(addr);
    client.send(b"wait and close");
    events.next_closed();
    client.expect_end();
    jobs.resume.send(()).unwrap();
    jobs.finished.recv_timeout(guard()).expect("on_job did not run after the close");
    // A write after the shutdown would reset the connection and lose the queued output.
    client.expect_end();
    client.send(b"discarded");
    drop(client);
    assert_eq!(running.drain().faulted, 0);
}

/// Echoes, and offloads another job whenever a job finishes.
struct EndlessJobs;

impl Service for EndlessJobs {
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
}

fn endless_jobs_of_a_connection_block_no_input<E: Engine>() {
    for per_connection in [true, false] {
        let limits = Limits { drain_timeout: Duration::from_millis(200), ..Limits::default() };
        let (service, events) = observe(EndlessJobs);
        let (running, addr) = if per_connection {
            serve_with::<E>(limits, instances_if(true, || EndlessJobs), EndlessJobs)
        } else {
            serve::<E>(limits.clone(), service)
        };
        let mut client = Client::connect(addr);
        (0..3).for_each(|_| client.echo(b"begin"));
        (0..100).for_each(|_| client.echo(b"still served"));
        let large = vec![7; 1 << 20];
        client.echo(&large);
        // A job is always pending, so the drain ends at its timeout.
        running.handle.drain();
        client.expect_end();
        drop(client);
        running.join();
        if !per_connection {
            assert_eq!(events.next_closed().1, CloseReason::ShuttingDown);
        }

        let options = instances_if(per_connection, || EndlessJobs);
        let (running, addr) = serve_with::<E>(Limits::default(), options, EndlessJobs);
        let mut client = Client::connect(addr);
        client.echo(b"begin");
        running.handle.stop();
        running.join();
    }
}

fn endless_jobs_without_connection_block_no_client<E: Engine>() {
    let mut engine = E::with_limits(Limits::default());
    let service = engine.add_service("test", EndlessJobs);
    let addr = listen_tcp(&mut engine, service, Framing::U32BE);
    let running = RunningEngine::start(engine);
    running.handle.post(service, Box::new(())).unwrap();
    running.await_counter("jobs", |jobs| jobs > 100);
    let mut client = Client::connect(addr);
    client.echo(b"hello");
    drop(client);
    running.drain();
}

/// Offloads a job in `on_close` and sends its result to the test.
struct JobOnClose {
    resume: Option<Receiver<()>>,
    result: Sender<Result<u32, JobError>>,
}

impl Service for JobOnClose {
    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        cx.reply(payload);
    }

    fn on_close(&mut self, cx: &mut Context<'_>, _reason: &CloseReason) {
        let resume = self.resume.take().unwrap();
        cx.offload(move || resume.recv_timeout(guard()).map_or(0, |()| 42_u32));
    }

    fn on_job(&mut self, _cx: &mut Context<'_>, _job: JobId, output: JobOutput) {
        let _ = self.result.send(output.take());
    }
}

fn job_offloaded_in_on_close_runs<E: Engine>() {
    let (resume, resume_out) = channel();
    let (result, results) = channel();
    let (running, addr) = serve::<E>(Limits::default(), JobOnClose { resume: Some(resume_out), result });
    let mut client = Client::connect(addr);
    client.echo(b"hello");
    client.finish();
    // The job does not delay the end of the connection.
    client.expect_end();
    resume.send(()).unwrap();
    assert_eq!(results.recv_timeout(guard()), Ok(Ok(42)));
    running.drain();
}

/// Tests of the reactor only. On the threaded engine a job runs on the thread of its connection,
/// which does nothing else in that time.
mod on_workers {
    use super::*;
    use switchboard::Reactor;

    #[test]
    fn half_closed_client_gets_its_job_result() {
        let (service, jobs) = job_service();
        let (service, events) = observe(service);
        let mut engine = Reactor::with_limits(Limits::default());
        let work = engine.add_service("work", service);
        let echo = engine.add_service(Echo.options("echo"), Echo);
        let (addr, other) =
            (listen_tcp(&mut engine, work, Framing::U32BE), listen_tcp(&mut engine, echo, Framing::U32BE));
        let running = RunningEngine::start(engine);
        let mut client = Client::connect(addr);
        client.send(b"wait");
        client.finish();
        jobs.offloaded.recv_timeout(guard()).unwrap();
        // After these echoes the engine has read what was sent before them.
        let mut other = Client::connect(other);
        (0..3).for_each(|_| other.echo(b"meanwhile"));
        jobs.resume.send(()).unwrap();
        assert_eq!(client.receive(), b"wait");
        client.expect_end();
        assert_eq!(events.next_closed().1, CloseReason::PeerClosed);
        drop((client, other));
        running.drain();
    }

    #[test]
    fn drain_waits_for_a_job_result() {
        let (service, jobs) = job_service();
        let (running, addr) = serve::<Reactor>(Limits { drain_timeout: guard(), ..Limits::default() }, service);
        let mut idle = Client::connect(addr);
        assert_eq!(idle.ask(b"abc"), b"cba");
        let mut client = Client::connect(addr);
        client.send(b"wait");
        for _ in 0..2 {
            jobs.offloaded.recv_timeout(guard()).unwrap();
        }
        running.handle.drain();
        idle.expect_end();
        drop(idle);
        jobs.resume.send(()).unwrap();
        assert_eq!(client.receive(), b"wait");
        client.expect_end();
        drop(client);
        running.join();
    }

    #[test]
    fn job_beyond_max_queued_jobs_is_rejected() {
        let (service, jobs) = job_service();
        let limits = Limits { workers: 1, max_queued_jobs: 1, ..Limits::default() };
        let (running, addr) = serve::<Reactor>(limits, service);
        let mut first = Client::connect(addr);
        first.send(b"wait");
        jobs.offloaded.recv_timeout(guard()).unwrap();
        jobs.running.recv_timeout(guard()).expect("the only worker did not run the job");
        let mut others: Vec<Client> = (0..3).map(|_| Client::connect(addr)).collect();
        for other in &others {
            other.send(b"abc");
            jobs.offloaded.recv_timeout(guard()).unwrap();
        }
        for rejected in &mut others[1..] {
            assert_eq!(rejected.receive(), JobError::Rejected.to_string().as_bytes());
        }
        jobs.resume.send(()).unwrap();
        assert_eq!(first.receive(), b"wait");
        assert_eq!(others[0].receive(), b"cba", "one job may be queued");
        drop((first, others));
        running.drain();
    }
}
