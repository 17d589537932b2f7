//! What a flight is asked to do, and how far it is.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::error::ConnectError;
use crate::preflight::Passed;

/// What a connect is asked to do, besides reaching its target.
#[derive(Clone, Copy, Debug)]
pub struct ConnectOptions {
    /// Timeout of `ray.init` itself.
    pub init_timeout: Duration,
    /// Shut a live connection down once the preflight has passed.
    pub force: bool,
    /// Retry `no_local_ray` and `stale_local_ray` too, which otherwise fail at once.
    pub wait_for_local: bool,
}

/// How far a flight is.
#[derive(Clone, Debug)]
pub enum Progress {
    /// Looking whether connecting can work.
    Probing {
        /// Sweeps finished so far.
        sweeps: u32,
        /// The cause of the last one.
        last: Option<ConnectError>,
    },
    /// Inside `ray.init`.
    Init {
        /// When its time is up.
        until: Instant,
    },
    /// Over.
    Done(Result<(), ConnectError>),
}

impl Progress {
    /// Whether the flight is over.
    pub const fn is_done(&self) -> bool {
        matches!(self, Self::Done(_))
    }
}

/// What the thread of the flight does next.
#[derive(Debug)]
#[must_use]
pub enum Step {
    /// Sweep again.
    Again,
    /// Call `ray.init`.
    Init(Passed),
    /// Give up.
    GiveUp(ConnectError),
}

/// One probe of the cluster.
#[derive(Clone, Debug)]
pub struct LastProbe {
    /// When it ended.
    pub at: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// The cause, if it failed.
    pub error: Option<ConnectError>,
}
