//! The options with which a service is added to an engine.

use std::fmt;
use std::num::NonZeroUsize;

use super::callbacks::Service;
use super::close_reason::CloseReason;
use crate::frame::{Framing, Payload};

/// The name of a service and how an engine treats it. A name alone, as text, is the default options
/// with that name.
///
/// The services of this crate provide their own options: `chat.options("chat")`.
///
/// ```
/// use switchboard::{Context, Limits, Reactor, Service, ServiceOptions};
///
/// #[derive(Clone)]
/// struct Upper;
/// # impl Service for Upper {
/// #     fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
/// #         cx.reply(&payload.to_ascii_uppercase());
/// #     }
/// # }
///
/// let mut reactor = Reactor::new(Limits::default())?;
/// reactor.add_service(ServiceOptions::new("upper").clone_per_connection(&Upper), Upper);
/// # Ok::<(), switchboard::Error>(())
/// ```
pub struct ServiceOptions {
    pub(crate) name: String,
    pub(crate) jobs: JobOptions,
    pub(crate) rejection: Option<RejectionReply>,
    pub(crate) answers_per_second: u32,
    pub(crate) descriptors: usize,
    pub(crate) descriptors_per_connection: usize,
    pub(crate) limits_addresses: bool,
    pub(crate) per_connection: Option<InstanceFactory>,
}

/// How an engine treats the jobs of a service.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct JobOptions {
    /// Worker threads for the service itself.
    pub(crate) threads: Option<NonZeroUsize>,
    /// The jobs of connections wait, however many are queued.
    pub(crate) wait: bool,
}

/// Builds the payloads, in order, that give a rejected client the reason in the service's own
/// protocol and the given framing.
pub type RejectionReply = fn(Framing, &CloseReason) -> Vec<Payload>;

/// Returns an instance of a service for one connection.
pub(crate) type InstanceFactory = Box<dyn Fn() -> Box<dyn Service + Send> + Send + Sync>;

impl ServiceOptions {
    /// The limit of the services of this crate that answer every datagram, see
    /// [`answers_per_second`](Self::answers_per_second).
    pub const DEFAULT_ANSWERS_PER_SECOND: u32 = 1000;

    /// Returns the default options. The log uses `name` for the service.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            jobs: JobOptions::default(),
            rejection: None,
            answers_per_second: 0,
            descriptors: 0,
            descriptors_per_connection: 0,
            limits_addresses: false,
            per_connection: None,
        }
    }

    /// Gives the service `threads` worker threads for itself instead of the engine's shared pool. A
    /// service whose [offloaded](crate::Context::offload) work takes long needs this, so that it
    /// does not delay other services.
    ///
    /// On `Threaded` a connection's work runs on the connection's own thread; this number then
    /// bounds the work that runs at the same time.
    #[must_use]
    pub fn job_threads(mut self, threads: NonZeroUsize) -> Self {
        self.jobs.threads = Some(threads);
        self
    }

    /// Lets the jobs of connections wait for a thread however many are queued, so that none is
    /// [rejected](crate::JobError::Rejected) because of
    /// [`Limits::max_queued_jobs`](crate::Limits::max_queued_jobs). For a service that requests one
    /// job at a time for a connection: the number of connections is then their bound.
    #[must_use]
    pub fn jobs_wait(mut self) -> Self {
        self.jobs.wait = true;
        self
    }

    /// Sets the function that builds the reply for a connection that the engine rejects, for
    /// protocols whose clients do not read plain text. Such a connection is never opened, so no
    /// callback runs for it. A plain function, because the engine may need it while the service is
    /// busy.
    #[must_use]
    pub fn rejection(mut self, reply: RejectionReply) -> Self {
        self.rejection = Some(reply);
        self
    }

    /// Limits the datagrams of one source, an address and port, that the service receives in a
    /// second, and may receive at once. 0, the default, means no limit.
    ///
    /// A service that answers every datagram needs a limit. Otherwise one datagram with a forged
    /// sender address makes it and another such server answer each other without end. Datagrams
    /// beyond the limit are dropped and counted in
    /// [`Stats::datagrams_limited`](crate::Stats::datagrams_limited). The limit holds for each
    /// socket.
    #[must_use]
    pub fn answers_per_second(mut self, datagrams: u32) -> Self {
        self.answers_per_second = datagrams;
        self
    }

    /// States how many descriptors the service may have open at one time beside those of its
    /// connections, such as the pipes of its commands. The engine keeps them free: it admits fewer
    /// connections. What needs a descriptor and finds none is the service's to answer.
    #[must_use]
    pub fn descriptors(mut self, descriptors: usize) -> Self {
        self.descriptors = descriptors;
        self
    }

    /// States how many descriptors the service may open for each of its connections, beside the
    /// connection's own, such as one for the file of a download. The engine keeps them free: it
    /// admits fewer connections.
    #[must_use]
    pub fn descriptors_per_connection(mut self, descriptors: usize) -> Self {
        self.descriptors_per_connection = descriptors;
        self
    }

    /// States that the service limits the connections of one address itself, so that
    /// [`Limits::max_connections_per_address`](crate::Limits::max_connections_per_address) does not
    /// hold for it.
    #[must_use]
    pub fn limits_addresses(mut self) -> Self {
        self.limits_addresses = true;
        self
    }

    /// Sets the function that returns an instance of the service for one connection, if the service
    /// has no state that connections share.
    ///
    /// `Threaded` then needs no lock. The instance is called for its own connection only, from
    /// [`on_open`](Service::on_open) to `on_close`. What it sends to other connections is
    /// discarded. Datagrams, posts and timers without a connection go to the service that was
    /// added. Actions in an instance's [`on_turn_end`](Service::on_turn_end) belong to its
    /// connection.
    ///
    /// `Reactor` ignores the function: it calls the service that was added for all connections, and
    /// delivers what it sends from one to another.
    #[must_use]
    pub fn per_connection<S: Service + Send + 'static>(
        mut self,
        factory: impl Fn() -> S + Send + Sync + 'static,
    ) -> Self {
        self.per_connection = Some(Box::new(move || Box::new(factory())));
        self
    }

    /// Makes a clone of `service` the [instance](Self::per_connection) of each connection.
    #[must_use]
    pub fn clone_per_connection<S: Service + Clone + Send + Sync + 'static>(self, service: &S) -> Self {
        let service = service.clone();
        self.per_connection(move || service.clone())
    }
}

impl From<&str> for ServiceOptions {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl From<String> for ServiceOptions {
    fn from(name: String) -> Self {
        Self::new(name)
    }
}

impl fmt::Debug for ServiceOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceOptions")
            .field("name", &self.name)
            .field("jobs", &self.jobs)
            .field("answers_per_second", &self.answers_per_second)
            .field("descriptors", &self.descriptors)
            .field("descriptors_per_connection", &self.descriptors_per_connection)
            .field("limits_addresses", &self.limits_addresses)
            .field("has_rejection", &self.rejection.is_some())
            .field("has_per_connection", &self.per_connection.is_some())
            .finish()
    }
}
