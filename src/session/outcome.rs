//! What the session answers, and what its caller has to do then.

use tokio::sync::watch::Receiver;
use tokio::time::{Instant, timeout_at};

use crate::error::ConnectError;
use crate::flight::{Progress, Waiter};

/// What a caller of [`Session::join`] does next.
///
/// [`Session::join`]: super::Session::join
#[must_use]
pub enum Joined {
    /// Connected.
    Connected,
    /// Wait for this flight: its result is the caller's.
    Wait(Waiter),
    /// Launch this flight, then wait for it.
    Lead(Waiter),
    /// Other work has to end first: wait for it, then ask again.
    After(Turn),
    /// No connect may begin.
    Refused(ConnectError),
}

/// Other work that has to end first.
#[must_use]
pub enum Turn {
    /// A connect to another target, or one that was cancelled.
    Flight(Receiver<Progress>),
    /// A shutdown.
    Shutdown(Receiver<bool>),
}

impl Turn {
    /// Waits for it until `end`; false when it was not over by then.
    pub async fn wait(self, end: Instant) -> bool {
        match self {
            Self::Flight(mut progress) => timeout_at(end, progress.wait_for(Progress::is_done))
                .await
                .is_ok(),
            Self::Shutdown(mut over) => timeout_at(end, over.wait_for(|over| *over)).await.is_ok(),
        }
    }
}

/// What becomes of a connection that `ray.init` has just made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Arrival {
    /// It is the one that is held now.
    Welcome,
    /// It was cancelled: shut Ray down, then report the flight as failed.
    Unwanted,
}
