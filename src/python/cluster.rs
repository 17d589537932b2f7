//! What the cluster says, asked over our own channel and bounded by the probe timeout.
//!
//! A call that is pending in Ray's own `GlobalStateAccessor` when the GCS dies takes the process
//! down with it (docs/ray-internals.md, "When the cluster dies"), so nothing here goes through it.

use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3::types::PyDict;
use tokio::time::sleep;

use crate::address::{HostPort, RayAddress};
use crate::config::{Env, Settings};
use crate::error::{ConnectError, Kind};
use crate::probe::{self, Credentials, RayPort, SessionState};
use crate::process::process;
use crate::python::connection::{adoption, held};
use crate::python::interop::awaitable::awaitable;
use crate::python::interop::blocking::block;
use crate::python::interop::exit_guard::survived;
use crate::python::logs;
use crate::python::ray::{self, Presence};
use crate::session::Connection;

/// The control plane of the connection that is held.
enum Control {
    /// The GCS of a native connection.
    Gcs(HostPort),
    /// Our own session behind the Ray Client port.
    Session { server: HostPort, client_id: String },
    /// A stand-in for Ray, which answers for itself.
    Fake(bool),
}

/// Whether the cluster answers: a real control-plane round trip, bounded by the probe timeout, or
/// the monitor's last look, when that was good and is not older than its interval and such a bound.
///
/// Returns:
///     True when this process is connected and the cluster answers: natively the GCS, in client
///     mode our own session. False otherwise; it does not connect.
#[pyfunction]
pub fn is_ray_available(py: Python<'_>) -> PyResult<bool> {
    if process().session.is_fresh() && held::is_alive(py) {
        return Ok(true);
    }
    answers(py)
}

/// As [`is_ray_available`], but never from memory.
fn answers(py: Python<'_>) -> PyResult<bool> {
    let answer = check(py);
    logs::flush(py);
    Ok(matches!(answer?, Some(Ok(()))))
}

/// Connected **and** answering; bounded by the probe timeout.
#[pyfunction]
pub fn is_connected(py: Python<'_>) -> PyResult<bool> {
    is_ray_available(py)
}

/// Asks until the cluster answers or the time is up.
pub fn answers_until(py: Python<'_>, end: Instant) -> PyResult<bool> {
    loop {
        if answers(py)? {
            return Ok(true);
        }
        if Instant::now() >= end {
            return Ok(false);
        }
        block(py, async move { sleep(next_look(end)).await })?;
    }
}

