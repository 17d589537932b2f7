//! What is known before anybody waits: the answer, or what a flight has to tell.

use std::sync::Arc;

use pyo3::intern;
use pyo3::prelude::*;
use tracing::{error, warn};

use crate::config::Env;
use crate::error::{ConnectError, Kind};
use crate::probe::version::ray_missing;
use crate::process::process;
use crate::python::connect::driver::on_flight_thread;
use crate::python::connect::request::{self, Options, Request};
use crate::python::connection::adoption::{compare, notice};
use crate::python::connection::held::{self, imported};
use crate::python::interop::args::Asked;
use crate::python::logs;
use crate::python::ray::{self, Presence};
use crate::target::Target;

/// What is known before anybody waits.
#[allow(clippy::large_enum_variant, reason = "moved once, on the slow path")]
pub enum Prepared {
    /// The answer.
    Done(Result<(), ConnectError>),
    /// A flight has to tell.
    Go(Request),
}

/// Decides whether a flight is needed. Does not block.
pub fn prepare(
    py: Python<'_>,
    asked: &Arc<Asked>,
    options: &Options<'_, '_>,
) -> PyResult<Prepared> {
    let prepared = decide(py, asked, options)?;
    if let Prepared::Done(Err(error)) = &prepared {
        process().session.metrics.rejected(error.kind);
    }
    Ok(prepared)
}

fn decide(py: Python<'_>, asked: &Arc<Asked>, options: &Options<'_, '_>) -> PyResult<Prepared> {
    let refused = |error| Ok(Prepared::Done(Err(refuse(error))));
    if on_flight_thread() || logs::is_flushing() {
        let connected = held::is_alive(py);
        return Ok(Prepared::Done(
            connected.then_some(()).ok_or_else(reentrant),
        ));
    }
    if process().session.is_first_connect() {
        py.import(intern!(py, "seedcore_ray._connect"))?
            .call_method0(intern!(py, "switch_off_auto_connect"))?;
    }
    let target = match Target::resolve(asked.address(), &asked.namespace(), &Env::Process) {
        Ok(target) => target,
        // Whatever was asked for, one process has one connection, and it is there.
        Err(error) if !options.force && is_connected(py)? => {
            warn_once(&format!("{error} This process stays connected."));
            return Ok(Prepared::Done(Ok(())));
        }
        Err(error) => return refused(error),
    };
    if let Some(error) = process().session.refusal(&target.address.to_string()) {
        // A worker loop in a forked child asks again and again: one line for all of them.
        if process().session.is_first(&error.message) {
            error!("{error}");
        }
        process().session.note_failure(&error);
        return Ok(Prepared::Done(Err(error)));
    }
    let presence = ray::look(py)?;
    match &presence {
        Presence::Real(module) => notice(module)?,
        Presence::Fake(fake) => return fake_ensure(fake, &target, options).map(Prepared::Done),
        Presence::Missing => {
            let missing = ray_missing(&target.address.to_string());
            return Ok(Prepared::Done(Err(refuse_once(missing))));
        }
        Presence::NotImported => {}
    }
    if options.force && ray::in_worker(py) {
        warn_once("force_reinit is refused inside a Ray worker: it would disconnect the worker");
        return Ok(Prepared::Done(Ok(())));
    }
    if !options.force && held::is_alive(py) {
        compare(asked, &target);
        return Ok(Prepared::Done(Ok(())));
    }
    if let Some(error) = process().session.lost_error().filter(|_| !options.force) {
        // The monitor is at it, and has said so.
        return Ok(Prepared::Done(Err(error)));
    }
    request::resolve(py, asked, target, options)
}

/// Whether there is a connection, made by us or by anybody else.
fn is_connected(py: Python<'_>) -> PyResult<bool> {
    if imported(py, "ray").is_some()
        && let Presence::Real(module) = ray::look(py)?
    {
        notice(&module)?;
    }
    Ok(held::is_alive(py))
}

/// After a connect, on the caller's thread: remember the arguments, warn when they meant something else.
pub fn finish(py: Python<'_>, asked: &Arc<Asked>, target: &Target) -> PyResult<()> {
    py.import(intern!(py, "seedcore_ray._connect"))?
        .call_method0(intern!(py, "graceful_sigterm"))?;
    compare(asked, target);
    Ok(())
}

fn fake_ensure(
    fake: &Bound<'_, PyAny>,
    target: &Target,
    options: &Options<'_, '_>,
) -> PyResult<Result<(), ConnectError>> {
    let py = fake.py();
    let address = target.address.to_string();
    let words = py.import(intern!(py, "seedcore_ray._stub"))?.call_method1(
        intern!(py, "ensure"),
        (
            fake,
            &address,
            target.namespace.as_deref(),
            options.force,
            options.init_kwargs,
        ),
    )?;
    if words.is_none() {
        return Ok(Ok(()));
    }
    Ok(Err(refuse(ConnectError::new(
        Kind::InitFailed,
        &address,
        format!("The stand-in for ray did not connect to {address}: {words}"),
        "sys.modules['ray'] is not Ray but something that a test put there.",
    ))))
}

fn reentrant() -> ConnectError {
    ConnectError::new(
        Kind::Reentrant,
        "",
        "Called from inside our own connect (a log handler, or a hook of ray.init)",
        "Use the connection after the connect has returned.",
    )
}

/// Reports a failure that no flight reports.
pub fn refuse(error: ConnectError) -> ConnectError {
    error!("{error}");
    process().session.note_failure(&error);
    error
}

/// As [`refuse`], for what asking again cannot change: one warning in a process.
fn refuse_once(error: ConnectError) -> ConnectError {
    warn_once(&error.to_string());
    process().session.note_failure(&error);
    error
}

pub fn warn_once(message: &str) {
    if process().session.is_first(message) {
        warn!("{message}");
    }
}
