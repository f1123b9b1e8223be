//! The jobs that wait for a worker thread. Connections take turns, and the jobs of one connection
//! never have all threads, so that none of them keeps the others waiting.

use std::collections::{HashMap, VecDeque};

use super::jobs::JobOwner;
use crate::service::context::JobFn;
use crate::service::{ConnId, ServiceId};

/// The owner of jobs that take turns with those of other owners: a connection, or a service for its
/// jobs without a connection.
type Client = (ServiceId, ConnId);

/// The queue of one pool.
#[derive(Default)]
pub(crate) struct JobQueue {
    clients: HashMap<Client, ClientJobs>,
    /// The clients with a job that may start, in the order of their turns.
    turns: VecDeque<Client>,
    queued: usize,
    /// The jobs of one connection that may run at the same time.
    max_running: usize,
}

/// The jobs of one client.
#[derive(Default)]
struct ClientJobs {
    waiting: VecDeque<(JobOwner, JobFn)>,
    running: usize,
}

impl JobQueue {
    /// Returns the empty queue of a pool of `threads`.
    pub(crate) fn new(threads: usize) -> Self {
        Self { max_running: threads.saturating_sub(1).max(1), ..Self::default() }
    }

    /// Returns the number of jobs that wait.
    pub(crate) fn queued(&self) -> usize {
        self.queued
    }

    pub(crate) fn push(&mut self, owner: JobOwner, work: JobFn) {
        let client = client_of(owner);
        let jobs = self.clients.entry(client).or_default();
        if jobs.waiting.is_empty() && may_start(client, jobs, self.max_running) {
            self.turns.push_back(client);
        }
        jobs.waiting.push_back((owner, work));
        self.queued += 1;
    }

    /// Returns the next job, which runs from now on until [`ended`](Self::ended) is called; `None`
    /// if none may start.
    pub(crate) fn pop(&mut self) -> Option<(JobOwner, JobFn)> {
        let client = self.turns.pop_front()?;
        let jobs = self.clients.get_mut(&client)?;
        let job = jobs.waiting.pop_front()?;
        jobs.running += 1;
        if !jobs.waiting.is_empty() && may_start(client, jobs, self.max_running) {
            self.turns.push_back(client);
        }
        self.queued -= 1;
        Some(job)
    }

    /// Notes that a job has ended.
    pub(crate) fn ended(&mut self, owner: JobOwner) {
        let client = client_of(owner);
        let Some(jobs) = self.clients.get_mut(&client) else { return };
        let had_to_wait = !may_start(client, jobs, self.max_running);
        jobs.running -= 1;
        if jobs.waiting.is_empty() {
            if jobs.running == 0 {
                self.clients.remove(&client);
            }
        } else if had_to_wait {
            self.turns.push_back(client);
        }
    }

    /// Discards the jobs that wait.
    pub(crate) fn clear(&mut self) {
        self.turns.clear();
        self.queued = 0;
        self.clients.values_mut().for_each(|jobs| jobs.waiting.clear());
    }
}

fn client_of(owner: JobOwner) -> Client {
    (owner.service, owner.conn)
}

/// Returns true if a further job of the client may run. Only connections have a bound: a service's
/// own jobs are nobody's flood.
fn may_start((_, conn): Client, jobs: &ClientJobs, max_running: usize) -> bool {
    conn == ConnId::NONE || jobs.running < max_running
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::JobId;

    fn owner(conn: usize, job: u64) -> JobOwner {
        JobOwner { service: ServiceId(0), conn: ConnId(conn), job: JobId(job) }
    }

    fn push(queue: &mut JobQueue, conn: usize, job: u64) {
        queue.push(owner(conn, job), Box::new(|| Box::new(())));
    }

    fn pop(queue: &mut JobQueue) -> Option<u64> {
        queue.pop().map(|(owner, _)| owner.job.0)
    }

    #[test]
    fn connections_take_turns() {
        let mut queue = JobQueue::new(1);
        (0..3).for_each(|job| push(&mut queue, 1, job));
        push(&mut queue, 2, 10);
        push(&mut queue, 3, 20);
        let mut order = Vec::new();
        while let Some((owner, _)) = queue.pop() {
            order.push(owner.job.0);
            queue.ended(owner);
        }
        assert_eq!(order, [0, 10, 20, 1, 2]);
        assert!(queue.clients.is_empty() && queue.turns.is_empty() && queue.queued() == 0);
    }

    #[test]
    fn one_connection_never_has_all_threads() {
        let mut queue = JobQueue::new(4);
        (0..5).for_each(|job| push(&mut queue, 1, job));
        assert_eq!([(); 4].map(|()| pop(&mut queue)), [Some(0), Some(1), Some(2), None]);
        push(&mut queue, 2, 10);
        assert_eq!([(); 2].map(|()| pop(&mut queue)), [Some(10), None]);
        assert_eq!(queue.queued(), 2);
        queue.ended(owner(1, 0));
        assert_eq!([(); 2].map(|()| pop(&mut queue)), [Some(3), None]);
        for job in [1, 2, 3] {
            queue.ended(owner(1, job));
        }
        assert_eq!([(); 2].map(|()| pop(&mut queue)), [Some(4), None]);
    }

    #[test]
    fn a_service_may_use_all_threads_for_itself() {
        let mut queue = JobQueue::new(2);
        (0..3).for_each(|job| push(&mut queue, ConnId::NONE.0, job));
        assert_eq!([(); 3].map(|()| pop(&mut queue)), [Some(0), Some(1), Some(2)]);
    }

    #[test]
    fn waiting_jobs_are_discarded() {
        let mut queue = JobQueue::new(1);
        (0..2).for_each(|job| push(&mut queue, 1, job));
        assert_eq!(pop(&mut queue), Some(0));
        queue.clear();
        assert_eq!(pop(&mut queue), None);
        queue.ended(owner(1, 0));
        assert!(queue.clients.is_empty());
        push(&mut queue, 1, 2);
        assert_eq!(pop(&mut queue), Some(2));
    }
}
