//! The process-wide state machine and its flag.
//!
//! ```text
//!          probe ok             init ok
//! idle ──► connecting ────────► connected ◄──► unhealthy ──► lost ──► reconnecting
//!  ▲           │ fail              ▲ │                                   │
//!  │           ▼                   └─┼───────────────────────────────────┘
//!  ├──────  failed                   │ shutdown, or Ray was shut down behind our back
//!  └─────────────────────────────────┘
//! ```
//!
//! `session/connecting.rs` has how a connection is made: the left half; `session/away.rs` what comes
//! after that: the right half; `session/ending.rs` how it is given up; `session/answers.rs` what
//! callers are answered.
//!
//! The rule that keeps it simple: decide under the small lock, act outside it. Whoever is told
//! to act ([`Joined::Lead`], [`Closing::Run`]) owns Ray until it says that it is done.

mod circuit;
mod connecting;
mod connection;
mod log_lines;
mod loss;
mod outcome;
mod shutdown;

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::Instant;

use crate::breaker::Breaker;
use crate::error::{ConnectError, Kind};
use crate::events::{Event, Events, What};
use crate::flight::Flight;
pub use crate::flight::LastProbe;
use crate::health::Watch;
use crate::metrics::Metrics;
use crate::target::Target;
pub use connection::{ConnectionInfo, Mode, State};
use loss::LostConnection;
pub use outcome::{Arrival, Closing, Joined, Turn};

/// How many different warnings are given once each. More than a service has.
const SAID: usize = 256;

/// Who owns Ray at the moment.
enum Owner {
    Connect(Arc<Flight>),
    /// `ray.shutdown()` is running.
    Shutdown(watch::Sender<bool>),
}

#[derive(Default)]
struct Inner {
    live: Option<Arc<ConnectionInfo>>,
    owner: Option<Owner>,
    last_error: Option<ConnectError>,
    last_probe: Option<LastProbe>,
    /// Who keeps an eye on the connection, from when it was made until it is given up.
    watch: Option<Arc<Watch>>,
    /// Until when the last look says enough; None when it was a bad one.
    fresh_until: Option<Instant>,
    /// Since when, and why, the connection that is held does not answer.
    ailing: Option<(Instant, ConnectError)>,
    /// A connection that was lost and not given up.
    away: Option<LostConnection>,
    events: Events,
    /// Warnings that are given once in a process.
    said: HashSet<String>,
}

/// The one connection of this process.
#[derive(Default)]
pub struct Session {
    /// The flag. The fast path reads nothing else of this.
    connected: AtomicBool,
    generation: AtomicU64,
    forked: AtomicBool,
    /// Somebody has asked for a connection.
    asked: AtomicBool,
    /// `ray.init` is running.
    initialising: AtomicBool,
    exiting: AtomicBool,
    inner: Mutex<Inner>,
    breaker: Mutex<Breaker<Target>>,
    /// Grows when the last error or the breaker changes: whoever keeps a no sees that it is old.
    pub revision: Arc<AtomicU64>,
    /// What has happened so far, in numbers.
    pub metrics: Arc<Metrics>,
}

