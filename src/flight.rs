//! One connect attempt, shared by all callers that wait for it (single flight).
//!
//! A flight runs on a thread of its own, which its creator launches; callers, sync and async alike,
//! only wait, each no longer than its own deadline. The flight goes on while at least one of them has
//! time left. This file probes; [`crate::connect::Driver`] has the rest of a connect.

mod causes;
mod deadline;
mod progress;
mod waiter;
mod waiters;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout_at};
use tracing::warn;

use crate::error::{ConnectError, Kind};
use crate::log_target::CONNECT;
use crate::metrics::Metrics;
use crate::preflight::{Network, ProbePlan, find_cluster};
use crate::retry;
pub use deadline::{Deadline, after};
pub use progress::{ConnectOptions, EnvironmentSetup, LastProbe, Progress, Step};
pub use waiter::Waiter;
pub use waiters::Patience;
use waiters::{Status, WaiterState, Waiters};

/// How long a flight may take to finish once its time is up: its log lines are written first.
pub const FINISH_MARGIN: Duration = Duration::from_millis(250);

/// One connect attempt.
pub struct Flight {
    /// What is tried.
    pub probe_plan: ProbePlan,
    /// How it is tried.
    pub options: ConnectOptions,
    /// When it began.
    pub began: Instant,
    network: Arc<dyn Network>,
    metrics: Arc<Metrics>,
    progress: watch::Sender<Progress>,
    /// Also guards every change of the progress but the last.
    waiters: Mutex<Waiters>,
    /// `ray.init` outlived its timeout, and that was counted.
    abandoned: AtomicBool,
    /// See [`Passed::awaits_node`](crate::preflight::Passed::awaits_node).
    awaits_node: AtomicBool,
    cancellation: Notify,
    waiters_changed: Notify,
}

impl Flight {
    /// A flight without waiters.
    pub fn new(
        probe_plan: ProbePlan,
        options: ConnectOptions,
        network: Arc<dyn Network>,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        let (progress, _) = watch::channel(Progress::Probing {
            sweeps: 0,
            last: None,
        });
        Arc::new(Self {
            probe_plan,
            options,
            began: Instant::now(),
            network,
            metrics,
            progress,
            waiters: Mutex::default(),
            abandoned: AtomicBool::default(),
            awaits_node: AtomicBool::default(),
            cancellation: Notify::new(),
            waiters_changed: Notify::new(),
        })
    }

    /// A panic elsewhere must not turn every later call into one: the waiters is plain data.
    fn waiters(&self) -> MutexGuard<'_, Waiters> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a waiter; `None` when the flight was cancelled or is over. The flight goes on at least as
    /// long as the waiter's patience.
    pub fn join(self: &Arc<Self>, patience: Patience) -> Option<Waiter> {
        let mut waiters = self.waiters();
        if waiters.status != Status::Open || self.progress.borrow().is_done() {
            return None;
        }
        let seat = WaiterState {
            patience,
            sweeps: waiters.sweeps,
            look_by: match patience.deadline {
                Deadline::Once => after(self.probe_plan.sweep_bound()),
                Deadline::At(end) => end,
            },
        };
        let id = waiters.join(seat);
        self.waiters_changed.notify_one();
        Some(Waiter::new(self, id, seat))
    }

    fn leave(&self, id: u64) {
        let mut waiters = self.waiters();
        let probing = matches!(*self.progress.borrow(), Progress::Probing { .. });
        if waiters.leave(id) && probing && waiters.status == Status::Open {
            self.mark_cancelled(&mut waiters);
        }
        self.waiters_changed.notify_one();
    }

    fn mark_cancelled(&self, waiters: &mut Waiters) {
        waiters.status = Status::Cancelled;
        self.cancellation.notify_one();
    }

    /// The target's address, as it may be shown.
    pub fn address(&self) -> String {
        self.probe_plan.target.address.to_string()
    }

    /// Sweeps finished so far.
    pub fn sweeps(&self) -> u32 {
        self.waiters().sweeps
    }

    /// The last sweep.
    pub fn last_probe(&self) -> Option<LastProbe> {
        self.waiters().last_probe.clone()
    }

    /// Whether `ray.init` is running.
    pub fn in_init(&self) -> bool {
        matches!(*self.progress.borrow(), Progress::Init { .. })
    }

    /// Whether `ray.init` is running and has outlived its timeout, and the patience of all waiters.
    pub fn is_overdue(&self) -> bool {
        let patience = self.waiters().init_until();
        matches!(
            *self.progress.borrow(),
            Progress::Init { until, .. } if Instant::now() >= patience.map_or(until, |end| end.max(until))
        )
    }

    /// Seconds left for `ray.init`; negative once its time is up.
    pub fn init_seconds_left(&self) -> f64 {
        let Progress::Init { until, .. } = *self.progress.borrow() else {
            return 0.0;
        };
        let now = Instant::now();
        match until.checked_duration_since(now) {
            Some(left) => left.as_secs_f64(),
            None => -(now - until).as_secs_f64(),
        }
    }

