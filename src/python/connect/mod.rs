//! `ensure_ray_initialized` and its kin: what callers see.

mod attempt;
mod driver;
pub mod reconnect;
mod request;
mod shutdown;

use std::sync::Arc;
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::connect::Wish;
use crate::error::ConnectError;
use crate::process::process;
use crate::python::cluster::{answers_until, until_not_lost};
use crate::python::connection::held;
use crate::python::interop::args::{Asked, Namespace, Text, check_init_kwargs, seconds};
use crate::python::interop::blocking::block;
use crate::python::interop::errors::raise;
use crate::python::interop::exit_guard::survived;
use crate::python::logs;
pub use attempt::{Attempt, launch};
pub use driver::Driver;
use request::{Options, Prepared};
pub use shutdown::shutdown_ray;

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
    if may_wait && held::rejects(py, ray_address.as_ref(), &ray_namespace) {
        return Ok(false);
    }
    check_init_kwargs(init_kwargs)?;
    let asked = Arc::new(Asked::new(ray_address.as_ref(), &ray_namespace));
    let options = Options {
        wish: Wish {
            force,
            timeout,
            ..Wish::default()
        },
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
    let namespace = Namespace::LeftOut;
    if held::answers(py, None, &namespace) {
        return Ok(());
    }
    if held::rejects(py, None, &namespace) {
        return Err(rejected(py));
    }
    ensure(py, &Arc::new(Asked::nothing()), &Options::default())?.map_err(|error| raise(py, &error))
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
    let end = Instant::now() + timeout;
    // The monitor waits for a lost cluster.
    block(py, until_not_lost(end))?;
    let options = Options {
        wish: Wish {
            timeout: Some(end.saturating_duration_since(Instant::now())),
            wait_for_local: true,
            ..Wish::default()
        },
        ..Options::default()
    };
    if ensure(py, &Arc::new(Asked::nothing()), &options)?.is_err() {
        return Ok(false);
    }
    answers_until(py, end)
}

/// Begins to connect. None when connected already.
///
/// Raises:
///     RayConnectionError: when it is known at once that it cannot be.
#[pyfunction]
#[pyo3(signature = (ray_address=None, ray_namespace=Namespace::LeftOut, force_reinit=None, connect_timeout_s=None, init_kwargs=None, wait_for_local=false))]
#[allow(
    clippy::needless_pass_by_value,
    reason = "PyO3 hands over owned arguments"
)]
pub fn begin_connect(
    py: Python<'_>,
    ray_address: Option<Text<'_, '_>>,
    ray_namespace: Namespace<'_, '_>,
    force_reinit: Option<&Bound<'_, PyAny>>,
    connect_timeout_s: Option<&Bound<'_, PyAny>>,
    init_kwargs: Option<&Bound<'_, PyDict>>,
    wait_for_local: bool,
) -> PyResult<Option<Attempt>> {
    let force = force_reinit.map_or(Ok(false), Bound::is_truthy)?;
    let timeout = connect_timeout_s
        .map(|value| seconds(value, "connect_timeout_s"))
        .transpose()?;
    let init_kwargs = init_kwargs.filter(|kwargs| !kwargs.is_empty());
    if !force && init_kwargs.is_none() && held::answers(py, ray_address.as_ref(), &ray_namespace) {
        return Ok(None);
    }
    let obeys_breaker = !wait_for_local && timeout.is_none_or(|timeout| !timeout.is_zero());
    if obeys_breaker && held::rejects(py, ray_address.as_ref(), &ray_namespace) {
        return Err(rejected(py));
    }
    check_init_kwargs(init_kwargs)?;
    let asked = Arc::new(Asked::new(ray_address.as_ref(), &ray_namespace));
    let options = Options {
        wish: Wish {
            force,
            timeout,
            wait_for_local,
            ..Wish::default()
        },
        init_kwargs,
        awaits: true,
    };
    let prepared = survived(|| {
        let prepared = request::prepare(py, &asked, &options);
        logs::flush(py);
        prepared
    });
    match prepared? {
        Prepared::Done(Ok(())) => Ok(None),
        Prepared::Done(Err(error)) => Err(raise(py, &error)),
        Prepared::Connect(request) => Ok(Some(Attempt(request))),
    }
}

/// The error of a call that was rejected without another look: the session's last one.
fn rejected(py: Python<'_>) -> PyErr {
    raise(py, &process().session.not_connected_reason())
}

/// The slow path: everything but "connected, and these arguments are known".
fn ensure(
    py: Python<'_>,
    asked: &Arc<Asked>,
    options: &Options<'_, '_>,
) -> PyResult<Result<(), ConnectError>> {
    survived(|| {
        let result = match request::prepare(py, asked, options) {
            Ok(Prepared::Done(result)) => Ok(result),
            Ok(Prepared::Connect(request)) => request.connect(py),
            Err(error) => Err(error),
        };
        // A failure outside a flight has its lines still queued.
        logs::flush(py);
        result
    })
}
