//! Access to the connection for code that needs one and must not make it.

use std::sync::Arc;

use pyo3::prelude::*;

use super::adoption;
use super::held::{self, HeldConnection};
use crate::process::process;
use crate::python::interop::errors::not_ready;
use crate::python::interop::exit_guard::survived;
use crate::python::ray::{self, Presence};

/// The connection, no matter who made it.
///
/// # Errors
///
/// `RayNotReadyError`, which names `what`, when there is none.
pub fn required(py: Python<'_>, what: Option<&str>) -> PyResult<Arc<HeldConnection>> {
    if let Some(connection) = held::current(py) {
        return Ok(connection);
    }
    adoption::sync(py)?;
    if let Some(connection) = held::current(py) {
        return Ok(connection);
    }
    if let Some(connection) = stand_in(py)? {
        return Ok(connection);
    }
    let reason = process().session.not_connected_reason();
    Err(not_ready(py, what, &reason))
}

/// What a test suite put in Ray's place, if it says that it is connected.
fn stand_in(py: Python<'_>) -> PyResult<Option<Arc<HeldConnection>>> {
    if ray::imported(py, "ray").is_none() {
        return Ok(None);
    }
    survived(|| {
        let Presence::Fake(fake) = ray::look(py)? else {
            return Ok(None);
        };
        let is_connected = ray::is_initialized(&fake)?;
        Ok(is_connected.then(|| HeldConnection::by_stand_in(&fake)))
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
    required(py, what).map(drop)
}
