//! Building a lazy value: one caller at a time calls the factory, the others wait.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::{IntoPyObjectExt as _, intern};
use tracing::debug;

use super::slot::Lazy;
use crate::error::{ConnectError, Kind};
use crate::lazy::{BuildGuard, BuildId, Caller, Entry};
use crate::log_target;
use crate::process::process;
use crate::python::connection::held::HeldConnection;
use crate::python::connection::require;
use crate::python::interop::awaitable::awaitable;
use crate::python::interop::blocking;
use crate::python::interop::errors::not_ready;
use crate::python::interop::exit_guard::survived;
use crate::python::logs;

/// How often one caller builds a value whose connection goes away meanwhile.
const TRIES: u32 = 3;

/// The right to build a value on a connection.
struct Work {
    lazy: Py<Lazy>,
    guard: BuildGuard,
    connection: Arc<HeldConnection>,
}

impl Work {
    /// Closes the old value and calls the factory.
    fn call<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let lazy = self.lazy.get();
        lazy.close(py)?;
        lazy.factory.bind(py).call0()
    }

    /// Keeps the value, unless the connection that it was made on is gone.
    fn keep(self, value: Bound<'_, PyAny>) -> PyResult<()> {
        let py = value.py();
        let lazy = self.lazy.get();
        if !self.connection.stands(py) {
            debug!(target: log_target::LAZY, "{} lost its connection while it was made", lazy.name);
            return lazy.on_close(&value);
        }
        lazy.keep(value, self.connection);
        debug!(target: log_target::LAZY, "made {}", lazy.name);
        drop(self.guard);
        logs::flush(py);
        Ok(())
    }
}

/// One build, for `seedcore_ray/_lazy.py`.
#[pyclass(frozen, module = "seedcore_ray._core")]
pub struct Build {
    /// Identifies it in the `inside` of what its factory calls.
    #[pyo3(get)]
    id: u64,
    blocks: bool,
    /// `None` while a thread has the work, and after that.
    work: Mutex<Option<Work>>,
    is_left: AtomicBool,
}

/// Begin the next step towards the value of `lazy`.
///
/// Args:
///     inside: the builds that the caller is part of, the outermost first.
///     tries: how often the caller has built it.
///     blocks: wait for another caller's build here and now, on a thread that may block.
///
/// Returns:
///     The value in a tuple; or a `Build`, for the caller to carry out; or, after another caller's
///     build, the caller asks again: None when it has ended, or an awaitable that waits for it.
///
/// Raises:
///     RayNotReadyError, RuntimeError: as `Lazy.get`.
#[pyfunction]
pub fn begin_build<'py>(
    lazy: &Bound<'py, Lazy>,
    inside: Vec<u64>,
    tries: u32,
    blocks: bool,
) -> PyResult<Bound<'py, PyAny>> {
    survived(|| {
        let py = lazy.py();
        let name = &lazy.get().name;
        let connection = require::required(py, Some(name))?;
        let inside: Vec<_> = inside.into_iter().map(BuildId).collect();
        let caller = Caller {
            inside: &inside,
            blocks,
        };
        let entry = process().builds.enter(lazy.get().id, caller);
        // Another caller's build may have ended since this one looked.
        if let Some(value) = lazy.get().current(py) {
            return (value,).into_bound_py_any(py);
        }
        match entry {
            Entry::Wait(wait) if blocks => {
                blocking::block(py, wait.wait())?;
                Ok(py.None().into_bound(py))
            }
            Entry::Wait(wait) => awaitable(py, wait.wait()),
            Entry::Deadlock => Err(deadlock(name)),
            Entry::Build(_) if tries == TRIES => Err(unstable(py, name)),
            Entry::Build(guard) => Build {
                id: guard.id().0,
                blocks,
                work: Mutex::new(Some(Work {
                    lazy: lazy.clone().unbind(),
                    guard,
                    connection,
                })),
                is_left: AtomicBool::new(false),
            }
            .into_bound_py_any(py),
        }
    })
}

impl Build {
    fn work(&self) -> MutexGuard<'_, Option<Work>> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the work, which this thread finishes even if the caller leaves meanwhile.
    fn take(&self) -> PyResult<Work> {
        let work = self.work().take();
        work.ok_or_else(|| PyRuntimeError::new_err("this build has ended"))
    }
}

#[pymethods]
impl Build {
    /// Calls the factory; may block. What it returns is kept, except a coroutine, which is returned:
    /// the caller awaits it and then calls `keep`.
    fn call<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        survived(|| {
            let work = self.take()?;
            let value = work.call(py)?;
            if !is_coroutine(&value)? {
                return work.keep(value).map(|()| None);
            }
            if self.blocks {
                value.call_method0(intern!(py, "close"))?;
                return Err(needs_await(&work.lazy.get().name));
            }
            *self.work() = Some(work);
            if self.is_left.load(Ordering::SeqCst) {
                self.leave();
                return value.call_method0(intern!(py, "close")).map(|_| None);
            }
            Ok(Some(value))
        })
    }

    /// Keeps the value that was awaited; may block.
    fn keep(&self, value: Bound<'_, PyAny>) -> PyResult<()> {
        survived(|| self.take()?.keep(value))
    }

    /// Leaves the build. A thread that has the work finishes it.
    fn leave(&self) {
        self.is_left.store(true, Ordering::SeqCst);
        let work = self.work().take();
        drop(work);
    }
}

/// Whether calling an `async def` gave `value`. Not whether it can be awaited: a factory may well
/// return an `ObjectRef`.
fn is_coroutine(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = value.py();
    let abc = py.import(intern!(py, "collections.abc"))?;
    value.is_instance(&abc.getattr(intern!(py, "Coroutine"))?)
}

fn needs_await(name: &str) -> PyErr {
    PyRuntimeError::new_err(format!(
        "the factory of {name} is async: on each connection, its first use has to await aget()"
    ))
}

fn deadlock(name: &str) -> PyErr {
    PyRuntimeError::new_err(format!(
        "{name} would wait for itself: its factory or its on_close uses it, directly or through \
         another lazy; or a task of this event loop is making it, in which case await its aget()"
    ))
}

fn unstable(py: Python<'_>, name: &str) -> PyErr {
    let cause = ConnectError::new(
        Kind::NotConnected,
        "",
        format!("the connection went away {TRIES} times while it was being made"),
        "Its factory must not connect anew; if it does not, try again once the cluster is stable.",
    );
    not_ready(py, Some(name), &cause)
}
