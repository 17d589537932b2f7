//! What the breaker is told and asked: the session holds it, since what connects closes it.

use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Session;
use crate::breaker::{Admission, Breaker, Position};
use crate::error::{ConnectError, Kind};
use crate::target::Target;

impl Session {
    pub(super) fn breaker(&self) -> MutexGuard<'_, Breaker<Target>> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the breaker lets somebody try `target`.
    pub fn admits(&self, target: &Target) -> Admission {
        self.breaker().check(target, Instant::now().into_std())
    }

    /// How the breaker stands, over all targets.
    pub fn breaker_position(&self) -> Position {
        self.breaker().position(Instant::now().into_std())
    }

    /// Tells the breaker how a try ended that it had let through. Only a cause that time may cure
    /// has used its time up; `reset` is how long the circuit opens at first.
    pub fn tried(&self, target: &Target, cause: &ConnectError, reset: Duration) {
        let now = Instant::now().into_std();
        match cause.kind {
            kind if kind.is_transient() => {
                self.breaker().opened(target, cause.clone(), reset, now);
            }
            Kind::Cancelled => self.breaker().released(target, now),
            _ => self.breaker().succeeded(target),
        }
        self.revision.fetch_add(1, Ordering::Relaxed);
    }

    /// Tells the breaker that a caller who was to probe is gone.
    pub fn vanished(&self, target: &Target) {
        self.breaker().released(target, Instant::now().into_std());
        self.revision.fetch_add(1, Ordering::Relaxed);
    }
}
