//! The monitor of a connection as its own thread sees it (`seedcore_ray/_monitor.py`).
//!
//! That thread belongs to Python: it does to Ray what has to be done, with no Rust frame on the stack.
//! Here it waits, detached, for the next order.

pub mod guard;
mod own_channel;
pub mod start_stop;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::Guard;
use pyo3::prelude::*;
use tracing::warn;

use crate::address::HostPort;
use crate::config::{Env, Settings};
use crate::error::{ConnectError, Kind};
use crate::health::{ControlPlane, HealthCheck, Plan, RAY_DEADLINE, RaysPatience, Watch, grace};
use crate::log_target::MONITOR;
use crate::monitor::{self, MonitorEvent, Order, Setup};
use crate::preflight::{Network, ProbePlan, Sockets};
use crate::probe::{Credentials, Given, KeptChannel, Keys, Raylet};
use crate::process::process;
use crate::python::connection::held::{HeldConnection, Origin};
use crate::python::connection::seat::Seat;
use crate::python::interop::blocking;
use crate::python::interop::errors::to_exception;
use crate::python::interop::exit_guard::survived;
use crate::python::ray::given;
use crate::python::{logs, ray};
use crate::session::Mode;
use own_channel::OwnChannel;

/// The monitor of one connection.
#[pyclass(frozen, module = "seedcore_ray._core")]
pub struct Monitor {
    core: monitor::Monitor,
    connection: Arc<HeldConnection>,
    address: String,
}

#[pymethods]
impl Monitor {
    /// Waits until there is something to be done to Ray: `release`, shut it down; `reconnect`, call
    /// `reconnect`; `task`, run one and call `task_ended`; None, return.
    fn next(&self, py: Python<'_>) -> Option<&'static str> {
        survived(|| {
            loop {
                let event = self.next_event(py);
                let gone = || self.connection.gone(py);
                let order = self.core.apply(&self.seat().session(), &event, gone);
                logs::flush_elsewhere(py);
                match order {
                    Order::Wait => {}
                    Order::Release => return Some("release"),
                    Order::Reconnect if self.is_replaced() => return None,
                    Order::Reconnect => return Some("reconnect"),
                    Order::RunTask => return Some("task"),
                    Order::Stop => return None,
                }
            }
        })
    }

    /// Whether the connection is a native driver's; else a Ray Client's.
    #[getter]
    fn native(&self) -> bool {
        self.core.is_native()
    }

    /// Whether calls that are blocked in Ray may be ended.
    #[getter]
    fn always(&self) -> bool {
        self.core.ends_calls()
    }

    /// Whether the raylet of this node has ended.
    #[getter]
    fn has_no_raylet(&self) -> bool {
        self.core.has_no_raylet()
    }

    /// Ray is not shut down, since that would end this process.
    fn fatal(&self, py: Python<'_>) {
        self.core.report_fatal(&self.address);
        logs::flush_elsewhere(py);
    }

    /// The calls of `threads`, their names, are about to be ended.
    fn ending(&self, py: Python<'_>, threads: &str) {
        self.core.report_ending(threads);
        logs::flush_elsewhere(py);
    }

    /// Ray is about to be shut down. False when it need not be any more.
    fn release_begins(&self, py: Python<'_>) -> bool {
        let session = self.seat().session();
        let begins = session
            .monitored(self.core.watch())
            .is_some_and(|mut monitored| monitored.begin_release());
        logs::flush_elsewhere(py);
        begins
    }

    /// Ray was shut down; `error` is what it raised.
    fn released(&self, py: Python<'_>, error: Option<&str>) {
        if let Some(error) = error {
            warn!(
                target: MONITOR,
                "ray.shutdown() raised, Ray is given up all the same: {error}"
            );
        }
        self.seat().session().closed(Some(self.core.watch()));
        logs::flush_elsewhere(py);
    }

    /// The calls of `threads`, their names, are blocked inside Ray: it is not shut down yet.
    fn blocked(&self, py: Python<'_>, threads: &str) {
        self.core.report_blocked(&self.address, threads);
        logs::flush_elsewhere(py);
    }

    /// The `Context` that is watched; None for the process's own connection.
    #[getter]
    fn context<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.seat().context(py).cloned()
    }

    /// Why the connection was lost, as a `RayConnectionError`; None while it is not.
    fn last_error<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let error = self.seat().session().last_error();
        error.map(|error| to_exception(py, &error)).transpose()
    }

    /// The server process of this Ray Client seems to have ended: that is checked at once.
    fn server_has_ended(&self) {
        if let Seat::Member { pool, member, .. } = self.seat() {
            pool.down(member, true); // until a look finds it well
        }
        self.core.suspect_server();
    }

    /// A task has ended; `error` is why it failed.
    fn task_ended(&self, error: Option<&str>) {
        let address = &self.address;
        self.core.task_ended(error.map(|words| {
            ConnectError::new(
                Kind::NotReady,
                address,
                format!("{address} answers, but a trivial task does not come back: {words}"),
                "Look at the raylet and the workers of the cluster, and whether it has a free CPU.",
            )
        }));
    }
}

