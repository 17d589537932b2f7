//! The process-wide state machine: the one owner of the connection and its flag.
//!
//! ```text
//!          probe ok             init ok
//! idle ──► connecting ────────► connected ◄──► unhealthy ──► lost ──► reconnecting
//!  ▲           │ fail              ▲ │                                   │
//!  │           ▼                   └─┼───────────────────────────────────┘
//!  ├──────  failed                   │ shutdown, or Ray was shut down by somebody else
//!  └─────────────────────────────────┘
//! ```
//!
//! `session/connecting.rs` has the left half, how a connection is made; `session/loss.rs` the right
//! half, what happens to it; `session/shutdown.rs` how it is given up; `session/stranger.rs` what is
//! not taken for it; `session/outcome.rs` what callers are answered, `session/reasons.rs` why not.
//!
//! The rule that keeps it simple: decide under the small lock, act outside it. A caller that is told
//! to act ([`Joined::Lead`], [`ShutdownStep::Run`]) owns Ray until it reports that it is done.

mod circuits;
mod connecting;
mod connection;
mod log_lines;
mod loss;
mod outcome;
mod reasons;
mod shutdown;
mod stranger;

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::Instant;

use crate::error::ConnectError;
use crate::events::{Event, Events, What};
use crate::flight::Flight;
pub use crate::flight::LastProbe;
use crate::health::Watch;
use crate::metrics::Metrics;
pub use circuits::Circuits;
pub use connection::{Binding, Connection, ConnectionInfo, Mode, RayCluster, State};
pub use log_lines::{LogOnce, Whose};
use loss::LostConnection;
pub use loss::{Gone, Monitored, Phase};
pub use outcome::{Arrival, Joined, Turn};
pub use shutdown::{Shutdown, ShutdownStep};

/// What Ray is being used for by us at the moment.
enum Owner {
    Connect(Arc<Flight>),
    /// `ray.shutdown()` is running.
    Shutdown(watch::Sender<bool>),
}

#[derive(Default)]
struct Inner {
    connection: Option<Arc<Connection>>,
    owner: Option<Owner>,
    last_error: Option<ConnectError>,
    last_probe: Option<LastProbe>,
    /// The monitor of the connection, from when it was made until it is given up.
    watch: Option<Arc<Watch>>,
    /// Until when the last check is recent enough; `None` when it failed.
    fresh_until: Option<Instant>,
    /// Since when, and why, the connection that is held does not answer.
    unhealthy: Option<(Instant, ConnectError)>,
    /// A connection that was lost and not given up.
    lost: Option<LostConnection>,
}

/// The session's state, locked. What has ended under the lock is dropped after it is released: that
/// may run code of the language side, which may call the session.
struct Locked<'a> {
    // Fields are dropped in this order.
    inner: MutexGuard<'a, Inner>,
    ended: Vec<Arc<Connection>>,
}

impl Deref for Locked<'_> {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.inner
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut Inner {
        &mut self.inner
    }
}

/// One connection of this process: its own, or one of a pool's.
pub struct Session {
    whose: Whose,
    /// The flag. Set and cleared together with `Inner::connection`.
    connected: AtomicBool,
    generation: AtomicU64,
    forked: AtomicBool,
    /// `ray.init` is running.
    initialising: AtomicBool,
    exiting: AtomicBool,
    inner: Mutex<Inner>,
    events: Arc<Mutex<Events>>,
    /// Incremented when the last error or a circuit changes. A cached rejection is valid only while
    /// this value is unchanged.
    pub revision: Arc<AtomicU64>,
    /// The breaker.
    pub circuits: Arc<Circuits>,
    /// Messages that are logged once in a process.
    pub once: LogOnce,
    /// What has happened so far, in numbers.
    pub metrics: Arc<Metrics>,
}

impl Default for Session {
    fn default() -> Self {
        let revision = Arc::<AtomicU64>::default();
        Self {
            connected: AtomicBool::default(),
            generation: AtomicU64::default(),
            forked: AtomicBool::default(),
            initialising: AtomicBool::default(),
            exiting: AtomicBool::default(),
            whose: Whose::default(),
            inner: Mutex::default(),
            events: Arc::default(),
            circuits: Arc::new(Circuits::new(Arc::clone(&revision))),
            once: LogOnce::default(),
            revision,
            metrics: Arc::default(),
        }
    }
}

impl Session {
    /// The session of a child whose parent was connected: Ray cannot be used in it.
    pub fn forked() -> Self {
        Self {
            forked: AtomicBool::new(true),
            ..Self::default()
        }
    }

    /// A session of a pool, whose sessions share a breaker and counters. Its events are told among those
    /// of this session.
    #[must_use]
    pub fn of_pool(&self, whose: Whose, circuits: &Arc<Circuits>, metrics: &Arc<Metrics>) -> Self {
        Self {
            whose,
            events: Arc::clone(&self.events),
            circuits: Arc::clone(circuits),
            metrics: Arc::clone(metrics),
            ..Self::default()
        }
    }

