//! The connection that the session holds, as Python sees it, and the answer of the fast path.
//!
//! [`ANSWER`] is what the next call with the same arguments is answered: connected, or rejected by the
//! breaker. The session writes it through [`Binding`] where a connection begins or ends; the fast path
//! reads it: one pointer, two or three attributes, no lock.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use super::seat::Seat;
use crate::address::{HostPort, redact};
use crate::config::Whereabouts;
use crate::error::{ConnectError, Kind};
use crate::metrics::Metrics;
use crate::process::process;
use crate::python::interop::args::{Asked, Namespace, Text};
use crate::python::ray::witness::{self, Witness};
use crate::python::ray::{given_up, imported, modules};
use crate::session::{Binding, Connection, Gone};
use crate::target::Target;

static ANSWER: ArcSwapOption<Answer> = ArcSwapOption::const_empty();

/// The connection that this process had, until it has another one or gives it up itself.
static ENDED: ArcSwapOption<HeldConnection> = ArcSwapOption::const_empty();

/// How many different pairs of arguments are remembered as answered. More than a service has.
const KNOWN: usize = 64;

enum Answer {
    Connected {
        connection: Arc<HeldConnection>,
        /// Arguments for which True is the answer without another look.
        known: Vec<Arc<Asked>>,
    },
    Rejected(Rejection),
}

/// The last call that the breaker rejected.
struct Rejection {
    asked: Arc<Asked>,
    whereabouts: Whereabouts,
    /// `sys.modules["ray"]` at that time: another module is asked anew.
    ray: Option<Py<PyAny>>,
    until: Instant,
    /// [`Session::revision`](crate::session::Session::revision), and its value at that time: while it
    /// stands, the session's last error is that of this call.
    revision: (Arc<AtomicU64>, u64),
    /// Counts the calls; at hand, so that the process need not be looked up.
    metrics: Arc<Metrics>,
}

/// One connection. A lazy value keeps the one it was made on, to tell whether it still works.
pub struct HeldConnection {
    ray: Py<PyAny>,
    witness: Witness,
    /// See [`Witness::session`].
    session: Option<Py<PyAny>>,
    is_held: AtomicBool,
    /// How it was made, where we made it.
    origin: Option<Origin>,
    seat: Seat,
    /// The arguments of calls that asked for another one, as far as that was logged.
    pub told: Py<PyList>,
}

/// How a connection was made: what it takes to monitor it, and to make it again.
pub struct Origin {
    pub target: Target,
    /// The address in use, as it may be shown.
    pub address: String,
    /// See [`ConnectionInfo::is_auto`](crate::session::ConnectionInfo::is_auto).
    pub is_auto: bool,
    /// The server of the control plane; none for a cluster that ends with this process.
    pub server: Option<HostPort>,
    /// Hex id of the cluster, where it is known.
    pub cluster_id: Option<String>,
    /// Ray's deadline, where the cluster's configuration sets it.
    pub ray_deadline: Option<Duration>,
    /// The caller's further arguments for `ray.init`.
    pub init_kwargs: Option<Py<PyDict>>,
}

impl HeldConnection {
    /// The connection that `ray` has now.
    pub fn new(ray: &Bound<'_, PyAny>, witness: Witness, origin: Option<Origin>) -> Arc<Self> {
        Self::at(Seat::Main, ray, witness, origin)
    }

    /// The connection that `seat` has now.
    pub fn at(
        seat: Seat,
        ray: &Bound<'_, PyAny>,
        witness: Witness,
        origin: Option<Origin>,
    ) -> Arc<Self> {
        let session = witness.session(ray.py()).unwrap_or(None);
        Arc::new(Self {
            session: session.map(Bound::unbind),
            ray: ray.clone().unbind(),
            witness,
            is_held: AtomicBool::new(true),
            origin,
            seat,
            told: PyList::empty(ray.py()).unbind(),
        })
    }

    /// What a test suite's stand-in for Ray says of itself. The session does not know it.
    pub fn by_stand_in(fake: &Bound<'_, PyAny>) -> Arc<Self> {
        Self::new(fake, Witness::StandIn, None)
    }

    /// The language side of `connection`.
    pub fn of(connection: &Connection) -> Option<Arc<Self>> {
        let binding: Arc<dyn Any + Send + Sync> = Arc::clone(&connection.binding) as _;
        binding.downcast().ok()
    }

    /// Which of this process's connections it is.
    pub const fn seat(&self) -> &Seat {
        &self.seat
    }

