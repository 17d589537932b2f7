//! How to tell that a connection still holds: attributes that Ray itself keeps.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyString};

use super::{client_worker, global_worker, imported, is_initialized, version};
use crate::session::Mode;

/// The minor versions of Ray 2 whose witnesses were proven to flip (`make matrix`). Another Ray
/// is asked with `ray.is_initialized()`: slower, and true whatever it renamed.
const PROVEN: std::ops::RangeInclusive<u32> = 33..=60;

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
    pub fn is_true(&self, ray: &Bound<'_, PyAny>) -> PyResult<bool> {
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
            Self::Ask | Self::StandIn => is_initialized(ray),
        }
    }

    /// What a native Ray makes anew at each `ray.shutdown()`: it tells a `shutdown` and `init` that
    /// nobody saw between two looks. A client's worker is another one then anyway.
    #[inline]
    pub fn session<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
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

fn is_proven(version: Option<&str>) -> bool {
    let mut parts = version.unwrap_or_default().split('.');
    parts.next() == Some("2")
        && parts
            .next()
            .and_then(|minor| minor.parse().ok())
            .is_some_and(|m| PROVEN.contains(&m))
}

/// Whether Ray is connected, read from attributes alone: for a forked child, where any call into
/// Ray may hang.
pub fn seems_connected(py: Python<'_>) -> bool {
    client_worker(py).is_some()
        || global_worker(py).is_some_and(|worker| native_attribute(&worker).is_some())
}

/// Whether a fork now leaves the child with a native Ray that it cannot use: also in the middle of
/// `ray.shutdown()`, which says first that it is not connected, and takes the worker down then.
pub fn has_core_worker(py: Python<'_>) -> bool {
    global_worker(py)
        .is_some_and(|worker| worker.hasattr(intern!(py, "core_worker")).unwrap_or(false))
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
        Some(worker) => (Mode::Client, default_witness(&worker)),
        None => (Mode::Native, native_witness(py)),
    };
    (mode, witness.filter(|_| proven).unwrap_or(Witness::Ask))
}

/// How to tell from now on that a Ray Client beside the default one still holds. `context` is Ray's.
pub fn of_context(context: &Bound<'_, PyAny>) -> Witness {
    let worker = context.getattr("client_worker").ok();
    let witness = worker.and_then(|worker| client_witness(context, &worker));
    witness.unwrap_or(Witness::Ask)
}

fn default_witness(worker: &Bound<'_, PyAny>) -> Option<Witness> {
    let client = imported(worker.py(), "ray.util.client")?;
    client_witness(&client.getattr("_default_context").ok()?, worker)
}

fn client_witness(context: &Bound<'_, PyAny>, worker: &Bound<'_, PyAny>) -> Option<Witness> {
    Some(Witness::Client {
        context: attributes(context)?,
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
