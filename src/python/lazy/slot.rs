//! The state of a [`Lazy`]: its factory, and the value with the connection that it depends on.

use std::sync::Arc;
use std::{mem, process};

use arc_swap::ArcSwapOption;
use pyo3::intern;
use pyo3::prelude::*;

use crate::lazy::LazyId;
use crate::python::connection::held::HeldConnection;
use crate::python::interop::exit_guard::survived;

/// What must exist only after Ray does: made on first use, made anew after a reconnect.
///
/// Attributes, calls and items are those of the value, except `get`, `aget` and `reset`. A name
/// with a leading underscore is looked up on a made value only, so that tools which inspect every
/// object make nothing. Equality and hash are the Lazy's own, so that they outlast the value.
#[pyclass(frozen, generic, weakref, module = "seedcore_ray._core")]
pub struct Lazy {
    pub name: String,
    pub factory: Py<PyAny>,
    pub on_close: Option<Py<PyAny>>,
    pub id: LazyId,
    pub made: ArcSwapOption<Made>,
}

/// A value, the connection that it works on, and the process that made it.
pub struct Made {
    pub value: Py<PyAny>,
    pub connection: Arc<HeldConnection>,
    pid: u32,
}

impl Lazy {
    /// The value, if there is one and its connection still stands.
    pub fn current<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        let made = self.made.load();
        let made = made.as_ref()?;
        let stands = made.connection.stands(py);
        stands.then(|| made.value.bind(py).clone())
    }

    /// Keeps a value that was made on `connection`.
    pub fn keep(&self, value: Bound<'_, PyAny>, connection: Arc<HeldConnection>) {
        self.made.store(Some(Arc::new(Made {
            value: value.unbind(),
            connection,
            pid: process::id(),
        })));
    }

    /// Removes the value, if there is one, and hands it to `on_close`.
    pub fn close(&self, py: Python<'_>) -> PyResult<()> {
        match self.made.swap(None) {
            Some(made) if made.pid == process::id() => self.on_close(made.value.bind(py)),
            // In a forked child, the parent's handles would reach for a Ray that is not there.
            made => {
                mem::forget(made);
                Ok(())
            }
        }
    }

    /// Calls `on_close`, if there is one; what it raises is logged.
    pub fn on_close(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let Some(on_close) = &self.on_close else {
            return Ok(());
        };
        let py = value.py();
        survived(|| {
            py.import(intern!(py, "seedcore_ray._lazy"))?
                .call_method1(intern!(py, "close"), (&self.name, on_close, value))
                .map(drop)
        })
    }
}
