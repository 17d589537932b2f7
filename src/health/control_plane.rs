//! What is looked at: the control plane of a connection.

use std::time::Duration;

use tokio::sync::Mutex;

use super::CheckResult;
use crate::error::{ConnectError, Kind};
use crate::preflight::BoxFuture;
use crate::probe::{self, KeptChannel, Reply};

/// A control plane. Real in production; scripted in tests.
pub trait HealthCheck: Send + Sync + 'static {
    /// One look, which takes no longer than `timeout`.
    fn look(&self, timeout: Duration) -> BoxFuture<'_, CheckResult>;
}

/// The real one: the GCS of a native connection, or our own session behind the Ray Client port.
pub struct ControlPlane {
    warm: Mutex<KeptChannel>,
    /// Hex id of the cluster that we are connected to, where it is known.
    cluster_id: Option<String>,
}

impl ControlPlane {
    /// Looks through `warm`, and expects that cluster there.
    pub fn new(warm: KeptChannel, cluster_id: Option<String>) -> Self {
        Self {
            warm: Mutex::new(warm),
            cluster_id,
        }
    }

    fn judge(&self, warm: &KeptChannel, seen: Result<Reply, ConnectError>) -> CheckResult {
        match seen {
            Ok(Reply::Cluster(id)) => match (&self.cluster_id, id) {
                (Some(ours), Some(theirs)) if *ours != theirs => {
                    CheckResult::Replaced(replaced(warm.shown(), &theirs))
                }
                _ => CheckResult::Answered,
            },
            Ok(Reply::Session) => CheckResult::Answered,
            Ok(Reply::NoGcs) => CheckResult::Degraded(no_gcs(warm.shown())),
            Ok(Reply::NoSession) => CheckResult::Replaced(probe::session_lost(warm.server())),
            Err(cause) => CheckResult::NoAnswer(cause),
        }
    }
}

impl HealthCheck for ControlPlane {
    fn look(&self, timeout: Duration) -> BoxFuture<'_, CheckResult> {
        Box::pin(async move {
            let mut warm = self.warm.lock().await;
            let seen = warm.look(timeout).await;
            self.judge(&warm, seen)
        })
    }
}

fn replaced(address: &str, cluster: &str) -> ConnectError {
    ConnectError::new(
        Kind::Lost,
        address,
        format!("{address} is another cluster now ({cluster})"),
        "The head was restarted: what was made on the old cluster is gone.",
    )
}

fn no_gcs(address: &str) -> ConnectError {
    ConnectError::new(
        Kind::NotReady,
        address,
        format!("{address} knows our session, but the GCS behind it does not answer"),
        "Look at the head: its GCS (gcs_server) has stopped or hangs.",
    )
}
