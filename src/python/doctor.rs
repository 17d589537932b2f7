//! What the command line shows: a look, a whole examination, the settings in force.
//!
//! Nothing here connects, and the breaker is neither asked nor told.

use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::config::{self, Env, Kubernetes, Settings};
use crate::doctor::effective::{self, Effective};
use crate::doctor::{Candidate, Diagnosis, Examination, Here, Hop, OK, examine as look_closely};
use crate::error::{ConnectError, Kind};
use crate::preflight::{Network, Passed, ProbePlan, Sockets, probe_candidates};
use crate::probe::version;
use crate::process::process;
use crate::python::gateway;
use crate::python::interop::args::Text;
use crate::python::interop::blocking;
use crate::retry;
use crate::target::{NamespaceArg, Target};

/// What a command goes by.
struct Case {
    argument: Option<String>,
    target: Result<Target, ConnectError>,
    settings: Settings,
    warnings: Vec<String>,
    timeout: Duration,
}

impl Case {
    fn read(argument: Option<&Text<'_, '_>>, timeout_s: Option<f64>) -> PyResult<Self> {
        let argument = argument.map(|text| text.get().into_owned());
        let env = Env::Process;
        let (settings, bad) = Settings::from_env(&env);
        let timeout = match timeout_s {
            None => settings.probe_timeout,
            Some(value) => {
                config::seconds(value, "timeout", false).map_err(PyValueError::new_err)?
            }
        };
        Ok(Self {
            target: Target::resolve(argument.as_deref(), &NamespaceArg::LeftOut, &env),
            argument,
            settings,
            warnings: bad.into_iter().map(|bad| bad.message).collect(),
            timeout,
        })
    }

    fn probe_plan(&self, target: &Target, with_fallbacks: bool) -> ProbePlan {
        ProbePlan::from_env(target.clone(), &Env::Process, self.timeout, with_fallbacks)
    }
}

/// One look at what a connect would go for, its fallbacks included.
///
/// Args:
///     ray_address: as for `ensure_ray_initialized`.
///     timeout_s: bound of the whole look in seconds; None is the probe timeout.
///
/// Returns:
///     A dict with `ok`, `exit_code`, `address`, `error`, `took_s`; `passes`, whether time may
///     cure the error for somebody who waits, a missing local Ray included; `pause_s`, when to
///     look again; `warnings`, settings that cannot be used.
///
/// Raises:
///     ValueError: the timeout cannot be one.
#[pyfunction]
#[pyo3(signature = (ray_address=None, timeout_s=None))]
#[allow(
    clippy::needless_pass_by_value,
    reason = "PyO3 hands over owned arguments"
)]
pub fn look<'py>(
    py: Python<'py>,
    ray_address: Option<Text<'_, '_>>,
    timeout_s: Option<f64>,
) -> PyResult<Bound<'py, PyDict>> {
    let case = Case::read(ray_address.as_ref(), timeout_s)?;
    let began = Instant::now();
    let mut pause = Duration::ZERO;
    let result = match &case.target {
        Err(error) => Err(error.clone()),
        Ok(target) => {
            let probe_plan = case.probe_plan(target, case.settings.fallbacks);
            let timeout = case.timeout / probe_plan.rounds();
            let network: Arc<dyn Network> = Arc::new(Sockets);
            let result =
                blocking::block(py, probe_candidates(&network, &probe_plan, timeout, true))?;
            if let Err(error) = &result {
                pause = pause_after(error.kind, &probe_plan);
            }
            result
        }
    };
    say_no_more();
    let told = PyDict::new(py);
    told.set_item("ok", result.is_ok())?;
    told.set_item("took_s", began.elapsed().as_secs_f64())?;
    told.set_item("pause_s", pause.as_secs_f64())?;
    told.set_item("warnings", case.warnings)?;
    tell_result(&told, &result)?;
    Ok(told)
}

/// Fallbacks are other people's servers: not to be asked at the pace of a port that refuses.
fn pause_after(kind: Kind, probe_plan: &ProbePlan) -> Duration {
    if probe_plan.fallbacks.is_empty() {
        retry::pause(kind)
    } else {
        retry::RESWEEP
    }
}

fn tell_result(told: &Bound<'_, PyDict>, result: &Result<Passed, ConnectError>) -> PyResult<()> {
    let py = told.py();
    match result {
        Ok(passed) => {
            told.set_item("exit_code", OK)?;
            told.set_item("address", passed.address.to_string())?;
            told.set_item("error", py.None())?;
            let cause = passed.instead_of.as_ref();
            told.set_item(
                "instead_of",
                cause.map(|cause| error_dict(py, cause)).transpose()?,
            )?;
            told.set_item("passes", false)?;
        }
        Err(error) => {
            told.set_item("exit_code", error.kind.exit_code())?;
            told.set_item("address", &error.address)?;
            told.set_item("error", error_dict(py, error)?)?;
            told.set_item("instead_of", py.None())?;
            let is_local = matches!(error.kind, Kind::NoLocalRay | Kind::StaleLocalRay);
            told.set_item("passes", is_local || error.kind.is_transient())?;
        }
    }
    Ok(())
}

