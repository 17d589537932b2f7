//! The Serve URLs of `ray_utils`.

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::config::Env;
use crate::gateway::{self, Gateway, SystemResolver};

/// `SERVE_GATEWAY`, `ML`, `COG` and `ORG`, computed from the environment now.
#[pyfunction]
pub fn gateway_urls(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let env = Env::Process.snapshot();
    let urls = py.detach(|| Gateway::from_env(&env, &SystemResolver));
    let dict = PyDict::new(py);
    dict.set_item("SERVE_GATEWAY", urls.serve_gateway)?;
    dict.set_item("ML", urls.ml)?;
    dict.set_item("COG", urls.cog)?;
    dict.set_item("ORG", urls.org)?;
    Ok(dict)
}
