//! The Serve URLs of `ray_utils`, and the look-up of host names.

use pyo3::prelude::*;
use pyo3::types::{IntoPyDict as _, PyDict};

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
pub fn gateway_urls(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let urls = current(py);
    [
        ("SERVE_GATEWAY", urls.serve_gateway),
        ("ML", urls.ml),
        ("COG", urls.cog),
        ("ORG", urls.org),
    ]
    .into_py_dict(py)
}

/// The URLs of `get_serve_urls`. A path that is None or blank is taken from the environment.
#[pyfunction]
#[pyo3(signature = (gateway, ml_base=None, cog_base=None))]
#[allow(
    clippy::needless_pass_by_value,
    reason = "PyO3 hands over owned arguments"
)]
pub fn serve_urls(
    py: Python<'_>,
    gateway: String,
    ml_base: Option<String>,
    cog_base: Option<String>,
) -> PyResult<Bound<'_, PyDict>> {
    let (ml, cog) = (ml_base.as_deref(), cog_base.as_deref());
    gateway::serve_urls(&gateway, ml, cog, &Env::Process).into_py_dict(py)
}

/// An address of the host that `text` names: a host, `host:port` or an address of Ray. None when
/// it names none, or does not resolve within 0.4 s.
#[pyfunction]
#[allow(
    clippy::needless_pass_by_value,
    reason = "PyO3 hands over owned arguments"
)]
pub fn resolve_host(py: Python<'_>, text: String) -> Option<String> {
    let host = address::host_in(&text).unwrap_or(text);
    blocking::detached(py, || lookup(&host)).map(|address| address.to_string())
}