    fn inner(&self) -> Locked<'_> {
        Locked {
            inner: self.inner.lock().unwrap_or_else(PoisonError::into_inner),
            ended: Vec::new(),
        }
    }

    /// Whether a connection is held. One atomic load.
    pub fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Acquire)
    }

    /// How many connections have been made in this process.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    /// The connection that is held.
    pub fn connection(&self) -> Option<Arc<Connection>> {
        self.inner().connection.clone()
    }

    /// The state that callers see.
    pub fn state(&self) -> State {
        let inner = self.inner();
        if let Some(lost) = &inner.lost {
            return lost.state();
        }
        match (&inner.connection, &inner.owner, &inner.last_error) {
            (Some(_), _, _) if inner.unhealthy.is_some() => State::Unhealthy,
            (Some(_), _, _) => State::Connected,
            (None, Some(Owner::Connect(_)), _) => State::Connecting,
            (None, _, Some(_)) => State::Failed,
            (None, _, None) => State::Idle,
        }
    }

    fn events(&self) -> MutexGuard<'_, Events> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes out the events since the last call, those of pools among them.
    pub fn take_events(&self) -> VecDeque<Event> {
        self.events().take()
    }

    /// The last probe of the cluster.
    pub fn last_probe(&self) -> Option<LastProbe> {
        self.inner().last_probe.clone()
    }

    /// Records a probe of the cluster, and counts it.
    pub fn probed(&self, took: Duration, error: Option<ConnectError>) {
        self.metrics.probed(took, error.is_none());
        self.inner().last_probe = Some(LastProbe {
            at: SystemTime::now(),
            took,
            error,
        });
    }

    /// Whether the last check is recent enough, and was good.
    pub fn is_fresh(&self) -> bool {
        let fresh_until = self.inner().fresh_until;
        fresh_until.is_some_and(|end| Instant::now() < end)
    }

    /// Whether there is no connection, and nothing under way or waited for that would give one.
    pub fn is_over(&self) -> bool {
        let inner = self.inner();
        let is_awaited = inner
            .lost
            .as_ref()
            .is_some_and(LostConnection::may_come_back);
        inner.connection.is_none() && inner.owner.is_none() && !is_awaited
    }

    /// Whether a connect or a shutdown of ours is under way.
    pub fn is_busy(&self) -> bool {
        self.inner().owner.is_some()
    }

    /// Whether Ray is on its way up or down by our doing: what it says of itself does not count.
    pub fn is_changing(&self) -> bool {
        let is_initialising = self.initialising.load(Ordering::Acquire);
        is_initialising || matches!(self.inner().owner, Some(Owner::Shutdown(_)))
    }

    /// Whether this is a child whose parent was connected.
    pub fn is_forked(&self) -> bool {
        self.forked.load(Ordering::Relaxed)
    }

    /// Whether a fork now leaves the child with a Ray that it cannot use. Takes no lock: in the
    /// child, a thread that no longer exists may hold it.
    pub fn holds_ray(&self) -> bool {
        self.is_connected() || self.is_forked() || self.initialising.load(Ordering::Acquire)
    }

    /// Gives the connection that is held another monitor, or none; a lost one is not waited for then.
    pub fn set_watch(&self, watch: Option<Arc<Watch>>) {
        let mut inner = self.inner();
        inner.fresh_until = None;
        inner.unhealthy = None;
        if watch.is_none() {
            inner.forget_lost();
        }
        if let Some(old) = std::mem::replace(&mut inner.watch, watch) {
            old.stop();
        }
    }

    fn set_last_error(&self, inner: &mut Locked<'_>, error: Option<ConnectError>) {
        inner.last_error = error;
        self.revision.fetch_add(1, Ordering::Relaxed);
    }

    /// The one place where a connection begins.
    fn hold(&self, inner: &mut Locked<'_>, connection: Connection, watch: Option<Arc<Watch>>) {
        let away_for = inner.lost.as_ref().map(|lost| lost.since.elapsed());
        let what = match away_for {
            Some(_) => What::Reconnected,
            None => What::Connected,
        };
        self.let_go(inner);
        let address = connection.info.address.clone();
        let instead_of = connection.info.instead_of.clone();
        Arc::clone(&connection.binding).held();
        inner.connection = Some(Arc::new(connection));
        inner.watch = watch;
        self.set_last_error(inner, None);
        self.generation.fetch_add(1, Ordering::Relaxed);
        self.connected.store(true, Ordering::Release);
        let cause = instead_of.map(|stand_in| stand_in.cause);
        self.happened(what, &address, cause, away_for);
    }

    /// The one place where a connection is given up, and where a lost one is not waited for any more.
    fn let_go(&self, inner: &mut Locked<'_>) {
        self.connected.store(false, Ordering::Release);
        if let Some(connection) = inner.connection.take() {
            connection.binding.released();
            inner.ended.push(connection);
        }
        inner.forget_lost();
        inner.unhealthy = None;
        inner.fresh_until = None;
        if let Some(watch) = inner.watch.take() {
            watch.stop();
        }
    }

    fn happened(
        &self,
        what: What,
        address: &str,
        cause: Option<ConnectError>,
        after: Option<Duration>,
    ) {
        match what {
            What::Lost => self.metrics.lost(),
            What::Reconnected => self.metrics.reconnected(),
            _ => {}
        }
        self.events().push(Event {
            pool: self.whose.pool.clone(),
            what,
            at: SystemTime::now(),
            generation: self.generation(),
            address: address.to_owned(),
            cause,
            after,
        });
    }
}
