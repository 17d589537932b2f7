//! What a flight says of itself, where no probe has said it.

use std::time::Duration;

use tracing::warn;

use super::Flight;
use crate::error::{ConnectError, Kind};

impl Flight {
    /// The cause that waiters are given when it was called off.
    pub fn cancelled(&self) -> ConnectError {
        ConnectError::new(
            Kind::Cancelled,
            self.probe_plan.target.address.to_string(),
            format!(
                "The connect to {} was called off",
                self.probe_plan.target.address
            ),
            "Nobody waited for it any more, or shutdown_ray() or the end of the process came first.",
        )
    }

    pub(super) fn init_timed_out(&self) -> ConnectError {
        let address = self.probe_plan.target.address.to_string();
        let bound = self.options.init_timeout.as_secs_f64();
        let mut error = ConnectError::new(
            Kind::InitTimeout,
            &address,
            format!("{address} answers, but ray.init did not return within {bound} s"),
            "It goes on in the background and is adopted if it still succeeds. Look at the head's \
             logs; a larger SEEDCORE_RAY_INIT_TIMEOUT_S waits longer. A host:port address also \
             needs a Ray node on this machine; use ray:// from elsewhere.",
        );
        error.attempts = self.sweeps();
        error
    }

    pub(super) fn unanswered(&self) -> ConnectError {
        let address = self.probe_plan.target.address.to_string();
        ConnectError::new(
            Kind::Timeout,
            &address,
            format!("{address} gave no answer in the time that was allowed"),
            "Allow more time (connect_timeout_s), or look whether the host is reachable.",
        )
    }
}

/// One line at the first failure, when there is time to try again.
pub(super) fn announce_wait(cause: &ConnectError, left: Duration) {
    warn!(
        "{}; trying again for up to {:.1} s (connect_timeout_s or \
         SEEDCORE_RAY_CONNECT_TIMEOUT_S shortens this). {}",
        cause.message,
        left.as_secs_f64(),
        cause.hint,
    );
}
