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
use crate::probe::{self, Credentials, Given, RayPort, Reply, SessionState};
use crate::process::process;
use crate::python::connection::{adoption, held};
use crate::python::interop::awaitable::awaitable;
use crate::python::interop::blocking::block;
use crate::python::interop::exit_guard::survived;
use crate::python::logs;
use crate::python::ray::{self, Presence, given, own_channel};

/// What answers for the cluster of the connection that is held.
enum Cluster {
    /// Its control plane: natively the GCS, else our own session behind the Ray Client port.
    Real {
        server: HostPort,
        client_id: Option<String>,
        credentials: Box<Credentials>,
        timeout: Duration,
    },
    /// A stand-in for Ray, which answers for itself.
    StandIn(bool),
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
    answers_until(py, Instant::now())
}

/// Connected **and** answering; bounded by the probe timeout.
#[pyfunction]
pub fn is_connected(py: Python<'_>) -> PyResult<bool> {
    is_ray_available(py)
}

/// Asks until the cluster answers, or until `end`; once at least.
///
/// # Errors
///
/// What Python raises, `KeyboardInterrupt` included.
pub fn answers_until(py: Python<'_>, end: Instant) -> PyResult<bool> {
    let answer = survived(|| match cluster(py)? {
        Some(cluster) => block(py, cluster.answers_until(end)),
        None => Ok(false),
    });
    logs::flush(py);
    answer
}

/// Awaits until the cluster answers, for at most `wait_s` seconds; one look at least.
#[pyfunction]
pub fn answers_future(py: Python<'_>, wait_s: f64) -> PyResult<Bound<'_, PyAny>> {
    let end = Instant::now() + Duration::try_from_secs_f64(wait_s).unwrap_or_default();
    let cluster = survived(|| cluster(py))?;
    awaitable(py, async move {
        match cluster {
            Some(cluster) => cluster.answers_until(end).await,
            None => false,
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

impl Cluster {
    async fn answers_until(&self, end: Instant) -> bool {
        loop {
            if self.ask().await {
                return true;
            }
            if Instant::now() >= end {
                return false;
            }
            sleep(next_look(end)).await;
        }
    }

    /// One round trip, recorded as the last probe.
    async fn ask(&self) -> bool {
        let Self::Real {
            server,
            client_id,
            credentials,
            timeout,
        } = self
        else {
            return matches!(self, Self::StandIn(true));
        };
        let began = Instant::now();
        let answer = match client_id {
            None => {
                let report = probe::probe(server, RayPort::Gcs, credentials, *timeout).await;
                report.result.map(drop)
            }
            Some(_) if credentials.given.has_credentials => {
                match own_channel::look(server, *timeout).await {
                    Ok(Reply::NoSession) => Err(probe::session_lost(server)),
                    reply => reply.map(drop),
                }
            }
            Some(client_id) => {
                match probe::client_session_alive(server, client_id, credentials, *timeout).await {
                    Ok(true) => Ok(()),
                    Ok(false) => Err(probe::session_lost(server)),
                    Err(error) => Err(error),
                }
            }
        };
        let answers = answer.is_ok();
        process().session.probed(began.elapsed(), answer.err());
        answers
    }
}

/// `None` when not connected.
fn cluster(py: Python<'_>) -> PyResult<Option<Cluster>> {
    if ray::imported(py, "ray").is_none() {
        return Ok(None);
    }
    match adoption::observed(py)? {
        Presence::Real(_) => {}
        Presence::Fake(fake) => {
            let module = py.import("seedcore_ray._stub")?;
            let answer = module.call_method1("available", (fake,))?.is_truthy()?;
            return Ok(Some(Cluster::StandIn(answer)));
        }
        Presence::Missing | Presence::NotImported => return Ok(None),
    }
    if !held::is_alive(py) {
        return Ok(None);
    }
    let (address, client_id, given) = match ray::client_worker(py) {
        Some(worker) => (
            Some(worker.getattr("_conn_str")?.extract::<String>()?),
            Some(worker.getattr("_client_id")?.extract()?),
            given::in_worker(&worker),
        ),
        None => (ray::gcs_address(py), None, Given::default()),
    };
    let address = address.and_then(|address| RayAddress::parse(&address).ok());
    Ok(address
        .and_then(|address| address.host_port().cloned())
        .map(|server| real(server, client_id, given)))
}

/// With the token, the certificates and the timeout of now.
fn real(server: HostPort, client_id: Option<String>, given: Given) -> Cluster {
    let connection = process().session.connection();
    let is_auto = connection.is_some_and(|connection| connection.info.is_auto());
    Cluster::Real {
        server,
        client_id,
        credentials: Box::new(Credentials::from_env(&Env::Process, is_auto).with(given)),
        timeout: Settings::from_env(&Env::Process).0.probe_timeout,
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

/// `None` when not connected; else what one round trip says, recorded as the last probe.
fn state(py: Python<'_>) -> PyResult<Option<Result<SessionState, ConnectError>>> {
    let (server, client_id, credentials, timeout) = match cluster(py)? {
        None | Some(Cluster::StandIn(false)) => return Ok(None),
        Some(Cluster::StandIn(true)) => return Ok(Some(Ok(SessionState::default()))),
        Some(Cluster::Real {
            server,
            client_id,
            credentials,
            timeout,
        }) => (server, client_id, credentials, timeout),
    };
    let began = Instant::now();
    let answer = match &client_id {
        None => {
            let state = probe::cluster_state(&server, &credentials, timeout);
            // Not asked of Ray now: it may have been shut down meanwhile, and would end the process.
            let known = process().session.connection();
            let known = known.map(|held| held.info.ray.clone()).unwrap_or_default();
            block(py, state)?.map(|cluster| SessionState {
                cluster,
                node_id: known.node_id.unwrap_or_default(),
                namespace: known.namespace.unwrap_or_default(),
            })
        }
        Some(_) if credentials.given.has_credentials => own_channel::state(py, &server, timeout),
        Some(client_id) => {
            let state = probe::client_session_state(&server, client_id, &credentials, timeout);
            block(py, state)?.and_then(|state| state.ok_or_else(|| probe::session_lost(&server)))
        }
    };
    let error = answer.as_ref().err().cloned();
    process().session.probed(began.elapsed(), error);
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
            let held = connection.as_deref().map(|held| &held.info);
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
