//! What is held on the Python side: the `ray` module we connected and the witness that says
//! whether it still is. Read by the fast path: one pointer, two or three attributes, no lock.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;

use super::args::{Asked, Namespace, Text};
use super::ray;

static HELD: ArcSwapOption<Held> = ArcSwapOption::const_empty();

/// How many different pairs of arguments are remembered as answered. More than a service has.
const KNOWN: usize = 64;

/// The proof that a connection is still there.
pub enum Witness {
    /// `global_worker._is_connected` (2.44 and up) or `.connected`: flips at `ray.shutdown()`.
    Native {
        worker: Py<PyAny>,
        attribute: &'static str,
    },
    /// The default context still has our client worker, and that one is not shutting down.
    Client {
        context: Py<PyAny>,
        worker: Py<PyAny>,
    },
    /// No attribute was proven to flip in this Ray: `ray.is_initialized()` is asked.
    Ask,
}

/// A connection as Python sees it.
pub struct Held {
    ray: Py<PyAny>,
    pub witness: Witness,
    /// Arguments for which True is the answer without another look.
    known: Vec<Asked>,
}

impl Held {
    pub fn new(ray: Py<PyAny>, witness: Witness) -> Self {
        Self {
            ray,
            witness,
            known: vec![Asked::nothing()],
        }
    }

    fn is_alive(&self, py: Python<'_>) -> bool {
        self.try_alive(py).unwrap_or(false)
    }

    fn try_alive(&self, py: Python<'_>) -> PyResult<bool> {
        let Some(module) = modules(py)?.get_item(intern!(py, "ray"))? else {
            return Ok(false);
        };
        if !module.is(&self.ray) {
            return Ok(false);
        }
        match &self.witness {
            Witness::Native {
                worker,
                attribute: "_is_connected",
            } => is_true(worker.bind(py).getattr(intern!(py, "_is_connected"))?),
            Witness::Native { worker, attribute } => is_true(worker.bind(py).getattr(*attribute)?),
            Witness::Client { context, worker } => {
                let current = context.bind(py).getattr(intern!(py, "client_worker"))?;
                Ok(current.is(worker) && !is_true(current.getattr(intern!(py, "_in_shutdown"))?)?)
            }
            Witness::Ask => ray::is_initialized(&module),
        }
    }
}

#[allow(
    clippy::needless_pass_by_value,
    reason = "attribute reads give owned values"
)]
fn is_true(value: Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(value.is(pyo3::types::PyBool::new(value.py(), true)) || value.is_truthy()?)
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
pub fn answers(py: Python<'_>, address: Option<&Text<'_>>, namespace: &Namespace<'_>) -> bool {
    let held = HELD.load();
    match &*held {
        Some(held) => {
            held.known.iter().any(|asked| asked.is(address, namespace)) && held.is_alive(py)
        }
        None => false,
    }
}

/// Whether a connection is held and alive, whatever was asked for.
pub fn is_alive(py: Python<'_>) -> bool {
    HELD.load().as_ref().is_some_and(|held| held.is_alive(py))
}

/// Holds this from now on.
pub fn hold(held: Held) {
    HELD.store(Some(Arc::new(held)));
}

/// Holds nothing any more.
pub fn release() {
    HELD.store(None);
}

/// Remembers that these arguments were looked at. True the first time; past [`KNOWN`] pairs never,
/// so that a service with a namespace for each request does not flood its log.
pub fn remember(py: Python<'_>, asked: &Asked) -> bool {
    let Some(held) = HELD.load_full() else {
        return false;
    };
    if held.known.contains(asked) {
        return false;
    }
    let first = held.known.len() < KNOWN;
    if first {
        let mut known = held.known.clone();
        known.push(asked.clone());
        let witness = held.witness.clone_ref(py);
        hold(Held {
            ray: held.ray.clone_ref(py),
            witness,
            known,
        });
    }
    first
}

impl Witness {
    fn clone_ref(&self, py: Python<'_>) -> Self {
        match self {
            Self::Native { worker, attribute } => Self::Native {
                worker: worker.clone_ref(py),
                attribute,
            },
            Self::Client { context, worker } => Self::Client {
                context: context.clone_ref(py),
                worker: worker.clone_ref(py),
            },
            Self::Ask => Self::Ask,
        }
    }
}
