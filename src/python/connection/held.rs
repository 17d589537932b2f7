//! What is held on the Python side: the `ray` module we connected and the witness that says
//! whether it still is. Read by the fast path: one pointer, two or three attributes, no lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyDict, PyString};

use crate::python::connection::turned_away;
use crate::python::interop::args::{Asked, Namespace, Text};
use crate::python::ray;

static HELD: ArcSwapOption<Held> = ArcSwapOption::const_empty();

/// How many different pairs of arguments are remembered as answered. More than a service has.
const KNOWN: usize = 64;

/// The proof that a connection is still there: attributes that Ray itself keeps.
///
/// They are read from the objects' `__dict__`, which is half the price of an attribute look-up.
pub enum Witness {
    /// `global_worker._is_connected` (2.44 and up): flips at `ray.shutdown()`.
    Native { worker: Py<PyDict> },
    /// `global_worker.connected`, a property (before 2.44).
    OldNative { worker: Py<PyAny> },
    /// The default context still has our client worker, and that one is not shutting down.
    Client {
        context: Py<PyDict>,
        worker: Py<PyAny>,
        own: Py<PyDict>,
    },
    /// No attribute was proven to flip in this Ray: `ray.is_initialized()` is asked.
    Ask,
    /// As `Ask`, of what is only there while a test runs.
    StandIn,
}

impl Witness {
    #[inline]
    fn is_true(&self, ray: &Bound<'_, PyAny>) -> PyResult<bool> {
        let py = ray.py();
        match self {
            Self::Native { worker } => holds(worker.bind(py), intern!(py, "_is_connected"), true),
            Self::Client {
                context,
                worker,
                own,
            } => {
                let current = context.bind(py).get_item(intern!(py, "client_worker"))?;
                Ok(current.is_some_and(|current| current.is(worker))
                    && holds(own.bind(py), intern!(py, "_in_shutdown"), false)?)
            }
            Self::OldNative { worker } => worker.bind(py).getattr("connected")?.is_truthy(),
            Self::Ask | Self::StandIn => ray::is_initialized(ray),
        }
    }

    /// What a native Ray makes anew at each `ray.shutdown()`: it tells a `shutdown` and `init` that
    /// nobody saw between two looks. A client's worker is another one then anyway.
    #[inline]
    fn session<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let name = intern!(py, "function_actor_manager");
        match self {
            Self::Native { worker } => worker.bind(py).get_item(name),
            Self::OldNative { worker } => worker.bind(py).getattr_opt(name),
            Self::Client { .. } | Self::Ask | Self::StandIn => Ok(None),
        }
    }
}

/// Whether `dict[key]` is the very constant `True` or `False`.
#[inline]
fn holds(dict: &Bound<'_, PyDict>, key: &Bound<'_, PyString>, value: bool) -> PyResult<bool> {
    let found = dict.get_item(key)?;
    Ok(found.is_some_and(|found| found.is(&*PyBool::new(dict.py(), value))))
}

/// A connection as Python sees it.
pub struct Held {
    connection: Arc<Connected>,
    /// Arguments for which True is the answer without another look.
    known: Vec<Arc<Asked>>,
}

/// One connection. Whoever keeps it can tell later whether it still holds.
pub struct Connected {
    ray: Py<PyAny>,
    witness: Witness,
    session: Option<Py<PyAny>>,
    is_held: AtomicBool,
}

impl Connected {
    /// The connection that `ray` has now.
    pub fn new(ray: &Bound<'_, PyAny>, witness: Witness) -> Arc<Self> {
        let session = witness.session(ray.py()).unwrap_or(None);
        Arc::new(Self {
            session: session.map(Bound::unbind),
            ray: ray.clone().unbind(),
            witness,
            is_held: AtomicBool::new(true),
        })
    }

    /// What a test suite's stand-in for Ray says of itself. Nobody else knows of it.
    pub fn by_stand_in(fake: &Bound<'_, PyAny>) -> Arc<Self> {
        Self::new(fake, Witness::StandIn)
    }

