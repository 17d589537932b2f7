//! The control plane of a connection, checked over a kept channel.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;

use super::CheckResult;
use crate::address::HostPort;
use crate::error::{ConnectError, Kind};
use crate::preflight::BoxFuture;
use crate::probe::{self, KeptChannel, Raylet, Reply};

/// The longest that a check takes when the connection is known to be broken.
const BROKEN_BOUND: Duration = Duration::from_millis(250);

/// One check of a connection's control plane. Real in production; scripted in tests.
pub trait HealthCheck: Send + Sync + 'static {
    /// Checks once; takes at most `timeout`.
    fn check(&self, timeout: Duration) -> BoxFuture<'_, CheckResult>;

    /// Completes when a check is worthwhile before the next one is due. Not to be awaited while a check
    /// is under way.
    fn news(&self) -> BoxFuture<'_, ()>;

    /// There is reason to believe that the server process of a Ray Client has ended.
    fn suspect_server(&self) {}
}

/// The GCS of a native connection and the raylet of this node, or our own session behind the Ray Client
/// port.
pub struct ControlPlane {
    channel: Mutex<KeptChannel>,
    /// Natively; without it no task runs, whatever the GCS says.
    raylet: Option<Mutex<Raylet>>,
    /// Hex id of the cluster that this process is connected to, where it is known.
    cluster_id: Option<String>,
    server_is_suspect: AtomicBool,
}

impl ControlPlane {
    /// Checks through `channel`; another cluster id than `cluster_id` there is a replaced cluster.
    pub fn new(channel: KeptChannel, raylet: Option<Raylet>, cluster_id: Option<String>) -> Self {
        Self {
            channel: Mutex::new(channel),
            raylet: raylet.map(Mutex::new),
            cluster_id,
            server_is_suspect: AtomicBool::new(false),
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
            reply => judge_session(channel.server(), channel.shown(), reply),
        }
    }

    async fn raylet_is_alive(&self) -> bool {
        match &self.raylet {
            Some(raylet) => raylet.lock().await.is_alive().await,
            None => true,
        }
    }
}

impl HealthCheck for ControlPlane {
    fn check(&self, timeout: Duration) -> BoxFuture<'_, CheckResult> {
        Box::pin(async move {
            let raylet_is_alive = self.raylet_is_alive().await;
            let bound = if raylet_is_alive {
                timeout
            } else {
                timeout.min(BROKEN_BOUND)
            };
            let mut channel = self.channel.lock().await;
            let is_suspect = self.server_is_suspect.load(Ordering::Relaxed);
            let reply = channel.look(bound, is_suspect).await;
            if let Ok(Reply::Session | Reply::NoGcs { .. }) = reply {
                // It lives after all, and may be busy later without being taken for dead.
                self.server_is_suspect.store(false, Ordering::Relaxed);
            }
            match self.judge(&channel, reply) {
                result @ CheckResult::Replaced(_) => result,
                result if raylet_is_alive => result,
                result => CheckResult::Broken(no_raylet(channel.shown(), result.cause())),
            }
        })
    }

    fn news(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let mut channel = self.channel.lock().await;
            let raylet = async {
                match &self.raylet {
                    Some(raylet) => raylet.lock().await.closed().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = channel.news() => {}
                () = raylet => {}
            }
        })
    }

    fn suspect_server(&self) {
        self.server_is_suspect.store(true, Ordering::Relaxed);
    }
}

/// What a reply about the session of a Ray Client at `server` means; `shown` is how messages name it.
pub fn judge_session(
    server: &HostPort,
    shown: &str,
    reply: Result<Reply, ConnectError>,
) -> CheckResult {
    match reply {
        Ok(Reply::Session | Reply::Cluster(_)) => CheckResult::Answered,
        Ok(Reply::NoGcs { refuses }) => CheckResult::Degraded(no_gcs(shown, refuses)),
        Ok(Reply::NoSession) => CheckResult::Replaced(probe::session_lost(server)),
        Ok(Reply::NoServer) => CheckResult::Broken(no_server(shown)),
        Err(cause) => CheckResult::NoAnswer(cause),
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

fn no_gcs(address: &str, refuses: bool) -> ConnectError {
    let (kind, what) = if refuses {
        (Kind::Refused, "refuses connections")
    } else {
        (Kind::NotReady, "does not answer")
    };
    ConnectError::new(
        kind,
        address,
        format!("{address} knows our session, but the GCS behind it {what}"),
        "Look at the head: its GCS (gcs_server) has stopped or hangs.",
    )
}

fn no_server(address: &str) -> ConnectError {
    ConnectError::new(
        Kind::NotReady,
        address,
        format!("{address} answers, but the server process of our session has ended"),
        "Look at the memory of the head: each Ray Client has a server process there, which the kernel \
         kills first when memory runs out.",
    )
}

fn no_raylet(address: &str, cause: Option<&ConnectError>) -> ConnectError {
    let (kind, message) = match cause {
        Some(cause) => (
            cause.kind,
            format!(
                "{}; the raylet of this node has ended as well",
                cause.message
            ),
        ),
        None => (
            Kind::NotReady,
            format!("{address} answers, but the raylet of this node has ended"),
        ),
    };
    ConnectError::new(
        kind,
        address,
        message,
        "No task can run from here without a raylet: start Ray on this machine again (ray start).",
    )
}
