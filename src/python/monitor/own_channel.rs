//! The session of a Ray Client, checked over Ray's own channel.

use std::time::Duration;

use crate::address::HostPort;
use crate::health::{CheckResult, HealthCheck, judge_session};
use crate::preflight::BoxFuture;
use crate::python::ray::own_channel::look;

/// For a connection with `_credentials`: only Ray's own channel has them.
pub struct OwnChannel {
    server: HostPort,
    /// The address as messages name it.
    shown: String,
}

impl OwnChannel {
    /// Checks the session at `server`.
    pub fn new(server: HostPort) -> Self {
        Self {
            shown: format!("ray://{server}"),
            server,
        }
    }
}

impl HealthCheck for OwnChannel {
    fn check(&self, timeout: Duration) -> BoxFuture<'_, CheckResult> {
        Box::pin(async move {
            let reply = look(&self.server, timeout).await;
            judge_session(&self.server, &self.shown, reply)
        })
    }

    fn news(&self) -> BoxFuture<'_, ()> {
        // The channel is Ray's, and does not say when it breaks: the next check that is due finds out.
        Box::pin(std::future::pending())
    }
}
