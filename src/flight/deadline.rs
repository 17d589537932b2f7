//! How long one caller waits.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::MAX_SECONDS;

/// How long a caller waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// One sweep, and no second one.
    Once,
    /// Until then.
    At(Instant),
}

impl Deadline {
    /// `timeout` from now; zero is one sweep.
    pub fn of(timeout: Duration) -> Self {
        if timeout.is_zero() {
            Self::Once
        } else {
            Self::At(after(timeout))
        }
    }

    /// Whether there is time for another try.
    pub fn has_time(self) -> bool {
        matches!(self, Self::At(end) if Instant::now() < end)
    }
}

/// `timeout` from now; more than a year is a year, which no clock overflows at.
pub fn after(timeout: Duration) -> Instant {
    Instant::now() + timeout.min(Duration::from_secs(MAX_SECONDS.into()))
}
