//! Settings for the Python side.

use pyo3::prelude::*;

use crate::config::{Env, Settings};

/// The bound of one look at the cluster, in seconds.
#[pyfunction]
pub fn probe_timeout_s() -> f64 {
    Settings::from_env(&Env::Process)
        .0
        .probe_timeout
        .as_secs_f64()
}

/// The bound of `ray.init`, in seconds.
#[pyfunction]
pub fn init_timeout_s() -> f64 {
    Settings::from_env(&Env::Process)
        .0
        .init_timeout
        .as_secs_f64()
}
