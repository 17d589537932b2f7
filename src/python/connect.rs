//! `ensure_ray_initialized` and its kin: decide, then let one flight do it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tracing::{error, warn};

use super::args::{Asked, Namespace, Text, check_init_kwargs, seconds};
use super::ending::survived;
use super::flight::{Flight as PyFlight, on_flight_thread};
use super::held::{self, imported};
use super::ray::{self, Presence};
use super::wait::{self, Budget};
use super::{errors, logs, turned_away};
use crate::address::RayAddress;
use crate::breaker::{Verdict, circuit_open};
use crate::config::{Env, Kubernetes, Settings};
use crate::error::{ConnectError, Kind};
use crate::flight::{Flight, Orders};
use crate::preflight::{Network, Sockets, Survey};
use crate::probe::{self, Credentials};
use crate::process::process;
use crate::session::{Live, Mode};
use crate::target::{NamespaceArg, Source, Target};

/// Connect this process to Ray once; True when connected.
///
/// Args:
///     ray_address: `auto`, `local`, `host:port` or `ray://host[:port]`. None or blank:
///         `RAY_ADDRESS`, else `auto`. As in Ray, `RAY_ADDRESS` also replaces an explicit `auto`.
///     ray_namespace: Ray's namespace. Left out or None: `SEEDCORE_NS`, else `RAY_NAMESPACE`; else
///         `seedcore-dev` when left out, and Ray's anonymous namespace for None.
///     force_reinit: look whether the target answers, then shut a live connection down and connect
///         anew. If the target does not answer, the live connection is kept and this returns
///         False. Inside a Ray worker it is refused with a warning.
///     connect_timeout_s: seconds to wait for an answer; 0 looks once. Default:
///         `SEEDCORE_RAY_CONNECT_TIMEOUT_S`, else 30. Once the cluster answers, `ray.init` has a
///         bound of its own, `SEEDCORE_RAY_INIT_TIMEOUT_S`.
///     **init_kwargs: handed to `ray.init` unchanged.
///
/// Returns:
///     True when connected, by us or by anybody else. False when not: the cause is in the log and
///     in `seedcore_ray.last_error()`.
///
/// Raises:
///     TypeError, ValueError: for a mistake in the call; never for a connection problem.
#[pyfunction]
#[pyo3(
    signature = (ray_address=None, ray_namespace=Namespace::LeftOut, force_reinit=None, *, connect_timeout_s=None, **init_kwargs),
    text_signature = "(ray_address=None, ray_namespace='seedcore-dev', force_reinit=False, *, connect_timeout_s=None, **init_kwargs)"
)]
#[allow(
    clippy::needless_pass_by_value,
    reason = "PyO3 hands over owned arguments"
)]
pub fn ensure_ray_initialized(
    py: Python<'_>,
    ray_address: Option<Text<'_, '_>>,
    ray_namespace: Namespace<'_, '_>,
    force_reinit: Option<&Bound<'_, PyAny>>,
    connect_timeout_s: Option<&Bound<'_, PyAny>>,
    init_kwargs: Option<&Bound<'_, PyDict>>,
) -> PyResult<bool> {
    let force = force_reinit.map_or(Ok(false), Bound::is_truthy)?;
    let timeout = connect_timeout_s
        .map(|value| seconds(value, "connect_timeout_s"))
        .transpose()?;
    if !force && init_kwargs.is_none() && held::answers(py, ray_address.as_ref(), &ray_namespace) {
        return Ok(true);
    }
    let may_wait = timeout.is_none_or(|timeout| !timeout.is_zero());
    if may_wait && turned_away::stands(py, ray_address.as_ref(), &ray_namespace) {
        return Ok(false);
    }
    check_init_kwargs(init_kwargs)?;
    let asked = Arc::new(Asked::new(ray_address.as_ref(), &ray_namespace));
    let options = Options {
        force,
        timeout,
        init_kwargs,
        ..Options::default()
    };
    Ok(ensure(py, &asked, &options)?.is_ok())
}

/// Connect from the environment; idempotent.
///
/// Raises:
///     RayConnectionError: not connected; carries `kind`, `address`, `hint`, `attempts` and
///         `retry_after_s`.
#[pyfunction]
pub fn connect(py: Python<'_>) -> PyResult<()> {
    if held::answers(py, None, &Namespace::LeftOut) {
        return Ok(());
    }
    ensure(py, &Arc::new(Asked::nothing()), &Options::default())?
        .map_err(|error| errors::raise(py, &error))
}

