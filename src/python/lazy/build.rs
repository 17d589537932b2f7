//! Building a lazy value: one caller at a time calls the factory, the others wait.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyTuple;
use tracing::debug;

use super::slot::Lazy;
use crate::error::{ConnectError, Kind};
use crate::lazy::{BuildGuard, BuildId, BuildWait, Caller, Entry};
use crate::log_target;
use crate::process::process;
use crate::python::connect::attempt::awaitable;
use crate::python::connection::held::Connected;
use crate::python::connection::require;
use crate::python::interop::blocking;
use crate::python::interop::errors::not_ready;
use crate::python::interop::exit_guard::survived;
use crate::python::logs;

/// How often one caller builds a value whose connection goes away meanwhile.
const TRIES: u32 = 3;

/// What a caller has to do next.
enum Step<'py> {
    Take(Bound<'py, PyAny>),
    Wait(BuildWait),
    Build(Work),
}

fn step<'py>(lazy: &Bound<'py, Lazy>, tries: u32, blocks: bool) -> PyResult<Step<'py>> {
    let py = lazy.py();
    let name = &lazy.get().name;
    let connection = require::connected(py, Some(name))?;
    let inside: Vec<_> = inside(py)?.into_iter().map(BuildId).collect();
    let caller = Caller {
        inside: &inside,
        blocks,
    };
    let entry = process().builds.enter(lazy.get().id, caller);
    // Another caller's build may have ended since this one looked.
    if let Some(value) = lazy.get().current(py) {
        return Ok(Step::Take(value));
    }
    match entry {
        Entry::Wait(wait) => Ok(Step::Wait(wait)),
        Entry::Deadlock => Err(deadlock(name)),
        Entry::Build(_) if tries == TRIES => Err(unstable(py, name)),
        Entry::Build(guard) => Ok(Step::Build(Work {
            lazy: lazy.clone().unbind(),
            guard,
            connection,
        })),
    }
}

/// Returns the value, built on this thread or by another caller. May block.
pub fn build<'py>(lazy: &Bound<'py, Lazy>) -> PyResult<Bound<'py, PyAny>> {
    let py = lazy.py();
    let mut tries = 0;
    loop {
        match step(lazy, tries, true)? {
            Step::Take(value) => return Ok(value),
            Step::Wait(wait) => blocking::block(py, wait.wait())?,
            Step::Build(work) => {
                tries += 1;
                let outside = enter(py, work.guard.id())?;
                let result = build_here(py, work);
                leave(py, &outside)?;
                result?;
            }
        }
    }
}

fn build_here(py: Python<'_>, work: Work) -> PyResult<()> {
    let value = work.call(py)?;
    if is_coroutine(&value)? {
        value.call_method0(intern!(py, "close"))?;
        return Err(needs_await(&work.lazy.get().name));
    }
    work.keep(value)
}

/// The right to build a value on a connection.
struct Work {
    lazy: Py<Lazy>,
    guard: BuildGuard,
    connection: Arc<Connected>,
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

/// A build on behalf of an event loop (`seedcore_ray/_lazy.py`). Entered as a context manager, it
/// marks what runs in this context as part of the build.
#[pyclass(frozen, module = "seedcore_ray._core")]
pub struct Build {
    id: BuildId,
    state: Mutex<State>,
    /// What the context variable was before.
    outside: Mutex<Option<Py<PyAny>>>,
}

enum State {
    Ready(Work),
    /// A thread has the work.
    Running,
    /// The caller has left.
    Left,
}

/// Begin the next step towards the value of `lazy`, for a caller that has built it `tries` times.
///
/// Returns:
///     The value in a tuple; or an awaitable, after which the caller asks again; or a `Build`.
///
/// Raises:
///     RayNotReadyError, RuntimeError: as `Lazy.get`.
#[pyfunction]
pub fn begin_build<'py>(lazy: &Bound<'py, Lazy>, tries: u32) -> PyResult<Bound<'py, PyAny>> {
    let py = lazy.py();
    match survived(|| step(lazy, tries, false))? {
        Step::Take(value) => PyTuple::new(py, [value]).map(Bound::into_any),
        Step::Wait(wait) => awaitable(py, wait.wait()),
        Step::Build(work) => Bound::new(
            py,
            Build {
                id: work.guard.id(),
                state: Mutex::new(State::Ready(work)),
                outside: Mutex::default(),
            },
        )
        .map(Bound::into_any),
    }
}

impl Build {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn outside(&self) -> MutexGuard<'_, Option<Py<PyAny>>> {
        self.outside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the work, which this thread finishes even if the caller leaves meanwhile.
    fn take(&self) -> PyResult<Work> {
        match mem::replace(&mut *self.state(), State::Running) {
            State::Ready(work) => Ok(work),
            _ => Err(PyRuntimeError::new_err("this build has ended")),
        }
    }

    /// Gives the work back to the caller. False if the caller has left.
    fn give_back(&self, work: Work) -> bool {
        let mut state = self.state();
        let is_awaited = matches!(*state, State::Running);
        if is_awaited {
            *state = State::Ready(work);
        }
        is_awaited
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
            if self.give_back(work) {
                return Ok(Some(value));
            }
            value.call_method0(intern!(py, "close")).map(|_| None)
        })
    }

    /// Keeps the value that was awaited; may block.
    fn keep(&self, value: Bound<'_, PyAny>) -> PyResult<()> {
        survived(|| self.take()?.keep(value))
    }

    fn __enter__(&self, py: Python<'_>) -> PyResult<()> {
        *self.outside() = Some(enter(py, self.id)?.unbind());
        Ok(())
    }

    /// Leaves the build. A thread that has the work finishes it.
    #[pyo3(signature = (*_raised))]
    fn __exit__(&self, py: Python<'_>, _raised: &Bound<'_, PyTuple>) -> PyResult<()> {
        let left = mem::replace(&mut *self.state(), State::Left);
        drop(left);
        let Some(outside) = self.outside().take() else {
            return Ok(());
        };
        match leave(py, outside.bind(py)) {
            // Closed from another context, after the loop has ended: this one ends with its task.
            Err(error) if error.is_instance_of::<PyValueError>(py) => Ok(()),
            result => result,
        }
    }
}

/// The builds that the running code is inside of, the outermost first: a `ContextVar`, which reaches
/// tasks and the threads that a factory is called on.
fn builds(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static BUILDS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let variable = BUILDS.get_or_try_init(py, || {
        py.import(intern!(py, "contextvars"))?
            .call_method1(intern!(py, "ContextVar"), ("seedcore_ray_builds",))
            .map(Bound::unbind)
    })?;
    Ok(variable.bind(py))
}

fn inside(py: Python<'_>) -> PyResult<Vec<u64>> {
    let none = PyTuple::empty(py);
    builds(py)?
        .call_method1(intern!(py, "get"), (none,))?
        .extract()
}

/// Enters a build; the result is for [`leave`].
fn enter(py: Python<'_>, build: BuildId) -> PyResult<Bound<'_, PyAny>> {
    let mut ids = inside(py)?;
    ids.push(build.0);
    builds(py)?.call_method1(intern!(py, "set"), (PyTuple::new(py, ids)?,))
}

fn leave(py: Python<'_>, outside: &Bound<'_, PyAny>) -> PyResult<()> {
    builds(py)?
        .call_method1(intern!(py, "reset"), (outside,))
        .map(drop)
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
