//! What a flight is asked to do, and how far it is.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::error::ConnectError;
use crate::preflight::Passed;

/// What a connect is asked to do, besides reaching its target.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// Timeout of `ray.init` itself.
    pub init_timeout: Duration,
    /// Shut a live connection down once the preflight has passed.
    pub force: bool,
    /// What `ray.init` has to do that may take minutes.
    pub setup: Option<EnvironmentSetup>,
}

/// A `runtime_env` that Ray uploads or builds before `ray.init` returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvironmentSetup {
    /// The fields that take the time, as the caller named them: `pip, working_dir`.
    pub fields: Arc<str>,
    /// Ray's own bound for it.
    pub bound: Duration,
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
        /// When it began.
        began: Instant,
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
    Init(Box<Passed>),
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
