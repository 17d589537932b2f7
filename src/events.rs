//! Events of the connection, for callbacks.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::error::ConnectError;

/// Events are kept until they are taken, which may never happen: beyond this the oldest is dropped.
const CAPACITY: usize = 256;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum What {
    /// Connected, where no connection was before.
    Connected,
    /// The cluster has stopped answering.
    Unhealthy,
    /// The cluster answers again; nothing was lost.
    Recovered,
    /// The connection is gone for good.
    Lost,
    /// Connected again after a loss: handles and refs made before are dead.
    Reconnected,
    /// A connect or reconnect failed for a cause that does not pass.
    Failed,
    /// Somebody else has called `ray.shutdown()`. The next call connects again, as before.
    Shutdown,
}

impl What {
    /// The public, stable name.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The pool whose connection it is; `None` for the process's own.
    pub pool: Option<Arc<str>>,
    /// What happened.
    pub what: What,
    /// When.
    pub at: SystemTime,
    /// How many connections had been made by then.
    pub generation: u64,
    /// The address, without secrets.
    pub address: String,
    /// The cause of an unhealthy, lost or failed connection; of one that was made, why it is not to the
    /// address that was asked for.
    pub cause: Option<ConnectError>,
    /// How long the connection, the absence or the unhealthy state that ended here had lasted.
    pub after: Option<Duration>,
}

/// A queue of events in the order in which they happened.
#[derive(Debug, Default)]
pub struct Events(VecDeque<Event>);

impl Events {
    /// Adds an event. Drops the oldest one when the queue is full.
    pub fn push(&mut self, event: Event) {
        if self.0.len() == CAPACITY {
            self.0.pop_front();
        }
        self.0.push_back(event);
    }

    /// Removes and returns all events.
    pub fn take(&mut self) -> VecDeque<Event> {
        std::mem::take(&mut self.0)
    }
}
