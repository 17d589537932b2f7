//! `ensure_ray_initialized` and its kin: what callers see.

mod attempt;
mod driver;
pub mod reconnect;
mod request;
mod shutdown;

use std::sync::Arc;
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

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
    let (address, namespace) = (ray_address.as_ref(), &ray_namespace);
    let call = Call::new(
        address,
        namespace,
        force_reinit,
        connect_timeout_s,
        init_kwargs,
    )?;
    Ok(call.is_answered(py) || call.connect(py)?.is_ok())
}

/// `ensure_ray_initialized` that raises. Without arguments it connects from the environment;
/// idempotent.
///
/// Args:
///     ray_address, ray_namespace, force_reinit, connect_timeout_s, **init_kwargs: those of
///         `ensure_ray_initialized`.
///
/// Raises:
///     RayConnectionError: not connected; carries `kind`, `address`, `hint`, `attempts` and
///         `retry_after_s`. After a failed `force_reinit` the live connection is still there.
///     TypeError, ValueError: for a mistake in the call.
#[pyfunction]
#[pyo3(
    signature = (*args, **kwargs),
    text_signature = "(ray_address=None, ray_namespace='seedcore-dev', force_reinit=False, *, connect_timeout_s=None, **init_kwargs)"
)]
pub fn connect<'py>(
    args: &Bound<'py, PyTuple>,
    kwargs: Option<&Bound<'py, PyDict>>,
) -> PyResult<()> {
    let py = args.py();
    // Taking arguments apart costs a third of a call that has none.
    if args.is_empty() && kwargs.is_none() && held::answers(py, None, &Namespace::LeftOut) {
        return Ok(());
    }
    wrap_pyfunction!(connect_with, py)?.call(args, kwargs)?;
    Ok(())
}

/// [`connect`] with its arguments.
#[pyfunction(name = "connect")]
#[pyo3(signature = (ray_address=None, ray_namespace=Namespace::LeftOut, force_reinit=None, *, connect_timeout_s=None, **init_kwargs))]
#[allow(
    clippy::needless_pass_by_value,
    reason = "PyO3 hands over owned arguments"
)]
fn connect_with(
    py: Python<'_>,
    ray_address: Option<Text<'_, '_>>,
    ray_namespace: Namespace<'_, '_>,
    force_reinit: Option<&Bound<'_, PyAny>>,
    connect_timeout_s: Option<&Bound<'_, PyAny>>,
    init_kwargs: Option<&Bound<'_, PyDict>>,
) -> PyResult<()> {
    let (address, namespace) = (ray_address.as_ref(), &ray_namespace);
    let call = Call::new(
        address,
        namespace,
        force_reinit,
        connect_timeout_s,
        init_kwargs,
    )?;
    if call.is_answered(py) {
        return Ok(());
    }
    call.connect(py)?.map_err(|error| raise(py, &error))
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
    let (address, namespace) = (ray_address.as_ref(), &ray_namespace);
    let init_kwargs = init_kwargs.filter(|kwargs| !kwargs.is_empty());
    let call = Call {
        waits_for_local: wait_for_local,
        awaits: true,
        ..Call::new(
            address,
            namespace,
            force_reinit,
            connect_timeout_s,
            init_kwargs,
        )?
    };
    if call.is_answered(py) {
        return Ok(None);
    }
    let Some((asked, options)) = call.wanted(py)? else {
        return Err(raise(py, &rejection()));
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

/// The arguments of a call that connects.
struct Call<'a, 'py> {
    address: Option<&'a Text<'a, 'py>>,
    namespace: &'a Namespace<'a, 'py>,
    force: bool,
    timeout: Option<Duration>,
    init_kwargs: Option<&'a Bound<'py, PyDict>>,
    /// See [`Wish::wait_for_local`].
    waits_for_local: bool,
    /// See [`Options::awaits`].
    awaits: bool,
}

impl<'a, 'py> Call<'a, 'py> {
    /// What the arguments that all of them share ask for.
    #[inline]
    fn new(
        address: Option<&'a Text<'a, 'py>>,
        namespace: &'a Namespace<'a, 'py>,
        force_reinit: Option<&Bound<'py, PyAny>>,
        connect_timeout_s: Option<&Bound<'py, PyAny>>,
        init_kwargs: Option<&'a Bound<'py, PyDict>>,
    ) -> PyResult<Self> {
        let timeout = connect_timeout_s.map(|value| seconds(value, "connect_timeout_s"));
        Ok(Self {
            address,
            namespace,
            force: force_reinit.map_or(Ok(false), Bound::is_truthy)?,
            timeout: timeout.transpose()?,
            init_kwargs,
            waits_for_local: false,
            awaits: false,
        })
    }

    /// The fast yes.
    #[inline]
    fn is_answered(&self, py: Python<'py>) -> bool {
        let may_be = !self.force && self.init_kwargs.is_none();
        may_be && held::answers(py, self.address, self.namespace)
    }

    /// What to ask for; `None` while the breaker rejects it: see [`rejection`].
    fn wanted(&self, py: Python<'py>) -> PyResult<Option<(Arc<Asked>, Options<'a, 'py>)>> {
        check_init_kwargs(self.init_kwargs)?;
        let may_wait = self.timeout.is_none_or(|timeout| !timeout.is_zero());
        let obeys_breaker = may_wait && !self.waits_for_local;
        if obeys_breaker && held::rejects(py, self.address, self.namespace) {
            return Ok(None);
        }
        let options = Options {
            wish: Wish {
                force: self.force,
                timeout: self.timeout,
                wait_for_local: self.waits_for_local,
                ..Wish::default()
            },
            init_kwargs: self.init_kwargs,
            awaits: self.awaits,
        };
        let asked = Asked::new(self.address, self.namespace);
        Ok(Some((Arc::new(asked), options)))
    }

    /// Connects, blocking this thread. Apart from the fast answers, which must be small.
    #[inline(never)]
    fn connect(&self, py: Python<'py>) -> PyResult<Result<(), ConnectError>> {
        match self.wanted(py)? {
            Some((asked, options)) => ensure(py, &asked, &options),
            None => Ok(Err(rejection())),
        }
    }
}

/// The error of a call that was rejected without another look: the session's last one.
fn rejection() -> ConnectError {
    process().session.not_connected_reason()
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
