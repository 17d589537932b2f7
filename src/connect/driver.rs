//! The steps of the thread that carries out a connect.
//!
//! The thread belongs to Python: no Rust frame may stand under `ray.init`, which may block while the
//! interpreter ends. So the driver does no I/O on Ray. It says what is to be done to Ray next, and is
//! told what came of it; the core tests drive it with a scripted Ray.

use std::sync::Arc;

use crate::error::ConnectError;
use crate::flight::{self, Flight};
use crate::health::Watch;
use crate::preflight::Passed;
use crate::probe::version;
use crate::session::{Arrival, Connection, Session};

/// What the thread does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Step {
    /// Call [`Driver::probe`] again.
    Probe,
    /// Import Ray, then call [`Driver::imported`].
    Import,
    /// Use the connection that somebody else has made, then call [`Driver::adopted`].
    Adopt,
    /// Call `ray.shutdown()`, then [`Driver::shut_down`].
    Shutdown,
    /// Call `ray.init`, then [`Driver::initialised`] or [`Driver::failed`].
    Init,
    /// Log what is queued, then call [`Driver::finish`] and return.
    Finish,
}

/// What Ray says of itself before `ray.init`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RayState {
    /// It is connected.
    pub is_connected: bool,
    /// A lost connection has left something that `ray.init` would take for a connection.
    pub has_remains: bool,
}

/// Carries out one flight.
pub struct Driver {
    session: Arc<Session>,
    flight: Arc<Flight>,
    passed: Option<Passed>,
    /// Why the connect fails, once Ray was shut down.
    failure: Option<ConnectError>,
    result: Option<Result<(), ConnectError>>,
}

impl Driver {
    /// For the thread that was launched for `flight`.
    pub const fn new(session: Arc<Session>, flight: Arc<Flight>) -> Self {
        Self {
            session,
            flight,
            passed: None,
            failure: None,
            result: None,
        }
    }

    /// What is carried out.
    pub const fn flight(&self) -> &Arc<Flight> {
        &self.flight
    }

    /// The passed preflight, from [`Step::Import`] on.
    pub const fn passed(&self) -> Option<&Passed> {
        self.passed.as_ref()
    }

    /// Probes all candidates once.
    pub async fn probe(&mut self) -> Step {
        let step = self.flight.step().await;
        if let Some(probe) = self.flight.last_probe() {
            self.session.probed(probe.took, probe.error);
        }
        match step {
            flight::Step::Again => Step::Probe,
            flight::Step::Init(passed) if self.session.begin_init(&self.flight) => {
                self.passed = Some(*passed);
                Step::Import
            }
            flight::Step::Init(_) => self.failed(self.flight.cancelled()),
            flight::Step::GiveUp(cause) => self.failed(cause),
        }
    }

    /// Ray was imported, and says `ray` of itself. Versions that Ray would refuse are refused before a
    /// live connection is given up; only a native preflight knows the cluster's.
    pub fn imported(&mut self, local: &version::Local, ray: RayState) -> Step {
        if let Some(passed) = &self.passed
            && let Err(cause) = version::check(&passed.address.to_string(), &passed.facts, local)
        {
            return self.failed(cause);
        }
        if self.flight.options.force {
            self.session.give_up();
        } else if ray.is_connected {
            return Step::Adopt;
        }
        if ray.is_connected || ray.has_remains {
            Step::Shutdown
        } else {
            Step::Init
        }
    }

    /// The connection that somebody else made is to be used, unless it is no recovery of a lost one.
    pub fn adopted(&mut self, mut connection: Connection) -> Step {
        if let Some(passed) = &self.passed
            && passed.facts.cluster_id.is_some()
            && passed.facts.cluster_id == connection.info.ray.cluster_id
        {
            // The cluster that was looked for, by another of its names.
            connection.info.address = passed.address.to_string();
        }
        self.result = Some(self.session.adopt(connection, Some(&self.flight)));
        Step::Finish
    }

    /// `ray.shutdown()` has returned.
    pub fn shut_down(&mut self) -> Step {
        match self.failure.take() {
            Some(cause) => self.failed(cause),
            None => Step::Init,
        }
    }

    /// `ray.init` has connected. Where nobody wants the connection any more, it is shut down.
    pub fn initialised(&mut self, connection: Connection, watch: Option<Arc<Watch>>) -> Step {
        match self.session.arrived(&self.flight, connection, watch) {
            Arrival::Welcome => {
                self.result = Some(Ok(()));
                Step::Finish
            }
            Arrival::Unwanted => self.init_failed(self.flight.cancelled()),
        }
    }

    /// `ray.init` has failed: nothing half made may be left behind.
    pub fn init_failed(&mut self, cause: ConnectError) -> Step {
        self.failure = Some(cause);
        Step::Shutdown
    }

    /// The connect has failed.
    pub fn failed(&mut self, cause: ConnectError) -> Step {
        self.session.failed(&self.flight, &cause);
        self.result = Some(Err(cause));
        Step::Finish
    }

    /// Tells the waiters. The log lines come first: a caller finds them written when it returns.
    pub fn finish(&mut self) {
        if let Some(result) = self.result.take() {
            self.flight.finish(result);
        }
    }
}
