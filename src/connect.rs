//! One caller's connect: joins the connect under way or leads a new one, waits, and retries.
//!
//! The sync call, the async twin and the core tests run this same loop: ask [`Request::next`] for the
//! next step, await it, and ask again while the [`Outcome`] is [`Outcome::Again`]. The [`Driver`] is
//! the other side: it has the steps of the thread that carries out a connect.

mod driver;
mod raised;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::address::RayAddress;
use crate::breaker::{Admission, circuit_open};
use crate::config::{Env, Settings};
use crate::error::{ConnectError, Kind};
use crate::flight::{
    ConnectOptions, Deadline, EnvironmentSetup, FINISH_MARGIN, Flight, Patience, Waiter, after,
};
use crate::preflight::{BoxFuture, ProbePlan, Sockets};
use crate::probe::Given;
use crate::session::{Joined, Session, Turn};
use crate::target::Target;
pub use driver::{Driver, RayState, Step};
pub use raised::Raised;

/// The longest that a call waits for an answer on a thread whose event loop is running. Once the
/// cluster has answered, `ray.init` has its usual time.
const ON_LOOP: Duration = Duration::from_secs(5);

/// What a call asks for besides its target.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// Shut a live connection down once the preflight has passed.
    pub force: bool,
    /// How long to wait for an answer; zero probes once. `None`: as the settings say.
    pub timeout: Option<Duration>,
    /// See [`Patience::wait_for_local`].
    pub wait_for_local: bool,
    /// The call blocks a thread whose event loop is running.
    pub blocks_loop: bool,
    /// See [`ConnectOptions::setup`].
    pub setup: Option<EnvironmentSetup>,
}

/// One caller's connect.
pub struct Request {
    session: Arc<Session>,
    target: Target,
    options: ConnectOptions,
    probe_timeout: Duration,
    may_fall_back: bool,
    standbys: Vec<RayAddress>,
    patience: Patience,
    /// When to stop waiting for other work, such as a shutdown.
    end: Instant,
    /// The share in the breaker; none where the breaker neither admits nor hears of this call.
    trial: Option<Trial>,
}

/// What a caller does next.
#[must_use]
pub enum Next {
    /// The connect is over.
    Done(Result<(), ConnectError>),
    /// Await this.
    Wait(BoxFuture<'static, Outcome>),
}

/// How a wait ended.
#[derive(Debug)]
#[must_use]
pub enum Outcome {
    /// Connected.
    Connected,
    /// There is time for another try: call [`Request::next`].
    Again,
    /// Not connected; recorded in the session, and reported to the breaker.
    Failed(ConnectError),
}

enum Waiting {
    Flight(Waiter),
    Turn(Turn),
}

impl Request {
    /// Asks the breaker and starts the clock. A call that probes once, and one that waits for a local
    /// Ray, neither obeys the breaker nor opens it.
    ///
    /// # Errors
    ///
    /// [`Kind::CircuitOpen`] while the circuit of `target` is open.
    pub fn new(
        session: &Arc<Session>,
        target: Target,
        wish: Wish,
        settings: &Settings,
    ) -> Result<Self, ConnectError> {
        let timeout = wish.timeout.unwrap_or(settings.connect_timeout);
        let is_free = timeout.is_zero() || wish.wait_for_local || settings.breaker_reset.is_zero();
        let trial = if is_free {
            None
        } else {
            Some(Trial::admit(session, &target, settings.breaker_reset)?)
        };
        let is_probe = trial.as_ref().is_some_and(|trial| trial.is_probe);
        let timeout = match (is_probe, wish.blocks_loop) {
            (true, _) => Duration::ZERO,
            // Time for the flight to finish, so that the answer is its cause and not our limit.
            (false, true) => timeout.min(ON_LOOP.saturating_sub(FINISH_MARGIN)),
            (false, false) => timeout,
        };
        let init_timeout = settings.init_timeout(wish.setup.as_ref().map(|setup| setup.bound));
        let patience = Patience {
            init_until: wish.timeout.map(after),
            wait_for_local: wish.wait_for_local,
            ..Patience::of(timeout)
        };
        let end = match patience.deadline {
            Deadline::Once => Instant::now() + settings.probe_timeout,
            Deadline::At(end) => end,
        };
        Ok(Self {
            session: Arc::clone(session),
            target,
            options: ConnectOptions {
                init_timeout,
                force: wish.force,
                setup: wish.setup,
            },
            probe_timeout: settings.probe_timeout,
            may_fall_back: settings.fallbacks,
            standbys: settings.standbys.clone(),
            patience,
            end,
            trial,
        })
    }

