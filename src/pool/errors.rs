//! What callers of a pool are told.

use std::sync::Arc;
use std::time::Duration;

use super::Pool;
use crate::breaker::circuit_open;
use crate::error::{ConnectError, Kind};

/// Why no connection is lent.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LendError {
    /// None became free in time, or none could be made.
    #[error("{0}")]
    TimedOut(ConnectError),
    /// Too many callers wait.
    #[error("{0}")]
    Full(ConnectError),
    /// The pool is closed.
    #[error("{0}")]
    Closed(ConnectError),
    /// None can be made.
    #[error("{0}")]
    Failed(ConnectError),
}

impl LendError {
    /// The cause.
    pub const fn cause(&self) -> &ConnectError {
        match self {
            Self::TimedOut(cause)
            | Self::Full(cause)
            | Self::Closed(cause)
            | Self::Failed(cause) => cause,
        }
    }
}

impl Pool {
    pub(super) fn timed_out(&self, waited: Duration) -> LendError {
        let waited = waited.as_secs_f64();
        let (up, size, failure, members) = {
            let inner = self.inner();
            let up = inner.places.iter().filter(|place| place.is_up).count();
            let members: Vec<_> = inner
                .places
                .iter()
                .map(|place| Arc::clone(&place.member))
                .collect();
            (up, inner.places.len(), inner.failure.clone(), members)
        };
        if up > 0 {
            return LendError::TimedOut(self.error(
                Kind::PoolTimeout,
                &format!("all {up} connections are in use, and none came back within {waited:.1} s"),
                "Look for code that keeps one; or give the pool a larger max_size (each connection is a \
                 server process on the head), or callers a longer timeout.",
            ));
        }
        let mut causes = members.iter().filter_map(|member| member.session.cause());
        match causes.next_back().or(failure) {
            Some(cause) => {
                let message = format!("no connection within {waited:.1} s: {}", cause.message);
                let mut error = self.error(cause.kind, &message, &cause.hint);
                error.retry_after = cause.retry_after;
                LendError::TimedOut(error)
            }
            None => LendError::TimedOut(self.error(
                Kind::PoolTimeout,
                &format!("no connection within {waited:.1} s, {size} being made"),
                "A new connection takes 1 to 2 s, since the head starts a server process for it: give \
                 callers a longer timeout, or wait() for the pool at the start.",
            )),
        }
    }

    pub(super) fn full(&self) -> LendError {
        let limit = self.limits.max_waiting;
        LendError::Full(self.error(
            Kind::PoolFull,
            &format!(
                "{limit} callers wait for a connection already, and max_waiting allows no more"
            ),
            "Try again later; a larger max_size serves more callers at once.",
        ))
    }

    pub(super) fn closed(&self) -> LendError {
        LendError::Closed(self.error(
            Kind::PoolClosed,
            "it is closed",
            "Make a new ConnectionPool: a closed one stays closed.",
        ))
    }

    pub(super) fn rejected(&self, cause: &ConnectError, after: Duration) -> LendError {
        let mut error = circuit_open(cause, after);
        error.message = format!("Pool {}: {}", self.name, error.message);
        LendError::Failed(error)
    }

    fn error(&self, kind: Kind, message: &str, hint: &str) -> ConnectError {
        let address = self.target.address.to_string();
        let message = format!("Pool {} to {address}: {message}", self.name);
        ConnectError::new(kind, address, message, hint)
    }
}
