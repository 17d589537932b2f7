//! The monitor of one connection: checks it, tells the session, and says what is to be done to Ray.
//!
//! The thread that runs a monitor belongs to Python, since it shuts Ray down and connects again. It
//! repeats three steps: [`Monitor::next`] waits and checks, [`Monitor::apply`] records what that
//! means, and the thread carries out the [`Order`] that comes of it.

mod blocked_calls;
mod cluster_search;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use blocked_calls::BlockedCalls;
use cluster_search::ClusterSearch;
use tokio::time::{Instant, sleep, sleep_until};

use crate::error::ConnectError;
use crate::health::{
    Change, CheckResult, DetectorSettings, FailureDetector, HealthCheck, Plan, Release, Watch,
    last_moment,
};
use crate::preflight::{Network, ProbePlan};
use crate::retry;
use crate::session::{Gone, Phase, Session};

/// From the connect to the first check, which opens the connection whose end is news.
const FIRST_CHECK: Duration = Duration::from_millis(500);

/// Pause before the next check while a connect or a shutdown is under way.
const BUSY: Duration = Duration::from_millis(500);

/// The longest pause before a check that is made because a connection was closed: thousands of services
/// see the same head die at the same instant.
const SPREAD: Duration = Duration::from_millis(50);

/// The shortest time between two such checks. A proxy may close each connection at once.
const NEWS_SPACING: Duration = Duration::from_secs(1);

/// What one step of the monitor found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum MonitorEvent {
    /// No change.
    Quiet,
    /// The condition of the connection has changed. [`Monitor::apply`] first asks what Ray itself
    /// says: a session that its server does not know is a loss only while Ray believes in it.
    Changed(Change),
    /// Ray was released, and the cluster answers again.
    ClusterBack,
    /// The monitor was stopped.
    Stopped,
}

/// What the monitor's thread does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Order {
    /// Nothing: call [`Monitor::next`] again.
    Wait,
    /// Shut Ray down between [`Monitored::begin_release`] and [`Session::closed`].
    ///
    /// [`Monitored::begin_release`]: crate::session::Monitored::begin_release
    Release,
    /// Connect again, once.
    Reconnect,
    /// Run a trivial task, then call [`Monitor::task_ended`].
    RunTask,
    /// Return.
    Stop,
}

/// Bounds of one monitor.
pub struct Setup {
    /// How the connection is watched.
    pub plan: Plan,
    /// Timeout of one check.
    pub probe_timeout: Duration,
    /// From the last answer until the connection is lost.
    pub grace: Duration,
    /// When Ray ends a native driver, counted from the last answer; `None` for a Ray Client.
    pub deadline: Option<Duration>,
}

/// What changes from check to check.
struct State {
    detector: FailureDetector,
    next_check: Instant,
    /// The failure of the last task, where tasks are run.
    task_failure: Option<ConnectError>,
    /// When a check was last made before it was due.
    news_at: Option<Instant>,
    random: fastrand::Rng,
}

/// The monitor of one connection.
pub struct Monitor {
    watch: Arc<Watch>,
    setup: Setup,
    check: Box<dyn HealthCheck>,
    state: Mutex<State>,
    search: ClusterSearch,
    blocked_calls: BlockedCalls,
}