/// Wait until connected and answering; connects when nobody has.
///
/// Args:
///     max_wait_seconds: how long, in seconds. Waits for a local Ray to be started, too. Ctrl-C
///         works.
///
/// Returns:
///     True as soon as Ray answers, False when the time is up or the cause cannot pass.
#[pyfunction]
#[pyo3(signature = (max_wait_seconds=None), text_signature = "(max_wait_seconds=5)")]
pub fn wait_for_ray_ready(
    py: Python<'_>,
    max_wait_seconds: Option<&Bound<'_, PyAny>>,
) -> PyResult<bool> {
    let five = Duration::from_secs(5);
    let timeout = max_wait_seconds.map_or(Ok(five), |value| seconds(value, "max_wait_seconds"))?;
    let end = std::time::Instant::now() + timeout;
    let options = Options {
        timeout: Some(timeout),
        stubborn: true,
        ..Options::default()
    };
    if ensure(py, &Arc::new(Asked::nothing()), &options)?.is_err() {
        return Ok(false);
    }
    super::cluster::answers_until(py, end)
}

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

/// What a call wants besides its target.
#[derive(Clone, Copy, Default)]
pub struct Options<'a, 'py> {
    pub force: bool,
    pub timeout: Option<Duration>,
    pub stubborn: bool,
    pub init_kwargs: Option<&'a Bound<'py, PyDict>>,
    /// The caller awaits, so that nothing is blocked.
    pub on_loop: bool,
}

/// One caller's wish, resolved: what, how, and for how long.
pub struct Request {
    survey: Survey,
    orders: Orders,
    pub budget: Budget,
    init_kwargs: Option<Py<PyDict>>,
    pub trial: Option<Arc<Trial>>,
}

/// A try that the breaker has let through, and wants to hear of.
pub struct Trial {
    target: Target,
    /// How long the circuit opens at first.
    reset: Duration,
    /// The one look on behalf of all, while the circuit is half open.
    is_probe: bool,
}

impl Trial {
    /// It ended so.
    pub fn failed(&self, cause: &ConnectError) {
        process().session.tried(&self.target, cause, self.reset);
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        if self.is_probe {
            process().session.vanished(&self.target);
        }
    }
}

impl Request {
    /// A failure that this caller is told: remembered, and reported to the breaker.
    pub fn failed(trial: Option<&Arc<Trial>>, cause: &ConnectError) {
        process().session.note_failure(cause);
        if let Some(trial) = trial {
            trial.failed(cause);
        }
    }

    /// A new flight towards it.
    pub fn flight(&self) -> Arc<Flight> {
        let network: Arc<dyn Network> = Arc::new(Sockets);
        Flight::new(self.survey.clone(), self.orders, network)
    }

    /// What is asked for.
    pub const fn target(&self) -> &Target {
        &self.survey.target
    }

    /// Other work did not end in time.
    pub fn busy(&self) -> ConnectError {
        let address = self.survey.target.address.to_string();
        ConnectError::new(
            Kind::InitTimeout,
            &address,
            format!("Not connecting to {address}: an earlier ray.init or ray.shutdown still runs"),
            "A running ray.init cannot be stopped; try again later or restart the process.",
        )
    }
}

/// The slow path: everything but "connected, and these arguments are known".
pub fn ensure(
    py: Python<'_>,
    asked: &Arc<Asked>,
    options: &Options<'_, '_>,
) -> PyResult<Result<(), ConnectError>> {
    survived(|| {
        let result = try_ensure(py, asked, options);
        // A failure outside a flight has its lines still queued.
        logs::flush(py);
        result
    })
}

