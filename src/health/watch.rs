//! The monitor of one connection, as the session knows it: how it watches, and how to stop it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::{Plan, Release};

/// Identifies one monitor and stops it. The session compares watches by address: reports of a
/// monitor that has been replaced change nothing.
pub struct Watch {
    plan: Plan,
    freshness: Duration,
    stopped: watch::Sender<bool>,
    look: Notify,
}

impl Watch {
    /// For a monitor that follows `plan` and whose checks take at most `probe_timeout`.
    pub fn new(plan: Plan, probe_timeout: Duration) -> Arc<Self> {
        Arc::new(Self {
            freshness: plan.interval + probe_timeout,
            plan,
            stopped: watch::Sender::new(false),
            look: Notify::new(),
        })
    }

    /// How the connection is watched.
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// How long a good check counts as recent.
    pub const fn freshness(&self) -> Duration {
        self.freshness
    }

    /// Whether Ray is released once the connection is lost.
    pub fn releases(&self) -> bool {
        self.plan.release != Release::Never
    }

    /// Ends the monitor; its thread returns at its next step.
    pub fn stop(&self) {
        self.stopped.send_replace(true);
    }

    /// Has the next check made at once.
    pub fn look_now(&self) {
        self.look.notify_one();
    }

    /// Completes once [`Watch::look_now`] was called.
    pub async fn looked_for(&self) {
        self.look.notified().await;
    }

    /// Completes once [`Watch::stop`] was called.
    pub async fn stopped(&self) {
        // An error would mean that the sender is gone, but `self` owns it.
        let _ = self.stopped.subscribe().wait_for(|stopped| *stopped).await;
    }
}