    /// How it has ended, if Ray itself says that it has.
    pub fn gone(&self, py: Python<'_>) -> Option<Gone> {
        let is_gone = match &self.seat {
            Seat::Main => is_gone(py),
            Seat::Member { .. } => !self.stands(py),
        };
        is_gone.then(|| self.end(py))
    }

    /// How it has ended.
    pub fn end(&self, py: Python<'_>) -> Gone {
        let why = match &self.witness {
            Witness::Client { worker, .. } => given_up(worker.bind(py)).unwrap_or(None),
            _ => None,
        };
        let Some(why) = why else {
            return Gone::ShutDown;
        };
        let address = self.origin().map_or("Ray", |origin| &origin.address);
        Gone::GivenUp(ConnectError::new(
            Kind::Lost,
            address,
            format!(
                "{address} has no session of this process any more, says Ray Client ({})",
                redact(&why)
            ),
            "The head was restarted, was away for longer than Ray Client waits, or could not read \
             what it was sent, such as an argument of a module that the cluster does not have. What \
             was made on that session is gone.",
        ))
    }

    /// How it was made; `None` when somebody else made it.
    pub const fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    /// Whether handles that were made on this connection still work.
    #[inline]
    pub fn stands(&self, py: Python<'_>) -> bool {
        let stands = || match &self.witness {
            Witness::StandIn => self.try_alive(py),
            witness => Ok(witness.is_true(self.ray.bind(py))? && self.is_same_session(py)?),
        };
        self.is_held.load(Ordering::Relaxed) && stands().unwrap_or(false)
    }

    #[inline]
    fn is_same_session(&self, py: Python<'_>) -> PyResult<bool> {
        let now = self.witness.session(py)?;
        Ok(match (now, &self.session) {
            (Some(now), Some(then)) => now.is(then),
            (now, then) => now.is_none() && then.is_none(),
        })
    }

    #[inline]
    fn is_alive(&self, py: Python<'_>) -> bool {
        self.try_alive(py).unwrap_or(false)
    }

    #[inline]
    fn try_alive(&self, py: Python<'_>) -> PyResult<bool> {
        match modules(py)?.get_item(intern!(py, "ray"))? {
            Some(module) if module.is(&self.ray) => self.witness.is_true(&module),
            _ => Ok(false),
        }
    }
}

impl Binding for HeldConnection {
    fn held(self: Arc<Self>) {
        self.is_held.store(true, Ordering::Relaxed);
        if let Seat::Member { pool, member, .. } = &self.seat {
            return pool.up(member);
        }
        ENDED.store(self.origin.is_some().then(|| Arc::clone(&self)));
        ANSWER.store(Some(Arc::new(Answer::Connected {
            connection: self,
            known: Vec::new(),
        })));
    }

    fn released(&self) {
        self.is_held.store(false, Ordering::Relaxed);
        match &self.seat {
            Seat::Main => ANSWER.store(None),
            Seat::Member { pool, member, .. } => pool.down(member, false),
        }
    }

    fn unhealthy(&self, is_broken: bool) {
        if let Seat::Member { pool, member, .. } = &self.seat {
            pool.down(member, is_broken);
        }
    }

    fn answered(&self) {
        if let Seat::Member { pool, member, .. } = &self.seat {
            pool.up(member);
        }
    }
}

/// Runs `body` with the connection that is held.
#[inline]
fn with_held<T>(body: impl FnOnce(&Arc<HeldConnection>, &[Arc<Asked>]) -> T) -> Option<T> {
    match ANSWER.load().as_deref() {
        Some(Answer::Connected { connection, known }) => Some(body(connection, known)),
        _ => None,
    }
}

/// The fast yes: connected, still alive, and these arguments have been answered before.
#[allow(
    clippy::inline_always,
    reason = "each call on a live connection is this"
)]
#[inline(always)]
pub fn answers(
    py: Python<'_>,
    address: Option<&Text<'_, '_>>,
    namespace: &Namespace<'_, '_>,
) -> bool {
    let asks_nothing = address.is_none() && matches!(namespace, Namespace::LeftOut);
    let answers = with_held(|connection, known| {
        (asks_nothing || known.iter().any(|asked| asked.is(address, namespace)))
            && connection.is_alive(py)
    });
    answers.unwrap_or(false)
}

/// Whether a connection is held and alive, whatever was asked for.
pub fn is_alive(py: Python<'_>) -> bool {
    with_held(|connection, _| connection.is_alive(py)).unwrap_or(false)
}

