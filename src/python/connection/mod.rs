//! The truth about the connection, for people and for probes.

pub mod adoption;
pub mod held;
pub mod require;
pub mod seat;

use std::time::{SystemTime, UNIX_EPOCH};

use pyo3::prelude::*;

use crate::preflight::Role;
use crate::process::process;
use crate::python::interop::errors::to_exception;
use crate::session::{ConnectionInfo, LastProbe};

/// One look at the cluster's control plane.
#[pyclass(frozen, get_all, module = "seedcore_ray._core")]
pub struct Probe {
    /// When it ended, in seconds since the epoch.
    at: f64,
    /// How long it took, in seconds.
    duration_s: f64,
    /// Whether the cluster answered.
    ok: bool,
    /// The cause when it did not.
    error: Option<String>,
}

impl From<LastProbe> for Probe {
    fn from(probe: LastProbe) -> Self {
        Self {
            at: epoch(probe.at),
            duration_s: probe.took.as_secs_f64(),
            ok: probe.error.is_none(),
            error: probe.error.map(|error| error.message),
        }
    }
}

#[pymethods]
impl Probe {
    fn __repr__(&self) -> String {
        let outcome = self.error.as_deref().unwrap_or("ok");
        format!("Probe({outcome}, duration_s={:.4})", self.duration_s)
    }
}

/// What this process holds, and where each part of it came from.
#[pyclass(frozen, get_all, module = "seedcore_ray._core")]
pub struct Connection {
    /// `idle`, `connecting`, `connected`, `unhealthy`, `lost`, `reconnecting` or `failed`.
    state: &'static str,
    /// The address in use, or the one last tried.
    address: Option<String>,
    /// `argument`, the name of a variable, or `default`; None for an adopted connection.
    address_source: Option<&'static str>,
    /// `fallback` or `standby` where the address is not the one asked for; else None.
    stand_in: Option<&'static str>,
    /// Ray's namespace; None is the anonymous one, or not known.
    namespace: Option<String>,
    /// `argument`, the name of a variable, or `default`; None for an adopted connection.
    namespace_source: Option<&'static str>,
    /// `native`, `client` or `adopted`.
    mode: Option<&'static str>,
    /// When it was connected, in seconds since the epoch.
    since: Option<f64>,
    /// Hex id of the cluster; only a native connection can know it.
    cluster_id: Option<String>,
    /// Ray's version.
    ray_version: Option<String>,
    /// The last look at the cluster.
    last_probe: Option<Py<Probe>>,
    /// How many connections this process has made.
    generation: u64,
}

#[pymethods]
impl Connection {
    fn __repr__(&self) -> String {
        let show = |text: &Option<String>| text.clone().unwrap_or_else(|| "None".into());
        format!(
            "Connection(state={}, address={}, namespace={}, mode={}, generation={})",
            self.state,
            show(&self.address),
            show(&self.namespace),
            self.mode.unwrap_or("None"),
            self.generation,
        )
    }
}

/// What this process holds. Reads memory only: no look at the cluster.
#[pyfunction]
pub fn connection(py: Python<'_>) -> PyResult<Connection> {
    adoption::sync(py)?;
    let session = &process().session;
    let last_probe = session
        .last_probe()
        .map(|probe| Py::new(py, Probe::from(probe)))
        .transpose()?;
    let connection = session.connection();
    let info = connection.as_deref().map(|connection| &connection.info);
    let target = info.and_then(|info| info.target.as_ref());
    let tried = || session.last_error().map(|error| error.address);
    Ok(Connection {
        state: session.state().as_str(),
        address: info.map(|info| info.address.clone()).or_else(tried),
        address_source: target.map(|target| target.address_source.as_str()),
        stand_in: info.and_then(ConnectionInfo::stand_in).map(Role::as_str),
        namespace: info.and_then(|info| info.namespace.clone()),
        namespace_source: target.map(|target| target.namespace_source.as_str()),
        mode: info.map(|info| info.mode.as_str()),
        since: info.map(|info| epoch(info.since)),
        cluster_id: info.and_then(|info| info.facts.cluster_id.clone()),
        ray_version: info.and_then(|info| info.facts.ray_version.clone()),
        last_probe,
        generation: session.generation(),
    })
}

/// Why the last connect failed, as a `RayConnectionError`; None once one has succeeded, after
/// `shutdown_ray`, or when nobody has asked yet. A failed `force_reinit` leaves it beside the
/// connection that was kept.
#[pyfunction]
pub fn last_error(py: Python<'_>) -> PyResult<Option<Bound<'_, PyAny>>> {
    process()
        .session
        .last_error()
        .map(|error| to_exception(py, &error))
        .transpose()
}

/// How many connections have been made in this process. A handle made under another generation
/// is dead.
#[pyfunction]
pub fn generation() -> u64 {
    process().session.generation()
}

fn epoch(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}
