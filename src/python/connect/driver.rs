//! A connect attempt as its own thread sees it (`seedcore_ray/_connect.py`).
//!
//! That thread belongs to Python, so that at the end of the process no Rust frame stands between
//! a blocked `ray.init` and the interpreter.

use std::cell::Cell;
use std::sync::Arc;
use std::time::SystemTime;

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::address::RayAddress;
use crate::config::Env;
use crate::error::{ConnectError, Kind};
use crate::flight;
use crate::preflight::Passed;
use crate::probe::version;
use crate::process::process;
use crate::python::connection::held::{self, Connected};
use crate::python::interop::blocking;
use crate::python::interop::exit_guard::survived;
use crate::python::logs;
use crate::python::monitor::{Made, Monitor};
use crate::python::ray;
use crate::session::{Arrival, ConnectionInfo};

thread_local! {
    static CARRIES_OUT: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread carries out a connect: a call from it would wait for itself.
pub fn on_flight_thread() -> bool {
    CARRIES_OUT.get()
}

/// One connect attempt, handed to the thread that carries it out.
#[pyclass(module = "seedcore_ray._core")]
#[allow(
    clippy::struct_field_names,
    reason = "the core's flight, which this one carries"
)]
pub struct Flight {
    flight: Arc<flight::Flight>,
    init_kwargs: Option<Py<PyDict>>,
    passed: Option<Passed>,
    monitor: Option<Py<Monitor>>,
}

impl Flight {
    pub fn new(flight: Arc<flight::Flight>, init_kwargs: Option<Py<PyDict>>) -> Self {
        Self {
            flight,
            init_kwargs,
            passed: None,
            monitor: None,
        }
    }

    fn sweep(&mut self, py: Python<'_>) -> bool {
        loop {
            let flight = &self.flight;
            let step = blocking::detached(py, || process().runtime.block_on(flight.step()));
            if let Some(probe) = flight.last_probe() {
                process().session.note_probe(probe);
            }
            logs::flush(py);
            match step {
                Ok(flight::Step::Again) => {}
                Ok(flight::Step::Init(passed)) if process().session.begin_init(flight) => {
                    self.passed = Some(passed);
                    return true;
                }
                Ok(flight::Step::Init(_)) => {
                    self.give_up(py, self.flight.cancelled());
                    return false;
                }
                Ok(flight::Step::GiveUp(error)) => {
                    self.give_up(py, error);
                    return false;
                }
                Err(error) => {
                    self.give_up(py, no_runtime(&self.flight, &error));
                    return false;
                }
            }
        }
    }

    fn settle(&mut self, ray: &Bound<'_, PyAny>) -> PyResult<bool> {
        let Some(passed) = &self.passed else {
            return Ok(false);
        };
        let py = ray.py();
        let live = self.live(ray, passed);
        let (_, witness) = ray::observe(ray);
        let made = Made::new(py, &self.flight, passed, self.init_kwargs.as_ref());
        let monitor = made.monitor(py, live.mode)?;
        let watch = monitor.as_ref().map(|monitor| monitor.get().watch());
        held::hold(Connected::new(ray, witness));
        match process().session.arrived(&self.flight, live, watch) {
            Arrival::Welcome => {
                made.remember();
                self.monitor = monitor;
                logs::flush(py);
                self.flight.land(Ok(()));
                Ok(true)
            }
            Arrival::Unwanted => {
                held::release();
                Ok(false)
            }
        }
    }

    fn give_up(&self, py: Python<'_>, error: ConnectError) {
        process().session.failed(&self.flight, &error);
        // Lines first: who waits finds them written when it comes back.
        logs::flush(py);
        self.flight.land(Err(error));
    }

    fn live(&self, ray: &Bound<'_, PyAny>, passed: &Passed) -> ConnectionInfo {
        let (mode, _) = ray::observe(ray);
        let mut facts = passed.facts.clone();
        facts.ray_version = facts.ray_version.or_else(|| ray::version(ray));
        ConnectionInfo {
            target: Some(self.flight.probe_plan.target.clone()),
            address: passed.address.to_string(),
            namespace: self.flight.probe_plan.target.namespace.clone(),
            mode,
            since: SystemTime::now(),
            facts,
            took: self.flight.began.elapsed(),
            instead_of: passed.instead_of.clone(),
        }
    }
}

#[pymethods]
impl Flight {
    /// Sweeps until the target answers. False when the flight ended without that.
    fn preflight(&mut self, py: Python<'_>) -> bool {
        CARRIES_OUT.set(true);
        survived(|| self.sweep(py))
    }

    /// Whether a live connection has to go first.
    #[getter]
    fn force(&self) -> bool {
        self.flight.options.force
    }

    /// Whether `ray.init` starts a cluster of its own.
    #[getter]
    fn starts_cluster(&self) -> bool {
        self.flight.probe_plan.target.address == RayAddress::Local
    }

