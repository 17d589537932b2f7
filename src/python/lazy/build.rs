//! How a lazy value comes to be: one caller at a time calls the factory, the others wait.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyTuple;
use tracing::debug;

use crate::error::{ConnectError, Kind};
use crate::lazy::{Caller, Entry, Over, Ticket, Turn};
use crate::process::process;
use crate::python::connection::held::HeldConnection;
use crate::python::connection::require;
use crate::python::interop::awaitable::awaitable;
use crate::python::interop::blocking;
use crate::python::interop::errors::not_ready;
use crate::python::interop::exit_guard::survived;
use crate::python::lazy::Lazy;
use crate::python::logs;

/// How often a value is made before it is given up that the connection holds for so long.
const TRIES: u32 = 3;

/// The logger of `_lazy.py`, where `on_close` is called.
const LOGGER: &str = "seedcore_ray::lazy";

/// The way to a value, one step on.
enum Step<'py> {
    /// There it is.
    Made(Bound<'py, PyAny>),
    /// Somebody else makes it.
    Others(Over),
    /// The caller makes it.
    Mine(Work),
}

fn step<'py>(lazy: &Bound<'py, Lazy>, tries: u32, blocks: bool) -> PyResult<Step<'py>> {
    let py = lazy.py();
    let connection = require::required(py, Some(lazy.get().name()))?;
    let inside = inside(py)?;
    let caller = Caller {
        inside: &inside,
        blocks,
    };
    let entry = process().makings.enter(lazy.get().ticket(), caller);
    // Whoever made it may have finished since this caller looked.
    if let Some(value) = lazy.get().current(py) {
        return Ok(Step::Made(value));
    }
    match entry {
        Entry::Others(over) => Ok(Step::Others(over)),
        Entry::Circular => Err(circular(lazy.get().name())),
        Entry::Mine(_) if tries == TRIES => Err(restless(py, lazy.get().name())),
        Entry::Mine(turn) => Ok(Step::Mine(Work {
            lazy: lazy.clone().unbind(),
            turn,
            connection,
        })),
    }
}

/// Makes the value, or waits for who does, on a thread that may block.
pub fn make<'py>(lazy: &Bound<'py, Lazy>) -> PyResult<Bound<'py, PyAny>> {
    let py = lazy.py();
    let mut tries = 0;
    loop {
        match step(lazy, tries, true)? {
            Step::Made(value) => return Ok(value),
            Step::Others(over) => blocking::block(py, over.wait())?,
            Step::Mine(work) => {
                tries += 1;
                let outside = go_inside(py, work.turn.ticket())?;
                let result = make_here(py, work);
                come_out(py, &outside)?;
                result?;
            }
        }
    }
}

fn make_here(py: Python<'_>, work: Work) -> PyResult<()> {
    let value = work.produce(py)?;
    if is_coroutine(&value)? {
        value.call_method0(intern!(py, "close"))?;
        return Err(needs_await(work.lazy.get().name()));
    }
    work.keep(value)
}

/// The right and the duty to make one value.
struct Work {
    lazy: Py<Lazy>,
    turn: Turn,
    connection: Arc<HeldConnection>,
}

impl Work {
    /// Parts with the old value and calls the factory.
    fn produce<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.lazy.get().close(py)?;
        self.lazy.get().produce(py)
    }

    /// Keeps the value, unless the connection that it was made on is gone.
    fn keep(self, value: Bound<'_, PyAny>) -> PyResult<()> {
        let py = value.py();
        let lazy = self.lazy.get();
        if !self.connection.stands(py) {
            debug!(target: LOGGER, "{} lost its connection while it was made", lazy.name());
            return lazy.part_with(&value);
        }
        lazy.keep(value, self.connection);
        debug!(target: LOGGER, "made {}", lazy.name());
        drop(self.turn);
        logs::flush(py);
        Ok(())
    }
}

/// One caller's step on the way to a value, on an event loop (`seedcore_ray/_lazy.py`).
#[pyclass(frozen, module = "seedcore_ray._core")]
pub struct Making {
    state: Mutex<State>,
    /// What the context variable was before.
    outside: Mutex<Option<Py<PyAny>>>,
}

enum State {
    Made(Py<PyAny>),
    Others(Over),
    Mine(Work),
    /// A thread is at it.
    LostConnection,
    /// The caller has left.
    Left,
}

/// The next step towards the value of `lazy`, for a caller who has made it `tries` times.
///
/// Raises:
///     RayNotReadyError, RuntimeError: as `Lazy.get`.
#[pyfunction]
pub fn making(lazy: &Bound<'_, Lazy>, tries: u32) -> PyResult<Making> {
    let state = match survived(|| step(lazy, tries, false))? {
        Step::Made(value) => State::Made(value.unbind()),
        Step::Others(over) => State::Others(over),
        Step::Mine(work) => State::Mine(work),
    };
    Ok(Making {
        state: Mutex::new(state),
        outside: Mutex::new(None),
    })
}

