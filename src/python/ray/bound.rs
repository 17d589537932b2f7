//! Threads that use another Ray Client than the one that `ray.init` has made.

use std::cell::Cell;

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;

use super::modules;

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// This thread uses a client of a pool from now on.
pub fn enter() {
    DEPTH.set(DEPTH.get() + 1);
}

/// The last one that was entered is left.
pub fn leave() {
    DEPTH.set(DEPTH.get().saturating_sub(1));
}

/// Whether what Ray says on this thread is about a client of a pool.
pub fn is_bound() -> bool {
    DEPTH.get() > 0
}

/// Lets this thread use `context`, one of Ray's. Returns the one it used before.
pub fn set<'py>(py: Python<'py>, context: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let client = modules(py)?.get_item(intern!(py, "ray.util.client"))?;
    let client = client.ok_or_else(|| PyRuntimeError::new_err("ray is not imported any more"))?;
    let api = client.getattr(intern!(py, "ray"))?;
    // What `set_context` does, which takes a third of a whole lease: it is written in Python.
    if let Ok(local) = api.getattr(intern!(py, "_cxt"))
        && let Some(before) = local.getattr_opt(intern!(py, "handler"))?
    {
        local.setattr(intern!(py, "handler"), context)?;
        return Ok(before);
    }
    api.call_method1(intern!(py, "set_context"), (context,))
}
