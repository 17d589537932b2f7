//! The commands of `seedcore-ray`: one probe, a whole examination, the settings in force.
//!
//! Nothing here connects, and the breaker is neither asked nor told.

use std::sync::Arc;
use std::time::Instant;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pythonize::pythonize;
use serde::Serialize;

use crate::config::{self, Env, Kubernetes, Settings};
use crate::doctor::effective::{self, Effective};
use crate::doctor::{self, Examination, Here, OK};
use crate::error::{ConnectError, Kind};
use crate::preflight::{Network, ProbePlan, Role, Sockets, probe_candidates};
use crate::probe::{Given, version};
use crate::process::process;
use crate::python::interop::args::Text;
use crate::python::interop::blocking;
use crate::python::{gateway, ray};
use crate::retry;
use crate::target::{NamespaceArg, Target};

/// The arguments of a command, resolved with the environment.
struct Command {
    argument: Option<String>,
    target: Result<Target, ConnectError>,
    settings: Settings,
    warnings: Vec<String>,
}

impl Command {
    fn read(
        py: Python<'_>,
        argument: Option<Text<'_, '_>>,
        timeout_s: Option<f64>,
    ) -> PyResult<Self> {
        let argument = argument.map(|text| text.get().into_owned());
        let env = Env::Process;
        let (mut settings, bad) = Settings::from_env(&env);
        if let Some(value) = timeout_s {
            let timeout = config::seconds(value, "timeout", false);
            settings.probe_timeout = timeout.map_err(PyValueError::new_err)?;
        }
        Ok(Self {
            target: ray::resolve(py, argument.as_deref(), &NamespaceArg::LeftOut),
            argument,
            settings,
            warnings: bad.into_iter().map(|bad| bad.message).collect(),
        })
    }

    fn probe_plan(&self, target: &Target, with_fallbacks: bool) -> ProbePlan {
        let timeout = self.settings.probe_timeout;
        ProbePlan::from_env(
            target.clone(),
            &Env::Process,
            timeout,
            with_fallbacks,
            Given::default(),
        )
        .with_standbys(&self.settings.standbys)
    }

    fn effective(&self) -> Vec<Effective> {
        effective::connection(self.argument.as_deref(), &self.target, &Env::Process)
    }
}

/// What [`look`] returns.
#[derive(Serialize)]
struct Look {
    exit_code: u8,
    address: String,
    error: Option<ConnectError>,
    instead_of: Option<ConnectError>,
    is_standby: bool,
    passes: bool,
    pause_s: f64,
    took_s: f64,
    warnings: Vec<String>,
}

/// Probes the target of a connect once, its fallbacks and the standbys included.
///
/// Args:
///     ray_address: as for `ensure_ray_initialized`.
///     timeout_s: bound of the whole probe in seconds; None is the probe timeout.
///
/// Returns:
///     A dict with `exit_code`, `address` (that answered, or was asked for), `error`,
///     `instead_of` (the error of the address that another one stands in for), `is_standby`
///     (whether that is a standby), `passes` (whether waiting may cure the error, a missing local
///     Ray included), `pause_s` (when to look again), `took_s`, and `warnings` about settings that
///     cannot be used.
///
/// Raises:
///     ValueError: the timeout is not above 0 and at most a year.
#[pyfunction]
#[pyo3(signature = (ray_address=None, timeout_s=None))]
pub fn look<'py>(
    py: Python<'py>,
    ray_address: Option<Text<'_, '_>>,
    timeout_s: Option<f64>,
) -> PyResult<Bound<'py, PyAny>> {
    let command = Command::read(py, ray_address, timeout_s)?;
    let began = Instant::now();
    let mut pause = retry::RESWEEP;
    let result = match &command.target {
        Err(error) => Err(error.clone()),
        Ok(target) => {
            let probe_plan = command.probe_plan(target, command.settings.fallbacks);
            let timeout = probe_plan.probe_timeout / probe_plan.rounds();
            let network: Arc<dyn Network> = Arc::new(Sockets);
            let result = blocking::block(
                py,
                probe_candidates(&network, &probe_plan, timeout.into(), true),
            )?;
            // Other servers are not asked at the pace of a port that refuses.
            if let Err(error) = &result
                && probe_plan.rounds() == 1
            {
                pause = retry::pause(error.kind);
            }
            result
        }
    };
    drop_log_records();
    let (address, error, stand_in) = match result {
        Ok(passed) => (passed.address.to_string(), None, passed.instead_of),
        Err(error) => (error.address.clone(), Some(error), None),
    };
    let kind = error.as_ref().map(|error| error.kind);
    let look = Look {
        exit_code: kind.map_or(OK, Kind::exit_code),
        address,
        error,
        is_standby: stand_in.as_ref().is_some_and(|it| it.role == Role::Standby),
        instead_of: stand_in.map(|it| it.cause),
        passes: kind.is_some_and(may_pass),
        pause_s: pause.as_secs_f64(),
        took_s: began.elapsed().as_secs_f64(),
        warnings: command.warnings,
    };
    Ok(pythonize(py, &look)?)
}

