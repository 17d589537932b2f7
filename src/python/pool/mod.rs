//! A pool of connections, as `seedcore_ray/pool.py` uses it.

mod keeping;
mod lease;

use std::sync::Arc;
use std::time::Duration;

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::address::RayAddress;
use crate::error::{ConnectError, Kind};
use crate::flight::after;
use crate::pool::{self, LendError, Lending, Limits};
use crate::process::process;
use crate::python::interop::args::{check_init_kwargs, seconds};
use crate::python::interop::awaitable::awaitable;
use crate::python::interop::blocking::block;
use crate::python::interop::errors::{raise, raise_as};
use crate::python::interop::exit_guard::survived;
use crate::python::ray::{self, arguments};
use crate::target::NamespaceArg;
pub use lease::Lease;

/// A thread with an event loop would use the connection in whatever task runs next.
const ON_LOOP: &str = "an event loop runs in this thread, and its tasks would mix up their connections: \
                       await pool.run_async(fn, ...) there";

/// Connections to one cluster.
#[pyclass(frozen, module = "seedcore_ray._core")]
pub struct Pool {
    core: Arc<pool::Pool>,
    /// How long a caller waits who does not say.
    timeout: Duration,
    /// The caller's further arguments for `ray.init`, a copy.
    init_kwargs: Option<Py<PyDict>>,
}

#[pymethods]
impl Pool {
    /// A pool that makes no connection yet. Raises `ValueError` for an address that is not
    /// `ray://host[:port]`, and for sizes that fit nothing.
    #[new]
    fn new(
        py: Python<'_>,
        address: &str,
        names: (Option<String>, Option<String>),
        sizes: (usize, usize, usize),
        timeout: &Bound<'_, PyAny>,
        max_idle: &Bound<'_, PyAny>,
        init_kwargs: &Bound<'_, PyDict>,
    ) -> PyResult<Self> {
        let (namespace, name) = names;
        let (min_size, max_size, max_waiting) = sizes;
        let limits = Limits {
            min_size,
            max_size,
            max_waiting,
            max_idle: seconds(max_idle, "max_idle")?,
        };
        let given = namespace
            .as_deref()
            .map_or(NamespaceArg::LeftOut, NamespaceArg::Named);
        let target = ray::resolve(py, Some(address), &given)
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        if !matches!(target.address, RayAddress::Client(_)) {
            return Err(native(&target.address));
        }
        let init_kwargs = Some(init_kwargs).filter(|kwargs| !kwargs.is_empty());
        check_init_kwargs(init_kwargs)?;
        let init_kwargs = init_kwargs.map(arguments::copied).transpose()?;
        let name = name.unwrap_or_else(|| target.address.to_string());
        Ok(Self {
            core: pool::Pool::new(&name, target, limits, &process().session),
            timeout: seconds(timeout, "timeout")?,
            init_kwargs: init_kwargs.map(Bound::unbind),
        })
    }

    /// The name.
    #[getter]
    fn name(&self) -> &str {
        &self.core.name
    }

    /// The address, without secrets.
    #[getter]
    fn address(&self) -> String {
        self.core.target.address.to_string()
    }

    /// Whether `close` was called.
    #[getter]
    fn closed(&self) -> bool {
        self.core.is_closed()
    }

    /// Whether this process was forked from the pool's.
    #[getter]
    fn forked(&self) -> bool {
        !self.core.is_of(&process().session)
    }

    /// The same pool for this process, which was forked before that one was opened.
    fn anew(&self, py: Python<'_>) -> Self {
        let init_kwargs = self.init_kwargs.as_ref();
        Self {
            core: self.core.anew(&process().session),
            timeout: self.timeout,
            init_kwargs: init_kwargs.map(|kwargs| kwargs.clone_ref(py)),
        }
    }

    /// Begins to make connections. True the first time: then a thread has to run `next`.
    fn open(&self, py: Python<'_>) -> PyResult<bool> {
        self.check_fork(py)?;
        let is_first = self.core.open().map_err(|error| lend_error(py, &error))?;
        if is_first {
            process().pools.add(&self.core);
        }
        Ok(is_first)
    }

    /// Lends a connection to this thread, and waits for one up to `timeout_s`.
    ///
    /// Raises:
    ///     PoolTimeout: none became free in time, or none could be made.
    ///     PoolClosed, TooManyRequests, RayConnectionError: there will be none.
    #[pyo3(signature = (timeout_s=None))]
    fn lend(&self, py: Python<'_>, timeout_s: Option<&Bound<'_, PyAny>>) -> PyResult<Lease> {
        self.check_fork(py)?;
        let until = after(self.timeout(timeout_s)?);
        if ray::blocks_loop(py)? {
            return Err(PyRuntimeError::new_err(ON_LOOP));
        }
        loop {
            let lent = match self.core.lend() {
                Ok(Lending::Now(lease)) => Ok(lease),
                Ok(Lending::Later(waiter)) => survived(|| block(py, waiter.wait(until)))?,
                Err(error) => Err(error),
            };
            let lease = Lease::new(lent.map_err(|error| lend_error(py, &error))?);
            if lease.is_alive(py) {
                return Ok(lease);
            }
        }
    }

