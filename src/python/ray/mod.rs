//! Ray's private parts on the Rust side, read without asking a cluster: one room to audit for a new
//! Ray (docs/ray-internals.md). `python/seedcore_ray/_ray/` is the Python side.

pub mod arguments;
pub mod bound;
pub mod given;
pub mod own_channel;
pub mod witness;

use std::path::PathBuf;

use pyo3::exceptions::{PyException, PyImportError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyModule, PyString};
use tracing::debug;

use crate::config::Env;
use crate::error::ConnectError;
use crate::log_target::CONNECT;
use crate::session::RayCluster;
use crate::target::{NamespaceArg, Target};

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

/// As [`Target::resolve`], with the schemes that are Python modules with a client for Ray.
///
/// # Errors
/// [`crate::error::Kind::InvalidAddress`].
pub fn resolve(
    py: Python<'_>,
    address: Option<&str>,
    namespace: &NamespaceArg<'_>,
) -> Result<Target, ConnectError> {
    Target::resolve_with(address, namespace, &Env::Process, |module| {
        may_have_builder(py, module)
    })
}

/// [`Target::renewed`], as [`resolve`].
///
/// # Errors
/// [`crate::error::Kind::InvalidAddress`].
pub fn renew(py: Python<'_>, target: &Target) -> Result<Target, ConnectError> {
    target.renewed(&Env::Process, |module| may_have_builder(py, module))
}

fn may_have_builder(py: Python<'_>, module: &str) -> bool {
    let asked = py
        .import(intern!(py, "seedcore_ray._ray.other_clients"))
        .and_then(|ours| ours.call_method1(intern!(py, "may_have_builder"), (module,)));
    asked.is_ok_and(|answer| answer.is_truthy().unwrap_or(false))
}

/// `ray.is_initialized()`, of the connection that `ray.init` has made; False where a fake has no such thing, and where Ray cannot say: a client
/// that lost its head raises.
pub fn is_initialized(ray: &Bound<'_, PyAny>) -> PyResult<bool> {
    let Some(function) = ray.getattr_opt(intern!(ray.py(), "is_initialized"))? else {
        return Ok(false);
    };
    let answer = if bound::is_bound() {
        let contexts = ray.py().import("seedcore_ray._ray.contexts")?;
        contexts.call_method1("called_unbound", (function,))
    } else {
        function.call0()
    };
    match answer.and_then(|answer| answer.is_truthy()) {
        Err(error) if error.is_instance_of::<PyException>(ray.py()) => Ok(false),
        answer => answer,
    }
}