/// Awaits until the cluster answers, for at most `wait_s` seconds; one look at least.
#[pyfunction]
pub fn answers_future(py: Python<'_>, wait_s: f64) -> PyResult<Bound<'_, PyAny>> {
    let end = Instant::now() + Duration::try_from_secs_f64(wait_s).unwrap_or_default();
    let control = survived(|| control(py))?;
    let means = means();
    awaitable(py, async move {
        let Some(control) = control else {
            return false;
        };
        loop {
            if control.ask(&means).await.is_ok() {
                return true;
            }
            if Instant::now() >= end {
                return false;
            }
            sleep(next_look(end)).await;
        }
    })
}

/// Awaits that the connection is not lost any more, for at most `wait_s` seconds; False if it is.
#[pyfunction]
pub fn not_lost_future(py: Python<'_>, wait_s: f64) -> PyResult<Bound<'_, PyAny>> {
    let end = Instant::now() + Duration::try_from_secs_f64(wait_s).unwrap_or_default();
    awaitable(py, until_not_lost(end))
}

/// Waits until the connection is not lost any more, but not past `end`; false if it is.
pub async fn until_not_lost(end: Instant) -> bool {
    while is_lost() {
        if Instant::now() >= end {
            return false;
        }
        sleep(next_look(end)).await;
    }
    true
}

fn is_lost() -> bool {
    let last_error = process().session.last_error();
    last_error.is_some_and(|error| error.kind == Kind::Lost)
}

/// How long to pause before the next look, with `end` in mind.
fn next_look(end: Instant) -> Duration {
    end.saturating_duration_since(Instant::now())
        .min(Duration::from_millis(250))
}

/// None when not connected; else what one round trip says.
fn check(py: Python<'_>) -> PyResult<Option<Result<(), ConnectError>>> {
    survived(|| {
        let Some(control) = control(py)? else {
            return Ok(None);
        };
        let means = means();
        block(py, control.ask(&means)).map(Some)
    })
}

impl Control {
    /// One round trip, remembered as the last probe.
    async fn ask(&self, means: &Means) -> Result<(), ConnectError> {
        let began = Instant::now();
        let (credentials, timeout) = (&means.credentials, means.timeout);
        let answer = match self {
            Self::Fake(true) => return Ok(()),
            Self::Fake(false) => return Err(fake_is_off()),
            Self::Gcs(server) => {
                let report = probe::probe(server, RayPort::Gcs, credentials, timeout).await;
                report.result.map(drop)
            }
            Self::Session { server, client_id } => {
                match probe::client_session_alive(server, client_id, credentials, timeout).await {
                    Ok(true) => Ok(()),
                    Ok(false) => Err(probe::session_lost(server)),
                    Err(error) => Err(error),
                }
            }
        };
        process()
            .session
            .probed(began.elapsed(), answer.as_ref().err().cloned());
        answer
    }
}

fn fake_is_off() -> ConnectError {
    ConnectError::new(
        Kind::InitFailed,
        "",
        "The stand-in for ray in sys.modules says that it is not initialized",
        "A test put it there.",
    )
}

fn control(py: Python<'_>) -> PyResult<Option<Control>> {
    if ray::imported(py, "ray").is_none() {
        return Ok(None);
    }
    match adoption::observed(py)? {
        Presence::Real(_) => {}
        Presence::Fake(fake) => {
            let module = py.import("seedcore_ray._stub")?;
            return Ok(Some(Control::Fake(
                module.call_method1("available", (fake,))?.is_truthy()?,
            )));
        }
        Presence::Missing | Presence::NotImported => return Ok(None),
    }
    if !held::is_alive(py) {
        return Ok(None);
    }
    if let Some(worker) = ray::client_worker(py) {
        let server: String = worker.getattr("_conn_str")?.extract()?;
        let client_id = worker.getattr("_client_id")?.extract()?;
        return Ok(host_port(&server).map(|server| Control::Session { server, client_id }));
    }
    Ok(ray::gcs_address(py)
        .and_then(|address| host_port(&address))
        .map(Control::Gcs))
}

fn host_port(address: &str) -> Option<HostPort> {
    RayAddress::parse(address).ok()?.host_port().cloned()
}

/// Token, certificates and bound of a look at a cluster that we are connected to.
struct Means {
    credentials: Credentials,
    timeout: Duration,
}

fn means() -> Means {
    let env = Env::Process;
    let connection = process().session.connection();
    let target = connection
        .as_deref()
        .and_then(|held| held.info.target.as_ref());
    let is_auto = target.is_some_and(|target| target.address == RayAddress::Auto);
    Means {
        credentials: Credentials::from_env(&env, is_auto),
        timeout: Settings::from_env(&env).0.probe_timeout,
    }
}

/// What the cluster has, as a dict with `status`.
///
/// Returns:
///     `{"status": "available", "cluster_resources", "available_resources", "nodes"}`, or
///     `{"status": "not_available"}`, or `{"status": "error", "error"}`. Bounded by the probe
///     timeout.
#[pyfunction]
pub fn cluster_info(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let state = survived(|| state(py));
    logs::flush(py);
    let info = PyDict::new(py);
    match state? {
        None => info.set_item("status", "not_available")?,
        Some(Err(error)) => set_error(&info, &error)?,
        Some(Ok(state)) => {
            info.set_item("status", "available")?;
            info.set_item("cluster_resources", state.cluster.total)?;
            info.set_item("available_resources", state.cluster.available)?;
            info.set_item("nodes", state.cluster.nodes)?;
        }
    }
    Ok(info)
}

fn state(py: Python<'_>) -> PyResult<Option<Result<SessionState, ConnectError>>> {
    let Some(control) = control(py)? else {
        return Ok(None);
    };
    let Means {
        credentials,
        timeout,
    } = means();
    let began = Instant::now();
    let answer = match &control {
        Control::Fake(connected) => return Ok(connected.then(|| Ok(SessionState::default()))),
        Control::Gcs(server) => {
            let asked = probe::cluster_state(server, &credentials, timeout);
            block(py, asked)?.map(|cluster| SessionState {
                cluster,
                node_id: ray::node_id(py).unwrap_or_default(),
                namespace: ray::native_namespace(py).unwrap_or_default(),
            })
        }
        Control::Session { server, client_id } => {
            let asked = probe::client_session_state(server, client_id, &credentials, timeout);
            let known = block(py, asked)?;
            known.and_then(|state| state.ok_or_else(|| probe::session_lost(server)))
        }
    };
    process()
        .session
        .probed(began.elapsed(), answer.as_ref().err().cloned());
    Ok(Some(answer))
}

/// The connection as a dict with `status`.
///
/// Returns:
///     `{"status": "connected", "namespace", "address", "node_id", "cluster_resources",
///     "ray_version"}`, or `{"status": "not_connected"}`, or `{"status": "error", "error"}`.
///     Bounded by the probe timeout.
#[pyfunction]
pub fn connection_info(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let state = survived(|| state(py));
    logs::flush(py);
    let info = PyDict::new(py);
    match state? {
        None => info.set_item("status", "not_connected")?,
        Some(Err(error)) => set_error(&info, &error)?,
        Some(Ok(state)) => {
            let connection = process().session.connection();
            let held = connection
                .as_deref()
                .map(|connection: &Connection| &connection.info);
            info.set_item("status", "connected")?;
            info.set_item("namespace", state.namespace)?;
            info.set_item("address", held.map(|info| info.address.as_str()))?;
            info.set_item("node_id", state.node_id)?;
            info.set_item("cluster_resources", state.cluster.total)?;
            let version = held.and_then(|info| info.facts.ray_version.as_deref());
            info.set_item("ray_version", version)?;
        }
    }
    Ok(info)
}

fn set_error(info: &Bound<'_, PyDict>, error: &ConnectError) -> PyResult<()> {
    info.set_item("status", "error")?;
    info.set_item("error", error.to_string())
}