    /// Seconds left for `ray.init`; negative when its time is up.
    fn init_seconds_left(&self) -> f64 {
        self.flight.init_seconds_left()
    }

    /// Whether anybody still wants the connection.
    #[getter]
    fn wanted(&self) -> bool {
        self.flight.is_wanted()
    }

    /// Whether Ray will accept the cluster's versions; if not, the flight has ended.
    ///
    /// Only a native connect tells them beforehand. Asked before a live connection is given up.
    fn accepts(&self, py: Python<'_>, ray_version: String, python_version: String) -> bool {
        let Some(passed) = &self.passed else {
            return false;
        };
        let match_level = Env::Process.get("RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL");
        let local = version::Local {
            ray: ray_version,
            python: python_version,
            match_level,
        };
        match version::check(&passed.address.to_string(), &passed.facts, &local) {
            Ok(()) => true,
            Err(cause) => {
                self.give_up(py, cause);
                false
            }
        }
    }

    /// What to call `ray.init` with.
    fn init_arguments<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let arguments = PyDict::new(py);
        arguments.set_item("ignore_reinit_error", true)?;
        if let Some(kwargs) = &self.init_kwargs {
            arguments.update(kwargs.bind(py).as_mapping())?;
        }
        if let Some(passed) = &self.passed {
            arguments.set_item("address", passed.init_address.to_string())?;
        }
        arguments.set_item(
            "namespace",
            self.flight.probe_plan.target.namespace.as_deref(),
        )?;
        Ok(arguments)
    }

    /// The live connection was shut down to make room.
    #[allow(clippy::unused_self, reason = "belongs to the flight for its caller")]
    fn dropped(&self) {
        held::release();
        process().session.dropped();
    }

    /// `ray.init` came back. False when nobody wants the connection any more: shut it down, then
    /// call `called_off`.
    fn arrived(&mut self, ray: &Bound<'_, PyAny>) -> PyResult<bool> {
        survived(|| self.settle(ray))
    }

    /// What keeps an eye on the connection; None where nothing is to.
    fn take_monitor(&mut self) -> Option<Py<Monitor>> {
        self.monitor.take()
    }

    /// Somebody else connected in the meantime: theirs is used.
    fn overtaken(&self, ray: &Bound<'_, PyAny>) {
        survived(|| {
            crate::python::connection::adoption::adopt(ray);
            process().session.overtaken(&self.flight);
            logs::flush(ray.py());
            self.flight.land(Ok(()));
        });
    }

    /// It ended because nobody wants it any more.
    fn called_off(&self, py: Python<'_>) {
        self.give_up(py, self.flight.cancelled());
    }

    /// `ray.init` or `import ray` raised.
    fn failed(&self, error: &Bound<'_, PyAny>) {
        survived(|| {
            let cause = self.cause(error);
            self.give_up(error.py(), cause);
        });
    }
}

impl Flight {
    fn cause(&self, error: &Bound<'_, PyAny>) -> ConnectError {
        let address = self.flight.probe_plan.target.address.to_string();
        let name = error
            .get_type()
            .name()
            .map_or_else(|_| "error".into(), |n| n.to_string());
        let words = error
            .str()
            .map_or_else(|_| String::new(), |words| words.to_string());
        let (kind, hint) = classify(&name, &words);
        let mut cause = ConnectError::new(
            kind,
            &address,
            format!(
                "{address} answers, but Ray refused: {name}: {}",
                words.trim()
            ),
            hint,
        );
        cause.attempts = self.flight.sweeps().max(1);
        cause
    }
}

/// Ray's exception, as one of our causes. The words are Ray's (ray-facts: a version mismatch shows
/// through the client port only here).
fn classify(name: &str, words: &str) -> (Kind, &'static str) {
    if words.contains("Version mismatch") {
        (
            Kind::VersionMismatch,
            "Install the cluster's versions of ray and Python in this environment, or set \
             RAY_IGNORE_VERSION_MISMATCH=1 to take the risk (Ray Client only).",
        )
    } else if name == "AuthenticationError" {
        (
            Kind::Auth,
            "Set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH.",
        )
    } else if matches!(name, "ImportError" | "ModuleNotFoundError") {
        (
            Kind::RayMissing,
            "Install it with `pip install \"ray[client]\"`, same version as the cluster.",
        )
    } else {
        (
            Kind::InitFailed,
            "The reason is Ray's own; look at the arguments given and the head's logs.",
        )
    }
}

fn no_runtime(flight: &flight::Flight, error: &std::io::Error) -> ConnectError {
    let address = flight.probe_plan.target.address.to_string();
    ConnectError::new(
        Kind::InitFailed,
        &address,
        format!("Cannot look for {address}: no thread could be started ({error})"),
        "Raise the process's limit of threads (ulimit -u, or the pod's pids limit).",
    )
}
