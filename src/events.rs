//! What happened to the connection, for callbacks.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use crate::error::ConnectError;

/// Events that wait for somebody to take them. Nobody may: the oldest go.
const CAPACITY: usize = 256;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Connected, where nothing was before.
    Connected,
    /// The cluster has stopped to answer.
    Unhealthy,
    /// It answers again; nothing was lost.
    Recovered,
    /// The connection is gone for good.
    Lost,
    /// Connected again after a loss: handles and refs made before are dead.
    Reconnected,
    /// A connect, or a try to reconnect, failed for a cause that stays.
    Failed,
}

impl What {
    /// The public, stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Unhealthy => "unhealthy",
            Self::Recovered => "recovered",
            Self::Lost => "lost",
            Self::Reconnected => "reconnected",
            Self::Failed => "failed",
        }
    }
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What happened.
    pub what: What,
    /// When.
    pub at: SystemTime,
    /// How many connections had been made by then.
    pub generation: u64,
    /// The address, as it may be shown.
    pub address: String,
    /// The cause of something bad.
    pub cause: Option<ConnectError>,
    /// How long what ended here had lasted: a connection that is lost, an absence, an ailment.
    pub after: Option<Duration>,
}

/// Events in the order in which they happened.
#[derive(Debug, Default)]
pub struct Events(VecDeque<Event>);

impl Events {
    /// Adds one; the oldest goes when there is no room.
    pub fn push(&mut self, event: Event) {
        if self.0.len() == CAPACITY {
            self.0.pop_front();
        }
        self.0.push_back(event);
    }

    /// Takes all of them out.
    pub fn take(&mut self) -> VecDeque<Event> {
        std::mem::take(&mut self.0)
    }
}
