//! One caller's wish, resolved: what, how, for how long, and whether the breaker lets it try.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tracing::{error, warn};

use crate::breaker::{Admission, circuit_open};
use crate::config::{Env, Settings};
use crate::error::{ConnectError, Kind};
use crate::flight::{ConnectOptions, Flight};
use crate::preflight::{ProbePlan, Sockets};
use crate::process::process;
use crate::python::connect::driver::Flight as PyFlight;
use crate::python::connect::prepare::Prepared;
use crate::python::connection::held::imported;
use crate::python::connection::turned_away;
use crate::python::interop::args::Asked;
use crate::python::interop::blocking::Budget;
use crate::session::Joined;
use crate::target::Target;

/// What a call wants besides its target.
#[derive(Clone, Copy, Default)]
pub struct Options<'a, 'py> {
    pub force: bool,
    pub timeout: Option<Duration>,
    pub wait_for_local: bool,
    pub init_kwargs: Option<&'a Bound<'py, PyDict>>,
    /// The caller awaits, so that nothing is blocked.
    pub on_loop: bool,
}

/// One caller's wish, resolved: what, how, and for how long.
pub struct Request {
    target: Target,
    probe_timeout: Duration,
    may_fall_back: bool,
    options: ConnectOptions,
    pub budget: Budget,
    pub init_kwargs: Option<Py<PyDict>>,
    pub trial: Option<Arc<Trial>>,
}

/// A try that the breaker has let through, and wants to hear of.
pub struct Trial {
    target: Target,
    /// How long the circuit opens at first.
    reset: Duration,
    /// The one look on behalf of all, while the circuit is half open.
    is_probe: bool,
}

impl Trial {
    /// It ended so.
    pub fn failed(&self, cause: &ConnectError) {
        process().session.tried(&self.target, cause, self.reset);
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        if self.is_probe {
            process().session.vanished(&self.target);
        }
    }
}

impl Request {
    /// A failure that this caller is told: remembered, and reported to the breaker.
    pub fn failed(trial: Option<&Arc<Trial>>, cause: &ConnectError) {
        process().session.note_failure(cause);
        if let Some(trial) = trial {
            trial.failed(cause);
        }
    }

    /// Takes a seat in the flight that is under way, or makes one. Attached, since it reads the
    /// environment.
    pub fn join(&self, _: Python<'_>) -> Joined {
        let session = &process().session;
        let patience = self.budget.patience;
        // A forced connect may have to wait for another one instead of sharing it.
        if !self.options.force
            && let Some(waiter) = session.seat(&self.target, patience, self.options.wait_for_local)
        {
            return Joined::Wait(waiter);
        }
        session.join(&self.flight(), patience)
    }

    fn flight(&self) -> Arc<Flight> {
        let probe_plan = ProbePlan::from_env(
            self.target.clone(),
            &Env::Process,
            self.probe_timeout,
            self.may_fall_back,
        );
        let metrics = Arc::clone(&process().session.metrics);
        Flight::new(probe_plan, self.options, Arc::new(Sockets), metrics)
    }

    /// What is asked for.
    pub const fn target(&self) -> &Target {
        &self.target
    }

    /// Other work did not end in time.
    pub fn busy(&self) -> ConnectError {
        let address = self.target.address.to_string();
        ConnectError::new(
            Kind::InitTimeout,
            &address,
            format!("Not connecting to {address}: an earlier ray.init or ray.shutdown still runs"),
            "A running ray.init cannot be stopped; try again later or restart the process.",
        )
    }
}

