//! Sends everything back.

use std::net::SocketAddr;
use std::time::Duration;

use super::cpu_time::burn;
use crate::service::Context;
use crate::service::Service;

/// Answers each payload with itself, framed the same way; each datagram goes back to its sender.
#[derive(Clone, Copy, Debug, Default)]
pub struct Echo;

impl Echo {
    /// An echo that keeps the processor busy for so long before each answer. The time is the thread's own processor time where
    /// the system can tell (on Unix it can): it stands for real work in measurements, and real work takes no less processor
    /// time because others want the processor, too.
    pub const fn with_work(work: Duration) -> WorkingEcho {
        WorkingEcho { work }
    }
}

impl Service for Echo {
    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        cx.reply(payload);
    }

    fn on_datagram(&mut self, cx: &mut Context<'_>, _from: SocketAddr, payload: &[u8]) {
        cx.reply(payload);
    }

    fn per_connection(&self) -> Option<Box<dyn Service + Send>> {
        Some(Box::new(*self))
    }
}

/// An [`Echo`] that has something to do, see [`Echo::with_work`].
#[derive(Clone, Copy, Debug)]
pub struct WorkingEcho {
    work: Duration,
}

impl Service for WorkingEcho {
    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        burn(self.work);
        cx.reply(payload);
    }

    fn on_datagram(&mut self, cx: &mut Context<'_>, _from: SocketAddr, payload: &[u8]) {
        burn(self.work);
        cx.reply(payload);
    }

    fn per_connection(&self) -> Option<Box<dyn Service + Send>> {
        Some(Box::new(*self))
    }
}
