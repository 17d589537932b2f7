//! `shutdown_ray`.

use std::sync::Arc;

use pyo3::exceptions::PyException;
use pyo3::intern;
use pyo3::prelude::*;
use tracing::{info, warn};

use crate::log_target::CONNECT;
use crate::process::process;
use crate::python::connection::held;
use crate::python::interop::blocking::block;
use crate::python::interop::exit_guard::survived;
use crate::python::interop::reentry::is_connect_thread;
use crate::python::logs;
use crate::python::ray::{self, Presence};
use crate::session::{Session, ShutdownStep};

/// Disconnect. Idempotent, never raises, safe when Ray is dead.
///
/// Refused with one warning inside a Ray worker or Serve replica: it would disconnect the worker.
/// In a native driver, threads that are blocked in `ray.get` are ended by Ray with `SystemExit`;
/// in client mode they get a `ConnectionError`. A connect under way is called off; if `ray.init`
/// is already running, what it connects is disconnected on arrival.
#[pyfunction]
pub fn shutdown_ray(py: Python<'_>) -> PyResult<()> {
    survived(|| {
        let result = shut_down(py);
        logs::flush(py);
        result
    })
}

fn shut_down(py: Python<'_>) -> PyResult<()> {
    let session = Arc::clone(&process().session);
    if is_connect_thread() || session.is_forked() {
        return Ok(());
    }
    let module = match ray::look(py)? {
        Presence::Real(module) => Some(module),
        Presence::Fake(fake) => {
            return py
                .import(intern!(py, "seedcore_ray._stub"))?
                .call_method1(intern!(py, "shutdown"), (fake,))
                .map(drop);
        }
        Presence::Missing | Presence::NotImported => None,
    };
    if ray::in_worker(py) {
        session
            .once
            .warn("shutdown_ray() is refused inside a Ray worker: it would disconnect the worker");
        return Ok(());
    }
    held::forget_ended();
    if !takes_ray(py, &session, module.as_ref())? {
        return Ok(());
    }
    let result = module.map_or(Ok(()), |ray| call_shutdown(&ray));
    // Whatever Ray did, the next connect must be able to begin.
    session.closed(None);
    match result {
        Ok(()) => info!(target: CONNECT, "disconnected from Ray"),
        Err(error) if error.is_instance_of::<PyException>(py) => warn!(
            target: CONNECT,
            "ray.shutdown() raised, the connection is given up all the same: {error}"
        ),
        Err(interrupt) => return Err(interrupt),
    }
    Ok(())
}

/// Waits for what is under way. True when `ray.shutdown()` is to be called.
fn takes_ray(
    py: Python<'_>,
    session: &Session,
    module: Option<&Bound<'_, PyAny>>,
) -> PyResult<bool> {
    let shutdown = session.shutdown();
    loop {
        let is_up = module.is_some_and(|ray| ray::is_initialized(ray).unwrap_or(false));
        match shutdown.next(is_up) {
            ShutdownStep::Nothing | ShutdownStep::OnArrival => return Ok(false),
            ShutdownStep::Run => return Ok(true),
            ShutdownStep::Wait(is_over) => {
                if !block(py, is_over)? {
                    return Ok(false);
                }
            }
        }
    }
}

fn call_shutdown(ray: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = ray.py();
    py.import(intern!(py, "seedcore_ray._ray.shutdown"))?
        .call_method1(intern!(py, "shutdown"), (ray,))
        .map(drop)
}
