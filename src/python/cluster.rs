//! What the cluster says, asked over our own channel and bounded by the probe timeout.
//!
//! A call that is pending in Ray's own `GlobalStateAccessor` when the GCS dies takes the process
//! down with it (ray-facts, "The one thing it cannot save"), so nothing here goes through it.

use std::time::Instant;

use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::held::imported;
use super::ray::{self, Presence};
use super::{connect, held, logs, wait};
use crate::address::{HostPort, RayAddress};
use crate::config::{Env, Settings};
use crate::error::{ConnectError, Kind};
use crate::probe::{self, Credentials, Door, SessionState};
use crate::process::process;

/// The control plane of the connection that is held.
enum Control {
    /// The GCS of a native connection.
    Gcs(HostPort),
    /// Our own session behind the Ray Client port.
    Session { server: HostPort, client_id: String },
    /// A stand-in for Ray, which answers for itself.
    Fake(bool),
}

/// A real control-plane round trip, bounded by the probe timeout.
///
/// Returns:
///     True when this process is connected and the cluster answers: natively the GCS, in client
///     mode our own session. False otherwise; it does not connect.
#[pyfunction]
pub fn is_ray_available(py: Python<'_>) -> PyResult<bool> {
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
        if is_ray_available(py)? {
            return Ok(true);
        }
        if Instant::now() >= end {
            return Ok(false);
        }
        let pause = std::time::Duration::from_millis(250);
        wait::block(py, async move {
            tokio::time::sleep(pause.min(end - Instant::now())).await;
        })?;
    }
}

/// None when not connected; else what one round trip says.
fn check(py: Python<'_>) -> PyResult<Option<Result<(), ConnectError>>> {
    let Some(control) = control(py)? else {
        return Ok(None);
    };
    let (credentials, timeout) = means();
    let began = Instant::now();
    let answer = match &control {
        Control::Fake(connected) => return Ok(connected.then_some(Ok(()))),
        Control::Gcs(server) => wait::block(py, async {
            probe::probe(server, Door::Gcs, &credentials, timeout)
                .await
                .result
                .map(drop)
        })?,
        Control::Session { server, client_id } => {
            let known = wait::block(
                py,
                probe::client_session_alive(server, client_id, &credentials, timeout),
            )?;
            known.and_then(|known| {
                if known {
                    Ok(())
                } else {
                    Err(session_lost(server))
                }
            })
        }
    };
    process()
        .session
        .probed(began.elapsed(), answer.as_ref().err().cloned());
    Ok(Some(answer))
}

fn control(py: Python<'_>) -> PyResult<Option<Control>> {
    if imported(py, "ray").is_none() {
        return Ok(None);
    }
    let module = match ray::look(py)? {
        Presence::Real(module) => module,
        Presence::Fake(fake) => {
            let module = py.import("seedcore_ray._fake")?;
            return Ok(Some(Control::Fake(
                module.call_method1("available", (fake,))?.is_truthy()?,
            )));
        }
        Presence::Missing | Presence::NotImported => return Ok(None),
    };
    connect::notice(&module)?;
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
fn means() -> (Credentials, std::time::Duration) {
    let env = Env::Process;
    let live = process().session.live();
    let target = live.as_ref().and_then(|live| live.target.as_ref());
    let is_auto = target.is_some_and(|target| target.address == RayAddress::Auto);
    (
        Credentials::from_env(&env, is_auto),
        Settings::from_env(&env).0.probe_timeout,
    )
}

fn session_lost(server: &HostPort) -> ConnectError {
    ConnectError::new(
        Kind::Lost,
        format!("ray://{server}"),
        format!("ray://{server} answers, but no longer knows this process"),
        "The head was restarted. Call ensure_ray_initialized(force_reinit=True).",
    )
}

/// What the cluster has, as a dict with `status`.
///
/// Returns:
///     `{"status": "available", "cluster_resources", "available_resources", "nodes"}`, or
///     `{"status": "not_available"}`, or `{"status": "error", "error"}`. Bounded by the probe
///     timeout.
#[pyfunction]
pub fn cluster_info(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let state = state(py);
    logs::flush(py);
    let info = PyDict::new(py);
    match state? {
        None => info.set_item("status", "not_available")?,
        Some(Err(error)) => {
            info.set_item("status", "error")?;
            info.set_item("error", error.to_string())?;
        }
        Some(Ok(state)) => {
            info.set_item("status", "available")?;
            info.set_item("cluster_resources", state.cluster.total)?;
            info.set_item("available_resources", state.cluster.available)?;
            info.set_item("nodes", state.cluster.nodes)?;
        }
    }
    Ok(info)
}

/// None when not connected; else what the control plane says, or why it does not.
fn state(py: Python<'_>) -> PyResult<Option<Result<SessionState, ConnectError>>> {
    let Some(control) = control(py)? else {
        return Ok(None);
    };
    let (credentials, timeout) = means();
    let began = Instant::now();
    let answer = match &control {
        Control::Fake(connected) => return Ok(connected.then(|| Ok(SessionState::default()))),
        Control::Gcs(server) => {
            let asked = probe::cluster_state(server, &credentials, timeout);
            wait::block(py, asked)?.map(|cluster| SessionState {
                cluster,
                node_id: ray::node_id(py).unwrap_or_default(),
                namespace: ray::native_namespace(py).unwrap_or_default(),
            })
        }
        Control::Session { server, client_id } => {
            let asked = probe::client_session_state(server, client_id, &credentials, timeout);
            wait::block(py, asked)?.and_then(|state| state.ok_or_else(|| session_lost(server)))
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
    let state = state(py);
    logs::flush(py);
    let info = PyDict::new(py);
    let state = match state? {
        None => {
            info.set_item("status", "not_connected")?;
            return Ok(info);
        }
        Some(Err(error)) => {
            info.set_item("status", "error")?;
            info.set_item("error", error.to_string())?;
            return Ok(info);
        }
        Some(Ok(state)) => state,
    };
    let live = process().session.live();
    let live = live.as_deref();
    let version = live.and_then(|live| live.facts.ray_version.as_deref());
    info.set_item("status", "connected")?;
    info.set_item("namespace", state.namespace)?;
    info.set_item("address", live.map(|live| live.address.as_str()))?;
    info.set_item("node_id", state.node_id)?;
    info.set_item("cluster_resources", state.cluster.total)?;
    info.set_item("ray_version", version)?;
    Ok(info)
}
