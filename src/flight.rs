//! One connect attempt, shared by everyone who waits for it.
//!
//! A flight is carried out by one thread of its own (whoever created it launches it); callers,
//! sync and async alike, only wait, each no longer than its own patience. The flight goes on
//! while at least one of them has time left.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout_at};
use tracing::warn;

use crate::error::{ConnectError, Kind};
use crate::preflight::{Network, Passed, Survey, sweep};
use crate::retry;

/// How long a flight may take to land once its time is up: its log lines are written first.
const LANDING: Duration = Duration::from_millis(250);

/// How long a caller waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// One sweep, and no second one.
    OneSweep,
    /// Until then.
    Until(Instant),
}

impl Patience {
    /// `timeout` from now; zero is one sweep.
    pub fn of(timeout: Duration) -> Self {
        if timeout.is_zero() {
            Self::OneSweep
        } else {
            Self::Until(Instant::now() + timeout)
        }
    }

    /// Whether there is time for another try.
    pub fn has_time(self) -> bool {
        matches!(self, Self::Until(end) if Instant::now() < end)
    }
}

/// What a flight is asked to do, besides reaching its target.
#[derive(Clone, Copy, Debug)]
pub struct Orders {
    /// Bound of `ray.init` itself.
    pub init_timeout: Duration,
    /// Shut a live connection down once the preflight has passed.
    pub force: bool,
    /// Wait for a local Ray too, which is otherwise answered at once.
    pub stubborn: bool,
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

#[derive(Debug, Default)]
struct Crew {
    waiters: usize,
    /// The last moment at which somebody still wants another sweep.
    retry_until: Option<Instant>,
    /// The last moment at which somebody still waits for the sweep under way.
    sweep_until: Option<Instant>,
    /// Called off: by a shutdown, the exit, or because nobody waits.
    cancelled: bool,
    /// Nobody wants the connection that `ray.init` may still make.
    unwanted: bool,
    /// `ray.init` outlived its time and was reported.
    abandoned: bool,
    /// A caller with less patience than others was told, and that was reported.
    left_early: bool,
    fallbacks_at: Option<Instant>,
}

/// One connect attempt.
pub struct Flight {
    /// What is tried.
    pub survey: Survey,
    /// How.
    pub orders: Orders,
    /// When it began.
    pub began: Instant,
    network: Arc<dyn Network>,
    progress: watch::Sender<Progress>,
    crew: Mutex<Crew>,
    called_off: Notify,
}

impl Flight {
    /// A flight that nobody waits for yet.
    pub fn new(survey: Survey, orders: Orders, network: Arc<dyn Network>) -> Arc<Self> {
        let (progress, _) = watch::channel(Progress::Probing {
            sweeps: 0,
            last: None,
        });
        Arc::new(Self {
            survey,
            orders,
            began: Instant::now(),
            network,
            progress,
            crew: Mutex::default(),
            called_off: Notify::new(),
        })
    }

    /// A panic elsewhere must not turn every later call into one: the crew is plain data.
    fn crew(&self) -> MutexGuard<'_, Crew> {
        self.crew.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a seat. The flight goes on at least as long as this caller has patience.
    pub fn join(self: &Arc<Self>, patience: Patience) -> Waiter {
        let mut crew = self.crew();
        crew.waiters += 1;
        let sweep_end = match patience {
            Patience::OneSweep => Instant::now() + self.survey.probe_timeout,
            Patience::Until(end) => {
                crew.retry_until = crew.retry_until.max(Some(end));
                end
            }
        };
        crew.sweep_until = crew.sweep_until.max(Some(sweep_end));
        Waiter {
            flight: Arc::clone(self),
            seen: self.progress.subscribe(),
            sweeps: self.sweeps(),
            patience,
            came: Instant::now(),
            looked: None,
        }
    }

    fn leave(&self) {
        let mut crew = self.crew();
        crew.waiters -= 1;
        let deserted =
            crew.waiters == 0 && matches!(*self.progress.borrow(), Progress::Probing { .. });
        if deserted {
            crew.cancelled = true;
            self.called_off.notify_one();
        }
    }

    /// Sweeps finished so far.
    pub fn sweeps(&self) -> u32 {
        match *self.progress.borrow() {
            Progress::Probing { sweeps, .. } => sweeps,
            _ => 0,
        }
    }

