//! `ensure_ray_initialized` and its kin: what callers see.

pub mod attempt;
pub mod driver;
pub mod prepare;
pub mod request;

use std::sync::Arc;
use std::time::Duration;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::error::ConnectError;
use crate::process::process;
use crate::python::cluster::{answers_until, comeback};
use crate::python::connect::driver::on_flight_thread;
use crate::python::connect::prepare::Prepared;
use crate::python::connect::request::Options;
use crate::python::connection::held;
use crate::python::connection::turned_away;
use crate::python::interop::args::{Asked, Namespace, Text, check_init_kwargs, seconds};
use crate::python::interop::blocking;
use crate::python::interop::errors;
use crate::python::interop::exit_guard::survived;
use crate::python::logs;
use crate::python::ray::{self, Presence};

/// Connect this process to Ray once; True when connected.
///
/// Args:
///     ray_address: `auto`, `local`, `host:port` or `ray://host[:port]`. None or blank:
///         `RAY_ADDRESS`, else `auto`. As in Ray, `RAY_ADDRESS` also replaces an explicit `auto`.
///     ray_namespace: Ray's namespace. Left out or None: `SEEDCORE_NS`, else `RAY_NAMESPACE`; else
///         `seedcore-dev` when left out, and Ray's anonymous namespace for None.
///     force_reinit: look whether the target answers, then shut a live connection down and connect
///         anew. If the target does not answer, the live connection is kept and this returns
///         False. Inside a Ray worker it is refused with a warning.
///     connect_timeout_s: seconds to wait for an answer; 0 looks once. Default:
///         `SEEDCORE_RAY_CONNECT_TIMEOUT_S`, else 30. Once the cluster answers, `ray.init` has a
///         bound of its own, `SEEDCORE_RAY_INIT_TIMEOUT_S`.
///     **init_kwargs: handed to `ray.init` unchanged.
///
/// Returns:
///     True when connected, by us or by anybody else. False when not: the cause is in the log and
///     in `seedcore_ray.last_error()`.
///
/// Raises:
///     TypeError, ValueError: for a mistake in the call; never for a connection problem.
#[pyfunction]
#[pyo3(
    signature = (ray_address=None, ray_namespace=Namespace::LeftOut, force_reinit=None, *, connect_timeout_s=None, **init_kwargs),
    text_signature = "(ray_address=None, ray_namespace='seedcore-dev', force_reinit=False, *, connect_timeout_s=None, **init_kwargs)"
)]
#[allow(
    clippy::needless_pass_by_value,
    reason = "PyO3 hands over owned arguments"
)]
pub fn ensure_ray_initialized(
    py: Python<'_>,
    ray_address: Option<Text<'_, '_>>,
    ray_namespace: Namespace<'_, '_>,
    force_reinit: Option<&Bound<'_, PyAny>>,
    connect_timeout_s: Option<&Bound<'_, PyAny>>,
    init_kwargs: Option<&Bound<'_, PyDict>>,
) -> PyResult<bool> {
    let force = force_reinit.map_or(Ok(false), Bound::is_truthy)?;
    let timeout = connect_timeout_s
        .map(|value| seconds(value, "connect_timeout_s"))
        .transpose()?;
    if !force && init_kwargs.is_none() && held::answers(py, ray_address.as_ref(), &ray_namespace) {
        return Ok(true);
    }
    let may_wait = timeout.is_none_or(|timeout| !timeout.is_zero());
    if may_wait && turned_away::stands(py, ray_address.as_ref(), &ray_namespace) {
        return Ok(false);
    }
    check_init_kwargs(init_kwargs)?;
    let asked = Arc::new(Asked::new(ray_address.as_ref(), &ray_namespace));
    let options = Options {
        force,
        timeout,
        init_kwargs,
        ..Options::default()
    };
    Ok(ensure(py, &asked, &options)?.is_ok())
}