fn try_ensure(
    py: Python<'_>,
    asked: &Arc<Asked>,
    options: &Options<'_, '_>,
) -> PyResult<Result<(), ConnectError>> {
    let request = match prepare(py, asked, options)? {
        Prepared::Done(result) => return Ok(result),
        Prepared::Go(request) => request,
    };
    let outcome = wait::connected(py, &request)?;
    // Somebody else may have connected while we looked.
    if outcome.is_ok() || (!options.force && held::is_alive(py)) {
        finish(py, asked, request.target())?;
        return Ok(Ok(()));
    }
    Ok(outcome)
}

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
    let refused = |error| Ok(Prepared::Done(Err(refuse(error))));
    if on_flight_thread() || logs::is_flushing() {
        let connected = held::is_alive(py);
        return Ok(Prepared::Done(
            connected.then_some(()).ok_or_else(reentrant),
        ));
    }
    if process().session.is_first_connect() {
        py.import(intern!(py, "seedcore_ray._flight"))?
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
        // A worker loop in a forked child asks again and again.
        return Ok(Prepared::Done(Err(refuse_once(error))));
    }
    let presence = ray::look(py)?;
    match &presence {
        Presence::Real(module) => notice(module)?,
        Presence::Fake(fake) => return fake_ensure(fake, &target, options).map(Prepared::Done),
        Presence::Missing => return Ok(Prepared::Done(Err(refuse_once(ray_missing(&target))))),
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
    request(py, asked, target, options)
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

/// Takes note of what happened behind our back: somebody connected, or shut Ray down.
pub fn notice(module: &Bound<'_, PyAny>) -> PyResult<()> {
    let session = &process().session;
    let py = module.py();
    if held::is_alive(py) || session.is_forked() {
        return Ok(());
    }
    if session.is_connected() {
        held::release();
        session.dropped();
    }
    if !session.is_changing() && ray::is_initialized(module)? {
        adopt(module);
    }
    Ok(())
}

/// Uses the connection that somebody else made.
pub fn adopt(module: &Bound<'_, PyAny>) {
    let py = module.py();
    let (mode, witness) = ray::observe(module);
    let client = ray::client_worker(py).filter(|_| mode == Mode::Client);
    let address = match &client {
        Some(worker) => worker
            .getattr("_conn_str")
            .ok()
            .and_then(|server| server.extract::<String>().ok())
            .map(|server| format!("ray://{server}")),
        None => ray::gcs_address(py),
    };
    held::hold(module, witness);
    process().session.adopt(Live {
        target: None,
        address: address.unwrap_or_else(|| "unknown".into()),
        namespace: if client.is_some() {
            None
        } else {
            ray::native_namespace(py)
        },
        mode: Mode::Adopted,
        since: SystemTime::now(),
        facts: probe::Facts {
            ray_version: ray::version(module),
            ..probe::Facts::default()
        },
        took: Duration::ZERO,
        instead_of: None,
    });
}

/// After a connect, on the caller's thread: remember the arguments, warn when they meant something else.
pub fn finish(py: Python<'_>, asked: &Arc<Asked>, target: &Target) -> PyResult<()> {
    py.import(intern!(py, "seedcore_ray._flight"))?
        .call_method0(intern!(py, "graceful_sigterm"))?;
    compare(asked, target);
    Ok(())
}

/// Warns, once for each pair, when the live connection is not what was asked for.
fn compare(asked: &Arc<Asked>, target: &Target) {
    let Some(live) = process().session.live() else {
        return;
    };
    if !held::remember(asked) {
        return;
    }
    let other_address = target.address_source == Source::Argument && !same_address(&live, target);
    let named = matches!(asked.namespace(), NamespaceArg::Named(_))
        && target.namespace_source == Source::Argument;
    // A Ray Client that somebody else made does not tell its namespace without a call.
    let known = live.mode != Mode::Adopted || live.namespace.is_some();
    let other_namespace = named && known && live.namespace != target.namespace;
    if other_address || other_namespace {
        let namespace = |name: &Option<String>| name.clone().unwrap_or("(anonymous)".into());
        warn!(
            "asked for {} in namespace {}, but this process is connected to {} in namespace {}: \
             keeping that connection. One process has one; force_reinit=True changes it.",
            target.address,
            namespace(&target.namespace),
            live.address,
            namespace(&live.namespace),
        );
    }
}

fn same_address(live: &Live, target: &Target) -> bool {
    match &live.target {
        Some(connected) => {
            connected.address == target.address || live.address == target.address.to_string()
        }
        // Whoever connected, "the Ray of this machine" is what a worker or a driver is in.
        None => target.address == RayAddress::Auto || live.address == target.address.to_string(),
    }
}

fn request(
    py: Python<'_>,
    asked: &Arc<Asked>,
    target: Target,
    options: &Options<'_, '_>,
) -> PyResult<Prepared> {
    let env = Env::Process;
    let (settings, bad) = Settings::from_env(&env);
    for setting in bad {
        error!("{}", setting.message);
    }
    let mut timeout = options.timeout.unwrap_or(settings.connect_timeout);
    let trial = match admit(&target, timeout, &settings, options) {
        Ok(trial) => trial,
        Err(turned_away) => {
            remember_no(py, asked, &turned_away);
            return Ok(Prepared::Done(Err(turned_away)));
        }
    };
    if trial.as_ref().is_some_and(|trial| trial.is_probe) {
        timeout = Duration::ZERO;
    }
    let blocks_loop = !options.on_loop && on_running_loop(py)?;
    if blocks_loop {
        warn!(
            "ensure_ray_initialized() blocks a thread whose event loop is running, for up to 5 s; \
             await seedcore_ray.ensure_ray_initialized_async() there instead"
        );
    }
    let fallbacks = if settings.fallbacks {
        target.fallbacks(&Kubernetes::from_env(&env))
    } else {
        Vec::new()
    };
    let variables = env.snapshot();
    Ok(Prepared::Go(Request {
        budget: Budget::new(timeout, settings.probe_timeout, blocks_loop),
        survey: Survey {
            fallbacks,
            find_local: Arc::new(move || probe::local::find(&variables, None)),
            credentials: Credentials::from_env(&env, false),
            local_credentials: Credentials::from_env(&env, true),
            probe_timeout: settings.probe_timeout,
            target,
        },
        orders: Orders {
            init_timeout: settings.init_timeout,
            force: options.force,
            stubborn: options.stubborn,
        },
        init_kwargs: options.init_kwargs.map(|kwargs| kwargs.clone().unbind()),
        trial: trial.map(Arc::new),
    }))
}

/// Asks the breaker. A call that only looks once, and one that waits however long it takes,
/// neither opens nor obeys it.
fn admit(
    target: &Target,
    timeout: Duration,
    settings: &Settings,
    options: &Options<'_, '_>,
) -> Result<Option<Trial>, ConnectError> {
    if timeout.is_zero() || options.stubborn || settings.breaker_reset.is_zero() {
        return Ok(None);
    }
    let is_probe = match process().session.admits(target) {
        Verdict::Closed => false,
        Verdict::HalfOpen => true,
        Verdict::Open { retry_after, cause } => return Err(circuit_open(&cause, retry_after)),
    };
    Ok(Some(Trial {
        target: target.clone(),
        reset: settings.breaker_reset,
        is_probe,
    }))
}

/// No log line: the failure that opened the circuit has one.
fn remember_no(py: Python<'_>, asked: &Arc<Asked>, error: &ConnectError) {
    process().session.note_failure(error);
    if let Some(retry_after) = error.retry_after {
        turned_away::remember(py, asked, std::time::Instant::now() + retry_after);
    }
}

fn on_running_loop(py: Python<'_>) -> PyResult<bool> {
    match imported(py, "asyncio") {
        Some(asyncio) => Ok(!asyncio
            .call_method0(intern!(py, "_get_running_loop"))?
            .is_none()),
        None => Ok(false),
    }
}

/// Hands the flight to a thread of its own.
pub fn launch(py: Python<'_>, request: &Request, flight: &Arc<Flight>) -> PyResult<()> {
    let kwargs = request
        .init_kwargs
        .as_ref()
        .map(|kwargs| kwargs.clone_ref(py));
    let handed = PyFlight::new(Arc::clone(flight), kwargs);
    let launched = py
        .import(intern!(py, "seedcore_ray._flight"))
        .and_then(|module| module.call_method1(intern!(py, "launch"), (handed,)));
    if let Err(error) = launched {
        // No thread could be started, or Ctrl-C came first: nobody must wait for this flight.
        // If it was started after all, it must not get as far as `ray.init`.
        flight.call_off();
        let cause = flight.cancelled();
        process().session.failed(flight, &cause);
        flight.land(Err(cause));
        return Err(error);
    }
    Ok(())
}

fn fake_ensure(
    fake: &Bound<'_, PyAny>,
    target: &Target,
    options: &Options<'_, '_>,
) -> PyResult<Result<(), ConnectError>> {
    let py = fake.py();
    let address = target.address.to_string();
    let words = py.import(intern!(py, "seedcore_ray._fake"))?.call_method1(
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

fn shut_down(py: Python<'_>) -> PyResult<()> {
    if on_flight_thread() || process().session.is_forked() {
        return Ok(());
    }
    let module = match ray::look(py)? {
        Presence::Real(module) => Some(module),
        Presence::Fake(fake) => {
            return py
                .import(intern!(py, "seedcore_ray._fake"))?
                .call_method1(intern!(py, "shutdown"), (fake,))
                .map(drop);
        }
        Presence::Missing | Presence::NotImported => None,
    };
    if ray::in_worker(py) {
        warn_once("shutdown_ray() is refused inside a Ray worker: it would disconnect the worker");
        return Ok(());
    }
    wait::closed(py, module.as_ref())
}

fn reentrant() -> ConnectError {
    ConnectError::new(
        Kind::Reentrant,
        "",
        "Called from inside our own connect (a log handler, or a hook of ray.init)",
        "Use the connection after the connect has returned.",
    )
}

fn ray_missing(target: &Target) -> ConnectError {
    ConnectError::new(
        Kind::RayMissing,
        target.address.to_string(),
        format!(
            "Not connecting to {}: the ray package is not installed",
            target.address
        ),
        "Install it with `pip install \"ray[client]\"`, in the same version as the cluster.",
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

fn warn_once(message: &str) {
    if process().session.is_first(message) {
        warn!("{message}");
    }
}