    /// As `lend`, for an event loop: an awaitable. None: ask again, somebody has ended that connection.
    fn lend_async<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.check_fork(py)?;
        let until = after(self.timeout);
        let lending = self.core.lend().map_err(|error| lend_error(py, &error))?;
        awaitable(py, async move {
            let lent = match lending {
                Lending::Now(lease) => Ok(lease),
                Lending::Later(waiter) => waiter.wait(until).await,
            };
            Lent(lent)
        })
    }

    /// Waits until `min_size` connections are up. Raises what `lend` raises.
    fn wait(&self, py: Python<'_>, timeout_s: &Bound<'_, PyAny>) -> PyResult<()> {
        self.check_fork(py)?;
        let until = after(seconds(timeout_s, "timeout")?);
        let filled = survived(|| block(py, self.core.filled(until)))?;
        filled.map_err(|error| lend_error(py, &error))
    }

    /// Waits until a connection is to be ended; returns its `Context`, and whether its cluster answers.
    /// None once the pool is closed and all are ended. Connections that are to be made are begun here.
    fn next(&self, py: Python<'_>) -> Option<(Py<PyAny>, bool)> {
        survived(|| self.keep(py))
    }

    /// Ends what waits, and lends nothing any more. `at_once`: what is lent is ended, too.
    fn close(&self, at_once: bool) {
        if self.core.is_of(&process().session) {
            self.core.close(at_once);
        }
    }

    /// Why a caller who asks now would get no connection, as an exception; None where one would. Reads
    /// memory only.
    fn absence(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        self.check_fork(py)?;
        let absence = self.core.absence();
        Ok(absence.map(|error| lend_error(py, &error).into_value(py).into_any()))
    }

    /// The numbers of the pool.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let stats = self.core.stats();
        let milliseconds = |duration: Duration| duration.as_secs_f64() * 1e3;
        let numbers = PyDict::new(py);
        numbers.set_item("pool_min", stats.min_size)?;
        numbers.set_item("pool_max", stats.max_size)?;
        numbers.set_item("pool_size", stats.size)?;
        numbers.set_item("pool_available", stats.available)?;
        numbers.set_item("pool_in_use", stats.in_use)?;
        numbers.set_item("requests_waiting", stats.waiting)?;
        numbers.set_item("requests_num", stats.requests)?;
        numbers.set_item("requests_queued", stats.queued)?;
        numbers.set_item("requests_refused", stats.refused)?;
        numbers.set_item("requests_wait_ms", milliseconds(stats.waited))?;
        numbers.set_item("usage_ms", milliseconds(stats.used))?;
        numbers.set_item("connections_num", stats.connects)?;
        numbers.set_item("connections_errors", stats.connects_failed)?;
        numbers.set_item("connections_lost", stats.lost)?;
        Ok(numbers)
    }
}

impl Pool {
    fn timeout(&self, given: Option<&Bound<'_, PyAny>>) -> PyResult<Duration> {
        given.map_or(Ok(self.timeout), |value| seconds(value, "timeout"))
    }

    fn check_fork(&self, py: Python<'_>) -> PyResult<()> {
        if self.core.is_of(&process().session) {
            return Ok(());
        }
        let address = self.core.target.address.to_string();
        let error = ConnectError::new(
            Kind::Forked,
            &address,
            format!(
                "Pool {} to {address}: this process was forked from the one that made the pool, and \
                 Ray does not survive a fork",
                self.core.name
            ),
            "Make the pool after the fork, or use the spawn start method.",
        );
        Err(raise(py, &error))
    }
}

/// The end of an awaited wait.
struct Lent(Result<crate::pool::Lease, LendError>);

impl<'py> IntoPyObject<'py> for Lent {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Self::Output> {
        match self.0 {
            Ok(lease) => {
                let lease = Lease::new(lease);
                if lease.is_alive(py) {
                    Ok(Bound::new(py, lease)?.into_any())
                } else {
                    Ok(py.None().into_bound(py))
                }
            }
            Err(error) => Ok(lend_error(py, &error)
                .into_value(py)
                .into_bound(py)
                .into_any()),
        }
    }
}

fn lend_error(py: Python<'_>, error: &LendError) -> PyErr {
    let class = match error {
        LendError::TimedOut(_) => "PoolTimeout",
        LendError::Full(_) => "TooManyRequests",
        LendError::Closed(_) => "PoolClosed",
        LendError::Failed(_) => "RayConnectionError",
    };
    raise_as(py, class, error.cause())
}

fn native(address: &RayAddress) -> PyErr {
    PyValueError::new_err(format!(
        "A pool needs a Ray Client address, ray://host[:port], not {address}: a process has one native \
         connection at most, which Ray keeps in globals, and all threads share that. Use \
         ensure_ray_initialized({:?}) and no pool.",
        address.to_string()
    ))
}
