//! What a probe reports: each step, and either facts about the cluster or the cause of the failure.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use crate::error::ConnectError;

/// Which of Ray's ports an address form needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RayPort {
    /// `host:port`: the GCS.
    Gcs,
    /// `ray://`: the Ray Client proxy.
    Client,
}

/// The timeouts of one probe. Both run from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For the name look-up, TCP and TLS: what the machines and the network take.
    pub open: Duration,
    /// For the replies as well. A server that answers late is a slow one, not a dead one.
    pub answer: Duration,
}

impl Timeouts {
    /// Neither is longer than `bound`.
    #[must_use]
    pub fn within(self, bound: Duration) -> Self {
        Self {
            open: self.open.min(bound),
            answer: self.answer.min(bound),
        }
    }
}

impl From<Duration> for Timeouts {
    /// The same timeout for everything.
    fn from(timeout: Duration) -> Self {
        Self {
            open: timeout,
            answer: timeout,
        }
    }
}

/// One step of a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// `local`, `token`, `dns`, `tcp`, `tls`, `grpc` or `cluster`.
    pub name: &'static str,
    /// The result or the failure, without secrets.
    pub detail: String,
    /// When it began, by the wall clock, for comparison with other logs.
    pub at: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// Whether it succeeded.
    pub ok: bool,
}

impl Step {
    /// Runs `work` as one step; `detail` describes a success.
    pub fn measure<T>(
        name: &'static str,
        work: impl FnOnce() -> Result<T, ConnectError>,
        detail: impl FnOnce(&T) -> String,
    ) -> (Self, Result<T, ConnectError>) {
        let began = Began::now();
        let result = work();
        (began.ended(name, &result, detail), result)
    }
}

/// When a step began, by both clocks.
pub(super) struct Began(SystemTime, Instant);

impl Began {
    pub fn now() -> Self {
        Self(SystemTime::now(), Instant::now())
    }

    /// The step that ends now with `result`.
    pub fn ended<T>(
        self,
        name: &'static str,
        result: &Result<T, ConnectError>,
        detail: impl FnOnce(&T) -> String,
    ) -> Step {
        Step {
            name,
            detail: match result {
                Ok(value) => detail(value),
                Err(error) => error.message.clone(),
            },
            at: self.0,
            took: self.1.elapsed(),
            ok: result.is_ok(),
        }
    }
}

/// What a successful probe found out about the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Facts {
    /// The socket address that answered.
    #[serde(skip)]
    pub peer: Option<SocketAddr>,
    /// Ray version of the cluster. Only the GCS port reports it, as the two below.
    pub ray_version: Option<String>,
    /// Python version of the cluster.
    pub python_version: Option<String>,
    /// Cluster id in hex. It changes when the head restarts.
    pub cluster_id: Option<String>,
    /// After how long without a GCS Ray ends a native driver, where the cluster's configuration says so.
    #[serde(skip)]
    pub ray_deadline: Option<Duration>,
}

/// The outcome of one probe.
#[derive(Clone, Debug)]
pub struct Report {
    /// Every step that was begun, in order.
    pub steps: Vec<Step>,
    /// Facts about the cluster, or the cause of the failure.
    pub result: Result<Facts, ConnectError>,
}
