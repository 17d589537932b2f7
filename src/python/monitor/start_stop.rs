//! `start_monitor` and `stop_monitor`.

use std::time::Duration;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyInt, PyString};
use tracing::error;

use super::Monitor;
use crate::config::{Env, Settings};
use crate::health::{Plan, Release};
use crate::log_target::MONITOR;
use crate::process::process;
use crate::python::connection::held::HeldConnection;
use crate::python::interop::args::seconds;
use crate::python::interop::exit_guard::survived;
use crate::python::{logs, ray};
use crate::session::Mode;

/// Watch the connection of this process, or the next one, like that.
///
/// The monitor is on by default (`SEEDCORE_RAY_HEALTH_INTERVAL_S`) in drivers whose connection we
/// made; never in Ray workers and Serve replicas, for `local`, or for connections that somebody
/// else made.
///
/// Args:
///     interval_s: seconds between two looks while all is well; left out,
///         `SEEDCORE_RAY_HEALTH_INTERVAL_S`, or 5 where that is 0.
///     misses: looks in a row without an answer that make the connection unhealthy. A port that
///         refuses is asked again at once and counts after three.
///     reconnect: connect again after a loss; False only reports it.
///     release: whether Ray may be shut down to save a native driver from being ended by Ray (60 s
///         after its GCS died). `auto`: only while no thread is blocked inside Ray. `always`: a
///         `ray.get` or `ray.wait` that is blocked is ended first, with a `RayConnectionError` of
///         kind `lost` (Ray 2.44 and newer). `never`: Ray is left to itself. None: `always` where
///         this Ray's calls can be ended, from 2.44 on, else `auto`.
///     deep: run a trivial task with each look, too.
///
/// Raises:
///     TypeError, ValueError: for a mistake in the call.
#[pyfunction]
#[pyo3(
    signature = (
        interval_s=None, misses=Misses(3), reconnect=Flag(true), release=Chosen(None),
        deep=Flag(false),
    ),
    text_signature = "(interval_s=5.0, misses=3, reconnect=True, release=None, deep=False)"
)]
pub fn start_monitor(
    py: Python<'_>,
    interval_s: Option<&Bound<'_, PyAny>>,
    misses: Misses,
    reconnect: Flag,
    release: Chosen,
    deep: Flag,
) -> PyResult<()> {
    let interval = interval_s.map(interval).transpose()?;
    process().policy.set(Some(Plan {
        interval: interval.unwrap_or_else(usual_interval),
        misses: misses.0,
        reconnect: reconnect.0,
        release: release.0,
        deep: deep.0,
    }));
    survived(|| watch_anew(py))
}

/// The environment's interval; 5 s where that is 0, which does not forbid an explicit monitor.
fn usual_interval() -> Duration {
    let interval = Settings::from_env(&Env::Process).0.health_interval;
    if interval.is_zero() {
        Duration::from_secs(5)
    } else {
        interval
    }
}

/// Stop watching. A cluster that is lost from now on is lost as with bare Ray; a reconnect that is
/// waiting for one is given up.
#[pyfunction]
pub fn stop_monitor() {
    let process = process();
    process.policy.set(None);
    process.session.set_watch(None);
}

/// Gives the connection that is held a monitor by the policy of now.
fn watch_anew(py: Python<'_>) -> PyResult<()> {
    let session = &process().session;
    let Some(connection) = session.connection() else {
        return Ok(());
    };
    let mode = connection.info.mode;
    if mode == Mode::Adopted || ray::in_worker(py) {
        session
            .once
            .warn("the monitor watches only connections that this process made through us");
        logs::flush(py);
        return Ok(());
    }
    let Some(held) = HeldConnection::of(&connection) else {
        return Ok(());
    };
    let monitor = Monitor::create(py, &held, mode)?;
    session.set_watch(monitor.as_ref().map(|monitor| monitor.get().watch()));
    if let Some(monitor) = monitor {
        launch(py, &monitor);
    }
    Ok(())
}

fn launch(py: Python<'_>, monitor: &Py<Monitor>) {
    let launched = py
        .import(intern!(py, "seedcore_ray._monitor"))
        .and_then(|module| module.call_method1(intern!(py, "launch"), (monitor,)));
    if let Err(cause) = launched {
        process().session.set_watch(None);
        error!(target: MONITOR, "the connection is not watched, no thread could be started: {cause}");
    }
}

/// A number of seconds between two looks of the monitor.
fn interval(value: &Bound<'_, PyAny>) -> PyResult<Duration> {
    let interval = seconds(value, "interval_s")?;
    if interval.is_zero() {
        return Err(PyValueError::new_err(
            "interval_s has to be above 0; stop_monitor() switches the monitor off",
        ));
    }
    Ok(interval)
}

/// `misses` of the monitor.
#[derive(Clone, Copy)]
pub struct Misses(u32);

impl<'py> FromPyObject<'_, 'py> for Misses {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if !object.is_instance_of::<PyInt>() || object.is_instance_of::<PyBool>() {
            return Err(wrong_type("misses must be a whole number", &object));
        }
        match object.extract::<u32>() {
            Ok(misses) if misses > 0 => Ok(Self(misses)),
            _ => Err(PyValueError::new_err(format!(
                "misses={} cannot be used: give a whole number from 1 to {}",
                object.str()?,
                u32::MAX
            ))),
        }
    }
}

/// A switch of the monitor.
#[derive(Clone, Copy)]
pub struct Flag(bool);

impl<'py> FromPyObject<'_, 'py> for Flag {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        match object.extract::<bool>() {
            Ok(flag) => Ok(Self(flag)),
            Err(_) => Err(wrong_type("reconnect and deep take True or False", &object)),
        }
    }
}

/// `release` of the monitor; `None` leaves it to the Ray that is connected.
#[derive(Clone, Copy)]
pub struct Chosen(Option<Release>);

impl<'py> FromPyObject<'_, 'py> for Chosen {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if object.is_none() {
            return Ok(Self(None));
        }
        let names = Release::NAMES.join(", ");
        let Ok(text) = object.cast::<PyString>() else {
            return Err(wrong_type(&format!("release is one of {names}"), &object));
        };
        let text = text.to_string_lossy();
        Release::parse(&text)
            .map(|release| Self(Some(release)))
            .ok_or_else(|| {
                PyValueError::new_err(format!(
                    "release={text:?} cannot be used: give one of {names}"
                ))
            })
    }
}

fn wrong_type(wanted: &str, object: &Bound<'_, PyAny>) -> PyErr {
    match object.get_type().name() {
        Ok(name) => PyTypeError::new_err(format!("{wanted}, not {name}")),
        Err(error) => error,
    }
}
