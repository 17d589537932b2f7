//! The real Ray, as far as it can be read without asking a cluster.

use pyo3::exceptions::{PyException, PyImportError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyModule, PyString};

use crate::python::connection::held::{Witness, imported, is_blocked};
use crate::session::Mode;

/// The minor versions of Ray 2 whose witnesses were proven to flip (`make matrix`). Another Ray
/// is asked with `ray.is_initialized()`: slower, and true whatever it renamed.
const PROVEN: std::ops::RangeInclusive<u32> = 33..=60;

/// `ray._private.worker.WORKER_MODE`: this process runs Ray tasks or actors.
const WORKER_MODE: i64 = 1;

/// What `import ray` would find.
pub enum Presence<'py> {
    /// Nothing.
    Missing,
    /// It is installed and not imported yet, or another thread is importing it.
    NotImported,
    /// Ray.
    Real(Bound<'py, PyAny>),
    /// A stand-in that a test suite put into `sys.modules`.
    Fake(Bound<'py, PyAny>),
}

/// Looks, without importing it.
pub fn look(py: Python<'_>) -> PyResult<Presence<'_>> {
    if let Some(module) = imported(py, "ray") {
        if is_importing(&module) {
            return Ok(Presence::NotImported);
        }
        let real = is_real(&module);
        return Ok(if real {
            Presence::Real(module)
        } else {
            Presence::Fake(module)
        });
    }
    if is_blocked(py, "ray") {
        return Ok(Presence::Missing);
    }
    let found = match py
        .import("importlib.util")?
        .call_method1("find_spec", ("ray",))
    {
        Ok(found) => found,
        // An import hook may refuse it by raising.
        Err(error) if error.is_instance_of::<PyImportError>(py) => return Ok(Presence::Missing),
        Err(error) => return Err(error),
    };
    // A namespace package is what an empty `ray/` folder in the working directory looks like.
    let installed = !found.is_none() && !found.getattr("origin")?.is_none();
    Ok(if installed {
        Presence::NotImported
    } else {
        Presence::Missing
    })
}

fn is_importing(module: &Bound<'_, PyAny>) -> bool {
    let spec = module
        .getattr("__spec__")
        .and_then(|spec| spec.getattr("_initializing"));
    spec.is_ok_and(|importing| importing.is_truthy().unwrap_or(false))
}

fn is_real(module: &Bound<'_, PyAny>) -> bool {
    module.is_instance_of::<PyModule>()
        && module
            .getattr("__version__")
            .is_ok_and(|version| version.is_instance_of::<PyString>())
        && module.hasattr("_private").unwrap_or(false)
}

/// `ray.is_initialized()`; False where a fake has no such thing, and where Ray cannot say: a client
/// that lost its head raises.
pub fn is_initialized(ray: &Bound<'_, PyAny>) -> PyResult<bool> {
    let Some(function) = ray.getattr_opt(intern!(ray.py(), "is_initialized"))? else {
        return Ok(false);
    };
    match function.call0().and_then(|answer| answer.is_truthy()) {
        Err(error) if error.is_instance_of::<PyException>(ray.py()) => Ok(false),
        answer => answer,
    }
}

/// `ray.__version__`.
pub fn version(ray: &Bound<'_, PyAny>) -> Option<String> {
    ray.getattr("__version__").ok()?.extract().ok()
}

fn is_proven(version: Option<&str>) -> bool {
    let mut parts = version.unwrap_or_default().split('.');
    parts.next() == Some("2")
        && parts
            .next()
            .and_then(|minor| minor.parse().ok())
            .is_some_and(|m| PROVEN.contains(&m))
}

/// Ray's `global_worker`, in every process that has imported Ray.
pub fn global_worker(py: Python<'_>) -> Option<Bound<'_, PyAny>> {
    imported(py, "ray._private.worker")?
        .getattr("global_worker")
        .ok()
}

/// The client worker of the default context, when there is one.
pub fn client_worker(py: Python<'_>) -> Option<Bound<'_, PyAny>> {
    let context = imported(py, "ray.util.client")?
        .getattr("_default_context")
        .ok()?;
    context
        .getattr("client_worker")
        .ok()
        .filter(|worker| !worker.is_none())
}

/// Whether this process is a Ray worker or a Serve replica, whose connection is not ours to cut.
pub fn in_worker(py: Python<'_>) -> bool {
    let mode = global_worker(py).and_then(|worker| worker.getattr("mode").ok());
    mode.and_then(|mode| mode.extract::<i64>().ok()) == Some(WORKER_MODE)
}

/// Whether Ray is connected, read from attributes alone: for a forked child, where any call into
/// Ray may hang.
pub fn seems_connected(py: Python<'_>) -> bool {
    client_worker(py).is_some()
        || global_worker(py).is_some_and(|worker| native_attribute(&worker).is_some())
}

/// The attribute that says that a native driver or a worker is connected, if one says so now.
fn native_attribute(worker: &Bound<'_, PyAny>) -> Option<&'static str> {
    ["_is_connected", "connected"]
        .into_iter()
        .find(|attribute| {
            let value = worker.getattr(*attribute);
            value.is_ok_and(|value| value.is_truthy().unwrap_or(false))
        })
}

/// Native or client, and how to tell from now on that it still holds.
pub fn observe(ray: &Bound<'_, PyAny>) -> (Mode, Witness) {
    let py = ray.py();
    let proven = is_proven(version(ray).as_deref());
    let (mode, witness) = match client_worker(py) {
        Some(worker) => (Mode::Client, client_witness(&worker)),
        None => (Mode::Native, native_witness(py)),
    };
    (mode, witness.filter(|_| proven).unwrap_or(Witness::Ask))
}

fn client_witness(worker: &Bound<'_, PyAny>) -> Option<Witness> {
    let context = imported(worker.py(), "ray.util.client")?
        .getattr("_default_context")
        .ok()?;
    Some(Witness::Client {
        context: attributes(&context)?,
        worker: worker.clone().unbind(),
        own: attributes(worker)?,
    })
}

fn native_witness(py: Python<'_>) -> Option<Witness> {
    let worker = global_worker(py)?;
    match native_attribute(&worker)? {
        "_is_connected" => Some(Witness::Native {
            worker: attributes(&worker)?,
        }),
        _ => Some(Witness::OldNative {
            worker: worker.unbind(),
        }),
    }
}

fn attributes(object: &Bound<'_, PyAny>) -> Option<Py<PyDict>> {
    Some(
        object
            .getattr("__dict__")
            .ok()?
            .cast_into::<PyDict>()
            .ok()?
            .unbind(),
    )
}

/// `host:port` of the GCS that this process is connected to natively.
pub fn gcs_address(py: Python<'_>) -> Option<String> {
    global_worker(py)?
        .getattr("gcs_client")
        .ok()?
        .getattr("address")
        .ok()?
        .extract()
        .ok()
}

/// Hex id of the cluster that this process is connected to natively; read from memory.
pub fn cluster_id(py: Python<'_>) -> Option<String> {
    let id = global_worker(py)?
        .getattr("gcs_client")
        .ok()?
        .getattr("cluster_id")
        .ok()?;
    id.call_method0("hex").ok()?.extract().ok()
}

/// The namespace of a native connection; read from memory, no call to the cluster.
pub fn native_namespace(py: Python<'_>) -> Option<String> {
    global_worker(py)?.getattr("namespace").ok()?.extract().ok()
}

/// Hex id of the node that this process is attached to natively.
pub fn node_id(py: Python<'_>) -> Option<String> {
    let id = global_worker(py)?.getattr("current_node_id").ok()?;
    id.call_method0("hex").ok()?.extract().ok()
}
