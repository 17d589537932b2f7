//! What the session answers, and what its caller has to do then.

use std::sync::Arc;

use tokio::sync::watch::Receiver;
use tokio::time::{Instant, timeout_at};

use super::ConnectionInfo;
use crate::error::ConnectError;
use crate::flight::{Progress, Waiter};

/// What a caller does next.
#[must_use]
pub enum Joined {
    /// Connected.
    Connected(Arc<ConnectionInfo>),
    /// Wait for this flight: its result is the caller's.
    Wait(Waiter),
    /// Launch this flight, then wait for it.
    Lead(Waiter),
    /// Other work has to end first: wait for it, then ask again.
    After(Turn),
    /// It cannot be.
    Refused(ConnectError),
}

/// Somebody else's work that has to end first.
#[must_use]
pub enum Turn {
    /// A connect to another target, or one that was called off.
    Flight(Receiver<Progress>),
    /// A shutdown.
    Shutdown(Receiver<bool>),
}

impl Turn {
    /// Waits for it until `end`; false when it was not over by then.
    pub async fn wait(&mut self, end: Instant) -> bool {
        match self {
            Self::Flight(progress) => timeout_at(end, progress.wait_for(Progress::is_done))
                .await
                .is_ok(),
            Self::Shutdown(over) => timeout_at(end, over.wait_for(|over| *over)).await.is_ok(),
        }
    }
}

/// What [`Session::close`] asks of its caller.
#[must_use]
pub enum Closing {
    /// Nothing was held.
    Nothing,
    /// `ray.init` is running; what it connects is disconnected on arrival.
    OnArrival,
    /// Call `ray.shutdown()`, then [`Session::closed`].
    Run,
    /// Other work has to end first: wait for it, then ask again.
    After(Turn),
}

/// What becomes of a connection that `ray.init` has just made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Arrival {
    /// It is the one we hold now. Tell the waiters with [`Flight::land`].
    Welcome,
    /// Nobody wants it any more: shut Ray down, then report the flight as failed.
    Unwanted,
}