/// Everything that can be found out about a target.
///
/// Args:
///     ray_address: as for `ensure_ray_initialized`.
///     timeout_s: bound of one look in seconds; None is the probe timeout. The fallbacks, where
///         there are any, are looked at after the address, side by side.
///     ray_version: of the Ray that is installed here; None when there is none.
///     not_served: why `seedcore.utils.ray_utils` is not ours, when nobody asked for that.
///
/// Returns:
///     A dict with `version`, `settings`, `candidates`, each with its `hops`, and `diagnosis`.
///
/// Raises:
///     ValueError: the timeout cannot be one.
#[pyfunction]
#[pyo3(signature = (ray_address=None, timeout_s=None, ray_version=None, not_served=None))]
#[allow(
    clippy::needless_pass_by_value,
    reason = "PyO3 hands over owned arguments"
)]
pub fn examine<'py>(
    py: Python<'py>,
    ray_address: Option<Text<'_, '_>>,
    timeout_s: Option<f64>,
    ray_version: Option<String>,
    not_served: Option<String>,
) -> PyResult<Bound<'py, PyDict>> {
    let case = Case::read(ray_address.as_ref(), timeout_s)?;
    let examination = match &case.target {
        Err(error) => Examination::refused(error),
        Ok(target) => {
            let probe_plan = case.probe_plan(target, true);
            let network: Arc<dyn Network> = Arc::new(Sockets);
            let here = here(py, ray_version, not_served, case.settings.fallbacks);
            blocking::block(py, look_closely(&network, &probe_plan, &here))?
        }
    };
    say_no_more();
    let argument = case.argument.as_deref();
    let settings = effective::connection(argument, &case.target, &Env::Process);
    let told = PyDict::new(py);
    told.set_item("version", env!("CARGO_PKG_VERSION"))?;
    told.set_item("settings", effective_list(py, settings)?)?;
    let candidates = examination.candidates.iter();
    let candidates: PyResult<Vec<_>> = candidates.map(|one| candidate_dict(py, one)).collect();
    told.set_item("candidates", candidates?)?;
    told.set_item("diagnosis", diagnosis_dict(py, &examination.diagnosis)?)?;
    Ok(told)
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

/// The settings in force, those of Ray Serve included, each with where it came from.
///
/// Returns:
///     A list of dicts with `name`, `value`, `source`, `variables`, `note` and `ok`. Looks names
///     up for the gateway, 0.4 s each at most.
#[pyfunction]
pub fn effective_settings(py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
    let case = Case::read(None, None)?;
    let mut settings = effective::connection(None, &case.target, &Env::Process);
    settings.extend(effective::serve(&Env::Process, &gateway::current(py)));
    effective_list(py, settings)
}

/// A command says all that there is to say itself: what was meant for the log must not import
/// `logging` at exit.
fn say_no_more() {
    process().logs.take();
}

fn error_dict<'py>(py: Python<'py>, error: &ConnectError) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("kind", error.kind.as_str())?;
    dict.set_item("address", &error.address)?;
    dict.set_item("message", &error.message)?;
    dict.set_item("hint", &error.hint)?;
    Ok(dict)
}

fn effective_list(py: Python<'_>, settings: Vec<Effective>) -> PyResult<Bound<'_, PyList>> {
    let list = PyList::empty(py);
    for setting in settings {
        let dict = PyDict::new(py);
        dict.set_item("name", setting.name)?;
        dict.set_item("value", setting.value)?;
        dict.set_item("source", setting.source)?;
        dict.set_item("variables", setting.variables)?;
        dict.set_item("note", setting.note)?;
        dict.set_item("ok", setting.ok)?;
        list.append(dict)?;
    }
    Ok(list)
}

fn candidate_dict<'py>(py: Python<'py>, candidate: &Candidate) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("address", candidate.address.to_string())?;
    dict.set_item("is_fallback", candidate.is_fallback)?;
    dict.set_item("verdict", candidate.verdict().as_str())?;
    let hops: PyResult<Vec<_>> = candidate.hops.iter().map(|hop| hop_dict(py, hop)).collect();
    dict.set_item("hops", hops?)?;
    let facts = &candidate.facts;
    dict.set_item("ray_version", facts.ray_version.as_deref())?;
    dict.set_item("python_version", facts.python_version.as_deref())?;
    dict.set_item("cluster_id", facts.cluster_id.as_deref())?;
    let cause = candidate.cause();
    dict.set_item(
        "error",
        cause.map(|cause| error_dict(py, cause)).transpose()?,
    )?;
    Ok(dict)
}

fn hop_dict<'py>(py: Python<'py>, hop: &Hop) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("name", hop.name)?;
    dict.set_item("verdict", hop.verdict.as_str())?;
    let at = hop
        .timing
        .map(|(at, _)| at.duration_since(UNIX_EPOCH).unwrap_or_default());
    dict.set_item("at", at.map(|at| at.as_secs_f64()))?;
    dict.set_item("took_s", hop.timing.map(|(_, took)| took.as_secs_f64()))?;
    dict.set_item("detail", &hop.detail)?;
    Ok(dict)
}

fn diagnosis_dict<'py>(py: Python<'py>, diagnosis: &Diagnosis) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("kind", diagnosis.kind.map(Kind::as_str))?;
    dict.set_item("exit_code", diagnosis.exit_code)?;
    dict.set_item("sentence", &diagnosis.sentence)?;
    dict.set_item("next", &diagnosis.next)?;
    Ok(dict)
}
