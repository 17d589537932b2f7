//! The monitor: does the connection still hold, and what follows when it does not.
//!
//! ```text
//!            enough misses           grace used up, or another cluster answers
//! connected ───────────────► unhealthy ─────────────────────────────────► lost
//!     ▲                          │                                         │ Ray is released
//!     │◄─────────────────────────┘ the same cluster answers again          ▼
//!     └──────────────────────────────────────────────────────────── reconnecting
//! ```
//!
//! A native driver has a deadline: Ray ends the process once its GCS was away for 60 s
//! (`RAY_gcs_rpc_server_reconnect_timeout_s`). The parachute is to call `ray.shutdown()` before
//! that. A Ray Client has no such deadline, only a session that its server knows or does not.
//!
//! One [`Watch`] for each connection. It looks and decides; the thread that carries it out
//! belongs to Python and does what has to be done to Ray.

mod control_plane;
mod detector;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
pub use control_plane::{ControlPlane, HealthCheck};
pub use detector::{Change, CheckResult, DetectorSettings, FailureDetector};
pub use watch::{Round, Setup, Watch};

/// What `ray.shutdown()` needs on a dead GCS (5 s, ray-facts), and as much again for a busy machine.
const MARGIN: Duration = Duration::from_secs(10);

/// Whether Ray may be released while threads are blocked in it: that ends their calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// Only while no thread is blocked inside Ray.
    Auto,
    /// Whatever is blocked.
    Always,
    /// Ray is left to itself.
    Never,
}

impl Release {
    /// What callers may say.
    pub const NAMES: [&str; 3] = ["auto", "always", "never"];

    /// `auto`, `always` or `never`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "auto" => Some(Self::Auto),
            "always" => Some(Self::Always),
            "never" => Some(Self::Never),
            _ => None,
        }
    }
}

/// How a connection is watched.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// Between two looks while all is well.
    pub interval: Duration,
    /// Looks in a row without an answer that make a connection unhealthy.
    pub misses: u32,
    /// Connect again once it was lost.
    pub reconnect: bool,
    /// Whether Ray may be released under threads that are blocked in it.
    pub release: Release,
    /// Run a task now and then, too.
    pub deep: bool,
}

impl Plan {
    /// What is done unless somebody asks for something else.
    pub const fn every(interval: Duration) -> Self {
        Self {
            interval,
            misses: 3,
            reconnect: true,
            release: Release::Auto,
            deep: false,
        }
    }
}

/// What was said about watching connections. Without a word, the environment decides.
#[derive(Clone, Debug, Default)]
pub struct Policy(Arc<ArcSwapOption<Option<Plan>>>);

impl Policy {
    /// From now on: like that, or not at all.
    pub fn set(&self, plan: Option<Plan>) {
        self.0.store(Some(Arc::new(plan)));
    }

    /// How a new connection is watched. `interval` is the environment's; zero is no monitor.
    pub fn plan(&self, interval: Duration) -> Option<Plan> {
        match self.0.load().as_deref() {
            Some(said) => *said,
            None => (!interval.is_zero()).then(|| Plan::every(interval)),
        }
    }
}

/// How long a lost cluster is waited for before Ray is released: `wanted`, but always less than
/// Ray's own `deadline`, with a margin for the release itself.
pub fn grace(wanted: Duration, deadline: Duration) -> Duration {
    wanted.min(last_moment(deadline))
}

/// Until when releasing makes sense, counted from the last answer.
pub fn last_moment(deadline: Duration) -> Duration {
    deadline.saturating_sub(MARGIN.min(deadline / 2))
}
