//! Jobs that take long: they use only the threads of their own service, and do not delay a stop.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use switchboard::services::Echo;
use switchboard::{Context, Framing, JobId, JobOutput, Limits, Service, ServiceOptions, Threaded};

use crate::jobs::job_service;
use crate::support::{Client, Engine, RunningEngine, conformance, guard, listen_tcp};

conformance! {
    long_jobs_use_only_the_threads_of_their_service,
}

/// Offloads jobs that wait for the test. Two of them may run at the same time.
struct LongJobs {
    running: Sender<()>,
    resume: Arc<Mutex<Receiver<()>>>,
}

impl Service for LongJobs {
    fn on_frame(&mut self, cx: &mut Context<'_>, _payload: &[u8]) {
        let (running, resume) = (self.running.clone(), Arc::clone(&self.resume));
        cx.offload(move || {
            let _ = running.send(());
            let _ = resume.lock().unwrap().recv_timeout(guard());
        });
    }

    fn on_job(&mut self, cx: &mut Context<'_>, _job: JobId, output: JobOutput) {
        cx.reply(format!("{:?}", output.take::<()>()).as_bytes());
    }
}

/// Starts an engine with long jobs, short jobs and an echo service. Returns the addresses, the
/// start events of the long jobs, and the channel that ends them.
fn long_and_short_jobs<E: Engine>() -> (RunningEngine, [SocketAddr; 3], Receiver<()>, Sender<()>) {
    let mut engine = E::with_limits(Limits { workers: 1, drain_timeout: Duration::ZERO, ..Limits::default() });
    let (running, starts) = channel();
    let (resume, resume_out) = channel();
    let options = ServiceOptions::new("long").job_threads(NonZeroUsize::new(2).unwrap());
    let long = engine.add_service(options, LongJobs { running, resume: Arc::new(Mutex::new(resume_out)) });
    let short = engine.add_service("short", job_service().0);
    let echo = engine.add_service(Echo.options("echo"), Echo);
    let addresses = [long, short, echo].map(|service| listen_tcp(&mut engine, service, Framing::U32BE));
    (RunningEngine::start(engine), addresses, starts, resume)
}

fn long_jobs_use_only_the_threads_of_their_service<E: Engine>() {
    let (running, [long, short, echo], starts, resume) = long_and_short_jobs::<E>();
    let mut waiting = [(); 3].map(|()| {
        let client = Client::connect(long);
        client.send(b"work");
        client
    });
    starts.recv_timeout(guard()).unwrap();
    starts.recv_timeout(guard()).unwrap();
    for (address, reply) in [(short, &b"trohs"[..]), (echo, b"short")] {
        let mut client = Client::connect(address);
        client.send(b"short");
        assert_eq!(client.receive(), reply);
    }
    assert!(starts.try_recv().is_err(), "the third job waits for one of the two");
    resume.send(()).unwrap();
    starts.recv_timeout(guard()).unwrap();
    drop(resume);
    for client in &mut waiting {
        assert_eq!(client.receive(), b"Ok(())");
    }
    running.drain();
}

/// A connection's thread that waits for a free job slot handles no other event.
#[test]
fn queued_jobs_do_not_delay_stop_on_the_threaded_engine() {
    let (running, [long, ..], starts, resume) = long_and_short_jobs::<Threaded>();
    let (ends, ended) = channel();
    for _ in 0..3 {
        let (mut client, ends) = (Client::connect(long), ends.clone());
        client.send(b"work");
        thread::spawn(move || ends.send(client.receive_or_end()));
    }
    starts.recv_timeout(guard()).unwrap();
    starts.recv_timeout(guard()).unwrap();
    running.await_counter("jobs", |jobs| jobs == 3);
    running.handle.stop();
    // The connection whose job has not started ends immediately; the other two wait for their own
    // jobs.
    assert_eq!(ended.recv_timeout(guard()).unwrap().unwrap(), b"Err(Rejected)");
    drop(resume);
    running.join();
    assert!(starts.try_recv().is_err(), "the queued job ran after the stop");
}