/// Settings, breaker and surroundings: a request that can fly, or the answer at once.
pub fn resolve(
    py: Python<'_>,
    asked: &Arc<Asked>,
    target: Target,
    options: &Options<'_, '_>,
) -> PyResult<Prepared> {
    let (settings, bad) = Settings::from_env(&Env::Process);
    for setting in bad {
        if process().session.is_first(&setting.message) {
            error!("{}", setting.message);
        }
    }
    let mut timeout = options.timeout.unwrap_or(settings.connect_timeout);
    let trial = match admit(&target, timeout, &settings, options) {
        Ok(trial) => trial,
        Err(turned_away) => {
            remember_no(py, asked, &turned_away);
            return Ok(Prepared::Done(Err(turned_away)));
        }
    };
    if trial.as_ref().is_some_and(|trial| trial.is_probe) {
        timeout = Duration::ZERO;
    }
    let blocks_loop = !options.on_loop && on_running_loop(py)?;
    if blocks_loop {
        warn!(
            "ensure_ray_initialized() blocks a thread whose event loop is running, for up to 5 s; \
             await seedcore_ray.ensure_ray_initialized_async() there instead"
        );
    }
    Ok(Prepared::Go(Request {
        budget: Budget::new(timeout, settings.probe_timeout, blocks_loop),
        target,
        probe_timeout: settings.probe_timeout,
        may_fall_back: settings.fallbacks,
        options: ConnectOptions {
            init_timeout: settings.init_timeout,
            force: options.force,
            wait_for_local: options.wait_for_local,
        },
        init_kwargs: options.init_kwargs.map(|kwargs| kwargs.clone().unbind()),
        trial: trial.map(Arc::new),
    }))
}

/// Asks the breaker. A call that only looks once, and one that waits however long it takes,
/// neither opens nor obeys it.
fn admit(
    target: &Target,
    timeout: Duration,
    settings: &Settings,
    options: &Options<'_, '_>,
) -> Result<Option<Trial>, ConnectError> {
    if timeout.is_zero() || options.wait_for_local || settings.breaker_reset.is_zero() {
        return Ok(None);
    }
    let is_probe = match process().session.admits(target) {
        Admission::Closed => false,
        Admission::HalfOpen => true,
        Admission::Open { retry_after, cause } => return Err(circuit_open(&cause, retry_after)),
    };
    Ok(Some(Trial {
        target: target.clone(),
        reset: settings.breaker_reset,
        is_probe,
    }))
}

/// No log line: the failure that opened the circuit has one.
fn remember_no(py: Python<'_>, asked: &Arc<Asked>, error: &ConnectError) {
    let revision = process().session.note_failure(error);
    if let Some(retry_after) = error.retry_after {
        turned_away::remember(py, asked, Instant::now() + retry_after, revision);
    }
}

fn on_running_loop(py: Python<'_>) -> PyResult<bool> {
    match imported(py, "asyncio") {
        // Another thread may be half-way through its import: then no loop runs yet.
        Some(asyncio) => match asyncio.getattr_opt(intern!(py, "_get_running_loop"))? {
            Some(running) => Ok(!running.call0()?.is_none()),
            None => Ok(false),
        },
        None => Ok(false),
    }
}

/// Hands the flight to a thread of its own.
pub fn launch(
    py: Python<'_>,
    init_kwargs: Option<&Py<PyDict>>,
    flight: &Arc<Flight>,
) -> PyResult<()> {
    let kwargs = init_kwargs.map(|kwargs| kwargs.clone_ref(py));
    let handed = PyFlight::new(Arc::clone(flight), kwargs);
    let launched = py
        .import(intern!(py, "seedcore_ray._connect"))
        .and_then(|module| module.call_method1(intern!(py, "launch"), (handed,)));
    if let Err(error) = launched {
        // Nobody must wait for this flight. If its thread was started after all, it must not get as
        // far as `ray.init`.
        flight.call_off();
        let no_thread = error.is_instance_of::<PyRuntimeError>(py);
        let cause = if no_thread {
            not_launched(flight, &error)
        } else {
            flight.cancelled()
        };
        process().session.failed(flight, &cause);
        flight.land(Err(cause));
        if !no_thread {
            // Ctrl-C came first.
            return Err(error);
        }
    }
    Ok(())
}

/// Python 3.12 starts no thread once the interpreter is ending, exit hooks included.
fn not_launched(flight: &Flight, error: &PyErr) -> ConnectError {
    let address = flight.probe_plan.target.address.to_string();
    ConnectError::new(
        Kind::InitFailed,
        &address,
        format!("{address}: no thread could be started to connect ({error})"),
        "Connect before the process ends; if it does not end, raise its limit of threads (ulimit -u, \
         the pids limit of its container).",
    )
}
