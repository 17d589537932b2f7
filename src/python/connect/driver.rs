//! A connect as its own thread sees it (`seedcore_ray/_connect.py`): the core's [`connect::Driver`],
//! and what its steps need of Ray.

use std::sync::Arc;
use std::time::SystemTime;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tracing::debug;

use crate::address::RayAddress;
use crate::config::Env;
use crate::connect::{self, Raised, RayState, Step};
use crate::error::{ConnectError, Kind};
use crate::flight::Flight;
use crate::log_target::CONNECT;
use crate::preflight::Passed;
use crate::probe::version;
use crate::process::process;
use crate::python::connection::adoption::adopted;
use crate::python::connection::held::{HeldConnection, Origin};
use crate::python::connection::seat::Seat;
use crate::python::interop::blocking::detached;
use crate::python::interop::exit_guard::survived;
use crate::python::interop::reentry::mark_connect_thread;
use crate::python::logs;
use crate::python::monitor::Monitor;
use crate::python::ray::{self, witness};
use crate::session::{Connection, ConnectionInfo, Mode, RayCluster};

/// One connect, handed to the thread that carries it out. The methods that return a `str` name the
/// thread's next step: `adopt`, `shutdown`, `init`, or `done`.
#[pyclass(module = "seedcore_ray._core")]
pub struct Driver {
    core: connect::Driver,
    init_kwargs: Option<Py<PyDict>>,
    seat: Seat,
    monitor: Option<Py<Monitor>>,
}

#[pymethods]
impl Driver {
    /// Probes until the target answers: then the step is `import`.
    fn probe(&mut self, py: Python<'_>) -> &'static str {
        mark_connect_thread();
        survived(|| {
            loop {
                let core = &mut self.core;
                let step = detached(py, || process().runtime.block_on(core.probe()));
                logs::flush(py);
                match step {
                    Ok(Step::Probe) => {}
                    Ok(step) => return self.follow(py, step),
                    Err(error) => {
                        let cause = no_runtime(self.flight(), &error);
                        return self.fail(py, cause);
                    }
                }
            }
        })
    }

    /// `ray` was imported.
    fn imported(
        &mut self,
        ray: &Bound<'_, PyAny>,
        python_version: String,
    ) -> PyResult<&'static str> {
        survived(|| {
            let py = ray.py();
            let local = version::Local {
                ray: ray::version(ray).unwrap_or_default(),
                python: python_version,
                match_level: Env::Process.get("RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL"),
            };
            let state = match self.seat {
                Seat::Main => RayState {
                    is_connected: ray::is_initialized(ray)?,
                    has_remains: ray::client_worker(py).is_some(),
                },
                Seat::Member { .. } => RayState::default(),
            };
            let step = self.core.imported(&local, state);
            Ok(self.follow(py, step))
        })
    }

