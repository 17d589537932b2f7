//! One connection under watch: when to look, and what to tell the session.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{error, warn};

use super::{
    Change, CheckResult, DetectorSettings, FailureDetector, HealthCheck, Plan, Release, last_moment,
};
use crate::error::ConnectError;
use crate::preflight::{Network, ProbePlan, sweep};
use crate::retry::Backoff;
use crate::session::Session;

/// While somebody connects: the look waits for that.
const BUSY: Duration = Duration::from_millis(500);

/// What the thread that carries out the watch does next.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Round {
    /// Nothing is new.
    Quiet,
    /// Something is: hand it to [`Watch::tell`], once what Ray itself says was looked at. A session
    /// that its server does not know is a loss only while Ray thinks that it has one.
    News(Change),
    /// Ray was released, and the cluster is there.
    Back,
    /// Nobody needs this watch any more.
    Over,
}

/// What a watch is told about its connection.
pub struct Setup {
    /// How to watch it.
    pub plan: Plan,
    /// Bound of one look.
    pub probe_timeout: Duration,
    /// From the last answer until Ray is released.
    pub grace: Duration,
    /// Ray's own deadline; None where Ray leaves the process alone (Ray Client).
    pub deadline: Option<Duration>,
}

/// What changes from look to look.
struct Beat {
    pulse: FailureDetector,
    next: Instant,
    /// What the last task said, where tasks are run.
    data_plane: Option<ConnectError>,
    backoff: Backoff,
    said_blocked: Said,
}

/// What was said about threads that are blocked in Ray.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Said {
    Nothing,
    Ending,
    Waiting,
    Leaving,
}

/// One connection under watch.
pub struct Watch {
    setup: Setup,
    subject: Box<dyn HealthCheck>,
    beat: Mutex<Beat>,
    over: watch::Sender<bool>,
}

impl Watch {
    /// Watches a connection that was made just now.
    pub fn new(
        setup: Setup,
        subject: Box<dyn HealthCheck>,
        mut random: fastrand::Rng,
    ) -> Arc<Self> {
        let now = Instant::now();
        let settings = DetectorSettings {
            interval: setup.plan.interval,
            misses: setup.plan.misses,
            grace: setup.grace,
        };
        let backoff = Backoff::new(random.fork());
        let mut pulse = FailureDetector::new(settings, now, random);
        let beat = Beat {
            next: pulse.next_look(now, now),
            pulse,
            data_plane: None,
            backoff,
            said_blocked: Said::Nothing,
        };
        Arc::new(Self {
            setup,
            subject,
            beat: Mutex::new(beat),
            over: watch::Sender::new(false),
        })
    }

    fn beat(&self) -> MutexGuard<'_, Beat> {
        self.beat.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How this connection is watched.
    pub const fn plan(&self) -> &Plan {
        &self.setup.plan
    }

    /// Whether it is a native driver's connection, which Ray ends together with the process.
    pub fn is_native(&self) -> bool {
        self.setup.deadline.is_some()
    }

    /// How long a good look counts for.
    pub fn freshness(&self) -> Duration {
        self.setup.plan.interval + self.setup.probe_timeout
    }

    /// Ends the watch: the connection is somebody else's business from now on.
    pub fn stop(&self) {
        self.over.send_replace(true);
    }

    async fn stopped(&self) {
        // An error would mean that the sender is gone, which is in here.
        let _ = self.over.subscribe().wait_for(|over| *over).await;
    }

    /// What a task said that was run to see whether the cluster works; counts at the next look.
    pub fn data_plane(&self, cause: Option<ConnectError>) {
        self.beat().data_plane = cause;
    }

    /// Until when Ray may still be released; None: at any time.
    pub fn last_moment(&self) -> Option<Instant> {
        let deadline = self.setup.deadline?;
        Some(self.beat().pulse.last_answer() + last_moment(deadline))
    }

    /// Whether Ray is to be released once the connection is lost. A Ray Client's threads get an
    /// ordinary error from that, so nothing speaks against it but `never`.
    pub fn releases(&self) -> bool {
        self.setup.plan.release != Release::Never
    }

    /// Whether calls that are blocked in Ray may be ended.
    pub fn releases_always(&self) -> bool {
        self.setup.plan.release == Release::Always
    }

    /// How long the connection is hoped for from now on; None when its control plane answers.
    pub fn hope(&self) -> Option<Duration> {
        let beat = self.beat();
        let left = beat.pulse.deadline() - Instant::now();
        (!beat.pulse.answers()).then_some(left)
    }