    /// Whether it can still be joined: not called off, not over.
    pub fn is_open(&self) -> bool {
        let crew = self.crew();
        !crew.cancelled && !crew.unwanted && !self.progress.borrow().is_done()
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
        let mut crew = self.crew();
        crew.cancelled = true;
        crew.unwanted = true;
        self.called_off.notify_one();
    }

    /// Whether what `ray.init` connects is still wanted.
    pub fn is_wanted(&self) -> bool {
        !self.crew().unwanted
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
        let (timeout, with_fallbacks) = self.plan_sweep();
        match sweep(&self.network, &self.survey, timeout, with_fallbacks).await {
            Ok(passed) => Step::Init(passed),
            Err(cause) => self.after_failure(cause).await,
        }
    }

    fn plan_sweep(&self) -> (Duration, bool) {
        let mut crew = self.crew();
        let now = Instant::now();
        let left = crew
            .sweep_until
            .map_or(Duration::ZERO, |end| end.saturating_duration_since(now));
        // Fallbacks are other people's servers: not at the pace of a poked port.
        let due = crew
            .fallbacks_at
            .is_none_or(|at| now >= at + retry::RESWEEP);
        if due {
            crew.fallbacks_at = Some(now);
        }
        (left.min(self.survey.probe_timeout), due)
    }

    async fn after_failure(&self, mut cause: ConnectError) -> Step {
        let sweeps = self.sweeps() + 1;
        cause.attempts = sweeps;
        let left = self.time_left();
        self.progress.send_replace(Progress::Probing {
            sweeps,
            last: Some(cause.clone()),
        });
        if !self.is_worth_retrying(&cause) || left.is_none() {
            return Step::GiveUp(cause);
        }
        if sweeps == 1 {
            announce_wait(&cause, left.unwrap_or_default());
        }
        self.pause(cause.kind).await;
        // The last answer stands: another sweep with no time left would only say "timeout".
        if self.time_left().is_some() {
            Step::Again
        } else {
            Step::GiveUp(cause)
        }
    }

    fn is_worth_retrying(&self, cause: &ConnectError) -> bool {
        let local = matches!(cause.kind, Kind::NoLocalRay | Kind::StaleLocalRay);
        cause.kind.is_transient() || (local && self.orders.stubborn)
    }

    /// Whether somebody has more patience than a caller whose own ends at `end`.
    fn outlasts(&self, end: Instant) -> bool {
        self.crew().retry_until.is_some_and(|until| until > end)
    }

    fn is_first_to_leave(&self) -> bool {
        !std::mem::replace(&mut self.crew().left_early, true)
    }

    fn time_left(&self) -> Option<Duration> {
        let left = self
            .crew()
            .retry_until?
            .saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    /// Waits for the next full sweep. While the port refuses, a bare connect tells when it opens.
    async fn pause(&self, kind: Kind) {
        let resweep = Instant::now() + retry::RESWEEP;
        loop {
            let Some(left) = self.time_left() else { return };
            sleep(retry::pause(kind).min(left)).await;
            let Some(server) = self.survey.server().filter(|_| retry::poke_first(kind)) else {
                return;
            };
            let opened = self
                .network
                .poke(server, self.survey.probe_timeout)
                .await
                .is_ok();
            if opened || Instant::now() >= resweep {
                return;
            }
        }
    }

    /// The cause that waiters are given when it was called off.
    pub fn cancelled(&self) -> ConnectError {
        ConnectError::new(
            Kind::Cancelled,
            self.survey.target.address.to_string(),
            format!(
                "The connect to {} was called off",
                self.survey.target.address
            ),
            "Nobody waited for it any more, or shutdown_ray() or the end of the process came first.",
        )
    }

    /// `ray.init` begins. False when the flight was called off in the meantime.
    #[must_use]
    pub fn begin_init(&self) -> bool {
        let crew = self.crew();
        if crew.cancelled {
            return false;
        }
        let until = Instant::now() + self.orders.init_timeout;
        self.progress.send_replace(Progress::Init { until });
        true
    }

    /// Everyone who waits gets `result`.
    pub fn land(&self, result: Result<(), ConnectError>) {
        self.progress.send_replace(Progress::Done(result));
    }

    /// The time of `ray.init` is up. True for the first who says so.
    fn abandon(&self) -> bool {
        let mut crew = self.crew();
        !std::mem::replace(&mut crew.abandoned, true)
    }

    fn init_timed_out(&self) -> ConnectError {
        let address = self.survey.target.address.to_string();
        let bound = self.orders.init_timeout.as_secs_f64();
        ConnectError::new(
            Kind::InitTimeout,
            &address,
            format!("{address} answers, but ray.init did not return within {bound} s"),
            "It goes on in the background and is adopted if it still succeeds. Look at the head's \
             logs; a larger SEEDCORE_RAY_INIT_TIMEOUT_S waits longer. A host:port address also \
             needs a Ray node on this machine; use ray:// from elsewhere.",
        )
    }

    fn unanswered(&self, last: Option<ConnectError>) -> ConnectError {
        last.unwrap_or_else(|| {
            let address = self.survey.target.address.to_string();
            ConnectError::new(
                Kind::Timeout,
                &address,
                format!("{address} gave no answer in the time that was allowed"),
                "Allow more time (connect_timeout_s), or look whether the host is reachable.",
            )
        })
    }
}

fn announce_wait(cause: &ConnectError, left: Duration) {
    warn!(
        "{}; trying again for up to {:.1} s (connect_timeout_s or \
         SEEDCORE_RAY_CONNECT_TIMEOUT_S shortens this). {}",
        cause.message,
        left.as_secs_f64(),
        cause.hint,
    );
}

/// A seat in a flight. Dropping it gives the seat up; the last to leave calls the flight off.
#[must_use]
pub struct Waiter {
    flight: Arc<Flight>,
    seen: watch::Receiver<Progress>,
    /// Sweeps that were finished before this caller came.
    sweeps: u32,
    patience: Patience,
    came: Instant,
    /// When the one look that was asked for had been taken.
    looked: Option<Instant>,
}

impl Waiter {
    /// The flight waited for.
    pub const fn flight(&self) -> &Arc<Flight> {
        &self.flight
    }

