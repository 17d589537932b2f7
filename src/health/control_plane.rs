//! The control plane of a connection, checked over a kept channel.

use std::time::Duration;

use tokio::sync::Mutex;

use super::CheckResult;
use crate::error::{ConnectError, Kind};
use crate::preflight::BoxFuture;
use crate::probe::{self, KeptChannel, Reply};

/// One check of a connection's control plane. Real in production; scripted in tests.
pub trait HealthCheck: Send + Sync + 'static {
    /// Checks once; takes at most `timeout`.
    fn check(&self, timeout: Duration) -> BoxFuture<'_, CheckResult>;
}

/// The GCS of a native connection, or our own session behind the Ray Client port.
pub struct ControlPlane {
    channel: Mutex<KeptChannel>,
    /// Hex id of the cluster that this process is connected to, where it is known.
    cluster_id: Option<String>,
}

impl ControlPlane {
    /// Checks through `channel`; another cluster id than `cluster_id` there is a replaced cluster.
    pub fn new(channel: KeptChannel, cluster_id: Option<String>) -> Self {
        Self {
            channel: Mutex::new(channel),
            cluster_id,
        }
    }

    fn judge(&self, channel: &KeptChannel, reply: Result<Reply, ConnectError>) -> CheckResult {
        match reply {
            Ok(Reply::Cluster(id)) => match (&self.cluster_id, id) {
                (Some(ours), Some(theirs)) if *ours != theirs => {
                    CheckResult::Replaced(replaced(channel.shown(), &theirs))
                }
                _ => CheckResult::Answered,
            },
            Ok(Reply::Session) => CheckResult::Answered,
            Ok(Reply::NoGcs) => CheckResult::Degraded(no_gcs(channel.shown())),
            Ok(Reply::NoSession) => CheckResult::Replaced(probe::session_lost(channel.server())),
            Err(cause) => CheckResult::NoAnswer(cause),
        }
    }
}

impl HealthCheck for ControlPlane {
    fn check(&self, timeout: Duration) -> BoxFuture<'_, CheckResult> {
        Box::pin(async move {
            let mut channel = self.channel.lock().await;
            let reply = channel.look(timeout).await;
            self.judge(&channel, reply)
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
