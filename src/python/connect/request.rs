//! What a call asks for, and what can be answered before anybody waits.

use std::sync::Arc;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tracing::{error, warn};

use crate::config::{Env, Settings};
use crate::connect::{self, Wish};
use crate::error::{ConnectError, Kind};
use crate::log_target::{CONFIG, CONNECT};
use crate::probe::version::ray_missing;
use crate::process::process;
use crate::python::connection::adoption::{compare, observed};
use crate::python::connection::held;
use crate::python::interop::args::Asked;
use crate::python::interop::reentry::is_connect_thread;
use crate::python::logs;
use crate::python::ray::{self, Presence, arguments};
use crate::target::Target;

/// What a call wants besides its target.
#[derive(Clone, Default)]
pub struct Options<'a, 'py> {
    pub wish: Wish,
    pub init_kwargs: Option<&'a Bound<'py, PyDict>>,
    /// The caller awaits, so that nothing is blocked.
    pub awaits: bool,
}

/// A call that has to connect, or to wait for a connect.
pub struct Request {
    pub core: Arc<connect::Request>,
    pub asked: Arc<Asked>,
    /// A copy: the caller may change its own afterwards.
    pub init_kwargs: Option<Py<PyDict>>,
    /// See [`Wish::force`].
    pub force: bool,
}

/// What is known before anybody waits.
pub enum Prepared {
    /// The answer.
    Done(Result<(), ConnectError>),
    /// A connect is needed.
    Connect(Request),
}

/// Decides whether a connect is needed. Does not block.
///
/// # Errors
///
/// What Python raises; a connection problem is [`Prepared::Done`].
pub fn prepare(
    py: Python<'_>,
    asked: &Arc<Asked>,
    options: &Options<'_, '_>,
) -> PyResult<Prepared> {
    let prepared = match answer(py, asked, options)? {
        Answer::Known(result) => Prepared::Done(result),
        Answer::Connect(wanted) => request(py, asked, wanted, options)?,
    };
    if let Prepared::Done(Err(error)) = &prepared {
        process().session.metrics.rejected(error.kind);
    }
    Ok(prepared)
}

enum Answer<'py> {
    Known(Result<(), ConnectError>),
    Connect(Wanted<'py>),
}

/// The connection to make.
struct Wanted<'py> {
    target: Target,
    /// Further arguments for `ray.init`.
    init_kwargs: Option<Bound<'py, PyDict>>,
}

impl<'py> Wanted<'py> {
    /// What the call asks for; where it asks for nothing, the connection that this process had, if
    /// somebody else has ended it.
    fn of(py: Python<'py>, asked: &Asked, options: &Options<'_, 'py>) -> PyResult<ResultOf<Self>> {
        let asks_nothing =
            asked.is_nothing() && options.init_kwargs.is_none() && !options.wish.force;
        if asks_nothing && held::has_connected() {
            // The connection may have been ended behind our back.
            observed(py)?;
        }
        let ended = asks_nothing.then(held::ended).flatten();
        let ended = ended.as_ref().and_then(|connection| connection.origin());
        let target = match ended {
            Some(origin) => ray::renew(py, &origin.target),
            None => ray::resolve(py, asked.address(), &asked.namespace()),
        };
        let init_kwargs = match ended {
            Some(origin) => origin.init_kwargs.as_ref().map(|kwargs| kwargs.bind(py)),
            None => options.init_kwargs,
        };
        Ok(target.map(|target| Self {
            target,
            init_kwargs: init_kwargs.cloned(),
        }))
    }
}

type ResultOf<T> = Result<T, ConnectError>;

fn answer<'py>(
    py: Python<'py>,
    asked: &Arc<Asked>,
    options: &Options<'_, 'py>,
) -> PyResult<Answer<'py>> {
    let session = Arc::clone(&process().session);
    if is_connect_thread() || logs::is_flushing() {
        let connected = held::is_alive(py).then_some(());
        return Ok(Answer::Known(connected.ok_or_else(reentrant)));
    }
    if process().is_first_connect() {
        // Imported before a connect is under way: a fork during the import would leave the child
        // with a locked module.
        py.import(intern!(py, "seedcore_ray._connect"))?
            .getattr(intern!(py, "auto_connect"))?
            .call_method0(intern!(py, "switch_off"))?;
    }
    let force = options.wish.force;
    let wanted = match Wanted::of(py, asked, options)? {
        Ok(wanted) => wanted,
        // Whatever was asked for, one process has one connection, and it is there.
        Err(error) if !force && is_connected(py)? => {
            session
                .once
                .warn(&format!("{error} This process stays connected."));
            return Ok(Answer::Known(Ok(())));
        }
        Err(error) => return Ok(Answer::Known(Err(session.refuse(error)))),
    };
    let address = wanted.target.address.to_string();
    if let Some(error) = session.refusal(&address) {
        return Ok(Answer::Known(Err(refused(error))));
    }
    match observed(py)? {
        Presence::Fake(fake) => return connect_stand_in(&fake, &wanted.target, options),
        Presence::Missing => {
            let error = ray_missing(&address);
            session.once.warn(&error.to_string());
            session.note_failure(&error);
            return Ok(Answer::Known(Err(error)));
        }
        Presence::Real(_) | Presence::NotImported => {}
    }
    Ok(answer_from_session(py, asked, wanted, force))
}

