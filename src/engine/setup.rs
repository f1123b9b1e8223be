//! The set-up of an engine, before it runs: registered services, the handle, and `max_connections`
//! fitted to the limits of the process and the system.
//!
//! It knows neither engine: each passes the function that binds its sockets.

use std::os::unix::net::UnixStream;
use std::{fs, io};

use crate::engine::budget::START_STRIDE;
use crate::engine::clients::{Clients, ConnectionCost};
use crate::engine::error::Error;
use crate::engine::handle::{Handle, HandleReceiver, pair};
use crate::engine::jobs::WakeFn;
use crate::engine::limits::{Limits, MAX_REJECTED_OPEN};
use crate::net::{self, Endpoint};
use crate::service::{GuardedService, Service, ServiceId, ServiceOptions};

/// Descriptors reserved for other uses than connections and services: standard streams, the poll
/// instance, listeners, and rejected connections that still receive their reason. At most half of
/// all.
const RESERVED_DESCRIPTORS: usize = 100;

/// Memory mappings of one thread: its stack and its signal stack, each with a guard page.
const MAPPINGS_PER_THREAD: usize = 4;

/// Threads whose mappings are reserved for other uses than connections: the program, its libraries,
/// heaps and large buffers.
const RESERVED_THREADS: usize = 500;

/// A service and its options.
pub(crate) struct RegisteredService {
    pub(crate) options: ServiceOptions,
    pub(crate) service: GuardedService,
    /// The stride of the last share that its callbacks had, see
    /// [`Budget`](crate::engine::budget::Budget).
    pub(crate) stride: u32,
    /// Connections of it are accepted.
    has_listener: bool,
    /// Peers can reach it: it has a listener, a UDP socket or a console.
    pub(crate) is_reachable: bool,
}

/// An engine that is being set up, without its sockets.
pub(crate) struct EngineSetup {
    pub(crate) limits: Limits,
    pub(crate) services: Vec<RegisteredService>,
    pub(crate) handle: Handle,
    pub(crate) inbox: HandleReceiver,
}

impl EngineSetup {
    /// Checks the limits and lowers `max_connections` to the process's descriptor limit. `wake`
    /// wakes the engine from another thread.
    pub(crate) fn new(mut limits: Limits, wake: WakeFn) -> Result<Self, Error> {
        limits.validate()?;
        if let Some((descriptors, room)) = descriptor_room() {
            lower(&mut limits, room, &format!("this process may open {descriptors} descriptors (ulimit -n)"));
        }
        let (handle, inbox) = pair(wake, limits.max_queued_messages);
        Ok(Self { limits, services: Vec::new(), handle, inbox })
    }

    pub(crate) fn add_service(&mut self, options: ServiceOptions, service: impl Service + Send + 'static) -> ServiceId {
        let service = GuardedService::new(Box::new(service), self.limits.panic);
        let (stride, has_listener, is_reachable) = (START_STRIDE, false, false);
        self.services.push(RegisteredService { options, service, stride, has_listener, is_reachable });
        ServiceId(self.services.len() - 1)
    }

    /// Calls `bind` to listen at `endpoint`. Fails if the service is of another engine.
    pub(crate) fn listen(
        &mut self,
        service: ServiceId,
        endpoint: &Endpoint,
        bind: impl FnOnce(&Limits) -> io::Result<Endpoint>,
    ) -> Result<Endpoint, Error> {
        let Self { limits, services, .. } = self;
        let registered = services.get_mut(service.0).ok_or_else(unknown_service);
        let bound = registered.and_then(|registered| {
            registered.has_listener |= !matches!(endpoint, Endpoint::Udp(_));
            registered.is_reachable = true;
            bind(limits)
        });
        bound.map_err(|source| Error::Bind { endpoint: endpoint.clone(), source })
    }