    /// Somebody else has connected in the meantime: uses that connection.
    fn adopted(&mut self, ray: &Bound<'_, PyAny>) -> &'static str {
        survived(|| {
            let step = self.core.adopted(adopted(ray));
            self.follow(ray.py(), step)
        })
    }

    /// `ray.shutdown()` has returned.
    fn shut_down(&mut self, py: Python<'_>) -> &'static str {
        survived(|| {
            let step = self.core.shut_down();
            self.follow(py, step)
        })
    }

    /// `ray.init` has returned.
    fn initialised(&mut self, ray: &Bound<'_, PyAny>) -> PyResult<&'static str> {
        survived(|| self.arrived(ray))
    }

    /// `ray.init` raised.
    fn init_failed(&mut self, error: &Bound<'_, PyAny>) -> &'static str {
        survived(|| {
            let cause = self.cause(error);
            let step = self.core.init_failed(cause);
            self.follow(error.py(), step)
        })
    }

    /// The thread itself failed; `import ray`, for one.
    fn failed(&mut self, error: &Bound<'_, PyAny>) {
        survived(|| {
            let cause = self.cause(error);
            self.fail(error.py(), cause);
        });
    }

    /// The arguments of `ray.init`, for one call of it.
    fn init_arguments<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let arguments = PyDict::new(py);
        arguments.set_item("ignore_reinit_error", true)?;
        if let Some(kwargs) = &self.init_kwargs {
            // Ray writes into them, and a reconnect needs them as they were given.
            let kwargs = ray::arguments::copied(kwargs.bind(py))?;
            arguments.update(kwargs.as_mapping())?;
        }
        if let Some(passed) = self.core.passed() {
            arguments.set_item("address", passed.init_address.for_ray())?;
        }
        let namespace = self.flight().probe_plan.target.namespace.as_deref();
        arguments.set_item("namespace", namespace)?;
        Ok(arguments)
    }

    /// The `Context` to connect; None for the process's own connection.
    #[getter]
    fn context<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.seat.context(py).cloned()
    }

    /// Whether `ray.init` starts a cluster of its own.
    #[getter]
    fn starts_cluster(&self) -> bool {
        self.flight().probe_plan.target.address == RayAddress::Local
    }

    /// Seconds left for `ray.init`; negative once its time is up.
    fn init_seconds_left(&self) -> f64 {
        self.flight().init_seconds_left()
    }

    /// Whether a caller still wants the connection.
    #[getter]
    fn wanted(&self) -> bool {
        self.flight().is_wanted()
    }

    /// The monitor of the connection that was made; None where there is to be none.
    fn take_monitor(&mut self) -> Option<Py<Monitor>> {
        self.monitor.take()
    }
}

impl Driver {
    /// Carries out `flight` for `seat`; `init_kwargs` are the caller's for `ray.init`.
    pub fn new(flight: Arc<Flight>, init_kwargs: Option<Py<PyDict>>, seat: Seat) -> Self {
        Self {
            core: connect::Driver::new(seat.session(), flight),
            init_kwargs,
            seat,
            monitor: None,
        }
    }

    fn flight(&self) -> &Flight {
        self.core.flight()
    }

    fn follow(&mut self, py: Python<'_>, step: Step) -> &'static str {
        match step {
            Step::Probe => "probe",
            Step::Import => "import",
            Step::Adopt => "adopt",
            Step::Shutdown => "shutdown",
            Step::Init => "init",
            Step::Finish => {
                logs::flush(py);
                self.core.finish();
                "done"
            }
        }
    }

    fn fail(&mut self, py: Python<'_>, cause: ConnectError) -> &'static str {
        let step = self.core.failed(cause);
        self.follow(py, step)
    }

    fn arrived(&mut self, ray: &Bound<'_, PyAny>) -> PyResult<&'static str> {
        let py = ray.py();
        let Some(passed) = self.core.passed() else {
            return Ok("done");
        };
        let context = self.seat.context(py);
        let (mode, witness) = match context {
            Some(context) => (
                Mode::Client,
                witness::of_context(&context.getattr(intern!(py, "rays"))?),
            ),
            None => witness::observe(ray),
        };
        let cluster_id = context.is_none().then(|| ray::cluster_id(py)).flatten();
        let info = self.info(ray, passed, mode);
        let origin = Origin {
            target: self.flight().probe_plan.target.clone(),
            address: info.address.clone(),
            is_auto: info.is_auto(),
            server: passed.address.host_port().cloned(),
            cluster_id: cluster_id.or_else(|| passed.facts.cluster_id.clone()),
            ray_deadline: passed.facts.ray_deadline,
            init_kwargs: self.init_kwargs.as_ref().map(|kwargs| kwargs.clone_ref(py)),
        };
        let held = HeldConnection::at(self.seat.clone(), ray, witness, Some(origin));
        let monitor = Monitor::create(py, &held, mode)?;
        let watch = monitor.as_ref().map(|monitor| monitor.get().watch());
        let connection = Connection {
            info,
            binding: held,
        };
        let step = self.core.initialised(connection, watch);
        self.monitor = monitor.filter(|_| step == Step::Finish);
        Ok(self.follow(py, step))
    }

    fn info(&self, ray: &Bound<'_, PyAny>, passed: &Passed, mode: Mode) -> ConnectionInfo {
        let flight = self.flight();
        let mut facts = passed.facts.clone();
        facts.ray_version = facts.ray_version.or_else(|| ray::version(ray));
        ConnectionInfo {
            target: Some(flight.probe_plan.target.clone()),
            address: passed.address.to_string(),
            namespace: flight.probe_plan.target.namespace.clone(),
            mode,
            since: SystemTime::now(),
            facts,
            ray: match self.seat {
                Seat::Main => ray::cluster(ray),
                Seat::Member { .. } => RayCluster::default(),
            },
            took: flight.began.elapsed(),
            instead_of: passed.instead_of.clone(),
        }
    }
}

impl Driver {
    fn cause(&self, error: &Bound<'_, PyAny>) -> ConnectError {
        let name = error.get_type().name();
        let name = name.map_or_else(|_| "error".into(), |name| name.to_string());
        let words = error.str();
        let words = words.map_or_else(|_| String::new(), |words| words.to_string());
        let raised = Raised::new(name, &words);
        let asked = &self.flight().probe_plan.target.address;
        debug!(target: CONNECT, "{asked}: ray.init raised {}: {}", raised.name, raised.words());
        let mut cause = raised.cause(asked);
        cause.attempts = self.flight().sweeps().max(1);
        cause
    }
}

fn no_runtime(flight: &Flight, error: &std::io::Error) -> ConnectError {
    let address = flight.address();
    ConnectError::new(
        Kind::InitFailed,
        &address,
        format!("Cannot look for {address}: no thread could be started ({error})"),
        "Raise the process's limit of threads (ulimit -u, or the pod's pids limit).",
    )
}
