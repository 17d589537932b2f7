//! Carrying a [`Request`] through: the loop of [`crate::connect`], blocking and awaited.

use std::sync::Arc;

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict};

use super::driver::Driver;
use super::request::Request;
use crate::config::Env;
use crate::connect::{Next, Outcome};
use crate::error::{ConnectError, Kind};
use crate::flight::Flight;
use crate::python::connection::adoption::compare;
use crate::python::connection::held;
use crate::python::connection::seat::Seat;
use crate::python::interop::awaitable::awaitable;
use crate::python::interop::blocking::block_to_end;
use crate::python::interop::errors::{raise, to_exception};
use crate::python::interop::exit_guard::survived;
use crate::python::logs;
use crate::python::ray::given;

impl Request {
    fn next(&self, py: Python<'_>) -> PyResult<Next> {
        let given = given::in_arguments(py, self.init_kwargs.as_ref());
        let flight = || self.core.flight(&Env::Process, given);
        let launch =
            |flight: &Arc<Flight>| launch(py, &Seat::Main, self.init_kwargs.as_ref(), flight);
        self.core.next(flight, launch)
    }

    /// Connects, blocking this thread.
    ///
    /// # Errors
    ///
    /// What Python raises, `KeyboardInterrupt` included.
    pub fn connect(&self, py: Python<'_>) -> PyResult<Result<(), ConnectError>> {
        loop {
            let outcome = match self.next(py)? {
                Next::Done(Ok(())) => Outcome::Connected,
                Next::Done(Err(error)) => Outcome::Failed(error),
                Next::Wait(outcome) => block_to_end(py, outcome)?,
            };
            match outcome {
                Outcome::Again => {}
                Outcome::Failed(error) if !self.is_served(py) => return Ok(Err(error)),
                Outcome::Connected | Outcome::Failed(_) => return self.finish(py).map(Ok),
            }
        }
    }

    /// Whether somebody else has connected while this request failed.
    fn is_served(&self, py: Python<'_>) -> bool {
        !self.force && held::is_alive(py)
    }

    /// After the connect, on the caller's thread: sets the SIGTERM handler, and warns when the
    /// connection is not the one that was asked for.
    fn finish(&self, py: Python<'_>) -> PyResult<()> {
        py.import(intern!(py, "seedcore_ray._ray.sigterm"))?
            .call_method0(intern!(py, "set_graceful"))?;
        let kwargs = self.init_kwargs.as_ref().map(|kwargs| kwargs.bind(py));
        compare(py, &self.asked, self.core.target(), kwargs);
        Ok(())
    }
}

/// One caller's connect on an event loop.
#[pyclass(frozen, module = "seedcore_ray._core")]
pub struct Attempt(pub Request);

#[pymethods]
impl Attempt {
    /// Joins the connect under way, or launches one.
    ///
    /// Returns:
    ///     An awaitable that gives True when connected, False when `join` has to be called again, or
    ///     the exception as a value; `finish` takes the first and the last. None when there is nothing
    ///     to wait for: connected.
    fn join<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match survived(|| self.0.next(py))? {
            Next::Done(Ok(())) => Ok(None),
            Next::Done(Err(error)) => Err(raise(py, &error)),
            Next::Wait(outcome) => awaitable(py, outcome).map(Some),
        }
    }

    /// Ends the attempt with what the awaitable gave, on the caller's thread.
    ///
    /// Raises:
    ///     RayConnectionError: that of the awaitable, unless somebody else has connected meanwhile.
    fn finish(&self, answer: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = answer.py();
        survived(|| {
            let is_connected = answer.is_instance_of::<PyBool>() || self.0.is_served(py);
            let result = if is_connected {
                self.0.finish(py)
            } else {
                Err(PyErr::from_value(answer.clone()))
            };
            logs::flush(py);
            result
        })
    }
}

impl<'py> IntoPyObject<'py> for Outcome {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Self::Output> {
        match self {
            Self::Connected => Ok(PyBool::new(py, true).to_owned().into_any()),
            Self::Again => Ok(PyBool::new(py, false).to_owned().into_any()),
            Self::Failed(error) => to_exception(py, &error),
        }
    }
}

/// Starts the thread of a flight for `seat`.
///
/// # Errors
///
/// What Python raises. The flight is over then; where no thread could be started, that is its cause
/// and no error.
pub fn launch(
    py: Python<'_>,
    seat: &Seat,
    init_kwargs: Option<&Py<PyDict>>,
    flight: &Arc<Flight>,
) -> PyResult<()> {
    let kwargs = init_kwargs.map(|kwargs| kwargs.clone_ref(py));
    let driver = Driver::new(Arc::clone(flight), kwargs, seat.clone());
    let launched = py
        .import(intern!(py, "seedcore_ray._connect"))
        .and_then(|module| module.call_method1(intern!(py, "launch"), (driver,)));
    let Err(error) = launched else { return Ok(()) };
    // If the thread was started after all, it must not get as far as `ray.init`.
    flight.cancel();
    // Otherwise Ctrl-C came first.
    let no_thread = error.is_instance_of::<PyRuntimeError>(py);
    let cause = if no_thread {
        not_launched(flight, &error)
    } else {
        flight.cancelled()
    };
    seat.session().failed(flight, &cause);
    flight.finish(Err(cause));
    if no_thread { Ok(()) } else { Err(error) }
}

/// Python 3.12 starts no thread once the interpreter is ending, exit hooks included.
fn not_launched(flight: &Flight, error: &PyErr) -> ConnectError {
    let address = flight.address();
    ConnectError::new(
        Kind::InitFailed,
        &address,
        format!("{address}: no thread could be started to connect ({error})"),
        "Connect before the process ends; if it does not end, raise its limit of threads (ulimit -u, \
         the pids limit of its container).",
    )
}