    /// Waits for the flight, no longer than this caller's patience; can be polled again after it
    /// was dropped half-way.
    pub async fn wait(&mut self) -> Result<(), ConnectError> {
        loop {
            let progress = self.seen.borrow_and_update().clone();
            let end = match &progress {
                Progress::Done(result) => return result.clone(),
                Progress::Probing { sweeps, .. } => self.answer_due(*sweeps),
                Progress::Init { until } => Some(self.init_due(*until)),
            };
            let Some(end) = end else {
                // A look is under way, and it is bounded.
                self.changed().await;
                continue;
            };
            if Instant::now() >= end {
                return Err(self.out_of_patience(progress));
            }
            // Whether it changed or the time is up, the loop looks again.
            let _ = timeout_at(end, self.changed()).await;
        }
    }

    /// Until when to wait for an answer; None while the one look that was asked for is going on.
    ///
    /// Whoever is the last to have patience waits for the flight itself to land: it gives up at
    /// the same moment, and what it says then is in the log already.
    fn answer_due(&mut self, sweeps: u32) -> Option<Instant> {
        let own = match self.patience {
            Patience::Until(end) => end,
            Patience::OneSweep if sweeps > self.sweeps => {
                *self.looked.get_or_insert_with(Instant::now)
            }
            Patience::OneSweep => return None,
        };
        Some(if self.flight.outlasts(own) {
            own
        } else {
            own + LANDING
        })
    }

    /// How long to wait for `ray.init`, which has a bound of its own. Who comes after that one
    /// has passed waits as long as it would have waited for an answer.
    fn init_due(&self, until: Instant) -> Instant {
        match self.patience {
            Patience::Until(end) if self.came >= until => end,
            _ => until,
        }
    }

    fn out_of_patience(&self, progress: Progress) -> ConnectError {
        match progress {
            Progress::Probing { last, .. } => self.leave_early(last),
            _ => self.give_up_init(),
        }
    }

    /// Others wait longer, so the flight goes on and has not said yet that it failed.
    fn leave_early(&self, last: Option<ConnectError>) -> ConnectError {
        let error = self.flight.unanswered(last);
        if self.flight.is_first_to_leave() {
            tracing::error!("{error} The connect goes on for another caller.");
        }
        error
    }

    fn give_up_init(&self) -> ConnectError {
        let error = self.flight.init_timed_out();
        if self.flight.abandon() {
            tracing::error!("{error}");
        }
        error
    }

    async fn changed(&mut self) {
        // An error means that the flight is gone, which cannot be while we hold it.
        let _ = self.seen.changed().await;
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.flight.leave();
    }
}