    /// What is asked for.
    pub const fn target(&self) -> &Target {
        &self.target
    }

    /// A flight that does what is asked for, over real sockets. `given` is what `ray.init` gets for the
    /// way to Ray.
    pub fn flight(&self, env: &Env, given: Given) -> Arc<Flight> {
        let plan = ProbePlan::from_env(
            self.target.clone(),
            env,
            self.probe_timeout,
            self.may_fall_back,
            given,
        )
        .with_standbys(&self.standbys);
        let metrics = Arc::clone(&self.session.metrics);
        Flight::new(plan, self.options.clone(), Arc::new(Sockets), metrics)
    }

    /// Joins the flight under way, or leads the one that `flight` makes: then `launch` starts its
    /// thread.
    ///
    /// # Errors
    ///
    /// Those of `launch`; a flight that could not be launched has to be finished by it.
    pub fn next<E>(
        self: &Arc<Self>,
        flight: impl FnOnce() -> Arc<Flight>,
        launch: impl FnOnce(&Arc<Flight>) -> Result<(), E>,
    ) -> Result<Next, E> {
        let joined = self
            .session
            .join(&self.target, self.options.force, self.patience, flight);
        let waiting = match joined {
            Joined::Connected => return Ok(Next::Done(Ok(()))),
            Joined::Refused(error) => return Ok(Next::Done(Err(error))),
            Joined::Wait(waiter) => Waiting::Flight(waiter),
            Joined::Lead(waiter) => {
                launch(waiter.flight())?;
                Waiting::Flight(waiter)
            }
            Joined::After(turn) => Waiting::Turn(turn),
        };
        let request = Arc::clone(self);
        Ok(Next::Wait(Box::pin(
            async move { request.wait(waiting).await },
        )))
    }

    async fn wait(&self, waiting: Waiting) -> Outcome {
        match waiting {
            Waiting::Turn(turn) => {
                if turn.wait(self.end).await {
                    Outcome::Again
                } else {
                    Outcome::Failed(self.session.refuse(self.busy()))
                }
            }
            Waiting::Flight(mut waiter) => match waiter.wait().await {
                Ok(()) => Outcome::Connected,
                Err(cause) if self.may_retry(cause.kind) => Outcome::Again,
                Err(cause) => Outcome::Failed(self.failed(cause)),
            },
        }
    }

    /// Whether there is time to try again after a flight of a caller with an earlier deadline.
    fn may_retry(&self, kind: Kind) -> bool {
        kind.is_transient() && self.patience.deadline.has_time() && Instant::now() < self.end
    }

    /// Records a failure that this caller is told: the flight may go on without it.
    fn failed(&self, cause: ConnectError) -> ConnectError {
        self.session.note_failure(&cause);
        if let Some(trial) = &self.trial {
            trial.failed(&cause);
        }
        cause
    }

    fn busy(&self) -> ConnectError {
        let address = self.target.address.to_string();
        ConnectError::new(
            Kind::InitTimeout,
            &address,
            format!("Not connecting to {address}: an earlier ray.init or ray.shutdown still runs"),
            "A running ray.init cannot be stopped; try again later or restart the process.",
        )
    }
}

/// A try that the breaker has admitted, and is to be told of.
struct Trial {
    session: Arc<Session>,
    target: Target,
    /// How long the circuit opens at first.
    reset: Duration,
    /// The one probe on behalf of all callers, while the circuit is half open.
    is_probe: bool,
}

impl Trial {
    fn admit(
        session: &Arc<Session>,
        target: &Target,
        reset: Duration,
    ) -> Result<Self, ConnectError> {
        let is_probe = match session.circuits.admit(target) {
            Admission::Closed => false,
            Admission::HalfOpen => true,
            Admission::Open { retry_after, cause } => {
                return Err(circuit_open(&cause, retry_after));
            }
        };
        Ok(Self {
            session: Arc::clone(session),
            target: target.clone(),
            reset,
            is_probe,
        })
    }

    fn failed(&self, cause: &ConnectError) {
        let circuits = &self.session.circuits;
        circuits.failed(&self.target, cause, self.reset);
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        if self.is_probe {
            self.session.circuits.abandoned(&self.target);
        }
    }
}
