//! The echo service: sends every payload back.

use std::net::SocketAddr;
use std::time::Duration;

use super::cpu_time::spend_cpu_time;
use crate::service::{Context, Service, ServiceOptions};

/// Sends each payload back in the same framing, and each datagram back to its sender.
#[derive(Clone, Copy, Debug, Default)]
pub struct Echo;

impl Echo {
    /// Returns an echo that uses the processor for the time `work` before each reply. It stands for
    /// real work in measurements. The time is the thread's own CPU time (on Unix), because real
    /// work takes the same CPU time on a busy machine.
    pub const fn with_work(work: Duration) -> WorkingEcho {
        WorkingEcho { work }
    }

    /// Returns the options of this service: a clone for each connection.
    pub fn options(&self, name: impl Into<String>) -> ServiceOptions {
        ServiceOptions::new(name).clone_per_connection(self)
    }
}

impl Service for Echo {
    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        cx.reply(payload);
    }

    fn on_datagram(&mut self, cx: &mut Context<'_>, _from: SocketAddr, payload: &[u8]) {
        cx.reply(payload);
    }
}

/// An [`Echo`] that uses CPU time before each reply, see [`Echo::with_work`].
#[derive(Clone, Copy, Debug)]
pub struct WorkingEcho {
    work: Duration,
}

impl WorkingEcho {
    /// Returns the options of this service: a clone for each connection.
    pub fn options(&self, name: impl Into<String>) -> ServiceOptions {
        ServiceOptions::new(name).clone_per_connection(self)
    }
}

impl Service for WorkingEcho {
    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        spend_cpu_time(self.work);
        cx.reply(payload);
    }

    fn on_datagram(&mut self, cx: &mut Context<'_>, _from: SocketAddr, payload: &[u8]) {
        spend_cpu_time(self.work);
        cx.reply(payload);
    }
}
