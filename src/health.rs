//! Health of a connection: how it is checked, when it counts as unhealthy or lost.
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
//! (`RAY_gcs_rpc_server_reconnect_timeout_s`); calling `ray.shutdown()` before that saves it. A Ray
//! Client has no such deadline, only a session that its server knows or does not.
//!
//! This module knows no session: [`crate::monitor`] connects the two.

mod control_plane;
mod detector;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
pub use control_plane::{ControlPlane, HealthCheck, judge_session};
pub use detector::{Change, CheckResult, DetectorSettings, FailureDetector};
pub use watch::Watch;

use crate::probe::version;

/// `ray.shutdown()` takes 5 s on a dead GCS (docs/ray-internals.md, "When the cluster dies"), and
/// twice that on a busy machine.
const MARGIN: Duration = Duration::from_secs(10);

/// Whether Ray may be shut down while threads are blocked in it, which ends their calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// Only while no thread is blocked inside Ray.
    Auto,
    /// Blocked calls are ended first.
    Always,
    /// Ray is never shut down by the monitor.
    Never,
}

impl Release {
    /// The accepted names.
    pub const NAMES: [&str; 3] = ["auto", "always", "never"];

    /// Where nobody has chosen: blocked calls are ended, if the calls of this Ray can be ended
    /// (docs/ray-internals.md, "When the cluster dies"). An unreadable version counts as new.
    pub fn usual(ray_version: Option<&str>) -> Self {
        if version::is_since(ray_version.unwrap_or_default(), (2, 44)) {
            Self::Always
        } else {
            Self::Auto
        }
    }

    /// Parses one of [`Release::NAMES`].
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "auto" => Some(Self::Auto),
            "always" => Some(Self::Always),
            "never" => Some(Self::Never),
            _ => None,
        }
    }
}

/// How a connection is watched. As a `Plan<Option<Release>>` it leaves open what only the Ray that is
/// connected can decide.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan<R = Release> {
    /// Between two checks while the connection is healthy.
    pub interval: Duration,
    /// Consecutive checks without an answer that make a connection unhealthy.
    pub misses: u32,
    /// Connect again after a loss.
    pub reconnect: bool,
    /// What to do about calls that are blocked in Ray.
    pub release: R,
    /// Run a trivial task now and then, too.
    pub deep: bool,
}

impl Plan {
    /// The default plan, on a Ray whose calls can be ended.
    pub const fn every(interval: Duration) -> Self {
        Self {
            interval,
            misses: 3,
            reconnect: true,
            release: Release::Always,
            deep: false,
        }
    }

    /// For one of a pool's connections. What the process decides about its own connection says nothing
    /// about what becomes of these: a lost one is always made again.
    #[must_use]
    pub const fn of_pool(self) -> Self {
        Self {
            reconnect: true,
            release: Release::Always,
            deep: false,
            ..self
        }
    }
}

impl Plan<Option<Release>> {
    fn on(self, ray_version: Option<&str>) -> Plan {
        Plan {
            interval: self.interval,
            misses: self.misses,
            reconnect: self.reconnect,
            release: self.release.unwrap_or_else(|| Release::usual(ray_version)),
            deep: self.deep,
        }
    }
}

/// How new connections are watched: as [`Policy::set`] said, else as the environment says.
#[derive(Clone, Debug, Default)]
pub struct Policy(Arc<ArcSwapOption<Option<Plan<Option<Release>>>>>);

impl Policy {
    /// Watches new connections like this from now on; `None` switches the monitor off.
    pub fn set(&self, plan: Option<Plan<Option<Release>>>) {
        self.0.store(Some(Arc::new(plan)));
    }

    /// The plan of a new connection of that Ray. `interval` is the environment's; zero means no
    /// monitor.
    pub fn plan(&self, interval: Duration, ray_version: Option<&str>) -> Option<Plan> {
        let usual = || Plan {
            release: Release::usual(ray_version),
            ..Plan::every(interval)
        };
        match self.0.load().as_deref() {
            Some(plan) => plan.map(|plan| plan.on(ray_version)),
            None => (!interval.is_zero()).then(usual),
        }
    }
}

/// How long a silent cluster is waited for, where nobody says otherwise.
const GRACE: Duration = Duration::from_secs(40);
/// The default of [`RaysPatience::Native`].
pub const RAY_DEADLINE: Duration = Duration::from_secs(60);
/// The default of [`RaysPatience::Client`].
pub const RAY_CLIENT_GRACE: Duration = Duration::from_secs(30);

/// How long Ray itself waits for a cluster that has gone silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RaysPatience {
    /// Then it ends the process of a native driver (`RAY_gcs_rpc_server_reconnect_timeout_s`).
    Native(Duration),
    /// Then a Ray Client gives its session up (`RAY_CLIENT_RECONNECT_GRACE_PERIOD`).
    Client(Duration),
}

/// How long a silent cluster is waited for before Ray is released: `given`, or as long as Ray itself
/// where it was told to wait longer than by default. A native driver is released before Ray ends it,
/// with a margin for the release itself.
pub fn grace(given: Option<Duration>, rays: RaysPatience) -> Duration {
    match rays {
        RaysPatience::Native(deadline) => {
            let usual = if deadline > RAY_DEADLINE {
                deadline
            } else {
                GRACE
            };
            given.unwrap_or(usual).min(last_moment(deadline))
        }
        RaysPatience::Client(patience) => given.unwrap_or(if patience > RAY_CLIENT_GRACE {
            patience + MARGIN
        } else {
            GRACE
        }),
    }
}

/// Until when Ray may be released, counted from the last answer.
pub fn last_moment(deadline: Duration) -> Duration {
    deadline.saturating_sub(MARGIN.min(deadline / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(5);

    fn asked(release: Option<Release>) -> Policy {
        let plan = Plan::every(INTERVAL);
        let policy = Policy::default();
        policy.set(Some(Plan {
            interval: plan.interval,
            misses: plan.misses,
            reconnect: plan.reconnect,
            release,
            deep: plan.deep,
        }));
        policy
    }

    fn release(policy: &Policy, ray_version: Option<&str>) -> Release {
        policy.plan(INTERVAL, ray_version).expect("watched").release
    }

    #[test]
    fn blocked_calls_are_ended_where_this_ray_can_and_nobody_has_chosen() {
        for policy in [Policy::default(), asked(None)] {
            for (ray_version, usual) in [
                (Some("2.33.0"), Release::Auto),
                (Some("2.43.9"), Release::Auto),
                (Some("2.44.1"), Release::Always),
                (Some("2.60.0"), Release::Always),
                (Some("3.0.0.dev0"), Release::Always),
                (None, Release::Always),
            ] {
                assert_eq!(release(&policy, ray_version), usual, "{ray_version:?}");
            }
        }
        for chosen in [Release::Auto, Release::Always, Release::Never] {
            for ray_version in ["2.33.0", "2.60.0"] {
                assert_eq!(release(&asked(Some(chosen)), Some(ray_version)), chosen);
            }
        }
    }
}
