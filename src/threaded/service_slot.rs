//! A service as the threads reach it: one that all share, under its lock, or one instance for each
//! connection.

use std::io;
use std::num::NonZeroUsize;

use super::lifecycle::lock;
use crate::engine::setup::RegisteredService;
use crate::net::Notifier;
use crate::service::panic_history::PanicHistory;
use crate::service::{GuardedService, InstanceFactory, RejectionReply, ServiceId, ServiceOptions};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// A service, shared by the threads that call it.
pub(super) struct ServiceSlot {
    pub(super) name: String,
    pub(super) id: ServiceId,
    /// Returns the instance of a connection; `None` if connections share the service.
    pub(super) per_connection: Option<InstanceFactory>,
    /// The service's reply to rejected connections.
    pub(super) rejection: Option<RejectionReply>,
    /// See [`ServiceOptions::answers_per_second`].
    pub(super) answers_per_second: u32,
    /// Bounds the jobs that run at the same time, if the service sets a bound.
    pub(super) job_semaphore: Option<Semaphore>,
    /// The last panics of the service and its instances.
    pub(super) history: Arc<PanicHistory>,
    /// Peers can reach the service.
    pub(super) is_reachable: bool,
    /// The service is stopped. Its threads close their listeners, sockets and connections.
    is_closed: AtomicBool,
    /// Signaled once when the service is stopped, and never cleared.
    pub(super) stop: Notifier,
    service: Mutex<GuardedService>,
    /// Held by the thread that is next to lock the service.
    turnstile: Mutex<()>,
}

impl ServiceSlot {
    pub(super) fn new(id: ServiceId, registered: RegisteredService) -> io::Result<Self> {
        let RegisteredService { options, service, is_reachable, .. } = registered;
        let ServiceOptions { name, jobs, rejection, answers_per_second, per_connection, .. } = options;
        let job_semaphore = jobs.threads.map(Semaphore::new);
        Ok(Self {
            name,
            id,
            per_connection,
            rejection,
            answers_per_second,
            job_semaphore,
            history: Arc::clone(service.history()),
            is_reachable,
            is_closed: AtomicBool::new(false),
            stop: Notifier::new()?,
            service: Mutex::new(service),
            turnstile: Mutex::default(),
        })
    }

    /// Returns true if the service is stopped and its threads have to close what they have.
    #[inline]
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// Tells the service's threads to close what they have. The caller wakes those of connections
    /// that other threads reach.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.stop.notify();
        self.job_semaphore.iter().for_each(Semaphore::close);
    }

    /// Locks the service. A thread that has just released it cannot overtake those that wait: one
    /// of them holds the turnstile. Returns `None` once a callback has panicked and the policy is
    /// to end the engine.
    pub(super) fn lock(&self) -> Option<MutexGuard<'_, GuardedService>> {
        let _next = lock(&self.turnstile);
        self.service.lock().ok()
    }
}

/// The service of a connection: an instance for it alone, or one that is shared.
pub(super) enum ServiceRef {
    Instance(GuardedService),
    Shared(Arc<ServiceSlot>),
}

/// A service that no other thread can call meanwhile.
pub(super) enum ServiceGuard<'a> {
    Instance(&'a mut GuardedService),
    Shared(MutexGuard<'a, GuardedService>),
}

impl ServiceRef {
    pub(super) fn lock(&mut self) -> Option<ServiceGuard<'_>> {
        match self {
            Self::Instance(service) => Some(ServiceGuard::Instance(service)),
            Self::Shared(service_slot) => service_slot.lock().map(ServiceGuard::Shared),
        }
    }
}

impl ServiceGuard<'_> {
    pub(super) fn get(&mut self) -> &mut GuardedService {
        match self {
            Self::Instance(service) => service,
            Self::Shared(service) => service,
        }
    }
}

/// A counting semaphore that can be closed. It bounds how many connection threads run a service's
/// jobs at the same time.
pub(super) struct Semaphore {
    /// The number of free permits; `None` after [`close`](Semaphore::close).
    free: Mutex<Option<usize>>,
    changed: Condvar,
}

/// A permit, released on drop.
pub(super) struct SemaphorePermit<'a>(&'a Semaphore);

impl Semaphore {
    fn new(max: NonZeroUsize) -> Self {
        Self { free: Mutex::new(Some(max.get())), changed: Condvar::new() }
    }

    /// Waits for a permit. Returns `None` if the semaphore is closed.
    pub(super) fn acquire(&self) -> Option<SemaphorePermit<'_>> {
        let is_exhausted = |free: &mut Option<usize>| *free == Some(0);
        let mut free = self.changed.wait_while(lock(&self.free), is_exhausted).unwrap_or_else(PoisonError::into_inner);
        *free = Some((*free)? - 1);
        Some(SemaphorePermit(self))
    }

    /// Closes the semaphore: no permit is given, and no thread waits any more.
    pub(super) fn close(&self) {
        *lock(&self.free) = None;
        self.changed.notify_all();
    }
}

impl Drop for SemaphorePermit<'_> {
    fn drop(&mut self) {
        if let Some(free) = lock(&self.0.free).as_mut() {
            *free += 1;
        }
        self.0.changed.notify_one();
    }
}
