//! Why there is no connection.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tracing::error;

use super::{Owner, Session, State};
use crate::error::{ConnectError, Kind};
use crate::log_target::CONNECT;

const NOT_YET: &str = "not connected to Ray yet, the connect is still under way";

impl Session {
    /// Why the last connect failed; `None` once one has succeeded, after a shutdown, or before the
    /// first. A failed `force_reinit` leaves it beside the connection that was kept.
    pub fn last_error(&self) -> Option<ConnectError> {
        let inner = self.inner();
        match &inner.lost {
            Some(lost) => Some(lost.error()),
            None => inner.last_error.clone(),
        }
    }

    /// Why there is no connection, for a caller that needs one and must not make it: the last error,
    /// if there is one.
    pub fn not_connected_reason(&self) -> ConnectError {
        if let Some(cause) = self.last_error().or_else(|| self.refusal("Ray")) {
            return cause;
        }
        let message: String = match self.state() {
            State::Connecting => match self.cause() {
                Some(cause) => format!("{NOT_YET}: {}", cause.message),
                None => NOT_YET.to_owned(),
            },
            _ if self.generation() > 0 => "not connected to Ray any more, it was shut down".into(),
            _ => "not connected to Ray, nobody has called ensure_ray_initialized()".into(),
        };
        let hint = "Connect first, and use this after ensure_ray_initialized() has returned True.";
        ConnectError::new(Kind::NotConnected, "", message, hint)
    }

    /// Why there is no connection at the moment, as far as that is known: that of the connect under way
    /// first.
    pub fn cause(&self) -> Option<ConnectError> {
        let flight = match &self.inner().owner {
            Some(Owner::Connect(flight)) => Some(Arc::clone(flight)),
            _ => None,
        };
        let looked = flight.and_then(|flight| flight.last_probe()?.error);
        looked.or_else(|| self.last_error().or_else(|| self.last_probe()?.error))
    }

    /// Why no connect may begin at all, if so.
    pub fn refusal(&self, address: &str) -> Option<ConnectError> {
        if self.is_forked() {
            return Some(ConnectError::new(
                Kind::Forked,
                address,
                format!(
                    "Not connecting to {address}: this process was forked from one that was \
                     connected to Ray, and Ray does not survive a fork"
                ),
                "Connect after the fork instead of before it, or use the spawn start method.",
            ));
        }
        self.exiting.load(Ordering::Acquire).then(|| {
            ConnectError::new(
                Kind::Cancelled,
                address,
                format!("Not connecting to {address}: the process is ending"),
                "Connect before the interpreter shuts down.",
            )
        })
    }

    /// Records a failure that a caller was told and no flight reports: none began, or it goes on
    /// without this caller. Ignored while connected. Returns the [`Session::revision`] after that.
    pub fn note_failure(&self, error: &ConnectError) -> u64 {
        let mut inner = self.inner();
        if inner.connection.is_none() && inner.lost.is_none() && error.kind != Kind::Cancelled {
            self.set_last_error(&mut inner, Some(error.clone()));
        }
        self.revision.load(Ordering::Relaxed)
    }

    /// Logs and records a failure that no flight reports.
    #[must_use]
    pub fn refuse(&self, error: ConnectError) -> ConnectError {
        error!(target: CONNECT, "{error}");
        self.note_failure(&error);
        error
    }
}