/// `ray.__version__`.
pub fn version(ray: &Bound<'_, PyAny>) -> Option<String> {
    ray.getattr("__version__").ok()?.extract().ok()
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

/// Why Ray itself has given up the client that has `worker`, in Ray's words; `None` where it has not.
///
/// # Errors
///
/// What Python raises.
pub fn given_up(worker: &Bound<'_, PyAny>) -> PyResult<Option<String>> {
    let py = worker.py();
    py.import(intern!(py, "seedcore_ray._ray.client_server"))?
        .call_method1(intern!(py, "given_up"), (worker,))?
        .extract()
}

/// Patches Ray for a connection that somebody else has made, as the connect thread does for ours. It
/// serves without the patches, too.
pub fn follow_connection(py: Python<'_>) {
    let followed = py
        .import(intern!(py, "seedcore_ray._ray.client_awaits"))
        .and_then(|module| module.call_method0(intern!(py, "follow_connection")));
    if let Err(error) = followed {
        debug!(target: CONNECT, "awaits of a Ray Client's refs are left to Ray: {error}");
    }
}

/// Whether this process is a Ray worker or a Serve replica, whose connection is not ours to cut.
pub fn in_worker(py: Python<'_>) -> bool {
    let mode = global_worker(py).and_then(|worker| worker.getattr("mode").ok());
    mode.and_then(|mode| mode.extract::<i64>().ok()) == Some(WORKER_MODE)
}

/// The cluster that this process is connected to; read from memory, by who has just found it connected.
pub fn cluster(ray: &Bound<'_, PyAny>) -> RayCluster {
    let py = ray.py();
    if let Some(worker) = client_worker(py) {
        let server = worker.getattr("_conn_str").ok();
        let server = server.and_then(|server| server.extract::<String>().ok());
        return RayCluster {
            address: server.map(|server| format!("ray://{server}")),
            ..RayCluster::default()
        };
    }
    RayCluster {
        address: gcs_address(py),
        cluster_id: cluster_id(py),
        namespace: native_namespace(py),
        node_id: node_id(py),
        is_private: has_started_it(py),
        is_native: true,
    }
}

/// Whether the native `ray.init` of this process has started the cluster it is connected to.
fn has_started_it(py: Python<'_>) -> bool {
    let node = global_worker(py).and_then(|worker| worker.getattr("node").ok());
    node.and_then(|node| node.call_method0("is_head").ok())
        .is_some_and(|is_head| is_head.is_truthy().unwrap_or(false))
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

/// The namespace of a native connection; as [`node_id`].
fn native_namespace(py: Python<'_>) -> Option<String> {
    global_worker(py)?.getattr("namespace").ok()?.extract().ok()
}

/// Hex id of the node that this process is attached to natively. Only to be asked by who has connected:
/// Ray ends the process where its own shutdown came first.
fn node_id(py: Python<'_>) -> Option<String> {
    let id = global_worker(py)?.getattr("current_node_id").ok()?;
    id.call_method0("hex").ok()?.extract().ok()
}

/// The Unix socket of the raylet that this process is attached to natively.
pub fn raylet_socket(py: Python<'_>) -> Option<PathBuf> {
    let node = global_worker(py)?.getattr("node").ok()?;
    node.getattr("raylet_socket_name").ok()?.extract().ok()
}

/// `sys.modules`, looked up once: the dict object stays the same for the interpreter's life.
pub fn modules(py: Python<'_>) -> PyResult<&Bound<'_, PyDict>> {
    static MODULES: PyOnceLock<Py<PyDict>> = PyOnceLock::new();
    MODULES
        .get_or_try_init(py, || {
            let modules = py
                .import(intern!(py, "sys"))?
                .getattr(intern!(py, "modules"))?;
            Ok(modules.cast_into::<PyDict>()?.unbind())
        })
        .map(|modules| modules.bind(py))
}

/// The module of that name if it is imported; `None` in `sys.modules` counts as not.
pub fn imported<'py>(py: Python<'py>, name: &str) -> Option<Bound<'py, PyAny>> {
    modules(py)
        .ok()?
        .get_item(name)
        .ok()?
        .filter(|module| !module.is_none())
}

/// Whether `sys.modules[name]` is `None`, which makes every import of it fail.
pub fn is_blocked(py: Python<'_>, name: &str) -> bool {
    let found = modules(py).and_then(|modules| modules.get_item(name));
    matches!(found, Ok(Some(module)) if module.is_none())
}

/// Whether an event loop runs in this thread that others need.
pub fn blocks_loop(py: Python<'_>) -> PyResult<bool> {
    Ok(on_running_loop(py)? && !in_notebook(py))
}

fn on_running_loop(py: Python<'_>) -> PyResult<bool> {
    let Some(asyncio) = imported(py, "asyncio") else {
        return Ok(false);
    };
    // Another thread may be half-way through its import: then no loop runs yet.
    match asyncio.getattr_opt(intern!(py, "_get_running_loop"))? {
        Some(running) => Ok(!running.call0()?.is_none()),
        None => Ok(false),
    }
}

/// Whether this is the main thread of a notebook kernel or of another IPython. It runs each cell
/// inside a loop that is its own: nobody else is blocked by a cell that waits.
fn in_notebook(py: Python<'_>) -> bool {
    let Some(ipython) = imported(py, "IPython") else {
        return false;
    };
    let has_shell = ipython
        .call_method0(intern!(py, "get_ipython"))
        .is_ok_and(|shell| !shell.is_none());
    has_shell && on_main_thread(py).unwrap_or(false)
}

fn on_main_thread(py: Python<'_>) -> PyResult<bool> {
    let threading = py.import(intern!(py, "threading"))?;
    let here = threading.call_method0(intern!(py, "current_thread"))?;
    Ok(here.is(&threading.call_method0(intern!(py, "main_thread"))?))
}
