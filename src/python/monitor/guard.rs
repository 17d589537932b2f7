//! The guard of a native connection's calls, as `seedcore_ray/_ray/guarded_calls.py` uses it.

use std::sync::Arc;

use arc_swap::Guard as Loaded;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use super::{Monitor, keys};
use crate::config::{Env, Settings};
use crate::guard::{Caller, Guard as Core};
use crate::probe::{Given, Question, Rows, SharedChannel, Table};
use crate::process::process;
use crate::python::interop::blocking::block;
use crate::python::interop::errors::raise;
use crate::python::interop::exit_guard::survived;
use crate::python::ray::blocks_loop;

/// Asks the GCS of a native connection before a call of Ray's that waits for it, or instead of one.
#[pyclass(frozen, module = "seedcore_ray._core")]
pub struct Guard(Core);

#[pymethods]
impl Guard {
    /// Returns once the GCS answers.
    ///
    /// Raises:
    ///     RayConnectionError: the connection was lost meanwhile; or it does not answer and this
    ///         thread runs an event loop, which may not wait for it.
    fn admit(&self, py: Python<'_>) -> PyResult<()> {
        self.ask(py, Question::Alive).map(drop)
    }

    /// The encoded rows of `table`: `nodes`, `total_resources` or `available_resources`. None when
    /// the connection is not held any more. Raises what `admit` raises.
    fn rows<'py>(&self, py: Python<'py>, table: &str) -> PyResult<Option<Bound<'py, PyList>>> {
        let table = match table {
            "nodes" => Table::Nodes,
            "total_resources" => Table::TotalResources,
            "available_resources" => Table::AvailableResources,
            _ => {
                return Err(PyValueError::new_err(format!(
                    "there is no table {table:?}"
                )));
            }
        };
        let rows = self.ask(py, Question::Rows(table))?;
        rows.map(|rows| PyList::new(py, rows.iter().map(|row| PyBytes::new(py, row))))
            .transpose()
    }
}

impl Guard {
    fn ask(&self, py: Python<'_>, question: Question) -> PyResult<Option<Rows>> {
        let caller = if blocks_loop(py)? {
            Caller::EventLoop
        } else {
            Caller::Thread
        };
        let session = Arc::clone(&Loaded::into_inner(process()).session);
        survived(|| block(py, self.0.ask(&session, question, caller)))?
            .map_err(|error| raise(py, &error))
    }
}

/// The guard of the connection that `monitor` watches; None for a Ray Client, and where
/// `SEEDCORE_RAY_GUARD_CALLS` is 0.
#[pyfunction]
pub fn guard_of(monitor: &Monitor) -> Option<Guard> {
    let settings = Settings::from_env(&Env::Process).0;
    let origin = monitor.origin()?;
    let server = origin.server.clone()?;
    if !settings.guard_calls || !monitor.core.is_native() {
        return None;
    }
    let channel = SharedChannel::new(
        server,
        origin.cluster_id.clone(),
        keys(origin, Given::default()),
    );
    Some(Guard(Core::new(
        monitor.watch(),
        Box::new(channel),
        settings.probe_timeout,
        monitor.core.grace(),
    )))
}
