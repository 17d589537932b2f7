//! The monitor of a connection as its own thread sees it (`seedcore_ray/_monitor.py`).
//!
//! As with a connect, that thread belongs to Python: what has to be done to Ray is done there, with
//! no Rust frame on the stack. In here it waits, detached, for something to do.

pub mod start_stop;

use std::sync::Arc;

use arc_swap::{ArcSwapOption, Guard};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tracing::warn;

use crate::address::{HostPort, RayAddress};
use crate::config::{Env, Settings};
use crate::error::{ConnectError, Kind};
use crate::flight::{ConnectOptions, Deadline, Flight};
use crate::health::{ControlPlane, Plan, Round, Setup, Watch, grace};
use crate::preflight::{Network, Passed, ProbePlan, Sockets};
use crate::probe::{Credentials, KeptChannel};
use crate::process::process;
use crate::python::connect::request;
use crate::python::connection::held::{self, Connected};
use crate::python::interop::blocking;
use crate::python::interop::exit_guard::survived;
use crate::python::logs;
use crate::python::ray;
use crate::session::{Joined, Mode};
use crate::target::Target;

/// How the connection that is held was made: what it takes to watch it, and to make it again.
static MADE: ArcSwapOption<Made> = ArcSwapOption::const_empty();

/// How a connection was made.
pub struct Made {
    target: Target,
    server: Option<HostPort>,
    cluster_id: Option<String>,
    init_kwargs: Option<Py<PyDict>>,
}

impl Made {
    pub fn new(
        py: Python<'_>,
        flight: &Flight,
        passed: &Passed,
        init_kwargs: Option<&Py<PyDict>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            target: flight.probe_plan.target.clone(),
            server: passed.address.host_port().cloned(),
            cluster_id: ray::cluster_id(py).or_else(|| passed.facts.cluster_id.clone()),
            init_kwargs: init_kwargs.map(|kwargs| kwargs.clone_ref(py)),
        })
    }

    /// For a [`start_monitor`] that comes later.
    pub fn remember(self: Arc<Self>) {
        MADE.store(Some(self));
    }

    /// A monitor for this connection, where there is to be one: not in a Ray worker, not for a
    /// cluster that ends with this process.
    pub fn monitor(self: &Arc<Self>, py: Python<'_>, mode: Mode) -> PyResult<Option<Py<Monitor>>> {
        let settings = Settings::from_env(&Env::Process).0;
        let plan = process().policy.plan(settings.health_interval);
        let (Some(plan), Some(server)) = (plan, &self.server) else {
            return Ok(None);
        };
        if mode == Mode::Adopted || ray::in_worker(py) {
            return Ok(None);
        }
        let client_id = ray::client_worker(py)
            .map(|worker| worker.getattr("_client_id")?.extract::<String>())
            .transpose()?;
        let watch = self.watch(plan, &settings, server.clone(), client_id);
        Py::new(
            py,
            Monitor {
                watch,
                made: Arc::clone(self),
            },
        )
        .map(Some)
    }

    fn watch(
        &self,
        plan: Plan,
        settings: &Settings,
        server: HostPort,
        client_id: Option<String>,
    ) -> Arc<Watch> {
        let is_native = client_id.is_none();
        let variables = Env::Process.snapshot();
        let is_auto = self.target.address == RayAddress::Auto;
        let keys = Box::new(move || Credentials::from_env(&variables, is_auto));
        let warm = KeptChannel::new(server, client_id, keys);
        let setup = Setup {
            plan,
            probe_timeout: settings.probe_timeout,
            grace: if is_native {
                grace(settings.loss_grace, settings.ray_deadline)
            } else {
                settings.loss_grace
            },
            deadline: is_native.then_some(settings.ray_deadline),
        };
        let cluster_id = self.cluster_id.clone().filter(|_| is_native);
        Watch::new(
            setup,
            Box::new(ControlPlane::new(warm, cluster_id)),
            fastrand::Rng::new(),
        )
    }
}

/// Keeps an eye on one connection.
#[pyclass(frozen, module = "seedcore_ray._core")]
pub struct Monitor {
    watch: Arc<Watch>,
    made: Arc<Made>,
}