    /// Returns the count of clients, with the descriptors that are left for them beside those of
    /// the services. Lowers `max_connections` to the clients that these descriptors suffice for.
    /// A connection takes `descriptors_of` its service for itself.
    pub(crate) fn clients(&mut self, descriptors_of: impl Fn(&ServiceOptions) -> usize) -> Clients {
        let Self { limits, services, .. } = self;
        let cost = |options: &ServiceOptions| ConnectionCost {
            descriptors: descriptors_of(options) + options.descriptors_per_connection,
            counts_addresses: !options.limits_addresses,
        };
        let costs: Vec<_> = services.iter().map(|registered| cost(&registered.options)).collect();
        let Some((descriptors, room)) = descriptor_room() else { return Clients::new(limits, usize::MAX, costs) };
        let needed = services.iter().map(|registered| registered.options.descriptors).fold(0, usize::saturating_add);
        let reserved = needed.min(room / 2);
        if reserved < needed {
            log::warn!(
                "the services may need {needed} descriptors, and {reserved} are kept free for them: this process may open \
                 {descriptors} (ulimit -n)"
            );
        }
        let room = room - reserved;
        let listening = services.iter().zip(&costs).filter(|(registered, _)| registered.has_listener);
        let each = listening.map(|(_, cost)| cost.descriptors).min().unwrap_or(1);
        let why = format!(
            "this process may open {descriptors} descriptors (ulimit -n), of which the services may need {needed}, and \
             each connection {each}"
        );
        lower(limits, room / each, &why);
        Clients::new(limits, room.max(each), costs)
    }

    /// Calls `open` to attach a console. Fails if the service is of another engine.
    pub(crate) fn attach(&mut self, service: ServiceId, open: impl FnOnce() -> io::Result<()>) -> Result<(), Error> {
        let registered = self.services.get_mut(service.0).ok_or_else(unknown_service).map_err(Error::Attach)?;
        registered.is_reachable = true;
        open().map_err(Error::Attach)
    }
}

fn unknown_service() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "the service is of another engine")
}

/// Returns the ends of a command pipe: the caller's and the engine's. Both are nonblocking.
pub(crate) fn command_pipe() -> io::Result<(UnixStream, UnixStream)> {
    let (callers, engines) = UnixStream::pair()?;
    callers.set_nonblocking(true)?;
    engines.set_nonblocking(true)?;
    Ok((callers, engines))
}

/// Returns the process's descriptor limit, and how many of them connections and services may have;
/// `None` if it has no limit.
fn descriptor_room() -> Option<(usize, usize)> {
    let descriptors = usize::try_from(net::descriptor_limit()?).ok()?;
    Some((descriptors, descriptors - RESERVED_DESCRIPTORS.min(descriptors / 2)))
}

/// Returns the number of rejected connections that may be open at one time: those for which the
/// descriptors that are kept free have room.
pub(crate) fn max_rejected_open() -> usize {
    let kept_free = descriptor_room().map_or(RESERVED_DESCRIPTORS, |(all, room)| all - room);
    kept_free.saturating_sub(RESERVED_DESCRIPTORS - MAX_REJECTED_OPEN)
}

/// Lowers `max_connections` to the number of threads that the system allows, and logs it. One
/// thread too many would end the process: the standard library panics in a new thread that cannot
/// map its signal stack, where the panic cannot be caught.
pub(crate) fn fit_to_threads(limits: &mut Limits) {
    let bounds = [
        (number_in("/proc/sys/vm/max_map_count").map(|maps| maps / MAPPINGS_PER_THREAD), "vm.max_map_count"),
        (number_in("/proc/sys/kernel/threads-max"), "kernel.threads-max"),
        (pids_max(), "pids.max of the control group"),
    ];
    for (threads, name) in bounds {
        let Some(threads) = threads else { continue };
        let room = threads.saturating_sub(RESERVED_THREADS).max(threads / 2);
        lower(limits, room, &format!("this process may have {threads} threads ({name})"));
    }
}

/// Reads the number in the file at `path`.
fn number_in(path: &str) -> Option<usize> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Returns the thread limit of the process's control group (cgroups(7)), of version 1 or 2. Limits
/// of parent groups are not read: at such a limit, starting a thread fails and the connection is
/// rejected.
fn pids_max() -> Option<usize> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    groups.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, group) = (parts.next()?, parts.next()?);
        let root = match controllers {
            "" => "/sys/fs/cgroup",
            "pids" => "/sys/fs/cgroup/pids",
            _ => return None,
        };
        number_in(&format!("{root}{group}/pids.max"))
    })
}

/// Lowers `max_connections` to `room` and logs the reason.
fn lower(limits: &mut Limits, room: usize, why: &str) {
    let room = room.max(1);
    if limits.max_connections > room {
        // Lowering the default is not worth a warning, because the operator did not set it.
        let level = if limits.max_connections == Limits::default().max_connections {
            log::Level::Info
        } else {
            log::Level::Warn
        };
        log::log!(level, "max-connections lowered from {} to {room}: {why}", limits.max_connections);
        limits.max_connections = room;
    }
}