/// Whether Ray itself says that the connection is gone. False while a stand-in hides the real Ray,
/// which may come back as it was.
fn is_gone(py: Python<'_>) -> bool {
    let is_gone = |connection: &Arc<HeldConnection>, _: &[_]| {
        let is_ours = imported(py, "ray").is_some_and(|module| module.is(&connection.ray));
        is_ours && !connection.stands(py)
    };
    with_held(is_gone).unwrap_or(false)
}

/// Whether a connection of ours is held, or was and ended without our doing.
pub fn has_connected() -> bool {
    ENDED.load().is_some()
}

/// The last connection of ours, if nothing is held now and it was not shut down by `shutdown_ray`.
pub fn ended() -> Option<Arc<HeldConnection>> {
    let is_held = with_held(|_, _| ()).is_some();
    ENDED.load_full().filter(|_| !is_held)
}

/// [`shutdown_ray`](crate::python::connect::shutdown_ray) was called: the next connect begins anew.
pub fn forget_ended() {
    ENDED.store(None);
}

/// The connection that is held, if it is alive and nobody made another one in the meantime.
pub fn current(py: Python<'_>) -> Option<Arc<HeldConnection>> {
    with_held(|connection, _| {
        let is_current = connection.is_alive(py) && connection.stands(py);
        is_current.then(|| Arc::clone(connection))
    })?
}

/// Remembers that these arguments were looked at. True the first time; past [`KNOWN`] pairs never,
/// so that a service with a namespace for each request does not flood its log.
pub fn remember(asked: &Arc<Asked>) -> bool {
    let before = ANSWER.load_full();
    let Some(Answer::Connected { connection, known }) = before.as_deref() else {
        return false;
    };
    if known.len() >= KNOWN || known.contains(asked) {
        return false;
    }
    let after = Answer::Connected {
        connection: Arc::clone(connection),
        known: known.iter().chain([asked]).map(Arc::clone).collect(),
    };
    // Unless the connection has changed meanwhile.
    ANSWER.compare_and_swap(&before, Some(Arc::new(after)));
    true
}

/// The fast no: whether nothing has changed since the breaker last rejected this very call. It is
/// counted as another rejection then.
pub fn rejects(
    py: Python<'_>,
    address: Option<&Text<'_, '_>>,
    namespace: &Namespace<'_, '_>,
) -> bool {
    let answer = ANSWER.load();
    let Some(Answer::Rejected(last)) = answer.as_deref() else {
        return false;
    };
    let rejects = last.asked.is(address, namespace)
        && last.revision.0.load(Ordering::Relaxed) == last.revision.1
        && Instant::now() < last.until
        && last.whereabouts == Whereabouts::now()
        && is_same_ray(py, last.ray.as_ref());
    if rejects {
        last.metrics.rejected(Kind::CircuitOpen);
    }
    rejects
}

/// Whether Ray is what it was then, and not connected.
fn is_same_ray(py: Python<'_>, then: Option<&Py<PyAny>>) -> bool {
    match (imported(py, "ray"), then) {
        (None, None) => true,
        (Some(now), Some(then)) => now.is(then) && !witness::seems_connected(py),
        _ => false,
    }
}

/// Remembers a call that the breaker has rejected.
pub fn remember_rejection(py: Python<'_>, asked: &Arc<Asked>, error: &ConnectError) {
    let session = &process().session;
    let revision = session.note_failure(error);
    let before = ANSWER.load_full();
    let is_connected = matches!(before.as_deref(), Some(Answer::Connected { .. }));
    let Some(retry_after) = error.retry_after.filter(|_| !is_connected) else {
        return;
    };
    let rejection = Rejection {
        asked: Arc::clone(asked),
        whereabouts: Whereabouts::now(),
        ray: imported(py, "ray").map(Bound::unbind),
        until: Instant::now() + retry_after,
        revision: (Arc::clone(&session.revision), revision),
        metrics: Arc::clone(&session.metrics),
    };
    // Unless there is a connection meanwhile.
    ANSWER.compare_and_swap(&before, Some(Arc::new(Answer::Rejected(rejection))));
}

/// In a forked child: nothing is held, and nothing was rejected.
pub fn forget() {
    forget_ended();
    let answer = ANSWER.swap(None);
    if let Some(Answer::Connected { connection, .. }) = answer.as_deref() {
        connection.is_held.store(false, Ordering::Relaxed);
    }
}
