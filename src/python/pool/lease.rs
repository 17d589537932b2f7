//! A connection that is lent.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::intern;
use pyo3::prelude::*;

use crate::error::{ConnectError, Kind};
use crate::pool;
use crate::python::connection::held::HeldConnection;
use crate::python::interop::errors::raise;
use crate::python::ray::bound;

/// A connection that a pool has lent.
#[pyclass(frozen, module = "seedcore_ray._core", name = "PooledConnection")]
pub struct Lease {
    pool: Arc<pool::Pool>,
    /// Counts the connections of the pool.
    #[pyo3(get)]
    number: u64,
    core: Mutex<Option<pool::Lease>>,
}

#[pymethods]
impl Lease {
    /// The name of the pool.
    #[getter]
    fn pool(&self) -> &str {
        &self.pool.name
    }

    /// The address, without secrets.
    #[getter]
    fn address(&self) -> String {
        self.pool.target.address.to_string()
    }

    /// Lets this thread use the connection. Returns what it used before, for `_leave`.
    ///
    /// Raises:
    ///     RayConnectionError: it was lost meanwhile.
    fn _enter<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let held = self.held();
        let Some(context) = held.as_ref().and_then(|held| held.seat().context(py)) else {
            return Err(self.lost(py));
        };
        let before = bound::set(py, &context.getattr(intern!(py, "rays"))?)?;
        bound::enter();
        Ok(before)
    }

    /// Lets this thread use what it used `before`.
    #[staticmethod]
    fn _leave(before: &Bound<'_, PyAny>) -> PyResult<()> {
        bound::leave();
        bound::set(before.py(), before).map(drop)
    }

    /// Gives the connection back. Idempotent.
    fn _give_back(&self) {
        drop(self.core().take());
    }

    fn __repr__(&self) -> String {
        format!(
            "PooledConnection({}, number={})",
            self.pool.name, self.number
        )
    }
}

impl Lease {
    pub fn new(core: pool::Lease) -> Self {
        Self {
            pool: Arc::clone(core.pool()),
            number: core.member().number,
            core: Mutex::new(Some(core)),
        }
    }

    fn core(&self) -> MutexGuard<'_, Option<pool::Lease>> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lost(&self, py: Python<'_>) -> PyErr {
        let session = self
            .core()
            .as_ref()
            .map(|lease| Arc::clone(&lease.member().session));
        let cause = session.and_then(|session| session.last_error());
        raise(
            py,
            &cause.unwrap_or_else(|| {
                let address = self.address();
                ConnectError::new(
                    Kind::NotConnected,
                    &address,
                    format!(
                        "The connection of pool {} to {address} has ended",
                        self.pool.name
                    ),
                    "Leave the block and ask the pool for another one.",
                )
            }),
        )
    }

    fn held(&self) -> Option<Arc<HeldConnection>> {
        let session = Arc::clone(&self.core().as_ref()?.member().session);
        let connection = session.connection()?;
        HeldConnection::of(&connection)
    }

    /// Whether Ray still has the connection. Where somebody has ended it, the pool is told, which makes
    /// another one.
    pub fn is_alive(&self, py: Python<'_>) -> bool {
        let Some(held) = self.held() else {
            return false;
        };
        if held.stands(py) {
            return true;
        }
        held.seat().session().gone(held.end(py));
        false
    }
}