impl Monitor {
    /// A monitor of `connection` by the policy of now; `None` where there is to be none: in a Ray
    /// worker, and for a cluster that ends with this process.
    ///
    /// # Errors
    ///
    /// What Python raises.
    pub fn create(
        py: Python<'_>,
        connection: &Arc<HeldConnection>,
        mode: Mode,
    ) -> PyResult<Option<Py<Self>>> {
        let settings = Settings::from_env(&Env::Process).0;
        let ray = ray::imported(py, "ray").and_then(|module| ray::version(&module));
        let policy = &process().policy;
        let plan = policy.plan(settings.health_interval, ray.as_deref());
        let (Some(plan), Some(origin)) = (plan, connection.origin()) else {
            return Ok(None);
        };
        let Some(server) = origin.server.clone() else {
            return Ok(None);
        };
        let seat = connection.seat();
        let is_main = matches!(seat, Seat::Main);
        if mode == Mode::Adopted || (is_main && ray::in_worker(py)) {
            return Ok(None);
        }
        let plan = if is_main { plan } else { plan.of_pool() };
        let monitor = Self {
            core: new_monitor(py, seat, origin, plan, &settings, server)?,
            connection: Arc::clone(connection),
            address: origin.address.clone(),
        };
        Py::new(py, monitor).map(Some)
    }

    /// What the session knows this monitor by.
    pub fn watch(&self) -> Arc<Watch> {
        Arc::clone(self.core.watch())
    }

    /// See [`monitor::Monitor::probe_timeout`].
    pub fn probe_timeout(&self) -> Duration {
        self.core.probe_timeout()
    }

    /// Whether another connection of its pool takes its place.
    fn is_replaced(&self) -> bool {
        match self.seat() {
            Seat::Main => false,
            Seat::Member { pool, member, .. } => !pool.awaits(member),
        }
    }

    /// Which of this process's connections is watched.
    pub fn seat(&self) -> &Seat {
        self.connection.seat()
    }

    /// How the connection was made.
    pub fn origin(&self) -> Option<&Origin> {
        self.connection.origin()
    }

    fn next_event(&self, py: Python<'_>) -> MonitorEvent {
        let process = Guard::into_inner(process());
        let session = &self.seat().session();
        // Read anew for each try: a token may have been rotated, a service renamed.
        let awaits = self.core.awaits_cluster(session);
        let plan = self.origin().filter(|_| awaits);
        let plan = plan.map(|origin| probe_plan(py, origin, &self.seat().settings()));
        let network: Arc<dyn Network> = Arc::new(Sockets);
        let event = blocking::detached(py, || {
            let next = self.core.next(session, &network, plan.as_ref());
            process.runtime.block_on(next)
        });
        // An error means that the process is ending.
        event.unwrap_or(MonitorEvent::Stopped)
    }
}

fn probe_plan(py: Python<'_>, origin: &Origin, settings: &Settings) -> ProbePlan {
    ProbePlan::from_env(
        origin.target.clone(),
        &Env::Process,
        settings.probe_timeout,
        settings.fallbacks,
        given::in_arguments(py, origin.init_kwargs.as_ref()),
    )
    .with_standbys(&settings.standbys)
}

fn keys(origin: &Origin, given: Given) -> Keys {
    let variables = Env::Process.snapshot();
    let is_auto = origin.is_auto;
    Box::new(move || Credentials::from_env(&variables, is_auto).with(given.clone()))
}

fn new_monitor(
    py: Python<'_>,
    seat: &Seat,
    origin: &Origin,
    plan: Plan,
    settings: &Settings,
    server: HostPort,
) -> PyResult<monitor::Monitor> {
    let worker = seat.client_worker(py);
    let client_id = worker
        .as_ref()
        .map(|worker| worker.getattr("_client_id")?.extract());
    let client_id: Option<String> = client_id.transpose()?;
    let is_native = client_id.is_none();
    let given = worker
        .as_ref()
        .map_or_else(Given::default, given::in_worker);
    let deadline = settings.ray_deadline.or(origin.ray_deadline);
    let deadline = deadline.unwrap_or(RAY_DEADLINE);
    let rays = if is_native {
        RaysPatience::Native(deadline)
    } else {
        RaysPatience::Client(settings.ray_client_grace)
    };
    let setup = Setup {
        plan,
        probe_timeout: settings.probe_timeout,
        grace: grace(settings.loss_grace, rays),
        deadline: is_native.then_some(deadline),
    };
    let cluster_id = origin.cluster_id.clone().filter(|_| is_native);
    let raylet = ray::raylet_socket(py)
        .filter(|_| is_native)
        .map(Raylet::new);
    let worker = worker.filter(|_| given.has_credentials);
    let check: Box<dyn HealthCheck> = if let Some(worker) = worker {
        Box::new(OwnChannel::new(server, worker.unbind()))
    } else {
        let channel = KeptChannel::new(server, client_id, keys(origin, given));
        Box::new(ControlPlane::new(channel, raylet, cluster_id))
    };
    Ok(monitor::Monitor::new(setup, check, fastrand::Rng::new()))
}
