//! Looks for a cluster that was lost, until it answers again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::error::{ConnectError, Kind};
use crate::preflight::{Network, ProbePlan, find_cluster};
use crate::probe::LocalNode;
use crate::retry::{self, Backoff};

/// Pause before the next probe of a cluster that has no node yet.
const STARTING: Duration = Duration::from_millis(300);

/// After how many probes in a row that timed out the timeout of the replies grows no longer.
const MOST_PATIENT: u32 = 2;

/// The longest pause between two bare TCP connects to a port that refuses.
const POKE: Duration = Duration::from_millis(750);

/// The search of one monitor.
pub(super) struct ClusterSearch {
    state: Mutex<State>,
}

struct State {
    backoff: Backoff,
    random: fastrand::Rng,
    /// Why the last probe failed.
    failure: Option<Kind>,
    /// Probes in a row that timed out.
    silent: u32,
    /// The cluster answers and has no node yet.
    is_starting: bool,
    /// How long the last good probe took.
    answered_in: Duration,
}

impl ClusterSearch {
    pub fn new(mut random: fastrand::Rng) -> Self {
        let state = State {
            backoff: Backoff::new(random.fork()),
            random,
            failure: None,
            silent: 0,
            is_starting: false,
            answered_in: Duration::ZERO,
        };
        Self {
            state: Mutex::new(state),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pause before the next probe.
    pub fn pause(&self) -> Duration {
        let mut state = self.state();
        if state.is_starting {
            STARTING
        } else {
            state.backoff.pause()
        }
    }

    /// How long the last good probe took.
    pub fn answered_in(&self) -> Duration {
        self.state().answered_in
    }

    /// Completes when a port that has refused accepts connections; never after another failure, which a
    /// bare TCP connect cannot tell from a success.
    pub async fn port_opens(&self, network: &Arc<dyn Network>, probe_plan: &ProbePlan) {
        let refused = self.state().failure.is_some_and(retry::poke_first);
        if !(refused && probe_plan.has_server()) {
            return std::future::pending().await;
        }
        loop {
            let pause = POKE.mul_f64(self.state().random.f64());
            sleep(pause).await;
            if network.poke(probe_plan).await.is_ok() {
                return;
            }
        }
    }

    /// Probes the candidates, and for a native driver this machine.
    ///
    /// # Errors
    /// The cause by which no connect would succeed now.
    pub async fn probe(
        &self,
        network: &Arc<dyn Network>,
        probe_plan: &ProbePlan,
    ) -> Result<(), ConnectError> {
        let began = Instant::now();
        let found = self.find(network, probe_plan).await;
        let mut state = self.state();
        state.failure = found.as_ref().err().map(|cause| cause.kind);
        state.silent = match state.failure {
            Some(Kind::Timeout) => MOST_PATIENT.min(state.silent + 1),
            _ => 0,
        };
        if found.is_ok() {
            state.answered_in = began.elapsed();
        }
        found
    }

    async fn find(
        &self,
        network: &Arc<dyn Network>,
        probe_plan: &ProbePlan,
    ) -> Result<(), ConnectError> {
        let timeouts = retry::timeouts(probe_plan.probe_timeout, self.state().silent);
        let found = find_cluster(network, probe_plan, timeouts, true).await;
        self.state().is_starting = found.as_ref().is_ok_and(|passed| passed.awaits_node);
        match found {
            Ok(passed) if passed.awaits_node => {
                LocalNode::Starting.check(&passed.address.to_string())
            }
            Ok(_) => Ok(()),
            // It was here, and may come back.
            Err(cause) if cause.kind == Kind::NoLocalNode => Err(ConnectError {
                kind: Kind::NotReady,
                ..cause
            }),
            Err(cause) => Err(cause),
        }
    }
}
