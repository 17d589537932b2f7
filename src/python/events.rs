//! Events as Python's callbacks take them (`seedcore_ray/_events.py`).

use std::time::UNIX_EPOCH;

use pyo3::intern;
use pyo3::prelude::*;

use crate::events;
use crate::process::process;
use crate::python::interop::errors::to_exception;
use crate::python::interop::exit_guard::survived;
use crate::python::ray::imported;

/// Something that happened to the connection of this process.
#[pyclass(frozen, get_all, module = "seedcore_ray._core")]
pub struct Event {
    /// `connected`, `unhealthy`, `recovered`, `lost`, `reconnected`, `failed` or
    /// `shutdown`.
    name: &'static str,
    /// When, in seconds since the epoch.
    at: f64,
    /// How many connections this process had made by then.
    generation: u64,
    /// The address.
    address: String,
    /// The name of the pool whose connection it is; None for the process's own.
    pool: Option<String>,
    /// A `RayConnectionError` for `unhealthy`, `lost` and `failed`, and for a `connected` or
    /// `reconnected` where another address stands in for the one that was asked for; else None.
    cause: Option<Py<PyAny>>,
    /// How many seconds the state that ended here had lasted: the connection for `lost` and
    /// `shutdown`, the silence for `recovered`, the absence for `reconnected`; else None.
    after_s: Option<f64>,
}

#[pymethods]
impl Event {
    fn __repr__(&self) -> String {
        format!(
            "Event({}, {}, generation={})",
            self.name, self.address, self.generation
        )
    }
}

impl Event {
    fn new(py: Python<'_>, event: events::Event) -> PyResult<Self> {
        let cause = event.cause.map(|cause| to_exception(py, &cause));
        let at = event.at.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Self {
            name: event.what.as_str(),
            at: at.as_secs_f64(),
            generation: event.generation,
            address: event.address,
            pool: event.pool.as_deref().map(str::to_owned),
            cause: cause.transpose()?.map(Bound::unbind),
            after_s: event.after.map(|after| after.as_secs_f64()),
        })
    }
}

/// What has happened since the last call, in order.
#[pyfunction]
pub fn take_events(py: Python<'_>) -> PyResult<Vec<Event>> {
    let events = process().session.take_events().into_iter();
    events.map(|event| Event::new(py, event)).collect()
}

/// Hands new events to the thread that runs the callbacks, if any is registered.
pub fn deliver(py: Python<'_>) {
    let Some(module) = imported(py, "seedcore_ray._events") else {
        return;
    };
    survived(|| {
        if let Err(error) = module.call_method0(intern!(py, "deliver")) {
            error.write_unraisable(py, None);
        }
    });
}
