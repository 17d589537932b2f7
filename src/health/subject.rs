//! What is looked at: the control plane of a connection.

use std::time::Duration;

use tokio::sync::Mutex;

use super::Sight;
use crate::error::{ConnectError, Kind};
use crate::preflight::BoxFuture;
use crate::probe::{self, Seen, Warm};

/// A control plane. Real in production; scripted in tests.
pub trait Subject: Send + Sync + 'static {
    /// One look, which takes no longer than `timeout`.
    fn look(&self, timeout: Duration) -> BoxFuture<'_, Sight>;
}

/// The real one: the GCS of a native connection, or our own session behind the Ray Client port.
pub struct Heart {
    warm: Mutex<Warm>,
    /// Hex id of the cluster that we are connected to, where it is known.
    cluster_id: Option<String>,
}

impl Heart {
    /// Looks through `warm`, and expects that cluster there.
    pub fn new(warm: Warm, cluster_id: Option<String>) -> Self {
        Self {
            warm: Mutex::new(warm),
            cluster_id,
        }
    }

    fn judge(&self, warm: &Warm, seen: Result<Seen, ConnectError>) -> Sight {
        match seen {
            Ok(Seen::Cluster(id)) => match (&self.cluster_id, id) {
                (Some(ours), Some(theirs)) if *ours != theirs => {
                    Sight::Replaced(replaced(warm.shown(), &theirs))
                }
                _ => Sight::Answers,
            },
            Ok(Seen::Session) => Sight::Answers,
            Ok(Seen::NoGcs) => Sight::Ailing(no_gcs(warm.shown())),
            Ok(Seen::NoSession) => Sight::Replaced(probe::session_lost(warm.server())),
            Err(cause) => Sight::Missed(cause),
        }
    }
}

impl Subject for Heart {
    fn look(&self, timeout: Duration) -> BoxFuture<'_, Sight> {
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