/// Whether waiting may cure it: a local Ray may still be started.
fn may_pass(kind: Kind) -> bool {
    matches!(kind, Kind::NoLocalRay | Kind::StaleLocalRay) || kind.is_transient()
}

/// What [`examine`] returns.
#[derive(Serialize)]
struct Report {
    version: &'static str,
    settings: Vec<Effective>,
    #[serde(flatten)]
    examination: Examination,
}

/// Examines a target hop by hop, and its fallbacks if it has any.
///
/// Args:
///     ray_address: as for `ensure_ray_initialized`.
///     timeout_s: bound of one probe in seconds; None is the probe timeout. The fallbacks are
///         probed after the address, side by side.
///     ray_version: of the installed Ray; None when Ray is not installed.
///     not_served: why `seedcore.utils.ray_utils` is not ours, unless that was asked for.
///
/// Returns:
///     A dict with `version`, `settings`, `candidates`, each with its `hops`, and `diagnosis`.
///
/// Raises:
///     ValueError: the timeout is not above 0 and at most a year.
#[pyfunction]
#[pyo3(signature = (ray_address=None, timeout_s=None, ray_version=None, not_served=None))]
pub fn examine<'py>(
    py: Python<'py>,
    ray_address: Option<Text<'_, '_>>,
    timeout_s: Option<f64>,
    ray_version: Option<String>,
    not_served: Option<String>,
) -> PyResult<Bound<'py, PyAny>> {
    let command = Command::read(py, ray_address, timeout_s)?;
    let examination = match &command.target {
        Err(error) => Examination::refused(error),
        Ok(target) => {
            let probe_plan = command.probe_plan(target, true);
            let network: Arc<dyn Network> = Arc::new(Sockets);
            let here = here(py, ray_version, not_served, command.settings.fallbacks);
            blocking::block(py, doctor::examine(&network, &probe_plan, &here))?
        }
    };
    drop_log_records();
    let report = Report {
        version: env!("CARGO_PKG_VERSION"),
        settings: command.effective(),
        examination,
    };
    Ok(pythonize(py, &report)?)
}

fn here(
    py: Python<'_>,
    ray_version: Option<String>,
    not_served: Option<String>,
    may_fall_back: bool,
) -> Here {
    let env = Env::Process;
    let python = py.version_info();
    Here {
        versions: ray_version.map(|ray| version::Local {
            ray,
            python: format!("{}.{}.{}", python.major, python.minor, python.patch),
            match_level: env.get("RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL"),
        }),
        not_served,
        kubernetes: Kubernetes::from_env(&env),
        may_fall_back,
    }
}

/// The settings in force, those of Ray Serve included, each with its source.
///
/// Returns:
///     A list of dicts with `name`, `value`, `source`, `variables`, `note` and `ok`. Host names
///     of the gateway are looked up, for at most 0.4 s each.
#[pyfunction]
pub fn effective_settings(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    let mut settings = Command::read(py, None, None)?.effective();
    settings.extend(effective::serve(&Env::Process, &gateway::current(py)));
    Ok(pythonize(py, &settings)?)
}

/// Drops what was queued for the log: a command prints everything itself, and flushing the queue
/// at exit would import `logging`.
fn drop_log_records() {
    process().logs.take();
}