    /// Whether handles that were made on this connection still work.
    #[inline]
    pub fn stands(&self, py: Python<'_>) -> bool {
        let stands = || match &self.witness {
            Witness::StandIn => self.try_alive(py),
            witness => Ok(witness.is_true(self.ray.bind(py))? && self.is_same_session(py)?),
        };
        self.is_held.load(Ordering::Relaxed) && stands().unwrap_or(false)
    }

    #[inline]
    fn is_same_session(&self, py: Python<'_>) -> PyResult<bool> {
        let now = self.witness.session(py)?;
        Ok(match (now, &self.session) {
            (Some(now), Some(then)) => now.is(then),
            (now, then) => now.is_none() && then.is_none(),
        })
    }

    #[inline]
    fn is_alive(&self, py: Python<'_>) -> bool {
        self.try_alive(py).unwrap_or(false)
    }

    #[inline]
    fn try_alive(&self, py: Python<'_>) -> PyResult<bool> {
        match modules(py)?.get_item(intern!(py, "ray"))? {
            Some(module) if module.is(&self.ray) => self.witness.is_true(&module),
            _ => Ok(false),
        }
    }
}

/// `sys.modules`, looked up once: the dict object stays the same for the interpreter's life.
fn modules(py: Python<'_>) -> PyResult<&Bound<'_, PyDict>> {
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

/// The fast path: connected, still alive, and these arguments have been answered before.
#[inline]
pub fn answers(
    py: Python<'_>,
    address: Option<&Text<'_, '_>>,
    namespace: &Namespace<'_, '_>,
) -> bool {
    let held = HELD.load();
    held.as_ref().is_some_and(|held| {
        let asks_nothing = address.is_none() && matches!(namespace, Namespace::LeftOut);
        (asks_nothing || held.known.iter().any(|asked| asked.is(address, namespace)))
            && held.connection.is_alive(py)
    })
}

/// Whether a connection is held and alive, whatever was asked for.
pub fn is_alive(py: Python<'_>) -> bool {
    HELD.load()
        .as_ref()
        .is_some_and(|held| held.connection.is_alive(py))
}

/// Whether Ray itself says that what is held is gone. Not while a stand-in hides the real Ray:
/// that one may come back as it was.
pub fn is_gone(py: Python<'_>) -> bool {
    let held = HELD.load();
    let Some(held) = held.as_ref() else {
        return false;
    };
    let is_ours = imported(py, "ray").is_some_and(|module| module.is(&held.connection.ray));
    is_ours && !held.connection.stands(py)
}

/// Whether anything is held, alive or not.
pub fn is_held() -> bool {
    HELD.load().is_some()
}

/// The connection that is held, if it is alive and nobody made another one behind our back.
pub fn current(py: Python<'_>) -> Option<Arc<Connected>> {
    let held = HELD.load();
    let connection = &held.as_ref()?.connection;
    let is_current = connection.is_alive(py) && connection.stands(py);
    is_current.then(|| Arc::clone(connection))
}

/// Holds this connection from now on. Runs no Python, so that no other thread looks meanwhile.
pub fn hold(connection: Arc<Connected>) {
    replace(Some(Arc::new(Held {
        connection,
        known: Vec::new(),
    })));
}

/// Holds nothing any more.
pub fn release() {
    replace(None);
}

fn replace(held: Option<Arc<Held>>) {
    turned_away::forget();
    if let Some(old) = HELD.swap(held) {
        old.connection.is_held.store(false, Ordering::Relaxed);
    }
}

/// Remembers that these arguments were looked at. True the first time; past [`KNOWN`] pairs never,
/// so that a service with a namespace for each request does not flood its log.
pub fn remember(asked: &Arc<Asked>) -> bool {
    let Some(held) = HELD.load_full() else {
        return false;
    };
    if held.known.len() >= KNOWN || held.known.contains(asked) {
        return false;
    }
    let mut known = held.known.clone();
    known.push(Arc::clone(asked));
    HELD.store(Some(Arc::new(Held {
        connection: Arc::clone(&held.connection),
        known,
    })));
    true
}
