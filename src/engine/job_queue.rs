//! The jobs that wait for a worker thread. Connections take turns, and the jobs of one connection
//! never have all threads, so that none of them keeps the others waiting.

use std::collections::{HashMap, VecDeque};

use crate::service::{ConnId, MAX_KEPT_ENTRIES, ServiceId};

/// Whose jobs take turns with those of others: a connection's, or a service's own jobs.
pub(crate) type Client = (ServiceId, ConnId);

/// The queue of one pool.
pub(crate) struct JobQueue<J> {
    clients: HashMap<Client, ClientJobs<J>>,
    /// The clients with a job that may start, in the order of their turns.
    turns: VecDeque<Client>,
    queued: usize,
    /// The jobs of one connection that may run at the same time.
    max_running: usize,
}

/// The jobs of one client.
struct ClientJobs<J> {
    waiting: VecDeque<J>,
    running: usize,
}

impl<J> JobQueue<J> {
    /// Returns the empty queue of a pool of `threads`.
    pub(crate) fn new(threads: usize) -> Self {
        let (clients, turns) = (HashMap::new(), VecDeque::new());
        Self { clients, turns, queued: 0, max_running: threads.saturating_sub(1).max(1) }
    }

    /// Returns the number of jobs that wait.
    pub(crate) fn queued(&self) -> usize {
        self.queued
    }

    pub(crate) fn push(&mut self, client: Client, job: J) {
        let none = || ClientJobs { waiting: VecDeque::new(), running: 0 };
        let jobs = self.clients.entry(client).or_insert_with(none);
        if jobs.waiting.is_empty() && may_start(client, jobs, self.max_running) {
            self.turns.push_back(client);
        }
        jobs.waiting.push_back(job);
        self.queued += 1;
    }

    /// Returns the next job, which runs from now on until [`ended`](Self::ended) is called; `None`
    /// if none may start.
    pub(crate) fn pop(&mut self) -> Option<J> {
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

    /// Makes the first `turns` clients the last, for a test that chooses the order.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn skip_turns(&mut self, turns: usize) {
        let clients = self.turns.len().max(1);
        self.turns.rotate_left(turns % clients);
    }

    /// Returns the jobs that wait, in no order.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &J> {
        self.clients.values().flat_map(|jobs| &jobs.waiting)
    }

    /// Notes that a job has ended.
    pub(crate) fn ended(&mut self, client: Client) {
        let Some(jobs) = self.clients.get_mut(&client) else { return };
        let had_to_wait = !may_start(client, jobs, self.max_running);
        jobs.running -= 1;
        if jobs.waiting.is_empty() {
            if jobs.running == 0 {
                self.clients.remove(&client);
            }
            if self.clients.is_empty() {
                self.clients.shrink_to(MAX_KEPT_ENTRIES);
                self.turns.shrink_to(MAX_KEPT_ENTRIES);
            }
        } else if had_to_wait {
            self.turns.push_back(client);
        }
    }

    /// Removes and returns the jobs of a service that wait.
    pub(crate) fn take_waiting_of(&mut self, service: ServiceId) -> Vec<J> {
        let of_service = self.clients.iter_mut().filter(|((owner, _), _)| *owner == service);
        let taken: Vec<J> = of_service.flat_map(|(_, jobs)| jobs.waiting.drain(..)).collect();
        self.turns.retain(|(owner, _)| *owner != service);
        self.clients.retain(|_, jobs| jobs.running > 0 || !jobs.waiting.is_empty());
        self.queued -= taken.len();
        taken
    }

    /// Discards the jobs that wait.
    pub(crate) fn clear(&mut self) {
        self.turns.clear();
        self.queued = 0;
        self.clients.values_mut().for_each(|jobs| jobs.waiting.clear());
    }
}

/// Returns true if a further job of the client may run. Only connections have a bound: a service's
/// own jobs are nobody's flood.
fn may_start<J>((_, conn): Client, jobs: &ClientJobs<J>, max_running: usize) -> bool {
    conn == ConnId::NONE || jobs.running < max_running
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Client = (ServiceId(0), ConnId(1));
    const TWO: Client = (ServiceId(0), ConnId(2));
    const THREE: Client = (ServiceId(0), ConnId(3));

    #[test]
    fn connections_take_turns() {
        let mut queue = JobQueue::new(1);
        for (client, job) in [(ONE, 10), (ONE, 11), (ONE, 12), (TWO, 20), (THREE, 30)] {
            queue.push(client, (client, job));
        }
        let mut order = Vec::new();
        while let Some((client, job)) = queue.pop() {
            order.push(job);
            queue.ended(client);
        }
        assert_eq!(order, [10, 20, 30, 11, 12]);
        assert!(queue.clients.is_empty() && queue.turns.is_empty() && queue.queued() == 0);
    }

    #[test]
    fn clients_leave_no_memory_behind() {
        let mut queue = JobQueue::new(1);
        (0..10_000).for_each(|conn| queue.push((ServiceId(0), ConnId(conn)), conn));
        while let Some(conn) = queue.pop() {
            queue.ended((ServiceId(0), ConnId(conn)));
        }
        assert!(queue.clients.capacity().max(queue.turns.capacity()) <= 2 * MAX_KEPT_ENTRIES);
    }

    #[test]
    fn one_connection_never_has_all_threads() {
        let mut queue = JobQueue::new(4);
        (10..15).for_each(|job| queue.push(ONE, job));
        assert_eq!([(); 4].map(|()| queue.pop()), [Some(10), Some(11), Some(12), None]);
        queue.push(TWO, 20);
        assert_eq!([(); 2].map(|()| queue.pop()), [Some(20), None]);
        assert_eq!(queue.queued(), 2);
        queue.ended(ONE);
        assert_eq!([(); 2].map(|()| queue.pop()), [Some(13), None]);
        (0..3).for_each(|_| queue.ended(ONE));
        assert_eq!([(); 2].map(|()| queue.pop()), [Some(14), None]);
    }

    #[test]
    fn a_service_may_use_all_threads_for_itself() {
        let mut queue = JobQueue::new(2);
        (0..3).for_each(|job| queue.push((ServiceId(0), ConnId::NONE), job));
        assert_eq!([(); 3].map(|()| queue.pop()), [Some(0), Some(1), Some(2)]);
    }

    #[test]
    fn the_waiting_jobs_of_one_service_are_taken() {
        const OTHER: Client = (ServiceId(1), ConnId(1));
        let mut queue = JobQueue::new(1);
        for (client, job) in [(ONE, 10), (ONE, 11), (OTHER, 20), (TWO, 12)] {
            queue.push(client, job);
        }
        assert_eq!(queue.pop(), Some(10));
        let mut taken = queue.take_waiting_of(ServiceId(0));
        taken.sort_unstable();
        assert_eq!((taken, queue.queued()), (vec![11, 12], 1));
        queue.ended(ONE);
        assert_eq!((queue.pop(), queue.pop()), (Some(20), None));
        queue.ended(OTHER);
        assert!(queue.clients.is_empty() && queue.turns.is_empty());
    }

    #[test]
    fn waiting_jobs_are_discarded() {
        let mut queue = JobQueue::new(1);
        (10..12).for_each(|job| queue.push(ONE, job));
        assert_eq!(queue.pop(), Some(10));
        queue.clear();
        assert_eq!((queue.pop(), queue.queued()), (None, 0));
        queue.ended(ONE);
        assert!(queue.clients.is_empty());
        queue.push(ONE, 12);
        assert_eq!(queue.pop(), Some(12));
    }
}