impl Monitor {
    /// A monitor of a connection that has just been made.
    pub fn new(setup: Setup, check: Box<dyn HealthCheck>, mut random: fastrand::Rng) -> Self {
        let now = Instant::now();
        let settings = DetectorSettings {
            interval: setup.plan.interval,
            misses: setup.plan.misses,
            grace: setup.grace,
        };
        let search = ClusterSearch::new(random.fork());
        let detector = FailureDetector::new(settings, now, random.fork());
        let first = setup.plan.interval.min(FIRST_CHECK);
        let state = State {
            next_check: now + retry::shortened(first, &mut random),
            detector,
            task_failure: None,
            news_at: None,
            random,
        };
        Self {
            watch: Watch::new(setup.plan, setup.probe_timeout),
            setup,
            check,
            state: Mutex::new(state),
            search,
            blocked_calls: BlockedCalls::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the session knows this monitor by.
    pub const fn watch(&self) -> &Arc<Watch> {
        &self.watch
    }

    /// Whether the connection is a native driver's, which Ray ends together with the process.
    pub const fn is_native(&self) -> bool {
        self.setup.deadline.is_some()
    }

    /// From the last answer until the connection is lost.
    pub const fn grace(&self) -> Duration {
        self.setup.grace
    }

    /// Whether calls that are blocked in Ray may be ended.
    pub fn ends_calls(&self) -> bool {
        self.setup.plan.release == Release::Always
    }

    /// Waits until the next check is due and makes it. While the connection is lost and released,
    /// waits for the next try instead and probes the candidates of `probe_plan`.
    ///
    /// Ends early when the monitor is stopped.
    pub async fn next(
        &self,
        session: &Session,
        network: &Arc<dyn Network>,
        probe_plan: Option<&ProbePlan>,
    ) -> MonitorEvent {
        let step = async {
            match probe_plan {
                Some(probe_plan) => self.wait_and_probe(session, network, probe_plan).await,
                None => self.wait_and_check(session).await,
            }
        };
        tokio::select! {
            biased;
            () = self.watch.stopped() => MonitorEvent::Stopped,
            event = step => event,
        }
    }

    /// Whether [`Monitor::next`] is to wait for the cluster: it needs a probe plan then.
    pub fn awaits_cluster(&self, session: &Session) -> bool {
        self.phase(session) == Some(Phase::Released)
    }

    async fn wait_and_check(&self, session: &Session) -> MonitorEvent {
        self.until_due().await;
        if session.is_busy() {
            sleep(BUSY).await;
            return MonitorEvent::Quiet;
        }
        let began = Instant::now();
        let timeout = self
            .state()
            .detector
            .check_timeout(self.setup.probe_timeout, began);
        let result = self.check.check(timeout).await;
        let change = self.record(session, result, began);
        change.map_or(MonitorEvent::Quiet, MonitorEvent::Changed)
    }

    /// Waits until the next check is due, or is worthwhile because there is news of the connection.
    async fn until_due(&self) {
        let (due, news_from) = {
            let state = self.state();
            (state.next_check, state.news_at.map(|at| at + NEWS_SPACING))
        };
        let news = async {
            tokio::select! {
                () = self.check.news() => {}
                () = self.watch.looked_for() => {}
            }
            if let Some(from) = news_from {
                sleep_until(from).await;
            }
            let pause = SPREAD.mul_f64(self.state().random.f64());
            sleep(pause).await;
        };
        tokio::select! {
            () = sleep_until(due) => {}
            () = news => self.state().news_at = Some(Instant::now()),
        }
    }

    fn record(&self, session: &Session, result: CheckResult, began: Instant) -> Option<Change> {
        let now = Instant::now();
        let result = match (result, self.state().task_failure.clone()) {
            (CheckResult::Answered, Some(cause)) => CheckResult::Degraded(cause),
            (result, _) => result,
        };
        session.probed(now - began, result.cause().cloned());
        if let Some(mut monitored) = session.monitored(&self.watch) {
            monitored.checked(result.cause().is_none());
        }
        let mut state = self.state();
        let change = state.detector.record(result, now);
        state.next_check = state.detector.next_check(began, now);
        change
    }

    async fn wait_and_probe(
        &self,
        session: &Session,
        network: &Arc<dyn Network>,
        probe_plan: &ProbePlan,
    ) -> MonitorEvent {
        let pause = self.search.pause();
        if let Some(mut monitored) = session.monitored(&self.watch) {
            monitored.retries_in(pause);
        }
        tokio::select! {
            () = sleep(pause) => {}
            () = self.search.port_opens(network, probe_plan) => {}
        }
        if session.is_busy() {
            return MonitorEvent::Quiet;
        }
        let began = Instant::now();
        let found = self.search.probe(network, probe_plan).await;
        session.probed(began.elapsed(), found.as_ref().err().cloned());
        match found {
            Ok(()) => MonitorEvent::ClusterBack,
            Err(cause) => {
                if let Some(mut monitored) = session.monitored(&self.watch) {
                    monitored.not_back(&cause);
                }
                MonitorEvent::Quiet
            }
        }
    }

    /// Records `event` in `session`. `gone` tells whether Ray itself says that the connection is gone.
    pub fn apply(
        &self,
        session: &Session,
        event: &MonitorEvent,
        gone: impl FnOnce() -> Option<Gone>,
    ) -> Order {
        if *event == MonitorEvent::Stopped {
            return Order::Stop;
        }
        let is_held = self.phase(session) == Some(Phase::Held) && !session.is_busy();
        if is_held && let Some(how) = gone() {
            session.gone(how);
        }
        if let MonitorEvent::Changed(change) = event
            && let Some(mut monitored) = session.monitored(&self.watch)
        {
            monitored.change(change.clone(), self.time_left());
        }
        match self.phase(session) {
            Some(Phase::Lost) if self.watch.releases() => Order::Release,
            _ if *event == MonitorEvent::ClusterBack => Order::Reconnect,
            Some(Phase::Held) if *event == MonitorEvent::Quiet && self.setup.plan.deep => {
                Order::RunTask
            }
            _ => Order::Wait,
        }
    }

    fn phase(&self, session: &Session) -> Option<Phase> {
        let monitored = session.monitored(&self.watch)?;
        Some(monitored.phase())
    }

    /// How long until the connection counts as lost; `None` while its control plane answers.
    fn time_left(&self) -> Option<Duration> {
        let state = self.state();
        if state.detector.is_broken() {
            return Some(Duration::ZERO);
        }
        let left = state.detector.deadline() - Instant::now();
        (!state.detector.answers()).then_some(left)
    }

    /// Checks at once whether the server process of a Ray Client has ended.
    pub fn suspect_server(&self) {
        self.check.suspect_server();
        self.watch.look_now();
    }

    /// The timeout of a probe that the cluster can answer within, however slow it is.
    pub fn probe_timeout(&self) -> Duration {
        self.setup.probe_timeout.max(self.search.answered_in() * 2)
    }

    /// Records the end of a task, with its failure; it counts at the next check.
    pub fn task_ended(&self, failure: Option<ConnectError>) {
        self.state().task_failure = failure;
    }

    /// Until when Ray may still be released; `None` means at any time.
    fn last_moment(&self) -> Option<Instant> {
        let deadline = self.setup.deadline?;
        Some(self.state().detector.last_answer() + last_moment(deadline))
    }

    /// Whether the last check found that the raylet of this node has ended.
    pub fn has_no_raylet(&self) -> bool {
        self.is_native() && self.state().detector.is_broken()
    }

    /// Logs, once, that releasing Ray from `address` would end this process.
    pub fn report_fatal(&self, address: &str) {
        self.blocked_calls.fatal(address);
    }

    /// Logs, once, that the calls of `threads` in Ray are about to be ended.
    pub fn report_ending(&self, threads: &str) {
        self.blocked_calls.ending(threads);
    }

    /// Logs that the calls of `threads` in Ray keep it from being released from `address`: once now,
    /// and once when it is too late to release it.
    pub fn report_blocked(&self, address: &str, threads: &str) {
        let left = self
            .last_moment()
            .map_or(Duration::MAX, |end| end - Instant::now());
        self.blocked_calls
            .waiting(address, threads, left, self.ends_calls());
    }
}