/// Connect from the environment; idempotent.
///
/// Raises:
///     RayConnectionError: not connected; carries `kind`, `address`, `hint`, `attempts` and
///         `retry_after_s`.
#[pyfunction]
pub fn connect(py: Python<'_>) -> PyResult<()> {
    if held::answers(py, None, &Namespace::LeftOut) {
        return Ok(());
    }
    ensure(py, &Arc::new(Asked::nothing()), &Options::default())?
        .map_err(|error| errors::raise(py, &error))
}

/// Wait until connected and answering; connects when nobody has.
///
/// Args:
///     max_wait_seconds: how long, in seconds. Waits for a local Ray to be started, too. Ctrl-C
///         works.
///
/// Returns:
///     True as soon as Ray answers, False when the time is up or the cause cannot pass.
#[pyfunction]
#[pyo3(signature = (max_wait_seconds=None), text_signature = "(max_wait_seconds=5)")]
pub fn wait_for_ray_ready(
    py: Python<'_>,
    max_wait_seconds: Option<&Bound<'_, PyAny>>,
) -> PyResult<bool> {
    let five = Duration::from_secs(5);
    let timeout = max_wait_seconds.map_or(Ok(five), |value| seconds(value, "max_wait_seconds"))?;
    let end = std::time::Instant::now() + timeout;
    // A lost cluster is waited for by the monitor.
    blocking::block(py, comeback(end))?;
    let options = Options {
        timeout: Some(end.saturating_duration_since(std::time::Instant::now())),
        wait_for_local: true,
        ..Options::default()
    };
    if ensure(py, &Arc::new(Asked::nothing()), &options)?.is_err() {
        return Ok(false);
    }
    answers_until(py, end)
}

/// Disconnect. Idempotent, never raises, safe when Ray is dead.
///
/// Refused with one warning inside a Ray worker or Serve replica: it would disconnect the worker.
/// In a native driver, threads that are blocked in `ray.get` are ended by Ray with `SystemExit`;
/// in client mode they get a `ConnectionError`. A connect under way is called off; if `ray.init`
/// is already running, what it connects is disconnected on arrival.
#[pyfunction]
pub fn shutdown_ray(py: Python<'_>) -> PyResult<()> {
    survived(|| {
        let result = shut_down(py);
        logs::flush(py);
        result
    })
}

/// The slow path: everything but "connected, and these arguments are known".
pub fn ensure(
    py: Python<'_>,
    asked: &Arc<Asked>,
    options: &Options<'_, '_>,
) -> PyResult<Result<(), ConnectError>> {
    survived(|| {
        let result = try_ensure(py, asked, options);
        // A failure outside a flight has its lines still queued.
        logs::flush(py);
        result
    })
}

fn try_ensure(
    py: Python<'_>,
    asked: &Arc<Asked>,
    options: &Options<'_, '_>,
) -> PyResult<Result<(), ConnectError>> {
    let request = match prepare::prepare(py, asked, options)? {
        Prepared::Done(result) => return Ok(result),
        Prepared::Go(request) => request,
    };
    let outcome = blocking::connected(py, &request)?;
    // Somebody else may have connected while we looked.
    if outcome.is_ok() || (!options.force && held::is_alive(py)) {
        prepare::finish(py, asked, request.target())?;
        return Ok(Ok(()));
    }
    Ok(outcome)
}

fn shut_down(py: Python<'_>) -> PyResult<()> {
    if on_flight_thread() || process().session.is_forked() {
        return Ok(());
    }
    let module = match ray::look(py)? {
        Presence::Real(module) => Some(module),
        Presence::Fake(fake) => {
            return py
                .import(intern!(py, "seedcore_ray._stub"))?
                .call_method1(intern!(py, "shutdown"), (fake,))
                .map(drop);
        }
        Presence::Missing | Presence::NotImported => None,
    };
    if ray::in_worker(py) {
        prepare::warn_once(
            "shutdown_ray() is refused inside a Ray worker: it would disconnect the worker",
        );
        return Ok(());
    }
    blocking::closed(py, module.as_ref())
}
