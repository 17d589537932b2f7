//! Whether there is a connection now, for what needs one and must not make it.

use std::sync::Arc;

use pyo3::prelude::*;

use crate::absence::absence;
use crate::process::process;
use crate::python::connection::held::{self, Connected, imported};
use crate::python::connection::take_note;
use crate::python::interop::errors::not_ready;
use crate::python::interop::exit_guard::survived;
use crate::python::ray::{self, Presence};

/// The connection, whoever made it.
///
/// Raises:
///     RayNotReadyError: there is none; it names `what`.
pub fn connected(py: Python<'_>, what: Option<&str>) -> PyResult<Arc<Connected>> {
    if let Some(connection) = held::current(py) {
        return Ok(connection);
    }
    take_note(py)?;
    if let Some(connection) = held::current(py) {
        return Ok(connection);
    }
    match stand_in(py)? {
        Some(connection) => Ok(connection),
        None => Err(not_ready(py, what, &absence(&process().session))),
    }
}

/// What a test suite put in Ray's place, if it says that it is connected.
fn stand_in(py: Python<'_>) -> PyResult<Option<Arc<Connected>>> {
    if imported(py, "ray").is_none() {
        return Ok(None);
    }
    survived(|| {
        let Presence::Fake(fake) = ray::look(py)? else {
            return Ok(None);
        };
        let is_connected = ray::is_initialized(&fake)?;
        Ok(is_connected.then(|| Connected::by_stand_in(&fake)))
    })
}

/// Make sure that this process is connected to Ray, for a constructor that assumes it.
///
/// Never connects by itself and never blocks: reads memory only.
///
/// Args:
///     what: what needs the connection, for the error.
///
/// Raises:
///     RayNotReadyError: there is no connection at the moment; carries the reason.
#[pyfunction]
#[pyo3(signature = (what=None))]
pub fn require_ray(py: Python<'_>, what: Option<&str>) -> PyResult<()> {
    if held::is_alive(py) {
        return Ok(());
    }
    connected(py, what).map(drop)
}