#[pymethods]
impl Monitor {
    /// Waits until there is something to be done to Ray.
    ///
    /// `release`: the connection is lost, shut Ray down. `task`: run one, then call `task_ended`. None:
    /// nothing any more.
    fn next(&self, py: Python<'_>) -> PyResult<Option<&'static str>> {
        survived(|| self.wait(py))
    }

    /// Whether it is a native driver's connection; else a Ray Client's.
    #[getter]
    fn native(&self) -> bool {
        self.watch.is_native()
    }

    /// Whether calls that are blocked in Ray may be ended.
    #[getter]
    fn always(&self) -> bool {
        self.watch.releases_always()
    }

    /// The calls of `threads`, their names, are about to be ended.
    fn ending(&self, py: Python<'_>, threads: &str) {
        self.watch.ending(threads);
        logs::flush_elsewhere(py);
    }

    /// Ray is about to be shut down. False when it need not be any more.
    fn release_begins(&self, py: Python<'_>) -> bool {
        let begins = process().session.release_begins(&self.watch);
        if begins {
            held::release();
        }
        logs::flush_elsewhere(py);
        begins
    }

    /// Ray was shut down; `error` is what it raised.
    fn released(&self, py: Python<'_>, error: Option<&str>) {
        if let Some(error) = error {
            warn!("ray.shutdown() raised, Ray is given up all the same: {error}");
        }
        process().session.released(&self.watch);
        logs::flush_elsewhere(py);
    }

    /// `threads`, their names, are blocked inside Ray: it is not shut down yet.
    fn blocked(&self, py: Python<'_>, threads: &str) {
        let address = self.made.target.address.to_string();
        self.watch.blocked(&address, threads);
        logs::flush_elsewhere(py);
    }

    /// A task came back, or did not: then `error` says why.
    fn task_ended(&self, error: Option<&str>) {
        let address = self.made.target.address.to_string();
        self.watch.data_plane(error.map(|words| {
            ConnectError::new(
                Kind::NotReady,
                &address,
                format!("{address} answers, but a trivial task does not come back: {words}"),
                "Look at the raylet and the workers of the cluster, and whether it has a free CPU.",
            )
        }));
    }
}

impl Monitor {
    pub fn watch(&self) -> Arc<Watch> {
        Arc::clone(&self.watch)
    }

    fn wait(&self, py: Python<'_>) -> PyResult<Option<&'static str>> {
        loop {
            let round = self.round(py);
            if round == Round::Over {
                return Ok(None);
            }
            self.follow_ray(py);
            if let Round::News(change) = &round {
                self.watch.tell(&process().session, change.clone());
            }
            self.follow_session(py);
            logs::flush_elsewhere(py);
            match round {
                _ if self.is_to_release() => return Ok(Some("release")),
                Round::Back => self.reconnect(py)?,
                Round::Quiet if self.wants_task() => return Ok(Some("task")),
                _ => {}
            }
        }
    }

    fn is_to_release(&self) -> bool {
        self.watch.releases() && process().session.is_dying(&self.watch)
    }

    fn round(&self, py: Python<'_>) -> Round {
        let process = Guard::into_inner(process());
        let session = &process.session;
        let watch = &self.watch;
        let round = if session.is_away(watch) {
            let settings = Settings::from_env(&Env::Process).0;
            let probe_plan = self.probe_plan(&settings);
            let network: Arc<dyn Network> = Arc::new(Sockets);
            blocking::detached(py, || {
                let comeback = watch.comeback(session, &network, &probe_plan);
                process.runtime.block_on(comeback)
            })
        } else {
            blocking::detached(py, || process.runtime.block_on(watch.round(session)))
        };
        // An error means that the process is ending.
        round.unwrap_or(Round::Over)
    }

    /// Read anew for each try: a token may have been rotated, a service renamed.
    fn probe_plan(&self, settings: &Settings) -> ProbePlan {
        let target = self.made.target.clone();
        ProbePlan::from_env(
            target,
            &Env::Process,
            settings.probe_timeout,
            settings.fallbacks,
        )
    }

    /// Ray may have been shut down, or have given up, behind our back.
    fn follow_ray(&self, py: Python<'_>) {
        let session = &process().session;
        let is_ours = session.is_watched_by(&self.watch) && !session.is_busy();
        if is_ours && session.is_connected() && held::is_gone(py) {
            held::release();
            session.gone();
        }
    }

    /// What is held on the Python side is what the session holds. Attached all the time since the
    /// session was told, so that no caller sees the one without the other.
    fn follow_session(&self, py: Python<'_>) {
        let session = &process().session;
        if session.is_busy() || !session.is_watched_by(&self.watch) {
            return;
        }
        match (session.is_connected(), held::is_held()) {
            (false, true) => held::release(),
            (true, false) => {
                if let Some(module) = held::imported(py, "ray") {
                    held::hold(Connected::new(&module, ray::observe(&module).1));
                }
            }
            _ => {}
        }
    }

    fn wants_task(&self) -> bool {
        let session = &process().session;
        self.watch.plan().deep && session.is_connected() && session.is_watched_by(&self.watch)
    }

    /// One connect, as any other; where it ends well, the new connection has a monitor of its own.
    fn reconnect(&self, py: Python<'_>) -> PyResult<()> {
        let settings = Settings::from_env(&Env::Process).0;
        let probe_plan = self.probe_plan(&settings);
        let options = ConnectOptions {
            init_timeout: settings.init_timeout,
            force: false,
            wait_for_local: false,
        };
        let metrics = Arc::clone(&process().session.metrics);
        let flight = Flight::new(probe_plan, options, Arc::new(Sockets), metrics);
        let mut waiter = match process().session.join(&flight, Deadline::Once) {
            Joined::Lead(waiter) => {
                request::launch(py, self.made.init_kwargs.as_ref(), waiter.flight())?;
                waiter
            }
            Joined::Wait(waiter) => waiter,
            // Somebody else is at it: the next round shows what came of that.
            Joined::Connected(_) | Joined::Refused(_) | Joined::After(_) => return Ok(()),
        };
        let process = Guard::into_inner(process());
        // How it ended, the flight has told the session.
        let _ = blocking::detached(py, || process.runtime.block_on(waiter.wait()));
        Ok(())
    }
}