impl Session {
    /// The session of a child whose parent was connected: Ray cannot be used in it.
    pub fn forked() -> Self {
        Self {
            forked: AtomicBool::new(true),
            ..Self::default()
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
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
    pub fn live(&self) -> Option<Arc<ConnectionInfo>> {
        self.inner().live.clone()
    }

    /// Why the last connect failed; `None` once one has succeeded, after a shutdown, or when nobody
    /// has asked. A failed `force_reinit` leaves it beside the connection that was kept.
    pub fn last_error(&self) -> Option<ConnectError> {
        let inner = self.inner();
        match &inner.away {
            Some(away) => Some(away.error()),
            None => inner.last_error.clone(),
        }
    }

    /// What has happened since this was last asked.
    pub fn take_events(&self) -> VecDeque<Event> {
        self.inner().events.take()
    }

    /// The last look at the cluster, whoever took it.
    pub fn last_probe(&self) -> Option<LastProbe> {
        self.inner().last_probe.clone()
    }

    /// Remembers a look at the cluster.
    pub fn probed(&self, took: Duration, error: Option<ConnectError>) {
        self.metrics.probed(took, error.is_none());
        self.note_probe(LastProbe {
            at: SystemTime::now(),
            took,
            error,
        });
    }

    /// Remembers a look that a flight has taken, and has counted.
    pub fn note_probe(&self, probe: LastProbe) {
        self.inner().last_probe = Some(probe);
    }

    /// Whether `warning` has not been given yet; from now on it has. Past [`SAID`] different ones
    /// never, since some name what a caller passed.
    pub fn is_first(&self, warning: &str) -> bool {
        let said = &mut self.inner().said;
        said.len() < SAID && said.insert(warning.to_owned())
    }

    /// Whether nobody has asked this process to connect before.
    pub fn is_first_connect(&self) -> bool {
        !self.asked.swap(true, Ordering::Relaxed)
    }

    /// Whether `ray.init` is running in this process, by us.
    pub fn is_initialising(&self) -> bool {
        self.initialising.load(Ordering::Acquire)
    }

    /// Whether Ray is on its way up or down by our doing: what it says of itself does not hold.
    pub fn is_changing(&self) -> bool {
        self.is_initialising() || matches!(self.inner().owner, Some(Owner::Shutdown(_)))
    }

    /// The state that callers see.
    pub fn state(&self) -> State {
        let inner = self.inner();
        if let Some(away) = &inner.away {
            return away.state();
        }
        match (&inner.live, &inner.owner, &inner.last_error) {
            (Some(_), _, _) if inner.ailing.is_some() => State::Unhealthy,
            (Some(_), _, _) => State::Connected,
            (None, Some(Owner::Connect(_)), _) => State::Connecting,
            (None, _, Some(_)) => State::Failed,
            (None, _, None) => State::Idle,
        }
    }

    /// Remembers what a caller was told whose flight has not failed: none began, or it goes on
    /// without this caller. Of no interest when there is a connection by now. Returns the
    /// revision: while it stands, nobody has been told anything else.
    pub fn note_failure(&self, error: &ConnectError) -> u64 {
        let mut inner = self.inner();
        if inner.live.is_none() && inner.away.is_none() && error.kind != Kind::Cancelled {
            self.tell(&mut inner, Some(error.clone()));
        }
        self.revision.load(Ordering::Relaxed)
    }

    fn tell(&self, inner: &mut Inner, error: Option<ConnectError>) {
        inner.last_error = error;
        self.revision.fetch_add(1, Ordering::Relaxed);
    }

    /// Why no connect may begin at all, if so.
    pub fn refusal(&self, address: &str) -> Option<ConnectError> {
        if self.forked.load(Ordering::Relaxed) {
            return Some(ConnectError::new(
                Kind::Forked,
                address,
                format!(
                    "Not connecting to {address}: this process was forked from one that was \
                     connected to Ray, and Ray does not survive a fork"
                ),
                "Connect after the fork instead of before it, or use the spawn start method.",
            ));
        }
        self.exiting.load(Ordering::Acquire).then(|| {
            ConnectError::new(
                Kind::Cancelled,
                address,
                format!("Not connecting to {address}: the process is ending"),
                "Connect before the interpreter shuts down.",
            )
        })
    }

    /// Whether this is a child whose parent was connected.
    pub fn is_forked(&self) -> bool {
        self.forked.load(Ordering::Relaxed)
    }

    /// Whether a fork now leaves the child with a Ray that it cannot use. Takes no lock: in the
    /// child, a thread that is gone may hold it.
    pub fn holds_ray(&self) -> bool {
        self.is_connected() || self.is_forked() || self.initialising.load(Ordering::Acquire)
    }

    /// The flight has shut the old connection down (`force_reinit`), or found it gone.
    pub fn dropped(&self) {
        self.let_go(&mut self.inner());
    }

    /// Nothing is held any more, and nothing is waited for.
    fn let_go(&self, inner: &mut Inner) {
        self.connected.store(false, Ordering::Release);
        inner.live = None;
        inner.away = None;
        inner.ailing = None;
        inner.fresh_until = None;
        if let Some(watch) = inner.watch.take() {
            watch.stop();
        }
    }

    fn hold(&self, inner: &mut Inner, live: ConnectionInfo, watch: Option<Arc<Watch>>) {
        let away_for = inner.away.as_ref().map(|away| away.since.elapsed());
        let what = match away_for {
            Some(_) => What::Reconnected,
            None => What::Connected,
        };
        let address = live.address.clone();
        self.let_go(inner);
        inner.live = Some(Arc::new(live));
        inner.watch = watch;
        self.tell(inner, None);
        self.generation.fetch_add(1, Ordering::Relaxed);
        self.connected.store(true, Ordering::Release);
        self.happened(inner, what, &address, None, away_for);
    }

    fn happened(
        &self,
        inner: &mut Inner,
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
        inner.events.push(Event {
            what,
            at: SystemTime::now(),
            generation: self.generation(),
            address: address.to_owned(),
            cause,
            after,
        });
    }
}
