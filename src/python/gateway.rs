//! The Serve URLs of `ray_utils`, and the look-up of host names.

use pyo3::prelude::*;
use pyo3::types::{IntoPyDict as _, PyDict};
use pythonize::pythonize;

use crate::address;
use crate::config::Env;
use crate::gateway::{self, Gateway, lookup};
use crate::python::interop::blocking;

/// Computes the URLs from the environment as it is now. Looks names up, for at most 0.4 s each.
pub fn current(py: Python<'_>) -> Gateway {
    let env = Env::Process.snapshot();
    blocking::detached(py, || {
        Gateway::from_env(&env, |host| lookup(host).is_some())
    })
}

/// `SERVE_GATEWAY`, `ML`, `COG` and `ORG`, computed from the environment now.
#[pyfunction]
pub fn gateway_urls(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    Ok(pythonize(py, &current(py))?)
}

/// The URLs of `get_serve_urls`. A path that is None or blank is taken from the environment.
#[pyfunction]
#[pyo3(signature = (gateway, ml_base=None, cog_base=None))]
pub fn serve_urls<'py>(
    py: Python<'py>,
    gateway: &str,
    ml_base: Option<&str>,
    cog_base: Option<&str>,
) -> PyResult<Bound<'py, PyDict>> {
    gateway::serve_urls(gateway, ml_base, cog_base, &Env::Process).into_py_dict(py)
}

/// An address of the host that `text` names: a host, `host:port` or an address of Ray. None when
/// it names none, or does not resolve within 0.4 s.
#[pyfunction]
pub fn resolve_host(py: Python<'_>, text: &str) -> Option<String> {
    let host = address::host_in(text).unwrap_or_else(|| text.to_owned());
    blocking::detached(py, || lookup(&host)).map(|address| address.to_string())
}
