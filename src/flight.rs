//! One connect attempt, shared by everyone who waits for it.
//!
//! A flight is carried out by one thread of its own (whoever created it launches it); callers,
//! sync and async alike, only wait, each no longer than its own patience. The flight goes on
//! while at least one of them has time left.

mod causes;
mod deadline;
mod waiter;
mod waiters;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout_at};

use crate::error::{ConnectError, Kind};
use crate::metrics::Metrics;
use crate::preflight::{Network, Passed, ProbePlan, sweep};
use crate::retry;
pub use deadline::Deadline;
use deadline::after;
pub use waiter::Waiter;
use waiters::{Status, WaiterState, Waiters};

/// How long a flight may take to land once its time is up: its log lines are written first.
pub const LANDING: Duration = Duration::from_millis(250);

/// What a flight is asked to do, besides reaching its target.
#[derive(Clone, Copy, Debug)]
pub struct ConnectOptions {
    /// Bound of `ray.init` itself.
    pub init_timeout: Duration,
    /// Shut a live connection down once the preflight has passed.
    pub force: bool,
    /// Wait for a local Ray too, which is otherwise answered at once.
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

/// What the thread that carries out the flight does next.
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

/// One look at the cluster.
#[derive(Clone, Debug)]
pub struct LastProbe {
    /// When it ended.
    pub at: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// The cause, if it failed.
    pub error: Option<ConnectError>,
}

/// One connect attempt.
pub struct Flight {
    /// What is tried.
    pub probe_plan: ProbePlan,
    /// How.
    pub options: ConnectOptions,
    /// When it began.
    pub began: Instant,
    network: Arc<dyn Network>,
    metrics: Arc<Metrics>,
    progress: watch::Sender<Progress>,
    /// Every change of the progress before the landing is made under this lock.
    crew: Mutex<Waiters>,
    /// `ray.init` outlived its time, and that was reported.
    abandoned: AtomicBool,
    called_off: Notify,
    crew_changed: Notify,
}

impl Flight {
    /// A flight that nobody waits for yet.
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
            crew: Mutex::default(),
            abandoned: AtomicBool::default(),
            called_off: Notify::new(),
            crew_changed: Notify::new(),
        })
    }

    /// A panic elsewhere must not turn every later call into one: the crew is plain data.
    fn crew(&self) -> MutexGuard<'_, Waiters> {
        self.crew.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a seat; None when it was called off or is over. The flight goes on at least as long
    /// as this caller has patience. `wait_for_local` is the caller's [`ConnectOptions::wait_for_local`].
    pub fn join(self: &Arc<Self>, patience: Deadline, wait_for_local: bool) -> Option<Waiter> {
        let mut crew = self.crew();
        if crew.status != Status::Open || self.progress.borrow().is_done() {
            return None;
        }
        let seat = WaiterState {
            patience,
            wait_for_local,
            sweeps: crew.sweeps,
            look_by: match patience {
                Deadline::Once => after(self.probe_plan.sweep_bound()),
                Deadline::At(end) => end,
            },
        };
        let id = crew.join(seat);
        self.crew_changed.notify_one();
        Some(Waiter::new(self, id, seat))
    }

    fn leave(&self, id: u64) {
        let mut crew = self.crew();
        let probing = matches!(*self.progress.borrow(), Progress::Probing { .. });
        if crew.leave(id) && probing && crew.status == Status::Open {
            self.cancel(&mut crew);
        }
        self.crew_changed.notify_one();
    }

    fn cancel(&self, crew: &mut Waiters) {
        crew.status = Status::CalledOff;
        self.called_off.notify_one();
    }

    /// Sweeps finished so far.
    pub fn sweeps(&self) -> u32 {
        self.crew().sweeps
    }

    /// The last sweep.
    pub fn last_probe(&self) -> Option<LastProbe> {
        self.crew().last_probe.clone()
    }

    /// Whether `ray.init` is running.
    pub fn in_init(&self) -> bool {
        matches!(*self.progress.borrow(), Progress::Init { .. })
    }

    /// Whether `ray.init` is running and has outlived its time.
    pub fn is_overdue(&self) -> bool {
        matches!(*self.progress.borrow(), Progress::Init { until } if Instant::now() >= until)
    }

    /// Seconds left for `ray.init`; negative when its time is up.
    pub fn init_seconds_left(&self) -> f64 {
        let Progress::Init { until } = *self.progress.borrow() else {
            return 0.0;
        };
        let now = Instant::now();
        match until.checked_duration_since(now) {
            Some(left) => left.as_secs_f64(),
            None => -(now - until).as_secs_f64(),
        }
    }

    /// For somebody who waits for the end of it, whatever that is, without taking a seat.
    pub fn over(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Calls it off. A running `ray.init` cannot be stopped: what it connects is unwanted.
    pub fn call_off(&self) {
        self.cancel(&mut self.crew());
    }

    /// There is a connection by now: whoever only wanted one has it. False when this flight is
    /// past its preflight, or was to replace whatever there is.
    #[must_use]
    pub fn yields(&self) -> bool {
        let mut crew = self.crew();
        let yields = !self.options.force && !self.in_init();
        if yields {
            self.cancel(&mut crew);
            self.land(Ok(()));
        }
        yields
    }

    /// Whether what `ray.init` connects is still wanted.
    pub fn is_wanted(&self) -> bool {
        self.crew().status != Status::CalledOff
    }

    /// Sweeps once; after a failure that time may cure, also waits until the next look is due.
    pub async fn step(&self) -> Step {
        tokio::select! {
            biased;
            () = self.called_off.notified() => Step::GiveUp(self.cancelled()),
            step = self.sweep_and_wait() => step,
        }
    }

    async fn sweep_and_wait(&self) -> Step {
        let began = Instant::now();
        let (timeout, with_fallbacks) = self.plan_sweep();
        let result = sweep(&self.network, &self.probe_plan, timeout, with_fallbacks).await;
        self.note_probe(began.elapsed(), result.as_ref().err());
        match result {
            Ok(passed) => {
                self.crew().sweeps += 1;
                Step::Init(passed)
            }
            Err(cause) => self.after_failure(cause).await,
        }
    }

    /// The bound of each probe of the next sweep, and whether that may try the fallbacks, which
    /// are probed after the address itself: the time that is left has to do for both.
    fn plan_sweep(&self) -> (Duration, bool) {
        let mut crew = self.crew();
        let now = Instant::now();
        let due = crew.takes_fallbacks(now);
        let rounds = if due { self.probe_plan.rounds() } else { 1 };
        let left = crew.sweep_bound(now) / rounds;
        (left.min(self.probe_plan.probe_timeout), due)
    }

    fn note_probe(&self, took: Duration, error: Option<&ConnectError>) {
        self.metrics.probed(took, error.is_none());
        self.crew().last_probe = Some(LastProbe {
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
        // The last answer stands: another sweep with no time left would only say "timeout".
        if self.crew().goes_on(cause.kind, Instant::now()) {
            Step::Again
        } else {
            Step::GiveUp(cause)
        }
    }

    /// Counts a failed sweep and tells the waiters. False when nobody wants another one.
    fn note_failure(&self, cause: &mut ConnectError) -> bool {
        let mut crew = self.crew();
        crew.sweeps += 1;
        cause.attempts = crew.sweeps;
        self.advance(Progress::Probing {
            sweeps: crew.sweeps,
            last: Some(cause.clone()),
        });
        let now = Instant::now();
        let goes_on = crew.goes_on(cause.kind, now);
        let left = crew.time_left(cause.kind, now);
        drop(crew);
        if let Some(left) = left
            && cause.attempts == 1
        {
            causes::announce_wait(cause, left);
        }
        goes_on
    }

    /// Waits for the next full sweep, unless that is wanted earlier, or by nobody any more.
    async fn pause(&self, kind: Kind) {
        tokio::select! {
            biased;
            () = self.wanted_earlier(kind) => {}
            () = self.next_sweep(kind) => {}
        }
    }

    /// Ends when somebody asks for one look, or when the last one's patience does.
    async fn wanted_earlier(&self, kind: Kind) {
        loop {
            let left = {
                let crew = self.crew();
                let left = crew.time_left(kind, Instant::now());
                left.filter(|_| !crew.is_look_wanted())
            };
            let Some(left) = left else { return };
            // Whether the crew changed or the time is up, the loop looks again.
            let _ = timeout_at(Instant::now() + left, self.crew_changed.notified()).await;
        }
    }

    /// Ends when a full sweep is due. While the port refuses, a bare connect tells when it opens.
    async fn next_sweep(&self, kind: Kind) {
        let resweep = Instant::now() + retry::RESWEEP;
        loop {
            sleep(retry::pause(kind)).await;
            let Some(server) = self.probe_plan.server().filter(|_| retry::poke_first(kind)) else {
                return;
            };
            let timeout = self.probe_plan.probe_timeout;
            let opened = self.network.poke(server, timeout).await.is_ok();
            if opened || Instant::now() >= resweep {
                return;
            }
        }
    }

    /// `ray.init` begins. False when the flight was called off in the meantime.
    #[must_use]
    pub fn begin_init(&self) -> bool {
        let crew = self.crew();
        let until = after(self.options.init_timeout);
        crew.status == Status::Open && self.advance(Progress::Init { until })
    }

    /// Everyone who waits gets `result`. The first landing counts: at the end of the process, the
    /// waiters are told before the flight knows.
    pub fn land(&self, result: Result<(), ConnectError>) {
        self.advance(Progress::Done(result));
    }

    /// False when the flight has landed already: nothing follows on that.
    fn advance(&self, next: Progress) -> bool {
        self.progress.send_if_modified(|progress| {
            let flies = !progress.is_done();
            if flies {
                // Before anybody hears of it: who does finds it counted.
                self.count(&next);
                *progress = next;
            }
            flies
        })
    }

    /// A connect that was given up in `ray.init` has been counted as that; it may still succeed.
    fn count(&self, next: &Progress) {
        if let Progress::Done(result) = next
            && (result.is_ok() || !self.abandoned.load(Ordering::Relaxed))
        {
            let failure = result.as_ref().err().map(|cause| cause.kind);
            self.metrics.connect_ended(self.began.elapsed(), failure);
        }
    }

    /// The time of `ray.init` is up. True for the first who says so.
    fn abandon(&self) -> bool {
        let is_news = !self.abandoned.swap(true, Ordering::Relaxed);
        if is_news {
            let cause = Some(Kind::InitTimeout);
            self.metrics.connect_ended(self.began.elapsed(), cause);
        }
        is_news
    }
}