impl Making {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn outside(&self) -> MutexGuard<'_, Option<Py<PyAny>>> {
        self.outside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the work, which a thread does to its end even when the caller leaves.
    fn take(&self) -> PyResult<Work> {
        let state = mem::replace(&mut *self.state(), State::LostConnection);
        match state {
            State::Mine(work) => Ok(work),
            _ => Err(PyRuntimeError::new_err("this making is over")),
        }
    }

    /// Gives the work back to the caller; false when that one has left.
    fn give_back(&self, work: Work) -> bool {
        let mut state = self.state();
        let is_awaited = matches!(*state, State::LostConnection);
        if is_awaited {
            *state = State::Mine(work);
        }
        is_awaited
    }
}

#[pymethods]
impl Making {
    /// The value in a tuple, or None when it has to be made.
    #[getter]
    fn made<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let value = match &*self.state() {
            State::Made(value) => Some(value.clone_ref(py)),
            _ => None,
        };
        value.map(|value| PyTuple::new(py, [value])).transpose()
    }

    /// The end of somebody else's making, to be awaited; None when it is the caller's turn.
    fn over<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let state = mem::replace(&mut *self.state(), State::Left);
        match state {
            State::Others(over) => awaitable(py, over.wait()).map(Some),
            state => {
                *self.state() = state;
                Ok(None)
            }
        }
    }

    /// Calls the factory, on a thread that may block. What the factory gives is kept, but for a
    /// coroutine, which is returned: the caller awaits it and then calls `keep`.
    fn call<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        survived(|| {
            let work = self.take()?;
            let value = work.produce(py)?;
            if !is_coroutine(&value)? {
                return work.keep(value).map(|()| None);
            }
            if self.give_back(work) {
                return Ok(Some(value));
            }
            value.call_method0(intern!(py, "close")).map(|_| None)
        })
    }

    /// Keeps the value that was awaited, on a thread that may block.
    fn keep(&self, value: Bound<'_, PyAny>) -> PyResult<()> {
        survived(|| self.take()?.keep(value))
    }

    /// From now on, all that runs in this context is inside the making.
    fn __enter__(&self, py: Python<'_>) -> PyResult<()> {
        let ticket = match &*self.state() {
            State::Mine(work) => work.turn.ticket(),
            _ => return Ok(()),
        };
        *self.outside() = Some(go_inside(py, ticket)?.unbind());
        Ok(())
    }

    /// The caller leaves; what a thread is at, it finishes.
    #[pyo3(signature = (*_raised))]
    fn __exit__(&self, py: Python<'_>, _raised: &Bound<'_, PyTuple>) -> PyResult<()> {
        let left = mem::replace(&mut *self.state(), State::Left);
        drop(left);
        let Some(outside) = self.outside().take() else {
            return Ok(());
        };
        match come_out(py, outside.bind(py)) {
            // Closed from another context, when the loop had ended: this one ends with its task.
            Err(error) if error.is_instance_of::<PyValueError>(py) => Ok(()),
            result => result,
        }
    }
}

/// The makings that the running code is inside of, the outermost first: a `ContextVar`, so that it
/// reaches into tasks and into the threads that a factory is called on.
fn makings(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static INSIDE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let variable = INSIDE.get_or_try_init(py, || {
        py.import(intern!(py, "contextvars"))?
            .call_method1(intern!(py, "ContextVar"), ("seedcore_ray_makings",))
            .map(Bound::unbind)
    })?;
    Ok(variable.bind(py))
}

fn inside(py: Python<'_>) -> PyResult<Vec<Ticket>> {
    let none = PyTuple::empty(py);
    let tickets: Vec<u64> = makings(py)?
        .call_method1(intern!(py, "get"), (none,))?
        .extract()?;
    Ok(tickets.into_iter().map(Ticket).collect())
}

/// Enters a making; the result is for [`come_out`].
fn go_inside(py: Python<'_>, making: Ticket) -> PyResult<Bound<'_, PyAny>> {
    let mut tickets: Vec<u64> = inside(py)?.into_iter().map(|ticket| ticket.0).collect();
    tickets.push(making.0);
    makings(py)?.call_method1(intern!(py, "set"), (PyTuple::new(py, tickets)?,))
}

fn come_out(py: Python<'_>, outside: &Bound<'_, PyAny>) -> PyResult<()> {
    makings(py)?
        .call_method1(intern!(py, "reset"), (outside,))
        .map(drop)
}

/// What an `async def` gives when it is called. Not all that can be awaited: a factory may well
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

fn circular(name: &str) -> PyErr {
    PyRuntimeError::new_err(format!(
        "{name} would wait for itself: its factory or its on_close uses it, directly or through \
         another lazy; or a task of this event loop is making it, and then await its aget()"
    ))
}

fn restless(py: Python<'_>, name: &str) -> PyErr {
    let cause = ConnectError::new(
        Kind::NotConnected,
        "",
        format!("the connection went away {TRIES} times while it was being made"),
        "Its factory must not connect anew; if it does not, try again once the cluster is stable.",
    );
    not_ready(py, Some(name), &cause)
}
