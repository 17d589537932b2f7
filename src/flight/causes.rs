//! The causes that a flight itself gives its waiters.

use std::sync::atomic::Ordering;

use tokio::time::Instant;

use super::Flight;
use crate::error::{ConnectError, Kind};

impl Flight {
    /// The cause that waiters are given when the flight was cancelled.
    pub fn cancelled(&self) -> ConnectError {
        let address = self.address();
        let message = format!("The connect to {address} was called off");
        ConnectError::new(
            Kind::Cancelled,
            address,
            message,
            "Nobody waited for it any more, or shutdown_ray() or the end of the process came first.",
        )
    }

    pub(super) fn init_timed_out(&self, began: Instant) -> ConnectError {
        let address = self.address();
        let waited = began.elapsed().as_secs_f64();
        let (doing, look) = match &self.options.setup {
            Some(setup) => (
                format!(" while it sets up the runtime_env ({})", setup.fields),
                "Building or uploading a runtime_env may take minutes: give connect_timeout_s or \
                 SEEDCORE_RAY_INIT_TIMEOUT_S that time, or look into runtime_env_setup-*.log among \
                 the head's logs.",
            ),
            None if self.awaits_node.load(Ordering::Relaxed) => (
                " while it waits for a node of the cluster on this machine".to_owned(),
                "No raylet had registered when it began: look at the logs of ray start on this \
                 machine, or connect through Ray Client, ray://host:10001, which needs none.",
            ),
            None => (
                String::new(),
                "Look at the head's logs; a larger SEEDCORE_RAY_INIT_TIMEOUT_S waits longer.",
            ),
        };
        let mut error = ConnectError::new(
            Kind::InitTimeout,
            &address,
            format!("{address} answers, but ray.init has not returned after {waited:.1} s{doing}"),
            format!("It goes on in the background and is adopted if it still succeeds. {look}"),
        );
        error.attempts = self.sweeps();
        error
    }

    pub(super) fn unanswered(&self) -> ConnectError {
        let address = self.address();
        let message = format!("{address} gave no answer in the time that was allowed");
        ConnectError::new(
            Kind::Timeout,
            address,
            message,
            "Allow more time (connect_timeout_s), or look whether the host is reachable.",
        )
    }
}