fn answer_from_session<'py>(
    py: Python<'py>,
    asked: &Arc<Asked>,
    wanted: Wanted<'py>,
    force: bool,
) -> Answer<'py> {
    let session = &process().session;
    if force && ray::in_worker(py) {
        session
            .once
            .warn("force_reinit is refused inside a Ray worker: it would disconnect the worker");
        return Answer::Known(Ok(()));
    }
    if !force && held::is_alive(py) {
        compare(py, asked, &wanted.target, wanted.init_kwargs.as_ref());
        return Answer::Known(Ok(()));
    }
    let last_error = session.last_error().filter(|_| !force);
    match last_error {
        // The monitor waits for the cluster, and has logged that.
        Some(error) if error.kind == Kind::Lost => Answer::Known(Err(error)),
        _ => Answer::Connect(wanted),
    }
}

/// Whether there is a connection, made by us or by anybody else.
fn is_connected(py: Python<'_>) -> PyResult<bool> {
    if ray::imported(py, "ray").is_some() {
        observed(py)?;
    }
    Ok(held::is_alive(py))
}

/// One line for all refusals: a worker loop in a forked child asks again and again.
fn refused(error: ConnectError) -> ConnectError {
    let session = &process().session;
    if session.once.is_first(&error.message) {
        error!(target: CONNECT, "{error}");
    }
    session.note_failure(&error);
    error
}

fn reentrant() -> ConnectError {
    ConnectError::new(
        Kind::Reentrant,
        "",
        "Called from inside our own connect (a log handler, or a hook of ray.init)",
        "Use the connection after the connect has returned.",
    )
}

fn connect_stand_in<'py>(
    fake: &Bound<'py, PyAny>,
    target: &Target,
    options: &Options<'_, 'py>,
) -> PyResult<Answer<'py>> {
    let py = fake.py();
    let address = target.address.to_string();
    let words = py.import(intern!(py, "seedcore_ray._stub"))?.call_method1(
        intern!(py, "ensure"),
        (
            fake,
            &address,
            target.namespace.as_deref(),
            options.wish.force,
            options.init_kwargs,
        ),
    )?;
    if words.is_none() {
        return Ok(Answer::Known(Ok(())));
    }
    let error = ConnectError::new(
        Kind::InitFailed,
        &address,
        format!("The stand-in for ray did not connect to {address}: {words}"),
        "sys.modules['ray'] is not Ray but something that a test put there.",
    );
    Ok(Answer::Known(Err(process().session.refuse(error))))
}

/// Settings, breaker and surroundings: a request, or the answer at once.
fn request(
    py: Python<'_>,
    asked: &Arc<Asked>,
    wanted: Wanted<'_>,
    options: &Options<'_, '_>,
) -> PyResult<Prepared> {
    let session = &process().session;
    let (settings, bad) = Settings::from_env(&Env::Process);
    for setting in bad {
        if session.once.is_first(&setting.message) {
            error!(target: CONFIG, "{}", setting.message);
        }
    }
    let wish = Wish {
        blocks_loop: !options.awaits && ray::blocks_loop(py)?,
        setup: arguments::setup(wanted.init_kwargs.as_ref()),
        ..options.wish.clone()
    };
    if wish.blocks_loop {
        warn!(
            target: CONNECT,
            "a blocking connect blocks a thread whose event loop is running, up to 5 s until the \
             cluster has answered and then for ray.init; await \
             seedcore_ray.ensure_ray_initialized_async() or connect_async() there instead"
        );
    }
    let core = match connect::Request::new(session, wanted.target, wish, &settings) {
        Ok(core) => core,
        Err(rejected) => {
            // No log line: the failure that opened the circuit has one.
            held::remember_rejection(py, asked, &rejected);
            return Ok(Prepared::Done(Err(rejected)));
        }
    };
    let init_kwargs = wanted.init_kwargs.as_ref();
    let init_kwargs = init_kwargs.map(arguments::copied).transpose()?;
    Ok(Prepared::Connect(Request {
        core: Arc::new(core),
        asked: Arc::clone(asked),
        init_kwargs: init_kwargs.map(Bound::unbind),
        force: options.wish.force,
    }))
}
