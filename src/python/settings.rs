//! Settings and constants for the Python side.

use pyo3::prelude::*;

use crate::config::{Env, Settings};

/// The bound of one probe, in seconds.
#[pyfunction]
pub fn probe_timeout_s() -> f64 {
    settings().probe_timeout.as_secs_f64()
}

/// The bound of `ray.init`, in seconds.
#[pyfunction]
pub fn init_timeout_s() -> f64 {
    settings().init_timeout(None).as_secs_f64()
}

fn settings() -> Settings {
    Settings::from_env(&Env::Process).0
}