    /// The progress, for a caller that waits for the end of the flight without being a waiter.
    pub fn over(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Cancels the flight. A running `ray.init` cannot be stopped: what it connects is unwanted.
    pub fn cancel(&self) {
        self.mark_cancelled(&mut self.waiters());
    }

    /// Finishes the flight because there is a connection by now. False, and nothing happens, when it is
    /// past its preflight or is to replace that connection.
    #[must_use]
    pub fn give_way(&self) -> bool {
        let mut waiters = self.waiters();
        let yields = !self.options.force && !self.in_init();
        if yields {
            self.mark_cancelled(&mut waiters);
            self.finish(Ok(()));
        }
        yields
    }

    /// Whether what `ray.init` connects is still wanted.
    pub fn is_wanted(&self) -> bool {
        self.waiters().status != Status::Cancelled
    }

    /// Probes all candidates once; after a failure that time may cure, also waits until the next round
    /// is due.
    pub async fn step(&self) -> Step {
        tokio::select! {
            biased;
            () = self.cancellation.notified() => Step::GiveUp(self.cancelled()),
            step = self.sweep_and_wait() => step,
        }
    }

    async fn sweep_and_wait(&self) -> Step {
        let began = Instant::now();
        let (timeouts, with_fallbacks) = self.waiters().plan_sweep(&self.probe_plan);
        let result = find_cluster(&self.network, &self.probe_plan, timeouts, with_fallbacks).await;
        self.note_probe(began.elapsed(), result.as_ref().err());
        match result {
            Ok(passed) => {
                self.waiters().sweeps += 1;
                self.awaits_node
                    .store(passed.awaits_node, Ordering::Relaxed);
                Step::Init(Box::new(passed))
            }
            Err(cause) => self.after_failure(cause).await,
        }
    }

    fn note_probe(&self, took: Duration, error: Option<&ConnectError>) {
        self.waiters().last_probe = Some(LastProbe {
            at: SystemTime::now(),
            took,
            error: error.cloned(),
        });
    }

    async fn after_failure(&self, mut cause: ConnectError) -> Step {
        if !self.note_failure(&mut cause) {
            return Step::GiveUp(cause);
        }
        self.pause(cause.kind).await;
        // Keep the last cause: another sweep with no time left would only say "timeout".
        if self.waiters().goes_on(cause.kind, Instant::now()) {
            Step::Again
        } else {
            Step::GiveUp(cause)
        }
    }

    /// Counts a failed sweep and tells the waiters. False when no waiter wants another one.
    fn note_failure(&self, cause: &mut ConnectError) -> bool {
        let mut waiters = self.waiters();
        cause.attempts = waiters.count_failure(cause.kind);
        self.advance(Progress::Probing {
            sweeps: waiters.sweeps,
            last: Some(cause.clone()),
        });
        let now = Instant::now();
        let goes_on = waiters.goes_on(cause.kind, now);
        let left = waiters.time_left(cause.kind, now);
        drop(waiters);
        if let Some(left) = left
            && cause.attempts == 1
        {
            log_retries(cause, left);
        }
        goes_on
    }

    /// Waits for the next full sweep; less when a new waiter wants one, or no waiter any more.
    async fn pause(&self, kind: Kind) {
        tokio::select! {
            biased;
            () = self.wanted_earlier(kind) => {}
            () = self.next_sweep(kind) => {}
        }
    }

    /// Ends when a new waiter wants a sweep of its own, or at the last deadline.
    async fn wanted_earlier(&self, kind: Kind) {
        loop {
            let left = {
                let waiters = self.waiters();
                let left = waiters.time_left(kind, Instant::now());
                left.filter(|_| !waiters.is_look_wanted())
            };
            let Some(left) = left else { return };
            // Whether the waiters changed or the time is up, the loop looks again.
            let _ = timeout_at(Instant::now() + left, self.waiters_changed.notified()).await;
        }
    }

    /// Ends when a full sweep is due. While the port refuses, a bare TCP connect tells when it opens.
    async fn next_sweep(&self, kind: Kind) {
        let resweep = Instant::now() + retry::RESWEEP;
        loop {
            sleep(retry::pause(kind)).await;
            if !(self.probe_plan.has_server() && retry::poke_first(kind)) {
                return;
            }
            let opened = self.network.poke(&self.probe_plan).await.is_ok();
            if opened || Instant::now() >= resweep {
                return;
            }
        }
    }

    /// `ray.init` begins. False when the flight was cancelled in the meantime.
    #[must_use]
    pub fn begin_init(&self) -> bool {
        let waiters = self.waiters();
        let until = after(self.options.init_timeout);
        let began = Instant::now();
        waiters.status == Status::Open && self.advance(Progress::Init { began, until })
    }

    /// Gives `result` to all waiters. Only the first call counts: at the end of the process the waiters
    /// are told before the thread of the flight knows.
    pub fn finish(&self, result: Result<(), ConnectError>) {
        self.advance(Progress::Done(result));
    }

    /// False when the flight is over already.
    fn advance(&self, next: Progress) -> bool {
        self.progress.send_if_modified(|progress| {
            let flies = !progress.is_done();
            if flies {
                // Count before notifying, so that a woken waiter observes the updated metrics.
                self.count(&next);
                *progress = next;
            }
            flies
        })
    }

    /// A connect whose `ray.init` outlived its timeout was counted then; it may still succeed.
    fn count(&self, next: &Progress) {
        if let Progress::Done(result) = next
            && (result.is_ok() || !self.abandoned.load(Ordering::Relaxed))
        {
            let failure = result.as_ref().err().map(|cause| cause.kind);
            self.metrics.connect_ended(self.began.elapsed(), failure);
        }
    }

    /// Records that the time of `ray.init` is up. True the first time.
    fn abandon(&self) -> bool {
        let is_news = !self.abandoned.swap(true, Ordering::Relaxed);
        if is_news {
            let cause = Some(Kind::InitTimeout);
            self.metrics.connect_ended(self.began.elapsed(), cause);
        }
        is_news
    }
}

/// One line at the first failure, when there is time to try again.
fn log_retries(cause: &ConnectError, left: Duration) {
    warn!(
        target: CONNECT,
        "{}; trying again for up to {:.1} s (connect_timeout_s or \
         SEEDCORE_RAY_CONNECT_TIMEOUT_S shortens this). {}",
        cause.message,
        left.as_secs_f64(),
        cause.hint,
    );
}
