//! Connections that somebody else made, and asking for another one than there is.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pyo3::prelude::*;
use tracing::warn;

use crate::address::RayAddress;
use crate::probe;
use crate::process::process;
use crate::python::connection::held::{self, Connected};
use crate::python::interop::args::Asked;
use crate::python::ray;
use crate::session::{ConnectionInfo, Mode};
use crate::target::{NamespaceArg, Source, Target};

/// Takes note of what happened behind our back: somebody connected, or shut Ray down.
pub fn notice(module: &Bound<'_, PyAny>) -> PyResult<()> {
    let session = &process().session;
    let py = module.py();
    if held::current(py).is_some() || session.is_forked() {
        return Ok(());
    }
    if session.is_connected() {
        held::release();
        session.gone();
    }
    if !session.is_changing() && ray::is_initialized(module)? {
        adopt(module);
    }
    Ok(())
}

/// Uses the connection that somebody else made.
pub fn adopt(module: &Bound<'_, PyAny>) {
    let py = module.py();
    let (mode, witness) = ray::observe(module);
    let client = ray::client_worker(py).filter(|_| mode == Mode::Client);
    let address = match &client {
        Some(worker) => worker
            .getattr("_conn_str")
            .ok()
            .and_then(|server| server.extract::<String>().ok())
            .map(|server| format!("ray://{server}")),
        None => ray::gcs_address(py),
    };
    let live = ConnectionInfo {
        target: None,
        address: address.unwrap_or_else(|| "unknown".into()),
        namespace: if client.is_some() {
            None
        } else {
            ray::native_namespace(py)
        },
        mode: Mode::Adopted,
        since: SystemTime::now(),
        facts: probe::Facts {
            ray_version: ray::version(module),
            ..probe::Facts::default()
        },
        took: Duration::ZERO,
        instead_of: None,
    };
    let connection = Connected::new(module, witness);
    // Another thread may have found it first: what was made on its connection must stand.
    if process().session.adopt(live) {
        held::hold(connection);
    }
}

/// Warns, once for each pair, when the live connection is not what was asked for.
pub fn compare(asked: &Arc<Asked>, target: &Target) {
    let Some(live) = process().session.live() else {
        return;
    };
    if !held::remember(asked) {
        return;
    }
    let other_address = target.address_source == Source::Argument && !same_address(&live, target);
    let named = matches!(asked.namespace(), NamespaceArg::Named(_))
        && target.namespace_source == Source::Argument;
    // A Ray Client that somebody else made does not tell its namespace without a call.
    let known = live.mode != Mode::Adopted || live.namespace.is_some();
    let other_namespace = named && known && live.namespace != target.namespace;
    if other_address || other_namespace {
        let namespace = |name: &Option<String>| name.clone().unwrap_or("(anonymous)".into());
        warn!(
            "asked for {} in namespace {}, but this process is connected to {} in namespace {}: \
             keeping that connection. One process has one; force_reinit=True changes it.",
            target.address,
            namespace(&target.namespace),
            live.address,
            namespace(&live.namespace),
        );
    }
}

fn same_address(live: &ConnectionInfo, target: &Target) -> bool {
    match &live.target {
        Some(connected) => {
            connected.address == target.address || live.address == target.address.to_string()
        }
        // Whoever connected, "the Ray of this machine" is what a worker or a driver is in.
        None => target.address == RayAddress::Auto || live.address == target.address.to_string(),
    }
}
