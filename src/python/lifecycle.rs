//! Fork and exit.

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::process;
use crate::python::connection::held;
use crate::python::logs;
use crate::python::ray::{imported, witness};

/// Registers both hooks; once, when the extension is loaded.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let hooks = PyDict::new(py);
    hooks.set_item("after_in_child", module.getattr("_after_fork")?)?;
    py.import("os")?
        .call_method("register_at_fork", (), Some(&hooks))?;
    py.import("atexit")?
        .call_method1("register", (module.getattr("_at_exit")?,))?;
    crate::log_queue::install(logs::enqueue);
    Ok(())
}

/// Runs in a child right after a fork (`os.register_at_fork`): fresh state, nothing inherited.
#[pyfunction]
pub fn _after_fork(py: Python<'_>) -> PyResult<()> {
    let parent = process::process();
    let parent_had_ray = parent.session.holds_ray()
        || parent.pools.is_any_open()
        || witness::seems_connected(py)
        || witness::has_core_worker(py);
    drop(parent);
    held::forget();
    process::after_fork(parent_had_ray);
    for name in ["seedcore_ray._events", "seedcore_ray._ray.release"] {
        // Where the parent was only just importing it, there is nothing to forget.
        if let Some(module) = imported(py, name)
            && let Some(forget) = module.getattr_opt("forget_threads")?
        {
            forget.call0()?;
        }
    }
    if parent_had_ray {
        py.import("seedcore_ray._ray.fork")?
            .call_method0("leave_cleanly")?;
    }
    Ok(())
}

/// Runs at exit (`atexit`), while threads may still attach: stops ours before that is over.
#[pyfunction]
pub fn _at_exit(py: Python<'_>) {
    let process = process::process();
    process.session.exit();
    for pool in process.pools.all() {
        pool.close(true);
    }
    py.detach(|| process.runtime.stop());
    logs::flush(py);
}

/// Does nothing, at the price of a call into this extension; for the benchmark.
#[pyfunction]
pub const fn _empty() -> bool {
    true
}
