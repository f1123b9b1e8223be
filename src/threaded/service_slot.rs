//! A service as the engine's threads call it: behind a lock, or an instance for one connection.

use std::sync::{Arc, Mutex, MutexGuard};

use super::semaphore::Semaphore;
use crate::engine::setup::RegisteredService;
use crate::service::{InstanceFactory, RejectionReply, Service, ServiceId, ServiceOptions};

/// A service, shared by the threads that call it.
pub(super) struct ServiceSlot {
    pub(super) name: String,
    pub(super) id: ServiceId,
    /// Returns the instance of a connection; `None` if connections share the service.
    pub(super) per_connection: Option<InstanceFactory>,
    /// The service's reply to rejected connections.
    pub(super) rejection: Option<RejectionReply>,
    /// Bounds the jobs that run at the same time, if the service sets a bound.
    pub(super) job_semaphore: Option<Semaphore>,
    service: Mutex<Box<dyn Service + Send>>,
}

impl ServiceSlot {
    pub(super) fn new(id: ServiceId, registered: RegisteredService) -> Self {
        let RegisteredService { options, service } = registered;
        let ServiceOptions { name, job_threads, rejection, per_connection } = options;
        let job_semaphore = job_threads.map(Semaphore::new);
        Self { name, id, per_connection, rejection, job_semaphore, service: Mutex::new(service) }
    }

    /// Locks the service. Returns `None` once a callback has panicked.
    pub(super) fn lock(&self) -> Option<MutexGuard<'_, Box<dyn Service + Send>>> {
        self.service.lock().ok()
    }
}

/// The service of a connection: an instance for it alone, or one that is shared.
pub(super) enum ServiceRef {
    Instance(Box<dyn Service + Send>),
    Shared(Arc<ServiceSlot>),
}

/// A service that no other thread can call meanwhile.
pub(super) enum ServiceGuard<'a> {
    Instance(&'a mut (dyn Service + Send)),
    Shared(MutexGuard<'a, Box<dyn Service + Send>>),
}

impl ServiceRef {
    pub(super) fn lock(&mut self) -> Option<ServiceGuard<'_>> {
        match self {
            Self::Instance(service) => Some(ServiceGuard::Instance(service.as_mut())),
            Self::Shared(service_slot) => service_slot.lock().map(ServiceGuard::Shared),
        }
    }
}

impl ServiceGuard<'_> {
    pub(super) fn get(&mut self) -> &mut dyn Service {
        match self {
            Self::Instance(service) => *service,
            Self::Shared(service) => service.as_mut(),
        }
    }
}
