//! The session of a Ray Client, checked over Ray's own channel.

use std::future;
use std::time::Duration;

use pyo3::prelude::*;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::address::HostPort;
use crate::error::ConnectError;
use crate::health::{CheckResult, HealthCheck, judge_session};
use crate::preflight::BoxFuture;
use crate::probe::{PATIENCE, Reply};
use crate::python::ray::own_channel::{Look, late};

/// A look that was not answered in its time.
struct Pending {
    look: Look,
    since: Instant,
}

/// For a connection with `_credentials`: only Ray's own channel has them.
pub struct OwnChannel {
    server: HostPort,
    worker: Py<PyAny>,
    /// The address as messages name it.
    shown: String,
    /// A late answer to it counts.
    pending: Mutex<Option<Pending>>,
}

impl OwnChannel {
    /// Checks the session at `server` of the client that has `worker`.
    pub fn new(server: HostPort, worker: Py<PyAny>) -> Self {
        Self {
            worker,
            shown: format!("ray://{server}"),
            server,
            pending: Mutex::default(),
        }
    }

    async fn look(&self, bound: Duration) -> Result<Reply, ConnectError> {
        let mut pending = self.pending.lock().await;
        let since = Instant::now();
        let mut look = Look::begin(Some(&self.worker), PATIENCE, bound.mul_f64(0.75));
        let reply = async {
            let older = async {
                let Some(older) = pending.as_mut() else {
                    return future::pending().await;
                };
                let reply = older.look.reply(&self.server).await;
                if reply.is_err() {
                    *pending = None;
                }
                reply
            };
            tokio::select! {
                Ok(reply) = older => Ok(reply),
                reply = look.reply(&self.server) => reply,
            }
        };
        let reply = timeout(bound, reply).await;
        let waits_on = |older: &Pending| older.since.elapsed() < PATIENCE;
        match &reply {
            Ok(_) => *pending = None,
            Err(_) if pending.as_ref().is_some_and(waits_on) => {}
            Err(_) => *pending = Some(Pending { look, since }),
        }
        reply.unwrap_or_else(|_| Err(late(&self.server, bound)))
    }
}

impl HealthCheck for OwnChannel {
    fn check(&self, timeout: Duration) -> BoxFuture<'_, CheckResult> {
        Box::pin(async move {
            let reply = self.look(timeout).await;
            judge_session(&self.server, &self.shown, reply)
        })
    }

    fn news(&self) -> BoxFuture<'_, ()> {
        // The channel is Ray's, and does not say when it breaks: the next check that is due finds out.
        Box::pin(future::pending())
    }
}
