//! The breaker of a session: [`Breaker`] by target, behind a lock and on the clock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::breaker::{Admission, Breaker, Position};
use crate::error::{ConnectError, Kind};
use crate::target::Target;

/// One circuit for each target.
#[derive(Default)]
pub struct Circuits {
    breaker: Mutex<Breaker<Target>>,
    /// The session's: see [`Session::revision`].
    ///
    /// [`Session::revision`]: super::Session::revision
    revision: Arc<AtomicU64>,
}

impl Circuits {
    pub(super) fn new(revision: Arc<AtomicU64>) -> Self {
        Self {
            revision,
            ..Self::default()
        }
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker<Target>> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a caller may try `target` now.
    pub fn admit(&self, target: &Target) -> Admission {
        self.breaker().check(target, Instant::now().into_std())
    }

    /// Until when, and why, callers of `target` are rejected, if they are. Changes nothing, unlike
    /// [`Circuits::admit`].
    pub fn rejection(&self, target: &Target) -> Option<(Duration, Arc<ConnectError>)> {
        self.breaker().rejection(target, Instant::now().into_std())
    }

    /// The position of all circuits taken together.
    pub fn position(&self) -> Position {
        self.breaker().position(Instant::now().into_std())
    }

    /// Records that an admitted try of `target` failed. Only a cause that time may cure has used up
    /// its timeout and opens the circuit, at first for `reset`.
    pub fn failed(&self, target: &Target, cause: &ConnectError, reset: Duration) {
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

    /// Closes the circuit of `target`: it was connected.
    pub(super) fn succeeded(&self, target: &Target) {
        self.breaker().succeeded(target);
    }

    /// Records that the caller who was to probe `target` is gone.
    pub fn abandoned(&self, target: &Target) {
        self.breaker().released(target, Instant::now().into_std());
        self.revision.fetch_add(1, Ordering::Relaxed);
    }
}
