//! Fork and exit.

use pyo3::prelude::*;

use super::{held, logs, ray};
use crate::process;

/// Runs in a child right after a fork (`os.register_at_fork`): fresh state, nothing inherited.
#[pyfunction]
pub fn _after_fork(py: Python<'_>) {
    let parent_had_ray = process::process().session.holds_ray() || ray::seems_connected(py);
    held::release();
    process::after_fork(parent_had_ray);
}

/// Runs at exit (`atexit`), while threads may still attach: stops ours before that is over.
#[pyfunction]
pub fn _at_exit(py: Python<'_>) {
    let process = process::process();
    process.session.exit();
    py.detach(|| process.runtime.stop());
    logs::flush(py);
}

/// Does nothing, at the price of a call into this extension; for the benchmark.
#[pyfunction]
pub const fn _empty() -> bool {
    true
}
