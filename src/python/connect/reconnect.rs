//! Connecting again after a loss, for the thread of a monitor.

use std::sync::Arc;

use arc_swap::Guard;
use pyo3::prelude::*;

use super::attempt::launch;
use crate::config::{Env, Settings};
use crate::connect::{Next, Request, Wish};
use crate::process::process;
use crate::python::interop::blocking::detached;
use crate::python::interop::exit_guard::survived;
use crate::python::monitor::Monitor;
use crate::python::ray::{arguments, given};

/// Connects once, as the lost connection was made. A new connection has a monitor of its own; the
/// session is told how a failed one ended.
#[pyfunction]
pub fn reconnect(py: Python<'_>, monitor: &Bound<'_, Monitor>) -> PyResult<()> {
    let Some(origin) = monitor.get().origin() else {
        return Ok(());
    };
    survived(|| {
        let process = Guard::into_inner(process());
        let seat = monitor.get().seat();
        let settings = Settings {
            probe_timeout: monitor.get().probe_timeout(),
            ..seat.settings()
        };
        let kwargs = origin.init_kwargs.as_ref().map(|kwargs| kwargs.bind(py));
        let once = Wish {
            timeout: Some(std::time::Duration::ZERO),
            setup: arguments::setup(kwargs),
            ..Wish::default()
        };
        let target = origin.target.clone();
        let Ok(request) = Request::new(&seat.session(), target, once, &settings) else {
            return Ok(());
        };
        let request = Arc::new(request);
        let given = given::in_arguments(py, origin.init_kwargs.as_ref());
        let flight = || request.flight(&Env::Process, given);
        let next = request.next(flight, |flight| {
            launch(py, seat, origin.init_kwargs.as_ref(), flight)
        })?;
        if let Next::Wait(outcome) = next {
            let _ = detached(py, || process.runtime.block_on(outcome));
        }
        Ok(())
    })
}
