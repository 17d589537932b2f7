//! The Serve URLs of `ray_utils`, and the name look-ups behind them.

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::address;
use crate::config::Env;
use crate::gateway::{self, Gateway, SystemResolver};
use crate::python::interop::blocking;

/// Computes the URLs from the environment as it is now. Looks names up, 0.4 s each at most.
pub fn current(py: Python<'_>) -> Gateway {
    let env = Env::Process.snapshot();
    blocking::detached(py, || Gateway::from_env(&env, &SystemResolver))
}

/// `SERVE_GATEWAY`, `ML`, `COG` and `ORG`, computed from the environment now.
#[pyfunction]
pub fn gateway_urls(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let urls = current(py);
    let dict = PyDict::new(py);
    dict.set_item("SERVE_GATEWAY", urls.serve_gateway)?;
    dict.set_item("ML", urls.ml)?;
    dict.set_item("COG", urls.cog)?;
    dict.set_item("ORG", urls.org)?;
    Ok(dict)
}

/// The URLs of `get_serve_urls`. What is left out or blank comes from the environment.
#[pyfunction]
#[pyo3(signature = (base_gateway=None, ml_base=None, cog_base=None))]
#[allow(
    clippy::needless_pass_by_value,
    reason = "PyO3 hands over owned arguments"
)]
pub fn serve_urls(
    py: Python<'_>,
    base_gateway: Option<String>,
    ml_base: Option<String>,
    cog_base: Option<String>,
) -> PyResult<Bound<'_, PyDict>> {
    let urls = current(py);
    let dict = PyDict::new(py);
    let (base, ml, cog) = (
        base_gateway.as_deref(),
        ml_base.as_deref(),
        cog_base.as_deref(),
    );
    for (name, url) in gateway::serve_urls(&urls, base, ml, cog) {
        dict.set_item(name, url)?;
    }
    Ok(dict)
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
    blocking::detached(py, || gateway::lookup(&host)).map(|address| address.to_string())
}
