//! What happened to Ray without us: connections that somebody else made or shut down. And calls that
//! ask for another connection than there is.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pyo3::prelude::*;
use pyo3::types::PyDict;
use tracing::warn;

use super::held::{self, HeldConnection};
use crate::address::RayAddress;
use crate::log_target::CONNECT;
use crate::probe;
use crate::process::process;
use crate::python::interop::args::Asked;
use crate::python::interop::exit_guard::survived;
use crate::python::logs;
use crate::python::ray::{self, Presence, arguments, witness};
use crate::session::{Connection, ConnectionInfo, Gone, Mode};
use crate::target::{NamespaceArg, Source, Target};

/// What `import ray` would find, after the session was told what happened to Ray without us.
pub fn observed(py: Python<'_>) -> PyResult<Presence<'_>> {
    let presence = ray::look(py)?;
    if let Presence::Real(module) = &presence {
        sync_with_ray(module)?;
    }
    Ok(presence)
}

/// As [`observed`], for a caller that reads the session next. Does not look for a Ray that is not
/// imported.
pub fn sync(py: Python<'_>) -> PyResult<()> {
    if ray::imported(py, "ray").is_none() {
        return Ok(());
    }
    survived(|| {
        observed(py)?;
        logs::flush(py);
        Ok(())
    })
}

fn sync_with_ray(module: &Bound<'_, PyAny>) -> PyResult<()> {
    let session = &process().session;
    if held::current(module.py()).is_some() || session.is_forked() {
        return Ok(());
    }
    if let Some(connection) = session.connection() {
        let held = HeldConnection::of(&connection);
        session.gone(held.map_or(Gone::ShutDown, |held| held.end(module.py())));
    }
    if session.is_changing() {
        return Ok(());
    }
    if ray::is_initialized(module)? {
        // Whoever asks is told the cause of the absence; it was logged.
        let _ = session.adopt(adopted(module), None);
    } else {
        session.alone();
    }
    Ok(())
}

/// The connection that somebody else made.
pub fn adopted(module: &Bound<'_, PyAny>) -> Connection {
    let py = module.py();
    let (mode, witness) = witness::observe(module);
    let cluster = ray::cluster(module);
    let info = ConnectionInfo {
        target: None,
        address: cluster.address.clone().unwrap_or_else(|| "unknown".into()),
        namespace: if mode == Mode::Client {
            None
        } else {
            cluster.namespace.clone()
        },
        mode: Mode::Adopted,
        since: SystemTime::now(),
        facts: probe::Facts {
            ray_version: ray::version(module),
            ..probe::Facts::default()
        },
        ray: cluster,
        took: Duration::ZERO,
        instead_of: None,
    };
    ray::follow_connection(py);
    let binding = HeldConnection::new(module, witness, None);
    Connection { info, binding }
}

/// Warns, once for each wish, when the connection is not the one that was asked for.
pub fn compare(
    py: Python<'_>,
    asked: &Arc<Asked>,
    target: &Target,
    init_kwargs: Option<&Bound<'_, PyDict>>,
) {
    let Some(connection) = process().session.connection() else {
        return;
    };
    if held::remember(asked) {
        compare_target(&connection.info, asked, target);
    }
    if let Some(kwargs) = init_kwargs {
        compare_arguments(py, &connection, kwargs);
    }
}

fn compare_target(info: &ConnectionInfo, asked: &Asked, target: &Target) {
    let other_address = target.address_source == Source::Argument && !same_address(info, target);
    let named = matches!(asked.namespace(), NamespaceArg::Named(_))
        && target.namespace_source == Source::Argument;
    // A Ray Client that somebody else made does not tell its namespace without a call.
    let known = info.mode != Mode::Adopted || info.namespace.is_some();
    let other_namespace = named && known && info.namespace != target.namespace;
    if other_address || other_namespace {
        let namespace = |name: &Option<String>| name.clone().unwrap_or("(anonymous)".into());
        warn!(
            target: CONNECT,
            "asked for {} in namespace {}, but this process is connected to {} in namespace {}: \
             keeping that connection. One process has one; force_reinit=True changes it.",
            target.address,
            namespace(&target.namespace),
            info.address,
            namespace(&info.namespace),
        );
    }
}

/// A Ray worker has the arguments of its job, whatever the code in it asks for.
fn compare_arguments(py: Python<'_>, connection: &Connection, asked: &Bound<'_, PyDict>) {
    let Some(held) = HeldConnection::of(connection).filter(|_| !ray::in_worker(py)) else {
        return;
    };
    let made_with = held.origin().and_then(|origin| origin.init_kwargs.as_ref());
    let made_with = made_with.map(|kwargs| kwargs.bind(py));
    // A connection serves, whatever cannot be compared.
    let unmet = arguments::unmet(made_with, asked, held.told.bind(py));
    if let Ok(Some(unmet)) = unmet {
        warn!(
            target: CONNECT,
            "asked for {unmet}, which the live connection to {} was not made with: keeping that \
             connection as it is. One process has one; force_reinit=True makes it anew.",
            connection.info.address,
        );
    }
}

fn same_address(info: &ConnectionInfo, target: &Target) -> bool {
    match &info.target {
        Some(connected) => {
            connected.address == target.address || info.address == target.address.to_string()
        }
        // A worker or driver that somebody else connected is in "the Ray of this machine".
        None => target.address == RayAddress::Auto || info.address == target.address.to_string(),
    }
}