    /// Whether that is news. What was said before that is not said again.
    fn is_news(&self, say: Said) -> bool {
        let mut beat = self.beat();
        let is_news = beat.said_blocked < say;
        if is_news {
            beat.said_blocked = say;
        }
        is_news
    }

    /// The calls of `threads` in Ray are about to be ended: one line, however often that is tried.
    pub fn ending(&self, threads: &str) {
        if self.is_news(Said::Ending) {
            warn!("releasing Ray ends calls that are blocked in it: {threads}");
        }
    }

    /// `threads` are blocked inside Ray, so that it is not released: one line now, and one when it
    /// will be too late.
    pub fn blocked(&self, address: &str, threads: &str) {
        let left = self
            .last_moment()
            .map_or(Duration::MAX, |end| end - Instant::now());
        let say = if left.is_zero() {
            Said::Leaving
        } else {
            Said::Waiting
        };
        if !self.is_news(say) {
            return;
        }
        if say == Said::Waiting {
            warn!(
                "not releasing Ray from {address} yet, calls are blocked in it: {threads}; trying \
                 for another {:.0} s",
                left.as_secs_f64()
            );
        } else {
            let hint = if self.releases_always() {
                "Only ray.get and ray.wait can be ended, from Ray 2.44 on."
            } else {
                "seedcore_ray.start_monitor(release=\"always\") ends such calls with an exception \
                 instead, and keeps the process."
            };
            error!(
                "not releasing Ray from {address}: still blocked in it: {threads}. Ray itself ends \
                 this process with exit code 1 in a few seconds, unless the same cluster comes \
                 back. {hint}"
            );
        }
    }

    /// Tells `session` what is new.
    pub fn tell(&self, session: &Session, change: Change) {
        match change {
            Change::Unhealthy(cause) => session.unhealthy(self, cause),
            Change::Recovered => session.recovered(self),
            Change::Lost(cause) => session.lost(self, cause),
        }
    }

    /// Waits until the next look is due, and takes it.
    pub async fn round(&self, session: &Session) -> Round {
        tokio::select! {
            biased;
            () = self.stopped() => Round::Over,
            round = self.wait_and_look(session) => round,
        }
    }

    async fn wait_and_look(&self, session: &Session) -> Round {
        let due = self.beat().next;
        sleep_until(due).await;
        if session.is_busy() {
            self.beat().next = Instant::now() + BUSY;
            return Round::Quiet;
        }
        let began = Instant::now();
        let timeout = self.beat().pulse.patience(self.setup.probe_timeout, began);
        let sight = self.subject.look(timeout).await;
        let change = self.saw(session, sight, began);
        change.map_or(Round::Quiet, Round::News)
    }

    fn saw(&self, session: &Session, sight: CheckResult, began: Instant) -> Option<Change> {
        let now = Instant::now();
        let sight = match (sight, self.beat().data_plane.clone()) {
            (CheckResult::Answered, Some(cause)) => CheckResult::Degraded(cause),
            (sight, _) => sight,
        };
        session.looked(self, now - began, sight.cause().cloned());
        let mut beat = self.beat();
        let change = beat.pulse.saw(sight, now);
        beat.next = beat.pulse.next_look(began, now);
        change
    }

    /// After Ray was released: waits for the next try, and looks whether the cluster is back.
    pub async fn comeback(
        &self,
        session: &Session,
        network: &Arc<dyn Network>,
        probe_plan: &ProbePlan,
    ) -> Round {
        tokio::select! {
            biased;
            () = self.stopped() => Round::Over,
            round = self.wait_and_sweep(session, network, probe_plan) => round,
        }
    }

    async fn wait_and_sweep(
        &self,
        session: &Session,
        network: &Arc<dyn Network>,
        probe_plan: &ProbePlan,
    ) -> Round {
        let pause = self.beat().backoff.pause();
        session.retries_in(self, pause);
        sleep(pause).await;
        if session.is_busy() {
            return Round::Quiet;
        }
        let began = Instant::now();
        let found = sweep(network, probe_plan, probe_plan.probe_timeout, true).await;
        session.probed(began.elapsed(), found.as_ref().err().cloned());
        match found {
            Ok(_) => Round::Back,
            Err(cause) => {
                session.still_away(self, &cause);
                Round::Quiet
            }
        }
    }
}
